"""Searches over HTTP beside a bulk ingestion and single changes under `up`: how long they take, and what they cost it.

Slices of time take turns: nobody asks; eight clients ask with pauses, as people and programs do; they ask without any.
So the ingestion's rate with and without searches is compared within minutes of the same run. Documents are copies whose
every paragraph has a number of its own: all of it is embedded, and there is no end of them.
"""

import itertools
import random
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import requests

from rag_assets.client import Index, IndexRefused, IndexUnavailable
from rag_assets.services import Services
from rag_assets_tests.benchmarks import figures, ground, sample
from rag_assets_tests.benchmarks.figures import Figure, say
from rag_assets_tests.benchmarks.quiet import Others
from rag_assets_tests.benchmarks.running import Up, up
from rag_assets_tests.patience import meanwhile

CLIENTS = 8
PAUSES: dict[str, float | None] = {"nobody": None, "with pauses": 0.5, "flat out": 0.0}  # seconds between questions
SLICE_SECONDS = 30.0
WARM_SECONDS = 10.0  # in which ingestion gets going, and the first question starts what it needs
QUEUED = 200  # documents that wait at least
CHANGE_SECONDS = 1.0  # between changes of single documents, whoever asks
LOOK_SECONDS = 0.5
WORDS = 6  # of a question
KEPT = 0.5  # of the ingestion's rate, beside clients with pauses
P95_AIM = 1.0  # seconds
WAITING = "select (select count(*) from rag_outbox) + (select count(*) from rag_changes)"


@dataclass
class Seen:
    """What came of one kind of slices."""

    seconds: list[float] = field(default_factory=list)  # of each answer
    errors: list[str] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)  # chunks embedded a second, by slice


def measure(*, documents: int, rounds: int) -> Figure:
    """`rounds` seconds of searches with pauses beside ingestion, and half as many each of the other two kinds."""
    with ground.home() as home:
        say(f"Unpacking {documents} documents")
        texts = [path.read_text(errors="replace") for path in sample.unpack(home / "documents", documents=documents)]
        with ground.ready(Services(ground.load(), progress=say)) as services:
            _ = services.model_path
            with up(home, services) as running, _fed(running, texts, home / "copies"), Others(home) as others:
                seen, memory = _load(running, _questions(texts), seconds=rounds)
    return _figure(seen, memory, facts={"cores_taken_by_others": others.share})


def _load(running: Up, questions: Sequence[str], *, seconds: float) -> tuple[dict[str, Seen], dict[str, float]]:
    url = _search_url(running)
    seen = {name: Seen() for name in PAUSES}
    with Index(url) as index, _watched(running) as memory:
        _until_searchable(index, questions)
        time.sleep(WARM_SECONDS)
        asked = 0.0
        while asked < seconds:
            for name in ("nobody", "with pauses", "flat out", "with pauses"):
                _slice(running, index, questions, seen[name], pause=PAUSES[name])
                asked += SLICE_SECONDS * (name == "with pauses")
                say(f"{name}: {seen[name].rates[-1]:.1f} chunks/s, {len(seen[name].seconds)} answers")
        for line in requests.get(f"{url}/metrics", timeout=60).text.splitlines():
            if line.startswith("rag_assets_question_embedder_starts_total "):
                memory["embedder_starts"] = float(line.split()[1])
    return seen, memory


def _slice(running: Up, index: Index, questions: Sequence[str], seen: Seen, *, pause: float | None) -> None:
    stop = threading.Event()
    numbers = itertools.count()

    def ask() -> None:
        while not stop.is_set():
            started = time.perf_counter()
            try:
                index.search(questions[next(numbers) % len(questions)], k=10)
                seen.seconds.append(time.perf_counter() - started)
            except (IndexUnavailable, IndexRefused) as exc:
                seen.errors.append(str(exc))
            stop.wait(pause or 0)

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS if pause is not None else 0)]
    before, started = _embedded(running), time.monotonic()
    for thread in threads:
        thread.start()
    time.sleep(SLICE_SECONDS)
    seen.rates.append((_embedded(running) - before) / (time.monotonic() - started))
    stop.set()
    for thread in threads:
        thread.join()


def _embedded(running: Up) -> int:
    [(count,)] = running.sql("select coalesce(sum(chunks_embedded), 0) from rag_ingestion_log")
    return int(count)


@contextmanager
def _fed(running: Up, texts: Sequence[str], folder: Path) -> Iterator[None]:
    """While open, there is always something to ingest, and one document changes each second."""
    folder.mkdir()
    numbers = itertools.count()

    def feed(stop: threading.Event) -> None:
        with closing(psycopg2.connect(running.services.database_url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while not stop.is_set():
                cursor.execute(WAITING)
                [(waiting,)] = cursor.fetchall()
                paths = [_copy(texts, next(numbers), folder) for _ in range(max(0, QUEUED - waiting))]
                cursor.execute(f"insert into {ground.TABLE} (file_path) select unnest(%s::text[])", (paths,))
                changed = random.choice(sorted(folder.iterdir()))
                changed.write_text(changed.read_text() + f"\n\nChanged at {time.time()}.\n")
                cursor.execute(f"update {ground.TABLE} set file_path = file_path where file_path = %s", (str(changed),))
                stop.wait(CHANGE_SECONDS)

    with meanwhile(feed):
        yield


def _copy(texts: Sequence[str], number: int, folder: Path) -> str:
    path = folder / f"{number}.md"
    path.write_text(re.sub(r"\n\s*\n", f"\n\n{number} ", texts[number % len(texts)]))
    return str(path)


def _questions(texts: Sequence[str]) -> list[str]:
    """Some words in a row of each document."""
    found = []
    for number, text in enumerate(texts):
        words = re.findall(r"[^\W\d_]{3,}", text)
        place = random.Random(number).randrange(max(1, len(words) - WORDS))
        if len(words) >= WORDS:
            found.append(" ".join(words[place : place + WORDS]))
    return found


def _until_searchable(index: Index, questions: Sequence[str]) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        with suppress(IndexUnavailable):
            if index.search(questions[0], k=1):
                return
        time.sleep(LOOK_SECONDS)
    raise TimeoutError("nothing was found for ten minutes")


@contextmanager
def _watched(running: Up) -> Iterator[dict[str, float]]:
    """The most memory of the search service, and of what it started, in MB (RSS), and of all processes (PSS)."""
    most = {"service_mb": 0.0, "its_embedder_mb": 0.0, "all_mb": 0.0}

    def look(stop: threading.Event) -> None:
        while not stop.wait(LOOK_SECONDS):
            with suppress(psutil.Error, IndexError):
                [service] = [p for p in psutil.Process(running.process.pid).children() if _is_service(p)]
                now = {"service_mb": service.memory_info().rss, "all_mb": running.memory()}
                now["its_embedder_mb"] = sum(p.memory_info().rss for p in service.children(recursive=True))
                most.update({name: max(most[name], value / 2**20) for name, value in now.items()})

    with meanwhile(look):
        yield most


def _is_service(process: psutil.Process) -> bool:
    return any("search_service" in part for part in process.cmdline())


def _search_url(running: Up) -> str:
    deadline = time.monotonic() + 120
    while not (found := re.search(r"Search is at (\S+)", (running.home / "up.log").read_text())):
        if time.monotonic() > deadline:
            raise TimeoutError("the search service did not start")
        time.sleep(LOOK_SECONDS)
    return found[1]


def _figure(seen: dict[str, Seen], memory: dict[str, float], *, facts: dict[str, Any]) -> Figure:
    usual, alone = seen["with pauses"], figures.median(seen["nobody"].rates)
    errors = [error for each in seen.values() for error in each.errors]
    for error in set(errors):
        say(error)
    p95 = figures.percentile(usual.seconds, 0.95)
    kept = figures.median(usual.rates) / alone
    return Figure(
        benchmark="service_load",
        figure=f"chunks/s of a bulk ingestion beside {CLIENTS} clients who pause {PAUSES['with pauses']} s",
        value=figures.median(usual.rates),
        peer="without anybody who asks",
        peer_value=alone,
        aim=f"ratio >= {KEPT}, p95 of a question <= {P95_AIM} s, no errors",
        met=kept >= KEPT and p95 <= P95_AIM and not errors,
        details={
            **{name: _told(each, alone) for name, each in seen.items()},
            "errors": len(errors),
            "memory": memory,
            **facts,
        },
    )


def _told(seen: Seen, alone: float) -> dict[str, Any]:
    told: dict[str, Any] = {"chunks_per_second": seen.rates, "kept": figures.median(seen.rates) / alone}
    if seen.seconds:
        told |= {"p50": figures.percentile(seen.seconds, 0.5), "p95": figures.percentile(seen.seconds, 0.95)}
        told |= {"most": max(seen.seconds), "answers": len(seen.seconds), "errors": len(seen.errors)}
    return told
