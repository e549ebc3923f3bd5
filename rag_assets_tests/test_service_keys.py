"""Who may ask the search service: keys, their files, and tenants who see nothing of each other."""

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rag_assets.cli import main
from rag_assets.errors import SettingsError
from rag_assets.service import gate
from rag_assets.service.keys import Keys, new_key
from rag_assets_tests import conftest, rows, serving
from rag_assets_tests.serving import Service, configured, served, write_keys

TENANTS = ("north", "south")


class Locked(Service):
    """A service with keys: of the operator, of two tenants, of a role that is not there."""

    keys: dict[str, str]
    file: Path


@pytest.fixture(scope="module")
def locked(postgres_url: str, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    place = tmp_path_factory.mktemp("keys")
    for url in conftest._database(postgres_url, template=_template):
        serving.fill(url)
        role = serving.separate_tenants(url)
        entries: dict[str, Any] = {name: {"role": role, "claims": {serving.TENANT: name}} for name in TENANTS}
        entries |= {"operator": {}, "nobody": {"role": f"{role}_gone", "claims": {serving.TENANT: "x"}}}
        made = write_keys(place / "keys.toml", **entries)
        with served(configured(url, place / "home"), keys=Keys(place / "keys.toml")) as service:
            locked = Locked(service.asking, service.port)
            locked.keys, locked.file = made, place / "keys.toml"
            yield locked
        rows.execute(url, f"drop owned by {role}; drop role {role}")


# ---- without a key


@pytest.mark.parametrize("path", ["/v1/status", "/v1/documents", "/v1/documents/north-1", "/metrics", "/v1/nothing"])
def test_nothing_is_told_without_a_key(locked: Locked, path: str) -> None:
    """Not even which paths there are."""
    answer = locked.ask("GET", path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "pump" not in answer.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
def test_what_tells_nothing_needs_no_key(locked: Locked, path: str) -> None:
    """For those who watch the service."""
    assert locked.ask("GET", path).status_code == 200


@pytest.mark.parametrize(
    "given",
    ["Bearer wrong", "Bearer ", "Bearer", "Basic {key}", "bearer\t{key}x", "{key}", "Bearer {key}x", "Bearer rag_\xff"],
)
def test_a_wrong_key_opens_nothing(locked: Locked, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """However it is given."""
    monkeypatch.setattr(gate, "WRONG_KEY_SECONDS", 0.0)
    header = given.format(key=locked.keys["operator"]).encode("latin-1")
    assert locked.ask("GET", "/v1/status", headers={"Authorization": header}).status_code == 401


def test_two_keys_at_once_open_nothing(locked: Locked) -> None:
    """Which of them would count is not to be guessed."""
    key = locked.keys["operator"]
    twice = f"GET /v1/status HTTP/1.1\r\nHost: x.localhost\r\nAuthorization: Bearer {key}\r\n"
    twice += f"Authorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    assert b" 401 " in locked.raw(twice.encode()).split(b"\r\n")[0]


def test_wrong_keys_make_nobody_else_wait(locked: Locked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only some wait for their late answer, more are sent away; who has a right key is served meanwhile."""
    monkeypatch.setattr(gate, "MOST_WRONG_KEYS", 3)
    with ThreadPoolExecutor(12) as threads:
        asked = [threads.submit(locked.ask, "GET", "/v1/status", key="wrong") for _ in range(12)]
        assert locked.ask("GET", "/v1/status", key=locked.keys["operator"]).status_code == 200
        statuses = [answer.result().status_code for answer in asked]
    assert set(statuses) <= {401, 429}
    assert 401 in statuses


# ---- tenants


@pytest.mark.parametrize("mode", ["text", "vector", "hybrid"])
@pytest.mark.parametrize("tenant", TENANTS)
def test_a_tenant_finds_only_his_own(locked: Locked, tenant: str, mode: str) -> None:
    """Row-level security decides, by the claim of his key; the operator finds all."""
    own = {name for name in serving.DOCUMENTS if name.startswith(tenant)}
    query = "The pump of the north shows error E4. roses repairs"
    found = set(locked.found(query, key=locked.keys[tenant], mode=mode, k=100))
    assert found
    assert found <= own
    assert len(set(locked.found(query, key=locked.keys["operator"], mode="vector", k=100))) == 4


def test_a_tenant_is_told_of_no_other_document(locked: Locked) -> None:
    """Neither by its id, nor in lists, nor in numbers; that of another one is as one that is not there."""
    key = locked.keys["north"]
    listed = locked.ask("GET", "/v1/documents", key=key).json()["documents"]
    assert [document["document_id"] for document in listed] == ["north-1", "north-2"]
    foreign, missing = (locked.ask("GET", f"/v1/documents/{name}", key=key) for name in ("south-1", "north-9"))
    assert (foreign.status_code, foreign.json()) == (missing.status_code, missing.json())
    status = locked.ask("GET", "/v1/status", key=key).json()
    assert (status["documents"], status["chunks"], status["faults"]) == (2, 4, [])
    assert locked.ask("GET", "/metrics", key=key).status_code == 403


def test_rights_of_one_request_are_gone_with_the_next(locked: Locked) -> None:
    """Connections are shared: tenants who ask in turns and at once, each with his own rights."""
    names = [*TENANTS, "operator"] * 20

    def found(name: str) -> set[str]:
        return set(locked.found("pump pumps", key=locked.keys[name], k=100))

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(found, names))
    for name, answer in zip(names, answers, strict=True):
        assert answer == {i for i in ("north-1", "south-1", "100% sure/../1") if name == "operator" or name in i}


def test_a_role_that_is_not_there_finds_nothing(locked: Locked) -> None:
    """The caller is told little of it, the log says what to do."""
    answer = locked.ask("POST", "/v1/search", key=locked.keys["nobody"], json={"query": "pump", "mode": "text"})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "settings")
    assert "tenant" not in answer.text
    assert locked.found("E4", key=locked.keys["operator"]) == ["north-1"]


# ---- the file


def test_a_key_that_is_taken_out_of_the_file_opens_nothing_more(locked: Locked, monkeypatch: Any) -> None:
    """And one that is put in does: the file is read again when it changes."""
    monkeypatch.setattr(gate, "WRONG_KEY_SECONDS", 0.0)
    before = locked.file.read_text()
    made, lines = new_key("guest")
    try:
        locked.file.write_text(before + lines)
        assert locked.ask("GET", "/v1/status", key=made).status_code == 200
        locked.file.write_text(before)
        assert locked.ask("GET", "/v1/status", key=made).status_code == 401
        locked.file.write_text("[keys")
        closed = locked.ask("GET", "/v1/status", key=locked.keys["operator"])
        assert (closed.status_code, closed.headers["Retry-After"]) == (503, "1")
    finally:
        locked.file.write_text(before)
    assert locked.ask("GET", "/v1/status", key=locked.keys["operator"]).status_code == 200


def test_a_key_of_the_command_line_opens_what_its_lines_say(tmp_path: Path) -> None:
    """The key goes to whoever asks, the lines to the file, and they do not hold it."""
    made = CliRunner().invoke(main, ["key", "intranet", "--role", 'ten"ant'])
    assert made.exit_code == 0
    key = next(line for line in made.stderr.splitlines() if line.startswith("rag_"))
    assert key not in made.stdout
    file = tmp_path / "keys.toml"
    file.touch(mode=0o600)
    file.write_text(made.stdout)
    found = Keys(file).caller(key)
    assert found is not None
    assert (found.name, found.role) == ("intranet", 'ten"ant')
    assert CliRunner().invoke(main, ["key", "a b"]).exit_code == 2


def test_serve_says_when_its_port_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In place of another one, which who asks would not find."""
    monkeypatch.setenv("RAG_ASSETS_HOME", str(tmp_path / "home"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = CliRunner().invoke(main, ["serve", "--port", str(taken.getsockname()[1])])
    assert answer.exit_code == 1
    assert "is taken by another program: name another one with --port" in answer.stderr


def test_serve_refuses_other_machines_without_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before anything is started; and so does up."""
    monkeypatch.setenv("RAG_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RAG_ASSETS_SERVICE__HOST", "0.0.0.0")  # noqa: S104
    for command in ("serve", "up"):
        answer = CliRunner().invoke(main, [command])
        assert answer.exit_code == 1
        assert "Set service.keys_file" in answer.stderr
    assert not (tmp_path / "home").exists()


KEY = 'sha256 = "' + "a" * 64 + '"'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "keys"),
        ("[keys]", "keys"),
        ("[keys.a]", "it has either sha256 or key"),
        (f'[keys.a]\n{KEY}\nkey = "0123456789abcdef"', "it has either sha256 or key"),
        ('[keys.a]\nkey = "short-secret"', "16"),
        (f'[keys.a]\n{KEY}\nclaims = {{ "app.x" = "1" }}', "claims are for policies"),
        (f'[keys.a]\n{KEY}\nrole = "r"\nclaims = {{ role = "postgres" }}', "no name with a dot"),
        (f'[keys.a]\n{KEY}\nrole = "r"\nclaims = {{ search_path = "x" }}', "no name with a dot"),
        (
            f'[keys.a]\n{KEY}\nrole = "r"\nclaims = {{ "app.x" = "1" }}\n[keys.b]\nkey = "{"b" * 16}"\nrole = "r"',
            "b has no claim app.x",
        ),
        (f"[keys.a]\n{KEY}\n[keys.b]\n{KEY}", "a and b have the same key"),
        (f"[keys.a]\n{KEY}\nroll = 1", "roll"),
        (f"[keys.a]\n{KEY}\n[users]", "users"),
        ("\xff", "UTF-8"),
    ],
)
def test_a_file_of_keys_that_is_wrong_is_refused(tmp_path: Path, content: str, said: str) -> None:
    """With what is wrong in it, and without any key."""
    file = tmp_path / "keys.toml"
    file.touch(mode=0o600)
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(SettingsError, match=said) as info:
        Keys(file).require()
    assert "short-secret" not in str(info.value)


@pytest.mark.skipif(os.name == "nt", reason="has other permissions")
@pytest.mark.parametrize("mode", [0o644, 0o620, 0o602, 0o604])
def test_a_file_of_keys_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    """A group may read it, and no more."""
    file = tmp_path / "keys.toml"
    write_keys(file, a={})
    file.chmod(0o640)
    assert Keys(file).require() == 1
    file.chmod(mode)
    with pytest.raises(SettingsError, match="may be read or changed by others"):
        Keys(file).require()


@pytest.mark.skipif(os.name == "nt", reason="has no pipes in folders")
def test_a_pipe_in_the_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    """It is refused as no file."""
    os.mkfifo(tmp_path / "keys.toml", mode=0o600)
    with pytest.raises(SettingsError, match="is no file"):
        Keys(tmp_path / "keys.toml").require()


def test_a_file_that_is_nested_too_deeply_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """As any other that is no TOML."""
    file = tmp_path / "keys.toml"
    file.touch(mode=0o600)
    file.write_text("a = " + "[" * 100_000)
    with pytest.raises(SettingsError, match="cannot be read as TOML in UTF-8: a value is nested too deeply"):
        Keys(file).require()


def test_a_key_may_stand_in_the_file_itself(tmp_path: Path) -> None:
    """For those who make their own."""
    file = tmp_path / "keys.toml"
    file.touch(mode=0o600)
    file.write_text('[keys.a]\nkey = "a-key-of-my-own-making"')
    found = Keys(file).caller("a-key-of-my-own-making")
    assert found is not None
    assert found.name == "a"
    assert Keys(file).caller("another-key-of-my-own") is None
