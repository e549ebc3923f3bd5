"""An ASGI layer before the search service: which requests reach it, and who asks.

The rules for hosts and origins are those of all our pages (rag_assets.service.rules). What changes or asks something
comes by POST as application/json, with a body of a megabyte at most. Where keys are configured, each request but those
for the open paths carries one as `Authorization: Bearer KEY`, and is made with the rights of whose it is; the endpoint
finds him by `caller_of`. A wrong key is answered late, and only some at a time: nobody else waits for that.
"""

import asyncio
import re
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag_assets.asking import EVERYTHING
from rag_assets.errors import SettingsError
from rag_assets.model import Caller
from rag_assets.service import rules
from rag_assets.service.keys import Keys
from rag_assets.service.logins import Logins
from rag_assets.service.rules import Bounded, Refusal

HOSTS = "service.allowed_hosts"  # the setting that has more names
METHODS = rules.READ_METHODS | {"POST", "DELETE"}
JSON = "application/json"
BODY_BYTES = 2**20
ALL_BODIES_BYTES = 64 * 2**20  # of all requests that are under way
WRONG_KEY_SECONDS = 1.0  # a wrong key is answered no sooner
MOST_WRONG_KEYS = 20  # that wait for their answer; more are sent away at once
ENDING = "The service ends, and had no more time for this: ask again once it runs."
ENDING_SECONDS = 5
LOGIN = "/login"
LOGOUT = "/logout"
FORM = "application/x-www-form-urlencoded"
KINDS = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    421: "unknown_host",
    422: "invalid",
    429: "busy",
    503: "unavailable",
}
DEFAULT_HEADERS = {  # where an answer has none of its own
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def caller_of(connection: HTTPConnection) -> Caller:
    """Who makes a request that came through the gate; on an open path, KeyError where he gave no key."""
    found = connection.scope["rag_assets.caller"]
    assert isinstance(found, Caller)  # noqa: S101 - set below
    return found


def error(status: int, message: str, *, kind: str | None = None, retry_after: int | None = None) -> JSONResponse:
    """An answer that is no success."""
    body = {"error": {"kind": kind or KINDS.get(status, "error"), "message": message}}
    headers: dict[str, str] = {}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (400, 413):
        headers["Connection"] = "close"  # what is still to come is not read, nor taken for another request
    return JSONResponse(body, status_code=status, headers=headers)


def only_local(target: str) -> str:
    """A path of this service; the start page in place of anything that leads elsewhere."""
    return target if re.match(r"/(?![/\\])", target) and not re.search(r"[\x00-\x20\\]", target) else "/"


class WrongKeys:
    """Answers to wrong keys, which come late."""

    def __init__(self) -> None:
        self._waiting = 0

    async def wait(self) -> bool:
        """The time that a wrong key is let wait; False, and at once, where too many wait."""
        if self._waiting >= MOST_WRONG_KEYS:
            return False
        self._waiting += 1
        try:
            await asyncio.sleep(WRONG_KEY_SECONDS)
        finally:
            self._waiting -= 1
        return True


class Gate:
    """Lets through what the rules allow, answers everything else itself.

    `open_paths` need no key. With `logins`, the cookie of one is as good as a key for what is only read, and a browser
    that has neither is led to the login page. `on_refusal` is told the kind of each refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Keys | None,
        hosts: Collection[str] = (),
        open_paths: Collection[str] = (),
        logins: Logins | None = None,
        on_refusal: Callable[[str], None] = lambda _kind: None,
    ) -> None:
        self._app = app
        self._keys = keys
        self._hosts = rules.hosts(hosts)
        self._open_paths = frozenset(open_paths)
        self._logins = logins
        self._on_refusal = on_refusal
        self._wrong_keys = WrongKeys()
        self._bodies = _Budget(ALL_BODIES_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it: to the application, or refused; web sockets always are."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": 1008})  # before it was accepted: HTTP 403
        else:
            await self._http(scope, receive, rules.with_headers(_with_defaults(send)))

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        try:
            self._require_form(request)
            caller = await self._caller(request)
        except Refusal as refusal:
            self._on_refusal(KINDS.get(refusal.status, "error"))
            if refusal.status == 401 and self._logins is not None and _is_for_a_person(request):
                await RedirectResponse(f"{LOGIN}?next={quote(_local_path(request), safe='')}", 303)(
                    scope, receive, send
                )
                return
            retry_after = 1 if refusal.status in (429, 503) else None
            await error(refusal.status, refusal.message, retry_after=retry_after)(scope, receive, send)
            return
        if caller is not None:
            scope["rag_assets.caller"] = caller
        body = _Counted(Bounded(receive, limit=BODY_BYTES), self._bodies)
        answered = _Noted(send)
        try:
            await self._app(scope, body, answered)
        except asyncio.CancelledError:  # by uvicorn, where the service has been told to end, and for nothing else
            if not answered.has_begun:
                await error(503, ENDING, retry_after=ENDING_SECONDS)(scope, receive, send)
        finally:
            body.close()

    def _require_form(self, request: Request) -> None:
        rules.admit(request, self._hosts, setting=HOSTS)
        if request.method not in METHODS:
            raise Refusal(405, f"Only {', '.join(sorted(METHODS))} are taken.")
        needed = FORM if self._logins is not None and request.url.path in (LOGIN, LOGOUT) else JSON
        if request.method == "POST" and rules.media_type(request) != needed:
            raise Refusal(415, f"POST is taken with Content-Type: {needed} only.")
        if int(request.headers.get("content-length", "0")) > BODY_BYTES:
            raise Refusal(413, f"A request has {BODY_BYTES:,} bytes at most.")

    async def _caller(self, request: Request) -> Caller | None:
        if self._keys is None:
            return EVERYTHING
        given = request.headers.getlist("authorization")
        if not given and request.url.path in self._open_paths:
            return None
        try:
            found = self._logged_in(request) if not given else self._keys.caller(_key(given))
        except SettingsError as exc:
            raise Refusal(503, "Nobody is let in: the file of keys has to be mended; see the service's log.") from exc
        if found is None and not given:
            raise Refusal(401, "A key is needed: Authorization: Bearer KEY.")
        if found is None:
            is_late = await self._wrong_keys.wait()
            raise Refusal(401, "That key is not known.") if is_late else Refusal(429, "Too many wrong keys at once.")
        return found

    def _logged_in(self, request: Request) -> Caller | None:
        """By the cookie of a login, for what is only read: no page of another origin can have more done with it."""
        if self._logins is None or request.method not in rules.READ_METHODS:
            return None
        found = self._logins.caller(request)
        request.scope["rag_assets.logged_in"] = found is not None
        return found


def _key(given: list[str]) -> str:
    """The key of the one Authorization header."""
    if len(given) != 1:
        raise Refusal(401, "A key is needed, in one header: Authorization: Bearer KEY.")
    scheme, _, key = given[0].partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Refusal(401, "A key is needed: Authorization: Bearer KEY.")
    return key.strip()


def _is_for_a_person(request: Request) -> bool:
    """Whether a browser opens a page; a key that was given is a program's."""
    accepts = request.headers.get("accept", "")
    return request.method in rules.READ_METHODS and "text/html" in accepts and "authorization" not in request.headers


def _local_path(request: Request) -> str:
    path = str(request.scope["raw_path"], "ascii", "replace")
    return path + (f"?{request.url.query}" if request.url.query else "")


class _Budget:
    """How many bytes there may be of all."""

    def __init__(self, limit: int) -> None:
        self.left = limit


class _Counted:
    """A body that ends like a connection that broke where all bodies together have become too large."""

    def __init__(self, receive: Receive, budget: _Budget) -> None:
        self._receive = receive
        self._budget = budget
        self._taken = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        size = len(message.get("body", b""))
        if size > self._budget.left:
            return {"type": "http.disconnect"}
        self._taken += size
        self._budget.left -= size
        return message

    def close(self) -> None:
        self._budget.left += self._taken


class _Noted:
    """Sends on, and knows whether the answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def __call__(self, message: Message) -> None:
        self.has_begun = True
        await self._send(message)


def _with_defaults(send: Send) -> Send:
    async def send_with_defaults(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Any = MutableHeaders(scope=message)
            for name, value in DEFAULT_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_defaults
