"""The index of a model's vectors: whether one is worth it, its building beside the writers, and how well it finds.

Without an index every search compares all vectors, which is exact and soon done where there are few. With one
(HNSW: Malkov and Yashunin, arXiv 1603.09320) a search looks at a part of them and finds nearly all of the nearest.
"""

import hashlib
import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from rag_assets.errors import RagAssetsError, SettingsError
from rag_assets.model import Progress
from rag_assets.postgres import chunks
from rag_assets.postgres.database import Database
from rag_assets.postgres.statements import composed, single, statement

Kind = Literal["exact", "hnsw", "ivfflat"]

EXACT_ROWS = 50_000  # so few vectors are compared one by one
OLDEST_PGVECTOR = (0, 8, 4)  # older ones build graphs that vacuum damages (see pgvector's CHANGELOG)
GRAPH_BYTES = 900  # of memory for a row of an HNSW graph beside its vector, with pgvector's m = 16
LEAST_MEMORY = 64 << 20
LARGEST_MEMORY = 8 << 30
PROGRESS_SECONDS = 2.0
_CREATE = {"hnsw": "create_hnsw", "ivfflat": "create_ivfflat"}


@dataclass(frozen=True, kw_only=True)
class VectorIndex:
    """An index that is there; `recall_at_10` is the share of the ten nearest that it finds, of a sample, if asked."""

    name: str
    kind: str
    is_valid: bool
    size_bytes: int
    recall_at_10: float | None = None


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What is best for a model's vectors now, why, and how much memory building it takes."""

    kind: Kind
    rows: int
    dimension: int | None
    memory_bytes: int
    reason: str


def get(cursor: Cursor, model: str) -> VectorIndex | None:
    """The index of a model's vectors; None where there is none."""
    cursor.execute(statement("vector_index", "get_index"), {"model": model})
    row = cursor.fetchone()
    return None if row is None else VectorIndex(name=row[0], kind=row[1], is_valid=row[2], size_bytes=row[3])


def advise(cursor: Cursor, model: str, *, available_bytes: int) -> Advice:
    """Which kind of index a model's vectors should have, with so much memory to be had."""
    cursor.execute(statement("vector_index", "get_facts"), {"model": model})
    version, rows, dimension = single(cursor)
    memory = min(max(rows * (2 * (dimension or 0) + GRAPH_BYTES), LEAST_MEMORY), LARGEST_MEMORY)
    kind, reason = _advised(version, rows, memory, available_bytes)
    return Advice(kind=kind, rows=rows, dimension=dimension, memory_bytes=memory, reason=reason)


def build(database: Database, model: str, advice: Advice, *, progress: Progress) -> VectorIndex:
    """Build the index that was advised in place of the one that is there, while others read and write.

    `progress` gets a line every few seconds. Raises SettingsError where the advice is none, or somebody else builds.
    """
    if advice.kind == "exact" or advice.dimension is None:
        raise SettingsError(f"No index is built: {advice.reason}.")
    new = f"rag_vectors_{hashlib.sha256(model.encode()).hexdigest()[:12]}_{advice.kind}"
    parts = {
        "name": sql.Identifier(new),
        "dimension": sql.Literal(advice.dimension),
        "model": sql.Literal(model),
        "lists": sql.Literal(_lists(advice.rows)),
    }
    with _alone(database) as cursor:
        _drop_all(cursor, model)
        memory = advice.memory_bytes if advice.kind == "hnsw" else LEAST_MEMORY
        cursor.execute(statement("vector_index", "set_memory"), {"memory": f"{memory >> 10}kB"})
        create = _CREATE[advice.kind]
        names = re.findall(r"\{(\w+)\}", statement("vector_index", create))
        with _progress_reported(database, progress):
            cursor.execute(composed("vector_index", create, **{name: parts[name] for name in names}))
        built = get(cursor, model)
    if built is None or not built.is_valid:
        raise RagAssetsError(f"The index {new} is not whole; build it again: rag-assets index --build")
    return built


def drop(database: Database, model: str) -> int:
    """Drop each index of a model's vectors, whole or not, while others read and write; how many."""
    with _alone(database) as cursor:
        return _drop_all(cursor, model)


def recall(cursor: Cursor, model: str, *, samples: int = 20) -> float | None:
    """The share of the ten nearest chunks that searches find, of so many stored vectors; None where there are none."""
    found, all_of_them = 0, 0
    for stored in chunks.sample_vectors(cursor, model=model, count=samples):
        values = {"model": model, "vector": stored.embedding}
        cursor.execute(statement("vector_index", "nearest_exactly"), values)
        exact = {row[0] for row in cursor.fetchall()}
        cursor.execute(statement("vector_index", "nearest_by_index"), values)
        found += len(exact & {row[0] for row in cursor.fetchall()})
        all_of_them += len(exact)
    return found / all_of_them if all_of_them else None


def _advised(version: str, rows: int, memory: int, available: int) -> tuple[Kind, str]:
    if rows < EXACT_ROWS:
        return "exact", f"{rows} vectors are compared one by one; an index is for {EXACT_ROWS} and more"
    if tuple(map(int, re.findall(r"\d+", version)[:3])) < OLDEST_PGVECTOR:
        wanted = ".".join(map(str, OLDEST_PGVECTOR))
        return "exact", f"pgvector {version} can damage such an index; update it to {wanted} or later"
    if memory > available // 2:
        needs = f"an HNSW graph of {rows} vectors takes {memory >> 20} MB while it is built"
        return "ivfflat", f"{needs}, and half of what is available is {available >> 21} MB"
    return "hnsw", f"{rows} vectors; building takes {memory >> 20} MB"


def _lists(rows: int) -> int:
    """As pgvector's documentation advises: a thousandth of the rows up to a million, the square root above."""
    return max(rows // 1000, 1) if rows <= 1_000_000 else math.isqrt(rows)


@contextmanager
def _alone(database: Database) -> Iterator[Cursor]:
    """A cursor outside of any transaction, as CONCURRENTLY asks for, of the only one who builds here."""
    with database.autocommit() as cursor:
        cursor.execute(statement("vector_index", "lock_index_build"))
        if not single(cursor)[0]:
            raise SettingsError("Another program builds or drops an index of vectors now; wait until it is done.")
        yield cursor
        cursor.execute(statement("vector_index", "unlock_index_build"))  # the end of a session is seen some time later


def _drop_all(cursor: Cursor, model: str) -> int:
    dropped = 0
    while (there := get(cursor, model)) is not None:
        cursor.execute(composed("vector_index", "drop", name=sql.Identifier(there.name)))
        dropped += 1
    return dropped


@contextmanager
def _progress_reported(database: Database, progress: Progress) -> Iterator[None]:
    """Have `progress` told how far a build is."""
    done = threading.Event()

    def report() -> None:
        with suppress(RagAssetsError):
            while not done.wait(PROGRESS_SECONDS):
                with database.transaction() as cursor:
                    cursor.execute(statement("vector_index", "get_progress"))
                    row = cursor.fetchone()
                if row is not None:
                    progress(_progress(*row))

    teller = threading.Thread(target=report, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _progress(phase: str, blocks: int, all_blocks: int, rows: int, all_rows: int) -> str:
    done, whole = (rows, all_rows) if all_rows else (blocks, all_blocks)
    return f"{phase}: {100 * done // whole} %" if whole else phase
