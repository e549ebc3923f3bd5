"""PDF: a tagged page is read in the order of its tags, where these can be believed."""

from collections.abc import Sequence

import pypdfium2
import pypdfium2.raw
import pytest

from rag_assets.text.formats.pdf import tags
from rag_assets_tests.pdf_pages import column, outcome, pdf, prose, read, show

Node = tuple[str, Sequence["Node | int"]]  # an element's type and content: elements and ids of marks


def marked(content: Sequence[str], *, kind: str = "P") -> str:
    """Each with its id, counted from 0."""
    return "".join(f"/{kind} <</MCID {at}>> BDC\n{part}EMC\n" for at, part in enumerate(content))


def tagged(content: str, tree: Sequence[Node], *, count: int, more: str = "") -> bytes:
    """A page whose structure tree is `tree`; it has `count` ids, and the dictionary of each element ends in `more`."""
    first, elements = 7, list[str]()
    owners: dict[int, int] = {}

    def add(node: Node, parent: int) -> int:
        number = first + len(elements)
        elements.append("")
        kind, inner = node
        kids = []
        for kid in inner:
            if isinstance(kid, int):
                owners[kid] = number
                kids.append(str(kid))
            else:
                kids.append(f"{add(kid, number)} 0 R")
        page = f"/Pg {PAGE} 0 R"
        elements[number - first] = f"<</Type/StructElem/S/{kind}/P {parent} 0 R{page}/K[{' '.join(kids)}]{more}>>"
        return number

    PAGE = first + _size(tree)
    roots = " ".join(f"{add(node, 5)} 0 R" for node in tree)
    parents = " ".join(f"{owners[at]} 0 R" if at in owners else "null" for at in range(count))
    extra = [f"<</Type/StructTreeRoot/K[{roots}]/ParentTree 6 0 R>>", f"<</Nums[0 [{parents}]]>>", *elements]
    return pdf(content, page="/StructParents 0", extra=extra, catalog="/MarkInfo<</Marked true>>/StructTreeRoot 5 0 R")


def _size(tree: Sequence[Node]) -> int:
    return sum(1 + _size([kid for kid in inner if not isinstance(kid, int)]) for _, inner in tree)


def paragraphs(*order: int) -> list[Node]:
    return [("Document", [("P", [at]) for at in order])]


def places(text: str, parts: Sequence[str]) -> list[int]:
    flat = " ".join(text.split())
    return [flat.index(" ".join(part.split())) for part in parts]


ARTICLES = [prose(4, seed=at) for at in range(4)]
CORNERS = [(40, 700), (320, 700), (40, 600), (320, 600)]
GRID = [column(x, y, lines) for (x, y), lines in zip(CORNERS, ARTICLES, strict=True)]


def test_articles_in_a_grid_are_read_in_the_order_of_their_tags() -> None:
    """Row by row, where the page alone looks like two columns; and column by column, where the tags say so."""
    firsts = [lines[0] for lines in ARTICLES]
    for order in ((0, 1, 2, 3), (0, 2, 1, 3)):
        text = read(tagged(marked(GRID), paragraphs(*order), count=4)).text
        assert places(text, [firsts[at] for at in order]) == sorted(places(text, firsts))


def test_a_note_stands_where_its_tag_has_it() -> None:
    """The text goes on after it, as whole as before."""
    parts = [column(40, 700, prose(3, seed=1)), column(40, 100, ["1 This is a note."]), column(40, 600, ["Then more."])]
    text = read(tagged(marked(parts), paragraphs(0, 1, 2), count=3)).text
    assert places(text, ["1 This is a note.", "Then more."]) == sorted(places(text, ["1 This", "Then more."]))


def test_a_side_note_and_the_heading_beside_its_last_line_are_two_lines() -> None:
    """What stands right of a whole note is no part of it."""
    parts = [
        column(200, 700, prose(5, seed=1)),
        column(40, 680, ["Some small", "words of", "a note", "end here."]),
        show("Next chapter", 200, 642, font="F2"),
        column(200, 620, prose(5, seed=2)),
    ]
    text = read(tagged(marked(parts), paragraphs(0, 1, 2, 3), count=4)).text
    assert "end here.\n" in text
    assert "# Next chapter" in text


@pytest.mark.parametrize("order", [(3, 1, 2, 0, 7, 5, 6, 4), (7, 6, 5, 4, 3, 2, 1, 0)])
def test_tags_against_the_columns_are_not_believed(order: Sequence[int]) -> None:
    """An order that goes up within columns was made by nobody who read the page."""
    lines = prose(8, seed=6)
    parts = [show(line, 40, 700 - 12 * at) for at, line in enumerate(lines)]
    text = read(tagged(marked(parts), paragraphs(*order), count=8)).text
    assert text == "\n".join(lines)


def test_tags_that_go_across_columns_do_not_join_these() -> None:
    """Programs that tag line by line say less than the page itself."""
    left, right = prose(12, seed=1), prose(12, seed=2)
    both = zip(left, right, strict=True)
    parts = [
        show(line, x, 700 - 12 * n) for n, pair in enumerate(both) for x, line in zip((40, 320), pair, strict=True)
    ]
    text = read(tagged(marked(parts), paragraphs(*range(24)), count=24)).text
    assert text == f"{chr(10).join(left)}\n\n{chr(10).join(right)}"


def test_tags_of_a_small_part_are_not_believed() -> None:
    """Where most of a page has none, its layout tells the order."""
    left, right = prose(12, seed=1), prose(12, seed=2)
    tags = marked([show("A word", 40, 720), show("Another one", 320, 720)])
    text = read(tagged(tags + column(320, 700, right) + column(40, 700, left), paragraphs(1, 0), count=2)).text
    assert places(text, [left[0], right[0]]) == sorted(places(text, [left[0], right[0]]))


def test_untagged_text_is_kept() -> None:
    """An artifact is as much a part of the page as the program wants it; only what runs through pages is left out."""
    content = marked([column(40, 700, prose(9, seed=1))]) + show("Draft", 40, 750) + show("Page 3", 300, 40)
    text = read(tagged(content, paragraphs(0), count=1)).text
    assert text.startswith("Draft")
    assert text.endswith("Page 3")


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
    assert not tags.are_sound(pypdfium2.raw, document.raw, data)
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
