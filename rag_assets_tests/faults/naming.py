"""Rows whose ids are hostile, missing or doubled, amid ordinary changes; in the end they are corrected."""

import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from functools import partial

import psycopg2
from psycopg2.extensions import cursor as Cursor

from rag_assets.postgres import outbox
from rag_assets.postgres.database import Database
from rag_assets.postgres.documents import ID_BYTES
from rag_assets.settings import Source
from rag_assets_tests import rows
from rag_assets_tests.faults.arena import DIMENSION, DOCUMENTS, Arena, Ground, Result, replace_text
from rag_assets_tests.faults.consuming import Consumer

TABLE = f"drop table {DOCUMENTS}; create table {DOCUMENTS} (id text, file_path text not null, version int default 0)"
ODD = [
    "",
    " ",
    "  ",
    "a",
    "A",
    "a ",
    "\x01\x1b[2J",
    "1,2",
    "1...2",
    "two\nlines",
    "\U0001f600",
    "' or 1",
    "%s {x}",
    "é" * 400,
]
PAUSE_SECONDS = 0.01
Step = Callable[[random.Random, Arena, Cursor], None]


def hostile_ids(ground: Ground, *, seed: int, long: bool) -> Result:
    """Ids of every kind of character, and ids that are too long: through trigger, first fill and reconciliation."""
    return _amid_changes(ground, [_odd, _too_long], seed=seed, long=long)


def doubled_and_missing_ids(ground: Ground, *, seed: int, long: bool) -> Result:
    """Rows without an id, and ids that several rows have for a while, or for good."""
    return _amid_changes(ground, [_missing, _double, _single], seed=seed, long=long)


def _amid_changes(ground: Ground, faults: list[Step], *, seed: int, long: bool) -> Result:
    result = Result()
    for turn in range(10 if long else 1):
        with ground.arena(seed + turn) as arena:
            arena.sql(TABLE)
            with closing(Database(arena.url)) as database:
                database.migrate(Source(), dimension=DIMENSION)
            _insert(arena, [str(number) for number in range(20)])
            with Consumer(arena) as consumer:
                changes = 400 if long else 60
                _write(arena, [_change, _change, _add, _delete, *faults], seed=seed + turn, changes=changes)
                late = consumer.catch_up()
                unfit = _unfit(arena)
                exempt = frozenset(str(one) for one in unfit if one is not None) | {None}
                found = [*late, *arena.violations(exempt=exempt), *_not_shown(arena, unfit)]
                result.add(found, trial=f"turn {turn}")
                _correct(arena)
                result.add([*consumer.catch_up(), *arena.violations()], trial=f"turn {turn}, corrected")
        result.notes["unfit"] = result.notes.get("unfit", 0) + len(unfit)
    return result


def _write(arena: Arena, steps: list[Step], *, seed: int, changes: int) -> None:
    """Four writers, each change a transaction of its own; none of them ever fails."""
    numbers = iter(range(changes))
    lock = threading.Lock()

    def work(number: int) -> None:
        rng = random.Random(seed * 100 + number)
        with closing(psycopg2.connect(arena.url)) as connection:
            while True:
                with lock:
                    if next(numbers, None) is None:
                        return
                with connection, connection.cursor() as cursor:
                    rng.choice(steps)(rng, arena, cursor)
                time.sleep(rng.uniform(0, PAUSE_SECONDS))

    rows.in_threads([partial(work, number) for number in range(4)])


def _new_file(arena: Arena, rng: random.Random) -> str:
    name = f"{secrets.token_hex(8)}.txt"
    (arena.files / name).write_text(arena.text(rng=rng))
    return name


def _insert(arena: Arena, ids: list[str]) -> None:
    for one in ids:
        arena.sql(f"insert into {DOCUMENTS} values ('{one}', '{_new_file(arena, arena.rng)}')")


def _row(cursor: Cursor) -> tuple[str, str] | None:
    cursor.execute(f"select id, file_path from {DOCUMENTS} where id ~ '^[0-9]+$' order by random() limit 1")
    found: tuple[str, str] | None = cursor.fetchone()
    return found


def _change(rng: random.Random, arena: Arena, cursor: Cursor) -> None:
    if row := _row(cursor):
        replace_text(arena.files / row[1], arena.text(rng=rng))
        cursor.execute(f"update {DOCUMENTS} set version = version + 1 where file_path = %s", [row[1]])


def _add(rng: random.Random, arena: Arena, cursor: Cursor) -> None:
    _insert_one(arena, cursor, rng, str(rng.randrange(100, 10**9)))


def _delete(rng: random.Random, arena: Arena, cursor: Cursor) -> None:
    if row := _row(cursor):
        cursor.execute(f"delete from {DOCUMENTS} where id = %s", [row[0]])


def _odd(rng: random.Random, arena: Arena, cursor: Cursor) -> None:
    """The row with such an id is replaced by another one, or it would come to have two of them."""
    one = rng.choice(ODD)
    cursor.execute("select pg_advisory_xact_lock(7)")
    cursor.execute(f"delete from {DOCUMENTS} where id = %s", [one])
    _insert_one(arena, cursor, rng, one)


def _too_long(rng: random.Random, arena: Arena, cursor: Cursor) -> None:
    size = rng.choice([ID_BYTES + 1, 2_685, 5_000, 100_000])
    _insert_one(arena, cursor, rng, secrets.token_hex(size)[:size])


def _missing(rng: random.Random, arena: Arena, cursor: Cursor) -> None:
    _insert_one(arena, cursor, rng, None)


def _double(rng: random.Random, arena: Arena, cursor: Cursor) -> None:
    if row := _row(cursor):
        _insert_one(arena, cursor, rng, row[0])


def _single(rng: random.Random, arena: Arena, cursor: Cursor) -> None:
    cursor.execute(f"select id from {DOCUMENTS} where id is not null group by id having count(*) > 1 limit 1")
    if row := cursor.fetchone():
        _keep_one(cursor, row[0])


def _insert_one(arena: Arena, cursor: Cursor, rng: random.Random, one: str | None) -> None:
    cursor.execute(f"insert into {DOCUMENTS} values (%s, %s)", [one, _new_file(arena, rng)])


def _keep_one(cursor: Cursor, one: str) -> None:
    others = f"ctid <> (select min(ctid) from {DOCUMENTS} where id = %s)"
    cursor.execute(f"delete from {DOCUMENTS} where id = %s and {others}", [one, one])


def _unfit(arena: Arena) -> list[str | None]:
    """The ids that can be no document's, one for each row, and those of several rows."""
    condition = f"id is null or octet_length(id) > {ID_BYTES}"
    found = arena.sql(f"select id from {DOCUMENTS} where {condition}")
    found += arena.sql(f"select id from {DOCUMENTS} where not ({condition}) group by id having count(*) > 1")
    return [row[0] for row in found]


def _not_shown(arena: Arena, unfit: list[str | None]) -> list[str]:
    """What `status` does not count as what it is."""
    kinds = Counter(map(_kind, unfit))
    with arena.database.transaction() as cursor:
        dead = outbox.status(cursor, Source()).dead
    return [] if dead == dict(kinds) else [f"status shows {dead} for {dict(kinds)}"]


def _kind(one: str | None) -> str:
    if one is None:
        return "id_missing"
    return "id_too_long" if len(one.encode()) > ID_BYTES else "id_doubled"


def _correct(arena: Arena) -> None:
    """As an owner of the table does it, who has read what `status` says."""
    arena.sql(f"update {DOCUMENTS} set id = md5(id) where octet_length(id) > {ID_BYTES}")
    arena.sql(f"update {DOCUMENTS} set id = 'was null ' || file_path where id is null")
    earlier = f"select from {DOCUMENTS} as o where o.id = d.id and o.ctid < d.ctid"
    arena.sql(f"delete from {DOCUMENTS} as d where exists ({earlier})")
