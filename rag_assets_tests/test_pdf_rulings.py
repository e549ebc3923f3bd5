"""PDF: what parts rows is found: lines, or rows in a color."""

from rag_assets_tests.pdf_pages import pdf, read, ruled, show


def test_rows_without_color_are_rows_of_a_table_whose_every_other_row_has_one() -> None:
    """The first and the last one, too; the same columns further down are another table."""
    drawn = ""
    for title, top in (("Rivers", 700), ("Ports", 560)):
        drawn += show(title, 40, top + 20, size=16)
        for n in range(4):
            row, y = (f"{title} {n}", f"{n} km", f"place {n}"), top - 20 * n
            if n % 2:
                drawn += "".join(f"0.8 g {x} {y - 6} 150 20 re f 0 g\n" for x in (40, 190, 340))
            drawn += "".join(show(cell, x, y) for cell, x in zip(row, (45, 195, 345), strict=True))
    rows = [[f"| {title} {n} | {n} km | place {n} |" for n in range(4)] for title in ("Rivers", "Ports")]
    tables = ["\n".join([head, "| --- | --- | --- |", *others]) for head, *others in rows]
    assert read(pdf(drawn)).text == f"# Rivers\n\n{tables[0]}\n\n# Ports\n\n{tables[1]}"


def test_rows_are_apart_when_no_line_parts_them() -> None:
    """Numbers below each other are no lines of one cell."""
    rows = [show(f"Item {n}", 42, 700 - 12 * n) + show(str(n * 7), 102, 700 - 12 * n) for n in range(5)]
    text = read(pdf(ruled((40, 100, 140), (712, 640)) + "".join(rows))).text
    assert text.splitlines()[2:] == [f"| Item {n} | {n * 7} |" for n in range(1, 5)]
