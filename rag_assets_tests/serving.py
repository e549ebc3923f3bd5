"""The search service in a thread of the test, on a database with documents of two tenants."""

import json
import secrets
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests
import uvicorn

from rag_assets import settings
from rag_assets.asking import Asking
from rag_assets.service import api
from rag_assets.service.connections import BoundedProtocol
from rag_assets.service.keys import Keys, new_key
from rag_assets.service.page import views
from rag_assets.service.page.views import Page
from rag_assets.settings import Settings
from rag_assets_tests import fake_llama, rows

DOCUMENTS = {  # id -> path, contents
    "north-1": ("north/pumps.md", ["The pump of the north shows error E4.", "It is repaired in spring."]),
    "north-2": ("north/roses.md", ["Roses of the north bloom late.", "<script>alert('roses')</script>"]),
    "south-1": ("south/pumps.md", ["The pump of the south is silent.", "Nobody repairs it."]),
    "100% sure/../1": ("south/odd.md", ["An odd document about pumps."]),
}
TENANT = "app.tenant"


def fill(url: str) -> None:
    """Store the documents, each chunk with a vector of its own."""
    for document_id, (path, contents) in DOCUMENTS.items():
        text = _literal("".join(contents))
        rows.execute(
            url,
            "insert into rag_document_text (document_id, path, sha256, size_bytes, mtime_ns, media_type, parser, "
            f"title, content, fingerprint, embedding_model, language) values ({_literal(document_id)}, "
            f"{_literal(path)}, '', 10, 1700000000000000000, 'text/markdown', 'markdown', "
            f"'<b>{document_id[:5]}</b>', {text}, 'f', '{rows.MODEL}', 'en')",
        )
        for index, content in enumerate(contents):
            rows.execute(
                url,
                "insert into rag_document_chunks (document_id, chunk_index, content, content_sha256, token_count, "
                "char_start, char_end, kind, embedding_model, embedding, heading_path) values "
                f"({_literal(document_id)}, {index}, {_literal(content)}, '{rows.sha256(content)}', 5, 0, "
                f"{len(content)}, 'prose', '{rows.MODEL}', '{fake_llama.vector(content)}', '{{}}')",
            )
    rows.execute(url, f"insert into rag_serving (model) values ('{rows.MODEL}') on conflict do nothing")


def separate_tenants(url: str) -> str:
    """Row-level security by the setting app.tenant, the beginning of ids; the name of a role that is subject to it."""
    role = f"tenant_{secrets.token_hex(4)}"
    rows.execute(
        url,
        f"create role {role} nologin; alter table rag_document_chunks enable row level security;"
        "create policy of_a_tenant on rag_document_chunks for select using "
        f"(starts_with(document_id, current_setting('{TENANT}'))); select rag_follow_row_security();"
        f"select rag_grant_reading('{role}');",
    )
    return role


def configured(url: str, home: Path, **sections: Any) -> Settings:
    """Settings with an embedding server of hashes."""
    home.mkdir(mode=0o700, exist_ok=True)
    program = home / "llama-server"
    command = shlex.join([sys.executable, fake_llama.__file__, "good"])
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    usual = {"llama_server": {"required_memory_gb": 0}, "embedding": {"model": rows.MODEL}}
    given = usual | {"service": {"request_seconds": 120}} | sections  # a machine may be busy
    return settings.load(
        home=home, database_url=url, llama_server_binary=program, llama_server_model=Path(__file__), **given
    )


class Service:
    """A service that is asked over real connections."""

    key = dsn = ""  # of who asks, and of its database, where a test needs them

    def __init__(self, asking: Asking, port: int) -> None:
        self.asking = asking
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, *, key: str | None = None, **options: Any) -> requests.Response:
        headers = {**options.pop("headers", {}), **({"Authorization": f"Bearer {key}"} if key else {})}
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.url + path, timeout=120, headers=headers, **options)

    def search(self, query: str, *, key: str | None = None, status: int = 200, **fields: Any) -> Any:
        """The answer's JSON, by words unless something else is asked for."""
        answer = self.ask("POST", "/v1/search", key=key, json={"query": query, "mode": "text", **fields})
        assert answer.status_code == status, answer.text
        return answer.json()

    def found(self, query: str, **fields: Any) -> list[str]:
        """The ids of the documents that were found, in order, each once."""
        return list(dict.fromkeys(hit["document_id"] for hit in self.search(query, **fields)["hits"]))

    def metric(self, name: str) -> float:
        """The value of one line of the metrics; 0 where there is none."""
        for line in self.ask("GET", "/metrics").text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def raw(self, request: bytes) -> bytes:
        """All of the answer to what no library would send."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=120) as connection:
            answer = b""
            with suppress(ConnectionError):  # a server that reads no further may be gone before all was sent
                connection.sendall(request)
                while part := connection.recv(65_536):
                    answer += part
            return answer


@contextmanager
def served(
    config: Settings,
    *,
    keys: Keys | None = None,
    routes: Sequence[Any] = (),
    page: Page | None = None,
    protocol: type[BoundedProtocol] = BoundedProtocol,
    stop_seconds: int | None = None,
) -> Iterator[Service]:
    """The service of these settings; at the end of the block, requests under way have so long."""
    with Asking(config) as asking:
        app = api.application(
            asking,
            keys=keys,
            routes=[*routes, *(page.routes() if page else ())],
            open_paths=views.OPEN_PATHS if page else (),
            logins=page.logins if page else None,
        )
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                host="127.0.0.1",
                port=0,
                log_level="error",
                http=protocol,
                ws="none",
                timeout_graceful_shutdown=stop_seconds,
            )
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield Service(asking, server.servers[0].sockets[0].getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(timeout=120)


def write_keys(file: Path, **entries: dict[str, Any]) -> dict[str, str]:
    """A file of keys with these entries' roles and claims; the keys by name."""
    made, lines = {}, []
    for name, entry in entries.items():
        made[name], text = new_key(name, role=entry.get("role"))
        claims = ", ".join(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in entry.get("claims", {}).items())
        lines.append(text + (f"claims = {{ {claims} }}\n" if claims else ""))
    file.touch(mode=0o600)
    file.write_text("\n".join(lines), encoding="utf-8")
    return made


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
