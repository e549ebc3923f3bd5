"""Sets of models: what is known by name, what a set cuts, and files that are of another model."""

import json
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rag_assets import engines, model_sets, settings
from rag_assets.bundled import llama_server
from rag_assets.cli import main
from rag_assets.embedding.client import EmbeddingClient
from rag_assets.embedding.embedder import Embedder
from rag_assets.errors import SettingsError
from rag_assets.model_sets import KNOWN, ModelSet
from rag_assets_tests import fake_llama
from rag_assets_tests.fake_llama import FakeLlama

NAMES = (
    "all-MiniLM-L6-v2",
    "bge-small-en-v1.5",
    "e5-small-v2",
    "multilingual-e5-small",
    "snowflake-arctic-embed-s",
    "nomic-embed-text-v1.5",
    "embeddinggemma-300m",
    "bge-m3",
)


def test_common_models_are_known_by_name() -> None:
    """Each under its own name, and as JSON has it."""
    assert tuple(KNOWN) == NAMES
    assert [model_sets.read(model_sets.written(one)) for one in KNOWN.values()] == list(KNOWN.values())
    assert model_sets.known("of-mine") is None
    assert model_sets.known("bge-m3@x") is None


def test_name_alone_is_enough_in_the_settings() -> None:
    """What is set by hand comes before what is known."""
    named = settings.Embedding(model="e5-small-v2").of_model
    assert named == KNOWN["e5-small-v2"]
    assert settings.Embedding(model="e5-small-v2", passage_prefix="").of_model.passage_prefix == ""
    assert settings.Embedding(model="nomic-embed-text-v1.5@256").of_model == KNOWN["nomic-embed-text-v1.5"].cut(256)
    with pytest.raises(ValueError, match="allowed is 64, 128, 256, 512, 768"):
        settings.Embedding(model="nomic-embed-text-v1.5@100")
    with pytest.raises(ValueError, match="allowed is 384 alone"):
        settings.Embedding(model="e5-small-v2@128")
    with pytest.raises(ValueError, match="whole_dimension is 10; allowed is 20"):
        settings.Embedding(model="mine", dimension=20, whole_dimension=10)


def test_chunks_leave_room_for_what_they_begin_with(tmp_path: Path) -> None:
    """Where the model takes no more than that; a longer one leaves the size as it is set."""

    def size(name: str) -> int:
        return settings.load(home=tmp_path, embedding={"model": name}).cutting.size

    assert size("all-MiniLM-L6-v2") == 512
    assert size("e5-small-v2") == 512 - len("passage: ")
    assert size("bge-m3") == 512


@pytest.mark.parametrize(
    ("name", "metadata", "expected"),
    [
        ("e5-small-v2", {}, []),
        ("e5-small-v2", {"general.name": "E5 Small v2", "bert.embedding_length": 384, "bert.pooling_type": 1}, []),
        ("e5-small-v2", {"bert.embedding_length": 768}, ["its vectors have 768 dimensions, .* have 384"]),
        ("e5-small-v2", {"bert.pooling_type": 2}, ["its pooling is cls, .* is mean"]),
        ("e5-small-v2", {"bert.context_length": 128}, ["it takes 128 tokens"]),
        (
            "all-MiniLM-L6-v2",
            {"general.name": "Multilingual E5 Small"},
            ["query_prefix is 'query: '", "passage_prefix"],
        ),
        ("nomic-embed-text-v1.5@256", {"bert.embedding_length": 768}, []),
    ],
)
def test_file_of_another_model_is_found_by_its_metadata(
    name: str, metadata: dict[str, object], expected: list[str]
) -> None:
    """Another dimension, another pooling, a shorter text, and a prefix that would be forgotten."""
    one = model_sets.known(name)
    assert one is not None
    found = model_sets.misfits(one, {"general.architecture": "bert"} | metadata)
    assert len(found) == len(expected)
    for said, pattern in zip(found, expected, strict=True):
        assert re.search(pattern, said)


def test_known_model_is_refused_when_it_has_no_file(tmp_path: Path) -> None:
    """Or the embedded model would embed under its name."""
    chosen = settings.load(home=tmp_path, embedding={"model": "bge-m3"})
    with pytest.raises(SettingsError, match=r"embedding\.model is bge-m3.*LLAMA_SERVER_MODEL"):
        engines.choose(chosen, progress=lambda _: None)


def _settings(tmp_path: Path, url: str, **embedding: object) -> settings.Settings:
    return settings.load(home=tmp_path, embedding=embedding, llama_server={"url": url, "required_memory_gb": 0})


def test_questions_and_chunks_begin_as_the_model_wants_it(tmp_path: Path) -> None:
    """Also the texts by which the model is known again."""
    with FakeLlama() as fake:
        chosen = _settings(tmp_path, fake.url, model="e5-small-v2")
        with closing(Embedder.remote(chosen)) as embedder:
            passage = embedder.embed(["pumps"], token_counts=[1])[0]
            question = embedder.embed_query("pumps")
        asked = {text for texts in fake.requests for text in texts}
    assert np.allclose(passage, fake_llama.vector("passage: pumps"), atol=1e-6)
    assert np.allclose(question, fake_llama.vector("query: pumps"), atol=1e-6)
    assert all(text.startswith(("query: ", "passage: ")) for text in asked)


@pytest.mark.parametrize("centred", [False, True])
def test_vectors_are_cut_to_fewer_dimensions(centred: bool) -> None:
    """To length 1 again; of some models, the mean is taken off before."""
    whole = ModelSet(name="m", dimension=384, dimensions=(64, 384), centred=centred)
    with FakeLlama() as fake:
        client = EmbeddingClient(fake.url, api_key=None, of_model=whole.cut(64), timeout_seconds=5.0)
        with closing(client):
            found = client.embed(["pumps"])[0]
    given = np.array(fake_llama.vector("pumps"))
    kept = (given - given.mean() if centred else given)[:64]
    assert np.allclose(found, kept / np.linalg.norm(kept), atol=1e-6)


def test_command_lists_what_is_known() -> None:
    """A line for each, for people and for programs."""
    shown = CliRunner().invoke(main, ["model", "known"])
    assert [line.partition(":")[0] for line in shown.output.splitlines()] == list(NAMES)
    told = CliRunner().invoke(main, ["model", "known", "--json"])
    assert [json.loads(line)["pooling"] for line in told.output.splitlines()].count("cls") == 3


def test_engine_pools_as_the_model_wants_it(model_path: Path, tmp_path: Path) -> None:
    """The real one: of the same file, other pooling gives other vectors."""
    found = []
    for name, pooling in (("all-MiniLM-L6-v2", "mean"), ("mine", "cls")):
        chosen = settings.load(
            home=tmp_path / name,
            embedding={"model": name, "pooling": pooling},
            llama_server={"required_memory_gb": 0, "threads": 1},
        )
        with closing(Embedder.local(chosen, command=llama_server.command(), model=model_path)) as embedder:
            found.append(embedder.embed(["The pump shows error four."], token_counts=[6])[0])
    assert float(found[0] @ found[1]) < 0.9
