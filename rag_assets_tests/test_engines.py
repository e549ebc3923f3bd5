"""Which engine embeds: what was named first, then OpenVINO, then llama.cpp; and none is lost for another's fault."""

import logging
import os
import re
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_assets import engines
from rag_assets.bundled import model, openvino_server
from rag_assets.embedding import neighbour
from rag_assets.embedding.embedder import LLAMA_CPP, OPENVINO, Embedder, Engine
from rag_assets.errors import NotEnoughMemory, ServerFailedToStart, SettingsError
from rag_assets.settings import Settings
from rag_assets_tests import fake_llama


def _settings(home: Path, **values: Any) -> Settings:
    chosen = {"required_memory_gb": 0, "threads": 1, **values.pop("llama_server", {})}
    return Settings(home=home, llama_server=chosen, _env_file=None, **values)


def _progress(_message: str) -> None:
    """Nobody listens."""


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if OpenVINO were there, and every model could be made."""
    monkeypatch.setattr(openvino_server, "is_installed", lambda: True)
    monkeypatch.setattr(model, "ensure", lambda home, *, quantization, progress: home / f"{quantization}.gguf")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, OPENVINO),
        ({"embedding": {"engine": "openvino"}}, OPENVINO),
        ({"embedding": {"engine": "llama.cpp"}}, LLAMA_CPP),
        ({"llama_server_binary": Path("/opt/llama-server")}, LLAMA_CPP),
        ({"llama_server_model": Path("/models/other.gguf")}, LLAMA_CPP),
        ({"llama_server_binary": Path("/opt/llama-server"), "embedding": {"engine": "openvino"}}, LLAMA_CPP),
    ],
)
def test_engine_is_what_was_named_and_else_openvino(
    tmp_path: Path, installed: None, values: dict[str, Any], expected: str
) -> None:
    """A binary and a model that somebody named come first, as they always did."""
    assert engines.choose(_settings(tmp_path, **values), progress=_progress).name == expected


def test_engine_is_llama_cpp_when_openvino_is_not_installed(
    tmp_path: Path, installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be faster is said with its command; where it was asked for by name, so is what to do."""
    monkeypatch.setattr(openvino_server, "is_installed", lambda: False)
    chosen = engines.choose(_settings(tmp_path), progress=_progress)
    assert chosen.name == LLAMA_CPP
    assert 'pip install "rag-assets[embedded]"' in chosen.note
    with pytest.raises(SettingsError, match="pip install"):
        engines.choose(_settings(tmp_path, embedding={"engine": "openvino"}), progress=_progress)


def test_engine_is_llama_cpp_when_the_weights_cannot_be_had(
    tmp_path: Path, installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home of before has its own file, and may be offline; one line says what embeds, and why."""
    kept = tmp_path / "models" / "all-MiniLM-L6-v2-q8_0.gguf"

    def ensure(home: Path, *, quantization: str, progress: object) -> Path:
        if quantization == "f32":
            raise SettingsError("The embedding model could not be downloaded: no route\nCheck the connection")
        return kept

    monkeypatch.setattr(model, "ensure", ensure)
    chosen = engines.choose(_settings(tmp_path), progress=_progress)
    assert (chosen.name, chosen.model) == (LLAMA_CPP, kept)
    assert chosen.note == "llama.cpp embeds instead of openvino: The embedding model could not be downloaded: no route"


@pytest.mark.parametrize(
    "values",
    [
        {"embedding": {"engine": "llama.cpp"}},
        {"llama_server_binary": Path("/opt/llama-server")},
        {"llama_server_model": Path("/models/other.gguf")},
    ],
)
def test_nothing_is_said_of_a_faster_engine_when_this_one_was_named(
    tmp_path: Path, installed: None, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    monkeypatch.setattr(openvino_server, "is_installed", lambda: False)
    assert engines.choose(_settings(tmp_path, **values), progress=_progress).note == ""


def test_note_is_in_the_log_once_when_the_engine_starts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not before, as most commands embed nothing, and not at later starts."""
    engine = replace(_engine("good", name=LLAMA_CPP), note="another one is faster")
    with closing(Embedder(_settings(tmp_path), engine=engine)) as embedder, caplog.at_level(logging.WARNING):
        assert caplog.messages == []
        for _ in range(2):
            embedder.warm()
            embedder.stop_server()
    assert caplog.messages == ["another one is faster"]


def test_any_file_of_the_model_is_taken_when_the_wanted_one_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp runs what was made for OpenVINO, too."""

    def ensure(*_: object, **__: object) -> Path:
        raise SettingsError("offline")

    monkeypatch.setattr(model, "ensure", ensure)
    with pytest.raises(SettingsError):
        model.ensure_any(tmp_path, quantization="q8_0")
    there = tmp_path / "models" / "all-MiniLM-L6-v2-f32.gguf"
    there.parent.mkdir()
    there.touch()
    assert model.ensure_any(tmp_path, quantization="q8_0") == there


def _engine(mode: str, *, name: str) -> Engine:
    return Engine(name=name, command=(sys.executable, fake_llama.__file__, mode), model=Path(__file__))


@pytest.mark.parametrize("mode", ["dies", "another model", "nearly"])
def test_fallback_embeds_when_the_engine_cannot(tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str) -> None:
    """It ends at its start, or its vectors are not the model's, or only nearly; one line says so."""
    embedder = Embedder(
        _settings(tmp_path),
        engine=_engine(mode, name=OPENVINO),
        fallback=lambda: _engine("good", name=LLAMA_CPP),
    )
    with closing(embedder), caplog.at_level(logging.WARNING):
        assert embedder.embed(["a text"], token_counts=[2]).shape == (1, 384)
        assert embedder.embed(["another"], token_counts=[1]).shape == (1, 384)
    assert caplog.messages == [embedder.note]
    assert embedder.note.startswith("llama.cpp embeds instead of openvino, which is faster: ")
    assert "pip install --upgrade openvino" in embedder.note


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_engine_that_others_killed_is_tried_again_at_the_next_start(tmp_path: Path) -> None:
    """It is not broken: meanwhile the other one embeds, and who asks for the status of this home is told why."""
    embedder = Embedder(
        _settings(tmp_path),
        engine=_engine("killed six times", name=OPENVINO),
        fallback=lambda: _engine("good", name=LLAMA_CPP),
    )
    with closing(embedder):
        embedder.warm()
        assert re.search(r"^llama.cpp embeds instead of openvino.*it was killed.*is tried again", embedder.note)
        assert "pip install" not in embedder.note
        assert neighbour.notes(tmp_path / "run") == [embedder.note]
        embedder.stop_server()
        assert neighbour.notes(tmp_path / "run") == []
        embedder.warm()
        assert embedder.note == ""


@pytest.mark.parametrize(("name", "said"), [(OPENVINO, "OpenVINO"), (LLAMA_CPP, "Llama-server")])
def test_engine_that_fails_is_called_by_its_name(tmp_path: Path, name: str, said: str) -> None:
    with (
        closing(Embedder(_settings(tmp_path), engine=_engine("dies", name=name))) as embedder,
        pytest.raises(ServerFailedToStart, match=f"^{said} failed to start: "),
    ):
        embedder.warm()


def test_nearly_is_near_enough_when_it_is_llama_cpp(tmp_path: Path) -> None:
    """Its files may be quantized further; only an engine that takes its place by itself has to be exact."""
    with closing(Embedder(_settings(tmp_path), engine=_engine("nearly", name=LLAMA_CPP))) as embedder:
        assert embedder.embed(["a text"], token_counts=[2]).shape == (1, 384)


def test_failure_is_told_when_there_is_no_fallback_or_it_would_not_help(tmp_path: Path) -> None:
    """Memory that is short for one is short for the other."""
    with (
        closing(Embedder(_settings(tmp_path), engine=_engine("dies", name=OPENVINO))) as alone,
        pytest.raises(ServerFailedToStart, match="cannot load"),
    ):
        alone.embed(["a text"], token_counts=[2])
    short = _settings(tmp_path, llama_server={"required_memory_gb": 1e6})
    embedder = Embedder(short, engine=_engine("good", name=OPENVINO), fallback=lambda: pytest.fail("it was taken"))
    with closing(embedder), pytest.raises(NotEnoughMemory):
        embedder.embed(["a text"], token_counts=[2])
