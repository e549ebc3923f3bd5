"""The routes of the page: parameters of a URL come in, HTML goes out, for the caller whom the gate let through.

Every value is escaped, and what could hide something in it is written out, wherever it stands.
"""

import json
import re
import shlex
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qs, quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from rag_assets import partition_keys, visible
from rag_assets.asking import Asking
from rag_assets.errors import RagAssetsError
from rag_assets.model import Caller, DocumentState, Hit, State, Story, Summary
from rag_assets.postgres.search import WORD_MARKS
from rag_assets.service import forms
from rag_assets.service.api import Api, is_id, refusal
from rag_assets.service.gate import LOGIN, LOGOUT, WrongKeys, caller_of, only_local
from rag_assets.service.keys import Keys
from rag_assets.service.logins import Logins
from rag_assets.service.page import catalogue

PAGE_FOLDER = Path(__file__).parent
STATIC = {"page.css": "text/css", "page.js": "text/javascript"}
OPEN_PATHS = (LOGIN, LOGOUT, *(f"/static/{name}" for name in STATIC))
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
LANGUAGE = "rag_assets_language"  # the cookie of who chose one
MODES = get_args(forms.Mode)
FILTER_FIELDS = {  # of the form -> those of the API's filters; True: one of a list
    "under": ("under", False),
    "path": ("path_glob", False),
    "type": ("types", True),
    "language": ("languages", True),
    "heading": ("heading", False),
    "document": ("documents", True),
    "since": ("since", False),
    "until": ("until", False),
}
PAGE_HITS = 10
MOST_HITS = 100
PAGE_CHUNKS = 20  # of a document, on one page
AROUND = 1  # passages before and after one
PAGE_DOCUMENTS = 100  # on one page
EDGE = 5  # words by which the end of an excerpt is known as that of its passage
RETRYABLE = frozenset({429, 503, 504})
WITHOUT_MODEL = frozenset({"not_enough_memory", "embedder_unavailable", "too_long"})  # what words alone are asked after

View = Callable[["Visit"], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What went wrong, as keys of the catalogue, and the links that lead on."""

    headline: str
    message: str = ""
    steps: tuple[tuple[str, str], ...] = ()


class Visit:
    """One request: who asks, in which language, and what is asked of whom."""

    def __init__(self, request: Request, *, environment: Environment) -> None:
        self.request = request
        self.parameters = dict(request.query_params)
        chosen = self.parameters.pop("lang", None)
        known = chosen if chosen in catalogue.LANGUAGES else request.cookies.get(LANGUAGE)
        self.language = catalogue.choose(known, request.headers.get("accept-language", ""))
        self._chosen = chosen == self.language
        self._environment = environment
        self.api: Api = request.app.state.api

    @property
    def asking(self) -> Asking:
        """What answers questions."""
        return self.api.asking

    @property
    def caller(self) -> Caller:
        """Whose key or login the request has."""
        return caller_of(self.request)

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """An answer of HTML: the template with these values, in the visitor's language."""
        known = self.request.scope.get("rag_assets.caller")
        content = self._environment.get_template(template).render(
            t=self.say,
            language=self.language,
            names=catalogue.NAMES,
            in_language=lambda code: self.url(**self.parameters, lang=code),
            caller=known,
            logged_in=bool(self.request.scope.get("rag_assets.logged_in")),
            document_url=document_url,
            around_url=around_url,
            **values,
        )
        response = HTMLResponse(content, status_code=status, headers={"Content-Security-Policy": POLICY})
        if self._chosen:
            response.set_cookie(LANGUAGE, self.language, max_age=365 * 86_400, httponly=True, samesite="strict")
        return response

    def url(self, **parameters: str) -> str:
        """The address of the page that was asked for, with these parameters instead of its own."""
        path = self.request.scope["raw_path"].decode("ascii", "replace")
        return f"{path}?{_encoded(parameters)}" if parameters else path

    def problem(self, exc: Exception) -> tuple[int, Problem]:
        """The HTTP status of an error, and what the visitor is shown of it: a headline, a message and next steps."""
        status, kind, _, message = refusal(exc, caller=self.request.scope.get("rag_assets.caller"))
        steps = []
        if kind in WITHOUT_MODEL:
            steps.append(("by_words_alone", self.url(**{**self.parameters, "mode": "text"})))
        if status in RETRYABLE:
            steps.append(("try_again", self.url(**self.parameters)))
        headline = kind if kind in catalogue.ENGLISH else "error"
        if kind == "too_long":
            message = self.say("too_long_hint")  # and not what the model's server says
        return status, Problem(headline=headline, message=message, steps=tuple(steps))

    def say(self, key: str, **values: object) -> str:
        """The text that the catalogue has under a key, in the visitor's language."""
        return catalogue.say(self.language, key, values)


class Page:
    """The routes, and who has logged in; without keys, nobody has to."""

    def __init__(self, keys: Keys | None) -> None:
        self.logins = Logins(keys) if keys is not None else None
        self._wrong_keys = WrongKeys()
        self._environment = Environment(
            loader=FileSystemLoader(PAGE_FOLDER / "templates"),
            autoescape=True,
            finalize=_shown,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self._environment.filters |= {"time": _time, "below": _below, "name": _name}

    def routes(self) -> list[BaseRoute]:
        """What the page serves, beside the API; login and logout only where keys are configured."""
        login = [Route(LOGIN, self._visited(self._login), methods=["GET", "POST"])] if self.logins else []
        logout = [Route(LOGOUT, self._logout, methods=["POST"])] if self.logins else []
        return [
            Route("/", self._visited(search)),
            Route("/documents", self._visited(documents)),
            Route("/documents/{id:path}", self._visited(document)),
            Route("/around", self._visited(around)),
            Route("/static/{name}", static),
            *login,
            *logout,
        ]

    def _visited(self, view: View) -> Callable[[Request], Awaitable[Response]]:
        """Errors as a page that says what to do next."""

        async def visited(request: Request) -> Response:
            visit = Visit(request, environment=self._environment)
            try:
                return await view(visit)
            except (RagAssetsError, TimeoutError) as exc:
                status, problem = visit.problem(exc)
                return visit.page("message.html", status=status, problem=problem)

        return visited

    async def _login(self, visit: Visit) -> Response:
        assert self.logins is not None  # noqa: S101 - the route is there only with them
        request, target = visit.request, only_local(visit.parameters.get("next", "/"))
        action = f"{LOGIN}?{_encoded({'next': target})}"
        if request.method != "POST":
            return visit.page("login.html", action=action, is_wrong=False)
        given = parse_qs((await request.body()).decode("utf-8", "replace")).get("key", [""])[0].strip()
        response = RedirectResponse(target, status_code=303)
        if self.logins.begin(given, response, is_secure=request.url.scheme == "https"):
            return response
        is_let = await self._wrong_keys.wait()
        return visit.page("login.html", status=401 if is_let else 429, action=action, is_wrong=True)

    async def _logout(self, request: Request) -> Response:
        assert self.logins is not None  # noqa: S101 - the route is there only with them
        response = RedirectResponse(LOGIN, status_code=303)
        self.logins.end(request, response)
        return response


async def static(request: Request) -> Response:
    """GET /static/NAME: the style sheet or the script; 404 for other names."""
    name = request.path_params["name"]
    if name not in STATIC:
        return Response(status_code=404)
    content = (PAGE_FOLDER / "static" / name).read_bytes()
    return Response(content, media_type=STATIC[name], headers={"Cache-Control": "max-age=600"})


async def search(visit: Visit) -> Response:
    """The query box, and the passages that answer best; without a question, the index at a glance."""
    names = ("q", "mode", "k", *FILTER_FIELDS)
    asked = {name: visit.parameters.get(name, "").strip() for name in names}
    asked["k"] = asked["k"] or str(PAGE_HITS)
    asked["mode"] = asked["mode"] or visit.asking.settings.search.mode
    filters = {name for name in FILTER_FIELDS if asked[name]}
    shown: dict[str, Any] = {"hits": None, "problem": None, "now": None, "status": 200, "notes": []}
    try:
        if asked["q"]:
            shown["hits"] = await _hits(visit, asked, notes=shown["notes"])
        if not shown["hits"]:
            shown["now"] = await _now(visit)
    except (RagAssetsError, TimeoutError) as exc:
        shown["status"], shown["problem"] = visit.problem(exc)
    return visit.page(
        "search.html",
        asked=asked,
        modes=MODES,
        states=get_args(State),
        text_filters=[name for name in FILTER_FIELDS if name not in ("since", "until")],
        filtered=bool(filters) or asked["mode"] != visit.asking.settings.search.mode,
        unfiltered=visit.url(q=asked["q"]),
        **shown,
    )


async def _hits(
    visit: Visit, asked: Mapping[str, str], *, notes: list[str]
) -> list[tuple[Hit, list[tuple[str, bool]]]]:
    """Each hit with its excerpt in parts: words, and whether they were asked for."""
    filters = {to: [asked[name]] if many else asked[name] for name, (to, many) in FILTER_FIELDS.items() if asked[name]}
    form = forms.read(
        forms.SearchRequest, {"query": asked["q"], "k": asked["k"], "mode": asked["mode"], "filters": filters}
    )
    if form.k > MOST_HITS:
        raise forms.Invalid(f"k: {MOST_HITS} passages at most")
    asking, caller, vector = visit.asking, visit.caller, None
    if form.mode != "text":
        vector = await visit.api.embedding.run(lambda: asking.embed_query(form.query))

    def ask() -> list[tuple[Hit, list[tuple[str, bool]]]]:
        found = asking.search(
            form.query,
            caller=caller,
            k=form.k,
            filter=form.filters.as_filter(),
            mode=form.mode,
            vector=vector,
            notes=notes,
        )
        excerpts = asking.excerpts(form.query, found, caller=caller)
        return [
            (hit, list(_marked(_dotted(*(_below(text, hit.heading_path) for text in (excerpt, hit.content))))))
            for hit, excerpt in zip(found, excerpts, strict=True)
        ]

    return await visit.api.database.run(ask)


async def _now(visit: Visit) -> Summary:
    caller = visit.caller
    return await visit.api.database.run(lambda: visit.asking.status(caller=caller))


async def around(visit: Visit) -> Response:
    """A part of a page, for the script: a passage with those before and after it."""
    document_id, chunk = visit.parameters.get("id", ""), _number(visit.parameters.get("chunk"))
    first = max(0, chunk - AROUND)
    story = await _story(visit, document_id, first=first, chunks=chunk + AROUND + 1 - first)
    if story is None:
        return _missing(visit)
    return visit.page("around.html", document_id=document_id, chunks=story.chunks, current=chunk)


async def documents(visit: Visit) -> Response:
    """What there is, a page at a time, of one state or of all; with an id, the story of that one."""
    if "id" in visit.parameters:
        return await _document(visit, visit.parameters["id"])
    given = {name: visit.parameters[name] for name in ("state", "after") if visit.parameters.get(name)}
    page = forms.read(forms.Page, {**given, "limit": PAGE_DOCUMENTS})
    caller = visit.caller
    found = await visit.api.database.run(
        lambda: visit.asking.documents(caller=caller, after=page.after, state=page.state, limit=PAGE_DOCUMENTS)
    )
    following = visit.url(**{**given, "after": found[-1].document_id}) if len(found) == PAGE_DOCUMENTS else None
    return visit.page("documents.html", documents=found, state=page.state, states=get_args(State), following=following)


async def document(visit: Visit) -> Response:
    """GET /documents/ID: the story of a document, with some of its chunks."""
    return await _document(visit, visit.request.path_params["id"])


async def _document(visit: Visit, document_id: str) -> Response:
    current = _number(visit.parameters.get("chunk"), missing=-1)
    first = _number(visit.parameters.get("first"), missing=max(0, current - AROUND))
    story = await _story(visit, document_id, first=first, chunks=PAGE_CHUNKS)
    if story is None:
        return _missing(visit)
    run = next((attempt.run_id for attempt in story.attempts), None)
    last = story.chunks[-1].chunk_index if len(story.chunks) == PAGE_CHUNKS else None
    return visit.page(
        "document.html",
        document=story.document,
        metadata=[(name, _plain(value)) for name, value in (story.document.metadata or {}).items()],
        attempts=[(attempt, _run_url(visit, attempt.run_id)) for attempt in story.attempts],
        partition_url=_partition_url(visit, document_id),
        run_url=_run_url(visit, run) if run else None,
        chunks=story.chunks,
        current=current,
        earlier=visit.url(first=str(max(0, first - PAGE_CHUNKS))) if first > 0 else None,
        later=visit.url(first=str(last + 1)) if last is not None and last + 1 < story.document.chunks else None,
        quoted_id=shlex.quote(document_id),
    )


async def _story(visit: Visit, document_id: str, *, first: int, chunks: int) -> Story | None:
    if not is_id(document_id):
        return None
    caller = visit.caller
    return await visit.api.database.run(
        lambda: visit.asking.document(document_id, caller=caller, first_chunk=first, chunks=chunks)
    )


def _missing(visit: Visit) -> Response:
    problem = Problem(
        headline="not_found", message=visit.say("not_found_hint"), steps=(("all_documents", "/documents"),)
    )
    return visit.page("message.html", status=404, problem=problem)


def document_url(document_id: str, chunk: int | None = None) -> str:
    """The story of a document, at one of its passages; browsers resolve . and .. in paths, however they are written."""
    query = {} if chunk is None else {"chunk": str(chunk)}
    if document_id in (".", "..", ""):
        path, query = "/documents", {"id": document_id, **query}
    else:
        path = f"/documents/{quote(document_id, safe='')}"
    return path + (f"?{_encoded(query)}" if query else "") + ("" if chunk is None else f"#chunk-{chunk}")


def around_url(document_id: str, chunk: int) -> str:
    """The address of a passage among its neighbours, percent-encoded."""
    return f"/around?{_encoded({'id': document_id, 'chunk': str(chunk)})}"


def _partition_url(visit: Visit, document_id: str) -> str | None:
    """In Dagster, where it is known and the caller sees all of the index."""
    base, worker = _dagster(visit), visit.asking.settings.worker
    if base is None:
        return None
    is_bucket = worker.partitioning == "bucket"
    key = (
        partition_keys.of_bucket(document_id, buckets=worker.buckets)
        if is_bucket
        else partition_keys.of_document(document_id)
    )
    asset = visit.asking.settings.dagster.named("raw_text")
    return f"{base}/assets/{asset}?{_encoded({'view': 'partitions', 'partition': key})}"


def _run_url(visit: Visit, run_id: str) -> str | None:
    base = _dagster(visit)
    return f"{base}/runs/{quote(run_id, safe='')}" if base else None


def _dagster(visit: Visit) -> str | None:
    url = visit.asking.settings.service.dagster_url
    return url.rstrip("/") if url and visit.caller.role is None else None


def _below(text: str, headings: Sequence[str]) -> str:
    """A passage without the lines that are headings above it, which are shown apart; all of it where that is all."""
    kept = "\n".join(line for line in text.splitlines() if _words(line) not in headings).strip()
    return re.sub(r"\n{3,}", "\n\n", kept) or text


def _dotted(excerpt: str, content: str) -> str:
    """An excerpt with an ellipsis at each end where the passage has more words."""
    words, whole = (re.sub(f"[{''.join(WORD_MARKS)}]", "", text).split() for text in (excerpt, content))
    before = "" if words[:EDGE] == whole[:EDGE] else "… "
    after = "" if words[-EDGE:] == whole[-EDGE:] else " …"
    return f"{before}{excerpt}{after}"


def _words(line: str) -> str:
    """A line without what makes it a heading in Markdown, and without marks."""
    return re.sub(f"[{''.join(WORD_MARKS)}]", "", line).strip().lstrip("#").strip()


def _marked(excerpt: str) -> Iterator[tuple[str, bool]]:
    """An excerpt in parts, and of each whether it was asked for."""
    start, stop = WORD_MARKS
    for part in re.split(f"({start}[^{stop}]*{stop})", excerpt):
        if part:
            yield re.sub(f"[{start}{stop}]", "", part), part.startswith(start)


def _number(text: str | None, *, missing: int = 0) -> int:
    """Of a URL; what is none is as if it were missing."""
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,9}", text) else missing


def _encoded(parameters: Mapping[str, str]) -> str:
    return urlencode(parameters, errors="replace")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _name(document: Hit | DocumentState) -> str:
    """What a document is called: its title, else its file, else its id."""
    file = re.split(r"[/\\]", document.path or "")[-1]
    return document.title or file or document.document_id


def _time(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _shown(value: Any) -> Any:
    """Whatever a template shows: what others wrote hides nothing."""
    if value is None:
        return ""
    return visible.lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value
