"""Figures of the whole, each beside its ceiling or peer, measured in the same run."""

import importlib
import json
import signal
import sys
from pathlib import Path
from typing import Any

import click

from rag_assets.settings import Embedding
from rag_assets_tests.benchmarks.figures import say
from rag_assets_tests.benchmarks.sample import NoSample

# Name: documents and rounds unless told, and about how many minutes that takes on two cores.
USUAL = {
    "bulk": (40, 3, 3),
    "peers": (40, 3, 6),
    "words": (40, 3, 3),
    "engines": (0, 5, 6),
    "semantic": (8, 3, 2),
    "calibrate": (0, 5, 2),
    "noop": (5_000, 3, 2),
    "delta": (100, 3, 4),
    "freshness": (100, 10, 9),
    "partitions": (100_000, 3, 6),
    "memory": (3_000, 3, 8),
    "agreement": (1_000, 1, 9),
    "ticks": (500, 1, 3),
    "search_quality": (0, 20, 10),
    "languages": (0, 1, 5),
    "search_speed": (0, 100, 12),
    "service": (0, 100, 8),
    "service_load": (300, 600, 22),
    "machines": (5_000, 1, 16),
}
OWN = {
    "search_quality": ("folder", "index"),
    "languages": ("model_files",),
    "search_speed": ("chunks", "index"),
    "service": ("chunks", "index"),
}  # options that others do not have


def _named_files(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Name and file of each, which the first `=` parts; a file is found also when a benchmark goes elsewhere."""
    named = [(name, Path(file).resolve()) for name, _, file in (one.partition("=") for one in given)]
    for one, (name, file) in zip(given, named, strict=True):
        if not (name and file.is_file()):
            raise click.BadParameter(f"{one}: it has to be NAME=FILE.gguf, and the file has to be there")
    names = [str(Embedding.model_fields["model"].default), *(name for name, _ in named)]
    if len(set(names)) < len(names):
        raise click.BadParameter(f"two models have the same name: {', '.join(names)} (the first is ours)")
    return named


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=click.Choice([*USUAL, "all"]))
@click.option("--documents", type=click.IntRange(1), help="How many; fewer is quicker and less exact.")
@click.option("--rounds", type=click.IntRange(1), help="How often each side is measured; medians count.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="search_quality: another one of BEIR's.")
@click.option(
    "--chunks", type=click.IntRange(1), multiple=True, help="search_speed, service: how many; several are measured."
)
@click.option(
    "--index", help="search_*, service: a database's URL, or a home, that has the documents already, and keeps them."
)
@click.option(
    "--model-file",
    "model_files",
    multiple=True,
    metavar="NAME=FILE.gguf",
    callback=_named_files,
    help="languages: another model to measure beside ours, by the name that is stored with its vectors; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON line per benchmark.")
def main(names: tuple[str, ...], documents: int | None, rounds: int | None, as_json: bool, **own: Any) -> None:
    """Measure how fast, fresh and small rag-assets is on this machine.

    \b
      bulk        chunks/s from rows to committed vectors, beside the same chunks sent straight to the same server
      peers       documents/s from rows to committed vectors with each engine, beside LlamaIndex and CocoIndex
      words       chunks/s of a first fill with the words of chunks kept, beside the same without; bytes per chunk
      engines     chunks/s by length, a query, start, memory and exactness of every engine, beside a matrix product
      semantic    sentences/s that the strategy `semantic` embeds to find where to cut, with every engine
      calibrate   what `rag-assets doctor --calibrate` chooses, beside llama-server's own defaults
      noop        documents/s of a run over 5,000 unchanged documents; starts no server
      delta       1 % of the documents changed, one paragraph each: time and chunks, beside the full run
      freshness   seconds from commit to found with `rag-assets up`: after quiet, in a stream, during a backfill
      partitions  100,000 rows: bookkeeping per document, sensor, backfill, status queries
      memory      peak in bulk with a PDF of 300 pages, idle, and growth over many documents
      ticks       what the code server grows with each of 500 looks of the sensor
      agreement   vectors and ranking of every engine and form of the model, beside f32, on ../shared/ir/scifact
      search_quality
                  nDCG@10 and recall@100 of each mode on ../shared/ir/scifact, beside bm25s and exact cosine
      languages   nDCG@10, recall@10 and MRR of questions in three languages over ../shared/corpus, by model and mode
      search_speed
                  latency, recall, build time and size of --chunks, beside plain pgvector and ts_rank
      service     latency over HTTP among 100,000 chunks (or --chunks): the first question, later ones, eight clients
      service_load
                  eight clients beside a bulk ingestion and changes under `up`: latency, errors, what it keeps, memory
      machines    documents/s with two workers of Celery, beside one; then one is killed and Redis restarted
      all         one after the other, about two hours on two cores

    --documents is the size of the sample (partitions: the rows; search_quality: all, unless
    told; engines, calibrate, languages, search_speed and service need none); --rounds of
    freshness is how many changes after quiet; of search_quality, how often the questions are halved;
    of search_speed and service, how many questions each way is asked; of service_load, for how many
    seconds clients ask; --documents of ticks is how many looks. Try it small first:

    \b
      python -m rag_assets_tests.benchmarks noop --documents 300 --json

    The documents come from ../shared/scale.tar.xz. Everything happens in a home of its own in the temporary folder,
    which is removed afterwards with all that was started; your settings, .env and database are not touched, but
    LLAMA_SERVER_BINARY is used. Progress goes to standard error, results to standard output. A round during which
    other processes had more than 8 % of the cores is done again, up to twice as many rounds; what they had is said.

    The readers and cuts have benchmarks of their own: python -m rag_assets_tests.benchmarks.parsing, and .chunking.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # either way, everything is stopped and removed
        signal.signal(number, signal.default_int_handler)
    for name in USUAL if "all" in names else names:
        usual_documents, usual_rounds, minutes = USUAL[name]
        say(f"{name}: about {minutes} minutes with the usual sizes, on two cores")
        measure: Any = importlib.import_module(f"rag_assets_tests.benchmarks.{name}").measure
        try:
            given = {option: own[option] for option in OWN.get(name, ()) if own[option]}
            figure = measure(documents=documents or usual_documents, rounds=rounds or usual_rounds, **given)
        except NoSample as exc:
            click.echo(str(exc), err=True)
            sys.exit(3)
        click.echo(json.dumps(figure.as_json()) if as_json else figure.as_text())


if __name__ == "__main__":
    main(prog_name="python -m rag_assets_tests.benchmarks")
