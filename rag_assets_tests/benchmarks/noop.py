"""Nothing changed: how fast a run over all documents finds that out, without an embedding server."""

import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rag_assets import operations
from rag_assets.services import Services
from rag_assets_tests.benchmarks import ground, quiet, sample
from rag_assets_tests.benchmarks.figures import Figure, say

AIM = 2_000.0  # documents per second


def measure(*, documents: int, rounds: int) -> Figure:
    """Documents per second of a real Dagster run over all, of the pipeline alone, and of a reconciliation."""
    embedder = ground.HashEmbedder()
    with ground.home() as home, ground.ready(ground.services_without_server(embedder)) as services:
        say(f"Unpacking {documents} documents")
        paths = sample.unpack(home / "documents", documents=documents)
        count = operations.register(services, paths).registered
        say(f"Filling the index with {count} documents")
        fill = quiet.seconds(lambda: ground.ingest(services))
        embedded = embedder.texts
        ids = ground.ids(services)
        ways: dict[str, Callable[[], Any]] = {
            "run": lambda: _run(services, ids),
            "pipeline": lambda: _pipeline(services, ids),
            "reconcile": lambda: operations.reconcile(services),
        }
        seen = quiet.interleaved(
            {name: _rate(way, of=count) for name, way in ways.items()}, rounds=rounds, home=home, unit="documents/s"
        )
        again, started = embedder.texts - embedded, sorted(_logs(home))
    return Figure(
        benchmark="noop",
        figure="unchanged documents per second of a Dagster run over all of them",
        value=seen.median("run"),
        peer="the same documents through the pipeline alone, without Dagster",
        peer_value=seen.median("pipeline"),
        aim=f">= {AIM:.0f} documents/s, no server started, nothing embedded",
        met=seen.median("run") >= AIM and not again and not started,
        rounds=seen.values,
        details={
            "documents": count,
            "pipeline_documents_per_second": seen.median("pipeline"),
            "reconcile_documents_per_second": seen.median("reconcile"),
            "first_fill_documents_per_second": count / fill,
            "chunks_embedded_again": again,
            "servers_started": len(started),
            **seen.facts,
        },
    )


def _run(services: Services, ids: list[str]) -> None:
    report = ground.ingest(services, ids)
    assert report.counts["skipped"] == len(ids), report


def _pipeline(services: Services, ids: list[str]) -> None:
    run_id = str(uuid.uuid4())
    statuses: Counter[str] = Counter()
    with services.claim_source(run_id=run_id) as claim_source:
        for outcomes in services.pipeline(run_id=run_id).ingest(claim_source.documents(ids)):
            statuses.update(outcome.status for outcome in outcomes)
    assert statuses == {"skipped": len(ids)}, statuses


def _rate(work: Callable[[], Any], *, of: int) -> Callable[[], float]:
    return lambda: of / quiet.seconds(work)


def _logs(home: Path) -> list[Path]:
    return list((home / "logs").glob("llama-server-*.log"))
