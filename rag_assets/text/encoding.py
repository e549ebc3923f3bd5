"""Bytes of unknown encoding to text that can be stored and searched."""

import codecs
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

SAMPLE_BYTES = 2**16  # of lines that hold more than ASCII, among which the encoding is looked for
LINE_BYTES = 8_192  # of one line, to either side of what is not ASCII in it
MENDED_BYTES = 2**16  # of lines with stray bytes whose characters are put together anew; of further lines they go
ASCII_SHARE = 0.9  # of the bytes that are not NUL: more are ASCII with NULs in it, not UTF-16
SCRIPT_LETTERS, SCRIPT_SHARE = 4, 0.9  # at least, and of them in one script, for UTF-16 to be known by it
REPAIRED_SHARE = 0.02  # of the bytes that are not ASCII: up to here, a text is UTF-8 with some stray bytes

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Labels mean their supersets, as in browsers (https://encoding.spec.whatwg.org/#names-and-labels).
_SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
}
_ALIASES = {"x-sjis": "cp932", "windows-31j": "cp932", "x-gbk": "gb18030", "unicode": "utf-16", "x-euc-jp": "euc_jp"}
_MULTIBYTE = ("gb18030", "cp949", "cp932", "big5hkscs", "euc_jp", "iso2022_jp", "utf-8", "utf-16", "utf-32")
_HIGH_BYTES = bytes(range(128, 256))
_PRINTED_ASCII = bytes((9, 10, 13, *range(32, 127)))
_CUT = re.compile(  # what is left of characters of UTF-8 where a file was cut out of a longer one
    rb"\A[\x80-\xbf]{1,3}|(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"
)
_ESCAPES = re.compile(rb"\x1b(?:\$[@B(]|\([BJI])")  # ISO-2022-JP: seven bits, so never wrong UTF-8
_KOREAN = b"\x1b$)C"  # at the beginning of ISO-2022-KR

BREAKS = "\r\x0b\x85\u2028\u2029"
_BREAKS = re.compile(f"\r\n?|[{BREAKS}]")
# Seen by nobody, and in the way of tokenizers, databases and readers of diffs: controls, byte order marks within the
# text, bidirectional embeddings and overrides, soft hyphens, word joiners, annotation marks, lone surrogates.
_HARMFUL = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u180e\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_COLORS = re.compile("\x1b\\[[0-9;?]*[A-Za-z]")  # and whatever else moves a terminal's pen
_SUSPECT = re.compile(f"{_HARMFUL.pattern[:-1]}\r\x0b\u2028\u2029\u200b-\u200d]")
_SUSPECT_BYTES = bytes({*range(9), 11, 13, *range(14, 32), 127})
_HARMFUL_ASCII = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
# Arabic, Indic and South-East Asian scripts and emoji are written with these; Latin, Greek and Cyrillic are not.
_STRAY_JOINERS = re.compile("(?<![\u0530-\U0010ffff])[\u200b-\u200d]+|[\u200b-\u200d]+(?![\u0530-\U0010ffff])")


class Reading(NamedTuple):
    """Clean text, the encoding that it was in, and what was repaired."""

    text: str
    encoding: str
    warnings: tuple[str, ...]


def read(data: bytes, *, declared: str | None = None) -> Reading:
    """The clean text of these bytes, whatever encoding it is in."""
    text, name = exact(data, declared=declared)
    cleaned, warnings = repair(text)
    return Reading(cleaned, name, warnings)


def decode(data: bytes, *, declared: str | None = None) -> tuple[str, str]:
    """The clean text of these bytes and the encoding that it was in; see `exact` and `clean`."""
    text, name = exact(data, declared=declared)
    return clean(text), name


def exact(data: bytes, *, declared: str | None = None) -> tuple[str, str]:
    """The text of these bytes and the encoding that it was in; never fails, never full of U+FFFD.

    In this order: byte order mark, UTF-16 and UTF-32 by their NUL bytes, the declared encoding, UTF-8 over all of it,
    UTF-8 with a few stray bytes, a detector. Line breaks and controls stay as they are.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(name, errors="replace"), name
    for candidate in _candidates(data, declared):
        whole = data[: len(data) - len(data) % 2] if candidate.startswith("utf-16-") else data
        try:
            return whole.decode(candidate), candidate
        except UnicodeDecodeError:
            continue
    return _repaired(data) or _detected(data, declared)


def clean(text: str) -> str:
    """One kind of line break, composed characters (NFC), nothing that cannot be stored or seen."""
    return repair(text)[0]


def repair(text: str) -> tuple[str, tuple[str, ...]]:
    """One kind of line break, composed characters (NFC), nothing that cannot be seen; and what was taken out."""
    if "\x1b" in text:
        text = _COLORS.sub("", text)
    if text.isascii():
        if len(text.encode().translate(None, _SUSPECT_BYTES)) == len(text):
            return text, ()
        text, removed = _HARMFUL_ASCII.subn("", with_line_feeds(text))
    else:
        text, removed = _repair_wide(text) if _SUSPECT.search(text) else (text, 0)
        text = text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)
    return text, (f"{removed} invisible characters removed",) if removed else ()


def _repair_wide(text: str) -> tuple[str, int]:
    text, removed = _HARMFUL.subn("", with_line_feeds(text))
    text, strays = _STRAY_JOINERS.subn("", text)
    return text, removed + strays


def with_line_feeds(text: str) -> str:
    """Every line ends with a line feed and nothing else."""
    return _BREAKS.sub("\n", text) if any(mark in text for mark in BREAKS) else text


def known(label: str) -> str | None:
    """The codec that a label stands for; None when there is none."""
    label = label.strip().strip("\"'").lower()
    try:
        name = codecs.lookup(_ALIASES.get(label, label)).name
        "".encode(name)
    except (LookupError, ValueError):  # unknown, no text encoding, or not even a name
        return None
    return _SUPERSETS.get(name, name)


def wide(data: bytes) -> str | None:
    """UTF-16 or UTF-32 without byte order mark, known by where its NUL bytes are, or by the script that it makes."""
    head = data[:4096]
    if len(head) < 4 or not head.count(0):
        return None
    quarters = [head[at::4].count(0) / len(head[at::4]) for at in range(4)]
    if (len(data) % 4 == 0 and min(quarters[1:]) > 0.9) or min(quarters[:3]) > 0.9:
        return "utf-32-le" if quarters[3] > quarters[0] else "utf-32-be"
    even, odd = (quarters[0] + quarters[2]) / 2, (quarters[1] + quarters[3]) / 2
    if max(even, odd) < 0.2 or min(even, odd) > max(even, odd) / 10:
        return _wide_by_script(head)
    return "utf-16-le" if odd > even else "utf-16-be"


def _wide_by_script(head: bytes) -> str | None:
    """UTF-16 in which NULs are rare, as only its spaces and breaks are ASCII: all of it is letters of one script.

    The other byte order makes characters of many scripts, and so do bytes that are no UTF-16; ASCII with some NULs in
    it, whose pairs would be Chinese characters, is told by its bytes.
    """
    ascii_bytes = len(head) - len(head.translate(None, _PRINTED_ASCII))
    if ascii_bytes > ASCII_SHARE * (len(head) - head.count(0)):
        return None
    for name in ("utf-16-le", "utf-16-be"):
        text = codecs.getincrementaldecoder(name)(errors="replace").decode(head)
        if _is_of_one_script(text):
            return name
    return None


def _is_of_one_script(text: str) -> bool:
    """Whether nothing in it is undefined or a control, and nearly all letters beyond ASCII are of one script."""
    if not all(char.isprintable() or char.isspace() for char in text) or "\ufffd" in text:
        return False
    scripts = Counter(_script(char) for char in text if char > "\x7f" and char.isalpha())
    return scripts.total() >= SCRIPT_LETTERS and max(scripts.values()) >= SCRIPT_SHARE * scripts.total()


def _script(letter: str) -> str:
    """The name of its script; Japanese and Chinese are written in several that count as one."""
    name = unicodedata.name(letter, "?").split(" ", 1)[0]
    return "CJK" if name in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "FULLWIDTH", "HALFWIDTH") else name


def escaped(data: bytes) -> bool:
    """Whether Japanese is written in seven bits (ISO-2022-JP)."""
    return b"\x1b" in data and bool(_ESCAPES.search(data))


def _candidates(data: bytes, declared: str | None) -> Iterator[str]:
    by_nul = wide(data)
    if by_nul:
        yield by_nul
    name = known(declared) if declared else None
    if name and name.startswith(("utf-16", "utf-32")):
        name = None  # whoever could read the declaration read ASCII
    # Bytes that are UTF-8 by chance hardly exist, pages that say Latin-1 and are UTF-8 do.
    if name in _MULTIBYTE:
        yield name
    if escaped(data):
        yield "iso2022_jp"
    if _KOREAN in data[:4096]:
        yield "iso2022_kr"
    yield "utf-8"
    if name:
        yield name


def _repaired(data: bytes) -> tuple[str, str] | None:
    """UTF-8 with stray bytes of Windows-1252 in it, or cut off in the middle of a character at either end."""
    data = _CUT.sub(b"", data)
    valid = len(data.decode("utf-8", errors="ignore").encode())
    foreign = valid - len(data.translate(None, _HIGH_BYTES))
    if foreign < 2 or len(data) - valid > max(1, foreign * REPAIRED_SHARE):
        return None
    text = data.decode("utf-8", errors="surrogateescape")
    return re.sub("[\udc80-\udcff]", lambda match: _western(ord(match.group()) - 0xDC00), text), "utf-8"


def _western(byte: int) -> str:
    return bytes([byte]).decode("cp1252", errors="ignore")


def _detected(data: bytes, declared: str | None) -> tuple[str, str]:
    from rag_assets.text import letters  # reads its tables: most files are UTF-8 and do not need them

    name = known(declared) if declared else None
    if name not in letters.EAST_ASIAN or not _is_nearly(data, name):
        name = letters.codec(_sample(data))
    try:
        return data.decode(name), name
    except UnicodeDecodeError:
        pass
    if name in letters.EAST_ASIAN:
        return _mended(data, name), name
    return data.decode(name, errors="ignore"), name


def _is_nearly(data: bytes, name: str) -> bool:
    """Whether no more than a few bytes are wrong in that encoding."""
    text = data.decode(name, errors="replace")
    foreign = len(text) - len(text.encode("ascii", "ignore"))
    return text.count("\ufffd") <= max(1, foreign * REPAIRED_SHARE)


def _mended(data: bytes, name: str) -> str:
    """East Asian text without the bytes that belong to none of its characters, line by line."""
    from rag_assets.text import letters

    lines, left = [], MENDED_BYTES
    for line in data.splitlines(keepends=True):
        try:
            lines.append(line.decode(name))
        except UnicodeDecodeError:
            left -= len(line)
            lines.append(letters.mended(line, name) if left >= 0 else line.decode(name, errors="ignore"))
    return "".join(lines)


def _sample(data: bytes) -> bytes:
    """Lines that hold more than ASCII, as much as the detector can read in little time."""
    lines, size = [], 0
    for line in io.BytesIO(data):
        if line.isascii():
            continue
        high = next(at for at, byte in enumerate(line) if byte > 127)
        lines.append(line[max(0, high - LINE_BYTES) : high + LINE_BYTES])
        size += len(lines[-1])
        if size > SAMPLE_BYTES:
            break
    return b"".join(lines)
