"""The process of the search service: `python -m rag_assets.service.search_service`, which `rag-assets up` starts.

`rag-assets serve` runs the same in its own process.
"""

import argparse
import signal
from collections.abc import Callable, Sequence

from rag_assets import logs, settings, supervisor
from rag_assets.asking import Asking
from rag_assets.service import addresses, api, connections, mcp_http
from rag_assets.service.gate import Gate
from rag_assets.service.keys import Keys
from rag_assets.service.page import views
from rag_assets.settings import Settings

STOP_SECONDS = supervisor.STOP_SECONDS - 2  # for requests under way, when told to end; then the rest is closed
KEEP_ALIVE_SECONDS = 60


def application(asking: Asking) -> Gate:
    """The ASGI application of the search service: API, page and tools behind the gate."""
    file = asking.settings.service.keys_file
    keys = Keys(file) if file is not None else None
    page = views.Page(keys)
    routes = [*page.routes(), *mcp_http.routes()]
    return api.application(asking, keys=keys, routes=routes, open_paths=views.OPEN_PATHS, logins=page.logins)


def serve(config: Settings, *, host: str, port: int, on_started: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered before it ends."""
    with Asking(config) as asking:
        asking.require_reranker()
        app = application(asking)
        for number in (signal.SIGINT, signal.SIGTERM):  # by which uvicorn, once it has ended, would have us killed
            signal.signal(number, lambda _number, _frame: None)
        connections.serve(
            app,
            host=host,
            port=port,
            stop_seconds=STOP_SECONDS,
            on_started=on_started,
            ws="none",
            log_config=None,
            access_log=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, which holds nothing secret."""
    parser = argparse.ArgumentParser(prog="python -m rag_assets.service.search_service", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args(arguments)
    config = settings.load()
    logs.configure(config.log_format)
    addresses.require_safe_search(config, given.host)
    serve(config, host=given.host, port=given.port)


if __name__ == "__main__":
    main()
