"""One Dagster run in this process, for the command line: the same job, its events in the same instance."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import dagster as dg
from dagster import DagsterRunStatus
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import SQLAlchemyError

from rag_assets import operations
from rag_assets.defs import assets, dagster_internals, events, jobs, partitions, sensors, specs
from rag_assets.defs.resources import Rag
from rag_assets.model import Outcome, Refused
from rag_assets.postgres import conninfo
from rag_assets.postgres.database import unavailable
from rag_assets.report import RunReport
from rag_assets.services import Services, dagster_database

MODULE, LOCATION = "rag_assets.definitions", "rag_assets"  # as in workspace.yaml, and under `rag-assets up`
QUIET_LOGGERS = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def ingest(
    services: Services, *, document_ids: Sequence[str] = (), on_outcomes: Callable[[list[Outcome]], None]
) -> RunReport:
    """Ingest these documents, or all that is pending.

    Documents that fail are in the report, and so is that the run was interrupted by SIGINT or SIGTERM: what was not
    stored by then is pending and free. What is pending is not counted. Raises ServiceError when the run itself could
    not do its work.
    """
    started = time.perf_counter()
    report = RunReport(run_id=str(uuid.uuid4()))

    def collect(outcomes: list[Outcome]) -> None:
        report.add(outcomes)
        on_outcomes(outcomes)

    definitions = dg.Definitions(
        assets=[specs.source_table, assets.ingest],
        jobs=[jobs.ingest_job],
        # The same as in definitions.py: the run is then one of the job that Dagster's page knows.
        resources={"rag": Rag(services, on_outcomes=collect), "io_manager": dg.mem_io_manager},
        executor=dg.in_process_executor,
    )
    with _storage_errors_translated(services), dg.DagsterInstance.get() as instance:
        _free_what_the_dead_hold(instance, services)
        try:
            dagster_internals.execute_here(
                definitions.resolve_job_def(jobs.ingest_job.name),
                instance=instance,
                run_id=report.run_id,
                run_config=jobs.run_config(document_ids=list(document_ids)) | QUIET_LOGGERS,
                tags=jobs.NOT_BY_ITSELF,  # who stopped it in his terminal would see it go on in the page
                module=MODULE,
                location=LOCATION,
            )
        except (jobs.Stopped, dg.DagsterExecutionInterruptedError):  # the latter before or after the step
            report.interrupted = True
        except dg.Failure:  # documents that failed are in the report
            pass
    report.seconds = time.perf_counter() - started
    asked, deleted = dict.fromkeys(document_ids), set(report.deleted)
    report.gone = [one for one in asked if one in deleted]
    report.busy = [] if report.interrupted else [one for one in asked if not report.has(one)]
    return report


def _free_what_the_dead_hold(instance: dg.DagsterInstance, services: Services) -> None:
    """Where no daemon runs, nobody else gives back what a run held whose process was killed."""
    sensors.end_lost_runs(instance, [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
    sensors.free_abandoned_claims(instance, services)
    operations.release_batches(services)
    operations.tend(services)


def add_partitions(services: Services) -> None:
    """Make every row of the documents table a partition."""
    with _storage_errors_translated(services), dg.DagsterInstance.get() as instance:
        partitions.documents.add_all(instance, services)


def tell_accepted(services: Services, documents: Sequence[Refused]) -> None:
    """Have these documents, which cannot be read, shown as accepted and not as failed."""
    with _storage_errors_translated(services), dg.DagsterInstance.get() as instance:
        events.tell_accepted(instance, documents)


@contextmanager
def _storage_errors_translated(services: Services) -> Iterator[None]:
    """Raise errors of the database in which Dagster keeps its state as DatabaseUnavailable, in one sentence."""
    try:
        yield
    except (SQLAlchemyError, DagsterPostgresException) as exc:
        url, _ = dagster_database(services.settings, database_url=services.database_url)
        raise unavailable(conninfo.as_libpq(url, schema=None), exc.__cause__ or exc) from None
