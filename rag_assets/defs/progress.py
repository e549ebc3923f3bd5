"""How far a run is, told in its log while it works: after ten seconds first, once a minute later."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, repeat

from rag_assets import visible
from rag_assets.model import counted
from rag_assets.report import RunReport
from rag_assets.services import Services

FIRST_PAUSES_SECONDS = (10.0, 20.0, 30.0)
PAUSE_SECONDS = 60.0
END_SECONDS = 5.0  # that a run waits at its end for a line that is being written
SHOWN_PARTS = 3  # long documents at work

logger = logging.getLogger(__name__)


class RunProgress:
    """Documents and chunks that a run is done with, and the long documents it is at.

    `asked` is how many documents it was asked for; None where it works on what is pending, which `count_due` counts
    then, without those that are done. Changes come from several threads, lines are told in one of their own.
    """

    def __init__(self, *, count_due: Callable[[], int]) -> None:
        self.asked: int | None = None
        self._count_due = count_due
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._done, self._brief = 0, ""
        self._chunks = 0
        self._parts: dict[str, tuple[int, int]] = {}  # document -> chunks that are embedded, of how many

    @contextmanager
    def hears(self, services: Services) -> Iterator[None]:
        """While open, these services say what they embed; who was told before still is."""
        embedder = services.serving.embedder
        on_embedded, on_part = embedder.on_embedded, services.on_part

        def embedded(texts: int) -> None:
            with self._lock:
                self._chunks += texts
            on_embedded(texts)

        def part(document_id: str, done: int, chunks: int) -> None:
            with self._lock:
                self._parts[document_id] = (done, chunks)
            on_part(document_id, done, chunks)

        embedder.on_embedded, services.on_part = embedded, part
        try:
            yield
        finally:
            embedder.on_embedded, services.on_part = on_embedded, on_part

    @contextmanager
    def told(
        self, tell: Callable[[str], None], *, first_pauses: Sequence[float] = FIRST_PAUSES_SECONDS
    ) -> Iterator[None]:
        """While open, `tell` is given a line every now and then."""
        ended = threading.Event()
        pauses = chain(first_pauses, repeat(PAUSE_SECONDS))
        thread = threading.Thread(target=self._tell, args=(tell, ended, pauses), name="tell-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(END_SECONDS)

    def advance(self, report: RunReport) -> None:
        """Take what is done from the report, to which the outcomes of some documents were added."""
        with self._lock:
            self._done, self._brief = report.done, report.brief
            self._parts = {one: part for one, part in self._parts.items() if not report.has(one)}

    def line(self) -> str:
        """Documents, chunks and their rate, the time left, and how far long documents are."""
        with self._lock:
            done, brief, chunks, parts = self._done, self._brief, self._chunks, dict(self._parts)
        seconds = time.monotonic() - self._began
        left = self._count_due() if self.asked is None else max(self.asked - done, 0)
        words = [f"{done:,} of {counted(done + left, 'document')}" + (f" ({brief})" if done else "")]
        if chunks:
            words.append(f"{counted(chunks, 'chunk')} embedded, {chunks / seconds:.1f} a second")
        if done and left:
            words.append(f"about {_duration(seconds * left / done)} left")
        at_work = [f"document {visible.line(one)}: {n:,} of {of:,} chunks" for one, (n, of) in parts.items()]
        return "; ".join(words + at_work[:SHOWN_PARTS])

    def _tell(self, tell: Callable[[str], None], ended: threading.Event, pauses: Iterator[float]) -> None:
        for pause in pauses:
            if ended.wait(pause):
                return
            try:
                tell(self.line())
            except Exception as exc:  # noqa: BLE001 - a line that cannot be told is nothing that a run may fail of
                logger.info("How far the run is could not be told: %s", exc)


def _duration(seconds: float) -> str:
    for unit, length in (("hour", 3_600), ("minute", 60)):
        if seconds >= 1.5 * length:
            return counted(round(seconds / length), unit)
    return counted(max(round(seconds), 1), "second")
