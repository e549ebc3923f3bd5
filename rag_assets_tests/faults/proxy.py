"""A TCP proxy before a PostgreSQL: a black hole, where lines stay open and nothing passes, or what a pooler does."""

import socket
import threading
from contextlib import suppress

from psycopg2.extensions import parse_dsn


class Proxy:
    """Passes bytes on between `with` and its end, on a free port; `swallow` makes all lines of now black holes.

    `replace`: what is changed on its way, in both directions, where it comes in one piece, and by what.
    """

    def __init__(self, url: str, *, replace: tuple[bytes, bytes] | None = None) -> None:
        self._target = parse_dsn(url)
        self._replace = replace
        self._server = socket.create_server(("127.0.0.1", 0))
        self._lines: list[tuple[socket.socket, socket.socket]] = []
        self._dead: set[socket.socket] = set()
        port = self._server.getsockname()[1]
        password = f":{self._target['password']}" if "password" in self._target else ""
        self.url = (
            f"postgresql://{self._target['user']}{password}@127.0.0.1:{port}/{self._target['dbname']}"
            "?sslmode=disable&gssencmode=disable"
        )

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take no more lines, and end those there are."""
        for each in [self._server, *(end for line in self._lines for end in line)]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def swallow(self) -> int:
        """From now on nothing passes on the lines there are, in neither direction, nor their end; how many."""
        fresh = {end for line in self._lines for end in line} - self._dead
        self._dead |= fresh
        return len(fresh) // 2

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                server = self._connect()
                self._lines.append((client, server))
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _connect(self) -> socket.socket:
        host, port = self._target.get("host", ""), int(self._target.get("port", 5432))
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(f"{host}/.s.PGSQL.{port}")
        return connected

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if source not in self._dead:
                    target.sendall(data.replace(*self._replace) if self._replace else data)
            if source not in self._dead:
                target.shutdown(socket.SHUT_RDWR)
