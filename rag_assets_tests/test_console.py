"""What the command line shows: how far a run is, while it works."""

import pytest

from rag_assets import console
from rag_assets.model import Outcome, Status


def outcome(document_id: str, *, retry: bool = False) -> Outcome:
    status: Status = "failed" if retry else "completed"
    return Outcome(document_id=document_id, path=None, status=status, stage="write", retry=retry)


def drawn(capsys: pytest.CaptureFixture[str]) -> str:
    """The last state of the bar."""
    return capsys.readouterr().err.replace("\r", "\n").rstrip().splitlines()[-1]


def test_bar_shows_how_far_a_long_document_is_after_others_were_done(capsys: pytest.CaptureFixture[str]) -> None:
    """Minutes pass in which no document is done, and chunks are all that moves."""
    with console.Progress(total=3) as progress:
        progress._bar.mininterval = 0  # or it would wait until its next look
        progress.advance([outcome("1"), outcome("2", retry=True)])
        progress.embedded(8)
        progress.part("7", 8, 1_396)
        shown = drawn(capsys)
        assert "2/3 documents" in shown
        assert "completed=1, pending=1, chunks=8, document 7: 8/1396" in shown
        assert progress.unfinished == {"7": (8, 1_396)}
        progress.advance([outcome("7")])
    assert progress.unfinished == {}
    assert "document 7" not in drawn(capsys)


def test_bar_of_one_document_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """And not that it has documents."""
    with console.Progress(total=1) as progress:
        progress.advance([outcome("1")])
    assert "1/1 document [" in drawn(capsys)
