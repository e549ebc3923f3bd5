"""The Python client: the same index through its service and its database, and what it says when there is none."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from rag_assets import engines
from rag_assets.client import Index, IndexRefused, IndexUnavailable
from rag_assets.errors import SettingsError
from rag_assets.service.keys import Keys
from rag_assets_tests import conftest, rows, serving
from rag_assets_tests.serving import Service, configured, served, write_keys

PUMP = "The pump of the north shows error E4."


@pytest.fixture(scope="module")
def service(postgres_url: str, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With a key named by the service's address."""
    place = tmp_path_factory.mktemp("client")
    key = write_keys(place / "keys.toml", program={})["program"]
    for url in conftest._database(postgres_url, template=_template):
        serving.fill(url)
        with served(configured(url, place / "home"), keys=Keys(place / "keys.toml")) as made:
            made.key, made.dsn = key, url
            yield made


@pytest.fixture
def index(service: Service) -> Iterator[Index]:
    with Index(service.url, api_key=service.key) as made:
        yield made


@pytest.fixture
def in_process(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """With the settings of the service, as this process finds them."""
    config = service.asking.settings
    monkeypatch.setenv("RAG_ASSETS_HOME", str(config.home))
    monkeypatch.setenv("LLAMA_SERVER_BINARY", str(config.llama_server_binary))
    monkeypatch.setenv("LLAMA_SERVER_MODEL", str(config.llama_server_model))
    monkeypatch.setenv("RAG_ASSETS_EMBEDDING__MODEL", rows.MODEL)
    monkeypatch.setenv("RAG_ASSETS_LLAMA_SERVER__REQUIRED_MEMORY_GB", "0")
    with Index(service.dsn) as made:
        yield made


def test_both_ways_give_the_same(index: Index, in_process: Index) -> None:
    """Hits, vectors, a document with its chunks, the status: equal, whole and typed."""
    for options in ({"mode": "text"}, {}, {"path_prefix": "north/", "context": 1}, {"since": datetime.now(UTC)}):
        assert index.search(PUMP, k=3, **options) == in_process.search(PUMP, k=3, **options)
    assert index.search(PUMP, k=1)[0].content == PUMP
    assert np.allclose(index.embed(["one", "two"]), in_process.embed(["one", "two"]))
    assert index.document("100% sure/../1") == in_process.document("100% sure/../1")
    assert index.document("no such") is in_process.document("no such") is None
    assert index.status() == in_process.status()


def test_a_hit_has_its_types(index: Index) -> None:
    """As on the command line: tuples and numbers, and what stands around."""
    [hit] = index.search("repaired spring", k=1, mode="text", context=1)
    assert hit.before == (PUMP,)
    assert isinstance(hit.score, float)
    document = index.document(hit.document_id)
    assert document is not None
    assert isinstance(document.document.indexed_at, datetime)


def test_a_request_that_is_wrong_is_refused_with_the_services_words(index: Index) -> None:
    """Which name the field."""
    with pytest.raises(IndexRefused, match=r"\bk\b") as info:
        index.search("x", k=100_000)
    assert (info.value.kind, info.value.status) == ("invalid", 422)


@pytest.mark.parametrize("name", ["documents", "types", "languages"])
def test_one_text_is_refused_where_several_are_taken(index: Index, name: str) -> None:
    """Its letters would be taken for ids of documents, and others than the one that is meant would be found."""
    with pytest.raises(TypeError, match=f"{name} takes a list of texts, not '26'"):
        index.search("pump", **{name: "26"})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="texts takes a list"):
        index.embed("26")


def test_a_wrong_key_is_refused(service: Service) -> None:
    """As unauthorized; without one, too."""
    for key in (None, "wrong"):
        with Index(service.url, api_key=key) as index, pytest.raises(IndexRefused, match="key") as info:
            index.status()
        assert info.value.kind == "unauthorized"


def test_a_connection_that_the_service_ended_is_replaced(index: Index) -> None:
    """It had been idle: the caller notices nothing."""
    index.status()
    index._way._idle.queue[0].sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
    assert index.status().documents == 4


def test_no_service_is_said_with_what_to_do() -> None:
    """Nobody there, somebody else there, no address at all."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with Index(f"http://127.0.0.1:{port}") as index, pytest.raises(IndexUnavailable, match="rag-assets serve"):
            index.status()
        nobody.listen()
        with (
            Index(f"http://127.0.0.1:{port}", timeout=0.2) as index,
            pytest.raises(IndexUnavailable, match="timed out"),
        ):
            index.status()
    with pytest.raises(ValueError, match=r"http://, https:// or postgresql://"):
        Index("ftp://there")


def test_no_database_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As unavailable, or as a text that means none."""
    monkeypatch.setenv("RAG_ASSETS_HOME", str(tmp_path))
    with Index("postgresql://127.0.0.1:1/x") as index, pytest.raises(IndexUnavailable, match=r"127\.0\.0\.1"):
        index.search("x", mode="text")
    with Index("postgresql://[broken") as index, pytest.raises((SettingsError, IndexUnavailable)):
        index.search("x", mode="text")


def test_an_index_that_is_not_there_is_said_before_a_model_is_made(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whatever way a search comes, and also where a service opens beforehand what the first question needs."""
    monkeypatch.setenv("RAG_ASSETS_HOME", str(tmp_path))
    monkeypatch.setattr(engines, "choose", lambda *_arguments, **_named: pytest.fail("a model was asked for"))
    with Index(empty_database_url) as index:
        for mode in ("hybrid", "text"):
            with pytest.raises(SettingsError, match="There is no table TblDocumentFiles"):
                index.search("words", mode=mode)  # type: ignore[arg-type]
        asking = index._way._asking  # type: ignore[attr-defined]
        asking.warm()
        with pytest.raises(SettingsError, match="There is no table TblDocumentFiles"):
            asking.embed_query("words")


def test_what_is_no_number_or_no_language_is_refused_before_it_is_asked() -> None:
    """True is no 1, and a filter by a language that there is not would find nothing."""
    with Index("http://127.0.0.1:1") as index:
        for name in ("k", "context", "min_similarity"):
            with pytest.raises(TypeError, match=f"{name} is a number"):
                index.search("x", **{name: True})  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="chunks is a number"):
            index.document("x", chunks=True)
        with pytest.raises(ValueError, match="'klingon' is none of the codes of languages"):
            index.search("x", languages=["klingon"])


def test_a_closed_index_says_so(service: Service) -> None:
    """Whatever is asked of it, also where a connection was open."""
    index = Index(service.url, api_key=service.key)
    index.status()
    index.close()
    index.close()
    asked = (index.status, lambda: index.search("x"), lambda: index.embed(["x"]), lambda: index.document("x"))
    for ask in asked:
        with pytest.raises(RuntimeError, match="This Index is closed"):
            ask()


def test_importing_it_loads_little() -> None:
    """No Dagster, no numpy, no pydantic, no driver: what is needed is loaded when it is."""
    heavy = ("dagster", "numpy", "pydantic", "psycopg2", "requests", "psutil", "starlette", "llama_index")
    code = f"import sys; import rag_assets.client; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
