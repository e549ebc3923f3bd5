"""Transactions with a caller's rights, and what he may see of documents: row-level security decides.

The role and the claims of a caller hold for one transaction (SET LOCAL), so that a connection of the pool keeps nothing
of them. Statements are ours alone: who could send his own might take the role off again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from psycopg2 import errors as pg_errors
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from rag_assets.errors import SettingsError, TookTooLong
from rag_assets.model import Attempt, Caller, DocumentState, StoredChunk
from rag_assets.postgres import documents
from rag_assets.postgres.database import Database
from rag_assets.postgres.statements import composed, nouns, single, statement
from rag_assets.settings import Source


class CallersDatabase(Database):
    """A database in whose transactions a caller's rights hold, and no statement takes longer than `seconds`.

    The connections are those of `database`. Raises TookTooLong, and SettingsError for a role that is not there or has
    no rights.
    """

    def __init__(self, database: Database, caller: Caller, *, seconds: float) -> None:
        self.url = database.url
        self._database = database
        self._caller = caller
        self._seconds = seconds

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """A transaction of the caller's role, which only reads and is bounded in time; commits at the end."""
        with self._database.transaction() as cursor, self._named_errors():
            self._prepare(cursor)
            yield cursor

    def close(self) -> None:
        """Close nothing: the connections are those of the database that it was made from."""

    def _prepare(self, cursor: Cursor) -> None:
        limit(cursor, seconds=self._seconds)
        if self._caller.claims:
            names, values = zip(*self._caller.claims, strict=True)
            cursor.execute(statement("callers", "claim"), {"names": list(names), "values": list(values)})
        if self._caller.role is not None:
            cursor.execute(composed("callers", "become", role=sql.Identifier(self._caller.role)))

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except pg_errors.QueryCanceled as exc:
            raise TookTooLong(self._seconds) from exc
        except (pg_errors.InsufficientPrivilege, pg_errors.InvalidParameterValue) as exc:
            if self._caller.role is None:
                raise
            said = str(exc).strip().splitlines()[0]
            raise SettingsError(
                f"The key {self._caller.name} has the role {self._caller.role}: {said}. The role has to be there, the "
                "program's own has to be a member of it (grant ... to ...), and it has to be allowed to search: "
                "select rag_grant_reading('...')"
            ) from exc


def limit(cursor: Cursor, *, seconds: float) -> None:
    """Give up each statement from here to the transaction's end that takes longer, waiting for locks included."""
    cursor.execute(statement("callers", "limit_statements"), {"milliseconds": int(seconds * 1_000)})


def get_document(cursor: Cursor, document_id: str, *, model: str, source: Source) -> DocumentState | None:
    """None where there is none, or the caller may not see it."""
    return next(iter(_documents(cursor, [document_id], model=model, source=source)), None)


def list_documents(
    cursor: Cursor, *, after: str | None, state: str | None, limit: int, model: str, source: Source
) -> list[DocumentState]:
    """So many of those whose id comes after this one, in the order of ids as texts; of one state, or of all."""
    name = "list_ids" if state is None else "list_ids_in_state"
    cursor.execute(statement("callers", name), {"after": after, "state": state, "limit": limit})
    return _documents(cursor, [row[0] for row in cursor.fetchall()], model=model, source=source)


def list_attempts(cursor: Cursor, document_id: str, *, limit: int) -> list[Attempt]:
    """The newest first; none where the caller may not read the log."""
    cursor.execute(statement("callers", "may_read_attempts"))
    if not single(cursor)[0]:
        return []
    cursor.execute(statement("callers", "list_attempts"), {"id": document_id, "limit": limit})
    return nouns(cursor, Attempt)


def list_chunks(cursor: Cursor, document_id: str, *, first: int, limit: int, model: str) -> list[StoredChunk]:
    """So many chunks from index `first` on, in their order."""
    values = {"id": document_id, "first": first, "limit": limit, "model": model}
    cursor.execute(statement("callers", "list_chunks"), values)
    return nouns(cursor, StoredChunk)


def count_documents(cursor: Cursor) -> list[tuple[str, str | None, int]]:
    """State, kind of error, and how many documents, as the caller may see them."""
    cursor.execute(statement("callers", "count_documents"))
    return [(str(state), kind, int(count)) for state, kind, count in cursor.fetchall()]


def count_chunks(cursor: Cursor, *, model: str) -> int:
    """How many chunks the caller may see that were embedded by this model."""
    cursor.execute(statement("callers", "count_chunks"), {"model": model})
    return int(single(cursor)[0])


def oldest_pending_seconds(cursor: Cursor) -> float | None:
    """How long the oldest change waits; None where none does."""
    cursor.execute(statement("callers", "get_oldest_pending"))
    found = single(cursor)[0]
    return None if found is None else float(found)


def is_ready(cursor: Cursor) -> bool:
    """Whether tables and functions of a search are there."""
    cursor.execute(statement("callers", "is_ready"))
    return bool(single(cursor)[0])


def require_index(cursor: Cursor, source: Source) -> None:
    """SourceUnusable where there is neither an index nor a documents table, SettingsError where the index is missing.

    For a cursor with the program's own rights: a role that may see nothing would seem to have no index.
    """
    if not is_ready(cursor):
        documents.require_columns(cursor, source)
        raise SettingsError("There is no index of this table yet. Run `rag-assets init` to make it.")


def _documents(cursor: Cursor, ids: list[str], *, model: str, source: Source) -> list[DocumentState]:
    """Of those that were never read, the path is what their rows say, where the caller may read them."""
    cursor.execute(statement("callers", "get_documents"), {"ids": ids, "model": model})
    found = nouns(cursor, DocumentState)
    unread = [document.document_id for document in found if document.path is None]
    if not unread:
        return found
    cursor.execute(statement("callers", "may_read_table"), {"table": documents.quoted(cursor, source)})
    if not single(cursor)[0]:
        return found
    rows = documents.get_documents(cursor, source, unread)
    return [replace(one, path=rows[one.document_id].path) if one.document_id in rows else one for one in found]
