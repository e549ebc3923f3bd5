"""A database of each version whose migrations landed becomes today's, wherever the migrating process is killed."""

import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from rag_assets import settings
from rag_assets.postgres import statements
from rag_assets.postgres.database import Database
from rag_assets_tests import gate, landed, rows

NAMES = [file.name for file in statements.folder("migrations")]
NEVER_LAST = {"001_tables.sql", "002_claimed_generation.sql"}  # the first program that worked had 003, too
# Also by a document of which nothing was known, and by words that are to be taken anew.
GROWING = {"rag_migrations", "rag_outbox", "rag_words_missing"}
STEP = 23  # commands between two kills: each takes the start of a process
Tables = Mapping[str, list[dict[str, Any]]]  # rows, by table


@pytest.fixture(scope="module")
def todays_schema(postgres_url: str) -> Iterator[list[str]]:
    """That of a database that today's program made."""
    for url in landed.databases(postgres_url):
        rows.execute(url, landed.TABLE)
        with closing(Database(url)) as database:
            database.migrate(settings.Source(), dimension=rows.DIMENSION)
        yield landed.schema(url)


def test_each_version_up_to_the_newest_one_that_is_kept_is_there() -> None:
    """A commit can bring a migration before the database that its program makes is kept, but none is passed over."""
    kept = set(landed.dumps())
    assert "025_words_tell_their_language.sql" in kept
    assert kept == {name for name in NAMES if name <= max(kept)} - NEVER_LAST


@pytest.mark.parametrize("version", landed.dumps())
def test_a_database_becomes_todays_wherever_its_migration_is_killed(
    version: str, empty_database_url: str, todays_schema: list[str]
) -> None:
    """A killed process leaves all as it was; the one that is not killed leaves today's schema, and each row."""
    rows.execute(empty_database_url, landed.dumps()[version])
    before, schema = _tables(empty_database_url), landed.schema(empty_database_url)
    kills, number = 0, random.Random(version).randint(1, STEP)
    while _is_killed_at(empty_database_url, number):
        assert _tables(empty_database_url) == before
        kills, number = kills + 1, number + STEP
    assert kills > 0
    assert schema != landed.schema(empty_database_url) or version == NAMES[-1]
    assert landed.schema(empty_database_url) == todays_schema
    _require_kept(before, _tables(empty_database_url))
    known = rows.execute(empty_database_url, "select document_id, state from rag_outbox")
    assert sorted(known) == [("2", "dead"), *((number, "pending") for number in "345678")]


def _is_killed_at(url: str, number: int) -> bool:
    """Whether a migration had a command of this number, and its process was killed there; else it is done."""
    with gate.closed_at(url, number):
        process = subprocess.Popen([sys.executable, "-c", landed.MIGRATE, url])
        waits = gate.waiting(url, unless=lambda: process.poll() is not None)
        process.kill()
        status = process.wait(gate.SECONDS)
    assert waits or status == 0
    return waits is not None


def _tables(url: str) -> Tables:
    """Each row of each table of ours."""
    names = rows.execute(url, "select tablename from pg_tables where tablename like 'rag\\_%' order by 1")
    return {
        name: [row for (row,) in rows.execute(url, f"select to_jsonb(t) from {name} t order by to_jsonb(t)::text")]
        for (name,) in names
    }


def _require_kept(before: Tables, after: Tables) -> None:
    """Each row is there with all that it had; what came later has columns of its own."""
    for name, old in before.items():
        now = after[name]
        for row in old:
            assert row in [{key: each.get(key) for key in row} for each in now], name
        assert len(now) == len(old) or name in GROWING, name
