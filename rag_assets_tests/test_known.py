"""Vectors are stored and searched with only when they are those of the model whose name they get."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag_assets.bundled import llama_server
from rag_assets.embedding import known
from rag_assets.embedding.embedder import Embedder
from rag_assets.embedding.server import LlamaServer
from rag_assets.errors import WrongModel
from rag_assets.processes import ports
from rag_assets.settings import Settings
from rag_assets_tests import engines, fake_llama
from rag_assets_tests.fake_llama import FakeLlama


def _settings(home: Path, *, model: str = "all-MiniLM-L6-v2", **llama: object) -> Settings:
    chosen = {"required_memory_gb": 0, "threads": 1, "request_timeout_seconds": 20, **llama}
    return Settings(home=home, llama_server=chosen, embedding={"model": model}, _env_file=None)


@pytest.fixture
def pooled_otherwise(tmp_path: Path, model_path: Path) -> Iterator[Settings]:
    """Settings that name a server of the right model, started by somebody who took another kind of pooling."""
    chosen = _settings(tmp_path, port=ports.free_port("127.0.0.1"))
    otherwise = replace(engines.MODEL, pooling="cls")
    server = LlamaServer(
        llama_server.command(), model=model_path, settings=chosen.llama_server, home=tmp_path, of_model=otherwise
    )
    try:
        client = server.start()
        key = server._key_file.read_text().strip()
        yield _settings(tmp_path, url=f"http://{client.where}", api_key=key)
    finally:
        server.stop()


def test_remote_server_is_refused_when_it_pools_otherwise(pooled_otherwise: Settings) -> None:
    """Its vectors are valid, of the right dimension and of the same model; the message says what to do."""
    with closing(Embedder.remote(pooled_otherwise)) as embedder:
        with pytest.raises(WrongModel, match="--pooling mean") as info:
            embedder.embed(["a text"], token_counts=[3])
        assert info.value.cosine < 0.7
        with pytest.raises(WrongModel):
            embedder.embed_query("a text")


def test_own_server_is_refused_when_its_file_is_another_model(tmp_path: Path) -> None:
    """Of the same dimension; it is stopped."""
    command = fake_llama.command("another model")
    with closing(Embedder.local(_settings(tmp_path), command=command, model=Path(__file__))) as embedder:
        with pytest.raises(WrongModel, match=r"embedding\.model"):
            embedder.embed(["a text"], token_counts=[3])
        assert not embedder.started


def test_remote_server_is_refused_when_another_one_took_its_place(tmp_path: Path) -> None:
    """Between two requests: what comes over a new connection is looked at anew."""
    with FakeLlama() as first:
        first.closes = True
        embedder = Embedder.remote(_settings(tmp_path, url=first.url))
        embedder.embed(["a text"], token_counts=[3])
        port = first.server_address[1]
    with closing(embedder), FakeLlama(port=port) as second:
        second.salt = "another model"
        with pytest.raises(WrongModel):
            embedder.embed(["a text"], token_counts=[3])


class Index(known.Forgetful):
    """A memory as an index has one, with what is `stored` of a model."""

    def __init__(self, stored: float | None = None) -> None:
        self.known: dict[str, np.ndarray] = {}  # type: ignore[type-arg]
        self.stored = stored

    def recall(self, model: str) -> "np.ndarray | None":  # type: ignore[type-arg]
        return self.known.get(model)

    def verify(self, model: str, embed: object) -> float | None:
        return self.stored

    def remember(self, model: str, vectors: "np.ndarray") -> None:  # type: ignore[type-arg]
        self.known[model] = vectors


def test_model_that_is_not_shipped_is_remembered_at_its_first_use_and_compared_later(tmp_path: Path) -> None:
    """Under the same name, another model is refused; under its own, it is not."""
    index = Index()
    with FakeLlama() as fake:
        for model, salt, is_right in (
            ("mine", "", True),
            ("mine", "", True),
            ("mine", "x", False),
            ("other", "x", True),
        ):
            fake.salt = salt
            chosen = _settings(tmp_path, model=model, url=fake.url)
            with closing(Embedder.remote(chosen, models=index)) as embedder:
                if is_right:
                    embedder.embed(["a text"], token_counts=[3])
                else:
                    with pytest.raises(WrongModel, match="mine"):
                        embedder.embed(["a text"], token_counts=[3])
    assert set(index.known) == {"mine", "other"}


def test_model_is_compared_with_what_is_stored_when_it_is_used_for_the_first_time(tmp_path: Path) -> None:
    """An index of before may hold vectors of that name already."""
    index = Index(stored=0.2)
    with (
        FakeLlama() as fake,
        closing(Embedder.remote(_settings(tmp_path, model="mine", url=fake.url), models=index)) as e,
    ):
        with pytest.raises(WrongModel):
            e.embed(["a text"], token_counts=[3])
        assert index.known == {}
