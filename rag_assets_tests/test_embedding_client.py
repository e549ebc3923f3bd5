"""Whatever a server answers: valid vectors in the order of the texts, or an error that says what to do."""

import re
import socket
import traceback
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from rag_assets.embedding import client as client_module
from rag_assets.embedding import known
from rag_assets.embedding.client import EmbeddingClient, InputTooLong, ServerAway
from rag_assets.embedding.server import LlamaServer
from rag_assets.errors import EmbeddingError, SettingsError
from rag_assets.settings import LlamaServer as LlamaServerSettings
from rag_assets_tests import engines, fake_llama
from rag_assets_tests.fake_llama import FakeLlama

TEXTS = ["one", "two words", "three words here"]
WRONG = [
    "short",
    "duplicate",
    "nan",
    "zero",
    "short vector",
    "no base64",
    "no rows",
    "no vector",
    "no object",
    "no json",
    "nested",
    "huge number",
    "large number",
    "500",
]


@pytest.fixture
def fake() -> Iterator[FakeLlama]:
    with FakeLlama() as server:
        yield server


def _client(url: str, *, key: str | None = None, seconds: float = 5.0, **options: Any) -> EmbeddingClient:
    return EmbeddingClient(url, api_key=key, of_model=engines.MODEL, timeout_seconds=seconds, **options)


@pytest.fixture
def client(fake: FakeLlama) -> Iterator[EmbeddingClient]:
    with closing(_client(fake.url)) as client:
        yield client


@pytest.fixture(scope="module", params=engines.ALL)
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddingClient]:
    """What holds for the fake holds for each of the real servers."""
    command, model = engines.command_and_model(request.param, request)
    chosen = LlamaServerSettings(required_memory_gb=0, threads=1)
    home = tmp_path_factory.mktemp("home")
    server = LlamaServer(command, model=model, settings=chosen, home=home, of_model=engines.MODEL)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.mark.parametrize("count", [1, 2, 64])
def test_embed_gives_one_vector_per_text_when_all_is_well(either: EmbeddingClient, count: int) -> None:
    """float32 of shape (texts, 384), of length 1, the same alone as together, in the order of the texts."""
    texts = [f"Text number {number}, and nothing else." for number in range(count)]
    vectors = either.embed(texts)
    assert vectors.shape == (count, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert float(either.embed([texts[-1]])[0] @ vectors[-1]) > 0.999


def test_embed_refuses_when_a_text_is_over_the_limit(either: EmbeddingClient) -> None:
    """Never shortened in silence."""
    with pytest.raises(InputTooLong):
        either.embed([f"{fake_llama.HUGE} word " * 600])


def test_server_describes_itself_when_asked(either: EmbeddingClient) -> None:
    """Health, build and tokens."""
    assert either.healthy()
    assert either.build()
    assert [token["piece"].strip("▁ ") for token in either.tokenize("hello there")] == ["hello", "there"]


def test_embed_raises_settings_error_when_the_key_is_wrong(either: EmbeddingClient) -> None:
    """The key itself is not in the message."""
    with (
        closing(_client(either.url, key="wrong-key", door=either.door)) as client,
        pytest.raises(SettingsError, match="api_key") as info,
    ):
        client.embed(TEXTS)
    assert "wrong-key" not in str(info.value)


def test_embed_gives_the_models_vectors_when_it_is_any_engine(either: EmbeddingClient) -> None:
    """One index takes vectors of all of them."""
    shipped = known.shipped("all-MiniLM-L6-v2")
    assert shipped is not None
    assert known.least_cosine(either.embed(known.TEXTS), shipped) > 0.999


@pytest.mark.parametrize("behaviour", ["late", "reordered"])
def test_embed_keeps_the_order_when_the_answer_does_not(
    fake: FakeLlama, client: EmbeddingClient, behaviour: str
) -> None:
    """The index that the server gives decides, not the place."""
    fake.next.append(behaviour)
    assert np.allclose(client.embed(TEXTS), [fake_llama.vector(text) for text in TEXTS])


@pytest.mark.parametrize("behaviour", WRONG)
@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1]])
def test_embed_raises_when_vectors_are_not_valid(
    fake: FakeLlama, client: EmbeddingClient, behaviour: str, texts: list[str]
) -> None:
    """Too few, twice the same, no number, of no length, of the wrong kind: never stored; the next request works."""
    fake.next.append(behaviour)
    with pytest.raises(EmbeddingError) as info:
        client.embed(texts)
    assert not isinstance(info.value, ServerAway)
    assert fake.url in str(info.value)
    assert len(client.embed(texts)) == len(texts)


def test_embed_raises_when_an_answer_has_no_end(fake: FakeLlama) -> None:
    """It is read no further than any real answer goes: a server that is not ours cannot fill the memory."""
    fake.next.append("endless")
    with closing(_client(fake.url, most_answer_bytes=2**20)) as client:
        with pytest.raises(EmbeddingError, match=f"{fake.url} has more than"):
            client.embed(TEXTS)
        assert len(client.embed(TEXTS)) == len(TEXTS)


@pytest.mark.parametrize(
    "behaviour",
    ["503", "cut", "hanging", "dripping", "dripping head", "dripping to the end", "going on"],
)
def test_embed_says_that_the_server_is_away_when_it_does_not_answer(fake: FakeLlama, behaviour: str) -> None:
    """Still loading, ended in the middle of an answer, or silent: another try can help."""
    fake.next.append(behaviour)
    with closing(_client(fake.url, seconds=0.3)) as client:
        with pytest.raises(ServerAway):
            client.embed(TEXTS)
        assert len(client.embed(TEXTS)) == len(TEXTS)


@pytest.mark.parametrize(
    "behaviour", ["no object", "nested", "endless", "dripping", "dripping head", "going on", "odd facts"]
)
def test_a_server_is_asked_about_itself_when_it_answers_anything(fake: FakeLlama, behaviour: str) -> None:
    """Each question has an end in time and in bytes, and no answer is more than nothing or a short line."""
    fake.says = behaviour
    limits = {"facts_seconds": 0.3, "most_facts_bytes": 2**20, "most_answer_bytes": 2**20}
    with closing(_client(fake.url, seconds=0.3, **limits)) as client:
        assert len(client.build() or "") <= client_module.SHOWN_CHARACTERS
        assert (client.build() or "").isprintable()
        assert client.models() == []
        assert isinstance(client.healthy(), bool)
        assert not client.refuses_strangers()
        with pytest.raises(EmbeddingError):
            client.tokenize("one")


def test_embed_says_that_the_server_is_away_when_nobody_listens() -> None:
    """As after its end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with closing(_client(url)) as client:
        assert not client.healthy()
        with pytest.raises(ServerAway, match=url):
            client.embed(TEXTS)


@pytest.mark.parametrize("address", ["http://{}127.0.0.1:1", "http://{}127.0.0.1:wrong", "ftp://{}127.0.0.1"])
def test_login_in_an_address_is_not_shown(address: str) -> None:
    """Nor in a traceback, where an address that cannot be used is quoted."""
    shown = address.format("***@")
    with closing(_client(address.format("me:secret@"))) as client:
        with pytest.raises(ServerAway, match=re.escape(shown)) as info:
            client.embed(TEXTS)
        assert client.where == shown
    assert "secret" not in "".join(traceback.format_exception(info.value))
