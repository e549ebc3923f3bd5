"""pdfium's functions for code that calls them for each letter or line of a page: handles are plain numbers.

pypdfium2's own bindings make an object for each pointer that comes or goes, which takes longer than most of the calls.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

INT, FLOAT, DOUBLE, HANDLE = ctypes.c_int, ctypes.c_float, ctypes.c_double, ctypes.c_void_p


@cache
def function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of pypdfium2.raw that takes and returns these types; a null handle that it returns is None."""
    import pypdfium2.raw

    return ctypes.CFUNCTYPE(result, *arguments)(handle(getattr(pypdfium2.raw, name)))


def handle(known: Any) -> int:
    """The number of a handle that pypdfium2 gave out; whoever uses it keeps that handle alive."""
    return ctypes.cast(known, HANDLE).value or 0
