"""PostgreSQL ends at once, the listener's backend is terminated, its line becomes a black hole: under writes."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial

import psutil
import psycopg2

from rag_assets.postgres.listener import Listener
from rag_assets_tests import patience, rows
from rag_assets_tests.faults import arena as arenas
from rag_assets_tests.faults.arena import Arena, Ground, Listen, Result
from rag_assets_tests.faults.consuming import Consumer
from rag_assets_tests.faults.proxy import Proxy
from rag_assets_tests.faults.writing import team

HEARTBEAT_SECONDS, ANSWER_SECONDS = 0.3, 0.5
NOTICED_SECONDS = 2 * (HEARTBEAT_SECONDS + ANSWER_SECONDS)  # in which a listener finds that its line is dead
AWAY_SECONDS = 60.0  # how long a stopped server may take to come back
LISTENERS = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and (query like '%pg_listening_channels%' or query like '%rag_assets.intake%')
    and pid <> pg_backend_pid()
"""


class QuickListener(Listener):
    """Looks often whether its line still answers; keeps why it gave lines up."""

    def __init__(self, url: str, *, channel: str, lost: list[Exception]) -> None:
        self._lost = lost
        super().__init__(url, channel=channel, heartbeat_seconds=HEARTBEAT_SECONDS, answer_seconds=ANSWER_SECONDS)

    def _disconnect(self, cause: Exception) -> None:
        self._lost.append(cause)
        super()._disconnect(cause)


def postgres_immediate(ground: Ground, *, seed: int, long: bool) -> Result:
    """The server ends without a shutdown, again and again, while writers write and runs run; nothing is lost."""
    result = Result()
    own = arenas.server()  # nobody else's runs end with it
    with own as url, Ground(url, model=ground.model).template() as fresh, fresh.arena(seed) as arena:
        for turn in range(10 if long else 1):
            before = _started_at(arena)
            violations, faults = _interrupted(arena, partial(stop_immediately, arena), seed=seed + turn, pauses=1)
            again = [] if _started_at(arena) > before else ["the server was not stopped"]
            result.add([*violations, *again], trial=f"turn {turn}")
            result.notes[f"faults {turn}"] = faults
    return result


def listener_terminated(ground: Ground, *, seed: int, long: bool) -> Result:
    """The backend that notifies is terminated, again and again; the listener comes back."""
    result = Result()
    with ground.arena(seed) as arena:
        ended: list[object] = []

        def terminate() -> None:
            """End one that is there; between two runs there is none."""
            before = len(ended)
            patience.until(lambda: ended.extend(arena.sql(LISTENERS)) or len(ended) > before, what="a listener")

        for turn in range(8 if long else 1):
            violations, _ = _interrupted(arena, terminate, seed=seed + turn, pauses=5 if long else 2)
            result.add(violations, trial=f"turn {turn}")
        result.notes["terminated"] = len(ended)
    return result


def half_open(ground: Ground, *, seed: int, long: bool) -> Result:
    """The listener's line stays open, and nothing passes on it any more; it is found, and the runs look meanwhile."""
    result = Result()
    with ground.arena(seed) as arena, Proxy(arena.url) as proxy:
        swallowed = 0
        lost: list[Exception] = []
        channel = arena.settings.database.listen_channel
        listen = partial(QuickListener, proxy.url, channel=channel, lost=lost)

        def swallow() -> None:
            """Have the lines that are there pass nothing on, again and again until a listener gave one up."""
            before = len(lost)

            def is_noticed() -> bool:
                nonlocal swallowed
                swallowed += proxy.swallow()
                time.sleep(NOTICED_SECONDS)
                return len(lost) > before

            patience.until(is_noticed, what="that a listener gave up a line")

        for turn in range(6 if long else 1):
            violations, _ = _interrupted(arena, swallow, seed=seed + turn, pauses=2 if long else 1, listen=listen)
            result.add(violations, trial=f"turn {turn}")
        result.notes |= {"swallowed": swallowed, "noticed": len(lost)}
    return result


def _interrupted(
    arena: Arena, interrupt: Callable[[], object], *, seed: int, pauses: int, listen: Listen | None = None
) -> tuple[list[str], dict[str, int]]:
    """Writers write and runs run until there was an interruption after each of so many pauses; what is wrong."""
    rng = random.Random(seed)
    arena.insert(20)
    members = team(arena, seed=seed, writers=4)
    over = threading.Event()

    def disturb() -> None:
        try:
            for _ in range(pauses):
                time.sleep(rng.uniform(0.3, 1.5))
                interrupt()
        finally:
            time.sleep(0.5)
            over.set()

    with Consumer(arena, listen=listen) as consumer:
        write = [partial(member.work_while, lambda: not over.is_set()) for member in members]
        rows.in_threads([disturb, *write])
        late = consumer.catch_up()
    return [*late, *arena.violations()], dict(consumer.faults)


def stop_immediately(arena: Arena) -> None:
    """What `pg_ctl stop -m immediate` does; the watchdog of an embedded server starts it again."""
    with closing(psycopg2.connect(arena.url)) as connection:
        postmaster = psutil.Process(connection.info.backend_pid).ppid()
    os.kill(postmaster, signal.SIGQUIT)
    deadline = time.monotonic() + AWAY_SECONDS
    while not _is_back(arena, postmaster):
        if time.monotonic() > deadline:
            raise TimeoutError(f"PostgreSQL did not come back within {AWAY_SECONDS:.0f} s")
        time.sleep(0.1)


def _is_back(arena: Arena, former: int) -> bool:
    try:
        with closing(psycopg2.connect(arena.url)) as connection:
            return psutil.Process(connection.info.backend_pid).ppid() != former
    except (psycopg2.OperationalError, psutil.NoSuchProcess):
        return False


def _started_at(arena: Arena) -> float:
    [(started,)] = arena.sql("select extract(epoch from pg_postmaster_start_time())::float8")
    return float(started)
