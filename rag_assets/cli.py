"""The command line: one function per command, what it shows is in rag_assets.console."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

import click
import psutil

from rag_assets import (
    cli_backup,
    cli_mcp,
    cli_metrics,
    cli_model,
    cli_nssm,
    cli_service,
    cli_status,
    cli_systemd,
    console,
    doctor,
    evaluation,
    footprint,
    logs,
    operations,
    settings,
    supervisor,
    switching,
    visible,
)
from rag_assets.bundled import postgres as bundled_postgres
from rag_assets.cli_services import JSON, FiniteRange, examples, existing, opened, opened_with, step_for_pending
from rag_assets.embedding import known
from rag_assets.errors import (
    ACCEPTABLE_KINDS,
    ERROR_KINDS,
    DocumentError,
    RagAssetsError,
    SettingsError,
    UnembeddableText,
)
from rag_assets.model import Filter, Hit, Refused, are, counted, moment, not_in_table
from rag_assets.postgres import conninfo
from rag_assets.report import RunReport
from rag_assets.service import addresses
from rag_assets.services import Services
from rag_assets.text.languages import language
from rag_assets.text.sandbox.worker import TextWorker
from rag_assets.upkeep import Plan

INTERRUPTED_EXIT_CODE = 130  # exit code, as shells know it
SAMPLES_FOLDER = Path(__file__).parent / "samples"
SAMPLE_QUESTIONS = ("How long do I have to return an item?", "What should I do when the pump shows error E4?")


class Question(click.ParamType[str]):
    """The type of a question: any text that is more than white space."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The question as it is; fails where it has no words."""
        text = str(value)
        if not text.strip():
            self.fail("it is empty: ask with a few words.", param, ctx)
        if any("\ud800" <= each <= "\udfff" for each in text):
            self.fail("it has bytes that are no text in UTF-8.", param, ctx)
        return text


def _default(key: str) -> str:
    """The end of an option's help: the setting of [chunking] that it has without it, and its value without any."""
    return f"[default: chunking.{key}, {getattr(settings.Chunking(), key)}]"


class Read(click.ParamType[Any]):
    """The type of an option whose value is what `read` makes of it, which raises ValueError with what is wrong."""

    def __init__(self, name: str, read: Callable[[Any], Any]) -> None:
        self.name = name
        self.read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """What `read` makes of the value; its ValueError is shown as the reason why the option is refused."""
        try:
            return self.read(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


def _one_language(value: str) -> str:
    """As `language`, told of several in one, which other programs take, how they are given here."""
    codes = re.findall(r"[^,;\s]+", value)
    if len(codes) > 1:
        raise ValueError(f"it takes one code; of several: {' '.join(f'--language {code}' for code in codes)}")
    return language(value)


def _media_type(value: str) -> str:
    """As it is stored, where it can be one: filters compare all of it."""
    if "/" not in value:
        raise ValueError("it is no media type, such as application/pdf or text/csv.")
    return value


MOMENT = Read("time", moment)
MEDIA_TYPE = Read("media type", _media_type)
LANGUAGE = Read("language", _one_language)


class JsonObject(click.ParamType[dict[str, Any]]):
    """The type of an option whose value is a JSON object."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """The object that the value is in JSON; fails where it is none."""
        try:
            found = json.loads(value)
        except (TypeError, ValueError):
            found = None
        if not isinstance(found, dict):
            self.fail('it is no object in JSON, such as {"author": "Ada"}', param, ctx)
        return found


class Asking(click.Command):
    """A command whose argument is a question: one that begins with a minus looks like an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """What is left of the arguments; where an option is unknown, how to ask what begins with a minus."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as exc:
            raise click.UsageError(
                f"{exc.format_message()} A question that begins with a minus stands after two: "
                f'rag-assets {self.name} -- "-word other"',
                ctx,
            ) from exc


class Commands(click.Group):
    """Shows our own errors as one readable message and exit code 1, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors of ours end it with their message alone, without what the terminal would obey."""
        try:
            return super().invoke(ctx)
        except RagAssetsError as exc:
            raise click.ClickException(visible.lines(str(exc))) from exc


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rag-assets")
@click.pass_context
def main(context: click.Context) -> None:
    """Keep a pgvector index in step with the documents of a PostgreSQL table.

    \b
    First steps:
      rag-assets demo                 see it work on a few documents, then stop everything
      rag-assets register ~/docs      no application table yet? files become rows
      rag-assets ingest               read, cut, embed and store what is pending
      rag-assets search "a question"  find the nearest passages
      rag-assets up                   Dagster's UI, and an index that follows the table

    Nothing needs to be configured. DATABASE_URL, DOCUMENT_ROOT_PATH, LLAMA_SERVER_BINARY and
    LLAMA_SERVER_MODEL (or settings.toml) point it at your own services.
    """
    if os.environ.get("NO_COLOR"):
        context.color = False  # and no bold letters either
    with suppress(SettingsError):  # which the command itself will say, if it needs any
        logs.configure(settings.load().log_format)


@main.command(
    short_help="See it work on a few documents, then stop everything.",
    epilog=examples("demo", 'demo --documents docs -q "who pays for shipping?"'),
)
@click.option(
    "--documents",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of your own documents instead of those shipped with the package.",
)
@click.option("--query", "-q", "queries", multiple=True, type=Question(), help="A question to ask; may be repeated.")
@JSON
def demo(documents: Path | None, queries: tuple[str, ...], as_json: bool) -> None:
    """Ingest a handful of documents, ask two questions, show the answers, stop everything."""
    started = time.perf_counter()
    home = settings.load().home
    with footprint.Watch(home) as watch, opened() as services:
        if services.settings.database_url and not documents:
            raise SettingsError(
                "DATABASE_URL is set, and the demo will not add its sample documents to your table. "
                "Name a folder of yours with --documents, or unset DATABASE_URL."
            )
        operations.create_own_table(services)
        operations.migrate(services)
        registered = operations.register(services, [documents or SAMPLES_FOLDER])
        console.show_left_out(registered)
        if not registered.registered:
            raise SettingsError(f"{documents}: {console.NO_FILES}")
        report = _ingest(services)
        if report.interrupted:
            _end_with(report, as_json=as_json)
        answers = {query: _search(services, query, k=2) for query in queries or SAMPLE_QUESTIONS}
    facts = {
        "seconds": round(time.perf_counter() - started, 1),
        "peak_memory_mb": watch.peak_bytes // 2**20,
    }
    if as_json:
        found = {query: [asdict(hit) for hit in hits] for query, hits in answers.items()}
        console.print_json({**report.as_json, **facts, "answers": found})
    else:
        console.show_report(report)
        console.show_answers(answers)
        console.show_demo_end(facts)
    sys.exit(1 if report.failed or registered.left_out else 0)


@main.command(short_help="Print what plain Dagster commands need.")
@click.option("--pid", type=int, help="The process for which the embedded database stays up. [default: your shell]")
@click.option(
    "--shell",
    type=click.Choice(["sh", "powershell"]),
    default="powershell" if os.name == "nt" else "sh",
    show_default=True,
    help="Whose language the lines are in.",
)
@JSON
def env(pid: int | None, shell: str, as_json: bool) -> None:
    """Print what plain Dagster commands need: eval "$(rag-assets env)".

    Starts the embedded database, if that is the one in use, for as long as your shell lives; psql finds it then.
    """
    if pid is not None and not psutil.pid_exists(pid):
        raise click.BadParameter(f"there is no process {pid}", param_hint="--pid")
    with opened() as services:
        if services.settings.database_url is None:
            _ = services.database_url  # started for us, and then for the shell
            bundled_postgres.start(services.settings.home, user_pid=pid or _shell())
        operations.migrate(services)
        _add_partitions(services)
        variables = supervisor.environment(services.settings, database_url=services.database_url)
        if services.settings.database_url is None:
            variables |= conninfo.as_environment(services.database_url)
    if as_json:
        console.print_json(variables)
        return
    for name, value in variables.items():
        click.echo(console.export_line(name, value, shell=shell))


def _shell() -> int:
    """The user's shell: the outermost of those above us that are called the same.

    A $(...) with a redirection is a shell of its own, which ends with it.
    """
    found = os.getppid()
    with suppress(psutil.Error):
        process = psutil.Process(found)
        while (parent := process.parent()) is not None and parent.cmdline() == process.cmdline():
            process = parent
            found = parent.pid
    return found


@main.command(short_help="Run Dagster's UI and follow the table until Ctrl-C.", epilog=examples("up", "up --port 3001"))
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=3000,
    show_default=True,
    help="Of Dagster's UI; another free one is taken when it is in use. 0: any, and any for the search service, too.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Where the UI listens. Other addresses than this machine's own need the setting web.token to log in with.",
)
@click.option("--read-only", is_flag=True, help="Nobody launches, deletes or changes anything through the UI.")
def up(port: int, host: str, read_only: bool) -> None:
    """Run everything until Ctrl-C: database, code server, Dagster's UI and daemon, and the search service."""
    config = settings.load()
    addresses.require_safe_page(config, host)
    search = cli_service.address(config)
    if search is not None and port == 0:
        search = search[0], 0
    with opened() as services, supervisor.alone(services.settings.home):
        operations.migrate(services)
        _ = services.serving.model_path  # made now, where its progress is seen, and not by the first run
        supervisor.run(
            services.settings,
            database_url=services.database_url,
            host=host,
            port=port,
            progress=console.print_progress,
            read_only=read_only,
            search=search,
        )
        operations.release_batches(services)


@main.command(short_help="Create or update tables, functions and triggers.")
@click.option(
    "--create-table",
    is_flag=True,
    help="Make the documents table (source.table) first, where there is none and nothing is indexed.",
)
@click.option(
    "--take-over",
    is_flag=True,
    help="Have the index follow these settings of [chunking] and [embedding]; a program with others refuses to work.",
)
@click.option(
    "--roles",
    is_flag=True,
    help="Make the roles rag_owner (owns the tables), rag_worker (ingests) and rag_reader (searches) of the cluster, "
    "and grant them what they need.",
)
@JSON
def init(create_table: bool, take_over: bool, roles: bool, as_json: bool) -> None:
    """Create or update tables, functions and triggers; rows that are there become pending. Safe to repeat.

    The documents table is the application's, and has to be there: without --create-table, none is made in its database.

    Roles are those of all databases of a cluster, and none is made without --roles. What this account may not do is
    printed, for an administrator to run once.
    """
    with opened() as services:
        if create_table:
            operations.create_table(services)
        if take_over:
            operations.take_over(services)
        applied = operations.migrate(services)
        _add_partitions(services)
        granted = operations.establish_roles(services) if roles else None
        status = operations.status(services)
        step = step_for_pending(services) if status.documents else console.FIRST_STEP
    if as_json:
        facts = {"applied": applied, "documents": status.documents, "pending": status.pending}
        console.print_json(facts | ({"roles": asdict(granted)} if granted else {}))
    else:
        click.echo(f"Applied: {', '.join(applied) or 'nothing, all was there'}.")
        if granted:
            console.show_roles(granted)
        click.echo(f"{counted(status.documents, 'document')}, {status.pending} pending. {step}")


@main.command(short_help="Add files as rows of the documents table.", epilog=examples("register docs report.pdf"))
@click.argument("files", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True, path_type=Path))
@JSON
def register(files: tuple[Path, ...], as_json: bool) -> None:
    """Add files, and all files below folders, as rows of the documents table.

    For people without an application that fills the table. Hidden files and folders, folders behind links, and
    __pycache__ are left out, and so are links to files elsewhere, folders that cannot be read and files whose name is
    not UTF-8: then the exit code is 1.
    """
    with opened() as services:
        operations.create_own_table(services)
        operations.migrate(services)
        found = operations.register(services, files)
        _add_partitions(services)
        step = step_for_pending(services)
    console.print_json(asdict(found)) if as_json else console.show_registered(found, step=step)
    sys.exit(1 if found.left_out else 0)


@main.command(
    short_help="Ingest now what is pending.",
    epilog=examples("ingest       # what is pending", "ingest 7 12  # these, whether they changed or not"),
)
@click.argument("ids", nargs=-1)
@JSON
def ingest(ids: tuple[str, ...], as_json: bool) -> None:
    """Ingest what is pending, now, as a Dagster run in this process; with IDS, these documents.

    Ctrl-C stops it: what is stored stays, the rest is pending. The exit code is 1 when a document failed or is not in
    the table, 130 when it was stopped.
    """
    with opened() as services:
        operations.migrate(services)
        known, unknown = existing(services, ids)
        report = _ingest(services, ids=known)
        report.unknown, report.is_all = unknown, not ids
        planned = None if as_json or report.interrupted else operations.plan_index(services)
        by_itself, step = services.settings.search.index == "auto", step_for_pending(services)
    _end_with(report, as_json=as_json, planned=planned, by_itself=by_itself, step=step)


FILTERS = (
    click.option(
        "--document", "documents", multiple=True, metavar="ID", help="Only in this document; may be repeated."
    ),
    click.option(
        "--under",
        "path_prefix",
        metavar="PATH",
        help="Only where the path begins so: as in the table, below DOCUMENT_ROOT_PATH, or from this folder.",
    ),
    click.option("--path", "path_glob", metavar="PATTERN", help="Only where the path is like this, with * and ?."),
    click.option(
        "--type",
        "media_types",
        multiple=True,
        type=MEDIA_TYPE,
        metavar="TYPE",
        help="Only this media type: text/csv; may be repeated.",
    ),
    click.option(
        "--language",
        "languages",
        multiple=True,
        type=LANGUAGE,
        metavar="CODE",
        help="Only in this language: en, id, de; may be repeated.",
    ),
    click.option("--since", type=MOMENT, metavar="TIME", help="Only files written at or after 2026-11-28T14:30 (UTC)."),
    click.option("--until", type=MOMENT, metavar="TIME", help="Only files written before this time (UTC)."),
    click.option("--heading", metavar="PATTERN", help="Only below a heading with these words, with * and ?."),
    click.option("--metadata", type=JsonObject(), help='Only documents whose metadata has this: {"author": "Ada"}.'),
)


def _filters(command: Any) -> Any:
    for option in reversed(FILTERS):
        command = option(command)
    return command


@main.command(
    cls=Asking,
    short_help="Show the passages that answer best.",
    epilog=examples(
        'search "who pays for shipping?"',
        "search 'pump \"error E4\" -manual'          # with this phrase, without that word",
        'search -k 3 --json --type application/pdf "warranty"',
        'search -C 1 --under contracts/ "notice period"',
    ),
)
@click.argument("query", type=Question())
@click.option("-k", type=click.IntRange(1, 1_000), default=5, show_default=True, help="How many passages.")
@click.option("-C", "neighbours", type=click.IntRange(0, 20), default=0, help="Passages shown before and after each.")
@click.option(
    "--mode",
    type=click.Choice(["hybrid", "vector", "text"]),
    help="By meaning and words, by meaning alone, or by words alone. [default: search.mode, hybrid]",
)
@click.option(
    "--min-similarity",
    type=FiniteRange(-1, 1),
    help="Leave out passages whose cosine similarity to the question is below this, of those found.",
)
@_filters
@JSON
def search(
    query: str,
    k: int,
    neighbours: int,
    mode: settings.Mode | None,
    min_similarity: float | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Show the passages that answer QUERY best, by its meaning and by its words.

    A phrase in quotes has to stand there, and a word after a minus must not. Filters apply before the passages are
    counted: as many as were asked for are shown wherever there are so many, also to a question that no document
    answers. The score sorts them, and is no measure of how good they are; --min-similarity is. With a reranker
    (rerank.url, rerank.model), its score sorts them.

    With --json, nothing found is no line: why goes to standard error. The exit code is 0.
    """
    filter = Filter(**{name: value for name, value in given.items() if value not in (None, ())})
    notes: list[str] = []
    how: dict[str, Any] = {"mode": mode, "neighbours": neighbours, "min_similarity": min_similarity, "notes": notes}
    with opened() as services:
        if min_similarity is not None and (mode or services.settings.search.mode) == "text":
            raise click.UsageError("--min-similarity needs --mode hybrid or vector: words alone have no similarity.")
        operations.require_index(services)
        operations.require_reranker(services)
        hits = _search(services, query, k=k, filter=filter, **how)
        if not hits and (folder := _folder(filter)):
            hits = _search(services, query, k=k, filter=replace(filter, path_prefix=folder), **how)
        if not hits:
            console.show_nothing_found(_why_nothing(services, query, filter, min_similarity), as_json=as_json)
        excerpts = [] if as_json else operations.excerpts(services.serving, query, hits)
    for note in notes:
        click.echo(note, err=True)
    if as_json:
        for hit in hits:
            console.print_json(asdict(hit))
    for hit, excerpt in zip(hits, excerpts, strict=False):
        console.show_hit(hit, excerpt)


def _folder(filter: Filter) -> str | None:
    """The absolute name of the folder or file that --under names from where we are, if there is one."""
    under = filter.path_prefix
    if under is None or os.path.isabs(under) or not Path(under).exists():
        return None
    return os.path.abspath(under) + (os.sep if Path(under).is_dir() else "")


def _why_nothing(services: Services, query: str, filter: Filter, min_similarity: float | None) -> str:
    """Why a search may have found nothing, and what to do."""
    if not operations.count_chunks(services):
        return _why_nothing_is_there(services)
    if filter.path_prefix is not None and (path := operations.other_path(services, filter.path_prefix)):
        return f"no path begins with {filter.path_prefix}. The table's are like {path}"
    if unknown := operations.find(services, filter.documents or ())[1]:
        return not_in_table(unknown, table=services.settings.source.table)
    if filter != Filter() or min_similarity is not None:
        return "no passage is left by all filters. Try without one: `rag-assets search --json` has what they compare."
    return _why_no_words(query, *operations.asked_for(services, query))


def _why_no_words(query: str, words: Sequence[str], requires: bool) -> str:
    """The same, by what a question looks for and whether something has to stand there, or must not."""
    quoted, excluding = '"' in query, re.search(r"(^|\s)[-\u2212](?!-)\S", query) is not None
    if not re.search(r"\w", query):
        return "there is no word in it. Ask with a few."
    if requires and (words or quoted):
        said = "no passage has what is in quotes" if quoted else "every passage that answers has what is after a minus"
        return f"{said}{' and lacks what is after a minus' if quoted and excluding else ''}. Ask without."
    if excluding and not words:
        return "a minus only excludes, and nothing says what to look for. Ask with words before it, or --mode hybrid."
    if not words:
        return "its words are too common to be looked for. Ask with others, or with --mode hybrid."
    return "no passage has such words. Ask with others, or with --mode hybrid."


def _why_nothing_is_there(services: Services) -> str:
    status = operations.status(services)
    if not status.documents:
        return f"there are no documents. {console.FIRST_STEP}"
    if status.chunks or any(one.chunks for one in switching.standings(services)):
        return f"no vector of {services.serving.settings.embedding.model} is stored. Next: rag-assets model status"
    pending = f"{status.pending} of {counted(status.documents, 'document')} {are(status.pending)} pending"
    return f"nothing is indexed, and {pending}. Next: rag-assets {'ingest' if status.pending else 'status'}"


@main.command(
    cls=Asking, short_help="Print a question's vector, for SQL.", epilog=examples('embed "who pays for shipping?"')
)
@click.argument("query", type=Question())
def embed(query: str) -> None:
    """Print the vector of QUERY by the model that serves, as pgvector reads it: [0.01,-0.02,...].

    For rag_search(...) and other SQL, which have no model.
    """
    with opened() as services:
        click.echo(json.dumps(_embedded(services, query), separators=(",", ":")))


@main.command(short_help="Show, build or drop the index of vectors.", epilog=examples("index", "index --build"))
@click.option("--advise", is_flag=True, help="Show what is there, and what is best. [default]")
@click.option("--build", is_flag=True, help="Build what is best, in place of what is there.")
@click.option("--drop", is_flag=True, help="Drop it: searches compare all vectors.")
@JSON
def index(advise: bool, build: bool, drop: bool, as_json: bool) -> None:
    """Show, build or drop the index of the embedding model's vectors.

    Few vectors are best compared one by one. From search.index_rows on (25,000), a search through an index looks at a
    part of them and finds nearly all of the nearest. It is built while others read and write, and is kept up to date by
    PostgreSQL. Under `rag-assets up` it is looked after by itself, unless search.index is manual.
    """
    if advise + build + drop > 1:
        raise click.UsageError("--advise, --build and --drop exclude each other: give one of them.")
    with opened() as services:
        operations.migrate(services)
        if drop:
            dropped = operations.drop_index(services)
            console.print_json({"dropped": dropped}) if as_json else console.show_dropped_index(dropped)
            return
        if build:
            operations.build_index(services, progress=console.print_progress)
        found, planned = operations.get_index(services), operations.plan_index(services)
    if as_json:
        told = {"index": found and asdict(found), "advice": asdict(planned.advice)}
        console.print_json(told | {"step": planned.step, "reason": planned.reason})
    else:
        console.show_index(found, planned)


@main.command(
    short_help="Measure how well questions find their documents.",
    epilog=examples("evaluate questions/    # a CSV file with the columns question and document", "evaluate scifact/"),
)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--model", help="A model that is kept beside the one that serves; or a cut, as NAME@256, with corpus.jsonl."
)
@JSON
def evaluate(folder: Path, model: str | None, as_json: bool) -> None:
    """Measure how well search finds the documents that answer questions, by mode: nDCG@10, recall@100 and MRR.

    FOLDER has queries.jsonl and qrels/test.tsv, as BEIR has them, or one CSV file with the columns question and
    document: its id, its path or its file's name. With corpus.jsonl, these documents are embedded into a schema of
    their own, which is dropped at the end; the index is left alone.

    The exit code is 1 when a document that the questions name is not there: it counts as not found.
    """
    questions = evaluation.read(folder)
    with opened() as services:
        operations.migrate(services)
        operations.fill_words(services)
        unknown: list[str] = []
        asked = switching.of_name(services, model) if model else services.serving
        if model and questions.corpus is None:
            switching.require_vectors(asked)
        for found in evaluation.evaluate(asked, questions, progress=console.print_progress, unknown=unknown):
            console.print_json(asdict(found)) if as_json else console.show_quality(found)
    console.show_unknown_documents(unknown, of=len(questions.documents))
    sys.exit(1 if unknown else 0)


@main.command(
    short_help="Make failed documents pending again.",
    epilog=examples("retry", "retry --kind not_found  # the files are there now", "retry 7 12"),
)
@click.argument("ids", nargs=-1)
@click.option("--kind", type=click.Choice(ERROR_KINDS), help="Only documents that failed with this kind of error.")
@JSON
def retry(ids: tuple[str, ...], kind: str | None, as_json: bool) -> None:
    """Make failed documents pending again: all, those of one kind, or IDS. Those that wait to be tried again are now.

    Accepted ones have to be named by their IDS.

    The exit code is 1 when one of IDS is not in the table.
    """
    with opened() as services:
        operations.require_index(services)
        known, unknown = existing(services, ids)
        count = operations.retry(services, ids=known, kind=kind)
    console.print_json({"retried": count, "unknown": unknown}) if as_json else console.show_retried(count)
    sys.exit(1 if unknown else 0)


@main.command(
    short_help="Let documents that cannot be read be as they are.",
    epilog=examples("accept --kind encrypted", "accept 7 12"),
)
@click.argument("ids", nargs=-1)
@click.option("--kind", type=click.Choice(ACCEPTABLE_KINDS), help="Only documents that failed with this kind of error.")
@JSON
def accept(ids: tuple[str, ...], kind: str | None, as_json: bool) -> None:
    """Let documents that failed be as they are: all, those of one kind, or IDS.

    They are shown as accepted, and fail no run and no check, until their file changes; rag-assets retry ID takes it
    back. The exit code is 1 when one of IDS is not in the table or was not given up, or a file changed since it failed:
    the others are accepted.
    """
    with opened() as services:
        operations.require_index(services)
        known, unknown = existing(services, ids)
        found = operations.accept(services, ids=known, kind=kind)
        if found.accepted:
            _tell_accepted(services, found.accepted)
    if as_json:
        names = [one.document_id for one in found.accepted]
        left = {"not_accepted": [*found.pending, *found.changed, *found.others], "accepted_before": found.before}
        left |= {} if ids else {"pending": found.waiting}
        console.print_json({"accepted": names, "unknown": unknown, **left})
    else:
        console.show_accepted(found)
    sys.exit(1 if unknown or found.pending or found.changed or found.others else 0)


@main.command(
    short_help="Have stored vectors made anew.",
    epilog=examples(
        "reembed 7 12",
        "reembed --where vectors=wrong              # embed all again, and replace what differs",
        "reembed --where after=2026-11-01 --where before=2026-11-03",
        "reembed --where model=all-MiniLM-L6-v2     # all that is stored under this name",
    ),
)
@click.argument("ids", nargs=-1)
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help="Which vectors; all conditions have to hold. May be repeated.",
)
@JSON
def reembed(ids: tuple[str, ...], conditions: tuple[str, ...], as_json: bool) -> None:
    """Have stored vectors made anew: those of documents IDS, those for which all of --where holds, or of both.

    \b
    Conditions:
      model=NAME      stored under this name of a model
      after=TIME      stored at or after this time: 2026-11-28, 2026-11-28T14:30, or with a zone
      before=TIME     stored before it
      run=RUN_ID      of documents that this Dagster run ingested
      path=PATTERN    of documents whose path is like this, with * and ?
      vectors=wrong   not what the model makes of their texts: each is embedded again to find out

    Nothing is deleted: documents become pending, and `rag-assets ingest` (or `up`) replaces the vectors. Until then
    they are searched as they are. Vectors are reused for the same words, so documents that share one are made anew too.
    The exit code is 1 when one of IDS is not in the table.
    """
    if not ids and not conditions:
        raise click.UsageError("Name documents or --where; all that is stored: --where model=NAME.")
    with opened() as services:
        operations.migrate(services)
        known, unknown = existing(services, ids)
        found = operations.reembed(services, known, conditions)
    if as_json:
        console.print_json({**asdict(found), **({"unknown": unknown} if unknown else {})})
    else:
        console.show_marked(found)
    sys.exit(1 if unknown else 0)


@main.command(name="confirm-deletions", short_help="Let go what lost its row together with many others.")
@JSON
def confirm_deletions(as_json: bool) -> None:
    """Let all documents go that are indexed and have no row any more.

    So many that lose their row at once (source.mass_deletion_number, and source.mass_deletion_share of the index) stay
    in the index until this is said: the table may be emptied, swapped or partly detached by mistake.
    """
    with opened() as services:
        operations.require_index(services)
        count = operations.confirm_deletions(services)
    console.print_json({"confirmed": count}) if as_json else console.show_confirmed(count)


@main.command(short_help="Find what no trigger saw.")
@JSON
def reconcile(as_json: bool) -> None:
    """Compare table, files and index, and make pending what differs.

    Finds what no trigger saw: files that changed on disk, restored backups, disabled triggers, other settings.
    """
    with opened() as services:
        operations.migrate(services)
        found = operations.reconcile(services)
        held = operations.held(services)
        next_step = step_for_pending(services)
    if as_json:
        console.print_json(found)
    else:
        step = held or (next_step if any(found.values()) else "Nothing is to be done.")
        if found["missing"]:
            step = "So many files that are gone at once are left as they are: is their folder mounted? " + held
        shown = [f"{count} {what}" for what, count in found.items() if count or what != "missing"]
        click.echo(f"{', '.join(shown)}. {step}")


@main.command(
    name="doctor",
    short_help="Check what is needed, and say what to do.",
    epilog=examples("doctor", "doctor --calibrate", "doctor --notify"),
)
@click.option(
    "--calibrate", is_flag=True, help="Find the fastest llama-server settings of this machine, and keep them."
)
@click.option("--notify", is_flag=True, help="Send a test to the webhook of notify.url, and say whether it took it.")
@JSON
def examine(calibrate: bool, notify: bool, as_json: bool) -> None:
    """Check everything that is needed, and say what to do where something is missing.

    Starts the embedded database and llama-server for it and stops them again. The exit code is 1 when a check fails.

    With --calibrate, some ways to run llama-server are timed for about a minute, its own defaults among them; the
    fastest is kept in calibration.json of the home and used from then on. What you set yourself always wins.

    With --notify, nothing else is looked at.
    """
    if calibrate and notify:
        raise click.UsageError("--calibrate and --notify exclude each other: give one of them.")
    if calibrate:
        _calibrate(as_json=as_json)
        return
    if notify:
        findings = [_shown(doctor.try_notice(settings.load()), as_json=as_json)]
    else:
        with opened_with(settings.load()) as services:
            findings = [_shown(finding, as_json=as_json) for finding in doctor.examine(services)]
    sys.exit(1 if any(finding.verdict == "fail" for finding in findings) else 0)


def _shown(finding: doctor.Finding, *, as_json: bool) -> doctor.Finding:
    console.print_json(asdict(finding)) if as_json else console.show_finding(finding)
    return finding


def _calibrate(*, as_json: bool) -> None:
    with opened_with(settings.load_by_hand()) as services:
        found, file = doctor.calibrate(services, progress=console.print_progress)
    if as_json:
        facts = {"best": found.best.as_row(), "own_defaults": found.own_defaults.as_row(), "seconds": found.seconds}
        console.print_json({**facts, "trials": [trial.as_row() for trial in found.trials], "file": file})
    else:
        console.show_calibration(found, file)


@main.command(short_help="Show what would be read from files.", epilog=examples("parse report.pdf"))
@click.argument("files", nargs=-1, required=True, metavar="PATH...")
@JSON
def parse(files: tuple[str, ...], as_json: bool) -> None:
    """Show what would be read from files, without a database."""
    failed = False
    services = Services(settings.load())  # of which only the settings are used: nothing is started
    with TextWorker(parsing=services.settings.parsing, chunking=services.settings.chunking, model=None) as reader:
        for name in files:
            started = time.perf_counter()
            try:
                console.show_parsed(name, reader.parse(services.resolve(name), name=name), as_json=as_json)
            except DocumentError as exc:
                failed = True
                console.show_error(name, exc, seconds=time.perf_counter() - started, as_json=as_json)
    sys.exit(1 if failed else 0)


@main.command(short_help="Show how files would be cut.", epilog=examples("chunk --size 256 report.pdf"))
@click.argument("files", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--strategy",
    type=click.Choice(["semantic", "fixed", "recursive"]),
    help=f"How to cut. {_default('strategy')}",
)
@click.option("--size", type=int, help=f"Largest chunk, in tokens of the embedding model. {_default('size')}")
@click.option("--overlap", type=int, help=f"Tokens that neighbours may share. {_default('overlap')}")
@JSON
def chunk(files: tuple[str, ...], strategy: str | None, size: int | None, overlap: int | None, as_json: bool) -> None:
    """Show how files would be cut, without a database."""
    given = {"strategy": strategy, "size": size, "overlap": overlap}
    failed = False
    with opened(chunking={key: value for key, value in given.items() if value is not None}) as services:
        services.models = known.Forgetful()
        for name in files:
            started = time.perf_counter()
            try:
                console.show_chunks(name, services.reader.read(services.resolve(name), name=name), as_json=as_json)
            except DocumentError as exc:
                failed = True
                console.show_error(name, exc, seconds=time.perf_counter() - started, as_json=as_json)
    sys.exit(1 if failed else 0)


for _command in (
    *cli_service.COMMANDS,
    *cli_status.COMMANDS,
    *cli_metrics.COMMANDS,
    cli_mcp.mcp,
    cli_model.model,
    *cli_backup.COMMANDS,
    cli_nssm.service if sys.platform == "win32" else cli_systemd.service,
):
    main.add_command(_command)


def _add_partitions(services: Services) -> None:
    """Make the rows partitions, so that plain Dagster commands know them."""
    os.environ.update(supervisor.environment(services.settings, database_url=services.database_url))
    from rag_assets.defs import foreground  # imports dagster, which takes a second, only here

    foreground.add_partitions(services)


def _tell_accepted(services: Services, accepted: Sequence[Refused]) -> None:
    """Have Dagster show that these documents are accepted."""
    os.environ.update(supervisor.environment(services.settings, database_url=services.database_url))
    from rag_assets.defs import foreground  # imports dagster, which takes a second, only here

    foreground.tell_accepted(services, accepted)


def _ingest(services: Services, *, ids: Sequence[str] = ()) -> RunReport:
    console.print_progress("Starting Dagster")
    os.environ.update(supervisor.environment(services.settings, database_url=services.database_url))
    from rag_assets.defs import foreground  # imports dagster, which takes a second, only here

    serving = services.serving
    _ = serving.model_path
    with (
        console.Progress(total=len(set(ids)) or operations.status(services).pending) as progress,
        _stopped_by_hang_up(),
    ):
        serving.embedder.on_embedded, services.on_part = progress.embedded, progress.part
        report = foreground.ingest(services, document_ids=ids, on_outcomes=progress.advance)
    status = operations.status(services)
    report.pending, report.documents, report.unfinished = status.pending, status.documents, progress.unfinished
    return report


def _search(services: Services, query: str, *, k: int, **how: Any) -> list[Hit]:
    with _question_is_short_enough():
        return operations.search_serving(services, query, k=k, **how)


def _embedded(services: Services, query: str) -> list[float]:
    with _question_is_short_enough():
        return services.serving.embedder.embed_query(query)


@contextmanager
def _question_is_short_enough() -> Iterator[None]:
    try:
        yield
    except UnembeddableText as exc:
        raise click.BadParameter(_why_not(exc), param_hint="QUERY") from exc


def _why_not(refused: UnembeddableText) -> str:
    """In a sentence, without what the server said, which is for programs."""
    if refused.kind == "too_large":
        return "it is longer than the model reads: ask with fewer words."
    return "the model's server ended, twice, over it: ask with other words, or look at its log."


def _end_with(
    report: RunReport,
    *,
    as_json: bool,
    planned: Plan | None = None,
    by_itself: bool = False,
    step: str = console.INGEST,
) -> NoReturn:
    """Show what was done, the next step, and where it is advised that an index is `planned`, and end."""
    console.print_json(report.as_json) if as_json else console.show_report(report, step=step)
    if planned is not None:
        console.show_advised_index(planned, by_itself=by_itself)
    sys.exit(INTERRUPTED_EXIT_CODE if report.interrupted else 1 if report.is_short else 0)


@contextmanager
def _stopped_by_hang_up() -> Iterator[None]:
    """A terminal that closes ends a run as Ctrl-C does; under nohup, it goes on."""
    name = getattr(signal, "SIGHUP", None)
    if name is None or signal.getsignal(name) != signal.SIG_DFL:
        yield
        return
    signal.signal(name, lambda *_: signal.raise_signal(signal.SIGTERM))  # which Dagster handles, SIGHUP it does not
    try:
        yield
    finally:
        signal.signal(name, signal.SIG_DFL)
