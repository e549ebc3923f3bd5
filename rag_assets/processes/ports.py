"""TCP ports of this machine: one that is free, and whether it is a certain process that listens at one."""

import socket
import sys
from contextlib import suppress

import psutil


def free_port(host: str, *, wanted: int = 0) -> int:
    """The wanted port, or any other that is free now; OSError when the host is no address of this machine."""
    with socket.socket() as probe:
        if sys.platform != "win32":  # there it would allow to share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            if not wanted:
                raise
            return free_port(host)
        return int(probe.getsockname()[1])


def owns_port(pid: int | None, port: int) -> bool:
    """Whether it is this process, or one that it started, that takes connections at a TCP port of this machine."""
    with suppress(psutil.Error):
        if pid is not None:
            root = psutil.Process(pid)
            family = (root, *root.children(recursive=True))  # on Windows, a virtual environment's Python starts another
            return any(_listens(process, port) for process in family)
    return False


def _listens(process: psutil.Process, port: int) -> bool:
    connections = process.net_connections("tcp")
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections)
