"""Texts to vectors over HTTP: one request in, a checked array out, foreign errors translated."""

import base64
import binascii
import json
import math
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rag_assets import visible
from rag_assets.embedding.door import Door
from rag_assets.embedding.waiting import Patience, Turns, no_longer_than
from rag_assets.errors import EmbeddingError, SettingsError
from rag_assets.model_sets import ModelSet

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    from rag_assets.embedding.connections import Answer, ServerConnection

HEALTH_SECONDS = 2.0
CONNECT_SECONDS = 10.0  # until a server that is at work has accepted a connection
MOST_OVERTAKEN = 3  # how many later requests may be answered before one that is under way
NORM_TOLERANCE = 1e-2
# An open connection may lead to another model than before, behind a proxy or after a model was loaded anew: a check is
# a request of three short texts, which nobody notices each half minute, and little is stored that has to be made again.
BELIEVED_SECONDS = 30.0
MOST_ANSWER_BYTES = 256 * 2**20  # some ten times the largest batch of the largest model
MOST_FACTS_BYTES = 16 * 2**20  # of what a server says of itself; a list of very many models has 2 MB
SHOWN_CHARACTERS = 300  # of what a server says
TOO_LONG = ("too large to process", "exceed_context_size_error", "larger than the max context size")


class ServerAway(EmbeddingError):
    """The server does not answer, or not in time: it may have died, hang, or still be loading."""


class ServerHangs(ServerAway):
    """The server has answered nobody for as long as one request may take."""


class InputTooLong(EmbeddingError):
    """A text of the request is over the server's limit; the server refuses the whole request."""


class OtherDimension(EmbeddingError):
    """The vectors have another shape than the model's; `found` says so without the advice for where all are like this.

    `shape` is that of one vector.
    """

    def __init__(self, found: str, *, shape: tuple[int, ...], advice: str) -> None:
        self.found, self.shape, self.advice = found, shape, advice
        super().__init__(f"{found}. {advice}")


class EmbeddingClient:
    """Speaks to one llama-server; thread-safe, one connection per thread, kept open.

    Through `door`, no connection carries a byte before the server at its other end has proved to be ours. Without
    one, `url` says whom to trust, and `vouch` is asked before an answer that came over a new connection is believed,
    and before a request where it was not asked for BELIEVED_SECONDS: the server may be another one than before.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        of_model: ModelSet,
        timeout_seconds: float,
        door: Door | None = None,
        vouch: "Callable[[EmbeddingClient], None] | None" = None,
        model: str | None = None,
        key_setting: str = "llama_server.api_key",
        facts_seconds: float = HEALTH_SECONDS,
        most_answer_bytes: int = MOST_ANSWER_BYTES,
        most_facts_bytes: int = MOST_FACTS_BYTES,
    ) -> None:
        self.url = url.rstrip("/")
        self.door = door
        self._vouch = vouch
        self._vouched_at = -math.inf  # in seconds of time.monotonic, whichever thread asked
        self._named = {"model": model} if model else {}  # servers of several models are told which
        self._form = {"encoding_format": "base64"}  # a quarter of the bytes; without it, or where unknown: numbers
        self._key_setting = key_setting  # where a key that is refused comes from
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._of_model = of_model
        self._timeout = timeout_seconds
        self._most_bytes = most_answer_bytes
        self._facts_seconds, self._most_facts = facts_seconds, most_facts_bytes  # of an answer about itself
        self._patience = Patience()
        self._turns = Turns(MOST_OVERTAKEN)
        self._local = threading.local()
        self._connections: list[ServerConnection] = []

    @property
    def where(self) -> str:
        """The address of the server, as messages call it: without a login."""
        return self.door.where if self.door else visible.address(self.url)

    def close(self) -> None:
        """End all connections; who still waits for an answer waits no longer."""
        self._patience.give_up()
        for connection in self._connections:
            connection.close()

    def embed(self, texts: Sequence[str]) -> "NDArray[float32]":
        """One vector of length 1 per text: float32 of shape (texts, dimension).

        Raises ServerAway, InputTooLong, SettingsError (wrong key), EmbeddingError (anything but valid vectors).
        """
        if not self._is_vouching and time.monotonic() - self._vouched_at > BELIEVED_SECONDS:
            self.vouch()
        with self._turns.one():
            body = self._ask_for(list(texts))
        vectors = self._checked(_in_order(body.get("data"), count=len(texts), name="embedding", where=self.where))
        if getattr(self._local, "is_new", False) and not self._is_vouching:
            self.vouch()
        return vectors

    def rerank(self, question: str, passages: Sequence[str]) -> list[float]:
        """How well each passage answers the question, on the reranker's own scale: the more, the better.

        Raises what `embed` raises; EmbeddingError for anything but one finite number per passage.
        """
        asked = {"query": question, "documents": list(passages), "top_n": len(passages)}
        found = _in_order(
            self._post("/v1/rerank", {**asked, **self._named}).get("results"),
            count=len(passages),
            name="relevance_score",
            where=self.where,
        )
        try:
            scores = [float(score) for score in found if not isinstance(score, str)]
        except (TypeError, OverflowError):
            scores = []
        if len(scores) < len(found) or not all(map(math.isfinite, scores)):
            raise EmbeddingError(
                f"The scores of the model's server at {self.where} are not all finite numbers: "
                f"{str(found)[:SHOWN_CHARACTERS]}"
            )
        return scores

    def _ask_for(self, texts: list[str]) -> dict[str, Any]:
        try:
            return self._post("/v1/embeddings", {"input": texts, **self._named, **self._form})
        except EmbeddingError as exc:
            if "encoding_format" not in str(exc) or not self._form:
                raise
        self._form = {}
        return self._post("/v1/embeddings", {"input": texts, **self._named})

    def models(self) -> list[str]:
        """The names of the models that the server says it has; none where it does not say."""
        rows = self._facts("/v1/models").get("data")
        named = [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        return [name for name in named if isinstance(name, str)]

    def vouch(self) -> None:
        """Ask whether this server is to be believed, now and not only with its next new connection."""
        if self._vouch is None:
            return
        self._local.is_vouching = True  # it embeds, and the server may end a connection after each answer
        try:
            self._vouch(self)
            self._vouched_at, self._local.is_new = time.monotonic(), False
        finally:
            self._local.is_vouching = False

    @property
    def _is_vouching(self) -> bool:
        return getattr(self._local, "is_vouching", False)

    def tokenize(self, text: str) -> list[dict[str, Any]]:
        """The server's own tokens of a text, each with its id and piece, without special tokens."""
        body = self._post("/tokenize", {"content": text, "add_special": False, "with_pieces": True})
        tokens = body.get("tokens")
        if not isinstance(tokens, list) or not all(isinstance(token, dict) and "piece" in token for token in tokens):
            raise EmbeddingError(f"The model's server at {self.where} does not tokenize: is it llama.cpp's server?")
        return tokens

    def healthy(self) -> bool:
        """Whether the server answers and has loaded its model; one that is not ours may have no such endpoint."""
        from rag_assets.embedding.connections import HTTPError

        try:
            status, _ = self._exchange("GET", "/health", seconds=self._facts_seconds, most=self._most_facts)
        except (HTTPError, EmbeddingError):
            return False
        return status == 200 or (self.door is None and status < 500)

    def refuses_strangers(self) -> bool:
        """Whether a request with another key than ours is refused."""
        from rag_assets.embedding.connections import HTTPError

        stranger = {"Authorization": f"Bearer {secrets.token_hex(16)}"}
        try:
            status, _ = self._exchange(
                "POST",
                "/tokenize",
                body={"content": ""},
                headers=stranger,
                seconds=self._facts_seconds,
                most=self._most_facts,
            )
        except (HTTPError, EmbeddingError):
            return False
        return status in (401, 403)

    def build(self) -> str | None:
        """What the server says of its version and build; None where it says nothing."""
        said = self._facts("/props").get("build_info")
        return visible.line(str(said or ""))[:SHOWN_CHARACTERS] or None

    def _checked(self, embeddings: Sequence[str | Sequence[float]]) -> "NDArray[float32]":
        import numpy as np

        try:
            rows = [
                np.frombuffer(base64.b64decode(e, validate=True), dtype="<f4") if isinstance(e, str) else e
                for e in embeddings
            ]
            with np.errstate(all="ignore"):  # a number too large for float32 is infinite, which is refused below
                vectors = np.array(rows, dtype=np.float32)
        except (ValueError, TypeError, OverflowError, binascii.Error) as exc:
            raise EmbeddingError(f"The vectors of the model's server at {self.where} cannot be read: {exc}") from exc
        expected = (len(embeddings), self._of_model.given_dimension)
        if vectors.shape != expected:
            raise OtherDimension(
                f"The vectors that the model's server at {self.where} gives of {self._of_model.name} have the shape "
                f"{vectors.shape}, expected {expected}",
                shape=vectors.shape[1:],
                advice="Set embedding.dimension (--dimension of rag-assets model add) to the model's dimension, and "
                f"start the server with --pooling {self._of_model.pooling}.",
            )
        vectors = self._shaped(vectors)
        with np.errstate(all="ignore"):
            norms = np.linalg.norm(vectors, axis=1)
        if not np.isfinite(norms).all() or (abs(norms - 1) > NORM_TOLERANCE).any():
            raise EmbeddingError(
                f"The vectors of the model's server at {self.where} are not finite and of length 1: lengths {norms[:5]}"
            )
        return vectors

    def _shaped(self, vectors: "NDArray[float32]") -> "NDArray[float32]":
        """The vectors as they are stored: cut where the model's are, and of length 1 where the engine's are not."""
        import numpy as np

        model = self._of_model
        if model.normalized and model.given_dimension == model.dimension:
            return vectors
        with np.errstate(all="ignore"):  # what is not finite is refused by who called
            if model.centred and model.given_dimension > model.dimension:
                vectors = vectors - vectors.mean(axis=1, keepdims=True)
            kept = vectors[:, : model.dimension]
            shaped: NDArray[float32] = (kept / np.linalg.norm(kept, axis=1, keepdims=True)).astype(np.float32)
        return shaped

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        from rag_assets.embedding.connections import HTTPError, ReadTimeoutError

        try:
            status, content = self._exchange(
                "POST", path, seconds=self._timeout, most=self._most_bytes, body=body, headers=self._headers
            )
        except ReadTimeoutError as exc:
            raise ServerHangs(f"The model's server at {self.where} does not answer: {exc}") from exc
        except HTTPError as exc:
            raise ServerAway(f"The model's server at {self.where} does not answer: {exc}") from exc
        self._patience.answered()
        if status != 200:
            raise _refusal(status, content.decode("utf-8", "replace"), where=self.where, key_setting=self._key_setting)
        try:
            parsed = json.loads(content)
        except (ValueError, RecursionError) as exc:
            shown = content[:200].decode("utf-8", "replace")
            raise EmbeddingError(f"The model's server at {self.where} gave no JSON: {shown!r}") from exc
        return parsed if isinstance(parsed, dict) else {}

    def _facts(self, path: str) -> dict[str, Any]:
        """What a server says of itself there; nothing where it does not."""
        from rag_assets.embedding.connections import HTTPError

        try:
            _, content = self._exchange(
                "GET", path, headers=self._headers, seconds=self._facts_seconds, most=self._most_facts
            )
            said = json.loads(content)
        except (HTTPError, EmbeddingError, ValueError, RecursionError):
            return {}
        return said if isinstance(said, dict) else {}

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        most: int,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of an answer of at most so many bytes, whose head and body have so many seconds each.

        Raises urllib3.exceptions.HTTPError, EmbeddingError for a longer one.
        """
        answer = self._connection().ask(
            method,
            path,
            body=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **(headers or {})},
            connect=min(CONNECT_SECONDS, seconds),
            read=seconds,
        )
        return answer.status, _read(answer, seconds=seconds, most=most, where=self.where)

    def _connection(self) -> "ServerConnection":
        if not hasattr(self._local, "connection"):
            from rag_assets.embedding.connections import ServerConnection  # a fifth of a second

            self._local.connection = ServerConnection(
                self.url,
                door=self.door,
                patience=self._patience,
                on_connect=lambda: setattr(self._local, "is_new", True),
            )
            self._connections.append(self._local.connection)
        connection: ServerConnection = self._local.connection
        return connection


def _read(answer: "Answer", *, seconds: float, most: int, where: str) -> bytes:
    """An answer's body, which has begun to come; urllib3.exceptions.ProtocolError where it does not end in time."""
    from rag_assets.embedding.connections import ProtocolError, ReadTimeoutError

    content = bytearray()
    try:
        with no_longer_than(seconds, answer.shutdown):
            for part in answer.stream(65_536):
                content += part
                if len(content) > most:
                    answer.close()
                    raise EmbeddingError(f"The answer of the model's server at {where} has more than {most:,} bytes")
    except (TimeoutError, ReadTimeoutError) as exc:
        answer.close()
        raise ProtocolError(f"the answer did not end within {seconds:.0f} s") from exc
    return bytes(content)


def _in_order(rows: Any, *, count: int, name: str, where: str) -> list[Any]:
    """What rows have under a name, in the order of the texts; the index that the server gives decides."""
    try:
        found = {row["index"]: row[name] for row in rows}
    except (TypeError, KeyError) as exc:
        raise EmbeddingError(
            f"The answer of the model's server at {where} has not the form of embeddings: {str(rows)[:200]}"
        ) from exc
    if len(rows) != count or found.keys() != set(range(count)):
        raise EmbeddingError(f"The model's server at {where} gave not exactly one {name} for each of {count} texts")
    return [found[index] for index in range(count)]


def _refusal(status: int, text: str, *, where: str, key_setting: str) -> EmbeddingError | SettingsError:
    shown = visible.line(" ".join(text.split()))[:SHOWN_CHARACTERS]
    if status in (401, 403):
        return SettingsError(f"The model's server at {where} refuses the API key: set {key_setting}. ({shown})")
    if status == 503:
        return ServerAway(f"The model's server at {where} is still loading its model")
    if status in (429, 502, 504):
        return ServerAway(
            f"The model's server at {where} has no time, or is behind a proxy that cannot reach it: {shown}"
        )
    if any(sign in text for sign in TOO_LONG):
        return InputTooLong(shown)
    return EmbeddingError(f"The model's server at {where} answered {status}: {shown}")
