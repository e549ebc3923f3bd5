"""rag_runs: which runs are at work, whether they get on, and which of them were taken over.

A run reports its progress every few seconds. One that is stalled, its process stopped or hanging, is taken over:
its documents are free for others, and whatever it does when it wakes up, it stores nothing. So is one on another host
of which nothing is heard: whether its process is there can be seen on its own host alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from rag_assets.errors import LostRun
from rag_assets.model import ClaimOwner
from rag_assets.postgres import outbox
from rag_assets.postgres.statements import statement


@dataclass(frozen=True, kw_only=True)
class AtWork:
    """What a run says of itself: `progress` changes while it gets on, `beat` while its process is there."""

    progress: int
    host: str | None  # as processes.identity.host has it; None: it said nothing of that
    beat: int


def begin(cursor: Cursor, run_id: str, *, host: str) -> None:
    """Say that this run is at work, on this host; LostRun when it was taken over before that."""
    _require(cursor, "begin", run_id=run_id, host=host)


def record_progress(cursor: Cursor, run_id: str, *, moved: bool, parts: Mapping[str, tuple[int, int]]) -> None:
    """Note that this run is there, and whether it got on since it last reported; LostRun when it was taken over.

    `parts` are the long documents at work: how many new chunks of each are embedded, and of how many.
    """
    _require(cursor, "record_progress", run_id=run_id, moved=moved, parts=Json(parts))


def hold(cursor: Cursor, run_id: str) -> None:
    """Keep this run from being taken over until the end of the transaction; LostRun when it was."""
    _require(cursor, "hold", run_id=run_id)


def finish(cursor: Cursor, run_id: str) -> None:
    """Say that this run has ended."""
    cursor.execute(statement("runs", "finish"), {"run_id": run_id})


def at_work(cursor: Cursor) -> dict[str, AtWork]:
    """The runs at work that were not taken over, by their ids."""
    cursor.execute(statement("runs", "list_at_work"))
    return {row[0]: AtWork(progress=row[1], host=row[2], beat=row[3]) for row in cursor.fetchall()}


def take_over(cursor: Cursor, run_id: str, *, progress: int | None) -> bool:
    """Free the documents of a run that is still no further; False where it is, or is just storing something.

    `progress` is None for a run that has not reported any yet.
    """
    name = "forbid" if progress is None else "take_over"
    cursor.execute(statement("runs", name), {"run_id": run_id, "progress": progress})
    if cursor.fetchone() is None:
        return False
    outbox.release(cursor, ClaimOwner("run", run_id))
    return True


def standing_still(cursor: Cursor, *, seconds: float) -> dict[str, int]:
    """Runs that hold documents and have not got on for so long, and for how many seconds each."""
    cursor.execute(statement("runs", "list_stalled"), {"seconds": seconds})
    return dict(cursor.fetchall())


def purge(cursor: Cursor, *, days: float) -> int:
    """Forget runs of which nothing was heard for so many days; how many."""
    cursor.execute(statement("runs", "purge"), {"days": days})
    return int(cursor.rowcount)


def _require(cursor: Cursor, name: str, **values: object) -> None:
    cursor.execute(statement("runs", name), values)
    if cursor.fetchone() is None:
        raise LostRun(str(values["run_id"]))
