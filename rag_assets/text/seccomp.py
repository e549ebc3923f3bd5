"""A filter of system calls for a Linux process that has no business with networks or other processes."""

import ctypes
import errno
import os
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD, _EQUAL, _SET, _RETURN = 0x20, 0x15, 0x45, 0x06  # BPF: ld abs word, jeq, jset, ret
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # in struct seccomp_data, little-endian
_CLONE_THREAD = 0x10000
_OTHER_ABI = 0x40000000  # bit in the numbers of x32, which would be a way around

# Architecture -> its audit number, `clone` and `clone3`, and what is refused: sockets (also by way of io_uring),
# new programs and processes, signals to others and looks into them.
_CALLS = {
    "x86_64": (0xC000003E, 56, 435, (41, 425, 59, 322, 57, 58, 62, 101, 310, 311)),
    "aarch64": (0xC00000B7, 220, 435, (198, 425, 221, 281, 129, 117, 270, 271)),
}
MACHINES = tuple(_CALLS)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def install() -> bool:
    """Refuse those calls to this process from now on; False where the kernel or the machine is another."""
    calls = _CALLS.get(os.uname().machine) if sys.platform == "linux" and sys.maxsize > 2**32 else None
    if calls is None:
        return False
    architecture, clone, clone3, refused = calls
    code = _program(architecture, clone, clone3=clone3, refused=refused)
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _program(architecture: int, clone: int, *, clone3: int, refused: tuple[int, ...]) -> bytes:
    """Each line: operation, how many lines to skip when it holds and when not, operand."""
    say_no, absent = _ERROR | errno.EPERM, _ERROR | errno.ENOSYS  # of clone3: then libc falls back to clone
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, say_no),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_SET, 0, 1, _OTHER_ABI),
        (_RETURN, 0, 0, say_no),
        (_EQUAL, 0, 1, clone3),
        (_RETURN, 0, 0, absent),
    ]
    for number in refused:
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, say_no)]
    lines += [
        (_EQUAL, 0, 3, clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_SET, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, say_no),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)
