"""Which llama-server settings are fastest on this machine: a small grid is tried, the best is kept in the home."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from rag_assets.embedding.embedder import LLAMA_CPP, OPENVINO, Embedder, Engine
from rag_assets.embedding.server import UBATCH_TOKENS
from rag_assets.errors import EmbeddingError, ServerFailedToStart, UnembeddableText
from rag_assets.model import Progress
from rag_assets.processes import whole_file
from rag_assets.settings import CALIBRATION_FILE, Quantization, Settings, machine

BUDGET_SECONDS = 55.0  # for everything; a trial that is under way may end after it
FIRST_PASS_SHARE = 0.55  # of the budget, for one trial of each candidate
TRIAL_SECONDS = 1.5  # of embedding, at least
FINALISTS = 2  # beside llama-server's own defaults and what is shipped
ROUNDS = 4
WORTH_IT = 1.02  # by how much a choice must be faster than what is configured
START_SECONDS = 20.0
TEXT_COUNT = 16
WORDS = ("the", "water", "is", "in", "house", "and", "time", "of", "day", "with", "book", "for", "man", "on", "side")

Knobs = Mapping[str, int | bool]  # of llama_server; what is missing is as configured
SEEDED = ("own defaults", "as shipped", OPENVINO)
OWN_DEFAULTS: Knobs = {"own_defaults": True, "parallel": 0, "ubatch_size": 0, "threads": 0}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One way to run llama-server, and how it went; `error` says why it has no rate."""

    name: str
    knobs: Knobs
    quantization: Quantization  # of llama.cpp's file
    engine: str = LLAMA_CPP
    chunks_per_second: float | None = None  # of chunks half as long as the longest, up to the longest
    error: str | None = None

    def as_row(self) -> dict[str, Any]:
        """The trial as calibration.json keeps it; the rate is in chunks a second, None where it failed."""
        rate = None if self.chunks_per_second is None else round(self.chunks_per_second, 2)
        return {
            "name": self.name,
            "engine": self.engine,
            "quantization": self.quantization,
            "llama_server": dict(self.knobs),
            "chunks_per_second": rate,
            "error": self.error,
        }


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """`best` was as fast as any, and never slower than `own_defaults`; `trials` has the first pass, then the finals."""

    best: Trial
    own_defaults: Trial
    trials: tuple[Trial, ...]
    seconds: float


def calibrate(
    settings: Settings,
    *,
    command: Sequence[str],
    models: Mapping[Quantization, Path],
    progress: Progress,
    openvino: Engine | None = None,
    trial_seconds: float = TRIAL_SECONDS,
    rounds: int = ROUNDS,
) -> Calibration:
    """Try the grid in about a minute. `models` are llama.cpp's files to choose among, the configured one first.

    `openvino` is tried beside them, with what is shipped: nothing of it is there to choose.

    `settings` are those that were made by hand: what they say of llama-server is not tried otherwise.

    A candidate that dies, or gives wrong vectors, is out. ServerFailedToStart when none works, NotEnoughMemory when
    there is no room for one.
    """
    started = time.monotonic()
    bench = Bench(settings, command=command, models=models, openvino=openvino, trial_seconds=trial_seconds)
    tried = grid(settings, models)
    if openvino is not None:
        tried.insert(0, Trial(name=OPENVINO, knobs=tried[1].knobs, quantization=next(iter(models)), engine=OPENVINO))
    first = list(_first_pass(bench, tried, until=started + BUDGET_SECONDS * FIRST_PASS_SHARE, progress=progress))
    working = sorted(filter(lambda trial: trial.chunks_per_second, first), key=_rate, reverse=True)
    if not working:
        raise ServerFailedToStart(f"none of {len(first)} ways to run it works; the first: {first[0].error}")
    seeded = [trial for trial in working if trial.name in SEEDED]  # however a busy moment made them look
    others = [trial for trial in working if trial.name not in SEEDED][:FINALISTS]
    until = started + BUDGET_SECONDS
    finals = _finals(bench, [*seeded, *others], rounds=rounds, until=until, progress=progress)
    beaten = next((trial for trial in finals if trial.name == "own defaults"), first[0])
    return Calibration(
        best=_best(finals),
        own_defaults=beaten,
        trials=(*first, *finals),
        seconds=time.monotonic() - started,
    )


def grid(settings: Settings, models: Mapping[Quantization, Path]) -> list[Trial]:
    """What is tried, the most important first: defaults, as configured, then one knob at a time."""
    configured, *others = models
    longest = max(settings.chunking.size, UBATCH_TOKENS)
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    logical = os.cpu_count() or 1
    ways: dict[str, Knobs] = {
        "own defaults": OWN_DEFAULTS,
        "as shipped": {"own_defaults": False, "parallel": 0, "ubatch_size": 0, "threads": 0, "requests_in_flight": 3},
        "two requests": {"own_defaults": False, "requests_in_flight": 2},
        "larger batch": {"own_defaults": False, "ubatch_size": 2 * longest},  # which has room for two slots
        "four slots": {"own_defaults": False, "parallel": 4, "ubatch_size": 4 * longest, "requests_in_flight": 4},
    }
    if logical != physical:
        ways["all threads"] = {"own_defaults": False, "threads": logical}
    fixed = settings.llama_server.model_fields_set  # by hand, and so not ours to choose
    free = {name: {key: value for key, value in knobs.items() if key not in fixed} for name, knobs in ways.items()}
    trials = [Trial(name=name, knobs=knobs, quantization=configured) for name, knobs in free.items()]
    return trials + [Trial(name=f"as shipped, {kind}", knobs=free["as shipped"], quantization=kind) for kind in others]


def keep(calibration: Calibration, settings: Settings) -> Path:
    """Write the best into the home, where `settings.load` reads it under everything set by hand; the file."""
    content = {
        "machine": machine(settings.llama_server_binary),
        "llama_server": dict(calibration.best.knobs),
        "quantization": calibration.best.quantization,
        "engine": "auto" if calibration.best.engine == OPENVINO else LLAMA_CPP,  # auto: with a way back
        "tried": [trial.as_row() for trial in calibration.trials],
    }
    file = settings.home / CALIBRATION_FILE
    with whole_file.replacing(file) as draft:
        draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return file


def texts(longest: int) -> list[str]:
    """Chunks from half as long as the longest to almost so, in tokens, of words that are one token each."""
    lengths = [longest // 2 + (longest * 2 // 5) * index // (TEXT_COUNT - 1) for index in range(TEXT_COUNT)]
    return [" ".join(WORDS[(n * n + at) % len(WORDS)] for n in range(length)) for at, length in enumerate(lengths)]


class Bench:
    """Starts servers of candidates and takes their times."""

    def __init__(
        self,
        settings: Settings,
        *,
        command: Sequence[str],
        models: Mapping[Quantization, Path],
        openvino: Engine | None = None,
        trial_seconds: float = TRIAL_SECONDS,
    ) -> None:
        self._settings = settings
        self._trial_seconds = trial_seconds
        self._openvino = openvino
        self._command = command
        self._models = models
        self._texts = texts(settings.chunking.size)
        self._token_counts = [text.count(" ") + 1 for text in self._texts]

    def start(self, trial: Trial) -> Embedder:
        """A running server of this candidate, to be closed."""
        configured = self._settings.llama_server
        seconds = min(START_SECONDS, configured.startup_timeout_seconds)
        section = configured.model_copy(update={**trial.knobs, "startup_timeout_seconds": seconds})
        settings = self._settings.model_copy(update={"llama_server": section})
        embedder = Embedder(settings, engine=self._engine(trial))
        try:
            embedder.warm()
        except BaseException:
            embedder.close()
            raise
        return embedder

    def _engine(self, trial: Trial) -> Engine:
        if trial.engine == OPENVINO and self._openvino is not None:
            return self._openvino
        return Engine(name=LLAMA_CPP, command=tuple(self._command), model=self._models[trial.quantization])

    def rate(self, embedder: Embedder) -> float:
        """Chunks per second, over `trial_seconds` or one pass over the texts, if that is longer."""
        started, passes, seconds = time.perf_counter(), 0, 0.0
        while not passes or seconds < self._trial_seconds:
            embedder.embed(self._texts, token_counts=self._token_counts)
            passes += 1
            seconds = time.perf_counter() - started
        return passes * len(self._texts) / seconds


def _first_pass(bench: Bench, trials: Sequence[Trial], *, until: float, progress: Progress) -> Iterator[Trial]:
    for number, trial in enumerate(trials):
        if number > 1 and time.monotonic() > until:
            return
        try:
            with closing(bench.start(trial)) as embedder:
                done = replace(trial, chunks_per_second=bench.rate(embedder))
        except (ServerFailedToStart, EmbeddingError, UnembeddableText) as exc:
            done = replace(trial, error=str(exc))
        progress(_line(done))
        yield done


def _finals(bench: Bench, trials: Sequence[Trial], *, rounds: int, until: float, progress: Progress) -> list[Trial]:
    """The finalists side by side, each round every one of them; others only ever slow a round down: the best counts."""
    rates: dict[int, list[float]] = {number: [] for number in range(len(trials))}
    with ExitStack() as stack:
        embedders = [stack.enter_context(closing(bench.start(trial))) for trial in trials]
        for _ in range(rounds):
            if rates[0] and time.monotonic() > until:
                break
            for number, embedder in enumerate(embedders):
                rates[number].append(bench.rate(embedder))
    finals = [replace(trial, chunks_per_second=max(rates[number])) for number, trial in enumerate(trials)]
    for trial in finals:
        progress(f"Side by side: {_line(trial)}")
    return finals


def _best(finals: Sequence[Trial]) -> Trial:
    """The fastest; but what is shipped stays when it is no slower than the defaults and the gain is not worth it."""
    fastest = max(finals, key=_rate)
    shipped = [trial for trial in finals if trial.name == "as shipped" and _rate(trial) * WORTH_IT >= _rate(fastest)]
    defaults = max((_rate(trial) for trial in finals if trial.name == "own defaults"), default=0.0)
    return shipped[0] if shipped and _rate(shipped[0]) >= defaults else fastest


def _rate(trial: Trial) -> float:
    return trial.chunks_per_second or 0.0


def _line(trial: Trial) -> str:
    shown = trial.error.splitlines()[0] if trial.error else f"{_rate(trial):.1f} chunks/s"
    kind = "" if trial.engine == OPENVINO else f" ({trial.quantization})"
    return f"{trial.name}{kind}: {shown}"
