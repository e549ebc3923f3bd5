"""The ways to llama-server: one that is ours proves on each connection that it is the process we started.

Whoever reads our process list sees a port before the server has it, and may take it; and when the server dies, anybody
may have its port next. So no byte is sent before the kernel has said that the other end of this very connection is held
by our process, or by a child of it. An answer that comes over such a connection is that process's own.
"""

import ipaddress
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import psutil

SOCKET = "s.sock"  # in the folder of a server
LONGEST_SOCKET_PATH = 100  # bytes; the kernel's own limit is 104 to 108
LOOK_SECONDS = 0.01  # between looks at whether the server has accepted a connection
Address = tuple[str, int]


class Stranger(OSError):
    """Another process than ours listens, or nobody could be proven to be ours in time."""


class Door(Protocol):
    """How one server is reached; `where` is what messages call it."""

    @property
    def where(self) -> str:
        """The address, as messages call it."""

    def open(self, timeout_seconds: float) -> socket.socket:
        """A new connection to the server; Stranger when it is not ours, another OSError when nobody is there."""


class Owned:
    """A process that we started, and its children: a binary may be a script that starts the real one."""

    def __init__(self, pid: int, *, is_alive: Callable[[], bool]) -> None:
        self._root: psutil.Process | None = None
        with suppress(psutil.NoSuchProcess):  # it has ended already, and holds nothing
            self._root = psutil.Process(pid)
        self._is_alive = is_alive  # the pid is nobody else's while we have not been told of its end

    def holds(self, pid: int) -> bool:
        """Whether a process number is that of the process that we started, or of one of its children, now."""
        return self._is_alive() and pid in {process.pid for process in self._family()}

    def connections(self) -> list[Any]:
        """Its TCP sockets as psutil describes them; none when it is gone."""
        found = [one for process in self._family() for one in _connections(process)]
        return found if self._is_alive() else []

    def _family(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            if self._root is not None:
                return [self._root, *self._root.children(recursive=True)]
        return []


class SocketFile:
    """A socket in a folder that is ours alone: nobody else can put one there, and the kernel names who listens."""

    def __init__(self, path: Path, *, owned: Owned) -> None:
        self._path = path
        self._owned = owned

    @property
    def where(self) -> str:
        """The path of the socket."""
        return str(self._path)

    def open(self, timeout_seconds: float) -> socket.socket:
        """A connection to the socket; Stranger where the kernel names another process, OSError where nobody listens."""
        assert sys.platform != "win32"  # noqa: S101 - Python knows no such sockets there
        connection = socket.socket(socket.AF_UNIX)
        with _closed_unless_returned(connection):
            connection.settimeout(timeout_seconds)
            connection.connect(str(self._path))
            if sys.platform == "linux":  # elsewhere the folder has to be enough
                pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
                if not self._owned.holds(pid):
                    raise Stranger(f"{self._path} belongs to process {pid}, which is not the server started here")
            return connection


class OwnedPort:
    """A TCP port: the connection has to be in the kernel's table among those of our process."""

    def __init__(self, host: str, *, owned: Owned) -> None:
        self._host = host
        self._owned = owned
        self._port: int | None = None

    @property
    def where(self) -> str:
        """HOST:PORT, with a question mark until the port is known."""
        return f"{self._host}:{self._port or '?'}"

    def open(self, timeout_seconds: float) -> socket.socket:
        """A connection to the port; Stranger where it is not with our process, OSError where nobody listens.

        Whose it is, is looked up in the system's table of connections, within `timeout_seconds` of all.
        """
        deadline = time.monotonic() + timeout_seconds
        connection = socket.create_connection(self._address(), timeout=timeout_seconds)
        with _closed_unless_returned(connection):
            ends = _end(connection.getpeername()), _end(connection.getsockname())
            while time.monotonic() < deadline:
                # A connection is nobody's until the server accepts it; then it is in the table with its owner.
                if ends in [(_end(one.laddr), _end(one.raddr)) for one in self._owned.connections() if one.raddr]:
                    return connection
                if not self._ports():
                    break
                time.sleep(LOOK_SECONDS)
            raise Stranger(f"{self.where} is not held by the server that was started here")

    def _address(self) -> Address:
        """Where our process listens, as the kernel says: it may have been left to choose its port."""
        ports = self._ports()
        if not ports:
            raise Stranger(f"the server that was started here does not listen on {self.where}")
        self._port = ports[0]
        return _reachable(self._host), self._port

    def _ports(self) -> list[int]:
        return sorted({one.laddr[1] for one in self._owned.connections() if one.status == psutil.CONN_LISTEN})


def to_owned(owned: Owned, *, folder: Path | None, host: str) -> Door:
    """The way to a process of ours: the socket in this private folder of its own, or where there is none, a port."""
    return OwnedPort(host, owned=owned) if folder is None else SocketFile(folder / SOCKET, owned=owned)


@contextmanager
def _closed_unless_returned(connection: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _connections(process: psutil.Process) -> list[Any]:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return list(process.net_connections(kind="tcp"))
    return []


def _end(address: Any) -> tuple[str, int]:
    """An address without its spelling: a server on :: sees 127.0.0.1 as ::ffff:127.0.0.1."""
    ip = ipaddress.ip_address(str(address[0]).split("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip), int(address[1])


def _reachable(host: str) -> str:
    """Where one connects to reach who listens on all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
