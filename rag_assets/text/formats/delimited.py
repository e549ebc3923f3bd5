"""CSV and its kin: one table row per line, under its header."""

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import markup

SAMPLE_LINES = 50  # on which the delimiter is judged
FIELD_CHARACTERS = 10_000_000  # of one cell; the module's own limit of 131,072 refuses real files
# How readily each one is taken for one: times have colons, and formulas carets.
DELIMITERS = {",": 1.0, ";": 1.0, "\t": 1.0, "|": 0.95, ":": 0.4, "^": 0.4, "~": 0.4}
PUNCTUATION_SHARE = 0.9  # of the commas, in decimals and before spaces: they hardly delimit if others do
DOUBT_FACTOR = 0.5

_PUNCTUATING = re.compile(r"(?<![\d,])\d+,\d+(?![\d,])|, ")
_DECLARED = re.compile(r'"?sep=(.)"?\n', re.IGNORECASE)  # Excel's own first line


class _Strict(csv.excel):
    strict = True


class _Unquoted(csv.excel):
    quoting = csv.QUOTE_NONE


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The rows as a Markdown table whose first one is the header; the delimiter is found by trying.

    A file in which no delimiter divides lines evenly is kept as its lines.
    """
    reading = encoding.read(data)
    text = reading.text.replace("\f", " ").lstrip("\n")
    stated = _DECLARED.match(text)
    text = text[stated.end() :] if stated else text
    delimiter = stated.group(1) if stated else _delimiter(text)
    if delimiter is None:
        return _lines(reading, text)
    return ParsedText(
        text="\n".join(_table(_rows(text, delimiter, dialect=_dialect(text, delimiter)), _width(text, delimiter))),
        media_type="text/csv",
        parser="delimited",
        metadata={"encoding": reading.encoding, "delimiter": delimiter},
        warnings=reading.warnings,
    )


def _lines(reading: encoding.Reading, text: str) -> ParsedText:
    """A single column, or no table at all."""
    return ParsedText(
        text=text,
        media_type="text/csv",
        parser="delimited",
        structure="plain",
        metadata={"encoding": reading.encoding},
        warnings=reading.warnings,
    )


def _delimiter(text: str) -> str | None:
    """The one that cuts the first lines most evenly into fields, many rather than few."""
    sample = _sample(text)
    scores = {delimiter: _score(sample, delimiter) for delimiter in DELIMITERS}
    best = max(scores, key=lambda delimiter: scores[delimiter])
    return best if scores[best] > 0 else None


def _sample(text: str) -> str:
    return "".join(itertools.islice(io.StringIO(text), SAMPLE_LINES))


def _width(text: str, delimiter: str) -> int:
    """The usual number of fields in the first lines."""
    widths = [len(row) for row in _rows(_sample(text), delimiter) if row]
    return max(set(widths), key=widths.count, default=0)


def _dialect(text: str, delimiter: str) -> type[csv.Dialect]:
    """Quotes are letters like others where one of them would never be closed."""
    if text.count('"') % 2 == 0:
        return csv.excel
    try:
        for _ in _rows(text, delimiter, dialect=_Strict):
            pass
    except csv.Error as exc:
        return _Unquoted if delimiter == "\t" or "end of data" in str(exc) else csv.excel
    return csv.excel


def _score(sample: str, delimiter: str) -> float:
    widths = [len(row) for row in _rows(sample, delimiter) if row]
    if not widths or max(widths) < 2:
        return 0.0
    usual = max(set(widths), key=widths.count)
    if usual < 2:
        if delimiter == "," and _punctuates(sample):
            return 0.0  # a single column of sentences
        return sum(width > 1 for width in widths) / len(widths) / 100
    evenness = sum((min(width, usual) / max(width, usual)) ** 2 for width in widths) / len(widths)
    doubt = DOUBT_FACTOR if delimiter == "," and _punctuates(sample) else 1.0
    return evenness * (1 + min(usual, 20) / 20) * DELIMITERS[delimiter] * doubt


def _punctuates(sample: str) -> bool:
    """Whether nearly all commas are those of decimal numbers, dates and sentences."""
    return len(_PUNCTUATING.findall(sample)) >= PUNCTUATION_SHARE * sample.count(",")


def _rows(text: str, delimiter: str, *, dialect: type[csv.Dialect] = csv.excel) -> Iterator[list[str]]:
    before = csv.field_size_limit(FIELD_CHARACTERS)
    try:
        yield from csv.reader(io.StringIO(text), dialect, delimiter=delimiter, skipinitialspace=True)
    finally:
        csv.field_size_limit(before)


def _table(rows: Iterable[Sequence[str]], width: int) -> Iterator[str]:
    """Rows as a Markdown table; the first one with at least two cells heads it, lines before it stand alone."""
    headed = False
    for row in rows:
        cells = [markup.with_bars_escaped(" ".join(cell.split())) for cell in row]
        if not any(cells):
            continue
        if not headed and sum(map(bool, cells)) == 1:
            yield f"{''.join(cells)}\n"  # a title over the table
            continue
        if not headed and cells[0].startswith("#") and len(cells) != width:
            yield f"{', '.join(cells)}\n"  # a remark
            continue
        yield markup.row_line(cells)
        if not headed:
            yield markup.rule(len(cells))
            headed = True
