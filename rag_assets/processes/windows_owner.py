"""Whose a file or folder of Windows is: a path comes in, its owner comes out.

Written from the documentation of the Win32 interface, and run under Wine.
"""

import ctypes
import os
import stat
import sys
from pathlib import Path
from typing import Any

_FILE_OBJECT = 1  # of the kinds of objects that have an owner
_OWNER_SECURITY_INFORMATION = 1


def owner(path: Path) -> str | None:
    """The security identifier of the account, as S-1-5-18; None off Windows. OSError where it cannot be read."""
    if sys.platform != "win32":
        return None
    return _owner(path)


def leads_elsewhere(path: Path) -> bool:
    """Whether it is a link or a junction, so that what is done to it is done to another file. OSError."""
    facts = os.lstat(path)
    attributes: int = getattr(facts, "st_file_attributes", 0)
    return stat.S_ISLNK(facts.st_mode) or bool(attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT)


def _owner(path: Path) -> str:
    functions: Any = ctypes
    rights, kernel = functions.WinDLL("advapi32"), functions.WinDLL("kernel32", use_last_error=True)
    kernel.LocalFree.argtypes = [ctypes.c_void_p]
    account, descriptor, text = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    try:
        failure = rights.GetNamedSecurityInfoW(
            ctypes.c_wchar_p(str(path)), _FILE_OBJECT, _OWNER_SECURITY_INFORMATION,
            ctypes.byref(account), None, None, None, ctypes.byref(descriptor),
        )  # fmt: skip
        if failure or not rights.ConvertSidToStringSidW(account, ctypes.byref(text)):
            error = functions.WinError(failure or None)
            error.filename = str(path)
            raise error
        return ctypes.wstring_at(text.value or 0)
    finally:
        kernel.LocalFree(text)
        kernel.LocalFree(descriptor)
