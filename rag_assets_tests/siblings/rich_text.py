"""RTF: short runs in East Asian code pages, \\plain, and \\* within a group."""

from collections.abc import Iterator, Sequence

from rag_assets_tests.siblings.sibling import Sibling, sibling


def _bytes(text: str, codec: str) -> str:
    return "".join(f"\\'{byte:02x}" for byte in text.encode(codec))


def _rtf(body: str, *, charset: int = 0, page: int = 1252, default: str = "\\deff0") -> str:
    own = "\\fcharset0" if page == 1252 else ""
    fonts = f"{{\\fonttbl{{\\f0\\fnil{own} Arial;}}{{\\f1\\fnil\\fcharset{charset} Other;}}}}"
    return f"{{\\rtf1\\ansi\\ansicpg{page}{default}{fonts}\\pard\\f0 {body}\\par}}"


def short_runs() -> Iterator[Sibling]:
    """One or two characters at a time, whose bytes may look like UTF-8."""

    def runs(characters: Sequence[str], codec: str) -> str:
        return "".join(f"word{at} \\f1{_bytes(character, codec)}\\f0  " for at, character in enumerate(characters))

    for name, codec, charset, characters in (
        ("gbk", "gbk", 134, ("水", "学", "平原", "山")),
        ("cp949", "cp949", 129, ("창", "첫", "풀", "물")),
        ("big5", "big5", 136, ("水", "泵", "閥門", "管")),
        ("cp932", "cp932", 128, ("弁", "水", "ポン", "管")),
        ("greek", "cp1253", 161, ("Ω", "λί", "α", "β")),
        ("thai", "cp874", 222, ("น้", "ำ", "ปั", "ก")),
    ):
        wanted = [f"word{at}{character}" for at, character in enumerate(characters)]
        yield sibling(f"{name}.rtf", _rtf(runs(characters, codec), charset=charset), *wanted, spaced=False)
    by_page = f"pump {_bytes('通', 'gbk')} and {_bytes('说', 'gbk')} end"
    yield sibling("by_page.rtf", _rtf(by_page, page=936), "pump通and说end", spaced=False)
    korean = f"pump {_bytes('창', 'cp949')} and {_bytes('타', 'cp949')} end"
    yield sibling("korean_page.rtf", _rtf(korean, page=949), "pump창and타end", spaced=False)


def plain() -> Iterator[Sibling]:
    """\\plain goes back to the font that \\deff names, with its code page."""

    def text(words: str, codec: str) -> str:
        return "".join(_bytes(char, codec) if ord(char) > 126 else char for char in words)

    czech, greek, hebrew, turkish = "příliš žluťoučký", "η αντλία", "שלום", "ığdır şube"
    yield sibling("czech.rtf", _rtf(f"\\plain {text(czech, 'cp1250')}", charset=238, default="\\deff1"), czech)
    back = f"A\\f0 B \\plain\\fs24 {text(greek, 'cp1253')}"
    yield sibling("after_another_font.rtf", _rtf(back, charset=161, default="\\deff1"), greek)
    yield sibling("hebrew.rtf", _rtf(f"\\plain\\fs20 {text(hebrew, 'cp1255')}", charset=177, default="\\deff1"), hebrew)
    yield sibling(
        "turkish.rtf", _rtf(f"\\pard\\plain {text(turkish, 'cp1254')}", charset=162, default="\\deff1"), turkish
    )
    each = "".join(f"\\pard\\plain {text(word, 'cp1251')}\\par " for word in ("Насос", "Кран"))
    yield sibling("each_paragraph.rtf", _rtf(each, charset=204, default="\\deff1"), "Насос", "Кран")
    away = f"\\f1 {text('Насос', 'cp1251')}\\plain  caf\\'e9"
    yield sibling("to_western.rtf", _rtf(away, charset=204), "Насос", "café")
    chinese = f"\\plain {_bytes('水泵', 'gbk')}"
    yield sibling("chinese.rtf", _rtf(chinese, charset=134, default="\\deff1"), "水泵")


def stars() -> Iterator[Sibling]:
    """\\* makes a destination of a group that begins with it, and of no other."""
    yield sibling("in_bold.rtf", _rtf("Mind {\\b\\*\\cs3 the ladder} well"), "Mind the ladder well")
    yield sibling("in_paragraph.rtf", _rtf("Mind \\*\\cs5 the ladder"), "Mind the ladder")
    yield sibling(
        "twice.rtf", _rtf("Mind {\\i\\*\\cs3 the {\\ul\\*\\cs4 old} ladder} well"), "Mind the old ladder well"
    )
    yield sibling("unknown_word.rtf", _rtf("Mind {\\f0\\*\\notaword the ladder} well"), "Mind the ladder well")
    yield sibling(
        "cell.rtf",
        _rtf("\\trowd\\cellx900\\cellx1800\\intbl {\\b\\*\\cs2 left}\\cell right\\cell\\row after"),
        "left",
        "right",
        "after",
    )
    hidden = "{\\*\\generator Some Writer;}Mind {\\fs24\\*\\cs7 the ladder}{\\*\\unknowndest not seen}"
    yield sibling("true_destination.rtf", _rtf(hidden), "Mind the ladder", absent=["not seen", "Some Writer"])
