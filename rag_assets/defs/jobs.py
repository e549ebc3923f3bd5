"""The jobs: ingestion, which the sensor and the command line start, and reconciliation, on a schedule."""

import dagster as dg

from rag_assets import settings
from rag_assets.defs import events
from rag_assets.defs.resources import Rag

BATCH_TAG = "rag_assets/batch"
POOL = "llama_server"  # one run at a time

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


@dg.op(description="Compares table, files and index, and makes pending what differs.", ins={})
def reconcile_index(context: dg.OpExecutionContext, rag: dg.ResourceParam[Rag]) -> None:
    """Enqueue what no trigger saw; the sensor then requests runs for it."""
    with rag.parts() as parts:
        context.add_output_metadata(dict(parts.reconcile()))


@dg.job(description="Finds changes that no trigger saw: files changed on disk, restored backups, other settings.")
def reconcile() -> None:
    reconcile_index()


reconcile_schedule = dg.ScheduleDefinition(
    name="reconcile_regularly",
    job=reconcile,
    cron_schedule=settings.load().worker.reconcile_cron,
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
