"""Which documents a run works on: those it was asked for, then what changes while it is there."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from rag_assets.model import Claim, ClaimOwner
from rag_assets.postgres import outbox
from rag_assets.postgres import owner as owners
from rag_assets.postgres.database import Cursor, Database
from rag_assets.postgres.listener import Listener
from rag_assets.postgres.owner import Owner
from rag_assets.settings import Settings

logger = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_SLICE = 10  # documents handed over at first; a batch looks for changes between two slices
FEW_DOCUMENTS = 10  # documents of a run that works on these alone
LOOK_SECONDS = 1.0  # between looks at whether another run waits, while lingering
ENDING_LOOK_SECONDS = 0.25  # between looks at whether the documents beside the changes are done


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How much a run takes at a time, and how long it waits."""

    largest_slice: int = 500  # documents
    slice_seconds: float = 1.0  # that a slice should take: more, and the next is smaller
    busy_patience_seconds: float = 600.0  # how long a run waits for documents that another run is working on
    longest_seconds: float = 600.0  # that it stays for changes, also where they never end; the next starts in a second


USUAL_PACE = Pace()


class ClaimSource:
    """Claims documents for one run, a batch at a time.

    While it exists, it holds the lock that tells the sensor that changes are being taken: see
    `outbox.count_consumers`.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        run_id: str,
        listener: Listener,
        stopping: threading.Event | None = None,
        owner: Owner | None = None,
        pace: Pace = USUAL_PACE,
    ) -> None:
        self._database = database
        self._pace = pace
        self._settings = settings
        self._owner = ClaimOwner("run", run_id)
        self._run_id = run_id
        self._listener = listener
        self._settings_owner = owner
        self._stopping = stopping or threading.Event()  # set from another thread: no more batches
        listener.announce_consumer(run_id)
        self._taken: set[str] = set()  # changed meanwhile, so ahead of their turn
        self.busy: list[str] = []  # asked for, but another run kept them all the time

    def pending(self, *, should_yield: Callable[[], bool] = lambda: False) -> Iterator[list[Claim]]:
        """Everything that is due, in slices, until nothing is or another run waits for this one's place."""
        while not self._stopping.is_set() and not should_yield() and (claims := self._due()):
            yield claims
        self._listener.withdraw_consumer()

    def batch(self, batch_id: str) -> Iterator[list[Claim]]:
        """The documents that the sensor claimed under this batch, in slices, and between these what became due."""
        with self._claiming() as cursor:
            claims = outbox.claim_batch(
                cursor,
                self._settings.source,
                batch_id=batch_id,
                run_id=self._run_id,
                seconds=self._settings.worker.claim_seconds,
            )
        for part in self._slices(claims):
            yield part
            if claims := self._due():  # once, or a table that never rests would keep the rest of the batch for ever
                yield claims

    def documents(self, ids: Sequence[str]) -> Iterator[list[Claim]]:
        """These documents, whether they changed or not; those that another run works on come last."""
        deadline = time.monotonic() + self._pace.busy_patience_seconds
        waiting = list(ids)
        while waiting and not self._stopping.is_set():
            self.busy = []
            for part in self._slices(waiting):
                yield self._claim([document_id for document_id in part if document_id not in self._taken])
            if self.busy and time.monotonic() > deadline:
                return
            if waiting := self.busy:
                self._stopping.wait(LOOK_SECONDS)

    def changes_beside(self, ids: Sequence[str], *, ending: threading.Event) -> Iterator[list[Claim]]:
        """What changes until `ending` is set, to be worked on beside the many documents of a backfill.

        With it, what the sensor claimed before it could see this run: a run for that would wait until this one ends.
        Nothing, where the documents are few: whoever asks for those gets an answer on them alone.
        """
        while len(ids) > FEW_DOCUMENTS and not ending.is_set() and not self._stopping.is_set():
            with self._database.transaction() as cursor:
                outbox.release_batches(cursor)
            if claims := self._due():
                yield claims
            else:
                self._listener.wait(ENDING_LOOK_SECONDS)
        self._listener.withdraw_consumer()

    def pending_until_idle(self, idle_timeout: float, *, should_yield: Callable[[], bool]) -> Iterator[list[Claim]]:
        """Everything that is due, and changes as they are notified, until none came for `idle_timeout` seconds.

        Or until another run waits for this one's place, or it has been at it for `Pace.longest_seconds`: what failed in
        a run is shown when it ends, and its events are read as a whole.
        """
        end = time.monotonic() + self._pace.longest_seconds
        deadline = time.monotonic() + idle_timeout
        while time.monotonic() < min(deadline, end) and not self._stopping.is_set() and not should_yield():
            if claims := self._due():
                yield claims
                deadline = time.monotonic() + idle_timeout
            else:
                self._listener.wait(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
        self._listener.withdraw_consumer()

    @contextmanager
    def _claiming(self) -> Iterator[Cursor]:
        """A transaction, while the index follows this program's settings; SettingsError when another took it over."""
        with self._database.transaction() as cursor:
            if self._settings_owner is not None:
                owners.require(cursor, self._settings_owner)
            yield cursor

    def _due(self) -> list[Claim]:
        """What is due, as much as a run takes; of several runs at once, all together take as much.

        So none of them works long on what it took while the others have nothing left to take.
        """
        self._listener.refresh()  # or a run at work for long, whose line was cut, would not be known to take changes
        with self._claiming() as cursor:
            claims = outbox.claim_due(
                cursor,
                self._settings.source,
                limit=max(1, self._pace.largest_slice // self._settings.worker.parallel_runs),
                claimed_by=self._owner,
                seconds=self._settings.worker.claim_seconds,
            )
        self._taken |= {claim.document_id for claim in claims}
        return claims

    def _claim(self, ids: Sequence[str]) -> list[Claim]:
        with self._claiming() as cursor:
            claims, busy = outbox.claim_documents(
                cursor,
                self._settings.source,
                ids,
                run_id=self._run_id,
                seconds=self._settings.worker.claim_seconds,
            )
        self.busy += busy
        return claims

    def _slices(self, items: Sequence[T]) -> Iterator[list[T]]:
        """Parts of the items. Each is as large as the taker is likely to be done with in `Pace.slice_seconds`."""
        size, start = FIRST_SLICE, 0
        while start < len(items):
            asked = time.monotonic()
            yield list(items[start : start + size])
            start += size
            is_fast = time.monotonic() - asked < self._pace.slice_seconds
            size = min(2 * size, self._pace.largest_slice) if is_fast else max(size // 2, FIRST_SLICE)
