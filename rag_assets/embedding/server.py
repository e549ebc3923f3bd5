"""The llama-server process: checked ground, a start that is ready, dead or late, and an end without orphans."""

import hashlib
import json
import os
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from rag_assets import processes
from rag_assets.embedding import memory
from rag_assets.embedding.client import EmbeddingClient
from rag_assets.errors import EmbeddingError, ServerFailedToStart
from rag_assets.settings import LlamaServer as LlamaServerSettings

UBATCH_TOKENS = 512  # attention is over all tokens of a physical batch: 2048 was a third slower
LOG_TAIL_LINES = 12
KEPT_LOGS = 5
STOP_SECONDS = 1.0  # it has nothing to save, but waits for what it computes
HELP_SECONDS = 30.0
PORT_TRIES = 3
CANARY = (
    "The pump shows error four.",
    "Return an item within thirty days of the day it reached you; keep the packing slip, and send it all back.",
    "Rosen schneidet man, wenn die Forsythie blüht. " * 2,
)
AGREEMENT = 0.999  # cosine of a text embedded alone and in a mixed batch


class LlamaServer:
    """One llama-server process. `start` and `stop` belong to one owner; `stop` may be called at any time, twice.

    `command` is the beginning of its command line: a native binary, or the embedded one.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        model: Path,
        settings: LlamaServerSettings,
        home: Path,
        dimension: int,
        longest: int = UBATCH_TOKENS,
    ) -> None:
        self._command = list(command)
        self._model = model
        self._settings = settings
        self._dimension = dimension
        self._longest = longest  # tokens of one text, special ones included
        self._run = home / "run"
        self._logs = home / "logs"
        self._nonce = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self.client: EmbeddingClient | None = None
        self.build: str | None = None
        self.degraded = False  # one text at a time, because batches came out wrong

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> EmbeddingClient:
        """Start the process and prove that its vectors are right.

        Raises NotEnoughMemory before anything is started, ServerFailedToStart with the log's last lines.
        """
        memory.require(int(self._settings.required_memory_gb * 1e9))
        if not self._model.is_file():
            raise ServerFailedToStart(f"there is no model file {self._model}; check LLAMA_SERVER_MODEL")
        sweep(self._run)
        try:
            self._start_somewhere()
            if not self._sings():
                self.stop()
                self.degraded = True
                self._start_somewhere()
                if not self._sings():
                    raise self._failed("its vectors of the same text differ from call to call")
        except OSError as exc:
            self.stop()
            raise ServerFailedToStart(f"{exc.filename or self._run}: {exc.strerror}; is its disk full?") from exc
        except BaseException:
            self.stop()
            raise
        assert self.client is not None  # noqa: S101 - set by _start_somewhere
        self.build = self.client.build() or self._command[0]
        return self.client

    def stop(self) -> None:
        """End the process: ask, wait, kill."""
        if self.client is not None:
            self.client.close()
            self.client = None
        if self._process is not None:
            processes.stop_tree(self._process.pid, seconds=STOP_SECONDS)
            self._ended.wait(STOP_SECONDS)
            self._process = None
        for name in (self._record, self._key_file):
            with suppress(FileNotFoundError, NotADirectoryError):  # the latter under a home that is none
                name.unlink()

    @property
    def log(self) -> Path:
        return self._logs / f"llama-server-{self._nonce}.log"

    @property
    def _record(self) -> Path:
        return self._run / f"llama-server-{self._nonce}.json"

    @property
    def _key_file(self) -> Path:
        return self._run / f"llama-server-{self._nonce}.key"

    def _start_somewhere(self) -> None:
        """A free port may be taken by somebody else before the server has it: try another."""
        for attempt in range(PORT_TRIES):
            port = self._free_port(wanted=self._settings.port if attempt == 0 else 0)
            self._spawn(port)
            if self._wait_until_ready(port):
                return
            taken = re.search(r"bind|address already in use", self._said(), re.IGNORECASE)
            if not taken or attempt == PORT_TRIES - 1:
                raise self._failed("it ended while starting")
            self.stop()

    def _free_port(self, *, wanted: int) -> int:
        try:
            return processes.free_port(self._settings.host, wanted=wanted)
        except OSError as exc:
            raise ServerFailedToStart(f"{self._settings.host}: {exc}; check llama_server.host") from exc

    def _spawn(self, port: int) -> None:
        self._nonce = secrets.token_hex(8)
        self._run.mkdir(parents=True, exist_ok=True)
        _keep_last_logs(self._logs)
        key = secrets.token_hex(16)
        with os.fdopen(os.open(self._key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key + "\n")
        command = [*self._command, *self._flags(port)]
        self._process = self._in_a_thread_of_its_own(command)
        self._write_record()
        self.client = EmbeddingClient(
            f"http://{self._settings.host}:{port}",
            api_key=key,
            dimension=self._dimension,
            timeout_seconds=self._settings.request_timeout_seconds,
        )

    def _in_a_thread_of_its_own(self, command: list[str]) -> subprocess.Popen[bytes]:
        """The kernel kills the child when the *thread* that spawned it ends: this one waits for the child."""
        spawned: list[subprocess.Popen[bytes] | BaseException] = []
        is_spawned, ended = threading.Event(), threading.Event()

        def own() -> None:
            try:
                spawned.append(processes.spawn(command, environment=os.environ, log=self.log))
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
            raise ServerFailedToStart(f"{command[0]}: {spawned[0]}; check LLAMA_SERVER_BINARY") from spawned[0]
        return spawned[0]

    def _flags(self, port: int) -> list[str]:
        required = [
            *("--model", str(self._model)),
            *("--host", self._settings.host, "--port", str(port)),
            *(("--embedding",) if self._settings.embedding_only else ()),
            *("--pooling", "mean"),
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
        known = known_flags(self._command, cache=self._run / "flags")
        return required + [word for flag in wanted if flag[0] in known for word in flag]

    def _speed_flags(self) -> list[str]:
        """What decides how fast it is; with `own_defaults`, only what is set."""
        chosen = self._settings
        slots, ubatch, threads = chosen.parallel, chosen.ubatch_size, chosen.threads
        if not chosen.own_defaults:
            slots = slots or max(1, chosen.ctx_size // self._longest)
            ubatch = ubatch or max(UBATCH_TOKENS, self._longest)
            threads = threads or psutil.cpu_count(logical=False) or os.cpu_count() or 1
        if self.degraded:
            slots = 1
        return [
            *(("--ctx-size", str(slots * self._longest), "--parallel", str(slots)) if slots else ()),
            *(("--batch-size", str(ubatch), "--ubatch-size", str(ubatch)) if ubatch else ()),
            *(("--threads", str(threads)) if threads else ()),
        ]

    def _wait_until_ready(self, port: int) -> bool:
        """Whether the server is ready; False: it died. Raises when it is late."""
        deadline = time.monotonic() + self._settings.startup_timeout_seconds
        while time.monotonic() < deadline:
            if not self.alive:
                return False
            if self.client is not None and self.client.healthy():
                return True
            time.sleep(0.02)
        raise self._failed(f"not ready within {self._settings.startup_timeout_seconds:.0f} s on port {port}")

    def _sings(self) -> bool:
        """The canary: texts embedded alone and in a mixed batch agree, in builds where batching works."""
        assert self.client is not None  # noqa: S101 - called after a start
        try:
            alone = [self.client.embed([text])[0] for text in CANARY]
            together = self.client.embed(CANARY)
        except EmbeddingError as exc:
            raise self._failed(f"its first vectors are wrong: {exc}") from exc
        return all(float(a @ b) >= AGREEMENT for a, b in zip(alone, together, strict=True))

    def _failed(self, reason: str) -> ServerFailedToStart:
        return ServerFailedToStart(f"{reason} ({self.log})", log_tail=self._tail())

    def _tail(self) -> str:
        return "\n".join(self._said().splitlines()[-LOG_TAIL_LINES:])

    def _said(self) -> str:
        with suppress(OSError):
            return self.log.read_text(errors="replace")
        return ""

    def _write_record(self) -> None:
        owner = psutil.Process()
        assert self._process is not None  # noqa: S101 - called after spawning
        with suppress(psutil.NoSuchProcess):
            child = psutil.Process(self._process.pid)
            record = {
                "pid": child.pid,
                "created": child.create_time(),
                "owner": owner.pid,
                "owner_created": owner.create_time(),
            }
            self._record.write_text(json.dumps(record))


def sweep(folder: Path) -> None:
    """End servers of ours whose owner is gone: found by pid and start time as recorded, never by name."""
    for file in folder.glob("llama-server-*.json"):
        try:
            record = json.loads(file.read_text())
            if _runs(record["owner"], record["owner_created"]):
                continue
            if _runs(record["pid"], record["created"]):
                processes.stop_tree(record["pid"], seconds=STOP_SECONDS)
        except (OSError, ValueError, KeyError):
            continue  # being written, or removed by its owner this moment
        file.unlink(missing_ok=True)
        file.with_suffix(".key").unlink(missing_ok=True)


def known_flags(command: Sequence[str], *, cache: Path) -> frozenset[str]:
    """The flags that this build knows, from its --help; asked once per binary and change of it."""
    binary = Path(command[0])
    stamp = binary.stat().st_mtime_ns if binary.is_file() else 0
    identity = hashlib.sha256(f"{list(command)}{stamp}".encode()).hexdigest()[:16]
    file = cache / identity
    if not file.is_file():
        try:
            done = subprocess.run(
                [*command, "--help"], capture_output=True, text=True, timeout=HELP_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise ServerFailedToStart(f"{command[0]} --help: {exc}; check LLAMA_SERVER_BINARY") from exc
        cache.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(sorted(set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", done.stdout + done.stderr)))))
    return frozenset(file.read_text().split())


def _runs(pid: int, created: float) -> bool:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < 1 and process.status() != psutil.STATUS_ZOMBIE
    return False


def _keep_last_logs(folder: Path) -> None:
    logs = sorted(folder.glob("llama-server-*.log"), key=lambda file: file.stat().st_mtime)
    for file in logs[:-KEPT_LOGS]:
        file.unlink(missing_ok=True)
