"""XLSX: sheets are pages, and cells say what a reader sees."""

import pytest

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text.formats.office import xlsx
from rag_assets_tests import samples

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def workbook(
    *sheets: str, names: tuple[str, ...] = ("One", "Two"), formats: tuple[str, ...] = (), state: str = ""
) -> bytes:
    """Sheets of these rows; cell styles 1, 2 ... are `formats`; `state` is the last sheet's."""
    links, listed, parts = [], [], {}
    for at, rows in enumerate(sheets, 1):
        hidden = f' state="{state}"' if state and at == len(sheets) else ""
        listed.append(f'<sheet name="{names[at - 1]}" sheetId="{at}" r:id="rId{at}"{hidden}/>')
        links.append(f'<Relationship Id="rId{at}" Type="{samples.RELATIONS}/worksheet" Target="s{at}.xml"/>')
        parts[f"xl/s{at}.xml"] = f"{samples.XML}<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>"
    for kind in ("sharedStrings", "styles"):
        links.append(f'<Relationship Id="{kind}" Type="{samples.RELATIONS}/{kind}" Target="{kind}.xml"/>')
    codes = "".join(f'<numFmt numFmtId="{200 + n}" formatCode="{code}"/>' for n, code in enumerate(formats))
    styles = "".join(f'<xf numFmtId="{200 + n}"/>' for n in range(len(formats)))
    parts["xl/styles.xml"] = (
        f"<styleSheet {MAIN}><numFmts>{codes}</numFmts><cellXfs><xf/>{styles}</cellXfs></styleSheet>"
    )
    parts["xl/sharedStrings.xml"] = f"<sst {MAIN}><si><t>plain</t></si><si><r><t>ri</t></r><r><t>ch</t></r></si></sst>"
    parts["xl/workbook.xml"] = (
        f'{samples.XML}<workbook {MAIN} xmlns:r="{samples.RELATIONS}"><sheets>{"".join(listed)}</sheets></workbook>'
    )
    parts["xl/_rels/workbook.xml.rels"] = (
        f'<Relationships xmlns="{samples.PACKAGE}/relationships">{"".join(links)}</Relationships>'
    )
    return samples.zipped(samples.office("xl/workbook.xml", "spreadsheetml.sheet.main", parts))


def read(data: bytes, limits: Parsing | None = None) -> ParsedText:
    return xlsx.parse(data, name="a.xlsx", limits=limits or Parsing())


def strings(number: int, *texts: str) -> str:
    cells = "".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in texts)
    return f'<row r="{number}">{cells}</row>'


def test_sheets_are_pages_with_their_names_as_headings() -> None:
    """A hidden one is told."""
    parsed = read(workbook(strings(1, "a", "b"), strings(1, "c", "d"), state="hidden"))
    assert parsed.text == "# One\n\n| a | b |\n| --- | --- |\n\n# Two\n\n| c | d |\n| --- | --- |\n"
    assert [parsed.text[at : at + 5] for at in parsed.page_offsets] == ["# One", "# Two"]
    assert "Two" in parsed.warnings[0]


def test_cells_of_every_type_are_read() -> None:
    """Shared and rich strings, truth, errors, formulas with their result or, without one, themselves."""
    row = (
        '<row><c t="s"><v>0</v></c><c t="s"><v>1</v></c><c t="b"><v>1</v></c><c t="e"><v>#N/A</v></c>'
        '<c><f>A1*2</f><v>0.30000000000000004</v></c><c t="str"><f>T(1)</f><v>x</v></c><c><f>SUM(A:A)</f></c></row>'
    )
    assert "| plain | rich | TRUE | #N/A | 0.3 | x | =SUM(A:A) |" in read(workbook(row)).text


def test_formula_is_read_where_its_result_is_an_empty_element() -> None:
    """As libraries write it; the empty text is a result."""
    row = '<row><c><v>7</v></c><c><f>A1*2</f><v></v></c><c><f>A1*3</f><v/></c><c t="str"><f>T(1)</f><v></v></c></row>'
    assert "| 7 | =A1*2 | =A1*3 |\n" in read(workbook(row)).text


def test_formats_are_those_of_the_cells_style() -> None:
    """By the style's place in the workbook."""
    row = '<row><c s="1"><v>0.5</v></c><c s="2"><v>45000</v></c><c s="9"><v>7</v></c></row>'
    assert "| 50% | 15.03.2023 | 7 |" in read(workbook(row, formats=("0%", "dd.mm.yyyy"))).text


def test_title_stands_above_its_table_and_empty_rows_divide() -> None:
    """Each table has a header of its own, columns that are not used are left out."""
    far = '<row r="3"><c r="C3"><v>1</v></c><c r="ZZ3"><v>2</v></c></row><row r="4"><c r="C4"><v>3</v></c></row>'
    second = strings(9, "x", "y") + strings(10, "1", "2")
    text = read(workbook(strings(2, "Title") + far + second)).text
    assert text == ("# One\n\nTitle\n\n| 1 | 2 |\n| --- | --- |\n| 3 |  |\n\n| x | y |\n| --- | --- |\n| 1 | 2 |\n")


def test_too_much_text_is_refused() -> None:
    """While it is read, with the limit in the message."""
    rows = "".join(strings(number, "text", "more") for number in range(1, 500))
    with pytest.raises(DocumentError, match="max_characters") as caught:
        read(workbook(rows), Parsing(max_characters=1_000))
    assert caught.value.kind == "too_large"


def test_workbook_without_text_is_told() -> None:
    """Empty sheets are no document."""
    with pytest.raises(DocumentError, match="1 sheet without any text") as caught:
        read(workbook("<row/>"))
    assert caught.value.kind == "no_text"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("First line_x000D_second", "First line second"),
        ("a_x000d_\nb", "a b"),
        ("_x005F_x000D_", "_x000D_"),
        ("_xD83D__xDE00_", "😀"),
        ("snake_x_case_x00", "snake_x_case_x00"),
        ("tab_x0009_stop", "tab stop"),
    ],
)
@pytest.mark.parametrize("cell", ['<c t="inlineStr"><is><t>{}</t></is></c>', '<c t="str"><f>T(1)</f><v>{}</v></c>',
                                  '<c t="inlineStr"><is><r><t>{}</t></r></is></c>'])  # fmt: skip
def test_characters_are_read_when_they_are_escaped(cell: str, text: str, shown: str) -> None:
    """What XML cannot hold is written as _xHHHH_, and an underscore that would look so, too."""
    assert f"| {shown} | b |" in read(workbook(f"<row>{cell.format(text)}<c t='str'><v>b</v></c></row>")).text
