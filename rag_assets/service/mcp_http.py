"""The tools for agents at /mcp of the search service, where the extra mcp is installed."""

import asyncio
import importlib
import importlib.util

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

MCP_PATH = "/mcp"


def routes() -> list[BaseRoute]:
    """The routes of the tools for agents; an empty list where the extra `mcp` is not installed."""
    return [Route(MCP_PATH, _WhenAsked())] if importlib.util.find_spec("mcp") else []


class _WhenAsked:
    """The SDK takes seconds and some memory to load: whoever asks first brings it in."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            mcp_server = await asyncio.to_thread(importlib.import_module, "rag_assets.service.mcp_server")
            api = scope["app"].state.api
            self._app = mcp_server.OverHttp(api.asking, embedding=api.embedding.run, database=api.database.run)
        assert self._app is not None  # noqa: S101 - made above
        await self._app(scope, receive, send)
