"""The project's tests that need no server and no long programs, on this Python: `python suite.py [FILE...]`.

For the Windows of Wine, where a test that hangs could not be interrupted: the tests run in a process that is ended
when one of them takes too long, and the others go on in the next one. The last line has the counts.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

TESTS = Path(__file__).parent.parent
PLUGIN = "rag_assets_tests.windows.suite"
JOURNAL = "--journal"
TEST_SECONDS = 120.0
COLLECT_SECONDS = 900.0
ENDS = {
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.INTERRUPTED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
}
# What a file says whose tests have a server of PostgreSQL, which takes a minute to start under Wine.
SERVER = re.compile(r"\b(?:postgres_url|database_url|application|services|project|home|spawn)\b")
# Files whose tests start one program after the other, cut texts for many minutes, or are about this checkout.
APART = {
    "chunker", "deploy", "docs", "embedder", "embedding_client", "engines", "faults", "fuzz", "house", "machines",
    "openvino_server", "semantic", "siblings", "stopwatch", "structure", "tokens_server", "windows_run", "worker",
}  # fmt: skip
# What fails for Wine's own reasons: how a test's name begins, and the reason.
WINE = {"test_openvino_model.py::test_network": "OpenVINO finds no processor there"}


# ---- as a plugin of pytest, in the process of the tests


def pytest_addoption(parser: pytest.Parser) -> None:
    """The file that has a line for each test: its name as it begins, and how it ended."""
    parser.addoption(JOURNAL, type=Path)


def pytest_configure(config: pytest.Config) -> None:
    """Have what follows be noted there."""
    config.pluginmanager.register(Noting(Journal(config.getoption(JOURNAL))))


class Noting:
    """Notes how each test ends, and leaves out those that an earlier process of this run began."""

    def __init__(self, journal: "Journal") -> None:
        self._journal = journal

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        begun = set(self._journal.begun())
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in begun])
        items[:] = [item for item in items if item.nodeid not in begun]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._journal.note(nodeid, "begun")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self._journal.note(report.nodeid, report.outcome)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:  # a file whose tests are not even found
            self._journal.note(report.nodeid or "a file that is not there", "failed")


class Journal:
    """How each test ended: a line of JSON each, so that it outlives the process that wrote it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, name: str, what: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, what]) + "\n")

    def begun(self) -> list[str]:
        """Tests that began, in their order."""
        return [name for name, what in self._lines() if what == "begun"]

    def ended(self) -> list[tuple[str, str]]:
        """Tests and their outcomes."""
        return [(name, what) for name, what in self._lines() if what != "begun"]

    def _lines(self) -> Iterator[tuple[str, str]]:
        with self._path.open(encoding="utf-8") as file:
            for line in file:
                name, what = json.loads(line)
                yield name, what


# ---- as a program


def main() -> int:
    """0 where nothing failed but what fails for Wine's own reasons."""
    files = sys.argv[1:] or [
        str(path)
        for path in sorted(TESTS.glob("test_*.py"))
        if path.stem.removeprefix("test_") not in APART and not SERVER.search(path.read_text(encoding="utf-8"))
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        path.touch()
        journal = Journal(path)
        begun = 0
        while not _is_whole(files, path):
            names = journal.begun()
            if len(names) == begun:
                print("its process ended before a test began", flush=True)
                return 1
            begun = len(names)
            print(f"hung  {names[-1]}", flush=True)
            journal.note(names[-1], "failed")
        outcomes = dict(reversed(journal.ended()))  # of several, the first
    return _told(outcomes)


def _is_whole(files: list[str], path: Path) -> bool:
    """Run what is left; False where its process fell, or had to be ended."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "--continue-on-collection-errors"]
    command += ["-p", "no:cacheprovider", "-p", "no:terminalprogress", "-p", PLUGIN, JOURNAL, str(path), *files]
    with subprocess.Popen(command, cwd=TESTS.parent) as tests:
        size, since, patience = 0, time.monotonic(), COLLECT_SECONDS
        while tests.poll() is None:
            time.sleep(0.5)
            if path.stat().st_size != size:
                size, since, patience = path.stat().st_size, time.monotonic(), TEST_SECONDS
            if time.monotonic() - since > patience:
                for process in psutil.Process(tests.pid).children(recursive=True):
                    process.kill()
                tests.kill()
    return tests.returncode in ENDS  # else it was ended, or fell


def _told(outcomes: dict[str, str]) -> int:
    """Each failure with Wine's reason where it has one, and the counts; how many have none."""
    unexplained = 0
    for name, outcome in outcomes.items():
        if outcome == "failed":
            reason = next(
                (why for begin, why in WINE.items() if name.partition("rag_assets_tests/")[2].startswith(begin)), ""
            )
            unexplained += not reason
            print(f"failed  {name}: {reason or 'UNEXPLAINED'}", flush=True)
    count = Counter(outcomes.values())
    explained = count["failed"] - unexplained
    print(
        f"tests without a server: {count['passed']} passed, {explained} failed for Wine's reasons, "
        f"{unexplained} failed, {count['skipped']} skipped",
        flush=True,
    )
    return int(unexplained > 0 or not count["passed"])


if __name__ == "__main__":
    sys.exit(main())
