"""How long a question over HTTP takes among many chunks: the first, which starts the embedding server, and later ones.

The chunks are those of search_speed, the questions SciFact's, the service a process of its own with its own embedding
server. Beside it: the same questions with their vectors as statements of one client, without HTTP and embedding.
"""

import itertools
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from rag_assets import evaluation
from rag_assets.client import Index, IndexRefused, IndexUnavailable
from rag_assets.processes import ports
from rag_assets.services import Services
from rag_assets_tests import rows
from rag_assets_tests.benchmarks import figures, place, search_speed
from rag_assets_tests.benchmarks.figures import Figure, say
from rag_assets_tests.benchmarks.quiet import Others
from rag_assets_tests.benchmarks.sample import NoSample

SIZES = (100_000,)
CLIENTS = (1, 8)
COLD_STARTS = 3
K = 10
START_SECONDS = 120.0
SETTLE_SECONDS = 3.0  # what the first question would wait for is opened meanwhile
COLD_AIM, WARM_AIM = 0.8, 0.015  # seconds


def measure(*, documents: int, rounds: int, chunks: Sequence[int] = SIZES, index: str | None = None) -> Figure:
    """Each number of chunks in a schema of its own, with `rounds` questions for each number of clients and mode."""
    if not (search_speed.SCIFACT / "corpus.jsonl").is_file():
        raise NoSample("skipped: there is no ../shared/ir/scifact")
    with place.opened(index) as (services, home):
        texts = list(evaluation.read(search_speed.SCIFACT).texts.values())[:rounds]
        sizes = {count: _size(services, count, texts, home=home or services.settings.home) for count in chunks}
    largest = sizes[max(sizes)]
    warm = largest["hybrid"]["1 client"]["p50"]
    return Figure(
        benchmark="service",
        figure=f"seconds, p50 of a hybrid question over HTTP among {max(sizes)} chunks, one client, server warm",
        value=warm,
        peer="the same as a statement, with the question's vector",
        peer_value=largest["statement"]["p50"],
        aim=f"cold <= {COLD_AIM} s, warm p50 <= {WARM_AIM * 1_000:.0f} ms at 100,000 chunks, no errors",
        met=warm <= WARM_AIM and largest["cold"]["median"] <= COLD_AIM and not largest["errors"],
        details={str(count): size for count, size in sizes.items()},
    )


def _size(services: Services, count: int, texts: Sequence[str], *, home: Path) -> dict[str, Any]:
    with search_speed._schema(services, f"search_speed_{count}") as of_size:
        search_speed._fill(of_size, count)
        told: dict[str, Any] = {"index": search_speed._index(of_size)["index"], "errors": 0}
        vectors = {text: of_size.embedder.embed_query(text) for text in texts}
        of_size.embedder.stop_server()  # the service has its own
        questions = [search_speed._question(of_size, text, vector) for text, vector in vectors.items()]
        seconds, _ = search_speed._asked(of_size, search_speed.PRODUCT["hybrid"], questions, None, clients=1)
        told["statement"] = _percentiles(seconds)
        with Others(home) as others:
            told |= _served_figures(of_size, texts, told)
        told["cores_taken_by_others"] = others.share
    return told


def _served_figures(services: Services, texts: Sequence[str], told: dict[str, Any]) -> dict[str, Any]:
    colds: list[float] = []
    starts: list[float] = []
    for _ in range(COLD_STARTS):
        with _served(services) as (index, process, seconds):
            starts.append(seconds)
            colds.append(_timed(index, texts[0], "hybrid"))
            say(f"cold: {colds[-1]:.3f} s")
    told["seconds_to_start"] = statistics.median(starts)
    told["cold"] = {"median": statistics.median(colds), "all": colds}
    with _served(services) as (index, process, _):
        for mode, clients in itertools.product(("hybrid", "text"), CLIENTS):
            seconds, errors = _asked(index, texts, mode, clients=clients)
            told["errors"] += errors
            name = f"{clients} client{'s' if clients > 1 else ''}"
            told.setdefault(mode, {})[name] = _percentiles(seconds)
            say(f"{mode}, {name}: {told[mode][name]}")
        told["service_mb"] = process.memory_info().rss / 2**20
        told["embedder_mb"] = sum(child.memory_info().rss for child in process.children(recursive=True)) / 2**20
    return told


def _asked(index: Index, texts: Sequence[str], mode: Any, *, clients: int) -> tuple[list[float], int]:
    """Seconds of each answer, and how many questions had none."""
    numbers = itertools.count()
    seconds: list[float] = []
    errors: list[str] = []
    ready = threading.Barrier(clients)

    def ask() -> None:
        for text in texts[: search_speed.WARMING]:
            _timed(index, text, mode)
        ready.wait()
        while (number := next(numbers)) < len(texts) * clients:
            try:
                seconds.append(_timed(index, texts[number % len(texts)], mode))
            except (IndexUnavailable, IndexRefused) as exc:
                errors.append(str(exc))

    rows.in_threads([ask] * clients)
    for error in set(errors):
        say(error)
    return seconds, len(errors)


def _timed(index: Index, text: str, mode: Any) -> float:
    started = time.perf_counter()
    index.search(text, k=K, mode=mode)
    return time.perf_counter() - started


@contextmanager
def _served(services: Services) -> Iterator[tuple[Index, psutil.Process, float]]:
    """The service in a process of its own, ready and settled, and in how many seconds it was ready."""
    port = ports.free_port("127.0.0.1")
    command = [sys.executable, "-m", "rag_assets.service.search_service", "--port", str(port)]
    environment = {
        **os.environ,
        "DATABASE_URL": services.database_url,
        "RAG_ASSETS_HOME": str(services.settings.home),
        "RAG_ASSETS_SOURCE__TABLE": services.settings.source.table,
    }
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    try:
        with Index(f"http://127.0.0.1:{port}") as index:
            while not _is_ready(index):
                if process.poll() is not None or time.perf_counter() - started > START_SECONDS:
                    raise RuntimeError("the service did not start; its log is above")
                time.sleep(0.02)
            seconds = time.perf_counter() - started
            time.sleep(SETTLE_SECONDS)
            yield index, psutil.Process(process.pid), seconds
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait()


def _is_ready(index: Index) -> bool:
    try:
        index.status()
    except IndexUnavailable:
        return False
    return True


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    return {
        "p50": figures.percentile(seconds, 0.5),
        "p95": figures.percentile(seconds, 0.95),
        "questions": len(seconds),
    }
