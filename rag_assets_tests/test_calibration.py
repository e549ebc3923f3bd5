"""A calibration survives what dies, keeps nothing slower than llama-server's defaults, and yields to what is set.

Rates are given, not measured: what a busy machine does to a measurement is no part of these promises.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from rag_assets import settings
from rag_assets.embedding import calibration
from rag_assets.embedding.calibration import Calibration, Trial
from rag_assets.errors import NotEnoughMemory, ServerFailedToStart
from rag_assets.settings import Settings
from rag_assets_tests import fake_llama

# A llama-server that dies with some flags.
PICKY = """
import sys
from rag_assets_tests import fake_llama
dies, arguments = sys.argv[1], sys.argv[2:]
if "--help" in arguments:
    print("--port --api-key-file --model")
elif dies in " ".join(arguments):
    sys.exit("GGML_ASSERT failed: AMX")
else:
    fake_llama.main("good", arguments)
"""


class PacedBench(calibration.Bench):
    """Starts no server; each way to run one is as fast as `rates` says by its name, and all others as `usual`."""

    rates: ClassVar[dict[str, float]] = {}
    usual = 10.0

    def start(self, trial: Trial) -> Any:
        return SimpleNamespace(name=trial.name, close=lambda: None)

    def rate(self, embedder: Any) -> float:
        return self.rates.get(embedder.name, self.usual)


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> type[PacedBench]:
    monkeypatch.setattr(calibration, "Bench", PacedBench)
    monkeypatch.setattr(PacedBench, "rates", {})
    return PacedBench


def _settings(home: Path, **llama_server: Any) -> Settings:
    return settings.load_by_hand(home=home, llama_server={"required_memory_gb": 0, **llama_server})


def _calibrate(
    home: Path,
    *,
    dies: str = "no such flag",
    calibrate: Callable[..., Calibration] = calibration.calibrate,
    **llama_server: Any,
) -> Calibration:
    program = home / "picky.py"
    program.write_text(PICKY)
    chosen = _settings(home, **llama_server)
    models = {chosen.embedding.quantization: Path(fake_llama.__file__)}
    command = [sys.executable, str(program), dies]
    found = calibrate(chosen, command=command, models=models, progress=lambda _line: None)
    calibration.keep(found, chosen)
    return found


def test_a_candidate_that_dies_is_out(tmp_path: Path) -> None:
    """As one build does with q8_0 on AMX: the others are still compared, by what they were measured to do."""
    quickly = partial(calibration.calibrate, trial_seconds=0.0, rounds=1)
    found = _calibrate(tmp_path, dies="--parallel 4", calibrate=quickly)
    [dead] = [trial for trial in found.trials if trial.error]
    assert dead.name == "four slots"
    assert "AMX" in str(dead.error)
    assert found.best.chunks_per_second


@pytest.mark.parametrize("fastest", ["own defaults", "as shipped", "two requests", "larger batch", "four slots"])
def test_the_fastest_is_kept_when_it_is_clearly_so(tmp_path: Path, paced: type[PacedBench], fastest: str) -> None:
    """Whichever it is, the next start of llama-server runs as it ran."""
    paced.rates[fastest] = 2 * paced.usual
    found = _calibrate(tmp_path)
    assert (found.best.name, found.best.chunks_per_second) == (fastest, 2 * paced.usual)
    kept = settings.load(home=tmp_path).llama_server.model_dump()
    assert kept | found.best.knobs == kept


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        ({"two requests": 10.1}, "as shipped"),  # not worth it
        ({"two requests": 10.3}, "two requests"),
        ({"own defaults": 10.1}, "own defaults"),  # nothing slower than llama-server's own defaults is kept
        ({"two requests": 10.1, "own defaults": 10.05}, "two requests"),
    ],
)
def test_what_is_shipped_stays_when_the_gain_is_small(
    tmp_path: Path, paced: type[PacedBench], rates: dict[str, float], best: str
) -> None:
    """By less than WORTH_IT; but never where llama-server's own defaults are faster than it."""
    paced.rates.update(rates)
    found = _calibrate(tmp_path)
    assert found.best.name == best
    assert (found.best.chunks_per_second or 0) >= (found.own_defaults.chunks_per_second or 0)


def test_calibration_fails_where_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(ServerFailedToStart, match="AMX"):
        _calibrate(tmp_path, dies="--port")
    assert not (tmp_path / settings.CALIBRATION_FILE).exists()


def test_calibration_fails_without_memory(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughMemory):
        _calibrate(tmp_path, required_memory_gb=1e6)


def test_what_is_set_by_hand_is_not_tried_otherwise(tmp_path: Path) -> None:
    chosen = _settings(tmp_path, threads=3)
    tried = calibration.grid(chosen, {chosen.embedding.quantization: Path(fake_llama.__file__)})
    assert len(tried) > 3
    assert all("threads" not in trial.knobs for trial in tried)


def _keep(home: Path, **changed: object) -> None:
    content = {
        "machine": settings.machine(None),
        "llama_server": {"parallel": 7, "ubatch_size": 1024},
        "quantization": "f16",
        **changed,
    }
    (home / settings.CALIBRATION_FILE).write_text(json.dumps(content))


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
    (tmp_path / settings.CALIBRATION_FILE).write_text(content)
    assert settings.load(home=tmp_path).llama_server == settings.LlamaServer()


@pytest.mark.parametrize("longest", [16, 512, 8192])
def test_texts_fit_the_longest_chunk(longest: int) -> None:
    lengths = [text.count(" ") + 1 for text in calibration.texts(longest)]
    assert longest // 2 <= min(lengths)
    assert max(lengths) <= longest - settings.SPECIAL_TOKENS + (longest < 32)
