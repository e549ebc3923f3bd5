"""Several running servers of one model as one: each request goes to the one with least to do, and around those away."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rag_assets.embedding.client import EmbeddingClient, ServerAway

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0  # after which a server that was away is looked at again; each time twice as long,
LONGEST_PAUSE_SECONDS = 60.0  # up to this: a machine that is gone can keep a look waiting
_Answer = TypeVar("_Answer")


class Server(Protocol):
    """What one server, or several as one, can be asked; see EmbeddingClient."""

    @property
    def where(self) -> str:
        """The address, as messages call it."""

    def embed(self, texts: Sequence[str]) -> "NDArray[float32]":
        """The texts' vectors, float32 of shape (texts, dimension), in their order."""

    def tokenize(self, text: str) -> list[dict[str, Any]]:
        """The tokens of a text, each with its `id` and its `piece`, as llama-server's /tokenize gives them."""

    def healthy(self) -> bool:
        """Whether it answers, and is ready to embed."""

    def build(self) -> str | None:
        """What it says of its version; None where it says nothing."""

    def vouch(self) -> None:
        """Ask for vectors of texts that are known, once; raises where they are not those of the model."""

    def close(self) -> None:
        """Close the connections."""


class Remotes:
    """Thread-safe. Raises ServerAway where none of them answers; any other error is raised as it is."""

    def __init__(self, clients: Sequence[EmbeddingClient], *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._clients = list(clients)
        self._pause_seconds = pause_seconds
        self._in_flight = dict.fromkeys(self._clients, 0)
        self._away_until = dict.fromkeys(self._clients, 0.0)
        self._pauses = dict.fromkeys(self._clients, 0.0)  # seconds, of those that are away; 0: it answers
        self._lock = threading.Lock()

    @property
    def where(self) -> str:
        """All of them, as messages call them."""
        return ", ".join(client.where for client in self._clients)

    def embed(self, texts: Sequence[str]) -> "NDArray[float32]":
        """The vectors by the server that has least to do, or by the next one where that is away."""
        return self._on_any_server(lambda client: client.embed(texts))

    def tokenize(self, text: str) -> list[dict[str, Any]]:
        """The tokens by the server that has least to do, or by the next one where that is away."""
        return self._on_any_server(lambda client: client.tokenize(text))

    def healthy(self) -> bool:
        """Whether one of them answers; those that do not are left alone for a while."""
        for client in self._clients:
            if not client.healthy():
                self._leave(client)
        return any(not self._is_away(client) for client in self._clients)

    def build(self) -> str | None:
        """What those say that answer, each thing once."""
        said = [client.build() for client in self._clients if not self._is_away(client)]
        return ", ".join(dict.fromkeys(build for build in said if build)) or None

    def vouch(self) -> None:
        """Ask of each that answers whether it is to be believed; the others are asked when they come back."""
        away: ServerAway | None = None
        vouched = 0
        for client in self._clients:
            try:
                if not self._is_away(client):
                    client.vouch()
                    vouched += 1
            except ServerAway as exc:
                self._leave(client)
                away = exc
        if not vouched and away is not None:
            raise away

    def close(self) -> None:
        """Close the connections to all of them."""
        for client in self._clients:
            client.close()

    def _on_any_server(self, question: Callable[[EmbeddingClient], _Answer]) -> _Answer:
        """The answer of the one with least to do; where it is away, of the next one."""
        tried: list[EmbeddingClient] = []
        while True:
            client = self._next(tried)
            try:
                with self._at_work(client):
                    self._look_at(client)
                    answer = question(client)
            except ServerAway as exc:
                self._leave(client)
                tried.append(client)
                if len(tried) == len(self._clients):
                    raise
                logger.warning("%s; another server is asked", exc)
                continue
            self._away_until[client] = self._pauses[client] = 0.0
            return answer

    def _look_at(self, client: EmbeddingClient) -> None:
        """Ask one that was away for its health: a request that it let hang would wait for minutes."""
        if self._pauses[client]:
            self._away_until[client] = time.monotonic() + self._pauses[client]  # nobody else looks meanwhile
            if not client.healthy():
                self._pauses[client] = min(2 * self._pauses[client], LONGEST_PAUSE_SECONDS)
                raise ServerAway(f"{client.where} is still away")

    def _next(self, tried: Sequence[EmbeddingClient]) -> EmbeddingClient:
        """Those that were away lately come last, and are not left out: they may be back, and all others away."""
        with self._lock:
            left = [client for client in self._clients if client not in tried]
            return min(left, key=lambda client: (self._is_away(client), self._in_flight[client]))

    @contextmanager
    def _at_work(self, client: EmbeddingClient) -> Iterator[None]:
        with self._lock:
            self._in_flight[client] += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight[client] -= 1

    def _is_away(self, client: EmbeddingClient) -> bool:
        return time.monotonic() < self._away_until[client]

    def _leave(self, client: EmbeddingClient) -> None:
        self._pauses[client] = max(self._pause_seconds, self._pauses[client])
        self._away_until[client] = time.monotonic() + self._pauses[client]
