"""EPUB: chapters in reading order, each once."""

import pytest

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text.formats import epub
from rag_assets_tests import samples

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="O/a.opf"/></rootfiles></container>'
)


def book(
    *chapters: str, order: tuple[int, ...] | None = None, extra: dict[str, str] | None = None, nav: str = ""
) -> bytes:
    """Chapters c0, c1 ... of these bodies, in `order`; `nav` is the body of the table of contents."""
    spine = "".join(f'<itemref idref="c{at}"/>' for at in order or range(len(chapters)))
    items = "".join(
        f'<item id="c{at}" href="t%20x/c{at}.xhtml" media-type="application/xhtml+xml"/>' for at in range(len(chapters))
    )
    items += '<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>' if nav else ""
    first = '<itemref idref="nav"/>' if nav else ""
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        "<dc:title>Book</dc:title><dc:creator>Ann</dc:creator></metadata>"
        f"<manifest>{items}</manifest><spine>{first}{spine}</spine></package>"
    )
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><body>{}</body></html>'
    entries: dict[str, str | bytes] = {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER}
    entries |= {"O/a.opf": package, **(extra or {})} | ({"O/nav.xhtml": page.format(nav)} if nav else {})
    return samples.zipped(entries | {f"O/t x/c{at}.xhtml": page.format(body) for at, body in enumerate(chapters)})


def read(data: bytes) -> ParsedText:
    return epub.parse(data, name="a.epub", limits=Parsing())


def test_chapters_come_in_the_order_of_the_spine() -> None:
    """With title and author of the book."""
    parsed = read(book("<h1>Two</h1><p>b</p>", "<h1>One</h1><p>a</p>", order=(1, 0)))
    assert parsed.text == "# One\n\na\n\n# Two\n\nb\n"
    assert (parsed.title, parsed.metadata["author"], parsed.metadata["chapters"]) == ("Book", "Ann", 2)


def test_table_of_contents_is_not_text_but_names_chapters() -> None:
    """A chapter without a heading takes the one that readers are shown."""
    nav = '<nav><ol><li><a href="t%20x/c0.xhtml#a">First of all</a></li></ol></nav>'
    assert read(book("<p>text</p>", nav=nav)).text == "# First of all\n\ntext\n"
    assert read(book("<p>First of all</p><p>text</p>", nav=nav)).text == "# First of all\n\ntext\n"


def test_notes_in_asides_are_kept() -> None:
    """In a book they are no advertisements."""
    assert "a note" in read(book("<p>text</p><aside><p>a note</p></aside>")).text


@pytest.mark.parametrize(
    ("algorithm", "protected"),
    [("http://www.idpf.org/2008/embedding", False), ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", True)],
)
def test_protection_is_told_unless_it_is_of_fonts(algorithm: str, protected: bool) -> None:
    """DRM is `encrypted`; obfuscated fonts hide no words."""
    data = book("<p>text</p>", extra={"META-INF/encryption.xml": f'<e><EncryptionMethod Algorithm="{algorithm}"/></e>'})
    if not protected:
        assert read(data).text == "text\n"
        return
    with pytest.raises(DocumentError) as caught:
        read(data)
    assert caught.value.kind == "encrypted"


def test_book_without_package_is_corrupt_and_without_words_no_text() -> None:
    """Both are told apart."""
    kinds = []
    for data in (samples.zipped({"mimetype": "application/epub+zip"}), book("<p> </p>")):
        with pytest.raises(DocumentError) as caught:
            read(data)
        kinds.append(caught.value.kind)
    assert kinds == ["corrupt", "no_text"]


def test_missing_chapter_is_told() -> None:
    """The others are read."""
    entries = samples.unzipped(book("<p>a</p>", "<p>b</p>"))
    del entries["O/t x/c0.xhtml"]
    parsed = read(samples.zipped(entries))
    assert parsed.text == "b\n"
    assert "c0.xhtml" in parsed.warnings[0]


def declared(*, guide: str = "", **types: str) -> bytes:
    """A book of two chapters, `c0` and `c1`, with other media types than usual."""
    entries = samples.unzipped(book("<h1>One</h1><p>first words</p>", "<h1>Two</h1><p>second words</p>"))
    package = entries["O/a.opf"].decode().replace("</spine>", f"</spine><guide>{guide}</guide>")
    for key, media_type in types.items():
        usual = f'{key}.xhtml" media-type="application/xhtml+xml"'
        assert usual in package
        package = package.replace(usual, f'{key}.xhtml"' + (f' media-type="{media_type}"' if media_type else ""))
    return samples.zipped(entries | {"O/a.opf": package.encode()})


@pytest.mark.parametrize("href", ["t%20x/c1.xhtml#toc", "t%20x/c1.xhtml", "t x/c1.xhtml#"])
def test_chapter_is_read_when_the_guide_says_that_the_contents_are_in_it(href: str) -> None:
    """A book of one file has its table of contents in it; only what is mostly links is left out."""
    text = read(declared(guide=f'<reference type="toc" href="{href}"/><reference type="text" href="{href}"/>')).text
    assert "first words" in text
    assert "second words" in text


def test_chapter_is_read_when_it_is_in_the_file_with_the_navigation() -> None:
    """The landmarks and the contents of a book of one file are part of it."""
    nav = '<nav><ol><li><a href="t%20x/c0.xhtml">One</a></li></ol></nav>'
    text = read(
        book("<h1>One</h1><p>a</p>", nav=f"{nav}<h1>Foreword</h1>{'<p>Words before all chapters.</p>' * 9}")
    ).text
    assert "Words before all chapters." in text
    assert read(book("<h1>One</h1><p>a</p>", nav=nav)).text == "# One\n\na\n"


@pytest.mark.parametrize(
    "media_type", ["application/xml", "text/xml", "", "text/plain", "application/octet-stream", "html"]
)
def test_chapter_is_read_when_its_media_type_is_another_one(media_type: str) -> None:
    """What is a page is read as one, whatever the book calls it."""
    assert "second words" in read(declared(c1=media_type)).text


def test_file_is_left_out_when_it_is_no_chapter() -> None:
    """Pictures and styles in the spine are not text."""
    assert "second words" not in read(declared(c1="text/css")).text


def test_chapter_is_read_when_it_is_not_linear() -> None:
    """Answers and notes are beside the main text, and text."""
    entries = samples.unzipped(declared())
    package = entries["O/a.opf"].replace(b'<itemref idref="c1"/>', b'<itemref idref="c1" linear="no"/>')
    assert "second words" in read(samples.zipped(entries | {"O/a.opf": package})).text
