"""What a request asks for: values of the right kind become a form, any other is named in words."""

from typing import Any

import pytest

from rag_assets.service import forms
from rag_assets.service.forms import Invalid, SearchRequest


def test_what_is_not_said_is_as_usual() -> None:
    form = forms.read(SearchRequest, {"query": "pump"})
    assert (form.query, form.mode) == ("pump", forms.read(SearchRequest, {"query": "x"}).mode)


def nested(depth: int) -> Any:
    return {"query": "pump", "filters": {"documents": [nested(depth - 1)] if depth else []}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "The body is a JSON object"),
        ({"query": "a\0b"}, "no NUL"),
        ({"query": "\ud800"}, "surrogate"),
        ({"query": "a", "k": float("nan")}, "finite"),
        ({"query": "a", "limit": 3}, "limit: there is no such field; there are query"),
        ({"query": "a", "filters": {"folder": "x"}}, "filters.folder: there is no such field"),
        ({}, "query: "),
        (nested(50), "nested too deeply"),
    ],
)
def test_what_is_wrong_is_named(given: Any, said: str) -> None:
    """In one line, with what there is instead."""
    with pytest.raises(Invalid) as info:
        forms.read(SearchRequest, given)
    assert said in str(info.value)
    assert "\n" not in str(info.value)
