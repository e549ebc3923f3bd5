"""Parts of Office documents: those of charts, the strict form, and code."""

from rag_assets_tests import samples
from rag_assets_tests.docx_pages import document, styled, text_of
from rag_assets_tests.samples import W, paragraph


def test_charts_and_diagrams_are_read_from_their_own_parts() -> None:
    """Below the paragraph that they stand in; a chart with its figures."""
    drawing = "http://schemas.openxmlformats.org/drawingml/2006"
    spaces = f'xmlns:c="{drawing}/chart" xmlns:a="{drawing}/main"'

    def points(name: str, *values: str) -> str:
        inner = "".join(f'<c:pt idx="{n}"><c:v>{value}</c:v></c:pt>' for n, value in enumerate(values))
        return f"<c:{name}>{inner}</c:{name}>"

    series = (
        f"<c:ser><c:tx>{points('strCache', 'Q1')}</c:tx><c:cat>{points('strCache', 'East', 'West')}</c:cat>"
        f"<c:val>{points('numCache', '1.50', '0.30000000000000004')}</c:val></c:ser>"
    )
    title = "<c:title><a:p><a:r><a:t>Growth</a:t></a:r></a:p></c:title>"
    diagram = f'<d:dataModel xmlns:d="{drawing}/diagram" {spaces}><a:p><a:r><a:t>Plan</a:t></a:r></a:p></d:dataModel>'
    body = (
        f'<w:p><w:r><w:t>See</w:t><w:drawing><c:chart {spaces} r:id="partchart"/></w:drawing></w:r></w:p>'
        f'<w:p><w:r><d:relIds xmlns:d="{drawing}/diagram" r:dm="partdiagramData"/></w:r></w:p>'
    )
    parts = {"chart": f"<c:chartSpace {spaces}>{title}{series}</c:chartSpace>", "diagramData": diagram}
    table = "|  | Q1 |\n| --- | --- |\n| East | 1.5 |\n| West | 0.3 |"
    assert text_of(document(body, parts=parts)) == f"See\n\nGrowth\n\n{table}\n\nPlan\n"


def test_strict_form_and_code_are_read() -> None:
    """ISO 29500 strict has other names for the same; lines of code share a fence."""
    styles = (
        f'<w:styles {W}><w:style w:styleId="C" w:type="paragraph"><w:name w:val="Source Code"/></w:style></w:styles>'
    )
    made = document(styled("C", "if x:") + styled("C", "    y") + paragraph("end"), parts={"styles": styles})
    strict = {
        name: data.replace(b"http://schemas.openxmlformats.org/wordprocessingml/2006/main",
                           b"http://purl.oclc.org/ooxml/wordprocessingml/main")
        for name, data in samples.unzipped(made).items()
    }  # fmt: skip
    assert text_of(samples.zipped(strict)) == "```\nif x:\n    y\n```\n\nend\n"
