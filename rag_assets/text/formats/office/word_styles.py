"""Styles of Word: what a paragraph's style says of its rank, its list and its kind."""

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lxml.etree import _Element

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
BODY_LEVEL = 9  # the outline level that is none

# Word keeps the English names of its own styles in every language; other writers translate them.
_HEADING = re.compile(
    r"(?:heading|überschrift|titre|título|titulo|titolo|intestazione|kop|rubrik|overskrift|otsikko|nagłówek|nadpis"
    r"|заголовок|標題|标题|見出し|제목|kapitel)[ _]?([1-9])",
    re.IGNORECASE,
)
# Styles that somebody made and gave no outline level.
_CUSTOM = re.compile(r"(?:.*[ _-])?(?:head(?:ing)?[ _-]?([1-9])|h([1-6])|head(?:ing)?[ _-]?([a-f]))", re.IGNORECASE)
_CHAPTER = re.compile(r"(?:chapter|appendix|part|section)[ _-]?(?:title|heading|head)", re.IGNORECASE)
_NO_HEADING = re.compile(r"caption|table|figure|list|code|label|header|footer|note|toc|number|author|date", re.I)
CUSTOM_LEVEL = 2  # of a heading whose style does not tell

_TITLE = re.compile(
    r"(?:document |book )?(?:title|titel|titre|título|titolo|название|標題|标题|表題|제목)", re.IGNORECASE
)
_CODE = re.compile(
    r"(?:source ?|program ?|plain ?)?code(?![a-z]*(?:caption|heading|title|label|number))"
    r"|html preformatted|preformatted|verbatim|macro text|plain text$|listing$",
    re.IGNORECASE,
)
_FONT = f"{W}rPr/{W}rFonts"
_TYPEWRITER = re.compile(
    r"courier|consolas|lucida console|menlo|monaco|inconsolata|source code|.*\b(?:mono\b|code$)", re.I
)
_TOC = re.compile(r"toc[ _]?(?:heading|[1-9])", re.IGNORECASE)


class ParagraphStyle(NamedTuple):
    """What a style makes of a paragraph; `level` counts from 1, None is no heading."""

    level: int | None = None
    title: bool = False
    code: bool = False
    typed: bool = False  # in letters that are all equally wide
    list_id: str = ""
    list_level: int | None = None


class Styles:
    """The styles of one document; inheritance is followed once per style."""

    def __init__(self, root: "_Element | None") -> None:
        self._elements: dict[str, _Element] = {}
        self._looks: dict[str, ParagraphStyle] = {}
        self.default = ""
        for element in root.iterchildren(f"{W}style") if root is not None else ():
            self._add(element)

    def look(self, style: str) -> ParagraphStyle:
        """What the style of this id, or what it is based on, says."""
        known = self._looks.get(style)
        if known is None:
            known = self._looks[style] = self._resolved(style)
        return known

    def _add(self, element: "_Element") -> None:
        if element.get(f"{W}type", "paragraph") != "paragraph":
            return
        name = element.get(f"{W}styleId", "")
        self._elements.setdefault(name, element)
        if element.get(f"{W}default") in ("1", "true", "on"):
            self.default = name

    def _resolved(self, style: str) -> ParagraphStyle:
        chain = self._chain(style)
        names = [_value(element, "name") for element in chain] or [style]
        outline = _first(chain, f"{W}pPr/{W}outlineLvl")
        level = _heading_level(outline, names)
        if level is None and not outline:
            level = _custom_level(chain, names[0])
        return ParagraphStyle(
            level=level,
            title=level is None and any(_TITLE.fullmatch(name) for name in names),
            code=level is None and any(map(is_code, names)),
            typed=is_typewriter(
                next((font.get(f"{W}ascii", "") for style in chain if (font := style.find(_FONT)) is not None), "")
            ),
            list_id=_first(chain, f"{W}pPr/{W}numPr/{W}numId"),
            list_level=_number(_first(chain[:1], f"{W}pPr/{W}numPr/{W}ilvl")),
        )

    def _chain(self, style: str) -> list["_Element"]:
        chain: list[_Element] = []
        seen = set()
        while style in self._elements and style not in seen:
            seen.add(style)
            chain.append(self._elements[style])
            style = _value(chain[-1], "basedOn")
        return chain


def is_code(name: str) -> bool:
    """Whether a style of this name is for code."""
    return _CODE.match(name) is not None


def is_typewriter(font: str) -> bool:
    """Whether the letters of a font of this name are all equally wide."""
    return _TYPEWRITER.match(font) is not None


def outline_level(value: str) -> int | None:
    """The heading level, from 1, of an outline level, from 0; None for body text."""
    number = _number(value)
    return number + 1 if number is not None and 0 <= number < BODY_LEVEL else None


def _heading_level(outline: str, names: list[str]) -> int | None:
    if any(_TOC.match(name) for name in names):
        return None
    if outline:
        return outline_level(outline)
    found = next(filter(None, map(_HEADING.fullmatch, names)), None)
    return int(found.group(1)) if found else None


def _custom_level(chain: list["_Element"], name: str) -> int | None:
    """The level that a style without outline level suggests by its name, or by how it is set."""
    if _CHAPTER.fullmatch(name):
        return 1
    found = _CUSTOM.fullmatch(name)
    if found:
        digit = found.group(1) or found.group(2)
        return int(digit) if digit else ord(found.group(3).lower()) - ord("a") + CUSTOM_LEVEL
    stays = _is_on(chain, "pPr/", "keepNext") and _is_on(chain, "rPr/", "b")
    return CUSTOM_LEVEL if stays and not (_NO_HEADING.search(name) or _TITLE.fullmatch(name)) else None


def _is_on(chain: list["_Element"], group: str, name: str) -> bool:
    path = f"{W}{group}{W}{name}"
    return any(e.find(path) is not None for e in chain) and _first(chain, path) not in ("0", "false", "off")


def _first(chain: list["_Element"], path: str) -> str:
    for element in chain:
        found = element.find(path)
        if found is not None:
            return str(found.get(f"{W}val", ""))
    return ""


def _value(element: "_Element", name: str) -> str:
    child = element.find(f"{W}{name}")
    return child.get(f"{W}val", "") if child is not None else ""


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
