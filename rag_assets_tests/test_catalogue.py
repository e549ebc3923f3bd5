"""What the page says is there in every language."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from rag_assets.model import Stage, State, Status
from rag_assets.service import forms
from rag_assets.service.page import catalogue, views


def test_every_language_says_all() -> None:
    """With the same values in the same sentences."""
    for language, table in catalogue.LANGUAGES.items():
        assert set(table) == set(catalogue.ENGLISH), language
        for key, words in table.items():
            values = [set(re.findall(r"{(\w+)}", each)) for each in (words, catalogue.ENGLISH[key])]
            assert values[0] == values[1], (language, key)
    assert set(catalogue.NAMES) == set(catalogue.LANGUAGES)


def test_every_key_that_the_page_asks_for_is_there() -> None:
    """Those that templates name, and those of errors and hints in the code."""
    place = Path(views.__file__).parent
    texts = [file.read_text(encoding="utf-8") for file in (*place.glob("templates/*.html"), Path(views.__file__))]
    keys = {key for text in texts for key in re.findall(r"""\b(?:t|say)\(["']([a-z_]+)["'] ?[,)]""", text)}
    assert len(keys) > 50
    assert keys <= set(catalogue.ENGLISH)


@pytest.mark.parametrize(
    ("beginning", "words"), [("state_", State), ("status_", Status), ("stage_", Stage), ("mode_", forms.Mode)]
)
def test_every_word_of_the_program_that_is_shown_has_words(beginning: str, words: Any) -> None:
    """Another one would be an error of the page, or English on an Indonesian one."""
    assert {beginning + word for word in get_args(words)} <= set(catalogue.ENGLISH)
