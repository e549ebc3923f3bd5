"""The search service as `rag-assets up` runs it, a process that may be killed, and clients who ask it."""

import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from rag_assets import supervisor
from rag_assets.client import Index
from rag_assets.errors import IndexUnavailable
from rag_assets.model import Hit
from rag_assets_tests import patience

AGAIN_SECONDS = 30.0  # in which a client asks again where nobody answers: the service takes some seconds to start
PAUSE_SECONDS = 0.1
TRACEBACK = re.compile(r"^Traceback .*(?:\n[ \t].*)*\n\S.*", re.MULTILINE)  # with the line of its error


class SearchService:
    """Its process, and what is asked of it, by any number of threads."""

    def __init__(self, environment: Mapping[str, str], *, log: Path) -> None:
        self.longest_seconds = 0.0  # that a client waited for an answer
        self._clients: dict[str, Index] = {}  # by the address, which is another one where the port was taken meanwhile
        self._port = supervisor.Port("127.0.0.1", 0, whose="the search service", progress=lambda _words: None)
        self._service = supervisor.Service(
            "search service",
            [sys.executable, "-m", "rag_assets.service.search_service", "--host", "{host}", "--port", "{port}"],
            environment=environment,
            log=log,
            port=self._port,
            restarts=sys.maxsize,  # it is not given up, as these deaths are on purpose
        )

    @contextmanager
    def running(self) -> Iterator["SearchService"]:
        """It is started again whenever it has died, until the block ends."""
        with patience.meanwhile(self._keep_running):
            yield self
        for client in self._clients.values():
            client.close()

    def _keep_running(self, stop: threading.Event) -> None:
        """In a thread that lives as long as the process, which ends with it."""
        try:
            while not stop.wait(PAUSE_SECONDS):
                if not self._service.alive:
                    self._service.start()
        finally:
            self._service.end()

    def processes(self) -> list[psutil.Process]:
        """That of now; none between two of them."""
        try:
            return [psutil.Process(self._service.pid)] if self._service.pid and self._service.alive else []
        except psutil.Error:
            return []

    def tracebacks(self) -> list[str]:
        """Of the log: why it answered that something went wrong in it."""
        text = self._service.log.read_text(encoding="utf-8", errors="replace") if self._service.log.is_file() else ""
        return TRACEBACK.findall(text)

    def search(self, question: str, *, k: int) -> list[Hit]:
        """Asked again while nobody answers, for AGAIN_SECONDS; then IndexUnavailable, as where an error is answered."""
        begun = time.monotonic()
        while True:
            try:
                hits = self._client().search(question, k=k, mode="vector")
            except IndexUnavailable as exc:
                is_answered = exc.__cause__ is None  # else it says why there was no answer
                if is_answered or time.monotonic() - begun > AGAIN_SECONDS:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                self.longest_seconds = max(self.longest_seconds, time.monotonic() - begun)
                return hits

    def _client(self) -> Index:
        url = self._port.url
        return self._clients.setdefault(url, Index(url))
