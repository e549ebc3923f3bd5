"""XML of books, journals, feeds and outlines; entities harm nobody."""

import pytest

from rag_assets.errors import DocumentError
from rag_assets_tests.reading import read


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
