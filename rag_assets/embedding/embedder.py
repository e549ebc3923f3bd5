"""Many texts to vectors: requests packed by length, several in flight, a server that is started at the first text."""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_assets.embedding import known, neighbour
from rag_assets.embedding.client import EmbeddingClient, InputTooLong, ServerAway, ServerHangs
from rag_assets.embedding.remotes import PAUSE_SECONDS, Remotes, Server
from rag_assets.embedding.server import CANARY, MOST_KILLED, LlamaServer
from rag_assets.errors import (
    EmbeddingError,
    Interrupted,
    ServerFailedToStart,
    ServerKilled,
    SettingsError,
    UnembeddableText,
    WrongModel,
)
from rag_assets.processes import memory
from rag_assets.settings import Settings
from rag_assets.stopwatch import Stopwatch

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

OPENVINO, LLAMA_CPP = "openvino", "llama.cpp"
SERVERS = {OPENVINO: "OpenVINO", LLAMA_CPP: "llama-server"}  # as messages name them

TRIED_AGAIN = "openvino is tried again at the next start"
MENDS = 'another version may do: pip install --upgrade openvino, or set embedding.engine to "llama.cpp"'

REQUEST_TOKENS = 1_024  # of one request: they are answered in turn, so that this is what the next one waits for
TRIES = 2  # of a request whose server went away
FAILURES = 2  # more of a text alone, each after texts that all went well, before it counts as at fault
REMOTE_PATIENCE_SECONDS = 30.0  # until one of the running servers must have answered
LOG_SECONDS = 30.0  # between lines of progress in the log
LOOK_SECONDS = 0.2  # between looks at whether a call is interrupted while its requests are under way
PARTING_SECONDS = 1.0  # for the last requests of an interrupted call; then the server is stopped under them


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A program with llama-server's flags and endpoints, and the file that it is to run.

    `note`: why it is not a faster one, and what to do; empty where there is none.
    """

    name: str
    command: tuple[str, ...]
    model: Path
    note: str = ""


class Embedder:
    """Thread-safe. Texts of one call are packed into requests; vectors come back in the order of the texts.

    With an `engine`, a server of our own is started at the first text and restarted when it dies; where it cannot be
    started, that of `fallback`, for good unless somebody else kept ending it. A query is embedded by one that another
    process of this home runs already, as long as that lives. `local` is short for one of llama.cpp. Made by `remote`,
    it uses a running server, of which nothing is started or stopped; it waits `patience_seconds` for one to answer, and
    one of several that was away, or answered wrongly, is left alone for `pause_seconds`. `models` remembers what
    vectors each model gives.
    `on_embedded` is told how many texts have their vectors, as they have; `on_started`, how many seconds each start of
    a server of our own took.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        engine: Engine | None,
        fallback: Callable[[], Engine] | None = None,
        models: known.Memory | None = None,
        patience_seconds: float = REMOTE_PATIENCE_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._settings = settings
        self._of_model = settings.embedding.of_model
        self._patience_seconds = patience_seconds
        self._pause_seconds = pause_seconds
        self._first = self._engine = engine
        self._fallback = fallback
        self._server = self._server_of(engine) if engine else None
        self._models = models or known.Forgetful()
        self._noted = ""  # the last note of an engine that the log has
        self._is_for_queries = False  # started with the memory of a query, which is not yet enough to ingest
        self.is_shared = False  # the server is that of another process of ours
        self.on_embedded: Callable[[int], None] = lambda _count: None
        self.on_started: Callable[[float], None] = lambda _seconds: None
        self._client: Server | None = None
        self._lock = threading.Lock()  # over what is counted
        self._server_lock = threading.Lock()  # over the server, which takes seconds to start and to stop
        self._calls = 0
        self._embedded = self._logged = 0  # texts; those that the last line of the log counted
        self._logged_at = 0.0
        self._killed: weakref.WeakSet[Server] = weakref.WeakSet()  # whose process somebody else has killed
        self._interrupted = threading.Event()  # set until the last of the calls under way has ended
        # More than one request, so that the server has the next one at hand while it answers one. A call of one
        # request does not queue behind those of long calls: a change during a backfill waits half as long.
        self._executor, self._short_calls = (
            ThreadPoolExecutor(self._most_in_flight, thread_name_prefix="embed-request") for _ in range(2)
        )
        self.build: str | None = None

    @classmethod
    def local(
        cls, settings: Settings, *, command: Sequence[str], model: Path, models: known.Memory | None = None
    ) -> "Embedder":
        """An embedder that starts llama-server by the beginning of its command line, with a GGUF file as its model."""
        return cls(settings, engine=Engine(name=LLAMA_CPP, command=tuple(command), model=model), models=models)

    @classmethod
    def remote(
        cls,
        settings: Settings,
        *,
        models: known.Memory | None = None,
        patience_seconds: float = REMOTE_PATIENCE_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> "Embedder":
        """An embedder that starts no process and asks the servers of `llama_server.url`.

        One that is away is waited for as long as `patience_seconds`, and asked again after `pause_seconds`.
        """
        return cls(settings, engine=None, models=models, patience_seconds=patience_seconds, pause_seconds=pause_seconds)

    def _server_of(self, engine: Engine) -> LlamaServer:
        return LlamaServer(
            engine.command,
            model=engine.model,
            settings=self._settings.llama_server,
            home=self._settings.home,
            longest=max(self._settings.cutting.size + self._of_model.room, 512),
            of_model=self._of_model,
            name=SERVERS[engine.name],
            note=engine.note,
        )

    @property
    def started(self) -> bool:
        """Whether a client is at hand, and so, in local mode, a process."""
        return self._client is not None

    @property
    def note(self) -> str:
        """Why the engine is not a faster one, and what to do; empty where there is none."""
        return self._engine.note if self._engine else ""

    @property
    def _most_in_flight(self) -> int:
        """Requests at once: as many for each server that there is."""
        return self._settings.llama_server.requests_in_flight * max(1, len(self._settings.llama_server.urls))

    @property
    def client(self) -> Server | None:
        """What asks the server; None before the first text, and after the server was stopped."""
        return self._client

    @property
    def memory_bytes(self) -> int | None:
        """What the server's process has in memory; None where there is none of ours."""
        return self._server.memory_bytes if self._server is not None else None

    @property
    def degraded(self) -> bool:
        """Whether the server takes one text at a time because its batches came out wrong."""
        return self._server is not None and self._server.degraded

    def embed(self, texts: Sequence[str], *, token_counts: Sequence[int]) -> "NDArray[float32]":
        """float32 of shape (texts, dimension), each row of length 1.

        Raises UnembeddableText for the first text that the server refuses, or dies of, by itself; ServiceErrors
        for everything that is no text's fault; Interrupted.
        """
        import numpy as np

        vectors = np.empty((len(texts), self._settings.embedding.dimension), dtype=np.float32)
        passages = [self._of_model.passage_prefix + text for text in texts]
        packs = list(_packs(token_counts, most_texts=self._settings.embedding.batch_size))
        executor = self._executor if len(packs) > 1 else self._short_calls

        def work(pack: list[int]) -> None:
            vectors[pack] = self._embed_pack(pack, passages)
            self._count(len(pack))

        requests: set[Future[None]] = set()
        with self._call():
            try:
                for pack in packs:
                    # No more than can be under way: no call is to wait behind all of a long one.
                    if len(requests) == self._most_in_flight:
                        requests = self._some_done(requests)
                    requests.add(executor.submit(work, pack))
                while requests:
                    requests = self._some_done(requests)
            finally:
                self._end(requests)
        return vectors

    def embed_query(self, text: str, *, as_passage: bool = False) -> list[float]:
        """As many numbers as the dimension, of length 1; the server is started with the memory that a query needs.

        `as_passage`: it begins as a chunk does. Raises what `embed` raises; the index of UnembeddableText is 0.
        """
        model = self._of_model
        asked = (model.passage_prefix if as_passage else model.query_prefix) + text
        try:
            return [float(number) for number in self._request([asked], for_query=True)[0]]
        except InputTooLong as exc:
            raise UnembeddableText(0, kind="too_large", message=f"It is over the model's limit: {exc}") from exc

    def interrupt(self) -> None:
        """End the calls that are under way with Interrupted, as soon as their current requests are answered."""
        with self._lock:
            if self._calls:
                self._interrupted.set()

    def tokenize(self, text: str) -> list[dict[str, Any]]:
        """The server's own tokens of a text: id and piece of each, without special tokens."""
        return (self._client or self._ready()).tokenize(text)

    def warm(self) -> None:
        """Start the server now; without it, the first text does."""
        self._ready()

    def stop_server(self) -> None:
        """Give the memory back; the next text starts the server again."""
        with self._server_lock:
            client, self._client = self._client, None
            if client is not None:
                client.close()
            if self._server is not None:
                self._server.stop()

    def close(self) -> None:
        """Wait for the requests that are under way, drop those that wait, and stop the server where it is ours."""
        for executor in (self._executor, self._short_calls):
            executor.shutdown(wait=True, cancel_futures=True)
        self.stop_server()

    def _count(self, texts: int) -> None:
        """Tell of progress: a long document is many chunks, and no outcome for minutes."""
        self.on_embedded(texts)
        with self._lock:
            self._embedded += texts
            if (now := time.monotonic()) - self._logged_at >= LOG_SECONDS:
                rate = (self._embedded - self._logged) / (now - self._logged_at)
                if self._logged_at:
                    logger.info("%d chunks embedded so far, %.1f a second", self._embedded, rate)
                self._logged, self._logged_at = self._embedded, now

    @contextmanager
    def _call(self) -> Iterator[None]:
        with self._lock:
            self._calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                if not self._calls:
                    self._interrupted.clear()

    def _some_done(self, requests: set[Future[None]]) -> set[Future[None]]:
        """Wait until one has ended at least; those that have not. Raises what became of one that went wrong."""
        while not self._interrupted.is_set():
            done, left = wait(requests, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
            for request in done:
                request.result()
            if done:
                return left
        raise Interrupted

    def _end(self, requests: set[Future[None]]) -> None:
        """No request of a call outlives it."""
        for request in requests:
            request.cancel()
        late = wait(requests, timeout=PARTING_SECONDS if self._interrupted.is_set() else None).not_done
        if late:
            self.stop_server()
            wait(late)

    def _embed_pack(self, pack: list[int], texts: Sequence[str]) -> "NDArray[float32]":
        try:
            return self._request([texts[index] for index in pack])
        except EmbeddingError as exc:
            if len(pack) == 1:
                return self._alone(pack[0], texts[pack[0]], cause=exc)
        return self._halves(pack, texts)

    def _halves(self, pack: list[int], texts: Sequence[str]) -> "NDArray[float32]":
        import numpy as np

        middle = len(pack) // 2
        return np.concatenate([self._embed_pack(half, texts) for half in (pack[:middle], pack[middle:])])

    def _request(self, texts: Sequence[str], *, for_query: bool = False) -> "NDArray[float32]":
        attempt = killed = 0
        while True:
            if self._interrupted.is_set():
                raise Interrupted
            client = self._ready(for_query=for_query)
            self.on_embedded(0)  # that the server has started is a step, too
            try:
                return client.embed(texts)
            except ServerAway as exc:
                # What others wait for is not thrown away because one connection was lost.
                is_gone = attempt or isinstance(exc, ServerHangs) or not self._answers(client)
                is_news = self._replace(client) if is_gone else True
                # A question is short. A text may be what takes the memory for want of which the system kills.
                was_killed = for_query and client in self._killed and killed < MOST_KILLED
                killed, attempt = killed + was_killed, attempt + (not was_killed)
                if is_news and not self._interrupted.is_set():  # else it is said already, or we stopped it ourselves
                    logger.warning("%s (%s)", exc, "it was killed" if was_killed else f"try {attempt} of {TRIES}")
                if attempt == TRIES:
                    raise

    def _alone(self, index: int, text: str, *, cause: EmbeddingError) -> "NDArray[float32]":
        """A text that fails alone is at fault itself when the server embeds known ones between its failures."""
        if isinstance(cause, InputTooLong):
            raise UnembeddableText(index, kind="too_large", message=f"A chunk is over the model's limit: {cause}")
        for _ in range(FAILURES):
            if not all(self._embeds(canary) for canary in CANARY):  # one alone may go well by chance
                raise cause
            try:
                return self._request([text])
            except EmbeddingError as exc:
                cause = exc
        shown = " ".join(text.split())[:80]
        raise UnembeddableText(
            index,
            kind="crashed",
            message=f"The model's server embeds other texts, but not the chunk {shown!r}: {cause}",
        ) from cause

    def _embeds(self, text: str) -> bool:
        try:
            self._request([text])
        except EmbeddingError:
            return False
        return True

    def _ready(self, *, for_query: bool = False) -> Server:
        with self._server_lock:
            if self.is_shared and not for_query:
                self._let_go()  # its owner has memory for its own texts, and many of ours would keep it from them
            if self._client is None:
                self._is_for_queries = for_query
                self._client = (for_query and self._neighbour()) or self._own(for_query=for_query)
                self.build = self._server.build if self._server and not self.is_shared else self._client.build()
            elif self._is_for_queries and not for_query:
                if self._server is not None:
                    memory.require(self._server.required_bytes)
                self._is_for_queries = False
            return self._client

    def _own(self, *, for_query: bool) -> Server:
        self.is_shared = False
        return self._start(for_query=for_query) if self._server else self._reach()

    def _neighbour(self) -> Server | None:
        """The server of another process of this home, where one answers with this model's vectors."""
        if self._engine is None:
            return None
        client = neighbour.find(
            self._settings.home / "run",
            model=self._engine.model,
            settings=self._settings.llama_server,
            of_model=self._of_model,
        )
        if client is None:
            return None
        try:
            self._vouch(client)
        except (EmbeddingError, WrongModel):
            client.close()
            return None
        self.is_shared = True
        return client

    def _let_go(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client, self.is_shared = None, False

    def _start(self, *, for_query: bool) -> EmbeddingClient:
        """The engine's server; where it does not start, or gives vectors that are too far off, the fallback's."""
        if self._fallback is not None and self._first is not None:
            self._take(self._first)
            try:
                return self._start_server(for_query=for_query)
            except (ServerFailedToStart, WrongModel) as exc:
                engine, is_sound = self._fallback(), isinstance(exc, ServerKilled)
                advice = TRIED_AGAIN if is_sound else MENDS
                note = f"{engine.name} embeds instead of openvino, which is faster: {_short(exc)}; {advice}"
            self._take(replace(engine, note=note))
            self._fallback = self._fallback if is_sound else None
        if self.note != self._noted:
            logger.warning("%s", self.note)
            self._noted = self.note
        return self._start_server(for_query=for_query)

    def _take(self, engine: Engine) -> None:
        """Have this engine embed from now on; its server is started by who needs it."""
        if engine is not self._engine:
            self._engine, self._server = engine, self._server_of(engine)

    def _start_server(self, *, for_query: bool) -> EmbeddingClient:
        assert self._server is not None  # noqa: S101 - asked by the caller
        needed, began = self._server.query_bytes if for_query else None, time.perf_counter()
        client = self._server.start(needed_bytes=needed, is_given_up=self._interrupted.is_set)
        try:
            self._vouch(client, vectors=self._server.first_vectors)
        except BaseException:
            self._server.stop()
            raise
        self.on_started(time.perf_counter() - began)
        return client

    def _vouch(self, client: EmbeddingClient, *, vectors: "NDArray[float32] | None" = None) -> None:
        """Raise WrongModel unless the server's vectors are those of the model that it is to be."""
        least = known.ENGINE_OF_OURS if self._engine and self._engine.name == OPENVINO else known.SAME_MODEL
        prefix = self._of_model.passage_prefix

        def embed(texts: list[str]) -> "NDArray[float32]":
            return client.embed([prefix + text for text in texts])

        given = None if prefix else vectors  # which were made of the texts alone
        known.require(self._of_model.name, embed, memory=self._models, least=least, vectors=given)

    def _answers(self, client: Server) -> bool:
        """Whether the server of our own is there as before."""
        return self._server is not None and self._server.alive and client.healthy()

    def _replace(self, failed: Server) -> bool:
        """Let go of a server that went away; False where another thread already has."""
        with self._server_lock:
            if self._client is not failed:
                return False
            self._client = None
            failed.close()
            if self._server is not None:
                if self._server.was_killed():
                    self._killed.add(failed)
                self._server.stop()
            return True

    def _reach(self) -> Server:
        """The servers of llama_server.url, once one of them answers and all that do are the model's."""
        urls = self._settings.llama_server.urls
        clients = [*map(self._client_of, urls)]
        reached: Server = clients[0] if len(clients) == 1 else Remotes(clients, pause_seconds=self._pause_seconds)
        watch = Stopwatch()
        while not reached.healthy():
            if watch.look() > self._patience_seconds:
                raise ServerFailedToStart(
                    f"the server of {self._of_model.name} at {reached.where} does not answer /health; start it. Its "
                    "address is llama_server.url, which may be unset to have one started here, or that of rag-assets "
                    "model add"
                )
            time.sleep(0.5)
        try:
            reached.vouch()
        except BaseException:
            reached.close()
            raise
        return reached

    def _client_of(self, url: str) -> EmbeddingClient:
        config = self._settings.llama_server
        return EmbeddingClient(
            url,
            api_key=config.read_api_key(),
            of_model=self._of_model,
            timeout_seconds=config.request_timeout_seconds,
            vouch=self._vouch_for_remote,
            model=config.model or self._settings.embedding.model,
        )

    def _vouch_for_remote(self, client: EmbeddingClient) -> None:
        """The same of a server that was not started here: what it calls its models is asked first."""
        wanted, there = self._settings.llama_server.model, client.models()
        if wanted and there and wanted not in there:
            raise SettingsError(f"{client.where} has no model {wanted} (llama_server.model), but {', '.join(there)}")
        try:
            self._vouch(client)
        except WrongModel as exc:
            exc.args = (f"{client.where}: {exc}",)  # of several servers, it is to be known which
            raise


def _short(failure: ServerFailedToStart | WrongModel) -> str:
    """Why an engine is not taken, in one line."""
    if isinstance(failure, WrongModel):
        return f"its vectors have a cosine of {failure.cosine:.4f} with the model's, and {known.ENGINE_OF_OURS} is due"
    return str(failure).splitlines()[0]


def _packs(token_counts: Sequence[int], *, most_texts: int) -> Iterator[list[int]]:
    """Indices of texts by request: longest first, so that texts of one request take equally long."""
    pack: list[int] = []
    tokens = 0
    for index in sorted(range(len(token_counts)), key=lambda i: -token_counts[i]):
        if pack and (len(pack) >= most_texts or tokens + token_counts[index] > REQUEST_TOKENS):
            yield pack
            pack, tokens = [], 0
        pack.append(index)
        tokens += token_counts[index]
    if pack:
        yield pack
