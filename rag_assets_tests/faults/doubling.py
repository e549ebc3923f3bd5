"""Requests delivered twice, two consumers at once, two ticks of the sensor at once: no document runs twice at once."""

import secrets
from collections.abc import Callable, Iterator
from functools import partial

import dagster as dg

from rag_assets.claim_source import ClaimSource
from rag_assets.postgres import outbox
from rag_assets.services import Services
from rag_assets_tests import rows
from rag_assets_tests.faults import arena as arenas
from rag_assets_tests.faults.arena import DOCUMENTS, Arena, Ground, Result, Take
from rag_assets_tests.faults.consuming import Consumer, Watch, WatchedReader, audit, stolen
from rag_assets_tests.faults.writing import at_work, team

READ_SECONDS = 0.003  # longer than a read takes, so that two of them would meet
COMPLETED_TWICE = """
select document_id, count(*) from rag_ingestion_log where status = 'completed' group by 1 having count(*) > 1
"""


def delivered_twice(ground: Ground, *, seed: int, long: bool) -> Result:
    """Each request of the sensor, and each of a person, runs twice: at once, and again when it is done."""
    result = Result()
    for turn in range(10 if long else 2):
        with ground.arena(seed + turn) as arena:
            audit(arena)
            arena.insert(30 if long else 8)
            ids = [row[0] for row in arena.sql(f"select id::text from {DOCUMENTS} order by id")]
            by_hand = turn % 2 == 1
            way = partial(ClaimSource.documents, ids=ids) if by_hand else None
            take = way or partial(ClaimSource.batch, batch_id=_claimed(arena))
            watch = Watch()
            readers = _readers(arena, watch)
            for _ in range(2):  # the second time nothing has changed
                _at_once(arena, [take, take], readers=readers)
            doubles = [f"completed twice: {row}" for row in arena.sql(COMPLETED_TWICE)]
            left = [] if arena.is_settled() else ["not settled by the requests themselves"]
            result.add([*_double(arena, watch), *doubles, *left, *arena.violations()], trial=f"turn {turn}")
    return result


def two_daemons(ground: Ground, *, seed: int, long: bool) -> Result:
    """Two consumers take changes at once, while writers write."""
    result = Result()
    for turn in range(5 if long else 1):
        with ground.arena(seed + turn) as arena:
            audit(arena)
            arena.insert(40)
            watch = Watch()
            members = team(arena, seed=seed + turn, writers=8)
            with Consumer(arena, watch=watch) as one, Consumer(arena, watch=watch) as other:
                at_work(members, changes=600 if long else 80)
                late = [*one.catch_up(), *other.catch_up()]
            idle = [] if one.outcomes and other.outcomes else [f"{one.outcomes} and {other.outcomes} outcomes"]
            result.add([*late, *idle, *_double(arena, watch), *arena.violations()], trial=f"turn {turn}")
    return result


def two_ticks(ground: Ground, *, seed: int, long: bool) -> Result:
    """Two ticks of the sensor at once share the changes out; the runs they request run at once."""
    result = Result()
    for turn in range(8 if long else 1):
        with ground.arena(seed + turn, worker={"poll_seconds": 0.5, "documents_per_run": 15}) as arena:
            audit(arena)
            arena.insert(30)
            batches: list[str] = []
            rows.in_threads([partial(_tick, arena, batches)] * 2)
            watch = Watch()
            _at_once(
                arena, [partial(ClaimSource.batch, batch_id=batch) for batch in batches], readers=_readers(arena, watch)
            )
            asked = [] if len(batches) == 2 else [f"{len(batches)} runs were requested"]
            left = [] if arena.is_settled() else ["not settled by the requested runs"]
            doubles = [f"completed twice: {row}" for row in arena.sql(COMPLETED_TWICE)]
            result.add(
                [*asked, *left, *doubles, *_double(arena, watch), *arena.violations()],
                trial=f"turn {turn}",
            )
    return result


def _claimed(arena: Arena) -> str:
    """A batch that holds everything, as the sensor would have claimed it."""
    batch = secrets.token_hex(6)
    with arena.database.transaction() as cursor:
        outbox.claim_due(cursor, arena.settings.source, limit=1_000, claimed_by=f"batch:{batch}", seconds=600)
    return batch


def _readers(arena: Arena, watch: Watch) -> list[WatchedReader]:
    return [WatchedReader(arena.another_reader(), watch, seconds=READ_SECONDS) for _ in range(2)]


def _at_once(arena: Arena, takes: list[Take], *, readers: list[WatchedReader]) -> None:
    rows.in_threads([_a_run(arena, take, reader=reader) for take, reader in zip(takes, readers, strict=False)])


def _a_run(arena: Arena, take: Take, *, reader: WatchedReader) -> Callable[[], object]:
    return partial(
        arenas.run,
        arena.settings,
        run_id=secrets.token_hex(6),
        embedder=arena.embedder,
        reader=reader,
        take=take,
    )


def _tick(arena: Arena, batches: list[str]) -> None:
    """One evaluation of the sensor, by a daemon of its own; the batches it requests runs for."""
    from rag_assets.defs import sensors  # imports all of Dagster's definitions
    from rag_assets.defs.resources import Rag

    with dg.DagsterInstance.ephemeral() as instance, Services(arena.settings) as services:
        rag = Rag(services)
        context = dg.build_sensor_context(instance=instance)
        with rag.shared:
            batches += [request.run_key or "" for request in _requests(sensors.document_changes(rag)(context))]


def _requests(evaluated: object) -> Iterator[dg.RunRequest]:
    assert isinstance(evaluated, Iterator)
    return (each for each in evaluated if isinstance(each, dg.RunRequest))


def _double(arena: Arena, watch: Watch) -> list[str]:
    return [*(f"read twice at once: {name}" for name in watch.twice), *stolen(arena)]
