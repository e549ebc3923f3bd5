"""Fonts whose glyphs have names that pdfium does not read: the same PDF, with what the names say written into it.

pdfium drops ligatures such as /f_f_i, gives codes for the letters of Type 3 fonts, and believes a ToUnicode table that
holds UTF-8. Names are read by the rules of the Adobe Glyph List: suffixes go, underscores join,
uniXXXX and uXXXXX are code points (https://github.com/adobe-type-tools/agl-specification).
"""

import io
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

MOST_FONTS, DEEPEST = 500, 3  # of one document; of forms within forms
MOST_TABLE_LINES = 100  # lines that one part of a table may have

_DOUBTFUL = re.compile(
    rb"/Type3\b|/Differences\s*\[[^\[\]]*?"
    rb"(?:/[A-Za-z][A-Za-z0-9]*[_.][A-Za-z0-9]|/uni[0-9A-F]{8}|/u[0-9A-F]{5,6}\b|/afii\d)"
)
# What two bytes of UTF-8 are as UTF-16: Korean syllables, for Greek and Cyrillic of few neighbours in the alphabet.
_LATIN, _GREEK, _CYRILLIC = (
    "".join(f"{chr(lead << 8 | 0x80)}-{chr(lead << 8 | 0xBF)}" for lead in leads)
    for leads in (range(0xC2, 0xD0), (0xCE, 0xCF), range(0xD0, 0xD4))
)
# Private and replacement characters beside each other or letters, and such syllables within a Latin word or at an end
# of it, or as a word of their own.
_NO_LETTERS = re.compile(
    "[\ue000-\uf8ff](?=[\ue000-\uf8ff])|\ufffd(?=[\\w\ufffd])|(?<=\\w)\ufffd|(?<=[a-z])[\uc280-\ud7a3](?=[a-z\\s])"
    f"|(?<=[a-z])[{_LATIN}]+(?![^a-z\\s])|(?<!\\w)[{_LATIN}]+(?=[a-z])|[{_GREEK}]{{3}}|[{_CYRILLIC}]{{3}}"
)
_SUSPECT = re.compile("[\ue000-\uf8ff\ufffd\uc280-\ud7a3]")  # one is in all of these, and soon found
_UNUSABLE = re.compile("[\0-\x08\ue000-\uf8ff\ufffd]")
_START = re.compile(rb"startxref\s+(\d+)")
_UNI = re.compile("uni((?:[0-9A-F]{4})+)")
_U = re.compile("u([0-9A-F]{4,6})")
_PART = re.compile(rb"beginbf(char|range)(.*?)endbf", re.S)
_PAIR = re.compile(rb"<\s*([0-9A-Fa-f]{2})\s*>\s*<([0-9A-Fa-f\s]*)>")
_RANGE = re.compile(rb"<\s*([0-9A-Fa-f]{2})\s*>\s*<\s*([0-9A-Fa-f]{2})\s*>\s*(?:<([0-9A-Fa-f\s]*)>|\[([^\]]*)\])")
_DIGITS = re.compile(rb"<([0-9A-Fa-f\s]*)>")


def mended(data: bytes, parts: Sequence[bytes]) -> bytes:
    """The document with tables for such fonts; as it is where there are none, or where pypdf cannot read it.

    `parts` are those of its `objects.Objects`.
    """
    return mended_by_names(data) if any(map(_DOUBTFUL.search, parts)) else data


def is_damaged(text: str) -> bool:
    """Whether something in a text is no letter where one should be: a table of its fonts may be wrong."""
    return bool(_SUSPECT.search(text) and _NO_LETTERS.search(text))


def mended_by_names(data: bytes) -> bytes:
    """As `mended`, where what a document shows says that its tables are wrong."""
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # a line for each damaged object
    try:
        reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
        tables = [] if reader.is_encrypted else [(font, _table(font)) for font in _fonts(reader.pages)]
        found = [(font, table) for font, table in tables if table and font.indirect_reference]
        return _updated(data, reader.trailer, found) if found else data
    except Exception:  # noqa: BLE001 - pypdf raises whatever a damaged file makes of it; pdfium may still read it
        return data


def _updated(data: bytes, trailer: Any, fonts: Sequence[tuple[Any, dict[int, str]]]) -> bytes:
    """The document with these fonts once more at its end, each with its table: an incremental update of PDF 1.5."""
    from pypdf.generic import NameObject, StreamObject

    out, places = io.BytesIO(data), {}
    out.seek(0, io.SEEK_END)
    number = int(trailer["/Size"])

    def write(number: int, value: Any) -> None:
        out.write(b"\n")
        places[number] = out.tell()
        out.write(b"%d 0 obj\n" % number)
        value.write_to_stream(out)
        out.write(b"\nendobj\n")

    for font, table in fonts:
        stream = StreamObject()
        stream.set_data(_written(table))
        write(number, stream)
        font[NameObject("/ToUnicode")] = _reference(number)
        if font.get("/Subtype") != "/Type3" and not _is_embedded(font):
            _name_by_first_parts(font)
        write(font.indirect_reference.idnum, font)
        number += 1
    return _closed(out, places, number, trailer, before=int(_START.findall(data)[-1]))


def _closed(out: io.BytesIO, places: dict[int, int], number: int, trailer: Any, *, before: int) -> bytes:
    """With the table of what was added: where each object is."""
    out.write(b"\n")
    places[number] = out.tell()
    rows = b"".join(b"\1" + places[at].to_bytes(4, "big") + b"\0" for at in sorted(places))
    index = b" ".join(b"%d 1" % at for at in sorted(places))
    root = trailer.raw_get("/Root")
    fields = b"/Size %d/Root %d %d R/Index[%s]" % (number + 1, root.idnum, root.generation, index)
    fields += b"/W[1 4 1]/Prev %d/Length %d" % (before, len(rows))
    out.write(b"%d 0 obj\n<</Type/XRef%s>>\nstream\n%s\nendstream\nendobj\n" % (number, fields, rows))
    out.write(b"startxref\n%d\n%%%%EOF\n" % places[number])
    return out.getvalue()


def _reference(number: int) -> Any:
    from pypdf.generic import IndirectObject

    return IndirectObject(number, 0, None)


def _is_embedded(font: Any) -> bool:
    descriptor = _object(font.get("/FontDescriptor", {}))
    return any(key in descriptor for key in ("/FontFile", "/FontFile2", "/FontFile3"))


def _name_by_first_parts(font: Any) -> None:
    """pdfium drops letters without a shape; the font in place of one that is not there has shapes of single letters."""
    from pypdf.generic import ArrayObject, DictionaryObject, NameObject

    encoding = DictionaryObject(_object(font["/Encoding"]))
    values = _object(encoding["/Differences"])
    first = [NameObject(_first_part(value)) if isinstance(value, str) else value for value in values]
    encoding[NameObject("/Differences")] = ArrayObject(first)
    font[NameObject("/Encoding")] = encoding


def _first_part(name: str) -> str:
    text = text_of(name.lstrip("/"))
    return (
        name
        if len(text) < 2 and text <= "\uffff"
        else f"/{text[0]}"
        if text[0].isascii() and text[0].isalpha()
        else "/n"
    )


def _fonts(pages: Any) -> Iterator[Any]:
    """Each font of the pages and of the forms in them, once."""
    seen: set[int] = set()
    for page in pages:
        for font in _fonts_of(page.get("/Resources"), seen, DEEPEST):
            yield font
            if len(seen) > MOST_FONTS:
                return


def _fonts_of(resources: Any, seen: set[int], deepest: int) -> Iterator[Any]:
    if resources is None or deepest == 0:
        return
    resources = resources.get_object()
    for font in map(_object, _object(resources.get("/Font", {})).values()):
        if id(font) not in seen:
            seen.add(id(font))
            yield font
    for form in map(_object, _object(resources.get("/XObject", {})).values()):
        if form.get("/Subtype") == "/Form" and id(form) not in seen:
            seen.add(id(form))
            yield from _fonts_of(form.get("/Resources"), seen, deepest - 1)


def _object(value: Any) -> Any:
    return value.get_object() if hasattr(value, "get_object") else value


def _table(font: Any) -> dict[int, str]:
    """What each code of a font stands for; empty where pdfium reads the font rightly, or its names say nothing."""
    names = dict(_differences(_object(font.get("/Encoding"))))
    named = {code: text for code, text in ((code, text_of(name)) for code, name in names.items()) if text}
    if "/ToUnicode" not in font:
        unknown = any(len(text) > 1 or text > "\uffff" for text in named.values())  # to pdfium
        return named if unknown or (font.get("/Subtype") == "/Type3" and 2 * len(named) >= len(names)) else {}
    stated = _stated(_object(font["/ToUnicode"]).get_data())
    known = [code for code in named if code in stated]
    as_utf8 = {code: _utf8(stated[code]) for code in known}
    if known and 2 * sum(as_utf8[code] == named[code] != stated[code] for code in known) > len(known):
        return {code: _utf8(text) or text for code, text in stated.items()} | named
    wrong = {code for code in known if _UNUSABLE.search(stated[code]) or as_utf8[code] == named[code] != stated[code]}
    better = {code: text for code, text in named.items() if code in wrong or (code not in stated and len(text) > 1)}
    return stated | better if better else {}


def _differences(encoding: Any) -> Iterator[tuple[int, str]]:
    code = 0
    for value in _object(encoding.get("/Differences", [])) if hasattr(encoding, "get") else []:
        if isinstance(value, str):
            yield code, value.lstrip("/")
            code += 1
        else:
            code = int(value)


def text_of(name: str) -> str:
    """What a glyph of this name shows, one or more characters; empty when the name says nothing."""
    from pypdf._codecs import adobe_glyphs  # the Adobe Glyph List; pypdf has no public name for it

    parts = []
    for part in name.split(".")[0].split("_"):
        found = adobe_glyphs.get(f"/{part}") or _by_number(part)
        if not found:
            return ""
        parts.append(found)
    return "".join(parts)


def _by_number(part: str) -> str:
    units = _UNI.fullmatch(part)
    if units:
        return bytes.fromhex(units[1]).decode("utf-16-be", errors="ignore")
    number = _U.fullmatch(part)
    code = int(number[1], 16) if number else 0
    return chr(code) if 0 < code < 0xD800 or 0xE000 <= code < 0x110000 else ""


def _stated(table: bytes) -> dict[int, str]:
    """What a ToUnicode table says of one-byte codes."""
    found: dict[int, str] = {}
    for kind, part in _PART.findall(table):
        if kind == b"char":
            found |= {int(code, 16): _utf16(text) for code, text in _PAIR.findall(part)}
            continue
        for first, last, text, texts in _RANGE.findall(part):
            codes = range(int(first, 16), int(last, 16) + 1)
            shown = map(_utf16, _DIGITS.findall(texts)) if texts else _following(_utf16(text))
            found |= dict(zip(codes, shown, strict=False))
    return found


def _following(text: str) -> Iterator[str]:
    """A text, and those whose last character is the next one each; no characters beyond the last one of Unicode."""
    for code in range(ord(text[-1]), sys.maxunicode + 1) if text else ():
        yield text[:-1] + chr(code)


def _utf16(digits: bytes) -> str:
    text = "".join(digits.decode().split())
    return bytes.fromhex(text[: len(text) // 2 * 2]).decode("utf-16-be", errors="replace")


def _utf8(text: str) -> str:
    """What its bytes are in UTF-8; empty when they are not."""
    try:
        return text.encode("utf-16-be").lstrip(b"\0").decode()
    except UnicodeError:
        return ""


def _written(table: dict[int, str]) -> bytes:
    lines = [f"<{code:02X}> <{text.encode('utf-16-be', 'replace').hex()}>" for code, text in sorted(table.items())]
    parts = [lines[at : at + MOST_TABLE_LINES] for at in range(0, len(lines), MOST_TABLE_LINES)]
    body = "\n".join(f"{len(part)} beginbfchar\n{chr(10).join(part)}\nendbfchar" for part in parts)
    space = "1 begincodespacerange\n<00> <FF>\nendcodespacerange"
    head = "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n/CMapName /Names def\n/CMapType 2 def"
    return f"{head}\n{space}\n{body}\nendcmap\nend\nend\n".encode()
