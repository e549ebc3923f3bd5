"""A page behind the guard on a port of its own, for tests."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from rag_assets.service.connections import BoundedProtocol
from rag_assets.service.guard import Guard

TOKEN = "a-token-of-some-length"


class Page:
    """A guarded application on a port of its own; it notes what reaches it."""

    def __init__(self, **options: Any) -> None:
        """`options` are those of Guard."""
        self.reached: list[str] = []
        routes = [
            Route("/graphql", self._graphql, methods=["GET", "POST"]),
            Route("/report_asset_materialization/{key:path}", self._graphql, methods=["POST"]),
            WebSocketRoute("/graphql", self._websocket),
            Route("/{path:path}", self._page, methods=["GET", "PUT", "DELETE", "POST"]),
        ]
        self.app = Guard(Starlette(routes=routes), **options)
        self.port = 0
        self.delay = 0.0  # seconds until a page is answered

    async def _graphql(self, request: Request) -> JSONResponse:
        body = await request.body()
        self.reached.append(f"{request.method} {request.url.path}")
        return JSONResponse({"bytes": len(body)})

    async def _page(self, request: Request) -> HTMLResponse:
        self.reached.append(f"{request.method} {request.url.path}")
        await asyncio.sleep(self.delay)
        return HTMLResponse("<p>the page</p>")

    async def _websocket(self, websocket: WebSocket) -> None:
        self.reached.append("websocket")
        await websocket.accept()
        await websocket.close()

    def ask(self, method: str, path: str, **options: object) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method,
                f"http://127.0.0.1:{self.port}{path}",
                timeout=60,
                allow_redirects=False,
                **options,  # type: ignore[arg-type]
            )

    def raw(self, request: str) -> str:
        """The first line of the answer to what no library would send."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(request.encode())
            return connection.recv(4_096).decode().splitlines()[0]


@contextmanager
def served(page: Page, *, protocol: type[BoundedProtocol] = BoundedProtocol) -> Iterator[Page]:
    server = uvicorn.Server(uvicorn.Config(page.app, host="127.0.0.1", port=0, log_level="error", http=protocol))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        page.port = server.servers[0].sockets[0].getsockname()[1]
        yield page
    finally:
        server.should_exit = True
        thread.join(timeout=60)


def connected(page: Page, said: bytes = b"") -> socket.socket:
    """A connection on which that much of a request was said."""
    connection = socket.create_connection(("127.0.0.1", page.port), timeout=60)
    connection.sendall(said)
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Whether the page ended a connection, waiting for that up to 60 s; what it said before does not count."""
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True
