"""A calibration survives what dies, keeps nothing slower than llama-server's defaults, and yields to what is set."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from rag_assets import settings
from rag_assets.embedding import calibration
from rag_assets.embedding.calibration import Calibration
from rag_assets.errors import NotEnoughMemory, ServerFailedToStart
from rag_assets_tests import fake_llama

# A llama-server that dies, or is slow, with some flags.
PICKY = """
import sys
from rag_assets_tests import fake_llama
dies, slow, arguments = sys.argv[1], sys.argv[2], sys.argv[3:]
line = " ".join(arguments)
if "--help" in arguments:
    print("--port --api-key-file --model")
elif dies in line:
    sys.exit("GGML_ASSERT failed: AMX")
else:
    if slow in line:
        fake_llama.LATE_SECONDS = 0.05
        fake_llama.MISBEHAVIOUR["good"] = fake_llama._late
    fake_llama.main("good", arguments)
"""
NEVER = "no such flag"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "TRIAL_SECONDS", 0.05)


def _calibrate(home: Path, *, dies: str = NEVER, slow: str = NEVER, **llama_server: Any) -> Calibration:
    program = home / "picky.py"
    program.write_text(PICKY)
    chosen = settings.load_by_hand(home=home, llama_server={"required_memory_gb": 0, **llama_server})
    command = [sys.executable, str(program), dies, slow]
    models = {chosen.embedding.quantization: Path(fake_llama.__file__)}
    found = calibration.calibrate(chosen, command=command, models=models, say=lambda _line: None)
    calibration.keep(found, chosen)
    return found


def test_a_candidate_that_dies_is_out(tmp_path: Path) -> None:
    """As one build does with q8_0 on AMX: the others are still compared."""
    found = _calibrate(tmp_path, dies="--parallel 4")
    [dead] = [trial for trial in found.trials if trial.error]
    assert dead.name == "four slots"
    assert "AMX" in str(dead.error)
    assert found.best.chunks_per_second


def test_own_defaults_win_where_all_else_is_slower(tmp_path: Path) -> None:
    """Every choice of ours sets --threads, which makes this server slow."""
    found = _calibrate(tmp_path, slow="--threads")
    assert found.best.name == "own defaults"
    kept = settings.load(home=tmp_path)
    assert kept.llama_server.own_defaults


def test_best_is_never_slower_than_own_defaults(tmp_path: Path) -> None:
    found = _calibrate(tmp_path)
    assert found.best.chunks_per_second
    assert found.own_defaults.chunks_per_second
    assert found.best.chunks_per_second >= found.own_defaults.chunks_per_second


def test_calibration_fails_where_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(ServerFailedToStart, match="AMX"):
        _calibrate(tmp_path, dies="--port")
    assert not (tmp_path / settings.CALIBRATION).exists()


def test_calibration_fails_without_memory(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughMemory):
        _calibrate(tmp_path, required_memory_gb=1e6)


def test_what_is_set_by_hand_is_not_tried_otherwise(tmp_path: Path) -> None:
    found = _calibrate(tmp_path, threads=3)
    assert all("threads" not in trial.knobs for trial in found.trials)


def _keep(home: Path, **changed: object) -> None:
    content = {
        "machine": settings.machine(None),
        "llama_server": {"parallel": 7, "ubatch_size": 1024},
        "quantization": "f16",
        **changed,
    }
    (home / settings.CALIBRATION).write_text(json.dumps(content))


def test_settings_by_hand_win_over_the_calibration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _keep(tmp_path)
    monkeypatch.setenv("RAG_ASSETS_LLAMA_SERVER__PARALLEL", "2")
    loaded = settings.load(home=tmp_path)
    assert (loaded.llama_server.parallel, loaded.llama_server.ubatch_size) == (2, 1024)


def test_calibration_of_another_machine_is_void_but_for_the_quantization(tmp_path: Path) -> None:
    """What is stored was embedded with it, on whichever machine."""
    _keep(tmp_path, machine={"cores": (os.cpu_count() or 1) + 1, "llama_server": "embedded"})
    loaded = settings.load(home=tmp_path)
    assert (loaded.llama_server.parallel, loaded.embedding.quantization) == (0, "f16")


def test_calibration_of_another_binary_is_void(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _keep(tmp_path)
    monkeypatch.setenv("LLAMA_SERVER_BINARY", "/opt/llama-server")
    assert settings.load(home=tmp_path).llama_server.parallel == 0


def test_settings_by_hand_leave_out_the_calibration(tmp_path: Path) -> None:
    _keep(tmp_path)
    assert settings.load_by_hand(home=tmp_path).llama_server.parallel == 0


@pytest.mark.parametrize("content", ["", "[]", "{", '{"machine": 1}'])
def test_settings_ignore_a_broken_calibration(tmp_path: Path, content: str) -> None:
    (tmp_path / settings.CALIBRATION).write_text(content)
    assert settings.load(home=tmp_path).llama_server == settings.LlamaServer()


@pytest.mark.parametrize("longest", [16, 512, 8192])
def test_texts_fit_the_longest_chunk(longest: int) -> None:
    lengths = [text.count(" ") + 1 for text in calibration.texts(longest)]
    assert longest // 2 <= min(lengths)
    assert max(lengths) <= longest - settings.SPECIAL_TOKENS + (longest < 32)
