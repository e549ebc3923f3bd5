"""All who ever touch the outbox at once: nothing is lost, and nobody fails for another."""

import random
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import psycopg2

from rag_assets import operations
from rag_assets.claim_source import ClaimSource
from rag_assets.errors import ServiceError
from rag_assets.pipeline import Reader
from rag_assets.postgres import outbox
from rag_assets.services import Services
from rag_assets_tests import rows
from rag_assets_tests.faults import arena as arenas
from rag_assets_tests.faults.arena import DOCUMENTS, Arena, Ground, HashEmbedder, Result
from rag_assets_tests.faults.consuming import Consumer
from rag_assets_tests.faults.writing import Writer, names_of, team

CALL_SECONDS, TEXT_SECONDS = 0.02, 0.002  # of the embedder
CLAIM_SECONDS = 60.0
# As other settings make documents differ, half of them.
OUTDATE = """update rag_document_text set fingerprint = 'old' where document_id in (
    select document_id from rag_document_text where random() < 0.5 order by document_id for update skip locked
)"""


@dataclass(kw_only=True)
class Actors:
    """Each does its one thing again and again until told to stop; what they failed with is kept."""

    arena: Arena
    stop: threading.Event = field(default_factory=threading.Event)
    failed: list[str] = field(default_factory=list)

    def loops(self) -> list[Callable[[], None]]:
        backfill, ingest, batch, reconcile = (self.arena.another_reader() for _ in range(4))
        steps: list[tuple[Callable[[], object], float]] = [  # and the longest pause between two, in seconds
            (partial(self._backfill, backfill), 0.2),
            (partial(self.arena.run, reader=ingest), 0.5),
            (partial(self._batch, batch), 0.3),
            (partial(self._reconcile, reconcile), 0.3),
            (self._retry, 0.3),
            (self.arena.free_claims, 1.0),  # also those of runs at work
            (self._touch_all, 2.0),
            (partial(self.arena.sql, OUTDATE), 0.3),
        ]
        return [partial(self._again, step, pause, random.Random(self.arena.rng.random())) for step, pause in steps]

    def _again(self, step: Callable[[], object], pause: float, rng: random.Random) -> None:
        while not self.stop.wait(rng.uniform(0, pause)):
            try:
                step()
            except ServiceError as exc:
                self.failed.append(str(exc))

    def _backfill(self, reader: Reader) -> None:
        ids = [str(document) for document in names_of(self.arena)]
        arenas.run(
            self.arena.settings,
            run_id=secrets.token_hex(6),
            embedder=self.arena.embedder,
            reader=reader,
            take=partial(ClaimSource.documents, ids=ids),
            beside=ids,
        )

    def _batch(self, reader: Reader) -> None:
        """As the sensor claims, and a run takes over."""
        batch, settings = secrets.token_hex(6), self.arena.settings
        owner = f"batch:{batch}"
        with self.arena.database.transaction() as cursor:
            outbox.claim_due(cursor, settings.source, limit=10, claimed_by=owner, seconds=CLAIM_SECONDS)
        take = partial(ClaimSource.batch, batch_id=batch)
        arenas.run(settings, run_id=batch, embedder=self.arena.embedder, reader=reader, take=take)

    def _reconcile(self, reader: Reader) -> None:
        with Services(self.arena.settings, reader=reader) as services:
            operations.reconcile(services)

    def _touch_all(self) -> None:
        with suppress(psycopg2.errors.DeadlockDetected):  # with another writer, which is the application's affair
            self.arena.sql(f"update {DOCUMENTS} set version = version + 1")

    def _retry(self) -> None:
        with self.arena.database.transaction() as cursor:
            outbox.retry_dead(cursor)


class Undecided(Writer):
    """Goes back and forth between a few texts, which documents have in common."""

    def _text(self) -> str:
        return self.arena.text(3, rng=random.Random(self._rng.randrange(4)))


def all_at_once(ground: Ground, *, seed: int, long: bool) -> Result:
    """Writers, a run that stays, a backfill, `ingest`, the sensor, `reconcile`, `retry`, and claims that are freed."""
    result = Result()
    for turn in range(20 if long else 1):
        with ground.arena(seed + turn) as arena:
            arena.embedder = HashEmbedder(CALL_SECONDS, per_text=TEXT_SECONDS)
            arena.insert(40)
            arena.settle()
            writers = [
                Undecided(arena=arena, seed=one.seed, names=one.names)
                for one in team(arena, seed=seed + turn, writers=6)
            ]
            actors = Actors(arena=arena)
            loops = actors.loops()
            until = time.monotonic() + (12 if long else 6)
            with ThreadPoolExecutor(len(loops)) as executor, Consumer(arena, linger=1.0) as consumer:
                ends = [executor.submit(loop) for loop in loops]
                rows.in_threads([partial(one.work_while, lambda: time.monotonic() < until) for one in writers])  # noqa: B023
                actors.stop.set()
                for end in ends:
                    end.result()
                late = consumer.catch_up()
            failed = [*actors.failed, *consumer.faults]
            result.add([*late, *failed, *arena.violations()], trial=f"turn {turn}")
        result.notes["changes"] = result.notes.get("changes", 0) + sum(one.changes for one in writers)
    return result
