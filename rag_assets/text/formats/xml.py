"""XML: the text of its elements in their order, titles as headings, attributes that tell something."""

import re
from collections.abc import Iterator
from html.entities import html5 as named_characters
from typing import TYPE_CHECKING

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import html, markup
from rag_assets.text.formats.office import spreadsheet_xml

if TYPE_CHECKING:
    from lxml.etree import XMLParser, _Element

VALUE_CHARACTERS = 200  # of an attribute; longer ones are code or geometry, unless they are prose
PROSE_SHARE = 0.85  # of the characters of sentences are letters and spaces
NAMED_CHARACTERS = 300  # of a value that its element's name introduces; longer ones are prose

_DECLARED = re.compile(rb"""\s*<\?xml\b[^>]*?\bencoding\s*=\s*["']([\w.:-]+)""")
_DECLARATION = re.compile(r"^\s*<\?xml\b.*?\?>", re.DOTALL)
_ENTITY = re.compile(r"&([A-Za-z]\w*);")
_MARKUP = re.compile(r"</?(?:p|div|br|a|b|i|ul|ol|li|h[1-6]|table|span|img|strong|em)\b[^>]*>", re.IGNORECASE)
_TITLES = frozenset({"title", "head", "heading"})
_SECTIONS = frozenset(
    {
        "book", "part", "chapter", "article", "section", "sect1", "sect2", "sect3", "sect4", "sect5", "appendix",
        "preface", "sec", "div", "topic", "refsect1", "refsect2", "refentry", "simplesect", "glossary", "channel",
        "feed", "item", "entry", "document", "set", "task", "concept", "reference",
    }
)  # fmt: skip
_PROSE = frozenset(
    {
        "p", "para", "simpara", "li", "listitem", "item", "td", "th", "entry", "dd", "dt", "text", "tspan", "desc",
        "l", "v", "line", "note", "body", "summary", "content", "description", "abstract", "quote", "step", "cmd",
        "info", "shortdesc", "ab", "value", "string", "caption", "text-author", "seg", "encoded", "paragraph", "term",
        "emphasis", "strong", "bold", "italic", "em", "b", "i",
    }
)  # fmt: skip
_VERBATIM = frozenset(
    {"programlisting", "screen", "literallayout", "codeblock", "pre", "verbatim", "sourcecode", "preformat"}
)
_ROWS = frozenset({"row", "tr", "strow", "thead", "tbody", "tfoot", "tgroup", "sthead"})
_PARAGRAPHS = (
    "{*}p", "{*}para", "{*}simpara", "{*}li", "{*}listitem", "{*}item", "{*}row", "{*}tr", "{*}entry", "{*}td",
    "{*}dt", "{*}dd", "{*}l", "{*}line", "{*}blockquote", "{*}note", "{*}term", "{*}title", "{*}br", "{*}h2", "{*}h3",
)  # fmt: skip
_CELLS = frozenset({"td", "th", "entry", "cell", "stentry", "data"})
_TELLING = ("name", "label", "title", "text", "value", "key", "summary", "description", "alt", "term", "caption")
_SILENT = frozenset({"id", "class", "style", "xmlns", "space", "schemaLocation", "uid", "guid", "uuid", "rid"})
_DRAWN = frozenset({"path", "style", "script", "metadata", "defs", "binary"})  # SVG's geometry, FictionBook's images
_COLUMNS = frozenset({"colspec", "spanspec", "col"})  # widths and alignments, if there are no words in them


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The text of the elements in their order; raises DocumentError corrupt for what is not well-formed or too deep."""
    stated = _DECLARED.match(data[:1000])
    reading = encoding.read(data, declared=stated.group(1).decode("ascii") if stated else None)
    root, warnings = _tree(reading.text, name=name)
    writer = _Writer(named=_local(root) != "svg")
    if root.tag == f"{spreadsheet_xml.S}Workbook":
        writer.out.append(spreadsheet_xml.text(root, limit=limits.max_characters))
    else:
        writer.walk(root)
    return ParsedText(
        text=encoding.clean("".join(writer.out).strip()),
        media_type="application/xml",
        parser="xml",
        title=writer.title,
        metadata={"encoding": reading.encoding, "root": _local(root)},
        warnings=(*reading.warnings, *warnings),
    )


def _tree(text: str, *, name: str) -> tuple["_Element", tuple[str, ...]]:
    """Nothing is fetched, entities expand within narrow limits; what is not well-formed is read as far as it can be."""
    from lxml import etree

    text = _DECLARATION.sub("", text, count=1).strip()
    try:
        return etree.fromstring(text.encode(), _parser(strict=True)), ()
    except etree.XMLSyntaxError as exc:
        reason = str(exc)[:200]
    if "<!ENTITY" in text and re.search("amplif|loop|nest", reason, re.IGNORECASE):
        raise DocumentError("corrupt", f"Entities that do not end well ({reason}): {name}")
    if "Excessive depth" in reason:
        raise DocumentError("corrupt", f"Nested too deeply to be read as xml ({reason}): {name}")
    text = _ENTITY.sub(lambda match: named_characters.get(match.group(1) + ";", match.group()), text)
    root = etree.fromstring(text.encode(), _parser(strict=False))
    if root is None:
        raise DocumentError("corrupt", f"Not XML ({reason}): {name}")
    etree.strip_elements(root, etree.Entity, with_tail=False)
    return root, (f"not well-formed: {reason}",)


def _parser(*, strict: bool) -> "XMLParser":
    from lxml import etree

    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities="internal" if strict else False,
        load_dtd=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
        huge_tree=False,
        recover=not strict,
    )


class _Writer:
    """Turns elements into lines (of data) and paragraphs (of prose)."""

    def __init__(self, *, named: bool) -> None:
        self.out: list[str] = []
        self.title: str | None = None
        self._named = named  # whether names of elements say something of their values
        self._line = False  # whether the last thing written was a line of data
        self._sections = 0
        self._headed: set[_Element] = set()  # tables whose first row is written

    def walk(self, root: "_Element") -> None:
        from lxml import etree

        walker = etree.iterwalk(root, events=("start", "end"))
        for event, element in walker:
            name = _local(element)
            if event == "end":
                self._sections -= name in _SECTIONS
                self._line = self._line and (len(element) == 0 or name in _ROWS)
                continue
            self._sections += name in _SECTIONS
            if self._write(element, name):
                walker.skip_subtree()

    def _write(self, element: "_Element", name: str) -> bool:
        """Write an element; False when its children are to be written one by one."""
        if name in _DRAWN or (name in _COLUMNS and not _words(element)):
            return True
        if name in _VERBATIM or (name == "code" and "\n" in (element.text or "").strip()):
            return self._verbatim(element)
        if (name in _TITLES or _is_article_title(element, name)) and (words := _words(element)):
            return self._heading(words)
        if len(element) > 1 and all(_local(child) in _CELLS for child in element):
            return self._row(element)
        if _has_words(element):
            return self._text(element, name)
        self._attributes(element, name)
        return False

    def _heading(self, words: str) -> bool:
        self.title = self.title or words
        self._paragraph(f"{markup.heading_mark(self._sections)} {words}")
        return True

    def _text(self, element: "_Element", name: str) -> bool:
        self._attributes(element, name)
        text = _spaced(element)
        if _MARKUP.search(text):
            self._paragraph(html.to_markdown(text))
        elif self._named and name not in _PROSE and not len(element) and len(text) <= NAMED_CHARACTERS:
            self._data(f"{name}: {' '.join(text.split())}")
        else:
            self._paragraph("\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()))
        return True

    def _verbatim(self, element: "_Element") -> bool:
        text = "".join(element.itertext()).strip("\n").rstrip()
        if text.strip():
            self._paragraph(f"```{element.get('language') or ''}\n{text}\n```")
        return True

    def _row(self, element: "_Element") -> bool:
        cells = [_words(child).replace("|", "\\|") for child in element]
        line = f"| {' | '.join(cells)} |"
        table = element.getparent()
        while table is not None and _local(table) in ("tbody", "thead", "tfoot", "tgroup"):
            table = table.getparent()
        if table is None or table in self._headed:
            self._data(line)
        else:
            self._headed.add(table)
            self._paragraph(line + "\n|" + " --- |" * len(cells))
            self._line = True
        return True

    def _attributes(self, element: "_Element", name: str) -> None:
        facts = [] if not self._named else list(_facts(element))
        if facts:
            self._data(f"{name}: {', '.join(facts)}")

    def _data(self, line: str) -> None:
        self.out.append(f"\n{line}" if self._line else f"\n\n{line}")
        self._line = True

    def _paragraph(self, text: str) -> None:
        self.out.append(f"\n\n{text}")
        self._line = False


def _facts(element: "_Element") -> Iterator[str]:
    """Attributes that a reader would search for; of an empty element, all that hold words."""
    empty = not len(element) and not (element.text or "").strip()
    for key, value in element.attrib.items():
        key = str(key).rpartition("}")[2]
        words = " ".join(str(value).split())
        if not words or key in _SILENT or (len(words) > VALUE_CHARACTERS and not _is_prose(words)):
            continue
        if key in _TELLING:
            yield words
        elif empty or re.search(r"[^\W\d_]{3}\s+[^\W\d_]", words):
            yield f"{key} {words}"


def _is_article_title(element: "_Element", name: str) -> bool:
    """The article's own title, not one of those that it cites."""
    parent = element.getparent()
    return name == "article-title" and parent is not None and _local(parent) == "title-group"


def _is_prose(words: str) -> bool:
    """Whether a long value is sentences rather than code or geometry."""
    return sum(letter.isalpha() or letter == " " for letter in words) > PROSE_SHARE * len(words) and " " in words


def _has_words(element: "_Element") -> bool:
    """Whether text stands directly in it, beside its children or without any."""
    if element.text and not element.text.isspace():
        return True
    return any(child.tail and not child.tail.isspace() for child in element)


def _spaced(element: "_Element") -> str:
    """All text of an element, with an empty line around the paragraphs in it."""
    for inner in element.iter(*_PARAGRAPHS):
        if inner is not element:
            inner.text = f"\n\n{inner.text or ''}"
            inner.tail = f"\n\n{inner.tail or ''}"
    return "".join(element.itertext())


def _words(element: "_Element") -> str:
    return " ".join("".join(element.itertext()).split())


def _local(element: "_Element") -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
