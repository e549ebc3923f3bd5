"""Numbers of spreadsheets as a reader sees them: a value and Excel's format code come in, the shown text goes out."""

import math
import operator
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache, partial
from typing import NamedTuple

# Codes that a workbook does not spell out; dates that follow the reader's country are given in ISO order.
BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??",
    14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm",
    21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 27: "yyyy-mm-dd", 30: "yyyy-mm-dd", 36: "yyyy-mm-dd", 37: "#,##0;(#,##0)",
    38: "#,##0;(#,##0)", 39: "#,##0.00;(#,##0.00)", 40: "#,##0.00;(#,##0.00)", 41: "#,##0;(#,##0)",
    42: "$#,##0;($#,##0)", 43: "#,##0.00;(#,##0.00)", 44: "$#,##0.00;($#,##0.00)", 45: "mm:ss", 46: "[h]:mm:ss",
    47: "mm:ss.0", 48: "##0.0E+0", 50: "yyyy-mm-dd", 57: "yyyy-mm-dd",
}  # fmt: skip
MAX_DAY = 2_958_465  # 31 December 9999
FORMATS_KEPT = 1_000
MOST_DECIMALS = 30  # behind the point, at most

_EPOCH = datetime(1899, 12, 30)
_TOKEN = re.compile(
    r'"[^"]*"?|\\.|_.|\*.|\[[^\]]*\]|General|AM/PM|A/P|E[+-]0+|[#0?]*/[#0?\d]+|[0#?]|y+|m+|d+|h+|s+|\.0+(?=[^#?0]|$)|.',
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(r"\[(<=|>=|<>|<|>|=)\s*(-?\d{1,30}(?:\.\d{1,30})?)\]")
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "<>": operator.ne,
}  # fmt: skip
_CURRENCY = re.compile(r"\[\$([^\]-]*)")
_ELAPSED = re.compile(r"\[(h+|m+|s+)\]", re.IGNORECASE)
_DATED = re.compile(r'"[^"]*"?|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]|General', re.IGNORECASE)


@lru_cache(FORMATS_KEPT)
def formatter(code: str, *, shift: int = 0) -> Callable[[float], str]:
    """What writes numbers in this format, which has up to four sections.

    A section with a condition, such as [<100], is for the numbers that meet it, the next one for the others. Without
    conditions the first is for positive numbers, the second for negative ones, the third for zero. `shift` is how many
    days later the calendar of the workbook begins than the usual one; durations do not depend on it.
    """
    sections = _sections(code)
    if any(map(_CONDITION.search, sections[:2])):
        conditions = [_condition(section) for section in sections[:2]]
        writers = [_writer(section, shift=shift) for section in sections[:3]]
        return partial(_conditional, conditions=conditions, writers=writers)
    if not _is_date(sections[0]) and not _is_general(sections[0]):
        return partial(_numbered, sections=sections)
    return _writer(sections[0], shift=shift)


def _writer(section: str, *, shift: int) -> Callable[[float], str]:
    """What writes all numbers by one section."""
    if _is_date(section):
        shift = 0 if _ELAPSED.search(section) else shift
        # The same days come again and again.
        return lru_cache(FORMATS_KEPT)(partial(_dated, section=section, shift=shift))
    return general if _is_general(section) else partial(_numbered, sections=[section])


def _conditional(value: float, *, conditions: list["_Condition | None"], writers: list[Callable[[float], str]]) -> str:
    """By the first section whose condition is met, else by the one after all conditions."""
    for condition, write in zip(conditions, writers, strict=False):
        if condition is not None and condition.compare(value, condition.bound):
            return write(abs(value) if condition.is_negative() else value)
    rest = 2 if len(conditions) > 1 and all(conditions) else 1
    return writers[rest](value) if rest < len(writers) else general(value)


class _Condition(NamedTuple):
    compare: Callable[[float, float], bool]
    bound: float

    def is_negative(self) -> bool:
        """Whether only negative numbers meet it: their section shows the sign in its own way."""
        return self.compare in (operator.lt, operator.le) and self.bound <= 0 and not self.compare(0, self.bound)


def _condition(section: str) -> _Condition | None:
    match = _CONDITION.search(section)
    return _Condition(_COMPARISONS[match.group(1)], float(match.group(2))) if match else None


def _is_general(section: str) -> bool:
    return section.strip().lower() in ("", "general", "@")


def _is_date(section: str) -> bool:
    """Whether numbers of this section are days since the epoch."""
    return bool(re.search(r"[ymdhs]", _DATED.sub("", section), re.IGNORECASE))


def general(value: float) -> str:
    """A number as it is, without the noise of binary fractions."""
    if not math.isfinite(value):
        return str(value)
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.15g}"


@lru_cache(FORMATS_KEPT)
def _tokens(section: str) -> list[str]:
    return [str(piece) for piece in _TOKEN.findall(section)]


def _sections(code: str) -> list[str]:
    parts = [""]
    for piece in _TOKEN.findall(code):
        if piece == ";":
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _dated(value: float, *, section: str, shift: int) -> str:
    """A date and time; days count from 1899-12-30, so that Excel's false 29 February 1900 does no harm after it."""
    if -MAX_DAY <= value < 0 and _ELAPSED.search(section):
        return f"-{_dated(-value, section=section, shift=0)}"
    value += shift
    if not 0 <= value <= MAX_DAY:
        return general(value - shift)
    tokens = _tokens(section)
    finest = timedelta(milliseconds=1) if ".0" in section else timedelta(seconds=1)
    seconds = round(value * 86_400 / finest.total_seconds()) * finest.total_seconds()
    moment = _EPOCH + timedelta(seconds=seconds + (86_400 if value < 60 and value >= 1 else 0))
    noon = any(token.upper() in ("AM/PM", "A/P") for token in tokens)
    out = [_date_part(tokens, at, moment, seconds, noon=noon) for at in range(len(tokens))]
    return "".join(out).strip()


def _date_part(tokens: list[str], at: int, moment: datetime, seconds: float, *, noon: bool) -> str:
    token = tokens[at]
    lower = token.lower()
    if elapsed := _ELAPSED.fullmatch(token):
        count = int(seconds // {"h": 3600, "m": 60, "s": 1}[elapsed.group(1)[0].lower()])
        return str(count).zfill(len(elapsed.group(1)))
    if lower in ("am/pm", "a/p"):
        return moment.strftime("%p")
    if lower[0] == "m" and set(lower) == {"m"} and not _is_minute(tokens, at):
        return _month(moment, len(lower))
    part = _PARTS.get(lower[0]) if len(set(lower)) == 1 else None
    if part is not None:
        return part(moment, len(lower), noon)
    if lower.startswith(".0"):
        return f"{moment.microsecond / 1e6:.{len(lower) - 1}f}"[1:]
    return _literal(token)


def _is_minute(tokens: list[str], at: int) -> bool:
    """After hours or before seconds, m is minutes."""
    letters = [token.lower().strip("[]") for token in tokens]
    before = next((t for t in reversed(letters[:at]) if t and t[0] in "ymdhs" and len(set(t)) == 1), "")
    after = next((t for t in letters[at + 1 :] if t and t[0] in "ymdhs" and len(set(t)) == 1), "")
    return before[:1] == "h" or after[:1] == "s"


def _month(moment: datetime, width: int) -> str:
    name = _MONTHS[moment.month - 1]
    return {1: str(moment.month), 2: f"{moment.month:02d}", 3: name[:3], 5: name[0]}.get(width, name)


def _day(moment: datetime, width: int, noon: bool) -> str:
    name = _WEEKDAYS[moment.weekday()]
    return {1: str(moment.day), 2: f"{moment.day:02d}", 3: name[:3]}.get(width, name)


def _hour(moment: datetime, width: int, noon: bool) -> str:
    hour = (moment.hour % 12 or 12) if noon else moment.hour
    return f"{hour:02d}" if width > 1 else str(hour)


_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PARTS: dict[str, Callable[[datetime, int, bool], str]] = {
    "y": lambda moment, width, noon: f"{moment.year % 100:02d}" if width < 3 else str(moment.year),
    "d": _day,
    "h": _hour,
    "m": lambda moment, width, noon: f"{moment.minute:02d}" if width > 1 else str(moment.minute),
    "s": lambda moment, width, noon: f"{moment.second:02d}" if width > 1 else str(moment.second),
}


def _numbered(value: float, *, sections: list[str]) -> str:
    if not math.isfinite(value):
        return str(value)
    section, sign = sections[0], "-" if value < 0 else ""
    if value < 0 and len(sections) > 1:
        section, sign = sections[1], ""
    elif value == 0 and len(sections) > 2:
        section = sections[2]
    try:
        return sign + _filled(abs(value), _tokens(section)).strip()
    except (InvalidOperation, OverflowError):
        return general(value)


def _filled(value: float, tokens: list[str]) -> str:
    """Digits put where the format has places for them."""
    if any(token.lower() == "general" for token in tokens):
        return "".join(general(value) if token.lower() == "general" else _literal(token) for token in tokens)
    number = Decimal(repr(value)) * 100 ** tokens.count("%")
    exponent = next((token for token in tokens if token[:2].upper() in ("E+", "E-")), None)
    if exponent:
        return _scientific(number, tokens, exponent)
    slash = next((at for at, token in enumerate(tokens) if "/" in token[1:] and token[0] in "#0?"), None)
    if slash is not None:
        return _fraction(number, tokens, slash)
    places = [at for at, token in enumerate(tokens) if token in ("0", "#", "?")]
    if not places:
        return "".join(map(_literal, tokens))
    return _placed(number, tokens, places)


def _placed(number: Decimal, tokens: list[str], places: list[int]) -> str:
    point = next((at for at, token in enumerate(tokens) if token.startswith(".")), len(tokens))
    fraction = "".join(tokens[point:]) if point < len(tokens) else ""
    behind = min(MOST_DECIMALS, sum(fraction.count(mark) for mark in "0#?"))
    before = [at for at in places if at < point]
    commas = [at for at, mark in enumerate(tokens) if mark == ","]
    grouped = bool(before) and any(before[0] < at < before[-1] for at in commas)
    number /= 1000 ** sum(at > places[-1] for at in commas)
    whole, _, decimals = f"{number.quantize(Decimal(1).scaleb(-behind), ROUND_HALF_UP):f}".partition(".")
    digits = _whole(whole, [tokens[at] for at in before], grouped=grouped)
    shown = dict(zip(before, digits, strict=True))
    out = [shown[at] if at in shown else _literal(token) for at, token in enumerate(tokens[:point])]
    return "".join(out) + _behind(tokens[point:], decimals)


def _whole(whole: str, marks: list[str], *, grouped: bool) -> list[str]:
    """The digits for each place before the point; the first place takes all that are left over."""
    if not marks:
        return []
    whole = whole.lstrip("0").rjust(marks.count("0"), "0")
    if grouped:
        text = f"{int(whole or 0):,}" if whole else ""
        return [text.rjust(marks.count("0"), "0"), *[""] * (len(marks) - 1)]
    tail = len(marks) - 1
    padded = whole.rjust(len(marks), "\0")
    return [part.replace("\0", "") for part in (padded[: len(padded) - tail], *padded[len(padded) - tail :])]


def _behind(tokens: list[str], decimals: str) -> str:
    out = []
    digits = iter(decimals)
    for token in tokens:
        for mark in token if token.startswith(".") or token in ("0", "#", "?") else (token,):
            out.append(next(digits, "") if mark in ("0", "#", "?") else _literal(mark))
    text = "".join(out)
    return text.rstrip("0").rstrip(".") if "#" in tokens and decimals and text[-1:] in "0" else text


def _fraction(number: Decimal, tokens: list[str], at: int) -> str:
    """A whole number, where there is a place for it, and a fraction with the given denominator or at most so long."""
    denominator = tokens[at].partition("/")[2]
    if denominator.strip("0").isdecimal():
        parts = int((number * int(denominator)).to_integral_value(ROUND_HALF_UP)), int(denominator)
    else:
        parts = Fraction(number).limit_denominator(10 ** min(len(denominator), MOST_DECIMALS) - 1).as_integer_ratio()
    places = [place for place in range(at) if tokens[place] in ("0", "#", "?")]
    whole, rest = divmod(parts[0], parts[1]) if places else (0, parts[0])
    shown = [str(whole)] if whole or (places and not rest) else []
    shown += [f"{rest}/{parts[1]}"] if rest or not places else []
    start = places[0] if places else at
    return "".join(map(_literal, tokens[:start])) + " ".join(shown) + "".join(map(_literal, tokens[at + 1 :]))


def _scientific(number: Decimal, tokens: list[str], exponent: str) -> str:
    """With as many digits before the point as there are places: the exponent is a multiple of their number."""
    at = tokens.index(exponent)
    whole, _, behind = "".join(tokens[:at]).partition(".")
    digits = min(MOST_DECIMALS, sum(behind.count(mark) for mark in "0#?"))
    step = min(MOST_DECIMALS, max(1, sum(whole.count(mark) for mark in "0#?")))
    power = (number.adjusted() if number else 0) // step * step
    mantissa = number.scaleb(-power).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    if mantissa >= Decimal(10) ** step:
        power, mantissa = power + step, mantissa.scaleb(-step).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    sign = "-" if power < 0 else "+" if exponent[1] == "+" else ""
    shown = f"{mantissa:f}E{sign}{str(abs(power)).zfill(len(exponent) - 2)}"
    return shown + "".join(map(_literal, tokens[at + 1 :]))


def _literal(piece: str) -> str:
    if piece[0] == '"':
        return piece.strip('"')
    if piece[0] == "\\":
        return piece[1:]
    if currency := _CURRENCY.match(piece):
        return currency.group(1)
    return "" if piece[0] in "_*[," or piece in "#?" else piece
