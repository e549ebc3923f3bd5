"""A run that kills itself at a named cut point: `python -m rag_assets_tests.faults.doomed JSON`."""

import json
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from rag_assets.claim_source import ClaimSource
from rag_assets.pipeline import Pipeline
from rag_assets.postgres import texts
from rag_assets.text.sandbox.worker import TextWorker
from rag_assets_tests.faults import arena
from rag_assets_tests.faults.arena import HashEmbedder

EMBED_SECONDS = 0.05
Step = Callable[..., Any]


def die(*_arguments: object) -> None:
    psutil.Process().kill()


class Countdown:
    """Says yes at the nth call."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def __call__(self) -> bool:
        self._left -= 1
        return self._left == 0


def before(step: Step, now: Countdown) -> Step:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        if now():
            die()
        return step(*arguments, **named)

    return wrapped


def after(step: Step, now: Countdown) -> Step:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        result = step(*arguments, **named)
        if now():
            die()
        return result

    return wrapped


def during(step: Step, now: Countdown, *, seconds: float) -> Step:
    """Somewhere in the next `seconds`, while the step or what follows it is at work."""

    def wrapped(*arguments: Any, **named: Any) -> Any:
        if now():
            threading.Timer(seconds, die).start()
        return step(*arguments, **named)

    return wrapped


# where, how, and the time in which a step usually ends
CUTS: dict[str, tuple[Any, str, str, float]] = {
    "after claim": (ClaimSource, "_due", "after", 0),
    "while parsing": (TextWorker, "read", "during", 0.005),
    "while embedding": (HashEmbedder, "embed", "during", EMBED_SECONDS),
    "before the write": (Pipeline, "_commit", "before", 0),
    "inside the write": (texts, "write_text", "after", 0),
    "during the write": (Pipeline, "_commit", "during", 0.02),
    "after the write": (Pipeline, "_commit", "after", 0),
    "before the event": (arena, "report", "before", 0),
}
MOST_CALLS = {"after claim": 1, "while parsing": 8, "inside the write": 8}  # of a run, where it is not three


def cut(name: str, *, seed: int) -> None:
    """Let this process die there."""
    owner, step, how, seconds = CUTS[name]
    rng = random.Random(seed)
    now = Countdown(rng.randint(1, MOST_CALLS.get(name, 3)))
    original = getattr(owner, step)
    if how == "during":
        wrapped = during(original, now, seconds=rng.uniform(0, seconds))
    else:
        wrapped = before(original, now) if how == "before" else after(original, now)
    # a function of a class stays one: a lambda and a closure bind as methods do
    setattr(owner, step, wrapped)


def main() -> None:
    order = json.loads(sys.argv[1])
    settings = arena.settings_for(order["url"], Path(order["place"]), model=Path(order["model"]))
    if order["cut"]:
        cut(order["cut"], seed=order["seed"])
    embedder = None if order["real"] else HashEmbedder(EMBED_SECONDS)
    arena.run(settings, run_id=order["run_id"], embedder=embedder, reader=None)


if __name__ == "__main__":
    main()
