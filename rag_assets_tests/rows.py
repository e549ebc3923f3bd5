"""What tests of the database need: statements, threads, and documents that were read and cut."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import psycopg2
from psycopg2.extensions import cursor as Cursor

from rag_assets.model import Chunk, Claim, FileFacts, Outcome, ParsedText, ReadDocument
from rag_assets.postgres import outbox

MODEL = "test-model"
DIMENSION = 384


def execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    """One transaction on a connection of its own."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def locked(url: str, table: str) -> Iterator[None]:
    """Nobody reads this table during the block, as while `vacuum full` works on it."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"lock table {table} in access exclusive mode")
        yield


def enqueue(cursor: Cursor, ids: Sequence[str], *, priority: int = outbox.CHANGES) -> None:
    """Make these documents pending as if they had changed."""
    cursor.execute("select rag_enqueue(%s, 'update', %s::smallint)", [list(ids), priority])


def pending(cursor: Cursor) -> int:
    """How many documents are neither done nor given up."""
    outbox.drain_changes(cursor)
    cursor.execute("select count(*) from rag_outbox where state = 'pending'")
    return int((cursor.fetchone() or (0,))[0])


def in_threads(tasks: Sequence[Callable[[], object]]) -> None:
    """Run the tasks at once; the first error of any is raised."""
    errors: list[BaseException] = []

    def run(task: Callable[[], object]) -> None:
        try:
            task()
        except BaseException as exc:  # noqa: BLE001 - raised below, in the test's thread
            errors.append(exc)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read(*contents: str, size: int = 10) -> ReadDocument:
    """A document cut into these chunks."""
    chunks, start = [], 0
    for index, content in enumerate(contents):
        chunks.append(
            Chunk(
                index=index,
                content=content,
                content_sha256=sha256(content),
                embedded_text=content,
                token_count=len(content.split()),
                char_start=start,
                char_end=start + len(content),
                page=1,
                heading_path=("Part", "Section"),
                kind="prose",
            )
        )
        start += len(content)
    text = "".join(contents)
    return ReadDocument(
        facts=FileFacts(sha256=sha256(text), size=size, mtime_ns=1),
        fingerprint="f",
        parsed=ParsedText(text=text, media_type="text/plain", parser="plain", metadata={"title": "x"}),
        chunks=tuple(chunks),
        seconds_parse=0.0,
        seconds_chunk=0.0,
    )


def vector(content: str) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """A vector of length 1 that is always the same for the same text."""
    random = np.random.default_rng(int(sha256(content)[:8], 16)).standard_normal(DIMENSION)
    return (random / np.linalg.norm(random)).astype(np.float32)


def vectors(*contents: str) -> "dict[str, np.ndarray[Any, np.dtype[np.float32]]]":
    return {sha256(content): vector(content) for content in contents}


def outcome(claim: Claim, status: str = "completed", **values: Any) -> Outcome:
    return Outcome(document_id=claim.document_id, path=claim.path, status=status, stage="write", **values)  # type: ignore[arg-type]
