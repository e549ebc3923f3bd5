"""`rag-assets metrics`: what operators watch, for hosts on which nobody asks the search service."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import click
from pydantic import SecretStr

from rag_assets import console, operations
from rag_assets import settings as project_settings
from rag_assets.bundled import postgres as bundled_postgres
from rag_assets.cli_services import examples
from rag_assets.embedding import neighbour
from rag_assets.errors import DatabaseUnavailable, ServiceError
from rag_assets.postgres import conninfo
from rag_assets.postgres.figures import Figures
from rag_assets.processes import whole_file
from rag_assets.services import Services
from rag_assets.settings import Settings

SUFFIX = ".prom"  # node_exporter reads no others
READABLE = 0o644  # by the account of the collector, whatever the umask is


class PromFile(click.ParamType[Path]):
    """The type of a file that a textfile collector is to read."""

    name = "file"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path; fails where the collector would pass over a file of this name."""
        path = Path(value)
        if path.suffix != SUFFIX:
            self.fail(f"{path.name}: the collector reads files whose names end in {SUFFIX} alone", param, ctx)
        return path


@click.command(
    short_help="Print what operators watch, for Prometheus.",
    epilog=examples("metrics", "metrics --write /var/lib/node_exporter/textfile/rag_assets.prom"),
)
@click.option(
    "--write",
    "target",
    type=PromFile(),
    metavar="FILE.prom",
    help="Replace this file, whole, in place of printing; every account may read it. Its folder has to be there.",
)
def metrics(target: Path | None) -> None:
    """Print the metrics of the index once, in the text form of Prometheus.

    Where Prometheus reaches the search service of `rag-assets up` or `serve`, have it ask /metrics there, which also
    counts searches. This command is for hosts without that: node_exporter reads what it wrote from the folder of its
    --collector.textfile.directory, and a timer or cron runs it again, as every minute:

    \b
      * * * * *  rag-assets metrics --write /var/lib/node_exporter/textfile/rag_assets.prom

    Where the database is away, or does not answer within 5 seconds, rag_assets_database_up is 0; the embedded one is
    not started for it. Where it answers, and is not set up for this program (rag-assets init), or one of its tables is
    locked, that is 1, and no numbers come from it. The reason goes to standard error, and the exit code is 0. A
    DATABASE_URL that cannot be read is an error, and leaves the file as it was. How old the file is, node_exporter
    tells by node_textfile_mtime_seconds. What each name means is in docs/service.md.
    """
    from rag_assets.service import metrics as service_metrics

    config = project_settings.load()
    figures, is_up = _look(config, seconds=service_metrics.LOOK_SECONDS)
    memory_bytes = neighbour.memory_bytes(config.home / "run")
    text = service_metrics.of_index(figures, is_up=is_up, embedder_memory_bytes=memory_bytes)
    if target is None:
        click.echo(text, nl=False)
    else:
        _write(target, text)


def _look(config: Settings, *, seconds: float) -> tuple[Figures | None, bool]:
    """What the database counts, None where it cannot; and whether it answers. An embedded one is not started."""
    url = _url(config)
    if url is None:
        console.print_progress(f"The embedded database of {config.home} does not run: rag-assets up starts it.")
        return None, False
    with Services(config.model_copy(update={"database_url": SecretStr(url)})) as services:
        try:
            return _in_time(lambda: operations.figures_now(services), seconds=seconds), True
        except TimeoutError:
            console.print_progress(
                f"Database {conninfo.shown(url)} does not answer within {seconds:g} s: see whether its processes are "
                "stopped, its disk is stuck or its machine is out of memory."
            )
            return None, False
        except DatabaseUnavailable as exc:
            console.print_progress(str(exc))
            return None, False
        except ServiceError as exc:  # it answers, and is not set up for this program, or a table is locked
            console.print_progress(str(exc))
            return None, True


def _url(config: Settings) -> str | None:
    """The database's URL, None where it is the embedded one and does not run. SettingsError where it is no URL."""
    if config.database_url is None:
        return bundled_postgres.running_url(config.home)
    url = config.database_url.get_secret_value()
    conninfo.parsed(url)  # wrong, it is no database that is away
    return url


def _in_time(look: Callable[[], Figures], *, seconds: float) -> Figures:
    """What the look finds; TimeoutError where that takes longer, and nothing waits for it any more."""
    found: Future[Figures] = Future()

    def run() -> None:
        try:
            found.set_result(look())
        except BaseException as exc:  # noqa: BLE001 - raised where the result is asked for
            found.set_exception(exc)

    threading.Thread(target=run, daemon=True).start()
    return found.result(timeout=seconds)


def _write(target: Path, text: bytes) -> None:
    try:
        with whole_file.replacing(target) as draft:
            draft.write_bytes(text)
            draft.chmod(READABLE)
    except OSError as exc:
        raise ServiceError(f"{target} was not written ({exc.strerror}): it needs a folder that takes files.") from exc


COMMANDS = (metrics,)
