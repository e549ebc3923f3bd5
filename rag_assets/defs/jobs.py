"""The job that the sensor and the command line start."""

import dagster as dg

from rag_assets.defs import events

BATCH_TAG = "rag_assets/batch"

ingest_job = dg.define_asset_job(
    "ingest_documents",
    selection=dg.AssetSelection.assets(*events.ASSETS).without_checks(),
    description="Brings the index in step with the documents that changed, or with those named in the config.",
)


def run_config(
    *, document_ids: list[str] | None = None, batch_id: str | None = None, linger: bool = False
) -> dict[str, object]:
    """The run config of `ingest_job`; see `assets.IngestConfig`."""
    config = {"document_ids": document_ids or [], "batch_id": batch_id, "linger": linger}
    return {"ops": {"ingest": {"config": config}}}
