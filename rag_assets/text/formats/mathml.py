"""Equations of web pages, e-books and OpenDocument (MathML) to one line of text."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.etree import _Element

MOST_DEPTH = 60  # elements; what is nested deeper is taken as the text in it

_DISPLAYED = re.compile(r"\{\\(?:display|text)style\s+(.*)\}", re.DOTALL)  # how Wikipedia wraps its TeX
_SIMPLE = frozenset("0123456789.,")
_MARKS = {"msup": ("", "^"), "msub": ("", "_"), "msubsup": ("", "_", "^"), "munder": ("", "_"), "mover": ("", "^"),
          "munderover": ("", "_", "^")}  # fmt: skip


def linear(math: "_Element") -> str:
    """The TeX, or whatever else it was written in, if it is noted; else the equation as one writes it in a line."""
    for element in math.iter():
        if _local(element) == "annotation" and (element.text or "").strip():
            written = " ".join((element.text or "").split())
            wrapped = _DISPLAYED.fullmatch(written)
            return wrapped.group(1).strip() if wrapped else written
    return " ".join(_written(math, 0).split())


def _written(element: "_Element", depth: int) -> str:
    name = _local(element)
    if name.startswith("annotation"):
        return ""
    if depth > MOST_DEPTH:
        return "".join(element.itertext())
    parts = [_written(child, depth + 1) for child in element if isinstance(child.tag, str)]
    if name in _MARKS and len(parts) == len(_MARKS[name]):
        return "".join(
            mark + (_grouped(part) if mark else part) for mark, part in zip(_MARKS[name], parts, strict=True)
        )
    if name == "mfrac" and len(parts) == 2:
        return f"{_grouped(parts[0])}/{_grouped(parts[1])}"
    if name == "mroot" and len(parts) == 2:
        return f"{parts[1]}√({parts[0]})"
    if name == "msqrt":
        return f"√({''.join(parts)})"
    return (" " if name in ("mtr", "mtd", "mspace") else "") + (element.text or "").strip() + "".join(parts)


def _grouped(text: str) -> str:
    text = text.strip()
    return text if len(text) < 2 or set(text) <= _SIMPLE else f"({text})"


def _local(element: "_Element") -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
