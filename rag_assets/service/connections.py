"""The connections of a page or interface: how many there are at once, and how long one may take to say what it wants.

uvicorn takes any number of connections, waits forever for a request, and with httptools keeps headers of any length:
whoever reaches the port, with no token, could fill the memory, or take all file descriptors, upon which gRPC ends the
webserver. Here a request has its time, h11 bounds its head (64 KiB), and where there are too many connections, the one
that has said nothing for longest goes.
"""

import asyncio
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if sys.platform != "win32":
    import resource

REQUEST_SECONDS = 60.0  # for a whole request to arrive, head and body, or for the next one to begin
MOST_CONNECTIONS = 500  # a browser has six of a page, and a websocket for each tab


def most_connections(limit: int = MOST_CONNECTIONS) -> int:
    """Half of the files that this process may open, and no more than the limit."""
    if sys.platform == "win32":
        return limit
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limit if allowed == resource.RLIM_INFINITY else min(limit, allowed // 2)


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it with h11, on connections that are bounded in number and in time."""

    request_seconds = REQUEST_SECONDS
    connections_at_most = MOST_CONNECTIONS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waits_since: float | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by asyncio: counts the connection, and closes the one that waits longest where there are too many."""
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > most_connections(self.connections_at_most):
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio at the end of a connection."""
        self._end_wait()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio with bytes of a request; once it is whole, its time no longer counts."""
        super().data_received(data)
        self._end_wait_for_whole_request()

    def on_response_complete(self) -> None:
        """Called by uvicorn when an answer is sent: the wait for the next request begins."""
        self._wait()
        super().on_response_complete()  # which may take up a request that has come already
        self._end_wait_for_whole_request()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Called by uvicorn: a web socket may stay as long as it wants."""
        self._end_wait()
        super().handle_websocket_upgrade(event)

    def _wait(self) -> None:
        self._end_wait()
        self._waits_since = time.monotonic()
        self._deadline = self.loop.call_later(self.request_seconds, self._give_up)

    def _end_wait(self) -> None:
        self._waits_since = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_wait_for_whole_request(self) -> None:
        if self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete:
            self._end_wait()

    def _make_room(self) -> None:
        """Close the connection that has been waited for longest; the newest one waits too, so there is one."""
        waiting = [
            (other._waits_since, id(other), other)
            for other in self.connections
            if isinstance(other, BoundedProtocol) and other._waits_since is not None
        ]
        min(waiting)[-1]._give_up()

    def _give_up(self) -> None:
        self._end_wait()
        self.connections.discard(self)
        self.transport.abort()


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, *, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()


def serve(
    app: Any,
    *,
    host: str,
    port: int,
    stop_seconds: float,
    on_started: Callable[[], None] = lambda: None,
    **options: Any,
) -> None:
    """Serve an ASGI application until SIGINT or SIGTERM; then requests under way have `stop_seconds`.

    `options` are further ones of uvicorn.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=BoundedProtocol,
        server_header=False,
        timeout_graceful_shutdown=int(stop_seconds),
        **options,
    )
    _Server(config, on_started=on_started).run()
