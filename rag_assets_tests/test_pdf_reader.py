"""PDF: what is refused says why, and a damaged page leaves the others as they are."""

import io
import random
import re

import pypdf
import pytest

from rag_assets.errors import DocumentError
from rag_assets.settings import Parsing
from rag_assets.text.formats.pdf import reader as pdf_format
from rag_assets_tests.pdf_pages import column, outcome, pdf, prose, read, show
from rag_assets_tests.places import real_documents


def test_a_form_field_without_a_form_is_read() -> None:
    """Its value is in the annotation, as in a page that was taken out of its document."""
    field = "<</Type/Annot/Subtype/Widget/FT/Tx/T(Agency)/V(Department of Gardens)/Rect[140 245 340 265]>>"
    text = read(pdf(show("Name of agency:", 40, 250), extra=[field], page="/Annots[5 0 R]")).text
    assert "Agency: Department of Gardens" in text


def test_form_values_and_comments_are_read() -> None:
    """They are no part of the page's own text."""
    field = "<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(Ada Lovelace)/Rect[100 600 300 620]/F 4>>"
    comment = "<</Type/Annot/Subtype/FreeText/Contents(Please check)/Rect[100 500 300 520]/DA(/F1 10 Tf)>>"
    data = pdf(
        show("Your name", 40, 700), page="/Annots[5 0 R 6 0 R]", extra=[field, comment],
        catalog="/AcroForm<</Fields[5 0 R]/DA(/F1 10 Tf)>>",
    )  # fmt: skip
    assert read(data).text == "Your name\n\nname: Ada Lovelace\n\nPlease check"


def test_comments_on_marked_text_are_read_unless_they_repeat_it() -> None:
    """Fields are named as the form names them to its reader."""
    mark = "<</Type/Annot/Subtype/Highlight/Contents({})/Rect[40 690 99 710]/QuadPoints[40 710 99 710 40 690 99 690]>>"
    field = "<</Type/Annot/Subtype/Widget/FT/Tx/T(f1_01[0])/TU(First name)/V(Ada)/Rect[100 600 300 620]/F 4>>"
    data = pdf(
        show("Ten percent", 40, 700), page="/Annots[5 0 R 6 0 R 7 0 R]",
        extra=[mark.format("Is this so?"), mark.format("Ten  percent"), field], catalog="/AcroForm<</Fields[7 0 R]>>",
    )  # fmt: skip
    assert read(data).text == "Ten percent\n\nIs this so?\n\nFirst name: Ada"


def test_pages_are_where_they_are_said_to_be() -> None:
    """Each page's text begins at its offset, empty pages too."""
    parsed = read(pdf(show("one", 40, 700), "", show("three", 40, 700)))
    assert parsed.text == "one\n\n\n\nthree"
    assert parsed.page_offsets == (0, 5, 7)


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
        (scan("Received 2024-01-05", "2"), "no_text"),
        (b"%PDF-1.4\n" + b"1 0 obj\n<<>>\nendobj\n" * 3, "corrupt"),
        (pdf(show("one", 40, 700))[:200], "corrupt"),
    ],
)
def test_document_is_refused_when_there_is_nothing_to_read(data: bytes, kind: str) -> None:
    """With the kind that tells what to do, and the file's name."""
    with pytest.raises(DocumentError, match=r"a\.pdf") as caught:
        read(data)
    assert caught.value.kind == kind


def test_one_page_is_counted_as_one() -> None:
    """In what is said of a document without text."""
    with pytest.raises(DocumentError, match="1 page, 0 characters of text: run OCR on it first"):
        read(pdf(""))


def test_short_document_is_no_scan() -> None:
    """Few words, and no picture behind them."""
    assert read(pdf(show("Yes.", 40, 700), show("No.", 40, 700))).text == "Yes.\n\nNo."


def test_page_that_is_a_picture_is_named_when_others_have_text() -> None:
    """It is not lost in silence."""
    long = " ".join(prose(2, seed=12))
    parsed = read(scan(long, "Seen", long))
    assert parsed.warnings == ("1 page is a picture: run OCR on it first (2)",)


def test_page_is_left_out_when_nobody_can_read_it() -> None:
    """The others are read, and a warning says which one is missing."""
    data = pdf(show("one", 40, 700), show("two", 40, 700), show("three", 40, 700))
    parsed = read(data.replace(b"/Kids[5 0 R 7 0 R", b"/Kids[5 0 R 99 0 R"))
    assert parsed.text == "one\n\n\n\nthree"
    assert parsed.warnings[0].startswith("page 2:")
    assert parsed.page_offsets == (0, 5, 7)


@pytest.mark.parametrize(("password", "ends"), [("", "Secret"), ("open sesame", "encrypted")])
def test_document_is_read_when_only_its_owner_has_a_password(password: str, ends: str) -> None:
    """One that needs a password to be opened is refused as such."""
    writer = pypdf.PdfWriter(io.BytesIO(pdf(show("Secret", 40, 700))))
    writer.encrypt(password, "owner", algorithm="RC4-128")
    data = io.BytesIO()
    writer.write(data)
    assert outcome(data.getvalue()) == ends


def test_text_is_read_wherever_it_stands() -> None:
    """Places that no page has, and sizes that no eye sees, stop nobody."""
    strange = show("far", 1e30, 1e30) + show("deep", -1e9, 5) + show("tiny", 1, 1, size=1e-9) + "nan nan m 1 nan l S\n"
    assert "near" in read(pdf(strange + "1e38 0 m 1e38 1e38 l S\n" + show("near", 40, 700))).text


def test_limits_are_named_when_a_document_is_too_large() -> None:
    """Pages and characters, with the number, the limit and its setting."""
    data = pdf(*[column(40, 700, prose(5, seed=n)) for n in range(4)])
    with pytest.raises(DocumentError, match=r"4 pages; the limit \(parsing\.max_pages\) is 3") as caught:
        read(data, max_pages=3)
    assert caught.value.kind == "too_large"
    with pytest.raises(DocumentError, match=r"over 100 characters in 1 page \(the limit is parsing\.max_characters\)"):
        read(data, max_characters=100)


def bent(data: bytes, rng: random.Random) -> bytes:
    """A few wrong bytes, or a few wrong numbers."""
    changed = bytearray(data)
    for _ in range(20):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    if rng.random() < 0.5:
        return bytes(changed)
    numbers = [b"-1", b"0", b"99999999999", b"1e38", b"0.0000001"]
    return re.sub(rb"\d+", lambda found: rng.choice(numbers) if rng.random() < 0.01 else found[0], data)


def test_bent_documents_are_read_or_refused() -> None:
    """Whatever a few wrong bytes make of real documents, nothing but text or a DocumentError comes out."""
    rng = random.Random(7)
    files = [file for file in real_documents(".pdf") if 0 < file.stat().st_size < 100_000]
    texts, kinds = [], []
    for file in [*files, *files[:1] * 20]:
        try:
            texts.append(pdf_format.parse(bent(file.read_bytes(), rng), name="a.pdf", limits=Parsing()).text)
        except DocumentError as exc:
            kinds.append(exc.kind)
    assert texts  # most are read in spite of them
    assert kinds
