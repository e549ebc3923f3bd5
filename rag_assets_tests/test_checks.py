"""The asset checks: whether the index is in step with its table, and the vectors are the model's."""

from typing import cast

import dagster as dg
import pytest

from rag_assets import operations
from rag_assets.defs import assets, checks, events, jobs
from rag_assets_tests.application import WORDS, HashEmbedder
from rag_assets_tests.project import Project, claim


def check(project: Project) -> dg.AssetCheckResult:
    return cast(dg.AssetCheckResult, checks.index_in_step(project.rag))


def test_check_of_vectors_fails_when_they_are_not_the_models(project: Project) -> None:
    """It embeds a few again, and says how many differ, how far, and which command mends it."""
    project.application.add("a.txt", *WORDS[:2])  # so few that the 32 draws of the check take each of them
    project.run()
    project.rag.services = lambda **_options: project.services  # type: ignore[method-assign]

    def found() -> dg.AssetCheckResult:
        project.embed_with(HashEmbedder())
        return cast(dg.AssetCheckResult, checks.vectors_are_the_models(project.rag))

    assert str(found().description) == "Each of 2 vectors that were made anew is as it is stored."
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
    assert (result.metadata["dead"].value, result.metadata["failed"].value) == ("1 empty", "none")


def test_check_warns_of_a_row_that_nobody_will_look_at(project: Project) -> None:
    """It is no success because nothing is pending; a row without a path is no document.

    Triggers that are off are an error, and no warning: they hide changes of every document.
    """
    project.application.sql('alter table "TblDocumentFiles" alter file_path drop not null')
    project.application.sql('insert into "TblDocumentFiles" (file_path) values (null)')
    project.run()
    assert check(project).passed
    project.application.sql('alter table "TblDocumentFiles" disable trigger rag_document_changed')
    without_triggers = check(project)
    assert (without_triggers.passed, without_triggers.severity) == (False, dg.AssetCheckSeverity.ERROR)
    project.application.add("a.txt", *WORDS)
    project.application.sql('alter table "TblDocumentFiles" enable always trigger rag_document_changed')
    result = check(project)
    assert not result.passed
    assert result.description == "1 document is neither indexed nor pending: rag-assets reconcile finds it."
    project.reconcile()
    assert check(project).passed


def told(project: Project) -> dict[str, list[bool]]:
    """Whether each evaluation of the checks of documents' assets passed, by the check's name, the last one first."""
    storage = project.instance.event_log_storage
    keys = [check.spec.key for check in checks.CHECKS]
    found = {key.name: storage.get_asset_check_execution_history(key, limit=9) for key in keys}
    return {name: [record.evaluation.passed for record in records] for name, records in found.items()}


def test_checks_of_the_assets_are_evaluated_after_what_a_click_on_materialize_does(project: Project) -> None:
    """Dagster would skip what waits for outputs of the assets; where documents fail, too, and in a run of checks."""
    project.application.add("a.txt", *WORDS)
    project.application.add_row("none.txt")
    job = project.definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        asset_selection=[dg.AssetKey(name) for name in events.ASSETS],
        instance=project.instance,
        raise_on_error=False,
        run_config=jobs.run_config(),
    )
    [failed] = project.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    assert failed.run_id != result.run_id
    assert told(project) == {check.name: [check.name != "few_documents_failed"] for check in checks.CHECKS}
    found = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert found["chunks_are_of_documents"].description == f"Each of {len(WORDS)} chunks is of a document of the table."

    project.application.sql("update rag_document_chunks set embedding = embedding - embedding - embedding")
    [key] = [check.spec.key for check in checks.CHECKS if check.name == "vectors_are_valid"]
    alone = job.get_subset(asset_selection=set(), asset_check_selection={key})
    assert alone.execute_in_process(instance=project.instance).success
    assert told(project)["vectors_are_valid"] == [True, True]
    assert told(project)["chunks_find_themselves"] == [True]


def test_reconciliation_evaluates_the_checks_of_the_assets(project: Project) -> None:
    """And tells what is new: the same every 15 minutes would fill a disk."""
    project.application.add("a.txt", *WORDS)
    project.run()
    for _ in range(2):
        project.reconcile()
    assert told(project) == {check.name: [True] for check in checks.CHECKS}
    project.application.sql("update rag_document_chunks set embedding = '[1, 0]' where chunk_index = 0")
    project.reconcile()
    assert told(project)["vectors_are_valid"] == [False, True]


def of_table(project: Project) -> list[tuple[bool, int, int]]:
    """What each evaluation of the check of the table said, the last one first: whether it passed, and two numbers."""
    key = dg.AssetCheckKey(dg.AssetKey(events.SOURCE_ASSET), checks.CHECK_NAME)
    records = project.instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
    found = [cast(dg.AssetCheckEvaluation, record.evaluation) for record in records]
    numbers = [[int(str(one.metadata[name].value)) for name in ("documents", "pending")] for one in found]
    return [(one.passed, *them) for one, them in zip(found, numbers, strict=True)]  # type: ignore[misc]


def test_reconciliation_tells_of_the_table_when_something_changed(project: Project) -> None:
    """Its numbers are those of now; the same ones are told once, and each reconciliation shows that it looked."""
    project.application.add("a.txt", *WORDS)
    project.run()
    for _ in range(3):
        project.reconcile()
    assert of_table(project) == [(True, 1, 0)]
    assert len(project.instance.fetch_observations(dg.AssetKey(events.SOURCE_ASSET), limit=9).records) == 3
    project.application.add("b.txt", *WORDS)
    project.reconcile()
    project.application.add_row("none.txt")
    project.run()
    project.reconcile()
    assert of_table(project)[:2] == [(True, 3, 1), (True, 2, 1)]


def test_reconciliation_tells_once_of_a_run_that_stands_still(project: Project) -> None:
    """For how long it does is another number at each look."""
    project.application.add("a.txt", *WORDS)
    claim(project, "run:standing")
    project.application.sql(
        "insert into rag_runs (run_id, progressed_at) values ('standing', now() - interval '1 hour')"
    )
    looks = []
    for _ in range(2):
        project.application.sql("update rag_runs set progressed_at = progressed_at - interval '1 minute'")
        status = operations.status(project.services)
        looks.append(status.standing_still)
        for evaluation in checks.news(project.instance, project.services, status):
            project.instance.report_runless_asset_event(evaluation)
    assert looks[0] != looks[1]
    assert len(of_table(project)) == 1


def test_what_was_told_is_told_again_after_a_day(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the page of a check shows that somebody still looks."""
    project.reconcile()
    status = operations.status(project.services)
    assert checks.news(project.instance, project.services, status) == []
    monkeypatch.setattr(checks, "TOLD_AGAIN_SECONDS", -1.0)
    assert len(checks.news(project.instance, project.services, status)) == 1 + len(checks.CHECKS)


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


def of_checks(project: Project) -> dg.JobDefinition:
    """A job that evaluates the checks of documents' assets, and nothing else."""
    job = project.definitions.resolve_implicit_global_asset_job_def()
    return job.get_subset(asset_selection=set(), asset_check_selection={check.spec.key for check in checks.CHECKS})


def test_reconciliation_tells_what_a_run_was_only_to_evaluate(project: Project) -> None:
    """A run that is queued, or was killed before its checks, has told nothing of them, and hinders nobody."""
    project.application.add("a.txt", *WORDS)
    project.run()
    keys = [check.spec.key for check in checks.CHECKS]
    project.instance.create_run_for_job(of_checks(project))  # it is to evaluate them
    project.reconcile()
    records = project.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    evaluations = [records[key].evaluation for key in keys]
    assert all(isinstance(one, dg.AssetCheckEvaluation) and one.passed for one in evaluations)
    assert checks.news(project.instance, project.services, operations.status(project.services)) == []


@pytest.mark.parametrize(("tag", "looks"), [("dagster/backfill", 0), ("dagster/partition", 0), ("another", 7)])
def test_runs_of_a_backfill_leave_the_checks_to_reconciliation(project: Project, tag: str, looks: int) -> None:
    """It has hundreds of runs, and each look is at all of the index."""
    result = of_checks(project).execute_in_process(instance=project.instance, tags={tag: "x"})
    assert len(result.get_asset_check_evaluations()) == looks
