"""What others wrote cannot pretend to be ours: one line stays one, and no character moves the cursor."""

import json
import logging

import pytest

from rag_assets import console, visible
from rag_assets.doctor import Finding
from rag_assets.errors import DocumentError
from rag_assets.logs import JsonFormatter, LineFormatter
from rag_assets.model import Chunk, FailedDocument, Hit, IndexStatus, Outcome
from rag_assets.operations import Accepted, Registered
from rag_assets.report import RunReport

EVIL = (
    "a\r\x1b[2K\x1b[1A       up to date  9\n-> all is well\x85\u2028\u202etxt.\u2066\x9b31m\x00\udcff.txt"
    "\U000e0069\U000e0067\U000e007f\u206a\ufff9"
)
STATUS = IndexStatus(
    documents=1,
    up_to_date=0,
    pending=0,
    oldest_pending_at=None,
    running=0,
    failed={},
    dead={"not_found": 1},
    chunks=0,
    chunks_with_vector=0,
)


def is_plain(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://gpu:8080/v1", "http://gpu:8080/v1"),
        ("http://me:secret@gpu:8080/v1", "http://***@gpu:8080/v1"),
        ("http://one, HTTPS://me:secret@two", "http://one, HTTPS://***@two"),
        ("http://me:se/cr,et@one,http://me:secret@two", "http://***@one,http://***@two"),
        ("me:secret@gpu", "***@gpu"),
        ("me:secret@gpu:8080,http://gpu2", "***@gpu:8080,http://gpu2"),
        ("me:secret@gpu, http://me:secret@gpu2", "***@gpu, http://***@gpu2"),
        ("http//me:secret@one, https://me:secret@two", "***@one, https://***@two"),
        ("Failed to parse: http://me:secret@gpu:x", "Failed to parse: http://***@gpu:x"),
    ],
)
def test_an_address_is_shown_without_its_login(address: str, shown: str) -> None:
    """Also where it is none as it is meant, as with a slash or comma in the password."""
    assert visible.address(address) == shown


def test_a_line_stays_one_and_is_readable() -> None:
    """What cannot be seen is written as in Python; letters of every script stay."""
    assert visible.line("a\tb\n\x1b[0m ßж日\U0001f469\u200d\U0001f680") == (
        "a\\tb\\n\\x1b[0m ßж日\U0001f469\u200d\U0001f680"
    )
    assert "\n" not in visible.line(EVIL)
    assert is_plain(visible.line(EVIL))


def test_text_of_characters_that_nobody_sees_is_written_out() -> None:
    """Tags spell a text for programs alone, and so can variation selectors in a row; one of those makes an emoji."""
    assert visible.lines("a\U000e0041\ufe0f\U000e0101b") == "a\\U000e0041\\ufe0f\\U000e0101b"
    assert visible.lines("\u2764\ufe0f \u845b\U000e0100") == "\u2764\ufe0f \u845b\U000e0100"


def test_json_stays_the_same_object() -> None:
    """Escaped as JSON has it."""
    line = visible.json_line(json.dumps({"path": EVIL}, ensure_ascii=False))
    assert json.loads(line) == {"path": EVIL}
    assert is_plain(line)
    line.encode()


def test_output_of_every_kind_holds_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    """Paths, messages, questions, headings and passages, for people and for programs."""
    hit = Hit(
        document_id=EVIL,
        path=EVIL,
        title=EVIL,
        chunk_id=1,
        chunk_index=0,
        content=EVIL,
        score=1.0,
        similarity=1.0,
        page=1,
        heading_path=(EVIL,),
        before=(EVIL,),
        after=(EVIL,),
    )
    trouble = FailedDocument(document_id=EVIL, error_kind="not_found", error_message=EVIL, seconds_to_next=None)
    piece = Chunk(
        index=0,
        content=EVIL,
        content_sha256="",
        embedded_text=EVIL,
        token_count=1,
        char_start=0,
        char_end=1,
        page=None,
        heading_path=(EVIL,),
        kind="prose",
    )
    report = RunReport(run_id="r", busy=[EVIL], gone=[EVIL], interrupted=True, unfinished={EVIL: (1, 2)})
    failed = {"status": "failed", "stage": "read", "error_kind": "empty", "error_message": EVIL}
    report.add([Outcome(document_id=EVIL, path=EVIL, **failed)])
    console.show_hit(hit)
    console.show_answers({EVIL: [hit]})
    console.show_status(STATUS, [trouble])
    console.show_report(report)
    console.show_accepted(Accepted(accepted=[], before=0, pending=[EVIL], waiting=1, changed=[EVIL], others=[EVIL]))
    console.show_registered(Registered(registered=0, new=0, left_out=(EVIL,)))
    console.show_finding(Finding(check="home", verdict="ok", found=EVIL, next=EVIL))
    console.show_error(EVIL, DocumentError("empty", EVIL), seconds=0.0, as_json=False)
    console.show_error(EVIL, DocumentError("empty", EVIL), seconds=0.0, as_json=True)
    console.show_chunk(piece, as_json=False)
    console.show_chunk(piece, as_json=True)
    shown = capsys.readouterr()
    assert is_plain(shown.out)
    assert is_plain(shown.err)


def test_a_line_of_status_cannot_be_faked(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing but our own lines begins where ours begin; what failed is called so, as in the counts above."""
    trouble = FailedDocument(document_id="1", error_kind="not_found", error_message=EVIL, seconds_to_next=None)
    console.show_status(STATUS, [trouble])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.strip().startswith(("up to date", "->"))] == [
        "          up to date  0",
        "-> 1 document failed (1 not_found): correct it, then rag-assets retry, or leave it so: rag-assets accept.",
    ]
    assert sum(line.startswith("  failed   1  not_found: a\\r") for line in lines) == 1


@pytest.mark.parametrize("formatter", [LineFormatter("%(levelname)s %(message)s"), JsonFormatter()])
def test_only_records_begin_a_line_of_the_log(formatter: logging.Formatter) -> None:
    """A message with line ends goes on indented, or within its object."""
    record = logging.LogRecord("x", logging.WARNING, "f", 1, "about %s", (EVIL + "\nERROR faked",), None)
    first, *others = formatter.format(record).split("\n")
    assert is_plain(first)
    assert all(line.startswith("    ") and is_plain(line) for line in others)
