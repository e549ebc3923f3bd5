"""PDF: what pdfium says by direct calls is what its own bindings say."""

from collections.abc import Iterator
from contextlib import closing

import pypdfium2
import pytest

from rag_assets.text.formats.pdf import direct
from rag_assets_tests.pdf_pages import pdf, show

DRAWN = show("Words", 40, 700) + "0 0 m 100 0 l S\n" + show("More words", 40, 680)


@pytest.fixture
def page() -> Iterator[pypdfium2.PdfPage]:
    """A page with two texts and a line between them."""
    with closing(pypdfium2.PdfDocument(pdf(DRAWN))) as document, closing(document[0]) as page:
        yield page


def test_objects_of_a_page_come_in_their_order(page: pypdfium2.PdfPage) -> None:
    """With the same handles and kinds that the bindings find."""
    found = direct.objects(direct.handle(page.raw))
    assert [kind for _, kind in found] == [direct.TEXT, direct.PATH, direct.TEXT]
    assert found == [(direct.handle(each.raw), each.type) for each in page.get_objects(max_depth=1)]


def test_no_more_objects_are_asked_for_than_are_wanted(page: pypdfium2.PdfPage) -> None:
    """A page may have millions."""
    assert [kind for _, kind in direct.objects(direct.handle(page.raw), 1)] == [direct.TEXT]


def test_null_handle_is_none(page: pypdfium2.PdfPage) -> None:
    """An object that is not there, as a function of pdfium says it."""
    get = direct.function("FPDFPage_GetObject", direct.HANDLE, direct.HANDLE, direct.INT)
    assert get(direct.handle(page.raw), 99) is None
