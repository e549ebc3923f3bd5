"""A file system that never answers, as one over a network whose server is gone."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DETACH = 2


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """Every look into `folder` waits until this is left; OSError where we may not mount (it needs root and FUSE)."""
    if sys.platform != "linux":
        raise OSError("there is no such file system here")
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
        if libc.mount(b"silent", os.fsencode(folder), b"fuse", 0, options) != 0:
            raise OSError(ctypes.get_errno(), "it cannot be mounted", str(folder))
        try:
            yield
        finally:
            libc.umount2(os.fsencode(folder), _DETACH)
    finally:
        os.close(device)  # whoever waits gets an error now
