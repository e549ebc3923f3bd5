"""Runs of the assets: their partitions and events, what fails alone, and what a run can be told in its config."""

import itertools
import threading
from typing import Any

import dagster as dg
import pytest

from rag_assets.definitions import defs
from rag_assets.defs import assets, events, jobs, partitions
from rag_assets.defs.resources import Rag
from rag_assets.model import Outcome
from rag_assets_tests import patience
from rag_assets_tests.application import WORDS
from rag_assets_tests.project import KEYS, Project, Short, submit


def types_below(config_type: Any, *, seen: set[str]) -> set[str]:
    """The names of all types that a run's config of a job is made of."""
    if config_type.key in seen:
        return set()
    seen.add(config_type.key)
    inner = [field.config_type for field in getattr(config_type, "fields", {}).values()]
    inner += [getattr(config_type, name) for name in ("inner_type", "scalar_type") if hasattr(config_type, name)]
    return {config_type.given_name or config_type.key}.union(*(types_below(each, seen=seen) for each in inner))


@pytest.mark.parametrize("job", ["ingest_documents", "reconcile", "__ASSET_JOB"])
def test_no_config_names_a_variable_of_the_environment(job: str) -> None:
    """Dagster's StringSource, IntSource and BoolSource would: who launches a run could read any password in its log."""
    schema: Any = defs.get_repository_def().get_job(job).run_config_schema
    names = types_below(schema.config_type, seen=set())
    assert "Bool" in names or job == "reconcile", names  # the walk arrives at the fields
    assert not [name for name in names if "Source" in name]


def test_each_document_is_a_partition_when_a_run_took_what_is_pending(project: Project) -> None:
    """One run, many partitions, materialized for all three assets; their metadata tell what was done."""
    ids = {project.application.add(f"{n}.txt", *WORDS) for n in range(12)}
    project.run()
    assert project.partitions("MATERIALIZED") == ids
    facts = {name: value.value for asset in events.ASSETS for name, value in project.last(asset).metadata.items()}
    assert (facts["chunks"], facts["reused"], facts["engine"]) == (len(WORDS), len(WORDS), "hash")
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
    assert set(second["raw_text"]) == {"path", "media type", "parser"}, "and no pages, which a text has not"
    assert (second["chunks"]["chunks"], set(second["embeddings"])) == (len(WORDS), {"model"})


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


@pytest.mark.parametrize(
    ("parallel_runs", "at_work", "waiting", "yields"),
    [(1, 1, 0, False), (1, 1, 1, True), (2, 1, 1, False), (2, 2, 1, True), (2, 1, 2, True), (2, 2, 0, False)],
)
def test_run_makes_way_for_those_that_get_no_place_beside_it(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    parallel_runs: int,
    at_work: int,
    waiting: int,
    yields: bool,
) -> None:
    """One that waits for a second because it was just requested is no reason to end."""
    project.set_worker(parallel_runs=parallel_runs)
    # Dagster puts runs into its queue only where it knows the code location of their job.
    monkeypatch.setattr(assets, "WAITING_RUNS", [dg.DagsterRunStatus.NOT_STARTED])
    for status, count in ((dg.DagsterRunStatus.STARTED, at_work), (dg.DagsterRunStatus.NOT_STARTED, waiting)):
        for _ in range(count):
            submit(project, tags={}, status=status)
    assert assets._others_wait(project.instance, project.rag)() is yields


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
    """In a run of their own, with the reason of each: the run that stored the others is none that failed."""
    good = {project.application.add(f"{n}.txt", *WORDS) for n in range(3)}
    bad = project.application.add_row("missing.txt")
    stored = project.run().run_id
    assert project.partitions("MATERIALIZED") == good
    assert project.partitions("FAILED") == {bad}
    [failed] = project.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    [data] = [
        entry.dagster_event.step_failure_data
        for entry in project.instance.all_logs(failed.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        if entry.dagster_event
    ]
    error = data.error.to_string()
    assert {name: value.value for name, value in data.user_failure_data.metadata.items()} == {
        "failed": 1,
        "busy": 0,
        "kinds": {"not_found": 1},
    }
    assert f"{bad}  not_found: File not found: missing.txt" in error
    assert f"1 document was not ingested; all others of run {stored[:8]} are stored" in error
    [warning] = [line for line in said(project, stored) if failed.run_id[:8] in line]
    assert f"{bad}  not_found: File not found: missing.txt" in warning
    assert [summary(project, run_id) for run_id in (stored, failed.run_id)] == ["3 completed, 1 pending", "1 pending"]
    assert not [tag for tag in failed.tags if tag.startswith(jobs.HIDDEN_PREFIX)]
    assert failed.tags["dagster/max_retries"] == "0"  # the daemon repeats what did not fail in a step that it saw


def test_page_of_a_document_shows_the_run_that_is_as_it_is(project: Project) -> None:
    """Green beside a document that is stored, red beside one that failed; also where Dagster planned all of them."""
    good, bad = project.application.add("good.txt", *WORDS), project.application.add_row("bad.txt")
    project.instance.add_dynamic_partitions(partitions.PARTITIONS_NAME, [good, bad])
    tags = {"dagster/asset_partition_range_start": good, "dagster/asset_partition_range_end": bad}
    project.run(tags=tags | {"dagster/backfill": "all"})

    def shown(key: dg.AssetKey, document_id: str) -> dg.DagsterRunStatus:
        planned = project.instance.get_latest_planned_materialization_info(key, document_id)
        assert planned is not None
        run = project.instance.get_run_by_id(planned.run_id)
        assert run is not None
        assert run.tags["dagster/backfill"] == "all"
        return run.status

    failure, success = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS
    assert [shown(key, one) for key in KEYS for one in (good, bad)] == [success, failure] * 3
    assert (project.partitions("MATERIALIZED"), project.partitions("FAILED")) == ({good}, {bad})


def test_failed_attempts_stand_on_the_page_of_their_document(project: Project) -> None:
    """Each with its reason, its number and what comes next; they stay there when the document is green again."""
    bad = project.application.add_row("missing.txt")
    empty = project.application.add_row("empty.txt")
    (project.application.files / "empty.txt").touch()
    project.run(succeeds=False)
    project.run(succeeds=False, run_config=jobs.run_config(document_ids=[bad]))
    project.application.write("missing.txt", *WORDS)
    project.run(run_config=jobs.run_config(document_ids=[bad]))
    assert project.partitions("MATERIALIZED") == {bad}
    for key in KEYS:
        records = project.instance.fetch_observations(key, limit=9).records
        seen = [record.event_log_entry.asset_observation for record in reversed(records)]
        told = [{name: value.value for name, value in one.metadata.items()} for one in seen if one.partition == bad]
        assert [facts["attempts"] for facts in told] == [1, 2]
        assert {facts["error"] for facts in told} == {"not_found"}
        assert "File not found: missing.txt" in told[0]["message"]
        assert all("next try" in facts for facts in told)
        [given_up] = [one.metadata for one in seen if one.partition == empty]
        assert str(given_up["what to do"].value).endswith(f"rag-assets accept {empty}")
        assert list(given_up)[:4] == ["status", "error", "message", "what to do"], "as the page shows them"


def test_no_red_run_stands_on_the_page_of_a_document_that_was_stored_since(project: Project) -> None:
    """Dagster shows the last run that was to materialize a partition, in red where it failed, until there is another.

    That holds of the document that failed; its neighbour in the backfill never had one.
    """
    good, bad = project.application.add("good.txt", *WORDS), project.application.add_row("bad.txt")
    project.instance.add_dynamic_partitions(partitions.PARTITIONS_NAME, [good, bad])
    project.run(tags={"dagster/asset_partition_range_start": good, "dagster/asset_partition_range_end": bad})
    project.application.write("good.txt", *WORDS[:2])
    project.application.write("bad.txt", *WORDS)
    project.run(run_config=jobs.run_config(document_ids=[good, bad]))
    assert project.partitions("MATERIALIZED") == {good, bad}
    for key, document_id in itertools.product(KEYS, (good, bad)):
        planned = project.instance.get_latest_planned_materialization_info(key, document_id)
        assert planned is not None
        run = project.instance.get_run_by_id(planned.run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.SUCCESS


def test_all_failed_documents_are_named_when_a_run_fails(project: Project) -> None:
    """Not the first twenty."""
    ids = [project.application.add_row(f"missing-{n}.txt") for n in range(45)]
    result = project.run(succeeds=False)
    [failure] = [event for event in result.all_events if event.is_step_failure]
    told = failure.step_failure_data.error.to_string()
    assert all(f"{document_id}  not_found" in told for document_id in ids)
    assert "more: rag_ingestion_log" not in told


def test_partition_is_gone_when_its_document_is(project: Project) -> None:
    """The list of partitions is the list of documents."""
    document_id = project.application.add("a.txt", *WORDS)
    project.run()
    project.application.remove(document_id)
    project.run()
    assert project.instance.get_dynamic_partitions(partitions.PARTITIONS_NAME) == []


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
    # The one that watches the text worker goes with it where it was at work; one that looks at files ends by itself.
    patience.until(lambda: set(threading.enumerate()) <= threads)
    assert {owner for *_, owner in project.application.pending()} == {None}
    project.rag = Rag(project.services)
    project.run()
    assert project.application.pending() == []


def test_run_that_is_stopped_says_so_in_a_sentence_and_is_repeated(project: Project) -> None:
    """Not with a traceback; its repetition, which has its tags, is one as any other again."""
    project.application.add("a.txt", *WORDS)

    def interrupt(_outcomes: list[Outcome]) -> None:
        raise dg.DagsterExecutionInterruptedError

    project.rag = Rag(project.services, on_outcomes=interrupt)
    stopped = project.run(succeeds=False)
    [failed] = [event.step_failure_data for event in stopped.all_events if event.is_step_failure]
    assert failed.user_failure_data is not None
    assert (failed.user_failure_data.description, failed.error.stack) == (jobs.STOPPED, [])
    tags = tags_of(project, stopped.run_id)
    assert (tags[jobs.SUMMARY_TAG], tags[jobs.REPEATED_TAG]) == (jobs.STOPPED_SUMMARY, "true")
    project.rag = Rag(project.services)
    tags = tags_of(project, project.run(tags=tags).run_id)
    assert (tags[jobs.SUMMARY_TAG], tags[jobs.REPEATED_TAG]) == ("nothing was pending", "false")


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


def tags_of(project: Project, run_id: str) -> dict[str, str]:
    run = project.instance.get_run_by_id(run_id)
    assert run is not None
    return dict(run.tags)


def summary(project: Project, run_id: str) -> str:
    """As the list of runs in Dagster shows it."""
    return tags_of(project, run_id)[jobs.SUMMARY_TAG]


def test_list_of_runs_says_what_each_did(project: Project) -> None:
    """In a tag, also where documents failed; a run that repeats another one does not go on with its words."""
    document_id = project.application.add("a.txt", *WORDS)
    project.application.add_row("missing.txt")
    first, second = project.run(), project.run(tags={jobs.SUMMARY_TAG: "of its parent"})
    third = project.run(run_config=jobs.run_config(document_ids=[document_id]))
    told = [summary(project, result.run_id) for result in (first, second, third)]
    assert told == ["1 completed, 1 pending", "nothing was pending", "1 unchanged"]


@pytest.mark.parametrize("is_corrected", [True, False])
def test_run_that_is_repeated_tries_again_what_failed(project: Project, is_corrected: bool) -> None:
    """Re-executed in the UI, a run of the sensor is no success while its documents still fail."""
    (project.application.files / "empty.txt").touch()
    bad = project.application.add_row("empty.txt")
    [request] = project.tick().run_requests
    first = project.run(succeeds=False, run_config=request.run_config, tags=request.tags)
    if is_corrected:
        project.application.write("empty.txt", "pumps")
    tags = request.tags | {jobs.PARENT_TAG: first.run_id}
    project.run(succeeds=is_corrected, run_config=request.run_config, tags=tags)
    assert project.partitions("FAILED") == (set() if is_corrected else {bad})


@pytest.mark.parametrize("is_corrected", [True, False])
def test_run_of_what_failed_is_repeated_with_that_alone(project: Project, is_corrected: bool) -> None:
    """With its own config, as Dagster's page repeats it: its neighbours are not read again."""
    project.application.add("a.txt", *WORDS)
    (project.application.files / "empty.txt").touch()
    bad = project.application.add_row("empty.txt")
    project.run()
    [failed] = project.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    if is_corrected:
        project.application.write("empty.txt", "pumps")
    tags = {**failed.tags, jobs.PARENT_TAG: failed.run_id}
    again = project.run(succeeds=is_corrected, run_config=failed.run_config, tags=tags)
    assert summary(project, again.run_id) == ("1 completed" if is_corrected else "1 failed")
    assert project.partitions("FAILED") == (set() if is_corrected else {bad})


def test_run_that_belongs_nowhere_does_not_promise_to_be_repeated(project: Project) -> None:
    """Dagster does not know where the job of `execute_in_process` comes from: what is said to do does work."""
    project.application.add_row("missing.txt")
    result = project.run(succeeds=False)
    [message] = [event.step_failure_data.error.to_string() for event in result.all_events if event.is_step_failure]
    assert "rag-assets retry" in message
    assert "re-execute" not in message
