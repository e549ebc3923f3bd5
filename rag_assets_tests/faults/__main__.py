"""A line for each kind of fault.

`python -m rag_assets_tests.faults [--long] [--json] [--seed N] [--kind KIND] [--engine E] [--jobs N]`
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from rag_assets.bundled import model
from rag_assets.settings import Quantization
from rag_assets_tests import engines
from rag_assets_tests.faults import arena
from rag_assets_tests.faults.kinds import KINDS


def main() -> int:
    """0 when nothing was violated."""
    arguments = _parser().parse_args()
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # programs started here would ignore it if nohup started us
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what was started is ended
    if arguments.jobs > 1:
        return _side_by_side(arguments)
    with _engine(arguments.engine) as model, arena.server() as url, arena.Ground(url, model=model).template() as ground:
        lines = [_line(ground, kind, arguments) for kind in arguments.kind or KINDS]
    return int(any(line["violations"] for line in lines))


def _side_by_side(arguments: argparse.Namespace) -> int:
    """Each kind in a process and a PostgreSQL server of its own, `jobs` of them at a time; 0 when each ended with 0."""
    _model("q8_0" if arguments.engine == "llama.cpp" else "f32")  # made once, before several would make it
    command = [sys.executable, "-m", __spec__.name.removesuffix(".__main__"), "--engine", arguments.engine]
    command += ["--seed", str(arguments.seed), "--long" if arguments.long else "--short"]
    command += ["--json"] if arguments.json else []

    running: list[subprocess.Popen[str]] = []

    def tried(kind: str) -> int:
        # What it prints is passed on whole, so that two lines never mix.
        with subprocess.Popen([*command, "--kind", kind], stdout=subprocess.PIPE, text=True) as one:
            running.append(one)
            printed, _ = one.communicate()
        print(printed or f"{kind}: no line, exit status {one.returncode}\n", end="", flush=True)
        return one.returncode

    with ThreadPoolExecutor(arguments.jobs) as kinds:
        try:
            return int(any(list(kinds.map(tried, arguments.kind or KINDS))))
        except BaseException:  # as we were told to end
            kinds.shutdown(wait=False, cancel_futures=True)
            for one in running:
                one.terminate()
            raise


def _line(ground: arena.Ground, kind: str, arguments: argparse.Namespace) -> dict[str, object]:
    started = time.monotonic()
    result = _tried(ground, kind, arguments)
    line: dict[str, object] = {
        "kind": kind,
        "trials": result.trials,
        "violations": len(result.violations),
        "seconds": round(time.monotonic() - started, 1),
    }
    shown = line | ({"violated": result.violations} if result.violations else {}) | result.notes
    print(json.dumps(shown) if arguments.json else "  ".join(f"{k} {v}" for k, v in shown.items()), flush=True)
    return line


def _tried(ground: arena.Ground, kind: str, arguments: argparse.Namespace) -> arena.Result:
    """A kind that ends with an error is a violation, and the next ones are tried all the same."""
    try:
        return KINDS[kind](ground, seed=arguments.seed, long=arguments.long)
    except Exception as exc:  # noqa: BLE001
        traceback.print_exc()
        return arena.Result(violations=[f"ended with {exc!r}"])


@contextmanager
def _engine(name: str) -> Iterator[Path]:
    """The file that the engine runs; the engine itself is what LLAMA_SERVER_BINARY names."""
    if name == "llama.cpp":
        yield _model("q8_0")
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LLAMA_SERVER_BINARY"] = str(engines.program(name, Path(folder)))
        yield _model("f32")


def _model(quantization: Quantization) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rag-assets-tests"
    cache.mkdir(parents=True, exist_ok=True)
    return model.ensure(cache, quantization=quantization)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rag_assets_tests.faults", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--long", action="store_true", help="many trials of each kind")
    length.add_argument("--short", dest="long", action="store_false", help="a few trials of each kind (default)")
    parser.add_argument("--json", action="store_true", help="one JSON object per kind")
    parser.add_argument("--engine", choices=("llama.cpp", "openvino"), default="llama.cpp", help="what embeds")
    parser.add_argument("--seed", type=int, default=1, help="what everything random comes from")
    parser.add_argument("--jobs", type=int, default=1, help="how many kinds are tried at a time (default: 1)")
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="only this kind; may be repeated")
    return parser


if __name__ == "__main__":
    sys.exit(main())
