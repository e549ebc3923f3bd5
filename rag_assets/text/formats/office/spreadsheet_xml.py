"""Workbooks as Excel 2003 saved them in one XML file, as programs still export them: sheets with their rows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag_assets.text.formats import markup
from rag_assets.text.formats.office import sheet_tables

if TYPE_CHECKING:
    from lxml.etree import _Element

NAMESPACE = "urn:schemas-microsoft-com:office:spreadsheet"
S = f"{{{NAMESPACE}}}"
MOST_PLACES = 2**20  # rows of a sheet


def text(workbook: "_Element", *, limit: int) -> str:
    """Each sheet as Markdown, its tables below a heading with its name; `limit` cells at most form a grid."""
    blocks = []
    for sheet in workbook.iterchildren(f"{S}Worksheet"):
        blocks.append(markup.heading(sheet.get(f"{S}Name", ""), 1))
        blocks += sheet_tables.to_markdown(_rows(sheet), limit=limit)
    return "\n\n".join(blocks)


def _rows(sheet: "_Element") -> Iterator[tuple[int, dict[int, str]]]:
    number = 0
    for row in sheet.iterfind(f"{S}Table/{S}Row"):
        number = _place(row, after=number)
        cells, column = {}, 0
        for cell in row.iterchildren(f"{S}Cell"):
            column = _place(cell, after=column)
            words = " ".join("".join(part.itertext()) for part in cell.iterchildren(f"{S}Data", f"{S}Comment"))
            if words.strip():
                cells[column] = words.removesuffix("T00:00:00.000")
            column += _number(cell.get(f"{S}MergeAcross"))
        if cells:
            yield number, cells


def _place(element: "_Element", *, after: int) -> int:
    """Of a row or a cell: what it says, or after the last one."""
    return _number(element.get(f"{S}Index")) or after + 1


def _number(value: str | None) -> int:
    return min(int(value), MOST_PLACES) if value and value.isascii() and value.isdigit() and len(value) < 9 else 0
