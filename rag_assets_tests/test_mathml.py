"""Formulas of pages become text once."""

import pytest

from rag_assets.settings import Parsing
from rag_assets.text import parsing
from rag_assets.text.formats import mathml

PROSE = "<p>" + "The pump moves water from the well to the house. " * 10 + "</p>"


def measured(monkeypatch: pytest.MonkeyPatch, module: object, name: str, page: str) -> int:
    """How often a function is called while a page is read."""
    calls, real = [0], getattr(module, name)

    def counted(*given: object) -> object:
        calls[0] += 1
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, counted)
        parsing.parse(page.encode(), name="a.html", limits=Parsing())
    return calls[0]


def test_nested_formulas_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A formula within a formula is read with it."""
    page = f"{PROSE}{'<math><mrow>' * 50}<mi>x</mi>{'</mrow></math>' * 50}"
    assert measured(monkeypatch, mathml, "linear", page) == 1
