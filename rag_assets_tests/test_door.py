"""A server of ours proves on each connection that it is the process we started; a stranger gets no text and no key."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from rag_assets.bundled import llama_server
from rag_assets.embedding import server as servers
from rag_assets.embedding.client import EmbeddingClient, ServerAway
from rag_assets.embedding.door import Owned, SocketFile
from rag_assets.embedding.server import LlamaServer
from rag_assets.errors import EmbeddingError, ServerFailedToStart
from rag_assets.processes import ports
from rag_assets.settings import LlamaServer as LlamaServerSettings
from rag_assets_tests import engines, fake_llama
from rag_assets_tests.fake_llama import FakeLlama

PRIVATE = "a text that is nobody else's business"
ON_A_PORT = {"host": "127.0.0.2"}  # chosen by hand: then it is no socket file


def _server(home: Path, model: Path, **values: object) -> LlamaServer:
    chosen = LlamaServerSettings(**{"required_memory_gb": 0, "threads": 1, "request_timeout_seconds": 20, **values})
    return LlamaServer(llama_server.command(), model=model, settings=chosen, home=home, of_model=engines.MODEL)


def _fake(home: Path, mode: str, **values: object) -> LlamaServer:
    chosen = LlamaServerSettings(**{"required_memory_gb": 0, **values})
    command = [sys.executable, fake_llama.__file__, mode]
    return LlamaServer(command, model=Path(__file__), settings=chosen, home=home, of_model=engines.MODEL)


@pytest.fixture(params=["socket file", "port"])
def started(request: pytest.FixtureRequest, tmp_path: Path, model_path: Path) -> Iterator[LlamaServer]:
    """The real server, where it is reached in the one way and in the other."""
    server = _server(tmp_path, model_path, **(ON_A_PORT if request.param == "port" else {}))
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_port_that_a_stranger_has_is_not_believed_when_ours_cannot_bind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He answers /health and has taken the port after we found it free: he sees neither text nor key."""
    with FakeLlama() as stranger:
        taken = stranger.server_address[1]
        monkeypatch.setattr(ports, "free_port", lambda _host, *, wanted=0: wanted)
        server = _fake(tmp_path, "good", port=taken)
        try:
            client = server.start()
            client.embed([PRIVATE])
            assert not client.where.endswith(f":{taken}")
        finally:
            server.stop()
        assert stranger.requests == []
        assert [key for _, key in stranger.seen if key] == []


def test_stranger_gets_nothing_when_he_takes_the_place_of_a_server_that_died(started: LlamaServer) -> None:
    """The connection that was open ends, and a new one is not used: no answer, no text and no key."""
    client = started.client
    assert client is not None
    client.embed(["first"])
    assert started.pid is not None
    before = client.where
    _kill(started)
    heard: list[bytes] = []
    with _impostor(before, heard), pytest.raises(ServerAway):
        client.embed([PRIVATE])
    assert heard == []


def test_stranger_gets_nothing_when_ours_lives_beside_him(started: LlamaServer) -> None:
    """Alive is not enough: it has to be the other end of this connection."""
    assert started.client is not None
    heard: list[bytes] = []
    with FakeLlama() as stranger:
        door = started.client.door
        assert door is not None
        if isinstance(door, SocketFile):
            path = Path(door.where)
            path.unlink()
            with _impostor(str(path), heard), pytest.raises(OSError, match="not the server started here"):
                door.open(5)
        else:
            door._address = lambda: stranger.server_address  # type: ignore[attr-defined]
            with pytest.raises(OSError, match="not held by"):
                door.open(0.5)
        assert stranger.seen == []
    assert heard == []


@pytest.mark.parametrize("is_deep", [False, True])
def test_socket_lies_where_only_we_can_enter_when_there_is_one(model_path: Path, is_deep: bool) -> None:
    """Also where the home's path is too long for a socket's; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place, "a" * 60, "b" * 60) if is_deep else Path(place)
        server = _server(home, model_path)
        try:
            folder = Path(server.start().where).parent
            assert folder.stat().st_mode & 0o777 == 0o700
            assert folder.is_relative_to(place) != is_deep
        finally:
            server.stop()
        assert not folder.exists()


def test_socket_folder_is_swept_when_its_owner_was_killed(tmp_path: Path) -> None:
    """By the next start, wherever it lies."""
    folder, run = tmp_path / "elsewhere", tmp_path / "run"
    folder.mkdir()
    run.mkdir()
    gone = {"pid": 2**22 + 1, "created": 1.0, "owner": 2**22 + 2, "owner_created": 1.0, "folder": str(folder)}
    (run / "llama-server-a.json").write_text(str(gone).replace("'", '"'))
    servers.sweep(run)
    assert not folder.exists()


def test_server_chooses_its_port_when_none_is_asked_for(tmp_path: Path) -> None:
    """Its arguments name none that somebody could take before it."""
    server = _fake(tmp_path, "good")
    try:
        client = server.start()
        arguments = psutil.Process(server.pid).cmdline()
        assert arguments[arguments.index("--port") + 1] == "0"
        assert len(client.embed([PRIVATE])) == 1
    finally:
        server.stop()


def test_process_that_has_ended_holds_nothing_when_its_door_is_made_late() -> None:
    """A server may die before its door is made; that is a start that failed, with its reason, and no other error."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    owned = Owned(ended.pid, is_alive=lambda: ended.poll() is None)
    assert not owned.holds(ended.pid)
    assert owned.connections() == []


def test_start_fails_when_the_server_takes_requests_without_its_key(tmp_path: Path) -> None:
    with pytest.raises(ServerFailedToStart, match="do not carry its key"):
        _fake(tmp_path, "open to all").start()


def test_child_holds_no_password_when_the_environment_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no use for the database, nor for the webhook, however its setting is written."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:secret@nowhere/db")
    monkeypatch.setenv("RAG_ASSETS_NOTIFY", '{"url": "https://hooks.example.org/secret"}')
    monkeypatch.setenv("rag_assets_notify__url", "https://hooks.example.org/secret")
    server = _fake(tmp_path, "good")
    try:
        server.start()
        assert "secret" not in str(psutil.Process(server.pid).environ())
    finally:
        server.stop()


def test_redirection_is_not_followed_when_a_server_sends_us_elsewhere() -> None:
    """What is meant for one server is told to no other."""
    with FakeLlama() as server, FakeLlama() as stranger:
        server.always, server.moved_to = "moved", stranger.url
        client = EmbeddingClient(server.url, api_key="secret", of_model=engines.MODEL, timeout_seconds=5)
        with closing(client), pytest.raises(EmbeddingError, match="307"):
            client.embed([PRIVATE])
        assert stranger.seen == []


def _kill(server: LlamaServer) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert server._ended.wait(120)


class _impostor:
    """Listens at a place, and keeps what he hears."""

    def __init__(self, where: str, heard: list[bytes]) -> None:
        if where.endswith(".sock"):
            Path(where).unlink(missing_ok=True)
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.bind(where)
        else:
            host, port = where.rsplit(":", 1)
            self._socket = socket.socket()
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, int(port)))
        self._heard = heard
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> None:
        self._socket.listen()
        self._socket.settimeout(3)
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        try:
            connection, _ = self._socket.accept()
            with connection:
                connection.settimeout(3)
                if said := connection.recv(10_000):
                    self._heard.append(said)
        except OSError:
            return
