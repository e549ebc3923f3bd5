"""What `rag-assets story` and a line of `status --watch` show: a document's story in words, and what to do now."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby, pairwise
from statistics import median
from typing import Any

import click

from rag_assets import visible, wrapping
from rag_assets.console import local, shorten, show
from rag_assets.errors import ErrorKind
from rag_assets.model import Attempt, IndexStatus, are, counted
from rag_assets.postgres.stories import Cut, Reading, Story, Work
from rag_assets.report import SHOWN_STATUSES

LABEL_COLUMNS = 9  # columns of what a line is about
SHOWN_HEADINGS = 12  # that are named
SHOWN_ATTEMPTS = 5  # that are shown
PICTURE_COLUMNS = 48  # of the picture of lengths
BLOCKS, SIGNS = "▁▂▃▄▅▆▇█", ".:-=+*#@"
MEANINGS = {
    "indexed": "what is indexed is what the file has, as far as is known",
    "pending": "it waits for the next run",
    "running": "a run works on it",
    "failed": "it is tried again when it changes, or when it is told to be",
    "accepted": "it cannot be read, and somebody said that this is well, until its file changes",
    "held": "its row is gone together with many others, and it stays until this is confirmed",
    "overlooked": "it is neither indexed nor pending",
}
REMEDIES: dict[ErrorKind, str] = {
    "not_found": "Put the file where its path says, or correct the path in the table.",
    "outside_root": "Correct the path in the table, or add its folder to source.allowed_roots.",
    "empty": "Fill the file, or remove its row.",
    "no_text": "Give it text (as OCR does with a scan), or remove its row.",
    "encrypted": "Replace the file by one without a password.",
    "corrupt": "Replace the file by one that its own program opens.",
    "unsupported": "Save it in a format that is read (docs/formats.md), or remove its row.",
    "too_large": "Split the file, or raise the limit that the message names.",
    "timed_out": "Split the file, or raise parsing.max_seconds.",
    "crashed": "Try it once more; if it fails again, save the file anew or in another format.",
    "id_doubled": "Give each row an id of its own.",
    "id_missing": "Give the row an id.",
    "id_too_long": "Give the row an id of 800 bytes at most.",
}
TAKEN = "The next run takes it: rag-assets ingest, unless `rag-assets up` runs."


def show_status_line(status: IndexStatus) -> None:
    """The index on one line, with the time."""
    failed, dead = sum(status.failed.values()), sum(status.dead.values())
    again = f" (of these {failed} tried again)" if failed else ""
    accepted = f", {sum(status.accepted.values())} accepted" if status.accepted else ""
    show(
        f"{time.strftime('%H:%M:%S')}  {counted(status.documents, 'document')}: {status.up_to_date} up to date, "
        f"{status.pending} pending{again}, {status.running} running, {dead} failed, {status.held} held"
        f"{accepted}"
    )


def as_json(story: Story) -> dict[str, Any]:
    """Everything, with the state in a word and what to do."""
    return {"document_id": story.document_id, "state": story.state, **asdict(story), "to_do": to_do(story)}


def show_story(story: Story, *, size: int) -> None:
    """The story in a screenful or two; `size` is the largest chunk that the settings allow, in tokens."""
    path = story.path or (story.reading.path if story.reading else None)
    gone = "" if story.path is not None else "  (it has no row in the table any more)"
    click.echo(_line("document", click.style(visible.line(story.document_id), bold=True) + _after(path) + gone))
    _say("state", f"{story.state}: {MEANINGS[story.state]}")
    if story.work is not None:
        _show_work(story.work, story.state)
    if story.reading is not None:
        _show_reading(story.reading, path=path)
        _show_cuts(story.cuts, size=size)
        _show_model(story.reading, story.cuts)
    for each in story.attempts[:SHOWN_ATTEMPTS]:
        _say("attempt", _attempt(each))
    _say("to do", to_do(story))
    click.echo()


def to_do(story: Story) -> str:
    """What somebody who reads this may do now."""
    work, name = story.work, story.document_id
    if story.state in ("failed", "pending") and work is not None and work.error_kind is not None:
        again = f" Then: rag-assets retry {name}. If it is to stay so: rag-assets accept {name}"
        remedy: str = REMEDIES.get(work.error_kind, "See the message.")  # type: ignore[call-overload]
        return remedy + (again if story.state == "failed" else _when(work.seconds_to_next or 0, name=name))
    if story.fault is not None:
        return f"The last run could not do its work, for no fault of the document: mend that first. {TAKEN}"
    if story.state == "indexed":
        wrong = sum(cut.distrusted for cut in story.cuts)
        return f"{counted(wrong, 'vector')} {are(wrong)} to be made anew. {TAKEN}" if wrong else "Nothing."
    return {
        "pending": TAKEN,
        "running": "Nothing: look again in a moment.",
        "accepted": f"Nothing. To try it again as it is: rag-assets retry {name}",
        "held": "Put the row back, or let all go that wait: rag-assets confirm-deletions",
        "overlooked": "Find it, and whatever else was missed: rag-assets reconcile",
    }[story.state]


def _when(seconds: float, *, name: str) -> str:
    """When a document that failed is tried again, and by whom."""
    due = f" It is due again{f' in {_seconds(seconds)}' if seconds >= 1 else ''}"
    return f"{due}: `rag-assets up` takes it then, or at once: rag-assets ingest {name}"


def _show_work(work: Work, state: str) -> None:
    if work.error_kind is not None:
        tries = counted(work.attempts, "attempt")
        _say("why", f"{work.error_kind}: {work.error_message or ''} ({tries})")
    holder = f", held by {work.holder}" if work.holder else ""
    if state in ("pending", "running"):
        _say("since", f"{local(work.since):%Y-%m-%d %H:%M:%S}, {work.operation}{holder}")
    if work.part is not None:
        embedded, chunks = work.part
        _say("embedded", f"{embedded:,} of {chunks:,} new chunks; it is stored when all are")


def _show_reading(reading: Reading, *, path: str | None) -> None:
    facts = [
        f"{reading.media_type} by {reading.parser}",
        *([counted(reading.pages, "page")] if reading.pages else []),
        f"{reading.characters:,} characters of {reading.size_bytes:,} bytes",
        f"language {reading.language or 'unsure'}",
    ]
    elsewhere = f" (then at {reading.path})" if path != reading.path else ""
    _say("read", f"{', '.join(facts)}; the file of {local(reading.file_written_at):%Y-%m-%d %H:%M:%S}{elsewhere}")
    if reading.title:
        _say("title", reading.title)
    _say("begins", shorten(reading.beginning, length=160))
    for warning in reading.warnings:
        _say("warning", warning)


def _show_cuts(cuts: Sequence[Cut], *, size: int) -> None:
    if not cuts:
        return
    tokens = [cut.tokens for cut in cuts]
    spread = f"{min(tokens)} to {max(tokens)} tokens, median {median(tokens):g}"
    lengths = spread if len(cuts) > 1 else counted(tokens[0], "token")
    _say("cut", f"{counted(len(cuts), 'chunk')} of {lengths}; at most {size} by chunking.size")
    _say("lengths", _picture(tokens, top=max(size, *tokens)))
    outline = list(_outline(cuts))
    for each in outline[:SHOWN_HEADINGS]:
        _say("heading", each)
    if len(outline) > SHOWN_HEADINGS:
        _say("", f"... and {len(outline) - SHOWN_HEADINGS} more, with --json")


def _show_model(reading: Reading, cuts: Sequence[Cut]) -> None:
    build = f" by {reading.server_build}" if reading.server_build else ""
    newest = max((cut.embedded_at for cut in cuts), default=reading.indexed_at)
    _say("model", f"{reading.embedding_model}{build}; newest vector of {local(newest):%Y-%m-%d %H:%M:%S}")
    _say("indexed", f"{local(reading.indexed_at):%Y-%m-%d %H:%M:%S}")


def _attempt(attempt: Attempt) -> str:
    """One line of the log: when, how it ended, and where and why it failed."""
    ended = SHOWN_STATUSES.get(attempt.status, attempt.status)
    said = f"{local(attempt.at):%Y-%m-%d %H:%M:%S}  {ended}"
    if attempt.error_kind is not None:
        said += f" at {attempt.stage}, {attempt.error_kind}: {attempt.error_message}"
    elif attempt.status == "completed":
        said += (
            f", {counted(attempt.chunks, 'chunk')}: {attempt.chunks_embedded} embedded, {attempt.chunks_reused} reused"
        )
    seconds = sum(attempt.seconds.values())
    return f"{said}, {seconds:.2f} s (run {attempt.run_id})"


def _picture(tokens: Sequence[int], *, top: int) -> str:
    """Lengths in the document's order, one sign each, or one for the mean of several."""
    columns = min(len(tokens), PICTURE_COLUMNS)
    bounds = [len(tokens) * n // columns for n in range(columns + 1)]
    means = [sum(tokens[a:b]) / (b - a) for a, b in pairwise(bounds)]
    signs = BLOCKS if _can_show(BLOCKS) else SIGNS
    return "".join(signs[min(len(signs) - 1, int(mean / top * len(signs)))] for mean in means)


def _can_show(signs: str) -> bool:
    try:
        signs.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _outline(cuts: Iterable[Cut]) -> Iterator[str]:
    """Which chunks stand below which heading, in the document's order."""
    for path, group in groupby(cuts, key=lambda cut: cut.heading_path):
        below = list(group)
        last = f"-{below[-1].index}" if len(below) > 1 else ""
        if path:
            yield f"{' > '.join(path)}  (chunk {below[0].index}{last})"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _after(path: str | None) -> str:
    return "" if path is None else f"  {visible.line(path)}"


def _say(label: str, text: str) -> None:
    click.echo(_line(label, visible.line(text)))


def _line(label: str, text: str) -> str:
    return wrapping.wrapped(f"{label:>{LABEL_COLUMNS}}  {text}", indent=LABEL_COLUMNS + 2, columns=wrapping.width())
