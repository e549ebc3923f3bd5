"""A filter of system calls for a Linux process that reads documents it is given and answers: all else is refused."""

import ctypes
import errno
import os
import struct
import sys
from typing import NamedTuple

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD, _EQUAL, _SET, _RETURN = 0x20, 0x15, 0x45, 0x06  # BPF: ld abs word, jeq, jset, ret
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT, _ARGUMENT_BYTES = 0, 4, 16, 8  # in seccomp_data, little-endian
_OTHER_ABI = 0x40000000  # bit in the numbers of x32, which would be a way around
_CLONE_THREAD = 0x10000
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_FCNTL = (0, 1, 2, 3, 4, 1030)  # copies and flags of descriptors; not F_SETOWN, by which the kernel signals others

_Line = tuple[int, int, int, int]  # operation, lines to skip when it holds and when not, operand


class _Machine(NamedTuple):
    """The audit number of an architecture, and its numbers of system calls: those with rules, then the allowed ones."""

    architecture: int
    clone: int
    clone3: int
    ioctl: int
    fcntl: int
    tgkill: int
    prlimit64: int
    opens: tuple[tuple[int, int], ...]  # a call that opens a file, and which of its arguments has the flags
    allowed: tuple[int, ...]


# Memory, files that are open, reading of others where the file system's rules allow it, clocks, threads and locks
# among them, our own signals, facts about ourselves, and recvmsg, by which documents come.
_MACHINES = {
    "x86_64": _Machine(
        architecture=0xC000003E,
        clone=56,
        clone3=435,
        ioctl=16,
        fcntl=72,
        tgkill=234,
        prlimit64=302,
        opens=((257, 2), (2, 1)),
        allowed=(
            *(0, 1, 202, 9, 11, 12, 28, 10, 5, 262, 3, 8, 47),  # the most frequent ones first
            *(4, 6, 7, 13, 14, 15, 17, 18, 19, 20, 21, 23, 24, 25, 27, 32, 33, 35, 39, 60, 63, 78, 79, 89),
            *(96, 97, 98, 99, 100, 102, 104, 107, 108, 110, 131, 137, 138, 158, 186, 201, 204, 217, 218, 219),
            *(221, 228, 229, 230, 231, 267, 269, 270, 271, 273, 292, 309, 318, 324, 332, 334, 436, 439),
        ),
    ),
    "aarch64": _Machine(
        architecture=0xC00000B7,
        clone=220,
        clone3=435,
        ioctl=29,
        fcntl=25,
        tgkill=131,
        prlimit64=261,
        opens=((56, 2),),
        allowed=(
            *(63, 64, 98, 222, 215, 214, 233, 226, 80, 79, 57, 62, 212),
            *(17, 23, 24, 43, 44, 48, 61, 65, 66, 67, 68, 72, 73, 78, 93, 94, 96, 99, 101, 113, 114, 115, 123),
            *(124, 128, 132, 134, 135, 139, 153, 160, 163, 165, 168, 169, 172, 173, 174, 175, 176, 177, 178, 179),
            *(216, 223, 232, 278, 283, 291, 293, 436, 439),
        ),
    ),
}
MACHINES = tuple(_MACHINES)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def install() -> bool:
    """Allow the calling thread no other calls from now on; False where the kernel or the machine is another.

    What is not allowed fails with EPERM: a library that asks for something unforeseen goes on without it.
    """
    machine = _MACHINES.get(os.uname().machine) if sys.platform == "linux" and sys.maxsize > 2**32 else None
    if machine is None:
        return False
    code = b"".join(struct.pack("<HBBI", *line) for line in _lines(machine, pid=os.getpid()))
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _lines(machine: _Machine, *, pid: int) -> list[_Line]:
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, machine.architecture),
        _refuse(errno.EPERM),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_SET, 0, 1, _OTHER_ABI),
        _refuse(errno.EPERM),
    ]
    for number in machine.allowed:
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for number, argument in machine.opens:
        lines += _rule(number, _argument(argument), (_SET, 1, 0, _WRITES))
    lines += _rule(machine.fcntl, _argument(1), *_any_of(_FCNTL))
    lines += _rule(machine.clone, _argument(0), (_SET, 0, 1, _CLONE_THREAD))
    lines += _rule(machine.tgkill, _argument(0), (_EQUAL, 0, 1, pid))  # ourselves: abort() does so
    lines += _rule(machine.prlimit64, _argument(0), (_EQUAL, 0, 1, 0))
    for number, error in ((machine.clone3, errno.ENOSYS), (machine.ioctl, errno.ENOTTY)):  # libc then takes clone
        lines += [(_EQUAL, 0, 1, number), _refuse(error)]
    return [*lines, _refuse(errno.EPERM)]


def _rule(number: int, *test: _Line) -> list[_Line]:
    """Lines that decide on one call; the test goes on to the next line to allow it, and over that to refuse it."""
    decided = [*test, (_RETURN, 0, 0, _ALLOW), _refuse(errno.EPERM)]
    return [(_EQUAL, 0, len(decided), number), *decided]


def _any_of(values: tuple[int, ...]) -> list[_Line]:
    last = len(values) - 1
    return [(_EQUAL, last - at, 0 if at < last else 1, value) for at, value in enumerate(values)]


def _argument(index: int) -> _Line:
    """Load the lower half of an argument: those that are looked at are ints to the kernel."""
    return (_LOAD, 0, 0, _ARGUMENTS_AT + _ARGUMENT_BYTES * index)


def _refuse(error: int) -> _Line:
    return (_RETURN, 0, 0, _ERROR | error)
