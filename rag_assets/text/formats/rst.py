"""reStructuredText: titles become Markdown headings, code blocks fences, tables rows; the rest stays readable."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import markup

TABLE_WIDTH, TABLE_CHARACTERS = 1_000, 60_000  # beyond which a table's lines are cut one by one: less exact, linear
FIELD_CHARACTERS = 1_000_000  # of one cell of a csv-table

_LINE = re.compile(r"([=\-`:'\"~^_*+#<>.!$%&(),/;?@\[\]\\{|}])\1+[ \t]*")
_DIRECTIVE = re.compile(r"([ \t]*)\.\. ([\w:+.-]+)::[ \t]*(.*)")
_OPTION = re.compile(r"([ \t]*):([\w-]+):(?:[ \t]+|$)(.*)")
_COMMENT = re.compile(r"([ \t]*)\.\.(?:[ \t]+(?!\[|_|\|)|[ \t]*$)")
_TARGET = re.compile(r"[ \t]*\.\. _[^:\n]+:[ \t]*(?:\S+)?[ \t]*$")
_FOOTNOTE = re.compile(r"([ \t]*)\.\. (\[[^\]]+\]) ")
_SUBSTITUTION = re.compile(r"[ \t]*\.\. \|([^|]+)\| (\w+):: *(.*)")
_GRID = re.compile(r"[ \t]*\+[-=+]+\+[ \t]*$")
_RULE = re.compile(r"[ \t]*=+(?: +=+)+[ \t]*$")
_BULLET = re.compile(r"([*+\-•‣⁃])(?:[ \t]+|$)")
_CSS = re.compile(r"[a-z][a-z0-9 _-]*")  # names of classes of a style sheet, as far as they can be told from others
_PAD = "\0"  # the second place of a wide character
_CODE = frozenset(
    {
        "code", "code-block", "sourcecode", "highlight-block", "prompt", "ipython", "parsed-literal",
        "productionlist", "doctest", "testcode", "testoutput",
    }
)  # fmt: skip
_SILENT = frozenset(
    {
        "highlight", "currentmodule", "index", "toctree", "contents", "raw", "image", "include",
        "default-role", "role", "sectionauthor", "codeauthor", "only", "tabularcolumns", "meta",
        "rst-class", "container",
    }
)  # fmt: skip
_TABLES = frozenset({"list-table", "flat-table", "csv-table"})
# What Sphinx describes, in all its domains: the directive's argument is one signature per line.
_OBJECTS = frozenset(
    {
        "function", "class", "method", "attribute", "data", "exception", "option", "c", "cmdoption", "describe",
        "property", "type", "staticmethod", "classmethod", "decorator", "decoratormethod", "module", "object",
        "member", "var", "macro", "struct", "union", "enum", "enumerator", "enum-class", "enum-struct", "concept",
        "alias", "directive", "role", "envvar", "confval", "program", "interface", "trait", "const", "global",
        "get", "post", "put", "patch", "delete", "head", "options",
    }
)  # fmt: skip
_DOMAINS = frozenset({"py", "js", "c", "cpp", "rst", "std", "php", "http", "rb", "go", "java", "lua", "ts"})
_SHOWN = ("type", "value", "default")  # options of what is described that a reader sees
_NUMBERED = re.compile(r":(pep|rfc|issue|cve):`([^`<]{1,300}?)(?:\s{0,9}<[^`>]{0,500}>)?`", re.IGNORECASE)
_JOINED = re.compile(r"(?<!\\)\\ ")  # an escaped space is none: it parts markup from a word
_SHIFTED = re.compile(r":(?:sub|sup|subscript|superscript):`([^`]{1,300})`")
_ROLES = re.compile(r":(?:[\w.+-]{1,40}:){1,4}`(?:~|!)?([^`<]{1,300}?)(?:\s{0,9}<[^`>]{0,500}>)?`")
_LINKS = re.compile(r"`([^`<>]{1,300}?)\s{0,9}<([^`>\s]{1,500})>`__?")
_REFERENCES = re.compile(r"`([^`\n]+)`__?(?!\w)")
_FIELD_TITLE = re.compile(r"(?::?[\w -]{1,40}:.*\n){0,5}:?Title: *(.+)")
_LITERALS = re.compile(r"``(.+?)``")


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The text as Markdown (see `to_markdown`); its title is the field of that name, or the first heading."""
    reading = encoding.read(data)
    text = to_markdown(reading.text.replace("\f", "\n"))
    title = _FIELD_TITLE.match(text) or re.search(r"^# +(.+)$", text, re.MULTILINE)
    return ParsedText(
        text=text,
        media_type="text/x-rst",
        parser="rst",
        title=title.group(1) if title else None,
        metadata={"encoding": reading.encoding},
        warnings=reading.warnings,
    )


def to_markdown(text: str) -> str:
    """The text as Markdown, by a light pass over its lines: what it does not know stays as it is."""
    return "\n".join(_Converter(text.expandtabs(8).split("\n")).lines()).strip("\n") + "\n"


class _Converter:
    def __init__(self, source: list[str]) -> None:
        self._source = source
        self._at = 0
        self._styles: list[str] = []  # of title lines, in the order in which they appear: that is their level
        self._language = ""  # of literal blocks, as the last `highlight` said

    def lines(self) -> Iterator[str]:
        while self._at < len(self._source):
            yield from self._next()

    def _next(self) -> Iterator[str]:
        line = self._source[self._at]
        stripped = line.lstrip()
        if stripped.startswith(".."):
            yield from self._explicit(line)
        elif (title := self._title()) is not None:
            yield from title
        elif _GRID.match(line):
            yield from self._grid()
        elif _RULE.match(line):
            yield from self._simple_table()
        else:
            self._at += 1
            yield from self._paragraph_line(line)

    def _peek(self, offset: int) -> str:
        at = self._at + offset
        return self._source[at] if at < len(self._source) else ""

    # ---- titles

    def _title(self) -> list[str] | None:
        line, below, third = self._peek(0), self._peek(1), self._peek(2)
        if line[:1] not in " \t" and _LINE.fullmatch(line) and below.strip() and third.rstrip() == line.rstrip():
            return self._heading(below.strip(), "over" + line[0], lines=3)
        wide = len(below.rstrip()) >= min(4, len(line.rstrip()))
        if line.strip() and line[0] not in " \t" and wide and _LINE.fullmatch(below) and not _LINE.fullmatch(line):
            return self._heading(line.strip(), below[0], lines=2)
        return None

    def _heading(self, words: str, style: str, *, lines: int) -> list[str]:
        if style not in self._styles:
            self._styles.append(style)
        self._at += lines
        return [f"{markup.heading_mark(self._styles.index(style) + 1)} {_inline(words)}"]

    # ---- directives, comments, targets

    def _explicit(self, line: str) -> Iterator[str]:
        directive = _DIRECTIVE.match(line)
        if directive:
            yield from self._directive(*directive.groups())
        elif _TARGET.match(line):
            self._at += 1
        elif footnote := _FOOTNOTE.match(line):
            self._at += 1
            yield f"{footnote.group(1)}{footnote.group(2)} {_inline(line[footnote.end() :])}"
        elif substitution := _SUBSTITUTION.match(line):
            self._at += 1
            yield f"{substitution.group(1)}: {substitution.group(3)}" if substitution.group(2) == "replace" else ""
        elif line.strip() == ".." and not self._peek(1).strip():
            self._at += 1  # an empty comment: it ends what was before, and has no part in what follows
            yield ""
        elif _COMMENT.match(line):
            self._at += 1
            self._block(line)
        else:
            self._at += 1
            yield line

    def _directive(self, indent: str, name: str, argument: str) -> Iterator[str]:
        first = self._source[self._at]
        self._at += 1
        domain, _, short = name.lower().rpartition(":")
        if short == "highlight":
            self._language = argument.strip()
        if short in _CODE:
            yield from self._code(first, argument.strip().split(" ")[0], indent)
        elif short in _TABLES:
            yield from self._listed(first, argument, short)
        elif self._describes(first, domain, short, argument):
            yield from self._described(first, argument, indent)
        elif short in _SILENT or short == "class":
            yield from self._kept(first, short)
        else:
            options = self._options(first)
            yield _labelled(indent, short, options.get("alt", "") if short == "figure" else argument)

    def _describes(self, first: str, domain: str, short: str, argument: str) -> bool:
        """Whether it says what something is; `class` without a domain may also be one of a style sheet."""
        if domain.partition(":")[0] in _DOMAINS:
            return short != "currentmodule"
        if short == "class":
            block = self._peek(1) if not self._peek(0).strip() else self._peek(0)
            return not _CSS.fullmatch(argument.strip()) or (bool(block.strip()) and _deeper(block, first))
        return short in _OBJECTS - {"role"} or (short.startswith("auto") and short != "autosummary")

    def _described(self, first: str, argument: str, indent: str) -> Iterator[str]:
        signatures = "\n".join([argument, *self._more(first)]).replace("\\\n", "").split("\n")
        options = self._options(first)
        shown = ", ".join(f"{key}: {_inline(options[key])}" for key in _SHOWN if options.get(key))
        for signature in filter(None, (" ".join(one.split()) for one in signatures)):
            yield f"{indent}`{signature}`{f' ({shown})' if shown else ''}"

    def _code(self, first: str, language: str, indent: str) -> Iterator[str]:
        options = self._options(first)
        if caption := options.get("caption"):
            yield f"{indent}{_inline(caption)}\n"
        yield from _fenced(self._block(first), language, indent)

    def _kept(self, first: str, name: str) -> Iterator[str]:
        """What there is to read in directives that arrange or link: the words that replace an image."""
        options = self._options(first)
        if name in ("only", "container", "class", "rst-class"):
            return
        self._block(first)
        yield from (_inline(options[key]) for key in ("alt", "caption") if options.get(key))

    def _listed(self, first: str, title: str, name: str) -> Iterator[str]:
        title = " ".join([title, *self._more(first)]).strip()
        options = self._options(first)
        block = self._block(first)
        if title:
            yield f"{_inline(title)}\n"
        rows = _csv_rows(block, options) if name == "csv-table" else _list_rows(block)
        yield from _rows([[_inline(" ".join(cell.split())) for cell in row] for row in rows])

    def _more(self, first: str) -> list[str]:
        """The lines on which an argument goes on."""
        start = self._at
        while self._peek(0).strip() and _deeper(self._peek(0), first) and not _OPTION.match(self._peek(0)):
            if _BULLET.match(self._peek(0).lstrip()):
                break
            self._at += 1
        return self._source[start : self._at]

    def _options(self, first: str) -> dict[str, str]:
        """The options below a directive, each with the lines on which it goes on."""
        found: dict[str, str] = {}
        while (match := _OPTION.match(self._peek(0))) and _deeper(self._peek(0), first):
            indent, name, value = match.groups()
            lines = [value]
            self._at += 1
            while self._peek(0).strip() and len(self._peek(0)) - len(self._peek(0).lstrip()) > len(indent):
                lines.append(self._peek(0).strip())
                self._at += 1
            found[name] = "\n".join(lines).strip()
        return found

    def _block(self, first: str) -> list[str]:
        """The lines that are indented more than `first`, without their indentation."""
        start = self._at
        while self._at < len(self._source) and (not self._peek(0).strip() or _deeper(self._peek(0), first)):
            self._at += 1
        while self._at > start and not self._source[self._at - 1].strip():
            self._at -= 1
        block = self._source[start : self._at]
        margin = min((len(line) - len(line.lstrip()) for line in block if line.strip()), default=0)
        return [line[margin:] for line in block]

    # ---- paragraphs

    def _paragraph_line(self, line: str) -> Iterator[str]:
        literal = line.rstrip().endswith("::") and not self._peek(0).strip()
        if not literal:
            yield _inline(line)
            return
        words = line.rstrip()[:-1]
        if words.strip() != ":":
            yield _inline(words)
        yield ""
        block = self._block(line)
        yield from _fenced(block, self._language, line[: len(line) - len(line.lstrip())])

    # ---- tables

    def _grid(self) -> Iterator[str]:
        start = self._at
        while self._peek(0).lstrip()[:1] in ("+", "|"):
            self._at += 1
        lines = [line.strip() for line in self._source[start : self._at]]
        rows = _parsed("GridTableParser", lines)
        yield from _rows(rows if rows is not None else list(_grid_rows(lines)))

    def _simple_table(self) -> Iterator[str]:
        rule = self._source[self._at]
        margin = len(rule) - len(rule.lstrip())
        start, rules = self._at, 0
        while self._at < len(self._source):
            self._at += 1
            if not _RULE.match(self._peek(0)):
                continue
            rules += 1
            if rules == 2 or not self._peek(1).strip():
                break
        self._at += 1
        lines = [line[margin:].rstrip() for line in self._source[start : self._at]]
        rows = _parsed("SimpleTableParser", lines)
        yield from _rows(rows if rows is not None else _simple_rows(_wide(lines)))


def _wide(lines: Iterable[str]) -> Any:
    """Lines in which each character has as many places as it takes on the page: two, in East Asian scripts."""
    from docutils.statemachine import StringList

    block = StringList(list(lines), "table")
    block.pad_double_width(_PAD)
    return block


def _parsed(parser: str, lines: list[str]) -> list[list[str]] | None:
    """The cells of a table as docutils sees them, what reaches over several rows in each.

    None when it is malformed or too large.
    """
    width = max(map(len, lines), default=0)
    if width > TABLE_WIDTH or width * len(lines) > TABLE_CHARACTERS:
        return None
    from docutils.parsers.rst import tableparser
    from docutils.utils import DataError

    try:
        columns, head, body = getattr(tableparser, parser)().parse(_wide(lines))
    except (tableparser.TableMarkupError, DataError, IndexError, AssertionError, TypeError, ValueError):
        return None
    rows = [*head, *body]
    table = [[""] * len(columns) for _ in rows]
    for at, row in enumerate(rows):
        for column, cell in enumerate(row):
            if cell is not None:
                words = _inline(" ".join(" ".join(cell[3]).replace(_PAD, "").split()))
                for below in range(at, min(at + cell[0] + 1, len(table))):
                    table[below][column] = words
    return table


def _grid_rows(lines: Iterable[str]) -> Iterator[list[str]]:
    """The cells of a grid in which each line is cut at its bars."""
    row: list[list[str]] = []  # its lines
    for line in lines:
        if not line.startswith("+"):
            row.append([cell.strip() for cell in line.strip("|").split("|")])
        elif row:
            yield _joined(row)
            row = []
    if row:
        yield _joined(row)


def _simple_rows(lines: Iterable[str]) -> list[list[str]]:
    """The cells of a table in which each line is cut where its columns begin."""
    rows: list[list[str]] = []
    starts: list[int] = []
    for line in lines:
        starts = starts or [match.start() for match in re.finditer(r"=+", line)]
        if not line.strip() or re.fullmatch(r"[=\- ]+", line):
            continue
        ends: list[int | None] = [*starts[1:], None]
        cells = [line[start:end].replace(_PAD, "").strip() for start, end in zip(starts, ends, strict=True)]
        if cells[0] or not rows:
            rows.append(cells)
        else:
            rows[-1] = [f"{old} {new}".strip() for old, new in zip(rows[-1], cells, strict=True)]
    return [[_inline(cell) for cell in row] for row in rows]


def _labelled(indent: str, name: str, argument: str) -> str:
    """A directive as words: `.. note:: Text` is read as `Note: Text`, and a function's entry as its signature."""
    if name in ("note", "warning", "tip", "important", "caution", "danger", "error", "hint", "attention", "seealso"):
        return f"{indent}{name.capitalize()}: {_inline(argument)}".rstrip()
    if name in ("versionadded", "versionchanged", "deprecated", "versionremoved"):
        return f"{indent}{name.removeprefix('version').capitalize()} {_inline(argument)}"
    return f"{indent}{_inline(argument)}" if argument else ""


def _fenced(block: list[str], language: str, indent: str) -> Iterator[str]:
    while block and not block[0].strip():
        block = block[1:]
    if block:
        fence = "````" if any(line.lstrip().startswith("```") for line in block) else "```"
        quiet = language.lower() in ("text", "none", "default")
        yield f"{indent}{fence}{'' if quiet else language}"
        yield from (f"{indent}{line}".rstrip() for line in block)
        yield f"{indent}{fence}"


def _list_rows(block: list[str]) -> Iterator[list[str]]:
    """Rows of a table that is written as a list of lists, with any bullets."""
    for row in _items(block):
        yield [" ".join(line for line in cell if not line.startswith(".. ")) for cell in _items(row)]


def _items(block: list[str]) -> Iterator[list[str]]:
    """The lines of each item of a list, without its bullet and its indentation."""
    item: list[str] | None = None
    width = 0
    for line in block:
        if bullet := _BULLET.match(line):
            if item is not None:
                yield item
            width = bullet.end() if bullet.end() < len(line) else 2
            item = [line[bullet.end() :]]
        elif item is not None:
            item.append(line[min(width, len(line) - len(line.lstrip())) :])
    if item is not None:
        yield item


def _csv_rows(block: list[str], options: Mapping[str, str]) -> Iterator[list[str]]:
    """Rows of a csv-table, its header first, with the delimiter and the quotes that its options name."""
    escape = options.get("escape", "")[:1] or None
    before = csv.field_size_limit(FIELD_CHARACTERS)
    try:
        for source in (options.get("header", "").split("\n"), block):
            yield from csv.reader(
                [f"{line}\n" for line in source],
                delimiter=_character(options.get("delim", ","), default=","),
                quotechar=_character(options.get("quote", '"'), default='"'),
                escapechar=escape,
                doublequote=escape is None,
                skipinitialspace="keepspace" not in options,
            )
    finally:
        csv.field_size_limit(before)


def _character(text: str, *, default: str) -> str:
    """One character: itself, by name, or by number as in U+2020 or 0x2020."""
    named = {"tab": "\t", "space": " "}.get(text.lower())
    number = re.fullmatch(r"(?:U\+|0x|\\x|x|\\u|u|&#x)([0-9a-f]{2,6});?", text, re.IGNORECASE)
    if number and int(number.group(1), 16) < 0x110000:
        return chr(int(number.group(1), 16))
    return named or text[:1] or default


def _rows(rows: list[list[str]]) -> Iterator[str]:
    rows = [row for row in rows if any(row)]
    if not rows:
        return
    width = max(map(len, rows))
    for at, row in enumerate(rows):
        yield markup.row_line([markup.with_bars_escaped(cell) for cell in row] + [""] * (width - len(row)))
        if at == 0:
            yield markup.rule(width)
    yield ""


def _joined(lines: list[list[str]]) -> list[str]:
    """The cells of a row from its lines."""
    return [_inline(" ".join(filter(None, parts))) for parts in zip_longest(*lines, fillvalue="")]


def _deeper(line: str, first: str) -> bool:
    return len(line) - len(line.lstrip()) > len(first) - len(first.lstrip())


def _inline(text: str) -> str:
    """Roles, links and literals as a reader sees them."""
    text = _JOINED.sub("", text)
    if "`" not in text:
        return text
    text = _SHIFTED.sub(r"\1", text)
    text = _NUMBERED.sub(lambda match: f"{match.group(1).upper()} {match.group(2)}", text)
    text = _ROLES.sub(r"`\1`", text)
    text = _LINKS.sub(r"[\1](\2)", text)
    text = _LITERALS.sub(r"`\1`", text)
    return _REFERENCES.sub(r"\1", text)
