"""What holds for each page and interface of ours: under which names it is asked, from whose pages, and how long.

The rules follow OWASP's sheets on cross-site request forgery and DNS rebinding: `Host` is an IP address, localhost or a
configured name, and `Origin` and `Sec-Fetch-Site`, where a browser sends them, are our own.
"""

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.types import Message, Receive, Send

READ_METHODS = frozenset({"GET", "HEAD"})
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:(?P<port>\d{1,5}))?", re.IGNORECASE)
# Nobody may show our pages in a frame of his, and have their buttons clicked.
HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Refusal(Exception):
    """A request that is not let through: the status code of the answer, and why, with what to do instead."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Bounded:
    """A request's body as the application receives it: too long a one ends like a connection that broke."""

    def __init__(self, receive: Receive, *, limit: int) -> None:
        self._receive = receive
        self._left = limit

    async def __call__(self) -> Message:
        """The next part of the body; a disconnect once there was more of it than the limit."""
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        return message if self._left >= 0 else {"type": "http.disconnect"}


def hosts(configured: Collection[str]) -> frozenset[str]:
    """The names under which we answer, besides addresses and names below localhost."""
    return frozenset(name.lower() for name in configured) | {"localhost"}


def admit(connection: HTTPConnection, known: Collection[str], *, setting: str) -> None:
    """Refuse foreign names, pages of other origins, and a body whose end is said in two ways.

    The last is read differently by different programs: what is one request for a proxy could be two for us. `setting`
    is the one in which more names are given.
    """
    _require_known_host(connection, known, setting=setting)
    _require_own_origin(connection)
    if "content-length" in connection.headers and "transfer-encoding" in connection.headers:
        raise Refusal(400, "A request says where it ends once: by Content-Length or by Transfer-Encoding.")


def media_type(request: Request) -> str:
    """What a request says its body is, without parameters; empty where it says nothing."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def with_headers(send: Send) -> Send:
    """An ASGI `send` that adds HEADERS to each answer."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return send_with_headers


def _require_known_host(connection: HTTPConnection, known: Collection[str], *, setting: str) -> None:
    """Refuse a name that is none of ours."""
    name, _ = _host(connection)
    if name not in known and not name.endswith(".localhost") and not _is_address(name):
        raise Refusal(
            421,
            f"This page does not answer under the name {name}. Ask by IP address or localhost, or add the "
            f"name to the setting {setting}.",
        )


def _require_own_origin(connection: HTTPConnection) -> None:
    """Refuse what a page of another origin has a browser send; it may link to our pages, and show nothing of them."""
    for origin in connection.headers.getlist("origin"):
        if not _is_origin_of(origin, connection):
            raise Refusal(403, "Requests from pages of another origin are refused.")
    if connection.headers.get("sec-fetch-site", "none") in {"same-origin", "none"}:
        return
    is_link = (
        connection.scope.get("method") in READ_METHODS
        and connection.headers.get("sec-fetch-mode") == "navigate"
        and connection.headers.get("sec-fetch-dest") == "document"
    )
    if not is_link:
        raise Refusal(403, "Requests from pages of another origin are refused.")


def _host(connection: HTTPConnection) -> tuple[str, str | None]:
    """Name and port of the one Host header."""
    given = connection.headers.getlist("host")
    match = HOST.fullmatch(given[0].strip()) if len(given) == 1 else None
    if match is None:
        raise Refusal(400, "A request has one Host header, with a name or an address.")
    return match["name"].lower().rstrip(".") or ".", match["port"]


def _is_origin_of(origin: str, connection: HTTPConnection) -> bool:
    """Whether an Origin header names the very host and port that the Host header names."""
    try:
        parts = urlsplit(origin)
        default = DEFAULT_PORTS[parts.scheme]
        match = HOST.fullmatch(parts.netloc)
    except (ValueError, KeyError):
        return False
    if match is None:
        return False
    name, port = _host(connection)
    return (match["name"].lower().rstrip("."), int(match["port"] or default)) == (name, int(port or default))


def _is_address(name: str) -> bool:
    """An IP address cannot be made to point at another machine, as a name can."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
