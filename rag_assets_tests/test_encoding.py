"""Bytes in any encoding become clean text."""

import pytest

from rag_assets.text import encoding

JAPANESE = "装置を起動する前に、圧力を確認してください。すべての部品は保証の対象です。"
CHINESE = "启动设备之前，请检查压力。所有部件均在保修范围内，不包括的是人为损坏。"
TRADITIONAL = "請檢查包裹的內容，然後寫信給我們的客服部門。"
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


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("城市;数量\n石家庄;90\n哈尔滨;12\n乌鲁木齐;7\n", "gbk"),
        ("城市,數量\n臺北,90\n高雄,12\n新竹,7\n", "big5"),
        ("氏名,部署\n田中,総務\n佐々木,営業\n渡辺,開発\n", "cp932"),
        ("氏名,部署\n田中,総務\n佐々木,営業\n渡辺,開発\n", "euc_jp"),
        ("이름,부서\n김민준,총무\n박서연,영업\n", "cp949"),
        ("도시;수량\n서울;9\n부산;12\n광주;7\n", "johab"),
        ("Kérjük, erősítse meg, hogy a működő gépet átvette.", "cp1250"),
        ("Győr;3\nSzékesfehérvár;4\nTűzkő;1\n", "iso8859_2"),
        ("Zásilka byla odeslána ve středu.", "cp1250"),
        ("Příjmení;Město\nDvořák;Plzeň\nŠťastný;Třebíč\n", "iso8859_2"),
        ("Zażółć gęślą jaźń", "cp852"),
        ("Užsakymas išsiųstas trečiadienį.", "cp1257"),
        ("Lūdzu, apstipriniet saņemšanu.", "cp1257"),
        ("Žürii sõidab garaaži juurest šokolaadi järele.", "cp1257"),
        ("שלום לכולם", "cp1255"),
        ("يرجى تأكيد الاستلام", "cp1256"),
        ("Lütfen teslimatı onaylayın.", "cp1254"),
        ("Comandă trimisă miercuri, mulţumim", "cp1250"),
        ("Київ;12\nЇжакевич;3\n", "cp1251"),
        ("กรุงเทพมหานคร;1\nเชียงใหม่;2\n", "cp874"),
        ("2024-03-11 12:01 INFO status=ok user=佐々木\n" * 40, "cp932"),
    ],
)
def test_decode_when_there_are_names_or_a_sentence_only(text: str, codec: str) -> None:
    """The letters and letter pairs of each language tell its encoding from a few words."""
    assert encoding.decode(text.encode(codec))[0] == text


@pytest.mark.parametrize("codec", ["gbk", "big5hkscs", "cp932", "euc_jp", "cp949"])
def test_decode_when_an_east_asian_text_is_cut_within_a_character(codec: str) -> None:
    """Its last character is lost, and nothing else."""
    text = {"cp949": KOREAN, "gbk": CHINESE, "big5hkscs": "請檢查包裹的內容，然後寫信給我們的客服部門。"}.get(
        codec, JAPANESE
    )
    assert encoding.decode(text.encode(codec)[:-1])[0] == text[:-1]


@pytest.mark.parametrize("stray", [b"\x81", b"\xff", b"\xb0"])
@pytest.mark.parametrize("declared", [None, "gb2312"])
def test_decode_when_a_stray_byte_is_in_an_east_asian_text(stray: bytes, declared: str | None) -> None:
    """At most the characters beside it are lost: those behind it are not paired wrongly."""
    text = encoding.decode(CHINESE[:12].encode("gbk") + stray + CHINESE[12:].encode("gbk"), declared=declared)[0]
    assert text.startswith(CHINESE[:11])
    assert text.endswith(CHINESE[13:])


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [JAPANESE, CHINESE, KOREAN, RUSSIAN, GREEK, "שלום לכולם\n", "กรุงเทพมหานคร 1\n"])
def test_decode_when_utf_16_has_neither_mark_nor_many_nul_bytes(text: str, codec: str) -> None:
    """Letters of one script tell it, though only spaces and breaks have a NUL byte; also when half of one is cut."""
    data = f"{text}\n{text}\n".encode(codec)
    assert encoding.decode(data) == (f"{text}\n{text}\n", codec)
    assert encoding.decode(data[:-1]) == (f"{text}\n{text}", codec)


@pytest.mark.parametrize(
    "data", [b"the quick brown fox\0jumps over it.\n", b"\0" * 7 + b"Bush hid the facts", bytes(range(64))]
)
def test_wide_when_it_is_ascii_or_no_text(data: bytes) -> None:
    """Pairs of ASCII letters are Chinese characters in UTF-16; NULs within text are strays."""
    assert encoding.wide(data) is None


@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.parametrize("text", ["장치를 시작합니다", "계획을 논의했습니다", "圖書館", "ลงชื่อ"])
def test_decode_when_a_short_utf_8_text_is_cut_at_an_end(text: str, cut: int) -> None:
    """The half of a character that is left goes, at the end or, of a later part, at the beginning."""
    assert encoding.decode(text.encode()[:-cut]) == (text[:-1], "utf-8")
    assert encoding.decode(text.encode()[cut:]) == (text[1:], "utf-8")


def test_decode_when_a_stray_byte_is_undefined() -> None:
    """It goes; quotes and dashes of the encoding stay."""
    assert encoding.decode("“Grüße” – für alle".encode("cp1252") + b"\x81")[0] == "“Grüße” – für alle"


def test_decode_when_seven_bits_are_korean() -> None:
    """ISO-2022-KR begins with its own mark."""
    assert encoding.decode(KOREAN.encode("iso2022_kr"))[0] == KOREAN


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
