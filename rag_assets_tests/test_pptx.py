"""PPTX: slides are pages, read as one looks at them."""

import pytest

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text.formats.office import pptx
from rag_assets_tests import samples

A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
P = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
R = f'xmlns:r="{samples.RELATIONS}"'
EMU = 914_400  # to the inch


def relations(*entries: tuple[str, str, str]) -> str:
    links = "".join(
        f'<Relationship Id="{name}" Type="{samples.RELATIONS}/{kind}" Target="{target}"/>'
        for name, kind, target in entries
    )
    return f'<Relationships xmlns="{samples.PACKAGE}/relationships">{links}</Relationships>'


def deck(*slides: str, notes: str = "", attributes: str = "") -> bytes:
    """Slides of these shapes; the first one has `notes`."""
    ids = "".join(f'<p:sldId id="{at}" r:id="rId{at}"/>' for at in range(1, len(slides) + 1))
    parts: dict[str, str | bytes] = {
        "ppt/presentation.xml": f"<p:presentation {P} {R}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            *((f"rId{at}", "slide", f"s{at}.xml") for at in range(1, len(slides) + 1))
        ),
    }
    for at, shapes in enumerate(slides, 1):
        tree = f"<p:cSld><p:spTree>{shapes}</p:spTree></p:cSld>"
        parts[f"ppt/s{at}.xml"] = f"<p:sld {P} {A} {R} {attributes}>{tree}</p:sld>"
    if notes:
        parts["ppt/_rels/s1.xml.rels"] = relations(("rId1", "notesSlide", "n1.xml"))
        parts["ppt/n1.xml"] = f"<p:notes {P} {A}><p:cSld><p:spTree>{notes}</p:spTree></p:cSld></p:notes>"
    return samples.zipped(samples.office("ppt/presentation.xml", "presentationml.presentation.main", parts))


def shape(*texts: str, role: str = "", place: tuple[float, float] | None = None, properties: str = "") -> str:
    """A shape of these paragraphs, at (top, left) inches."""
    placeholder = f'<p:ph type="{role}"/>' if role else ""
    at = f'<a:xfrm><a:off y="{int(place[0] * EMU)}" x="{int(place[1] * EMU)}"/></a:xfrm>' if place else ""
    paragraphs = "".join(f"<a:p><a:pPr>{properties}</a:pPr><a:r><a:t>{text}</a:t></a:r></a:p>" for text in texts)
    head = f"<p:nvSpPr><p:cNvPr id='1' name=''/><p:nvPr>{placeholder}</p:nvPr></p:nvSpPr><p:spPr>{at}</p:spPr>"
    return f"<p:sp>{head}<p:txBody>{paragraphs}</p:txBody></p:sp>"


def read(data: bytes, limits: Parsing | None = None) -> ParsedText:
    return pptx.parse(data, name="a.pptx", limits=limits or Parsing())


def test_chart_is_read_with_its_figures_and_a_number_that_nobody_counted_is_not() -> None:
    """LibreOffice writes <number> where the slide's number is to stand."""
    number = '<p:txBody><a:p><a:fld type="slidenum"><a:t>&lt;number&gt;</a:t></a:fld></a:p></p:txBody>'
    drawing = "http://schemas.openxmlformats.org/drawingml/2006"
    chart = f'<a:graphicData><c:chart xmlns:c="{drawing}/chart" r:id="rId7"/></a:graphicData>'
    shapes = shape("a") + f"<p:sp>{number}</p:sp><p:graphicFrame><a:graphic>{chart}</a:graphic></p:graphicFrame>"
    entries = samples.unzipped(deck(shapes))
    entries["ppt/_rels/s1.xml.rels"] = relations(("rId7", "chart", "chart.xml")).encode()
    labels, values = (f'<c:pt idx="0"><c:v>{text}</c:v></c:pt>' for text in ("East", "1.5"))
    series = f"<c:ser><c:cat>{labels}</c:cat><c:val><c:numCache>{values}</c:numCache></c:val></c:ser>"
    entries["ppt/chart.xml"] = f'<c:chartSpace xmlns:c="{drawing}/chart">{series}</c:chartSpace>'.encode()
    assert pptx.parse(samples.zipped(entries), name="a.pptx", limits=Parsing()).text.split("\n\n")[:2] == [
        "a",
        "| East | 1.5 |\n| --- | --- |",
    ]


def test_slides_are_pages_under_their_titles() -> None:
    """The title comes first wherever it is in the file; notes come last."""
    notes = shape("say this", role="body")
    parsed = read(deck(shape("text") + shape("One", role="title"), shape("Two", role="ctrTitle"), notes=notes))
    assert parsed.text == "# One\n\ntext\n\nNotes:\n\nsay this\n\n# Two\n\n"
    assert [parsed.text[at : at + 5] for at in parsed.page_offsets] == ["# One", "# Two"]


def test_shapes_are_read_from_top_to_bottom() -> None:
    """Side by side from left to right; a group is read at its place."""
    offset = f'<a:xfrm><a:off y="{2 * EMU}" x="0"/></a:xfrm>'
    group = f"<p:grpSp><p:nvGrpSpPr/><p:grpSpPr>{offset}</p:grpSpPr>{shape('group', place=(0, 0))}</p:grpSp>"
    shapes = shape("last", place=(5, 0)) + group + shape("right", place=(1, 5)) + shape("left", place=(1.1, 1))
    assert read(deck(shapes)).text.split() == ["left", "right", "group", "last"]


def test_paragraphs_of_a_body_are_a_list() -> None:
    """With numbers where the slide has them."""
    numbers = shape("a", "b", properties='<a:buAutoNum type="alphaLcParenR"/>')
    assert read(deck(shape("x", "y", role="body") + numbers)).text == "- x\n- y\n\na) a\nb) b\n\n"


def test_table_and_chosen_alternative_are_read() -> None:
    """Merged cells once; of two alternatives the one with words."""
    text = "<a:tc {}><a:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></a:txBody></a:tc>"
    cells = text.format('gridSpan="2"', "wide") + text.format('hMerge="1"', "")
    rows = f"<a:tr>{cells}</a:tr><a:tr>{text.format('', 'a')}{text.format('', 'b')}</a:tr>"
    table = (
        "<p:graphicFrame><p:nvGraphicFramePr/><a:graphic><a:graphicData>"
        f"<a:tbl>{rows}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    )
    space = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    both = (
        f"<mc:AlternateContent {space}><mc:Choice Requires='x'>{shape('once')}</mc:Choice>"
        f"<mc:Fallback>{shape('once')}</mc:Fallback></mc:AlternateContent>"
    )
    assert read(deck(table + both)).text == "| wide |  |\n| --- | --- |\n| a | b |\n\nonce\n\n"


def test_footers_that_repeat_are_left_out() -> None:
    """Numbers in them do not make them differ; what is on one slide only stays."""
    first = shape("a") + shape("Page 1", role="ftr") + shape("2 May", role="dt")
    assert read(deck(first, shape("b") + shape("Page 2", role="ftr"))).text == "a\n\n2 May\n\nb\n\n"


def test_hidden_slide_is_told_and_too_many_are_refused() -> None:
    """The message has the number and the limit."""
    data = deck(shape("a"), shape("b"), attributes='show="0"')
    assert read(data).warnings == ("the hidden slide 1 is included", "the hidden slide 2 is included")
    with pytest.raises(DocumentError, match=r"2 slides.*max_pages\) is 1") as caught:
        read(data, Parsing(max_pages=1))
    assert caught.value.kind == "too_large"


def test_slides_without_text_are_told() -> None:
    """A deck of pictures is no_text."""
    with pytest.raises(DocumentError) as caught:
        read(deck(""))
    assert caught.value.kind == "no_text"
