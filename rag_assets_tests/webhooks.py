"""A webhook on this machine: it keeps what it is told, and answers as it is asked to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

SECRET = "T0-geheim"  # in the path of each URL


class Receiver:
    """What it was told, by path and headers and as JSON; it answers with `status`, which tests change."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.notices: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, str | None, str | None]] = []  # method, path, type, user agent
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 60  # of a connection

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.notices.append(json.loads(body))
                self._answer()

            def do_GET(self) -> None:
                self._answer()

            def _answer(self) -> None:
                facts = (self.headers["Content-Type"], self.headers["User-Agent"])
                receiver.requests.append((self.command, self.path, *facts))
                self.send_response(receiver.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Nothing is said."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/services/{SECRET}"


def without_proxies(patched: pytest.MonkeyPatch) -> None:
    """Have whatever proxy this machine has not asked."""
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            patched.delenv(name, raising=False)


@contextmanager
def receiving(status: int = 200) -> Iterator[Receiver]:
    """One that listens as long as this is open, and is asked without a proxy."""
    receiver = Receiver(status)
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patched:
            without_proxies(patched)
            yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()
