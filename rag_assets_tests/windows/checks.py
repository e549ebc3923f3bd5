"""What a Windows operator does, one thing after the other, each `passed` or `FAILED`: `python checks.py FOLDER`.

To be run by the Python of Windows that has the project, in a console, whose Ctrl-C ends `rag-assets up`. FOLDER is
made anew: documents and the home are in it. The exit code is 1 where something failed.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import psycopg2

from rag_assets.bundled import postgres
from rag_assets.client import Index, IndexUnavailable

PATIENCE_SECONDS = 900.0  # under Wine, a command takes ten seconds to begin; a minute where others work, too
JAPANESE = "返品は三十日以内に受け付けます。"
# What runs under `up`, by what its command line has; each is killed once.
PROCESSES = {
    "search service": "rag_assets.service.search_service",
    "webserver": "rag_assets.service.dagster_ui",
    "daemon": "dagster-daemon",
    "code server": "rag_assets.definitions",
    "prewarmed process": "rag_assets.runner",
    "llama-server": "rag_assets.bundled.llama_server",
    "PostgreSQL": "postgres.exe -D",
    "watchdog": "postgres_watchdog.py",
}
OURS = (*PROCESSES.values(), "rag_assets", "postgres.exe")


def command(*arguments: object) -> "subprocess.CompletedProcess[bytes]":
    """Run a command to its end; AssertionError with what it said where it fails."""
    line = [sys.executable, "-m", "rag_assets", *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, timeout=PATIENCE_SECONDS * 2, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, f"`{' '.join(map(str, arguments))}` ended with {done.returncode}: {said[-1500:]}"
    return done


def until(condition: Callable[[], object], *, what: str) -> None:
    """Wait until it holds; AssertionError where it does not come to."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {PATIENCE_SECONDS:.0f} s"
        time.sleep(0.5)


def processes(*words: str) -> list[psutil.Process]:
    """Those whose command line has one of the words, without ourselves and who started us."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            line = " ".join(process.cmdline())
            if process.pid not in own and any(word in line for word in words):
                found.append(process)
    return found


def nothing_is_left() -> None:
    """No process of ours runs."""
    with suppress(AssertionError):
        until(lambda: not processes(*OURS), what="the end of all processes")
    left = [" ".join(process.cmdline())[:120] for process in processes(*OURS)]
    assert not left, f"left: {left}"


class Up:
    """`rag-assets up`, and what it said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rag_assets", "up", "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            until(lambda: self.url and "Dagster is at" in self.text, what="its pages")
        except AssertionError as exc:
            raise AssertionError(f"{exc}; it said: {self.text[-1500:]}") from exc

    @property
    def text(self) -> str:
        return "".join(self.said)

    @property
    def url(self) -> str:
        """Where the search service is now."""
        return (re.findall(r"Search is at (\S+)", self.text) or [""])[-1]

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.decode(errors="replace"))

    def finds(self, word: str) -> bool:
        """Whether a search has it by now."""
        with suppress(IndexUnavailable, OSError), Index(self.url) as index:
            return any(word in hit.content for hit in index.search(word, k=3))
        return False

    def follows(self, documents: Path, word: str) -> None:
        """A new document, registered by another process, is found."""
        (documents / f"{word}.md").write_text(f"# {word}\n\nThe {word} valve is closed by hand.", encoding="utf-8")
        command("register", documents / f"{word}.md")
        until(lambda: self.finds(word), what=f"the change to {word}.md")


class Checks:
    """Each check is tried; what it printed and whether it passed."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "rag home ä"
        self.documents = folder / "Dokumente ö"
        self.documents.mkdir(parents=True)
        self.failed: list[str] = []
        self.passed = 0

    @contextmanager
    def check(self, name: str) -> Iterator[None]:
        """Print how the block ended, and go on."""
        started = time.monotonic()
        try:
            yield
        except Exception as exc:  # noqa: BLE001 - the others are tried, too
            self.failed.append(name)
            print(f"FAILED  {name}: {type(exc).__name__}: {exc}", flush=True)
            if not isinstance(exc, AssertionError):
                traceback.print_exc(file=sys.stdout)
        else:
            self.passed += 1
            print(f"passed  {name} ({time.monotonic() - started:.0f} s)", flush=True)

    def commands(self) -> None:
        """Commands that end."""
        with self.check("demo: six documents, two questions, exit status 0"):
            said = json.loads(command("demo", "--json").stdout)
            assert said["completed"] == 6, said
        with self.check("nothing runs after a command"):
            nothing_is_left()
        with self.check("parse writes Japanese to a pipe"):
            (self.documents / "返品.txt").write_text(JAPANESE, encoding="utf-8")
            assert JAPANESE in command("parse", self.documents / "返品.txt").stdout.decode("utf-8")
        with self.check("two commands at once on one home"):
            both = [threading.Thread(target=self._status) for _ in range(2)]
            self._statuses: list[int] = []
            for each in both:
                each.start()
            for each in both:
                each.join()
            assert len(self._statuses) == 2, self._statuses
            assert len(set(self._statuses)) == 1, self._statuses  # six, or more where other parts came before

    def _status(self) -> None:
        self._statuses.append(json.loads(command("status", "--json").stdout)["documents"])

    def paths(self) -> None:
        """Rows with paths as Windows has them."""
        with self.check("register and ingest a file by its drive"):
            (self.documents / "drive.md").write_text("# Drive\n\nThe quince valve.", encoding="utf-8")
            command("register", (self.documents / "drive.md").absolute())
            command("ingest")
            assert "quince" in command("search", "quince", "--json").stdout.decode()
        with self.check("a UNC path is read through source.path_map, and refused without"):
            url = postgres.start(self.home)
            with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
                cursor.execute(
                    'insert into "TblDocumentFiles" (file_path) values (%s), (%s)',
                    (r"\\server\share\unc.md", r"\\other\share\unc.md"),
                )
            (self.documents / "unc.md").write_text("# Share\n\nThe medlar valve.", encoding="utf-8")
            os.environ["RAG_ASSETS_SOURCE__PATH_MAP"] = json.dumps({r"\\server\share": str(self.documents)})
            with suppress(AssertionError):  # one of the two is refused
                command("ingest")
            assert "medlar" in command("search", "medlar", "--json").stdout.decode()
            said = command("status", "--json").stdout.decode()
            assert "outside_root" in said, said
            postgres.release(self.home)

    def up(self) -> None:
        """Everything, with each of its processes killed once."""
        up: Up | None = None
        with self.check("up starts, and says where its pages are"):
            up = Up()
        if up is None:
            return
        with self.check("a change reaches the search service"):
            up.follows(self.documents, "persimmon")
        for number, (name, words) in enumerate(PROCESSES.items()):
            with self.check(f"after a kill of the {name}, the next change reaches it"):
                assert self._killed(words), "there is none"
                up.follows(self.documents, f"fruit{number}")
        with self.check("Ctrl-C ends it in order after all of that, and nothing is left"):
            self._interrupt(up)

    def stop(self) -> None:
        """A new one until Ctrl-C, and one until it is killed. Of Ctrl-Break, Wine tells no program, and ends it."""
        with self.check("Ctrl-C ends up in order, and nothing is left"):
            self._interrupt(Up())
        with self.check("a kill of up ends all that it started"):
            Up()
            assert self._killed("rag_assets up")
            nothing_is_left()

    def _interrupt(self, up: Up) -> None:
        signal.signal(signal.SIGINT, lambda *_: None)  # it goes to all in this console
        os.kill(0, getattr(signal, "CTRL_C_EVENT", signal.SIGINT))
        up.process.wait(PATIENCE_SECONDS)
        assert up.process.returncode == 0, f"it ended with {up.process.returncode}: {up.text[-1500:]}"
        nothing_is_left()

    def tests(self) -> None:
        """The project's tests that need no server of PostgreSQL."""
        with self.check("of the tests that need no server, only those fail that Wine explains"):
            program = Path(__file__).with_name("suite.py")
            assert subprocess.run([sys.executable, str(program)], check=False).returncode == 0, "see above"

    def _killed(self, words: str) -> int:
        """Kill the processes whose command line has these words; how many there were."""
        found = processes(words)
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        return len(found)


def main() -> int:
    """Run all checks in the folder that the first argument names."""
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    checks = Checks(folder)
    for name in [name for name in os.environ if name.startswith(("RAG_ASSETS_", "DATABASE_URL", "LLAMA_SERVER"))]:
        del os.environ[name]
    os.environ["RAG_ASSETS_HOME"] = str(checks.home)
    os.chdir(folder)
    print(f"{sys.version} at {sys.executable}; home {checks.home}", flush=True)
    for part in sys.argv[2:] or ("commands", "stop", "up", "paths"):
        getattr(checks, part)()
    print(f"{checks.passed} passed, {len(checks.failed)} failed", flush=True)
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
