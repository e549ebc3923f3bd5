"""pdfium's functions for code that calls them for each letter or line of a page: handles are plain numbers.

pypdfium2's own bindings make an object for each pointer that comes or goes, which takes longer than most of the calls.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from itertools import repeat
from typing import Any

INT, DOUBLE, HANDLE = ctypes.c_int, ctypes.c_double, ctypes.c_void_p
TEXT, PATH, FORM = 1, 2, 5  # what FPDFPageObj_GetType says of an object

MOST_OBJECTS = 100_000  # of one page

PageObject = tuple[int, int]  # the number of a handle, and what kind of an object it is


@cache
def function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of pypdfium2.raw that takes and returns these types; a null handle that it returns is None."""
    import pypdfium2.raw

    return ctypes.CFUNCTYPE(result, *arguments)(handle(getattr(pypdfium2.raw, name)))


def handle(known: Any) -> int:
    """The number of a handle that pypdfium2 gave out; whoever uses it keeps that handle alive."""
    return ctypes.cast(known, HANDLE).value or 0


def objects(holder: int, most: int = MOST_OBJECTS, *, kind: str = "FPDFPage") -> list[PageObject]:
    """What a page draws, or a form on it ("FPDFFormObj"), in the file's order; forms count as one object."""
    count = function(f"{kind}_CountObjects", INT, HANDLE)(holder)
    get = function(f"{kind}_GetObject", HANDLE, HANDLE, INT if kind == "FPDFPage" else ctypes.c_ulong)
    found = list(map(get, repeat(holder), range(min(count, most))))
    return list(zip(found, map(function("FPDFPageObj_GetType", INT, HANDLE), found), strict=True))
