"""XLS: workbooks of Excel 97 to 2003 are read, each sheet as a page; what cannot be read is said in words."""

from pathlib import Path

import pytest

from rag_assets.errors import DocumentError
from rag_assets.settings import Chunking, Parsing
from rag_assets.text import parsing
from rag_assets.text.sandbox.worker import TextWorker

FILE = Path(__file__).parent / "documents" / "pumps.xls"  # two sheets: a table, and one cell alone


def test_sheets_are_pages_with_their_rows() -> None:
    """Numbers, dates and letters of any language are there, under the names of their sheets."""
    parsed = parsing.parse(FILE.read_bytes(), name="pumps.xls", limits=Parsing())
    assert parsed.text == (
        "# Prices\n\n| Pump | Litres | Since |\n| --- | --- | --- |\n| Blue | 12 | 2019-05-04 |\n"
        "| Red | 3.5 | 2020-01-31 |\n\n# Notes\n\nnaïve café\n"
    )
    assert [parsed.text[at:][:8] for at in parsed.page_offsets] == ["# Prices", "# Notes\n"]


def test_workbook_is_read_in_the_confined_process() -> None:
    """The library needs nothing that a reader may not have there."""
    with TextWorker(parsing=Parsing(), chunking=Chunking(), model=None) as reader:
        assert "| Blue | 12 |" in reader.parse(FILE.resolve(), name="pumps.xls").parsed.text


@pytest.mark.parametrize("length", [600, 3_000, 5_000])
def test_workbook_that_is_cut_short(length: int) -> None:
    """An error of the document, and nothing else."""
    with pytest.raises(DocumentError) as info:
        parsing.parse(FILE.read_bytes()[:length], name="pumps.xls", limits=Parsing())
    assert info.value.kind in ("corrupt", "unsupported", "no_text")


def test_workbook_with_too_much_text() -> None:
    """The limit on characters holds for it, too."""
    with pytest.raises(DocumentError) as info:
        parsing.parse(FILE.read_bytes(), name="pumps.xls", limits=Parsing(max_characters=20))
    assert info.value.kind == "too_large"
