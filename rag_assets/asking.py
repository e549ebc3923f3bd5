"""What others ask of the index while this process lives: found passages, vectors, documents and their state.

The HTTP service, its page and MCP ask through one Asking, whoever they ask for: each call is told the caller, with
whose rights the database answers. Without HTTP and without Dagster; every method may be called from any thread.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from rag_assets import operations
from rag_assets.bundled import postgres as bundled_postgres
from rag_assets.embedding import neighbour
from rag_assets.embedding.embedder import Embedder
from rag_assets.errors import DatabaseUnavailable, EmbeddingError, RagAssetsError, ServiceError, SettingsError
from rag_assets.model import Caller, DocumentState, Filter, Hit, Story, Summary, Vector
from rag_assets.postgres import callers, figures
from rag_assets.postgres.callers import CallersDatabase
from rag_assets.postgres.database import Database, require_no_newer
from rag_assets.postgres.figures import Figures
from rag_assets.processes import spawning
from rag_assets.services import DAGSTER_SCHEMA, Services
from rag_assets.settings import Embedding, Mode, Settings

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

EVERYTHING = Caller(name="local")  # who asks where no keys are configured
PAUSE_SECONDS = 2.0  # after an embedding server did not start, in which nobody else waits for another try
RETURN_SECONDS = 20.0  # in which a lost database is asked again: back in 1 to 4 s, later if it is lost once more
RETURN_PAUSE_SECONDS = 0.2
TURN_SECONDS = 1.0  # between looks at whether the embedding server is idle
SPECIAL_TOKENS = 2  # of each text, that the model adds
CHUNKS_SECONDS = 60.0  # for which a count of chunks holds
COUNT_SECONDS = 2.0  # after which counting them is given up: who looks waits for five in all
SHOWN_ATTEMPTS = 10  # of a document, that are shown
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Vectors as float32 of shape (texts, dimension), and how many tokens the texts have together."""

    vectors: "NDArray[float32]"
    tokens: int


class QueryVector(list[float]):
    """The vector of a question, and the model that made it."""

    def __init__(self, numbers: Sequence[float], *, model: str) -> None:
        super().__init__(numbers)
        self.model = model


class Asking:
    """The index, opened for callers for as long as this lives. Thread-safe.

    A question is embedded by the embedding server of an ingestion, while one runs. Else one is started by the first
    question that needs it, with the memory that a question needs, is shared by all callers, and is stopped after
    `search.idle_seconds` without one. A database that was away is used
    again as soon as it is there.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = _in_time(settings)
        self._services = Services(self.settings)
        _ = self._services.reranker  # opened here, for the services of every caller
        self._opening_database = threading.Lock()  # which may have to be started
        self._opening_embedder = threading.Lock()  # whose model may have to be made
        self._lock = threading.Lock()  # over what follows
        self._under_way = 0  # calls that embed
        self._used_at = time.monotonic()
        self._failed: tuple[float, ServiceError] | None = None
        self._client: object = None  # the last one that was seen, to count starts
        self._serving: Services | None = None  # of the model that served when that was last looked at
        self._has_index = False  # as far as was seen
        self._lost_at: float | None = None  # when a search did not find the database, after the last one that did
        self._counted_at: float | None = None  # when the chunks were counted last, or were to be
        self._chunks: int | None = None  # how many they were when that last ended in time
        self._closed = threading.Event()
        self.embedder_starts = 0
        self._tending = threading.Thread(target=self._tend, name="idle-embedder", daemon=True)
        self._tending.start()

    def __enter__(self) -> "Asking":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the embedding server and close all connections."""
        self._closed.set()
        spawning.end_all()  # a model may be on its way
        self._tending.join()
        self._services.close()
        if self.settings.database_url is None:
            bundled_postgres.release(self.settings.home)

    @property
    def embedder_runs(self) -> bool:
        """Whether the engine is running now; asking starts none."""
        return any(embedder.started for embedder in self._services.embedders)

    @property
    def embedding(self) -> Embedding:
        """The settings of the model that serves."""
        return self._current().settings.embedding

    def search(
        self,
        query: str,
        *,
        caller: Caller,
        k: int = 10,
        filter: Filter | None = None,
        mode: Mode | None = None,
        neighbours: int = 0,
        min_similarity: float | None = None,
        vector: Vector | None = None,
        notes: list[str] | None = None,
    ) -> list[Hit]:
        """As operations.search, with the caller's rights; the question's `vector` may have been made before.

        Question and passages are of one model: where another one serves by the time of the answer, it is asked again.
        It is also asked again where the database was lost a moment ago, which may be starting anew.
        """
        ask = partial(
            self._search,
            query,
            caller=caller,
            k=k,
            filter=filter,
            mode=mode or self.settings.search.mode,
            neighbours=neighbours,
            min_similarity=min_similarity,
            vector=vector,
            notes=notes,
        )
        return self._again_when_back(ask)

    def _search(
        self,
        query: str,
        *,
        caller: Caller,
        mode: Mode,
        vector: Vector | None,
        notes: list[str] | None,
        **how: Any,
    ) -> list[Hit]:
        self._require_index()
        told: list[str] = []
        for serving in operations.each_serving(self._current(), look=self._looked_at):
            told.clear()
            with self._for(caller, serving) as services:
                hits = operations.search(
                    services,
                    query,
                    mode=mode,
                    vector=None if mode == "text" else self._vector(query, vector, serving),
                    notes=told,
                    **how,
                )
        if notes is not None:
            notes += told
        return hits

    def require_reranker(self) -> None:
        """As operations.require_reranker: to be called before anybody may ask."""
        operations.require_reranker(self._services)

    def excerpts(self, query: str, hits: Sequence[Hit], *, caller: Caller) -> list[str]:
        """Of each hit, the part that has most of the question's words; see operations.excerpts."""
        with self._for(caller, self._current()) as services:
            return operations.excerpts(services, query, hits)

    def embed_query(self, text: str) -> QueryVector:
        """The vector of a question to the index (dimension floats), by the model that serves.

        The first one has to look in the database, and so has one for which a server is started, whose vectors are
        compared with what is known of the model. They are asked again, as a search, where that was lost a moment ago.
        """

        def embedded() -> QueryVector:
            self._require_index()
            return self._embedded(text, self._current())

        return self._again_when_back(embedded)

    def _vector(self, query: str, given: Vector | None, serving: Services) -> Vector:
        """The question's vector by this model: the one that was given, unless another model made it."""
        model = serving.settings.embedding.model
        if given is not None and getattr(given, "model", model) == model:
            return given
        return self._embedded(query, serving)

    def _embedded(self, text: str, serving: Services) -> QueryVector:
        with self._embedder(serving) as embedder:
            return QueryVector(embedder.embed_query(text), model=serving.settings.embedding.model)

    def _current(self) -> Services:
        """The services of the model that serves, as far as was seen."""
        return self._serving or self._looked_at()

    def _looked_at(self) -> Services:
        """The same, as the database says now."""
        with self._for(EVERYTHING):  # which notices where that is away
            serving = self._serving = self._services.serving
        return serving

    def embed(self, texts: Sequence[str], *, input_type: str = "passage") -> Embedded:
        """Vectors of texts; a single one needs no more memory than a question, several need that of an ingestion.

        `input_type`, "query" or "passage", decides about a prefix, where the model has some.
        """
        import numpy as np

        serving = self._looked_at()
        model = serving.settings.embedding
        as_query = input_type == "query"
        with self._embedder(serving) as embedder:
            if len(texts) == 1 or (as_query and model.query_prefix != model.passage_prefix):
                rows = [embedder.embed_query(text, as_passage=not as_query) for text in texts]
                vectors = np.array(rows, dtype=np.float32)
            else:
                vectors = embedder.embed(texts, token_counts=[len(text) // 3 for text in texts])
            return Embedded(vectors=vectors, tokens=_count_tokens(embedder, texts))

    def document(self, document_id: str, *, caller: Caller, first_chunk: int = 0, chunks: int = 20) -> Story | None:
        """A document with up to so many chunks from this one on; None where there is none, or he may not see it."""
        model, source = self._looked_at().settings.embedding.model, self.settings.source
        with self._for(caller) as services, services.database.transaction() as cursor:
            document = callers.get_document(cursor, document_id, model=model, source=source)
            if document is None:
                return None
            return Story(
                document=document,
                attempts=tuple(callers.list_attempts(cursor, document_id, limit=SHOWN_ATTEMPTS)),
                chunks=tuple(callers.list_chunks(cursor, document_id, first=first_chunk, limit=chunks, model=model)),
            )

    def documents(
        self, *, caller: Caller, after: str | None = None, state: str | None = None, limit: int = 100
    ) -> list[DocumentState]:
        """So many documents whose id comes after this one, in the order of ids as texts; of one state, or of all."""
        model, source = self._looked_at().settings.embedding.model, self.settings.source
        with self._for(caller) as services, services.database.transaction() as cursor:
            return callers.list_documents(cursor, after=after, state=state, limit=limit, model=model, source=source)

    def status(self, *, caller: Caller) -> Summary:
        """How many documents are in which state, and how old what is pending is, as far as the caller may see them."""
        faults: list[str] = []
        embedding = self._looked_at().settings.embedding
        with self._for(caller) as services:
            with services.database.transaction() as cursor:
                rows = callers.count_documents(cursor)
                chunks = callers.count_chunks(cursor, model=embedding.model)
                oldest = callers.oldest_pending_seconds(cursor)
            if caller.role is None:
                whole = operations.status(services)
                if whole.oldest_pending_at is not None:  # what no look has moved to the outbox yet included
                    oldest = (datetime.now(UTC) - whole.oldest_pending_at).total_seconds()
                faults = whole.faults
        states: dict[str, int] = {}
        errors: dict[str, int] = {}
        for state, kind, count in rows:
            states[state] = states.get(state, 0) + count
            if kind is not None:
                errors[kind] = errors.get(kind, 0) + count
        return Summary(
            model=embedding.model,
            dimension=embedding.dimension,
            documents=sum(states.values()),
            states=states,
            errors=errors,
            chunks=chunks,
            oldest_pending_seconds=oldest,
            faults=tuple(faults),
        )

    def figures(self) -> Figures:
        """What operators watch. Chunks are counted again after a while only: each of them has to be passed over.

        Where counting takes longer than COUNT_SECONDS, the number from before stays, which at first is none.
        """
        with self._for(EVERYTHING) as services, services.database.transaction() as cursor:
            if self._counted_at is None or time.monotonic() - self._counted_at > CHUNKS_SECONDS:
                chunks = figures.count_chunks(cursor, seconds=COUNT_SECONDS)
                self._counted_at = time.monotonic()
                self._chunks = self._chunks if chunks is None else chunks
            return figures.get(cursor, chunks=self._chunks, dagster_schema=DAGSTER_SCHEMA)

    @property
    def embedder_memory_bytes(self) -> int:
        """What the embedding servers of this home have in memory, those of runs included."""
        return neighbour.memory_bytes(self.settings.home / "run")

    def is_ready(self) -> bool:
        """Whether a search by words would be answered now: database and schema are there.

        DatabaseUnavailable, or SettingsError where a newer program made the tables.
        """
        with self._for(EVERYTHING) as services, services.database.transaction() as cursor:
            require_no_newer(cursor)
            return callers.is_ready(cursor)

    def warm(self) -> None:
        """Open what the first question would wait for, but no embedding server: modules, engine, a connection.

        One question is asked, of nobody's: the database reads its functions when a connection first calls them.
        """
        import numpy as np  # noqa: F401 - a tenth of a second

        from rag_assets.embedding import connections  # noqa: F401 - a third of a second

        try:
            self._require_index()
        except SettingsError:
            return  # no model is made for an index that is not there
        except RagAssetsError:
            pass  # the database may be there by the first question
        with suppress(RagAssetsError):
            self._open_embedder(self._current())
        with suppress(RagAssetsError):
            if self._has_index:
                direction = [1.0] + [0.0] * (self.embedding.dimension - 1)
                self.search("first", caller=EVERYTHING, k=1, vector=direction)

    def _require_index(self) -> None:
        """As operations.require_index, asked of the database until there is one."""
        if not self._has_index:
            with self._for(EVERYTHING) as services:
                operations.require_index(services)
            self._has_index = True

    @contextmanager
    def _for(self, caller: Caller, of_model: Services | None = None) -> Iterator[Services]:
        """The services, or those of a model, with a caller's rights.

        Where the database is away, the next call looks for it anew.
        """
        services = self._services
        with self._opening_database:
            database = services.database
        try:
            yield (of_model or services).on(
                CallersDatabase(database, caller, seconds=self.settings.service.request_seconds)
            )
        except DatabaseUnavailable:
            self._forget(database)
            raise
        self._lost_at = None

    def _again_when_back(self, ask: Callable[[], _Answer]) -> _Answer:
        while True:
            try:
                return ask()
            except DatabaseUnavailable:
                self._serving = None  # the next one looks whether the database is there, wherever that is by now
                if not self._may_be_back():
                    raise

    def _may_be_back(self) -> bool:
        """Whether a database that was lost may be there again, as it was lost a moment ago; after a pause."""
        with self._lock:
            self._lost_at = self._lost_at or time.monotonic()
            is_fresh = time.monotonic() - self._lost_at < RETURN_SECONDS
        return is_fresh and not self._closed.wait(RETURN_PAUSE_SECONDS)

    def _forget(self, database: Database) -> None:
        """An embedded PostgreSQL that was killed is started again, maybe somewhere else."""
        opened = vars(self._services)
        with self._opening_database:
            if opened.get("database") is database:
                del opened["database"]
                del opened["database_url"]
                database.close()

    def _open_embedder(self, serving: Services) -> Embedder:
        with self._opening_embedder:
            return serving.embedder

    @contextmanager
    def _embedder(self, serving: Services) -> Iterator[Embedder]:
        """The embedder, not to be stopped meanwhile. Where it does not start, others do not wait for the next try."""
        embedder = self._open_embedder(serving)
        with self._lock:
            if self._failed is not None and time.monotonic() < self._failed[0]:
                raise self._failed[1]
            self._under_way += 1
        try:
            yield embedder
        except ServiceError as exc:
            if not embedder.started:
                self._failed = (time.monotonic() + PAUSE_SECONDS, exc)
            raise
        finally:
            with self._lock:
                self._under_way -= 1
                self._used_at = time.monotonic()
                if embedder.client is not None and embedder.client is not self._client:
                    self._client = embedder.client
                    self.embedder_starts += not embedder.is_shared

    def _tend(self) -> None:
        """Stop the embedding server when nobody has asked for long."""
        while not self._closed.wait(TURN_SECONDS):
            if self._services.reranker is not None:
                self._services.reranker.stop_idle(self.settings.search.idle_seconds)
            with self._lock:
                idle = time.monotonic() - self._used_at
                if not self._under_way and idle >= self.settings.search.idle_seconds and self.embedder_runs:
                    for embedder in self._services.embedders:
                        embedder.stop_server()


def _in_time(settings: Settings) -> Settings:
    """With limits of time of those who wait for an answer, where they are below the servers' own."""
    seconds = min(settings.llama_server.request_timeout_seconds, settings.service.request_seconds)
    server = settings.llama_server.model_copy(update={"request_timeout_seconds": seconds})
    database = settings.database.model_copy(
        update={"connect_timeout_seconds": min(settings.database.connect_timeout_seconds, int(seconds))}
    )
    rerank = settings.rerank.model_copy(
        update={"timeout_seconds": min(settings.rerank.timeout_seconds, settings.service.request_seconds / 3)}
    )
    return settings.model_copy(update={"llama_server": server, "database": database, "rerank": rerank})


def _count_tokens(embedder: Embedder, texts: Sequence[str]) -> int:
    """Special tokens included; 0 where the server does not tell."""
    try:
        return sum(len(embedder.tokenize(text)) + SPECIAL_TOKENS for text in texts)
    except EmbeddingError:
        return 0
