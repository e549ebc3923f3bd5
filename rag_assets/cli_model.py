"""The commands `rag-assets model ...`: which models there are, and having another one serve."""

import click

from rag_assets import model_sets
from rag_assets.cli_services import JSON, examples
from rag_assets.console import print_json, show
from rag_assets.model_sets import ModelSet


@click.group(short_help="The models that make vectors, and having another one serve.")
def model() -> None:
    """The models that make vectors."""


@model.command(short_help="List the models that are known by name.", epilog=examples("model known"))
@JSON
def known(as_json: bool) -> None:
    """List the models whose name is enough: what they take and give is known. Each needs a GGUF file or a server."""
    for one in model_sets.KNOWN.values():
        print_json(model_sets.written(one)) if as_json else show(_described(one))


def _described(one: ModelSet) -> str:
    cuts = f", or {', '.join(map(str, one.dimensions[:-1]))}" if one.dimensions else ""
    words = [f"{one.dimension} dimensions{cuts}", f"pooling {one.pooling}", f"up to {one.longest:,} tokens"]
    words += [f"questions begin with {one.query_prefix!r}"] if one.query_prefix else []
    words += [f"chunks with {one.passage_prefix!r}"] if one.passage_prefix else []
    return f"{one.name}: {'; '.join(words)}"
