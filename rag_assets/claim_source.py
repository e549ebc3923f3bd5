"""Which documents a run works on: those it was asked for, then what changes while it is there."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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

FIRST_SLICE, LARGEST_SLICE = 10, 500  # documents handed over at a time; a batch looks for changes in between
SLICE_SECONDS = 1.0  # that a slice should take: more, and the next is smaller
FEW = 10  # documents of a run that works on these alone
BUSY_PATIENCE_SECONDS = 600.0  # how long a run waits for documents that another run is working on
LONGEST_SECONDS = 600.0  # that a run stays for changes, also where they never end; the next one has a second's start
LOOK_SECONDS = 1.0  # between looks at whether another run waits, while lingering
ENDING_LOOK_SECONDS = 0.25  # between looks at whether the documents beside the changes are done


class ClaimSource:
    """Claims documents for one run, a batch at a time.

    While it exists, it holds the lock that tells the sensor that changes are being taken: see
    `outbox.has_active_consumer`.
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
    ) -> None:
        self._database = database
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
        for part in _slices(claims):
            yield part
            if claims := self._due():  # once, or a table that never rests would keep the rest of the batch for ever
                yield claims

    def documents(self, ids: Sequence[str]) -> Iterator[list[Claim]]:
        """These documents, whether they changed or not; those that another run works on come last."""
        deadline = time.monotonic() + BUSY_PATIENCE_SECONDS
        waiting = list(ids)
        while waiting and not self._stopping.is_set():
            self.busy = []
            for part in _slices(waiting):
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
        while len(ids) > FEW and not ending.is_set() and not self._stopping.is_set():
            with self._database.transaction() as cursor:
                outbox.release_batches(cursor)
            if claims := self._due():
                yield claims
            else:
                self._listener.wait(ENDING_LOOK_SECONDS)
        self._listener.withdraw_consumer()

    def pending_until_idle(self, idle_timeout: float, *, should_yield: Callable[[], bool]) -> Iterator[list[Claim]]:
        """Everything that is due, and changes as they are notified, until none came for `idle_timeout` seconds.

        Or until another run waits for this one's place, or it has been at it for LONGEST_SECONDS: what failed in a run
        is shown when it ends, and its events are read as a whole.
        """
        end = time.monotonic() + LONGEST_SECONDS
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
        self._listener.refresh()  # or a run at work for long, whose line was cut, would not be known to take changes
        with self._claiming() as cursor:
            claims = outbox.claim_due(
                cursor,
                self._settings.source,
                limit=LARGEST_SLICE,
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


def _slices(items: Sequence[T]) -> Iterator[list[T]]:
    """Services that the taker needs about SLICE_SECONDS for, between asking for one and for the next."""
    size, start = FIRST_SLICE, 0
    while start < len(items):
        asked = time.monotonic()
        yield list(items[start : start + size])
        start += size
        is_fast = time.monotonic() - asked < SLICE_SECONDS
        size = min(2 * size, LARGEST_SLICE) if is_fast else max(size // 2, FIRST_SLICE)
