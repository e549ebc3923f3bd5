"""Partitions: a key for every id, and buckets that Python and PostgreSQL fill alike."""

import dagster as dg
import pytest
from dagster import DagsterInstance

from rag_assets.defs import partitions
from rag_assets.defs.partitions import ByBucket, ByDocument
from rag_assets.services import Services
from rag_assets.settings import Settings
from rag_assets_tests import rows
from rag_assets_tests.application import WORDS, Application
from rag_assets_tests.project import Project

HARD_IDS = ["", " ", "7", "a,b", "...", "a...b....", "100%", "%2C", "line\nbreak", "\x7f", "ß/ö c"]


@pytest.mark.parametrize("document_id", HARD_IDS)
def test_key_when_an_id_is_hard(document_id: str) -> None:
    """Dagster accepts a key for every id, and the id comes back from it."""
    by_document = ByDocument(documents_per_run=10)
    with dg.DagsterInstance.ephemeral() as instance:
        by_document.add(instance, [document_id])
        [key] = instance.get_dynamic_partitions("documents")
    assert "," not in key
    assert unquoted(by_document, key) == document_id


def unquoted(by_document: ByDocument, key: str) -> str:
    [document_id] = by_document.document_ids([key], services=None)  # type: ignore[arg-type]
    return document_id


def test_bucket_is_the_same_for_python_and_postgresql(database_url: str) -> None:
    """Every document is in exactly the bucket that its key names."""
    rows.execute(
        database_url, 'insert into "TblDocumentFiles" (file_path) select n::text from generate_series(1, 300) n'
    )
    by_bucket = ByBucket(buckets=16)
    keys = by_bucket.definition.get_partition_keys()
    with Services(Settings(database_url=database_url, _env_file=None)) as services:  # type: ignore[arg-type]
        found = {key: by_bucket.document_ids([key], services) for key in keys}
    assert sorted(int(document_id) for ids in found.values() for document_id in ids) == list(range(1, 301))
    assert all(by_bucket.key(document_id) == key for key, ids in found.items() for document_id in ids)


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
    assert project.instance.get_dynamic_partitions(partitions.PARTITIONS_NAME) == [document_id]
    monkeypatch.undo()
    project.reconcile()
    assert project.instance.get_dynamic_partitions(partitions.PARTITIONS_NAME) == []


@pytest.mark.parametrize("document_id", ["7", "a,b", "a...b", "line\nbreak", "100%", "%2C", "Grüße", "..."])
def test_every_id_has_a_key_that_dagster_takes(document_id: str, application: Application) -> None:
    """And is found again by its key."""
    by_document = partitions.ByDocument(documents_per_run=10)
    with DagsterInstance.ephemeral() as instance, Services(application.settings) as services:
        by_document.add(instance, [document_id])
        keys = list(instance.get_dynamic_partitions(partitions.PARTITIONS_NAME))
        assert by_document.document_ids(keys, services) == [document_id]
        by_document.remove(instance, [document_id])
        assert instance.get_dynamic_partitions(partitions.PARTITIONS_NAME) == []


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
