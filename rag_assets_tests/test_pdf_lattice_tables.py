"""PDF: what stands between drawn lines becomes rows and cells of tables."""

from rag_assets_tests.pdf_pages import column, pdf, read, ruled, show


def test_tables_between_level_lines_are_two_when_a_heading_parts_them() -> None:
    """Although their lines are equally long."""
    drawn = ""
    for title, top in (("Rain", 700), ("Sun", 600)):
        drawn += show(title, 40, top + 20, size=16)
        for n in range(4):
            drawn += show(f"{title} month {n}", 45, top - 15 * n) + show(f"{n * 17}", 300, top - 15 * n)
            drawn += f"40 {top - 15 * n - 4} m 500 {top - 15 * n - 4} l S\n"
    text = read(pdf(drawn)).text
    assert "# Sun\n\n| Sun month 0 | 0 |\n| --- | --- |\n| Sun month 1 | 17 |" in text


def test_table_is_one_row_per_line() -> None:
    """Cells that stand below each other, right-aligned numbers and empty ones too."""
    rows = [("Item", "Price", "Stock"), ("Pump", "120.50", "7"), ("Valve", "", "112"), ("Filter", "3.20", "9")]
    drawn = "".join(
        show(cell, x + (0 if n == 0 else 60 - 5 * len(cell)), 700 - 14 * line)
        for line, row in enumerate(rows)
        for n, (cell, x) in enumerate(zip(row, (40, 200, 350), strict=True))
        if cell
    )
    assert read(pdf(drawn)).text.splitlines() == [
        "| Item | Price | Stock |",
        "| --- | --- | --- |",
        "| Pump | 120.50 | 7 |",
        "| Valve |  | 112 |",
        "| Filter | 3.20 | 9 |",
    ]


CELLS = (
    column(42, 700, ["Part"]) + column(102, 700, ["What it is for"]) + column(202, 700, ["Price"])
    + column(42, 680, ["Pump", "housing"]) + column(102, 680, ["Keeps sand", "and stones out"])
    + column(202, 674, ["12"])
    + column(42, 650, ["Valve"]) + column(102, 650, ["Shuts"]) + column(202, 650, ["7"])
)  # fmt: skip


PARTS = [
    "| Part | What it is for | Price |",
    "| --- | --- | --- |",
    "| Pump housing | Keeps sand and stones out | 12 |",
    "| Valve | Shuts | 7 |",
]


def test_cell_is_one_when_its_lines_wrap_between_rules() -> None:
    """Drawn lines say what belongs together, also where columns stand close."""
    drawn = ruled((40, 100, 200, 240), (712, 692, 662, 642))
    assert read(pdf(drawn + CELLS)).text.splitlines() == PARTS


def test_cells_are_found_when_only_level_lines_are_drawn() -> None:
    """Columns are where no text is; the head may stand over the first line."""
    drawn = "".join(f"40 {y} m 240 {y} l S\n" for y in (692, 662, 642))
    assert read(pdf(drawn + CELLS)).text.splitlines() == PARTS


def test_line_over_all_columns_is_the_title_of_a_table() -> None:
    """It is no row, and names no column."""
    grid = ruled((40, 100, 140), (700, 680, 660)) + "40 720 m 140 720 l S\n40 700 m 40 720 l S\n140 700 m 140 720 l S\n"
    cells = show("Stock", 42, 706) + show("Pump", 42, 686) + show("7", 102, 686)
    assert read(pdf(grid + cells + show("Valve", 42, 666) + show("9", 102, 666))).text == (
        "Stock\n\n| Pump | 7 |\n| --- | --- |\n| Valve | 9 |"
    )


def test_columns_go_on_in_rows_that_no_upright_line_parts() -> None:
    """Some styles draw lines in every other row only; the first row may be the rest of a cell of the page before."""
    xs, ys = (40, 100, 200, 260), (720, 700, 680, 660, 640)
    level = "".join(f"{xs[0]} {y} m {xs[-1]} {y} l S\n" for y in ys)
    upright = "".join(f"{x} {top} m {x} {top - 20} l S\n" for x in xs for top in (700, 660))
    sides = "".join(f"{x} {ys[0]} m {x} {ys[-1]} l S\n" for x in (xs[0], xs[-1]))
    rows = [("", "shuts again", ""), ("1", "Pump", "Ann"), ("2", "Valve", "Bob"), ("3", "Filter", "Eve")]
    cells = "".join(
        show(cell, x + 4, y - 14) for row, y in zip(rows, ys, strict=False) for cell, x in zip(row, xs, strict=False)
    )
    assert read(pdf(level + upright + sides + cells)).text.splitlines() == [
        "|  | shuts again |  |", "| --- | --- | --- |", "| 1 | Pump | Ann |", "| 2 | Valve | Bob |",
        "| 3 | Filter | Eve |",
    ]  # fmt: skip
