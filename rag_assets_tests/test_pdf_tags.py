"""PDF: what a document's tags say of its tables and notes, and trees of tags that are made to harm."""

import io
import re
from collections.abc import Sequence

import pypdf
import pypdfium2
import pytest

from rag_assets.text.formats.pdf import tags
from rag_assets.text.formats.pdf.objects import Objects
from rag_assets.text.formats.pdf.tags import Mark
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


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_tags_of_an_encrypted_document_are_read(algorithm: str) -> None:
    """One that opens without a password is tagged like any other."""
    content, tree = cells(WRAPPED)
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(tagged(content, tree, count=content.count("MCID"))))
    writer.encrypt("", owner_password="owner", algorithm=algorithm)
    encrypted = io.BytesIO()
    writer.write(encrypted)
    assert "| Filter | It holds back sand and leaves. | Always |" in read(encrypted.getvalue()).text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"/K[0]", b"/K 0"),
        (b"/K[0]", b"/K<</Type/MCR/MCID 0>>"),
        (b"/K[0]", b"/K[<</MCID 0/Type/MCR/Pg PAGE>>]"),
        (b"/K[0]", b"/K[900 0 R]"),
        (b"/K[0]", b"/K 901 0 R"),
        (b"/S/TD", b"/Alt(a \\) (b) /K 7 /S/P)/S/TD"),
        (b"/S/TD", b"/S /Zelle"),
    ],
)
def test_each_way_to_write_an_element_is_read(old: bytes, new: bytes) -> None:
    """Ids and marks, alone, in a list, as objects of their own; a type of the document's own; texts beside them."""
    content, tree = cells(WRAPPED)
    data = tagged(content, tree, count=content.count("MCID"))
    page = re.findall(rb"/Pg (\d+ 0 R)", data)[0]
    more = b"900 0 obj\n<</Type/MCR/MCID 0/Pg PAGE>>\nendobj\n901 0 obj\n[0]\nendobj\n"
    data = data.replace(old, new).replace(b"/StructTreeRoot/K", b"/StructTreeRoot/RoleMap<</Zelle/TD>>/K")
    text = read(data.replace(b"xref\n0", more + b"xref\n0").replace(b"PAGE", page)).text
    assert "| Pump | It lifts the water from the lower to the upper basin. | Every morning, not on Sundays |" in text
    assert "| Name | What it does | When |" in text


def test_marks_of_another_page_are_not_those_of_this_one() -> None:
    """An element goes on over pages: a mark names the page that it is on, where it is not the element's."""
    elements = ["<</Type/StructElem/S/P/P 5 0 R/Pg 8 0 R/K[0<</Type/MCR/Pg 10 0 R/MCID 1>>]>>"]
    extra = ["<</Type/StructTreeRoot/K[7 0 R]/ParentTree 6 0 R>>", "<</Nums[0[7 0 R]]>>", *elements]
    data = pdf("", "", extra=extra, catalog="/MarkInfo<</Marked true>>/StructTreeRoot 5 0 R")
    assert tags.read(pypdfium2.PdfDocument(data), Objects(data)) == [{0: Mark(0, None)}, {1: Mark(0, None)}]


def test_pages_are_found_in_each_kind_of_tree() -> None:
    """A list of children as an object of its own, and a page that is there twice."""
    extra = ["<</Type/StructTreeRoot/K 6 0 R>>", "<</Type/StructElem/S/P/P 5 0 R/Pg 8 0 R/K 0>>", "[8 0 R 8 0 R]"]
    data = pdf("", extra=extra, catalog="/MarkInfo<</Marked true>>/StructTreeRoot 5 0 R")
    data = data.replace(b"/Kids[8 0 R]/Count 1", b"/Kids 7 0 R /Count 2")
    assert tags.read(pypdfium2.PdfDocument(data), Objects(data)) == [{0: Mark(0, None)}] * 2


def test_a_list_of_children_that_many_elements_share_is_read_once() -> None:
    """Read for each of them, a small file would cost minutes."""
    count, lines = 3_000, prose(5, seed=1)
    kids = " ".join(f"{7 + at} 0 R" for at in range(count))
    elements = [f"<</Type/StructElem/S/P/P 5 0 R/Pg {8 + count} 0 R/K {7 + count} 0 R>>"] * count
    extra = ["<</Type/StructTreeRoot/K[7 0 R]/ParentTree 6 0 R>>", f"<</Nums[0 [{kids}]]>>", *elements, f"[{kids} 0]"]
    catalog = "/MarkInfo<</Marked true>>/StructTreeRoot 5 0 R"
    data = pdf(marked([column(40, 700, lines)]), page="/StructParents 0", extra=extra, catalog=catalog)
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
