"""Partitions: a key for every id, and buckets that Python and PostgreSQL fill alike."""

import dagster as dg
import pytest

from rag_assets.defs.partitions import ByBucket, ByDocument
from rag_assets.services import Services
from rag_assets.settings import Settings
from rag_assets_tests import rows

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
