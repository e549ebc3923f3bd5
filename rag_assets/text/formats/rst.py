"""reStructuredText: titles become Markdown headings, code blocks fences, tables rows; the rest stays readable."""

import re
from collections.abc import Iterator
from itertools import zip_longest

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding

_LINE = re.compile(r"([=\-`:'\"~^_*+#<>.!$%&(),/;?@\[\]\\{|}])\1+[ \t]*")
_DIRECTIVE = re.compile(r"([ \t]*)\.\. ([\w:+.-]+)::[ \t]*(.*)")
_OPTION = re.compile(r"[ \t]*:[\w-]+:")
_COMMENT = re.compile(r"([ \t]*)\.\.(?:[ \t]+(?!\[|_|\|)|[ \t]*$)")
_TARGET = re.compile(r"[ \t]*\.\. _[^:\n]+:[ \t]*(?:\S+)?[ \t]*$")
_FOOTNOTE = re.compile(r"([ \t]*)\.\. (\[[^\]]+\]) ")
_SUBSTITUTION = re.compile(r"[ \t]*\.\. \|([^|]+)\| (\w+):: *(.*)")
_GRID = re.compile(r"[ \t]*\+[-=+]+\+[ \t]*$")
_RULE = re.compile(r"[ \t]*=+(?: +=+)+[ \t]*$")
_CODE = frozenset(
    {
        "code", "code-block", "sourcecode", "highlight-block", "prompt", "ipython", "parsed-literal",
        "productionlist", "doctest", "testcode", "testoutput",
    }
)  # fmt: skip
_SILENT = frozenset(
    {
        "highlight", "currentmodule", "module", "index", "toctree", "contents", "raw", "image", "include",
        "default-role", "role", "sectionauthor", "codeauthor", "only", "tabularcolumns", "meta", "autoclass",
        "automodule", "autofunction", "automethod", "rst-class", "container", "class",
    }
)  # fmt: skip
_NUMBERED = re.compile(r":(pep|rfc|issue|cve):`([^`<]{1,300}?)(?:\s{0,9}<[^`>]{0,500}>)?`", re.IGNORECASE)
_JOINED = re.compile(r"(?<!\\)\\ ")  # an escaped space is none: it parts markup from a word
_SHIFTED = re.compile(r":(?:sub|sup|subscript|superscript):`([^`]{1,300})`")
_ROLES = re.compile(r":(?:[\w.+-]{1,40}:){1,4}`(?:~|!)?([^`<]{1,300}?)(?:\s{0,9}<[^`>]{0,500}>)?`")
_LINKS = re.compile(r"`([^`<>]{1,300}?)\s{0,9}<([^`>\s]{1,500})>`__?")
_REFERENCES = re.compile(r"`([^`\n]+)`__?(?!\w)")
_FIELD_TITLE = re.compile(r"(?::?[\w -]{1,40}:.*\n){0,5}:?Title: *(.+)")
_LITERALS = re.compile(r"``(.+?)``")


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
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
    return "\n".join(_Pass(text.expandtabs(8).split("\n")).lines()).strip("\n") + "\n"


class _Pass:
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
        return ["#" * min(self._styles.index(style) + 1, 6) + " " + _inline(words)]

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
        elif _COMMENT.match(line):
            self._at += 1
            self._block(line)
        else:
            self._at += 1
            yield line

    def _directive(self, indent: str, name: str, argument: str) -> Iterator[str]:
        first = self._source[self._at]
        self._at += 1
        short = name.rpartition(":")[2].lower()
        if short == "highlight":
            self._language = argument.strip()
        if short in _CODE:
            yield from _fenced(self._without_options(first), argument.strip().split(" ")[0], indent)
        elif short in _SILENT:
            yield from self._kept(first, short)
        elif short in ("list-table", "csv-table"):
            yield from self._listed(first, argument, short)
        else:
            self._skip_options(first)
            yield _labelled(indent, short, argument)

    def _kept(self, first: str, name: str) -> Iterator[str]:
        """What there is to read in directives that arrange or link: the words that replace an image."""
        if name in ("only", "container", "class", "rst-class"):
            self._skip_options(first)
            return
        block = self._block(first)
        yield from (line.split(":alt:")[1].strip() for line in block if ":alt:" in line)

    def _listed(self, first: str, title: str, name: str) -> Iterator[str]:
        block = self._without_options(first)
        if title:
            yield f"{title}\n"
        rows = _list_rows(block) if name == "list-table" else [row.split(",") for row in block if row.strip()]
        yield from _rows([[_inline(cell.strip().strip('"')) for cell in row] for row in rows])

    def _skip_options(self, first: str) -> None:
        while self._at < len(self._source) and _OPTION.match(self._source[self._at]) and _deeper(self._peek(0), first):
            self._at += 1

    def _without_options(self, first: str) -> list[str]:
        self._skip_options(first)
        return self._block(first)

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
        rows: list[list[str]] = []
        row: list[list[str]] = []  # its lines
        while self._at < len(self._source) and self._peek(0).lstrip()[:1] in ("+", "|"):
            line = self._source[self._at].strip()
            self._at += 1
            if not line.startswith("+"):
                row.append([cell.strip() for cell in line.strip("|").split("|")])
            elif row:
                rows.append(_joined(row))
                row = []
        yield from _rows([*rows, _joined(row)] if row else rows)

    def _simple_table(self) -> Iterator[str]:
        rule = self._source[self._at]
        starts = [match.start() for match in re.finditer(r"=+", rule)]
        ends: list[int | None] = [*starts[1:], None]
        self._at += 1
        rows: list[list[str]] = []
        while self._at < len(self._source) and not (_RULE.match(self._peek(0)) and not self._peek(1).strip()):
            line = self._source[self._at]
            self._at += 1
            if not line.strip() or re.fullmatch(r"[=\- ]+", line):
                continue
            cells = [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]
            if cells[0] or not rows:
                rows.append(cells)
            else:
                rows[-1] = [f"{old} {new}".strip() for old, new in zip(rows[-1], cells, strict=True)]
        self._at += 1
        yield from _rows([[_inline(cell) for cell in row] for row in rows])


def _labelled(indent: str, name: str, argument: str) -> str:
    """A directive as words: `.. note:: Text` is read as `Note: Text`, and a function's entry as its signature."""
    if name in ("note", "warning", "tip", "important", "caution", "danger", "error", "hint", "attention", "seealso"):
        return f"{indent}{name.capitalize()}: {_inline(argument)}".rstrip()
    if name in ("versionadded", "versionchanged", "deprecated", "versionremoved"):
        return f"{indent}{name.removeprefix('version').capitalize()} {_inline(argument)}"
    if name in (
        "function",
        "class",
        "method",
        "attribute",
        "data",
        "exception",
        "option",
        "c",
        "cmdoption",
        "describe",
    ):
        return f"{indent}`{argument}`"
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
    row: list[str] = []
    for line in block:
        if line.startswith("* - "):
            if row:
                yield row
            row = [line[4:]]
        elif line.startswith("  - ") or line.rstrip() == "  -":
            row.append(line[4:])
        elif row and line.strip():
            row[-1] += " " + line.strip()
    if row:
        yield row


def _rows(rows: list[list[str]]) -> Iterator[str]:
    if not rows:
        return
    width = max(map(len, rows))
    for at, row in enumerate(rows):
        cells = [cell.replace("|", "\\|") for cell in row] + [""] * (width - len(row))
        yield f"| {' | '.join(cells)} |"
        if at == 0:
            yield "|" + " --- |" * width
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
