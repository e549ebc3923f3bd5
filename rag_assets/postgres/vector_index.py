"""The index of a model's vectors: whether one is worth it, its building beside the writers, and how well it finds.

Without an index every search compares all vectors, which is exact and soon done where there are few. With one
(HNSW: Malkov and Yashunin, arXiv 1603.09320) a search looks at a part of them and finds nearly all of the nearest.
"""

import hashlib
import itertools
import json
import math
import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Literal

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from rag_assets.errors import RagAssetsError, SettingsError
from rag_assets.model import Progress
from rag_assets.postgres import chunks
from rag_assets.postgres.database import Database
from rag_assets.postgres.statements import composed, single, statement

Kind = Literal["exact", "hnsw", "ivfflat"]

OLDEST_PGVECTOR = (0, 8, 4)  # older ones build graphs that vacuum damages (see pgvector's CHANGELOG)
LARGEST_DIMENSION = 4_000  # of a halfvec that pgvector indexes
GRAPH_BYTES = 900  # of memory for a row of an HNSW graph beside its vector, with pgvector's m = 16
LEAST_MEMORY = 64 << 20
MOST_MEMORY = 8 << 30  # the server may be on a machine with less memory than ours
PROGRESS_SECONDS = 2.0
CLEANING_SECONDS = 5.0  # for what a build leaves that was broken off; else the next one removes it
SAMPLE_VECTORS = 20  # stored vectors that are looked for, each with its ten nearest
SAMPLES_OF_NOTES = 50  # for what is noted, and decides whether an index is built anew
INDEX_PREFIX = "rag_vectors_"  # how the names of indexes begin that are built here
NOTE_PREFIX = "rag_assets "  # how the comment on such an index begins; then comes Noted as JSON
# The name of memory that processes of a server share, in /dev/shm; each language has quotes of its own around it.
SHARED_SEGMENT = re.compile(r"(?<![\w./-])/PostgreSQL\.\d")
_CREATE = {"hnsw": "create_hnsw", "ivfflat": "create_ivfflat"}


@dataclass(frozen=True, kw_only=True)
class Noted:
    """What was found of an index when it was built, or first seen, and when it was last looked at."""

    built_at: datetime | None  # this and the next one: None where an earlier version built it
    seconds: float | None  # that building it took
    rows: int
    size_bytes: int
    recall_at_10: float | None
    looked_at: datetime
    changes: int  # rows written or deleted by then, as Facts has them


@dataclass(frozen=True, kw_only=True)
class VectorIndex:
    """An index that is there; `recall_at_10` is the share of the ten nearest that it finds, of a sample, if asked."""

    name: str
    kind: str
    is_valid: bool
    size_bytes: int
    noted: Noted | None = None
    recall_at_10: float | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it was built here, by its name."""
        return self.name.startswith(INDEX_PREFIX)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Of a model's vectors: pgvector's version, their number and dimension; `changes` counts rows written or deleted,
    of whatever model, since the server counts."""

    version: str
    rows: int
    dimension: int | None
    changes: int

    @property
    def memory_bytes(self) -> int:
        """How many bytes of memory it takes to build an HNSW graph of all vectors."""
        return max(self.rows * (2 * (self.dimension or 0) + GRAPH_BYTES), LEAST_MEMORY)


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What is best for a model's vectors now, why, and how much memory building it takes."""

    kind: Kind
    rows: int
    dimension: int | None
    memory_bytes: int
    reason: str


def get(cursor: Cursor, model: str) -> VectorIndex | None:
    """The index of a model's vectors that searches use, or one that is not whole; None where there is none."""
    return next(iter(get_all(cursor, model)), None)


def get_all(cursor: Cursor, model: str) -> list[VectorIndex]:
    """All of them, first the one that searches use, last those that are not whole."""
    cursor.execute(statement("vector_index", "list_indexes"), {"model": model})
    return [
        VectorIndex(name=row[0], kind=row[1], is_valid=row[2], size_bytes=row[3], noted=_noted(row[4]))
        for row in cursor.fetchall()
    ]


def get_facts(cursor: Cursor, model: str) -> Facts:
    """What decides which index is advised for a model's vectors, as the database knows it now."""
    cursor.execute(statement("vector_index", "get_facts"), {"model": model})
    version, rows, dimension, changes = single(cursor)
    return Facts(version=version, rows=rows, dimension=dimension, changes=changes)


def get_time(cursor: Cursor) -> datetime:
    """The time by the server's clock, against which the age of an index is taken."""
    cursor.execute(statement("vector_index", "now"))
    now: datetime = single(cursor)[0]
    return now


def count_pending(cursor: Cursor) -> int:
    """Documents that are about to bring other vectors."""
    cursor.execute(statement("vector_index", "count_pending"))
    return int(single(cursor)[0])


def analyze(cursor: Cursor) -> None:
    """Have the planner know how many chunks there are of each model."""
    cursor.execute(statement("vector_index", "analyze"))


def is_building(cursor: Cursor) -> bool:
    """Whether somebody builds or drops an index of vectors in this database."""
    cursor.execute(statement("vector_index", "is_building"))
    return bool(single(cursor)[0])


def advise(facts: Facts, *, from_rows: int, available_bytes: int) -> Advice:
    """Which kind of index vectors should have from so many on, with so much memory to be had."""
    kind, reason = _advised(facts, from_rows, available_bytes)
    return Advice(kind=kind, rows=facts.rows, dimension=facts.dimension, memory_bytes=facts.memory_bytes, reason=reason)


def build(database: Database, model: str, advice: Advice, *, progress: Progress) -> VectorIndex:
    """Build the index that was advised, while others read and write; then drop those that were there before.

    Searches use the old one until the new one is whole. `progress` gets a line every few seconds. Raises SettingsError
    where the advice is none, or somebody else builds. Broken off, it leaves everything as it was.
    """
    if advice.kind == "exact" or advice.dimension is None:
        raise SettingsError(f"No index is built: {advice.reason}.")
    with _alone(database) as cursor:
        before = get_all(cursor, model)
        _drop(cursor, [left for left in before if left.is_ours and not left.is_valid])
        before = [one for one in before if one.is_valid]
        new = _free_name(model, advice.kind, taken={one.name for one in before})
        seconds = _create(database, cursor, model, advice, name=new, progress=progress)
        analyze(cursor)
        built = next((one for one in get_all(cursor, model) if one.name == new and one.is_valid), None)
        if built is None:
            raise RagAssetsError(f"The index {new} is not whole; build it again: rag-assets index --build")
        _drop(cursor, before)
        progress("measuring how well it finds")
        return measure(cursor, model, built, seconds=seconds)


def drop(database: Database, model: str, *, keep: VectorIndex | None = None, only_ours: bool = False) -> int:
    """Drop the indexes of a model's vectors, whole or not, while others read and write; how many.

    All but the one to `keep`; `only_ours`: those that were built here.
    """
    with _alone(database) as cursor:
        found = [one for one in get_all(cursor, model) if keep is None or one.name != keep.name]
        return _drop(cursor, [one for one in found if one.is_ours or not only_ours])


def recall(cursor: Cursor, model: str, *, samples: int = SAMPLE_VECTORS) -> float | None:
    """The share of the ten nearest chunks that searches find, of so many stored vectors; None where there are none."""
    found, all_of_them = 0, 0
    for stored in chunks.sample_vectors(cursor, model=model, count=samples):
        values = {"model": model, "vector": stored.embedding.to_text()}
        cursor.execute(statement("vector_index", "nearest_exactly"), values)
        exact = {row[0] for row in cursor.fetchall()}
        cursor.execute(statement("vector_index", "nearest_by_index"), values)
        found += len(exact & {row[0] for row in cursor.fetchall()})
        all_of_them += len(exact)
    return found / all_of_them if all_of_them else None


def measure(cursor: Cursor, model: str, index: VectorIndex, *, seconds: float | None = None) -> VectorIndex:
    """The index with its recall, which is noted beside it where it was built here: what follows is compared with that.

    `seconds`: that building it took, just now.
    """
    share = recall(cursor, model, samples=SAMPLES_OF_NOTES)
    if not index.is_ours:
        return replace(index, recall_at_10=share)
    facts, now = get_facts(cursor, model), get_time(cursor)
    if index.noted is None or seconds is not None:
        noted = Noted(
            built_at=None if seconds is None else now, seconds=seconds, rows=facts.rows, size_bytes=index.size_bytes,
            recall_at_10=share, looked_at=now, changes=facts.changes,
        )  # fmt: skip
    else:
        noted = replace(index.noted, looked_at=now, changes=facts.changes)
    text = NOTE_PREFIX + json.dumps(asdict(noted), default=datetime.isoformat)
    cursor.execute(composed("vector_index", "note", name=sql.Identifier(index.name), noted=sql.Literal(text)))
    return replace(index, noted=noted, recall_at_10=share)


def _noted(comment: str | None) -> Noted | None:
    """None where the index was built by hand, or by an earlier version."""
    if not (comment or "").startswith(NOTE_PREFIX):
        return None
    try:
        found = json.loads((comment or "").removeprefix(NOTE_PREFIX))
        times = {name: datetime.fromisoformat(found[name]) for name in ("built_at", "looked_at") if found[name]}
        return Noted(**found | times)
    except (ValueError, TypeError, KeyError):  # somebody wrote into it
        return None


def _advised(facts: Facts, from_rows: int, available: int) -> tuple[Kind, str]:
    rows, memory = facts.rows, facts.memory_bytes
    if rows < from_rows:
        what = "1 vector is" if rows == 1 else f"{rows:,} vectors are"
        return "exact", f"{what} compared one by one; an index is for {from_rows:,} and more"
    if (facts.dimension or 0) > LARGEST_DIMENSION:
        return "exact", f"pgvector indexes no vectors of more than {LARGEST_DIMENSION:,} dimensions"
    if tuple(map(int, re.findall(r"\d+", facts.version)[:3])) < OLDEST_PGVECTOR:
        wanted = ".".join(map(str, OLDEST_PGVECTOR))
        return "exact", f"pgvector {facts.version} can damage such an index; update it to {wanted} or later"
    needs = f"an HNSW graph of {rows:,} vectors takes {memory >> 20:,} MB while it is built"
    if memory > available // 2:
        return "ivfflat", f"{needs}, and half of what is available is {available >> 21:,} MB"
    if memory > MOST_MEMORY:
        return "ivfflat", f"{needs}, and no server is asked for more than {MOST_MEMORY >> 20:,} MB"
    return "hnsw", f"{rows:,} vectors; building takes {memory >> 20:,} MB"


def _lists(rows: int) -> int:
    """As pgvector's documentation advises: a thousandth of the rows up to a million, the square root above."""
    return max(rows // 1000, 1) if rows <= 1_000_000 else math.isqrt(rows)


def _width(rows: int) -> int:
    """How many of the nearest an HNSW graph is built among (ef_construction): pgvector's 64 up to 100,000 rows, then as
    the square root of the rows, and 200 from a million on.

    A narrow one joins near doubles with each other alone, and whole groups of them are not found. Of 100,000 vectors in
    200 groups, 0.88 of the ten nearest were found with 64, and 0.97 with 200 (60 questions, ef_search = 1,000).
    """
    return min(max(math.isqrt(rows) // 5, 64), 200)


def _free_name(model: str, kind: Kind, *, taken: set[str]) -> str:
    """Of the model and kind, with a number where an index of that name is to be replaced."""
    base = f"{INDEX_PREFIX}{hashlib.sha256(model.encode()).hexdigest()[:12]}_{kind}"
    names = itertools.chain([base], (f"{base}_{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken)


@contextmanager
def _alone(database: Database) -> Iterator[Cursor]:
    """A cursor outside of any transaction, as CONCURRENTLY asks for, of the only one who builds here."""
    with database.autocommit() as cursor:
        cursor.execute(statement("vector_index", "lock_index_build"))
        if not single(cursor)[0]:
            raise SettingsError("Another program builds or drops an index of vectors now; wait until it is done.")
        try:
            yield cursor
        finally:
            with suppress(psycopg2.Error):  # the end of a session is seen some time later
                cursor.execute(statement("vector_index", "unlock_index_build"))


def _create(database: Database, cursor: Cursor, model: str, advice: Advice, *, name: str, progress: Progress) -> float:
    """The seconds that it took. What is left of an index when that is broken off is removed."""
    create = _CREATE[advice.kind]
    parts = {
        "name": sql.Identifier(name),
        "dimension": sql.Literal(advice.dimension),
        "model": sql.Literal(model),
        "lists": sql.Literal(_lists(advice.rows)),
        "width": sql.Literal(_width(advice.rows)),
    }
    wanted = re.findall(r"\{(\w+)\}", statement("vector_index", create))
    text = composed("vector_index", create, **{part: parts[part] for part in wanted})
    memory = advice.memory_bytes if advice.kind == "hnsw" else LEAST_MEMORY
    cursor.execute(statement("vector_index", "set_memory"), {"kilobytes": memory >> 10})
    started = time.monotonic()
    try:
        _execute(database, cursor, text, progress=progress)
    except psycopg2.errors.DiskFull as exc:
        _drop_left(cursor, name)
        if not SHARED_SEGMENT.search(str(exc)):
            raise
        progress("the server has no room in /dev/shm for several processes; one builds, which takes longer")
        cursor.execute(statement("vector_index", "build_alone"))
        return _create(database, cursor, model, advice, name=name, progress=progress)
    except BaseException:
        _drop_left(cursor, name)
        raise
    return time.monotonic() - started


def _drop_left(cursor: Cursor, name: str) -> None:
    """What is left of a build that was broken off, if that does not take long; else the next build does it."""
    with suppress(psycopg2.Error):
        milliseconds = str(int(CLEANING_SECONDS * 1000))
        cursor.execute(statement("vector_index", "limit_time"), {"milliseconds": milliseconds})
        cursor.execute(composed("vector_index", "drop", name=sql.Identifier(name)))


def _execute(database: Database, cursor: Cursor, text: sql.Composed, *, progress: Progress) -> None:
    """Execute what takes long in a thread, so that this one can tell how far it is, and be interrupted."""
    with ThreadPoolExecutor(1, thread_name_prefix="index") as thread:
        building = thread.submit(cursor.execute, text)
        try:
            while not wait([building], timeout=PROGRESS_SECONDS).done:
                _tell(database, cursor.connection.info.backend_pid, progress)
        except BaseException:
            while not wait([building], timeout=0.1).done:  # it may not have begun yet
                cursor.connection.cancel()
            raise
        building.result()


def _tell(database: Database, pid: int, progress: Progress) -> None:
    with suppress(RagAssetsError), database.transaction() as cursor:
        cursor.execute(statement("vector_index", "get_progress"), {"pid": pid})
        if (row := cursor.fetchone()) is not None:
            progress(_progress(*row))


def _drop(cursor: Cursor, indexes: Iterable[VectorIndex]) -> int:
    dropped = 0
    for one in indexes:
        cursor.execute(composed("vector_index", "drop", name=sql.Identifier(one.name)))
        dropped += 1
    return dropped


def _progress(phase: str, blocks: int, all_blocks: int, rows: int, all_rows: int) -> str:
    done, whole = (rows, all_rows) if all_rows else (blocks, all_blocks)
    return f"{phase}: {100 * done // whole} %" if whole else phase
