"""What each text format keeps of a document, and what it leaves out."""

import json

import pytest

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import parsing
from rag_assets.text.formats import html

PROSE = "<p>" + "The pump moves water from the well to the house. " * 10 + "</p>"


def read(text: str | bytes, name: str) -> ParsedText:
    return parsing.parse(text.encode() if isinstance(text, str) else text, name=name, limits=Parsing())


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<h2>A <b>b</b></h2><p>c</p>", "## A b\n\nc"),
        ("<ul><li>a<ul><li>b</ul><li>c</ul>", "- a\n  - b\n- c"),
        ("<ol start=3><li>a<li>b</ol>", "3. a\n4. b"),
        ("<p>a<br>b</p>", "a\nb"),
        ("<td>a<br> <br/>b<br>c</td>", "a\n\nb\nc"),
        ("<p>pa&shy;per&#8203; bag</p>", "paper bag"),
        ("<p>see <a href='x.html'>the page</a>.</p>", "see [the page](x.html)."),
        ("<p><a href='#top'>top</a></p>", "top"),
        ("<p>use <code>a  b</code></p>", "use `a  b`".replace("  ", " ")),
        ("<pre><code class='language-py'>if a:\n    b</code></pre>", "```py\nif a:\n    b\n```"),
        ("<div class='highlight-c notranslate'><pre>a;<br>b;</pre></div>", "```c\na;\nb;\n```"),
        ("<pre>```</pre>", "````\n```\n````"),
        ("<blockquote><p>a</p><p>b</p></blockquote>", "> a\n\n> b"),
        ("<dl><dt>term<dd>what it means</dl>", "term\n: what it means"),
        ("<details><summary>More</summary><p>hidden text</p></details>", "More\n\nhidden text"),
        ("<p>10<sup>6</sup> H<sub>2</sub>O</p>", "10⁶ H₂O"),
        ("<p>a<span>b</span><span>c</span></p>", "abc"),
        ("<p># not a heading</p>", "\\# not a heading"),
        ("<p>If <math><mi>x</mi><mo>=</mo><mfrac><mn>1</mn><mi>y</mi></mfrac></math>, go</p>", "If x=1/y, go"),
        (
            "<p>a <math><semantics><msup><mi>c</mi><mn>2</mn></msup><annotation encoding='application/x-tex'>"
            "{\\displaystyle c^{2}}</annotation></semantics></math></p>",
            "a c^{2}",
        ),
        ("<table><tr><th>a<th>b<tr><td>1<td>x|y</table>", "| a | b |\n| --- | --- |\n| 1 | x\\|y |"),
        (
            "<table><tr><th>y<th>q<tr><td rowspan=2>1<td>2<tr><td>3</table>",
            "| y | q |\n| --- | --- |\n| 1 | 2 |\n| 1 | 3 |",
        ),
        ("<table role=presentation><tr><td>a<td>b</table>", "a\n\nb"),
        ("<table><tr><td>a<td>b<td><tr><td>1<td>2<td></table>", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("<table><tr><td>a<td><p>b<p>c</table>", "a\n\nb\n\nc"),
        ("<label>Name</label><input value=x><label>City</label><textarea>Rome</textarea>", "Name City Rome"),
        ("<svg><title>icon</title><text>Tank</text><foreignObject><p>Pump</p></foreignObject></svg>", "Tank Pump"),
        (
            "<p class=MsoListParagraph><![if !supportLists]><span style='font-family:Symbol'><span style='mso-list:"
            "Ignore'>·<span style='font:7.0pt'>&nbsp; </span></span></span><![endif]>a pump</p>",
            "- a pump",
        ),
        ("<p><span style='mso-list:Ignore'>1.<span>&nbsp; </span></span>a valve</p>", "1. a valve"),
        ("<p>a<img src='data:image/png;base64,AAAA' alt='A map'></p>", "a A map"),
        ("<p>x<script>var a</script><style>p{}</style></p>" + PROSE, None),
    ],
)
def test_html_to_markdown(page: str, expected: str | None) -> None:
    """Structure becomes Markdown; nothing else is added, nothing that is read is lost."""
    text = html.to_markdown(page)
    assert expected is None or text == expected
    assert "var a" not in text
    assert "base64" not in text


@pytest.mark.parametrize(
    "noise",
    [
        "<nav><a href=a>Home</a> <a href=b>NOISE</a></nav>",
        "<div class='sidebar'><a href=a>NOISE</a></div>",
        "<footer><a href=a>NOISE</a> <a href=b>Contact</a></footer>",
        "<div style='display: none'>NOISE</div>",
        "<p hidden>NOISE</p>",
        "<span aria-hidden='true'>NOISE</span>",
        "<div id='cookie-banner'>NOISE, accept</div>",
        "<template><p>NOISE</p></template>",
        "<select><option>NOISE</select>",
        "<!-- NOISE -->",
    ],
)
def test_html_without_what_is_no_content(noise: str) -> None:
    """Navigation, banners and hidden parts go, and the text around them stays."""
    text = html.to_markdown(f"<body>{noise} before {PROSE}</body>")
    assert "NOISE" not in text
    assert "before" in text
    assert "pump moves water" in text


def test_html_when_all_is_navigation() -> None:
    """A page that is nothing but links is kept."""
    assert "[One](a)" in html.to_markdown("<nav><ul><li><a href=a>One</a><li><a href=b>Two</a></ul></nav>")


def test_html_footer_with_words() -> None:
    """A footer that says something is content."""
    text = html.to_markdown(f"<body>{PROSE}<footer>Licensed under the Apache License. <a href=x>More</a></footer>")
    assert "Licensed under" in text


def test_html_title_heads_a_page_without_heading() -> None:
    """The title is part of what is found."""
    parsed = read("<html lang=en><head><title>Pumps</title></head><body><p>text</p></body></html>", "a.html")
    assert (parsed.title, parsed.text) == ("Pumps", "# Pumps\n\ntext")
    assert parsed.metadata["language"] == "en"


def test_html_charset_when_late() -> None:
    """A declaration counts wherever it stands."""
    page = "<html><head>" + "<!-- filler -->" * 500 + "<meta charset='euc-kr'></head><body>이문서는</body></html>"
    assert "이문서는" in read(page.encode("euc-kr"), "a.html").text


@pytest.mark.parametrize("tag", ["div", "b", "ul><li", "table><tr><td", "blockquote", "span"])
def test_html_when_nested_deeply(tag: str) -> None:
    """A hundred thousand open elements end as text, with a warning."""
    parsed = read("<html><body>" + f"<{tag}>" * 100_000 + "the end", "a.html")
    assert "the end" in parsed.text
    assert parsed.warnings


def test_xhtml_with_closed_script() -> None:
    """<script/> swallows nothing."""
    head = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><script src="a"/></head>'
    assert read(f"{head}<body><p>text</p></body></html>", "a.xhtml").text == "text"


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


def test_log_in_colors_is_text() -> None:
    """What moves a terminal's pen is neither text nor a sign of a binary file."""
    assert read("\x1b[1;32mok\x1b[0m\n\x1b[31mno\x1b[0m\n", "a.log").text == "ok\nno\n"


def test_markdown_front_matter_and_comments() -> None:
    """Front matter becomes metadata, comments go, fences stay."""
    header = "---\ntitle: 'A: b'\ntags: [x, y]\nlist:\n  - one\n  - two\n---\n\n"
    source = f"{header}<!-- gone\n-->\nText\n\n```html\n<!-- kept -->\n```\n"
    parsed = read(source, "a.md")
    assert parsed.title == "A: b"
    assert parsed.metadata == {"title": "A: b", "tags": ["x", "y"], "list": ["one", "two"], "encoding": "utf-8"}
    assert parsed.text == "# A: b\n\nText\n\n```html\n<!-- kept -->\n```\n"


@pytest.mark.parametrize("heading", ["# Guide", "Guide\n====="])
def test_markdown_title_is_there_once(heading: str) -> None:
    """Also where it does not stand at the very top."""
    text = f"[TOC]\n\n{heading}\n\nText"
    assert read(f"---\ntitle: Guide\n---\n{text}", "a.md").text == text


def test_markdown_rule_is_no_front_matter() -> None:
    """A rule at the top is text."""
    assert read("---\n\nSome words\n\n---\n\nMore", "a.md").text.startswith("---\n\nSome words")


def test_code_byte_for_byte() -> None:
    """Source code keeps every character but carriage returns."""
    parsed = read("def f():\r\n\treturn 'e\u0301'  \r\n", "a.py")
    assert (parsed.text, parsed.structure, parsed.language) == ("def f():\n\treturn 'e\u0301'  \n", "code", "python")


@pytest.mark.parametrize(
    ("name", "language"),
    [("a.rs", "rust"), ("Dockerfile", "dockerfile"), ("x/Makefile", "make"), ("a.tsx", "typescript"), ("a.m", "objc")],
)
def test_code_language(name: str, language: str) -> None:
    """The name tells the language."""
    assert read("x = 1\n", name).language == language


def test_rst_titles_code_and_tables() -> None:
    """Levels follow the order of underlines; blocks become fences, tables rows."""
    source = (
        "=====\nTitle\n=====\n\nPart\n----\n\nSee :ref:`the part <x>` and ``code``::\n\n    a = 1\n\n"
        ".. code-block:: python\n   :linenos:\n\n   b = 2\n\n.. note:: Mind this.\n\n"
        "==== ====\nName Size\n==== ====\na    1\nb    2\n==== ====\n\nDeep\n~~~~\n\nOther\n-----\n"
    )
    parsed = read(source, "a.rst")
    lines = parsed.text.split("\n")
    assert [line for line in lines if line.startswith("#")] == ["# Title", "## Part", "### Deep", "## Other"]
    assert "See `the part` and `code`:" in lines
    assert "```\na = 1\n```" in parsed.text
    assert "```python\nb = 2\n```" in parsed.text
    assert "| Name | Size |\n| --- | --- |\n| a | 1 |\n| b | 2 |" in parsed.text
    assert "Note: Mind this." in lines


def test_rst_words_are_whole_where_markup_is_within_them() -> None:
    """An escaped space only parts the two; in code it is code."""
    source = "Title\n=====\n\nH\\ :sub:`2`\\ O and *re*\\ read::\n\n    a\\ b\n"
    assert read(source, "a.rst").text == "# Title\n\nH2O and *re*read:\n\n```\na\\ b\n```\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_dialects(delimiter: str) -> None:
    """Any delimiter; quoted delimiters and line breaks stay within their cell."""
    rows = [["name", "note"], ["a", f'"x{delimiter}y\nz"'], ["b", "2"]]
    text = read("\n".join(delimiter.join(row) for row in rows), "a.csv").text
    cell = f"x{delimiter}y z".replace("\t", " ").replace("|", "\\|")
    assert text == f"| name | note |\n| --- | --- |\n| a | {cell} |\n| b | 2 |"


@pytest.mark.parametrize(
    ("lines", "row"),
    [
        ("date;id;item\nApril 15, 2023;40;x;\nApril 16, 2023;41;y\n", "| April 15, 2023 | 40 | x |"),
        ("a;b;c\n1,5;2,5;0,1\n3,5;4,5;0,2\n", "| 1,5 | 2,5 | 0,1 |"),
        ("12,50;3,20\n4,10;7,90\n", "| 12,50 | 3,20 |"),
        ("when|who|what\n12:30:15|Ann, Bo|x\n12:31:15|Cy, Di|y\n", "| 12:30:15 | Ann, Bo | x |"),
        ("when\tcost\n12:30\t1,5\n12:31\t2,5\n", "| 12:30 | 1,5 |"),
        ("01/02/2023;a, b\n02/02/2023;c, d\n", "| 01/02/2023 | a, b |"),
        ("a,b\n1,x;y\n2,z;w\n", "| 1 | x;y |"),
        ("a, b, c\n1, 2, 3\n", "| 1 | 2 | 3 |"),
        ('"a;b",1,2\n"c;d",3,4\n', "| a;b | 1 | 2 |"),
        ("a^b^c\n1^x, y^2\n3^z, w^4\n5^q^6\n", "| 1 | x, y | 2 |"),
    ],
)
def test_csv_when_other_signs_are_as_even(lines: str, row: str) -> None:
    """Commas of decimals and dates, colons of times and lists within a cell delimit nothing."""
    assert row in read(lines, "a.csv").text


def test_csv_when_a_single_column_holds_sentences() -> None:
    """Their commas delimit nothing where few lines have any."""
    text = "remark\nHello, all\nNothing to see\nBye, then, all\n"
    assert read(text, "a.csv").text == text


def test_csv_quotes_that_are_never_closed_are_letters() -> None:
    """They would swallow all rows after them."""
    text = read('a\tb\n1\t"5 inches\n2\tx\n3\t"y"\n', "a.tsv").text
    assert text == '| a | b |\n| --- | --- |\n| 1 | "5 inches |\n| 2 | x |\n| 3 | "y" |'


def test_csv_remarks_stand_above_the_table() -> None:
    """A header may begin with a # of its own."""
    assert read("# made by x, on Monday\na,b,c\n1,2,3\n", "a.csv").text.startswith("# made by x, on Monday\n\n| a |")
    assert read("#a,b,c\n1,2,3\n", "a.csv").text.startswith("| #a | b | c |")


def test_csv_when_one_cell_is_long() -> None:
    """A cell over the standard library's limit is read."""
    assert len(read('a,b\n1,"' + "word " * 100_000 + '"\n', "a.csv").text) > 400_000


def test_json_keys_and_values() -> None:
    """Keys stay with their values, numbers as they are written."""
    text = read('{"name": "x", "price": 1.50, "tags": ["a", "b"], "inner": {"deep": [{"k": null}]}}', "a.json").text
    assert text == "name: x\nprice: 1.50\ntags: a, b\ninner:\n  deep:\n    -\n      k: null"


def test_ndjson_one_record_per_line() -> None:
    """A record is a line."""
    assert read('{"a": 1, "b": {"c": "x"}}\n{"a": 2}\n', "a.ndjson").text == "a: 1; b.c: x\na: 2"


@pytest.mark.parametrize("source", ['{// why\n"a": [1, 2,],}', '{"a": [1, 2'])
def test_json_when_not_strict(source: str) -> None:
    """Comments and trailing commas are read, and broken JSON is kept as it is."""
    assert "a" in read(source, "a.json").text


def test_json_when_nested_deeply() -> None:
    """Depth ends with an error of ours."""
    with pytest.raises(DocumentError) as caught:
        read("[" * 200_000 + "]" * 200_000, "a.json")
    assert caught.value.kind == "corrupt"


def test_xml_docbook_and_feeds() -> None:
    """Titles become headings by depth, markup in feeds text, data lines `name: value`."""
    chapter = "<chapter><title>C</title><para>Some <emphasis>words</emphasis> here.</para></chapter>"
    book = f"<book><title>B</title>{chapter}</book>"
    assert read(book, "a.xml").text == "# B\n\n## C\n\nSome words here."
    words = "<description>&lt;p&gt;a &lt;b&gt;b&lt;/b&gt;&lt;/p&gt;</description><pubDate>Mon</pubDate>"
    feed = f"<rss><channel><title>F</title><item><title>I</title>{words}</item></channel></rss>"
    assert read(feed, "a.rss").text == "# F\n\n## I\n\na b\n\npubDate: Mon"


def test_xml_of_a_journal_has_the_title_of_the_article_and_its_code() -> None:
    """A title that is cited is no title; widths of columns are not text."""
    article = (
        "<article><front><article-meta><title-group><article-title>Herons</article-title></title-group></article-meta>"
        "</front><body><sec><title>Method</title><p>We count.</p><code language='python'>if a:\n    b()</code>"
        "<table><colgroup><col width='50%'/></colgroup><tr><td>1</td><td>2</td></tr></table></sec></body><back><ref>"
        "<article-title>Other birds</article-title></ref></back></article>"
    )
    parsed = read(article, "a.xml")
    assert parsed.title == "Herons"
    assert parsed.text == (
        "# Herons\n\n## Method\n\nWe count.\n\n```python\nif a:\n    b()\n```\n\n| 1 | 2 |\n| --- | --- |"
        "\n\narticle-title: Other birds"
    )


def test_xml_outline_keeps_the_text_of_its_branches_and_long_notes() -> None:
    """As outliners write them: all words are in attributes."""
    note = "Words that somebody wrote down about the birds of the valley. " * 6
    opml = f"<opml><body><outline text='Introduction' _note='{note}'><outline text='Methods'/></outline></body></opml>"
    text = read(opml, "a.opml").text
    assert text.split() == f"outline: Introduction, _note {note} outline: Methods".split()


def test_xml_entities_are_not_fetched() -> None:
    """An external entity is never read; a bomb is refused; an internal one is text."""
    bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    with pytest.raises(DocumentError):
        read(f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a0 "ha">{bomb}]><a>&a11;</a>', "a.xml")
    outside = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>words &x;</a>'
    assert read(outside, "a.xml").text == "a: words"
    inside = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "Pump">]><a>words &x;</a>'
    assert read(inside, "a.xml").text == "a: words Pump"


def test_notebook() -> None:
    """Markdown, code and text outputs, in order; no images."""
    cells = [
        {"cell_type": "markdown", "source": ["# T\n", "text ![x](data:image/png;base64,AAAA)"]},
        {
            "cell_type": "code",
            "source": "1 + 1",
            "outputs": [{"output_type": "execute_result", "data": {"text/plain": ["2"], "image/png": "AAAA"}}],
        },
    ]
    parsed = read(json.dumps({"cells": cells, "nbformat": 4, "metadata": {}}), "a.ipynb")
    assert parsed.text == "# T\ntext x\n\n```python\n1 + 1\n```\n\n```\n2\n```"


MULTIPART = """From: =?utf-8?q?J=C3=B6rg?= <j@x.example>
To: list@x.example
Subject: =?koi8-r?B?8NLJ18XU?= pump
Date: Mon, 1 Jan 2024 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=M

--M
Content-Type: multipart/alternative; boundary=A

--A
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe an alle, die Pumpe l=E4uft wieder

--A
Content-Type: text/html

<p>Gruesse</p>
--A--
--M
Content-Type: application/pdf; name="plan.pdf"
Content-Disposition: attachment; filename="plan.pdf"
Content-Transfer-Encoding: base64

AAAA
--M
Content-Type: text/plain
Content-Disposition: attachment; filename="notes.txt"

Attached words
--M--
"""


def test_mail_headers_body_and_attachments() -> None:
    """Encoded words, the plain body, names of attachments and the text of those that are text."""
    parsed = read(MULTIPART, "a.eml")
    for words in ("Subject: Привет pump", "From: Jörg <j@x.example>", "Grüße an alle", "plan.pdf", "Attached words"):
        assert words in parsed.text
    assert "Gruesse" not in parsed.text
    assert parsed.metadata["attachments"] == ["plan.pdf", "notes.txt"]


def test_mailbox() -> None:
    """Each message of a mailbox is read."""
    one = "From a@b Mon Jan  1 10:00:00 2024\nFrom: a@b.example\nSubject: {}\nDate: Mon, 1 Jan 2024\n\nBody {}\n\n"
    parsed = read(one.format("First", "one") + one.format("Second", "two"), "list.mbox")
    assert "# First" in parsed.text
    assert "Body two" in parsed.text
    assert parsed.metadata["messages"] == 2


def test_plain_form_feeds_are_pages() -> None:
    """Pages of an RFC are pages."""
    parsed = read("one\fa", "rfc.txt")
    assert (parsed.text, parsed.page_offsets) == ("one\na", (0, 4))
