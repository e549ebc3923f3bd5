"""Dagster's web page behind our guard: `python -m rag_assets.service.dagster_ui`, which `rag-assets up` starts.

It does what the command `dagster-webserver` does, with the guard around the application. Should a release of Dagster
move what is imported here, this process ends with an ImportError, and never serves the page unguarded.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import Pool

from rag_assets import settings
from rag_assets.service import addresses, connections
from rag_assets.service.guard import Guard
from rag_assets.settings import Settings

# Those of the command dagster-webserver.
STATEMENT_TIMEOUT_MS = 15_000
CONNECTION_SECONDS = 3_600
POOL_OVERFLOW = 20
POLL_MS = 2_000  # how often the page asks for news of assets
STOP_SECONDS = 2  # for requests under way, when told to end


def serve(config: Settings, *, host: str, port: int, workspace: Path, read_only: bool) -> None:
    """Serve the page until SIGINT or SIGTERM; with `read_only`, nobody changes anything through it."""
    from dagster import DagsterInstance

    from rag_assets.defs import dagster_internals

    with DagsterInstance.get() as instance, pinged_connections():
        instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, CONNECTION_SECONDS, POOL_OVERFLOW)
        with dagster_internals.web_application(
            instance, workspace, read_only=read_only, as_json=config.log_format == "json", poll_milliseconds=POLL_MS
        ) as app:
            token = config.web.token.get_secret_value() if config.web.token else None
            connections.serve(
                Guard(app, hosts=config.web.allowed_hosts, token=token, read_only=read_only),
                host=host,
                port=port,
                stop_seconds=STOP_SECONDS,
                log_level="warning",
            )


@contextmanager
def pinged_connections() -> Iterator[None]:
    """Within, a connection that was kept is asked for an answer before it is used, and replaced where it is cut.

    Else the first clicks after a restart of the database would fail. Dagster gives no way to say `pool_pre_ping`; this
    is the same by the events of SQLAlchemy's pools.
    """
    event.listen(Pool, "checkout", _ping)
    try:
        yield
    finally:
        event.remove(Pool, "checkout", _ping)


def _ping(connection: DBAPIConnection, *_others: object) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute("select 1")
    except Exception as exc:  # whichever the driver raises
        raise DisconnectionError from exc
    finally:
        cursor.close()


def main() -> None:
    """Read the command line, which holds nothing secret: the token comes with the settings."""
    parser = argparse.ArgumentParser(prog="python -m rag_assets.service.dagster_ui", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workspace", type=Path, required=True, help="the workspace.yaml that names the code server")
    parser.add_argument("--read-only", action="store_true", help="as the setting web.read_only does")
    given = parser.parse_args()
    config = settings.load()
    addresses.require_safe_page(config, given.host)
    read_only = given.read_only or config.web.read_only
    serve(config, host=given.host, port=given.port, workspace=given.workspace, read_only=read_only)


if __name__ == "__main__":
    main()
