"""What a parser's process may not do: grow, spawn, write, reach a network or other processes, outlive its parent."""

import ctypes
import os
import signal
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from rag_assets.text.sandbox import seccomp
from rag_assets.text.sandbox.landlock import Rules

if sys.platform != "win32":  # now: later, its file may not be readable
    import resource

SHARED_BYTES = 64 * 2**20  # code of libraries: in the resident size, but not in what RLIMIT_DATA counts
ADDRESS_SPACE = 2**30  # beyond the memory limit, for what is mapped and never touched
OPEN_FILES = 64
FILE_BYTES = 16 * 2**20  # the largest file that can be written: the log

EXIT_OUT_OF_MEMORY = 71  # status of a process that could not even say so

# What a process of root's becomes: ids that systemd keeps free for such use, else the usual one of nobody.
FREE_IDS, NOBODY = range(61_184, 65_520), 65_534

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS = 1, 4, 8, 38
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000
_OURS = _CLONE_NEWNET | _CLONE_NEWIPC  # namespaces without a network interface, and without others' shared memory
_CAPABILITIES_VERSION = 0x20080522
_READ_ANY_FILE = 1 << 2  # CAP_DAC_READ_SEARCH
_REFUSED = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "pty.")

# Of the system: its libraries, fonts that PDF files do not bring along, time zones. No place for secrets.
_OF_THE_SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/dev/null")

_status: int | None = None  # a descriptor of what the kernel says of this process: later it cannot be opened


def confine(*, memory: int) -> list[str]:
    """Limit the calling process for good; what this system could not refuse it, in words.

    To be called before its first thread, and before any document. On Linux the kernel enforces it: no file can be
    written, and of files only those of Python and of the system can be opened (documents come as descriptors); no
    socket, no process, no signal to another, no look into one; a process of root's gives root up. Everywhere, an
    audit hook refuses sockets and processes to Python code: that guards against libraries that follow a link in a
    document, not against machine code.
    """
    gaps = _confine_on_linux(memory) if sys.platform == "linux" else _confine_elsewhere(memory)
    sys.addaudithook(_refuse)
    return gaps


def shield() -> None:
    """Keep what the calling process has in memory, and its environment, from other processes of its account."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def memory() -> dict[str, int]:
    """Bytes that this process has in memory, and the most it has had; 0 where the system does not say."""
    try:
        said = os.pread(_status, 2**14, 0) if sys.platform == "linux" and _status is not None else b""
        lines = said.decode("ascii", "replace").splitlines()
        facts = dict(line.split(":", 1) for line in lines)
        return {"memory": _kibibytes(facts["VmRSS"]), "peak": _kibibytes(facts["VmHWM"])}
    except (OSError, KeyError, ValueError):
        return {"memory": 0, "peak": 0}


def _kibibytes(line: str) -> int:
    return int(line.split()[0]) * 1024


def _refuse(event: str, _arguments: tuple[Any, ...]) -> None:
    if event.startswith(_REFUSED):
        raise PermissionError(f"{event} is refused to the text worker")


def _confine_elsewhere(memory: int) -> list[str]:
    _limit(memory)
    return ["this system: files, sockets and processes are open to machine code, as the account may"]


def _confine_on_linux(memory: int) -> list[str]:
    global _status
    libc = ctypes.CDLL(None, use_errno=True)
    with suppress(OSError):
        _status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    rules = _rules()
    alone = libc.unshare(_OURS) == 0  # as root may
    kept = _give_root_up(libc) if os.geteuid() == 0 else 0
    gaps = [] if _leave_user_namespace(libc, kept, alone=alone) else ["namespaces: network interfaces are in sight"]
    if os.geteuid() == 0:
        gaps.append("another account: it stays root, without root's capabilities")
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _die_with_parent(libc)
    _limit(memory)
    if not rules.apply():
        gaps.append("Landlock: it opens files as its account may")
    if not seccomp.install():
        gaps.append("seccomp: system calls are not filtered")
    return gaps


def _rules() -> Rules:
    """To read: the interpreter and the packages it finds; of other folders on its path the packages alone.

    Beside a clone's packages lie its settings and its state.
    """
    rules = Rules()
    own = [Path(place) for place in {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}]
    rules.read_below([*own, *map(Path, _OF_THE_SYSTEM)])
    libraries = os.environ.get("LD_LIBRARY_PATH", "")
    rules.read_below(Path(place) for place in libraries.split(":") if place)
    for place in {Path(place) for place in sys.path}:
        if not any(place.is_relative_to(folder) for folder in own):
            rules.read_below([place], names_only=place.is_dir())
            rules.read_below(_packages(place))
    return rules


def _packages(place: Path) -> Iterator[Path]:
    with suppress(OSError):
        for entry in place.iterdir():
            if entry.suffix in (".py", ".so") or (entry / "__init__.py").exists():
                yield entry


def _leave_user_namespace(libc: ctypes.CDLL, kept: int, *, alone: bool) -> bool:
    """Into one of our own, from where nothing of ours outside can be looked into; whether networks are out of sight.

    Not as root, nor with a right to files that is kept: they mean nothing in there.
    """
    if os.geteuid() != 0 and not kept:
        alone = libc.unshare(_CLONE_NEWUSER | (0 if alone else _OURS)) == 0 or alone
    _keep_capabilities(libc, kept)
    return alone


def _give_root_up(libc: ctypes.CDLL) -> int:
    """Become nobody in particular, another one than other workers; else stay root in name only. What right is kept.

    Where Python's own files are root's alone, it is that to read any file, which the rules limit. A container may
    not have that right: root, who owns the files, is stayed then.
    """
    needed = [place for place in (*sys.path, __file__) if os.path.exists(place)]
    held = _READ_ANY_FILE & _permitted(libc)
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    for number in (FREE_IDS[os.getpid() % len(FREE_IDS)], NOBODY):
        with suppress(OSError):  # an id that this container does not have, or a right that is missing
            reads = _can_read(needed, as_number=number)
            if reads or held:
                _become(number)
                return 0 if reads else held
    return 0


def _can_read(places: list[str], *, as_number: int) -> bool:
    """Whether this account, without root's rights, reads all of these; OSError where it cannot be become."""
    if sys.platform != "linux":
        return False
    try:
        os.setgroups([])
        os.setegid(as_number)
        os.seteuid(as_number)
        return all(os.access(place, os.R_OK, effective_ids=True) for place in places)
    finally:
        os.seteuid(0)
        os.setegid(0)


def _become(number: int) -> None:
    if sys.platform == "linux":
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)


def _permitted(libc: ctypes.CDLL) -> int:
    """The capabilities that this process may have, of the first 32."""
    found = ctypes.create_string_buffer(24)
    libc.capget(struct.pack("<Ii", _CAPABILITIES_VERSION, 0), found)
    return int(struct.unpack("<6I", found.raw)[1])


def _keep_capabilities(libc: ctypes.CDLL, kept: int) -> None:
    libc.capset(struct.pack("<Ii", _CAPABILITIES_VERSION, 0), struct.pack("<6I", kept, kept, 0, 0, 0, 0))


def _limit(memory: int) -> None:
    if sys.platform == "win32":
        return
    for name, value in (
        ("RLIMIT_DATA", memory - SHARED_BYTES),
        ("RLIMIT_AS", memory + ADDRESS_SPACE),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NOFILE", OPEN_FILES),
        ("RLIMIT_FSIZE", FILE_BYTES),
    ):
        _, hard = resource.getrlimit(getattr(resource, name))
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, name), (allowed, allowed))


def _die_with_parent(libc: ctypes.CDLL) -> None:
    """After the last change of account, which forgets it. Where it died before, the request pipe's end tells."""
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
