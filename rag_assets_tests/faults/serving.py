"""A llama-server that answers wrongly, late or not at all, whose port is taken, or for which memory is short."""

import random
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress

from rag_assets.embedding.embedder import Embedder
from rag_assets.errors import NotEnoughMemory, ServiceError
from rag_assets.processes import ports
from rag_assets.services import Services
from rag_assets.settings import Settings
from rag_assets_tests import fake_llama
from rag_assets_tests.fake_llama import FakeLlama
from rag_assets_tests.faults.arena import Arena, Ground, Result

WRONG = ("late", "short", "reordered", "nan", "500", "hanging", "cut", "duplicate", "zero", "503", "no json")
TIMEOUT_SECONDS = 1.0  # of a request to a server that hangs
ATTEMPTS = "select document_id, attempts, state, error_kind from rag_outbox where attempts > 0 or state = 'dead'"


def llama_answers(ground: Ground, *, seed: int, long: bool) -> Result:
    """Each misbehaviour among good answers, and for a while: no wrong vector is stored, no document is blamed."""
    result = Result()
    rng = random.Random(seed)
    with FakeLlama() as fake:
        config = {"url": fake.url, "request_timeout_seconds": TIMEOUT_SECONDS}
        with (
            ground.arena(seed, llama_server=config) as arena,
            Services(arena.settings) as services,
            closing(Embedder.remote(arena.settings, models=services.models, patience_seconds=1.0)) as embedder,
        ):
            arena.embedder, arena.vector_of = embedder, fake_llama.vector
            arena.insert(6)
            for turn in range(5 if long else 1):
                for wrong in WRONG if long else WRONG[:4]:
                    arena.change(4)
                    arena.insert(2)
                    fake.next = deque(rng.choices([wrong, "good"], k=rng.randrange(1, 5)))
                    during = _attempted(arena)
                    fake.next, fake.always = deque(), wrong
                    arena.insert(1)
                    during += _attempted(arena)
                    fake.always = "good"
                    fake.released.set()
                    fake.released.clear()
                    arena.settle()
                    result.add([*during, *arena.violations()], trial=f"{wrong}, turn {turn}")
    return result


def port_taken(ground: Ground, *, seed: int, long: bool) -> Result:
    """Somebody else has the port, from the beginning or just before llama-server has it: another one is taken."""
    result = Result()
    for turn in range(4 if long else 1):
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            with ground.arena(seed + turn, llama_server={"port": taken}) as arena, Services(arena.settings) as services:
                arena.embedder, arena.vector_of = services.embedder, None
                arena.insert(4)
                with seems_free(taken) if turn % 2 == 0 else nullcontext():
                    arena.run()
                result.add([*arena.violations()], trial=f"turn {turn}")
    return result


def memory_short(ground: Ground, *, seed: int, long: bool) -> Result:
    """There is not enough memory, then there is: nothing is started, lost or counted meanwhile."""
    result = Result()
    for turn in range(4 if long else 1):
        short = {"required_memory_gb": 1_000_000}
        with ground.arena(seed + turn, llama_server=short) as arena, Services(arena.settings) as services:
            arena.insert(5)
            wrong = _refused(arena, services)
            if services.embedder.started:
                wrong.append("a server was started")
            with Services(_with_memory(arena)) as enough:
                arena.embedder, arena.vector_of = enough.embedder, None
                arena.settle()
                result.add([*wrong, *arena.violations()], trial=f"turn {turn}")
    return result


def _attempted(arena: Arena) -> list[str]:
    """What a run with this server does wrong: the fault is no document's."""
    with suppress(ServiceError):
        arena.run()
    arena.free_claims()
    return [f"blamed a document: {row}" for row in arena.sql(ATTEMPTS)]


def _refused(arena: Arena, services: Services) -> list[str]:
    arena.is_settled()  # takes what changed
    before = arena.sql("select document_id, generation from rag_outbox order by 1")
    try:
        arena.run(embedder=services.embedder)
    except NotEnoughMemory:
        after = arena.sql("select document_id, generation from rag_outbox where claimed_by is null order by 1")
        lost = [] if after == before else [f"of {len(before)} pending documents {len(after)} are free again"]
        return [*lost, *(f"blamed a document: {row}" for row in arena.sql(ATTEMPTS))]
    return ["it ran without the memory"]


def _with_memory(arena: Arena) -> Settings:
    chosen = arena.settings
    return chosen.model_copy(
        update={"llama_server": chosen.llama_server.model_copy(update={"required_memory_gb": 0.0})}
    )


@contextmanager
def seems_free(port: int) -> Iterator[None]:
    """The first look at a port says that this one is free, as it was a moment ago."""
    look, seen = ports.free_port, [port]

    def look_too_early(host: str, *, wanted: int = 0) -> int:
        return seen.pop() if seen else look(host, wanted=wanted)

    ports.free_port = look_too_early
    try:
        yield
    finally:
        ports.free_port = look
