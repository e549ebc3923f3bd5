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


def command(*, workplace: Path | None = None, kernel: str = "") -> list[str]:
    """To stand in for `worker.command`; the child writes its pid to `workplace`/pid when it is to be found.

    With `kernel` "old", it finds none of what the kernel has to confine it.
    """
    entry = (
        "import sys, json; sys.path[:] = json.loads(sys.argv[1]);"
        " from rag_assets_tests import misbehaving; misbehaving.run(*sys.argv[2:])"
    )
    places = [str(Path(__file__).parents[1]), *(os.path.abspath(place) for place in sys.path)]
    return [sys.executable, "-I", "-c", entry, json.dumps(places), str(workplace or ""), kernel]


def run(workplace: str, kernel: str) -> None:
    """The real child's main loop around a parser of our own."""
    from rag_assets.text import parsing
    from rag_assets.text.sandbox import child, confinement, landlock, seccomp

    if kernel == "old":
        landlock._CREATE = 10_000
        seccomp._MACHINES.clear()
        confinement._OURS = confinement._CLONE_NEWUSER = -1
        confinement._become = _say_that_it_is_refused

    if workplace:
        Path(workplace, f"{os.getpid()}.pid").touch()
    parsing.parse = parse
    child._warm = _import_no_reader
    child.run()


def _import_no_reader() -> None:
    """None is needed here: each start of a child is so much shorter."""


def _say_that_it_is_refused(_number: int) -> None:
    raise PermissionError


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
    """A library that aborts when it gets no memory, as PDFium does; it works between two pieces, as that does."""
    taken = []
    try:
        while True:
            taken.append(bytearray(MIB))
            time.sleep(0.005)
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


def _escape() -> None:
    """All ways out that we know of, at the level of the system; what succeeded, by name."""
    raise DocumentError("no_text", json.dumps([name for name, attempt in WAYS_OUT.items() if _succeeds(attempt)]))


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        result = attempt()
    except OSError:
        return False
    return not (isinstance(result, int) and result < 0)


def _calls(number: int, *arguments: object) -> Callable[[], object]:
    """A system call by its number on x86-64."""
    return lambda: ctypes.CDLL(None).syscall(number, *arguments)


def _opens(path: str | Path, flags: int) -> Callable[[], object]:
    return lambda: os.open(path, flags)


_PARENT = os.getppid()
_BUFFER = ctypes.create_string_buffer(256)
_OURS = Path(__file__)
WAYS_OUT: dict[str, Callable[[], object]] = {
    # signals, and other effects on processes
    "kill": _calls(62, _PARENT, 0),
    "tkill": _calls(200, _PARENT, 0),
    "tgkill": _calls(234, _PARENT, _PARENT, 0),
    "rt_sigqueueinfo": _calls(129, _PARENT, 0, _BUFFER),
    "rt_tgsigqueueinfo": _calls(297, _PARENT, _PARENT, 0, _BUFFER),
    "pidfd_open": _calls(434, _PARENT, 0),
    "pidfd_send_signal": _calls(424, 0, 0, None, 0),
    "F_SETOWN": _calls(72, 2, 8, _PARENT),
    "prlimit": _calls(302, _PARENT, 7, None, _BUFFER),
    "setpriority": _calls(141, 0, _PARENT, 19),
    "sched_setaffinity": _calls(203, _PARENT, 8, b"\1" + bytes(7)),
    "sched_setscheduler": _calls(144, _PARENT, 0, bytes(8)),
    "ioprio_set": _calls(251, 1, _PARENT, 0),
    # looks into others
    "ptrace": _calls(101, 16, _PARENT, 0, 0),
    "process_vm_readv": _calls(310, _PARENT, None, 0, None, 0, 0),
    "pidfd_getfd": _calls(438, 0, 0, 0),
    "kcmp": _calls(312, _PARENT, _PARENT, 2, 0, 0),
    "environment of the parent": _opens(f"/proc/{_PARENT}/environ", os.O_RDONLY),
    "memory of the parent": _opens(f"/proc/{_PARENT}/mem", os.O_RDONLY),
    "command line of the parent": _opens(f"/proc/{_PARENT}/cmdline", os.O_RDONLY),
    # what is shared
    "shmget": _calls(29, 1, 4096, 0o1600),
    "semget": _calls(64, 1, 1, 0o1600),
    "msgget": _calls(68, 1, 0o1600),
    "mq_open": _calls(240, b"a", 0o102, 0o600, None),
    "memfd_create": _calls(319, b"a", 0),
    "add_key": _calls(248, b"user", b"a", b"b", 1, -3),
    "keyctl": _calls(250, 0, -3, 1),
    # networks, programs, processes
    "socket": _calls(41, 2, 1, 0),
    "socketpair": _calls(53, 1, 1, 0, _BUFFER),
    "io_uring_setup": _calls(425, 1, _BUFFER),
    "fork": _calls(57),
    "execve": _calls(59, b"/bin/true", None, None),
    "unshare": _calls(272, 0x10000000),
    "setns": _calls(308, 0, 0),
    "bpf": _calls(321, 0, _BUFFER, 48),
    "perf_event_open": _calls(298, _BUFFER, 0, -1, -1, 0),
    "userfaultfd": _calls(323, 1),
    "prctl": _calls(157, 4, 1, 0, 0, 0),
    # files
    "write our own code": _opens(_OURS, os.O_WRONLY),
    "truncate a file": _opens("left", os.O_RDONLY | os.O_TRUNC | os.O_CREAT),
    "write for others": _opens("/tmp/rag-assets-escaped", os.O_WRONLY | os.O_CREAT),
    "write in its folder": _opens("left", os.O_WRONLY | os.O_CREAT),
    "mkdir": _calls(83, b"made", 0o700),
    "unlink": _calls(87, b"left"),
    "rename": _calls(82, b"left", b"right"),
    "link": _calls(86, b"left", b"right"),
    "chmod": _calls(90, b".", 0o777),
    "utimensat": _calls(280, -100, b".", None, 0),
    "read an account's files": _opens("/etc/passwd", os.O_RDONLY),
    "read beside a clone's packages": _opens(_OURS.parents[1] / "pyproject.toml", os.O_RDONLY),
    "read another's state": _opens("/proc/1/environ", os.O_RDONLY),
    "be root": lambda: -1 if os.geteuid() else 0,
}


def _raise_bug() -> None:
    raise KeyError("a bug of ours")


BEHAVIOUR: dict[str, Callable[[], object]] = {
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "hang": lambda: time.sleep(600),
    "tarry": lambda: time.sleep(0.5),
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
    "environment": _show_environment,
    "machine code": _act_in_c,
    "escape": _escape,
}
