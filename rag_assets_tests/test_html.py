"""What of a page is content: what a reader sees or can open, without scripts too."""

import pytest
from lxml import etree

from rag_assets.settings import Parsing
from rag_assets.text import parsing
from rag_assets.text.formats import html
from rag_assets_tests.reading import read
from rag_assets_tests.web_pages import PROSE, measured

ANSWER = "<p>Open the settings page and follow the three steps shown there.</p>"


@pytest.mark.parametrize(
    "question",
    [
        "<button class=accordion>Invoices</button><div>{}</div>",
        "<div><button data-bs-toggle=collapse data-bs-target='#a'>Invoices</button></div><div id=a>{}</div>",
        "<button aria-expanded=false aria-controls=a>Invoices</button><div id=a hidden>{}</div>",
        "<div role=button aria-controls=a>Invoices</div><div id=a style='display:none'>{}</div>",
        "<div role=tablist><button role=tab aria-controls=a>Invoices</button><button role=tab>Other</button></div>"
        "<div role=tabpanel id=a hidden>{}</div>",
        "<ul><li><a href='#a' data-toggle=tab>Invoices</a></ul><div id=a hidden>{}</div>",
        "<h3>Invoices</h3><div style='display:none'>{}</div>",
        "<dl><dt><button>Invoices</button></dt><dd hidden>{}</dd></dl>",
        "<div class=item><button>Invoices</button><div class=body>{}</div></div>",
        "<details><summary><button>Invoices</button></summary>{}</details>",
        "<dialog open><button>Close</button><h2>Invoices</h2>{}</dialog>",
        "<my-card><template shadowrootmode=open><h3>Invoices</h3>{}</template></my-card>",
    ],
)
def test_question_and_answer_are_read_when_a_reader_opens_it(question: str) -> None:
    """Buttons that head a part of the page are titles, and what they open is content."""
    lines = html.to_markdown(PROSE + question.format(ANSWER) + "<p>After it.</p>").split("\n")
    heads = [at for at, line in enumerate(lines) if line.lstrip("#- :") == "Invoices"]
    answers = [at for at, line in enumerate(lines) if "Open the settings page" in line]
    assert len(heads) == 1
    assert len(answers) == 1
    assert heads[0] < answers[0]


@pytest.mark.parametrize(
    "button",
    [
        "<button>How are invoices kept?</button>",
        "<button>Where our invoices are kept</button>",
        "<p>Press <button>Keep invoices</button> twice.</p>",
    ],
)
def test_button_is_read_when_it_says_something(button: str) -> None:
    """A question or a sentence is content, wherever it leads; so is a word of a sentence."""
    assert "invoices" in html.to_markdown(PROSE + button)


@pytest.mark.parametrize(
    "noise",
    [
        "<button>NOISE</button>",
        "<button>NOISE</button><pre>code of some length, longer than any other</pre>",
        "<nav><button aria-expanded=false aria-controls=m>NOISE</button><ul id=m hidden><li><a href=a>a</a></ul></nav>",
        "<button aria-controls=m aria-haspopup=true>NOISE</button>",
        "<button>NOISE</button><form><label>Name</label></form>",
        "<div id=m class='modal fade' style='display:none'><p>NOISE</p></div><a data-target='#m'>more</a>",
        "<div hidden><p>NOISE</p></div>",
        "<template><p>NOISE</p></template>",
        "<noscript>Please enable JavaScript. NOISE</noscript>",
        "<noscript><div>You need JavaScript. NOISE</noscript>",
        "<noscript><img height=1 width=1 src=pixel.gif alt=''></noscript>",
        "<img alt='a pump'><noscript><img alt='a pump' title=NOISE></noscript>",
        f"<noscript>{PROSE}<style>NOISE</style></noscript>",
        "<script>document.write('<noscript>NOISE</noscript>')</script>",
        "<!-- <noscript>NOISE --><p>words</p><!-- </noscript> -->",
    ],
)
def test_noise_is_left_out_when_nobody_reads_it(noise: str) -> None:
    """Buttons that do something, menus, dialogs, requests for scripts, and what the page says already."""
    text = html.to_markdown(PROSE + noise + "<p>After it.</p>")
    assert "NOISE" not in text
    assert text.count("The pump moves") == 10
    assert "After it." in text


@pytest.mark.parametrize(
    "page",
    [
        f"<noscript>{ANSWER}</noscript>",
        f"<div><noscript><div>{ANSWER}</noscript></div>",
        f"<NOSCRIPT class=a>{ANSWER}</NOSCRIPT >",
        f"<noscript><p>Please enable JavaScript</noscript>{ANSWER}",
        f"<noscript><div><p>Please enable JavaScript.</noscript><div>{ANSWER}</div>",
        f"<noscript>{ANSWER}",
        f"</noscript>{ANSWER}",
        f"<noscript><noscript>Enable JavaScript</noscript></noscript>{ANSWER}",
        "<noscript><img src=a.png alt='Open the settings page'></noscript>",
        f"<script>var a = '<noscript>';</script>{ANSWER}",
        f"<script type=text/template>{ANSWER}</script><noscript>{ANSWER}</noscript>",
    ],
)
def test_noscript_is_read_when_it_says_what_the_page_does_not(page: str) -> None:
    """Articles and pictures for readers without scripts; one that is open at its end takes nothing with it."""
    text = html.to_markdown(
        f"<html><head><noscript><style>a</style></noscript></head><body>{PROSE}{page}<p>After it.</p>"
    )
    assert text.count("Open the settings page") == 1
    assert "After it." in text


def test_title_is_read_when_there_is_a_noscript_before_it() -> None:
    """Words in the <noscript> of a head do not end the head."""
    page = f"<html><head><noscript>Turn on scripts</noscript><title>Pumps</title></head><body>{PROSE}"
    parsed = parsing.parse(page.encode(), name="a.html", limits=Parsing())
    assert parsed.title == "Pumps"
    assert parsed.text.count("Pumps") == 1


@pytest.mark.parametrize("name", ["a.html", "a", "a.txt", "a.md"])
@pytest.mark.parametrize("nuls", [b"\0", b"\0\0", b"\0" * 4, b"\0" * 5000])
def test_page_and_text_are_read_when_a_few_bytes_are_nul(name: str, nuls: bytes) -> None:
    """A stray NUL, or a block of them as a crash leaves it, does not make a text binary."""
    page = PROSE.encode() + b"<div>" + nuls + b"<p>After it.</p></div>"
    text = parsing.parse(page, name=name, limits=Parsing()).text
    assert "After it." in text
    assert "\0" not in text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"# Title\n\nSome text\0 of it.\n", "Some text of it."),
        (b'{"name": "pump house"}\n\0', "pump house"),
        (b"".join(b"line %d is here\0\n" % number for number in range(40)), "line 39 is here"),
    ],
)
def test_text_is_read_when_it_is_short_or_each_line_ends_in_a_nul(data: bytes, words: str) -> None:
    """What is plain UTF-8 but for its NULs may have more of them than other files before it counts as binary."""
    assert words in parsing.parse(data, name="a.txt", limits=Parsing()).text


@pytest.mark.parametrize("before", ["", "2025-01-06 10:00:05 pressure 3.1 bar, as far as it was writ"])
@pytest.mark.parametrize("size", [16, 4095, 70_000])
def test_log_is_read_when_it_has_a_block_of_nuls(before: str, size: int) -> None:
    """Wherever the block is, the lines around it are apart, in their own encoding."""
    data = before.encode() + b"\0" * size + "11:20:00 Pumpe läuft\n".encode() * 20
    text = parsing.parse(data, name="a.log", limits=Parsing()).text
    assert text.strip().split("\n")[-20:] == ["11:20:00 Pumpe läuft"] * 20
    assert before in text.split("\n") or not before


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32"])
def test_wide_text_is_read_when_its_nuls_stand_together(codec: str) -> None:
    """NULs of UTF-16 and UTF-32 are parts of characters, not blocks between them."""
    text = "Pumps and valves " * 20 + "ĀĀ Ā"
    assert parsing.parse(text.encode(codec), name="a.txt", limits=Parsing()).text.strip() == text


def test_words_of_nested_parts_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is twice as deep costs twice as much, not four times or eight times as much."""
    pages = (f"{'<aside><a>x</a>' * depth} Some text. {PROSE}" for depth in (40, 80))
    few, many = (measured(monkeypatch, html, "_words", page) for page in pages)
    assert many <= 2 * few + 10


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


def test_a_tree_is_deep_also_where_the_parser_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of lxml's wheel for Windows: a walk through a hundred thousand levels would never end."""
    monkeypatch.setattr(etree, "LIBXML_VERSION", (2, 11, 9))
    assert read("<div>" * 1_500 + "the end", "a.html").warnings == ()
    deep = innermost = etree.Element("div")
    for _ in range(html.DEEPEST):
        innermost = etree.SubElement(innermost, "div")
    assert html._is_deep(deep)
    deep.remove(deep[0])
    assert not html._is_deep(deep)


def test_xhtml_with_closed_script() -> None:
    """<script/> swallows nothing."""
    head = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><script src="a"/></head>'
    assert read(f"{head}<body><p>text</p></body></html>", "a.xhtml").text == "text"


@pytest.mark.parametrize("again", [0, 3])
def test_navigation_is_left_out_when_boxes_are_counted_singly_or_all_at_once(
    again: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a box holds is the same, however it is counted."""
    monkeypatch.setattr(html, "READ_AGAIN", again)
    links = "<div class='menu'><div class='menu'><a href='/a'>Home</a> <a href='/b'>Imprint</a> now</div></div>"
    words = "<div class='menu'><h1>Lunch</h1><a href='/soup'>Soup of the day</a></div>"
    page = f"<body>{links}{words}<p>{'The kitchen is open from noon. ' * 12}</p></body>"
    text = html.to_markdown(page)
    assert "Imprint" not in text
    assert "# Lunch" in text
    assert "Soup of the day" in text
