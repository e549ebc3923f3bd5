"""Sheets of a spreadsheet: empty rows divide their tables, and no grid is larger than it may be."""

from rag_assets.text.formats.office import sheet_tables


def test_sheet_has_its_title_above_and_an_empty_row_divides_it() -> None:
    """Columns that nobody uses are left out."""
    rows = [(1, {0: "Stock"}), (2, {0: "part", 4: "price"}), (3, {0: "pump", 4: "9"}), (5, {2: "a remark"})]
    table = "| part | price |\n| --- | --- |\n| pump | 9 |"
    assert list(sheet_tables.to_markdown(rows)) == ["Stock", table, "a remark"]


def test_cells_follow_each_other_when_a_grid_would_be_over_the_limit() -> None:
    """A few cells far apart, in columns of two million, are still read."""
    rows = [(1, {0: "a", 5: "b"}), (2, {1: "c", 9: "d"})]
    assert list(sheet_tables.to_markdown(rows, limit=7)) == ["| a | b |\n| --- | --- |\n| c | d |"]
