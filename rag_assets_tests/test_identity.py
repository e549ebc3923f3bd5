"""The name of a process is its own, and nobody's once it has ended."""

import os
import subprocess
import sys

from rag_assets.processes import identity


def test_name_stays_while_a_process_lives_and_is_gone_when_it_has_ended() -> None:
    """Also while its parent has not yet asked how it ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        name = identity.identify(process.pid)
        assert name is not None
        assert identity.identify(process.pid) == name
        assert name != identity.identify(os.getpid())
        process.kill()
        if os.name != "nt":
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and still a zombie
            assert identity.identify(process.pid) is None
    assert identity.identify(process.pid) != name
