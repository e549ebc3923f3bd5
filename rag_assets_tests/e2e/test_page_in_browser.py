"""The page in a real Chromium: by keyboard, on a phone, dark and light, without a script of anybody else."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_assets.service.page import views
from rag_assets.services import Services
from rag_assets_tests import browser, rows, serving
from rag_assets_tests.browser import ENTER, TAB, Browser

QUESTION = "How long do I have to return an item?"
SCRIPT = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
TARGET_PIXELS = 24  # of what is touched, at least: WCAG 2.2, 2.5.8
CONTRAST = 4.5  # of words and their ground, at least: WCAG 2.2, 1.4.3
# The least contrast of any words on the page, as WCAG computes it.
LEAST_CONTRAST = """
const numbers = (color) => color.match(/[0-9.]+/g).map(Number);
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const seen = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
  return Array.from(canvas.getImageData(0, 0, 1, 1).data); };
const light = (color) => seen(color).slice(0, 3).map((v) => { v /= 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; })
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const ground = (element) => { for (let e = element; e; e = e.parentElement) {
  const color = getComputedStyle(e).backgroundColor; if (seen(color)[3] === 255) return color; } return 'white'; };
let least = [99, ''];
for (const element of document.querySelectorAll('body *')) {
  const own = Array.from(element.childNodes).some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !element.checkVisibility()) continue;
  const pair = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
  const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
  if (contrast < least[0]) least = [contrast, element.outerHTML.slice(0, 100)];
}
return least;
"""


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser.opened() as opened:
        yield opened


@pytest.fixture(scope="module")
def url(corpus: Services) -> Iterator[str]:
    """Where the page is; one document tries to be more than text."""
    rows.execute(
        corpus.database_url,
        f"update rag_document_text set title = '{SCRIPT.replace(chr(39), chr(39) * 2)}' where path like '%garden%';"
        f"update rag_document_chunks set content = content || '{SCRIPT.replace(chr(39), chr(39) * 2)}' "
        "where document_id = (select document_id from rag_document_text where path like '%garden%')",
    )
    with serving.served(corpus.settings, page=views.Page(None)) as service:
        yield service.url


def test_question_is_asked_and_followed_by_keyboard(window: Browser, url: str) -> None:
    """From the box to a passage, to what stands around it and to its document, without a mouse."""
    window.set(width=1000)
    window.go(url)
    window.log()  # of pages before this one
    window.until("return document.activeElement.id === 'q'")
    window.press(*QUESTION, ENTER)
    window.until("return document.querySelectorAll('article.hit').length")
    assert "return" in window.run("return document.querySelector('mark').textContent.toLowerCase()")
    window.run("document.querySelector('.hit a').focus()")
    window.press(TAB)
    assert window.run("return document.activeElement.tagName") == "SUMMARY"
    window.press(ENTER)
    window.until("return document.querySelectorAll('.around .passage').length === 2")
    window.press("/")
    window.until("return document.activeElement.id === 'q'")
    window.run("document.querySelector('.hit a').focus()")
    window.press(ENTER)
    window.until("return document.querySelectorAll('.passage.current').length === 1")
    assert "within 30 days" in window.run("return document.querySelector('.passage.current').textContent")
    assert window.log() == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1000, 390])
def test_page_can_be_read_when_it_is_narrow_or_dark(window: Browser, url: str, width: int, dark: bool) -> None:
    """Nothing is wider than the window, what is touched is large enough, and words stand out from their ground."""
    window.set(width=width, dark=dark)
    start = "/?lang=en"
    story = "/documents/" + _id(window, url)
    for path in (start, "/?q=return+an+item&mode=text&type=text/markdown", story, "/?q=x&k=0", "/documents"):
        window.go(url + path)
        assert window.run("return document.documentElement.scrollWidth <= window.innerWidth"), path
        ground = window.run("return getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") is not dark, ground
        small = window.run(
            "return Array.from(document.querySelectorAll('button, input, select, summary')).filter((e) => "
            f"e.checkVisibility() && e.getBoundingClientRect().height < {TARGET_PIXELS}).map((e) => e.outerHTML)"
        )
        assert small == [], path
        contrast, where = window.run(LEAST_CONTRAST)
        assert contrast >= CONTRAST, (path, where)


def test_page_is_named_for_those_who_do_not_see_it(window: Browser, url: str) -> None:
    """Landmarks, one first heading, a name for each field, headings that leave out no level."""
    window.set(width=1000)
    for path in ("/?q=return&mode=text&type=text/markdown", "/documents/" + _id(window, url)):
        window.go(url + path)
        assert window.run("return document.querySelectorAll('main, nav, header, footer').length") == 4
        assert window.run("return document.querySelectorAll('h1').length") == 1
        nameless = window.run(
            "return Array.from(document.querySelectorAll('input, select')).filter((e) => !e.labels.length).length"
        )
        assert nameless == 0
        levels = window.run("return Array.from(document.querySelectorAll('h1,h2,h3,h4')).map((e) => +e.tagName[1])")
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), levels


def test_no_script_of_a_document_runs(window: Browser, url: str) -> None:
    """Title and passage are shown as text; nor does the policy let one run that came in all the same."""
    window.set(width=1000)
    window.go(url + "/?q=garden+tomatoes&mode=text")
    window.log()  # of pages before this one
    window.go(url + "/?q=garden+tomatoes&mode=text")
    assert "<script>" in window.run("return document.querySelector('.hit h3').textContent")
    window.run("document.querySelector('details.around').open = true")
    window.until("return document.querySelectorAll('.around .passage').length")
    assert window.log() == []
    window.run(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=`taken`\">');"
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'document.title=`taken`'}))"
    )
    assert window.run("return document.title") != "taken"
    window.until("return performance.getEntriesByType('resource').length >= 2")
    hosts = window.run("return performance.getEntriesByType('resource').map((e) => new URL(e.name).origin)")
    assert set(hosts) == {url}
    window.log()


def _id(window: Browser, url: str) -> str:
    window.go(f"{url}/?q=packing+slip&mode=text")
    return str(window.run("return document.querySelector('h3 a').pathname")).rpartition("/")[2]


def test_pictures_of_the_page_are_small() -> None:
    """Those in the documents, and those of Dagster's."""
    pictures = list((Path(__file__).parents[2] / "docs" / "images").glob("*.png"))
    assert pictures
    assert all(picture.stat().st_size < 150_000 for picture in pictures)
