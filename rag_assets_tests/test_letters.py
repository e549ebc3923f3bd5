"""Encodings are told by what letters and pairs of letters a language really has."""

import pytest

from rag_assets.text import letters

GREEK = "Η αντλία του βορρά δείχνει σφάλμα όταν δεν περνά νερό από τη βαλβίδα."
RUSSIAN = "Насос на севере показывает ошибку, если вода не проходит через клапан."
FRENCH = "La pompe du nord a été réparée après l'arrêt de l'eau, déjà très sale à côté."
JAPANESE = "北のポンプは、水が弁を通らないときにエラーを表示します。"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (GREEK, "cp1253"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8_r"),
        (RUSSIAN, "cp866"),
        (FRENCH, "cp1252"),
        (FRENCH, "cp850"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc_jp"),
    ],
)
def test_encoding_is_that_in_which_the_text_has_words(text: str, name: str) -> None:
    """Several may hold these bytes; another one that reads them the same is as good."""
    data = text.encode(name)
    assert data.decode(letters.codec(data)) == text


def test_plain_ascii_is_the_most_frequent_encoding() -> None:
    assert letters.codec(b"The pump of the north.") == "cp1252"


def test_only_the_character_is_lost_whose_byte_is() -> None:
    """Behind a stray byte, characters are paired as before it."""
    data = JAPANESE.encode("cp932")
    at = data.index("を".encode("cp932"))
    mended = letters.mended(data[:at] + data[at + 1 :], "cp932")
    before, _, after = JAPANESE.partition("を")
    assert mended.startswith(before)
    assert mended.endswith(after[1:])
