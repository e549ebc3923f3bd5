"""What a person does in Dagster's UI with a corpus, in a real browser: backfill, read why one failed, mend it, see it.

`python -m rag_assets_tests.e2e.story FOLDER` takes the same way as test_story_in_browser.py, on a home of its own, and
leaves a picture of each step in FOLDER, to be looked at.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rag_assets_tests import browser, conftest
from rag_assets_tests.browser import Browser
from rag_assets_tests.e2e.conftest import Running, up, wait_for
from rag_assets_tests.e2e.walk import SAMPLES

WIDTH = 1400  # pixels
JOBS = "/locations/rag_assets/jobs"
SENSOR = "/locations/rag_assets/sensors/document_changes"
NAMED = "button, a, [role=button], [role=menuitem], [role=tab]"  # what is clicked by its words
CLICK = """
const [named, words] = arguments;
const found = Array.from(document.querySelectorAll(named)).find((e) =>
  e.innerText && e.innerText.trim().startsWith(words) && e.getClientRects().length && !e.disabled);
if (!found) return false;
found.click();
return true;
"""
SWITCH = """
const found = document.querySelector('input[type=checkbox]');
if (!found || found.disabled) return false;
found.click();
return true;
"""
BESIDE = """
const all = Array.from(document.querySelectorAll('button'));
const index = all.findIndex((e) => e.innerText.trim().startsWith(arguments[0]));
if (index < 0) return false;
all[index + 1].click();
return true;
"""
UNFOLD = """
const found = document.querySelector('[role=dialog] button[class*=disclosure]');
if (!found) return false;
found.click();
return true;
"""
TICK = """
{ sensorOrError(sensorSelector: {repositoryName: "__repository__", repositoryLocationName: "rag_assets",
  sensorName: "document_changes"}) { ... on Sensor { sensorState { status ticks(limit: 1) { status } } } } }
"""
RUNS = """{ runsOrError(filter: {pipelineName: "ingest_documents"}) { ... on Runs { results { status } } } }"""
Picture = Callable[[str], None]


class Person:
    """Somebody who sits in front of Dagster's UI."""

    def __init__(self, running: Running, window: Browser, picture: Picture) -> None:
        self.running, self.window, self.picture = running, window, picture
        window.set(width=WIDTH)

    def go(self, path: str, *, says: str) -> None:
        """Open a page of Dagster's, and wait until it shows these words."""
        self.window.go(f"{self.running.url}{path}")
        self.sees(says)

    def sees(self, words: str) -> None:
        self.window.until("return document.body.innerText.includes(arguments[0])", words)

    def reads(self) -> str:
        """All words of the page."""
        return str(self.window.run("return document.body.innerText"))

    def clicks(self, words: str) -> None:
        """On what can be clicked, is enabled and begins with these words; it may still have to come."""
        self.window.until(CLICK, NAMED, words)

    def turn_sensor_off(self) -> None:
        """And wait for the look that has begun, which would still take what comes."""
        self.go(SENSOR, says="Running")
        self.window.until(SWITCH)

        def is_off() -> bool:
            state = self.running.graphql(TICK)["sensorOrError"]["sensorState"]
            return bool(state["status"] == "STOPPED" and all(tick["status"] != "STARTED" for tick in state["ticks"]))

        wait_for(is_off, what="the sensor's last look")

    def launches(self, job: str) -> None:
        """Have a job run, by the button of its launchpad, until it has succeeded."""
        self.go(f"{JOBS}/{job}/playground", says="Launch Run")
        self.clicks("Launch Run")
        self.window.until("return location.pathname.startsWith('/runs/')")
        self.sees("Success")

    def backfills_what_is_missing(self) -> None:
        """By the button of the job's page and its dialog, until its run has ended."""
        self.go(f"{JOBS}/ingest_documents", says="Materialize all")
        self.clicks("Materialize all")
        self.clicks("Missing")
        self.sees("partitions selected")
        self.picture("1-backfill")
        self.clicks("Launch backfill")

        def has_ended() -> bool:
            runs = self.running.graphql(RUNS)["runsOrError"]["results"]
            return bool(runs) and all(run["status"] in ("SUCCESS", "FAILURE") for run in runs)

        wait_for(has_ended, what="the backfill")

    def opens(self, document_id: str, *, asset: str = "raw_text", says: str) -> None:
        self.go(f"/assets/{asset}?view=partitions&partition={document_id}", says=says)

    def reads_why_it_failed(self, document_id: str) -> str:
        """The dialog of what happened to a document."""
        self.opens(document_id, says="failed, and did not materialize this asset")
        self.clicks("View all historical events")
        self.window.until(UNFOLD)
        self.sees("what to do")
        self.picture("2-why-it-failed")
        return self.reads()

    def has_it_done_again(self, run_id: str) -> None:
        """A run that failed, from its failure on, by the menu beside the button."""
        self.go(f"/runs/{run_id}", says="Failure")
        self.window.until(BESIDE, "Re-execute")
        self.clicks("From failure")
        self.window.until(
            "return location.pathname.startsWith('/runs/') && !location.pathname.includes(arguments[0])", run_id
        )
        self.sees("Success")
        self.picture("5-repeated-run")


@contextmanager
def opened(home: Path, files: Path, picture: Picture = lambda _name: None) -> Iterator[tuple[Person, dict[str, str]]]:
    """Somebody before a corpus of which nothing is ingested; the documents' ids by file name. One of them is empty."""
    shutil.copytree(SAMPLES, files, ignore=shutil.ignore_patterns("__pycache__"))
    (files / "minutes.txt").touch()
    with browser.opened() as window, up(home, conftest._model("q8_0")) as running:
        person = Person(running, window, picture)
        person.turn_sensor_off()
        yield person, {file.name: running.insert(file) for file in sorted(files.iterdir())}


def main(folder: Path) -> None:
    """Take the whole way, one picture for each step."""
    folder.mkdir(parents=True, exist_ok=True)
    taken: list[Any] = []

    def picture(name: str) -> None:
        time.sleep(1)  # dialogs come slowly
        taken[0].screenshot(folder / f"{name}.png")
        print(name, flush=True)

    with tempfile.TemporaryDirectory(prefix="rag-assets-story-") as place:
        home, files = Path(place, "home"), Path(place, "documents")
        home.mkdir()
        with opened(home, files, picture) as (person, ids):
            taken.append(person.window)
            story(person, ids, files)


def story(person: Person, ids: dict[str, str], files: Path) -> None:
    """The whole way: each step is asserted where it is taken."""
    bad, good = ids["minutes.txt"], ids["returns-policy.md"]
    person.launches("reconcile")  # a sensor that is off tells Dagster of no document
    person.backfills_what_is_missing()
    assert "Nothing but white space in 0 bytes" in person.reads_why_it_failed(bad)
    (files / "minutes.txt").write_text("The pump was repaired.\n", encoding="utf-8")
    person.launches("reconcile")  # no trigger sees a file that changes
    person.running.command("ingest")
    person.opens(bad, says="The pump was repaired.")
    person.picture("3-mended")
    assert "did not materialize" not in person.reads()
    person.opens(good, says="You can return any item within 30 days")
    person.picture("4-document")
    assert "did not materialize" not in person.reads()
    person.opens(good, asset="chunks", says="How long you have")
    person.picture("4-chunks")
    (files / "late.txt").touch()
    late = person.running.insert(files / "late.txt")
    failed = person.running.command("ingest", succeeds=False)[-1]["run_id"]
    (files / "late.txt").write_text("It came late.\n", encoding="utf-8")
    person.has_it_done_again(failed)
    person.opens(late, says="It came late.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
