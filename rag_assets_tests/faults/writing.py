"""Many writers at once, with and without notices."""

import random
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import psycopg2
from psycopg2.extensions import cursor as Cursor

from rag_assets.claim_source import ClaimSource
from rag_assets_tests import rows
from rag_assets_tests.faults import arena as arenas
from rag_assets_tests.faults.arena import DOCUMENTS, Arena, Ground, HashEmbedder, Result, replace_text
from rag_assets_tests.faults.consuming import Consumer

WRITERS = 16
COMMIT_SECONDS = 0.02  # the longest delay before a commit
BACKFILLED = 60  # documents: several groups of them
BACKFILL_SECONDS = 60.0  # several times what it takes
EMBED_SECONDS = 0.03  # of a call: time for a change of what was already read
LOST_CODES = (None, "57P01", "57P02", "57P03", "53100", "40P01")  # ended, not yet there, no room, deadlock
TOUCH = f"update {DOCUMENTS} set version = version + 1 where id = %s"
INSERT = f"insert into {DOCUMENTS} (file_path, version) values (%s, 0) returning id"


@dataclass(kw_only=True)
class Writer:
    """One connection of an application; a change whose commit failed is made again, as an application would.

    It replaces the file before it commits the row, and removes the file of a deleted row after the commit.
    """

    arena: Arena
    seed: int
    names: dict[int, str]  # documents that may be changed, shared by all writers
    delay: float = COMMIT_SECONDS  # seconds, the longest
    changes: int = 0
    retried: int = 0
    _rng: random.Random = field(init=False)
    _changed: set[int] = field(default_factory=set)  # whose files were replaced, and their rows not yet updated

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def work(self, *, changes: int) -> None:
        self.work_while(lambda: self.changes < changes)

    def work_while(self, goes_on: Callable[[], bool]) -> None:
        while goes_on():
            with self._patient(), closing(psycopg2.connect(self.arena.url)) as connection:
                while goes_on():
                    self._change(connection)

    def _change(self, connection: "psycopg2.extensions.connection") -> None:
        step = self._replace if self._rng.random() < 0.15 else self._update
        with connection, connection.cursor() as cursor:
            for document in sorted(self._changed):
                cursor.execute(TOUCH, [document])
            committed = step(cursor)
            time.sleep(self._rng.uniform(0, self.delay))
        committed()
        self._changed.clear()
        self.changes += 1

    def _update(self, cursor: Cursor) -> Callable[[], None]:
        document = self._rng.choice(list(self.names))
        if name := self.names.get(document):
            replace_text(self.arena.files / name, self._text())
            self._changed.add(document)
            cursor.execute(TOUCH, [document])
        return lambda: None

    def _replace(self, cursor: Cursor) -> Callable[[], None]:
        """Delete a document and insert another one; what is to be done when that is committed."""
        document = self._rng.choice(list(self.names))
        gone = self.names.get(document)
        cursor.execute(f"delete from {DOCUMENTS} where id = %s", [document])
        name = f"{secrets.token_hex(6)}.txt"
        (self.arena.files / name).write_text(self._text())
        cursor.execute(INSERT, [name])
        [inserted] = cursor.fetchone() or (0,)

        def committed() -> None:
            self.names[inserted] = name  # not before: others would take it for a document that is there
            self.names.pop(document, None)
            if gone:
                (self.arena.files / gone).unlink(missing_ok=True)

        return committed

    def _text(self) -> str:
        return self.arena.text(self._rng.randrange(2, 8), rng=self._rng)

    def _patient(self) -> "_Patience":
        return _Patience(self)


class _Patience:
    """Lets a lost connection pass, and waits a moment."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, psycopg2.Error) and error.pgcode in LOST_CODES:
            self._writer.retried += 1
            time.sleep(0.2)
            return True
        return False


def names_of(arena: Arena) -> dict[int, str]:
    return dict(arena.sql(f"select id, file_path from {DOCUMENTS}"))


def team(arena: Arena, *, seed: int, writers: int = WRITERS, delay: float = COMMIT_SECONDS) -> list[Writer]:
    names = names_of(arena)
    return [Writer(arena=arena, seed=seed * 100 + number, names=names, delay=delay) for number in range(writers)]


def at_work(team: list[Writer], *, changes: int) -> None:
    rows.in_threads([partial(writer.work, changes=-(-changes // len(team))) for writer in team])


def writers(ground: Ground, *, seed: int, long: bool) -> Result:
    """Writers commit in another order than they began, while runs work: the last change of each document counts."""
    with ground.arena(seed) as arena:
        return _written(arena, seed=seed, long=long)


def writers_without_notify(ground: Ground, *, seed: int, long: bool) -> Result:
    """The same when no notice ever comes: the runs look."""
    with ground.arena(seed, database={"listen_channel": "where_nobody_speaks"}) as arena:
        return _written(arena, seed=seed, long=long)


def changed_back(ground: Ground, *, seed: int, long: bool) -> Result:
    """Documents are changed, and changed back at some moment before that is stored; while a run stays for changes."""
    result = Result()
    with ground.arena(seed) as arena:
        arena.embedder = HashEmbedder(EMBED_SECONDS)
        arena.insert(12)  # three groups of them
        names = names_of(arena).values()
        before = {name: (arena.files / name).read_text() for name in names}
        with Consumer(arena) as consumer:
            for turn in range(100 if long else 8):
                for texts in ({name: arena.text() for name in names}, before):
                    for name, text in texts.items():
                        replace_text(arena.files / name, text)
                    arena.sql(f"update {DOCUMENTS} set version = version + 1")
                    time.sleep(arena.rng.uniform(0, 4 * EMBED_SECONDS))
                result.add([*consumer.catch_up(), *arena.violations()], trial=f"turn {turn}")
    return result


def edited_amid_backfill(ground: Ground, *, seed: int, long: bool) -> Result:
    """Documents are changed again and again while a backfill works on them, slower than on their changes."""
    result = Result()
    for turn in range(10 if long else 2):
        with ground.arena(seed + turn) as arena:
            arena.embedder = HashEmbedder(per_text=EMBED_SECONDS / 5)
            arena.insert(BACKFILLED)
            arena.settle()
            members = team(arena, seed=seed + turn, writers=4)
            backfill = Future[int]()
            thread = threading.Thread(target=_backfill, args=(arena, backfill))
            thread.start()
            until = partial(_is_at_work, backfill, time.monotonic() + BACKFILL_SECONDS)
            rows.in_threads([partial(writer.work_while, until) for writer in members])
            late = [] if backfill.done() else ["the backfill did not end while changes came"]
            thread.join()
            backfill.result()
            arena.settle()
            result.add([*late, *arena.violations()], trial=f"turn {turn}")
        result.notes["changes"] = result.notes.get("changes", 0) + sum(writer.changes for writer in members)
    return result


def _backfill(arena: Arena, done: Future[int]) -> None:
    """Of all that there is, and as if it were not stored, as a run of partitions does."""
    ids = [str(document) for document in names_of(arena)]
    arena.sql("delete from rag_document_text")
    try:
        outcomes = arenas.run(
            arena.settings,
            run_id=secrets.token_hex(6),
            embedder=arena.embedder,
            reader=arena.reader,
            take=partial(ClaimSource.documents, ids=ids),
            beside=ids,
        )
    except BaseException as exc:  # noqa: BLE001 - raised by `result`
        done.set_exception(exc)
    else:
        done.set_result(outcomes)


def _is_at_work(backfill: Future[int], deadline: float) -> bool:
    return not backfill.done() and time.monotonic() < deadline


def _written(arena: Arena, *, seed: int, long: bool) -> Result:
    documents, changes = (2_000, 20_000) if long else (50, 200)
    result = Result(notes={"documents": documents})
    arena.embedder = HashEmbedder(EMBED_SECONDS)
    arena.insert(documents)
    members = team(arena, seed=seed)
    with Consumer(arena) as consumer:
        at_work(members, changes=changes)
        late = consumer.catch_up()
    result.add([*late, *arena.violations()])
    result.trials = sum(writer.changes for writer in members)
    return result
