"""JSON, in all its forms: keys stay with their values."""

import pytest

from rag_assets.errors import DocumentError
from rag_assets_tests.reading import read


def test_json_keys_and_values() -> None:
    """Keys stay with their values, numbers as they are written."""
    text = read('{"name": "x", "price": 1.50, "tags": ["a", "b"], "inner": {"deep": [{"k": null}]}}', "a.json").text
    assert text == "name: x\nprice: 1.50\ntags: a, b\ninner:\n  deep:\n    -\n      k: null"


def test_ndjson_one_record_per_line() -> None:
    """A record is a line."""
    assert read('{"a": 1, "b": {"c": "x"}}\n{"a": 2}\n', "a.ndjson").text == "a: 1; b.c: x\na: 2"


@pytest.mark.parametrize(("source", "text"), [('{// why\n"a": [1, 2,],}', "a: 1, 2"), ('{"a": [1, 2', '{"a": [1, 2')])
def test_json_when_not_strict(source: str, text: str) -> None:
    """Comments and trailing commas are read, and broken JSON is kept as it is."""
    assert read(source, "a.json").text == text


def test_json_when_nested_deeply() -> None:
    """Depth ends with an error of ours."""
    with pytest.raises(DocumentError) as caught:
        read("[" * 200_000 + "]" * 200_000, "a.json")
    assert caught.value.kind == "corrupt"
