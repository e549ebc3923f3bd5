"""Runs that follow each other while an application writes, as a daemon would start them."""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rag_assets.claim_source import ClaimSource
from rag_assets.errors import DatabaseUnavailable, ServiceError
from rag_assets.model import Claim, ReadDocument
from rag_assets.pipeline import Embeds, Reader
from rag_assets.postgres import outbox
from rag_assets_tests.faults import arena as arenas
from rag_assets_tests.faults.arena import Arena, Listen
from rag_assets_tests.faults.reading import ReaderAround

LINGER_SECONDS = 2.0
CATCH_UP_SECONDS = 240.0  # far above what it takes
# A claim that goes from one run at work to another.
AUDIT = """
create table test_stolen (document_id text, from_run text, to_run text);
create function test_audit() returns trigger language plpgsql as $$ begin
    insert into test_stolen values (new.document_id, old.claimed_by, new.claimed_by); return null;
end $$;
create trigger test_audit after update on rag_outbox for each row when (
    old.claimed_by like 'run:%' and new.claimed_by like 'run:%' and old.claimed_by <> new.claimed_by
    and old.claimed_until > clock_timestamp()
) execute function test_audit();
"""


class Watch:
    """Notes when two runs read the same document at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading: Counter[str] = Counter()
        self.twice: list[str] = []

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        with self._lock:
            self._reading[name] += 1
            if self._reading[name] > 1:
                self.twice.append(name)
        yield
        with self._lock:
            self._reading[name] -= 1


class WatchedReader(ReaderAround):
    """A reader that takes its time, and tells what it reads."""

    def __init__(self, reader: Reader, watch: Watch, *, seconds: float) -> None:
        super().__init__(reader)
        self._watch = watch
        self._seconds = seconds

    def read(self, path: Path, *, name: str) -> ReadDocument:
        with self._watch.on(name):
            time.sleep(self._seconds)
            return super().read(path, name=name)


class Consumer:
    """One run after the other, each lingering for changes, from `with` to its end; outlives ServiceErrors."""

    def __init__(
        self,
        arena: Arena,
        *,
        listen: Listen | None = None,
        embedder: Embeds | None = None,
        watch: Watch | None = None,
        linger: float = LINGER_SECONDS,
    ) -> None:
        self._arena = arena
        self._listen = listen
        self._embedder = embedder or arena.embedder
        reader = arena.another_reader()
        self._reader: Reader = WatchedReader(reader, watch, seconds=0.003) if watch else reader
        self._linger = linger
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="consumer")
        self._ended: set[str] = set()  # runs whose claims may have to be released
        self.runs = 0
        self.outcomes = 0
        self.faults: Counter[str] = Counter()  # ServiceErrors of the runs, by their class
        self.errors: list[BaseException] = []

    def __enter__(self) -> "Consumer":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def catch_up(self, *, seconds: float = CATCH_UP_SECONDS) -> list[str]:
        """Wait until nothing is left to do, with no run but the consumer's own; what is wrong with that."""
        deadline = time.monotonic() + seconds
        while not self._is_settled() and self._thread.is_alive():
            if time.monotonic() > deadline:
                return [f"not caught up within {seconds:.0f} s", *map(repr, self.errors)]
            time.sleep(0.1)
        return [f"the consumer ended with {error!r}" for error in self.errors]

    def _is_settled(self) -> bool:
        with suppress(DatabaseUnavailable):
            return self._arena.is_settled()
        return False

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                self._run()
        except BaseException as exc:  # noqa: BLE001 - reported by `catch_up`, in the test's thread
            self.errors.append(exc)

    def _run(self) -> None:
        self._free_ended()
        run_id = secrets.token_hex(6)
        self.runs += 1
        try:
            self.outcomes += arenas.run(
                self._arena.settings,
                run_id=run_id,
                embedder=self._embedder,
                reader=self._reader,
                take=self._take,
                listen=self._listen,
            )
        except ServiceError as exc:
            self.faults[type(exc).__name__] += 1
            self._stop.wait(0.2)
        self._ended.add(run_id)

    def _take(self, claim_source: ClaimSource) -> Iterator[Sequence[Claim]]:
        return claim_source.pending_until_idle(self._linger, should_yield=self._stop.is_set)

    def _free_ended(self) -> None:
        """As the sensor does every few seconds, for runs that could not release what they held."""
        with suppress(DatabaseUnavailable), self._arena.database.transaction() as cursor:
            for run_id in self._ended:
                outbox.release(cursor, f"run:{run_id}")


def audit(arena: Arena) -> None:
    """Have the database itself note claims that are taken from a run at work."""
    arena.sql(AUDIT)


def stolen(arena: Arena) -> list[str]:
    return [f"claim on {row[0]} went from {row[1]} to {row[2]}" for row in arena.sql("select * from test_stolen")]
