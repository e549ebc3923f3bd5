"""Several running servers of one model as one: each request goes to the one with least to do.

It goes around those that are away, and around those that answer, but not well.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rag_assets.embedding.client import EmbeddingClient, InputTooLong, OtherDimension, ServerAway
from rag_assets.errors import EmbeddingError

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0  # after which a server that was left alone is looked at again; each time twice as long,
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
    """Thread-safe. One that is away, or fails at what another one does, is left alone for a while.

    Raises ServerAway where none of them answers, and EmbeddingError where none answers well: both name each server and
    what was wrong with it. What is no fault of one server, InputTooLong and SettingsError, is raised as it is.
    """

    def __init__(self, clients: Sequence[EmbeddingClient], *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._clients = list(clients)
        self._pause_seconds = pause_seconds
        self._in_flight = dict.fromkeys(self._clients, 0)
        self._away_until = dict.fromkeys(self._clients, 0.0)
        self._pauses = dict.fromkeys(self._clients, 0.0)  # seconds, of those that are left alone; 0: it answers
        self._lock = threading.Lock()

    @property
    def where(self) -> str:
        """All of them, as messages call them."""
        return ", ".join(client.where for client in self._clients)

    def embed(self, texts: Sequence[str]) -> "NDArray[float32]":
        """The vectors by the server that has least to do, or by the next one where that does not give them."""
        return self._on_any_server(lambda client: client.embed(texts), all_can=True)

    def tokenize(self, text: str) -> list[dict[str, Any]]:
        """The tokens by the server that has least to do, or by the next one where that does not give them."""
        return self._on_any_server(lambda client: client.tokenize(text), all_can=False)

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
        failures: dict[EmbeddingClient, EmbeddingError] = {}
        for client in self._clients:
            try:
                if self._is_away(client):
                    raise ServerAway(f"The model's server at {client.where} does not answer")
                client.vouch()
            except EmbeddingError as exc:
                self._leave(client)
                failures[client] = exc
        if len(failures) == len(self._clients):
            raise _of_all(failures)
        for failure in failures.values():
            logger.warning("%s; it is left alone for a while", _found(failure))

    def close(self) -> None:
        """Close the connections to all of them."""
        for client in self._clients:
            client.close()

    def _on_any_server(self, question: Callable[[EmbeddingClient], _Answer], *, all_can: bool) -> _Answer:
        """The answer of the one with least to do; where that fails, of the next one.

        The question may be at fault, and not the server, until another server answers it. Where `all_can` is true,
        those that failed are then left alone.
        """
        failures: dict[EmbeddingClient, EmbeddingError] = {}
        while len(failures) < len(self._clients):
            client = self._next(failures)
            try:
                with self._at_work(client):
                    self._look_at(client)
                    answer = question(client)
            except InputTooLong:
                raise
            except EmbeddingError as exc:
                failures[client] = exc
                if isinstance(exc, ServerAway):
                    self._leave(client)
                continue
            self._away_until[client] = self._pauses[client] = 0.0
            for failed, failure in failures.items():
                if all_can:
                    self._leave(failed)
                logger.warning("%s; another server was asked", _found(failure))
            return answer
        raise _of_all(failures)

    def _look_at(self, client: EmbeddingClient) -> None:
        """Ask one that was left alone for its health: a request that it let hang would wait for minutes."""
        if self._pauses[client]:
            if not self._is_away(client):
                self._pauses[client] = min(2 * self._pauses[client], LONGEST_PAUSE_SECONDS)  # unless it does well now
            self._away_until[client] = time.monotonic() + self._pauses[client]  # nobody else looks meanwhile
            if not client.healthy():
                raise ServerAway(f"The model's server at {client.where} is still away")

    def _next(self, tried: Collection[EmbeddingClient]) -> EmbeddingClient:
        """Those that failed lately come last, and are not left out: they may be back, and all others away."""
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


def _of_all(failures: Mapping[EmbeddingClient, EmbeddingError]) -> EmbeddingError:
    """What is raised where each server failed; ServerAway where another try can help, as none of them answers."""
    said = f"No server of llama_server.url answers well: {'; '.join(map(_found, failures.values()))}"
    answered = [failure for failure in failures.values() if not isinstance(failure, ServerAway)]
    if not answered:
        return ServerAway(said)
    odd = [failure for failure in answered if isinstance(failure, OtherDimension)]
    if len(odd) == len(answered) and len({failure.shape for failure in odd}) == 1:
        said = f"{said}. {odd[0].advice}"
    return EmbeddingError(said)


def _found(failure: EmbeddingError) -> str:
    """What was wrong with one server, without advice that is for where all are like it."""
    return failure.found if isinstance(failure, OtherDimension) else str(failure)
