"""The name of a process is its own, and nobody's once it has ended."""

import os
import platform
import subprocess
import sys

import pytest

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


def test_containers_of_one_name_are_two_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a run in the one would look dead in the other, which counts its own processes."""
    here = identity.host()
    assert here.partition("/")[0] == platform.node()
    monkeypatch.setattr(os, "readlink", lambda _path: "pid:[4026532999]")
    assert identity.host() == f"{platform.node()}/4026532999" != here
