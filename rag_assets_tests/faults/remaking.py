"""The documents table made anew amid changes: renamed and back, dropped, swapped or emptied, and filled again."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from rag_assets.errors import ServiceError
from rag_assets.postgres import watch
from rag_assets_tests.faults.arena import DOCUMENTS, Arena, Ground, Result
from rag_assets_tests.patience import meanwhile

ROWS = 24
AWAY_SECONDS = 0.4  # in which runs and looks come to a table that is not as it was
LOOK_SECONDS = 0.05
WAIT_SECONDS = 240.0  # far above what it takes
MASS = {"mass_deletion_number": 5, "mass_deletion_share": 0.5}
DEFINITION = "(id bigserial primary key, file_path text not null, version int)"


def table_made_anew(ground: Ground, *, seed: int, long: bool) -> Result:
    """Each way in turn, on an index that is full, with changes before, while the table is away, and after."""
    result = Result()
    for turn in range(40 if long else len(WAYS)):
        way = list(WAYS)[turn % len(WAYS)]
        with ground.arena(seed + turn, source=MASS) as arena:
            arena.insert(ROWS)
            arena.settle()
            with meanwhile(partial(_look, arena)):
                arena.change(4)
                _wait_for(lambda arena=arena: arena.is_settled())  # type: ignore[misc]
                before = _indexed(arena)
                WAYS[way](arena, lambda arena=arena, before=before: _lost(arena, before, result))  # type: ignore[misc]
                arena.change(4)
            _tend(arena)
            arena.settle()
            result.add(arena.violations(), trial=f"turn {turn}, {way}")
    return result


def _renamed(arena: Arena, check: Callable[[], None]) -> None:
    arena.sql(f"alter table {DOCUMENTS} rename to away")
    arena.sql("update away set version = version + 1 where id % 3 = 0")
    time.sleep(AWAY_SECONDS)
    check()
    arena.sql(f"alter table away rename to {DOCUMENTS}")


def _dropped(arena: Arena, check: Callable[[], None]) -> None:
    arena.sql(f"create table kept as select * from {DOCUMENTS}; drop table {DOCUMENTS}")
    time.sleep(AWAY_SECONDS)
    check()
    arena.sql(f"create table {DOCUMENTS} {DEFINITION}")
    time.sleep(AWAY_SECONDS)
    check()
    _fill(arena)


def _swapped(arena: Arena, check: Callable[[], None]) -> None:
    arena.sql(f"alter table {DOCUMENTS} rename to kept; create table {DOCUMENTS} {DEFINITION}")
    time.sleep(AWAY_SECONDS)
    check()
    _fill(arena)


def _emptied(arena: Arena, check: Callable[[], None]) -> None:
    arena.sql(f"create table kept as select * from {DOCUMENTS}; truncate {DOCUMENTS}")
    time.sleep(AWAY_SECONDS)
    check()
    _fill(arena)


def _column_renamed(arena: Arena, check: Callable[[], None]) -> None:
    """The application goes on to write, and none of its writes fails."""
    arena.sql(f'alter table {DOCUMENTS} rename id to "Id"')
    arena.sql(f'update {DOCUMENTS} set version = version + 1 where "Id" % 3 = 0')
    name = arena.new_file()
    arena.sql(f"insert into {DOCUMENTS} (file_path, version) values ('{name}', 0)")
    time.sleep(AWAY_SECONDS)
    check()
    arena.sql(f'alter table {DOCUMENTS} rename "Id" to id')


WAYS: dict[str, Callable[[Arena, Callable[[], None]], None]] = {
    "renamed": _renamed,
    "dropped": _dropped,
    "swapped": _swapped,
    "emptied": _emptied,
    "column renamed": _column_renamed,
}


def _fill(arena: Arena) -> None:
    """From a backup, with the ids of before; new ones come after them."""
    arena.sql(
        f"""insert into {DOCUMENTS} select * from kept;
        select setval(pg_get_serial_sequence('{DOCUMENTS}', 'id'), (select max(id) from {DOCUMENTS}))"""
    )


def _lost(arena: Arena, before: set[str], result: Result) -> None:
    if gone := before - _indexed(arena):
        result.violations.append(f"{len(gone)} documents were deleted while their table was away")


def _indexed(arena: Arena) -> set[str]:
    return {name for (name,) in arena.sql("select distinct document_id from rag_document_chunks")}


def _look(arena: Arena, ending: threading.Event) -> None:
    """What the sensor and its runs do all the time."""
    while not ending.wait(LOOK_SECONDS):
        with suppress(ServiceError):  # the table is away; the next look may find it
            _tend(arena)
            arena.run()


def _tend(arena: Arena) -> None:
    watch.tend(arena.database, arena.settings.source)


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
