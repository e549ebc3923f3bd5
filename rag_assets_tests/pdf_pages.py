"""Pages of PDFs for tests: content streams, the document around them, and what is read of it."""

import random
from collections.abc import Sequence

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import parsing

WORDS = "the pump shows an error when no water comes through its valve and the filter holds sand".split()  # noqa: SIM905


def show(text: str, x: float, y: float, *, size: float = 10, font: str = "F1", turn: str = "1 0 0 1") -> str:
    escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"BT /{font} {size} Tf {turn} {x} {y} Tm ({escaped}) Tj ET\n"


def column(x: float, y: float, lines: Sequence[str], *, leading: float = 12) -> str:
    return "".join(show(line, x, y - leading * n) for n, line in enumerate(lines))


def pdf(*pages: str, page: str = "", extra: Sequence[str] = (), catalog: str = "") -> bytes:
    """A document of content streams; `page` adds to each page's dictionary, `extra` are objects from number 5 on."""
    fonts = [f"<</Type/Font/Subtype/Type1/BaseFont/{name}>>" for name in ("Helvetica", "Helvetica-Bold")]
    first = 5 + len(extra)
    kids = " ".join(f"{first + 2 * n} 0 R" for n in range(len(pages)))
    objects = [f"<</Type/Catalog/Pages 2 0 R {catalog}>>", f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>", *fonts]
    objects += extra
    for n, content in enumerate(pages):
        box = "/MediaBox[0 0 600 800]/Resources<</Font<</F1 3 0 R/F2 4 0 R>>>>"
        objects.append(f"<</Type/Page/Parent 2 0 R {box}/Contents {first + 2 * n + 1} 0 R {page}>>")
        objects.append(f"<</Length {len(content)}>>stream\n{content}endstream")
    data, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(data)}\n%%EOF"
    return data + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode()


def read(data: bytes, **limits: int) -> ParsedText:
    return parsing.parse(data, name="a.pdf", limits=Parsing(**limits))


def outcome(data: bytes) -> str:
    """Its text, or the kind of its error."""
    try:
        return read(data).text
    except DocumentError as exc:
        return exc.kind


def prose(count: int, *, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=7)) for _ in range(count)]


def written_to_the_left(letters: dict[str, str], drawn: str) -> str:
    """The text of content in which the codes of `drawn` stand for other letters."""
    codes = "".join(f"<{ord(code):02x}> <{text.encode('utf-16-be').hex()}>\n" for code, text in letters.items())
    table = f"1 begincodespacerange <00> <ff> endcodespacerange\n{len(letters)} beginbfchar\n{codes}endbfchar"
    data = pdf(drawn, extra=[f"<</Length {len(table)}>>stream\n{table}\nendstream"])
    return read(data.replace(b"/BaseFont/Helvetica>>", b"/BaseFont/Helvetica/ToUnicode 5 0 R>>")).text


TABLE = (
    "/CIDInit /ProcSet findresource begin 12 dict begin begincmap 1 begincodespacerange <00> <FF> endcodespacerange "
)


def in_font(codes: str, font: str, *objects: str, before: str = "", after: str = "") -> bytes:
    """One line whose middle is set in a font of its own, object 5; further objects are numbered from 6 on."""
    line = f"BT /F1 14 Tf 40 700 Td ({before}) Tj /F9 14 Tf <{codes}> Tj /F1 14 Tf ({after}) Tj ET\n"
    fonts = "/Resources<</Font<</F1 3 0 R/F2 4 0 R/F9 5 0 R>>>>"
    return pdf(line, extra=[f"<</Type/Font {font}>>", *objects], page=fonts).replace(
        b"/Resources<</Font<</F1 3 0 R/F2 4 0 R>>>>", b""
    )


def stream(content: str) -> str:
    return f"<</Length {len(content)}>>stream\n{content}\nendstream"


STORY = [
    "The orchard lies north of the river and has",
    "been watered by the same canal for ninety ye-",
    "ars. Each spring the gardeners measure how much",
    "water the reservoir holds, and they write the le-",
    "vel on a board beside the gate. In dry years the",
    "board is read every morning, and small plots are",
    "given a fixed share. It depends upon the distri-",
    "bution of the trees, since old trees need less.",
    "Their diary is the only source for the months of",
    "the first year, because the office burned down.",
]


def table(x: float, y: float, rows: int, *, columns: int = 4, leading: float = 12) -> str:
    return "".join(
        show(f"{1990 + row}" if at == 0 else f"{7 * row + at}.{row % 10}", x + 60 * at, y - leading * row)
        for row in range(rows)
        for at in range(columns)
    )


def in_order(text: str, parts: Sequence[str]) -> bool:
    flat = " ".join(text.split())
    places = [flat.find(part) for part in parts]
    return -1 not in places and places == sorted(places)


Node = tuple[str, Sequence["Node | int"]]  # an element's type and content: elements and ids of marks


def marked(content: Sequence[str], *, kind: str = "P") -> str:
    """Each with its id, counted from 0."""
    return "".join(f"/{kind} <</MCID {at}>> BDC\n{part}EMC\n" for at, part in enumerate(content))


def tagged(content: str, tree: Sequence[Node], *, count: int, more: str = "") -> bytes:
    """A page whose structure tree is `tree`; it has `count` ids, and the dictionary of each element ends in `more`."""
    first, elements = 7, list[str]()
    owners: dict[int, int] = {}

    def add(node: Node, parent: int) -> int:
        number = first + len(elements)
        elements.append("")
        kind, inner = node
        kids = []
        for kid in inner:
            if isinstance(kid, int):
                owners[kid] = number
                kids.append(str(kid))
            else:
                kids.append(f"{add(kid, number)} 0 R")
        page = f"/Pg {PAGE} 0 R"
        elements[number - first] = f"<</Type/StructElem/S/{kind}/P {parent} 0 R{page}/K[{' '.join(kids)}]{more}>>"
        return number

    PAGE = first + _size(tree)
    roots = " ".join(f"{add(node, 5)} 0 R" for node in tree)
    parents = " ".join(f"{owners[at]} 0 R" if at in owners else "null" for at in range(count))
    extra = [f"<</Type/StructTreeRoot/K[{roots}]/ParentTree 6 0 R>>", f"<</Nums[0 [{parents}]]>>", *elements]
    return pdf(content, page="/StructParents 0", extra=extra, catalog="/MarkInfo<</Marked true>>/StructTreeRoot 5 0 R")


def _size(tree: Sequence[Node]) -> int:
    return sum(1 + _size([kid for kid in inner if not isinstance(kid, int)]) for _, inner in tree)


ARTICLES = [prose(4, seed=at) for at in range(4)]
CORNERS = [(40, 700), (320, 700), (40, 600), (320, 600)]
GRID = [column(x, y, lines) for (x, y), lines in zip(CORNERS, ARTICLES, strict=True)]


def ruled(xs: Sequence[float], ys: Sequence[float]) -> str:
    """A grid of lines."""
    level = "".join(f"{xs[0]} {y} m {xs[-1]} {y} l S\n" for y in ys)
    return level + "".join(f"{x} {ys[0]} m {x} {ys[-1]} l S\n" for x in xs)
