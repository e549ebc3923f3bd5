"""Child processes: their output is kept, they end when told, and never outlive their owner."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from rag_assets.processes import interrupts, ports, spawning, tree
from rag_assets_tests.patience import until

SLEEP = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); {SLEEP}"
POLITE = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: exit(print('asked', flush=True)))
print('up', flush=True)
time.sleep(600)
"""
SERVICE = f"""
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: time.sleep(0.3) or exit())
subprocess.Popen([sys.executable, '-c', {POLITE!r}])
time.sleep(600)
"""

Spawn = Callable[..., "subprocess.Popen[bytes]"]
linux = pytest.mark.skipif(sys.platform != "linux", reason="enforced by the Linux kernel")
posix = pytest.mark.skipif(os.name == "nt", reason="signals")


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """A Python program in a process that is gone after the test."""
    spawned: list[subprocess.Popen[bytes]] = []

    def start(code: str, **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", code]
        spawned.append(spawning.spawn(command, environment={**os.environ, **environment}, log=tmp_path / "a" / "log"))
        return spawned[-1]

    yield start
    for process in spawned:
        tree.stop_tree(process.pid, seconds=0.1)
        process.wait()


def log(tmp_path: Path) -> str:
    return (tmp_path / "a" / "log").read_text()


def test_free_port_is_the_wanted_one_when_it_is_free() -> None:
    """And another one when it is not."""
    port = ports.free_port("127.0.0.1")
    assert ports.free_port("127.0.0.1", wanted=port) == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        other = ports.free_port("127.0.0.1", wanted=taken.getsockname()[1])
        assert other not in (0, taken.getsockname()[1])


def test_free_port_refuses_an_address_of_another_machine() -> None:
    """192.0.2.1 is nobody's."""
    with pytest.raises(OSError, match="address"):
        ports.free_port("192.0.2.1", wanted=3000)


def test_output_is_appended_to_the_log(spawn: Spawn, tmp_path: Path) -> None:
    """Of both kinds, after what was there; its folder is made."""
    for word in ("one", "two"):
        assert (
            spawn(f"import os; print('{word}', flush=True); os.write(2, os.environ['WORD'].encode())", WORD="!").wait()
            == 0
        )
    assert log(tmp_path).split() == ["one", "!two", "!"]


def test_child_reads_nothing_from_the_terminal(spawn: Spawn) -> None:
    """Its standard input is empty."""
    assert spawn("import sys; sys.exit(len(sys.stdin.read()))").wait() == 0


def test_missing_program_is_in_the_log(tmp_path: Path) -> None:
    """Where the owner quotes it from."""
    try:
        process = spawning.spawn(["/nowhere/program"], environment=os.environ, log=tmp_path / "a" / "log")
    except OSError:
        return  # where nothing stands between us and the program
    assert process.wait() != 0
    assert "No such file" in log(tmp_path)


@linux
def test_child_is_killed_with_its_owner(tmp_path: Path) -> None:
    """Also when the owner had no time to say goodbye."""
    code = (
        "import os, pathlib, sys, time; from rag_assets.processes import spawning; "
        f"p = spawning.spawn([sys.executable, '-c', {SLEEP!r}], environment=os.environ, "
        f"log=pathlib.Path({str(tmp_path / 'log')!r})); print(p.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        until(lambda: b"_DIE_WITH" not in b" ".join(part.encode() for part in psutil.Process(pid).cmdline()))
        assert psutil.pid_exists(pid)
        owner.kill()
    until(lambda: not psutil.pid_exists(pid))


@posix
def test_ctrl_c_is_for_the_owner_alone(spawn: Spawn) -> None:
    """A terminal sends it to the whole group: the child is in one of its own."""
    assert os.getpgid(spawn(SLEEP).pid) != os.getpgid(0)


def test_stop_tree_ends_a_process_and_all_below_it(spawn: Spawn) -> None:
    """Those that it started and did not stop itself."""
    process = spawn(PARENT)
    until(lambda: tree.children(process.pid))
    [child] = tree.children(process.pid)
    tree.stop_tree(process.pid, seconds=0.5)
    assert not psutil.pid_exists(process.pid)
    until(lambda: not psutil.pid_exists(child))
    assert tree.children(process.pid) == tree.children(None) == []


@posix
def test_stop_tree_kills_what_does_not_end(spawn: Spawn, tmp_path: Path) -> None:
    """After it was asked, and after the time it was given."""
    process = spawn(STUBBORN)
    until(lambda: "up" in log(tmp_path))
    tree.stop_tree(process.pid, seconds=0.2)
    assert not psutil.pid_exists(process.pid)


@posix
def test_stop_trees_asks_only_those_it_is_told_of(spawn: Spawn, tmp_path: Path) -> None:
    """A service ends its children itself."""
    process = spawn(SERVICE)
    until(lambda: "up" in log(tmp_path))
    tree.stop_trees([process.pid], seconds=1.0)
    assert "asked" not in log(tmp_path)
    process.wait()


@posix
def test_stop_trees_waits_for_nobody_who_has_ended(spawn: Spawn) -> None:
    """A child that its parent has not asked about is a zombie for as long as the parent lives."""
    process = spawn("import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', '']); time.sleep(600)")
    until(lambda: any(p.status() == psutil.STATUS_ZOMBIE for p in psutil.Process(process.pid).children()))
    started = time.monotonic()
    tree.stop_tree(process.pid, seconds=600)
    assert time.monotonic() - started < 500
    process.wait()


def test_stopping_what_has_ended_is_no_error(spawn: Spawn) -> None:
    """It may end at any time by itself."""
    process = spawn("")
    process.wait()
    tree.stop_tree(process.pid, seconds=0.1)


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself SIGTERM there")
def test_clean_up_is_not_broken_off_by_a_second_interrupt() -> None:
    """The first one has its effect; afterwards, all is as it was before."""
    seen: list[str] = []

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in interrupts.INTERRUPTS}
    try:
        with interrupts.interrupted_once():
            try:
                signal.raise_signal(signal.SIGTERM)
            except KeyboardInterrupt:
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGINT)
                seen.append("cleaned up")
        assert seen == ["cleaned up"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
