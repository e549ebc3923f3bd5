"""Figures of the whole, each beside its ceiling or peer, measured in the same run."""

import importlib
import json
import signal
import sys
from typing import Any

import click

from rag_assets_tests.benchmarks.sample import NoSample

DEFAULTS = {"bulk": (40, 3), "delta": (100, 3), "freshness": (100, 10), "noop": (5_000, 3)}  # documents, rounds


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=click.Choice([*DEFAULTS, "all"]))
@click.option("--documents", type=click.IntRange(1), help="How many; fewer is quicker and less exact.")
@click.option("--rounds", type=click.IntRange(1), help="How often each side is measured; medians count.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line per benchmark.")
def main(names: tuple[str, ...], documents: int | None, rounds: int | None, as_json: bool) -> None:
    """Measure NAME."""
    for number in (signal.SIGINT, signal.SIGTERM):  # either way, everything is stopped and removed
        signal.signal(number, signal.default_int_handler)
    for name in DEFAULTS if "all" in names else names:
        usual_documents, usual_rounds = DEFAULTS[name]
        measure: Any = importlib.import_module(f"rag_assets_tests.benchmarks.{name}").measure
        try:
            figure = measure(documents=documents or usual_documents, rounds=rounds or usual_rounds)
        except NoSample as exc:
            click.echo(str(exc), err=True)
            sys.exit(3)
        click.echo(json.dumps(figure.as_json()) if as_json else figure.as_text())


if __name__ == "__main__":
    main(prog_name="python -m rag_assets_tests.benchmarks")
