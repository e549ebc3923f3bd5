"""What `rag-assets doctor --calibrate` chooses, side by side with llama-server's own defaults."""

from collections.abc import Callable
from contextlib import closing

from rag_assets import doctor, engines, settings
from rag_assets.embedding.calibration import Bench, Trial
from rag_assets.embedding.embedder import Embedder
from rag_assets.services import Services
from rag_assets_tests.benchmarks import figures, ground, quiet
from rag_assets_tests.benchmarks.figures import Figure, say

SECONDS = 60.0
NOISE = 0.99  # two measurements of the very same settings differ by as much


def measure(*, documents: int, rounds: int) -> Figure:
    """Calibrate in an empty home, then measure the choice against the defaults; `documents` is of no use here."""
    with ground.home() as home, ground.ready(Services(settings.load_by_hand())) as services:
        services.embedder.warm()  # the model is there, the disk is warm
        services.embedder.stop_server()
        found, _ = doctor.calibrate(services, progress=say)
        kinds = {found.best.quantization, found.own_defaults.quantization}
        models = {kind: home / "models" / f"all-MiniLM-L6-v2-{kind}.gguf" for kind in kinds}
        openvino = (
            engines.openvino(services.settings, progress=say) if engines.uses_openvino(services.settings) else None
        )
        command = engines.llama_command(services.settings)
        bench = Bench(services.settings, command=command, models=models, openvino=openvino)
        say(f"Chosen: {found.best.name} ({found.best.quantization}), after {found.seconds:.0f} s")
        with closing(bench.start(found.best)) as chosen, closing(bench.start(found.own_defaults)) as defaults:
            ways = {"chosen": _rate(bench, chosen), "own defaults": _rate(bench, defaults)}
            seen = quiet.interleaved(ways, rounds=rounds, home=home, unit="chunks/s")
    ratio = figures.median([one["chosen"] / one["own defaults"] for one in seen.values])
    return Figure(
        benchmark="calibrate",
        figure="chunks per second with the settings that the calibration chose",
        value=seen.median("chosen"),
        peer="llama-server's own defaults, side by side",
        peer_value=seen.median("own defaults"),
        ratio=ratio,
        aim=f"never slower than the defaults, chosen within {SECONDS:.0f} s",
        met=ratio >= NOISE and found.seconds <= SECONDS,
        rounds=seen.values,
        details={
            "seconds": found.seconds,
            "chosen": found.best.as_row(),
            "trials": [_short(trial) for trial in found.trials],
            **seen.facts,
        },
    )


def _rate(bench: Bench, embedder: Embedder) -> Callable[[], float]:
    return lambda: bench.rate(embedder)


def _short(trial: Trial) -> str:
    rate = "died" if trial.chunks_per_second is None else f"{trial.chunks_per_second:.1f}"
    return f"{trial.name} ({trial.quantization}): {rate}"
