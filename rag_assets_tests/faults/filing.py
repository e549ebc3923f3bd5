"""Files that are replaced, truncated, deleted or locked while they are read."""

import ctypes
import os
import random
import struct
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rag_assets import operations
from rag_assets.model import ReadDocument
from rag_assets.pipeline import Reader
from rag_assets.services import Services
from rag_assets_tests.faults.arena import DOCUMENTS, Arena, Ground, Result, replace_text
from rag_assets_tests.faults.reading import ReaderAround

READ_SECONDS = 0.006  # in which a file of this size is usually read
SENTENCES = 400
OPEN_ANY_FILE = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
Mischief = Callable[[Arena, Path, random.Random], None]


class MischiefReader(ReaderAround):
    """Does something to a file at a random moment of its reading."""

    def __init__(self, reader: Reader, *, rng: random.Random, on: Callable[[Path], None]) -> None:
        super().__init__(reader)
        self._rng = rng
        self._on = on
        self.done = 0

    def read(self, path: Path, *, name: str) -> ReadDocument:
        timer = threading.Timer(self._rng.uniform(0, READ_SECONDS), self._on, args=[path])
        timer.start()
        try:
            return super().read(path, name=name)
        finally:
            timer.join()
            self.done += 1


class ReaderOfFewRights(ReaderAround):
    """Opens files in a thread that has given up what root's may."""

    def __init__(self, reader: Reader, *, executor: ThreadPoolExecutor) -> None:
        super().__init__(reader)
        self._executor = executor

    def read(self, path: Path, *, name: str) -> ReadDocument:
        return self._executor.submit(super().read, path, name=name).result()


def file_replaced(ground: Ground, *, seed: int, long: bool) -> Result:
    """Another file takes its name; the row is updated after it, or reconciliation finds it."""
    return _disturbed(ground, _replace, seed=seed, long=long)


def file_truncated(ground: Ground, *, seed: int, long: bool) -> Result:
    """The file is cut short and written again in place, in pieces; half a version may be read, but does not stay."""
    return _disturbed(ground, _rewrite, seed=seed, long=long)


def file_deleted(ground: Ground, *, seed: int, long: bool) -> Result:
    """The file is gone for a moment, or for good with its row."""
    return _disturbed(ground, _delete, seed=seed, long=long)


def file_locked(ground: Ground, *, seed: int, long: bool) -> Result:
    """Nobody may open the files for a while; afterwards they are read. No permission was ever taken for a deletion."""
    result = Result()
    for turn in range(6 if long else 1):
        with ground.arena(seed + turn, worker={"max_attempts": 3}) as arena:
            arena.insert(8)
            arena.settle()
            before = arena.stored()
            locked = arena.rng.sample(sorted(arena.files.iterdir()), 4)
            for path in arena.files.iterdir():
                replace_text(path, arena.text())
            arena.sql(f"update {DOCUMENTS} set version = version + 1")
            for path in locked:
                path.chmod(0)
            wrong = _run_without_privileges(arena, locked=len(locked))
            kept = before.keys() - arena.stored().keys()
            for path in locked:
                path.chmod(0o644)
            with Services(arena.settings) as services:
                operations.reconcile(
                    services
                )  # as the schedule does: it gives documents that were not found another try
            arena.settle()
            result.notes["held back"] = len(kept)
            result.add([*wrong, *arena.violations()], trial=f"turn {turn}")
    return result


def _disturbed(ground: Ground, mischief: Mischief, *, seed: int, long: bool) -> Result:
    result = Result()
    for turn in range(8 if long else 1):
        with ground.arena(seed + turn) as arena:
            rng = random.Random(seed + turn)
            _insert_large(arena, 12 if long else 6)
            reader = MischiefReader(arena.reader, rng=rng, on=lambda path: mischief(arena, path, rng))  # noqa: B023
            for _ in range(6 if long else 2):
                arena.sql(f"update {DOCUMENTS} set version = version + 1")
                arena.run(reader=reader)
                arena.free_claims()
            with Services(arena.settings) as services:
                operations.reconcile(services)
            arena.settle()
            violations = arena.violations()
            result.add(violations, trial=f"turn {turn}")
            result.trials += reader.done - 1
    return result


def _insert_large(arena: Arena, count: int) -> None:
    arena.insert(count)
    for path in arena.files.iterdir():
        path.write_text(arena.text(SENTENCES))


def _replace(arena: Arena, path: Path, rng: random.Random) -> None:
    replace_text(path, arena.text(rng.choice([2, SENTENCES]), rng=rng))
    if rng.random() < 0.5:
        _touch(arena, path)


def _rewrite(arena: Arena, path: Path, rng: random.Random) -> None:
    text = arena.text(SENTENCES, rng=rng)
    middle = rng.randrange(len(text))
    with path.open("w") as file:
        file.write(text[:middle])
        file.flush()
        time.sleep(rng.uniform(0, READ_SECONDS))
        file.write(text[middle:])
    if rng.random() < 0.5:
        _touch(arena, path)


def _delete(arena: Arena, path: Path, rng: random.Random) -> None:
    if rng.random() < 0.3:
        arena.sql(f"delete from {DOCUMENTS} where file_path = '{path.name}'")
        path.unlink(missing_ok=True)
        return
    path.unlink(missing_ok=True)
    time.sleep(rng.uniform(0, READ_SECONDS))
    path.write_text(arena.text(SENTENCES, rng=rng))
    if rng.random() < 0.5:
        _touch(arena, path)


def _touch(arena: Arena, path: Path) -> None:
    arena.sql(f"update {DOCUMENTS} set version = version + 1 where file_path = '{path.name}'")


def _run_without_privileges(arena: Arena, *, locked: int) -> list[str]:
    """A run that may not open everything, as root's may."""
    with ThreadPoolExecutor(1, initializer=_give_privileges_up) as executor:
        arena.run(reader=ReaderOfFewRights(arena.new_reader(), executor=executor))
    [(refused,)] = arena.sql("select count(distinct document_id) from rag_ingestion_log where error_kind = 'not_found'")
    return [] if refused == locked else [f"{refused} of {locked} locked files were refused"]


def _give_privileges_up() -> None:
    """That to open any file, of the calling thread and of those that it starts; its programs have it again."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return
    libc, head, found = ctypes.CDLL(None, use_errno=True), struct.pack("<Ii", 0x20080522, 0), bytearray(24)
    libc.capget(head, (ctypes.c_char * 24).from_buffer(found))
    effective, *others = struct.unpack("<6I", found)
    if libc.capset(head, struct.pack("<6I", effective & ~OPEN_ANY_FILE, *others)) != 0:
        raise OSError(ctypes.get_errno(), "capset")
