"""A llama-server starts proven or not at all, and never outlives its owner."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from rag_assets import settings
from rag_assets.bundled import llama_server
from rag_assets.embedding import server
from rag_assets.embedding.server import LlamaServer
from rag_assets.errors import NotEnoughMemory, ServerFailedToStart, ServerKilled
from rag_assets.processes import memory
from rag_assets.settings import LlamaServer as LlamaServerSettings
from rag_assets_tests import engines, fake_llama

OWNER = """
import sys, time
from pathlib import Path
from rag_assets.embedding.server import LlamaServer
from rag_assets.model_sets import KNOWN
from rag_assets.settings import LlamaServer as Settings
home, model, *command = sys.argv[1:]
home, model = Path(home), Path(model)
owned = LlamaServer(command, model=model, settings=Settings(required_memory_gb=0, threads=1), home=home,
                    of_model=KNOWN["all-MiniLM-L6-v2"])
owned.start()
print(owned.pid, flush=True)
time.sleep(600)
"""


def _fake(mode: str) -> list[str]:
    return [sys.executable, fake_llama.__file__, mode]


def _server(command: list[str], home: Path, *, model: Path | None = None, **values: object) -> LlamaServer:
    chosen = LlamaServerSettings(**{"required_memory_gb": 0, "threads": 1, **values})
    return LlamaServer(command, model=model or Path(__file__), settings=chosen, home=home, of_model=engines.MODEL)


@pytest.fixture(params=engines.ALL)
def command_and_model(request: pytest.FixtureRequest) -> tuple[list[str], Path]:
    """What holds for the fake program holds for the real ones."""
    return engines.command_and_model(request.param, request)


@pytest.fixture
def started(command_and_model: tuple[list[str], Path], tmp_path: Path) -> Iterator[LlamaServer]:
    command, model = command_and_model
    server = _server(command, tmp_path, model=model)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_start_proves_the_server_and_stop_leaves_nothing(started: LlamaServer, tmp_path: Path) -> None:
    """A process, its record and its key, readable by us only and not in its command line; then none of them."""
    assert started.alive
    assert started.pid
    assert started.client
    assert started.client.healthy()
    assert started.build
    [key] = (tmp_path / "run").glob("*.key")
    assert os.name == "nt" or key.stat().st_mode & 0o077 == 0
    process = psutil.Process(started.pid)
    assert key.read_text().strip() not in " ".join(process.cmdline())
    started.stop()
    started.stop()
    assert not process.is_running()
    assert not list((tmp_path / "run").glob("llama-server-*"))


def test_start_takes_another_port_when_its_own_is_taken(tmp_path: Path) -> None:
    """Taken before it looks, or between the look and the server's bind: both are tried again elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = _server(_fake("port taken"), tmp_path, port=taken.getsockname()[1])
        with closing(server.start()) as client:
            assert client.healthy()
            assert not client.url.endswith(f":{taken.getsockname()[1]}")
        server.stop()


def test_start_minds_no_log_that_another_process_removes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run and the search service start servers in one home at once, and each keeps the last few logs."""
    (tmp_path / "logs").mkdir()
    for number in range(9):
        (tmp_path / "logs" / f"llama-server-{number}.log").touch()
    stat = Path.stat

    def removed(path: Path, **named: bool) -> os.stat_result:
        if path.suffix == ".log" and "llama-server-3" in path.name:
            path.unlink(missing_ok=True)
        return stat(path, **named)

    monkeypatch.setattr(Path, "stat", removed)
    owned = _server(_fake("good"), tmp_path)
    with closing(owned.start()) as client:
        assert client.healthy()
    owned.stop()
    assert len(list((tmp_path / "logs").glob("llama-server-?.log"))) == server.KEPT_LOGS


def test_server_of_the_wheel_says_itself_that_its_port_is_taken(model_path: Path) -> None:
    """The thread that writes llama.cpp's log may not have come to it when the process ends."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [*llama_server.command(), "--model", str(model_path), "--embedding", "--host", "127.0.0.1"]
        done = subprocess.run([*command, "--port", port], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    said = f"error: address already in use: {model_path}: "  # the thread may write after it
    assert [line for line in done.stderr.splitlines() if line.startswith(said)]


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("dies", "cannot load the model"),
        ("loads for ever", "not ready within 1 s"),
        ("drifts", "differ from call to call"),
    ],
)
def test_start_says_why_when_it_fails(tmp_path: Path, mode: str, said: str) -> None:
    """With the last lines of the log; nothing is left, and the next start may go well."""
    server = _server(_fake(mode), tmp_path, startup_timeout_seconds=1 if mode.startswith("loads") else 60)
    with pytest.raises(ServerFailedToStart, match=said):
        server.start()
    assert not server.alive
    assert not list((tmp_path / "run").glob("llama-server-*"))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("mode", ["killed five times", "told to end"])
def test_server_that_others_end_while_it_starts_is_started_again(tmp_path: Path, mode: str) -> None:
    """By an administrator, or for want of memory: that is no fault of its own."""
    server = _server(_fake(mode), tmp_path)
    server.start()
    assert server.alive
    server.stop()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_server_that_is_killed_at_each_start_is_not_started_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Which is said of it, and not that it broke; the log has one line on it."""
    with pytest.raises(ServerKilled, match=r"^Llama-server failed to start: it was killed at each of 6 starts"):
        _server(_fake("killed"), tmp_path).start()
    assert len(caplog.messages) == 1
    assert not list((tmp_path / "run").glob("llama-server-*"))


def test_server_is_told_no_secret_it_has_no_use_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the database, of Dagster's page, of the webhook and of another server."""
    before = server._environment().keys()
    for name in (*settings.WORK_SECRETS, *settings.PAGE_SECRETS, *settings.SENSOR_SECRETS, "PGPASSWORD"):
        monkeypatch.setenv(name, "secret")
    assert server._environment().keys() == before
    assert "secret" not in server._environment().values()


@pytest.mark.parametrize("command", [["/no/such/llama-server"], [__file__]])
def test_start_names_the_setting_when_the_binary_cannot_run(tmp_path: Path, command: list[str]) -> None:
    """Missing, or not executable."""
    with pytest.raises(ServerFailedToStart, match="LLAMA_SERVER_BINARY"):
        _server(command, tmp_path).start()


def test_start_names_the_setting_when_the_model_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ServerFailedToStart, match="LLAMA_SERVER_MODEL"):
        _server(_fake("good"), tmp_path, model=tmp_path / "none.gguf").start()


def test_start_waits_for_memory_when_it_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started while both numbers say that it would not fit; when they do, it is."""
    server = _server(_fake("good"), tmp_path, required_memory_gb=2)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1_200_000_000)
    with pytest.raises(NotEnoughMemory, match=r"1\.2 GB available, 2\.0 GB needed"):
        server.start()
    assert server.pid is None
    monkeypatch.setattr(memory, "available_bytes", lambda: 3_000_000_000)
    assert server.start().healthy()
    server.stop()


@pytest.mark.parametrize("sign", ["SIGKILL", "SIGTERM"])
@pytest.mark.parametrize("engine", ["xllamacpp", "openvino"])
def test_no_server_is_left_when_its_owner_is_killed(
    tmp_path: Path, engine: str, sign: str, request: pytest.FixtureRequest
) -> None:
    """Whatever ends the owner, also what it cannot see coming; the record it leaves is swept by the next start."""
    command, model = engines.command_and_model(engine, request)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), str(model), *command], stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout
        child = psutil.Process(int(owner.stdout.readline()))
        owner.send_signal(getattr(signal, sign))
        owner.wait(120)
    assert _ends(child)
    server.sweep(tmp_path / "run")
    assert not list((tmp_path / "run").glob("llama-server-*"))


def test_a_child_that_has_just_ended_hides_no_memory_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the list of children and the look at one, it may have ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        ended = psutil.Process(child.pid)
    monkeypatch.setattr(psutil.Process, "children", lambda _self, **_how: [ended])
    assert server.tree_bytes(os.getpid()) > 1_000_000


def test_sweep_ends_a_server_when_only_its_owner_is_gone(tmp_path: Path) -> None:
    """Found by pid and start time; a process that only has the same pid, or a living owner, is left alone."""
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        process, me = psutil.Process(sleeper.pid), psutil.Process()
        ours = {"pid": process.pid, "created": process.create_time()}
        owner = {"owner": me.pid, "owner_created": me.create_time()}
        for record in (ours | owner, ours | {"created": 5.0, "owner": me.pid, "owner_created": 5.0}):
            (tmp_path / "llama-server-a.json").write_text(json.dumps(record))
            server.sweep(tmp_path)
            assert sleeper.poll() is None
        (tmp_path / "llama-server-a.json").write_text(json.dumps(ours | {"owner": me.pid, "owner_created": 5.0}))
        server.sweep(tmp_path)
        assert sleeper.wait(120) is not None
    finally:
        sleeper.kill()
        sleeper.wait()


def _ends(process: psutil.Process) -> bool:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False
