"""A running `rag-assets up` is attacked over HTTP, and what it needs is killed under load; each answer is a JSON line.

`python -m rag_assets_tests.e2e.attacks` works in a home of its own, with the documents of the package, two tenants and
an operator. Nothing is asserted: test_service_*.py do that, piece by piece. Here somebody sees what a
caller sees.
"""

import json
import os
import resource
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests

from rag_assets_tests import conftest, engines
from rag_assets_tests.e2e.conftest import Running, up, wait_for
from rag_assets_tests.e2e.walk import SAMPLES, search_url
from rag_assets_tests.serving import write_keys

ROLE = "tenant"
CLAIM = "app.documents"
JSON = {"Content-Type": "application/json"}
QUESTION = "How long do I have to return an item?"
SCRIPT = "<script>alert('x')</script>"
CLIENTS = 8
CALM, AFTER = 5.0, 15.0  # seconds of load before and after something is killed
IDLE = 10_000  # connections
SEPARATE = f"""
create role {ROLE} nologin;
grant {ROLE} to current_user;
alter table rag_document_chunks enable row level security;
create policy of_a_tenant on rag_document_chunks for select
    using (document_id = any (string_to_array(current_setting('{CLAIM}'), ',')));
select rag_follow_row_security();
select rag_grant_reading('{ROLE}');
"""


class Attacked:
    """The service of a running `up`, and the keys of those who ask it."""

    def __init__(self, running: Running, keys: dict[str, str]) -> None:
        self.running = running
        self.url = search_url(running)
        self.keys = keys

    def ask(self, method: str, path: str, *, key: str | None = None, **options: Any) -> requests.Response:
        headers = {**options.pop("headers", {}), **({"Authorization": f"Bearer {key}"} if key else {})}
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.url + path, timeout=90, headers=headers, **options)

    def connected(self) -> socket.socket:
        host, port = self.url.removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), timeout=90)

    def process(self) -> psutil.Process:
        """The one that listens."""
        port = int(self.url.rsplit(":", 1)[1])
        return next(
            each
            for each in psutil.Process(self.running.process.pid).children(recursive=True)
            if any(c.status == "LISTEN" and c.laddr.port == port for c in each.net_connections("tcp"))
        )


def main() -> None:
    """Take every attack in turn."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory(prefix="rag-assets-attacks-") as place, _attacked(Path(place)) as attacked:
        for attack in (_keys, _tenants, _bodies, _headers, _hosts, _texts, _ids, _slow, _idle):
            for name, answer in attack(attacked):
                print(json.dumps({"attack": name, "answer": answer}, ensure_ascii=False), flush=True)
        for name, kill in (("embedder", _kill_embedder), ("database", _kill_database)):
            print(json.dumps({"killed under load": name} | _under_load(attacked, kill)), flush=True)


@contextmanager
def _attacked(place: Path) -> Iterator[Attacked]:
    home = place / "home"
    home.mkdir()
    tenants = {"anna": "1", "bert": "2"}  # who sees which document
    entries = {name: {"role": ROLE, "claims": {CLAIM: documents}} for name, documents in tenants.items()}
    keys = write_keys(place / "keys.toml", operator={}, **entries)
    hostile = place / f"{SCRIPT.replace('/', '')}.md"
    hostile.write_text(f"# {SCRIPT}\n\nA return is a return. {SCRIPT} \x1b[2J\u202e gnp.exe\n", encoding="utf-8")
    model = conftest._model("q8_0")
    with up(home, model, RAG_ASSETS_SERVICE__KEYS_FILE=str(place / "keys.toml")) as running:
        for file in (*sorted(SAMPLES.glob("*.*")), hostile):
            running.insert(file)
        wait_for(lambda: running.sql("select count(*) from rag_document_text") == [(7,)], what="ingestion")
        running.sql(SEPARATE)
        yield Attacked(running, keys)


def _said(answer: requests.Response) -> str:
    return f"{answer.status_code} {answer.text[:160]}"


def _keys(attacked: Attacked) -> Iterator[tuple[str, object]]:
    body = {"query": QUESTION}
    yield "no key", _said(attacked.ask("POST", "/v1/search", json=body))
    yield "wrong key", _said(attacked.ask("POST", "/v1/search", key="rag_wrong", json=body))
    yield "no key, the page", attacked.ask("GET", "/", headers={"Accept": "text/html"}).url.removeprefix(attacked.url)


def _tenants(attacked: Attacked) -> Iterator[tuple[str, object]]:
    for name in ("anna", "bert", "operator"):
        answer = attacked.ask("POST", "/v1/search", key=attacked.keys[name], json={"query": QUESTION, "k": 100})
        yield f"what {name} finds", sorted({hit["document_id"] for hit in answer.json()["hits"]}, key=int)
    foreign = attacked.ask("GET", "/v1/documents/1", key=attacked.keys["bert"])
    yield "other tenant's key, document by id", _said(foreign)
    yield "other tenant's key, /metrics", _said(attacked.ask("GET", "/metrics", key=attacked.keys["bert"]))


def _bodies(attacked: Attacked) -> Iterator[tuple[str, object]]:
    service = attacked.process()
    before = service.memory_info().rss
    key = attacked.keys["operator"]

    def parts() -> Iterator[bytes]:
        yield b'{"query": "'
        for _ in range(100):
            yield b"x" * 1_000_000
        yield b'"}'

    for name, data in (("100 MB body", b'{"query": "' + b"x" * 100_000_000 + b'"}'), ("100 MB in chunks", parts())):
        try:
            said = _said(attacked.ask("POST", "/v1/search", key=key, data=data, headers=JSON))
        except requests.ConnectionError as exc:
            said = f"connection ended: {str(exc)[:80]}"
        yield name, f"{said}; memory {(service.memory_info().rss - before) / 1e6:+.1f} MB"


def _headers(attacked: Attacked) -> Iterator[tuple[str, object]]:
    key = attacked.keys["operator"]
    for name, line in {
        "header injection in a value": b"X-A: b\rSet-Cookie: c=d\r\n",
        "two lengths": b"Content-Length: 2\r\nContent-Length: 30\r\n",
        "length and chunks": b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "a header of a megabyte": b"X-A: " + b"a" * 1_000_000 + b"\r\n",
    }.items():
        head = f"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n".encode()
        yield name, _raw(attacked, head + line + b"Connection: close\r\n\r\n")
    injected = attacked.ask("GET", "/?lang=id%0d%0aSet-Cookie:%20c=d", key=key, headers={"Accept": "text/html"})
    yield "header injection in a parameter", f"{injected.status_code}, cookies {dict(injected.cookies)}"


def _raw(attacked: Attacked, request: bytes) -> str:
    with attacked.connected() as connection:
        try:
            connection.sendall(request)
            return connection.recv(200).split(b"\r\n")[0].decode() or "closed"
        except ConnectionError as exc:
            return f"connection ended: {exc}"


def _hosts(attacked: Attacked) -> Iterator[tuple[str, object]]:
    key = attacked.keys["operator"]
    for name, headers in {
        "Host of another site (DNS rebinding)": {"Host": "evil.example"},
        "Origin of another site": {"Origin": "https://evil.example"},
    }.items():
        yield name, _said(attacked.ask("POST", "/v1/search", key=key, headers=headers, json={"query": QUESTION}))


def _texts(attacked: Attacked) -> Iterator[tuple[str, object]]:
    key = attacked.keys["operator"]
    answer = attacked.ask("GET", "/?q=return&mode=text", key=key, headers={"Accept": "text/html"})
    scripts = answer.text.count("<script") - answer.text.count("<script src=")
    yield (
        "script in a document's text and title, on the page",
        f"{answer.status_code}; scripts in it {scripts}; shown as {'&lt;script&gt;' in answer.text}; "
        f"escape characters {chr(27) in answer.text or chr(0x202E) in answer.text}; "
        f"{answer.headers['Content-Security-Policy'][:40]}",
    )
    found = attacked.ask("POST", "/v1/search", key=key, json={"query": "return", "mode": "text"})
    sniffing = found.headers.get("X-Content-Type-Options")
    yield "the same as JSON", f"{found.status_code} {found.headers['Content-Type']}, {sniffing}"


def _ids(attacked: Attacked) -> Iterator[tuple[str, object]]:
    key = attacked.keys["operator"]
    for path in ("../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%00", "1'%20or%20'1'='1", "a" * 5_000):
        head = f"GET /v1/documents/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        yield f"path in an id: {path[:30]}", _raw(attacked, (head + "Connection: close\r\n\r\n").encode())


def _slow(attacked: Attacked) -> Iterator[tuple[str, object]]:
    """Slow loris: 200 connections that say a byte a second, and somebody who asks meanwhile."""
    with ExitStack() as stack:
        loris = [stack.enter_context(attacked.connected()) for _ in range(200)]
        started, open_ones, asked = time.monotonic(), list(loris), Counter[int]()
        while open_ones and time.monotonic() - started < 120:
            open_ones = [connection for connection in open_ones if _says(connection, b"G")]
            asked[_search(attacked, mode="text")] += 1
            time.sleep(1)
        seconds = time.monotonic() - started
    yield (
        "slow loris, 200 connections of a byte a second",
        f"{len(open_ones)} left open after {seconds:.0f} s; who asked meanwhile was answered {dict(asked)}",
    )


def _says(connection: socket.socket, data: bytes) -> bool:
    try:
        connection.sendall(data)
        connection.setblocking(False)
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _idle(attacked: Attacked) -> Iterator[tuple[str, object]]:
    service, before = attacked.process(), attacked.process().memory_info().rss
    with ExitStack() as stack:
        opened, asked = 0, Counter[int]()
        for number in range(IDLE):
            stack.enter_context(attacked.connected())
            opened += 1
            if number % 500 == 499:
                asked[_search(attacked, mode="text")] += 1
        grown = (service.memory_info().rss - before) / 1e6
        held = sum(c.status == "ESTABLISHED" for c in service.net_connections("tcp"))
    yield (
        f"{opened} idle connections",
        f"{held} of them held; memory {grown:+.1f} MB; who asked meanwhile was answered {dict(asked)}",
    )


def _search(attacked: Attacked, *, mode: str) -> int:
    """The status of the answer; 0 where there was none."""
    try:
        body = {"query": QUESTION, "mode": mode}
        return attacked.ask("POST", "/v1/search", key=attacked.keys["operator"], json=body).status_code
    except requests.RequestException:
        return 0


def _kill_embedder(attacked: Attacked) -> None:
    for each in psutil.Process(attacked.running.process.pid).children(recursive=True):
        try:
            if engines.is_server(each.cmdline()):
                each.kill()
        except psutil.Error:
            continue


def _kill_database(attacked: Attacked) -> None:
    """As a crash of the whole server: no client is told."""
    data = attacked.running.sql("select current_setting('data_directory')")[0][0]
    os.kill(int(Path(data, "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)


def _under_load(attacked: Attacked, kill: Any) -> dict[str, object]:
    """What callers see who ask all the time while something is killed, and when the last of them was refused."""
    assert _search(attacked, mode="hybrid") == 200  # so that there is an embedder
    done, seen, lock = threading.Event(), list[tuple[float, float, int]](), threading.Lock()

    def client() -> None:
        while not done.is_set():
            started = time.monotonic()
            status = _search(attacked, mode="hybrid")
            with lock:
                seen.append((started, time.monotonic(), status))

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(CALM)
    killed = time.monotonic()
    kill(attacked)
    time.sleep(AFTER)
    done.set()
    for thread in threads:
        thread.join()
    refused = [ended for _, ended, status in seen if status != 200]
    return {
        "answers before": dict(Counter(status for _, ended, status in seen if ended < killed)),
        "answers after": dict(Counter(status for _, ended, status in seen if ended >= killed)),
        "last refused after (s)": round(max(refused) - killed, 2) if refused else None,
        "longest answer (s)": round(max(ended - started for started, ended, _ in seen), 2),
    }


if __name__ == "__main__":
    main()
