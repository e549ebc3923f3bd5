"""The routes of the search service: JSON comes in, is checked, asked for the caller, and goes out as JSON.

What takes time runs in threads: those that embed are others than those that ask the database, so that searches by words
are answered while the embedding server starts, or cannot.
"""

import asyncio
import base64
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from rag_assets.asking import Asking, Embedded
from rag_assets.errors import (
    DatabaseUnavailable,
    EmbeddingError,
    NotEnoughMemory,
    RagAssetsError,
    ServerFailedToStart,
    SettingsError,
    TookTooLong,
    UnembeddableText,
    WrongModel,
)
from rag_assets.model import Caller, Story
from rag_assets.postgres.documents import ID_BYTES
from rag_assets.postgres.figures import Figures
from rag_assets.service import forms, openapi
from rag_assets.service.forms import Invalid
from rag_assets.service.gate import Gate, caller_of, error
from rag_assets.service.keys import Keys
from rag_assets.service.logins import Logins
from rag_assets.service.metrics import CONTENT_TYPE, LOOK_SECONDS, Metrics
from rag_assets.service.openapi import Operation

logger = logging.getLogger(__name__)

EMBEDDING_THREADS = 8
MOST_DIGITS = 1_000  # of a whole number in JSON: what these take to be read grows with their square
LOOKS = 2  # at once for /metrics
READY_SECONDS = 1.0  # so long an answer of /readyz is given again: it needs no key
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json"})
# Of each error: status, kind, seconds after which to try again, and what is said to callers who have a role.
REFUSALS: dict[type[Exception], tuple[int, str, int | None, str]] = {
    Invalid: (422, "invalid", None, ""),
    UnembeddableText: (422, "too_long", None, "The model does not take this text: ask with fewer words."),
    NotEnoughMemory: (
        503,
        "not_enough_memory",
        30,
        "Not enough memory to embed just now. Try again, or with mode text, which needs none.",
    ),
    WrongModel: (503, "embedder_unavailable", 30, "Nothing can be embedded just now. Mode text works without."),
    ServerFailedToStart: (503, "embedder_unavailable", 5, "Nothing can be embedded just now. Mode text works without."),
    EmbeddingError: (503, "embedder_unavailable", 5, "Nothing can be embedded just now. Mode text works without."),
    DatabaseUnavailable: (503, "database_unavailable", 5, "The database does not answer just now. Try again."),
    TookTooLong: (504, "took_too_long", None, "It took too long: ask with a narrower filter or a smaller k."),
    TimeoutError: (504, "took_too_long", 5, "It took too long. Try again."),
    SettingsError: (503, "settings", 30, "The service is not set up for this; its log says why."),
    RagAssetsError: (503, "unavailable", 5, "That is not possible just now."),
}
_Answer = TypeVar("_Answer")


class Busy(RagAssetsError):
    """As many requests are under way as there may be."""


REFUSALS[Busy] = (429, "busy", 1, "Too many requests at once: try again.")


class Workers:
    """Threads that stay, with a limit on what is under way and waits for them; more is refused as Busy."""

    def __init__(self, name: str, *, threads: int, limit: int, seconds: float) -> None:
        self._executor = ThreadPoolExecutor(min(threads, limit), thread_name_prefix=name)
        self._lock = threading.Lock()
        self._left = limit
        self._seconds = seconds

    async def run(self, work: Callable[[], _Answer]) -> _Answer:
        """What it returns, or TimeoutError; then it goes on and keeps its place until its own limit of time ends it."""
        with self._lock:
            if not self._left:
                raise Busy
            self._left -= 1
        future = self._executor.submit(work)
        future.add_done_callback(lambda _future: self._release())
        return await asyncio.wait_for(asyncio.wrap_future(future), self._seconds)

    def begin(self, work: Callable[[], object]) -> None:
        """Run a function as soon as a thread is free, without waiting for its result."""
        self._executor.submit(work)

    def close(self) -> None:
        """Take no more work; what is under way goes on to its end, what waits is dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _release(self) -> None:
        with self._lock:
            self._left += 1


class Api:
    """The functions behind the routes: each takes a request and returns its answer."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.metrics = Metrics()
        service = asking.settings.service
        limits: Any = {"limit": service.max_requests, "seconds": service.request_seconds}
        self.embedding = Workers("embed", threads=EMBEDDING_THREADS, **limits)
        self.database = Workers("database", threads=asking.settings.database.pool_max_size, **limits)
        self.looking = Workers("metrics", threads=1, limit=LOOKS, seconds=LOOK_SECONDS)
        self._embedder_memory_bytes: int | None = None  # at the last look
        self._looking = asyncio.Lock()
        self._ready: tuple[float, Response] | None = None
        self._document: dict[str, Any] | None = None

    @asynccontextmanager
    async def alive(self, _app: Starlette) -> AsyncIterator[None]:
        """For as long as requests are taken: what the first one would wait for is opened meanwhile."""
        self.embedding.begin(self.asking.warm)
        yield
        for workers in (self.embedding, self.database, self.looking):
            workers.close()

    async def search(self, request: Request) -> Response:
        """POST /v1/search: the hits of a question, for the documents that the caller may see."""
        started = time.perf_counter()
        caller = caller_of(request)
        asked = forms.read(forms.SearchRequest, await _json(request))
        mode = asked.mode_or(self.asking.settings.search.mode)
        with self._counted(lambda outcome: self.metrics.searches.labels(mode, outcome).inc()):
            vector = None
            if mode != "text":
                vector = await self.embedding.run(lambda: self.asking.embed_query(asked.query))
            body = await self.database.run(lambda: self._found(asked, mode, vector, caller=caller, started=started))
        self.metrics.search_seconds.labels(mode).observe(time.perf_counter() - started)
        return Response(body, media_type="application/json")

    def _found(self, asked: forms.SearchRequest, mode: Any, vector: Any, *, caller: Caller, started: float) -> bytes:
        notes: list[str] = []
        hits = self.asking.search(
            asked.query,
            caller=caller,
            k=asked.k,
            filter=asked.filters.as_filter(),
            mode=mode,
            neighbours=asked.context,
            min_similarity=asked.min_similarity,
            vector=vector,
            notes=notes,
        )
        answer = {
            "hits": [asdict(hit) for hit in hits],
            "mode": mode,
            "model": self.asking.embedding.model,
            "note": " ".join(notes) or None,
            "seconds": round(time.perf_counter() - started, 6),
        }
        return _bytes(answer)

    async def embeddings(self, request: Request) -> Response:
        """POST /v1/embeddings: vectors of texts, in the form of OpenAI's API."""
        asked = forms.read(forms.EmbeddingsRequest, await _json(request))
        embedding = await self.database.run(lambda: self.asking.embedding)
        if asked.model not in (None, embedding.model):
            message = f"There is no model {asked.model}: this index has {embedding.model}."
            return error(404, message, kind="model_not_found")
        if asked.dimensions not in (None, embedding.dimension):
            raise Invalid(f"dimensions: {embedding.model} has {embedding.dimension}")
        with self._counted(lambda outcome: self.metrics.embeddings.labels(outcome).inc()):
            found = await self.embedding.run(lambda: self.asking.embed(asked.texts, input_type=asked.input_type))
        return Response(_vectors(found, asked, model=embedding.model), media_type="application/json")

    async def documents(self, request: Request) -> Response:
        """GET /v1/documents: a page of documents by their ids, and the id to go on after."""
        caller, page = caller_of(request), forms.read(forms.Page, _parameters(request))
        found = await self.database.run(
            lambda: self.asking.documents(caller=caller, after=page.after, state=page.state, limit=page.limit)
        )
        following = found[-1].document_id if len(found) == page.limit else None
        return _answer({"documents": [asdict(document) for document in found], "next": following})

    async def document(self, request: Request) -> Response:
        """GET /v1/documents/ID: one document's story, with some of its chunks."""
        caller, page = caller_of(request), forms.read(forms.ChunkPage, _parameters(request))
        document_id = request.path_params["id"]
        story: Story | None = None
        if is_id(document_id):
            story = await self.database.run(
                lambda: self.asking.document(
                    document_id, caller=caller, first_chunk=page.first_chunk, chunks=page.chunks
                )
            )
        if story is None:
            return error(404, "There is no such document, or the caller may not see it.")
        full = page.chunks > 0 and len(story.chunks) == page.chunks
        return _answer({**asdict(story), "next_chunk": story.chunks[-1].chunk_index + 1 if full else None})

    async def status(self, request: Request) -> Response:
        """GET /v1/status: the index at a glance, as far as the caller may see it."""
        caller = caller_of(request)
        return _answer(asdict(await self.database.run(lambda: self.asking.status(caller=caller))))

    async def health(self, _request: Request) -> Response:
        """GET /healthz: that this process answers, whatever its database does."""
        return _answer({"status": "alive"})

    async def ready(self, _request: Request) -> Response:
        """Asked by anybody: one look at a time, whose answer is given again for a second."""
        async with self._looking:
            if self._ready is None or time.monotonic() - self._ready[0] > READY_SECONDS:
                answer = await self._look()
                self._ready = (time.monotonic(), answer)
            return self._ready[1]

    async def _look(self) -> Response:
        try:
            is_ready = await self.database.run(self.asking.is_ready)
        except (RagAssetsError, TimeoutError) as exc:
            logger.warning("Not ready: %s", exc)
            said = "The database does not answer, or is not set up for this program: the log says which."
            return error(503, said, kind="not_ready", retry_after=5)
        if not is_ready:
            return error(503, "There is no index yet: rag-assets init", kind="not_ready", retry_after=5)
        return _answer({"status": "ready"})

    async def numbers(self, request: Request) -> Response:
        """GET /metrics: for Prometheus; refused to keys with a role. Without a database, its numbers are left out.

        In a thread of its own, so that a service that has as much to do as it takes still tells so.
        """
        if caller_of(request).role is not None:
            return error(403, "Numbers of the whole index are for keys without a role.")
        figures, is_up = None, True
        try:
            figures = await self.looking.run(self._figures)
        except (DatabaseUnavailable, TimeoutError, Busy):  # busy: with looks that the database has not answered
            is_up = False
        except RagAssetsError as exc:  # it answers, and is not set up for this program, or a table is locked
            logger.warning("Metrics: %s", exc)
        body = self.metrics.render(
            figures,
            is_up=is_up,
            embedder_starts=self.asking.embedder_starts,
            embedder_runs=self.asking.embedder_runs,
            embedder_memory_bytes=self._embedder_memory_bytes,
        )
        return Response(body, media_type=CONTENT_TYPE)

    def _figures(self) -> Figures:
        """What the database counts; the memory is looked at before, as that may not answer."""
        self._embedder_memory_bytes = self.asking.embedder_memory_bytes
        return self.asking.figures()

    async def description(self, _request: Request) -> Response:
        """GET /openapi.json: this API in OpenAPI."""
        if self._document is None:
            self._document = openapi.document(OPERATIONS)
        return _answer(self._document)

    @contextmanager
    def _counted(self, count: Callable[[str], None]) -> Iterator[None]:
        try:
            yield
        except Exception as exc:
            count(refusal(exc, caller=None)[1] if isinstance(exc, RagAssetsError | TimeoutError) else "internal")
            raise
        count("ok")

    async def refuse(self, request: Request, exc: Exception) -> Response:
        """What callers are told of an error: all of it only those who see all of the index anyway."""
        if isinstance(exc, ClientDisconnect):
            return error(413, "The body is too long, or did not come whole.")
        caller = request.scope.get("rag_assets.caller")
        status, kind, retry_after, message = refusal(exc, caller=caller if isinstance(caller, Caller) else None)
        if status >= 500:
            logger.warning("%s %s: %s", request.method, request.url.path, exc or type(exc).__name__)
        return error(status, message, kind=kind, retry_after=retry_after)


ASKED = (401, 403, 413, 415, 422, 429, 503, 504)
READ = (401, 403, 422, 429, 503, 504)
OPERATIONS = [
    Operation(
        method="POST",
        path="/v1/search",
        summary="The passages that answer a question best.",
        body=forms.SearchRequest,
        answer=forms.SearchResponse,
        errors=(400, *ASKED),
    ),
    Operation(
        method="POST",
        path="/v1/embeddings",
        summary="Vectors by the index's own model, in OpenAI's form.",
        body=forms.EmbeddingsRequest,
        answer=forms.EmbeddingsResponse,
        errors=(400, 404, *ASKED),
    ),
    Operation(
        method="GET",
        path="/v1/documents",
        summary="Documents with their state, page by page.",
        parameters=forms.Page,
        answer=forms.DocumentsResponse,
        errors=READ,
    ),
    Operation(
        method="GET",
        path="/v1/documents/{id}",
        summary="A document: its state, its last attempts, its chunks.",
        parameters=forms.ChunkPage,
        answer=forms.DocumentResponse,
        errors=(404, *READ),
    ),
    Operation(
        method="GET",
        path="/v1/status",
        summary="The index at a glance.",
        answer=forms.StatusResponse,
        errors=READ,
    ),
    Operation(
        method="GET", path="/healthz", summary="Whether the process is alive.", answer=forms.Health, is_open=True
    ),
    Operation(
        method="GET",
        path="/readyz",
        summary="Whether the database answers and is set up.",
        answer=forms.Health,
        errors=(503,),
        is_open=True,
    ),
    Operation(
        method="GET",
        path="/metrics",
        summary="Numbers for Prometheus.",
        answer=None,
        content_type="text/plain",
        errors=(401, 403),
    ),
]


def application(
    asking: Asking,
    *,
    keys: Keys | None,
    routes: Sequence[BaseRoute] = (),
    open_paths: Sequence[str] = (),
    logins: Logins | None = None,
) -> Gate:
    """The service as an ASGI application, with what else is to be served behind the same gate.

    Endpoints of `routes` find who asks by `gate.caller_of`, and what they ask by the state of the application:
    `request.app.state.api`. A request for one of `open_paths` needs no key, and has no caller without one.
    Whoever has logged in by `logins` has one, for what is only read.
    """
    api = Api(asking)
    own: list[BaseRoute] = [
        Route("/v1/search", api.search, methods=["POST"]),
        Route("/v1/embeddings", api.embeddings, methods=["POST"]),
        Route("/v1/documents", api.documents),
        Route("/v1/documents/{id:path}", api.document),
        Route("/v1/status", api.status),
        Route("/healthz", api.health),
        Route("/readyz", api.ready),
        Route("/metrics", api.numbers),
        Route("/openapi.json", api.description),
    ]
    handlers: dict[Any, Callable[[Request, Any], Awaitable[Response]]] = {
        HTTPException: _no_route,
        Exception: _internal,
        **dict.fromkeys([RagAssetsError, TimeoutError, ClientDisconnect, BadJson], api.refuse),
    }
    app = Starlette(routes=[*own, *routes], exception_handlers=handlers, lifespan=api.alive)
    app.state.api = api
    return Gate(
        app,
        keys=keys,
        hosts=asking.settings.service.allowed_hosts,
        open_paths=[*OPEN_PATHS, *open_paths],
        logins=logins,
        on_refusal=lambda kind: api.metrics.refusals.labels(kind).inc(),
    )


class BadJson(Invalid):
    """A body that is no JSON."""


REFUSALS[BadJson] = (400, "invalid", None, "")


async def _json(request: Request) -> Any:
    """The body; BadJson where it is none, or says one thing twice."""
    content = await request.body()
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_once, parse_int=_whole, parse_constant=_no_number)
    except RecursionError:
        raise BadJson("The body is nested too deeply.") from None
    except UnicodeDecodeError as exc:
        raise BadJson(f"The body is no UTF-8 at byte {exc.start}.") from exc
    except ValueError as exc:
        raise BadJson(f"The body is no JSON: {exc}"[:300]) from exc


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{doubled[:100]!r} is there twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits")
    return int(digits)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _parameters(request: Request) -> dict[str, Any]:
    pairs = request.query_params.multi_items()
    try:
        return _once(pairs)
    except ValueError as exc:
        raise Invalid(str(exc)) from exc


def refusal(exc: Exception, *, caller: Caller | None) -> tuple[int, str, int | None, str]:
    """Status, kind, seconds after which to try again, and what this caller is told of a RagAssetsError or TimeoutError.

    Only who sees all of the index is told all of it.
    """
    status, kind, retry_after, message = next(REFUSALS[kind] for kind in type(exc).__mro__ if kind in REFUSALS)
    is_trusted = caller is not None and caller.role is None and status >= 500 and str(exc)
    return status, kind, retry_after, str(exc) if is_trusted or not message else message


def is_id(document_id: str) -> bool:
    """Whether a document can have this id at all."""
    return "\0" not in document_id and len(document_id.encode("utf-8", "replace")) <= ID_BYTES


def _vectors(found: Embedded, asked: forms.EmbeddingsRequest, *, model: str) -> bytes:
    rows: list[Any] = (
        found.vectors.tolist()
        if asked.encoding_format == "float"
        else [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in found.vectors]
    )
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    usage = {"prompt_tokens": found.tokens, "total_tokens": found.tokens}
    return _bytes({"object": "list", "data": data, "model": model, "usage": usage})


def _answer(content: Any) -> Response:
    return Response(_bytes(content), media_type="application/json")


def _bytes(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=_text).encode("utf-8", "replace")


def _text(value: Any) -> str:
    """A time, as RFC 3339 has it."""
    assert isinstance(value, datetime)  # noqa: S101 - nothing else is in an answer that JSON does not have
    return value.isoformat()


async def _no_route(_request: Request, exc: HTTPException) -> JSONResponse:
    messages = {404: "There is no such path: /openapi.json has all of them.", 405: "That method is not taken here."}
    return error(exc.status_code, messages.get(exc.status_code, str(exc.detail)))


async def _internal(_request: Request, _exc: Exception) -> JSONResponse:
    return error(500, "Something went wrong in the service; its log says what.", kind="internal")
