"""The asset checks: whether the index is in step with its table, and the vectors are the model's."""

from typing import cast

import dagster as dg

from rag_assets.defs import assets, checks, events
from rag_assets_tests.application import WORDS, HashEmbedder
from rag_assets_tests.project import Project


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


def test_check_is_no_part_of_a_run_of_the_assets(project: Project) -> None:
    """All that a click on Materialize selects: Dagster would skip it there, and show that instead of what is."""
    selection = dg.AssetSelection.assets(*events.ASSETS)  # with their checks
    keys = project.definitions.resolve_asset_graph()
    assert selection.resolve_checks(keys) == set()


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
