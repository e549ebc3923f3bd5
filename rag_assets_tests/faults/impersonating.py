"""A stranger has llama-server's port, before it is bound or after the server died: he gets and gives nothing."""

import threading
import time
from contextlib import suppress

import psutil

from rag_assets.errors import ServiceError
from rag_assets.services import Services
from rag_assets_tests import engines
from rag_assets_tests.fake_llama import FakeLlama
from rag_assets_tests.faults.arena import Arena, Ground, Result
from rag_assets_tests.faults.killing import strange_vectors
from rag_assets_tests.faults.serving import seems_free

ON_A_PORT = {"host": "127.0.0.2"}  # chosen by hand: then it is no socket file
DEATHS = 3  # of the server in one run
TAKING_SECONDS = 5.0  # for the port of a server that just died


def stranger_before(ground: Ground, *, seed: int, long: bool) -> Result:
    """He has taken the port since it was found to be free, and answers as a healthy server: ours goes elsewhere."""
    result = Result()
    for turn in range(4 if long else 1):
        with FakeLlama() as stranger:
            taken = stranger.server_address[1]
            with ground.arena(seed + turn, llama_server={"port": taken}) as arena, Services(arena.settings) as services:
                arena.embedder, arena.vector_of = services.embedder, None
                arena.insert(4)
                with seems_free(taken):
                    arena.run()
                found = [*_told(stranger), *arena.violations(), *strange_vectors(arena)]
                result.add(found, trial=f"turn {turn}")
    return result


def stranger_after(ground: Ground, *, seed: int, long: bool) -> Result:
    """Our server is killed under a batch, and the stranger has its port at once."""
    result = Result()
    taken = 0
    for turn in range(4 if long else 1):
        with ground.arena(seed + turn, llama_server=ON_A_PORT) as arena, Services(arena.settings) as services:
            arena.embedder, arena.vector_of = services.embedder, None
            arena.insert(12)
            robber = Robber(arena)
            with suppress(ServiceError), robber:
                arena.run()
            arena.settle()
            taken += robber.taken
            result.add([*robber.told, *arena.violations(), *strange_vectors(arena)], trial=f"turn {turn}")
    result.notes["ports taken"] = taken
    return result


class Robber:
    """While open, kills servers of ours a few times and takes their port."""

    def __init__(self, arena: Arena) -> None:
        self.told: list[str] = []
        self.taken = 0
        self._rng = arena.rng
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._rob)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _rob(self) -> None:
        for _ in range(DEATHS):
            while not (found := _listening()):
                if self._over.wait(0.05):
                    return
            process, port = found[0]
            if self._over.wait(self._rng.uniform(0, 0.5)):
                return
            with suppress(psutil.NoSuchProcess):
                process.kill()
            self._take(port)

    def _take(self, port: int) -> None:
        deadline = time.monotonic() + TAKING_SECONDS
        while time.monotonic() < deadline:
            try:
                with FakeLlama(host=ON_A_PORT["host"], port=port) as stranger:
                    self.taken += 1
                    self._over.wait(1)
                    self.told += _told(stranger)
                return
            except OSError:  # not free yet
                time.sleep(0.02)


def _listening() -> list[tuple[psutil.Process, int]]:
    """Servers of this process, with their ports."""
    found = []
    for server in engines.servers():
        with suppress(psutil.Error):
            found += [(server, c.laddr.port) for c in server.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    return found


def _told(stranger: FakeLlama) -> list[str]:
    keys = sum(key is not None for _, key in stranger.seen)
    texts = sum(map(len, stranger.requests))
    return [f"a stranger got {texts} texts and {keys} keys"] if texts or keys else []
