"""A Windows job object around a child process: it ends with its owner, and keeps to its memory.

Written from the documentation of the Win32 interface, and run under Wine.
"""

import ctypes
import subprocess
import sys
from typing import Any

CREATE_SUSPENDED = 0x4  # until it is in the job: a virtual environment's python.exe starts another one at once

_KILL_ON_JOB_CLOSE = 0x2000
_DIE_ON_UNHANDLED_EXCEPTION = 0x400  # no dialogue that nobody closes
_JOB_MEMORY = 0x200
_EXTENDED_LIMIT_INFORMATION = 9


class _BasicLimits(ctypes.Structure):
    _fields_ = (
        ("per_process_user_time_limit", ctypes.c_int64),
        ("per_job_user_time_limit", ctypes.c_int64),
        ("limit_flags", ctypes.c_uint32),
        ("minimum_working_set_size", ctypes.c_size_t),
        ("maximum_working_set_size", ctypes.c_size_t),
        ("active_process_limit", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority_class", ctypes.c_uint32),
        ("scheduling_class", ctypes.c_uint32),
    )


class _ExtendedLimits(ctypes.Structure):
    _fields_ = (
        ("basic", _BasicLimits),
        ("io", ctypes.c_uint64 * 6),
        ("process_memory_limit", ctypes.c_size_t),
        ("job_memory_limit", ctypes.c_size_t),
        ("peak_process_memory_used", ctypes.c_size_t),
        ("peak_job_memory_used", ctypes.c_size_t),
    )


def enclose(process: "subprocess.Popen[Any]", *, memory: int | None = None) -> int | None:
    """Put a suspended process into a job of its own and let it run; the job's handle, None off Windows.

    It may take so many bytes of `memory`, with all of its children; it ends when the handle is closed, or we end.
    """
    if sys.platform != "win32":
        return None
    try:
        return _enclosed(process, memory=memory)
    except BaseException:
        process.kill()
        raise


def close(job: int | None) -> None:
    """Let go of a job; what still runs in it ends."""
    if sys.platform == "win32" and job is not None:
        _kernel().CloseHandle(job)


def _enclosed(process: "subprocess.Popen[Any]", *, memory: int | None) -> int:
    import psutil

    kernel = _kernel()
    job = _checked(kernel.CreateJobObjectW(None, None))
    limits = _ExtendedLimits(job_memory_limit=memory or 0)
    limits.basic.limit_flags = _KILL_ON_JOB_CLOSE | _DIE_ON_UNHANDLED_EXCEPTION | (_JOB_MEMORY if memory else 0)
    size = ctypes.sizeof(limits)
    _checked(kernel.SetInformationJobObject(job, _EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), size))
    _checked(kernel.AssignProcessToJobObject(job, int(process._handle)))  # type: ignore[attr-defined]
    psutil.Process(process.pid).resume()
    return job


def _kernel() -> Any:
    """kernel32 with the types of handles, which are wider than ctypes assumes."""
    handle, pointer = ctypes.c_void_p, ctypes.c_void_p
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined, unused-ignore]
    kernel.CreateJobObjectW.restype = handle
    kernel.CreateJobObjectW.argtypes = (pointer, ctypes.c_wchar_p)
    kernel.SetInformationJobObject.argtypes = (handle, ctypes.c_int, pointer, ctypes.c_uint32)
    kernel.AssignProcessToJobObject.argtypes = (handle, handle)
    kernel.CloseHandle.argtypes = (handle,)
    return kernel


def _checked(result: int) -> int:
    if not result:
        raise ctypes.WinError(ctypes.get_last_error())  # type: ignore[attr-defined, unused-ignore]
    return result
