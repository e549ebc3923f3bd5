"""The commands that look: `rag-assets status`, once or again and again, and `rag-assets story`."""

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import click

from rag_assets import console, console_story, operations
from rag_assets.cli_services import JSON, FiniteRange, examples, existing, opened
from rag_assets.errors import ServiceError
from rag_assets.services import Services

SHOWN_FAILED = 20  # documents that `status` names
STATUS_LINES = 18  # of a status without failed documents, which have the rest of a terminal's lines
WATCH_SECONDS = 2.0  # between two looks


@click.command(
    short_help="Show what is up to date, pending, failed, and why.",
    epilog=examples("status", "status --watch", "status --watch 10 >> status.log"),
)
@click.option(
    "--watch",
    is_flag=False,
    flag_value=WATCH_SECONDS,
    type=FiniteRange(0.2, 86_400),
    metavar="[SECONDS]",
    help=f"Look again every so many seconds, until Ctrl-C. [default without a number: {WATCH_SECONDS:g}]",
)
@JSON
def status(watch: float | None, as_json: bool) -> None:
    """Show how many documents are up to date, pending and running, and which failed, why, and what to do.

    Failed are those that wait until they change, or for rag-assets retry; those that are tried again by themselves are
    pending. With --json, as in the view rag_status, `dead` counts the former and `failed` the latter.

    With --watch, a terminal shows the latest look; elsewhere, each look adds a line.
    """
    with opened() as services:
        if watch is None:
            _show(services, limit=SHOWN_FAILED, as_json=as_json)
        else:
            _repeat(_look(services, as_json=as_json), seconds=watch)


def _show(services: Services, *, limit: int, as_json: bool) -> None:
    now = operations.status(services)
    failed_documents = [] if as_json else operations.failed_documents(services, limit=limit)
    console.print_json(asdict(now)) if as_json else console.show_status(now, failed_documents)


def _look(services: Services, *, as_json: bool) -> Callable[[], None]:
    """What is done at each look: the screen drawn anew, a line, or an object in JSON."""
    if as_json:
        return partial(_show, services, limit=0, as_json=True)
    return partial(_redraw if sys.stdout.isatty() else _append, services)


def _redraw(services: Services) -> None:
    now = operations.status(services)  # before the screen is cleared, which then is not empty while this is waited for
    limit = max(1, min(SHOWN_FAILED, shutil.get_terminal_size().lines - STATUS_LINES))
    failed_documents = operations.failed_documents(services, limit=limit)
    click.clear()
    console.show_status(now, failed_documents)
    console.show(f"\n{time.strftime('%H:%M:%S')}, Ctrl-C ends")


def _append(services: Services) -> None:
    console_story.show_status_line(operations.status(services))
    sys.stdout.flush()


def _repeat(look: Callable[[], None], *, seconds: float) -> None:
    """Look until Ctrl-C; what hinders a later look is said, and the next one may find it gone."""
    try:
        look()
        while True:
            time.sleep(seconds)
            try:
                look()
            except ServiceError as exc:
                console.print_progress(f"{time.strftime('%H:%M:%S')}  {exc}")
    except KeyboardInterrupt:
        if sys.stdout.isatty():
            click.echo()


@click.command(
    short_help="Tell the whole story of documents.",
    epilog=examples("story 17", "story 17 42 --json"),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@JSON
def story(ids: tuple[str, ...], as_json: bool) -> None:
    """Tell of each document what was read, how it was cut, which model embedded it, when, what failed, and what to do.

    With --json, one object per document has all that is known, its cuts and attempts included. The exit code is 1 when
    one of the IDs names no document.
    """
    with opened() as services:
        known, unknown = existing(services, ids)
        for one in operations.stories(services, known):
            if as_json:
                console.print_json(console_story.as_json(one))
            else:
                console_story.show_story(one, size=services.settings.chunking.size)
    if unknown and as_json:
        console.print_json({"unknown": unknown})
    sys.exit(1 if unknown else 0)


COMMANDS = (status, story)
