"""The assets: each document of the application's table is read, cut and embedded; the index of their vectors."""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus

from rag_assets import operations, visible
from rag_assets.defs import dagster_internals, events, jobs, launching, partitions, specs
from rag_assets.defs.resources import IngestRequest, Rag, ShouldYield
from rag_assets.errors import LostRun
from rag_assets.model import Progress, counted, them
from rag_assets.processes import interrupts
from rag_assets.report import RunReport
from rag_assets.upkeep import Tended

SHOWN_DOCUMENTS = 20  # documents that are named in one line
LISTED_CHARACTERS = 64_000  # of a list of documents with their errors, a line each: some hundred of them
NEXT_STEPS = (
    "When they are corrected: {what_to_do}. What may pass is tried again by itself. What is to stay as it is: "
    f"rag-assets accept, or the job {jobs.accept_documents.name}."
)
REPEAT, RETRY = "re-execute this run, or rag-assets retry", "rag-assets retry"
PROGRESS_SECONDS = 20.0  # between two lines of a run's log on how far an index is
WAITING_RUNS = [DagsterRunStatus.QUEUED]
RUNS_AT_WORK = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]

# Plain types: those that dg.Config makes of str and bool put the value of any environment variable that a run's config
# names in its place, password and all, for whoever launches the run to read in its log.
CONFIG_SCHEMA = {
    "document_ids": dg.Field([str], default_value=[], description="Documents to ingest, whether they changed or not."),
    "batch_id": dg.Field(
        dg.Noneable(str), default_value=None, description="The batch that the sensor claimed for this run."
    ),
    "linger": dg.Field(bool, default_value=False, description="Whether to stay for further changes when done."),
}


@dataclass(frozen=True, kw_only=True)
class IngestConfig:
    """What a run that was not given partitions works on; with neither of both, everything that is pending."""

    document_ids: list[str]
    batch_id: str | None
    linger: bool


@dg.multi_asset(
    name=jobs.INGEST,
    specs=[specs.raw_text, specs.chunks, specs.embeddings],
    partitions_def=partitions.documents.definition,
    can_subset=True,
    backfill_policy=dg.BackfillPolicy.multi_run(partitions.documents.partitions_per_run),
    pool=jobs.POOL_NAME,
    config_schema=CONFIG_SCHEMA,
)
def ingest(context: dg.AssetExecutionContext, rag: dg.ResourceParam[Rag]) -> Iterator[None]:
    """Bring the index in step with the files of many documents; each succeeds or fails alone.

    Documents stream through reading, cutting, embedding and storing, a few at a time. Those that failed are those of
    another run, which failed; where nothing else was done, it is this one.
    """
    launching.tag_run_with_process(context.instance, context.run)
    config = IngestConfig(**context.op_execution_context.op_config)
    report = RunReport(run_id=context.run.run_id)
    if jobs.SUMMARY_TAG in context.run.tags:  # of the run that this one repeats
        tags = {jobs.SUMMARY_TAG: "at work", jobs.REPEATED_TAG: "false"}
        context.instance.add_run_tags(context.run.run_id, tags)
    with (
        _stop_marked(context),
        _faults_marked(context),
        interrupts.interrupted_once(),
        events.Reporter(context) as reporter,
        rag.run(_request(context, config, rag), should_yield=_others_wait(context.instance, rag)) as run,
        run.progress.told(context.log.info),
    ):
        for outcomes in run.outcomes:
            report.add(outcomes)
            run.progress.advance(report)
            reporter.report(outcomes, run.services)
        report.busy = run.claim_source.busy
    context.instance.add_run_tags(context.run.run_id, {jobs.SUMMARY_TAG: report.brief})
    context.log.info(_summary(report))
    if report.accepted:
        context.log.warning(_accepted(report))
    if report.is_mixed:
        context.log.warning(_fail_apart(context, report))
    elif report.is_short:
        events.mark_failed(context, [*report.failed, *report.busy])
        raise _failure(report, repeatable=context.run.remote_job_origin is not None)
    if report.is_empty:
        events.log_empty(context)
    return
    yield  # a generator without outputs: each document was reported by its own event


@dg.multi_asset(name=events.INDEX_ASSET, specs=[specs.index])
def index(context: dg.AssetExecutionContext, rag: dg.ResourceParam[Rag]) -> dg.MaterializeResult[None]:
    """Build the index, build it anew, measure it or drop it: what is best now."""
    launching.tag_run_with_process(context.instance, context.run)
    with jobs.errors_in_one_line(), interrupts.interrupted_once(), rag.services() as services:
        tended = operations.tend_index(services, progress=_at_intervals(context.log.info))
    return dg.MaterializeResult(metadata=_facts(tended))


def _at_intervals(tell: Progress) -> Progress:
    """`tell`, of lines that differ only in how far something is, one in PROGRESS_SECONDS."""
    last = ("", 0.0)

    def progress(line: str) -> None:
        nonlocal last
        what, now = line.partition(":")[0], time.monotonic()
        if what != last[0] or now - last[1] >= PROGRESS_SECONDS:
            last = (what, now)
            tell(line)

    return progress


def _facts(tended: Tended) -> dict[str, Any]:
    facts: dict[str, Any] = {"step": tended.step, "reason": tended.reason, "kind": "exact"}
    facts |= {"rows": tended.rows, "dagster/row_count": tended.rows}
    if (there := tended.index) is not None:
        facts |= {"kind": there.kind, "name": there.name, "bytes": there.size_bytes, "recall_at_10": there.recall_at_10}
        if there.noted is not None and there.noted.built_at is not None:
            built_at = dg.MetadataValue.timestamp(there.noted.built_at)
            facts |= {"built_at": built_at, "seconds_to_build": there.noted.seconds}
    return {name: value for name, value in facts.items() if value is not None}


@contextmanager
def _faults_marked(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Mark a run that could not do its work: the sensor then leaves more and more time before the next one."""
    try:
        yield
    except LostRun:  # another one does its work
        raise
    except Exception:
        context.instance.add_run_tags(context.run.run_id, {jobs.FAULT_TAG: context.run.run_id})
        raise


@contextmanager
def _stop_marked(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Have Dagster repeat a run that was stopped, unless that was asked for there: its documents may be unchanged ones,
    which no other run takes.
    """
    try:
        with jobs.stop_in_one_line():
            yield
    except jobs.Stopped:
        tags = {jobs.SUMMARY_TAG: jobs.STOPPED_SUMMARY, jobs.REPEATED_TAG: "true"}
        context.instance.add_run_tags(context.run.run_id, tags)
        raise


def _request(context: dg.AssetExecutionContext, config: IngestConfig, rag: Rag) -> IngestRequest:
    """What this run is to work on: its partitions if it has any, else what its config says."""
    repeats = context.run.tags.get(jobs.PARENT_TAG)
    has_partitions = context.has_partition_key or context.has_partition_key_range
    return IngestRequest(
        run_id=context.run.run_id,
        partition_keys=list(context.partition_keys) if has_partitions else None,
        document_ids=config.document_ids,
        batch_id=config.batch_id,
        repeats=repeats,
        linger_seconds=rag.settings.worker.linger_seconds if config.linger and not repeats else 0.0,
    )


def _others_wait(instance: dg.DagsterInstance, rag: Rag) -> ShouldYield:
    """Tells whether a run waits that gets no place beside those at work, this one among them."""
    places = rag.settings.worker.parallel_runs

    def wait() -> bool:
        waiting = launching.count_runs(instance, WAITING_RUNS)
        return waiting > 0 and waiting + launching.count_runs(instance, RUNS_AT_WORK) > places

    return wait


def _summary(report: RunReport) -> str:
    if report.is_empty:
        return "Nothing was pending."
    deleted = report.deleted
    gone = f" Not in the table, so nothing is kept of {them(len(deleted))}: {_named(deleted)}" if deleted else ""
    return f"{report.summary}.{gone}"


def _accepted(report: RunReport) -> str:
    """Which documents were not read and fail no run, a line each."""
    accepted = list(report.accepted.values())
    lines = [f"{o.document_id}  {o.error_kind}: {o.error_message}" for o in accepted]
    return f"{counted(len(accepted), 'document')} cannot be read, which was accepted:\n" + "\n".join(_listed(lines))


def _listed(lines: Sequence[str]) -> list[str]:
    """The lines, or as many as a message has room for."""
    shown, room = [], LISTED_CHARACTERS
    for line in lines:
        shown.append(visible.line(line))
        room -= len(shown[-1])
        if room < 0:
            break
    more = len(lines) - len(shown)
    return shown + ([f"... and {more} more: rag_ingestion_log has them all"] if more else [])


def _fail_apart(context: dg.AssetExecutionContext, report: RunReport) -> str:
    """Have documents that failed be those of a run of their own, which is repeated with them alone; what is said of it.

    A backfill counts that run as one of its own.
    """
    run, ids = context.run, [*report.failed, *report.busy]
    repeatable = run.remote_job_origin is not None
    failure = _failure(report, repeatable=repeatable, stored_by=f"run {run.run_id[:8]}")
    tags = {name: value for name, value in run.tags.items() if not name.startswith(jobs.OF_ONE_RUN)}
    failed = events.fail_apart(
        context,
        ids,
        run_config={**run.run_config, **jobs.run_config(document_ids=ids)},
        tags={**tags, **jobs.NOT_BY_ITSELF, jobs.SUMMARY_TAG: report.brief_of_failed},
        failure=failure,
    )
    return f"Run {failed[:8]} holds what failed, for this one did all the rest. {failure.description}"


def _failure(report: RunReport, *, repeatable: bool, stored_by: str = "this run") -> dg.Failure:
    """What to say of documents that failed; `stored_by` is the run that stored the others.

    Dagster can repeat a run only if it knows where its job comes from.
    """
    failed, busy = list(report.failed.values()), report.busy
    count = len(failed) + len(busy)
    lines = [f"{o.document_id}  {o.error_kind}: {o.error_message}" for o in failed]
    lines += [f"{document_id}  another run is working on it" for document_id in busy]
    return dagster_internals.PlainFailure(  # each document has its own attempts
        f"{counted(count, 'document')} {'was' if count == 1 else 'were'} not ingested; all others of {stored_by} "
        "are stored.\n" + "\n".join([*_listed(lines), NEXT_STEPS.format(what_to_do=REPEAT if repeatable else RETRY)]),
        metadata={
            "failed": len(failed),
            "busy": len(busy),
            "kinds": dict(Counter(str(outcome.error_kind) for outcome in failed)),
        },
    )


def _named(ids: Collection[str]) -> str:
    more = len(ids) - SHOWN_DOCUMENTS
    return visible.line(", ".join(islice(ids, SHOWN_DOCUMENTS))) + (f" and {more} more" if more > 0 else "")
