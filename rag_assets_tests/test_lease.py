"""Progress, not a live process, keeps a run's documents; what was taken over stores nothing any more."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rag_assets.errors import LostRun
from rag_assets.lease import GRACE_SECONDS, LONGEST_GAP_SECONDS, Lease, Watch
from rag_assets.model import Claim
from rag_assets.postgres import outbox, runs
from rag_assets_tests.application import WORDS, Application, HashEmbedder
from rag_assets_tests.leaping import Leaping
from rag_assets_tests.patience import until

PATIENCE = 60.0
STEP = 5.0  # between looks


class Clock:
    """Shows what it was set to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Beats:
    """Counts how often runs have told of their progress, which they do every few milliseconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._count = 0
        self._tell = runs.record_progress
        monkeypatch.setattr(runs, "record_progress", self._counted)

    def _counted(self, *args: Any, **named: Any) -> None:
        self._count += 1
        self._tell(*args, **named)

    def await_some(self) -> None:
        """Until what is true now was told, and committed."""
        before = self._count
        until(lambda: self._count >= before + 3)


@pytest.fixture
def quick(application: Application, monkeypatch: pytest.MonkeyPatch) -> Beats:
    application.beat_seconds = 0.02
    return Beats(monkeypatch)


def looks_until_found(watch: Watch, clock: Clock, progress: Callable[[int], int], *, most: int = 100) -> int | None:
    for number in range(most):
        clock.now += STEP
        if watch.stalled({"a": progress(number)}):
            return number
    return None


def progress_of(application: Application, run_id: str) -> int:
    with application.database.transaction() as cursor:
        return runs.at_work(cursor)[run_id].progress


def take_over(application: Application, run_id: str) -> bool:
    with application.database.transaction() as cursor:
        run = runs.at_work(cursor).get(run_id)
        return runs.take_over(cursor, run_id, progress=None if run is None else run.progress)


def opened(application: Application, run_id: str = "1") -> Lease:
    beat_seconds = application.beat_seconds
    return Lease(
        application.database, run_id=run_id, claim_seconds=900, patience_seconds=PATIENCE, beat_seconds=beat_seconds
    )


# ---- who stands still


def test_run_stands_still_when_it_gets_no_further_for_longer_than_a_step_may_take() -> None:
    """The limit of a single step, and some grace; one that gets on, however slowly, is left alone."""
    clock = Clock()
    found = looks_until_found(Watch(PATIENCE, clock=clock), clock, lambda _: 7)
    assert found is not None
    assert PATIENCE + GRACE_SECONDS <= found * STEP <= PATIENCE + GRACE_SECONDS + 2 * STEP
    slow = lambda number: number // 15  # noqa: E731 - a step of 75 seconds
    assert looks_until_found(Watch(PATIENCE, clock=clock), clock, slow) is None


@pytest.mark.parametrize("jump", [3_600.0, 86_400.0, -3_600.0])
def test_no_run_stands_still_because_the_watch_did(jump: float) -> None:
    """All processes stopped and continued, a machine that slept, a clock set: the runs get their time again."""
    clock = Clock()
    watch = Watch(PATIENCE, clock=clock)
    watch.stalled({"a": 7})
    clock.now += jump
    assert watch.stalled({"a": 7}) == {}
    found = looks_until_found(watch, clock, lambda _: 7)
    assert found is not None
    assert found * STEP >= PATIENCE + GRACE_SECONDS - LONGEST_GAP_SECONDS - STEP


@pytest.mark.parametrize(("passed", "counted"), [(4.0, 4.0), (3_600.0, LONGEST_GAP_SECONDS), (-3_600.0, 0.0)])
def test_watch_goes_on_from_what_another_one_had_seen(passed: float, counted: float) -> None:
    """The time between them counts as that between two looks; a run that got on meanwhile is no further from then."""
    clock = Clock()
    first = Watch(PATIENCE, clock=clock)
    for _ in range(3):
        first.stalled({"a": 7, "b": 1})
        clock.now += STEP
    still = 2 * STEP
    second = Watch(PATIENCE, clock=clock)
    second.resume(first.seen, passed=passed)
    assert second.stalled({"a": 7, "b": 2}) == {}
    assert second.seen == {"a": (7, still + counted), "b": (2, 0.0)}
    looks = looks_until_found(second, clock, lambda _: 7)
    assert looks is not None
    found_after = still + counted + (looks + 1) * STEP
    assert PATIENCE + GRACE_SECONDS <= found_after <= PATIENCE + GRACE_SECONDS + STEP


# ---- what counts as progress


def test_run_tells_of_progress_while_it_has_nothing_in_hand(application: Application, quick: Beats) -> None:
    """One that waits for changes does not stand still."""
    with opened(application):
        before = progress_of(application, "1")
        quick.await_some()
        assert progress_of(application, "1") > before


def test_run_tells_how_far_its_long_documents_are(application: Application, quick: Beats) -> None:
    """Until they are done."""
    with opened(application) as held:
        held.take(1)
        held.tell_part("7", 352, 1_396)
        quick.await_some()
        assert application.sql("select parts from rag_runs") == [({"7": [352, 1_396]},)]
        held.settle(["7"])
        quick.await_some()
        assert application.sql("select parts from rag_runs") == [({},)]


def test_run_with_documents_tells_of_progress_only_when_it_gets_on(application: Application, quick: Beats) -> None:
    """That its threads live is not enough; a request for vectors of a long document is."""
    with opened(application) as held:
        held.take(1)
        held.settle([])
        quick.await_some()
        before = progress_of(application, "1")
        quick.await_some()
        assert progress_of(application, "1") == before
        held.move()
        quick.await_some()
        assert progress_of(application, "1") == before + 1


def test_vectors_of_a_part_of_a_document_are_progress(application: Application, quick: Beats) -> None:
    """A huge document on a slow machine is embedded for longer than a run may stand still."""
    seen = []

    class Slow(HashEmbedder):
        def embed(self, texts, *, token_counts):  # type: ignore[no-untyped-def]
            for _ in range(3):
                quick.await_some()
                seen.append(progress_of(application, "1"))
                self.on_embedded(2)
            return super().embed(texts, token_counts=token_counts)

    application.add("a.txt", *WORDS)
    assert len(application.run(embedder=Slow())) == 1
    assert len(set(seen)) == 3


def test_claims_are_not_kept_when_their_run_stands_still(application: Application, quick: Beats) -> None:
    """Its threads go on telling, but what they hold runs out, and others take it."""
    document_id = application.add("a.txt", *WORDS)
    held = Lease(application.database, run_id="1", claim_seconds=0.4, patience_seconds=0.3, beat_seconds=0.02)
    application.settings = application.settings.model_copy(
        update={"worker": application.settings.worker.model_copy(update={"claim_seconds": 0.4})}
    )
    with held:
        assert application.claim(run_id="1")
        held.take(1)
        taken: list[Claim] = []
        until(lambda: taken.extend(application.claim(run_id="2")) or taken)
        assert [claim.document_id for claim in taken] == [document_id]


def test_claims_are_kept_when_all_stood_still(
    application: Application, quick: Beats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was stopped and continued with everything else goes on with what it holds."""
    application.add("a.txt", *WORDS)
    with opened(application) as held:
        held.take(1)
        application.claim(run_id="1")
        [(before,)] = application.sql("select claimed_until from rag_outbox")
        monkeypatch.setattr(time, "monotonic", clock := Leaping(after=20))
        for _ in range(600):
            [(after,)] = application.sql("select claimed_until from rag_outbox")
            if after > before:
                break
            time.sleep(0.1)
    assert clock.leapt
    assert after > before


class Slow(HashEmbedder):
    """Is done with its first texts only when the documents are free, or after a minute."""

    def __init__(self, application: Application) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.owners: list[object] = []
        self._application = application

    def embed(self, texts: Sequence[str], *, token_counts: Sequence[int]) -> Any:
        self.begun.set()
        for _ in range(600):
            [(_, _, _, owner)] = self._application.pending()
            if owner is None:
                break
            time.sleep(0.1)
        self.owners.append(owner)
        return super().embed(texts, token_counts=token_counts)


def test_documents_are_given_back_before_the_threads_of_a_run_have_ended(application: Application) -> None:
    """Whoever stops a run kills it after a while: what it holds is free by then, however long a request takes."""
    application.add("a.txt", *WORDS)
    slow = Slow(application)
    pipeline = application.pipeline(run_id="1", embedder=slow)

    def lose() -> None:
        slow.begun.wait(60)
        pipeline._lease.lost.set()

    threading.Thread(target=lose).start()
    with pytest.raises(LostRun):
        list(pipeline.ingest([application.claim(run_id="1")]))
    assert slow.owners == [None]


# ---- what was taken over


def test_run_that_was_taken_over_stores_nothing_over_the_newer_result(application: Application) -> None:
    """It wakes up with what it read long ago, while another run has stored what the file says now."""
    document_id = application.add("a.txt", "pumps")

    def meanwhile() -> None:
        assert take_over(application, "1")
        application.write("a.txt", "locks")
        application.run(run_id="2")
        application.change(document_id)  # so that there is a row again that it could claim

    with pytest.raises(LostRun, match="stood still"):
        application.run(run_id="1", embedder=HashEmbedder(meanwhile=meanwhile))
    [stored] = application.stored(document_id)
    assert "locks" in stored
    assert application.pending() == [(document_id, "pending", 0, None)]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("feed", "embed", "keep"))]


def test_run_that_hangs_ends_when_it_was_taken_over(application: Application, quick: Beats) -> None:
    """Its embedder and reader are broken off: it does not hold on to memory and processes."""
    interrupted = threading.Event()

    class Hanging(HashEmbedder):
        def embed(self, texts, *, token_counts):  # type: ignore[no-untyped-def]
            while not take_over(application, "1"):  # it has just told that it got on
                time.sleep(0.01)
            assert interrupted.wait(60)
            return super().embed(texts, token_counts=token_counts)

        def interrupt(self) -> None:
            interrupted.set()

    application.add("a.txt", *WORDS)
    with pytest.raises(LostRun):
        application.run(run_id="1", embedder=Hanging())
    [(_, state, attempts, owner)] = application.pending()
    assert (state, attempts, owner) == ("pending", 0, None)


def test_run_that_was_taken_over_before_it_began_does_nothing(application: Application) -> None:
    """It was stopped while its process started."""
    document_id = application.add("a.txt", *WORDS)
    assert take_over(application, "1")
    with pytest.raises(LostRun):
        application.run(run_id="1")
    assert application.stored(document_id) == []


def test_run_is_not_taken_over_while_it_stores(application: Application) -> None:
    """Nor when it got on since somebody looked."""
    with opened(application) as held:
        with application.database.transaction() as cursor:
            held.hold(cursor)
            assert not take_over(application, "1")
        with application.database.transaction() as cursor:
            assert not runs.take_over(cursor, "1", progress=-5)
        assert take_over(application, "1")


def test_lock_of_a_run_that_was_taken_over_says_nothing(application: Application) -> None:
    """Its connection lives as long as its process: changes are no longer left to it."""

    def has_active_consumer() -> bool:
        with application.database.transaction() as cursor:
            return outbox.count_consumers(cursor) > 0

    with application.listener() as listener:
        application.claim_source(listener, run_id="1")
        assert has_active_consumer()
        assert take_over(application, "1")
        assert not has_active_consumer()


def test_what_a_stopped_process_locked_is_free_after_a_minute(application: Application) -> None:
    """Sessions end whose client says nothing amid a transaction."""
    with application.database.transaction() as cursor:
        cursor.execute("show idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("1min",)
