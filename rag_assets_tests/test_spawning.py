"""Child processes: their output is kept, they end when told, and never outlive their owner."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from rag_assets.processes import spawning
from rag_assets_tests.patience import until
from rag_assets_tests.spawned import SLEEP, Spawn, log

linux = pytest.mark.skipif(sys.platform != "linux", reason="enforced by the Linux kernel")
posix = pytest.mark.skipif(os.name == "nt", reason="signals")


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


def test_program_that_is_waited_for_says_what_it_did() -> None:
    """Both outputs and the exit code; one that takes too long is ended."""
    done = spawning.run_to_end([sys.executable, "-c", "import sys; print('out'); sys.exit('err')"], seconds=120)
    assert (done.stdout.strip(), done.stderr.strip(), done.returncode) == ("out", "err", 1)
    with pytest.raises(subprocess.TimeoutExpired):
        spawning.run_to_end([sys.executable, "-c", SLEEP], seconds=0.1)


def test_program_that_is_waited_for_is_ended_when_we_end() -> None:
    """Who waits for it goes on, and none is left."""
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(spawning.run_to_end, [sys.executable, "-c", SLEEP], seconds=600)
        until(lambda: bool(spawning._waited_for))
        [program] = spawning._waited_for
        spawning.end_all()
        assert waiting.result().returncode != 0
    assert not psutil.pid_exists(program.pid)
