"""The text worker's child with a parser that misbehaves when the document says so: `!` and one of the words below."""

import ctypes
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText

MIB = 2**20


def command(*, workplace: Path | None = None) -> list[str]:
    """To stand in for `worker.command`; the child writes its pid to `workplace`/pid when it is to be found."""
    entry = (
        "import sys, json; sys.path[:] = json.loads(sys.argv[1]);"
        " from rag_assets_tests import misbehaving; misbehaving.run(sys.argv[2])"
    )
    places = [str(Path(__file__).parents[1]), *(os.path.abspath(place) for place in sys.path)]
    return [sys.executable, "-I", "-c", entry, json.dumps(places), str(workplace or "")]


def run(workplace: str) -> None:
    """The real child's main loop around a parser of our own."""
    from rag_assets.text import child, parsing

    if workplace:
        Path(workplace, f"{os.getpid()}.pid").touch()
    parsing.parse = parse
    child.run()


def parse(data: bytes, *, name: str, limits: object) -> ParsedText:
    text = data.decode()
    if text.startswith("!"):
        BEHAVIOUR[text[1:]]()
    return ParsedText(text=text, media_type="text/plain", parser="test", structure="plain")


def _take_all_memory() -> None:
    taken = []
    while True:
        taken.append(bytearray(MIB))


def _take_memory_quickly() -> None:
    ctypes.memset(bytearray(2**33), 1, 2**33)


def _exhaust_memory_in_c() -> None:
    """A library that aborts when it gets no memory, as PDFium does."""
    taken = []
    try:
        while True:
            taken.append(bytearray(MIB))
    except MemoryError:
        os.abort()


def _map_memory_shared() -> None:
    """Neither of malloc nor limited by RLIMIT_DATA: only a look at the process finds it."""
    import mmap

    memory = mmap.mmap(-1, 2**30)
    for at in range(0, 2**30, 4096):
        memory[at] = 1
    time.sleep(60)


def _hang_in_c() -> None:
    ctypes.PyDLL(None).sleep(600)  # holds the interpreter's lock all the time


def _work_for_ever() -> None:
    while True:
        pass


def _print() -> None:
    print("a library's chatter" * 1_000, flush=True)
    os.write(1, b"and at the level of the system")


def _recurse() -> None:
    _recurse()


def _write_over_protocol() -> None:
    for descriptor in range(3, 32):
        try:
            os.write(descriptor, b"\xff" * 64)
        except OSError:
            continue


def _say_no(action: Callable[[], object]) -> Callable[[], None]:
    def attempt() -> None:
        try:
            action()
        except OSError:
            raise DocumentError("no_text", "refused") from None

    return attempt


def _show_environment() -> None:
    raise DocumentError("no_text", json.dumps(dict(os.environ)))


def _act_in_c() -> None:
    """What a document could do that has taken the process over: none of it passes through Python."""
    libc = ctypes.CDLL(None)
    done = {
        "socket": libc.socket(2, 1, 0) >= 0,
        "fork": libc.fork() >= 0,
        "signal": libc.kill(os.getppid(), 0) == 0,
    }
    Thread(target=lambda: done.update(thread=True)).start()
    raise DocumentError("no_text", json.dumps(done))


def _show_interfaces() -> None:
    raise DocumentError("no_text", Path("/proc/net/dev").read_text())


def _leave_a_file() -> None:
    Path("left.txt").write_bytes(b"x" * MIB)
    raise DocumentError("no_text", str(Path.cwd()))


def _raise_bug() -> None:
    raise KeyError("a bug of ours")


BEHAVIOUR: dict[str, Callable[[], object]] = {
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "hang": lambda: time.sleep(600),
    "hang in c": _hang_in_c,
    "work": _work_for_ever,
    "memory": _take_all_memory,
    "memory at once": _take_memory_quickly,
    "memory in c": _exhaust_memory_in_c,
    "memory shared": _map_memory_shared,
    "print": _print,
    "recursion": _recurse,
    "noise": _write_over_protocol,
    "bug": _raise_bug,
    "socket": _say_no(socket.socket),
    "connect": _say_no(lambda: socket.create_connection(("127.0.0.1", 9))),
    "spawn": _say_no(lambda: subprocess.run([sys.executable, "-c", ""], check=False)),
    "fork": _say_no(os.fork),
    "big file": _say_no(lambda: Path("big").write_bytes(b"x" * 64 * MIB)),
    "environment": _show_environment,
    "machine code": _act_in_c,
    "interfaces": _show_interfaces,
    "file": _leave_a_file,
}
