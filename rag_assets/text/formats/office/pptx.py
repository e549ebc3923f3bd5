"""PPTX: each slide as a page: its title as heading, then what is on it from top to bottom, then the speaker's notes."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText, counted
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import markup, zipped
from rag_assets.text.formats.office import equations, numbering, ooxml

if TYPE_CHECKING:
    from lxml.etree import _Element

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
ROW_EMU = 300_000  # shapes whose tops differ by less stand side by side; 914,400 to the inch
MAX_LEVEL = 9

A = ooxml.DRAWING
P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_TITLES = ("title", "ctrTitle")
_FURNITURE = ("dt", "ftr", "sldNum", "hdr")  # date, footer, number: the same on every slide
_LISTED = ("obj", "body")  # placeholders whose paragraphs have bullets unless they say otherwise
_NUMBERS = ("<number>", "‹#›")  # of a slide, as long as nobody has counted
_DIGITS = re.compile(r"\d+")
_SHAPES = frozenset(f"{P}{name}" for name in ("sp", "graphicFrame", "pic", "cxnSp"))
_AUTOMATIC = {"arabic": "decimal", "alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman",
              "romanUc": "upperRoman"}  # fmt: skip


class _Furniture(str):
    """A block that may be on every page."""

    __slots__ = ()


class _Shape(NamedTuple):
    """A shape and where it stands, in EMU; None when its layout says where."""

    element: "_Element"
    role: str  # of its placeholder; "" when it is none
    place: tuple[int, int] | None  # top, left


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """All slides in their order; raises DocumentError corrupt, encrypted, too_large, no_text."""
    package = ooxml.Package(zipped.Container(data, name=name, limits=limits))
    slides = _slides(package)
    if len(slides) > limits.max_pages:
        raise DocumentError(
            "too_large", f"{name}: {len(slides):,} slides; the limit (parsing.max_pages) is {limits.max_pages:,}"
        )
    hidden: list[int] = []
    pages = [_slide(package, part, number, hidden) for number, part in enumerate(slides, 1)]
    texts = [encoding.clean("".join(f"{block}\n\n" for block in page)) for page in _without_furniture(pages)]
    if not any(text.strip() for text in texts):
        raise DocumentError("no_text", f"{name}: {counted(len(slides), 'slide')} without any text")
    properties = package.properties()
    return ParsedText(
        text="".join(texts),
        media_type=MEDIA_TYPE,
        parser="pptx",
        page_offsets=_offsets(texts),
        title=properties.pop("title", None),
        metadata=properties | {"slides": len(slides)},
        warnings=tuple(f"the hidden slide {number} is included" for number in hidden),
    )


def _offsets(texts: list[str]) -> tuple[int, ...]:
    offsets, at = [], 0
    for text in texts:
        offsets.append(at)
        at += len(text)
    return tuple(offsets)


def _slides(package: ooxml.Package) -> list[str]:
    main = package.main()
    root, relations = package.xml(main), package.relations(main)
    listed = root.iter(f"{P}sldId") if root is not None else ()
    found = [relations.get(element.get(f"{ooxml.RELATION_ID}id", "")) for element in listed]
    return [relation.target for relation in found if relation is not None and relation.kind == "slide"]


def _without_furniture(pages: list[list[str]]) -> Iterator[list[str]]:
    """Pages without the dates, footers and numbers that are on several of them."""
    seen = Counter(_undated(block) for page in pages for block in page if isinstance(block, _Furniture))
    for page in pages:
        yield [block for block in page if not isinstance(block, _Furniture) or seen[_undated(block)] == 1]


def _undated(text: str) -> str:
    return _DIGITS.sub("", text)


def _slide(package: ooxml.Package, part: str, number: int, hidden: list[int]) -> list[str]:
    root = package.xml(part)
    if root is None:
        return []
    if root.get("show") in ("0", "false"):
        hidden.append(number)
    shapes = _ordered(root)
    titles = [shape for shape in shapes if shape.role in _TITLES]
    title = " ".join(filter(None, (_plain(shape.element) for shape in titles)))
    blocks = [markup.heading(title, 1)] if title else []
    relations = package.relations(part)
    for shape in shapes:
        if shape not in titles and shape.role not in _FURNITURE:
            blocks += _shape(package, shape, relations)
    blocks += _furniture(shapes)
    blocks += _remarks(package, relations)
    return [block for block in blocks if block]


def _furniture(shapes: list[_Shape]) -> list[str]:
    return [_Furniture(_plain(shape.element)) for shape in shapes if shape.role in _FURNITURE]


def _ordered(root: "_Element") -> list[_Shape]:
    """Shapes as they are read: those whose place the layout says in the file's order, the others by place."""
    tree = root.find(f"{P}cSld/{P}spTree")
    shapes = list(_shapes(tree)) if tree is not None else []
    return sorted(shapes, key=_rank)


def _rank(shape: _Shape) -> tuple[int, int, int]:
    if shape.place is None:
        return (0, 0, 0)
    return (1, shape.place[0] // ROW_EMU, shape.place[1])


def _shapes(tree: "_Element") -> Iterator[_Shape]:
    """The shapes of a slide or group, those in groups too, at the place of their group."""
    for element in tree:
        if element.tag in _SHAPES:
            yield _Shape(element, _role(element), _place(element))
        elif element.tag == f"{P}grpSp":
            place = _place(element)
            yield from (shape._replace(place=place) for shape in sorted(_shapes(element), key=_rank))
        elif element.tag == f"{ooxml.ALTERNATE}AlternateContent":
            yield from _shapes(ooxml.chosen(element))


def _role(element: "_Element") -> str:
    """What a placeholder is for; the body's is "obj"."""
    placeholder = element.find(f"*/{P}nvPr/{P}ph")
    return placeholder.get("type", "obj") if placeholder is not None else ""


def _place(element: "_Element") -> tuple[int, int] | None:
    for path in (f"{P}spPr/{A}xfrm/{A}off", f"{P}grpSpPr/{A}xfrm/{A}off", f"{P}xfrm/{A}off"):
        offset = element.find(path)
        if offset is not None:
            return _int(offset.get("y")), _int(offset.get("x"))
    return None


def _shape(package: ooxml.Package, shape: _Shape, relations: dict[str, ooxml.Relation]) -> list[str]:
    element = shape.element
    table = element.find(f"{A}graphic/{A}graphicData/{A}tbl")
    if table is not None:
        return [_table(table)]
    body = element.find(f"{P}txBody")
    if body is not None:
        return _paragraphs(body, relations, listed=shape.role in _LISTED)
    return [*_description(element), *_graphic(package, element, relations)]


def _description(element: "_Element") -> list[str]:
    """A picture in the words of its author."""
    properties = element.find(f"*/{P}cNvPr")
    text = " ".join(properties.get("descr", "").split()) if properties is not None else ""
    return [f"![{text}]()"] if text and "[" not in text and "]" not in text else []


def _graphic(package: ooxml.Package, element: "_Element", relations: dict[str, ooxml.Relation]) -> list[str]:
    """The words of a chart or diagram, which are in a part of their own."""
    names = [value for e in element.iter() for key, value in e.attrib.items() if key.startswith(ooxml.RELATION_ID)]
    found = [relations[name] for name in names if name in relations and relations[name].kind in ooxml.DRAWN]
    targets = [relation.target for relation in found]
    return [text for target in targets for text in (*package.drawn(target), *package.charted(target))]


def _paragraphs(body: "_Element", relations: dict[str, ooxml.Relation], *, listed: bool = False) -> list[str]:
    """Paragraphs; those of a list together."""
    blocks: list[str] = []
    counters: dict[int, int] = {}
    in_list = False
    texts = [(paragraph, _text(paragraph, relations)) for paragraph in body.iterchildren(f"{A}p")]
    texts = [(paragraph, text) for paragraph, text in texts if text.strip()]
    for paragraph, text in texts:
        label, level = _label(paragraph, counters, listed=listed and len(texts) > 1)
        line = markup.prose(text)
        if not label:
            blocks.append(line)
        elif in_list:
            blocks[-1] += "\n" + "  " * level + f"{label} {line}".replace("\n", " ")
        else:
            blocks.append(f"{label} {line}".replace("\n", " "))
        in_list = bool(label)
    return blocks


def _label(paragraph: "_Element", counters: dict[int, int], *, listed: bool) -> tuple[str, int]:
    """A bullet or number, and its level; bullets that only the layout gives are told by their level."""
    properties = paragraph.find(f"{A}pPr")
    level = min(MAX_LEVEL, _int(properties.get("lvl"))) if properties is not None else 0
    automatic = properties.find(f"{A}buAutoNum") if properties is not None else None
    for deeper in [at for at in counters if at > level or (at == level and automatic is None)]:
        del counters[deeper]
    if automatic is not None:
        counters[level] = counters.get(level, _int(automatic.get("startAt")) or 1) + (level in counters)
        return _numbered(counters[level], automatic.get("type", "arabicPeriod")), level
    if properties is not None and properties.find(f"{A}buNone") is not None:
        return "", level
    bullet = properties is not None and properties.find(f"{A}buChar") is not None
    return ("-" if bullet or level or listed else ""), level


def _numbered(value: int, scheme: str) -> str:
    stem = next((known for known in _AUTOMATIC if scheme.startswith(known)), "arabic")
    number = numbering.written(value, _AUTOMATIC[stem])
    if scheme.endswith("ParenBoth"):
        return f"({number})"
    return f"{number})" if scheme.endswith("ParenR") else f"{number}."


def _text(paragraph: "_Element", relations: dict[str, ooxml.Relation]) -> str:
    parts: list[str] = []
    for element in paragraph:
        if element.tag in (f"{A}r", f"{A}fld"):
            text = _run(element, relations)
            parts.append("" if text in _NUMBERS and element.tag == f"{A}fld" else text)
        elif element.tag == f"{A}br":
            parts.append("\n")
        elif element.tag not in (f"{A}pPr", f"{A}endParaRPr"):
            parts += [equations.linear(math) for math in ooxml.chosen(element).iter(f"{equations.M}oMath")]
    return "".join(parts)


def _run(run: "_Element", relations: dict[str, ooxml.Relation]) -> str:
    text = ooxml.unescaped(run.findtext(f"{A}t") or "")
    target = run.find(f"{A}rPr/{A}hlinkClick")
    relation = relations.get(target.get(f"{ooxml.RELATION_ID}id", "")) if target is not None else None
    return markup.link(text, relation.target) if relation is not None and relation.external else text


def _plain(element: "_Element") -> str:
    body = element.find(f"{P}txBody")
    paragraphs = body.iterchildren(f"{A}p") if body is not None else ()
    return " ".join(" ".join(_text(paragraph, {}) for paragraph in paragraphs).split())


def _table(table: "_Element") -> str:
    """Rows as lines; a merged cell's text stands where it begins."""
    rows = []
    for row in table.iterchildren(f"{A}tr"):
        cells = []
        for cell in row.iterchildren(f"{A}tc"):
            goes_on = cell.get("hMerge") in ("1", "true") or cell.get("vMerge") in ("1", "true")
            paragraphs = () if goes_on else cell.iterfind(f"{A}txBody/{A}p")
            cells.append(" ".join(_text(paragraph, {}) for paragraph in paragraphs))
        rows.append(cells)
    return markup.table(rows)


def _remarks(package: ooxml.Package, relations: dict[str, ooxml.Relation]) -> list[str]:
    """The speaker's notes and the comments of a slide."""
    blocks = []
    for relation in relations.values():
        root = package.xml(relation.target) if relation.kind in ("notesSlide", "comments") else None
        if root is None:
            continue
        if relation.kind == "comments":
            texts = (" ".join("".join(text.itertext()).split()) for text in root.iter(f"{P}text", f"{A}p"))
            blocks += [f"> Comment: {text}" for text in texts if text]
        else:
            blocks += _notes(root)
    return blocks


def _notes(root: "_Element") -> list[str]:
    shapes = _ordered(root)
    bodies = [shape.element.find(f"{P}txBody") for shape in shapes if shape.role == "body"]
    blocks = [block for body in bodies if body is not None for block in _paragraphs(body, {})]
    return ["Notes:", *blocks, *_furniture(shapes)] if blocks else []


def _int(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0
