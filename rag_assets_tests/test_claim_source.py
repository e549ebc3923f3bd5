"""Which documents a run works on: what it was asked for, what changes meanwhile ahead of it, nothing twice."""

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import chain, islice

import pytest

from rag_assets.claim_source import FEW_DOCUMENTS, FIRST_SLICE, ClaimSource, Pace
from rag_assets.model import Claim
from rag_assets.postgres import outbox
from rag_assets_tests.application import Application
from rag_assets_tests.patience import until

LISTENING = (
    "select pid from pg_locks where locktype = 'advisory' "
    "and classid = hashtext('rag_assets.intake.' || current_schema())::oid"
)


@pytest.fixture
def claim_source(application: Application, request: pytest.FixtureRequest) -> Iterator[ClaimSource]:
    """That of run 1, at the pace that a test asks for."""
    with application.listener() as listener:
        yield application.claim_source(listener, run_id="1", pace=getattr(request, "param", Pace()))


def at(pace: Pace) -> pytest.MarkDecorator:
    """Has `claim_source` work at this pace."""
    return pytest.mark.parametrize("claim_source", [pace], indirect=True, ids=[""])


def never() -> bool:
    return False


def add(application: Application, count: int) -> list[str]:
    """Documents without files: nobody reads them here."""
    statement = f"""insert into "TblDocumentFiles" (file_path) select 'f' || n from generate_series(1, {count}) as n"""
    added = [str(row[0]) for row in application.sql(f"{statement} returning id")]
    application.sql("select rag_take_changes()")
    return added


def settle(application: Application) -> None:
    application.sql("delete from rag_changes; delete from rag_outbox")


def ids(batch: Sequence[Claim]) -> list[str]:
    return [claim.document_id for claim in batch]


def has_active_consumer(application: Application) -> bool:
    with application.database.transaction() as cursor:
        return outbox.count_consumers(cursor) > 0


@at(Pace(largest_slice=20))
def test_pending_gives_each_document_once_when_there_are_many(
    application: Application, claim_source: ClaimSource
) -> None:
    """In slices, the oldest first, until nothing is due."""
    added = add(application, 41)
    batches = [ids(batch) for batch in claim_source.pending()]
    assert [len(batch) for batch in batches] == [20, 20, 1]
    assert sorted(chain(*batches), key=int) == added


@pytest.mark.parametrize("way", ["pending", "batch", "linger"])
def test_run_is_known_to_take_changes_when_its_line_was_cut(application: Application, way: str) -> None:
    """Also while it has so much to do that it never waits: without, the sensor would claim what changes beside it."""
    add(application, 2 * FIRST_SLICE + 1)
    with application.listener() as listener:
        claim_source = application.claim_source(listener, run_id="1")
        if way == "batch":
            with application.database.transaction() as cursor:
                outbox.claim_due(cursor, application.settings.source, limit=999, claimed_by="batch:mine", seconds=60)
        batches = {
            "pending": claim_source.pending,
            "batch": lambda: claim_source.batch("mine"),
            "linger": lambda: claim_source.pending_until_idle(60, should_yield=never),
        }[way]()
        next(batches)
        [(pid,)] = application.sql(LISTENING)
        application.sql(f"select pg_terminate_backend({pid}, 60_000)")
        assert not has_active_consumer(application)
        add(application, 1)
        next(batches)
        assert has_active_consumer(application)


def test_a_table_that_never_rests_keeps_nobody_waiting(application: Application, claim_source: ClaimSource) -> None:
    """Not another run, not the rest of a batch, and not the end of a backfill's run."""
    first, *others = add(application, FIRST_SLICE + 2)
    with application.database.transaction() as cursor:
        source = application.settings.source
        outbox.claim_due(cursor, source, limit=999, claimed_by="batch:mine", seconds=60)

    def changing(batches: Iterator[list[Claim]]) -> Iterator[list[str]]:
        for batch in batches:
            application.change(first)
            yield ids(batch)

    batch = changing(claim_source.batch("mine"))
    assert [len(slice_) for slice_ in islice(batch, 4)] == [FIRST_SLICE, 1, 2, 1]
    waiting = iter([False, False, True])
    assert list(changing(claim_source.pending(should_yield=lambda: next(waiting)))) == [[first]] * 2
    ending = threading.Event()
    beside = changing(claim_source.changes_beside(others, ending=ending))
    assert next(beside) == [first]
    ending.set()
    assert list(beside) == []


def test_nothing_more_is_claimed_when_the_run_is_stopping(application: Application) -> None:
    """What it would not work on any more is left to the next run."""
    add(application, 40)
    stopping = threading.Event()
    with application.listener() as listener:
        claim_source = ClaimSource(
            application.database,
            application.settings,
            run_id="1",
            listener=listener,
            stopping=stopping,
            pace=Pace(largest_slice=20),
        )
        batches = claim_source.pending()
        assert len(next(batches)) == 20
        stopping.set()
        assert list(batches) == list(claim_source.pending_until_idle(3_600, should_yield=never)) == []
    assert [owner for *_, owner in application.pending()].count(None) == 20


def test_batch_gives_what_the_sensor_claimed_for_it(application: Application, claim_source: ClaimSource) -> None:
    """What came since goes ahead of the rest of it; another batch is left to the run that is still to come."""
    for batch_id, count in (("mine", FIRST_SLICE + 1), ("other", 3)):
        add(application, count)
        with application.database.transaction() as cursor:
            source = application.settings.source
            outbox.claim_due(cursor, source, limit=999, claimed_by=f"batch:{batch_id}", seconds=60)
    late = add(application, 1)
    batches = [ids(batch) for batch in claim_source.batch("mine")]
    assert [len(batch) for batch in batches] == [FIRST_SLICE, 1, 1]
    assert batches[1] == late
    owners = [owner for *_, owner in application.pending()]
    assert (owners.count("run:1"), owners.count("batch:other")) == (FIRST_SLICE + 2, 3)


def test_batch_is_empty_when_another_run_took_its_documents(
    application: Application, claim_source: ClaimSource
) -> None:
    """A run that comes late does nothing, and nothing twice."""
    assert list(claim_source.batch("unknown")) == []


def test_documents_gives_those_asked_for_when_nothing_changed(
    application: Application, claim_source: ClaimSource
) -> None:
    """Whoever asks for documents gets these, and no others that happen to be due."""
    added = add(application, 5)
    settle(application)
    changed = add(application, 1)
    [batch] = claim_source.documents(added[:2])
    assert ids(batch) == added[:2]
    assert [(name, owner) for name, _, _, owner in application.pending()][-1] == (changed[0], None)


def test_documents_gives_a_document_without_row_to_be_removed(
    application: Application, claim_source: ClaimSource
) -> None:
    """Partitions may outlive their rows: their chunks are to go."""
    [[claim]] = claim_source.documents(["12345"])
    assert (claim.document_id, claim.path) == ("12345", None)


def test_changes_come_beside_the_many_documents_of_a_backfill(
    application: Application, claim_source: ClaimSource
) -> None:
    """Until those are done; a document that changed before its turn is not done twice."""
    added = add(application, 50)
    settle(application)
    ending = threading.Event()
    batches, changes = claim_source.documents(added), claim_source.changes_beside(added, ending=ending)
    assert sorted(ids(next(batches)), key=int) == added[:FIRST_SLICE]
    application.change(added[-1])
    new = add(application, 1)
    assert sorted(ids(next(changes))) == sorted([added[-1], *new])
    assert sorted(chain(*map(ids, batches)), key=int) == added[FIRST_SLICE:-1]
    assert has_active_consumer(application)
    ending.set()
    assert list(changes) == []
    assert not has_active_consumer(application)


def test_many_documents_come_with_what_the_sensor_claimed_just_before(
    application: Application, claim_source: ClaimSource
) -> None:
    """The run for that would wait until this one ends: 84 s were seen for a change."""
    added = add(application, FEW_DOCUMENTS + 1)
    settle(application)
    new = add(application, 1)
    application.sql("select rag_take_changes()")
    application.sql("update rag_outbox set claimed_by = 'batch:b', claimed_until = now() + '1 hour'")
    ending = threading.Event()
    late = threading.Timer(60, ending.set)  # so that it ends without them, too
    late.start()
    assert ids(next(claim_source.changes_beside(added, ending=ending), [])) == new
    late.cancel()
    late.join()


def test_few_documents_leave_changes_to_the_sensor(application: Application, claim_source: ClaimSource) -> None:
    """A run on a few documents ends soon, and tells of these alone: changes get a run of their own."""
    add(application, 1)
    assert has_active_consumer(application)
    assert list(claim_source.changes_beside(["1"] * FEW_DOCUMENTS, ending=threading.Event())) == []
    assert not has_active_consumer(application)


@pytest.mark.parametrize(
    ("claim_source", "sizes"),
    [(Pace(slice_seconds=60.0), [10, 20, 40, 10]), (Pace(slice_seconds=0.0), [10] * 8)],
    indirect=["claim_source"],
    ids=["fast", "slow"],
)
def test_slices_grow_as_long_as_they_are_quickly_done(
    application: Application, claim_source: ClaimSource, sizes: list[int]
) -> None:
    """Many small documents are claimed in few statements; with large ones, a change does not wait long."""
    added = add(application, 80)
    settle(application)
    assert [len(batch) for batch in claim_source.documents(added)] == sizes


def test_documents_waits_for_those_that_another_run_works_on(
    application: Application, claim_source: ClaimSource
) -> None:
    """They come last, as soon as the other run lets go."""
    added = add(application, 3)
    hold = (
        f"update rag_outbox set claimed_by = 'run:2', claimed_until = now() + '1 hour' where document_id = '{added[0]}'"
    )
    application.sql(hold)
    batches = claim_source.documents(added)
    assert ids(next(batches)) == added[1:]
    with application.database.transaction() as cursor:
        outbox.release(cursor, "run:2")
    assert list(chain(*map(ids, batches))) == added[:1]
    assert claim_source.busy == []


@at(Pace(busy_patience_seconds=0.0))
def test_documents_tells_which_another_run_kept_to_the_end(application: Application, claim_source: ClaimSource) -> None:
    """After its patience, a run says what it did not get hold of."""
    added = add(application, 2)
    application.sql("update rag_outbox set claimed_by = 'run:2', claimed_until = now() + '1 hour'")
    assert list(chain(*claim_source.documents(added))) == []
    assert sorted(claim_source.busy) == sorted(added)


def test_linger_gives_a_change_that_comes_while_it_waits(application: Application, claim_source: ClaimSource) -> None:
    """The notice of its transaction wakes the run: it does not sleep its time out."""
    batches = claim_source.pending_until_idle(600, should_yield=never)
    timer = threading.Timer(0.3, add, (application, 1))
    timer.start()
    started = time.monotonic()
    assert len(next(batches)) == 1
    timer.join()
    assert time.monotonic() - started < 500


def test_linger_ends_when_nothing_changes_for_its_time(application: Application, claim_source: ClaimSource) -> None:
    """And tells the sensor that changes are its own again, before the run has ended."""
    assert has_active_consumer(application)
    assert list(claim_source.pending_until_idle(0.2, should_yield=never)) == []
    assert not has_active_consumer(application)


@at(Pace(longest_seconds=0.5))
def test_linger_ends_in_time_when_changes_never_do(application: Application, claim_source: ClaimSource) -> None:
    """What failed meanwhile is to be seen some day, and a run's events are to stay readable."""
    [changed] = add(application, 1)
    for batch in claim_source.pending_until_idle(30, should_yield=never):
        assert ids(batch) == [changed]
        application.change(changed)
    assert not has_active_consumer(application)
    assert application.pending() == [(changed, "pending", 0, "run:1")]


def test_linger_ends_at_once_when_another_run_waits(application: Application, claim_source: ClaimSource) -> None:
    """Whoever wants the one place at llama-server does not wait for a run that has nothing to do."""
    assert list(claim_source.pending_until_idle(3_600, should_yield=lambda: True)) == []
    assert not has_active_consumer(application)


def test_changes_are_taken_as_long_as_the_listener_is_open(application: Application) -> None:
    """A run that dies leaves the changes to the sensor without having said so."""
    with application.listener() as listener:
        application.claim_source(listener, run_id="1")
        assert has_active_consumer(application)
    until(lambda: not has_active_consumer(application))  # the server takes a moment to end the session


def test_several_runs_at_once_take_less_at_a_time(application: Application) -> None:
    """Or one would be at work for long on what it took, and the others, at the end, had nothing to take."""
    worker = application.settings.worker.model_copy(update={"parallel_runs": 4})
    application.settings = application.settings.model_copy(update={"worker": worker})
    add(application, 12)
    with application.listener() as listener:
        source = application.claim_source(listener, run_id="1", pace=Pace(largest_slice=20))
        assert [len(batch) for batch in source.pending()] == [5, 5, 2]
