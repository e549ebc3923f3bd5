"""Formulas of pages become text once."""

import pytest

from rag_assets.text.formats import mathml
from rag_assets_tests.web_pages import PROSE, measured


def test_nested_formulas_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A formula within a formula is read with it."""
    page = f"{PROSE}{'<math><mrow>' * 50}<mi>x</mi>{'</mrow></math>' * 50}"
    assert measured(monkeypatch, mathml, "linear", page) == 1
