"""A document's path goes in, its text and chunks come out of a child process that no document can take far."""

import hashlib
import json
import os
import sys
from array import array
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from rag_assets.errors import ERROR_KINDS, DocumentError, ServiceError, SettingsError, UnembeddableText
from rag_assets.model import Chunk, FileFacts, ParsedText, ReadDocument
from rag_assets.settings import Chunking, Parsing
from rag_assets.text import sources
from rag_assets.text.lookups import Lookups
from rag_assets.text.sandbox import confinement, frames
from rag_assets.text.sandbox.guard import Guarded
from rag_assets.text.sources import Place

START_SECONDS = 120.0  # for imports on a cold disk
MESSAGE_BYTES = 64 * 2**20  # the largest answer besides its text: places of chunks
BYTES_PER_CHARACTER = 4  # of UTF-8, at most
WORN_SHARE = 0.5  # of its memory: a child that keeps more than this after a document is replaced

# -I: nothing of the caller's folder or environment. The package is found where this process found it.
_ENTRY = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from rag_assets.text.sandbox import child; child.run()"
)


class CuttingModel(Protocol):
    """What a child may ask while it cuts a text, as it has no way to a server: it is answered by its parent."""

    def tokenize(self, text: str) -> Sequence[str]:
        """The pieces that the model makes of a text, where no file has its vocabulary."""

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """A vector for each text, all of one length, for the strategy `semantic`."""


class TextWorker:
    """Reads documents in one child process; to be used by one thread at a time, and closed.

    The child is started once and stays warm; it is replaced after `parsing.documents_per_worker` documents, when
    it has grown, and after a document that killed it. Nothing that a document does to it reaches the next one.
    """

    def __init__(
        self,
        *,
        parsing: Parsing,
        chunking: Chunking,
        model: Path | None,
        asked: CuttingModel | None = None,
        below: Path | None = None,
    ) -> None:
        self._parsing = parsing
        self._chunking = chunking
        self._model = model
        self._asked = asked
        self._below = below  # a folder of ours for work folders; else that for temporary files
        self._lookups = Lookups(parsing.max_seconds)
        self._child: Guarded | None = None
        self._next: Future[Guarded] | None = None
        self._documents = 0  # that the child has read
        self._is_interrupted = False  # what is being read
        self._fingerprint: str | None = None
        # Linux ends a child with the thread that started it: one thread starts them all, and lives as long as we.
        self._starter: ThreadPoolExecutor | None = None
        self.peak_memory = 0  # bytes: the most that any child had
        self.gaps: tuple[str, ...] = ()  # what this system does not refuse to the child, once one was started

    def __enter__(self) -> "TextWorker":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def fingerprint(self) -> str:
        """Of everything but the file that decides what its chunks are: parser, cut settings, tokenizer."""
        if self._fingerprint is None:
            self._fingerprint = str(self._request({"do": "fingerprint"}).message["fingerprint"])
        return self._fingerprint

    def start(self) -> None:
        """Start a child now and wait until it has imported its readers; ServiceError when it cannot be started."""
        self._ready()

    def parse(self, path: Place, *, name: str) -> ReadDocument:
        """Read a document, without cutting it; `path` as `sources.resolve` gave it, `name` as errors say it."""
        return self._document("parse", path, name=name)

    def read(self, path: Place, *, name: str) -> ReadDocument:
        """Read a document and cut it; DocumentError, or what `asked` raises."""
        return self._document("read", path, name=name)

    def interrupt(self) -> None:
        """End what is being read, from another thread: it counts as crashed."""
        self._is_interrupted = True
        if (child := self._child) is not None:
            child.interrupt()

    def close(self) -> None:
        """End the child process; the next use starts another."""
        self._discard()
        self._lookups.close()
        if self._next is not None:
            with suppress(ServiceError):  # it did not start, so there is nothing to end
                self._next.result().close()
            self._next = None
        if self._starter is not None:
            self._starter.shutdown()
            self._starter = None

    def _document(self, do: str, path: Place, *, name: str) -> ReadDocument:
        with self._lookups.call(lambda: sources.opened(path, limit=self._parsing.max_bytes), name=name) as document:
            request = {"do": do, "path": os.path.abspath(document.path), "name": name}
            file = document.file.fileno() if document.file else None  # the child opens the path itself
            answer = self._request(request, file=file)
        self._documents += 1
        self._replace_worn(answer)
        message = answer.message
        if "error" in message:
            raise _error(message, name)
        try:
            read = _rebuilt(answer, name=name, limit=self._parsing.max_characters)
        except (KeyError, IndexError, TypeError, ValueError) as exc:
            self._discard()
            raise DocumentError("crashed", f"The answer about {name} cannot be used: {exc!r}") from exc
        return read if document.facts is None else replace(read, facts=document.facts)

    def _request(self, request: dict[str, Any], *, file: int | None = None) -> frames.Frame:
        child = self._ready()
        self._is_interrupted = False
        try:
            with child.limited(self._parsing.max_seconds, doing=f"reading {request.get('name')}"):
                child.send(request, file=file)
                while "ask" in (answer := child.receive()).message:
                    with child.waiting():
                        reply = self._reply(answer)
                    child.send(*reply)
        except UnembeddableText as exc:
            self._discard()
            raise DocumentError(exc.kind, exc.message) from exc
        except DocumentError:
            self._discard()
            if not self._is_interrupted:
                self._next = self._start()  # warm by the time the next document comes
            raise
        except BaseException:
            self._discard()
            raise
        if "setting" in answer.message:
            raise SettingsError(str(answer.message["setting"]))
        return answer

    def _reply(self, question: frames.Frame) -> tuple[dict[str, Any], bytes]:
        if question.message["ask"] == "tokenize" and self._asked is not None:
            return {"pieces": list(self._asked.tokenize(question.body.decode("utf-8")))}, b""
        if question.message["ask"] == "embed" and self._asked is not None:
            vectors = self._asked.embed([str(text) for text in question.message["texts"]])
            values = b"".join(array("f", vector).tobytes() for vector in vectors)
            return {"dimension": len(vectors[0])}, values
        raise frames.BrokenFrame("it asks for what it was not offered")

    # ---- the child's life

    def _ready(self) -> Guarded:
        if self._child is not None and not self._child.alive:
            self._discard()
        if self._next is not None and (self._child is None or self._next.done()):
            self._discard()
            coming, self._next = self._next, None
            self._child = coming.result()
        if self._child is None:
            self._child = self._start().result()
        return self._child

    def _start(self) -> "Future[Guarded]":
        if self._starter is None:
            self._starter = ThreadPoolExecutor(1, thread_name_prefix="start-text-worker")
        return self._starter.submit(self._started)

    def _started(self) -> Guarded:
        confinement.shield()
        limit = MESSAGE_BYTES + BYTES_PER_CHARACTER * self._parsing.max_characters
        try:
            child = Guarded(command(), memory=self._parsing.max_memory_mb * 2**20, frame_limit=limit, below=self._below)
        except OSError as exc:
            raise ServiceError(f"The text worker cannot be started with {sys.executable}: {exc}") from exc
        try:
            with child.limited(START_SECONDS, doing="starting"):
                child.send(self._facts())
                ready = child.receive().message
                child.peak_memory = _number(ready.get("peak"))
                self.gaps = tuple(str(gap) for gap in ready.get("gaps", ()))
        except DocumentError as exc:
            child.close()
            raise ServiceError(f"The text worker failed to start: {exc.message}") from exc
        return child

    def _facts(self) -> dict[str, Any]:
        return {
            "parsing": self._parsing.model_dump(mode="json"),
            "chunking": self._chunking.model_dump(mode="json"),
            "model": None if self._model is None else os.path.abspath(self._model),
            "answers": self._asked is not None,
        }

    def _discard(self) -> None:
        self._documents = 0
        if self._child is not None:
            self.peak_memory = max(self.peak_memory, self._child.peak_memory)
            self._child.close()
            self._child = None

    def _replace_worn(self, answer: frames.Frame) -> None:
        """Start the next child beside the worn one, which goes on until that is warm."""
        seen = self._child.peak_memory if self._child else 0
        self.peak_memory = max(self.peak_memory, seen, _number(answer.message.get("peak")))
        memory = _number(answer.message.get("memory"))
        grown = memory > self._parsing.max_memory_mb * 2**20 * WORN_SHARE
        if self._next is None and (grown or self._documents >= self._parsing.documents_per_worker):
            self._next = self._start()


def command() -> list[str]:
    """How a child is started: an interpreter that sees this package, and nothing of the caller's surroundings."""
    places = [os.path.abspath(place) for place in sys.path]
    return [sys.executable, "-I", "-c", _ENTRY, json.dumps(places)]


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _error(message: dict[str, Any], name: str) -> DocumentError:
    kind = message["error"]
    return DocumentError(kind if kind in ERROR_KINDS else "crashed", str(message.get("message", name)))


def _rebuilt(answer: frames.Frame, *, name: str, limit: int) -> ReadDocument:
    """The document in an answer, which is checked: the child may have been taken over by what it read."""
    message = answer.message
    text = answer.body.decode("utf-8")
    if len(text) > limit:
        rule = f"the limit (parsing.max_characters) is {limit:,}"
        raise DocumentError("too_large", f"Text has {len(text):,} characters, {rule}: {name}")
    if "\0" in text:
        raise ValueError("its text holds NUL")
    sha256, size, mtime_ns = message["facts"]
    parse, chunk = message["seconds"]
    return ReadDocument(
        facts=FileFacts(sha256=_hash(sha256), size=int(size), mtime_ns=int(mtime_ns)),
        fingerprint=_hash(message["fingerprint"]),
        parsed=_parsed(text, message["parsed"]),
        chunks=tuple(_chunk(text, index, place=place) for index, place in enumerate(message["chunks"])),
        seconds_parse=float(parse),
        seconds_chunk=float(chunk),
    )


def _hash(value: str) -> str:
    int(value, 16)
    return value


def _parsed(text: str, facts: dict[str, Any]) -> ParsedText:
    if facts["structure"] not in ("markdown", "plain", "code"):
        raise ValueError(f"structure {facts['structure']!r}")
    return ParsedText(
        text=text,
        media_type=str(facts["media_type"]),
        parser=str(facts["parser"]),
        structure=facts["structure"],
        language=None if facts["language"] is None else str(facts["language"]),
        page_offsets=tuple(int(offset) for offset in facts["page_offsets"]),
        title=None if facts["title"] is None else str(facts["title"]),
        metadata=dict(facts["metadata"]),
        warnings=tuple(str(warning) for warning in facts["warnings"]),
    )


def _chunk(text: str, index: int, *, place: list[Any]) -> Chunk:
    start, end, lead, prefix, tokens, page, headings, kind = place
    if not 0 <= start < end <= len(text) or kind not in ("prose", "code", "table"):
        raise ValueError(f"chunk {index} is not in the text")
    content = lead + text[start:end]
    embedded = prefix + content
    return Chunk(
        index=index,
        content=content,
        content_sha256=hashlib.sha256(embedded.encode()).hexdigest(),
        embedded_text=embedded,
        token_count=int(tokens),
        char_start=start,
        char_end=end,
        page=None if page is None else int(page),
        heading_path=tuple(str(heading) for heading in headings),
        kind=kind,
    )
