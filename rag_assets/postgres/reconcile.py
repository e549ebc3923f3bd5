"""Comparing table, files, outbox and index, and enqueueing what differs: for changes that no trigger saw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor

from rag_assets.model import FileFacts, StoredText
from rag_assets.postgres import documents, outbox, texts
from rag_assets.postgres import models as kept_models
from rag_assets.postgres.database import Database
from rag_assets.postgres.statements import composed, statement
from rag_assets.settings import Source

PAGE_DOCUMENTS = 1_000  # looked at between two short transactions
# Between reading a file and recording that it failed, and between the clocks of two machines: where nothing else is
# known than when it failed.
SLACK_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Documents that were enqueued, by what was found."""

    unknown: int  # a row of which nothing was ever read
    vanished: int  # text or chunks without a row
    moved: int  # the row names another path than the one that was read
    outdated: int  # read or embedded with other settings than today's
    incomplete: int  # chunks are missing
    lacking: int  # there are none of a model that is kept beside the one that serves


@dataclass(frozen=True, kw_only=True)
class FileDifferences:
    """Documents whose file is not the one that was read."""

    changed: int  # enqueued: another file, or none
    missing: int  # left alone: so many files are gone at once that rather their folder is not mounted


def reconcile_table(
    database: Database, source: Source, *, fingerprints: Sequence[str], models: Sequence[str]
) -> Differences:
    """Enqueue every document whose row and index differ and that is not pending already.

    `fingerprints` and `models` are what a document would be read and embedded with now, of each model that is kept. A
    transaction for each kind: who takes changes locks documents in their order, and would wait for this, as this would
    for them.
    """
    with database.transaction() as cursor:
        names = documents.identifiers(cursor, source)
    settings: dict[str, object] = {"fingerprints": list(fingerprints), "models": list(models)}
    return Differences(
        unknown=_enqueue(database, composed("outbox", "enqueue_unknown", **names)),
        vanished=_vanished(database, source),
        moved=_enqueue(database, composed("outbox", "enqueue_moved", **names)),
        outdated=_enqueue(database, statement("outbox", "enqueue_outdated"), settings),
        incomplete=_enqueue(database, statement("outbox", "enqueue_incomplete")),
        lacking=sum(_lacking(database, model) for model in models) if len(models) > 1 else 0,
    )


def reconcile_files(
    database: Database, source: Source, *, look: Callable[[StoredText], FileFacts | None]
) -> FileDifferences:
    """Enqueue every document whose file is not the one that was read.

    `look` gives the file's facts as they are now, or None when it cannot be read; no transaction is open meanwhile.
    It may give the stored sha256 back unread where size and mtime are the stored ones.
    """
    enqueued, seen, after = 0, 0, ""
    missing: list[str] = []
    while page := _page(database, after):
        found = {stored.document_id: look(stored) for stored in page}
        changed = [stored for stored in page if _differs(stored, found[stored.document_id])]
        missing += [stored.document_id for stored in page if found[stored.document_id] is None]
        touched = {
            stored.document_id: facts
            for stored in page
            if (facts := found[stored.document_id]) and facts != stored.facts and stored not in changed
        }
        with database.transaction() as cursor:
            enqueued += enqueue_idle(cursor, [stored.document_id for stored in changed])
            texts.refresh(cursor, touched)
        after = page[-1].document_id
        seen += len(page)
    if outbox.are_too_many(source, indexed=seen, gone=len(missing)):
        return FileDifferences(changed=enqueued, missing=len(missing))
    with database.transaction() as cursor:
        return FileDifferences(changed=enqueued + enqueue_idle(cursor, missing), missing=0)


def retry_changed(database: Database, source: Source, *, changed_at: Callable[[str], float | None]) -> int:
    """Make those of the documents given up due again whose file changed since, or while, they failed; how many.

    `changed_at` tells when the file of a path of the table changed, in Unix seconds; None when it cannot be looked at.
    """
    with database.transaction() as cursor:
        dead = outbox.dead(cursor, source)
    ids = [one.document_id for one in dead if is_another(one, changed_at(one.path))]
    if not ids:
        return 0
    with database.transaction() as cursor:
        return outbox.retry_dead(cursor, ids=ids)


def is_another(one: outbox.GivenUp, now: float | None) -> bool:
    """Whether a file, which changed `now` last, may be another one than the one that failed."""
    if now is None:
        return False
    return now > one.failed_at - SLACK_SECONDS if one.changed_at is None else now != one.changed_at


def enqueue_idle(cursor: Cursor, ids: list[str]) -> int:
    """Enqueue those of these documents that are neither pending nor given up; how many."""
    return _count(cursor, statement("outbox", "enqueue_idle"), {"ids": ids})


def _page(database: Database, after: str) -> list[StoredText]:
    with database.transaction() as cursor:
        return texts.list_facts(cursor, after=after, limit=PAGE_DOCUMENTS)


def _differs(stored: StoredText, now: FileFacts | None) -> bool:
    return now is not None and (now.sha256, now.size) != (stored.facts.sha256, stored.facts.size)


def _vanished(database: Database, source: Source) -> int:
    with database.transaction() as cursor:
        return outbox.enqueue_vanished(cursor, source)


def _lacking(database: Database, model: str) -> int:
    with database.transaction() as cursor:
        return kept_models.enqueue_lacking(cursor, model, with_claimed=False)


def _enqueue(database: Database, query: object, values: dict[str, object] | None = None) -> int:
    with database.transaction() as cursor:
        return _count(cursor, query, values)


def _count(cursor: Cursor, query: object, values: dict[str, object] | None = None) -> int:
    cursor.execute(query, values)  # type: ignore[arg-type]
    row = cursor.fetchone()  # none where there was nothing to enqueue
    return int(row[0]) if row else 0
