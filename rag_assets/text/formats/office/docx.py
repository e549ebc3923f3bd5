"""DOCX: everything that a reader of the document sees, in its order, as Markdown.

Read from the XML itself: python-docx's paragraphs leave out insertions, text boxes, notes, content controls and the
numbers of lists, cannot open the strict form of the format, and take several times as long.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText, are, counted
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import markup, sniffing, zipped
from rag_assets.text.formats.office import equations, numbering, ooxml, word_styles

if TYPE_CHECKING:
    from lxml.etree import _Element

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
MOST_DEPTH = 100  # elements within a paragraph, or tables within tables; what is nested deeper is taken as its text
INCLUDED_LEVELS = 1  # of documents within a document
MAX_SPAN = 63  # columns of a table in Word
BOLD_CHARACTERS, BOLD_SHARE = 90, 0.25  # of a bold paragraph that may be a heading; of the text in such paragraphs
BOLD_LEVEL = 2
TYPED_SHARE = 0.5  # of the text: with more of it in letters of one width, it is typewritten, not code
PARALLEL = 3  # paragraphs from which on cells side by side are read line by line

W = word_styles.W
_TEXT, _RUN = f"{W}t", f"{W}r"
_PARAGRAPH, _PROPERTIES, _RUN_PROPERTIES, _HIDDEN = f"{W}p", f"{W}pPr", f"{W}rPr", f"{W}vanish"
_FONTS_OF_RUN = f"{W}rFonts"
_W14 = "{http://schemas.microsoft.com/office/word/2010/wordml}"
_DRAWN = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
_MATH = equations.M

_OFF = ("0", "false", "off", "none")
_HYPERLINK = re.compile(r"\s*HYPERLINK\s+(?:\\[a-z]\s+)*\"([^\"]+)\"", re.IGNORECASE)
_PAGE_FIELD = re.compile(r"\s*(?:PAGE|NUMPAGES|SECTIONPAGES)\b", re.IGNORECASE)
# Characters of Wingdings that are words of a form; the others are ornaments.
_WINGDINGS = {0xFC: "✓", 0xFB: "✗", 0xFE: "☑", 0xFD: "☒", 0xA8: "☐", 0x6F: "☐", 0x78: "☒", 0xE0: "→", 0xE8: "→",
              0xDF: "←", 0x4A: "☺"}  # fmt: skip
_SYMBOL = dict(zip(range(0x41, 0x5B), "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", strict=True)) | dict(
    zip(range(0x61, 0x7B), "αβχδεφγηιϕκλμνοπθρστυϖωξψζ", strict=True)
)
_SYMBOL |= {0xA3: "≤", 0xB3: "≥", 0xB1: "±", 0xB4: "×", 0xB8: "÷", 0xB9: "≠", 0xBB: "≈", 0xA5: "∞", 0xB0: "°",
            0xAE: "→", 0xAC: "←", 0xB6: "∂", 0xE5: "∑", 0xF2: "∫", 0xD6: "√", 0xB7: "•", 0xCE: "∈", 0xC8: "∪",
            0xC7: "∩", 0x22: "∀", 0x24: "∃", 0x2D: "−", 0xD1: "∇"}  # fmt: skip
_FONTS = {"symbol": _SYMBOL, "wingdings": _WINGDINGS, "wingdings 2": {0x50: "✓", 0x4F: "✗", 0x52: "☑", 0xA3: "☐"}}

Kind = Literal["prose", "bold", "typed", "heading", "item", "code", "table", "note"]


_ByTag: TypeAlias = "dict[Any, _Element]"
_Cell: TypeAlias = "tuple[int, Iterable[_Element]]"  # columns spanned, content


class Block(NamedTuple):
    """A piece of Markdown; pieces of one kind may stand closer together."""

    kind: Kind
    text: str


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """Body, notes, comments, headers and footers; raises DocumentError corrupt, encrypted, too_large, no_text."""
    package = ooxml.Package(zipped.Container(data, name=name, limits=limits))
    reader = _Document(package, package.main())
    text = encoding.clean(joined(reader.read()))
    if not text.strip():
        raise DocumentError("no_text", f"{name}: a DOCX of {len(data):,} bytes without any text")
    properties = package.properties()
    return ParsedText(
        text=text,
        media_type=MEDIA_TYPE,
        parser="docx",
        title=properties.pop("title", None) or reader.title,
        metadata=properties | {key: count for key, count in reader.counts.items() if count},
        warnings=reader.warnings(),
    )


def joined(blocks: list[Block]) -> str:
    """Blocks to one text: list items and lines of code stay together, all else is a paragraph of its own."""
    out: list[str] = []
    before: Kind | None = None
    for block in blocks:
        if block.kind == "code" and before == "code":
            out[-1:] = ["\n", block.text, "\n```"]
        elif block.kind == "code":
            out += ["\n\n```\n", block.text, "\n```"]
        else:
            out += ["\n" if block.kind == before == "item" else "\n\n", block.text]
        before = block.kind
    return "".join(out).strip("\n") + "\n" if out else ""


def _with_bold_headings(blocks: list[Block]) -> list[Block]:
    """Where no style makes headings, short bold paragraphs are those, unless much of the text is bold."""
    bold = sum(len(block.text) for block in blocks if block.kind == "bold")
    styled = sum(block.kind == "heading" for block in blocks)
    if not bold or styled > 1 or bold > BOLD_SHARE * sum(len(block.text) for block in blocks):
        return blocks
    return [
        Block("heading", markup.heading(block.text, BOLD_LEVEL)) if block.kind == "bold" else block for block in blocks
    ]


def _with_code(blocks: list[Block]) -> list[Block]:
    """Paragraphs in letters of one width are code, unless most of the text is in these."""
    typed = sum(len(block.text) for block in blocks if block.kind == "typed")
    if typed > TYPED_SHARE * sum(len(block.text) for block in blocks):
        return [_untyped(block) for block in blocks]
    return [block._replace(kind="code") if block.kind == "typed" else block for block in blocks]


def _untyped(block: Block) -> Block:
    return Block("prose", markup.prose(block.text)) if block.kind == "typed" else block


class _Document:
    """What all stories of a document share: styles, lists, notes, counts."""

    def __init__(self, package: ooxml.Package, main: str, *, level: int = 0) -> None:
        self.package = package
        self.level = level  # of documents within one another
        self.main = main
        kinds = {relation.kind: relation.target for relation in package.relations(main).values()}
        self.styles = word_styles.Styles(package.xml(kinds.get("styles", "")))
        self.numbering = numbering.Numbering(package.xml(kinds.get("numbering", "")))
        self.notes = {kind: _Notes(self, kinds.get(kind, "")) for kind in ("footnotes", "endnotes", "comments")}
        self.counts: dict[str, int] = dict.fromkeys(("paragraphs", "tables", "footnotes", "endnotes", "comments"), 0)
        self.title: str | None = None
        self.has_typed_runs = False  # whether to look for code that has no style of its own
        self.hidden = 0  # characters
        self.unread: list[str] = []

    def read(self) -> list[Block]:
        root = self.package.xml(self.main)
        body = root.find(f"{W}body") if root is not None else None
        if body is None:
            raise DocumentError("corrupt", f"{self.package.container.name}: {self.main} has no body")
        fonts = {font.get(f"{W}ascii", "") for font in body.iter(f"{W}rFonts")}
        self.has_typed_runs = any(map(word_styles.is_typewriter, fonts))
        blocks = _with_bold_headings(_with_code(_Story(self, self.main).read(body)))
        return blocks + self._margins(body, known={block.text for block in blocks})

    def warnings(self) -> tuple[str, ...]:
        hidden = (
            [f"{counted(self.hidden, 'character')} of hidden text {are(self.hidden)} included"] if self.hidden else []
        )
        return (*hidden, *dict.fromkeys(self.unread))

    def _margins(self, body: "_Element", known: set[str]) -> list[Block]:
        """Headers and footers that a section uses, each text once."""
        relations = dict(self.package.relations(self.main))
        blocks = []
        for reference in body.iter(f"{W}headerReference", f"{W}footerReference"):
            relation = relations.pop(reference.get(f"{ooxml.RELATION_ID}id", ""), None)
            root = self.package.xml(relation.target) if relation else None
            story = _Story(self, relation.target).read(root) if relation and root is not None else ()
            for block in map(_untyped, story):
                if block.text not in known and any(map(str.isalpha, block.text)):
                    known.add(block.text)
                    blocks.append(block)
        return blocks


class _Notes:
    """Footnotes, endnotes or comments: read when something refers to them."""

    def __init__(self, document: _Document, part: str) -> None:
        self._document = document
        self._part = part
        self._elements: dict[str, _Element] | None = None

    def pop(self, name: str) -> "tuple[str, _Element] | None":
        """The text of one note, once; None when there is none, or it was asked for before."""
        if self._elements is None:
            root = self._document.package.xml(self._part) if self._part else None
            self._elements = {element.get(f"{W}id", ""): element for element in (root if root is not None else ())}
        element = self._elements.pop(name, None)
        if element is None or element.get(f"{W}type", "normal") not in ("normal", ""):
            return None
        blocks = _Story(self._document, self._part).read(element)
        return " ".join(_line(blocks).split()), element


class _Story:
    """One part's text: body, header, note or comment."""

    def __init__(self, document: _Document, part: str, depth: int = 0) -> None:
        self.document = document
        self.part = part
        self.depth = depth  # of stories and tables within one another
        self.relations = document.package.relations(part)
        self.blocks: list[Block] = []
        self._carried: _Line | None = None  # a paragraph whose mark is deleted goes on in the next one

    def read(self, container: "Iterable[_Element]") -> list[Block]:
        """The blocks of a container: a body, a cell, a text box."""
        self._walk(container)
        if self._carried is not None:
            self._finish(self._carried, word_styles.ParagraphStyle())
        return self.blocks

    def inner(self, container: "Iterable[_Element]") -> list[Block]:
        """The blocks of a container within this story."""
        if self.depth >= MOST_DEPTH:
            words = " ".join(text.text or "" for element in container for text in element.iter(_TEXT))
            return [Block("prose", markup.prose(words))]
        story = _Story.__new__(_Story)
        story.document, story.part, story.relations = self.document, self.part, self.relations
        story.depth, story.blocks, story._carried = self.depth + 1, [], None
        return story.read(container)

    def _walk(self, container: "Iterable[_Element]") -> None:
        for element in container:
            tag = element.tag
            if tag == _PARAGRAPH:
                self._paragraph(element)
            elif tag == f"{W}tbl":
                self._table(element)
            elif tag == f"{W}altChunk":
                self._foreign(element)
            elif tag == f"{ooxml.ALTERNATE}AlternateContent":
                self._walk(ooxml.chosen(element))
            elif tag in _GROUPS:
                self._walk(element)
            elif tag == f"{_MATH}oMathPara":
                self._add("prose", equations.linear(element))

    def _add(self, kind: Kind, text: str) -> None:
        if text:
            self.blocks.append(Block(kind, text))

    def _paragraph(self, element: "_Element") -> None:
        line = self._carried or _Line(self)
        self._carried = None
        properties = _by_tag(element.find(_PROPERTIES))
        line.read(element)
        mark = properties.get(_RUN_PROPERTIES)
        if mark is not None and mark.find(f"{W}del") is not None:
            self._carried = line
            return
        self._finish(line, self._look(properties))

    def _look(self, properties: "_ByTag") -> word_styles.ParagraphStyle:
        styles = self.document.styles
        style = properties.get(f"{W}pStyle")
        name = style.get(f"{W}val", "") if style is not None else styles.default
        look = styles.look(name)
        outline = properties.get(f"{W}outlineLvl")
        if outline is not None:
            look = look._replace(level=word_styles.outline_level(outline.get(f"{W}val", "")))
        return self._with_list(look, properties.get(f"{W}numPr"), style=name)

    def _with_list(
        self, look: word_styles.ParagraphStyle, own: "_Element | None", *, style: str
    ) -> word_styles.ParagraphStyle:
        """A list of the paragraph's own goes before the style's; list 0 is no list."""
        number = own.find(f"{W}numId") if own is not None else None
        level = own.find(f"{W}ilvl") if own is not None else None
        if number is not None:
            look = look._replace(list_id=number.get(f"{W}val", ""), list_level=0)
        if level is not None:
            look = look._replace(list_level=_number(level.get(f"{W}val")))
        if look.list_id and look.list_level is None:
            look = look._replace(list_level=self.document.numbering.level_of_style(look.list_id, style))
        return look

    def _finish(self, line: "_Line", look: word_styles.ParagraphStyle) -> None:
        text = line.text()
        if text.strip():
            self.document.counts["paragraphs"] += 1
            kind, shaped = self._shaped(text, look)
            if kind == "prose" and (look.typed or self.document.has_typed_runs) and line.is_typed(look):
                kind, shaped = "typed", markup.without_fences(text.rstrip())
            self._add("bold" if kind == "prose" and line.is_bold() else kind, shaped)
        for box in line.boxes:
            self.blocks += self.inner(box)
        self.blocks += line.figures
        self.blocks += line.notes

    def _shaped(self, text: str, look: word_styles.ParagraphStyle) -> tuple[Kind, str]:
        label = self.document.numbering.label(look.list_id, look.list_level or 0) if look.list_id else None
        if look.level is not None or look.title:
            return "heading", self._heading(text, look, label)
        if look.code and not label:
            return "code", markup.without_fences(text)
        body = markup.prose(text)
        if label is None:
            return "prose", body
        return "item", "  " * self._indent(look.list_level or 0) + f"{label} {body}".replace("\n", " ")

    def _indent(self, level: int) -> int:
        """At most one step more than the item before: a lone item of a deep level is not code."""
        before = self.blocks[-1] if self.blocks else None
        if before is None or before.kind != "item":
            return 0
        return min(level, (len(before.text) - len(before.text.lstrip())) // 2 + 1)

    def _heading(self, text: str, look: word_styles.ParagraphStyle, label: str | None) -> str:
        if look.title and self.document.title is None:
            self.document.title = " ".join(text.split())
        numbered = f"{label} {text}" if label and label != numbering.BULLET else text
        return markup.heading(numbered, look.level or 1)

    def _table(self, element: "_Element") -> None:
        rows = [list(_cells(row)) for row in _rows(element)]
        if len(rows) == 1 and _is_layout(rows[0]):
            for _, cell in rows[0]:
                self.blocks += self.inner(cell)
            return
        self.document.counts["tables"] += 1
        notes: list[Block] = []
        self._add("table", markup.table([self._row(line, notes) for row in rows for line in _lines(row)]))
        self.blocks += notes

    def _row(self, row: "list[_Cell]", notes: list[Block]) -> list[str]:
        """Its cells, each in one line; notes go below the table."""
        out: list[str] = []
        for span, cell in row:
            blocks = self.inner(cell)
            out += [_line(blocks), *[""] * (span - 1)]
            notes += [block for block in blocks if block.kind == "note"]
        return out

    def _foreign(self, element: "_Element") -> None:
        """A document of another format that Word would take in when it opens this one."""
        relation = self.relations.get(element.get(f"{ooxml.RELATION_ID}id", ""))
        data = self.document.package.container.read(relation.target) if relation and not relation.external else b""
        if not data:
            return
        try:
            kind = sniffing.sniff(data, relation.target if relation else "")
        except DocumentError as exc:
            self.document.unread.append(f"an included document is not read: {exc.message}")
            return
        if kind != "docx":
            self._add("prose", self._converted(data, kind).strip())
        elif self.document.level < INCLUDED_LEVELS:
            self.blocks += self._included(data)
        else:
            self.document.unread.append("a document within an included document is not read")

    def _included(self, data: bytes) -> list[Block]:
        container = self.document.package.container
        package = ooxml.Package(zipped.Container(data, name=container.name, limits=container.limits))
        document = _Document(package, package.main(), level=self.document.level + 1)
        blocks = document.read()
        self.document.hidden += document.hidden
        self.document.unread += document.unread
        return blocks

    def _converted(self, data: bytes, kind: str) -> str:
        from rag_assets.text.formats import html, mail
        from rag_assets.text.formats.office import rtf

        container = self.document.package.container
        if kind == "rtf":
            return rtf.parse(data, name=container.name, limits=container.limits).text
        if kind == "mail":
            return mail.body(data)
        text = encoding.decode(data, declared=html.declared(data))[0]
        return html.to_markdown(text) if kind in ("html", "xml") else markup.prose(text)


class _Line:
    """The text of one paragraph while it is read; boxes and notes in it are kept for after it."""

    def __init__(self, story: _Story) -> None:
        self.story = story
        self.parts: list[str] = []
        self.boxes: list[_Element] = []
        self.figures: list[Block] = []
        self.notes: list[Block] = []
        self._element: _Element | None = None
        self._fields: list[_Field] = []
        self._depth = 0
        self._muted = 0  # fields whose instruction, not result, is being read
        self._held: list[str] = []  # text within an instruction: lost only if the instruction ends

    def text(self) -> str:
        return "".join(self.parts)

    def is_bold(self) -> bool:
        """Whether it is short and all of it is bold: many write their headings so."""
        text = self.text().strip()
        if len(text) > BOLD_CHARACTERS or text[-1] in ".,;:" or "\n" in text or self._element is None:
            return False
        runs = list(self._runs())
        return bool(runs) and all(_is_on(run.find(f"{_RUN_PROPERTIES}/{W}b")) for run in runs)

    def is_typed(self, look: word_styles.ParagraphStyle) -> bool:
        """Whether all of it is in letters of one width."""
        found = False
        for run in self._runs():  # the first one tells of most paragraphs
            properties = run.find(_RUN_PROPERTIES)
            font = properties.find(_FONTS_OF_RUN) if properties is not None else None
            if not (look.typed if font is None else word_styles.is_typewriter(font.get(f"{W}ascii", ""))):
                return False
            found = True
        return found

    def _runs(self) -> "Iterator[_Element]":
        """The runs that have text."""
        if self._element is not None:
            yield from (run for run in self._element.iter(_RUN) if (run.findtext(_TEXT) or "").strip())

    def read(self, element: "_Element") -> None:
        self._element = element
        self._walk(element)
        if self._muted:  # a field that ends elsewhere, or nowhere, hides nothing
            self.parts += self._held
        self._fields.clear()
        self._held.clear()
        self._muted = 0

    def _walk(self, element: "_Element") -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            self.parts += [text.text or "" for text in element.iter(_TEXT)]
        else:
            for child in element:
                handler = _HANDLERS.get(child.tag, _Line._walk)
                if handler is not None:
                    handler(self, child)
        self._depth -= 1

    def _append_text(self, text: str) -> None:
        (self._held if self._muted else self.parts).append(text)

    def _text(self, element: "_Element") -> None:
        if element.text:
            self._append_text(element.text)

    def _run(self, element: "_Element") -> None:
        first = element[0] if len(element) else None
        if first is not None and first.tag == _RUN_PROPERTIES and _is_on(first.find(_HIDDEN)):
            self.story.document.hidden += sum(len(text.text or "") for text in element.iter(_TEXT))
        self._walk(element)

    def _break(self, element: "_Element") -> None:
        self._append_text("\n")

    def _tab(self, element: "_Element") -> None:
        self._append_text("\t")

    def _hyphen(self, element: "_Element") -> None:
        self._append_text("-")

    def _symbol(self, element: "_Element") -> None:
        try:
            code = int(element.get(f"{W}char", ""), 16)
        except ValueError:
            return
        font = _FONTS.get(element.get(f"{W}font", "").lower())
        if font is not None:
            self._append_text(font.get(code & 0xFF, ""))
        elif not 0xD800 <= code <= 0xF8FF:
            self._append_text(chr(code))

    def _link(self, element: "_Element") -> None:
        start = len(self.parts)
        self._walk(element)
        relation = self.story.relations.get(element.get(f"{ooxml.RELATION_ID}id", ""))
        if relation is not None and relation.external:
            self.parts[start:] = [markup.link("".join(self.parts[start:]), relation.target)]

    def _field_character(self, element: "_Element") -> None:
        kind = element.get(f"{W}fldCharType")
        if kind == "begin":
            self._append_text(_form_field(element))
            self._held = self._held if self._muted else []
            self._fields.append(_Field(len(self.parts)))
            self._muted += 1
        elif kind == "separate" and self._fields and self._fields[-1].muted:
            self._fields[-1].muted = False
            self._muted -= 1
        elif kind == "end" and self._fields:
            self._end_field(self._fields.pop())

    def _end_field(self, field: "_Field") -> None:
        self._muted -= field.muted
        if not self._muted and not field.muted:
            result = "".join(self.parts[field.start :])
            self.parts[field.start :] = [_shown(field.instruction, result)]

    def _instruction(self, element: "_Element") -> None:
        if self._fields:
            self._fields[-1].instruction += element.text or ""

    def _simple_field(self, element: "_Element") -> None:
        start = len(self.parts)
        self._walk(element)
        self.parts[start:] = [_shown(element.get(f"{W}instr", ""), "".join(self.parts[start:]))]

    def _equation(self, element: "_Element") -> None:
        self._append_text(equations.linear(element))

    def _box(self, element: "_Element") -> None:
        self.boxes.append(element)

    def _alternative(self, element: "_Element") -> None:
        self._walk(ooxml.chosen(element))

    def _picture(self, element: "_Element") -> None:
        description = " ".join(element.get("descr", "").split())
        if description and "[" not in description and "]" not in description:
            self._append_text(f" ![{description}]() ")

    def _graphic(self, element: "_Element") -> None:
        """The words of a chart or diagram, and a chart's figures: they are in a part of their own."""
        package = self.story.document.package
        for key, name in element.attrib.items():
            relation = self.story.relations.get(str(name)) if str(key).startswith(ooxml.RELATION_ID) else None
            if relation is not None and relation.kind in ooxml.DRAWN:
                self.figures += [Block("prose", text) for text in package.drawn(relation.target)]
                self.figures += [Block("table", text) for text in package.charted(relation.target)]

    def _drawn_text(self, element: "_Element") -> None:
        self._append_text((element.text or "") + " ")

    def _footnote(self, element: "_Element") -> None:
        self._note(element, "footnotes", prefix="")

    def _endnote(self, element: "_Element") -> None:
        self._note(element, "endnotes", prefix="e")

    def _note(self, element: "_Element", kind: str, *, prefix: str) -> None:
        document = self.story.document
        found = document.notes[kind].pop(element.get(f"{W}id", ""))
        if found is None or not found[0]:
            return
        document.counts[kind] += 1
        label = f"[^{prefix}{document.counts[kind]}]"
        self._append_text(label)
        self.notes.append(Block("note", f"{label}: {found[0]}"))

    def _comment(self, element: "_Element") -> None:
        document = self.story.document
        found = document.notes["comments"].pop(element.get(f"{W}id", ""))
        if found is None or not found[0]:
            return
        document.counts["comments"] += 1
        author = " ".join(found[1].get(f"{W}author", "").split())
        self.notes.append(Block("note", f"> Comment{' by ' + author if author else ''}: {found[0]}"))


class _Field:
    """A field that is being read: where its result starts, and whether its instruction is still going on."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.instruction = ""
        self.muted = True


# What holds blocks and is none itself.
_GROUPS = frozenset(
    f"{W}{name}" for name in ("sdt", "sdtContent", "customXml", "ins", "moveTo", "smartTag", "txbxContent")
)  # fmt: skip
# What an element of a paragraph is; None: not to be seen. What is not here is looked into.
_HANDLERS: dict[Any, Callable[[_Line, Any], None] | None] = {
    _TEXT: _Line._text,
    f"{W}r": _Line._run,
    f"{W}br": _Line._break,
    f"{W}cr": _Line._break,
    f"{W}tab": _Line._tab,
    f"{W}ptab": _Line._tab,
    f"{W}noBreakHyphen": _Line._hyphen,
    f"{W}sym": _Line._symbol,
    f"{W}hyperlink": _Line._link,
    f"{W}fldChar": _Line._field_character,
    f"{W}instrText": _Line._instruction,
    f"{W}fldSimple": _Line._simple_field,
    f"{W}footnoteReference": _Line._footnote,
    f"{W}endnoteReference": _Line._endnote,
    f"{W}commentReference": _Line._comment,
    f"{W}txbxContent": _Line._box,
    f"{_MATH}oMath": _Line._equation,
    f"{ooxml.ALTERNATE}AlternateContent": _Line._alternative,
    f"{_DRAWN}docPr": _Line._picture,
    f"{ooxml.DRAWING}t": _Line._drawn_text,
    f"{ooxml.CHART}chart": _Line._graphic,
    f"{ooxml.DIAGRAM}relIds": _Line._graphic,
    **dict.fromkeys(
        f"{W}{name}" for name in ("pPr", "rPr", "del", "moveFrom", "sdtPr", "sdtEndPr", "rt", "delText", "delInstrText")
    ),
}  # fmt: skip


def _by_tag(properties: "_Element | None") -> "_ByTag":
    """One look at each instead of one search for each that is asked for."""
    return {} if properties is None else {child.tag: child for child in properties}


def _rows(table: "_Element") -> "Iterator[_Element]":
    """Rows that are not deleted, whatever they are wrapped in."""
    for element in table:
        if element.tag == f"{W}tr":
            properties = element.find(f"{W}trPr")
            if properties is None or properties.find(f"{W}del") is None:
                yield element
        elif element.tag in _GROUPS:
            yield from _rows(element)


def _cells(row: "_Element") -> "Iterator[_Cell]":
    """Each cell and the columns it spans; an empty one where a merged cell goes on, or there is none."""
    before = row.find(f"{W}trPr/{W}gridBefore")
    if before is not None and (skipped := _span(before)):
        yield skipped, ()
    for element in row:
        if element.tag == f"{W}tc":
            properties = element.find(f"{W}tcPr")
            span = properties.find(f"{W}gridSpan") if properties is not None else None
            merge = properties.find(f"{W}vMerge") if properties is not None else None
            goes_on = merge is not None and merge.get(f"{W}val", "continue") == "continue"
            yield max(1, _span(span)), () if goes_on else element
        elif element.tag in _GROUPS:
            yield from _cells(element)


def _is_layout(row: "list[_Cell]") -> bool:
    """A frame around text, not a row of facts: one cell, or cells of several paragraphs."""
    return len(row) == 1 or any(len(_paragraphs(cell)) > 1 or _has_table(cell) for _, cell in row)


def _lines(row: "list[_Cell]") -> "list[list[_Cell]]":
    """The lines that a reader sees: cells with equally many paragraphs are columns of figures, not one row."""
    paragraphs = [_paragraphs(cell) for _, cell in row]
    count = len(paragraphs[0]) if paragraphs else 0
    if len(row) < 2 or count < PARALLEL or any(len(column) != count for column in paragraphs):
        return [row]
    if any(_has_table(cell) for _, cell in row):
        return [row]
    return [
        [(span, column[at : at + 1]) for (span, _), column in zip(row, paragraphs, strict=True)] for at in range(count)
    ]


def _paragraphs(cell: "Iterable[_Element]") -> "list[_Element]":
    return [element for element in cell if element.tag == f"{W}p"]


def _has_table(cell: "Iterable[_Element]") -> bool:
    return any(element.tag == f"{W}tbl" for element in cell)


def _span(element: "_Element | None") -> int:
    return min(_number(element.get(f"{W}val")) or 0, MAX_SPAN) if element is not None else 0


def _line(blocks: list[Block]) -> str:
    """Blocks in one line: a heading without its mark, rows of a table told apart by <br>, no notes."""
    texts = []
    for block in blocks:
        if block.kind == "table":
            first, _, *others = block.text.split("\n")
            texts.append("<br>".join(line.removeprefix("| ").removesuffix(" |") for line in (first, *others)))
        elif block.kind != "note":
            texts.append(block.text.lstrip("#").strip() if block.kind == "heading" else block.text)
    return " ".join(texts)


def _form_field(element: "_Element") -> str:
    """A check box, or the chosen entry of a list, of a form of the older kind."""
    box = element.find(f"{W}ffData/{W}checkBox")
    if box is not None:
        checked = box.find(f"{W}checked")
        return "☒" if _is_on(checked if checked is not None else box.find(f"{W}default")) else "☐"
    choice = element.find(f"{W}ffData/{W}ddList")
    if choice is None:
        return ""
    entries = [entry.get(f"{W}val", "") for entry in choice.iterchildren(f"{W}listEntry")]
    result = choice.find(f"{W}result")
    at = (_number(result.get(f"{W}val")) or 0) if result is not None else 0
    return entries[at] if at < len(entries) else ""


def _shown(instruction: str, result: str) -> str:
    if _PAGE_FIELD.match(instruction):
        return ""
    address = _HYPERLINK.match(instruction)
    return markup.link(result, address.group(1)) if address else result


def _is_on(element: "_Element | None") -> bool:
    return element is not None and element.get(f"{W}val", "1") not in _OFF


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None
