"""XLS, Excel's format until 2003: each sheet as a page, its rows as lines of tables; cells are read by calamine.

Of a number's format, calamine tells only whether it is a date or a time: other numbers show as they are stored.
"""

import datetime
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText, counted
from rag_assets.settings import Parsing
from rag_assets.text.formats import markup
from rag_assets.text.formats.office import number_formats, sheet_tables
from rag_assets.text.formats.office.xlsx import Pages

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

MEDIA_TYPE = "application/vnd.ms-excel"


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """All sheets, hidden ones too; raises DocumentError corrupt, encrypted, too_large or no_text."""
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    workbook = _opened(data, name=name)
    sheets = [each for each in workbook.sheets_metadata if each.typ == SheetTypeEnum.WorkSheet]
    pages = Pages(name=name, limits=limits)
    for each in sheets:
        rows = _rows(workbook.get_sheet_by_name(each.name), pages)
        pages.add(f"{markup.heading(each.name, 1)}\n\n", sheet_tables.to_markdown(rows))
    if not pages.any_text:
        raise DocumentError("no_text", f"{name}: {counted(len(sheets), 'sheet')} without any text")
    hidden = [each.name for each in sheets if each.visible != SheetVisibleEnum.Visible]
    return ParsedText(
        text=pages.text(),
        media_type=MEDIA_TYPE,
        parser="xls",
        page_offsets=tuple(pages.offsets),
        metadata={"sheets": len(sheets), "rows": pages.rows},
        warnings=tuple(f"the hidden sheet {title} is included" for title in hidden),
    )


def _opened(data: bytes, *, name: str) -> "CalamineWorkbook":
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    try:
        return CalamineWorkbook.from_filelike(io.BytesIO(data))
    except PasswordError as exc:
        raise DocumentError("encrypted", f"{name} is protected by a password: save it without one") from exc
    except CalamineError as exc:
        raise DocumentError("corrupt", f"{name} cannot be read as an Excel workbook ({exc}): save it as .xlsx") from exc


def _rows(sheet: "CalamineSheet", pages: Pages) -> Iterator[tuple[int, dict[int, str]]]:
    """The rows that hold something, with their numbers from 1, as columns and shown texts."""
    for number, values in enumerate(sheet.iter_rows(), start=1):
        row = {column: shown for column, value in enumerate(values) if (shown := _shown(value))}
        if row:
            pages.rows += 1
            pages.count_cells(len(row))
            yield number, row


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return number_formats.general(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "minutes" if not value.second else "seconds")
    return str(value)
