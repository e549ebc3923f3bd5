"""A hundred thousand documents: what Dagster and our own books cost per document, and for all of them at once.

With more, partitions are buckets: `--documents 1000000`.
"""

import os
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rag_assets.model import Outcome
from rag_assets.services import Services
from rag_assets_tests.benchmarks import figures, ground, quiet, sample
from rag_assets_tests.benchmarks.figures import Figure, say
from rag_assets_tests.benchmarks.running import Up, up
from rag_assets_tests.e2e import backfill

AIM_MS = 5.0  # of Dagster's part: what a run takes beside the same pipeline without Dagster
FILES = 500  # rows share files: what is counted is rows
INGESTED = 500  # documents of a round of bookkeeping: as many as a run of a backfill has
LAUNCH_SECONDS = 300.0
LARGEST_BY_DOCUMENT = 100_000  # Dagster advises against more partitions
NEVER = "0 0 29 2 *"  # so that no reconciliation falls into the measurement
CANCEL = """
mutation Cancel($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }
"""
NODE = """
query Node($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode { partitionStats { numMaterialized numPartitions numFailed numMaterializing } }
  }
}
"""
# What the page of a partition asks for, and beside it whether what is stored is stale.
PARTITION = """
query Partition($key: AssetKeyInput!, $partition: String!) {
  assetOrError(assetKey: $key) {
    ... on Asset {
      definition { latestRunForPartition(partition: $partition) { id status endTime } }
      assetEventHistory(
        partitions: [$partition], limit: 1000, eventTypeSelectors: [MATERIALIZATION, OBSERVATION, FAILED_TO_MATERIALIZE]
      ) {
        results {
          ... on MaterializationEvent { runId timestamp metadataEntries { label } }
          ... on ObservationEvent { runId timestamp metadataEntries { label } }
        }
      }
    }
  }
}
"""
STALE = """
query Stale($key: AssetKeyInput!, $partition: String!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode { staleStatus(partition: $partition) staleCauses(partition: $partition) { reason } }
  }
}
"""

Take = Callable[[list[Outcome]], None]


def measure(*, documents: int, rounds: int) -> Figure:
    """`documents` rows; bookkeeping is the time beside reading and cutting, with every vector stored before."""
    with ground.home() as home:
        os.environ["RAG_ASSETS_WORKER__RECONCILE_CRON"] = NEVER
        partitioning = "document" if documents <= LARGEST_BY_DOCUMENT else "bucket"
        os.environ["RAG_ASSETS_WORKER__PARTITIONING"] = partitioning
        paths = sample.unpack(home / "documents", documents=FILES)
        with ground.ready(ground.services_without_server()) as services:
            say(f"Storing vectors of {len(paths)} documents")
            ground.store_vectors(services, paths, beside=home / "copies")
            facts = _registered(services, paths, documents=documents)
            facts |= _ticks(services, rounds)
            ground.execute(services, "truncate rag_changes, rag_outbox")
            seen = quiet.interleaved(_books(services), rounds=rounds, home=home, unit="ms/document")
            _call_all_known(services)
            services.reader.close()
            with up(home, services) as running:
                facts |= _asked(running, rounds, document_id=ground.ids(services)[-1]) | {
                    "up_memory_mb": running.memory() / 1e6
                }
                facts |= _backfilled(running)
                facts |= {"up_memory_after_mb": running.memory() / 1e6}
    of_dagster = figures.median([one["run"] - one["pipeline"] for one in seen.values])
    return Figure(
        benchmark="partitions",
        figure="ms per document in a Dagster run, beside reading and cutting, with all rows as partitions",
        value=seen.median("run"),
        peer="the same documents through the pipeline alone, without Dagster",
        peer_value=seen.median("pipeline"),
        aim=f"Dagster's part, the difference of both, <= {AIM_MS} ms",
        met=of_dagster <= AIM_MS,
        rounds=seen.values,
        details={"ms_of_dagster": of_dagster, "rows": documents, "partitioning": partitioning, **facts, **seen.facts},
    )


def _registered(services: Services, paths: Sequence[Path], *, documents: int) -> dict[str, Any]:
    from rag_assets.defs import foreground  # reads the settings when it is imported

    names = [str(path) for path in paths]
    statement = (
        f"insert into {ground.TABLE} (file_path) select (%s::text[])[1 + n %% %s] from generate_series(1, %s) as n"
    )
    insert = quiet.seconds(lambda: ground.execute(services, statement, names, len(names), documents))
    say(f"Inserted {documents} rows in {insert:.2f} s")
    first = quiet.seconds(lambda: foreground.add_partitions(services))
    again = quiet.seconds(lambda: foreground.add_partitions(services))
    say(f"Made them partitions in {first:.2f} s; again, with nothing new: {again:.2f} s")
    return {"insert_seconds": insert, "add_partitions_seconds": first, "add_partitions_again_seconds": again}


def _ticks(services: Services, rounds: int) -> dict[str, Any]:
    """Evaluations of the sensor with all rows pending: each claims a batch and requests a run for it."""
    import dagster as dg

    from rag_assets.defs.resources import Rag
    from rag_assets.defs.sensors import document_changes

    class Standing(Rag):
        standing = services  # type: ignore[assignment]

    seen, sensor = [], document_changes(Standing(services))
    with dg.DagsterInstance.get() as instance:
        for _ in range(rounds + 1):
            context = dg.build_sensor_context(instance=instance)
            seen.append(quiet.seconds(lambda context=context: list(sensor(context))))  # type: ignore[misc,call-overload]
    say(f"A tick of the sensor: {figures.median(seen[1:]):.3f} s")
    return {"first_tick_seconds": seen[0], "tick_seconds": figures.median(seen[1:])}


def _books(services: Services) -> dict[str, Callable[[], float]]:
    ids = ground.ids(services)[-INGESTED:]

    def beside_reading(ingest: Callable[[Take], None]) -> float:
        for table in ("rag_document_text", "rag_document_chunks"):
            ground.execute(services, f"delete from {table} where document_id = any(%s)", ids)
        outcomes: list[Outcome] = []
        took = quiet.seconds(lambda: ingest(outcomes.extend))
        assert len(outcomes) == len(ids)
        assert not any(one.chunks_embedded for one in outcomes), "every vector is stored"
        reading = sum(one.seconds.get("read", 0.0) + one.seconds.get("chunk", 0.0) for one in outcomes)
        return (took - reading) * 1_000 / len(ids)

    def run(take: Take) -> None:
        from rag_assets.defs import foreground  # reads the settings when it is imported

        foreground.ingest(services, document_ids=ids, on_outcomes=take)

    def pipeline(take: Take) -> None:
        run_id = str(uuid.uuid4())
        with services.claim_source(run_id=run_id) as claim_source:
            for outcomes in services.pipeline(run_id=run_id).ingest(claim_source.documents(ids)):
                take(outcomes)

    return {"run": lambda: beside_reading(run), "pipeline": lambda: beside_reading(pipeline)}


def _call_all_known(services: Services) -> None:
    """Otherwise `rag-assets up` would make every row pending, and start to work on them."""
    statement = f"""
    insert into rag_document_text (document_id, path, sha256, size_bytes, mtime_ns, media_type, parser, content,
        fingerprint, embedding_model, chunk_count)
    select id::text, file_path, '', 0, 0, '', '', '', '', '', 0 from {ground.TABLE}
    on conflict (document_id) do nothing
    """
    ground.execute(services, statement)


def _asked(running: Up, rounds: int, *, document_id: str) -> dict[str, Any]:
    """The queries of the asset's page, and of that of a document, or of its bucket, which was ingested many times."""
    from rag_assets.defs import partitions  # reads the settings when it is imported

    of_asset = {"key": {"path": ["embeddings"]}}
    of_document = of_asset | {"partition": partitions.documents.key(document_id)}
    queries = {
        "partition_statuses": (backfill.PARTITIONS, of_asset),
        "partition_stats": (NODE, of_asset),
        "partition": (PARTITION, of_document),
        "stale": (STALE, of_document),
    }
    seen: dict[str, list[float]] = {name: [] for name in queries}
    for _ in range(rounds):
        for name, (query, values) in queries.items():
            ask = partial(running.graphql, query, **values)
            seen[name].append(quiet.seconds(ask))
    for name, values in seen.items():
        say(f"GraphQL {name}: {', '.join(f'{value:.2f}' for value in values)} s")
    return {f"graphql_{name}_seconds": figures.median(values) for name, values in seen.items()}


def _backfilled(running: Up) -> dict[str, Any]:
    """From the click on all partitions to the answer, and until the first run exists; then it is canceled."""
    keys = running.graphql(backfill.PARTITIONS, key={"path": ["embeddings"]})["assetNodeOrError"]["partitionKeys"]
    params = {"assetSelection": [{"path": [asset]} for asset in backfill.ASSETS], "partitionNames": list(keys)}
    started = time.perf_counter()
    launched = running.graphql(backfill.LAUNCH, params=params)["launchPartitionBackfill"]
    answered = time.perf_counter() - started
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    state: dict[str, Any] = {}
    while time.perf_counter() - started < LAUNCH_SECONDS:
        state = running.graphql(backfill.STATUS, id=launched["backfillId"])["partitionBackfillOrError"]
        if state["runs"] or state["status"] != "REQUESTED":
            break
        time.sleep(0.5)
    first_run = time.perf_counter() - started
    slowest = _slowest_page(running)
    running.graphql(CANCEL, id=launched["backfillId"])
    say(f"Backfill of {len(keys)}: answered in {answered:.2f} s, first run after {first_run:.2f} s")
    return {
        "partitions": len(keys),
        "backfill_answer_seconds": answered,
        "backfill_first_run_seconds": first_run,
        "backfill_runs_seen": len(state.get("runs", ())),
        "page_seconds_while_submitting": slowest,
    }


def _slowest_page(running: Up) -> float:
    query = "{ version }"
    return max(quiet.seconds(lambda: running.graphql(query)) for _ in range(10))
