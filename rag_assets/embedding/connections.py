"""Sessions of requests whose connections go through a door, and whose answers are waited for with patience.

A module of its own, as importing requests and urllib3 takes a third of a second: only who embeds needs it.
"""

import socket
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from rag_assets.embedding.door import Door
from rag_assets.embedding.waiting import Patience, no_longer_than


def session(door: Door | None, *, patience: Patience, on_connect: Callable[[], None]) -> requests.Session:
    """A session whose connections go through `door`, or without one to whatever the URL names.

    `on_connect` is called for each new one, in the thread that needs it.
    """
    made = requests.Session()
    made.trust_env = False  # no proxy stands between us and the server
    for scheme in ("http", "https"):
        made.mount(f"{scheme}://", _Adapter(_pools(door, patience, on_connect)))
    return made


class _Adapter(HTTPAdapter):
    def __init__(self, pools: dict[str, type[HTTPConnectionPool]]) -> None:
        self._pools = pools
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools


def _pools(
    door: Door | None, patience: Patience, on_connect: Callable[[], None]
) -> dict[str, type[HTTPConnectionPool]]:
    """The classes that urllib3 makes its connections of, by scheme."""

    class Patient(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            on_connect()

        def getresponse(self) -> Any:
            seconds = float(self.timeout)  # type: ignore[arg-type]
            patience.wait_for(self.sock, seconds=seconds)
            with no_longer_than(seconds, lambda: self.sock.shutdown(socket.SHUT_RDWR)):
                return super().getresponse()

    class PatientAndEncrypted(Patient, HTTPSConnection):
        """In this order, so that the encrypted connection is what Patient connects and reads from."""

    class Proven(Patient):
        def _new_conn(self) -> socket.socket:
            assert door is not None  # noqa: S101 - chosen below
            try:
                return door.open(float(self.timeout))  # type: ignore[arg-type]
            except OSError as exc:
                raise NewConnectionError(self, str(exc)) from exc

    class Pool(HTTPConnectionPool):
        ConnectionCls = Proven if door else Patient

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = PatientAndEncrypted

    return {"http": Pool, "https": EncryptedPool}
