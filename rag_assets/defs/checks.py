"""The asset check that says whether the index is in step with the table."""

from dataclasses import asdict
from datetime import datetime

import dagster as dg

from rag_assets.defs import events
from rag_assets.defs.resources import Rag
from rag_assets.postgres import outbox


@dg.asset_check(asset=events.EMBEDDINGS, name="index_in_step", description="Is every document up to date?")
def index_in_step(rag: dg.ResourceParam[Rag]) -> dg.AssetCheckResult:
    """Pass when no document is dead and every chunk has its vector; pending work is no fault."""
    parts = rag.standing
    with parts.database.transaction() as cursor:
        status = outbox.status(cursor, parts.settings.source)
    whole = status.chunks == status.chunks_with_vector and not status.dead
    facts = {key: str(value) if isinstance(value, datetime) else value for key, value in asdict(status).items()}
    return dg.AssetCheckResult(passed=whole, severity=dg.AssetCheckSeverity.WARN, metadata=facts)
