"""What the log of a run says while it works."""

import threading
import time
from functools import partialmethod

import pytest

from rag_assets.defs import jobs
from rag_assets.defs.progress import RunProgress
from rag_assets.errors import DatabaseUnavailable
from rag_assets.model import Outcome
from rag_assets.report import RunReport
from rag_assets_tests.application import WORDS
from rag_assets_tests.project import Project

OFTEN = [0.02] * 5_000  # seconds, before each line


def report(*, completed: int, failed: int = 0) -> RunReport:
    made = RunReport(run_id="1")
    made.add(Outcome(document_id=str(n), path="a.txt", status="completed", stage="write") for n in range(completed))
    made.add(
        Outcome(document_id=f"failed-{n}", path="a.txt", status="failed", stage="read", error_kind="empty")
        for n in range(failed)
    )
    return made


@pytest.mark.parametrize("asked", [True, False])
def test_line_of_a_run_says_how_far_it_is(project: Project, asked: bool) -> None:
    """What is done of what it was asked for, or of what is due; chunks; the time left; long documents at work."""
    progress = RunProgress(count_due=lambda: 490)
    progress.asked = 500 if asked else None
    assert progress.line() == f"0 of {500 if asked else 490} documents"
    with progress.hears(project.services):
        time.sleep(0.1)
        project.services.serving.embedder.on_embedded(840)
        project.services.on_part("17", 120, 400)
        project.services.on_part("3", 1, 2)
        progress.advance(report(completed=9, failed=1))
        done, chunks, left, part = progress.line().split("; ")
    assert done == "10 of 500 documents (9 completed, 1 failed)"
    assert chunks.startswith("840 chunks embedded, ")
    assert 1_000 < float(chunks.split()[3]) < 8_401
    assert left.startswith("about ")
    assert left.endswith(" left")
    assert part == "document 17: 120 of 400 chunks", "and nothing of document 3, which is done"


@pytest.mark.parametrize("asked", [True, False])
def test_log_of_a_run_says_how_far_it_is(project: Project, monkeypatch: pytest.MonkeyPatch, asked: bool) -> None:
    """In the run that Dagster shows, whether it was asked for documents or takes what is pending."""
    monkeypatch.setattr(RunProgress, "told", partialmethod(RunProgress.told, first_pauses=OFTEN))
    ids = [project.application.add(f"{n}.txt", *WORDS) for n in range(120)]
    options = {"run_config": jobs.run_config(document_ids=ids)} if asked else {}
    run = project.run(**options)
    said = [entry.user_message for entry in project.instance.all_logs(run.run_id)]
    told = [line for line in said if " of 120 documents" in line]
    assert told
    assert all(int(line.split()[0]) <= 120 for line in told)


def test_lines_go_on_when_one_cannot_be_told() -> None:
    """As when the database is away for a moment: the next line is tried all the same."""
    tried = threading.Event()
    seen: list[str] = []

    def tell(line: str) -> None:
        seen.append(line)
        if len(seen) < 3:
            raise DatabaseUnavailable("The database is starting up")
        tried.set()

    with RunProgress(count_due=lambda: 1).told(tell, first_pauses=OFTEN):
        assert tried.wait(30)
