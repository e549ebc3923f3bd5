"""A document's whole story: its row, what was read, how it was cut and embedded, what waits, how attempts ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.extensions import cursor as Cursor

from rag_assets.model import Attempt, ClaimOwner
from rag_assets.postgres import callers, documents
from rag_assets.postgres.ingestion_log import FAULTS
from rag_assets.postgres.statements import statement
from rag_assets.settings import Source


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read of a document's file, and by which model it was embedded."""

    path: str  # of the file as it was read
    media_type: str
    parser: str
    pages: int | None
    characters: int
    language: str | None  # ISO 639-1; empty where that is unsure, None where nobody looked
    title: str | None
    warnings: tuple[str, ...]
    metadata: dict[str, Any]
    size_bytes: int
    sha256: str  # of the file's bytes
    file_written_at: datetime
    beginning: str  # of the text, 300 characters at most
    embedding_model: str
    indexed_at: datetime
    server_build: str | None  # the engine of the last attempt that embedded something


@dataclass(frozen=True, kw_only=True)
class Work:
    """A document's row in the outbox."""

    operation: str
    state: str
    attempts: int
    since: datetime
    error_kind: str | None
    error_message: str | None
    seconds_to_next: float | None  # until another attempt may begin; None where none will
    holder: str | None  # who works on it, or is about to, as model.ClaimOwner writes it; JSON shows it so
    part: tuple[int, int] | None  # of a long document: new chunks that its run has embedded, of how many


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One chunk without its words: where it stands, and how long it is."""

    index: int
    tokens: int
    page: int | None
    heading_path: tuple[str, ...]
    kind: str
    distrusted: bool  # its vector is to be made anew
    embedded_at: datetime


@dataclass(frozen=True, kw_only=True)
class Story:
    """All that is known of one document; `attempts` has the newest first."""

    document_id: str
    path: str | None  # in the application's table; None: it has no row there
    reading: Reading | None
    cuts: tuple[Cut, ...]
    work: Work | None
    has_changed: bool  # and nobody has taken the change up yet
    attempts: tuple[Attempt, ...]

    @property
    def state(self) -> str:
        """In the words of model.State; a document that is neither indexed nor waits is "overlooked"."""
        if self.work is None:
            return "pending" if self.has_changed else "indexed" if self.reading else "overlooked"
        if self.work.state != "pending":
            return "failed" if self.work.state == "dead" else self.work.state
        return "running" if self.work.holder and ClaimOwner.parse(self.work.holder).kind == "run" else "pending"

    @property
    def fault(self) -> Attempt | None:
        """What kept the last run from the document and is not the document's own."""
        last = self.attempts[0] if self.attempts else None
        return last if last and last.error_kind in FAULTS.values() and self.state == "pending" else None


def get(cursor: Cursor, source: Source, ids: Sequence[str], *, attempts: int) -> list[Story]:
    """The stories of these documents in the order of the ids, each with so many of its last attempts at most."""
    rows = documents.get_documents(cursor, source, ids)
    paths = {document.id: document.path for document in rows.values()}
    cursor.execute(statement("stories", "list_stories"), {"ids": list(ids)})
    return [_story(cursor, row, path=paths.get(row[0]), attempts=attempts) for row in cursor.fetchall()]


def _story(cursor: Cursor, row: tuple[Any, ...], *, path: str | None, attempts: int) -> Story:
    document_id, reading, (*work, has_changed) = row[0], row[1:17], row[17:]
    read = _reading(reading)
    return Story(
        document_id=document_id,
        path=path,
        reading=read,
        cuts=tuple(_cuts(cursor, document_id, model=read.embedding_model)) if read else (),
        work=_work(work),
        has_changed=has_changed,
        attempts=tuple(callers.list_attempts(cursor, document_id, limit=attempts)),
    )


def _reading(row: Sequence[Any]) -> Reading | None:
    if row[0] is None:
        return None
    return Reading(
        path=row[0],
        media_type=row[1],
        parser=row[2],
        pages=row[3],
        characters=row[4],
        language=row[5],
        title=row[6],
        warnings=tuple(row[7]),
        metadata=row[8],
        size_bytes=row[9],
        sha256=row[10],
        file_written_at=row[11],
        beginning=row[12],
        embedding_model=row[13],
        indexed_at=row[14],
        server_build=row[15],
    )


def _work(row: Sequence[Any]) -> Work | None:
    if row[0] is None:
        return None
    return Work(
        operation=row[0],
        state=row[1],
        attempts=row[2],
        since=row[3],
        error_kind=row[4],
        error_message=row[5],
        seconds_to_next=row[6],
        holder=row[7],
        part=row[8] and (row[8][0], row[8][1]),
    )


def _cuts(cursor: Cursor, document_id: str, *, model: str) -> list[Cut]:
    cursor.execute(statement("stories", "list_cuts"), {"id": document_id, "model": model})
    return [
        Cut(
            index=row[0],
            tokens=row[1],
            page=row[2],
            heading_path=tuple(row[3]),
            kind=row[4],
            distrusted=row[5],
            embedded_at=row[6],
        )
        for row in cursor.fetchall()
    ]
