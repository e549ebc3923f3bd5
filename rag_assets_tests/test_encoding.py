"""Bytes in any encoding become clean text."""

import pytest

from rag_assets.text import encoding

JAPANESE = "装置を起動する前に、圧力を確認してください。すべての部品は保証の対象です。"
CHINESE = "启动设备之前，请检查压力。所有部件均在保修范围内，不包括的是人为损坏。"
KOREAN = "장치를 시작하기 전에 압력을 확인하십시오. 모든 부품은 보증 대상입니다."
RUSSIAN = "Перед запуском проверьте давление и уровень масла. Если давление ниже нормы, обратитесь в сервисный центр."
FRENCH = "Veuillez vérifier la pression avant de démarrer l’appareil. Toutes les pièces sont garanties, même usées."
SWEDISH = "Kontrollera först trycket. Älgen åt kött och smör på gården i går, så är det."
POLISH = "Zażółć gęślą jaźń. Proszę sprawdzić ciśnienie przed uruchomieniem urządzenia."
GREEK = "Παρακαλώ ελέγξτε την πίεση πριν από την εκκίνηση της συσκευής. Όλα τα μέρη καλύπτονται."


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (JAPANESE, "iso2022_jp"),
        (CHINESE, "gb18030"),
        (KOREAN, "euc_kr"),
        (RUSSIAN, "koi8_r"),
        (RUSSIAN, "cp1251"),
        (FRENCH, "cp1252"),
        (FRENCH.replace("’", "'"), "cp850"),
        (FRENCH.replace("’", "'"), "mac_roman"),
        (SWEDISH, "cp850"),
        (SWEDISH, "mac_roman"),
        (POLISH, "cp1250"),
        (POLISH, "iso8859_2"),
        (GREEK, "cp1253"),
        (FRENCH, "utf-16"),
        (FRENCH, "utf-16-be"),
        (RUSSIAN, "utf-32"),
        (RUSSIAN, "utf-8-sig"),
    ],
)
def test_decode_when_nothing_is_declared(text: str, codec: str) -> None:
    """A few sentences are enough to tell the encoding."""
    assert encoding.decode(text.encode(codec))[0] == text


@pytest.mark.parametrize(
    "text", ["Grüße an alle", "# Autor: Jörg Müller", "Señor Núñez", "à bientôt", "São Paulo", "10 °C"]
)
def test_decode_when_there_is_little_to_tell_from(text: str) -> None:
    """A detector takes it for any of a hundred code pages; no word mixes letters of two scripts."""
    assert encoding.decode(text.encode("cp1252")) == (text, "cp1252")


def test_decode_when_a_page_says_latin_1_and_is_utf_8() -> None:
    """Valid UTF-8 is believed before a declared single-byte encoding."""
    assert encoding.decode(FRENCH.encode(), declared="iso-8859-1") == (FRENCH, "utf-8")


def test_decode_when_declared() -> None:
    """A declared label means its superset, as in browsers."""
    assert encoding.decode("価格①".encode("cp932"), declared="Shift_JIS")[0] == "価格①"


def test_decode_when_some_bytes_are_stray() -> None:
    """UTF-8 with a byte of Windows-1252 in it stays UTF-8, and nothing becomes U+FFFD."""
    assert encoding.decode(RUSSIAN.encode() + b" \x96 ok") == (f"{RUSSIAN} – ok", "utf-8")


def test_decode_when_cut_within_a_character() -> None:
    """A truncated file loses its last character only."""
    assert encoding.decode(RUSSIAN.encode()[:-2])[0].startswith(RUSSIAN[:-2])


def test_decode_late_bytes_of_another_kind() -> None:
    """UTF-8 is checked over the whole file, not its beginning."""
    data = b"plain ascii line\n" * 10_000 + "Überprüfung für größere Schäden".encode("cp1252")
    assert encoding.decode(data)[0].endswith("Überprüfung für größere Schäden")


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x81\x8d\x8f\x90\x9d", bytes(range(256))])
def test_decode_never_fails(data: bytes) -> None:
    """Any bytes give text without NUL and U+FFFD."""
    text, _ = encoding.decode(data)
    assert "\0" not in text
    assert "\ufffd" not in text


@pytest.mark.parametrize("label", ["", "nonsense", "hex", "\0", "utf-16"])
def test_decode_when_the_label_is_useless(label: str) -> None:
    """A wrong label costs nothing."""
    assert encoding.decode(FRENCH.encode(), declared=label)[0] == FRENCH


def test_repair_removes_what_nobody_sees() -> None:
    """Controls, overrides and soft hyphens go, and are counted; line breaks become one kind."""
    text, warnings = encoding.repair("a\x00b\u202ec\u00add\r\ne\rf\u2028g\u200bh")
    assert text == "abcd\ne\nf\ngh"
    assert warnings == ("4 invisible characters removed",)


@pytest.mark.parametrize("text", ["می‌خواهم", "क्‍ष", "👨‍👩‍👧 family", "ភាសា​ខ្មែរ"])
def test_repair_keeps_joiners_where_scripts_need_them(text: str) -> None:
    """Zero-width joiners and spaces between Persian, Indic, Khmer letters and emoji are spelling."""
    assert encoding.clean(text).count("\u200c") == text.count("\u200c")
    assert encoding.clean(text).count("\u200d") == text.count("\u200d")
    assert encoding.clean(text).count("\u200b") == text.count("\u200b")


def test_repair_removes_the_colors_of_a_terminal() -> None:
    """The whole sequence, not its first character only."""
    assert encoding.clean("\x1b[1;31mfailed\x1b[0m: [31m]\x1b[K") == "failed: [31m]"


def test_repair_composes() -> None:
    """Text is NFC: the same word has the same characters."""
    assert encoding.clean("e\u0301te\u0301") == "été"
