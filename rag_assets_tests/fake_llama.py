"""A server with llama-server's endpoints that misbehaves on request: in this process, or as a program of its own."""

import base64
import hashlib
import json
import os
import random
import signal
import sys
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

from rag_assets.embedding import known

DIMENSION = 384
LATE_SECONDS = 0.3
POISON = "poison"  # the connection ends, as it does when the server dies of a text
SICK = "sick"  # a vector that is no number
KILLS = {"killed": 10**9, "killed six times": 6, "killed five times": 5}  # starts in a home, by the mode
DEADLY = "deadly"  # somebody kills the server while it embeds this, as often as DEATHS in a home
DEATHS = 3
HUGE = "huge"  # over the limit of the model

Rows = list[dict[str, Any]]


def vector(text: str) -> list[float]:
    """A vector of length 1 that is always the same for the same text; of texts that prove the model, its own."""
    if text in known.TEXTS and (own := known.shipped("all-MiniLM-L6-v2")) is not None:
        return [float(number) for number in own[known.TEXTS.index(text)]]
    values = random.Random(hashlib.sha256(text.encode()).digest())
    numbers = [values.gauss(0, 1) for _ in range(DIMENSION)]
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]


class FakeLlama(ThreadingHTTPServer):
    """Answers on a port of its own from `with` on. `next` names what happens to the next requests for vectors."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, key: str | None = None) -> None:
        super().__init__((host, port), _Handler)
        self.models: list[str] = []
        self.is_away = False  # it accepts connections and dies of every request
        self.is_plain = False  # as others that know OpenAI's interface: no /health, no base64
        self.bodies: list[dict[str, Any]] = []
        self.seen: list[tuple[str, str | None]] = []  # path and key of every request
        self.salt = ""  # with one, it is another model
        self.is_rough = False  # vectors are near to the model's, as of one that is quantized far
        self.slots = Slots()
        self.url = f"http://{host}:{self.server_address[1]}"
        self.key = key
        self.next: deque[str] = deque()
        self.always = "good"
        self.says = "good"  # the same of what it is asked about itself, and of tokens
        self.is_loading = False
        self.requests: list[list[str]] = []
        self.released = threading.Event()
        self.moved_to = ""
        self.late_seconds = LATE_SECONDS
        self.late = 0  # requests whose answer is late and not yet on its way
        self.closes = False  # the connection, after each answer
        self.reranks = "good"  # how its passages are scored
        self.home = ""  # of a program of its own, which can be killed
        self.questions: list[tuple[str, list[str]]] = []  # with the passages that were to be scored

    def __enter__(self) -> "FakeLlama":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that gave up is no news."""


class Slots:
    """llama-server's: each batch takes one text, from the first slot that has one; a slot that is free is refilled."""

    BATCH_SECONDS = 0.03  # long enough for the next request to be there when one was answered

    def __init__(self, count: int = 4) -> None:
        self._slots: list[threading.Event | None] = [None] * count
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()
        self._is_at_work = threading.Lock()

    def work(self, texts: int) -> None:
        """Until all of them are computed; whoever waits takes part in it."""
        mine = [threading.Event() for _ in range(texts)]
        with self._lock:
            self._waiting.extend(mine)
        while not all(text.is_set() for text in mine):
            with self._is_at_work:
                self._batch()

    def _batch(self) -> None:
        with self._lock:
            for number, text in enumerate(self._slots):
                if text is None and self._waiting:
                    self._slots[number] = self._waiting.popleft()
            first = next((number for number, text in enumerate(self._slots) if text is not None), None)
        if first is None:
            return
        time.sleep(self.BATCH_SECONDS)
        with self._lock:
            done, self._slots[first] = self._slots[first], None
            if self._waiting:  # a slot is refilled before the next batch
                self._slots[first] = self._waiting.popleft()
        if done is not None:
            done.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeLlama

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers["Authorization"]))
        if self.server.says != "good":
            MISBEHAVIOUR[self.server.says](self, [])
        elif self.path == "/v1/models":
            self.answer(200, {"data": [{"id": name} for name in self.server.models]})
        elif self.path == "/health" and self.server.is_plain:
            self.answer(404, {"error": {"message": "Not Found"}})
        elif self.path == "/health":
            self.answer(503 if self.server.is_loading else 200, {"status": "ok"})
        else:
            self.answer(200, {"build_info": "fake"})

    def do_POST(self) -> None:
        self.server.seen.append((self.path, self.headers["Authorization"]))
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.key and self.headers["Authorization"] != f"Bearer {self.server.key}":
            self.answer(401, {"error": {"message": "Invalid API Key"}})
        elif self.path == "/v1/rerank":
            self.rerank(body["query"], body["documents"])
        elif self.path == "/tokenize" and self.server.says != "good":
            MISBEHAVIOUR[self.server.says](self, [])
        elif self.path == "/tokenize":
            self.answer(200, {"tokens": [{"id": 1, "piece": piece} for piece in body["content"].split()]})
        else:
            self.server.bodies.append(body)
            if self.server.is_plain and body.get("encoding_format") == "base64":
                self.answer(400, {"error": {"message": "encoding_format: only float is supported"}})
            else:
                self.embed(body["input"])

    def embed(self, texts: list[str]) -> None:
        self.server.requests.append(texts)
        joined = " ".join(texts)
        if self.server.is_away:
            self.cut()
            return
        if DEADLY in joined and self.server.home and _count(self.server.home, "deaths") <= DEATHS:
            os.kill(os.getpid(), signal.SIGKILL)
        if POISON in joined:
            self.cut()
        elif HUGE in joined:
            self.answer(500, {"error": {"message": "input is too large to process. increase the physical batch size"}})
        else:
            MISBEHAVIOUR[self.server.next.popleft() if self.server.next else self.server.always](
                self, _rows(texts, salt=self.server.salt, is_rough=self.server.is_rough)
            )

    def rerank(self, question: str, passages: list[str]) -> None:
        """By how many words they share: of the form, and in the order, of llama-server's answer."""
        self.server.questions.append((question, passages))
        if any(HUGE in passage for passage in passages):
            self.answer(500, {"error": {"message": "input (703 tokens) is too large to process. increase the batch"}})
            return
        scores = [float(len(set(words(question)) & set(words(passage)))) for passage in passages]
        rows = [{"index": index, "relevance_score": score} for index, score in enumerate(scores)]
        RERANKING[self.server.reranks](self, sorted(rows, key=lambda row: -row["relevance_score"]))

    def answer(self, status: int, body: object) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if self.server.closes:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def cut(self) -> None:
        """An answer that ends in the middle."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"data": [')
        self.close_connection = True


def _rows(texts: list[str], *, salt: str, is_rough: bool) -> Rows:
    rows: Rows = []
    for index, text in enumerate(texts):
        values = [float("nan")] * DIMENSION if SICK in text else vector(text + salt)
        if is_rough:
            values = [round(value * 100) / 100 for value in values]
        rows.append({"index": index, "embedding": base64.b64encode(array("f", values).tobytes()).decode()})
    return rows


def _good(handler: _Handler, rows: Rows) -> None:
    if handler.server.is_plain:
        numbers = [list(array("f", base64.b64decode(row["embedding"]))) for row in rows]
        rows = [{**row, "embedding": given} for row, given in zip(rows, numbers, strict=True)]
    handler.answer(200, {"data": rows})


def _late(handler: _Handler, rows: Rows) -> None:
    handler.server.late += 1
    time.sleep(handler.server.late_seconds)
    handler.server.late -= 1
    _good(handler, rows)


def _hanging(handler: _Handler, _rows: Rows) -> None:
    handler.server.released.wait()
    handler.close_connection = True


def _held(handler: _Handler, rows: Rows) -> None:
    handler.server.released.wait()
    _good(handler, rows)


def _slotted(handler: _Handler, rows: Rows) -> None:
    handler.server.slots.work(len(rows))
    _good(handler, rows)


def _moved(handler: _Handler, _rows: Rows) -> None:
    handler.send_response(307)
    handler.send_header("Location", f"{handler.server.moved_to}/v1/embeddings")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def _endless(handler: _Handler, _rows: Rows) -> None:
    """As much as the client takes, without end."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.released.is_set():
        handler.wfile.write(b" " * 65_536)


def _dripping(handler: _Handler, _rows: Rows) -> None:
    """A byte now and then: never silent for long, and never done."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.server.released.wait(0.05):
        handler.wfile.write(b" ")


def _dripping_head(handler: _Handler, _rows: Rows) -> None:
    """The same before the body begins: a header without end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Filler: ")
    while not handler.server.released.wait(0.05):
        handler.wfile.write(b"x")


def _going_on(handler: _Handler, _rows: Rows) -> None:
    """As many heads as the client takes, none of which is that of the answer."""
    while not handler.server.released.wait(0.05):
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _dripping_to_the_end(handler: _Handler, _rows: Rows) -> None:
    """A body of unknown length: where it is cut off, it looks whole."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.released.wait(0.05):
        handler.wfile.write(b" ")


def _of(value: float) -> str:
    return base64.b64encode(array("f", [value] * DIMENSION).tobytes()).decode()


def _swapped(handler: _Handler, rows: Rows) -> None:
    """The right number of valid vectors, each of another text: only a comparison finds it."""
    vectors = [row["embedding"] for row in rows]
    _good(handler, [{**row, "embedding": other} for row, other in zip(rows, vectors[1:] + vectors[:1], strict=True)])


MISBEHAVIOUR: dict[str, Callable[[_Handler, Rows], None]] = {
    "good": _good,
    "late": _late,
    "short": lambda handler, rows: _good(handler, rows[:-1]),
    "reordered": lambda handler, rows: _good(handler, rows[::-1]),
    "duplicate": lambda handler, rows: _good(handler, [rows[0], *rows[:-1]] if rows[1:] else rows * 2),
    "nan": lambda handler, rows: _good(handler, [*rows[:-1], {**rows[-1], "embedding": _of(float("nan"))}]),
    "zero": lambda handler, rows: _good(handler, [*rows[:-1], {**rows[-1], "embedding": _of(0.0)}]),
    "short vector": lambda handler, rows: _good(handler, [{**row, "embedding": [1.0]} for row in rows]),
    "no base64": lambda handler, rows: _good(handler, [{**row, "embedding": "!"} for row in rows]),
    "no rows": lambda handler, rows: handler.answer(200, {"data": [None] * len(rows)}),
    "no vector": lambda handler, rows: _good(handler, [{"index": row["index"]} for row in rows]),
    "no object": lambda handler, rows: handler.answer(200, []),
    "no json": lambda handler, rows: handler.answer(200, b"<html>"),
    "nested": lambda handler, rows: handler.answer(200, b"[" * 200_000),
    "endless": _endless,
    "dripping": _dripping,
    "dripping head": _dripping_head,
    "dripping to the end": _dripping_to_the_end,
    "going on": _going_on,
    "huge number": lambda handler, rows: _good(handler, [{**row, "embedding": [10**400] * DIMENSION} for row in rows]),
    "large number": lambda handler, rows: _good(handler, [{**row, "embedding": [1e300] * DIMENSION} for row in rows]),
    "odd facts": lambda handler, _rows: handler.answer(
        200, {"build_info": "b\x1b[2J\0\ud800" * 1_000, "data": [1, [2], {"id": 3}], "tokens": [1, None, {"id": "x"}]}
    ),
    "500": lambda handler, rows: handler.answer(500, {"error": {"message": "out of everything"}}),
    "503": lambda handler, rows: handler.answer(503, {"error": {"message": "Loading model"}}),
    "cut": lambda handler, rows: handler.cut(),
    "hanging": _hanging,
    "swapped": _swapped,
    "held": _held,
    "slotted": _slotted,
    "moved": _moved,
}


def words(text: str) -> list[str]:
    return text.lower().replace(".", " ").replace(",", " ").replace("?", " ").split()


def _ranked(handler: _Handler, rows: Rows) -> None:
    handler.answer(200, {"model": "fake", "object": "list", "usage": {"prompt_tokens": 1}, "results": rows})


def _scored(score: Callable[[float], object]) -> Callable[[_Handler, Rows], None]:
    return lambda handler, rows: _ranked(
        handler, [{**row, "relevance_score": score(row["relevance_score"])} for row in rows]
    )


RERANKING: dict[str, Callable[[_Handler, Rows], None]] = {
    "good": _ranked,
    "inverted": _scored(lambda score: -score),
    "blind": _scored(lambda _score: 1e-20),
    "short": lambda handler, rows: _ranked(handler, rows[:-1]),
    "nan": _scored(lambda _score: float("nan")),
    "text": _scored(str),
    "huge number": _scored(lambda _score: 10**400),
    "no rows": lambda handler, _rows: handler.answer(200, {"results": None}),
    "no json": MISBEHAVIOUR["no json"],
    "500": MISBEHAVIOUR["500"],
    "501": lambda handler, _rows: handler.answer(501, {"error": {"message": "This server does not support reranking"}}),
    "cut": MISBEHAVIOUR["cut"],
    "hanging": _hanging,
}


def command(mode: str) -> list[str]:
    """This program, as a llama-server's command line begins."""
    return [sys.executable, __file__, mode]


def salt_of(file: str) -> str:
    """What the vectors of a model's file depend on; those of the known model are its own."""
    return "" if file.startswith("all-MiniLM-L6-v2") else file


def main(mode: str, arguments: list[str]) -> None:
    """A program with llama-server's flags that is "good", "dies" at its start, never gets "ready", or "drifts"."""
    if "--help" in arguments:
        print("--port --api-key-file --model")
        return
    if mode == "dies":
        sys.exit("error: cannot load the model")
    value = dict(pairwise(arguments))
    with open(value["--api-key-file"], encoding="utf-8") as file:
        key = file.read().strip()
    _end(mode, os.path.dirname(value["--api-key-file"]))
    with FakeLlama(port=int(value["--port"]), key=None if mode == "open to all" else key) as server:
        server.salt = "another" if mode == "another model" else ""
        if mode == "of its file":
            server.salt = salt_of(os.path.basename(value["--model"]))
        server.home = os.path.dirname(value["--api-key-file"])
        server.is_rough = mode == "nearly"
        server.is_loading = mode == "loads for ever"
        if mode in MISBEHAVIOUR:
            server.next.extend(["good"] * 4)  # until it has proved itself
            server.always = mode
        if mode == "drifts":
            server.next.extend(["good", "good", "good", "swapped"] * 10)
        while os.getppid() != 1:
            time.sleep(0.1)


def _end(mode: str, home: str) -> None:
    """As some do while they start, at their first start in a home or at each."""
    if mode == "port taken" and _count(home, "starts") == 1:
        sys.exit("couldn't bind HTTP server socket, hostname: 127.0.0.1")
    if mode in KILLS and _count(home, "starts") <= KILLS[mode]:
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "told to end" and _count(home, "starts") == 1:
        sys.exit(0)  # as a server does that handles SIGTERM


def _count(home: str, name: str) -> int:
    """How often this was asked in a home, this time included."""
    with open(os.path.join(home, name), "ab") as file:
        file.write(b".")
        file.flush()
        return file.tell()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
