"""A new user's first walk in a real browser: `up`, ask, follow a hit to its story, and from there into Dagster.

`python -m rag_assets_tests.e2e.walk FOLDER` takes it on a home of its own and leaves a picture of each step in FOLDER,
to be looked at: nothing is asserted of how it looks. The documents are those that come with the package, and one that
is empty, so that there is a failure to be followed, too.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

from rag_assets_tests import browser, conftest
from rag_assets_tests.browser import ENTER, Browser
from rag_assets_tests.e2e.conftest import Running, up, wait_for
from rag_assets_tests.patience import until

SAMPLES = Path(__file__).parents[2] / "rag_assets" / "samples"
QUESTION = "How long do I have to return an item?"
WIDTH, PHONE = 1000, 390  # pixels
# Dagster's page draws itself after it has come: its words are waited for.
SAYS = "return document.body.innerText.includes(arguments[0])"


def main(folder: Path) -> None:
    """Take the walk, one picture for each step."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rag-assets-walk-") as place:
        files = Path(place, "documents")
        shutil.copytree(SAMPLES, files, ignore=shutil.ignore_patterns("__pycache__"))
        (files / "minutes.txt").touch()  # in which there is nothing to read
        home = Path(place, "home")
        home.mkdir()
        with up(home, conftest._model("q8_0")) as running, browser.opened() as window:
            _walk(running, window, files, folder)


def _walk(running: Running, window: Browser, files: Path, folder: Path) -> None:
    search = search_url(running)

    def picture(name: str, *, width: int = WIDTH, height: int = 900, dark: bool = False) -> None:
        window.set(width=width, height=height, dark=dark)
        window.run("document.activeElement.blur()")
        window.screenshot(folder / f"{name}.png")
        print(f"{name}: {window.run('return location.href')}", flush=True)

    window.set(width=WIDTH)
    window.go(search)
    picture("1-nothing-indexed")
    for file in sorted(files.iterdir()):
        running.insert(file)
    wait_for(lambda: running.sql("select count(*) from rag_document_text") == [(6,)], what="ingestion")
    wait_for(lambda: running.sql("select document_id from rag_outbox where state = 'dead'"), what="the failure")
    window.go(search)
    picture("2-start")
    window.press("/", *QUESTION, ENTER)
    window.until("return document.querySelectorAll('article.hit').length")
    window.run("document.querySelector('.hit details.around').open = true")
    window.until("return document.querySelectorAll('.around .passage').length")
    window.run("document.querySelectorAll('.hit .more details')[1].open = true")
    picture("3-hits")
    picture("3-hits-phone-dark", width=PHONE, dark=True)
    window.set(width=WIDTH)
    window.run("document.querySelector('.hit h3 a').click()")
    window.until("return document.querySelectorAll('.passage.current').length")
    picture("4-passage-in-its-document")
    window.run("window.scrollTo(0, 0)")
    picture("5-story")
    story = window.run("return location.href")
    partition, run = window.run("return Array.from(document.querySelectorAll('#facts ~ p a')).map((a) => a.href)")
    _follow(window, partition, says="text/markdown")  # what it was read as: it comes after the list of partitions
    picture("6-partition-in-dagster", width=1400)
    _follow(window, run, says="raw_text")
    picture("7-run-in-dagster", width=1400)
    window.set(width=WIDTH)
    window.go(search)
    window.run("document.querySelector('a.state.failed').click()")
    window.until("return document.querySelectorAll('.list a').length")
    picture("8-what-failed")
    window.run("document.querySelector('.list a').click()")
    window.until("return document.querySelectorAll('.notice.bad').length")
    picture("9-why-it-failed")
    window.go(f"{search}/?q=%22no+such+phrase%22&lang=id")
    picture("10-nothing-found-indonesian")
    window.go(f"{story.partition('?')[0]}?lang=en")


def _follow(window: Browser, url: str, *, says: str) -> None:
    window.go(url)
    window.until(SAYS, says)


def search_url(running: Running) -> str:
    log = running.home / "up.log"
    until(lambda: "Search is at" in log.read_text())
    match = re.search(r"Search is at (\S+)", log.read_text())
    assert match
    return match[1]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
