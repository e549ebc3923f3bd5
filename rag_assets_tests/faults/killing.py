"""SIGKILL of the run at named cut points, and of llama-server at any moment."""

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from rag_assets.errors import ServiceError
from rag_assets.services import Services
from rag_assets_tests import engines, rows
from rag_assets_tests.faults import doomed
from rag_assets_tests.faults.arena import Arena, Ground, Result, left_after

MARK = "RAG_ASSETS_FAULT"
FIRST, CHANGES = 12, 10  # documents


def kill_run(ground: Ground, *, seed: int, long: bool) -> Result:
    """A run dies at a cut point; its claims are freed, the next run goes on: the index is that of a fresh build."""
    result = Result()
    died = 0
    with ground.arena(seed) as arena:
        arena.insert(FIRST)
        for turn in range(6 if long else 1):
            for place, name in enumerate(doomed.CUTS):
                arena.change(CHANGES)
                code, left = _doomed_run(arena, cut=name, seed=seed * 1_000 + turn * 100 + place)
                alive = ["the run did not die"] if code == 0 else []
                died += code != 0
                arena.settle()
                result.add([*alive, *left, *arena.violations()], trial=f"{name}, turn {turn}")
    result.notes["died"] = died
    return result


def kill_run_with_server(ground: Ground, *, seed: int, long: bool) -> Result:
    """A run with a real llama-server dies at any moment: no process is left, and the next run completes the index."""
    result = Result()
    with ground.arena(seed) as arena:
        arena.insert(FIRST)
        for turn in range(5 if long else 1):
            arena.change(CHANGES)
            mark = secrets.token_hex(8)
            child = _start(arena, cut=None, seed=0, mark=mark, real=True)
            time.sleep(arena.rng.uniform(0.5, 4))
            child.kill()
            child.wait()
            left = left_after(mark)
            arena.sql("delete from rag_document_text; delete from rag_document_chunks")  # vectors of the real model
            arena.sql("select rag_enqueue(array_agg(id::text), 'update') from \"TblDocumentFiles\"")
            arena.settle()
            result.add([*left, *arena.violations()], trial=f"turn {turn}")
    return result


def kill_llama_server(ground: Ground, *, seed: int, long: bool) -> Result:
    """The server dies again and again under a batch; the vectors in the end are those of a quiet run."""

    result = Result()
    with (
        ground.arena(seed, llama_server={"request_timeout_seconds": 20}) as arena,
        Services(arena.settings) as services,
    ):
        arena.embedder, arena.vector_of = services.embedder, None
        arena.insert(FIRST)
        for turn in range(6 if long else 1):
            arena.change(CHANGES)
            stop = threading.Event()
            killer = threading.Thread(target=_kill_servers, args=(arena, stop))
            killer.start()
            try:
                arena.run()
            except ServiceError as exc:
                result.notes[f"turn {turn}"] = type(exc).__name__
            stop.set()
            killer.join()
            arena.settle()
            result.add([*arena.violations(), *strange_vectors(arena)], trial=f"turn {turn}")
        result.notes["servers"] = len(list((arena.place / "home" / "logs").glob("llama-server-*")))
    return result


def _doomed_run(arena: Arena, *, cut: str, seed: int) -> tuple[int, list[str]]:
    mark = secrets.token_hex(8)
    code = _start(arena, cut=cut, seed=seed, mark=mark).wait(120)
    return code, left_after(mark)


def _start(arena: Arena, *, cut: str | None, seed: int, mark: str, real: bool = False) -> "subprocess.Popen[bytes]":
    order = {
        "url": arena.url,
        "place": str(arena.place),
        "model": str(arena.settings.llama_server_model),
        "run_id": f"doomed-{mark}",
        "cut": cut,
        "seed": seed,
        "real": real,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "rag_assets_tests.faults.doomed", json.dumps(order)],
        env={**os.environ, MARK: mark},
        cwd=Path(__file__).parents[2],
    )


def _kill_servers(arena: Arena, stop: threading.Event) -> None:
    """A few times, with pauses in which a server can start and work."""
    for _ in range(2):
        if stop.wait(arena.rng.uniform(0.3, 1.5)):
            return
        for server in engines.servers():
            server.kill()


def strange_vectors(arena: Arena) -> list[str]:
    stored = rows.execute(arena.url, "select content, embedding::text from rag_document_chunks order by id limit 40")
    contents = [content for content, _ in stored]
    kept = np.array([np.array(json.loads(text), dtype=np.float32) for _, text in stored])
    fresh = arena.embedder.embed(contents, token_counts=[len(content.split()) for content in contents])
    agreement = np.sum(kept * fresh, axis=1)
    return [f"a vector agrees to {value:.4f} only" for value in agreement if value < 0.999]
