"""The sensor's requests, and claims that live as long as their run."""

import gc
import time
import weakref
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterInstance, DagsterRunStatus
from sqlalchemy.dialects.postgresql.base import PGDialect

from rag_assets import lease, operations
from rag_assets.defs import checks, launching, partitions, sensors
from rag_assets.defs.jobs import BATCH_TAG, POOL_NAME
from rag_assets.errors import LostRun
from rag_assets.lease import GRACE_SECONDS, Watch
from rag_assets.postgres import outbox, runs
from rag_assets.processes import identity
from rag_assets_tests.application import WORDS, HashEmbedder
from rag_assets_tests.patience import until
from rag_assets_tests.project import Project, Short, claim, submit


def test_looks_of_the_sensor_share_one_instance(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the code server, where Dagster hands over what one is made from: each that is made leaves something behind."""
    made, make = [], DagsterInstance.from_ref
    monkeypatch.setattr(DagsterInstance, "from_ref", lambda ref: made.append(make(ref)) or made[-1])
    with dg.instance_for_test() as instance:
        sensor = project.definitions.get_repository_def().get_sensor_def("document_changes")
        for _ in range(3):
            context = dg.build_sensor_context(
                instance_ref=instance.get_ref(), definitions=project.definitions, sensor_name="document_changes"
            )
            with context:
                assert sensor.evaluate_tick(context).skip_message
    assert len(made) == 1
    made[0].dispose()


def test_nothing_is_kept_of_the_instance_of_a_look(project: Project) -> None:
    """Dagster makes a new one for each: the code server grew by 0.4 MB a look, and read all ids of the table."""
    project.application.add("a.txt", *WORDS)
    with DagsterInstance.ephemeral() as first:
        partitions.add_all_once(first, project.services)
        assert len(first.get_dynamic_partitions(partitions.PARTITIONS_NAME)) == 1
    with DagsterInstance.ephemeral() as second:
        partitions.add_all_once(second, project.services)
        assert second.get_dynamic_partitions(partitions.PARTITIONS_NAME) == []
    kept = weakref.ref(first)
    del first
    gc.collect()
    assert kept() is None


def test_nothing_is_kept_of_an_instance_on_postgresql_that_was_asked_for_failed_runs(
    project: Project, tmp_path: Path
) -> None:
    """SQLAlchemy caches some queries together with all that it knows of a database, once for each instance."""
    url = project.services.database_url.replace("postgresql://", "postgresql+psycopg2://", 1)
    storage = {"storage": {"postgres": {"postgres_url": url}}}

    def look() -> None:
        with DagsterInstance.local_temp(str(tmp_path), overrides=storage) as instance:
            assert sensors._pause(instance) == 0

    look()
    before = _dialects()
    for _ in range(3):
        look()
    assert _dialects() <= before


def _dialects() -> int:
    gc.collect()
    return sum(isinstance(one, PGDialect) for one in gc.get_objects())


def test_one_run_is_requested_when_many_documents_changed(project: Project) -> None:
    """With a priority above that of a backfill, and a partition for each document before the run begins."""
    ids = {project.application.add(f"{n}.txt", *WORDS) for n in range(5)}
    [request] = project.tick().run_requests
    assert request.tags["dagster/priority"] == "10"
    assert request.tags["rag_assets/documents"] == "5"
    assert request.run_key == request.tags[BATCH_TAG]
    assert set(project.instance.get_dynamic_partitions(partitions.PARTITIONS_NAME)) == ids


def test_sensor_says_what_hinders_it_when_the_table_is_renamed(project: Project) -> None:
    """It is no error of the sensor, and it goes on when the table is back, with what was written meanwhile."""
    project.application.add("a.txt", *WORDS)
    project.application.sql('alter table "TblDocumentFiles" rename to renamed')
    for _ in range(2):
        tick = project.tick()
        assert tick.run_requests == []
        assert tick.skip_message.startswith("There is no table TblDocumentFiles: work is paused")
    project.application.sql("insert into renamed (file_path) values ('b.txt')")
    project.application.sql('alter table renamed rename to "TblDocumentFiles"')
    [request] = project.tick().run_requests
    assert request.tags["rag_assets/documents"] == "2"


def test_sensor_says_how_many_documents_wait_and_what_for(project: Project) -> None:
    """For another attempt, or for a run that has them."""
    for n in range(2):
        project.application.add_row(f"missing-{n}.txt")
    assert len(project.tick().run_requests) == 1
    # Set here, and not left to a run that fails: a slow machine may outlast the pause after an error.
    project.application.sql(
        """update rag_outbox set claimed_by = null, claimed_until = null, error_kind = 'not_found',
        not_before = now() + interval '1 hour'"""
    )
    said = project.tick().skip_message
    assert said.startswith("2 documents are pending: after an error, and the next is tried again within 3"), said
    project.application.sql("update rag_outbox set claimed_by = 'batch:b', claimed_until = now() + interval '1 hour'")
    submit(project, tags={BATCH_TAG: "b"}, status=DagsterRunStatus.STARTED)
    said = project.tick().skip_message
    assert said == "2 documents are pending: a run is at work, or about to be, and takes what comes meanwhile."


def test_sensor_counts_some_of_many_that_wait(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so at each look, in which a count of a million would take longer than the look itself."""
    monkeypatch.setattr(sensors, "COUNTED", 2)
    for n in range(4):
        project.application.add_row(f"missing-{n}.txt")
    project.tick()
    project.application.sql(
        """update rag_outbox set claimed_by = case document_id when '1' then 'batch:b' end, error_kind = 'not_found',
        claimed_until = now() + interval '1 hour', not_before = now() + interval '1 hour'"""
    )
    project.application.sql("update rag_outbox set claimed_until = null where claimed_by is null")
    said = project.tick().skip_message
    wait = "1 in a run, the others after an error, and the next is tried again within 3"
    assert said.startswith(f"More than 2 documents are pending: {wait}"), said


def test_sensor_sees_a_table_that_was_made_anew(project: Project) -> None:
    """At its next look, with the rows that were written before it had its triggers, and those after."""
    project.application.sql(
        """drop table "TblDocumentFiles";
        create table "TblDocumentFiles" (id bigint generated always as identity, file_path text);
        insert into "TblDocumentFiles" (file_path) values ('a.txt'), ('b.txt')"""
    )
    [request] = project.tick().run_requests
    assert request.tags["rag_assets/documents"] == "2"
    project.run(succeeds=False, run_config=request.run_config, tags=request.tags)
    project.application.sql("""insert into "TblDocumentFiles" (file_path) values ('c.txt')""")
    [request] = project.tick().run_requests
    assert request.tags["rag_assets/documents"] == "1"


def test_sensor_says_that_deletions_are_held_when_the_table_is_empty(project: Project) -> None:
    """No run is requested for them, and how to confirm them is said."""
    for n in range(12):
        project.application.add(f"{n}.txt", f"subject {n}")
    project.run()
    project.application.sql('truncate "TblDocumentFiles"')
    tick = project.tick()
    assert tick.run_requests == []
    assert tick.skip_message.startswith("12 of 12 indexed documents have lost their row")
    assert operations.confirm_deletions(project.services) == 12
    assert len(project.tick().run_requests) == 1


def test_requested_run_takes_what_was_claimed_for_it(project: Project) -> None:
    """The request of one tick, given to a run, leaves nothing to do."""
    ids = {project.application.add(f"{n}.txt", *WORDS) for n in range(5)}
    [request] = project.tick().run_requests
    project.run(run_config=request.run_config, tags=request.tags)
    assert project.partitions("MATERIALIZED") == ids
    assert project.application.pending() == []


def test_no_document_is_requested_twice_when_two_ticks_look(project: Project) -> None:
    """The second finds the claims of the first; once its run is in the queue, new changes wait for that run."""
    project.application.add("a.txt", *WORDS)
    [request] = project.tick().run_requests
    assert project.tick().run_requests == []
    submit(project, tags=request.tags, status=DagsterRunStatus.STARTING)
    project.application.add("b.txt", *WORDS)
    tick = project.tick()
    assert tick.run_requests == []
    assert "pending: a run is at work, or about to be" in tick.skip_message


def test_sensor_leaves_changes_to_a_run_that_takes_them(project: Project) -> None:
    """No second run for what the first picks up by itself; when it has left, the sensor is back."""
    project.application.add("a.txt", *WORDS)
    with project.application.listener() as listener:
        listener.announce_consumer()
        assert project.tick().run_requests == []
        listener.withdraw_consumer()
        assert len(project.tick().run_requests) == 1


@pytest.mark.parametrize(
    ("parallel_runs", "consumers", "documents", "requested"),
    [(1, 1, 9, False), (2, 1, 9, True), (2, 1, 2, False), (2, 2, 9, False), (3, 2, 9, True), (2, 0, 1, True)],
)
def test_further_run_is_requested_while_more_is_due_than_those_at_work_take(
    project: Project, parallel_runs: int, consumers: int, documents: int, requested: bool
) -> None:
    """As many as the settings allow, and for no few changes, which the first one has in a moment."""
    project.set_worker(parallel_runs=parallel_runs, documents_per_run=3)
    with ExitStack() as stack:
        for number in range(consumers):
            stack.enter_context(project.application.listener()).announce_consumer(f"run {number}")
        for number in range(documents):
            project.application.add(f"{number}.txt", *WORDS)
        project.application.sql("select rag_take_changes()")
        requests = project.tick().run_requests
        assert [request.tags["rag_assets/documents"] for request in requests] == ["3" if documents > 2 else "1"][
            : int(requested)
        ]


def test_run_that_started_and_takes_no_changes_yet_has_its_place(project: Project) -> None:
    """A third one would wait behind the two, with documents that these could have taken."""
    project.set_worker(parallel_runs=2, documents_per_run=3)
    for number in range(9):
        project.application.add(f"{number}.txt", *WORDS)
    project.application.sql("select rag_take_changes()")
    for _ in range(2):
        submit(project, tags={"dagster/priority": sensors.RUN_PRIORITY}, status=DagsterRunStatus.STARTED)
    with project.application.listener() as listener:
        listener.announce_consumer("the first of them")
        assert project.tick().run_requests == []
    assert len(project.tick().run_requests) == 1  # as ever, once none takes changes


@pytest.mark.parametrize(("before", "parallel_runs", "after"), [(None, 1, None), (None, 2, 2), (2, 1, 1), (0, 2, 0)])
def test_pool_has_as_many_places_as_there_may_be_runs(
    project: Project, before: int | None, parallel_runs: int, after: int | None
) -> None:
    """Of a backfill, too. One is what Dagster gives it by itself; none is what somebody gave it."""
    storage = project.instance.event_log_storage
    if before is not None:
        storage.set_concurrency_slots(POOL_NAME, before)
    project.set_worker(parallel_runs=parallel_runs)
    project.application.add("a.txt", *WORDS)
    assert project.tick().run_requests
    assert {pool.name: pool.limit for pool in storage.get_pool_limits()}.get(POOL_NAME) == after


def test_deleted_document_gets_a_run_but_no_partition(project: Project) -> None:
    """Its chunks are to go; a partition would come and go with them."""
    project.application.remove(project.application.add("a.txt", *WORDS))
    assert len(project.tick().run_requests) == 1
    assert project.instance.get_dynamic_partitions(partitions.PARTITIONS_NAME) == []


@pytest.mark.parametrize("kind", ["run", "batch"])
@pytest.mark.parametrize(
    ("status", "kept"),
    [
        ("SUCCESS", False),
        ("FAILURE", False),
        ("CANCELED", False),
        ("STARTING", True),
        ("STARTED", True),
        ("CANCELING", True),
    ],
)
def test_claims_live_as_long_as_their_run(project: Project, kind: str, status: str, kept: bool) -> None:
    """A run that has ended without settling its documents keeps none of them; one that waits or works keeps all.

    The sensor holds on for one in the queue; one at work does so by itself, for as long as it gets on.
    """
    project.application.add("a.txt", *WORDS)
    run_id = submit(project, tags={BATCH_TAG: "b"}, status=DagsterRunStatus(status))
    owner = f"run:{run_id}" if kind == "run" else "batch:b"
    claim(project, owner, seconds=60)
    sensors.free_abandoned_claims(project.instance, project.services)
    [(*_, holder)] = project.application.pending()
    assert holder == (owner if kept else None)
    if kept:
        with project.services.database.transaction() as cursor:
            [(_, seconds_left)] = outbox.owners(cursor)
        assert (seconds_left > 600) is (kind == "batch")


@pytest.mark.parametrize("has_begun", [True, False])
def test_run_that_stands_still_is_ended_and_its_documents_are_free(project: Project, has_begun: bool) -> None:
    """Stopped while it starts, or later: another run is requested, though its process and its lock are still there."""
    project.application.add("a.txt", *WORDS)
    run_id = submit(project, tags={BATCH_TAG: "b"}, status=DagsterRunStatus.STARTED)
    claim(project, f"run:{run_id}" if has_begun else "batch:b")
    now = [0.0]
    watch = Watch(60, clock=lambda: now[0])
    with project.application.listener() as listener:
        if has_begun:
            listener.announce_consumer(run_id)
            with project.services.database.transaction() as cursor:
                runs.begin(cursor, run_id, host=identity.host())
        for _ in range(30):
            assert project.instance.get_run_by_id(run_id).status == DagsterRunStatus.STARTED  # type: ignore[union-attr]
            now[0] += 4
            sensors.take_over_stalled(project.instance, project.services, watch)
            if now[0] > 60 + GRACE_SECONDS + 4:
                break
        run = project.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status == DagsterRunStatus.FAILURE
        [request] = project.tick().run_requests
        [(*_, owner)] = project.application.pending()
        assert owner == f"batch:{request.run_key}"
        with project.services.database.transaction() as cursor, pytest.raises(LostRun):
            runs.hold(cursor, run_id)


@pytest.mark.parametrize(
    ("host", "beats", "is_ended"),
    [("elsewhere/4026531836", False, True), ("elsewhere/4026531836", True, False), (identity.host(), False, False)],
)
def test_run_on_another_host_is_ended_when_nothing_is_heard_of_it(
    project: Project, host: str, beats: bool, is_ended: bool
) -> None:
    """Long before it stands still; of one on this host, the process tells more."""
    project.application.add("a.txt", *WORDS)
    run_id = submit(project, tags={}, status=DagsterRunStatus.STARTED)
    claim(project, f"run:{run_id}")
    now = [0.0]
    watch = Watch(sensors.SILENCE_SECONDS, clock=lambda: now[0])
    with project.services.database.transaction() as cursor:
        runs.begin(cursor, run_id, host=host)
    for _ in range(20):
        now[0] += 5
        if beats:
            with project.services.database.transaction() as cursor:
                runs.record_progress(cursor, run_id, moved=False, parts={})
        sensors.take_over_silent(project.instance, project.services, watch)
    run = project.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.is_failure is is_ended
    [(*_, owner)] = project.application.pending()
    assert owner == (None if is_ended else f"run:{run_id}")
    if is_ended:
        said = " ".join(event.message for event in project.instance.all_logs(run_id) if event.message)
        assert "Nothing was heard for a minute of this run, whose process is on elsewhere:" in said
        with project.services.database.transaction() as cursor, pytest.raises(LostRun):
            runs.hold(cursor, run_id)


@pytest.mark.parametrize("host", [identity.host(), "elsewhere/4026531836"])
def test_run_that_stands_still_is_ended_by_processes_of_which_each_looks_for_a_moment(
    project: Project, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """As those of a daemon that loads the code itself, and loads it anew every minute: the cursor goes on."""
    monkeypatch.setattr(lease, "GRACE_SECONDS", 1.0)
    monkeypatch.setattr(sensors, "SILENCE_SECONDS", 1.0)
    given = project.services.settings
    worker = given.worker.model_copy(update={"poll_seconds": 0.2, "processing_timeout_seconds": 1.0})
    project.services.settings = given.model_copy(update={"worker": worker})
    project.application.add("a.txt", *WORDS)
    run_id = submit(project, tags={}, status=DagsterRunStatus.STARTED)
    claim(project, f"run:{run_id}")
    with project.services.database.transaction() as cursor:
        runs.begin(cursor, run_id, host=host)
    monkeypatch.setattr(launching, "is_lost", lambda _run: False)
    kept = ["what somebody wrote on the page"]

    def is_ended() -> bool:
        sensors._watches.cache_clear()
        kept.append(project.tick(cursor=kept[-1]).cursor)
        run = project.instance.get_run_by_id(run_id)
        return run is not None and run.is_failure

    until(is_ended)
    assert len(kept) > 4
    sensors._watches.cache_clear()


@pytest.mark.parametrize("status", [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
def test_run_whose_process_is_gone_is_ended_whoever_launched_it(project: Project, status: DagsterRunStatus) -> None:
    """Celery's launcher knows what the broker says, and that still has a run at work whose worker was killed."""
    project.application.add("a.txt", *WORDS)
    run_id = submit(project, tags={}, status=status)
    gone = f"{run_id}:{identity.host()}:0.0.0"
    project.instance.add_run_tags(run_id, {launching.PROCESS_TAG: gone})
    claim(project, f"run:{run_id}")
    sensors._sweep(project.instance, project.services, sensors.Watches(60))
    run = project.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.is_failure
    [(*_, owner)] = project.application.pending()
    assert owner is None


def test_run_that_dagster_has_ended_stores_nothing_any_more(project: Project) -> None:
    """It was stopped, then canceled in the UI: its lock no longer keeps changes from others."""
    run_id = submit(project, tags={}, status=DagsterRunStatus.CANCELED)
    with project.application.listener() as listener:
        listener.announce_consumer(run_id)
        with project.services.database.transaction() as cursor:
            runs.begin(cursor, run_id, host=identity.host())
        project.application.add("a.txt", *WORDS)
        assert len(project.tick().run_requests) == 1


def test_status_and_check_name_a_run_that_stands_still(project: Project) -> None:
    """With what becomes of its documents."""
    project.application.add("a.txt", *WORDS)
    claim(project, "run:stopped")
    with project.services.database.transaction() as cursor:
        runs.begin(cursor, "stopped", host=identity.host())
    assert operations.status(project.services).standing_still == {}
    project.application.sql("update rag_runs set progressed_at = now() - interval '52 minutes'")
    status = operations.status(project.services)
    assert status.standing_still == {"stopped": pytest.approx(52 * 60, abs=60)}
    assert "Run stopped has stood still for" in " ".join(status.faults)
    found = checks.evaluation(operations.status(project.services))
    assert not found.passed
    assert "Run stopped" in str(found.description)


@pytest.mark.parametrize(("age", "kept"), [(0, True), (sensors.RUNLESS_SECONDS + 1, False)])
def test_claim_without_run_is_freed_after_a_while(project: Project, age: float, kept: bool) -> None:
    """The run of a fresh one is being made; that of an older one never was: its maker was killed."""
    project.application.add("a.txt", *WORDS)
    claim(project, "batch:lost", seconds=project.services.settings.worker.claim_seconds - age)
    sensors.free_abandoned_claims(project.instance, project.services)
    [(*_, holder)] = project.application.pending()
    assert (holder is not None) is kept


def test_first_tick_of_a_process_frees_the_batches_of_an_earlier_one(project: Project) -> None:
    """Their runs were never made, and nobody is left to make them."""
    document_id = project.application.add("a.txt", *WORDS)
    claim(project, "batch:lost")
    [request] = project.tick().run_requests
    assert [(name, owner) for name, _, _, owner in project.application.pending()] == [
        (document_id, f"batch:{request.run_key}")
    ]


def test_runs_come_less_and_less_often_while_they_cannot_do_their_work(project: Project) -> None:
    """Up to a minute apart; the first one that does its work ends that."""
    project.application.add("a.txt", *WORDS)
    project.embed_with(Short())
    pauses = []
    for _ in range(3):
        project.run(succeeds=False)
        pauses.append(sensors._pause(project.instance))
    assert pauses == [pytest.approx(seconds, abs=2) for seconds in (5, 10, 20)]
    ticked = project.tick()
    assert not ticked.run_requests
    assert "the next is tried in" in ticked.skip_message
    project.embed_with(HashEmbedder())
    project.run()
    assert sensors._pause(project.instance) == 0
    project.application.add("b.txt", *WORDS)
    assert project.tick().run_requests


def test_pause_is_over_when_the_clock_was_set_back(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or changes would wait until it shows again what it showed when the last run failed."""
    project.application.add("a.txt", *WORDS)
    project.embed_with(Short())
    project.run(succeeds=False)
    assert sensors._pause(project.instance) > 0
    an_hour_ago = time.time() - 3_600
    monkeypatch.setattr(time, "time", lambda: an_hour_ago)
    assert sensors._pause(project.instance) == 0


def test_failed_documents_make_no_pause(project: Project) -> None:
    """They have attempts of their own; changes of others do not wait for them."""
    project.application.add_row("missing.txt")
    project.run(succeeds=False)
    assert sensors._pause(project.instance) == 0
