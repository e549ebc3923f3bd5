"""The disk of the database, of the home and of temporary files is full for a while; nothing is lost.

As root each is a small tmpfs of its own. Where nothing may be mounted, the kinds say so in `skipped` and try nothing.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psycopg2

from rag_assets.bundled import postgres
from rag_assets.errors import ServiceError
from rag_assets.services import Services
from rag_assets_tests import patience, rows
from rag_assets_tests.faults.arena import Arena, Ground, Result, folder
from rag_assets_tests.faults.consuming import Consumer
from rag_assets_tests.faults.writing import team

DATABASE_BYTES = 400 * 2**20  # a cluster, its WAL and room for the writes of a trial
HOME_BYTES = 2 * 2**20
FULL_SECONDS = 3.0
BLOCK = bytes(2**16)
WRITTEN = "create table ballast as select repeat('x', 1000) from generate_series(1, 1000)"


class CannotMount(Exception):
    """Not root, or not on Linux, or a container that forbids it."""


def disk_full_database(ground: Ground, *, seed: int, long: bool) -> Result:
    """No room for data and WAL under writes and runs: PostgreSQL may fail or end; with room again all is done."""
    result = Result()
    try:
        with disk(DATABASE_BYTES) as place, _server_in(place) as url, Ground(url, model=ground.model).template() as own:
            for turn in range(4 if long else 1):
                with own.arena(seed + turn) as arena:
                    violations, faults = _full_under_writes(arena, place, seed=seed + turn)
                    result.add(violations, trial=f"turn {turn}")
                    result.notes[f"faults {turn}"] = faults
    except CannotMount as exc:
        result.notes["skipped"] = str(exc)
    return result


def disk_full_home(ground: Ground, *, seed: int, long: bool) -> Result:
    """No room for llama-server's log and records: a ServiceError, no attempt counted; with room again all is done."""
    result = Result()
    try:
        for turn in range(3 if long else 1):
            with disk(HOME_BYTES) as place, ground.arena(seed + turn, home=place) as arena:
                arena.insert(6)
                with full(place):
                    wrong = _refused(arena)
                with Services(arena.settings) as services:
                    arena.embedder, arena.vector_of = services.embedder, None
                    arena.settle()
                    result.add([*wrong, *arena.violations()], trial=f"turn {turn}")
    except CannotMount as exc:
        result.notes["skipped"] = str(exc)
    return result


def disk_full_temporary(ground: Ground, *, seed: int, long: bool) -> Result:
    """No room for temporary files, where documents are read: what needs none is read, nothing is lost."""
    result = Result()
    try:
        for turn in range(3 if long else 1):
            with disk(HOME_BYTES) as place, ground.arena(seed + turn) as arena:
                arena.insert(6)
                with _temporary_files_in(place):
                    arena.reader = arena.new_reader()  # its work folder lies on that disk
                    with full(place), suppress(ServiceError):
                        arena.run()
                    arena.settle()
                result.add(arena.violations(), trial=f"turn {turn}")
    except CannotMount as exc:
        result.notes["skipped"] = str(exc)
    return result


@contextmanager
def _temporary_files_in(place: Path) -> Iterator[None]:
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir, os.environ["TMPDIR"] = str(place), str(place)
    try:
        yield
    finally:
        tempfile.tempdir = before[0]
        os.environ.pop("TMPDIR", None) if before[1] is None else os.environ.update(TMPDIR=before[1])


@contextmanager
def disk(size: int) -> Iterator[Path]:
    """A disk of its own with so many bytes."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise CannotMount("mounting a tmpfs needs root on Linux")
    with folder() as place:
        options = f"size={size},mode=0711"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True)
        if done.returncode:
            raise CannotMount(done.stderr.decode(errors="replace").strip())
        try:
            yield place
        finally:
            _unmount(place)


@contextmanager
def full(place: Path) -> Iterator[None]:
    """While open, its disk has no byte left, also when something is deleted there."""
    ballast = place / "ballast"
    try:
        with patience.meanwhile(partial(_keep_full, ballast)):
            time.sleep(0.3)
            yield
    finally:
        ballast.unlink(missing_ok=True)


def _keep_full(ballast: Path, over: threading.Event) -> None:
    with ballast.open("ab", buffering=0) as file:
        while not over.is_set():
            size = len(BLOCK)
            while size:
                try:
                    file.write(BLOCK[:size])
                except OSError:
                    size //= 2
            over.wait(0.02)


def _full_under_writes(arena: Arena, place: Path, *, seed: int) -> tuple[list[str], dict[str, int]]:
    arena.insert(20)
    members = team(arena, seed=seed, writers=4)
    over = threading.Event()

    def fill() -> None:
        try:
            time.sleep(0.5)
            with full(place):
                time.sleep(FULL_SECONDS)
                patience.until(lambda: _is_refused(arena), what="that PostgreSQL found its disk full")
        finally:
            over.set()

    with Consumer(arena) as consumer:
        write = [partial(member.work_while, lambda: not over.is_set()) for member in members]
        rows.in_threads([fill, *write])
        late = consumer.catch_up()
    return [*late, *arena.violations()], {"writers": sum(m.retried for m in members), **consumer.faults}


def _is_refused(arena: Arena) -> bool:
    """Whether PostgreSQL cannot write a megabyte; it may be away because of that."""
    try:
        arena.sql(f"{WRITTEN}; drop table ballast")
    except psycopg2.Error:
        return True
    return False


@contextmanager
def _server_in(home: Path) -> Iterator[str]:
    try:
        yield postgres.start(home)
    finally:
        postgres.remove(home)


def _refused(arena: Arena) -> list[str]:
    try:
        with Services(arena.settings) as services:
            arena.run(embedder=services.embedder)
    except ServiceError:
        counted = arena.sql("select document_id, attempts from rag_outbox where attempts > 0 or claimed_by is not null")
        return [f"not free again, or blamed: {row}" for row in counted]
    return ["a llama-server started on a full disk"]


def _unmount(place: Path) -> None:
    for _ in range(50):
        if subprocess.run(["umount", str(place)], capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", "-l", str(place)], capture_output=True)
