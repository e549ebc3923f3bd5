"""The language of a text is told where it has one."""

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


def test_every_language_that_is_detected_can_be_asked_for() -> None:
    """As its code is stored: a filter refuses the others, which nothing has."""
    text = "the pump of the north shows an error and has to be looked at"
    assert {found["lang"] for found in languages._detector().detect(text, model="lite", k=999)} <= languages.CODES
