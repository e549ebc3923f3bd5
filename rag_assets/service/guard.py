"""An ASGI layer that decides which requests reach a web application: whose, from which page, and in which form.

Dagster's webserver has no login, answers any `Host`, and executes GraphQL mutations that come by GET, so that an image
on a foreign page can launch runs or wipe assets. The rules here follow OWASP's sheets on cross-site request forgery and
DNS rebinding:

- `Host` is an IP address, localhost or a configured name: a foreign name that resolves to this machine is refused.
- `Origin`, and where a browser sends it `Sec-Fetch-Site`, must be our own; links from elsewhere may open pages.
- What changes something comes by POST as application/json, which no foreign page can send without asking first.
- No notebook is shown: Dagster would make a page of ours of any .ipynb file of this machine, with the scripts in it.
- With a token, each request carries it, or the cookie that the login page gives for it.
"""

import asyncio
import hashlib
import hmac
import html
import json
import re
import time
from collections.abc import Collection
from urllib.parse import parse_qs, quote

import graphql
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag_assets.service import rules
from rag_assets.service.rules import READ_METHODS, Bounded, Refusal

COOKIE = "rag_assets_login"
LOGIN_SECONDS = 7 * 24 * 3_600
WRONG_TOKEN_SECONDS = 1.0  # a wrong token is answered no sooner
LOGIN_BODY_BYTES = 4_096
BODY_BYTES = 64 * 2**20  # a list of all partitions of a large table is some 16 MB
HOSTS = "web.allowed_hosts"  # the setting that has more names
GRAPHQL = "/graphql"
LOGIN = "/login"
NOTEBOOK = re.compile(r"(/dagit)?/notebook/*")  # the former name of the webserver is still a route of it
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
READ_ONLY = "This page is read-only (the setting web.read_only, or up --read-only)."
LOGIN_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>rag_assets: login</title>
<style>:root {{ color-scheme: light dark }} body {{ font: 1rem system-ui; max-width: 22rem; margin: 20vh auto; }}
input, button {{ font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; margin: .25rem 0 }}</style></head>
<body><h1>rag_assets</h1><p role="status">{message}</p>
<form method="post" action="{action}"><label>Token (the setting web.token)
<input type="password" name="token" autofocus required autocomplete="current-password"></label>
<button>Log in</button></form></body></html>
"""


class Guard:
    """Lets through what the rules of this module allow, answers everything else itself.

    `hosts` are names besides localhost under which the page may be asked, for instance that of a reverse proxy.
    With `read_only`, nothing is accepted by POST but GraphQL without mutations: Dagster's own mode leaves some through.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str] = (),
        token: str | None = None,
        read_only: bool = False,
        login_seconds: int = LOGIN_SECONDS,
    ) -> None:
        self._app = app
        self._hosts = rules.hosts(hosts)
        self._token = token.encode() if token else None
        self._read_only = read_only
        self._login_seconds = login_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or web socket, as ASGI has it: to the application, or refused."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, rules.with_headers(send))

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        try:
            rules.admit(connection, self._hosts, setting=HOSTS)
            self._require_token(connection)
        except Refusal:
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": 1008})  # before it was accepted: HTTP 403
            return
        await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._own_answer(request)
            receive = Bounded(receive, limit=BODY_BYTES)
            if self._read_only and request.method == "POST" and response is None:
                receive = await _without_mutations(Request(scope, receive))
        except Refusal as refusal:
            response = JSONResponse({"error": refusal.message}, status_code=refusal.status)
            if refusal.status == 401:
                response.headers["WWW-Authenticate"] = "Bearer"
            if refusal.status == 400:
                response.headers["Connection"] = "close"  # what follows may not be what its sender meant as a request
        if response is not None:
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _own_answer(self, request: Request) -> Response | None:
        """The login page and its effect; None for what the application is to answer; Refusal for all else."""
        rules.admit(request, self._hosts, setting=HOSTS)
        if self._token and request.url.path == LOGIN:
            return await self._login(request)
        try:
            self._require_token(request)
        except Refusal:
            if request.method in READ_METHODS and "text/html" in request.headers.get("accept", ""):
                return RedirectResponse(f"{LOGIN}?next={quote(_local_path(request))}", status_code=303)
            raise
        self._require_form(request)
        return None

    def _require_token(self, connection: HTTPConnection) -> None:
        if self._token is None:
            return
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token):
            return
        if not self._is_logged_in(connection.cookies.get(COOKIE, "")):
            raise Refusal(401, "A token is needed: Authorization: Bearer TOKEN, or log in at /login with a browser.")

    def _require_form(self, request: Request) -> None:
        """What may have an effect is JSON by POST; what is read comes by GET, and is no GraphQL query."""
        path = request.url.path
        if request.method in READ_METHODS:
            if path == GRAPHQL and "text/html" not in request.headers.get("accept", ""):
                raise Refusal(405, f"GraphQL is taken by POST with Content-Type: {JSON} only.")
            if NOTEBOOK.fullmatch(path):
                raise Refusal(404, "Notebooks are not shown: what is in them would run as this page.")
            return
        if request.method != "POST":
            raise Refusal(405, "Only GET, HEAD and POST are taken.")
        if rules.media_type(request) != JSON:
            raise Refusal(415, f"POST is taken with Content-Type: {JSON} only.")
        if int(request.headers.get("content-length", "0")) > BODY_BYTES:
            raise Refusal(413, f"A request has {BODY_BYTES:,} bytes at most.")
        if self._read_only and path != GRAPHQL:
            raise Refusal(403, READ_ONLY)

    async def _login(self, request: Request) -> Response:
        target = _only_local(request.query_params.get("next", "/"))
        if request.method in READ_METHODS:
            return _login_page("Log in to go on.", target=target)
        if request.method != "POST" or rules.media_type(request) != FORM:
            raise Refusal(405, "The login takes a form by POST.")
        given = parse_qs((await _body(request, limit=LOGIN_BODY_BYTES)).decode("utf-8", "replace")).get("token", [""])[
            0
        ]
        assert self._token is not None  # noqa: S101 - the login page is there only with one
        if not hmac.compare_digest(given.strip().encode(), self._token):
            await asyncio.sleep(WRONG_TOKEN_SECONDS)
            return _login_page("That token is not right.", target=target, status=401)
        response = RedirectResponse(target, status_code=303)
        expires = int(time.time()) + self._login_seconds
        response.set_cookie(
            COOKIE,
            f"{expires}.{self._signature(str(expires))}",
            max_age=self._login_seconds,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return response

    def _is_logged_in(self, cookie: str) -> bool:
        expires, _, signature = cookie.partition(".")
        if not re.fullmatch(r"\d{1,12}", expires) or not hmac.compare_digest(
            signature.encode(), self._signature(expires).encode()
        ):
            return False
        return time.time() < int(expires)

    def _signature(self, expires: str) -> str:
        """What only who knows the token can have written: another token makes every cookie void."""
        return hmac.new(self._token or b"", f"{COOKIE} until {expires}".encode(), hashlib.sha256).hexdigest()


async def _without_mutations(request: Request) -> Receive:
    """The body once more, for the application to receive; Refusal where it holds a GraphQL mutation."""
    try:
        body = await request.body()
        given = json.loads(body)
        query = given.get("query") if isinstance(given, dict) else None
        definitions = graphql.parse(query).definitions if isinstance(query, str) else ()
    except ClientDisconnect:
        raise Refusal(413, "That is too long.") from None
    except (ValueError, RecursionError, graphql.GraphQLError):
        raise Refusal(400, "That is no GraphQL query in JSON.") from None
    for definition in definitions:
        if getattr(definition, "operation", None) == graphql.OperationType.MUTATION:
            raise Refusal(403, READ_ONLY)

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _local_path(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _only_local(target: str) -> str:
    """A path of this page; the start page in place of anything that leads elsewhere."""
    return target if re.match(r"/(?![/\\])", target) and not re.search(r"[\x00-\x20\\]", target) else "/"


def _login_page(message: str, *, target: str, status: int = 200) -> HTMLResponse:
    page = LOGIN_PAGE.format(message=html.escape(message), action=html.escape(f"{LOGIN}?next={quote(target)}"))
    policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    return HTMLResponse(page, status_code=status, headers={"Content-Security-Policy": policy})


async def _body(request: Request, *, limit: int) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise Refusal(413, "That is too long for a token.")
    return body
