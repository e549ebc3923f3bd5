"""What of the file system a Linux process may see (Landlock, Linux 5.13 and later): places to read, nothing to write.

Also refused are TCP (from version 4), and signals and abstract sockets of processes outside (from version 6).
See https://docs.kernel.org/userspace-api/landlock.html.
"""

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on all machines
_VERSION, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_FILES = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}  # version -> rights to files that are withheld
_TCP = 0b11  # bind and connect
_SCOPES = 0b11  # abstract sockets and signals


class Rules:
    """A set of rules in the making: to be made while the places can be reached, and then applied."""

    def __init__(self) -> None:
        """Without effect (`version` 0) where the kernel has no Landlock or it is switched off."""
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self.version = max(0, self._call(_CREATE, None, 0, _VERSION))
        files = _FILES.get(self.version, _FILES[5])
        words = 1 + (self.version >= 4) + (self.version >= 6)
        given = struct.pack("<3Q", files, _TCP, _SCOPES)[: 8 * words]
        self._set = self._call(_CREATE, given, len(given), 0) if self.version else -1

    def read_below(self, places: Iterable[Path], *, names_only: bool = False) -> None:
        """Allow to read a file, or all below a folder (or only to list them); what is not there is left out."""
        for place in places if self._set >= 0 else ():
            with suppress(OSError):
                handle = os.open(place, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined, unused-ignore]
                try:
                    is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
                    rights = _READ_FOLDER if names_only else _READ_FILE | (_READ_FOLDER if is_folder else 0)
                    self._call(_ADD, self._set, _PATH_BENEATH, struct.pack("<Qi", rights, handle), 0)
                finally:
                    os.close(handle)

    def apply(self) -> bool:
        """Hold the calling thread to them for good; it must not be able to gain rights (no_new_privs)."""
        return self._set >= 0 and self._call(_RESTRICT, self._set, 0) == 0

    def _call(self, number: int, *arguments: object) -> int:
        return int(self._libc.syscall(number, *arguments)) if self._libc is not None else -1
