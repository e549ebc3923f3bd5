"""EPUB: guides that point into chapters, and chapters that are declared as something else."""

from collections.abc import Iterator, Mapping, Sequence

from rag_assets_tests import samples
from rag_assets_tests.siblings.sibling import Sibling, sibling

CONTAINER = (
    '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/a.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
XHTML = "application/xhtml+xml"
PEAR, PLUM = (
    "<h1>Pears</h1><p>Pears are picked before they are ripe.</p>",
    "<h1>Plums</h1><p>Plums fall when nobody looks.</p>",
)
SAID = ("Pears are picked before they are ripe", "Plums fall when nobody looks")


def _page(body: str) -> str:
    return f'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title>t</title></head><body>{body}</body></html>'


def _book(chapters: Mapping[str, str], *, kinds: Sequence[str] = (), guide: str = "", more: str = "") -> bytes:
    declared = dict(zip(chapters, [*kinds, *[XHTML] * len(chapters)], strict=False))
    items = "".join(f'<item id="i{at}" href="{name}"{_kind(declared[name])}/>' for at, name in enumerate(chapters))
    spine = "".join(f'<itemref idref="i{at}"/>' for at in range(len(chapters)))
    title = '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Fruit</dc:title></metadata>'
    package = (
        f'<package xmlns="http://www.idpf.org/2007/opf" version="2.0">{title}<manifest>'
        f"{items}{more}</manifest><spine>{spine}</spine>{guide}</package>"
    )
    pages = {f"OEBPS/{name}": _page(body) for name, body in chapters.items()}
    return samples.zipped(
        {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER, "OEBPS/a.opf": package, **pages}
    )


def _kind(media_type: str) -> str:
    return f' media-type="{media_type}"' if media_type else ""


def guides() -> Iterator[Sibling]:
    """A place within a chapter, named as contents, index or cover, makes nothing of the whole chapter."""
    two = {"pear.xhtml": PEAR, "plum.xhtml": PLUM}

    def guide(kind: str, target: str) -> str:
        return f'<guide><reference type="{kind}" title="x" href="{target}"/></guide>'

    for name, kind, target in (
        ("contents", "toc", "pear.xhtml#contents"),
        ("cover", "cover", "pear.xhtml#top"),
        ("index", "index", "plum.xhtml#ix"),
        ("figures", "loi", "plum.xhtml#figures"),
        ("title_page", "title-page", "pear.xhtml#t"),
        ("rights", "copyright-page", "plum.xhtml#c"),
    ):
        yield sibling(f"{name}.epub", _book(two, guide=guide(kind, target)), *SAID, order=SAID)
    whole = {"all.xhtml": f'<div id="toc"><p>Contents</p></div>{PEAR}{PLUM}'}
    yield sibling("one_file.epub", _book(whole, guide=guide("toc", "all.xhtml#toc")), *SAID)
    spaced = {"my%20pear.xhtml": PEAR, "plum.xhtml": PLUM}
    data = samples.unzipped(_book(spaced, guide=guide("toc", "my%20pear.xhtml#toc")))
    data["OEBPS/my pear.xhtml"] = data.pop("OEBPS/my%20pear.xhtml")
    yield sibling("escaped_name.epub", samples.zipped(data), *SAID)
    yield sibling("contents_without_place.epub", _book(two, guide=guide("toc", "pear.xhtml")), *SAID)


def media_types() -> Iterator[Sibling]:
    """Chapters by what they are, not by what they are called."""
    for name, kind, file in (
        ("text_xml", "text/xml", "plum.xml"),
        ("text_html", "text/html", "plum.html"),
        ("oeb", "text/x-oeb1-document", "plum.htm"),
        ("none", "", "plum.xhtml"),
        ("bytes", "application/octet-stream", "plum.xhtml"),
        ("capitals", "Application/XHTML+XML", "plum.xhtml"),
        ("parameter", "application/xhtml+xml; charset=utf-8", "plum.xhtml"),
        ("html_as_xml", "application/xml", "plum.html"),
    ):
        yield sibling(f"{name}.epub", _book({"pear.xhtml": PEAR, file: PLUM}, kinds=[XHTML, kind]), *SAID, order=SAID)
