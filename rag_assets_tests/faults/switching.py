"""Another model comes to serve under searches and changes, while each process dies at some time.

`python -m rag_assets_tests.faults.switching JSON` is the program that takes what changes, until it is killed.
"""

import json
import os
import random
import secrets
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import psycopg2

from rag_assets import operations, switching
from rag_assets.errors import DatabaseUnavailable, RagAssetsError, ServiceError
from rag_assets.model import Hit
from rag_assets.services import Services
from rag_assets_tests import engines, fake_llama, patience
from rag_assets_tests.faults import arena as arenas
from rag_assets_tests.faults.arena import DOCUMENTS, Arena, Ground, Result, left_after, replace_text
from rag_assets_tests.faults.interrupting import stop_immediately
from rag_assets_tests.faults.served import SearchService

MARK = "RAG_ASSETS_FAULT"
OLD, NEW = "all-MiniLM-L6-v2", "other"
HITS = 10
TOGETHER = 8  # searches at once, between those that come each second
NEAR = 1e-4  # of cosines: vectors are stored as float32
COUNT_SECONDS = 2.0  # between looks at how many chunks there are
COMMAND_SECONDS = 600.0
AGAIN_SECONDS = 2.0  # until a command that was refused is given again: it takes a second of a core
SETTLE_SECONDS = 900.0
POSTGRES_SHARE = 0.2  # of what is killed
TEXT_WORKER = "text.sandbox import child"
SECTIONS = ("chunking", "worker", "llama_server", "source")


@dataclass(frozen=True)
class Size:
    rounds: int
    documents: int
    paragraphs: int  # of a document, on the average; some three are a chunk
    changes_a_second: float
    searches_a_second: float


SHORT = Size(1, 12, 20, 5, 2)
LONG = Size(10, 1_160, 60, 5, 1)  # never less than 20,000 chunks of a model


def model_switch(ground: Ground, *, seed: int, long: bool) -> Result:
    """There and back, and on to the new one; then the old one is dropped, and is the new one of the next round.

    All searches go through the search service. Failed: one that was answered with an error, or by nobody although its
    client asked again. Mixed: similarities that are not all those of one model. Missing: a passage of a document that
    nobody changes is nearer to the question than the last that was found, by the model of the answer.
    """
    size = LONG if long else SHORT
    result = Result()
    with (
        _program(ground.model) as (binary, files),
        arenas.server() as url,  # nobody else's searches end with it
        Ground(url, model=ground.model).template() as own,
        own.arena(seed, llama_server_binary=binary) as arena,
    ):
        scene = _Scene(arena, files, size)
        scene.fill()
        with scene.service.running() as service:
            searches = Searches(service.search, scene.contents(), seed=seed)
            for turn in range(size.rounds):
                found = scene.turn(searches, old=(OLD, NEW)[turn % 2], new=(NEW, OLD)[turn % 2])
                result.add([*found, *searches.violations()], trial=f"turn {turn}")
        result.notes |= {
            "chunks, first": scene.chunks[0],
            "chunks, least": min(scene.chunks),
            "chunks": scene.chunks[-1],
            "searches": sum(searches.by_model.values()),
            "of each model": dict(searches.by_model),
            "changes": scene.changes,
            "killed": dict(scene.killed),
            "seconds of the longest search": round(scene.service.longest_seconds, 1),
            "seconds of the first fill": scene.fill_seconds,
            "seconds from add to switch": scene.seconds,
            "megabytes of a model, of both, dropped": scene.megabytes,
        }
        with Services(arena.settings) as services:
            switching.shrink(services)
        result.notes["megabytes, shrunk"] = scene.size()
        if result.violations:
            result.notes["tracebacks of the search service"] = scene.service.tracebacks()
        result.violations += left_after(scene.mark)
    return result


def vectors(texts: Sequence[str], model: str) -> "np.ndarray[Any, Any]":
    """What the program makes of texts: float64 of shape (texts, dimension)."""
    salt = fake_llama.salt_of(f"{model}.gguf")
    return np.array([fake_llama.vector(text + salt) for text in texts])


class Searches:
    """Questions are passages of documents that nobody changes; each answer is judged when it is there."""

    def __init__(self, ask: Callable[..., Sequence[Hit]], contents: Sequence[str], *, seed: int) -> None:
        self._ask = ask
        self._contents = list(dict.fromkeys(contents))
        self._vectors = {model: vectors(self._contents, model) for model in (OLD, NEW)}
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self._found: list[str] = []
        self.by_model: Counter[str] = Counter()

    def violations(self) -> list[str]:
        with self._lock:
            found, self._found = self._found, []
            return found

    def one(self) -> None:
        with self._lock:
            place = self._rng.randrange(len(self._contents))
        try:
            hits = self._ask(self._contents[place], k=HITS)
        except RagAssetsError as exc:
            self._note(f"a search failed: {type(exc).__name__}: {str(exc)[:200]}")
            return
        if wrong := self._wrong(place, hits):
            self._note(wrong)

    def _note(self, violation: str) -> None:
        with self._lock:
            self._found.append(violation)

    def _wrong(self, place: int, hits: Sequence[Hit]) -> str:
        """What is wrong with an answer; empty where nothing is."""
        models_of = [model for model in (OLD, NEW) if self._is_of(model, place, hits)]
        if not hits or len(models_of) != 1:
            return f"{len(hits)} results, mixed: {[hit.similarity for hit in hits][:3]}"
        [model] = models_of
        with self._lock:
            self.by_model[model] += 1
        cosines = self._vectors[model] @ self._vectors[model][place]
        least = min(hit.similarity or 0.0 for hit in hits)
        nearer = {self._contents[index] for index in np.flatnonzero(cosines > least + NEAR)}
        missing = nearer - {hit.content for hit in hits}
        return f"{len(missing)} results missing of {model}" if missing else ""

    def _is_of(self, model: str, place: int, hits: Sequence[Hit]) -> bool:
        cosines = vectors([hit.content for hit in hits], model) @ self._vectors[model][place] if hits else []
        return all(abs(cosine - (hit.similarity or 0)) < NEAR for cosine, hit in zip(cosines, hits, strict=True))


class _Scene:
    """An index, what changes in it, and what dies."""

    def __init__(self, arena: Arena, files: dict[str, Path], size: Size) -> None:
        self.arena = arena
        self.mark = secrets.token_hex(8)
        self.changes = 0
        self.killed: Counter[str] = Counter()
        self.chunks: list[int] = []  # of the model that is kept, at each look
        self.seconds: list[float] = []
        self.fill_seconds = 0.0
        self.megabytes: list[list[float]] = []
        self.service = SearchService(self._environment(), log=arena.place / "search-service.log")
        self._files = files
        self._size = size
        self._order = json.dumps(_order(arena))
        self._filled = 0  # the highest id of the first fill
        self._runner: subprocess.Popen[bytes] | None = None

    def fill(self) -> None:
        """Documents; of these, those with an even id are never changed."""
        for _ in range(self._size.documents):
            self._insert(self.arena.rng)
        [(self._filled,)] = self.arena.sql(f"select max(id) from {DOCUMENTS}")
        with Services(self.arena.settings) as services:
            operations.migrate(services)
        begun = time.monotonic()
        self._settle()
        self.fill_seconds = round(time.monotonic() - begun, 1)
        self._count(OLD)

    def size(self) -> float:
        """Megabytes of chunks and words, with their indexes."""
        names = "'rag_document_chunks', 'rag_chunk_words'"
        [(size,)] = self.arena.sql(
            f"select sum(pg_total_relation_size(name::regclass)) from unnest(array[{names}]) as name"
        )
        return round(float(size) / 1e6, 1)

    def contents(self) -> list[str]:
        """Of the documents that nobody changes."""
        return [content for (content,) in self.arena.sql(
            "select content from rag_document_chunks where document_id::bigint % 2 = 0 order by id"
        )]  # fmt: skip

    def turn(self, searches: Searches, *, old: str, new: str) -> list[str]:
        """From one model to the other, back, and there again; the old one goes. What went wrong but for searches."""
        sizes = [self.size()]
        with self._under_load(searches, old):
            begun = time.monotonic()
            self._command("add", new, "--file", str(self._files[new]))
            self._command("switch", again=True)
            self.seconds.append(round(time.monotonic() - begun, 1))
            self._command("back")
            self._command("switch", again=True)
        self._settle()
        self._count(old)
        found = self._unequal(old, new)
        sizes.append(self.size())
        with self._searched(searches):
            self._command("drop")
        self.megabytes.append([*sizes, self.size()])
        self._settle()
        self.arena.vector_of = lambda text: vectors([text], new)[0]
        return found + self.arena.violations()

    def _unequal(self, old: str, new: str) -> list[str]:
        """Documents that have other chunks of one model than of the other."""
        chunks = "select document_id, content_sha256, chunk_index from rag_document_chunks where embedding_model = "
        rows = self.arena.sql(
            f"({chunks}'{old}' except {chunks}'{new}') union all ({chunks}'{new}' except {chunks}'{old}')"
        )
        return [f"{len(rows)} chunks are of one model alone: {rows[:2]}"] if rows else []

    # ---- load

    @contextmanager
    def _under_load(self, searches: Searches, model: str) -> Iterator[None]:
        """Searches, changes, a program that takes them, looks at how many chunks a model has, and one that kills."""
        try:
            with (
                self._searched(searches),
                patience.meanwhile(self._change),
                patience.meanwhile(self._kept_running),
                patience.meanwhile(lambda stop: self._counted(stop, model)),
                patience.meanwhile(self._kill),
            ):
                yield
        finally:
            self._stop_runner()

    @contextmanager
    def _searched(self, searches: Searches) -> Iterator[None]:
        pause = 1 / self._size.searches_a_second

        def search(stop: threading.Event) -> None:
            while not stop.wait(pause):
                searches.one()

        def together(stop: threading.Event) -> None:
            while not stop.wait(5 * pause):
                threads = [threading.Thread(target=searches.one) for _ in range(TOGETHER)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

        with patience.meanwhile(search), patience.meanwhile(together):
            yield

    def _change(self, stop: threading.Event) -> None:
        rng = random.Random(self.arena.rng.random())
        while not stop.wait(1 / self._size.changes_a_second):
            self._change_one(rng)
            self.changes += 1

    def _change_one(self, rng: random.Random) -> None:
        names = self._told(f"select id, file_path from {DOCUMENTS} where id % 2 = 1 or id > {self._filled}")
        document, name = rng.choice(names)
        if rng.random() < 0.1:  # gone, and a new one in its place
            self._told(f"delete from {DOCUMENTS} where id = {document}")
            self._insert(rng)
        else:
            replace_text(self.arena.files / name, self._text(rng))
            self._told(f"update {DOCUMENTS} set version = version + 1 where id = {document}")

    def _insert(self, rng: random.Random) -> None:
        name = f"{rng.randrange(10**12)}.txt"
        (self.arena.files / name).write_text(self._text(rng))
        self._told(f"insert into {DOCUMENTS} (file_path, version) values ('{name}', 0)")

    def _text(self, rng: random.Random) -> str:
        """Of any length around the average, so that there remain as many chunks, whatever is changed."""
        least = self._size.paragraphs // 2
        return self.arena.text(rng.randint(least, 3 * least), rng=rng)

    def _counted(self, stop: threading.Event, model: str) -> None:
        while not stop.wait(COUNT_SECONDS):
            self._count(model)

    def _count(self, model: str) -> None:
        [(count,)] = self._told(f"select count(*) from rag_document_chunks where embedding_model = '{model}'")
        self.chunks.append(count)

    def _told(self, statement: str) -> list[tuple[Any, ...]]:
        """What the application says to its table, again until PostgreSQL, which may have been killed, took it."""
        found: list[list[tuple[Any, ...]]] = []

        def is_taken() -> bool:
            with suppress(psycopg2.Error):
                found.append(self.arena.sql(statement))
            return bool(found)

        patience.until(is_taken, what="that PostgreSQL takes a statement")
        return found[0]

    def _kept_running(self, stop: threading.Event) -> None:
        """As the daemon does: what a run that died had claimed is given back, and another one is started."""
        while not stop.is_set():
            with suppress(psycopg2.Error, DatabaseUnavailable):
                if self._runner is None or self._runner.poll() is not None:
                    self.arena.free_claims()
                    self._runner = self._start([sys.executable, "-m", __name__, self._order])
            stop.wait(0.2)

    def _kill(self, stop: threading.Event) -> None:
        rng = random.Random(self.arena.rng.random())
        while not stop.wait(rng.uniform(2, 8)):
            if rng.random() < POSTGRES_SHARE:
                stop_immediately(self.arena)
                self.killed["PostgreSQL"] += 1
                continue
            victims = {
                "run": self._runs(),
                "text worker": self._workers(),
                "llama-server": engines.servers(),
                "search service": self.service.processes(),
            }
            name = rng.choice([name for name, there in victims.items() if there] or ["run"])
            for process in rng.sample(victims[name], min(1, len(victims[name]))):
                with suppress(psutil.Error):
                    process.kill()
                    self.killed[name] += 1

    def _runs(self) -> list[psutil.Process]:
        with suppress(psutil.Error):
            if self._runner is not None and self._runner.poll() is None:
                return [psutil.Process(self._runner.pid)]
        return []

    def _workers(self) -> list[psutil.Process]:
        found = []
        for run in self._runs():
            with suppress(psutil.Error):
                found += [one for one in run.children(recursive=True) if TEXT_WORKER in " ".join(one.cmdline())]
        return found

    def _stop_runner(self) -> None:
        if self._runner is not None:
            self._runner.kill()
            self._runner.wait()
            self._runner = None

    # ---- commands

    def _command(self, *words: str, again: bool = False) -> None:
        """`rag-assets model ...`: killed at some time, and given again while PostgreSQL is away.

        `again`: until it is not refused.
        """
        command = [sys.executable, "-m", "rag_assets", "model", *words]
        first = self._start(command)
        try:
            first.wait(self.arena.rng.uniform(0, 4))
        except subprocess.TimeoutExpired:
            first.kill()
            first.wait()
            self.killed[words[0]] += 1
        deadline = time.monotonic() + arenas.patience(COMMAND_SECONDS)
        while True:
            done = subprocess.run(
                command, env=self._environment(), capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
            )
            is_done = done.returncode == 0 or "serves already" in done.stderr or "no model but" in done.stderr
            if is_done:
                return
            is_away = "that DATABASE_URL is right" in done.stderr
            if not (again or is_away) or time.monotonic() > deadline:
                raise AssertionError(f"model {words[0]}: {done.stderr[-500:]}")
            time.sleep(AGAIN_SECONDS)

    def _start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, env=self._environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _environment(self) -> dict[str, str]:
        chosen = self.arena.settings
        given = {
            "DATABASE_URL": self.arena.url,
            "DOCUMENT_ROOT_PATH": str(self.arena.files),
            "LLAMA_SERVER_BINARY": str(chosen.llama_server_binary),
            "LLAMA_SERVER_MODEL": str(chosen.llama_server_model),
            "RAG_ASSETS_HOME": str(chosen.home),
            MARK: self.mark,
        }
        sections = {f"RAG_ASSETS_{name.upper()}": getattr(chosen, name).model_dump_json() for name in SECTIONS}
        return {**os.environ, **given, **sections}

    def _settle(self) -> None:
        """Runs until nothing is due."""
        deadline = time.monotonic() + arenas.patience(SETTLE_SECONDS)
        with Services(self.arena.settings) as services:
            while not self.arena.is_settled():
                self.arena.free_claims()
                with suppress(ServiceError):
                    take(services)
                assert time.monotonic() < deadline, "it did not settle"


def take(services: Services) -> None:
    """A run on all that is due, with each model that is kept."""
    run_id = secrets.token_hex(6)
    with services.claim_source(run_id=run_id) as claims:
        for outcomes in services.pipeline(run_id=run_id).ingest(claims.pending()):
            arenas.report(services.database, outcomes, run_id=run_id)


@contextmanager
def _program(model: Path) -> Iterator[tuple[Path, dict[str, Path]]]:
    """A program that makes other vectors of another file, and the files of both models."""
    with arenas.folder() as place:
        binary = place / "server"
        binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{fake_llama.__file__}" "of its file" "$@"\n')
        binary.chmod(0o755)
        other = place / f"{NEW}.gguf"
        other.symlink_to(model)
        yield binary, {OLD: model, NEW: other}


def _order(arena: Arena) -> dict[str, str]:
    return {
        "url": arena.url,
        "place": str(arena.place),
        "model": str(arena.settings.llama_server_model),
        "binary": str(arena.settings.llama_server_binary),
    }


def main() -> None:
    order = json.loads(sys.argv[1])
    settings = arenas.settings_for(
        order["url"], Path(order["place"]), model=Path(order["model"]), llama_server_binary=Path(order["binary"])
    )
    while True:
        with suppress(ServiceError), Services(settings) as services:
            while True:
                take(services)
                time.sleep(0.1)
        time.sleep(0.2)


if __name__ == "__main__":
    main()
