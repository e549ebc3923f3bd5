"""PDF files whose fonts and content streams are written by hand."""

from collections.abc import Mapping, Sequence

from rag_assets_tests import samples

FONTS = {
    "F1": "/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding",
    "F2": "/Subtype/Type1/BaseFont/Helvetica-Bold/Encoding/WinAnsiEncoding",
    "F3": "/Subtype/Type1/BaseFont/Times-Roman/Encoding/WinAnsiEncoding",
}
FIRST_FONT = 10
FIRST_OBJECT = 20  # from which on further objects are numbered


def pdf(
    content: str,
    *,
    fonts: Mapping[str, str] | None = None,
    objects: Sequence[bytes] = (),
    page: str = "",
    catalog: str = "",
) -> bytes:
    """One page with this content stream (Latin-1); `fonts` are dictionaries, `objects` stand from number 20 on."""
    named = FONTS | dict(fonts or {})
    places = {name: FIRST_FONT + at for at, name in enumerate(named)}
    resources = "".join(f"/{name} {place} 0 R" for name, place in places.items())
    box = f"/MediaBox[0 0 612 792]/Resources<</Font<<{resources}>>>>"
    return samples.pdf_of(
        {
            1: f"<</Type/Catalog/Pages 2 0 R{catalog}>>".encode("latin-1"),
            2: b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            3: f"<</Type/Page/Parent 2 0 R{box}/Contents 4 0 R{page}>>".encode("latin-1"),
            4: samples.stream(content.encode("cp1252")),
            **{places[name]: f"<</Type/Font{body}>>".encode("latin-1") for name, body in named.items()},
            **{FIRST_OBJECT + at: body for at, body in enumerate(objects)},
        }
    )


def show(text: str, x: float, y: float, *, size: float = 10, font: str = "F1") -> str:
    escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"BT /{font} {size} Tf 1 0 0 1 {x} {y} Tm ({escaped}) Tj ET\n"


def column(x: float, y: float, lines: Sequence[str], *, leading: float = 12, size: float = 10, font: str = "F1") -> str:
    return "".join(show(line, x, y - leading * at, size=size, font=font) for at, line in enumerate(lines))


def unicode_table(characters: Mapping[str, str], *, form: str = "bfchar") -> bytes:
    """A ToUnicode stream: codes and what they stand for, both in hexadecimal."""
    width = len(next(iter(characters))) // 2
    lines = "".join(f"<{code}> <{text}>\n" for code, text in characters.items())
    return samples.stream(
        f"/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n/CMapName /X def\n/CMapType 2 def\n"
        f"1 begincodespacerange\n<{'00' * width}> <{'FF' * width}>\nendcodespacerange\n"
        f"{len(characters)} begin{form}\n{lines}end{form}\nendcmap\nend end\n".encode()
    )


def utf16(text: str) -> str:
    return text.encode("utf-16-be").hex().upper()


def wrapped(text: str, *, width: int) -> list[str]:
    """Lines of at most so many characters; a word with `~` in it may be divided there."""
    lines, line = [], ""
    for word in text.split():
        whole = word.replace("~", "")
        if len(line) + 1 + len(whole) <= width:
            line = f"{line} {whole}".strip()
            continue
        first, _, rest = word.partition("~")
        divided = bool(rest) and len(line) + len(first) + 2 <= width
        lines.append(f"{line} {first}-" if divided else line)
        line = rest.replace("~", "") if divided else whole
    return [*lines, line]
