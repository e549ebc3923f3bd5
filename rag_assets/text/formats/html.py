"""HTML: its main content as Markdown."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding

if TYPE_CHECKING:
    from lxml.html import HtmlElement

DECLARED = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w.:-]+)|<\?xml[^>]+encoding\s*=\s*["']([\w.:-]+)""", re.I)
DEPTH = 200  # elements; what is nested deeper is taken as plain text
MAIN_SHARE = 0.25  # of the body's text that main content must have, else the whole body is taken
MAIN_CHARACTERS = 200

_DROPPED = (
    "script", "style", "template", "noscript", "svg", "iframe", "object", "embed", "canvas", "audio", "video", "select",
    "button", "input", "head",
)  # fmt: skip
_NAVIGATION = ("nav", "footer", "aside")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_MANY_BREAKS = re.compile(r"\n{3,}")


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    declared = DECLARED.search(data)
    names = [group.decode("ascii") for group in (declared.groups() if declared else ()) if group]
    text, name_of_encoding = encoding.decode(data, declared=names[0] if names else None)
    root = _tree(text, name=name)
    title = " ".join((root.findtext(".//title") or "").split()) or None
    return ParsedText(
        text=_markdown(root),
        media_type="text/html",
        parser="html",
        title=title,
        metadata={"encoding": name_of_encoding},
    )


def to_markdown(html: str) -> str:
    """The main content of a page as Markdown."""
    return _markdown(_tree(html, name="HTML"))


def _tree(text: str, *, name: str) -> "HtmlElement":
    from lxml import etree
    from lxml import html as lxml_html

    bare = re.sub(r"\A\s*<\?xml[^>]*\?>", "", text)
    parser = lxml_html.HTMLParser(remove_comments=True, remove_pis=True, no_network=True, huge_tree=False)
    try:
        root = lxml_html.document_fromstring(bare, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as exc:
        raise DocumentError("no_text", f"{name}: HTML without content: {exc}"[:300]) from exc
    return root


def _markdown(root: "HtmlElement") -> str:
    from bs4 import BeautifulSoup
    from lxml import html as lxml_html
    from markdownify import MarkdownConverter

    body = root.find("body")
    content = _main(body if body is not None else root)
    _flatten(content)
    converter = MarkdownConverter(
        heading_style="ATX", bullets="-", escape_misc=False, escape_asterisks=False, escape_underscores=False,
        code_language_callback=_language, table_infer_header=True, strip=["img"],
    )  # fmt: skip
    soup = BeautifulSoup(lxml_html.tostring(content, encoding="unicode"), "lxml")
    lines = (line.rstrip() for line in converter.convert_soup(soup).splitlines())
    return _MANY_BREAKS.sub("\n\n", "\n".join(lines)).strip() + "\n"


def _main(body: "HtmlElement") -> "HtmlElement":
    """The body without what is not seen and what only leads elsewhere; with it when little else remains."""
    _drop(body, _unseen(body))
    everything = len(body.text_content())
    for candidate in [*body.iter("main"), *body.iter("article"), *body.xpath('.//*[@role="main"]')]:
        if len(candidate.text_content()) >= max(MAIN_CHARACTERS, MAIN_SHARE * everything):
            body = candidate
            break
    furniture = list(_furniture(body))
    left = everything - sum(len(element.text_content()) for element in furniture)
    if left >= min(MAIN_CHARACTERS, everything * MAIN_SHARE):
        _drop(body, furniture)
    return body


def _unseen(body: "HtmlElement") -> "Iterator[HtmlElement]":
    for element in body.iter():
        if element.tag in _DROPPED or "hidden" in element.attrib or _HIDDEN.search(element.get("style", "")):
            yield element


def _furniture(body: "HtmlElement") -> "Iterator[HtmlElement]":
    for element in body.iter(*_NAVIGATION):
        yield element
    yield from body.xpath('.//*[@role="navigation" or @role="banner" or @role="contentinfo" or @role="search"]')


def _drop(body: "HtmlElement", elements: "Iterator[HtmlElement] | list[HtmlElement]") -> None:
    for element in list(elements):
        if element is not body and element.getparent() is not None:
            element.drop_tree()


def _flatten(root: "HtmlElement") -> None:
    """Make what is nested too deeply plain text: the converter recurses."""
    deep = []
    stack: list[tuple[Any, int]] = [(root, 0)]
    while stack:
        element, depth = stack.pop()
        if depth >= DEPTH:
            deep.append(element)
        else:
            stack += [(child, depth + 1) for child in element]
    for element in deep:
        text = " ".join(element.itertext())
        for child in list(element):
            element.remove(child)
        element.text = text


def _language(element: Any) -> str:
    for node in (element, element.find("code")):
        for name in node.get("class", []) if node else []:
            if name.startswith(("language-", "lang-", "highlight-")):
                return str(name.split("-", 1)[1])
    return ""
