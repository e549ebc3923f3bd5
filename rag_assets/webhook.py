"""Notices for people go to the webhook of `notify.url` as JSON; what hinders one is said without that secret URL."""

import json
import platform
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from rag_assets.errors import ServiceError, SettingsError
from rag_assets.settings import Notify, Settings

NOT_SET = "notify.url is not set: nobody is told of runs that fail, or of a backlog."
# With the name of Python's library, which is sent otherwise, some services refuse what comes.
HEADERS = {"Content-Type": "application/json", "User-Agent": "rag-assets"}


class _Stays(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the notice would arrive elsewhere, without its body, and count as taken."""

    def redirect_request(self, *_args: Any, **_named: Any) -> None:
        """No request: the redirect is then an answer like any other that is not 2xx."""
        return


class _Line(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Posts by a connection that can be cut while its answer is waited for."""

    _made: HTTPConnection | None = None

    def do_open(
        self, http_class: Callable[..., HTTPConnection], req: urllib.request.Request, **http_conn_args: Any
    ) -> HTTPResponse:
        """As it is, with the connection kept."""

        def kept(*args: Any, **named: Any) -> HTTPConnection:
            self._made = http_class(*args, **named)
            return self._made

        return super().do_open(kept, req, **http_conn_args)

    def cut(self) -> None:
        """End the connection, where there is one; who reads from it, reads its end."""
        taken = self._made.sock if self._made is not None else None
        if taken is not None:
            with suppress(OSError):
                socket.socket.shutdown(taken, socket.SHUT_RDWR)  # that of TLS forgets its keys first


def notice(settings: Settings, event: str, lines: Iterable[str | None], **facts: object) -> dict[str, object]:
    """A notice of an event: its facts, whose index it is of, and `text`, which has the lines, but for empty ones."""
    index = settings.dagster.name
    whose = f"rag_assets{f' {index}' if index else ''} on {platform.node()}: "
    text = whose + "\n".join(filter(None, lines))
    return {"event": event, "host": platform.node(), "index": index, "text": text, **facts}


def send(settings: Notify, notice: Mapping[str, object]) -> None:
    """Post a notice to the webhook.

    SettingsError where none is set; ServiceError, with the reason but without the URL, where the notice is not taken
    with an answer of 2xx within `notify.timeout_seconds`.
    """
    if settings.url is None:
        raise SettingsError(NOT_SET)
    url, body, seconds = settings.url.get_secret_value(), json.dumps(notice).encode(), settings.timeout_seconds
    answered: SimpleQueue[str] = SimpleQueue()
    line = _Line()
    # In a thread: neither a look-up of a name nor an answer letter by letter has an end that a socket would set. The
    # latter is cut when time is over, and the former left to itself.
    Thread(target=lambda: answered.put(_post(url, body, line, seconds=seconds)), name="webhook", daemon=True).start()
    try:
        reason = answered.get(timeout=seconds)
    except Empty:
        line.cut()
        reason = f"it did not answer within {seconds:g} s (notify.timeout_seconds)"
    if reason:
        raise ServiceError(f"The webhook of notify.url did not take the notice: {reason}.")


def _post(url: str, body: bytes, line: _Line, *, seconds: float) -> str:
    """Why the notice was not taken; empty where it was. Of errors only their names, as their words may have the URL."""
    request = urllib.request.Request(url, data=body, headers=HEADERS, method="POST")  # noqa: S310 - http or https alone are taken as setting
    try:
        # The time of one step of it, for the thread to end; that of the whole ends before, by who waits for the answer.
        with urllib.request.build_opener(_Stays, line).open(request, timeout=2 * seconds):
            return ""
    except urllib.error.HTTPError as exc:
        exc.close()
        return f"it answered {exc.code}{', a redirect, which is not followed' if 300 <= exc.code < 400 else ''}"
    except (OSError, HTTPException, ValueError) as exc:
        return f"it cannot be reached ({type(getattr(exc, 'reason', exc)).__name__})"
