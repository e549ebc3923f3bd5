"""DOCX: lists have the numbers that Word shows."""

from rag_assets_tests.docx_pages import document, numbered, text_of
from rag_assets_tests.samples import W


def test_list_numbers_are_those_that_word_shows() -> None:
    """Formats, levels within levels, restart by a list of its own."""
    level = '<w:lvl w:ilvl="{}"><w:start w:val="{}"/><w:numFmt w:val="{}"/><w:lvlText w:val="{}"/></w:lvl>'
    numbering = (
        f'<w:numbering {W}><w:abstractNum w:abstractNumId="7">{level.format(0, 1, "decimal", "%1.")}'
        f'{level.format(1, 1, "lowerLetter", "%1.%2)")}</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="7"/>'
        '</w:num><w:num w:numId="2"><w:abstractNumId w:val="7"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="9"/>'
        "</w:lvlOverride></w:num></w:numbering>"
    )
    body = numbered("a") + numbered("b", level=1) + numbered("c", level=1) + numbered("d") + numbered("e", level=1)
    text = text_of(document(body + numbered("f", number=2), parts={"numbering": numbering}))
    assert text == "1. a\n  1.a) b\n  1.b) c\n2. d\n  2.a) e\n9. f\n"
