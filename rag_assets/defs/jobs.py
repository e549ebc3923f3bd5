"""The jobs: ingestion, which the sensor and the command line start, and reconciliation, on a schedule."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from rag_assets import operations, settings
from rag_assets.defs import checks, dagster_internals, events, history, partitions, remedies
from rag_assets.defs.events import named
from rag_assets.defs.resources import Rag
from rag_assets.errors import SettingsError
from rag_assets.model import are, counted, not_in_table
from rag_assets.postgres import texts
from rag_assets.postgres.reconcile import enqueue_idle
from rag_assets.services import Services

HIDDEN_PREFIX = ".dagster/rag_assets_"  # Dagster's page keeps tags that begin with .dagster/ to itself
BATCH_TAG = f"{HIDDEN_PREFIX}batch"
FAULT_TAG = f"{HIDDEN_PREFIX}fault"  # the id of a run that failed for no document's fault, but memory or llama-server's
SUMMARY_TAG = "rag_assets/summary"  # what a run did, in a few words, in the list of runs
PARENT_TAG = "dagster/parent_run_id"  # Dagster's, on a run that repeats another one
NOT_BY_ITSELF = {"dagster/max_retries": "0"}  # tags of a run that Dagster is not to repeat unless somebody asks for it
REPEATED_TAG = "dagster/retry_on_asset_or_op_failure"  # Dagster's: whether it repeats a run whose step failed
REPEATS_TAG = "dagster/will_retry"  # Dagster's: whether it repeats a run that failed, which it does a few times
STOPPED_SUMMARY = "stopped before it was done"
STOPPED = (
    "This run was stopped before it was done, as everything is when `rag-assets up` ends. What it stored stays; what "
    "is pending is taken up when `up` or `rag-assets ingest` runs again."
)
OF_ONE_RUN = (HIDDEN_PREFIX, PARENT_TAG, "dagster/root_run_id", "dagster/run_key")  # tags that no other run is to have
POOL_TAG = f"{HIDDEN_PREFIX}pool"  # of a run of the sensor, for who launches it and has other settings
POOL_NAME = named("llama_server")  # one run at a time
INDEX_TAG = f"{HIDDEN_PREFIX}index"  # of a run for the index of vectors, for who launches it and has other settings
INGEST = named("ingest")  # the step of a run

ingest_job = dg.define_asset_job(
    named("ingest_documents"),
    executor_def=dg.in_process_executor,  # one step per run; another process would cost 1.5 s and the warm parts
    selection=dg.AssetSelection.assets(*events.ASSETS).without_checks(),
    description="Brings the index in step: with everything that is pending, or with the document_ids of the config, "
    "changed or not. Requested by the sensor; such a run tries again what failed in it when it is re-executed.",
)

index_job = dg.define_asset_job(
    named("index_vectors"),
    executor_def=dg.in_process_executor,
    selection=dg.AssetSelection.assets(events.INDEX_ASSET),
    description="Builds, measures or drops the index of vectors, whatever is best now, while others read and write. "
    f"Requested by the sensor {named('index_of_vectors')}; safe to launch at any time.",
    tags={INDEX_TAG: "yes"},
)


def run_config(
    *, document_ids: list[str] | None = None, batch_id: str | None = None, linger: bool = False
) -> dict[str, object]:
    """The run config of `ingest_job`; see `assets.IngestConfig`."""
    config = {"document_ids": document_ids or [], "batch_id": batch_id, "linger": linger}
    return {"ops": {INGEST: {"config": config}}}


@dg.op(
    name=named("reconcile_index"),
    description="Compares table, files and index, and makes pending what differs.",
    ins={},
)
def reconcile_index(context: dg.OpExecutionContext, rag: dg.ResourceParam[Rag]) -> None:
    """Enqueue what no trigger saw; the sensor then requests runs for it."""
    with rag.services() as services, errors_in_one_line():
        found = operations.reconcile(services) | _reconcile_partitions(context.instance, services)
        purged = operations.purge_log(services)
        status, changed_at = operations.status(services), operations.last_change(services)
        context.log_event(events.source_observation(found, rows=status.documents, changed_at=changed_at))
        for counted_rows in events.row_counts(
            context.instance,
            texts=operations.count_texts(services),
            chunks=status.chunks,
            vectors=status.chunks_with_vector,
        ):
            context.log_event(counted_rows)
        for evaluation in checks.news(context.instance, services, status):
            context.instance.report_runless_asset_event(evaluation)
        # Last: what is seen of the documents does not wait for it, and is said where it fails.
        forgotten = history.forget(context.instance, context.run, days=services.settings.dagster.history_days)
        context.add_output_metadata({**found, "log_rows_removed": purged, "runs_removed": forgotten})


@dg.op(name=named("make_tables"), description="Makes or updates tables, functions and triggers.", ins={})
def make_tables(context: dg.OpExecutionContext, rag: dg.ResourceParam[Rag]) -> None:
    """What `rag-assets init` does; the rows of the table that are there become pending."""
    with rag.services() as services, errors_in_one_line():
        context.add_output_metadata({"applied": ", ".join(operations.migrate(services)) or "nothing"})


@dg.op(
    name=named("accept_unreadable"),
    description="Has documents that were given up count as well until their file changes.",
    ins={},
    config_schema={
        "document_ids": dg.Field([str], default_value=[], description="These documents; empty: all that failed."),
        "kind": dg.Field(dg.Noneable(str), default_value=None, description="Only those that failed in this way."),
    },
)
def accept_unreadable(context: dg.OpExecutionContext, rag: dg.ResourceParam[Rag]) -> None:
    """Accept documents, and have Dagster show that: their partitions are FAILED no more."""
    asked, kind = list(context.op_config["document_ids"]), context.op_config["kind"]
    with rag.services() as services, errors_in_one_line():
        known, unknown = operations.find(services, asked)
        if unknown:
            said = not_in_table(unknown, table=services.settings.source.table)
            which = f"{counted(len(unknown), 'document')} that {are(len(unknown))} not in the table"
            raise dagster_internals.PlainFailure(f"{which}: nothing is done.\n{said}")
        accepted = operations.accept(services, ids=known, kind=kind).accepted
        events.tell_accepted(context.instance, accepted)
        context.instance.report_runless_asset_event(checks.evaluation(operations.status(services)))
    kinds = dict(Counter(one.error_kind for one in accepted))
    context.add_output_metadata({"accepted": len(accepted), "kinds": kinds})
    context.log.info(f"{counted(len(accepted), 'document')} accepted.")


class Stopped(dagster_internals.PlainFailure):
    """The run was told to end before it was done, as everything is when `rag-assets up` ends."""


@contextmanager
def stop_in_one_line() -> Iterator[None]:
    """Raise what a signal makes of a run as Stopped, whose sentence Dagster's page shows instead of a traceback."""
    try:
        yield
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        raise Stopped(STOPPED) from None


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """The same of a SettingsError, as a Failure, and of the end."""
    try:
        with stop_in_one_line():
            yield
    except SettingsError as exc:
        raise dagster_internals.PlainFailure(remedies.with_jobs(str(exc))) from None


def is_only_stopped(run: dg.DagsterRun) -> bool:
    """Whether an ingestion failed because it was told to end, and Dagster repeats it, or who told it sees that."""
    sees = NOT_BY_ITSELF.items() <= run.tags.items()
    return run.tags.get(SUMMARY_TAG) == STOPPED_SUMMARY and (sees or run.tags.get(REPEATS_TAG) == "true")


def _reconcile_partitions(instance: dg.DagsterInstance, services: Services) -> dict[str, int]:
    """Have Dagster told what a run was killed before it could tell, or somebody deleted; how many documents, by what
    was found."""
    if not partitions.documents.is_by_document or dagster_internals.is_backfilling(instance):
        return {}
    # In this order: what comes back while others go is added again.
    gone, added = partitions.documents.remove_gone(instance, services), partitions.documents.add_all(instance, services)
    with services.database.transaction() as cursor:
        indexed = texts.list_hashes(cursor)
    missed = events.unreported(instance, indexed)  # takes seconds for 100,000: outside of a transaction
    with services.database.transaction() as cursor:
        unreported = enqueue_idle(cursor, missed)
    return {"partitions_without_row": gone, "rows_without_partition": added, "unreported": unreported}


@dg.job(
    name=named("reconcile"),
    description="Finds what no trigger saw and makes it pending: files changed on disk, restored backups, other "
    "settings; partitions added or deleted by hand. Evaluates all checks but vectors_are_the_models. Safe to launch at "
    "any time.",
)
def reconcile() -> None:
    """The job around the op `reconcile_index`."""
    reconcile_index()


@dg.job(
    name=named("init"),
    description="Makes or updates the tables, functions and triggers of the index, as rag-assets init does, and makes "
    "the rows of the table that are there pending. Changes nothing where all is there.",
)
def init() -> None:
    """For who has no command line at hand that knows the settings of a component."""
    make_tables()


@dg.job(
    name=named("accept_documents"),
    description="Accepts documents that cannot be read: those of the config's document_ids, of one kind, or all that "
    "failed. They are shown as accepted, and fail no run and no check, until their file changes.",
)
def accept_documents() -> None:
    """The job around the op `accept_unreadable`."""
    accept_unreadable()


reconcile_schedule = dg.ScheduleDefinition(
    name=named("reconcile_regularly"),
    job=reconcile,
    cron_schedule=settings.load().worker.reconcile_cron,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="When table, files and index are compared (worker.reconcile_cron). Off, changes that no trigger saw "
    "wait for `rag-assets reconcile`.",
)
