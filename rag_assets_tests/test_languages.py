"""The language of a text is told where it has one."""

import re
from pathlib import Path

import pytest

from rag_assets.text import languages


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The pump moves water from the well to the house, and the valve is closed at night.", "en"),
        ("Die Pumpe bringt das Wasser vom Brunnen ins Haus, und nachts ist das Ventil geschlossen.", "de"),
        ("La pompe conduit l'eau du puits à la maison, et la vanne est fermée pendant la nuit.", "fr"),
    ],
)
def test_language_is_found_when_a_text_has_words(text: str, code: str) -> None:
    """A short notice is enough."""
    assert languages.detect(text) == code


@pytest.mark.parametrize("text", ["", "1234567890 " * 50, "Pump", "\ud800"])
def test_language_is_unsure_when_there_is_nothing_to_tell_it_by(text: str) -> None:
    """Numbers and single words are in no language."""
    assert languages.detect(text) == languages.UNSURE


@pytest.mark.parametrize(("given", "close"), [("English", ": en"), ("jp", ": jv, ja, "), ("en-GB", ": en"), ("xx", "")])
def test_code_that_is_none_is_said_with_those_close_to_it(given: str, close: str) -> None:
    """And where all are: not in the message, of which nobody reads 170."""
    with pytest.raises(ValueError, match=f"^{given!r} is none of the codes of languages") as said:
        languages.language(given)
    assert (f"Close to it{close}" in str(said.value)) is bool(close)
    assert str(said.value).endswith("All are in docs/search.md#languages")
    assert len(str(said.value)) < 150


def test_every_code_is_in_the_documentation() -> None:
    """Where the message says so."""
    listed = (
        (Path(__file__).parents[1] / "docs" / "search.md")
        .read_text(encoding="utf-8")
        .partition("## Languages")[2]
        .partition("## ")[0]
    )
    assert set(re.findall(r"`([a-z]+)`", listed)) == languages.CODES


def test_every_language_that_is_detected_can_be_asked_for() -> None:
    """As its code is stored: a filter refuses the others, which nothing has."""
    text = "the pump of the north shows an error and has to be looked at"
    assert {found["lang"] for found in languages._detector().detect(text, model="lite", k=999)} <= languages.CODES
