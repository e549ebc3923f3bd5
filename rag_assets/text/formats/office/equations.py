"""Equations of Office documents (OMML) to one line of text."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.etree import _Element

M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_W_TEXT = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}t"
MOST_DEPTH = 60  # elements; what is nested deeper is taken as the text in it

_MARKS = {"sSup": ("e", "^sup"), "sSub": ("e", "_sub"), "sSubSup": ("e", "_sub", "^sup"),
          "sPre": ("_sub", "^sup", "e"), "limLow": ("e", "_lim"), "limUpp": ("e", "^lim")}  # fmt: skip
_SIMPLE = frozenset("0123456789.,")


def linear(element: "_Element", depth: int = 0) -> str:
    """The equation as one writes it in a line: (a+b)/2, x^2, √(x), ∑_(i=1)^n."""
    name = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
    if element.tag == f"{M}t" or element.tag == _W_TEXT:
        return element.text or ""
    if depth > MOST_DEPTH:
        return "".join(text.text or "" for text in element.iter(f"{M}t"))
    if name.endswith("Pr") and name != "sPre":
        return ""
    if name in _MARKS:
        return "".join(_marked(element, part, depth) for part in _MARKS[name])
    structure = _STRUCTURES.get(name)
    return structure(element, depth + 1) if structure else _children(element, depth + 1)


def _children(element: "_Element", depth: int) -> str:
    return "".join(linear(child, depth) for child in element)


def _part(element: "_Element", name: str, depth: int) -> str:
    child = element.find(f"{M}{name}")
    return linear(child, depth + 1) if child is not None else ""


def _marked(element: "_Element", part: str, depth: int) -> str:
    mark = part[0] if part[0] in "^_" else ""
    text = _part(element, part.removeprefix(mark) if mark else part, depth)
    return mark + _grouped(text) if mark and text else text


def _grouped(text: str) -> str:
    text = text.strip()
    return text if len(text) < 2 or set(text) <= _SIMPLE or (text[0] + text[-1] == "()") else f"({text})"


def _character(element: "_Element", name: str, default: str) -> str:
    found = element.find(f"{M}{element.tag.rpartition('}')[2]}Pr/{M}{name}")
    return default if found is None else str(found.get(f"{M}val", ""))


def _fraction(element: "_Element", depth: int) -> str:
    return f"{_grouped(_part(element, 'num', depth))}/{_grouped(_part(element, 'den', depth))}"


def _radical(element: "_Element", depth: int) -> str:
    degree = _part(element, "deg", depth)
    return f"{degree}√({_part(element, 'e', depth)})"


def _operator(element: "_Element", depth: int) -> str:
    lower, upper = _marked(element, "_sub", depth), _marked(element, "^sup", depth)
    return f"{_character(element, 'chr', '∫')}{lower}{upper} {_part(element, 'e', depth)}"


def _delimited(element: "_Element", depth: int) -> str:
    inner = _character(element, "sepChr", "|").join(linear(child, depth) for child in element.iterchildren(f"{M}e"))
    return f"{_character(element, 'begChr', '(')}{inner}{_character(element, 'endChr', ')')}"


def _function(element: "_Element", depth: int) -> str:
    return f" {_part(element, 'fName', depth)} {_part(element, 'e', depth)}"


def _matrix(element: "_Element", depth: int) -> str:
    rows = element.iterchildren(f"{M}mr", f"{M}e")
    return "; ".join(" ".join(linear(cell, depth) for cell in row) if row.tag == f"{M}mr" else linear(row, depth)
                     for row in rows)  # fmt: skip


_STRUCTURES = {
    "f": _fraction,
    "rad": _radical,
    "nary": _operator,
    "d": _delimited,
    "func": _function,
    "m": _matrix,
    "eqArr": _matrix,
}
