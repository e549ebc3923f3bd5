"""An HTML element tree to Markdown, in one walk without recursion, so that depth costs nothing."""

import re
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from rag_assets.text.formats import markup

if TYPE_CHECKING:
    from lxml.etree import _Element

SPAN_LIMIT = 100  # columns or rows that one cell may span
LINK_CHARACTERS = 300  # of a link's words and of its address; what is longer is no link to a reader

_ADDRESS_ENDS = r"()<>|"  # what would end the address of a link, or the cell that it is in
_BREAK = "\x01"  # a <br> until its paragraph is complete: cleaned text holds no such character
_EMPTY_LINE = re.compile("\x01\\s*\x01[\\s\x01]*")  # how many pages part their paragraphs
_LANGUAGE = re.compile(r"(?:^|[\s:])(?:language|lang|highlight(?:-source)?|brush:?|sourceCode|src)[-\s:]\s*([\w+#.]+)")
_NO_LANGUAGE = frozenset({"text", "none", "default", "plaintext", "plain", "txt", "nohighlight", "notranslate"})
_HAZARD = re.compile(r"(?:#{1,6}\s|`{3}|~{3}|\|)")
_PRIVATE_SCHEMES = ("#", "javascript:", "data:", "about:", "blob:")
_SUPERSCRIPTS = str.maketrans("0123456789+-−=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿ")
_SUBSCRIPTS = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")
_RAISED = re.compile(r"[0-9+\-−=()n]{1,8}")
_LOWERED = re.compile(r"[0-9+\-−=()]{1,8}")

_BLOCKS = (
    "html", "body", "p", "div", "section", "article", "main", "header", "footer", "aside", "nav", "figure",
    "figcaption", "address", "form", "fieldset", "legend", "details", "summary", "dialog", "center", "hr", "dl",
    "thead", "tbody", "tfoot", "title", "frameset", "frame", "noframes", "hgroup", "search",
)  # fmt: skip


_PARAGRAPHS = frozenset(("p", "div", "ul", "ol", "dl", "blockquote"))


class _Prefix:
    """What stands before the lines of a list item or a quotation: `first` once, `rest` from then on."""

    __slots__ = ("first", "rest")

    def __init__(self, first: str, rest: str) -> None:
        self.first = first
        self.rest = rest


class _Link(NamedTuple):
    start: int  # in the pieces of the paragraph
    paragraph: int
    address: str


class _Table:
    """Rows of cells, with what reaches into a row from above and from the left."""

    def __init__(self) -> None:
        self.caption = ""
        self.rows: list[list[str]] = []
        self._down: dict[int, tuple[int, str]] = {}  # column -> rows left, text

    def start_row(self) -> None:
        self.rows.append([])
        self._fill()

    def add(self, text: str, *, columns: int, rows: int) -> None:
        if not self.rows:
            self.start_row()
        self._fill()
        row = self.rows[-1]
        if rows > 1:
            self._down.update({len(row) + at: (rows - 1, "" if at else text) for at in range(columns)})
        row.extend([text, *[""] * (columns - 1)])

    def end_row(self) -> None:
        if self.rows:
            self._fill()

    def lines(self) -> list[str]:
        rows = [row for row in self.rows if any(row)]
        if not rows:
            return []
        width = max(at for row in rows for at, cell in enumerate(row, 1) if cell)
        rows = [row[:width] for row in rows]
        lines = [markup.row_line(row + [""] * (width - len(row))) for row in rows]
        return [lines[0], markup.rule(width), *lines[1:]]

    def _fill(self) -> None:
        """Cells that reach down into this row say again what they say: each row is understood by itself."""
        row = self.rows[-1]
        while len(row) in self._down:
            left, text = self._down.pop(len(row))
            if left > 1:
                self._down[len(row)] = (left - 1, text)
            row.append(text)


def render(root: "_Element") -> str:
    """The text below an element as Markdown: headings, lists, tables, code and links; every word of it, in order."""
    from lxml import etree

    writer = _Writer()
    walker = etree.iterwalk(root, events=("start", "end"))
    starts, ends = writer.starts, writer.ends
    pieces = writer.pieces
    for event, element in walker:
        tag = element.tag
        if event == "start":
            act = starts.get(tag)
            if act is not None and act(element):
                walker.skip_subtree()
            elif element.text:
                pieces.append(element.text)
        else:
            act = ends.get(tag)
            if act is not None:
                act(element)
            if element.tail and element is not root:
                pieces.append(element.tail)
    return writer.finish()


class _Writer:
    """Collects the pieces of a paragraph, and paragraphs into lines."""

    def __init__(self) -> None:
        self.pieces: list[str] = []  # of the paragraph that is being read
        self._out: list[str] = []
        self._paragraph = 0
        self._prefixes: list[_Prefix] = []
        self._lists: list[int | None] = []  # the next number; None for bullets
        self._tables: list[_Table | None] = []  # None: a table that only arranges the page
        self._cells: list[int] = []  # where the open cells, captions and headings start
        self._links: list[_Link | None] = []
        self._marks: list[int] = []  # where open <code>, <sup>, <sub> start
        self._code = 0
        self._tight = False  # whether the next list item follows without an empty line
        self.starts: dict[object, Callable[[_Element], bool | None]] = dict.fromkeys(_BLOCKS, self._boundary)
        self.ends: dict[object, Callable[[_Element], None]] = dict.fromkeys(_BLOCKS, self._boundary)
        self._register()

    def _register(self) -> None:
        for name in ("a", "br", "q", "img", "input", "textarea", "pre", "table", "tr", "li", "dd", "dt", "blockquote"):
            self._on(name)
        for names, name in (
            (("h1", "h2", "h3", "h4", "h5", "h6"), "heading"),
            (("td", "th"), "cell"),
            (("caption",), "caption"),
            (("ul", "ol", "menu", "dir"), "list"),
            (("code", "kbd", "samp", "tt"), "code"),
            (("sup",), "sup"),
            (("sub",), "sub"),
        ):
            self._on(name, *names)

    def _on(self, name: str, *tags: str) -> None:
        for tag in tags or (name,):
            start, end = getattr(self, f"_start_{name}", None), getattr(self, f"_end_{name}", None)
            if start:
                self.starts[tag] = start
            if end:
                self.ends[tag] = end

    def finish(self) -> str:
        self._flush()
        return "".join(self._out)

    # ---- paragraphs

    def _boundary(self, element: "_Element") -> None:
        """Between blocks: a new paragraph, or a space where there can be none."""
        if self._cells:
            self.pieces.append(" ")
        elif self.pieces:
            self._flush()

    def _flush(self) -> None:
        if self.pieces:
            text = "".join(self.pieces)
            self.pieces.clear()
            self._paragraph += 1
            for part in _EMPTY_LINE.split(text):
                lines = [" ".join(line.split()) for line in part.split(_BREAK)]
                self._emit([f"\\{line}" if _HAZARD.match(line) else line for line in lines if line])

    def _emit(self, lines: list[str]) -> None:
        if not lines:
            return
        item = any(prefix.first != prefix.rest for prefix in self._prefixes)
        first = "".join(prefix.first for prefix in self._prefixes)
        rest = "".join(prefix.rest for prefix in self._prefixes)
        for prefix in self._prefixes:
            prefix.first = prefix.rest
        if self._out:
            self._out.append("\n" if item and self._tight else "\n\n")
        self._out.append(first + lines[0])
        self._out.extend(f"\n{rest}{line}" if line else "\n" for line in lines[1:])
        self._tight = bool(self._lists)

    def _taken(self, start: int) -> str:
        """What has been collected since `start`, on one line; it is taken away."""
        text = " ".join("".join(self.pieces[start:]).replace(_BREAK, " ").split())
        del self.pieces[start:]
        return text

    # ---- headings, lists, quotations

    def _start_heading(self, element: "_Element") -> None:
        self._boundary(element)
        self._cells.append(len(self.pieces))

    def _end_heading(self, element: "_Element") -> None:
        start = self._cells.pop()
        text = self._taken(start)
        if self._cells or not text:
            self.pieces.append(f" {text} ")
            return
        for prefix in self._prefixes:  # a heading inside of a list item heads the page, not the item
            if not prefix.rest.strip():
                prefix.first = prefix.rest = ""
        self._tight = False
        self._emit([f"{markup.heading_mark(int(element.tag[1]))} {text}"])

    def _start_list(self, element: "_Element") -> None:
        self._boundary(element)
        self._tight = self._tight and bool(self._lists)
        self._lists.append(_number(element.get("start"), default=1) if element.tag == "ol" else None)

    def _end_list(self, element: "_Element") -> None:
        self._boundary(element)
        if self._lists:
            self._lists.pop()
        self._tight = bool(self._lists)

    def _start_li(self, element: "_Element") -> None:
        self._boundary(element)
        marker = "- "
        if self._lists and (number := self._lists[-1]) is not None:
            number = _number(element.get("value"), default=number)
            self._lists[-1] = number + 1
            marker = f"{number}. "
        if self._cells:
            self.pieces.append(marker)
        self._prefixes.append(_Prefix(marker, " " * len(marker)))

    def _end_li(self, element: "_Element") -> None:
        self._boundary(element)
        self._prefixes.pop()

    def _start_dt(self, element: "_Element") -> None:
        self._boundary(element)
        self._tight = False

    def _end_dt(self, element: "_Element") -> None:
        self._boundary(element)
        self._tight = True

    def _start_dd(self, element: "_Element") -> None:
        self._boundary(element)
        self._prefixes.append(_Prefix(": ", "  "))

    _end_dd = _end_li

    def _start_blockquote(self, element: "_Element") -> None:
        self._boundary(element)
        self._prefixes.append(_Prefix("> ", "> "))

    _end_blockquote = _end_li

    # ---- tables

    def _start_table(self, element: "_Element") -> None:
        self._boundary(element)
        self._tables.append(None if self._cells or _is_layout(element) else _Table())

    def _end_table(self, element: "_Element") -> None:
        table = self._tables.pop()
        self._boundary(element)
        if table is not None:
            self._emit([table.caption] if table.caption else [])
            self._emit(table.lines())
            self._tight = False

    def _start_tr(self, element: "_Element") -> None:
        self._boundary(element)
        if self._tables and not self._cells and (table := self._tables[-1]) is not None:
            table.start_row()

    def _end_tr(self, element: "_Element") -> None:
        if self._cells:
            self.pieces.append("; ")  # a row of a table within a cell
        elif self._tables and (table := self._tables[-1]) is not None:
            table.end_row()
        self._boundary(element)

    def _start_cell(self, element: "_Element") -> None:
        self._boundary(element)
        if self._tables and self._tables[-1] is not None:
            self._cells.append(len(self.pieces))

    def _end_cell(self, element: "_Element") -> None:
        table = self._tables[-1] if self._tables else None
        if table is None or not self._cells:
            self._boundary(element)
            return
        start = self._cells.pop()
        text = markup.with_bars_escaped(self._taken(start).removesuffix(";"))
        columns = min(max(1, _number(element.get("colspan"), default=1)), SPAN_LIMIT)
        table.add(text, columns=columns, rows=min(_number(element.get("rowspan"), default=1), SPAN_LIMIT))

    def _start_caption(self, element: "_Element") -> None:
        self._boundary(element)
        if self._tables and self._tables[-1] is not None:
            self._cells.append(len(self.pieces))

    def _end_caption(self, element: "_Element") -> None:
        table = self._tables[-1] if self._tables else None
        if table is None or not self._cells:
            self._boundary(element)
            return
        table.caption = self._taken(self._cells.pop())

    # ---- within a paragraph

    def _start_a(self, element: "_Element") -> None:
        address = (element.get("href") or "").strip()
        shown = address and len(address) <= LINK_CHARACTERS and not address.lower().startswith(_PRIVATE_SCHEMES)
        self._links.append(_Link(len(self.pieces), self._paragraph, address) if shown and not self._code else None)

    def _end_a(self, element: "_Element") -> None:
        link = self._links.pop() if self._links else None
        if link is None or link.paragraph != self._paragraph:
            return  # no address, or several paragraphs: the words are there
        text = "".join(self.pieces[link.start :])
        words = " ".join(text.split())
        if not words or _BREAK in words or len(words) > LINK_CHARACTERS or words == link.address:
            return
        before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
        address = markup.percent_encoded(link.address, _ADDRESS_ENDS)
        self.pieces[link.start :] = [f"{before}[{words}]({address}){after}"]

    def _start_code(self, element: "_Element") -> None:
        self._marks.append(len(self.pieces))
        self._code += 1

    def _end_code(self, element: "_Element") -> None:
        start = self._marks.pop()
        self._code -= 1
        text = "".join(self.pieces[start:])
        if not self._code and text.strip() and _BREAK not in text:
            mark = "``" if "`" in text else "`"
            inner = text.strip()
            before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
            self.pieces[start:] = [f"{before}{mark}{inner}{mark}{after}"]

    def _start_sup(self, element: "_Element") -> None:
        self._marks.append(len(self.pieces))

    _start_sub = _start_sup

    def _end_sup(self, element: "_Element") -> None:
        self._shifted(_RAISED, _SUPERSCRIPTS)

    def _end_sub(self, element: "_Element") -> None:
        self._shifted(_LOWERED, _SUBSCRIPTS)

    def _shifted(self, fits: re.Pattern[str], characters: dict[int, int]) -> None:
        start = self._marks.pop()
        text = "".join(self.pieces[start:]).strip()
        if fits.fullmatch(text):
            self.pieces[start:] = [text.translate(characters)]

    def _start_br(self, element: "_Element") -> None:
        self.pieces.append(" " if self._cells else _BREAK)

    def _start_q(self, element: "_Element") -> None:
        self.pieces.append("“")

    def _end_q(self, element: "_Element") -> None:
        self.pieces.append("”")

    def _start_img(self, element: "_Element") -> None:
        words = (element.get("alt") or "").strip()
        if words:
            before = self.pieces[-1][-1:] if self.pieces else ""
            self.pieces.append(f" {words}" if before.isalnum() else words)

    def _start_input(self, element: "_Element") -> None:
        if element.get("type") == "checkbox":
            self.pieces.append("[ ] " if element.get("checked") is None else "[x] ")
        else:
            self.pieces.append(" ")

    def _start_textarea(self, element: "_Element") -> None:
        self.pieces.append(" ")

    def _end_textarea(self, element: "_Element") -> None:
        self.pieces.append(" ")

    def _start_pre(self, element: "_Element") -> bool:
        self._boundary(element)
        code = preformatted(element).strip("\n").rstrip()
        if self._cells:
            self.pieces.append(" ".join(code.split()))
        elif code.strip():
            fence = markup.fence(code)
            self._emit([fence + language(element), *code.split("\n"), fence])
        return True


def preformatted(element: "_Element") -> str:
    """The text of a <pre> as it stands."""
    for line_break in element.iter("br"):
        line_break.tail = "\n" + (line_break.tail or "")
    return "".join(element.itertext())


def language(pre: "_Element") -> str:
    """The language that classes on a <pre>, its code or what it stands in tell; empty when none does."""
    inner = pre.find("code")
    for element in (inner, pre, *islice(pre.iterancestors(), 2)):
        if element is None:
            continue
        told = element.get("data-lang") or element.get("data-language")
        match = _LANGUAGE.search(element.get("class") or "")
        found = (told or (match.group(1) if match else "")).lower()
        if found and found not in _NO_LANGUAGE:
            return found if re.fullmatch(r"[\w+#.-]+", found) else ""
    return ""


def _is_layout(table: "_Element") -> bool:
    """Whether a table arranges a page rather than data: its cells are then read as paragraphs."""
    if table.get("role") in ("presentation", "none"):
        return True
    if next(table.iter("h1", "h2", "h3", "h4", "pre"), None) is not None:
        return True
    rows = list(islice(table.iter("tr"), 2))
    if len(rows) == 1 and any(sum(part.tag in _PARAGRAPHS for part in cell) > 1 for cell in rows[0]):
        return True  # columns of text beside each other
    widest = max((len(row) for row in table.iter("tr")), default=0)
    return widest < 2 or _is_nested(table)


def _is_nested(table: "_Element") -> bool:
    """Whether most of a table's text is in tables within it."""
    inner = table.find(".//table")
    if inner is None:
        return False
    within = sum(len("".join(one.itertext())) for one in table.iterfind("./*/tr/td/table"))
    within = within or sum(len("".join(one.itertext())) for one in table.iterfind("./tr/td/table"))
    return within * 2 > len("".join(table.itertext()))


def _number(text: str | None, *, default: int) -> int:
    return int(text) if text and re.fullmatch(r"\s*\d{1,6}\s*", text) else default
