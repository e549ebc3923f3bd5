"""Workbooks of Excel and LibreOffice, and Office files whose properties are broken."""

from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from rag_assets_tests import samples
from rag_assets_tests.samples import PACKAGE, RELATIONS, XML
from rag_assets_tests.siblings.sibling import Sibling, sibling

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
Cell = str | tuple[float, int]  # words, or a number and which of the formats it has, from 1 on
OFFICE = "application/vnd.openxmlformats-officedocument"
MEDIA = "application/vnd.oasis.opendocument.spreadsheet"


def workbook(
    rows: Sequence[Sequence[Cell]],
    *,
    formats: Sequence[str] = (),
    from_1904: bool = False,
    parts: Mapping[str, str | bytes] | None = None,
    before: Mapping[str, str | bytes] | None = None,
    shared: Sequence[str] = (),
) -> bytes:
    """`shared` are items of the shared strings, in XML: each has a row behind `rows`."""
    lines = [f"<row>{''.join(map(_cell, row))}</row>" for row in rows]
    lines += [f'<row><c t="s"><v>{at}</v></c></row>' for at in range(len(shared))]
    codes = "".join(f'<numFmt numFmtId="{164 + at}" formatCode={quoteattr(code)}/>' for at, code in enumerate(formats))
    used = "".join(f'<xf numFmtId="{164 + at}" applyNumberFormat="1"/>' for at in range(len(formats)))
    styles = f'<numFmts count="{len(formats)}">{codes}</numFmts><cellXfs><xf numFmtId="0"/>{used}</cellXfs>'
    kinds = {"worksheet": "worksheets/sheet1.xml", "styles": "styles.xml", "sharedStrings": "sharedStrings.xml"}
    relations = "".join(
        f'<Relationship Id="rId{at}" Type="{RELATIONS}/{kind}" Target="{target}"/>'
        for at, (kind, target) in enumerate(kinds.items(), start=1)
    )
    dates = '<workbookPr date1904="1"/>' if from_1904 else ""
    sheets = '<sheets><sheet name="Plan" sheetId="1" r:id="rId1"/></sheets>'
    entries: dict[str, str | bytes] = {
        "xl/workbook.xml": f'{XML}<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}">{dates}{sheets}</workbook>',
        "xl/_rels/workbook.xml.rels": f'{XML}<Relationships xmlns="{PACKAGE}/relationships">'
        f"{relations}</Relationships>",
        "xl/worksheets/sheet1.xml": f'{XML}<worksheet xmlns="{MAIN}"><sheetData>'
        f"{''.join(lines)}</sheetData></worksheet>",
        "xl/styles.xml": f'{XML}<styleSheet xmlns="{MAIN}">{styles}</styleSheet>',
        "xl/sharedStrings.xml": f'{XML}<sst xmlns="{MAIN}">{"".join(f"<si>{item}</si>" for item in shared)}</sst>',
    }
    main = samples.office("xl/workbook.xml", "spreadsheetml.sheet.main", entries)
    return samples.zipped({**(before or {}), **main, **(parts or {})})


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(cell)}</t></is></c>'
    return f'<c s="{cell[1]}"><v>{cell[0]}</v></c>'


def escapes() -> Iterator[Sibling]:
    """_xHHHH_ is a character, and _x005F_ the underline that keeps one from being that."""
    unwanted = ["_x000D_", "_x000A_", "_x0009_"]
    yield sibling(
        "inline.xlsx", workbook([["Part", "Remark"], ["Bolt", "one_x000D_\ntwo"]]), "one two", absent=unwanted
    )
    rich = "<r><t>red_x000D_</t></r><r><rPr><b/></rPr><t>\nblue</t></r>"
    yield sibling("rich_runs.xlsx", workbook([["Part"]], shared=[rich]), "red blue", absent=unwanted)
    yield sibling(
        "line_feed.xlsx", workbook([["Part", "Remark"], ["Nut", "upper_x000A_lower"]]), "upper lower", absent=unwanted
    )
    yield sibling(
        "tab.xlsx", workbook([["Part", "Remark"], ["Nut", "left_x0009_right"]]), "left right", absent=unwanted
    )
    shared = "<t>name_x005F_x000D_end</t>"
    yield sibling("kept.xlsx", workbook([["Part"]], shared=[shared]), "name_x000D_end")
    yield sibling(
        "lower_case.xlsx", workbook([["Part"]], shared=["<t>first_x000d_\nlast</t>"]), "first last", absent=["_x000d_"]
    )
    yield sibling(
        "letter.xlsx", workbook([["Head_x000D_\ner", "Gr_x00FC_n"], ["a", "b"]]), "Head er", "Grün", absent=unwanted
    )


def conditions() -> Iterator[Sibling]:
    """The section of a number format whose condition the number meets."""

    def shown(name: str, code: str, *pairs: tuple[float, str]) -> Sibling:
        rows: list[list[Cell]] = [["What", "Much"]]
        rows += [[f"row{at}", (number, 1)] for at, (number, _) in enumerate(pairs)]
        wanted = [[f"row{at}", text] for at, (_, text) in enumerate(pairs)]
        return sibling(f"{name}.xlsx", workbook(rows, formats=[code]), rows=wanted)

    yield shown("thousands", '[>=1000]#,##0.0,"K";0', (2500, "2.5K"), (7, "7"))
    yield shown("yes_no", '[=1]"yes";[=0]"no";0.00', (1, "yes"), (0, "no"), (4, "4.00"))
    yield shown("three", "[<10]0.00;[<100]0.0;0", (3.14159, "3.14"), (31.4159, "31.4"), (314.159, "314"))
    yield shown(
        "colours", '[Red][<0]"minus "0;[Blue][>100]"many "0;0.0', (-5, "minus 5"), (250, "many 250"), (3, "3.0")
    )
    yield shown("words", '[>100]"high";[<=100]"low"', (101, "high"), (100, "low"))
    yield shown("plural", '[=1]0" day";0" days"', (1, "1 day"), (3, "3 days"))
    yield shown("millions", '[>=1000000]0.0,,"M";[>=1000]0.0,"k";0', (3500000, "3.5M"), (1500, "1.5k"), (12, "12"))


def durations() -> Iterator[Sibling]:
    """Durations and times of day in workbooks that count from 1904."""

    def shown(name: str, code: str, number: float, text: str, *, absent: Sequence[str] = ()) -> Sibling:
        data = workbook([["What", "Time"], ["shift", (number, 1)]], formats=[code], from_1904=True)
        return sibling(f"{name}.xlsx", data, rows=[["shift", text]], absent=absent)

    yield shown("hours_seconds", "[h]:mm:ss", 2.25, "54:00:00")
    yield shown("minutes", "[mm]:ss", 0.0625, "90:00")
    yield shown("seconds", "[ss]", 0.001, "86")
    yield shown("two_digits", "[hh]:mm", 0.375, "09:00")
    yield shown("time_of_day", "h:mm", 0.75, "18:00", absent=["1904"])
    yield shown("date", "yyyy-mm-dd", 44000, "2024-06-19")
    yield shown("date_and_time", "dd.mm.yyyy hh:mm", 44000.5, "19.06.2024 12:00")


def _declared(data: bytes, extension: str, kind: str) -> dict[str, bytes]:
    """The parts of an Office file that says what kind embedded files of an extension have."""
    parts = samples.unzipped(data)
    default = f'<Default Extension="{extension}" ContentType="{OFFICE}.{kind}"/><Override'
    parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(b"<Override", default.encode(), 1)
    return parts


def embedded() -> Iterator[Sibling]:
    """Office files within Office files, before and behind the parts of the outer one, declared and not."""
    rows: list[list[Cell]] = [["Part", "Bin"], ["Bolt", "Seven"]]
    yield sibling(
        "document_in_workbook.xlsx", workbook(rows, parts={"xl/embeddings/a.docx": samples.docx()}), "Bolt", "Seven"
    )
    slides = {"xl/embeddings/Microsoft_PowerPoint_Presentation1.pptx": samples.pptx()}
    yield sibling("slides_first.xlsx", workbook(rows, before=slides), rows=[["Bolt", "Seven"]])
    entries = {name: body for name, body in samples.unzipped(samples.pptx()).items()}
    yield sibling(
        "workbook_in_slides.pptx",
        samples.zipped({"ppt/embeddings/a.xlsx": workbook(rows), **entries}),
        samples.SENTENCE,
    )
    entries = {name: body for name, body in samples.unzipped(samples.docx()).items()}
    inner = {"word/embeddings/a.pptx": samples.pptx(), "word/embeddings/b.xlsx": workbook(rows)}
    yield sibling("slides_in_document.docx", samples.zipped({**entries, **inner}), samples.SENTENCE)
    yield sibling("both_before.docx", samples.zipped({**inner, **entries}), samples.SENTENCE)
    sheets = _declared(workbook(rows), "pptx", "presentationml.presentation")
    yield sibling(
        "declared.xlsx", samples.zipped({**sheets, "xl/embeddings/a.pptx": samples.pptx()}), rows=[["Bolt", "Seven"]]
    )
    letter = _declared(samples.docx(), "pptx", "presentationml.presentation")
    yield sibling(
        "declared.docx", samples.zipped({**letter, "word/embeddings/a.pptx": samples.pptx()}), samples.SENTENCE
    )
    shown = _declared(samples.pptx(), "docx", "wordprocessingml.document")
    yield sibling("declared.pptx", samples.zipped({**shown, "ppt/embeddings/a.docx": samples.docx()}), samples.SENTENCE)
    macros = _declared(workbook(rows), "pptm", "presentationml.presentation.main")
    yield sibling(
        "macros.xlsm", samples.zipped({**macros, "xl/embeddings/a.pptm": samples.pptx()}), rows=[["Bolt", "Seven"]]
    )
    loose = {"ppt/slides/slide1.xml": "<x/>", "word/document.xml": "<x/>"}
    yield sibling("foreign_parts.xlsx", workbook(rows, parts=loose), rows=[["Bolt", "Seven"]])


ODF = "urn:oasis:names:tc:opendocument:xmlns"
SPACES = (
    " ".join(
        f'xmlns:{name}="{ODF}:{place}:1.0"'
        for name, place in (
            ("office", "office"),
            ("text", "text"),
            ("table", "table"),
            ("draw", "drawing"),
            ("svg", "svg-compatible"),
            ("style", "style"),
            ("form", "form"),
        )
    )
    + ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xlink="http://www.w3.org/1999/xlink"'
)


def content(body: str) -> str:
    return f"{XML}<office:document-content {SPACES}><office:body>{body}</office:body></office:document-content>"


def ods(rows: str, *, mimetype: str | None = MEDIA, parts: Mapping[str, str] | None = None) -> bytes:
    table = f'<office:spreadsheet><table:table table:name="Plan">{rows}</table:table></office:spreadsheet>'
    head = {"mimetype": mimetype} if mimetype is not None else {}
    return samples.zipped({**head, "content.xml": content(table), **(parts or {})})


def row(*cells: str, more: str = "") -> str:
    filled = "".join(
        f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>' for cell in cells
    )
    return f"<table:table-row{more}>{filled}</table:table-row>"


def text_boxes() -> Iterator[Sibling]:
    """What is written on drawings over an ODS sheet."""

    def box(text: str) -> str:
        return f"<draw:frame><draw:text-box>{text}</draw:text-box></draw:frame>"

    said, rows = "<text:p>Open at the north gate</text:p>", row("Part", "Bin") + row("Bolt", "Seven")
    wanted = ("Open at the north gate", "Bolt")
    yield sibling(
        "shape.ods", ods(f"<table:shapes><draw:custom-shape>{said}</draw:custom-shape></table:shapes>{rows}"), *wanted
    )
    grouped = f"<table:shapes><draw:g><draw:g>{box(said)}</draw:g></draw:g></table:shapes>"
    yield sibling("grouped.ods", ods(grouped + rows), *wanted)
    cell = (
        f"<table:table-row><table:table-cell>{box(said + '<text:p>and ring twice</text:p>')}"
        f"</table:table-cell></table:table-row>"
    )
    yield sibling("in_empty_cell.ods", ods(rows + cell), *wanted, "and ring twice")
    listed = box(f"<text:list><text:list-item>{said}</text:list-item></text:list>")
    yield sibling("list.ods", ods(f"<table:shapes>{listed}</table:shapes>{rows}"), *wanted)
    linked = f'<table:shapes><draw:a xlink:href="https://example.org/">{box(said)}</draw:a></table:shapes>'
    yield sibling("linked.ods", ods(linked + rows), *wanted)
    yield sibling(
        "rectangle.ods", ods(f"<table:shapes><draw:rect>{said}</draw:rect><draw:line/></table:shapes>{rows}"), *wanted
    )


def repeated_rows() -> Iterator[Sibling]:
    """Rows that are written once and stand several times."""

    def many(count: int) -> str:
        return f' table:number-rows-repeated="{count}"'

    yield sibling(
        "five.ods",
        ods(row("Part", "Bin") + row("Rake", "4", more=many(5)) + row("Hoe", "5")),
        order=["Rake"] * 5 + ["Hoe"],
    )
    grouped = f"<table:table-row-group>{row('Rake', '4', more=many(2))}</table:table-row-group>"
    yield sibling("group.ods", ods(row("Part", "Bin") + grouped + row("Hoe", "5")), order=["Rake", "Rake", "Hoe"])
    header = f"<table:table-header-rows>{row('Part', 'Bin')}</table:table-header-rows>"
    yield sibling(
        "after_header.ods", ods(header + row("Rake", "4", more=many(3))), order=["Part", "Rake", "Rake", "Rake"]
    )
    columns = (
        '<table:table-row table:number-rows-repeated="2"><table:table-cell '
        'table:number-columns-repeated="3" office:value-type="string"><text:p>Spade'
        "</text:p></table:table-cell></table:table-row>"
    )
    yield sibling("columns_too.ods", ods(row("A", "B", "C") + columns), order=["Spade"] * 6)
    number = (
        f'<table:table-row{many(2)}><table:table-cell office:value-type="float" office:value="17">'
        f'<text:p>17</text:p></table:table-cell><table:table-cell office:value-type="string">'
        f"<text:p>Fork</text:p></table:table-cell></table:table-row>"
    )
    yield sibling("numbers.ods", ods(row("Bin", "Part") + number), order=["17", "Fork", "17", "Fork"])
    yield sibling("first_row.ods", ods(row("Rake", "4", more=many(2)) + row("Hoe", "5")), order=["Rake", "Rake", "Hoe"])


def missing_mimetype() -> Iterator[Sibling]:
    """OpenDocument whose mimetype is missing, late or wrongly written."""
    rows, said = row("Part", "Bin") + row("Bolt", "Seven"), ("Bolt", "Seven")
    yield sibling("bare.ods", ods(rows, mimetype=None), *said)
    yield sibling("line_feed.ods", ods(rows, mimetype=MEDIA + "\n"), *said)
    yield sibling("empty.ods", ods(rows, mimetype=""), *said)
    late = {"content.xml": samples.unzipped(ods(rows))["content.xml"], "mimetype": MEDIA}
    yield sibling("late.ods", samples.zipped(late), *said)
    letter = content(f"<office:text><text:p>{samples.SENTENCE}</text:p></office:text>")
    yield sibling("letter.odt", samples.zipped({"content.xml": letter}), samples.SENTENCE)
    page = (
        f"<draw:page><draw:frame><draw:text-box><text:p>{samples.SENTENCE}"
        f"</text:p></draw:text-box></draw:frame></draw:page>"
    )
    shown = content(f"<office:presentation>{page}</office:presentation>")
    yield sibling("slides.odp", samples.zipped({"styles.xml": "<a/>", "content.xml": shown}), samples.SENTENCE)
    generic = {"mimetype": "application/zip", "content.xml": samples.unzipped(ods(rows))["content.xml"]}
    yield sibling("said_to_be_zip.ods", samples.zipped(generic), *said)


def broken_properties() -> Iterator[Sibling]:
    """Titles and dates that no parser takes: the document is read for all that."""
    broken = "<cp:coreProperties><dc:title>Pump & valve</dc:title>"
    word = dict(samples.unzipped(samples.docx()))
    relation = (
        f'<Relationship Id="rId9" Type="{PACKAGE}/relationships/metadata/core-properties" '
        f'Target="docProps/core.xml"/></Relationships>'
    )
    word["_rels/.rels"] = word["_rels/.rels"].replace(b"</Relationships>", relation.encode())
    yield sibling("empty_core.docx", samples.zipped({**word, "docProps/core.xml": b""}), samples.SENTENCE)
    yield sibling(
        "binary_core.docx", samples.zipped({**word, "docProps/core.xml": bytes(range(256))}), samples.SENTENCE
    )
    yield sibling("missing_core.docx", samples.zipped(word), samples.SENTENCE)
    yield sibling(
        "app.docx", samples.zipped({**word, "docProps/core.xml": broken, "docProps/app.xml": "<a>"}), samples.SENTENCE
    )
    rows: list[list[Cell]] = [["Part", "Bin"], ["Bolt", "Seven"]]
    yield sibling("core.xlsx", workbook(rows, parts={"docProps/core.xml": broken}), rows=[["Bolt", "Seven"]])
    slides = samples.unzipped(samples.pptx())
    yield sibling("core.pptx", samples.zipped({**slides, "docProps/core.xml": broken}), samples.SENTENCE)
    yield sibling(
        "meta.odt",
        samples.zipped({**samples.unzipped(samples.odt()), "meta.xml": "<office:meta>&x;"}),
        samples.SENTENCE,
    )
    entities = '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    yield sibling("entities.ods", ods(row("Part", "Bin") + row("Bolt", "Seven"), parts={"meta.xml": entities}), "Bolt")


def values_without_text() -> Iterator[Sibling]:
    """Cells of ODS that hold a value and no text."""

    def shown(name: str, attributes: str, text: str) -> Sibling:
        cell = f"<table:table-row><table:table-cell {attributes}/>{row('Bolt')[17:-18]}</table:table-row>"
        return sibling(f"{name}.ods", ods(row("Much", "Part") + cell), text, "Bolt")

    yield shown("decimal", 'office:value-type="float" office:value="3.75"', "3.75")
    yield shown("date", 'office:value-type="date" office:date-value="2024-05-17"', "2024-05-17")
    yield shown("string", 'office:value-type="string" office:string-value="north gate"', "north gate")
    yield shown("currency", 'office:value-type="currency" office:currency="EUR" office:value="19.5"', "19.5")
    yield shown("boolean", 'office:value-type="boolean" office:boolean-value="true"', "true")
    yield shown("percentage", 'office:value-type="percentage" office:value="0.25"', "25")
    yield shown("time", 'office:value-type="time" office:time-value="PT08H30M00S"', "30")
