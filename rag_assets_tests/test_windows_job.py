"""A job object of Windows: laid out as its documentation has it, and of no effect elsewhere."""

import ctypes
import subprocess
import sys

import pytest

from rag_assets.processes import windows_job

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="the layout of 64 bits")
def test_limits_are_laid_out_as_windows_has_them() -> None:
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION: a field that is out of its place would limit something else."""
    limits = windows_job._ExtendedLimits
    assert ctypes.sizeof(limits) == 144
    places = {name: getattr(limits, name).offset for name in ("io", "process_memory_limit", "job_memory_limit")}
    assert places == {"io": 64, "process_memory_limit": 112, "job_memory_limit": 120}
    assert windows_job._BasicLimits.limit_flags.offset == 16


@pytest.mark.skipif(sys.platform == "win32", reason="there, it is in a job")
def test_process_runs_without_a_job_elsewhere() -> None:
    """It is neither held up nor ended; what its parent's death does is the kernel's, see spawning."""
    with subprocess.Popen(SLEEP) as process:
        try:
            job = windows_job.enclose(process, memory=2**30)
            windows_job.close(job)
            assert (job, process.poll()) == (None, None)
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform != "win32", reason="Windows has jobs")
def test_process_ends_with_its_job() -> None:
    """As it does when its owner dies, whose handle is then closed."""
    with subprocess.Popen(SLEEP, creationflags=windows_job.CREATE_SUSPENDED) as process:
        windows_job.close(windows_job.enclose(process))
        assert process.wait(timeout=30) is not None
