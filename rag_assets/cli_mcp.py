"""The command `rag-assets mcp`: the index as tools of an agent that starts it."""

import importlib.util

import click

from rag_assets import settings
from rag_assets.asking import Asking
from rag_assets.errors import SettingsError
from rag_assets.services import require_home


@click.command(
    name="mcp",
    short_help="Serve the index to an agent (MCP) over standard input and output.",
    epilog="\b\nFor example, as an agent's configuration has it:\n"
    '  {"mcpServers": {"documents": {"command": "rag-assets", "args": ["mcp"]}}}',
)
def mcp() -> None:
    """Serve the tools search, get_document, list_documents and status to an agent, until it ends the connection.

    An agent starts this itself: see docs/mcp.md. Standard output has the protocol alone, progress and errors go to
    standard error. Needs the extra mcp: pip install "rag-assets[mcp]".
    """
    if importlib.util.find_spec("mcp") is None:
        raise SettingsError('The package mcp is not installed: pip install "rag-assets[mcp]"')
    from rag_assets.service import mcp_server  # a second

    config = settings.load()
    require_home(config)
    with Asking(config) as asking:
        asking.require_reranker()
        mcp_server.serve_stdio(asking)
