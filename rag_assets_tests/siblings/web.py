"""HTML: buttons that are questions, articles for who has no scripts, and NULs in files of text."""

from collections.abc import Iterator

from rag_assets_tests.siblings.sibling import Sibling, sibling

PARAGRAPHS = (
    "<p>The ferry to the island leaves at seven in the morning and comes "
    "back at dusk, except when the wind is high.</p>"
    "<p>Bicycles travel free of charge. Dogs need a ticket of their own, which is sold on board by the mate.</p>"
)
SAID = ("The ferry to the island leaves at seven", "Dogs need a ticket of their own")


def _page(body: str, *, head: str = "") -> str:
    return f"<!doctype html><html><head><meta charset=utf-8><title>Ferry</title>{head}</head><body>{body}</body></html>"


def buttons() -> Iterator[Sibling]:
    """The text of a button that opens an answer."""

    def asked(question: str, *, opening: str, closing: str) -> str:
        return f"{opening}{question}{closing}<div><p>Yes, on every day but Monday, and in both directions.</p></div>"

    two = ["Does the ferry take dogs?", "Yes, on every day", "May I bring a bicycle?"]
    for name, opening, closing in (
        ("definition", '<dt><button type="button" aria-expanded="false">', "</button></dt>"),
        ("spans", '<button class="faq__q"><span>', '</span><svg viewBox="0 0 9 9"><path d="M0 0"/></svg></button>'),
        ("list", '<li><button data-bs-toggle="collapse" data-bs-target="#a">', "</button></li>"),
        ("header_part", '<header><button aria-controls="x"><strong>', "</strong></button></header>"),
        ("role", '<div role="button" tabindex="0">', "</div>"),
        ("table", '<table><tr><td><button class="q">', "</button></td></tr></table>"),
    ):
        body = "".join(asked(question, opening=opening, closing=closing) for question in (two[0], two[2]))
        yield sibling(f"{name}.html", _page(f"<main><h1>Questions</h1>{body}</main>"), two[0], two[2], order=two)
    german = (
        '<div class="akkordeon"><button>Fährt die Fähre im Winter?</button>'
        "<div hidden><p>Ja, außer bei Eis.</p></div></div>"
    )
    yield sibling("german.html", _page(f"<h1>Fragen</h1>{german}"), "Fährt die Fähre im Winter?")


def noscript_articles() -> Iterator[Sibling]:
    """What a page shows where there are no scripts."""
    yield sibling(
        "whole_body.html", _page(f'<div id="app"></div><noscript>{PARAGRAPHS}</noscript><script>x()</script>'), *SAID
    )
    inner = f"<main><article><h1>Ferry</h1><noscript><section>{PARAGRAPHS}</section></noscript></article></main>"
    yield sibling("in_article.html", _page(inner), *SAID)
    rows = "<table><tr><th>Port</th><th>Time</th></tr><tr><td>Quay</td><td>07:00</td></tr></table>"
    yield sibling(
        "table.html", _page(f"<h1>Ferry</h1><noscript>{rows}{PARAGRAPHS}</noscript>"), *SAID, rows=[["Quay", "07:00"]]
    )
    yield sibling(
        "several.html",
        _page("".join(f"<div><noscript>{each}</p></noscript></div>" for each in PARAGRAPHS.split("</p>")[:2])),
        *SAID,
    )
    items = f"<ul><li><noscript>{SAID[0]}.</noscript></li><li><noscript>{SAID[1]}.</noscript></li></ul>"
    yield sibling("list.html", _page(f"<h1>Ferry</h1>{items}"), *SAID)
    lazy = (
        f'<h1>Ferry</h1>{PARAGRAPHS}<figure><noscript><img src="a.jpg" alt="">'
        f"</noscript><figcaption>The pier</figcaption></figure>"
    )
    yield sibling("lazy_picture.html", _page(lazy), *SAID, "The pier")


def unbalanced_noscript() -> Iterator[Sibling]:
    """A noscript that is not closed, or closed twice."""
    style = "<style>.a{display:none}</style>"
    yield sibling("open_in_head.html", _page(f"<h1>Ferry</h1>{PARAGRAPHS}", head=f"<noscript>{style}"), *SAID)
    yield sibling(
        "open_before_article.html", _page(f'<noscript><img src="p.gif"><div><h1>Ferry</h1>{PARAGRAPHS}</div>'), *SAID
    )
    twice = f"<noscript><noscript><p>Hint</p></noscript><article>{PARAGRAPHS}</article>"
    yield sibling("opened_twice.html", _page(twice), *SAID)
    yield sibling(
        "closed_twice.html", _page(f"<noscript>Hint</noscript></noscript><article>{PARAGRAPHS}</article>"), *SAID
    )
    crossed = f"<div><noscript><p>Hint</div></noscript></p><article>{PARAGRAPHS}</article>"
    yield sibling("crossed.html", _page(crossed), *SAID)
    meta = '<noscript><meta http-equiv="refresh" content="0; url=/plain">'
    yield sibling("refresh.html", _page(f"<h1>Ferry</h1>{PARAGRAPHS}<p>The end</p>", head=meta), *SAID, "The end")


def stray_nul() -> Iterator[Sibling]:
    """NULs in what is text for all that."""
    yield sibling("in_word.html", _page(f"<h1>Fer\0ry</h1>{PARAGRAPHS}"), *SAID, absent=["\0"])
    yield sibling("in_attribute.html", _page(f'<h1 class="a\0b">Times</h1>{PARAGRAPHS}'), *SAID, "Times", absent=["\0"])
    yield sibling(
        "padded.txt", "The ferry leaves at seven.\n" * 6 + "\0" * 500, "The ferry leaves at seven", absent=["\0"]
    )
    yield sibling(
        "cells.csv",
        "port,time\n" + "".join(f"Quay {at}\0,0{at}:00\n" for at in range(1, 6)),
        rows=[["Quay 3", "03:00"]],
        absent=["\0"],
    )
    yield sibling(
        "begun.log",
        "\0" * 4096 + "".join(f"2024-01-0{at} pump {at} started\n" for at in range(1, 9)),
        "pump 3 started",
        absent=["\0"],
    )
    yield sibling(
        "notes.md",
        f"# Ferry\n\nThe mate\0 sells tickets.\n\n- {SAID[0]}.\n",
        "The mate sells tickets",
        SAID[0],
        absent=["\0"],
    )
    russian = "Паром отходит в семь утра.\0\nБилеты продаёт помощник.\n"
    yield sibling("russian.txt", russian, "Паром отходит в семь утра", "Билеты продаёт", absent=["\0"])
