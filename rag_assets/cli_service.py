"""The commands of the search service: `rag-assets serve` and `rag-assets key`."""

import click

from rag_assets import operations, settings, supervisor
from rag_assets.console import print_progress
from rag_assets.errors import ServiceError
from rag_assets.processes import ports
from rag_assets.service import addresses
from rag_assets.services import Services, require_home
from rag_assets.settings import Settings


def address(config: Settings) -> tuple[str, int] | None:
    """Host and port for `up`; None where it is not to be served.

    SettingsError where it would be open to others, or its reranker is wrong.
    """
    if not config.service.enabled:
        return None
    addresses.require_safe_search(config, config.service.host)
    with Services(config) as services:
        operations.require_reranker(services)
    return config.service.host, config.service.port


@click.command(
    short_help="Serve the index over HTTP until Ctrl-C.",
    epilog="\b\nFor example:\n  rag-assets serve\n  rag-assets serve --port 8001",
)
@click.option(
    "--host",
    help="Where it listens. Others than this machine's own addresses need the setting "
    "service.keys_file. [default: service.host, 127.0.0.1]",
)
@click.option("--port", type=click.IntRange(0, 65_535), help="0: any free one. [default: service.port, 8000]")
def serve(host: str | None, port: int | None) -> None:
    """Answer searches, requests for vectors and for documents over HTTP, without Dagster: see docs/service.md.

    `rag-assets up` does the same beside all else.
    """
    from rag_assets.service import search_service

    config = settings.load()
    host, wanted = host or config.service.host, config.service.port if port is None else port
    addresses.require_safe_search(config, host)
    require_home(config)
    try:
        port = ports.free_port(host, wanted=wanted)
    except OSError as exc:
        raise ServiceError(f"No free port on {host} ({exc}): is this an address of this machine?") from exc
    if wanted and port != wanted:
        raise ServiceError(f"Port {wanted} of {host} is taken by another program: name another one with --port.")
    url = supervisor.url_of(host, port)
    search_service.serve(
        config, host=host, port=port, on_started=lambda: print_progress(f"Search is at {url}  (Ctrl-C stops it)")
    )


class KeyName(click.ParamType[str]):
    """The type of a key's name."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as it is; fails where it has other characters than letters of ASCII, digits and - _ ."""
        if not (value and value.isascii() and all(sign.isalnum() or sign in "-_." for sign in value)):
            self.fail("it has letters, digits and - _ . only, and one at least", param, ctx)
        return value


@click.command(
    short_help="Make an API key for the search service.", epilog="\b\nFor example:\n  rag-assets key intranet"
)
@click.argument("name", type=KeyName())
@click.option("--role", help="Of the database, whose rights decide what is found with it.")
def key(name: str, role: str | None) -> None:
    """Print a new API key, and the lines for the file that the setting service.keys_file names.

    The key goes to standard error, and the lines, which hold its hash alone, to standard output: >> keys.toml. With
    --role, give it the claims that the other keys with a role have, below its line.
    """
    from rag_assets.service import keys

    made, lines = keys.new_key(name, role=role)
    click.echo(f"The key, for who asks (it is not shown again):\n\n{made}\n", err=True)
    click.echo("For the file of service.keys_file:\n", err=True)
    click.echo(lines, nl=False)


COMMANDS = (serve, key)
