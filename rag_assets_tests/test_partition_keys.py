"""Each document has a partition of its own, under a key that Dagster takes."""

import re

import pytest

from rag_assets import partition_keys


@pytest.mark.parametrize("document_id", ["1", "a b", "a,b", "a...b", "50%", "%2C", "", "tab\there", "größe/文書"])
def test_key_is_fit_and_no_other_documents(document_id: str) -> None:
    """No comma, no control character, no three dots, never empty; what looks like a mapped id is another one."""
    key = partition_keys.of_document(document_id)
    assert key
    assert not re.search(r"[,\x00-\x1f]|\.\.\.", key)
    assert key != partition_keys.of_document(document_id + "%")
    assert (key == document_id) == (not re.search(r"[%,\x00-\x1f]|\.\.\.|^$", document_id))


def test_documents_are_spread_over_all_buckets() -> None:
    """The same one for the same id, whenever it is asked."""
    keys = [partition_keys.of_bucket(str(number), buckets=7) for number in range(200)]
    assert set(keys) == {partition_keys.bucket(number) for number in range(7)}
    assert keys[3] == partition_keys.of_bucket("3", buckets=7)
