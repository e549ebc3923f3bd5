"""Outcomes to Dagster's event log, in batches: the only file that imports from dagster._core.

Dagster's public `context.log_event` writes one row per transaction (12 ms each on PostgreSQL); a batch costs
0.3 to 0.4 ms per event. A planned event without a materialization after it is what makes a partition FAILED.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import dagster as dg
from dagster._core.events import (
    AssetMaterializationPlannedData,
    DagsterEvent,
    DagsterEventBatchMetadata,
    generate_event_batch_id,
)

from rag_assets.model import Outcome

RAW_TEXT, CHUNKS, EMBEDDINGS = "raw_text", "chunks", "embeddings"
ASSETS = (RAW_TEXT, CHUNKS, EMBEDDINGS)


def log_materializations(context: dg.AssetExecutionContext, outcomes: Iterable[Outcome]) -> None:
    """Log one materialization per asset and document that is now in step with its file."""
    events = [event for outcome in outcomes for event in materializations(outcome)]
    step = context.get_step_execution_context()
    batch_id = generate_event_batch_id()  # type: ignore[no-untyped-call]
    for position, event in enumerate(events, start=1):
        DagsterEvent.asset_materialization(
            step, event, DagsterEventBatchMetadata(batch_id, is_end=position == len(events))
        )


def mark_failed(context: dg.AssetExecutionContext, document_ids: Sequence[str]) -> None:
    """Make these documents' partitions FAILED; to be called just before the step raises."""
    step_key = context.get_step_execution_context().step.key
    for document_id in document_ids:
        for asset in ASSETS:
            planned = AssetMaterializationPlannedData(dg.AssetKey(asset), partition=document_id)
            event = DagsterEvent.build_asset_materialization_planned_event(context.job_name, step_key, planned)
            context.instance.report_dagster_event(event, context.run_id, logging.DEBUG)


def materializations(outcome: Outcome) -> Iterator[dg.AssetMaterialization]:
    """The three materializations of one document; nothing is said of an asset that this attempt did not look at."""
    common: dict[str, Any] = {"status": outcome.status, "path": outcome.path or ""}
    read: dict[str, Any] = {
        "sha256": outcome.content_sha256 or "",
        "media_type": outcome.media_type or "",
        "parser": outcome.parser or "",
        "characters": outcome.characters,
        "pages": outcome.pages or 0,
        "warnings": list(outcome.warnings),
        "seconds": outcome.seconds.get("read", 0.0),
    }
    cut: dict[str, Any] = {
        "chunks": outcome.chunks,
        "tokens": outcome.tokens,
        "seconds": outcome.seconds.get("chunk", 0.0),
    }
    embedded: dict[str, Any] = {
        "model": outcome.embedding_model or "",
        "server_build": outcome.server_build or "",
        "embedded": outcome.chunks_embedded,
        "reused": outcome.chunks_reused,
        "deleted": outcome.chunks_deleted,
        "seconds": outcome.seconds.get("embed", 0.0),
    }
    known = outcome.status == "completed"
    for asset, facts in ((RAW_TEXT, read), (CHUNKS, cut), (EMBEDDINGS, embedded)):
        yield dg.AssetMaterialization(
            asset,
            partition=outcome.document_id,
            metadata=common | (facts if known else {}),
            tags={"dagster/data_version": outcome.content_sha256} if outcome.content_sha256 else None,
        )
