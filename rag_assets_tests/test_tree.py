"""A process and all below it end when told, and nobody is waited for who has ended."""

import os
import secrets
import signal
import time
from pathlib import Path

import psutil
import pytest

from rag_assets.processes import tree
from rag_assets_tests.patience import until
from rag_assets_tests.spawned import SLEEP, Spawn, log

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
posix = pytest.mark.skipif(os.name == "nt", reason="signals")


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


def test_process_that_cannot_be_asked_is_killed_on_windows(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no console, as a service has none, cannot send what is sent there: Python itself fails then."""

    def refuse(*_: object) -> None:
        raise SystemError("<built-in function kill> returned a result with an exception set")

    process = spawn(SLEEP)
    monkeypatch.setattr(psutil.Process, "send_signal", refuse)
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    tree._break_off(psutil.Process(process.pid))
    assert process.wait(timeout=60) != 0


def test_marked_ones_are_found_wherever_they_are(spawn: Spawn) -> None:
    """Also those whose parent has ended; nobody who has ended, and nobody of another owner."""
    ours, theirs = secrets.token_hex(8), secrets.token_hex(8)  # other runs of the tests have marks of their own
    spawn(SLEEP, **{tree.MARK_VARIABLE: theirs})
    orphaned = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True)"
    spawn(orphaned, **{tree.MARK_VARIABLE: ours}).wait()
    until(lambda: len(tree.marked(ours)) == 1)
    [found] = tree.marked(ours)
    tree.stop_tree(found, seconds=5.0)
    assert tree.marked(ours) == set()
