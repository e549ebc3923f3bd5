"""How long somebody who knows a document's id needs in Dagster's UI for five answers, in a real browser.

`python -m rag_assets_tests.e2e.stopwatch FOLDER` starts a home of its own, and asks for a document that was stored what
was read, which chunks it has, which model embedded it and when; for one that failed, why. Each answer begins at
Dagster's start page and is there when its words can be seen. What is clicked and typed is counted, and the seconds are
those of pages and clicks: nobody's reading or thinking is in them. FOLDER has a picture of each answer. `--pythonpath
CHECKOUT` asks another checkout.
"""

import json
import os
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from rag_assets_tests import browser, conftest
from rag_assets_tests.browser import Browser
from rag_assets_tests.e2e.conftest import Running, up, wait_for
from rag_assets_tests.e2e.story import CLICK, NAMED, UNFOLD, WIDTH
from rag_assets_tests.e2e.walk import SAMPLES

STORED, FAILED = "17", "18"  # ids of the two documents
PATIENCE_SECONDS = 120.0  # for an answer: what is not there by then is not to be had this way
PORT = "RAG_ASSETS_SERVICE__PORT"  # which a checkout without a search service refuses
SEES = "return new RegExp(arguments[0]).test(document.body.innerText)"
FIELD = """
const found = document.querySelector('input[placeholder^="Filter"]');
if (!found) return false;
found.focus();
return true;
"""
ROW = """
const found = Array.from(document.querySelectorAll('*')).find((e) => !e.children.length
  && e.textContent === arguments[0] && e.getClientRects().length);
if (!found) return false;
found.click();
return true;
"""
RUN = """
const found = Array.from(document.querySelectorAll('a[href*="/runs/"]')).find((e) => e.getClientRects().length);
if (!found) return false;
found.click();
return true;
"""
Click = tuple[str, ...]  # a script that clicks, and what it is told
HISTORY: tuple[Click, ...] = ((CLICK, NAMED, "View all historical events"), (UNFOLD,))


@dataclass(frozen=True, kw_only=True)
class Question:
    """What somebody wants to know of a document: on the page of which asset, and how its answer reads."""

    asks: str
    asset: str
    answer: str  # a regular expression
    document: str = STORED
    ways: tuple[tuple[Click, ...], ...] = ((),)  # from the document's page on: the first one that answers counts


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How it went; without seconds, the words were nowhere on the way."""

    asks: str
    clicks: int
    inputs: int
    seconds: float | None


QUESTIONS = (
    Question(asks="what text was read", asset="raw_text", answer="You can return any item within 30 days"),
    Question(asks="which chunks", asset="chunks", answer="How long you have"),
    Question(asks="which model", asset="embeddings", answer="all-MiniLM-L6-v2"),
    Question(asks="when", asset="raw_text", answer=r"\d{1,2}:\d\d [AP]M"),
    Question(
        asks="why it failed",
        asset="raw_text",
        answer="Nothing but white space in 0 bytes",
        document=FAILED,
        ways=(((RUN,),), HISTORY),
    ),
)


class Asker:
    """Somebody at Dagster's start page, who knows an id and nothing else."""

    def __init__(self, window: Browser, url: str) -> None:
        self.window, self.url = window, url
        self.clicks = self.inputs = 0

    def asks(self, question: Question) -> Answer:
        """The answer by the first way on which it is seen."""
        for way in question.ways:
            self.clicks = self.inputs = 0
            self.window.go(self.url)
            self.window.until(SEES, "Catalog")
            began = time.monotonic()
            is_there = self._opens(question.asset, question.document) and all(self._does(click) for click in way)
            if is_there and self._soon(SEES, question.answer):
                return self._answer(question, time.monotonic() - began)
        return self._answer(question, None)

    def _answer(self, question: Question, seconds: float | None) -> Answer:
        return Answer(asks=question.asks, clicks=self.clicks, inputs=self.inputs, seconds=seconds)

    def _opens(self, asset: str, document: str) -> bool:
        """The page of a document in an asset, from the start page on."""
        steps: list[Click] = [(CLICK, NAMED, words) for words in ("Catalog", asset, "Partitions")]
        if not all(self._does(step) for step in steps) or not self._soon(FIELD):
            return False
        self.inputs += 1
        self.window.press(*document)
        return self._does((ROW, document))

    def _does(self, click: Click) -> bool:
        self.clicks += 1
        return self._soon(*click)

    def _soon(self, script: str, *arguments: str) -> bool:
        """Whether a script comes to return something true."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not self.window.run(script, *arguments):
            if time.monotonic() > give_up:
                return False
            time.sleep(0.02)
        return True


def fill(running: Running, files: Path) -> None:
    """Documents up to the two that are asked for; until all is ingested."""
    files.mkdir()
    for n in range(1, int(STORED)):
        (files / f"note-{n}.txt").write_text(f"The pump of hall {n} was repaired.\n", encoding="utf-8")
        running.insert(files / f"note-{n}.txt")
    shutil.copy(SAMPLES / "returns-policy.md", files)
    (files / "minutes.txt").touch()
    assert [running.insert(files / name) for name in ("returns-policy.md", "minutes.txt")] == [STORED, FAILED]
    texts = "select count(*) from rag_document_text"
    wait_for(lambda: running.sql(texts) == [(int(STORED),)], what="ingestion")
    wait_for(lambda: running.sql("select 1 from rag_outbox where state = 'dead'"), what="the failure")
    wait_for(lambda: not at_work(running), what="the end of runs")


def at_work(running: Running) -> bool:
    """Whether a run has not ended."""
    runs = running.graphql("{ runsOrError { ... on Runs { results { status } } } }")["runsOrError"]["results"]
    return any(run["status"] not in ("SUCCESS", "FAILURE") for run in runs)


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--pythonpath", type=click.Path(exists=True, path_type=Path), help="Another checkout.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line per question.")
def main(folder: Path, pythonpath: Path | None, as_json: bool) -> None:
    """Ask each question and print how it went."""
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.absolute()
    other = {"PYTHONPATH": str(pythonpath.absolute())} if pythonpath else {}
    if pythonpath:
        os.chdir(pythonpath)  # Dagster's processes look for the package where they are started
    without = [PORT] if pythonpath else []
    with tempfile.TemporaryDirectory(prefix="rag-assets-stopwatch-") as place:
        home = Path(place, "home")
        home.mkdir()
        with browser.opened() as window, up(home, conftest._model("q8_0"), without=without, **other) as running:
            window.set(width=WIDTH)
            fill(running, Path(place, "documents"))
            for question in QUESTIONS:
                answer = Asker(window, running.url).asks(question)
                time.sleep(1)  # pages move a little while they come
                window.screenshot(folder / f"{question.asks.replace(' ', '-')}.png")
                print(json.dumps(asdict(answer)) if as_json else line(answer), flush=True)


def line(answer: Answer) -> str:
    """An answer as a line of a table."""
    seconds = "not to be had" if answer.seconds is None else f"{answer.seconds:5.1f} s"
    return f"{answer.asks:<20} {answer.clicks} clicks, {answer.inputs} typed, {seconds}"


if __name__ == "__main__":
    main()
