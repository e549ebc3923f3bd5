"""bundled.postgres_watchdog, what Windows asks of it: no handle outlives its use, and each DLL is found."""

import os
import shutil
import sys
from pathlib import Path

import psutil
import pytest

from rag_assets.bundled import data_directory, postgres, postgres_watchdog
from rag_assets.errors import SettingsError
from rag_assets_tests.homes import posix

# Says that it is ready and ends; who it started keeps its output, as the launcher of a virtual environment does.
LAUNCHER = """
import json, subprocess, sys
kept = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"])
print("ready", flush=True)
print(kept.pid, file=open(json.loads(sys.argv[1])["home"] + "/kept", "w"))
"""
FAILING = "print('no room'); print('at all')"
STREAMS = """#!/bin/sh
streams=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2)
echo "$streams" > "$2"
"""


def _spec(home: Path, binaries: Path) -> postgres_watchdog.Spec:
    return postgres_watchdog.Spec(str(home), str(home / "data"), str(binaries), [], None, None, None, None)


def test_start_goes_on_when_the_watchdog_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when the last process that has its output ends."""
    (tmp_path / "launcher.py").write_text(LAUNCHER)
    monkeypatch.setattr(postgres_watchdog, "__file__", str(tmp_path / "launcher.py"))
    assert postgres._run_watchdog(_spec(tmp_path, tmp_path)) == postgres_watchdog.READY_ANSWER
    kept = psutil.Process(int((tmp_path / "kept").read_text()))
    assert kept.is_running()
    kept.kill()


def test_all_that_a_failing_watchdog_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have several lines."""
    (tmp_path / "failing.py").write_text(FAILING)
    monkeypatch.setattr(postgres_watchdog, "__file__", str(tmp_path / "failing.py"))
    assert postgres._run_watchdog(_spec(tmp_path, tmp_path)).split() == ["no", "room", "at", "all"]


@posix
def test_pg_ctl_has_no_stream_of_ours(tmp_path: Path) -> None:
    """On Windows, the server has what it has, for as long as it lives."""
    (tmp_path / "pg_ctl").write_text(STREAMS)
    (tmp_path / "pg_ctl").chmod(0o755)
    postgres_watchdog._pg_ctl(_spec(tmp_path, tmp_path), "start")
    assert (tmp_path / "data").read_text().split() == [os.devnull] * 3


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages on Windows, with one that brings the DLL which postgres.exe needs."""
    (tmp_path / "gmpy2").mkdir()
    (tmp_path / "gmpy2" / "__init__.py").touch()
    (tmp_path / "gmpy2.libs").mkdir()
    (tmp_path / "gmpy2.libs" / "libwinpthread-1.dll").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(postgres_watchdog, "WINDOWS", True)
    return tmp_path


def test_thread_library_is_found_first_on_windows(packages: Path) -> None:
    """Before all that the user's PATH has."""
    folders = postgres_watchdog.server_environment()["PATH"].split(os.pathsep)
    assert folders == [str(packages / "gmpy2.libs"), *os.environ["PATH"].split(os.pathsep)]
    assert data_directory.programs().is_dir()


def test_missing_thread_library_is_named(packages: Path) -> None:
    """With what brings it: initdb would say that there is no postgres."""
    shutil.rmtree(packages / "gmpy2.libs")
    with pytest.raises(SettingsError, match=r"libwinpthread-1.dll.*pip install .gmpy2"):
        data_directory.programs()
