"""What lets a run keep its documents: that it gets on, not that its process is there."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from rag_assets.errors import DatabaseUnavailable, LostRun
from rag_assets.model import ClaimOwner
from rag_assets.postgres import outbox, runs
from rag_assets.postgres.database import Cursor, Database
from rag_assets.processes import identity
from rag_assets.stopwatch import Stopwatch

BEAT_SECONDS = 5.0  # between words of a run about its progress
LONGEST_GAP_SECONDS = 15.0  # of a watch, between two looks: more counts as this, as the watch itself stood still
GRACE_SECONDS = 30.0  # over the longest that a single step may take


class Lease:
    """Says for a run that it gets on, while open, and keeps its claims as long as it does.

    A run gets on when something of what it has in hand was done: a document read, a request for vectors answered, a
    group stored. One that has nothing in hand waits, which is no standstill. When the run was taken over, `lost` is
    set, and `hold` raises LostRun: nothing may be stored any more.
    """

    def __init__(
        self,
        database: Database,
        *,
        run_id: str,
        claim_seconds: float,
        patience_seconds: float,
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        self._database = database
        self._beat_seconds = beat_seconds
        self._run_id = run_id
        self._claim_seconds = claim_seconds
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._in_hand = 0  # documents
        self._parts: dict[str, tuple[int, int]] = {}  # of long documents: chunks that are embedded, of how many
        self._moved = True
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keep-claims")
        self.lost = threading.Event()

    def __enter__(self) -> "Lease":
        """Raises LostRun when the run was taken over before it began, DatabaseUnavailable."""
        with self._database.transaction() as cursor:
            runs.begin(cursor, self._run_id, host=identity.host())
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Give back what is not settled."""
        self._ended.set()
        self._thread.join()
        self.release()
        with suppress(DatabaseUnavailable), self._database.transaction() as cursor:
            runs.finish(cursor, self._run_id)

    def release(self) -> None:
        """What is held, for others to take; whoever does so stores nothing any more."""
        with suppress(DatabaseUnavailable), self._database.transaction() as cursor:
            self.released += outbox.release(cursor, ClaimOwner("run", self._run_id))

    released = 0  # documents that were given back

    def take(self, documents: int) -> None:
        """Note that so many more documents are in hand: the lease is renewed as long as there are any."""
        with self._lock:
            self._in_hand += documents

    def settle(self, document_ids: Collection[str]) -> None:
        """Note that these documents are done, which is progress, and not in hand any more."""
        with self._lock:
            self._in_hand -= len(document_ids)
            self._moved = True
            for document_id in document_ids:
                self._parts.pop(document_id, None)

    def move(self, *_: object) -> None:
        """Note that something was done for a document in hand: that is the progress which keeps the claims."""
        self._moved = True

    def tell_part(self, document_id: str, embedded: int, chunks: int) -> None:
        """Note how far a long document is, for who asks what the run is at; that it gets on is noted by `move`."""
        with self._lock:
            self._parts[document_id] = (embedded, chunks)

    def hold(self, cursor: Cursor) -> None:
        """Keep the run from being taken over until the end of the transaction; LostRun when it was."""
        runs.hold(cursor, self._run_id)

    def _keep(self) -> None:
        watch, moved_at, extended_at = Stopwatch(longest_gap=LONGEST_GAP_SECONDS), 0.0, time.monotonic()
        is_told = True
        while not self._ended.wait(min(self._beat_seconds, self._claim_seconds / 3)):
            now, worked = time.monotonic(), watch.look()
            moved = self._has_moved()
            moved_at = worked if moved else moved_at
            is_due = now - extended_at >= self._claim_seconds / 3 and worked - moved_at < self._patience_seconds
            try:
                self._record_progress(moved=moved or not is_told, extends=is_due)
                is_told, extended_at = True, now if is_due else extended_at
            except DatabaseUnavailable:
                is_told = is_told and not moved
            except LostRun:
                self.lost.set()
                return

    def _has_moved(self) -> bool:
        with self._lock:
            moved, self._moved = self._moved or not self._in_hand, False
        return moved

    def _record_progress(self, *, moved: bool, extends: bool) -> None:
        with self._lock:
            parts = dict(self._parts)
        with self._database.transaction() as cursor:
            runs.record_progress(cursor, self._run_id, moved=moved, parts=parts)
            if extends:
                outbox.extend_claims(cursor, ClaimOwner("run", self._run_id), seconds=self._claim_seconds)


class Watch:
    """Finds the runs that stand still, by looking again and again at a number of each that changes while it does not.

    Time counts only between looks that follow each other: where the clock was set, the machine slept or all processes
    were stopped, the watch was no better than the runs.
    """

    def __init__(self, patience_seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_seconds = patience_seconds + GRACE_SECONDS
        self._stopwatch = Stopwatch(longest_gap=LONGEST_GAP_SECONDS, clock=clock)
        self._looked_at = 0.0
        self._seen: dict[str, tuple[int, float]] = {}  # run -> its progress, and for how long it is no further

    @property
    def seen(self) -> Mapping[str, tuple[int, float]]:
        """By run, the number at the last look and for how many seconds it is no further."""
        return self._seen

    def resume(self, seen: Mapping[str, tuple[int, float]], *, passed: float) -> None:
        """Go on, before the first look, from what another watch had seen so many seconds ago: a gap like any other."""
        counted = min(max(0.0, passed), LONGEST_GAP_SECONDS)
        self._seen = {run: (number, still + counted) for run, (number, still) in seen.items()}

    def stalled(self, progress: Mapping[str, int]) -> dict[str, int]:
        """Those of the runs at work whose number stays the same for longer than `patience_seconds`, and some grace."""
        now = self._stopwatch.look()
        passed, self._looked_at = now - self._looked_at, now
        self._seen = {run: (number, self._still(run, number, passed)) for run, number in progress.items()}
        return {run: number for run, (number, still) in self._seen.items() if still > self._patience_seconds}

    def _still(self, run: str, number: int, passed: float) -> float:
        before, still = self._seen.get(run, (None, 0.0))
        return still + passed if before == number else 0.0
