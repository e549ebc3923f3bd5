"""Homes with a PostgreSQL for tests: who keeps it, and what is noted in it."""

import os
import secrets
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from rag_assets.bundled import postgres_watchdog

posix = pytest.mark.skipif(os.name == "nt", reason="signals, sockets and accounts of POSIX")
as_root = pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="placement is a question for root only")


def ask(url: str, statement: str) -> object:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def note(url: str) -> int:
    """Commit a number, to be looked for later."""
    number = secrets.randbelow(2**31)
    ask(url, f"create table if not exists notes (n bigint); insert into notes values ({number})")
    return number


def is_noted(url: str, number: int) -> bool:
    return ask(url, f"select count(*) from notes where n = {number}") == 1


def server_of(home: Path) -> int:
    pid = postgres_watchdog.running_server((home / "postgres" / "data").resolve())
    assert pid is not None
    return pid
