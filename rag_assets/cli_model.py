"""The commands `rag-assets model ...`: which models there are, and having another one serve without a pause."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from rag_assets import model_sets, operations, switching
from rag_assets.cli_services import JSON, examples, opened
from rag_assets.console import print_json, print_progress, show
from rag_assets.model import are, counted
from rag_assets.model_sets import ModelSet, Pooling
from rag_assets.switching import Standing

MAKER_OF_FILES = "llama.cpp makes them, as OpenVINO, which is faster, runs the embedded model alone."
MOST_LEFT = 0.9  # of the space on the disk, after which it is said that it was not given back


@click.group(short_help="Have another model serve, without a pause.")
def model() -> None:
    """Have another model serve, without a pause.

    \b
    In this order:
      rag-assets model add NAME --file FILE   its vectors are made beside the old ones'
      rag-assets model status                 how far that is
      rag-assets model switch                 searches have the new ones from now on
      rag-assets model back                   or the old ones again, at once
      rag-assets model drop                   the old ones go
    """


@model.command(short_help="List the models that are known by name.", epilog=examples("model known"))
@JSON
def known(as_json: bool) -> None:
    """List the models whose name is enough: what they take and give is known. Each needs a GGUF file or a server."""
    for one in model_sets.KNOWN.values():
        print_json(model_sets.written(one)) if as_json else show(_described(one))


@model.command(
    short_help="Have vectors of another model made beside those that are searched.",
    epilog=examples(
        "model add e5-small-v2 --file e5-small-v2.gguf",
        "model add mine --url http://gpu:8080 --dimension 1024 --query-prefix 'query: '",
        "model add nomic-embed-text-v1.5@256     # of the model that serves, with vectors cut to 256 numbers",
    ),
)
@click.argument("name")
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="Its GGUF file.")
@click.option("--url", help="Or a running server of it, as llama_server.url.")
@click.option("--dimension", type=click.IntRange(1, 16_000), help="Of its vectors.")
@click.option("--pooling", type=click.Choice(get_args(Pooling)), help="How the vectors of tokens become one.")
@click.option("--longest", type=click.IntRange(16), help="Tokens of one text that it takes.")
@click.option("--query-prefix", help="What each question begins with.")
@click.option("--passage-prefix", help="What each chunk begins with.")
@JSON
def add(name: str, file: Path | None, url: str | None, as_json: bool, **given: Any) -> None:
    """Have vectors of the model NAME made beside those that are searched, and of each change from now on.

    Of a model that is known by name (`rag-assets model known`), no more than its file or server has to be given. It has
    to embed a text before anything is written. Its vectors are made by `rag-assets up`, or `rag-assets ingest`, behind
    changes; to stop that loses none of them.
    """
    with opened() as services:
        operations.migrate(services)
        chosen = switching.chosen(services, name, file=file, url=url, **given)
        waiting = switching.add(services, chosen, progress=print_progress)
    if as_json:
        print_json({"model": name, "waiting": waiting})
    else:
        maker = f" {MAKER_OF_FILES}" if file else ""
        show(
            f"{counted(waiting, 'document')} {are(waiting)} to get vectors of {name}.{maker} Next: rag-assets ingest, "
            "unless `rag-assets up` runs; then rag-assets model switch"
        )


@model.command(short_help="Show how far the vectors of each model are.", epilog=examples("model status"))
@JSON
def status(as_json: bool) -> None:
    """Show the models of the index: which one serves, and how many documents have vectors of each."""
    with opened() as services:
        operations.migrate(services)
        found = switching.standings(services)
    for one in found:
        print_json(asdict(one)) if as_json else show(_standing(one))


@model.command(short_help="Have the model serve that was added.", epilog=examples("model switch"))
@click.option("--despite-lack", is_flag=True, help="Also where documents lack vectors of it, which are not found then.")
@JSON
def switch(despite_lack: bool, as_json: bool) -> None:
    """Have searches use the model that was added, from one moment to the next, once no document lacks its vectors.

    The old one stays in step, and `rag-assets model back` has it serve again at once, until `rag-assets model drop`.
    """
    with opened() as services:
        operations.migrate(services)
        name = switching.switch(services, despite_lack=despite_lack, progress=print_progress)
        _show_served(switching.standings(services), name, as_json=as_json)


@model.command(short_help="Have the model serve again that served before.", epilog=examples("model back"))
@JSON
def back(as_json: bool) -> None:
    """Have searches use the older model again, at once. What changed meanwhile has its vectors, too."""
    with opened() as services:
        operations.migrate(services)
        name = switching.back(services)
        _show_served(switching.standings(services), name, as_json=as_json)


@model.command(short_help="Remove the vectors of the model that does not serve.", epilog=examples("model drop"))
@JSON
def drop(as_json: bool) -> None:
    """Remove the vectors of the model that does not serve, with its words and its index, while others read and write.

    Up to 25,000 chunks of the model that serves, their space is given back to the disk, for which searches wait a few
    seconds. Else it is used again by what comes; `rag-assets model shrink` gives it back.
    """
    with opened() as services:
        operations.migrate(services)
        found = switching.drop(services, progress=print_progress)
        serving = services.serving.settings.embedding.model
        is_set = services.settings.embedding.model == serving
    if as_json:
        sizes = {"bytes_before": found.bytes_before, "bytes_after": found.bytes_after}
        print_json({"dropped": found.name, "chunks": found.chunks, **sizes})
        return
    next_step = "" if is_set else f" Set embedding.model to {serving}, and its file or server, when you come to it."
    before, after = (f"{size / 1e6:.0f} MB" for size in (found.bytes_before, found.bytes_after))
    space = f"Chunks and words have {after} on the disk, {before} before"
    if found.bytes_after > MOST_LEFT * found.bytes_before:
        space += ": what is free is used again by what comes, and rag-assets model shrink gives it back"
    show(f"{counted(found.chunks, 'chunk')} of {found.name} {are(found.chunks)} removed. {space}.{next_step}")


@model.command(short_help="Give the space of removed vectors back to the disk.", epilog=examples("model shrink"))
def shrink() -> None:
    """Write the tables of chunks and words anew, without what was removed: nobody searches or stores meanwhile.

    It takes as much space as they have, for as long as it lasts, and builds their indexes anew.
    """
    with opened() as services:
        operations.migrate(services)
        switching.shrink(services)
    show("The tables have no more space than they need.")


def _show_served(found: list[Standing], name: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"serves": name})
        return
    lack = next((one.lack for one in found if one.name == name), 0)
    unfound = f" {counted(lack, 'document')} without {are(lack)} not found: rag-assets model status." if lack else ""
    step = next((f" Next: {one.next}" for one in found if one.name != name and one.is_kept), "")
    show(f"Searches have the vectors of {name}.{unfound}{step}")


def _standing(one: Standing) -> str:
    what = "serves" if one.serves else "is kept beside" if one.is_kept else "is being dropped"
    whole = one.documents - one.lack
    words = [f"{whole} of {counted(one.documents, 'document')} with vectors"] if one.is_kept else []
    words += [f"{counted(one.chunks, 'chunk')}, {one.vector_bytes / 1e6:.1f} MB of vectors"]
    words += [f"index: {one.index}"] if one.index else []
    if one.left:
        words.append(
            f"none are made of {counted(one.left, 'document')} that failed or are held: {', '.join(one.named)}"
        )
    return f"{one.name} {what}; {'; '.join(words)}" + (f". Next: {one.next}" if one.next else "")


def _described(one: ModelSet) -> str:
    cuts = f", or {', '.join(map(str, one.dimensions[:-1]))}" if one.dimensions else ""
    words = [f"{one.dimension} dimensions{cuts}", f"pooling {one.pooling}", f"up to {one.longest:,} tokens"]
    words += [f"questions begin with {one.query_prefix!r}"] if one.query_prefix else []
    words += [f"chunks with {one.passage_prefix!r}"] if one.passage_prefix else []
    return f"{one.name}: {'; '.join(words)}"
