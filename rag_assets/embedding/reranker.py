"""Found passages sorted anew: a question and passages come in, a score for each goes out.

A reranker reads each passage together with the question, which is slower than a search and more exact. It is asked over
llama-server's /v1/rerank: https://github.com/ggml-org/llama.cpp/tree/master/tools/server#post-reranking
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rag_assets import gguf_file, visible
from rag_assets.embedding.client import EmbeddingClient, InputTooLong, ServerAway
from rag_assets.embedding.server import RerankServer
from rag_assets.errors import NotEnoughMemory, ServiceError, SettingsError, WrongReranker
from rag_assets.model_sets import ModelSet
from rag_assets.settings import Settings

logger = logging.getLogger(__name__)

# Each of these questions is answered by the passage beside it, and by none of the others.
KNOWN_QUESTIONS = (
    (
        "How do I send back a pump that is broken?",
        "A pump that is broken may be sent back within 30 days, together with its receipt.",
    ),
    (
        "Where do snow leopards live?",
        "Snow leopards live in the high mountains of Central Asia, above the tree line.",
    ),
    (
        "When was the lighthouse built?",
        "The lighthouse was built in 1887, after two ships had run aground in one winter.",
    ),
)
NO_VECTORS = ModelSet(name="reranker", dimension=0)  # it is asked for scores alone
PAUSE_SECONDS = 10.0  # after a failure, in which no question waits for another one
LONGEST_TOKENS = 1_024  # of question and passage together, in a server of ours: a longest chunk, and room for the rest
PASSAGE_CHARACTERS = 20_000  # of a passage, at most
SHORTENED_SHARE = 0.6  # what is left of passages that are too long for the model, each time that it says so
LEAST_CHARACTERS = 100  # of a passage, for which a model has room anyway


class Reranker:
    """A running server, or one of ours that the first question starts. Thread-safe: one question at a time.

    `command` gives the beginning of llama-server's command line. No server is believed before it answers
    KNOWN_QUESTIONS right.
    """

    def __init__(self, settings: Settings, *, command: Callable[[], Sequence[str]]) -> None:
        self._settings = settings.rerank
        self._server = _server(settings, settings.rerank.model, command()) if settings.rerank.model else None
        self._client: EmbeddingClient | None = None  # one that has passed
        self._turn = threading.Lock()
        self._away_until = 0.0
        self._used_at = time.monotonic()
        self._most_characters = PASSAGE_CHARACTERS  # of a passage; fewer where the model has said that it reads fewer

    def require(self) -> None:
        """Have a server that can be asked, before anybody asks; a running one that is away now may come later.

        Raises WrongReranker, SettingsError where a key or a file is wrong, ServerFailedToStart.
        """
        try:
            with self._one_at_a_time():
                self._ready()
        except (ServerAway, NotEnoughMemory) as exc:
            logger.warning("Nothing is re-ranked until this has passed: %s", exc)

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """One number per passage, higher for one that answers better, within twice `rerank.timeout_seconds`.

        Of passages that are too long for the model, their beginning counts. Raises ServiceError where there are none.
        """
        with self._one_at_a_time():
            if time.monotonic() < self._away_until:
                raise ServerAway("the reranker failed a moment ago")
            try:
                return self._fitting(self._ready(), question, passages)
            except ServiceError:
                self._away_until = time.monotonic() + PAUSE_SECONDS
                self._stop()  # it may be another one when it is back
                raise

    def stop_idle(self, seconds: float) -> None:
        """Give the memory of a server of ours back, where nobody has asked for so long."""
        if time.monotonic() - self._used_at >= seconds and self._turn.acquire(blocking=False):
            try:
                self._stop()
            finally:
                self._turn.release()

    def close(self) -> None:
        """End what was started, once no question is under way."""
        with self._turn:
            self._stop()

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Each waits for its turn and not for the answers of others: all of them share the same processor."""
        if not self._turn.acquire(timeout=self._settings.timeout_seconds):
            raise ServerAway("others keep the reranker busy")
        try:
            yield
        finally:
            self._used_at = time.monotonic()
            self._turn.release()

    def _ready(self) -> EmbeddingClient:
        if self._client is not None and (self._server is None or self._server.alive):
            return self._client
        self._stop()
        client = self._opened()
        try:
            _require_right(client, where=visible.address(self._settings.url or "") or str(self._settings.model))
        except BaseException:
            client.close()
            self._stop()
            raise
        self._client = client
        return client

    def _opened(self) -> EmbeddingClient:
        if self._server is not None:
            return self._server.start(needed_bytes=self._server.query_bytes)
        return EmbeddingClient(
            (self._settings.url or "").strip().rstrip("/").removesuffix("/v1"),
            api_key=self._settings.read_api_key(),
            of_model=NO_VECTORS,
            timeout_seconds=self._settings.timeout_seconds,
            key_setting="rerank.api_key_file",
        )

    def _stop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._server is not None:
            self._server.stop()

    def _fitting(self, client: EmbeddingClient, question: str, passages: Sequence[str]) -> list[float]:
        """The scores of the passages, cut to what the model reads; how much that is is found out once."""
        while True:
            try:
                return client.rerank(question, [passage[: self._most_characters] for passage in passages])
            except InputTooLong:
                longest = min(self._most_characters, max(map(len, passages)))
                if longest <= LEAST_CHARACTERS:
                    raise
                self._most_characters = max(LEAST_CHARACTERS, int(longest * SHORTENED_SHARE))


def _server(settings: Settings, model: Path, command: Sequence[str]) -> RerankServer:
    if not model.is_file():
        raise SettingsError(f"rerank.model is {model}, where there is no file; correct or unset it.")
    metadata = gguf_file.read_metadata(model)
    trained_on = metadata.get(f"{metadata.get('general.architecture')}.context_length", LONGEST_TOKENS)
    own = settings.llama_server.model_copy(
        update={
            "host": type(settings.llama_server)().host,
            "port": 0,  # llama_server.port is the embedding server's
            "request_timeout_seconds": settings.rerank.timeout_seconds,
        }
    )
    longest = min(trained_on, LONGEST_TOKENS)
    return RerankServer(command, model=model, settings=own, home=settings.home, of_model=NO_VECTORS, longest=longest)


def _require_right(client: EmbeddingClient, *, where: str) -> None:
    """WrongReranker where a question has not its own passage first; also one that ignores the question."""
    passages = [passage for _, passage in KNOWN_QUESTIONS]
    for number, (question, _) in enumerate(KNOWN_QUESTIONS):
        scores = client.rerank(question, passages)
        right, wrong = scores[number], max(score for other, score in enumerate(scores) if other != number)
        if not right > wrong:
            raise WrongReranker(where, question=question, right=right, wrong=wrong)
