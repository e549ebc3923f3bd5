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
from rag_assets.model import IndexStatus, are, counted
from rag_assets.vectors import Sampled

NAME = "index_in_step"


@dg.asset_check(
    asset=events.SOURCE,
    name=NAME,
    description="Is every row of the table indexed, or about to be? Looked at by each run of the job reconcile, too.",
)
def index_in_step(rag: dg.ResourceParam[Rag]) -> dg.AssetCheckResult:
    """Pass when no document was given up or overlooked and every chunk has its vector; pending work is no fault."""
    return dg.AssetCheckResult(**_found(operations.status(rag.shared)))


@dg.asset_check(
    asset=events.SOURCE,
    name="vectors_are_the_models",
    description="Are stored vectors what the model makes of their texts? Embeds a few of them again; start it by hand.",
)
def vectors_are_the_models(rag: dg.ResourceParam[Rag]) -> dg.AssetCheckResult:
    """Pass when a sample of stored vectors is close to what the configured server gives of the same texts now."""
    with rag.services() as services:
        seen = operations.sample_vectors(services)
    return dg.AssetCheckResult(
        passed=not seen.wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_of_vectors(seen),
        metadata={"compared": seen.compared, "wrong": seen.wrong, "least_cosine": seen.least},
    )


def _of_vectors(seen: Sampled) -> str:
    if not seen.compared:
        return "There are no vectors to compare yet."
    if not seen.wrong:
        return f"Each of {counted(seen.compared, 'vector')} that were made anew is as it is stored."
    return (
        f"{seen.wrong} of {seen.compared} vectors are not the model's, so that searches miss their texts: "
        "rag-assets reembed --where vectors=wrong finds all of them and has them made anew."
    )


def evaluation(status: IndexStatus) -> dg.AssetCheckEvaluation:
    """The same, to be logged by a run of something else."""
    return dg.AssetCheckEvaluation(asset_key=dg.AssetKey(events.SOURCE), check_name=NAME, **_found(status))


def _found(status: IndexStatus) -> dict[str, Any]:
    error, warn = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    return {
        "passed": not status.faults,
        "severity": error if status.is_hindered else warn,
        "description": " ".join(status.faults)
        or f"In step; {counted(status.pending, 'document')} {are(status.pending)} pending.",
        "metadata": {name: _in_words(name, value) for name, value in status.numbers.items() if value is not None},
    }


def _in_words(name: str, value: object) -> Any:
    """A number as it is; what is counted by kind, or by run, in a line."""
    if isinstance(value, dict):
        line = "{0} for {1} s" if name == "standing_still" else "{1} {0}"
        return ", ".join(line.format(kind, number) for kind, number in value.items()) or "none"
    return dg.MetadataValue.timestamp(value) if isinstance(value, datetime) else value
