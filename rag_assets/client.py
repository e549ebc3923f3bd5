"""Ask an index from a Python program: `Index(url_or_dsn).search("who pays for shipping?")`.

With the URL of the search service (http:// or https://), each call is a request to it, and nothing else is needed than
this module and Python's own. With the connection text of a database (postgresql://), the index is opened in this
process, as the commands open it: searches run in the database, and what has to be embedded is embedded by a server
that this process starts, with its own settings of [embedding] and [llama_server]. It is stopped by `close`.
"""

import http.client
import json
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote, urlsplit

from rag_assets.errors import IndexRefused, IndexUnavailable, ServiceError, SettingsError
from rag_assets.model import Attempt, DocumentState, Filter, Hit, StoredChunk, require_numbers
from rag_assets.model import Story as Document
from rag_assets.model import Summary as Status
from rag_assets.text.languages import language

__all__ = ["Document", "Hit", "Index", "IndexRefused", "IndexUnavailable", "Status"]

ANSWER_SECONDS = 35.0  # for an answer; the service gives up after service.request_seconds, 30
MOST_ANSWER_BYTES = 256 * 2**20
MOST_IDLE = 8  # connections that are kept for the next call
MOST_TEXTS = 256  # of one request for vectors
DATABASES = ("postgresql", "postgres")
UNAVAILABLE = frozenset({429, 500, 502, 503, 504})
Mode = Literal["hybrid", "vector", "text"]
_Noun = TypeVar("_Noun")


class Index:
    """An index that is asked through its service, or its database. Thread-safe; close it, or use it by `with`.

    Raises IndexUnavailable where asking again later can help, IndexRefused where what is asked has to be another, and
    RuntimeError once it is closed.
    """

    def __init__(self, url_or_dsn: str, *, api_key: str | None = None, timeout: float = ANSWER_SECONDS) -> None:
        self._closed = False
        scheme = url_or_dsn.partition(":")[0].lower()
        if scheme in ("http", "https"):
            self._way: _Way = _Service(url_or_dsn, api_key=api_key, timeout=timeout)
        elif scheme in DATABASES:
            self._way = _InProcess(url_or_dsn)
        else:
            raise ValueError("An index is asked at http://, https:// or postgresql://.")

    def __enter__(self) -> "Index":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End connections, and what was started for this index, which answers no more."""
        self._closed = True
        self._way.close()

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        mode: Mode | None = None,
        context: int = 0,
        min_similarity: float | None = None,
        documents: Sequence[str] | None = None,
        path_prefix: str | None = None,
        path_glob: str | None = None,
        types: Sequence[str] | None = None,
        languages: Sequence[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        heading: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> list[Hit]:
        """The k best passages, best first, of those that the filters leave; see docs/service.md.

        TypeError for one text where several are taken: `documents="26"` would be the documents 2 and 6. ValueError for
        a language that no document can have.
        """
        require_numbers(k=k, context=context, min_similarity=min_similarity)
        codes = _several("languages", languages)
        filter = Filter(
            documents=_several("documents", documents),
            path_prefix=path_prefix,
            path_glob=path_glob,
            media_types=_several("types", types),
            languages=None if codes is None else tuple(map(language, codes)),
            since=since,
            until=until,
            heading=heading,
            metadata=metadata,
        )
        return self._open_way().search(
            query, k=k, mode=mode, context=context, min_similarity=min_similarity, filter=filter
        )

    def embed(self, texts: Sequence[str], *, input_type: Literal["query", "passage"] = "passage") -> list[list[float]]:
        """One vector (dimension floats, of length 1) per text, by the model of the index."""
        return self._open_way().embed(list(_several("texts", texts) or ()), input_type=input_type)

    def document(self, document_id: str, *, first_chunk: int = 0, chunks: int = 20) -> Document | None:
        """A document with up to so many chunks from this one on; None where there is none that the key may see."""
        require_numbers(first_chunk=first_chunk, chunks=chunks)
        return self._open_way().document(document_id, first_chunk=first_chunk, chunks=chunks)

    def status(self) -> Status:
        """The index at a glance."""
        return self._open_way().status()

    def _open_way(self) -> "_Way":
        if self._closed:
            raise RuntimeError("This Index is closed: make another one.")
        return self._way


class _Way(Protocol):
    def search(
        self, query: str, *, k: int, mode: Mode | None, context: int, min_similarity: float | None, filter: Filter
    ) -> list[Hit]: ...

    def embed(self, texts: list[str], *, input_type: str) -> list[list[float]]: ...

    def document(self, document_id: str, *, first_chunk: int, chunks: int) -> Document | None: ...

    def status(self) -> Status: ...

    def close(self) -> None: ...


class _Service:
    """Through the search service."""

    def __init__(self, url: str, *, api_key: str | None, timeout: float) -> None:
        parts = urlsplit(url.rstrip("/"))
        if not parts.hostname:
            raise ValueError(f"{url!r} names no host.")
        kind = http.client.HTTPSConnection if parts.scheme.lower() == "https" else http.client.HTTPConnection
        host, port = parts.hostname, parts.port
        self._new: Callable[[], http.client.HTTPConnection] = lambda: kind(host, port, timeout=timeout)
        self._where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._base = parts.path
        self._timeout = timeout
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue(MOST_IDLE)

    def close(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def search(
        self, query: str, *, k: int, mode: Mode | None, context: int, min_similarity: float | None, filter: Filter
    ) -> list[Hit]:
        names = {"media_types": "types"}
        given = {names.get(name, name): value for name, value in asdict(filter).items() if value is not None}
        filters = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in given.items()}
        body = {"query": query, "k": k, "mode": mode, "context": context, "filters": filters}
        if min_similarity is not None:
            body["min_similarity"] = min_similarity
        return [_hit(hit) for hit in self._ask("POST", "/v1/search", body)["hits"]]

    def embed(self, texts: list[str], *, input_type: str) -> list[list[float]]:
        vectors: list[list[float]] = []
        for start in range(0, len(texts), MOST_TEXTS):
            body = {"input": texts[start : start + MOST_TEXTS], "input_type": input_type}
            vectors += [row["embedding"] for row in self._ask("POST", "/v1/embeddings", body)["data"]]
        return vectors

    def document(self, document_id: str, *, first_chunk: int, chunks: int) -> Document | None:
        path = f"/v1/documents/{quote(document_id, safe='')}?first_chunk={first_chunk}&chunks={chunks}"
        try:
            found = self._ask("GET", path)
        except IndexRefused as exc:
            if exc.status == 404:
                return None
            raise
        return Document(
            document=_noun(DocumentState, found["document"], times=("indexed_at",)),
            attempts=tuple(_noun(Attempt, row, times=("at",)) for row in found["attempts"]),
            chunks=tuple(_noun(StoredChunk, row, tuples=("heading_path",)) for row in found["chunks"]),
        )

    def status(self) -> Status:
        return _noun(Status, self._ask("GET", "/v1/status"), tuples=("faults",))

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        status, retry_after, answer = self._exchange(method, self._base + path, content)
        try:
            found = json.loads(answer)
            error = {} if status == 200 else found["error"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise IndexUnavailable(f"{self._where} answered {status}, and not as the search service does.") from None
        if status == 200:
            return found
        message = f"{self._where}: {error.get('message')}"
        if status in UNAVAILABLE:
            raise IndexUnavailable(message, retry_after=_seconds(retry_after))
        raise IndexRefused(message, kind=str(error.get("kind")), status=status)

    def _exchange(self, method: str, path: str, content: bytes | None) -> tuple[int, str | None, bytes]:
        """A connection that was idle may have been ended meanwhile: then another one is made, once."""
        deadline = time.monotonic() + self._timeout
        while True:
            connection, is_new = self._take()
            try:
                connection.request(method, path, body=content, headers=self._headers)
                answer = connection.getresponse()
                found = answer.read(MOST_ANSWER_BYTES + 1)
                if len(found) > MOST_ANSWER_BYTES:
                    raise IndexUnavailable(f"{self._where}: the answer has more than {MOST_ANSWER_BYTES:,} bytes.")
            except (http.client.HTTPException, OSError) as exc:
                connection.close()
                if is_new or isinstance(exc, TimeoutError) or time.monotonic() > deadline:
                    said = str(exc) or type(exc).__name__
                    raise IndexUnavailable(
                        f"{self._where} does not answer ({said}): start it with rag-assets serve or up."
                    ) from exc
                continue
            except BaseException:
                connection.close()
                raise
            self._give_back(connection)
            return answer.status, answer.headers.get("Retry-After"), found

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        with suppress(queue.Empty):
            return self._idle.get_nowait(), False
        return self._new(), True

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()


class _InProcess:
    """In this process, on the index's database."""

    def __init__(self, dsn: str) -> None:
        from rag_assets import settings
        from rag_assets.asking import Asking

        self._asking: Asking = Asking(settings.load(database_url=dsn))

    def close(self) -> None:
        self._asking.close()

    def search(
        self, query: str, *, k: int, mode: Mode | None, context: int, min_similarity: float | None, filter: Filter
    ) -> list[Hit]:
        from rag_assets.asking import EVERYTHING

        with _translated():
            return self._asking.search(
                query,
                caller=EVERYTHING,
                k=k,
                mode=mode,
                neighbours=context,
                min_similarity=min_similarity,
                filter=filter,
            )

    def embed(self, texts: list[str], *, input_type: str) -> list[list[float]]:
        if not texts:
            return []
        with _translated():
            vectors: list[list[float]] = self._asking.embed(texts, input_type=input_type).vectors.tolist()
        return vectors

    def document(self, document_id: str, *, first_chunk: int, chunks: int) -> Document | None:
        from rag_assets.asking import EVERYTHING

        with _translated():
            return self._asking.document(document_id, caller=EVERYTHING, first_chunk=first_chunk, chunks=chunks)

    def status(self) -> Status:
        from rag_assets.asking import EVERYTHING

        with _translated():
            return self._asking.status(caller=EVERYTHING)


def _several(name: str, given: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(given, str):
        raise TypeError(f"{name} takes a list of texts, not {given!r}")
    return None if given is None else tuple(given)


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of a service that is away as IndexUnavailable; all others stay what they are."""
    try:
        yield
    except SettingsError:
        raise
    except ServiceError as exc:
        raise IndexUnavailable(str(exc)) from exc


def _hit(given: dict[str, Any]) -> Hit:
    return _noun(Hit, given, tuples=("heading_path", "before", "after"))


def _noun(noun: type[_Noun], given: dict[str, Any], *, tuples: Sequence[str] = (), times: Sequence[str] = ()) -> _Noun:
    """The dataclass of what a service says; what a newer one says beyond that is left out."""
    known = {field.name for field in fields(noun)}  # type: ignore[arg-type]
    values = {name: value for name, value in given.items() if name in known}
    values |= {name: tuple(values[name]) for name in tuples}
    values |= {name: datetime.fromisoformat(values[name]) for name in times if values[name] is not None}
    return noun(**values)


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.isdigit() else None
