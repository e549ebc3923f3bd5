"""PDF: what a document's tags say of its tables and notes, and trees of tags that are made to harm."""

from collections.abc import Sequence

import pypdfium2
import pypdfium2.raw
import pytest

from rag_assets.text.formats.pdf import fonts, tags
from rag_assets_tests.pdf_pages import (
    Node,
    column,
    marked,
    outcome,
    pdf,
    prose,
    read,
    tagged,
)


def cells(rows: Sequence[Sequence[Sequence[str]]], *, xs: Sequence[float] = (40, 160, 320)) -> tuple[str, list[Node]]:
    """A page with a table without lines, whose cells have several lines each; and its tree."""
    parts, nodes, y = list[str](), list[Node](), 700.0
    for row in rows:
        inner: list[Node] = []
        for x, lines in zip(xs, row, strict=False):
            if lines:
                parts.append(column(x, y, lines))
            inner.append(("TD", [len(parts) - 1] if lines else []))
        nodes.append(("TR", inner))
        y -= 12 * max(map(len, row)) + 4
    return marked(parts), [("Table", nodes)]


WRAPPED = [
    [["Name"], ["What it does"], ["When"]],
    [["Pump"], ["It lifts the water", "from the lower to the", "upper basin."], ["Every morning,", "not on Sundays"]],
    [["Filter"], ["It holds back sand", "and leaves."], ["Always"]],
    [["Gate"], [], ["In spring and", "in autumn"]],
]


def test_wrapped_cells_are_whole_when_a_table_is_tagged() -> None:
    """Rows and cells are what the tags say, an empty cell too."""
    content, tree = cells(WRAPPED)
    text = read(tagged(content, tree, count=content.count("MCID"))).text
    assert text.splitlines()[2:] == [
        "| Pump | It lifts the water from the lower to the upper basin. | Every morning, not on Sundays |",
        "| Filter | It holds back sand and leaves. | Always |",
        "| Gate |  | In spring and in autumn |",
    ]


def test_a_title_in_the_first_row_of_a_tagged_table_is_a_line() -> None:
    """A cell that reaches over several columns names none of them."""
    content, tree = cells([[["All the parts of the station, and what they do"]], *WRAPPED])
    text = read(tagged(content, tree, count=content.count("MCID"))).text
    assert text.startswith("All the parts of the station, and what they do\n\n| Name | What it does | When |")


def test_a_table_whose_rows_are_lines_is_read_by_its_looks() -> None:
    """Some programs tag each line of a cell as a row."""
    lines = [
        [["Task"], ["Remarks of the board"]],
        [["Pumping the water"], ["Each morning the board is read"]],
        [["to the upper basin"], ["and the level is written down"]],
        [["before the sun rises"], ["beside the gate of the canal"]],
    ]
    content, tree = cells(lines, xs=(40, 240))
    as_tagged = read(tagged(content, tree, count=content.count("MCID"))).text
    assert as_tagged == read(pdf(content)).text


def test_layout_tables_are_read_as_text() -> None:
    """Two long columns in the cells of one row are no table."""
    left, right = prose(14, seed=1), prose(14, seed=2)
    content = marked([column(40, 700, left), column(320, 700, right)])
    tree: list[Node] = [("Table", [("TR", [("TD", [0]), ("TD", [1])])])]
    assert "|" not in read(tagged(content, tree, count=2)).text


def test_a_list_of_children_that_many_elements_share_is_not_opened() -> None:
    """pdfium would read it once for each of them: a small file would cost minutes."""
    count, lines = 500, prose(5, seed=1)
    kids = " ".join(f"{7 + at} 0 R" for at in range(count))
    elements = [f"<</Type/StructElem/S/P/P 5 0 R/Pg {8 + count} 0 R/K {7 + count} 0 R>>"] * count
    extra = ["<</Type/StructTreeRoot/K[7 0 R]/ParentTree 6 0 R>>", f"<</Nums[0 [{kids}]]>>", *elements, f"[{kids} 0]"]
    catalog = "/MarkInfo<</Marked true>>/StructTreeRoot 5 0 R"
    data = pdf(marked([column(40, 700, lines)]), page="/StructParents 0", extra=extra, catalog=catalog)
    document = pypdfium2.PdfDocument(data)
    assert not tags.are_sound(pypdfium2.raw, document.raw, fonts.dictionaries(data))
    assert outcome(data) == "\n".join(lines)


@pytest.mark.parametrize("more", ["/K[7 0 R 0]", "/K[7 0 R 8 0 R 5 0 R]", "/K[" + "7 0 R " * 5_000 + "0]"])
def test_trees_that_lead_back_to_themselves_end(more: str) -> None:
    """And the page is read all the same."""
    text = outcome(tagged(marked([column(40, 700, prose(5, seed=1))]), [("P", [0])], count=1, more=more))
    assert prose(5, seed=1)[0] in text


def test_deep_trees_end() -> None:
    """An element within an element, many times."""
    node: Node = ("P", [0])
    for _ in range(400):
        node = ("Div", [node])
    text = outcome(tagged(marked([column(40, 700, prose(5, seed=1))]), [node], count=1))
    assert prose(5, seed=1)[0] in text
