"""The llama-server process: checked ground, a start that is ready, dead or late, and an end without orphans."""

import hashlib
import importlib
import json
import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import psutil

from rag_assets.embedding import known
from rag_assets.embedding.client import EmbeddingClient, ServerAway
from rag_assets.embedding.door import LONGEST_SOCKET_PATH, SOCKET, Door, Owned, to_owned
from rag_assets.errors import EmbeddingError, Interrupted, ServerFailedToStart, ServerKilled
from rag_assets.model_sets import ModelSet
from rag_assets.processes import memory, ports, spawning, tree
from rag_assets.settings import PAGE_SECRETS, SENSOR_SECRETS, WORK_SECRETS
from rag_assets.settings import LlamaServer as LlamaServerSettings
from rag_assets.stopwatch import Stopwatch

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

UBATCH_TOKENS = 512  # attention is over all tokens of a physical batch: 2048 was a third slower
LOG_TAIL_LINES = 12
KEPT_LOGS = 5
LOOK_SECONDS = 0.01  # between looks at whether it is ready
STOP_SECONDS = 1.0  # it has nothing to save, but waits for what it computes
REAPED_SECONDS = 0.5  # from the end of its connections to that of a process that is killed
# How a process ends that somebody else ends: by SIGHUP, SIGINT, SIGKILL (the kernel's for want of memory, too) or
# SIGTERM, or with 0, as it does when it is asked to. What breaks by itself ends otherwise.
ENDED_BY_OTHERS = frozenset({0, -1, -2, -9, -15})
MOST_KILLED = 5  # further starts of a server, and tries of a question, where somebody else ends the server meanwhile
HELP_SECONDS = 30.0
PORT_TRIES = 3
# Beyond the model's file, which may be in memory twice: mapped, and in the order that is fastest to compute with. For
# the longest text 60 MB were measured with llama.cpp, whichever quantization, and 80 MB with OpenVINO.
QUERY_BYTES = 150_000_000
RECORD_PATTERN = "llama-server-*.json"  # in the home's folder `run`, each beside the key of its server
SOCKET_HELP = ".sock"  # what --help says of --host where it may be a socket file
SECRETS = WORK_SECRETS | PAGE_SECRETS | SENSOR_SECRETS | {"DAGSTER_PG_URL", "PGPASSWORD"}
CANARY = known.TEXTS
LEAST_COSINE = 0.999  # cosine of a text embedded alone and in a mixed batch

logger = logging.getLogger(__name__)


class Record(TypedDict):
    """What a file of RECORD_PATTERN says of a server: its process and its owner's, and where it listens."""

    pid: int
    created: float  # seconds since the epoch
    owner: int
    owner_created: float
    folder: str  # of its socket; empty where it listens on a port
    host: str
    model: str  # its file
    note: str  # why its engine is not a faster one; empty where there is nothing to say


class LlamaServer:
    """One llama-server process. `start` and `stop` belong to one owner; `stop` may be called at any time, twice.

    `command` is the beginning of its command line: a native binary, or the embedded one. `name` is that of its engine
    in messages; its record has the `note` on why it is not a faster one, for `rag-assets status`.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        model: Path,
        settings: LlamaServerSettings,
        home: Path,
        of_model: ModelSet,
        longest: int = UBATCH_TOKENS,
        name: str = "llama-server",
        note: str = "",
    ) -> None:
        self._name = name
        self._note = note
        self._command = list(command)
        self._model = model
        self._settings = settings
        self._of_model = of_model
        self._longest = longest  # tokens of one text, special ones included
        self._run = home / "run"
        self._logs = home / "logs"
        self._nonce = ""
        self._is_given_up: Callable[[], bool] = lambda: False
        self._socket_folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self.client: EmbeddingClient | None = None
        self.build: str | None = None
        self.first_vectors: NDArray[float32] | None = None  # of CANARY, embedded together at the start
        self.degraded = False  # one text at a time, because batches came out wrong

    @property
    def pid(self) -> int | None:
        """The number of the process that was started last; None where none was."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the process that was started last has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def memory_bytes(self) -> int | None:
        """What the process and those that it started have in memory; None where it does not run."""
        with suppress(psutil.NoSuchProcess):
            if self.pid is not None:
                return tree_bytes(self.pid)
        return None

    def start(
        self, *, needed_bytes: int | None = None, is_given_up: Callable[[], bool] = lambda: False
    ) -> EmbeddingClient:
        """Start the process and prove that its vectors are right.

        `needed_bytes` of memory must be available; without it, as many as llama_server.required_memory_gb says.
        Raises NotEnoughMemory before anything is started, ServerFailedToStart with the log's last lines, ServerKilled
        where somebody else ended it at each of some starts, Interrupted when `is_given_up` says so meanwhile.
        """
        memory.require(self.required_bytes if needed_bytes is None else needed_bytes)
        if not self._model.is_file():
            lacks = f"there is no model file {self._model}: put it back, or check LLAMA_SERVER_MODEL"
            raise ServerFailedToStart(lacks, of=self._name)
        sweep(self._run)
        self._is_given_up = is_given_up
        try:
            self._start_unless_killed()
        except OSError as exc:
            self.stop()
            where = exc.filename or self._run
            raise ServerFailedToStart(f"{where}: {exc.strerror}; is its disk full?", of=self._name) from exc
        except BaseException:
            self.stop()
            raise
        assert self.client is not None  # noqa: S101 - set by _start_somewhere
        self.build = self.client.build() or self._command[0]
        return self.client

    @property
    def required_bytes(self) -> int:
        """What must be available before documents are ingested."""
        return int(self._settings.required_memory_gb * 1e9)

    @property
    def query_bytes(self) -> int:
        """What must be available before a query is embedded: what the process itself takes, and no more than that."""
        size = self._model.stat().st_size if self._model.is_file() else 0
        return min(self.required_bytes, 2 * size + QUERY_BYTES)

    def stop(self) -> None:
        """End the process: ask, wait, kill."""
        if self.client is not None:
            self.client.close()
            self.client = None
        if self._process is not None:
            tree.stop_tree(self._process.pid, seconds=STOP_SECONDS)
            self._ended.wait(STOP_SECONDS)
            self._process = None
        for name in (self._record, self._key_file):
            with suppress(FileNotFoundError, NotADirectoryError):  # the latter under a home that is none
                name.unlink()
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
            self._socket_folder = None

    @property
    def log(self) -> Path:
        """The file that takes the output of the process."""
        return self._logs / f"llama-server-{self._nonce}.log"

    @property
    def _record(self) -> Path:
        return self._run / f"llama-server-{self._nonce}.json"

    @property
    def _key_file(self) -> Path:
        return self._run / f"llama-server-{self._nonce}.key"

    def _start_unless_killed(self) -> None:
        """Whom somebody else ends while it starts is started again, some times."""
        for killed in range(1 + MOST_KILLED):
            try:
                return self._start_proven()
            except ServerFailedToStart as exc:
                if not self.was_killed() or self._is_given_up():
                    raise
                if not killed:
                    logger.warning("%s was killed while it started and is started again: %s", self._name, exc)
                failure = exc
            self.stop()
        why = f"it was killed at each of {1 + MOST_KILLED} starts, by somebody or by the system for want of memory"
        raise ServerKilled(why, of=self._name) from failure

    def _start_proven(self) -> None:
        """One text at a time, where those that are embedded together come out otherwise."""
        self._start_somewhere()
        if not self._passes_self_test():
            self.stop()
            self.degraded = True
            self._start_somewhere()
            if not self._passes_self_test():
                raise self._failed("its vectors of the same text differ from call to call")

    def was_killed(self) -> bool:
        """Whether somebody else ended the process, who knows nothing of what it was to do."""
        return (
            self._process is not None and self._ended.wait(REAPED_SECONDS) and self._process.poll() in ENDED_BY_OTHERS
        )

    def _start_somewhere(self) -> None:
        """A port that was asked for may be taken by somebody else before the server has it: try any other."""
        for attempt in range(PORT_TRIES):
            self._spawn(wanted=self._settings.port if attempt == 0 else 0)
            importlib.import_module("numpy")  # a fifth of a second, which the first vectors would wait for
            if self._wait_until_ready():
                return
            taken = re.search(r"bind|address already in use", self._log_text(), re.IGNORECASE)
            if not taken or attempt == PORT_TRIES - 1:
                raise self._failed("it ended while starting")
            self.stop()

    def _spawn(self, *, wanted: int) -> None:
        self._nonce = secrets.token_hex(8)
        self._run.mkdir(parents=True, exist_ok=True)
        _keep_last_logs(self._logs)
        key = secrets.token_hex(16)
        with os.fdopen(os.open(self._key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key + "\n")
        host, port = self._place(wanted)
        command = [*self._command, *self._flags(host, port)]
        process = self._process = self._in_a_thread_of_its_own(command)
        self._write_record()
        self.client = EmbeddingClient(
            "http://localhost",  # the door decides where that is
            api_key=key,
            of_model=self._of_model,
            timeout_seconds=self._settings.request_timeout_seconds,
            door=self._door(process),
        )

    def _place(self, wanted: int) -> tuple[str, int]:
        """Where the server is to listen: a socket file in a folder that only we can enter, or else a port.

        Port 0 has the server choose: nobody can take it before.
        """
        chosen = self._settings
        by_hand = chosen.port or chosen.host != type(chosen)().host
        if not by_hand and hasattr(socket, "AF_UNIX") and SOCKET_HELP in self._known_flags():
            self._socket_folder = _private_folder(self._run / f"llama-server-{self._nonce}")
            return str(self._socket_folder / SOCKET), 0
        try:
            return chosen.host, ports.free_port(chosen.host, wanted=wanted) if wanted else 0
        except OSError as exc:
            raise ServerFailedToStart(f"{chosen.host}: {exc}; check llama_server.host", of=self._name) from exc

    def _door(self, process: "subprocess.Popen[bytes]") -> Door:
        owned = Owned(process.pid, is_alive=lambda: process.poll() is None)
        return to_owned(owned, folder=self._socket_folder, host=self._settings.host)

    def _in_a_thread_of_its_own(self, command: list[str]) -> subprocess.Popen[bytes]:
        """The kernel kills the child when the *thread* that spawned it ends: this one waits for the child."""
        spawned: list[subprocess.Popen[bytes] | BaseException] = []
        is_spawned, ended = threading.Event(), threading.Event()

        def own() -> None:
            try:
                spawned.append(spawning.spawn(command, environment=_environment(), log=self.log))
            except OSError as exc:
                spawned.append(exc)
            is_spawned.set()
            if isinstance(spawned[0], subprocess.Popen):
                spawned[0].wait()
            ended.set()

        threading.Thread(target=own, name="llama-server", daemon=True).start()
        is_spawned.wait()
        self._ended = ended
        if isinstance(spawned[0], BaseException):
            cannot = f"{command[0]}: {spawned[0]}; check LLAMA_SERVER_BINARY"
            raise ServerFailedToStart(cannot, of=self._name) from spawned[0]
        return spawned[0]

    def _flags(self, host: str, port: int) -> list[str]:
        required = [
            *("--model", str(self._model)),
            *("--host", host, "--port", str(port)),
            *self._purpose(),
            *self._speed_flags(),
            *("--api-key-file", str(self._key_file)),
        ]
        wanted = [
            ("--cache-ram", "0"),  # its default may take 8 GB
            ("--embd-normalize", "2"),
            ("--no-cache-idle-slots",),
            ("--no-webui",),
            ("--no-slots",),
            ("--cors-origins", "localhost"),
        ]
        known = self._known_flags()
        return required + [word for flag in wanted if flag[0] in known for word in flag]

    def _purpose(self) -> list[str]:
        """The flags that say what it is asked for."""
        return [*(("--embedding",) if self._settings.embedding_only else ()), "--pooling", self._of_model.pooling]

    def _known_flags(self) -> frozenset[str]:
        return known_flags(self._command, cache=self._run / "flags")

    def _speed_flags(self) -> list[str]:
        """What decides how fast it is; with `own_defaults`, only what is set.

        No more slots than longest texts fit into a batch: of those that do not, the ones in the last slots wait for
        as long as new texts come, as a batch is filled from the first slot on.
        """
        chosen = self._settings
        slots, ubatch, threads = chosen.parallel, chosen.ubatch_size, chosen.threads
        if not chosen.own_defaults:
            ubatch = ubatch or max(UBATCH_TOKENS, self._longest)
            slots = slots or max(1, chosen.ctx_size // self._longest)
            threads = threads or psutil.cpu_count(logical=False) or os.cpu_count() or 1
        slots = min(slots or 1, max(1, (ubatch or UBATCH_TOKENS) // self._longest))
        if self.degraded:
            slots = 1
        return [
            *("--ctx-size", str(slots * self._longest), "--parallel", str(slots)),
            *(("--batch-size", str(ubatch), "--ubatch-size", str(ubatch)) if ubatch else ()),
            *(("--threads", str(threads)) if threads else ()),
        ]

    def _wait_until_ready(self) -> bool:
        """Whether the server is ready; False: it died. Raises when it is late, or takes requests of others."""
        assert self.client is not None  # noqa: S101 - called after spawning
        watch = Stopwatch()
        while watch.look() < self._settings.startup_timeout_seconds:
            if self._is_given_up():
                raise Interrupted
            if not self.alive:
                return False
            if self.client.healthy():
                if self.client.refuses_strangers():
                    return True
                raise self._failed("it answers requests that do not carry its key, so anybody could use it")
            time.sleep(LOOK_SECONDS)
        late = f"not ready within {self._settings.startup_timeout_seconds:.0f} s"
        raise self._failed(f"{late}, or not the one who answers, at {self.client.where}")

    def _passes_self_test(self) -> bool:
        """The canary: texts embedded alone and in a mixed batch agree, in builds where batching works."""
        assert self.client is not None  # noqa: S101 - called after a start
        try:
            alone = [self.client.embed([text])[0] for text in CANARY]
            self.first_vectors = together = self.client.embed(CANARY)
        except ServerAway as exc:
            raise self._failed(f"it did not answer its first request: {exc}") from exc
        except EmbeddingError as exc:
            raise self._failed(f"its first vectors are wrong: {exc}") from exc
        return all(float(a @ b) >= LEAST_COSINE for a, b in zip(alone, together, strict=True))

    def _failed(self, reason: str) -> ServerFailedToStart:
        what = f"{reason}, with {self._model.name} ({self.log})"
        return ServerFailedToStart(what, of=self._name, log_tail=self._tail())

    def _tail(self) -> str:
        return "\n".join(self._log_text().splitlines()[-LOG_TAIL_LINES:])

    def _log_text(self) -> str:
        with suppress(OSError):
            return self.log.read_text(errors="replace")
        return ""

    def _write_record(self) -> None:
        owner = psutil.Process()
        assert self._process is not None  # noqa: S101 - called after spawning
        with suppress(psutil.NoSuchProcess):
            child = psutil.Process(self._process.pid)
            record: Record = {
                "pid": child.pid,
                "created": child.create_time(),
                "owner": owner.pid,
                "owner_created": owner.create_time(),
                "folder": str(self._socket_folder or ""),
                "host": self._settings.host,
                "model": str(self._model),
                "note": self._note,
            }
            self._record.write_text(json.dumps(record))


class RerankServer(LlamaServer):
    """The same for a model that scores passages; whether its scores are right is for who asks it: see Reranker."""

    def _purpose(self) -> list[str]:
        return ["--rerank"]

    def _passes_self_test(self) -> bool:
        return True


def sweep(folder: Path) -> None:
    """End servers of ours whose owner is gone: found by pid and start time as recorded, never by name."""
    for file in folder.glob(RECORD_PATTERN):
        try:
            record = json.loads(file.read_text())
            if runs(record["owner"], record["owner_created"]):
                continue
            if runs(record["pid"], record["created"]):
                tree.stop_tree(record["pid"], seconds=STOP_SECONDS)
            if folder := record.get("folder"):
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, ValueError, KeyError):
            continue  # being written, or removed by its owner this moment
        file.unlink(missing_ok=True)
        file.with_suffix(".key").unlink(missing_ok=True)


def known_flags(command: Sequence[str], *, cache: Path) -> frozenset[str]:
    """The flags that this build knows, from its --help; asked once per binary and change of it.

    SOCKET_HELP is among them where the server can listen on a socket file.
    """
    binary = Path(command[0])
    stamp = binary.stat().st_mtime_ns if binary.is_file() else 0
    identity = hashlib.sha256(f"{list(command)}{stamp}{SOCKET_HELP}".encode()).hexdigest()[:16]
    file = cache / identity
    if not file.is_file():
        try:
            done = subprocess.run(
                [*command, "--help"], capture_output=True, text=True, timeout=HELP_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            failed = f"{command[0]} --help: {exc}; check LLAMA_SERVER_BINARY"
            raise ServerFailedToStart(failed, of="llama-server") from exc
        said = done.stdout + done.stderr
        flags = {*re.findall(r"(?<![\w-])--?[a-z][\w-]*", said), *([SOCKET_HELP] if SOCKET_HELP in said else [])}
        cache.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(sorted(flags)))
    return frozenset(file.read_text().split())


def _private_folder(path: Path) -> Path:
    """A new folder that only we can enter: this one, or a temporary one where a socket's path would be too long."""
    if len(os.fsencode(path / SOCKET)) > LONGEST_SOCKET_PATH:
        return Path(tempfile.mkdtemp(prefix="rag-assets-llama-"))
    path.mkdir(mode=0o700)
    return path


def _environment() -> dict[str, str]:
    """Ours, without what it would have no use for."""
    return {name: value for name, value in os.environ.items() if name.upper() not in SECRETS}


def tree_bytes(pid: int) -> int:
    """What a process and those that it started have in memory; psutil.NoSuchProcess where that process has ended.

    Of those that it started, one may end this moment, or be of another account: it counts nothing.
    """
    root = psutil.Process(pid)
    found = int(root.memory_info().rss)
    for process in root.children(recursive=True):
        with suppress(psutil.Error):
            found += int(process.memory_info().rss)
    return found


def runs(pid: int, created: float) -> bool:
    """Whether a process lives that has this id and was started then."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < 1 and process.status() != psutil.STATUS_ZOMBIE
    return False


def _keep_last_logs(folder: Path) -> None:
    """Of logs of servers that were; other processes of this home may remove some of them at the same time."""
    written: dict[Path, int] = {}
    for file in folder.glob("llama-server-*.log"):
        with suppress(OSError):
            written[file] = file.stat().st_mtime_ns
    for file in sorted(written, key=lambda one: written[one])[:-KEPT_LOGS]:
        with suppress(OSError):  # gone, or open elsewhere, which Windows minds
            file.unlink()
