"""PDF: reading order, headings, tables and whole words, and refusals that say why."""

import random
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import parsing

CORPUS = Path(__file__).parents[2] / "shared" / "corpus" / "pdf"
WORDS = "the pump shows an error when no water comes through its valve and the filter holds sand".split()  # noqa: SIM905


def show(text: str, x: float, y: float, *, size: float = 10, font: str = "F1", turn: str = "1 0 0 1") -> str:
    escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"BT /{font} {size} Tf {turn} {x} {y} Tm ({escaped}) Tj ET\n"


def column(x: float, y: float, lines: Sequence[str], *, leading: float = 12) -> str:
    return "".join(show(line, x, y - leading * n) for n, line in enumerate(lines))


def pdf(*pages: str, page: str = "", extra: Sequence[str] = (), catalog: str = "") -> bytes:
    """A document of content streams; `page` adds to each page's dictionary, `extra` are objects from number 5 on."""
    fonts = [f"<</Type/Font/Subtype/Type1/BaseFont/{name}>>" for name in ("Helvetica", "Helvetica-Bold")]
    first = 5 + len(extra)
    kids = " ".join(f"{first + 2 * n} 0 R" for n in range(len(pages)))
    objects = [f"<</Type/Catalog/Pages 2 0 R {catalog}>>", f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>", *fonts]
    objects += extra
    for n, content in enumerate(pages):
        box = "/MediaBox[0 0 600 800]/Resources<</Font<</F1 3 0 R/F2 4 0 R>>>>"
        objects.append(f"<</Type/Page/Parent 2 0 R {box}/Contents {first + 2 * n + 1} 0 R {page}>>")
        objects.append(f"<</Length {len(content)}>>stream\n{content}endstream")
    data, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(data)}\n%%EOF"
    return data + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode()


def read(data: bytes, **limits: int) -> ParsedText:
    return parsing.parse(data, name="a.pdf", limits=Parsing(**limits))


def prose(count: int, *, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=7)) for _ in range(count)]


def test_columns_are_read_one_after_the_other() -> None:
    """Also when the file draws them line by line, and below a heading that runs across."""
    left, right = prose(12, seed=1), prose(12, seed=2)
    lines = [
        show(a, 40, 700 - 12 * n) + show(b, 320, 700 - 12 * n) for n, (a, b) in enumerate(zip(left, right, strict=True))
    ]
    text = read(pdf(show("All about pumps and how they are kept", 40, 750, size=24) + "".join(lines))).text
    assert text == f"# All about pumps and how they are kept\n\n{chr(10).join(left)}\n\n{chr(10).join(right)}"


def test_words_are_made_whole_when_lines_break_them() -> None:
    """Over lines, columns and pages; a compound that the document writes with a hyphen elsewhere keeps it."""
    first = column(40, 700, ["A well-known way to main-", "tain a pump is a well-", "known thing that saves elec-"])
    assert read(pdf(first, column(40, 700, ["tricity and money."]))).text == (
        "A well-known way to maintain\na pump is a well-known\nthing that saves electricity\n\nand money."
    )


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


def test_headings_have_levels_by_size_and_weight() -> None:
    """The largest is the first level; bold lines of the text's own size come after all larger ones."""
    text = read(
        pdf(
            show("Pumps", 40, 760, size=20)
            + show("Care", 40, 720, size=14)
            + column(40, 690, prose(8, seed=3))
            + show("Every month", 40, 570, font="F2")
            + column(40, 545, prose(8, seed=4))
        )
    ).text
    assert [line for line in text.splitlines() if line.startswith("#")] == ["# Pumps", "## Care", "### Every month"]


def test_outline_names_headings() -> None:
    """A line that is a title of the outline has its level, whatever it looks like."""
    items = [
        "<</First 6 0 R/Last 6 0 R/Count 1>>",
        "<</Title(1 Pumps)/Parent 5 0 R/First 7 0 R/Last 7 0 R/Count 1>>",
        "<</Title(1.1 Care)/Parent 6 0 R>>",
    ]
    data = pdf(column(40, 700, ["1 Pumps", "1.1 Care", *prose(9, seed=5)]), extra=items, catalog="/Outlines 5 0 R")
    assert read(data).text.startswith("# 1 Pumps\n\n## 1.1 Care\n\n")


def test_running_lines_stay_on_the_first_page_only() -> None:
    """Digits apart; what is not repeated stays wherever it stands."""
    pages = [
        show(f"Manual of pumps - {n}", 40, 780) + column(40, 700, prose(5, seed=n)) + show(f"Page {n} of 4", 250, 20)
        for n in (1, 2, 3, 4)
    ]
    text = read(pdf(*pages)).text
    assert (text.count("Manual of pumps"), text.count("of 4")) == (1, 1)
    assert "Note 7" in read(pdf(*pages[:3], pages[3] + show("Note 7", 40, 795))).text


@pytest.mark.parametrize("turn", ["0 1 -1 0", "0 -1 1 0", "-1 0 0 -1"])
def test_turned_text_is_read_in_its_own_direction(turn: str) -> None:
    """Lines in their order, whichever way the whole page is turned."""
    steps = {"0 1 -1 0": (14, 0), "0 -1 1 0": (-14, 0), "-1 0 0 -1": (0, 14)}[turn]
    lines = prose(5, seed=6)
    drawn = "".join(show(line, 300 + n * steps[0], 300 + n * steps[1], turn=turn) for n, line in enumerate(lines))
    assert read(pdf(drawn)).text == "\n".join(lines)


def test_form_values_and_comments_are_read() -> None:
    """They are no part of the page's own text."""
    field = "<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(Ada Lovelace)/Rect[100 600 300 620]/F 4>>"
    comment = "<</Type/Annot/Subtype/FreeText/Contents(Please check)/Rect[100 500 300 520]/DA(/F1 10 Tf)>>"
    data = pdf(
        show("Your name", 40, 700), page="/Annots[5 0 R 6 0 R]", extra=[field, comment],
        catalog="/AcroForm<</Fields[5 0 R]/DA(/F1 10 Tf)>>",
    )  # fmt: skip
    assert read(data).text == "Your name\n\nname: Ada Lovelace\n\nPlease check"


def test_pages_are_where_they_are_said_to_be() -> None:
    """Each page's text begins at its offset, empty pages too."""
    parsed = read(pdf(show("one", 40, 700), "", show("three", 40, 700)))
    assert parsed.text == "one\n\n\n\nthree"
    assert parsed.page_offsets == (0, 5, 7)


def test_letters_printed_twice_are_read_once() -> None:
    """Some printers make bold letters so."""
    assert read(pdf(show("Total", 40, 700) + show("Total", 40.4, 700))).text == "Total"


IMAGE = (
    "<</Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8/Length 1>>"
    "stream\nx\nendstream"
)


def scan(*stamps: str) -> bytes:
    """Pages that an image fills, with few words on them."""
    pages = ["q 600 0 0 800 0 0 cm /Im Do Q\n" + show(stamp, 40, 700) for stamp in stamps]
    data = pdf(*pages, extra=[IMAGE])
    return data.replace(b"/Resources<<", b"/Resources<</XObject<</Im 5 0 R>>")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (pdf(""), "no_text"),
        (scan("Seen", "Seen"), "no_text"),
        (b"%PDF-1.4\n" + b"1 0 obj\n<<>>\nendobj\n" * 3, "corrupt"),
        (pdf(show("one", 40, 700))[:200], "corrupt"),
    ],
)
def test_document_is_refused_when_there_is_nothing_to_read(data: bytes, kind: str) -> None:
    """With the kind that tells what to do, and the file's name."""
    with pytest.raises(DocumentError, match=r"a\.pdf") as caught:
        read(data)
    assert caught.value.kind == kind


def test_short_document_is_no_scan() -> None:
    """Few words, and no picture behind them."""
    assert read(pdf(show("Yes.", 40, 700), show("No.", 40, 700))).text == "Yes.\n\nNo."


def test_limits_are_named_when_a_document_is_too_large() -> None:
    """Pages and characters, with the number, the limit and its setting."""
    data = pdf(*[column(40, 700, prose(5, seed=n)) for n in range(4)])
    with pytest.raises(DocumentError, match=r"4 pages; the limit \(parsing\.max_pages\) is 3") as caught:
        read(data, max_pages=3)
    assert caught.value.kind == "too_large"
    with pytest.raises(DocumentError, match=r"over 100 characters in 1 pages \(the limit is parsing\.max_characters\)"):
        read(data, max_characters=100)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="../shared/corpus is not there")
def test_bent_documents_are_read_or_refused() -> None:
    """Whatever a few wrong bytes make of real documents, nothing but text or a DocumentError comes out."""
    rng = random.Random(7)
    files = [file for file in sorted(CORPUS.glob("*.pdf")) if file.stat().st_size < 200_000]
    for file in rng.sample(files, min(12, len(files))):
        data = bytearray(file.read_bytes())
        for _ in range(20):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with suppress(DocumentError):
            assert isinstance(read(bytes(data)).text, str)
