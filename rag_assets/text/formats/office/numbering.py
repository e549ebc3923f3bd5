"""Numbers of Word's lists: numbering.xml comes in, the label of each paragraph as a reader sees it goes out."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lxml.etree import _Element

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
LEVELS = 9
BULLET = "-"

_PLACE = re.compile(r"%([1-9])")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_RUSSIAN = "абвгдежзиклмнопрстуфхцчшщыэюя"
_GREATEST = 30_000  # above, the number is written in digits: nothing that a letter or numeral would say


class Level(NamedTuple):
    """How one level of a list counts; `restart` is the level (from 1) that starts it again, 0: none, -1: any above."""

    start: int = 1
    form: str = "decimal"
    text: str = ""
    restart: int = -1
    legal: bool = False
    style: str = ""


class Numbering:
    """Counts as Word does: lists of one abstract definition share their counters."""

    def __init__(self, root: "_Element | None") -> None:
        self._elements: dict[str, _Element] = {}
        self._abstract: dict[str, dict[int, Level]] = {}  # of those that are used: many documents define hundreds
        self._linked: dict[str, str] = {}  # style -> the abstract definition that it stands for
        self._borrowed: dict[str, str] = {}  # abstract definition -> the style that defines it
        self._of: dict[str, str] = {}  # list -> abstract definition
        self._own: dict[str, dict[int, Level]] = {}  # list -> levels of its own
        self._starts: dict[tuple[str, int], int] = {}
        self._used: set[tuple[str, int]] = set()
        self._counters: dict[str, list[int | None]] = {}
        if root is not None:
            for element in root.iter(f"{W}abstractNum"):
                self._add_abstract(element)
            for element in root.iter(f"{W}num"):
                self._add_list(element)

    def level_of_style(self, number: str, style: str) -> int:
        """The level that a list ties to a paragraph style; 0 when none is."""
        levels = self._levels(self._definition(number))
        return next((at for at, level in levels.items() if level.style == style), 0)

    def label(self, number: str, at: int) -> str | None:
        """Counts one paragraph; its label, BULLET, or None when it shows none."""
        definition = self._definition(number)
        levels = {**self._levels(definition), **self._own.get(number, {})}
        at = max(0, min(at, LEVELS - 1))
        level = levels.get(at)
        if level is None:
            return None
        counters = self._counters.setdefault(definition, [None] * LEVELS)
        self._count(counters, levels, number=number, at=at)
        if level.form == "bullet":
            return BULLET
        return _shown(levels, counters, at) or None

    def _count(self, counters: list[int | None], levels: dict[int, Level], *, number: str, at: int) -> None:
        before = counters[at]
        counters[at] = levels[at].start if before is None else before + 1
        if (number, at) in self._starts and (number, at) not in self._used:
            counters[at] = self._starts[number, at]
        self._used.add((number, at))
        for deeper in range(at + 1, LEVELS):
            restart = levels[deeper].restart if deeper in levels else -1
            if restart == -1 or at < restart:
                counters[deeper] = None

    def _definition(self, number: str) -> str:
        definition = self._of.get(number, "")
        return self._linked.get(self._borrowed.get(definition, ""), definition)

    def _levels(self, definition: str) -> dict[int, Level]:
        if definition not in self._abstract:
            element = self._elements.get(definition)
            children = element.iter(f"{W}lvl") if element is not None else ()
            self._abstract[definition] = dict(map(_level, children))
        return self._abstract[definition]

    def _add_abstract(self, element: "_Element") -> None:
        name = element.get(f"{W}abstractNumId", "")
        self._elements[name] = element
        if style := _value(element, "styleLink"):
            self._linked[style] = name
        if style := _value(element, "numStyleLink"):
            self._borrowed[name] = style

    def _add_list(self, element: "_Element") -> None:
        name = element.get(f"{W}numId", "")
        self._of[name] = _value(element, "abstractNumId")
        for override in element.iter(f"{W}lvlOverride"):
            at = _number(override.get(f"{W}ilvl"), 0)
            if start := _value(override, "startOverride"):
                self._starts[name, at] = _number(start, 1)
            if (own := override.find(f"{W}lvl")) is not None:
                self._own.setdefault(name, {})[at] = _level(own)[1]


def _level(element: "_Element") -> tuple[int, Level]:
    legal = element.find(f"{W}isLgl")
    form = _value(element, "numFmt") or next((e.get(f"{W}val", "") for e in element.iter(f"{W}numFmt")), "")
    return _number(element.get(f"{W}ilvl"), 0), Level(
        start=_number(_value(element, "start"), 0),
        form=form or "decimal",
        text=_value(element, "lvlText"),
        restart=_number(_value(element, "lvlRestart"), -1),
        legal=legal is not None and legal.get(f"{W}val", "1") not in ("0", "false", "off"),
        style=_value(element, "pStyle"),
    )


def _shown(levels: dict[int, Level], counters: list[int | None], at: int) -> str:
    def number(match: re.Match[str]) -> str:
        place = int(match.group(1)) - 1
        level = levels.get(place, Level())
        value = counters[place]
        form = "decimal" if levels[at].legal else level.form
        return written(level.start if value is None else value, form)

    return " ".join(_PLACE.sub(number, levels[at].text).split())


def written(value: int, form: str) -> str:
    """A number in one of Word's formats; in digits when the format is a rare one."""
    if not 0 <= value <= _GREATEST:
        return str(value)
    return _FORMS.get(form, str)(value)


def _roman(value: int) -> str:
    out = []
    for worth, letters in _ROMAN:
        out.append(letters * (value // worth))
        value %= worth
    return "".join(out)


def _letters(value: int, *, alphabet: str = "abcdefghijklmnopqrstuvwxyz") -> str:
    if value < 1:
        return str(value)
    times, at = divmod(value - 1, len(alphabet))
    return alphabet[at] * (times + 1)


def _ordinal(value: int) -> str:
    ending = "th" if 10 <= value % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value}{ending}"


def _ideographs(value: int) -> str:
    digits = "〇一二三四五六七八九"
    if not 0 < value < 100:
        return "".join(digits[int(digit)] for digit in str(value))
    tens, ones = divmod(value, 10)
    return (digits[tens] if tens > 1 else "") + ("十" if tens else "") + (digits[ones] if ones else "")


_FORMS: dict[str, Callable[[int], str]] = {
    "none": lambda value: "",
    "decimalZero": lambda value: f"{value:02d}",
    "upperRoman": lambda value: _roman(value).upper(),
    "lowerRoman": _roman,
    "upperLetter": lambda value: _letters(value).upper(),
    "lowerLetter": _letters,
    "ordinal": _ordinal,
    "russianLower": lambda value: _letters(value, alphabet=_RUSSIAN),
    "russianUpper": lambda value: _letters(value, alphabet=_RUSSIAN).upper(),
    "chineseCounting": _ideographs,
    "chineseCountingThousand": _ideographs,
    "japaneseCounting": _ideographs,
    "ideographDigital": _ideographs,
    "decimalEnclosedCircle": lambda value: chr(0x245F + value) if 0 < value <= 20 else str(value),
}


def _value(element: "_Element", name: str) -> str:
    child = element.find(f"{W}{name}")
    return child.get(f"{W}val", "") if child is not None else ""


def _number(text: str | None, default: int) -> int:
    try:
        return int(text) if text else default
    except ValueError:
        return default
