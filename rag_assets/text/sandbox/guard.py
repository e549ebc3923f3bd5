"""A child process that is asked questions, and killed with all its own when an answer takes too long or too much."""

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import psutil

from rag_assets.errors import DocumentError, ErrorKind
from rag_assets.processes import private_folder, windows_job
from rag_assets.stopwatch import Stopwatch
from rag_assets.text.sandbox import confinement, frames

WORKPLACE_PREFIX = "rag-assets-text-"  # of the names of work folders
POLL_SECONDS = 0.02  # between two looks at the clock and the child's memory
CLOSE_SECONDS = 2.0  # for the child to end by itself
WAITING_SHARE = 0.1  # of the time that our answers take, counted as the document's
WORKED_SHARE = 0.5  # of the time it had: a parse that was at work so long would not end the next time either
QUOTED_CHARACTERS = 400  # of the log, in an error
NEAR_THE_LIMIT = 1 / 3  # of its memory: a crash up there is one for want of memory, a buffer asks for twice its size

LEAST_EXCEPTION = 0x8000_0000  # of Windows: 0xC0000005 is an access violation; exit codes elsewhere end at 255

# Windows: no console, and nothing runs before the job is around it.
CREATION_FLAGS = windows_job.CREATE_SUSPENDED | getattr(subprocess, "CREATE_NO_WINDOW", 0) if os.name == "nt" else 0

# All that a child is told of its surroundings: no database, no credentials, no proxies.
VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "LD_LIBRARY_PATH")

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # a thread costs memory, and the embedder a core


class Guarded:
    """One child process; `peak_memory` is the most that was seen of it, in bytes."""

    def __init__(self, command: Sequence[str], *, memory: int, frame_limit: int, below: Path | None = None) -> None:
        self.peak_memory = 0
        self._memory = memory
        self._frame_limit = frame_limit
        self._open = contextlib.ExitStack()
        self._folder = self._open.enter_context(private_folder.workplace(WORKPLACE_PREFIX, below=below))
        self._log = self._folder / "log"
        self._lock = threading.Lock()  # over all below and the events: nobody is killed for an answer just given
        self._clock = Stopwatch()  # since the current request
        self._deadline: float | None = None  # seconds of it; None: idle; infinite: waits for us
        self._verdict: DocumentError | None = None
        self._doing = ""
        self._busy = threading.Event()
        self._closed = threading.Event()
        self._family: list[psutil.Process] = []
        try:
            self._process = self._spawn(command)
            self._job = windows_job.enclose(self._process, memory=memory)
        except BaseException:
            self._open.close()
            raise
        self._watcher = threading.Thread(target=self._watch, name="watch-text-worker", daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int:
        """The number of the child process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child has not ended."""
        return self._process.poll() is None

    @contextlib.contextmanager
    def limited(self, seconds: float, *, doing: str) -> Iterator[None]:
        """A stretch of at most `seconds`; DocumentError timed_out, too_large or crashed when it ends badly."""
        self._doing = doing
        self._seconds = seconds
        self._worked_before = None
        with self._lock:
            self._clock, self._deadline = Stopwatch(), seconds
        self._busy.set()
        try:
            yield
        except (OSError, frames.BrokenFrame) as exc:
            raise self._failure(exc) from exc
        except BaseException:
            self._kill()  # in the middle of a conversation: of no more use
            raise
        else:  # not when the next one begins: a child that fails at once has said why before it is asked anything
            self._log_start = self._log.stat().st_size
        finally:
            with self._lock:
                self._deadline = None

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """A stretch in which the child waits for us: it costs it a tenth, so that it cannot ask for ever."""
        with self._lock:
            deadline, started = self._deadline or 0, self._clock.look()
            self._deadline = math.inf
        yield
        with self._lock:
            self._deadline = deadline + (self._clock.look() - started) * (1 - WAITING_SHARE)

    def send(self, message: dict[str, Any], body: bytes = b"", *, file: int | None = None) -> None:
        """A message, and before it a copy of a descriptor that the child may use."""
        if sys.platform != "win32" and file is not None and self._files is not None:
            socket.send_fds(self._files, [b"f"], [file])
        frames.write(cast(IO[bytes], self._process.stdin), message, body)

    def receive(self) -> frames.Frame:
        """The next frame from the child; BrokenPipeError where it ended instead."""
        frame = frames.read(cast(IO[bytes], self._process.stdout), limit=self._frame_limit)
        if frame is None:
            raise BrokenPipeError("the process ended")
        return frame

    def interrupt(self) -> None:
        """Kill it if it is at work, from any thread: what it was asked ends as crashed."""
        with self._lock:
            if self._deadline is not None:
                self._verdict = self._error("crashed", "was interrupted: the run is being stopped")
                self._kill()

    def quote(self) -> str:
        """What the child wrote since the last request was answered: the head of a crash report, else the last words."""
        with contextlib.suppress(OSError), self._log.open("rb") as log:
            log.seek(max(self._log_start, self._log.stat().st_size - 64 * 2**10))
            said = " ".join(log.read().decode("utf-8", "replace").split())
            crash = said.rfind("Fatal Python error")
            return said[crash:][:QUOTED_CHARACTERS] if crash >= 0 else said[-QUOTED_CHARACTERS:]
        return ""

    def close(self) -> None:
        """End the child: ask, wait, kill."""
        with self._lock:  # or the watcher, who saw neither, could clear the one that is to wake it
            self._closed.set()
            self._busy.set()
        with contextlib.suppress(OSError):
            cast(IO[bytes], self._process.stdin).close()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            self._await_end()
        cast(IO[bytes], self._process.stdout).close()
        self._watcher.join()
        windows_job.close(self._job)
        self._open.close()

    _log_start = 0
    _seconds = 0.0
    _files: socket.socket | None = None  # by which descriptors of documents go to the child
    _worked_before: float | None = None  # processor time of the child when the current request was first looked at

    def _spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        place = self._folder / "work"
        place.mkdir()
        environment, theirs = _environment(os.environ, place), contextlib.ExitStack()
        inherited = []
        if os.name != "nt":
            self._files, end = (self._open.enter_context(each) for each in socket.socketpair())
            inherited = [end.fileno()]
            environment[frames.FILES_VARIABLE] = str(end.fileno())
            theirs.callback(end.close)
        with self._log.open("wb") as log, theirs:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=place,
                env=environment,
                pass_fds=inherited,
                start_new_session=os.name != "nt",
                creationflags=CREATION_FLAGS,
            )

    def _watch(self) -> None:
        while self._busy.wait() and not self._closed.is_set():
            with self._lock:
                if self._closed.is_set():
                    return
                if self._deadline is None:
                    self._busy.clear()
                else:
                    self._judge(self._deadline)
            self._closed.wait(POLL_SECONDS)

    def _judge(self, deadline: float) -> None:
        used, memory = self._clock.look(), self._resident()
        if self._worked_before is None:
            self._worked_before = self._processor_seconds()
        self.peak_memory = max(self.peak_memory, memory)
        if memory > self._memory:
            self._verdict = self._too_large(f"took {memory / 2**20:,.0f} MiB of memory")
        elif used > deadline:
            self._verdict = self._late()
        if self._verdict is not None:
            self._kill()

    def _late(self) -> DocumentError:
        """Who worked all the time would do so again; who waited, for a disk or the processor, may not."""
        worked = self._processor_seconds() - (self._worked_before or 0.0)
        certain = worked > self._seconds * WORKED_SHARE
        again = f", {worked:.0f} s of it at work, and is not tried again until it changes" if certain else ""
        what = f"took longer than {self._seconds:g} s (parsing.max_seconds){again}"
        return self._error("timed_out", what, certain=certain)

    def _processor_seconds(self) -> float:
        """The processor time that the child has used since it started, in seconds."""
        with contextlib.suppress(psutil.Error):
            used = [process.cpu_times() for process in self._family]
            return float(sum(times.user + times.system for times in used))
        return 0.0

    def _resident(self) -> int:
        """Bytes in memory; 0 when the process is gone. On Windows a launcher may stand before the interpreter."""
        with contextlib.suppress(psutil.Error):
            if not self._family:
                process = psutil.Process(self.pid)
                self._family = [process, *(process.children() if os.name == "nt" else ())]
            return sum(process.memory_info().rss for process in self._family)
        return 0

    def _kill(self) -> None:
        family = []
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(self.pid).children(recursive=True)
        if sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._process.kill()

    def _await_end(self) -> None:
        """Wait until a killed child has ended; one that the kernel holds, as its disk is gone, is left to it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_SECONDS)

    def _failure(self, cause: Exception) -> DocumentError:
        """What to say of a child that does not answer any more, or answers nonsense."""
        with self._lock:
            self._deadline = None
        try:
            code = self._process.wait(CLOSE_SECONDS if isinstance(cause, OSError) else 0)
        except subprocess.TimeoutExpired:
            self._kill()
            self._await_end()
            return self._verdict or self._error("crashed", f"gave an answer that cannot be used: {cause}")
        if self._verdict is not None:
            return self._verdict
        near_the_limit = self.peak_memory > self._memory * NEAR_THE_LIMIT
        if code == confinement.EXIT_OUT_OF_MEMORY or (_is_crash(code) and near_the_limit):
            return self._too_large("ran out of memory")
        quoted = f"; it wrote: {said}" if (said := self.quote()) else ""
        return self._error("crashed", f"ended with {_name_of(code)}{quoted}")

    def _too_large(self, what: str) -> DocumentError:
        limit = self._memory // 2**20
        return self._error("too_large", f"{what}; the limit (parsing.max_memory_mb) is {limit:,} MiB")

    def _error(self, kind: ErrorKind, what: str, *, certain: bool = False) -> DocumentError:
        return DocumentError(kind, f"The process that was {self._doing} {what}", certain=certain)


def _environment(given: Mapping[str, str], workplace: Path) -> dict[str, str]:
    kept = {name: value for name, value in given.items() if name.upper() in VARIABLES}
    return kept | ONE_THREAD | dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP"), str(workplace))


def _is_crash(code: int) -> bool:
    """Whether a process did not end by itself: by a signal, or on Windows with the number of an exception."""
    return code < 0 or code >= LEAST_EXCEPTION


def _name_of(code: int) -> str:
    if code >= LEAST_EXCEPTION:
        return f"exception {code:#010x}"
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
