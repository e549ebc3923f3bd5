"""The asset checks: whether the index is in step with the table, and whether what is stored is sound.

Those of the assets that documents become take nothing from them, and come last in a run by their priority: such a run
tells Dagster of each document by an event, without outputs, and Dagster skips what waits for an output that never came.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from rag_assets import operations, soundness
from rag_assets.defs import events, remedies
from rag_assets.defs.resources import Rag
from rag_assets.model import IndexStatus, are, counted
from rag_assets.services import Services
from rag_assets.soundness import Look
from rag_assets.vectors import Sampled

CHECK_NAME = "index_in_step"
PART_OF_THE_ASSETS = ("dagster/partition", "dagster/asset_partition_range", "dagster/backfill")  # tags of such a run
AFTER_THE_ASSETS = {"dagster/priority": "-1"}  # in the process of a run, which takes its steps one by one

STANDING_STILL = "standing_still"  # the number that is seconds

TOLD_AGAIN_SECONDS = 86_400.0  # after which a reconciliation tells once more what it told before


@dataclass(frozen=True, kw_only=True)
class Check:
    """What is asked of an asset, how bad it is if it does not hold, and who looks."""

    asset: str
    name: str
    description: str
    look: Look
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """What Dagster's catalogue says of the check: its name, its asset and its description."""
        return dg.AssetCheckSpec(self.name, asset=self.asset, description=self.description)

    def result(self, services: Services) -> dict[str, Any]:
        """What is to be told: whether it holds, how bad it is if not, in words, and the numbers."""
        verdict = self.look(services.database, services.serving.settings)
        told = {"description": remedies.with_jobs(verdict.words), "metadata": dict(verdict.numbers)}
        return {"passed": not verdict.faults, "severity": self.severity, **told}


CHECKS = (
    Check(
        asset=events.RAW_TEXT,
        name="no_text_without_chunks",
        description="Has each stored text words, and all of the chunks that it was cut into? Of many, a sample.",
        look=soundness.texts,
    ),
    Check(
        asset=events.RAW_TEXT,
        name="few_documents_failed",
        description=f"Could all but {soundness.FAILED_SHARE:.0%} of the documents be read? Accepted ones do not count.",
        look=soundness.failed,
        severity=dg.AssetCheckSeverity.WARN,
    ),
    Check(
        asset=events.CHUNKS,
        name="chunks_are_of_documents",
        description="Is each chunk of a document that the application's table has? Of many, a sample.",
        look=soundness.owners,
    ),
    Check(
        asset=events.CHUNKS,
        name="documents_have_chunks",
        description="Coverage: has each document of the table chunks, if it is neither pending nor failed?",
        look=soundness.coverage,
        severity=dg.AssetCheckSeverity.WARN,
    ),
    Check(
        asset=events.EMBEDDINGS,
        name="vectors_are_valid",
        description="Has each chunk a vector of the serving model, of its dimension, finite and not zero? Of many, a "
        "sample.",
        look=soundness.vectors,
    ),
    Check(
        asset=events.EMBEDDINGS,
        name="nothing_waits_too_long",
        description=f"Does somebody work where documents are due for over {soundness.IDLE_SECONDS // 60} minutes?",
        look=soundness.waiting,
        severity=dg.AssetCheckSeverity.WARN,
    ),
    Check(
        asset=events.EMBEDDINGS,
        name="chunks_find_themselves",
        description="Retrieval canary: does a search for the vector of each of a few chunks find that chunk first?",
        look=soundness.canaries,
    ),
)


@dg.op(
    name=events.named("look_at_index"),
    description="Looks whether what is stored is sound; stores nothing.",
    ins={},
    out={check.name: dg.Out(dg.Nothing, is_required=False) for check in CHECKS},
    tags=AFTER_THE_ASSETS,
)
def look_at_index(context: dg.OpExecutionContext, rag: dg.ResourceParam[Rag]) -> Iterator[dg.AssetCheckResult]:
    """The results of those checks of the index that Dagster asked for in this step; none in a run of partitions."""
    if any(tag.startswith(PART_OF_THE_ASSETS) for tag in context.run.tags):
        return  # a run of a backfill, of which there may be hundreds; each reconciliation tells
    for check in CHECKS:
        if check.spec.key in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(asset_key=check.asset, check_name=check.name, **check.result(rag.shared))


index_is_sound = dg.AssetChecksDefinition.create(
    keys_by_input_name={},
    node_def=look_at_index,
    check_specs_by_output_name={check.name: check.spec for check in CHECKS},
    can_subset=True,
)


@dg.asset_check(
    asset=events.SOURCE_ASSET,
    name=CHECK_NAME,
    description="Is every row of the table indexed, or about to be? Looked at by each run of the job reconcile, too.",
)
def index_in_step(rag: dg.ResourceParam[Rag]) -> dg.AssetCheckResult:
    """Pass when no document was given up or overlooked and every chunk has its vector; pending work is no fault."""
    return dg.AssetCheckResult(**_of_table(operations.status(rag.shared)))


@dg.asset_check(
    asset=events.SOURCE_ASSET,
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
        f"{seen.wrong} of {counted(seen.compared, 'vector')} {are(seen.wrong)} not the model's, so that searches miss "
        "what was embedded: "
        "rag-assets reembed --where vectors=wrong finds all of them and has them made anew."
    )


def evaluation(status: IndexStatus) -> dg.AssetCheckEvaluation:
    """That of the table, to be logged by a run of something else."""
    asset = dg.AssetKey(events.SOURCE_ASSET)
    return dg.AssetCheckEvaluation(asset_key=asset, check_name=CHECK_NAME, **_of_table(status))


def news(instance: dg.DagsterInstance, services: Services, status: IndexStatus) -> list[dg.AssetCheckEvaluation]:
    """Those of the table and of the assets, but for what was told within a day.

    What is told so belongs to no run, and Dagster keeps it for ever: the same every 15 minutes would fill a disk.
    """
    found = [evaluation(status)] + [
        dg.AssetCheckEvaluation(asset_key=check.spec.asset_key, check_name=check.name, **check.result(services))
        for check in CHECKS
    ]
    last = instance.event_log_storage.get_latest_asset_check_execution_by_key([one.asset_check_key for one in found])
    after = time.time() - TOLD_AGAIN_SECONDS
    recent = {key: one.evaluation for key, one in last.items() if one.create_timestamp > after}
    return [one for one in found if not _is_same(recent.get(one.asset_check_key), one)]


def _is_same(told: object, now: dg.AssetCheckEvaluation) -> bool:
    """Whether this was told, whatever was named, and of the assets whatever was counted.

    A run that is yet to evaluate a check has told nothing.
    """
    if not isinstance(told, dg.AssetCheckEvaluation) or told.passed != now.passed:
        return False
    has_same_words = now.passed or _kind(told.description) == _kind(now.description)
    has_same_numbers = now.check_name != CHECK_NAME or _counts(told) == _counts(now)
    return has_same_words and has_same_numbers


def _counts(told: dg.AssetCheckEvaluation) -> dict[str, Any]:
    """The numbers of the table, as people read there how far the index is, without those that grow by themselves."""
    return {name: value for name, value in told.metadata.items() if name != STANDING_STILL}


def _kind(words: str | None) -> str:
    """A fault's words without numbers and examples, which are others at each look."""
    return re.sub(r"\(.*?\)|[\d.,]+", "", words or "")


def _of_table(status: IndexStatus) -> dict[str, Any]:
    error, warn = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    return {
        "passed": not status.faults,
        "severity": error if status.is_hindered else warn,
        "description": remedies.with_jobs(" ".join(status.faults))
        or f"In step; {counted(status.pending, 'document')} {are(status.pending)} pending.",
        "metadata": {name: _in_words(name, value) for name, value in status.numbers.items() if value is not None},
    }


def _in_words(name: str, value: object) -> Any:
    """A number as it is; what is counted by kind, or by run, in a line."""
    if isinstance(value, dict):
        line = "{0} for {1} s" if name == STANDING_STILL else "{1} {0}"
        return ", ".join(line.format(kind, number) for kind, number in value.items()) or "none"
    return dg.MetadataValue.timestamp(value) if isinstance(value, datetime) else value
