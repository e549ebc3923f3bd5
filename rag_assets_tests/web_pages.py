"""What tests of pages share: prose enough to be the subject of a page, and how often a function is called for one."""

import pytest

from rag_assets.settings import Parsing
from rag_assets.text import parsing

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
