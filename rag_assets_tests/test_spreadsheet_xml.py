"""A workbook in one file of XML, as Excel 2003 wrote it."""

from rag_assets_tests.reading import read


def test_workbook_in_one_xml_file() -> None:
    """Rows and cells stand where they say, whatever the name of the file."""
    space = "urn:schemas-microsoft-com:office:spreadsheet"

    def cell(text: str, place: str = "") -> str:
        return f'<Cell{place}><Data ss:Type="String">{text}</Data></Cell>'

    third, wide = ' ss:Index="3"', ' ss:MergeAcross="1"'
    rows = [
        f"<Row>{cell('Part')}{cell('Price')}{cell('Due')}</Row>",
        f"<Row>{cell('Pump')}{cell('2026-01-31T00:00:00.000', third)}</Row>",
        f'<Row ss:Index="9">{cell("a|b", wide)}{cell("c")}</Row>',
    ]
    sheet = f'<Worksheet ss:Name="Stock"><Table>{"".join(rows)}</Table></Worksheet>'
    parsed = read(f'<?xml version="1.0"?><Workbook xmlns="{space}" xmlns:ss="{space}">{sheet}</Workbook>', "stock.xls")
    assert parsed.text == (
        "# Stock\n\n| Part | Price | Due |\n| --- | --- | --- |\n| Pump |  | 2026-01-31 |\n\n"
        "| a\\|b | c |\n| --- | --- |"
    )
