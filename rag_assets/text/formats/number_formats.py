"""Numbers of spreadsheets as a reader sees them: a value and Excel's format code come in, the shown text goes out."""

import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache, partial

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
DIGITS = 30  # behind the point, at most

_EPOCH = datetime(1899, 12, 30)
_TOKEN = re.compile(
    r'"[^"]*"?|\\.|_.|\*.|\[[^\]]*\]|General|AM/PM|A/P|E[+-]0+|[#0?]*/[#0?\d]+|[0#?]|y+|m+|d+|h+|s+|\.0+(?=[^#?0]|$)|.',
    re.IGNORECASE | re.DOTALL,
)
_CURRENCY = re.compile(r"\[\$([^\]-]*)")
_ELAPSED = re.compile(r"\[(h+|m+|s+)\]", re.IGNORECASE)
_DATED = re.compile(r'"[^"]*"?|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]|General', re.IGNORECASE)


@lru_cache(FORMATS_KEPT)
def formatter(code: str) -> Callable[[float], str]:
    """What writes numbers in this format; the first section is for positive, the second for negative, then zero."""
    sections = _sections(code)
    if is_date(code):
        return lru_cache(FORMATS_KEPT)(partial(_dated, section=sections[0]))  # the same days come again and again
    if not sections[0].strip() or sections[0].strip().lower() in ("general", "@"):
        return general
    return lambda value: _numbered(value, sections)


def is_date(code: str) -> bool:
    """Whether numbers of this format are days since the epoch."""
    return bool(re.search(r"[ymdhs]", _DATED.sub("", _sections(code)[0]), re.IGNORECASE))


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


def _dated(value: float, section: str) -> str:
    """A date and time; days count from 1899-12-30, so that Excel's false 29 February 1900 does no harm after it."""
    if not 0 <= value <= MAX_DAY:
        return general(value)
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
        return str(int(seconds // {"h": 3600, "m": 60, "s": 1}[elapsed.group(1)[0].lower()]))
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


def _numbered(value: float, sections: list[str]) -> str:
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
    if any("/" in token and len(token) > 1 and token[0] not in '"\\[' for token in tokens):
        return general(value)
    places = [at for at, token in enumerate(tokens) if token in ("0", "#", "?")]
    if not places:
        return "".join(map(_literal, tokens))
    return _placed(number, tokens, places)


def _placed(number: Decimal, tokens: list[str], places: list[int]) -> str:
    point = next((at for at, token in enumerate(tokens) if token.startswith(".")), len(tokens))
    fraction = "".join(tokens[point:]) if point < len(tokens) else ""
    behind = min(DIGITS, sum(fraction.count(mark) for mark in "0#?"))
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


def _scientific(number: Decimal, tokens: list[str], exponent: str) -> str:
    at = tokens.index(exponent)
    pattern = "".join(tokens[:at])
    digits = min(DIGITS, sum(pattern.partition(".")[2].count(mark) for mark in "0#?"))
    mantissa, _, power = f"{number:.{digits}E}".partition("E")
    return f"{mantissa}E{int(power):+03d}" + "".join(map(_literal, tokens[at + 1 :]))


def _literal(piece: str) -> str:
    if piece[0] == '"':
        return piece.strip('"')
    if piece[0] == "\\":
        return piece[1:]
    if currency := _CURRENCY.match(piece):
        return currency.group(1)
    return "" if piece[0] in "_*[," or piece in "#?" else piece
