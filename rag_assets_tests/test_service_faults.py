"""The search service when what it needs is gone: embedding server, database, memory, time; and when it is to end."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import requests

from rag_assets import asking
from rag_assets.errors import DatabaseUnavailable
from rag_assets.processes import memory, tree
from rag_assets.service import gate
from rag_assets.service.connections import BoundedProtocol
from rag_assets.services import Services
from rag_assets_tests import conftest, engines, rows, serving
from rag_assets_tests.patience import until
from rag_assets_tests.serving import Service, configured, served

PUMP = "The pump of the north shows error E4."


@pytest.fixture(scope="module")
def filled_url(postgres_url: str, _template: str) -> Iterator[str]:
    for url in conftest._database(postgres_url, template=_template):
        serving.fill(url)
        yield url


def test_an_embedding_server_that_was_killed_is_started_anew(filled_url: str, tmp_path: Path) -> None:
    """By the next question, which is answered; the starts are counted."""
    with served(configured(filled_url, tmp_path / "home")) as service:
        service.search(PUMP, mode="vector")
        [server] = engines.servers()
        tree.stop_tree(server.pid, seconds=5)
        assert service.search(PUMP, mode="vector", k=1)["hits"][0]["content"] == PUMP
        assert service.metric("rag_assets_question_embedder_starts_total") == 2


def test_questions_under_way_are_answered_when_the_embedding_server_is_killed(filled_url: str, tmp_path: Path) -> None:
    """Several callers at once, and one server: each gets an answer, most of them hits."""
    with served(configured(filled_url, tmp_path / "home")) as service:
        service.search(PUMP, mode="vector")
        [server] = engines.servers()

        def ask(turn: int) -> int:
            if turn == 10:
                tree.stop_tree(server.pid, seconds=5)
            return service.ask("POST", "/v1/search", json={"query": f"{PUMP} {turn}", "mode": "vector"}).status_code

        with ThreadPoolExecutor(6) as threads:
            statuses = list(threads.map(ask, range(40)))
        assert set(statuses) <= {200, 503}
        until(lambda: service.ask("POST", "/v1/search", json={"query": PUMP, "mode": "vector"}).status_code == 200)


def test_an_idle_embedding_server_is_stopped(filled_url: str, tmp_path: Path) -> None:
    """After search.idle_seconds; the next question starts it again."""
    with served(configured(filled_url, tmp_path / "home", search={"idle_seconds": 1})) as service:
        service.search(PUMP, mode="vector")
        until(lambda: not engines.servers())
        assert service.metric("rag_assets_embedder_up") == 0
        assert service.search(PUMP, mode="vector", k=1)["hits"][0]["content"] == PUMP


def test_words_are_found_while_memory_is_short(
    filled_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question by meaning is told so, and when to come back; it is answered as soon as there is memory."""
    real = memory.available_bytes
    with served(configured(filled_url, tmp_path / "home", llama_server={"required_memory_gb": 1})) as service:
        monkeypatch.setattr(memory, "available_bytes", lambda: 1_000)
        answer = service.ask("POST", "/v1/search", json={"query": PUMP})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert answer.json()["error"]["kind"] == "not_enough_memory"
        assert service.found("E4") == ["north-1"]
        monkeypatch.setattr(memory, "available_bytes", real)
        until(lambda: service.ask("POST", "/v1/search", json={"query": PUMP}).status_code == 200)


def test_a_server_that_does_not_start_is_not_waited_for_by_all(filled_url: str, tmp_path: Path) -> None:
    """One tries, the others are told; words are found meanwhile."""
    config = configured(filled_url, tmp_path / "home")
    assert config.llama_server_binary is not None
    config.llama_server_binary.write_text("#!/bin/sh\nexit 1\n")
    with served(config) as service, ThreadPoolExecutor(8) as threads:
        asked = [
            threads.submit(service.ask, "POST", "/v1/search", json={"query": PUMP, "mode": "vector"}) for _ in range(8)
        ]
        assert service.found("E4") == ["north-1"]
        kinds = {answer.result().json()["error"]["kind"] for answer in asked}
    assert kinds == {"embedder_unavailable"}


def test_a_database_that_went_away_is_used_again_when_it_is_back(
    filled_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that a restart has cut are replaced, and who searches then waits a little.

    While there is none for longer, callers are told when to come back.
    """
    with served(configured(filled_url, tmp_path / "home")) as service:
        assert service.found("E4") == ["north-1"]
        name = filled_url.partition("?")[0].rsplit("/", 1)[1]
        rows.execute(
            filled_url,
            "select pg_terminate_backend(pid) from pg_stat_activity "
            f"where datname = '{name}' and pid <> pg_backend_pid()",
        )
        assert service.found("E4") == ["north-1"]

        def lose() -> None:
            database = service.asking._services.database
            monkeypatch.setattr(database, "url", filled_url.replace(name, "gone"))
            database._idle.queue.clear()

        lose()
        assert service.found("E4") == ["north-1"]  # it was opened anew
        lose()
        monkeypatch.setattr(asking, "RETURN_SECONDS", 0.0)  # as if it had been away for so long
        answer = service.ask("POST", "/v1/search", json={"query": "E4", "mode": "text"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json()["error"]["kind"] == "database_unavailable"
        assert service.ask("GET", "/healthz").status_code == 200
        assert service.found("E4") == ["north-1"]


def test_a_first_question_waits_for_a_database_that_is_not_back_yet(
    filled_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a service that was started meanwhile, which embeds a question before it searches."""
    name = filled_url.partition("?")[0].rsplit("/", 1)[1]
    with asking.Asking(configured(filled_url, tmp_path / "home")) as fresh:
        monkeypatch.setattr(fresh._services.database, "url", filled_url.replace(name, "gone"))
        assert fresh.embed_query(PUMP).model == rows.MODEL


def test_a_question_waits_for_the_database_that_knows_the_vectors_of_a_new_server(
    filled_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is started is compared with what the index knows of its model; both may have died together."""
    with asking.Asking(configured(filled_url, tmp_path / "home")) as asked:
        asked.embed_query(PUMP)
        embedded, tries = asked._embedded, []

        def away_at_first(text: str, serving: Services) -> asking.QueryVector:
            tries.append(serving)
            if len(tries) == 1:
                raise DatabaseUnavailable("away")
            return embedded(text, serving)

        monkeypatch.setattr(asked, "_embedded", away_at_first)
        assert asked.embed_query(PUMP).model == rows.MODEL
        assert len(tries) == 2


def test_a_question_that_is_embedded_says_nothing_of_the_database(filled_url: str, tmp_path: Path) -> None:
    """Or each one would have the next search wait anew for a database that stays away."""
    with asking.Asking(configured(filled_url, tmp_path / "home")) as asked:
        asked.embed_query(PUMP)
        asked._lost_at = 1.0
        asked.embed_query(PUMP)
        assert asked._lost_at == 1.0


def test_a_statement_that_takes_too_long_is_given_up(filled_url: str, tmp_path: Path) -> None:
    """The caller is told, and the connection serves the next one."""
    with (
        served(configured(filled_url, tmp_path / "home", service={"request_seconds": 1})) as service,
        ExitStack() as stack,
    ):
        blocker = stack.enter_context(_lock(filled_url, "rag_document_chunks"))
        answer = service.ask("POST", "/v1/search", json={"query": "E4", "mode": "text"})
        assert (answer.status_code, answer.json()["error"]["kind"]) == (504, "took_too_long")
        blocker.rollback()
        until(lambda: service.ask("POST", "/v1/search", json={"query": "E4", "mode": "text"}).status_code == 200)


def test_more_requests_than_there_may_be_are_told_to_come_back(filled_url: str, tmp_path: Path) -> None:
    """429 with Retry-After; the others are answered."""
    with (
        served(
            configured(filled_url, tmp_path / "home", service={"max_requests": 2, "request_seconds": 120})
        ) as service,
        ExitStack() as stack,
        ThreadPoolExecutor(8) as threads,
    ):
        blocker = stack.enter_context(_lock(filled_url, "rag_document_chunks"))
        asked = [
            threads.submit(service.ask, "POST", "/v1/search", json={"query": "E4", "mode": "text"}) for _ in range(8)
        ]
        until(lambda: sum(answer.done() for answer in asked) == 6)
        blocker.rollback()
        answers = [answer.result() for answer in asked]
    assert sorted(answer.status_code for answer in answers) == [200] * 2 + [429] * 6
    assert {answer.headers.get("Retry-After") for answer in answers} == {None, "1"}


def test_bodies_take_no_more_memory_than_all_may_have(
    filled_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that would is refused, and what it had is free again."""
    monkeypatch.setattr(gate, "ALL_BODIES_BYTES", 10_000)
    with served(configured(filled_url, tmp_path / "home")) as service:
        for _ in range(3):
            answer = service.ask("POST", "/v1/search", json={"query": "x" * 20_000})
            assert (answer.status_code, answer.json()["error"]["kind"]) == (413, "too_large")
            assert service.found("E4", filters={"heading": None, "documents": ["north-1"] * 300}) == ["north-1"]


def test_a_database_without_an_index_is_said(empty_database_url: str, tmp_path: Path) -> None:
    """By readiness, and by each answer, with what to do; the process is alive."""
    with served(configured(empty_database_url, tmp_path / "home")) as service:
        ready = service.ask("GET", "/readyz")
        assert (ready.status_code, ready.json()["error"]["kind"]) == (503, "not_ready")
        answer = service.ask("POST", "/v1/search", json={"query": "E4", "mode": "text"})
        assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "settings")
        assert "rag-assets init" in answer.json()["error"]["message"]
        assert service.ask("GET", "/healthz").status_code == 200
        assert "rag_assets_documents" not in service.ask("GET", "/metrics").text


class Hasty(BoundedProtocol):
    request_seconds = 2.0
    connections_at_most = 20


def test_idle_and_slow_connections_shut_nobody_out(filled_url: str, tmp_path: Path) -> None:
    """Those that say nothing make room, and those that say it too slowly are ended."""
    with served(configured(filled_url, tmp_path / "home"), protocol=Hasty) as service, ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", service.port))) for _ in range(60)]
        idle[-1].sendall(b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: appl")
        until(lambda: _is_answered(service))
        for connection in idle:
            connection.settimeout(120)
            try:
                assert connection.recv(1_000) == b""
            except ConnectionError:
                continue


@pytest.mark.skipif(os.name == "nt", reason="sends itself a signal")
def test_a_request_under_way_is_answered_before_the_service_ends(filled_url: str, tmp_path: Path) -> None:
    """SIGTERM: no new ones, exit code 0, and no embedding server left."""
    config = configured(filled_url, tmp_path / "home")
    environment = {
        **os.environ,
        "RAG_ASSETS_HOME": str(config.home),
        "DATABASE_URL": filled_url,
        "LLAMA_SERVER_BINARY": str(config.llama_server_binary),
        "LLAMA_SERVER_MODEL": str(config.llama_server_model),
        "RAG_ASSETS_EMBEDDING__MODEL": rows.MODEL,
        "RAG_ASSETS_LLAMA_SERVER__REQUIRED_MEMORY_GB": "0",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "rag_assets", "serve", "--port", "0"], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        said = process.stderr.readline()
        assert said.startswith("Search is at http://127.0.0.1:"), said + process.stderr.read()
        service = Service(None, int(said.split()[3].rpartition(":")[2]))
        assert service.search(PUMP, mode="vector", k=1)["hits"][0]["content"] == PUMP
        servers = psutil.Process(process.pid).children(recursive=True)
        with _lock(filled_url, "rag_document_chunks") as blocker, ThreadPoolExecutor(1) as threads:
            asked = threads.submit(service.search, PUMP, k=1)
            until(lambda: rows.execute(filled_url, WAITING)[0][0])
            process.send_signal(signal.SIGTERM)
            until(lambda: _refuses(service.port))
            blocker.rollback()
            assert asked.result()["hits"][0]["content"] == PUMP
        assert process.wait(120) == 0
        assert not any(server.is_running() for server in servers)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_request_that_the_end_of_the_service_leaves_no_time_is_told_so(
    filled_url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In a sentence, and the log has no traceback."""
    with _lock(filled_url, "rag_document_chunks") as blocker, ThreadPoolExecutor(1) as threads:
        with served(configured(filled_url, tmp_path / "home"), stop_seconds=0) as service:
            asked = threads.submit(service.ask, "POST", "/v1/search", json={"query": PUMP, "mode": "text"})
            until(lambda: rows.execute(filled_url, WAITING)[0][0])
            threads.submit(lambda: (asked.exception(), blocker.rollback()))
        answer = asked.result()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["error"] == {"kind": "unavailable", "message": gate.ENDING}
    assert "Traceback" not in capfd.readouterr().err


def _is_answered(service: Service) -> bool:
    """On a busy machine, we may be too slow ourselves."""
    try:
        return service.found("E4") == ["north-1"]
    except requests.ConnectionError:
        return False


WAITING = "select exists (select from pg_locks where not granted and relation = 'rag_document_chunks'::regclass)"


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return True
    return False


def _lock(url: str, table: str) -> "_Lock":
    return _Lock(url, table)


class _Lock:
    """A transaction that keeps others from reading a table until it is rolled back."""

    def __init__(self, url: str, table: str) -> None:
        import psycopg2

        self._connection = psycopg2.connect(url)
        with self._connection.cursor() as cursor:
            cursor.execute(f"lock table {table} in access exclusive mode")

    def rollback(self) -> None:
        self._connection.rollback()

    def __enter__(self) -> "_Lock":
        return self

    def __exit__(self, *exc: object) -> None:
        self._connection.close()


def test_tables_of_a_newer_program_are_said(database_url: str, tmp_path: Path) -> None:
    """Searches are refused, so that the service is not ready for them."""
    rows.execute(database_url, "insert into rag_migrations values ('999_future.sql', 'x')")
    with served(configured(database_url, tmp_path / "home")) as service:
        ready = service.ask("GET", "/readyz")
        assert (ready.status_code, ready.json()["error"]["kind"]) == (503, "not_ready")
        answer = service.ask("POST", "/v1/search", json={"query": "E4", "mode": "text"})
        assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "settings")
