"""What Dagster sees: runs on partitions, their events, the sensor's requests, and claims that die with their run."""

import gc
import json
import os
import platform
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest
from dagster import AssetKey, DagsterInstance, DagsterRun, DagsterRunStatus
from sqlalchemy.dialects.postgresql.base import PGDialect

from rag_assets import operations
from rag_assets.defs import assets, checks, events, jobs, launching, partitions, sensors
from rag_assets.defs.jobs import BATCH_TAG, ingest_job
from rag_assets.defs.resources import Rag
from rag_assets.errors import LostRun, NotEnoughMemory
from rag_assets.lease import GRACE_SECONDS, Watch
from rag_assets.model import Outcome
from rag_assets.postgres import outbox, runs
from rag_assets.services import Services
from rag_assets_tests.application import WORDS, Application, HashEmbedder

HEAVY = ("llama_index", "pypdf", "pypdfium2", "lxml", "docx", "bs4", "numpy", "xllamacpp", "gguf")
POOLS = {"concurrency": {"pools": {"default_limit": 1}}}  # as in dagster.yaml
KEYS = [AssetKey(name) for name in events.ASSETS]


class Project:
    """The project's definitions on an instance of the test's own."""

    def __init__(self, application: Application, instance: DagsterInstance, services: Services) -> None:
        self.application = application
        self.instance = instance
        self.services = services
        self.rag = Rag(services)
        self.rag.shared = services

    def embed_with(self, embedder: object) -> None:
        self.services.embedder = embedder  # type: ignore[assignment]

    @property
    def definitions(self) -> dg.Definitions:
        return dg.Definitions(
            assets=[assets.source_table, assets.ingest],
            asset_checks=[checks.index_in_step],
            jobs=[jobs.ingest_job, jobs.reconcile],
            sensors=[sensors.document_changes(self.rag)],
            resources={"rag": self.rag},
            executor=dg.in_process_executor,
        )

    def run(self, *, succeeds: bool = True, **options: Any) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(ingest_job.name)
        result = job.execute_in_process(instance=self.instance, raise_on_error=False, **options)
        assert result.success is succeeds, [event.message for event in result.all_events if event.is_failure]
        return result

    def reconcile(self) -> None:
        self.rag.services = lambda **_options: self.services  # type: ignore[method-assign]
        job = self.definitions.resolve_job_def("reconcile")
        assert job.execute_in_process(instance=self.instance).success

    def tick(self) -> Any:
        definitions = self.definitions
        context = dg.build_sensor_context(
            instance=self.instance, definitions=definitions, sensor_name="document_changes"
        )
        return sensors.document_changes(self.rag).evaluate_tick(context)

    def partitions(self, status: str) -> set[str]:
        """Those that are in this state for all three assets."""
        known = self.instance.get_dynamic_partitions(partitions.DOCUMENTS)
        found = []
        for key in KEYS:
            states = self.instance.get_status_by_partition(key, known, partitions.documents.definition) or {}
            found.append({name for name, state in states.items() if state and state.name == status})
        return set.intersection(*found)

    def last(self, asset: str) -> dg.AssetMaterialization:
        event = self.instance.get_latest_materialization_event(AssetKey(asset))
        assert event is not None
        assert event.asset_materialization is not None
        return event.asset_materialization


@pytest.fixture
def project(application: Application) -> Iterator[Project]:
    worker = application.settings.worker.model_copy(update={"poll_seconds": 0.2, "linger_seconds": 0.0})
    application.settings = application.settings.model_copy(update={"worker": worker})
    readers = {"reader": application.reader, "urgent_reader": application.urgent_reader}
    with DagsterInstance.ephemeral(settings=POOLS) as instance, Services(application.settings, **readers) as services:
        made = Project(application, instance, services)
        made.embed_with(HashEmbedder())
        yield made


def in_a_process(code: str) -> Any:
    """What a fresh interpreter prints, as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def imported_with(module: str) -> set[str]:
    names = in_a_process(f"import json, sys, {module}; print(json.dumps(list(sys.modules)))")
    return {str(name).partition(".")[0] for name in names}


# ---- what there is


def test_nothing_heavy_is_imported_with_the_definitions() -> None:
    """Dagster loads them again and again, in processes that read no document: they come with no reader."""
    assert not imported_with("rag_assets.definitions") & set(HEAVY)


def test_dagster_is_not_imported_with_the_command_line() -> None:
    """`status` and `parse` do not wait for a second of imports they have no use for."""
    assert not imported_with("rag_assets.cli") & {"dagster", *HEAVY}


def test_definitions_can_be_loaded() -> None:
    """Every asset, job, sensor, schedule and check is bound to its resource and partitions."""
    from rag_assets.definitions import defs

    dg.Definitions.validate_loadable(defs)


def test_assets_follow_one_another_from_the_applications_table() -> None:
    """The graph shows the way of a document: its row, its text, its chunks, their vectors."""
    from rag_assets.definitions import defs

    graph = defs.resolve_asset_graph()
    way = [AssetKey("TblDocumentFiles"), *KEYS]
    assert set(graph.get_all_asset_keys()) == set(way)
    for before, after in zip(way, KEYS, strict=False):
        assert graph.get(after).parent_keys == {before}
        assert graph.get(after).partitions_def == partitions.documents.definition


def test_everything_in_the_ui_says_what_it_is_for() -> None:
    """Who sees Dagster for the first time learns from it what there is."""
    from rag_assets.definitions import defs

    repository = defs.get_repository_def()
    graph = defs.resolve_asset_graph()
    shown: list[Any] = [*repository.sensor_defs, *repository.schedule_defs]
    shown += [defs.resolve_job_def(job.name) for job in (jobs.ingest_job, jobs.reconcile)]
    shown += [graph.get(key) for key in graph.get_all_asset_keys()]
    shown += [spec for check in (checks.index_in_step,) for spec in check.check_specs]
    assert all(len(one.description or "") > 40 for one in shown)


def test_sensor_and_schedule_run_when_nobody_started_them() -> None:
    """An index that follows its table needs no click."""
    from rag_assets.definitions import defs

    repository = defs.get_repository_def()
    [sensor], [schedule] = repository.sensor_defs, repository.schedule_defs
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


# ---- runs


def test_each_document_is_a_partition_when_a_run_took_what_is_pending(project: Project) -> None:
    """One run, many partitions, materialized for all three assets; their metadata tell what was done."""
    ids = {project.application.add(f"{n}.txt", *WORDS) for n in range(12)}
    project.run()
    assert project.partitions("MATERIALIZED") == ids
    facts = {name: value.value for asset in events.ASSETS for name, value in project.last(asset).metadata.items()}
    assert (facts["chunks"], facts["reused"], facts["server_build"]) == (len(WORDS), len(WORDS), "hash")
    assert (facts["parser"], facts["status"]) == ("plain", "completed")


def test_unchanged_document_is_still_described(project: Project) -> None:
    """After a backfill, the last event of a document that had not changed tells what was read and how it was cut."""
    document_id = project.application.add("a.txt", *WORDS)
    partitions.documents.add(project.instance, [document_id])
    told = []
    for _ in range(2):
        project.run(partition_key=document_id)
        told.append({asset: {k: v.value for k, v in project.last(asset).metadata.items()} for asset in events.ASSETS})
    first, second = told
    assert [facts.pop("status") for facts in second.values()] == ["unchanged"] * 3
    assert all(facts.items() <= first[asset].items() for asset, facts in second.items())
    assert set(second["raw_text"]) == {"path", "sha256", "media_type", "parser"}, "and no pages, which a text has not"
    assert (second["chunks"]["chunks"], set(second["embeddings"])) == (len(WORDS), {"path", "model"})


def test_each_asset_has_batches_of_its_own(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage notes one event of a batch as its asset's latest: that of another asset would have none."""
    storage = project.instance.event_log_storage
    stored: list[list[str]] = []

    def store(entries: Any) -> None:
        if all(entry.get_dagster_event().is_step_materialization for entry in entries):
            stored.append([entry.get_dagster_event().asset_key.to_user_string() for entry in entries])
        for entry in entries:
            storage.store_event(entry)

    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    monkeypatch.setattr(storage, "store_event_batch", store)
    for n in range(3):
        project.application.add(f"{n}.txt", *WORDS)
    project.run()
    assert {len(set(batch)) for batch in stored} == {1}
    assert sorted(asset for batch in stored for asset in batch) == sorted(events.ASSETS * 3)


def test_unchanged_document_has_an_event_when_that_is_news(project: Project) -> None:
    """Asked for, or shown as failed: it is materialized again. Otherwise what is shown is true already."""
    document_id = project.application.add("a.txt", *WORDS)
    file = project.application.files / "a.txt"

    def events_after(**options: Any) -> int:
        project.application.change(document_id)
        project.run(**options)
        return len(project.instance.fetch_materializations(KEYS[0], limit=100).records)

    assert [events_after(), events_after(), events_after(partition_key=document_id)] == [1, 1, 2]
    away = file.rename(file.with_suffix(".away"))
    assert events_after(succeeds=False) == 2
    assert project.partitions("FAILED") == {document_id}
    away.rename(file)
    assert [events_after(), events_after()] == [3, 3]
    assert project.partitions("MATERIALIZED") == {document_id}


def test_data_version_is_that_of_the_bytes(project: Project) -> None:
    """A document that was looked at and had not changed makes nothing after it stale."""
    document_id = project.application.add("a.txt", *WORDS)
    versions = []
    for _ in range(2):
        project.run()
        tags = project.last("raw_text").tags or {}
        versions.append(tags["dagster/data_version"])
        project.application.change(document_id)
    [[sha256]] = project.application.sql("select sha256 from rag_document_text")
    assert versions == [sha256, sha256]


def test_run_of_one_partition_reads_this_document_alone(project: Project) -> None:
    """Materialize in the UI: also what has not changed, and nothing else that is due."""
    first, other = (project.application.add(f"{n}.txt", *WORDS) for n in range(2))
    partitions.documents.add(project.instance, [first, other])
    project.run(partition_key=first)
    assert project.partitions("MATERIALIZED") == {first}
    assert project.application.stored(other) == []


def test_run_of_a_range_of_partitions_reads_all_of_them(project: Project) -> None:
    """A backfill gives one run a range of many documents."""
    ids = [project.application.add(f"{n}.txt", *WORDS) for n in range(12)]
    partitions.documents.add(project.instance, ids)
    tags = {"dagster/asset_partition_range_start": ids[0], "dagster/asset_partition_range_end": ids[-1]}
    project.run(tags=tags)
    assert project.partitions("MATERIALIZED") == set(ids)


def test_failed_documents_fail_alone_and_are_named(project: Project) -> None:
    """The run fails at its end, with the reason of each; the others are stored, and only these partitions failed."""
    good = {project.application.add(f"{n}.txt", *WORDS) for n in range(3)}
    bad = project.application.add_row("missing.txt")
    result = project.run(succeeds=False)
    assert project.partitions("MATERIALIZED") == good
    assert project.partitions("FAILED") == {bad}
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert f"{bad}  not_found: File not found: missing.txt" in str(failure.event_specific_data)
    assert "1 documents were not ingested; all others of this run are stored" in str(failure.event_specific_data)


def test_partition_is_gone_when_its_document_is(project: Project) -> None:
    """The list of partitions is the list of documents."""
    document_id = project.application.add("a.txt", *WORDS)
    project.run()
    project.application.remove(document_id)
    project.run()
    assert project.instance.get_dynamic_partitions(partitions.DOCUMENTS) == []


class Short(HashEmbedder):
    """An embedder whose server does not fit."""

    def embed(self, texts: Any, *, token_counts: Any) -> Any:
        raise NotEnoughMemory(available_bytes=1_200_000_000, needed_bytes=2_000_000_000)


def test_no_attempt_is_counted_when_memory_is_short(project: Project) -> None:
    """The run says how much is there and how much is needed; the documents stay pending and are free."""
    document_id = project.application.add("a.txt", *WORDS)
    project.embed_with(Short())
    result = project.run(succeeds=False)
    said = "Not enough memory to start embedding server: 1.2 GB available, 2.0 GB needed"
    assert said in str([event.event_specific_data for event in result.all_events if event.is_step_failure])
    assert project.application.pending() == [(document_id, "pending", 0, None)]


def test_documents_are_free_at_once_when_a_run_is_interrupted(project: Project) -> None:
    """What was stored stays, what was not is due for the next run; no thread works on for a run that has ended."""
    for n in range(30):
        project.application.add(f"{n}.txt", f"subject {n}")

    def interrupt(_outcomes: list[Outcome]) -> None:
        raise KeyboardInterrupt

    project.services.warm()
    threads = set(threading.enumerate())
    project.rag = Rag(project.services, on_outcomes=interrupt)
    project.run(succeeds=False)
    assert (
        set(threading.enumerate()) <= threads
    )  # the one that watches the text worker goes with it where it was at work
    assert {owner for *_, owner in project.application.pending()} == {None}
    project.rag = Rag(project.services)
    project.run()
    assert project.application.pending() == []


def said(project: Project, run_id: str) -> list[str]:
    """What the run logged, as the UI shows it."""
    logged = [record.event_log_entry for record in project.instance.get_records_for_run(run_id).records]
    return [entry.user_message for entry in logged if not entry.is_dagster_event]


def test_run_says_what_it_did(project: Project) -> None:
    """Also where that is nothing, and which of the documents it was asked for are none."""
    document_id = project.application.add("a.txt", *WORDS)
    first, second = project.run(), project.run()
    config = jobs.run_config(document_ids=[document_id, "99", "pumps"])
    third = project.run(run_config=config)
    told = [said(project, result.run_id)[-1] for result in (first, second, third)]
    assert told == [
        "1 completed, 0 unchanged, 0 deleted, 0 failed; 6 chunks embedded, 0 reused.",
        "Nothing was pending.",
        "0 completed, 1 unchanged, 2 deleted, 0 failed; 0 chunks embedded, 0 reused. "
        "Not in the table, so nothing is kept of them: 99, pumps",
    ]


@pytest.mark.parametrize("is_corrected", [True, False])
def test_run_that_is_repeated_tries_again_what_failed(project: Project, is_corrected: bool) -> None:
    """Re-executed in the UI, a run of the sensor is no success while its documents still fail."""
    project.application.add("a.txt", *WORDS)
    (project.application.files / "empty.txt").touch()
    bad = project.application.add_row("empty.txt")
    [request] = project.tick().run_requests
    first = project.run(succeeds=False, run_config=request.run_config, tags=request.tags)
    if is_corrected:
        project.application.write("empty.txt", "pumps")
    tags = request.tags | {jobs.PARENT_TAG: first.run_id}
    project.run(succeeds=is_corrected, run_config=request.run_config, tags=tags)
    assert project.partitions("FAILED") == (set() if is_corrected else {bad})


def test_run_of_the_command_line_does_not_promise_to_be_repeated(project: Project) -> None:
    """Dagster does not know where its job comes from: what it says of failed documents is what does work."""
    project.application.add_row("missing.txt")
    result = project.run(succeeds=False)
    [message] = [event.step_failure_data.error.to_string() for event in result.all_events if event.is_step_failure]
    assert "rag-assets retry" in message
    assert "re-execute" not in message


# ---- the sensor


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
        assert len(first.get_dynamic_partitions(partitions.DOCUMENTS)) == 1
    with DagsterInstance.ephemeral() as second:
        partitions.add_all_once(second, project.services)
        assert second.get_dynamic_partitions(partitions.DOCUMENTS) == []
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
    assert set(project.instance.get_dynamic_partitions(partitions.DOCUMENTS)) == ids


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
    assert (tick.run_requests, tick.skip_message) == ([], "No changes.")


def test_sensor_leaves_changes_to_a_run_that_takes_them(project: Project) -> None:
    """No second run for what the first picks up by itself; when it has left, the sensor is back."""
    project.application.add("a.txt", *WORDS)
    with project.application.listener() as listener:
        listener.hold_intake()
        assert project.tick().run_requests == []
        listener.leave_intake()
        assert len(project.tick().run_requests) == 1


def test_deleted_document_gets_a_run_but_no_partition(project: Project) -> None:
    """Its chunks are to go; a partition would come and go with them."""
    project.application.remove(project.application.add("a.txt", *WORDS))
    assert len(project.tick().run_requests) == 1
    assert project.instance.get_dynamic_partitions(partitions.DOCUMENTS) == []


def submit(project: Project, *, tags: dict[str, str], status: DagsterRunStatus) -> str:
    job = project.definitions.resolve_job_def(ingest_job.name)
    return project.instance.create_run_for_job(job, tags=tags, status=status).run_id


def claim(project: Project, owner: str, *, seconds: float = 900) -> None:
    with project.services.database.transaction() as cursor:
        outbox.claim_due(cursor, project.services.settings.source, limit=9, claimed_by=owner, seconds=seconds)


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
            listener.hold_intake(run_id)
            with project.services.database.transaction() as cursor:
                runs.begin(cursor, run_id)
        for _ in range(30):
            assert project.instance.get_run_by_id(run_id).status == DagsterRunStatus.STARTED  # type: ignore[union-attr]
            now[0] += 4
            sensors.take_over_standing(project.instance, project.services, watch)
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


def test_run_that_dagster_has_ended_stores_nothing_any_more(project: Project) -> None:
    """It was stopped, then canceled in the UI: its lock no longer keeps changes from others."""
    run_id = submit(project, tags={}, status=DagsterRunStatus.CANCELED)
    with project.application.listener() as listener:
        listener.hold_intake(run_id)
        with project.services.database.transaction() as cursor:
            runs.begin(cursor, run_id)
        project.application.add("a.txt", *WORDS)
        assert len(project.tick().run_requests) == 1


def test_status_and_check_name_a_run_that_stands_still(project: Project) -> None:
    """With what becomes of its documents."""
    project.application.add("a.txt", *WORDS)
    claim(project, "run:stopped")
    with project.services.database.transaction() as cursor:
        runs.begin(cursor, "stopped")
    assert operations.status(project.services).standing_still == {}
    project.application.sql("update rag_runs set progressed_at = now() - interval '52 minutes'")
    status = operations.status(project.services)
    assert status.standing_still == {"stopped": pytest.approx(52 * 60, abs=60)}
    assert "Run stopped has stood still for" in " ".join(status.faults)
    found = checks.evaluation(project.services)
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


# ---- the check, the other job, partitions


def check(project: Project) -> dg.AssetCheckResult:
    return cast(dg.AssetCheckResult, checks.index_in_step(project.rag))


def test_check_of_vectors_fails_when_they_are_not_the_models(project: Project) -> None:
    """It embeds a few again, and says how many differ, how far, and which command mends it."""
    project.application.add("a.txt", *WORDS)
    project.run()
    project.rag.services = lambda **_options: project.services  # type: ignore[method-assign]

    def found() -> dg.AssetCheckResult:
        project.embed_with(HashEmbedder())
        return cast(dg.AssetCheckResult, checks.vectors_are_the_models(project.rag))

    assert found().passed
    negative, first = "embedding - embedding - embedding", "select min(id) from rag_document_chunks"
    project.application.sql(f"update rag_document_chunks set embedding = {negative} where id = ({first})")
    result = found()
    assert not result.passed
    assert result.metadata["wrong"].value == 1
    assert float(str(result.metadata["least_cosine"].value)) < -0.99
    assert "rag-assets reembed --where vectors=wrong" in str(result.description)


def test_check_passes_when_the_index_is_in_step(project: Project) -> None:
    """Also with work pending, which is no fault; its metadata are the numbers of `rag-assets status`."""
    project.application.add("a.txt", *WORDS)
    project.run()
    project.application.add("b.txt", *WORDS)
    result = check(project)
    assert result.passed
    assert (result.metadata["documents"].value, result.metadata["pending"].value) == (2, 1)


def test_check_warns_when_a_document_was_given_up(project: Project) -> None:
    """No search can find it, and no run will try it again by itself; the metadata say why."""
    (project.application.files / "empty.txt").touch()
    project.application.add_row("empty.txt")
    project.run(succeeds=False)
    result = check(project)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert result.metadata["dead"].value == {"empty": 1}


def test_check_warns_of_a_row_that_nobody_will_look_at(project: Project) -> None:
    """It is no success because nothing is pending; a row without a path is no document."""
    project.application.sql('alter table "TblDocumentFiles" alter file_path drop not null')
    project.application.sql('insert into "TblDocumentFiles" (file_path) values (null)')
    project.run()
    assert check(project).passed
    project.application.sql('alter table "TblDocumentFiles" disable trigger rag_document_changed')
    project.application.add("a.txt", *WORDS)
    project.application.sql('alter table "TblDocumentFiles" enable always trigger rag_document_changed')
    result = check(project)
    assert not result.passed
    assert result.description == "1 documents are neither indexed nor pending: rag-assets reconcile finds them."
    project.reconcile()
    assert check(project).passed


def test_check_is_no_part_of_a_run_of_the_assets(project: Project) -> None:
    """All that a click on Materialize selects: Dagster would skip it there, and show that instead of what is."""
    selection = dg.AssetSelection.assets(*events.ASSETS)  # with their checks
    keys = project.definitions.resolve_asset_graph()
    assert selection.resolve_checks(keys) == set()


def test_reconcile_evaluates_the_check(project: Project) -> None:
    """What Dagster shows is of the last quarter of an hour, without a click."""
    (project.application.files / "empty.txt").touch()
    project.application.add_row("empty.txt")
    project.run(succeeds=False)
    project.application.sql("update rag_outbox set not_before = now() + interval '1 hour'")  # or it had just changed
    project.reconcile()
    [evaluation] = project.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(AssetKey(events.SOURCE), checks.NAME), limit=5
    )
    assert evaluation.status.name == "FAILED"
    assert evaluation.event is not None
    said = evaluation.event.asset_check_evaluation
    assert said is not None
    assert said.description == "1 documents were given up (1 empty): correct them, then rag-assets retry."


def test_check_can_be_run_from_dagster(project: Project) -> None:
    """Without a partition, and without a run of the assets."""
    selection = dg.AssetSelection.checks(checks.index_in_step)
    result = dg.materialize(
        [assets.ingest, checks.index_in_step],
        selection=selection,
        instance=project.instance,
        resources={"rag": project.rag},
    )
    assert result.get_asset_check_evaluations()[0].passed


def test_reconcile_finds_a_file_that_changed_on_disk(project: Project) -> None:
    """What no trigger saw becomes pending; the op tells what it found."""
    document_id = project.application.add("a.txt", *WORDS)
    project.run()
    project.application.write("a.txt", "locks")
    project.reconcile()
    assert project.application.pending() == [(document_id, "pending", 0, None)]


def test_reconcile_forgets_old_attempts(project: Project) -> None:
    """But for the last one of each document."""
    document_id = project.application.add("a.txt", *WORDS)
    project.run()
    project.application.write("a.txt", "pumps")
    project.application.sql(f"select rag_enqueue(array['{document_id}'], 'update')")
    project.run()
    project.application.sql("update rag_ingestion_log set logged_at = now() - interval '100 days'")
    last = project.application.sql("select max(id) from rag_ingestion_log having count(*) > 1")
    project.reconcile()
    assert project.application.sql("select id from rag_ingestion_log") == last


def test_reconcile_has_dagster_told_when_a_run_was_killed_before_it_could(project: Project) -> None:
    """A document that is stored becomes a materialized partition, one whose row has gone none."""
    document_id = project.application.add("a.txt", *WORDS)
    project.application.run()
    partitions.documents.add(project.instance, [document_id, "gone"])
    project.reconcile()
    assert project.instance.get_dynamic_partitions(partitions.DOCUMENTS) == [document_id]
    project.run()
    assert project.partitions("MATERIALIZED") == {document_id}
    project.reconcile()
    assert project.application.pending() == []


def test_reconcile_has_dagster_told_of_the_version_that_is_stored(project: Project) -> None:
    """A materialized partition is no sign of it: a run may have been killed before it told of a later version."""
    document_id = project.application.add("a.txt", *WORDS)
    project.run()
    project.application.write("a.txt", "pumps")
    project.application.change(document_id)
    stored = project.application.run(run_id="killed before it could say so")[document_id]
    project.reconcile()
    project.run()
    assert project.last("embeddings").tags == {"dagster/data_version": stored.content_sha256}
    project.reconcile()
    assert project.application.pending() == []


def test_reconcile_makes_a_partition_of_every_row(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of one that came back just when its partition was to be forgotten with it."""
    document_id = project.application.add("a.txt", *WORDS)
    project.run()
    project.application.remove(document_id)
    project.application.run(run_id="killed before it could say so")
    remove = project.instance.delete_dynamic_partition

    def meanwhile(name: str, key: str) -> None:
        columns = "(id, file_path) overriding system value"
        project.application.sql(f"""insert into "TblDocumentFiles" {columns} values ({document_id}, 'a.txt')""")
        project.run()
        remove(name, key)

    monkeypatch.setattr(project.instance, "delete_dynamic_partition", meanwhile)
    project.reconcile()
    assert project.instance.get_dynamic_partitions(partitions.DOCUMENTS) == [document_id]
    assert project.partitions("MATERIALIZED") == {document_id}


def test_reconcile_puts_back_what_was_deleted_in_dagster(project: Project) -> None:
    """A partition whose row is there, and materializations of one asset alone."""
    ids = {project.application.add(f"{n}.txt", *WORDS) for n in range(2)}
    project.run()
    project.instance.delete_dynamic_partition(partitions.DOCUMENTS, min(ids))
    project.reconcile()
    assert project.partitions("MATERIALIZED") == ids
    project.instance.wipe_assets([AssetKey(events.CHUNKS)])
    assert project.partitions("MATERIALIZED") == set()
    project.reconcile()
    project.run()
    assert project.partitions("MATERIALIZED") == ids


def test_row_without_path_is_no_partition(project: Project) -> None:
    """There is nothing to materialize."""
    project.application.sql('alter table "TblDocumentFiles" alter file_path drop not null')
    project.application.sql('insert into "TblDocumentFiles" (file_path) values (null)')
    assert partitions.documents.add_all(project.instance, project.services) == 0


def test_partition_stays_while_a_backfill_may_name_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run to come may have it as the end of its range, and could not start."""
    document_id = project.application.add("a.txt", *WORDS)
    project.run()
    monkeypatch.setattr(project.instance, "get_backfills", lambda **_filters: ["one"])
    project.application.remove(document_id)
    project.run()
    assert project.instance.get_dynamic_partitions(partitions.DOCUMENTS) == [document_id]
    monkeypatch.undo()
    project.reconcile()
    assert project.instance.get_dynamic_partitions(partitions.DOCUMENTS) == []


@pytest.mark.parametrize("document_id", ["7", "a,b", "a...b", "line\nbreak", "100%", "%2C", "Grüße", "..."])
def test_every_id_has_a_key_that_dagster_takes(document_id: str, application: Application) -> None:
    """And is found again by its key."""
    by_document = partitions.ByDocument(documents_per_run=10)
    with DagsterInstance.ephemeral() as instance, Services(application.settings) as services:
        by_document.add(instance, [document_id])
        keys = list(instance.get_dynamic_partitions(partitions.DOCUMENTS))
        assert by_document.document_ids(keys, services) == [document_id]
        by_document.remove(instance, [document_id])
        assert instance.get_dynamic_partitions(partitions.DOCUMENTS) == []


def test_every_document_is_in_one_bucket(application: Application) -> None:
    """PostgreSQL and Python agree which; together, the buckets hold all documents."""
    ids = {application.add_row(f"{n}.txt") for n in range(60)}
    buckets = partitions.ByBucket(buckets=7)
    found: dict[str, str] = {}
    with Services(application.settings) as services:
        for key in buckets.definition.get_partition_keys():
            found |= dict.fromkeys(buckets.document_ids([key], services), key)
        assert set(found) == ids
        assert set(buckets.document_ids(buckets.definition.get_partition_keys(), services)) == ids
    assert all(buckets.key(document_id) == key for document_id, key in found.items())


# ---- which way a run goes


class Coordinator(launching.PromptRunCoordinator):
    """Keeps which runs went into the queue, and which past it."""

    def __init__(self, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.queued: list[str] = []
        self.launched: list[str] = []
        self.register_instance(instance)
        ordinary = launching.PromptRunCoordinator.__mro__[1]
        monkeypatch.setattr(ordinary, "submit_run", lambda _self, context: self.queued.append(context))
        monkeypatch.setattr(instance, "launch_run", lambda run_id, _workspace: self.launched.append(run_id))

    def submit(self, run_id: str) -> None:
        self.submit_run(cast(Any, SimpleNamespace(dagster_run=self._instance.get_run_by_id(run_id), workspace=None)))


@pytest.mark.parametrize(
    ("tags", "others", "is_prompt"),
    [
        ({BATCH_TAG: "b"}, [], True),
        ({BATCH_TAG: "b"}, [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE], True),
        ({BATCH_TAG: "b"}, [DagsterRunStatus.STARTED], False),
        ({BATCH_TAG: "b"}, [DagsterRunStatus.STARTING], False),
        ({BATCH_TAG: "b"}, [DagsterRunStatus.CANCELING], False),
        ({}, [], False),
    ],
)
def test_change_goes_past_the_queue_when_nothing_else_is_there(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    tags: dict[str, str],
    others: list[DagsterRunStatus],
    is_prompt: bool,
) -> None:
    """Everything else waits its turn: one llama-server at a time."""
    for status in others:
        submit(project, tags={}, status=status)
    run_id = submit(project, tags=tags, status=DagsterRunStatus.NOT_STARTED)
    coordinator = Coordinator(project.instance, monkeypatch)
    coordinator.submit(run_id)
    assert (len(coordinator.launched), len(coordinator.queued)) == ((1, 0) if is_prompt else (0, 1))


def test_run_that_is_repeated_waits_its_turn(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the batch of the run that failed, but is no change that came this moment."""
    job = project.definitions.resolve_job_def(ingest_job.name)
    first = submit(project, tags={BATCH_TAG: "b"}, status=DagsterRunStatus.FAILURE)
    again = project.instance.create_run_for_job(
        job, tags={BATCH_TAG: "b"}, status=DagsterRunStatus.NOT_STARTED, parent_run_id=first, root_run_id=first
    )
    coordinator = Coordinator(project.instance, monkeypatch)
    coordinator.submit(again.run_id)
    assert (coordinator.launched, len(coordinator.queued)) == ([], 1)


def test_pool_has_its_limit_before_a_run_goes_past_the_queue(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the next run would not know that the place is taken."""
    coordinator = Coordinator(project.instance, monkeypatch)
    for _ in range(2):
        coordinator.submit(submit(project, tags={BATCH_TAG: "b"}, status=DagsterRunStatus.NOT_STARTED))
    assert project.instance.event_log_storage.get_concurrency_keys() == {jobs.POOL}


@pytest.fixture
def launcher(project: Project) -> Iterator[launching.WarmRunLauncher]:
    made = launching.WarmRunLauncher()
    made.register_instance(project.instance)
    yield made
    made.dispose()


def test_no_spare_process_is_kept_where_no_run_is_launched(launcher: launching.WarmRunLauncher) -> None:
    """The code server and the webserver have a launcher too."""
    assert launcher._spare is None


@pytest.fixture
def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def run_of(
    project: Project, pid: int | None, *, status: DagsterRunStatus, tag: str = launching.RUNNER_TAG
) -> DagsterRun:
    """A run that a tag says this process has; None: no tag."""
    run_id = submit(project, tags={}, status=status)
    run = project.instance.get_run_by_id(run_id)
    assert run is not None
    if pid is not None:
        project.instance.add_run_tags(run_id, {tag: launching._name(run, pid)})
        run = project.instance.get_run_by_id(run_id)
        assert run is not None
    return run


@pytest.mark.parametrize("tag", [launching.RUNNER_TAG, launching.PROCESS_TAG])
def test_run_whose_process_is_gone_is_found_out(
    project: Project, launcher: launching.WarmRunLauncher, dead_pid: int, tag: str
) -> None:
    """Whoever started it; of a run without a tag, nothing is known."""
    lost = run_of(project, dead_pid, status=DagsterRunStatus.STARTED, tag=tag)
    at_work = run_of(project, os.getpid(), status=DagsterRunStatus.STARTED, tag=tag)
    unknown = run_of(project, None, status=DagsterRunStatus.STARTED)
    health = [launcher.check_run_worker_health(run).status.name for run in (lost, at_work, unknown)]
    assert health == ["NOT_FOUND", "RUNNING", "RUNNING"]


def test_process_is_not_known_by_its_number_alone(project: Project) -> None:
    """It may be another one's by now; and a run on another machine is not judged from here."""
    run = run_of(project, os.getpid(), status=DagsterRunStatus.STARTED)
    named = run.tags[launching.RUNNER_TAG]
    recycled = named.replace(f":{os.getpid()}.", f":{os.getpid()}.0")
    assert launching.is_lost(run.with_tags({launching.RUNNER_TAG: recycled}))
    elsewhere = recycled.replace(platform.node(), "another-machine")
    assert not launching.is_lost(run.with_tags({launching.RUNNER_TAG: elsewhere}))


def test_tags_of_the_run_it_repeats_do_not_make_a_run_lost(
    project: Project, launcher: launching.WarmRunLauncher, dead_pid: int
) -> None:
    """Run again from the UI, or by Dagster itself, a run has the tags of the one that failed."""
    failed = run_of(project, dead_pid, status=DagsterRunStatus.FAILURE)
    again = project.instance.get_run_by_id(submit(project, tags=dict(failed.tags), status=DagsterRunStatus.STARTED))
    assert again is not None
    assert launcher.check_run_worker_health(again).status.name == "RUNNING"


def test_run_signs_with_its_process_unless_it_was_handed_to_it(project: Project) -> None:
    """A run of plain Dagster, or of the command line, can then be known to be gone."""
    handed = run_of(project, os.getpid(), status=DagsterRunStatus.STARTED)
    ordinary = run_of(project, None, status=DagsterRunStatus.STARTED)
    tags = []
    for run in (handed, ordinary):
        launching.sign(project.instance, run)
        signed = project.instance.get_run_by_id(run.run_id)
        assert signed is not None
        assert not launching.is_lost(signed)
        tags.append(launching.PROCESS_TAG in signed.tags)
    assert tags == [False, True]


@pytest.mark.parametrize(("alive", "status"), [(None, "STARTING"), (True, "STARTING"), (False, "FAILURE")])
def test_run_that_lost_its_process_while_starting_is_ended(
    project: Project, dead_pid: int, alive: bool | None, status: str
) -> None:
    """It would hold its place and its documents until Dagster gives it up; others are left alone."""
    pid = {None: None, True: os.getpid(), False: dead_pid}[alive]
    run_id = run_of(project, pid, status=DagsterRunStatus.STARTING).run_id
    sensors.end_lost_runs(project.instance, [DagsterRunStatus.STARTING])
    run = project.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status.name == status


def test_run_that_ended_while_it_was_looked_at_is_as_it_ended(
    project: Project, dead_pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is gone has told how its run ended, between the look at that run and the one at the process."""
    run = run_of(project, dead_pid, status=DagsterRunStatus.STARTED)
    is_lost = launching.is_lost

    def ends(looked_at: DagsterRun) -> bool:
        event = dg.DagsterEvent("PIPELINE_SUCCESS", looked_at.job_name)
        project.instance.report_dagster_event(event, looked_at.run_id)
        return is_lost(looked_at)

    monkeypatch.setattr(launching, "is_lost", ends)
    sensors.end_lost_runs(project.instance, [DagsterRunStatus.STARTED])
    ended = project.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status == DagsterRunStatus.SUCCESS


def test_run_is_terminated_by_asking_its_process(project: Project, launcher: launching.WarmRunLauncher) -> None:
    """It releases its documents then; a run that has ended, or whose process is gone, is not asked."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        ended = run_of(project, process.pid, status=DagsterRunStatus.SUCCESS)
        at_work, gone = (run_of(project, process.pid, status=DagsterRunStatus.STARTED) for _ in range(2))
        assert not launcher.terminate(ended.run_id)
        assert process.poll() is None
        assert launcher.terminate(at_work.run_id)
        assert process.wait() != 0
    assert not launcher.terminate(gone.run_id)


def test_run_is_not_lost_when_the_spare_process_died(
    project: Project, launcher: launching.WarmRunLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes to a new one, which ends with us, as the spare would have."""
    monkeypatch.setattr(launching, "RESPAWN_SECONDS", 3_600.0)
    monkeypatch.setenv(launching.WARM_VARIABLE, "1")
    made: list[subprocess.Popen[bytes]] = []

    def spawn() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "import sys; print(sys.stdin.readline(), end='')"]
        made.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return made[-1]

    monkeypatch.setattr(launching, "_spawn", spawn)
    run = run_of(project, None, status=DagsterRunStatus.NOT_STARTED)
    with subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE) as dead:
        dead.wait()
        launcher._spare = dead
        launcher.launch_run(cast(Any, SimpleNamespace(dagster_run=run)))
    [new] = made
    assert new.stdout is not None
    with new, new.stdout as output:
        assert output.read().decode() == f"{run.run_id}\n"


def test_run_goes_the_ordinary_way_where_no_spare_is_kept(
    project: Project, launcher: launching.WarmRunLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain `dagster dev` works as without us."""
    ordinary: list[object] = []
    way = launching.WarmRunLauncher.__mro__[1]
    monkeypatch.setattr(way, "launch_run", lambda _self, context: ordinary.append(context))
    run = run_of(project, None, status=DagsterRunStatus.NOT_STARTED)
    launcher.launch_run(cast(Any, SimpleNamespace(dagster_run=run)))
    assert len(ordinary) == 1
