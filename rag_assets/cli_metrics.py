"""`rag-assets metrics`: what operators watch, for hosts on which nobody asks the search service."""

from pathlib import Path

import click

from rag_assets import console, operations
from rag_assets.bundled import postgres as bundled_postgres
from rag_assets.cli_services import examples, opened
from rag_assets.embedding import neighbour
from rag_assets.errors import DatabaseUnavailable, ServiceError, SettingsError
from rag_assets.postgres import conninfo
from rag_assets.postgres.figures import Figures
from rag_assets.processes import whole_file
from rag_assets.services import Services

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

    Where the database is away, rag_assets_database_up is 0; the embedded one is not started for it. Where it is there,
    and not set up (rag-assets init), that is 1, and no numbers come from it. The reason goes to standard error, and the
    exit code is 0. A DATABASE_URL that cannot be read is an error, and leaves the file as it was. How old the file is,
    node_exporter tells by node_textfile_mtime_seconds. What each name means is in docs/service.md.
    """
    from rag_assets.service import metrics as service_metrics

    with opened() as services:
        figures, is_up = _look(services)
        memory_bytes = neighbour.memory_bytes(services.settings.home / "run")
        text = service_metrics.of_index(figures, is_up=is_up, embedder_memory_bytes=memory_bytes)
    if target is None:
        click.echo(text, nl=False)
    else:
        _write(target, text)


def _look(services: Services) -> tuple[Figures | None, bool]:
    """What the database counts, None where it cannot; and whether it answers. An embedded one is not started."""
    settings = services.settings
    if settings.database_url is not None:
        conninfo.parsed(settings.database_url.get_secret_value())  # wrong, it is no database that is away
    elif not bundled_postgres.is_running(settings.home):
        console.print_progress("The embedded database does not run: rag-assets up starts it.")
        return None, False
    try:
        return operations.figures_now(services), True
    except DatabaseUnavailable as exc:
        console.print_progress(str(exc))
        return None, False
    except SettingsError as exc:  # it answers, and is not set up
        console.print_progress(str(exc))
        return None, True


def _write(target: Path, text: bytes) -> None:
    try:
        with whole_file.replacing(target) as draft:
            draft.write_bytes(text)
            draft.chmod(READABLE)
    except OSError as exc:
        raise ServiceError(f"{target} was not written ({exc.strerror}): it needs a folder that takes files.") from exc


COMMANDS = (metrics,)
