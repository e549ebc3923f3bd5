"""rag_outbox: pending work, claimed by one owner at a time and fenced by its generation.

The trigger writes changes into rag_changes; whoever looks for work here takes them from there first.

Who holds a claim is a model.ClaimOwner.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg2.extensions import cursor as Cursor

from rag_assets.errors import DeletionsHeld, ErrorKind
from rag_assets.model import Claim, ClaimOwner, FailedDocument, IndexStatus, Outcome, Refused
from rag_assets.postgres import documents, ingestion_log
from rag_assets.postgres.statements import composed, nouns, single, statement
from rag_assets.settings import Source, Worker

CHANGES, EVERYTHING = 0, 2  # the largest priority value that is claimed
DELAY_JITTER = 0.2  # of a delay, so that documents that failed together do not all come back together


def drain_changes(cursor: Cursor) -> None:
    """Make pending what changed in the application's table since the last call, by anybody.

    To be called before the transaction holds rows of the outbox, for which the one whose turn it is may wait.
    """
    cursor.execute(statement("outbox", "drain_changes"))


def claim_due(
    cursor: Cursor, source: Source, *, limit: int, claimed_by: ClaimOwner, seconds: float, priority: int = EVERYTHING
) -> list[Claim]:
    """Claim documents that are due, for so many seconds: changes before first fills, oldest first."""
    values = {"limit": limit, "claimed_by": str(claimed_by), "seconds": seconds, "priority": priority}
    drain_changes(cursor)
    while True:
        cursor.execute(statement("outbox", "claim_due"), values)
        taken = cursor.rowcount
        claims = _without_held(cursor, source, _claims(cursor, source))
        if claims or not taken:
            return claims


def claim_batch(cursor: Cursor, source: Source, *, batch_id: str, run_id: str, seconds: float) -> list[Claim]:
    """Take over, for a run, what the sensor claimed under a batch."""
    values = {
        "batch": str(ClaimOwner("batch", batch_id)),
        "claimed_by": str(ClaimOwner("run", run_id)),
        "seconds": seconds,
    }
    cursor.execute(statement("outbox", "claim_batch"), values)
    return _without_held(cursor, source, _claims(cursor, source))


def claim_documents(
    cursor: Cursor, source: Source, ids: Sequence[str], *, run_id: str, seconds: float
) -> tuple[list[Claim], list[str]]:
    """Claim these documents, changed or not; second, the ids of those that another run works on.

    What can be no document's id is left out. Raises DeletionsHeld where some of them are to be deleted, and are too
    many for that.
    """
    ids = [one for one in ids if documents.is_fit(one)]
    drain_changes(cursor)
    cursor.execute(statement("outbox", "lock_outbox"))
    cursor.execute(statement("outbox", "enqueue_missing"), {"ids": ids})
    values = {"ids": ids, "claimed_by": str(ClaimOwner("run", run_id)), "seconds": seconds}
    cursor.execute(statement("outbox", "claim_documents"), values)
    claims = _claims(cursor, source)
    if len(_without_held(cursor, source, claims)) < len(claims):
        raise held(cursor, source)
    mine = {claim.document_id for claim in claims}
    return claims, [document_id for document_id in ids if document_id not in mine]


def ask_look(cursor: Cursor, reason: str) -> None:
    """Have the whole table looked at, as something changed and nobody knows where."""
    cursor.execute(statement("outbox", "ask_look"), {"reason": reason})


def trim_looks(cursor: Cursor) -> None:
    """Keep what was asked last: where it cannot be answered for long, the questions would pile up."""
    cursor.execute(statement("outbox", "trim_looks"))


def look_at_all(cursor: Cursor, source: Source) -> str | None:
    """Where it was asked for, make every document of the table pending, and what is indexed and has no row; why."""
    cursor.execute(statement("outbox", "get_look"))
    asked = cursor.fetchone()
    if asked is None:
        return None
    names = documents.identifiers(cursor, source)
    drain_changes(cursor)
    cursor.execute(statement("outbox", "lock_outbox"))
    cursor.execute(statement("outbox", "take_looks"))
    cursor.execute(composed("outbox", "enqueue_all", **names))
    enqueue_vanished(cursor, source)
    return str(asked[0])


def enqueue_vanished(cursor: Cursor, source: Source) -> int:
    """Enqueue what is indexed and has no row any more, to be deleted or, where that is too much, held; how many."""
    names = documents.identifiers(cursor, source)
    cursor.execute(composed("outbox", "enqueue_vanished", **names))
    enqueued = cursor.fetchone()  # none where there was nothing to enqueue
    indexed, gone = vanished(cursor, source)
    if are_too_many(source, indexed=indexed, gone=gone):
        cursor.execute(composed("outbox", "hold_vanished", **names))
    return int(enqueued[0]) if enqueued else 0


def vanished(cursor: Cursor, source: Source) -> tuple[int, int]:
    """How many documents are indexed, and how many of them have lost their row, without what was confirmed to go."""
    cursor.execute(composed("outbox", "count_vanished", **documents.identifiers(cursor, source)))
    indexed, gone = single(cursor)
    return int(indexed), int(gone)


def are_too_many(source: Source, *, indexed: int, gone: int) -> bool:
    """Whether so many deletions at once need a word of the user."""
    return gone >= source.mass_deletion_number and gone > source.mass_deletion_share * indexed


def held(cursor: Cursor, source: Source) -> DeletionsHeld:
    """The error to raise where so many deletions at once wait for somebody to confirm them."""
    indexed, gone = vanished(cursor, source)
    return DeletionsHeld(vanished=gone, indexed=indexed)


def holds(cursor: Cursor) -> bool:
    """Whether deletions wait for somebody to confirm them, as they were too many at once."""
    cursor.execute(statement("outbox", "count_held"))
    return bool(single(cursor)[0])


def review_held(cursor: Cursor, source: Source) -> None:
    """Make due what was held and need not be any more: the rows are back, or what is gone is no mass."""
    if not holds(cursor):
        return
    indexed, gone = vanished(cursor, source)
    few = not are_too_many(source, indexed=indexed, gone=gone)
    cursor.execute(composed("outbox", "release_held", **documents.identifiers(cursor, source)), {"all": few})


def confirm_deletions(cursor: Cursor, source: Source) -> int:
    """Let go what is indexed and has no row any more, however much it is; how many documents."""
    drain_changes(cursor)
    cursor.execute(statement("outbox", "lock_outbox"))
    cursor.execute(composed("outbox", "confirm_deletions", **documents.identifiers(cursor, source)))
    return int(cursor.rowcount)


def extend_claims(cursor: Cursor, claimed_by: ClaimOwner, *, seconds: float) -> None:
    """Keep everything this owner holds for so many seconds from now."""
    cursor.execute(statement("outbox", "extend_claims"), {"claimed_by": str(claimed_by), "seconds": seconds})


def release(cursor: Cursor, claimed_by: ClaimOwner) -> int:
    """Give back what this owner holds, without counting an attempt; how many."""
    cursor.execute(statement("outbox", "release"), {"claimed_by": str(claimed_by)})
    return int(cursor.rowcount)


def release_batches(cursor: Cursor) -> int:
    """Give back what sensors claimed for runs that have not begun; how many.

    A run that comes for such a batch after all works on what is pending, its documents among the rest.
    """
    return sum(release(cursor, owner) for owner, _ in owners(cursor) if owner.kind == "batch")


def owners(cursor: Cursor) -> list[tuple[ClaimOwner, float]]:
    """Who holds claims, and for how many seconds more."""
    cursor.execute(statement("outbox", "list_owners"))
    return [(ClaimOwner.parse(owner), float(seconds)) for owner, seconds in cursor.fetchall()]


def retry_dead(cursor: Cursor, *, ids: Sequence[str] = (), kind: str | None = None) -> int:
    """Make failed and dead documents due now, with all their attempts: all, these ids, one error kind; how many."""
    cursor.execute(statement("outbox", "retry"), {"ids": list(ids), "kind": kind})
    return int(cursor.rowcount)


def find(cursor: Cursor, source: Source, ids: Sequence[str]) -> dict[str, str]:
    """The documents that these ids name, by the id as it was given: rows of the table, and what is kept of others."""
    rows = documents.get_documents(cursor, source, ids)
    cursor.execute(statement("outbox", "list_known"), {"ids": [one for one in ids if documents.is_fit(one)]})
    return {row[0]: row[0] for row in cursor.fetchall()} | {given: row.id for given, row in rows.items()}


def count_consumers(cursor: Cursor) -> int:
    """How many runs take changes as they come; see listener.Listener.announce_consumer."""
    cursor.execute(statement("outbox", "count_consumers"))
    return int(single(cursor)[0])


def count_free(cursor: Cursor, *, most: int) -> int:
    """How many documents are due that nobody holds; `most` where there are more."""
    cursor.execute(statement("outbox", "count_free"), {"most": most})
    return int(single(cursor)[0])


def waiting(cursor: Cursor, *, most: int) -> tuple[int, int, float]:
    """How many documents are pending, how many claimed, and seconds until the next of the others is due.

    `most` are counted: of more, the others are not looked at, and the next may be due earlier.
    """
    cursor.execute(statement("outbox", "count_waiting"), {"most": most})
    pending, claimed, seconds = single(cursor)
    return pending, claimed, seconds or 0.0


def last_change(cursor: Cursor) -> datetime | None:
    """When a change of a document was seen or worked on last; None where none ever was."""
    cursor.execute(statement("outbox", "get_last_change"))
    found: datetime | None = single(cursor)[0]
    return found


def lock(cursor: Cursor, claims: Sequence[Claim], *, owner: ClaimOwner) -> set[str]:
    """Hold those of the claims that are still this owner's until the end of the transaction; their document ids.

    What is written of a document, and `settle` and `fail`, come after this in the same transaction, and for these
    documents only: whoever took the others over is the one who stores them. To be called once, before the transaction
    holds other rows of the outbox: it waits for whoever is touching these.
    """
    ids = [claim.document_id for claim in claims]
    cursor.execute(statement("outbox", "lock_claims"), {"ids": ids, "claimed_by": str(owner)})
    return {row[0] for row in cursor.fetchall()}


def settle(cursor: Cursor, settled: Sequence[tuple[Claim, Outcome]], *, run_id: str) -> None:
    """Log outcomes of locked claims and remove their pending work; what changed meanwhile stays pending, and free."""
    if settled:
        ingestion_log.write_log(cursor, [outcome for _, outcome in settled], run_id=run_id)
        _remove(cursor, [claim for claim, _ in settled])


def fail(
    cursor: Cursor,
    claim: Claim,
    outcome: Outcome,
    *,
    file: tuple[int, int] | None,
    changed_at: float | None,
    run_id: str,
    worker: Worker,
) -> Outcome:
    """Log the failure of a locked claim and count the attempt; the outcome as accepted, or with whether it is retried
    and when.

    That comes with exponential backoff, or at once because the document changed meanwhile. `file` is its size and when
    it was written, as sources.facts has them; None where it cannot be looked at. `changed_at` is when it changed last
    before it was read, in Unix seconds; None where that is not known.
    """
    ingestion_log.write_log(cursor, [outcome], run_id=run_id)
    attempts = claim.attempts + 1
    again = outcome.retry and attempts < worker.max_attempts
    delay = _delay(attempts, worker=worker) if again else 0.0
    values = {
        "document_id": claim.document_id,
        "generation": claim.generation,
        "attempts": attempts,
        "state": "pending" if again else "dead",
        "delay": delay,
        "error_kind": outcome.error_kind,
        "error": outcome.error_message,
        "accept": outcome.error_kind in worker.accept,
        "size": file[0] if file else None,
        "mtime_ns": file[1] if file else None,
        "path": claim.path,
        "changed_at": changed_at,
    }
    cursor.execute(statement("outbox", "record_failure"), values)
    found = cursor.fetchone()
    if found is None:
        release_claims(cursor, [claim])
        return replace(outcome, retry=True, attempts=attempts, seconds_to_next=0.0)
    if found[0] == "accepted":
        return replace(outcome, status="accepted", retry=False)
    return replace(outcome, retry=again, attempts=attempts, seconds_to_next=delay if again else None)


def acceptable(cursor: Cursor, source: Source, *, ids: Sequence[str], kind: str | None) -> list[Refused]:
    """The documents given up of these ids, or of all, with this kind of error, or any; rows that are none are not."""
    query = composed("outbox", "list_acceptable", **documents.identifiers(cursor, source))
    cursor.execute(query, {"ids": list(ids), "kind": kind})
    return [
        Refused(document_id=row[0], path=row[1], error_kind=row[2], error_message=row[3] or "")
        for row in cursor.fetchall()
    ]


def accept(cursor: Cursor, seen: Sequence[tuple[Refused, tuple[int, int] | None]]) -> set[str]:
    """Have documents given up count as well until their file, as it was seen, is another; which ones."""
    values = {
        "ids": [one.document_id for one, _ in seen],
        "kinds": [one.error_kind for one, _ in seen],
        "sizes": [file[0] if file else None for _, file in seen],
        "mtimes_ns": [file[1] if file else None for _, file in seen],
    }
    cursor.execute(statement("outbox", "accept"), values)
    return {row[0] for row in cursor.fetchall()}


def accepted(cursor: Cursor, *, ids: Sequence[str], kind: str | None) -> set[str]:
    """The documents of these ids, or of all, that are accepted, with this kind of error, or any."""
    cursor.execute(statement("outbox", "list_accepted"), {"ids": list(ids), "kind": kind})
    return {row[0] for row in cursor.fetchall()}


def pending(cursor: Cursor, ids: Sequence[str]) -> set[str]:
    """Those of these ids that have work to do in the outbox."""
    cursor.execute(statement("outbox", "list_pending"), {"ids": list(ids)})
    return {row[0] for row in cursor.fetchall()}


def count_failed_pending(cursor: Cursor, *, kind: str | None) -> int:
    """How many documents failed, with this kind of error or any, and are to be tried again."""
    cursor.execute(statement("outbox", "count_failed_pending"), {"kind": kind})
    return int(single(cursor)[0])


def withdraw(cursor: Cursor, ids: Sequence[str]) -> None:
    """Have these documents fail again, if they do, though they were accepted."""
    cursor.execute(statement("outbox", "withdraw"), {"ids": list(ids)})


def release_claims(cursor: Cursor, claims: Sequence[Claim]) -> None:
    """Free the documents of claims that are locked, for anybody to take; not where the same run has a newer claim."""
    ids, generations = [claim.document_id for claim in claims], [claim.generation for claim in claims]
    cursor.execute(statement("outbox", "release_claims"), {"ids": ids, "generations": generations})


@dataclass(frozen=True, kw_only=True)
class GivenUp:
    """A document that is given up, or accepted. Times are in Unix seconds."""

    document_id: str
    path: str
    failed_at: float
    changed_at: float | None  # its file, before it was read; None where that is not known


def dead(cursor: Cursor, source: Source) -> list[GivenUp]:
    """The documents given up or accepted that have a row."""
    cursor.execute(composed("outbox", "list_dead", **documents.identifiers(cursor, source)))
    return nouns(cursor, GivenUp)


def failed_documents(cursor: Cursor, source: Source, *, limit: int) -> list[FailedDocument]:
    """Rows that can be no documents, then documents whose last attempt failed, those given up first."""
    cursor.execute(statement("outbox", "list_unfit_rows"), {"limit": limit})
    unfit = [_unfit(kind, beginning, path, source=source) for kind, beginning, path in cursor.fetchall()]
    cursor.execute(statement("outbox", "list_failed_documents"), {"limit": limit - len(unfit)})
    return unfit + [
        FailedDocument(document_id=row[0], error_kind=row[1], error_message=row[2] or "", seconds_to_next=row[3])
        for row in cursor.fetchall()
    ]


def count_due(cursor: Cursor) -> int:
    """Documents that are to be worked on now, those in somebody's hands included; others wait for another try."""
    cursor.execute(statement("outbox", "count_due"))
    return int(single(cursor)[0])


def status(cursor: Cursor, source: Source) -> IndexStatus:
    """The index at a glance, from the view rag_status."""
    documents.identifiers(cursor, source)  # says so when the table is gone
    cursor.execute(statement("outbox", "get_status"))
    names = [column.name for column in cursor.description or ()]
    numbers = dict(zip(names, single(cursor), strict=True))
    return IndexStatus(**numbers, warnings=tuple(warnings(cursor, source)))


def warnings(cursor: Cursor, source: Source, *, for_others: bool = False) -> Iterator[str]:
    """What keeps changes from being seen or worked on, with what to do; for others, without the words of an error.

    Those may name a document.
    """
    if not documents.has_triggers(cursor, source):
        yield (
            f"{source.table} lacks our triggers, or they are off: changes are found by reconciliation only. They are "
            "put back within seconds by `rag-assets up`, or by: rag-assets init"
        )
    cursor.execute(statement("outbox", "get_look"))
    if asked := cursor.fetchone():
        yield (
            f"Something changed in {source.table}, and the trigger could not tell where ({asked[0]}): the whole table "
            "is looked at by `rag-assets up`, or by rag-assets reconcile. If this stays, run: rag-assets init"
        )
    if fault := ingestion_log.last_fault(cursor):
        why = "its page and rag-assets status say why." if for_others else fault
        yield f"The last run could not do its work, and what it held is pending: {why}"
    if holds(cursor):
        yield str(held(cursor, source))


def _remove(cursor: Cursor, claims: Sequence[Claim]) -> None:
    ids, generations = [c.document_id for c in claims], [c.generation for c in claims]
    cursor.execute(statement("outbox", "delete_settled"), {"ids": ids, "generations": generations})
    if cursor.rowcount < len(claims):
        release_claims(cursor, claims)


def _claims(cursor: Cursor, source: Source) -> list[Claim]:
    """The rows that the last statement claimed, with the paths of their documents."""
    ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return []
    cursor.execute(composed("outbox", "get_claims", **documents.identifiers(cursor, source)), {"ids": ids})
    return [
        Claim(document_id=row[0], generation=row[1], operation=row[2], attempts=row[3], path=row[4], rows=row[5])
        for row in cursor.fetchall()
    ]


def _unfit(kind: ErrorKind, beginning: str | None, path: str, *, source: Source) -> FailedDocument:
    """What is wrong with a row of the table, and what is to be done about it."""
    if kind == "id_missing":
        why = f"the row with the path {path} has no {source.id_column}: give it one"
    else:
        why = f"the {source.id_column} of the row with the path {path} is longer than {documents.ID_BYTES} bytes"
        why += ": give it a shorter one, or name another column in source.id_column"
    return FailedDocument(document_id=f"{beginning or ''}...", error_kind=kind, error_message=why, seconds_to_next=None)


def _without_held(cursor: Cursor, source: Source, claims: list[Claim]) -> list[Claim]:
    """The claims without those on documents that have lost their row together with too many others: these are held."""
    ids = [claim.document_id for claim in claims if claim.path is None]
    if not ids:
        return claims
    cursor.execute(statement("outbox", "has_indexed"), {"ids": ids})
    if not single(cursor)[0]:
        return claims
    indexed, gone = vanished(cursor, source)
    if not are_too_many(source, indexed=indexed, gone=gone):
        return claims
    cursor.execute(statement("outbox", "hold"), {"ids": ids})
    kept = {row[0] for row in cursor.fetchall()}
    # The rest of the mass as well, or each further part of it would count all that vanished once more.
    cursor.execute(composed("outbox", "hold_vanished", **documents.identifiers(cursor, source)))
    return [claim for claim in claims if claim.document_id not in kept]


def _delay(attempts: int, *, worker: Worker) -> float:
    """Seconds: doubled at each attempt up to the limit, and spread."""
    delay: float = min(worker.retry_base_seconds * 2 ** (attempts - 1), worker.retry_max_seconds)
    return delay * random.uniform(1 - DELAY_JITTER, 1 + DELAY_JITTER)  # noqa: S311 - no secret
