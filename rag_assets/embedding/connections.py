"""Connections to embedding servers: they go through a door where there is one, and are waited for with patience.

A module of its own, as importing urllib3 takes a fifth of a second: only who embeds needs it, and takes its errors from
here: where several threads import different parts of urllib3 first, Python may give one of them half a module.
"""

import socket
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import certifi
import urllib3  # the whole before its parts
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError, NewConnectionError, ProtocolError, ReadTimeoutError
from urllib3.util import Url, parse_url
from urllib3.util.request import make_headers
from urllib3.util.ssl_ import create_urllib3_context

from rag_assets import visible
from rag_assets.embedding.door import Door
from rag_assets.embedding.waiting import Patience, no_longer_than

__all__ = ["Answer", "HTTPError", "ProtocolError", "ReadTimeoutError", "ServerConnection"]

Answer = Any  # urllib3's response, whose body has not been read


class ServerConnection:
    """The connection of one thread to one server, through `door` or without one to what the URL names.

    It is opened at the first request, kept open, and opened again when it was closed. `on_connect` is called for each
    new one, in the thread that needs it. No proxy stands in between.
    """

    def __init__(self, url: str, *, door: Door | None, patience: Patience, on_connect: Callable[[], None]) -> None:
        try:
            place = parse_url(url)
        except LocationParseError:  # which has the login
            raise LocationParseError(visible.address(url)) from None
        self._path = (place.path or "").rstrip("/")
        self._headers = make_headers(basic_auth=unquote(place.auth)) if place.auth else {}
        self._pool = _pool(place, door, patience, on_connect)

    def ask(
        self, method: str, path: str, *, body: bytes | None, headers: dict[str, str], connect: float, read: float
    ) -> Answer:
        """The head of the answer; `connect` and `read` are in seconds. Raises urllib3.exceptions.HTTPError.

        A redirection is an answer like any other: texts and key are for this server, not for whom it names.
        """
        return self._pool.urlopen(
            method,
            f"{self._path}{path}",
            body=body,
            headers=headers | self._headers,
            timeout=urllib3.Timeout(connect=connect, read=read),
            retries=False,
            redirect=False,
            preload_content=False,
        )

    def close(self) -> None:
        """Close the connections that are open; a later request opens new ones."""
        self._pool.close()


def _pool(
    place: Url, door: Door | None, patience: Patience, on_connect: Callable[[], None]
) -> urllib3.HTTPConnectionPool:
    """A pool of the one connection, of a class that urllib3 makes it of."""

    class Patient(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            on_connect()

        def getresponse(self) -> Any:
            seconds = float(self.timeout)  # type: ignore[arg-type]
            patience.wait_for(self.sock, seconds=seconds)
            with no_longer_than(seconds, lambda: self.sock.shutdown(socket.SHUT_RDWR)):
                return super().getresponse()

    class PatientAndEncrypted(Patient, HTTPSConnection):
        """In this order, so that the encrypted connection is what Patient connects and reads from."""

    class Proven(Patient):
        def _new_conn(self) -> socket.socket:
            assert door is not None  # noqa: S101 - chosen below
            try:
                return door.open(float(self.timeout))  # type: ignore[arg-type]
            except OSError as exc:
                raise NewConnectionError(self, str(exc)) from exc

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Proven if door else Patient

    class EncryptedPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = PatientAndEncrypted

    if not place.host or place.scheme not in ("http", "https"):
        raise LocationParseError(f"{visible.address(place.url)}: write http://HOST:PORT or https://HOST")
    if place.scheme == "http":
        return Pool(place.host, place.port)
    return EncryptedPool(place.host, place.port, ssl_context=_trusted())


def _trusted() -> ssl.SSLContext:
    """Whom this machine trusts (SSL_CERT_FILE as well), such as a company's own authority, and the public ones."""
    trusted = create_urllib3_context()
    trusted.load_default_certs()
    trusted.load_verify_locations(certifi.where())
    return trusted
