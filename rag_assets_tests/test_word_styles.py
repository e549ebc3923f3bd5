"""DOCX: what is a heading or code is told by styles, or by looks where no style tells."""

from rag_assets_tests import samples
from rag_assets_tests.docx_pages import document, styled, text_of
from rag_assets_tests.samples import W, paragraph


def cell(inner: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{inner}</w:tc>"


def row(*cells: str) -> str:
    return f"<w:tr>{''.join(cells)}</w:tr>"


def test_heading_is_found_through_based_on_and_localised_ids() -> None:
    """An outline level counts wherever it comes from; a custom style is told by its name."""
    styles = (
        f'<w:styles {W}><w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="Own"><w:name w:val="Own"/><w:basedOn w:val="berschrift1"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="HeadB"><w:name w:val="HeadB"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="Loop"><w:name w:val="Loop"/><w:basedOn w:val="Loop"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="Titel"><w:name w:val="Title"/></w:style></w:styles>'
    )
    direct = '<w:p><w:pPr><w:outlineLvl w:val="3"/></w:pPr><w:r><w:t>direct</w:t></w:r></w:p>'
    names = ("berschrift1", "Own", "HeadB", "Loop", "Titel")
    body = "".join(styled(name, name.lower()) for name in names) + direct
    text = text_of(document(body, parts={"styles": styles}))
    assert text == "# berschrift1\n\n# own\n\n### headb\n\nloop\n\n# titel\n\n#### direct\n"


def test_bold_paragraphs_are_headings_where_no_style_makes_any() -> None:
    """Short ones that are no sentence, as far as most of the text is not bold."""

    def bold(text: str) -> str:
        return f"<w:p><w:r><w:rPr><w:b/></w:rPr><w:t>{text}</w:t></w:r></w:p>"

    body = (
        bold("First part") + samples.paragraph(samples.SENTENCE) + bold("Mind this.") + samples.paragraph("more " * 20)
    )
    assert text_of(document(body)).startswith("## First part\n\n")
    assert "\n\nMind this.\n\n" in text_of(document(body))
    styled_too = styled("Heading1", "A") + styled("Heading1", "B")
    assert "\n\nFirst part\n\n" in text_of(document(styled_too + body))
    assert text_of(document(bold("First part") + bold("Second part"))) == "First part\n\nSecond part\n"


def typed(text: str, font: str = "Courier New") -> str:
    run = f'<w:rPr><w:rFonts w:ascii="{font}"/></w:rPr><w:t xml:space="preserve">{text}</w:t>'
    return f"<w:p><w:r>{run}</w:r></w:p>"


def test_paragraphs_in_letters_of_one_width_are_code() -> None:
    """Unless most of a document is: then it is typewritten."""
    code = typed("if x:") + typed("    y", "DejaVu Sans Mono")
    assert text_of(document(paragraph("What to run: ") + code)) == "What to run:\n\n```\nif x:\n    y\n```\n"
    assert text_of(document(code + paragraph("end"))) == "if x:\n\ny\n\nend\n"
    equation = "<w:p><m:oMath><m:r><m:t>x</m:t></m:r></m:oMath></w:p>"
    assert text_of(document(paragraph("An equation: ") + equation)) == "An equation:\n\nx\n"
    assert text_of(document(f"<w:tbl>{row(cell(typed('ls  -l')), cell(paragraph('lists')))}</w:tbl>")) == (
        "| ls -l | lists |\n| --- | --- |\n"
    )
