"""CSV and its kin: one table row per line, under its header."""

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding

SAMPLE_LINES = 50  # on which the delimiter is judged
FIELD_CHARACTERS = 10_000_000  # of one cell; the module's own limit of 131,072 refuses real files
DELIMITERS = ",;\t|:"

_DECLARED = re.compile(r'"?sep=(.)"?\n', re.IGNORECASE)  # Excel's own first line


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    reading = encoding.read(data)
    text = reading.text.replace("\f", " ").lstrip("\n")
    stated = _DECLARED.match(text)
    text = text[stated.end() :] if stated else text
    delimiter = stated.group(1) if stated else _delimiter(text)
    if delimiter is None:
        return _lines(reading, text)
    return ParsedText(
        text="\n".join(_table(_rows(text, delimiter))),
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
    """The one that cuts most of the first lines into equally many fields, more than one."""
    sample = "".join(itertools.islice(io.StringIO(text), SAMPLE_LINES))
    scores = {delimiter: _score(sample, delimiter) for delimiter in DELIMITERS}
    best = max(scores, key=lambda delimiter: scores[delimiter])
    return best if scores[best] > 0 else None


def _score(sample: str, delimiter: str) -> float:
    widths = [len(row) for row in _rows(sample, delimiter) if row]
    if not widths or max(widths) < 2:
        return 0.0
    usual = max(set(widths), key=widths.count)
    share = widths.count(usual) / len(widths)
    rare = delimiter in ":|"
    return share * (1 + min(usual, 20) / 20) * (0.5 if rare else 1) if usual > 1 else share / 100


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    before = csv.field_size_limit(FIELD_CHARACTERS)
    try:
        yield from csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    finally:
        csv.field_size_limit(before)


def _table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Rows as a Markdown table; the first one with at least two cells heads it, lines before it stand alone."""
    headed = False
    for row in rows:
        cells = [" ".join(cell.split()).replace("|", "\\|") for cell in row]
        if not any(cells):
            continue
        if not headed and sum(map(bool, cells)) == 1:
            yield f"{''.join(cells)}\n"  # a title over the table
            continue
        yield f"| {' | '.join(cells)} |"
        if not headed:
            yield "|" + " --- |" * len(cells)
            headed = True
