"""How long after its commit a change is found, with `rag-assets up`: after quiet, in a stream, during a backfill."""

import random
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rag_assets.services import Services
from rag_assets_tests.benchmarks import figures, ground, quiet, sample
from rag_assets_tests.benchmarks.figures import Figure, say
from rag_assets_tests.benchmarks.running import Up, up
from rag_assets_tests.e2e import backfill

AIMS = {"quiet": (1.0, 2.5), "stream": (0.15, 0.5), "backfill": (10.0, 10.0)}  # p50, p95: seconds
PEER_SECONDS = 0.03  # CocoIndex in live mode, a small file; its process and embedder are always on
QUIET_SECONDS = (20.0, 27.0)  # over the 15 s for which a run lingers
STREAM_SECONDS = (1.5, 4.0)
BACKFILL_SECONDS = (2.0, 5.0)
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.005
SETTLE_SECONDS = 20.0
STREAM_SHARE = 3  # times as many changes in the stream as after quiet: they are quick


def measure(*, documents: int, rounds: int) -> Figure:
    """`rounds` changes after quiet, three times as many in a stream, and as come during a backfill of `documents`."""
    with ground.home() as home, ground.ready(Services(ground.load())) as services:
        say(f"Unpacking {documents} documents")
        paths = sample.unpack(home / "documents", documents=documents)
        with up(home, services) as running:
            _first(running)
            seen = {"quiet": _after_quiet(running, rounds), "stream": _stream(running, rounds * STREAM_SHARE)}
            seen["backfill"], facts = _during_backfill(running, paths)
    figures_seen = {name: _summary(values, AIMS[name]) for name, values in seen.items()}
    return Figure(
        benchmark="freshness",
        figure="seconds from commit to found, median of the first change after quiet",
        value=figures_seen["quiet"]["p50"],
        peer="CocoIndex in live mode, always on (as given, not measured here)",
        peer_value=PEER_SECONDS,
        aim="p50/p95: after quiet 1.0/2.5 s, in a stream 0.15/0.5 s, during a backfill p95 10 s",
        met=all(one["met"] for one in figures_seen.values()),
        rounds=[{name: values} for name, values in seen.items()],
        details={**figures_seen, **facts},
    )


def _summary(values: Sequence[float], aims: tuple[float, float]) -> dict[str, Any]:
    p50, p95 = figures.percentile(values, 0.5), figures.percentile(values, 0.95)
    return {"p50": p50, "p95": p95, "changes": len(values), "met": p50 <= aims[0] and p95 <= aims[1]}


def _first(running: Up) -> None:
    """The very first change: everything there is is cold, and the sensor may just have started."""
    say(f"The first change of all: {_change(running):.3f} s")


def _after_quiet(running: Up, changes: int) -> list[float]:
    seen = []
    for number in range(changes):
        time.sleep(random.uniform(*QUIET_SECONDS))
        servers = running.servers()
        seen.append(_change(running))
        say(f"After quiet {number + 1}/{changes}: {seen[-1]:.3f} s ({servers} llama-servers before)")
    return seen


def _stream(running: Up, changes: int) -> list[float]:
    _change(running)  # not quiet any more
    seen = []
    for number in range(changes):
        time.sleep(random.uniform(*STREAM_SECONDS))
        seen.append(_change(running))
        say(f"In a stream {number + 1}/{changes}: {seen[-1]:.3f} s")
    return seen


def _during_backfill(running: Up, paths: Sequence[Path]) -> tuple[list[float], dict[str, Any]]:
    """Changes at random moments while a backfill, started as the user interface does, fills the index."""
    time.sleep(SETTLE_SECONDS)
    keys = _rows_nobody_noticed(running, paths)
    params = {"assetSelection": [{"path": [asset]} for asset in backfill.ASSETS], "partitionNames": keys}
    started = time.perf_counter()
    launched = running.graphql(backfill.LAUNCH, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    seen, pages = [], []
    while True:
        time.sleep(random.uniform(*BACKFILL_SECONDS))
        if not _runs(running, launched["backfillId"]):
            break
        seen.append(_change(running))
        pages.append(quiet.seconds(lambda: running.graphql(backfill.PARTITIONS, key={"path": [backfill.ASSETS[-1]]})))
        say(f"During the backfill: {seen[-1]:.3f} s; the asset's page {pages[-1]:.3f} s")
    return seen, {
        "backfill_documents": len(keys),
        "backfill_seconds": time.perf_counter() - started,
        "page_seconds": {"p50": figures.median(pages), "most": max(pages)},
    }


def _rows_nobody_noticed(running: Up, paths: Sequence[Path]) -> list[str]:
    """Rows of which the outbox knows nothing, so that only the backfill brings them."""
    names = [str(path) for path in paths]
    statement = f"insert into {ground.TABLE} (file_path) select unnest(%s) returning id::text"
    with running.connection.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute(statement, (names,))
        keys = [row[0] for row in cursor.fetchall()]
        cursor.execute("delete from rag_changes where document_id = any(%s)", (keys,))
        cursor.execute("commit")
    from rag_assets.defs import foreground  # reads the settings when it is imported

    foreground.add_partitions(running.services)
    return keys


def _runs(running: Up, backfill_id: str) -> bool:
    state = running.graphql(backfill.STATUS, id=backfill_id)["partitionBackfillOrError"]
    return state["status"] == "REQUESTED"


def _change(running: Up) -> float:
    """Commit a row for a new small file; seconds until its words are found, or PATIENCE_SECONDS."""
    mark = f"mark{secrets.token_hex(6)}"
    path = running.home / f"{mark}.md"
    words = " ".join(f"topic{random.randrange(1000)}" for _ in range(40))
    path.write_text(f"# Note {mark}\n\nThe meeting of {mark} was about {words}.\n", encoding="utf-8")
    document_id, committed = running.insert(path)
    query = "select 1 from rag_document_chunks where document_id = %s and content like %s and embedding is not null"
    while time.perf_counter() - committed < PATIENCE_SECONDS:
        if running.sql(query, document_id, f"%{mark}%"):
            break
        time.sleep(POLL_SECONDS)
    return time.perf_counter() - committed
