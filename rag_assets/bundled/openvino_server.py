"""all-MiniLM-L6-v2 on OpenVINO, as a process with llama-server's flags and endpoints as far as they are used here.

`python -m rag_assets.bundled.openvino_server --model FILE --embedding ...`; it serves until SIGTERM or SIGINT.
"""

import argparse
import base64
import faulthandler
import hmac
import importlib.util
import itertools
import json
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from queue import PriorityQueue
from typing import TYPE_CHECKING, Any

from rag_assets import gguf_file
from rag_assets.bundled import server_process
from rag_assets.bundled.openvino_model import Model, Precision, batches, import_openvino
from rag_assets.errors import SettingsError
from rag_assets.wordpiece import WORD_START, WordPiece

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

PRECISIONS: tuple[Precision, ...] = ("f32", "bf16")
MOST_BODY_BYTES = 64 * 2**20
MOST_REFUSED_BYTES = 2**16  # that are read of a request without the key
MOST_DIGITS = 20  # of a length; Python refuses to read thousands of them as a number
SHORT_TOKENS = 64  # of a request that goes before longer ones: a query, or a change
IDLE_SECONDS = 3600  # after which a connection without requests is closed
SOCKET_END = ".sock"  # of a host that is a socket file


def is_installed() -> bool:
    """Whether this Python has OpenVINO; it is not imported."""
    return importlib.util.find_spec("openvino") is not None


def command(precision: Precision | None = None) -> list[str]:
    """The beginning of the command line: what a native llama-server's path would be."""
    chosen = ["--precision", precision] if precision else []
    return [sys.executable, "-m", "rag_assets.bundled.openvino_server", *chosen]


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; 1 when the server does not start, 2 for a wrong command line."""
    arguments = _parser().parse_args(argv)
    faulthandler.enable()  # what the library dies of is said in the log
    stop = server_process.stop_event()
    if arguments.version:
        print(f"version: openvino {import_openvino().__version__}")  # noqa: T201 - what llama-server prints
        return 0
    try:
        server = _server(arguments)
    except (SettingsError, ImportError, RuntimeError, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)  # noqa: T201
        return 1
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server_process.serve_until(stop, address=server.server_address)
    server.server_close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = server_process.parser(__doc__)
    parser.add_argument("--pooling", choices=("mean",), help="how token vectors become one")
    parser.add_argument("--embd-normalize", type=int, choices=(2,), default=2, help="2: to length 1")
    parser.add_argument("-b", "--batch-size", type=int, help="not used: batches are as large as is fastest")
    parser.add_argument("-ub", "--ubatch-size", type=int, help="not used")
    parser.add_argument("-t", "--threads", type=int, default=0, help="threads of computation; 0: one per core")
    parser.add_argument("--precision", choices=PRECISIONS, help="of computation; else bf16 where the processor has it")
    return parser


def _server(arguments: argparse.Namespace) -> "_Server":
    if arguments.model is None or not arguments.model.is_file():
        raise SettingsError(f"no model file: {arguments.model}")
    file = gguf_file.read(arguments.model)
    tokenizer = WordPiece.from_metadata(file.metadata, path=arguments.model)
    model = Model(arguments.model, file, threads=arguments.threads, precision=arguments.precision)
    limit = model.positions
    if arguments.ctx_size > 0:
        limit = min(limit, arguments.ctx_size // max(1, arguments.parallel))
    embedder = _Embedder(model, tokenizer, special=_special_tokens(file.metadata), limit=limit)
    keys = server_process.api_keys(arguments)
    kind = _UnixServer if arguments.host.endswith(SOCKET_END) else _TcpServer
    address = arguments.host if kind is _UnixServer else (arguments.host, arguments.port)
    return kind.at(address, answers=_Answers(embedder, name=arguments.model.stem), keys=keys)


def _special_tokens(facts: dict[str, Any]) -> tuple[int, int]:
    """The ids of [CLS] and [SEP]."""
    return facts["tokenizer.ggml.bos_token_id"], facts["tokenizer.ggml.seperator_token_id"]


class TooLong(ValueError):
    """A text has more tokens than the model has positions."""


@dataclass(order=True)
class _Batch:
    """Texts that are computed together, as token ids; short requests come first, then those that came first."""

    is_long: bool
    number: int
    places: list[int] = field(compare=False)  # of the texts in their request
    texts: list[Sequence[int]] = field(compare=False)
    vectors: "Future[NDArray[float32]]" = field(default_factory=Future, compare=False)


class _Embedder:
    """Texts to vectors for many threads: the model's streams compute batches, and who needs little goes first."""

    def __init__(self, model: Model, tokenizer: WordPiece, *, special: tuple[int, int], limit: int) -> None:
        self.model = model
        self.limit = limit
        self.words = tokenizer.size
        self._tokenizer = tokenizer
        self._first, self._last = special
        self._numbers = itertools.count()
        self._waiting: PriorityQueue[_Batch] = PriorityQueue()
        for _ in range(model.streams):
            threading.Thread(target=self._compute, name="compute", daemon=True).start()

    def ids(self, text: str, *, add_special: bool = True) -> list[int]:
        found = self._tokenizer.ids(text)
        return [self._first, *found, self._last] if add_special else found

    def piece(self, number: int) -> str:
        """Its text, as llama-server writes it: what begins a word has a space before it."""
        return self._tokenizer.piece(number).replace(WORD_START, " ")

    def embed(self, texts: Sequence[Sequence[int]]) -> "NDArray[float32]":
        """Vectors of texts given as token ids: shape (texts, dimension), each row of length 1. Raises TooLong."""
        import numpy as np

        lengths = list(map(len, texts))
        if (longest := max(lengths)) > self.limit:
            raise TooLong(f"input ({longest} tokens) is larger than the max context size ({self.limit} tokens)")
        is_long = sum(lengths) > SHORT_TOKENS
        waiting = [
            _Batch(is_long, next(self._numbers), batch, [texts[index] for index in batch]) for batch in batches(lengths)
        ]
        for one in waiting:
            self._waiting.put(one)
        vectors = np.empty((len(texts), self.model.dimension), dtype=np.float32)
        for one in waiting:
            vectors[one.places] = one.vectors.result()
        return vectors

    def _compute(self) -> None:
        while True:
            batch = self._waiting.get()
            try:
                batch.vectors.set_result(self.model.embed_batch(batch.texts))
            except Exception as exc:  # noqa: BLE001 - it is the request's, and the next one may be computed
                batch.vectors.set_exception(exc)


class _Refused(Exception):
    """A request that is answered with an error, in llama-server's form."""

    def __init__(self, status: int, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"code": status, "message": message, "type": kind}}


class _Answers:
    """What each endpoint answers: a request's JSON comes in, the answer's goes out. Raises _Refused."""

    def __init__(self, embedder: _Embedder, *, name: str) -> None:
        self._embedder = embedder
        self._name = name
        self._of: dict[tuple[str, str], Callable[[dict[str, Any]], Any]] = {
            ("GET", "/health"): lambda _body: {"status": "ok"},
            ("GET", "/props"): self._props,
            ("GET", "/v1/models"): self._models,
            ("POST", "/v1/embeddings"): self._openai,
            ("POST", "/embedding"): self._embedding,
            ("POST", "/embeddings"): self._embedding,
            ("POST", "/tokenize"): self._tokenize,
        }

    def to(self, method: str, path: str, body: dict[str, Any]) -> Any:
        answer = self._of.get((method, path))
        if answer is None:
            raise _Refused(404, "File Not Found", kind="not_found_error")
        return answer(body)

    def _props(self, _body: dict[str, Any]) -> dict[str, Any]:
        slots = {"n_ctx": self._embedder.limit}
        return {
            "build_info": self._embedder.model.build,
            "model_alias": self._name,
            "total_slots": 1,
            "default_generation_settings": slots,
        }

    def _models(self, _body: dict[str, Any]) -> dict[str, Any]:
        return {"object": "list", "data": [{"id": self._name, "object": "model", "owned_by": "rag-assets"}]}

    def _openai(self, body: dict[str, Any]) -> dict[str, Any]:
        texts = self._texts(body.get("input"))
        vectors = self._vectors(texts)
        write = _in_base64 if body.get("encoding_format") == "base64" else _in_numbers
        data = [
            {"object": "embedding", "index": index, "embedding": embedding}
            for index, embedding in enumerate(write(vectors))
        ]
        count = sum(map(len, texts))
        usage = {"prompt_tokens": count, "total_tokens": count}
        return {"object": "list", "model": body.get("model") or self._name, "data": data, "usage": usage}

    def _embedding(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        vectors = self._vectors(self._texts(body.get("content", body.get("input"))))
        return [{"index": index, "embedding": [numbers]} for index, numbers in enumerate(_in_numbers(vectors))]

    def _tokenize(self, body: dict[str, Any]) -> dict[str, Any]:
        content = body.get("content", "")
        if not isinstance(content, str):
            raise _Refused(400, '"content" must be a string', kind="invalid_request_error")
        ids = self._embedder.ids(content, add_special=bool(body.get("add_special")))
        if not body.get("with_pieces"):
            return {"tokens": ids}
        return {"tokens": [{"id": number, "piece": self._embedder.piece(number)} for number in ids]}

    def _texts(self, given: Any) -> list[list[int]]:
        """The token ids of each input: OpenAI's form allows a text, its token ids, or a list of either."""
        if isinstance(given, str) or _are_ids(given):
            given = [given]
        if not isinstance(given, list) or not given:
            raise _Refused(400, '"input" must be a text or a list of texts', kind="invalid_request_error")
        return [self._ids(text) for text in given]

    def _ids(self, text: Any) -> list[int]:
        if isinstance(text, str):
            return self._embedder.ids(text)
        if _are_ids(text) and all(0 <= number < self._embedder.words for number in text):
            return list(text)
        raise _Refused(400, "an input is neither a text nor a list of token ids", kind="invalid_request_error")

    def _vectors(self, texts: list[list[int]]) -> "NDArray[float32]":
        try:
            return self._embedder.embed(texts)
        except TooLong as exc:
            raise _Refused(400, str(exc), kind="exceed_context_size_error") from exc


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = os.name != "nt"  # there it would allow to share the port
    answers: _Answers
    keys: tuple[bytes, ...]

    @classmethod
    def at(cls, address: Any, *, answers: _Answers, keys: Sequence[str]) -> "_Server":
        try:
            server = cls(address, _Handler)
        except OSError as exc:
            raise OSError(f"couldn't bind HTTP server socket, hostname: {address}: {exc}") from exc
        server.answers, server.keys = answers, tuple(key.encode() for key in keys)
        return server

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is no news; anything else is for the log."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _TcpServer(_Server):
    @classmethod
    def at(cls, address: Any, *, answers: _Answers, keys: Sequence[str]) -> "_Server":
        if ":" in address[0]:
            cls.address_family = socket.AF_INET6
        return super().at(address, answers=answers, keys=keys)


class _UnixServer(_Server):
    address_family = getattr(socket, "AF_UNIX", socket.AF_INET)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, _ = super().get_request()
        return connection, ("", 0)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 2**16  # head and body leave together
    timeout = IDLE_SECONDS
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: BaseHTTPRequestHandler would write a line for each request."""

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def _handle(self) -> None:
        try:
            self._require_key()
            body = self._body()
            self._answer(200, self.server.answers.to(self.command, self.path.partition("?")[0], body))
        except _Refused as exc:
            self._answer(exc.status, exc.body)

    def _body(self) -> dict[str, Any]:
        length = self._length()
        if length is None or length > MOST_BODY_BYTES:
            self.close_connection = True
            raise _Refused(413, f"at most {MOST_BODY_BYTES} bytes, with their number", kind="invalid_request_error")
        data = self.rfile.read(length)
        if not data:
            return {}
        try:
            body = json.loads(data)
        except (ValueError, RecursionError) as exc:
            raise _Refused(400, f"no JSON: {exc}", kind="invalid_request_error") from exc
        if not isinstance(body, dict):
            raise _Refused(400, "no JSON object", kind="invalid_request_error")
        return body

    def _length(self) -> int | None:
        """How many bytes the body has; None where the request does not say it in a few digits."""
        length = self.headers.get("Content-Length", "0")
        return int(length) if length.isascii() and length.isdigit() and len(length) < MOST_DIGITS else None

    def _require_key(self) -> None:
        """Everything but /health is for who has a key."""
        given = (self.headers.get("Authorization") or "").removeprefix("Bearer ").encode("latin-1", "replace")
        is_known = any(hmac.compare_digest(given, key) for key in self.server.keys)
        if self.server.keys and not is_known and self.path != "/health":
            self.close_connection = True  # whatever else it sends is not read
            self.rfile.read(min(self._length() or 0, MOST_REFUSED_BYTES))  # unread, it can take the answer with it
            raise _Refused(401, "Invalid API Key", kind="authentication_error")

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body, separators=(",", ":")).encode()
        self.send_response_only(status)
        if self.close_connection:
            self.send_header("Connection", "close")  # or the next request is sent into a connection that ends
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _are_ids(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(type(number) is int for number in given)


def _in_base64(vectors: "NDArray[float32]") -> list[str]:
    return [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]


def _in_numbers(vectors: "NDArray[float32]") -> list[list[float]]:
    found: list[list[float]] = vectors.tolist()
    return found


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # what computes at this moment is not waited for
