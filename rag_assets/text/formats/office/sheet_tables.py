"""Rows of a spreadsheet come in, its tables as Markdown go out."""

from collections.abc import Iterable, Iterator, Mapping

from rag_assets.text.formats import markup

MAX_TITLE_ROWS = 5  # above a table of a sheet, with one cell each
MAX_CELLS = 10_000_000  # of a sheet's table, with the empty ones


def to_markdown(rows: Iterable[tuple[int, Mapping[int, str]]], *, limit: int = MAX_CELLS) -> Iterator[str]:
    """The tables of a sheet: its rows, numbered, those without an empty one between them together."""
    found: list[Mapping[int, str]] = []
    last = 0
    for number, row in rows:
        if not row:
            continue
        if found and number > last + 1:
            yield from _block(found, limit=limit)
            found = []
        found.append(row)
        last = number
    yield from _block(found, limit=limit)


def _block(rows: list[Mapping[int, str]], *, limit: int) -> Iterator[str]:
    """Titles above a table as lines of their own, then the table; columns that nobody uses are left out."""
    titles = 0
    while titles < min(MAX_TITLE_ROWS, len(rows) - 1) and len(rows[titles]) == 1:
        titles += 1
    if titles and (len(rows[titles]) == 1 or all(len(row) == 1 for row in rows[titles:])):
        titles = 0
    yield from (markup.prose(text) for row in rows[:titles] for text in row.values())
    body = rows[titles:]
    if len(body) == 1 and len(body[0]) == 1:
        yield markup.prose(next(iter(body[0].values())))
    elif body:
        yield markup.table(_aligned(body, limit=limit))


def _aligned(rows: list[Mapping[int, str]], *, limit: int) -> list[list[str]]:
    columns = sorted(set().union(*rows))
    if len(columns) * len(rows) > limit:  # a few cells far apart: no grid can hold them
        return [list(row.values()) for row in rows]
    return [[row.get(column, "") for column in columns] for row in rows]
