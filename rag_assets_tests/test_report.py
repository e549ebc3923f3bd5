"""The report of a run: each document counts once, by what became of it in the end."""

from dataclasses import replace

import pytest

from rag_assets.model import Outcome, Status
from rag_assets.report import RunReport


def outcome(document_id: str, status: Status, *, embedded: int = 0) -> Outcome:
    return Outcome(document_id=document_id, path=None, status=status, stage="write", chunks_embedded=embedded)


def test_document_counts_by_its_last_outcome() -> None:
    """One that failed and came again in the same run is no failure any more; the work of both attempts counts."""
    report = RunReport(run_id="r")
    report.add([outcome("1", "failed"), outcome("2", "failed"), outcome("3", "completed", embedded=2)])
    report.add([outcome("1", "completed", embedded=3)])
    assert report.counts == {"completed": 2, "skipped": 0, "deleted": 0, "failed": 1}
    assert list(report.failed) == ["2"]
    assert report.summary == "2 completed, 0 unchanged, 0 deleted, 1 failed; 5 chunks embedded, 0 reused"


def test_what_is_tried_again_is_pending_in_words() -> None:
    """As the status has it; in numbers for programs, an attempt that failed stays one."""
    report = RunReport(run_id="r")
    report.add([outcome("1", "failed"), replace(outcome("2", "failed"), retry=True)])
    assert report.summary == "0 completed, 0 unchanged, 0 deleted, 1 failed, 1 pending; 0 chunks embedded, 0 reused"
    assert report.brief == "1 failed, 1 pending"
    assert report.as_json["failed"] == 2


@pytest.mark.parametrize(
    ("found", "is_short"), [({}, False), ({"busy": ["1"]}, True), ({"unknown": ["1"]}, True), ({"gone": ["1"]}, False)]
)
def test_report_is_short_when_something_was_not_done(found: dict[str, list[str]], is_short: bool) -> None:
    """What is not in the table any more is done: nothing is kept of it."""
    assert RunReport(run_id="r", **found).is_short is is_short
