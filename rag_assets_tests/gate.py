"""Stops a migration at one of its commands, where a test then kills it."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2

from rag_assets_tests import rows

SECONDS = 120.0  # for what takes one on a machine that is not busy
NUMBER = 7_301_001  # of the lock that a migration waits for where a test stops it
# Counts the commands that define something, and has one of them wait: nothing of ours has a place to stop at.
STOP_AT = """
create sequence commands_seen;
create function stop_here() returns event_trigger language plpgsql as $$
begin
    if nextval('commands_seen') = {number} then
        perform pg_advisory_xact_lock({gate});
    end if;
end
$$;
create event trigger stop_here on ddl_command_end execute function stop_here();
"""
GO_ON = "drop event trigger stop_here; drop function stop_here; drop sequence commands_seen"


@contextmanager
def closed_at(url: str, number: int) -> Iterator[None]:
    """Have the command of this number, counted from 1, wait for the end of the block."""
    rows.execute(url, STOP_AT.format(number=number, gate=NUMBER))
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"select pg_advisory_lock({NUMBER})")
            yield
    _retried(url, GO_ON)


def waiting(url: str, *, unless: Callable[[], object] = lambda: False) -> int | None:
    """The server process that waits there, or none where `unless` holds before."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and not unless():
        found = rows.execute(url, f"select pid from pg_locks where objid = {NUMBER} and not granted")
        if found:
            return int(found[0][0])
        time.sleep(0.01)
    assert unless(), "nobody came to the gate"
    return None


def _retried(url: str, statement: str) -> None:
    """Once the server takes connections again: when one of its processes is killed, it begins anew."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            rows.execute(url, statement)
        except (psycopg2.DatabaseError, psycopg2.InterfaceError) as exc:
            # A line that breaks is a bare DatabaseError to psycopg2 at times; what a statement does wrong has a code.
            is_away = isinstance(exc, psycopg2.OperationalError | psycopg2.InterfaceError) or exc.pgcode is None
            if not is_away or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
