"""The job `reconcile`: what it finds, what it has Dagster told, and what it forgets."""

from dataclasses import fields

import dagster as dg
import pytest
from dagster import AssetKey

from rag_assets.defs import checks, events, partitions
from rag_assets.postgres.reconcile import Differences, FileDifferences
from rag_assets_tests.application import WORDS
from rag_assets_tests.project import Project


def test_reconcile_evaluates_the_check(project: Project) -> None:
    """What Dagster shows is of the last quarter of an hour, without a click."""
    (project.application.files / "empty.txt").touch()
    project.application.add_row("empty.txt")
    project.run(succeeds=False)
    project.application.sql("update rag_outbox set not_before = now() + interval '1 hour'")  # or it had just changed
    project.reconcile()
    [evaluation] = project.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(AssetKey(events.SOURCE_ASSET), checks.CHECK_NAME), limit=5
    )
    assert evaluation.status.name == "FAILED"
    assert evaluation.event is not None
    said = evaluation.event.asset_check_evaluation
    assert said is not None
    step = "correct it, then rag-assets retry, or leave it so: rag-assets accept."
    assert said.description == f"1 document failed (1 empty): {step}"


def test_reconcile_finds_a_file_that_changed_on_disk(project: Project) -> None:
    """What no trigger saw becomes pending; the page of the table tells what was found, beside its rows."""
    document_id = project.application.add("a.txt", *WORDS)
    project.run()
    project.application.write("a.txt", "locks")
    project.reconcile()
    assert project.application.pending() == [(document_id, "pending", 0, None)]
    [seen] = project.instance.fetch_observations(AssetKey(events.SOURCE_ASSET), limit=9).records
    assert seen.asset_observation is not None
    told = {name: value.value for name, value in seen.asset_observation.metadata.items()}
    assert (told["dagster/row_count"], told["differs"]) == (1, "1 with another file")
    assert isinstance(told["last_change"], float)


def test_reconcile_tells_how_many_rows_each_table_has(project: Project) -> None:
    """So Dagster's catalogue shows how large they are; the same once more would be an event each quarter of an hour."""
    document_id = project.application.add("a.txt", *WORDS)
    project.run()
    project.reconcile()
    project.reconcile()
    for asset, rows in ((events.RAW_TEXT, 1), (events.CHUNKS, len(WORDS)), (events.EMBEDDINGS, len(WORDS))):
        [seen] = project.instance.fetch_observations(AssetKey(asset), limit=9).records
        assert seen.asset_observation.metadata["dagster/row_count"].value == rows
    project.application.write("a.txt", *WORDS[:1])
    project.application.change(document_id)
    project.run()
    project.reconcile()
    assert len(project.instance.fetch_observations(AssetKey(events.RAW_TEXT), limit=9).records) == 2  # after its change


def test_every_difference_that_reconciliation_finds_has_words() -> None:
    """Or the page of the table would say that nothing differs."""
    found = {field.name for kind in (Differences, FileDifferences) for field in fields(kind)}
    assert found <= set(events.DIFFERENCES)
    observed = events.source_observation({"moved": 2, "missing": 0}, rows=5, changed_at=None)
    assert observed.metadata["differs"].value == "2 with another path"
    assert "last_change" not in observed.metadata


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
    assert project.instance.get_dynamic_partitions(partitions.PARTITIONS_NAME) == [document_id]
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
    assert project.instance.get_dynamic_partitions(partitions.PARTITIONS_NAME) == [document_id]
    assert project.partitions("MATERIALIZED") == {document_id}


def test_reconcile_puts_back_what_was_deleted_in_dagster(project: Project) -> None:
    """A partition whose row is there, and materializations of one asset alone."""
    ids = {project.application.add(f"{n}.txt", *WORDS) for n in range(2)}
    project.run()
    project.instance.delete_dynamic_partition(partitions.PARTITIONS_NAME, min(ids))
    project.reconcile()
    assert project.partitions("MATERIALIZED") == ids
    project.instance.wipe_assets([AssetKey(events.CHUNKS)])
    assert project.partitions("MATERIALIZED") == set()
    project.reconcile()
    project.run()
    assert project.partitions("MATERIALIZED") == ids
