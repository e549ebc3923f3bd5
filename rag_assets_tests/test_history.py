"""defs.history: what Dagster keeps is forgotten by age, and its pages stay right; on PostgreSQL, as under `up`."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import dagster as dg
import pytest
import yaml  # type: ignore[import-untyped]
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._serdes import deserialize_value, serialize_value

from rag_assets.defs import checks, events, history, jobs, partitions
from rag_assets.services import DAGSTER_SCHEMA
from rag_assets.supervisor import dagster_url
from rag_assets_tests.application import WORDS, Application
from rag_assets_tests.project import KEYS, Project, opened, submit

REPOSITORY = "__repository__@rag_assets"
NUMBERS = count()
IN_STEP = dg.AssetCheckKey(dg.AssetKey(events.SOURCE_ASSET), checks.CHECK_NAME)
OURS = {history.REPOSITORY_TAG: REPOSITORY}
OLD = "update dagster.runs set update_timestamp = update_timestamp - interval '100 days'"


@pytest.fixture
def kept(application: Application, tmp_path: Path) -> Iterator[Project]:
    """The project on an instance that keeps its history in PostgreSQL."""
    from rag_assets.postgres.database import Database

    url = application.url
    database = Database(url)
    database.create_schema(DAGSTER_SCHEMA)
    database.close()
    home = tmp_path / "dagster"
    home.mkdir()
    storage = {"postgres": {"postgres_url": dagster_url(application.settings, database_url=url)}}
    (home / "dagster.yaml").write_text(yaml.safe_dump({"storage": storage, "telemetry": {"enabled": False}}))
    with opened(application) as project, dg.DagsterInstance.from_config(str(home)) as instance:
        project.instance = instance
        yield project


def forget(project: Project, *, days: float = 30, is_launched: bool = True) -> int:
    """As a run does that Dagster launched, and loaded from its storage; or one in a process of one's own."""
    location = GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="rag_assets")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), jobs.reconcile.name)
    made = dg.DagsterRun(job_name=jobs.reconcile.name, remote_job_origin=origin if is_launched else None)
    run = deserialize_value(serialize_value(made), dg.DagsterRun)
    return history.forget(project.instance, run, days=days)


def ids(project: Project) -> set[str]:
    return {run.run_id for run in project.instance.get_runs()}


def shown(project: Project) -> dict[str, object]:
    """What Dagster's pages ask for: states of partitions, the last events with their metadata, and checks."""
    instance, storage = project.instance, project.instance.event_log_storage
    states = [project.partitions(state) for state in ("MATERIALIZED", "FAILED", "MISSING")]
    last = {
        (asset.to_string(), kind.value): dict(instance.get_latest_storage_id_by_partition(asset, kind))
        for asset in history.OUR_ASSETS
        for kind in history.OF_ASSETS
    }
    whole = {
        asset.to_string(): [
            instance.fetch_observations(asset, limit=1).records,
            instance.get_latest_materialization_event(asset),
            storage.get_latest_planned_materialization_info(asset),
            storage.get_latest_asset_partition_materialization_attempts_without_materializations(asset),
        ]
        for asset in history.OUR_ASSETS
    }
    materialized = {
        (asset.to_string(), key): instance.fetch_materializations(
            dg.AssetRecordsFilter(asset, asset_partitions=[key]), limit=1
        ).records
        for asset in KEYS
        for key in instance.get_dynamic_partitions(partitions.PARTITIONS_NAME)
    }
    keys = [IN_STEP, *(check.spec.key for check in checks.CHECKS)]
    evaluated = storage.get_latest_asset_check_execution_by_key(keys)
    return {"states": states, "last": last, "whole": whole, "materialized": materialized, "checks": dict(evaluated)}


def document(project: Project, name: str) -> str:
    return project.application.add(name, *WORDS)


def change(project: Project, document_id: str, name: str) -> str:
    """The run that stores the document again."""
    project.application.write(name, *WORDS, str(next(NUMBERS)))
    project.application.change(document_id)
    return project.run(tags=OURS).run_id


def test_runs_whose_documents_all_changed_since_are_forgotten(kept: Project) -> None:
    """With their events; those of others stay, and those that are not old, and all that the pages show."""
    document_id = document(kept, "a.txt")
    first = kept.run(tags=OURS).run_id
    foreign = kept.run(tags={history.REPOSITORY_TAG: "__repository__@another"}).run_id
    superseded = change(kept, document_id, "a.txt")
    kept.application.sql(OLD)
    newest = change(kept, document_id, "a.txt")
    before = shown(kept)
    assert forget(kept, days=200) == 0
    assert forget(kept) == 2
    assert ids(kept) == {foreign, newest}
    assert kept.application.sql(f"select 1 from dagster.event_logs where run_id in ('{first}', '{superseded}')") == []
    assert shown(kept) == before
    assert before["states"][0] == {document_id}  # type: ignore[index]
    assert forget(kept) == 0


def test_a_run_stays_as_long_as_one_of_its_documents_shows_it(kept: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all of its events, which are read in pages; once that document is deleted, too, it goes."""
    monkeypatch.setattr(history, "EVENTS_PAGE", 2)
    first, second = document(kept, "a.txt"), document(kept, "b.txt")
    both = kept.run(tags=OURS).run_id
    change(kept, first, "a.txt")
    kept.application.sql(OLD)
    before = shown(kept)
    assert forget(kept) == 0
    assert shown(kept) == before
    kept.instance.delete_dynamic_partition(partitions.PARTITIONS_NAME, second)
    assert forget(kept) == 1
    assert both not in ids(kept)


def test_a_document_that_failed_stays_so(kept: Project) -> None:
    """Its reason is in an observation, its state in an event that says what was planned."""
    good, bad = document(kept, "a.txt"), kept.application.add_row("missing.txt")
    kept.run(tags=OURS)
    change(kept, good, "a.txt")
    kept.application.sql(OLD)
    before = shown(kept)
    forget(kept)
    assert shown(kept) == before
    assert before["states"][:2] == [{good}, {bad}]  # type: ignore[index]


def test_reconciliations_are_forgotten_but_for_what_they_were_the_last_to_say(kept: Project) -> None:
    """Each says something of the table; few say what is news: of rows, and of checks."""
    document(kept, "a.txt")
    kept.run(tags=OURS)
    for _ in range(4):
        kept.reconcile(tags=OURS)
    kept.application.sql(OLD)
    before, runs = shown(kept), len(ids(kept))
    assert runs - forget(kept) == len(ids(kept)) <= 3
    assert shown(kept) == before


def test_what_belongs_to_no_run_does_not_grow_while_nothing_happens(kept: Project) -> None:
    """Dagster cannot delete it; after the first reconciliations, each tells only by events of its own run."""
    document(kept, "a.txt")
    kept.run(tags=OURS)
    kept.reconcile(tags=OURS)
    size = """select count(*), sum(pg_column_size(e.*)) from dagster.event_logs e
        where run_id not in (select run_id from dagster.runs)"""
    before = kept.application.sql(size), kept.application.sql("select count(*) from dagster.asset_check_executions")
    for _ in range(3):
        kept.reconcile(tags=OURS)
    after = kept.application.sql(size), kept.application.sql("select count(*) from dagster.asset_check_executions")
    assert before[0][0][0] > 0
    assert after == before


def test_a_run_that_goes_on_stays_however_old_it_is(kept: Project) -> None:
    """One that waits to be launched, one at work, and one that is being canceled."""
    statuses = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
    going = {submit(kept, tags=OURS, status=status) for status in statuses}
    kept.application.sql(OLD)
    assert forget(kept) == 0
    assert ids(kept) == going


@pytest.mark.parametrize("tag", [history.ROOT_TAG, history.PARENT_TAG])
def test_a_run_that_was_repeated_stays_as_long_as_what_repeats_it(kept: Project, tag: str) -> None:
    """The page of that one asks for both."""
    document_id = document(kept, "a.txt")
    root = kept.run(tags=OURS).run_id
    kept.application.change(document_id)
    repeated = submit(kept, tags={**OURS, tag: root}, status=dg.DagsterRunStatus.STARTED)
    change(kept, document_id, "a.txt")
    kept.application.sql(OLD)
    assert forget(kept) == 0
    kept.instance.delete_run(repeated)
    assert forget(kept) == 1
    assert root not in ids(kept)


def test_runs_with_assets_or_without_any_of_the_same_code_location_stay(kept: Project) -> None:
    """Somebody's own project may have this index as a component."""

    @dg.asset
    def theirs() -> None: ...

    @dg.job
    def nightly() -> None: ...

    for _ in range(2):
        dg.materialize([theirs], instance=kept.instance, tags=OURS)
        nightly.execute_in_process(instance=kept.instance, tags=OURS)
    kept.application.sql(OLD)
    assert forget(kept) == 0
    assert len(ids(kept)) == 4


def test_a_look_goes_on_where_the_last_one_ended(kept: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many runs stay: the next one looks behind them, and then at the first ones again."""
    monkeypatch.setattr(history, "PAGE", 1)
    stays = document(kept, "a.txt")
    staying = kept.run(tags=OURS).run_id
    goes = document(kept, "b.txt")
    going = kept.run(tags=OURS).run_id
    newest = change(kept, goes, "b.txt")
    kept.application.sql(OLD)
    monkeypatch.setattr(history, "LOOK_SECONDS", 0)
    assert [forget(kept) for _ in range(2)] == [0, 1]
    assert ids(kept) == {staying, newest}
    assert going not in ids(kept)
    change(kept, stays, "a.txt")
    assert sum(forget(kept) for _ in range(4)) == 1
    assert staying not in ids(kept)


@pytest.mark.parametrize(("days", "is_launched"), [(0, True), (30, False)])
def test_nothing_goes_where_it_is_off_or_nobody_knows_whose_runs_they_are(
    kept: Project, days: float, is_launched: bool
) -> None:
    """A run that is executed in a process of one's own has no code location."""
    document_id = document(kept, "a.txt")
    kept.run(tags=OURS)
    change(kept, document_id, "a.txt")
    kept.application.sql(OLD)
    assert forget(kept, days=days, is_launched=is_launched) == 0


def test_a_reconciliation_forgets_what_is_old(kept: Project) -> None:
    """And says how many runs went."""
    document_id = document(kept, "a.txt")
    kept.run(tags=OURS)
    kept.application.sql("update dagster.runs set update_timestamp = update_timestamp - interval '200 days'")
    change(kept, document_id, "a.txt")
    kept.reconcile(tags=OURS)
    assert len(ids(kept)) == 2
