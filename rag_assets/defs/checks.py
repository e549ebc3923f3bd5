"""The asset check that says whether the index is in step with the table.

It belongs to the table, not to the assets: a run of those tells Dagster of each document by an event, without outputs,
and Dagster skips what would come after them in the same run.
"""

from datetime import datetime
from typing import Any

import dagster as dg

from rag_assets import operations
from rag_assets.defs import events
from rag_assets.defs.resources import Rag
from rag_assets.model import are, counted
from rag_assets.services import Services

NAME = "index_in_step"


@dg.asset_check(
    asset=events.SOURCE,
    name=NAME,
    description="Is every row of the table indexed, or about to be? Looked at by each run of the job reconcile, too.",
)
def index_in_step(rag: dg.ResourceParam[Rag]) -> dg.AssetCheckResult:
    """Pass when no document was given up or overlooked and every chunk has its vector; pending work is no fault."""
    return dg.AssetCheckResult(**_found(rag.shared))


@dg.asset_check(
    asset=events.SOURCE,
    name="vectors_are_the_models",
    description="Are stored vectors what the model makes of their texts? Embeds a few of them again; start it by hand.",
)
def vectors_are_the_models(rag: dg.ResourceParam[Rag]) -> dg.AssetCheckResult:
    """Pass when a sample of stored vectors is close to what the configured server gives of the same texts now."""
    with rag.services() as services:
        seen = operations.sample_vectors(services)
    step = "rag-assets reembed --where vectors=wrong finds all of them and has them made anew."
    return dg.AssetCheckResult(
        passed=not seen.wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{seen.wrong} of {seen.compared} are not the model's. {step if seen.wrong else ''}".strip(),
        metadata={"compared": seen.compared, "wrong": seen.wrong, "least_cosine": seen.least},
    )


def evaluation(services: Services) -> dg.AssetCheckEvaluation:
    """The same, to be logged by a run of something else."""
    return dg.AssetCheckEvaluation(asset_key=dg.AssetKey(events.SOURCE), check_name=NAME, **_found(services))


def _found(services: Services) -> dict[str, Any]:
    status = operations.status(services)
    facts = {key: str(value) if isinstance(value, datetime) else value for key, value in status.numbers.items()}
    return {
        "passed": not status.faults,
        "severity": dg.AssetCheckSeverity.WARN,
        "description": " ".join(status.faults)
        or f"In step; {counted(status.pending, 'document')} {are(status.pending)} pending.",
        "metadata": facts,
    }
