"""HTML: its main content as Markdown."""

import html as standard
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import html_rendering, mathml

if TYPE_CHECKING:
    from lxml.etree import _Element

MAIN_SHARE = 0.25  # of a page's text that must remain when navigation is taken away ...
MAIN_CHARACTERS = 250  # ... or this much; otherwise the page is all navigation, and is kept
LINK_SHARE = 0.6  # of a block's text: with more in links than that it is navigation if it is named so
HIDDEN_SHARE = 0.5  # of a page's text: when more is hidden, a script was to show it
BANNER_CHARACTERS = 3_000  # a notice about cookies is shorter
LABEL_CHARACTERS = 200  # what is hidden from screen readers only, and longer, is no decoration
NOTICE_CHARACTERS = 500  # what asks for scripts or cookies is shorter
SENTENCE_WORDS = 4  # a button with so many says something, and does not only do something
PANEL_CHARACTERS = 40  # what a button without any marks opens is longer
READ_AGAIN = 3  # times a page's elements: so many are counted singly before all of them are at once
RENDERED_SHARE = 0.5  # of a page's letters that our Markdown must hold before a second opinion is asked

_DECLARED = re.compile(
    rb"""<meta\b[^>]{0,500}?\bcharset\s*=\s*["']?\s*([\w.:-]+)"""
    rb"""|<\?xml\b[^>]{0,500}?\bencoding\s*=\s*["']([\w.:-]+)""",
    re.I,
)
_SKIP = re.compile(r"(?:skip|jump) to\b.{0,50}", re.I | re.S)
_DROPPED = (
    "script", "style", "template", "iframe", "object", "embed", "applet", "canvas", "audio",
    "video", "select", "datalist", "map", "rp",
)  # fmt: skip
# XHTML closes these at once; for an HTML parser they stay open and swallow the page.
_CLOSED_AT_ONCE = re.compile(r"<(script|style|title|textarea|iframe|noscript|template)\b([^<>]*)/>", re.I)
_APART = re.compile(r"<(noscript|script|style|textarea)\b[^<>]*>|<!--", re.I)
_ENDS = {kind: re.compile(rf"</{kind}\s*>", re.I) for kind in ("noscript", "script", "style", "textarea")}
_ENDS["--"] = re.compile("-->")
_ANY_TAG = re.compile(r"<[^<>]*>")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all", re.I)
_LIST_MARK = re.compile(r"mso-list\s*:\s*ignore", re.I)
_NAVIGATION = re.compile(
    r"nav(?:bar|igation|box|header|footer|path|list|row|menu)?(?![a-z])|sphinxsidebar|mw-editsection|noprint"
    r"|(?<![a-z])(?:menu|sidebar|breadcrumbs?|pagination|pager|skip|share|sharing|social|toc|tabs|languages?"
    r"|toplang|bottomlang|footer|header|catlinks)(?![a-z])",
    re.I,
)
_ASKS = re.compile(r"java\s?script|\bscripts?\b|\bcookies?\b|\bbrowser", re.I)
_OPENED = re.compile(r"accordion|collaps|expand|faq|question|toggle|disclosure|tab(?![a-z])", re.I)
_DIALOG = re.compile(r"modal|dialog|popup|lightbox|offcanvas|dropdown|menu", re.I)
_OPENERS = ("h1", "h2", "h3", "h4", "h5", "h6", "summary", "dt", "legend")
_NAVIGATION_TAGS = ("nav", "header", "footer")
_PANELS = ("div", "section", "article", "p", "ul", "ol", "dl", "dd", "table")
_CONTROLS = ("aria-controls", "data-target", "data-bs-target")
_BANNER = re.compile(r"cookie|consent|gdpr|onetrust", re.I)
_NAVIGATION_ROLES = frozenset({"navigation", "search", "menubar", "toolbar"})
_LINE_NUMBERS = re.compile(r"(?<![a-z])(?:linenos?|gutter|line-?numbers?(?:-rows)?|rouge-gutter|lnt?)(?![a-z])", re.I)
_PERMALINKS = frozenset({"¶", "#", "§", "🔗", "\uf0c1", "[edit]", "link", "permalink", "anchor", ""})
DEEPEST = 2_048  # levels of elements, beyond which the parser of libxml2 2.14 goes no further
LIMITED = (2, 14)  # lxml's wheel for Windows has 2.11.9, whose parser goes to any depth
_BOXES = ("nav", "footer", "header", "aside", "div", "ul", "ol", "section", "table", "p", "td", "span", "form")
_META = frozenset({"description", "author", "keywords", "generator"})
_TOP_HEADING = re.compile(r"^# ", re.MULTILINE)


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The page as Markdown, without what every page of its site has; the title heads it where no heading does."""
    reading = encoding.read(data, declared=declared(data))
    root, warnings = _tree(reading.text)
    title = _title(root)
    facts = {"encoding": reading.encoding, **_facts(root)}
    body = _markdown(root)
    headed = title and not _TOP_HEADING.search(body) and title not in body[:300]
    return ParsedText(
        text=f"# {title}\n\n{body}" if headed and body else body,
        media_type="text/html",
        parser="html",
        title=title,
        metadata=facts,
        warnings=(*reading.warnings, *warnings),
    )


def to_markdown(html: str) -> str:
    """The main content of a page as Markdown; empty when it has none."""
    return _markdown(_tree(html)[0])


def is_navigation(html: str) -> bool:
    """Whether most of a page's words are links: a table of contents, then, and no chapter."""
    root = _tree(html)[0]
    return _Sizes(root).is_links(root)


def declared(data: bytes) -> str | None:
    """The encoding that a page says it is in, wherever it says so."""
    match = _DECLARED.search(data)
    return (match.group(1) or match.group(2)).decode("ascii", "ignore") if match else None


def _tree(html: str) -> tuple["_Element", tuple[str, ...]]:
    """The parsed page. What is nested too deeply for the parser is there as text, without its tags."""
    from lxml import etree

    html = _CLOSED_AT_ONCE.sub(r"<\1\2></\1>", html.replace("\x01", ""))
    html = _with_noscript_apart(html) if "<noscript" in html or "<NOSCRIPT" in html else html
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True, no_network=True)
    root = etree.fromstring(html.encode("utf-8", "replace"), parser) if html.strip() else None
    if root is None:
        return etree.Element("html"), ()
    is_refused = any("depth" in error.message.lower() for error in parser.error_log.filter_from_fatals())
    if not is_refused and not (etree.LIBXML_VERSION < LIMITED and _is_deep(root)):
        return root, ()
    flat = etree.Element("html")
    etree.SubElement(flat, "pre").text = _ANY_TAG.sub(" ", html)
    return flat, ("nested too deeply: read as text without tags",)


def _is_deep(root: "_Element") -> bool:
    """Whether elements are nested more than DEEPEST levels: to walk such a tree takes time as its square."""
    from lxml import etree

    depth = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > DEEPEST:
            return True
    return False


def _with_noscript_apart(html: str) -> str:
    """What is between <noscript> and its end is one text, as it is in a browser: tags left open in it end with it.

    That of the head is taken away. A <noscript> without an end is taken for none.
    """
    body = re.search(r"<body\b|</head\b", html, re.I)
    parts, at, ended = [], 0, set[str]()
    while match := _APART.search(html, at):
        kind = (match.group(1) or "--").lower()
        end = None if kind in ended else _ENDS[kind].search(html, match.end())
        parts.append(html[at : match.start()])
        if end is None:
            ended.add(kind)
            parts.append("" if kind == "noscript" else match.group())
        elif kind != "noscript":
            parts.append(html[match.start() : end.end()])
        elif body is None or match.start() > body.start():
            parts.append(f"<noscript>{standard.escape(html[match.end() : end.start()])}</noscript>")
        at = match.end() if end is None else end.end()
    return "".join(parts) + html[at:]


def _markdown(root: "_Element") -> str:
    _strip(root)
    _settle_noscript(root)
    for math in list(_outermost(root.iter("math"))):
        _append_text(math, mathml.linear(math))
    for drawing in list(root.iter("svg")):
        _append_text(drawing, _drawn(drawing))
    for mark in list(root.iter("span")):
        if _LIST_MARK.search(mark.get("style") or ""):
            _append_text(mark, _list_mark(_words(mark)))
    for head in list(root.iter("head")):
        _remove([head])
    total = _length(root)
    _remove_hidden(root, total=total)
    _remove_navigation(root, total=total)
    text = html_rendering.render(root)
    if len(text) < _length(root) * RENDERED_SHARE:
        text = _second_opinion(root)
    return encoding.clean(text)  # of what entities stand for, soft hyphens for instance


def _second_opinion(root: "_Element") -> str:
    import markdownify
    from lxml import etree

    html = etree.tostring(root, encoding="unicode", method="html")
    return markdownify.markdownify(html, heading_style="ATX", bullets="-").strip()


# ---- what is known of a page


def _title(root: "_Element") -> str | None:
    title = root.find(".//title")
    return (encoding.clean(" ".join("".join(title.itertext()).split())) or None) if title is not None else None


def _facts(root: "_Element") -> dict[str, Any]:
    facts = {}
    for meta in root.iterfind(".//head/meta"):
        key, value = (meta.get("name") or "").lower(), " ".join((meta.get("content") or "").split())
        if key in _META and value:
            facts[key] = value[:1000]
    language = root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang") or root.get("xml:lang")
    return facts | ({"language": language} if language else {})


# ---- what is no content


def _strip(root: "_Element") -> None:
    from lxml import etree

    for template in list(root.iter("template")):
        if template.get("shadowrootmode") or template.get("shadowroot"):
            template.tag = "div"  # shown as it stands, within the element that it belongs to
    etree.strip_elements(root, *_DROPPED, with_tail=False)


def _settle_noscript(root: "_Element") -> None:
    """What a page says without scripts is read unless it is said elsewhere in the page, or asks for scripts."""
    found = list(root.iter("noscript"))
    texts = set(_texts(root)) if found else set()
    for element in found:
        inner = _tree(element.text or "")[0]
        _strip(inner)
        own = list(_texts(inner))
        length = sum(map(len, own))
        known = sum(len(words) for words in own if words in texts)
        asks = length <= NOTICE_CHARACTERS and _ASKS.search(" ".join(own))
        if not own or asks or known * 2 >= length:
            _remove([element])
            continue
        element.tag, element.text = "span", None
        element.append(inner)


def _texts(root: "_Element") -> Iterator[str]:
    """The words of each piece of text and of each picture, but for those that wait to be settled."""
    for element in root.iter():
        for text in (element.text if element.tag != "noscript" else "", element.tail, element.get("alt")):
            if text and (words := " ".join(text.split())):
                yield words


def _remove_hidden(root: "_Element", *, total: int) -> None:
    found = set(_hidden(root))
    controlled = _controlled(root) if found else set()
    hidden = (
        [e for e in _outermost(e for e in root.iter() if e in found) if not _is_panel(e, controlled)] if found else []
    )
    if sum(map(_length, hidden)) <= total * HIDDEN_SHARE:
        _remove(hidden)


def _is_panel(element: "_Element", controlled: set[str]) -> bool:
    """Whether a reader opens what is hidden: it is the answer to a question, one of several tabs, and no menu."""
    names = f"{element.get('class') or ''} {element.get('role') or ''} {element.tag}"
    if (
        _DIALOG.search(names)
        or element.tag in ("nav", "span", "a", "input", "button")
        or _Sizes(element).is_links(element)
    ):
        return False
    before = element.getprevious()
    below = before is not None and (before.tag in (*_OPENERS, "button") or before.get("role") in ("button", "tab"))
    return below or element.get("role") == "tabpanel" or element.get("id") in controlled


def _controlled(root: "_Element") -> set[str]:
    """The ids of what buttons and tabs open."""
    found = {
        name.lstrip("#") for key in _CONTROLS for e in root.iterfind(f".//*[@{key}]") for name in e.get(key).split()
    }
    found |= {
        link.get("href")[1:]
        for link in root.iterfind(".//a[@href]")
        if link.get("href")[:1] == "#" and _is_opener(link)
    }
    return found


def _is_opener(element: "_Element") -> bool:
    """Whether a click on it shows or hides a part of the page."""
    if element.get("aria-haspopup") or element.get("data-toggle") in ("dropdown", "modal"):
        return False
    if element.get("aria-expanded") or element.get("aria-controls") or element.get("role") == "tab":
        return True
    return bool(
        _OPENED.search(
            f"{element.get('class') or ''} {element.get('data-toggle') or element.get('data-bs-toggle') or ''}"
        )
    )


def _hidden(root: "_Element") -> Iterator["_Element"]:
    for element in root.iterfind(".//*[@style]"):
        if _HIDDEN_STYLE.search(element.get("style")):
            yield element
    for element in root.iterfind(".//*[@hidden]"):
        if element.get("hidden") != "until-found":
            yield element
    for element in root.iterfind(".//*[@aria-hidden='true']"):
        if _length(element) <= LABEL_CHARACTERS:
            yield element


def _remove_navigation(root: "_Element", *, total: int) -> None:
    _remove([*_buttons(root), *_permalinks(root), *_line_numbers(root)])
    found = list(_outermost(_navigation(root)))
    left = total - sum(map(_length, found))
    if left >= MAIN_CHARACTERS or left >= total * MAIN_SHARE:
        _remove(found)


def _buttons(root: "_Element") -> Iterator["_Element"]:
    """Buttons that do something. Those that head a part of the page, or say something, are paragraphs from now on."""
    buttons = list(root.iter("button"))
    if not buttons:
        return
    sizes = _Sizes(root)
    openers, navigation, heads = (
        {button for outer in _outermost(found) for button in outer.iter("button")}
        for found in (root.iter(*_OPENERS), root.iter(*_NAVIGATION_TAGS), _heads_of_parts(root))
    )
    for button in buttons:
        if button in openers:
            continue
        if _is_word_of(button):
            button.tag = "span"
        elif (button not in navigation and _is_said_by(button, sizes)) or (button in heads and _is_opener(button)):
            button.tag = "p"
        else:
            yield button


def _heads_of_parts(root: "_Element") -> Iterator["_Element"]:
    """Headers of a part of the page, not of all of it (https://www.w3.org/TR/html-aria/#el-header)."""
    return (
        header
        for part in _outermost(root.iter("main", "article", "section", "aside"))
        for header in part.iter("header")
    )


def _is_word_of(button: "_Element") -> bool:
    """Whether it stands within a sentence."""
    parent = button.getparent()
    before = button.getprevious()
    above = parent.text if before is None else before.tail
    return parent.tag == "p" and bool((above or "").strip() or (button.tail or "").strip())


def _is_said_by(button: "_Element", sizes: "_Sizes") -> bool:
    words = _words(button).split()
    if not words:
        return False
    sentence = len(words) >= SENTENCE_WORDS or words[-1][-1] in "?？؟:："
    return sentence or _is_opener(button) or _heads_panel(button, sizes)


def _heads_panel(button: "_Element", sizes: "_Sizes") -> bool:
    """Whether the next thing after it is a part of the page that it opens."""
    panel = button.getnext()
    if panel is None or panel.tag not in _PANELS or (button.tail or "").strip():
        return False
    if next(panel.iter("pre", "button", "input", "form"), None) is not None:
        return False
    return sizes.length(panel) >= PANEL_CHARACTERS and not sizes.is_links(panel)


def _permalinks(root: "_Element") -> Iterator["_Element"]:
    for link in root.iter("a"):
        address = link.get("href")
        if address is None or "#" not in address:
            continue
        words = _words(link).strip()
        named = link.get("class") or link.get("aria-hidden")
        marked = words in ("¶", "#", "§", "🔗", "\uf0c1") or (named and words.lower() in _PERMALINKS)
        if marked or _SKIP.fullmatch(words):
            yield link


def _line_numbers(root: "_Element") -> Iterator["_Element"]:
    for pre in root.iter("pre"):
        for element in pre.iter("span", "a", "td", "div"):
            if _LINE_NUMBERS.search(element.get("class") or "") and re.fullmatch(r"[\s\d]*", _words(element)):
                yield element
        cell = pre.getparent()
        while cell is not None and cell.tag == "div":
            cell = cell.getparent()
        if cell is not None and cell.tag == "td" and re.fullmatch(r"[\s\d]*", _words(cell)):
            yield cell


def _navigation(root: "_Element") -> Iterator["_Element"]:
    sizes = _Sizes(root)
    for element in root.iter(*_BOXES):
        names = f"{element.get('class') or ''} {element.get('id') or ''}"
        if element.tag == "nav" or element.get("role") in _NAVIGATION_ROLES:
            yield element
        elif len(names) > 1 and _BANNER.search(names):
            if sizes.length(element) < BANNER_CHARACTERS:
                yield element
        elif (element.tag in ("footer", "header", "aside") or _NAVIGATION.search(names)) and sizes.is_links(element):
            yield element


def _outermost(elements: Iterable["_Element"]) -> Iterator["_Element"]:
    """Without those that are inside of others; in document order, the outer ones come first.

    What is known of an element's ancestors is kept, so that a deep tree is climbed once and not once for each element.
    """
    is_inside: dict[_Element, bool] = {}
    for element in elements:
        climbed, known = list["_Element"](), is_inside.get(element)
        above = element.getparent() if known is None else None
        while above is not None:
            known = is_inside.get(above)
            if known is not None:
                break
            climbed.append(above)
            above = above.getparent()
        is_inside.update(dict.fromkeys(climbed, bool(known)))
        if not known:
            yield element
        is_inside[element] = True


class _Sizes:
    """Characters of each element that are no white space, and those in links.

    The elements asked for are counted themselves as long as these are few; then all are, in one walk: boxes in boxes
    would be counted as often as they are deep.
    """

    def __init__(self, root: "_Element") -> None:
        self._root = root
        self._left = READ_AGAIN * sum(1 for _ in root.iter())

    def length(self, element: "_Element") -> int:
        """Before anything is taken out of the page."""
        return _length(element) if self._is_cheap(element) else self._all.lengths[element]

    def is_links(self, element: "_Element") -> bool:
        """Whether nearly all that it says is links, and it has no title."""
        if self._is_cheap(element):
            if next(element.iterdescendants("h1"), None) is not None:
                return False
            return sum(map(_length, element.iter("a"))) >= _length(element) * LINK_SHARE
        return element not in self._all.titled and (self._all.links[element] >= self._all.lengths[element] * LINK_SHARE)

    def _is_cheap(self, element: "_Element") -> bool:
        if self._left > 0:
            self._left -= sum(1 for _ in islice(element.iter(), self._left))
        return self._left > 0

    @cached_property
    def _all(self) -> "_AllSizes":
        return _AllSizes(self._root)


class _AllSizes:
    """What `_Sizes` says of every element of a page."""

    def __init__(self, root: "_Element") -> None:
        from lxml import etree

        self.lengths: dict[_Element, int] = {}
        self.links: dict[_Element, int] = {}
        self.titled: set[_Element] = set()
        for _, element in etree.iterwalk(root, events=("end",)):
            self._add(element)

    def _add(self, element: "_Element") -> None:
        children = list(element)
        texts = [element.text, *(child.tail for child in children)]
        length = sum(len("".join(text.split())) for text in texts if text)
        length += sum(self.lengths.get(child, 0) for child in children)
        links = sum(self.links.get(child, 0) for child in children)
        self.lengths[element] = length
        self.links[element] = links + (length if element.tag == "a" else 0)
        if any(child.tag == "h1" or child in self.titled for child in children):
            self.titled.add(element)


def _remove(elements: Iterable["_Element"]) -> None:
    """Take elements out; the text after them stays."""
    for element in elements:
        parent = element.getparent()
        if parent is None:
            continue
        if element.tail:
            before = element.getprevious()
            if before is not None:
                before.tail = (before.tail or "") + element.tail
            else:
                parent.text = (parent.text or "") + element.tail
        parent.remove(element)


def _append_text(element: "_Element", text: str) -> None:
    """Text in place of all that an element holds."""
    for child in list(element):
        element.remove(child)
    element.text = text


def _drawn(drawing: "_Element") -> str:
    """The words of a drawing that are seen in it."""
    parts = (" ".join(_words(part).split()) for part in drawing.iter("text", "foreignobject"))
    words = " ".join(filter(None, parts))
    return f" {words} " if words else ""


def _list_mark(words: str) -> str:
    """What Word writes before an item of a list, which it saves as a paragraph: a number, or a letter of some font."""
    number = "".join(words.split())
    return f"{number} " if len(number) > 1 or number.isdecimal() else "- "


def _words(element: "_Element") -> str:
    from lxml import etree

    return str(etree.tostring(element, method="text", encoding="unicode", with_tail=False))


def _length(element: "_Element") -> int:
    """Characters that are no white space."""
    return len("".join(_words(element).split()))
