"""The text worker's child: a path comes in over a pipe, text and chunks of that file go out, errors as well."""

import ctypes
import faulthandler
import gc
import hashlib
import importlib
import importlib.util
import os
import pkgutil
import socket
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

from rag_assets.errors import DocumentError, SettingsError
from rag_assets.model import Chunk, FileFacts, ParsedText
from rag_assets.settings import Chunking, Parsing
from rag_assets.text import formats, parsing, paths
from rag_assets.text.chunking import chunker, tokens
from rag_assets.text.sandbox import confinement, frames

REQUEST_BYTES = 2**30  # of an answer of ours to the child; vectors of a whole document are the largest
RECURSION_LIMIT = 1_000  # Python's own: deep enough for every library here, far from the end of the stack
NOTABLE_SECONDS = 0.005  # a document read faster has not taken memory worth a look
YOUNG_OBJECTS = 20_000  # made before garbage is looked for, not Python's 700: a page alone has thousands that stay
LARGEST_FAST_BLOCK = 1  # glibc's M_MXFAST: the size up to which a freed block is kept apart
TOKENIZER_PROBE = "The naïve fox's 1,234 été—日本語 🎉 über_cafés"  # tells tokenizers apart by what they make of it

# What the format modules import when first needed: now, while nobody waits.
PREIMPORTED = ("pypdf", "pypdfium2", "lxml.etree", "lxml.html", "markdownify", "python_calamine")


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    faulthandler.enable()
    requests, answers = _take_pipes()
    files = (
        socket.socket(fileno=int(os.environ[frames.FILES_VARIABLE])) if frames.FILES_VARIABLE in os.environ else None
    )
    with requests, answers:
        first = frames.read(requests, limit=REQUEST_BYTES)
        if first is not None:
            _Reader(first.message, requests, answers, files).serve()


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Our ends of the pipes, under descriptors that no library knows: what they print goes to the log."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, answers


class _Reader:
    def __init__(
        self, facts: dict[str, Any], requests: IO[bytes], answers: IO[bytes], files: socket.socket | None
    ) -> None:
        self._requests, self._answers, self._files = requests, answers, files
        self._parsing = Parsing.model_validate(facts["parsing"])
        self._chunking = Chunking.model_validate(facts["chunking"])
        self._model = Path(facts["model"]) if facts["model"] else None
        self._may_ask = bool(facts["answers"])  # of the parent: tokens and vectors of the model
        self._tokenizer: tokens.Tokenizer | None = None
        self._no_tokenizer = "To cut documents, the text worker needs a model file or a server's tokenizer"
        sys.setrecursionlimit(RECURSION_LIMIT)
        self._read_vocabulary()
        _warm()  # before: an account of fewer rights may not be able to read what it needs
        self._gaps = confinement.confine(memory=self._parsing.max_memory_mb * 2**20)
        gc.freeze()  # what was imported stays: it need not be looked through each time
        gc.set_threshold(YOUNG_OBJECTS)
        _join_freed_memory()

    def serve(self) -> None:
        frames.write(self._answers, {"ready": True, "gaps": self._gaps, **confinement.memory()})
        while (request := frames.read(self._requests, limit=REQUEST_BYTES)) is not None:
            started = time.perf_counter()
            message, body = self._answered(request.message)
            if time.perf_counter() - started > NOTABLE_SECONDS:
                message |= confinement.memory()
            frames.write(self._answers, message, body)

    def _answered(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        name = request.get("name")
        try:
            return self._answer(request)
        except DocumentError as exc:
            return {"error": exc.kind, "message": exc.message}, b""
        except SettingsError as exc:
            return {"setting": str(exc)}, b""
        except MemoryError:
            limit = f"the limit (parsing.max_memory_mb) is {self._parsing.max_memory_mb:,} MiB"
            return {"error": "too_large", "message": f"Not enough memory to read {name}; {limit}"}, b""
        except RecursionError:
            return {"error": "too_large", "message": f"Nested too deeply to be read: {name}"}, b""
        except Exception as exc:  # noqa: BLE001 - the loop that must outlive a document
            return {"error": "crashed", "message": f"Parser failed on {name}: {type(exc).__name__}: {exc}"}, b""

    def _answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        if request["do"] == "fingerprint":
            return {"fingerprint": self._fingerprint()}, b""
        return self._read(Path(request["path"]), name=request["name"], cut=request["do"] == "read")

    def _read(self, path: Path, *, name: str, cut: bool) -> tuple[dict[str, Any], bytes]:
        started = time.perf_counter()
        data, facts = self._bytes_of(path)
        parsed = _storable(parsing.parse(data, name=name, limits=self._parsing))
        del data
        read = time.perf_counter()
        chunks = self._cut(parsed) if cut else ()
        message = {
            "facts": [facts.sha256, facts.size, facts.mtime_ns],
            "fingerprint": self._fingerprint() if cut else _hash(parsing.PARSER_VERSION),
            "parsed": _described(parsed),
            "chunks": [_placed(parsed.text, chunk) for chunk in chunks],
            "seconds": [read - started, time.perf_counter() - read],
        }
        return message, parsed.text.encode("utf-8")

    def _bytes_of(self, path: Path) -> tuple[bytes, FileFacts]:
        if sys.platform == "win32" or self._files is None:
            return paths.read(path, limit=self._parsing.max_bytes)
        _, (file,), _, _ = socket.recv_fds(self._files, 1, 1)
        try:
            return paths.read_open(file, path=path, limit=self._parsing.max_bytes)
        finally:
            os.close(file)

    def _cut(self, parsed: ParsedText) -> tuple[Chunk, ...]:
        return chunker.chunk(
            parsed,
            tokenizer=self.tokenizer,
            settings=self._chunking,
            embed=self._embed if self._may_ask else None,
        )

    def _fingerprint(self) -> str:
        cut = self._chunking.model_dump_json()
        return _hash(parsing.PARSER_VERSION, str(chunker.VERSION), cut, self.tokenizer.name)

    @property
    def tokenizer(self) -> tokens.Tokenizer:
        if self._tokenizer is None:
            self._tokenizer = self._load_tokenizer()
        return self._tokenizer

    def _load_tokenizer(self) -> tokens.Tokenizer:
        if not self._may_ask:
            raise SettingsError(self._no_tokenizer)
        name = _hash("remote", *self._tokenize(TOKENIZER_PROBE))
        return tokens.RemoteTokenizer(name, self._tokenize, max_tokens=self._chunking.size - tokens.SPECIAL_TOKENS)

    def _read_vocabulary(self) -> None:
        """While nobody waits; a model that has another tokenizer leaves the question to the first document."""
        if self._model is not None:
            try:
                self._tokenizer = tokens.WordPiece.from_gguf(self._model)
                self._tokenizer.count(TOKENIZER_PROBE)
            except SettingsError as exc:
                self._no_tokenizer = str(exc)

    def _tokenize(self, text: str) -> list[str]:
        pieces = self._query_parent({"ask": "tokenize"}, text.encode("utf-8", "replace")).message["pieces"]
        return cast(list[str], pieces)

    def _embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        answer = self._query_parent({"ask": "embed", "texts": list(texts)})
        dimension = answer.message["dimension"]
        values = array("f", answer.body)
        return [values[at : at + dimension] for at in range(0, len(values), dimension)]

    def _query_parent(self, question: dict[str, Any], body: bytes = b"") -> frames.Frame:
        frames.write(self._answers, question, body)
        answer = frames.read(self._requests, limit=REQUEST_BYTES)
        if answer is None:
            sys.exit(0)
        return answer


def _warm() -> None:
    for module in pkgutil.walk_packages(formats.__path__, prefix=f"{formats.__name__}."):
        importlib.import_module(module.name)
    for name in PREIMPORTED:
        if importlib.util.find_spec(name.partition(".")[0]):
            importlib.import_module(name)


def _join_freed_memory() -> None:
    """Have glibc join small blocks that are freed with their neighbours at once, and not all of them time and again.

    A library that frees a document of many small objects takes a quarter of the time.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if adjust is not None:
        adjust(LARGEST_FAST_BLOCK, 0)


def _storable(parsed: ParsedText) -> ParsedText:
    """Characters that PostgreSQL cannot store become U+FFFD, one for one: offsets stay."""
    text = parsed.text.replace("\0", "\ufffd")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return parsed if text == parsed.text else replace(parsed, text=text)


def _described(parsed: ParsedText) -> dict[str, Any]:
    """A parsed text as a JSON object without the text itself, which is sent as the body of the answer."""
    fields = ("media_type", "parser", "structure", "language", "page_offsets", "title", "metadata", "warnings")
    return {name: getattr(parsed, name) for name in fields}


def _placed(text: str, chunk: Chunk) -> list[Any]:
    """A chunk as what cannot be had from the text: where it stands, what was put before it."""
    body = text[chunk.char_start : chunk.char_end]
    lead = chunk.content.removesuffix(body)
    prefix = chunk.embedded_text.removesuffix(chunk.content)
    if lead + body != chunk.content or prefix + chunk.content != chunk.embedded_text:
        raise ValueError(f"chunk {chunk.index} is not a piece of its text")
    place = [chunk.char_start, chunk.char_end, lead, prefix]
    return [*place, chunk.token_count, chunk.page, chunk.heading_path, chunk.kind]


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def run(serve: Callable[[], None] = main) -> None:
    """Serve; memory that ran out where no answer could be given is told by the exit status."""
    try:
        serve()
    except MemoryError:
        os._exit(confinement.EXIT_OUT_OF_MEMORY)
    except BrokenPipeError:
        os._exit(1)  # the parent is gone; nobody reads a traceback


if __name__ == "__main__":
    run()
