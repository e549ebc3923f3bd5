"""rag_document_text: what was read of each document, and the facts of its file."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from rag_assets.model import FileFacts, ReadDocument, StoredText
from rag_assets.postgres.statements import statement


def get_stored(cursor: Cursor, ids: Sequence[str]) -> dict[str, StoredText]:
    """What was read of these documents, by their ids; those of which nothing was are left out."""
    cursor.execute(statement("texts", "get_stored"), {"ids": list(ids)})
    return {row[0]: _stored(row) for row in cursor.fetchall()}


def list_facts(cursor: Cursor, *, after: str, limit: int) -> list[StoredText]:
    """What is known of all documents, a page at a time, in the order of their ids."""
    cursor.execute(statement("texts", "list_facts"), {"after": after, "limit": limit})
    return [_stored(row) for row in cursor.fetchall()]


def list_hashes(cursor: Cursor) -> dict[str, str]:
    """The hash of the file's bytes of each document whose text is stored."""
    cursor.execute(statement("texts", "list_hashes"))
    return dict(cursor.fetchall())


def write_text(cursor: Cursor, document_id: str, *, path: str, read: ReadDocument, model: str) -> None:
    """Store what was read of a document; the words of its chunks follow title, path and language."""
    parsed, facts = read.parsed, read.facts
    values = {
        "document_id": document_id,
        "path": path,
        "sha256": facts.sha256,
        "size": facts.size,
        "mtime_ns": facts.mtime_ns,
        "version": facts.version,
        "media_type": parsed.media_type,
        "parser": parsed.parser,
        "pages": len(parsed.page_offsets) or None,
        "title": parsed.title,
        "metadata": Json(parsed.metadata),
        "warnings": list(parsed.warnings),
        "content": parsed.text,
        "fingerprint": read.fingerprint,
        "model": model,
        "chunk_count": len(read.chunks),
        "language": read.language,
    }
    cursor.execute(statement("texts", "upsert_text"), values)


def move(cursor: Cursor, paths: dict[str, str]) -> None:
    """Note the paths of documents whose files are unchanged but may lie elsewhere now."""
    cursor.execute(statement("texts", "move_text"), {"ids": list(paths), "paths": list(paths.values())})


def refresh(cursor: Cursor, facts: Mapping[str, FileFacts]) -> None:
    """Note size and mtime of files that were written anew with the same bytes; not where others are stored by now."""
    values = {
        "ids": list(facts),
        "hashes": [fact.sha256 for fact in facts.values()],
        "sizes": [fact.size for fact in facts.values()],
        "mtimes": [fact.mtime_ns for fact in facts.values()],
        "versions": [fact.version for fact in facts.values()],
    }
    cursor.execute(statement("texts", "refresh_facts"), values)


def delete(cursor: Cursor, document_id: str) -> None:
    """Forget what was read of a document; nothing happens where nothing was."""
    cursor.execute(statement("texts", "delete_text"), {"document_id": document_id})


def _stored(row: tuple[Any, ...]) -> StoredText:
    document_id, sha256, size, mtime_ns, version, fingerprint, model, path, media_type, parser, pages, chunks = row
    return StoredText(
        document_id=document_id,
        facts=FileFacts(sha256=sha256, size=size, mtime_ns=mtime_ns, version=version),
        fingerprint=fingerprint,
        embedding_model=model,
        path=path,
        media_type=media_type,
        parser=parser,
        pages=pages,
        chunks=chunks,
    )
