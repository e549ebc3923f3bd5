"""The sensors: changes of the application's table become runs, and the index of vectors is looked after."""

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import takewhile

import dagster as dg
from dagster import DagsterRunStatus

from rag_assets import operations
from rag_assets.defs import launching, partitions
from rag_assets.defs.events import named
from rag_assets.defs.jobs import BATCH_TAG, FAULT_TAG, POOL_NAME, POOL_TAG, index_job, ingest_job, run_config
from rag_assets.defs.resources import Rag
from rag_assets.errors import SettingsError
from rag_assets.lease import Watch
from rag_assets.model import Claim, ClaimOwner, are, counted
from rag_assets.postgres import outbox, runs
from rag_assets.postgres.listener import Listener
from rag_assets.processes import identity
from rag_assets.services import Services

SWEEP_SECONDS = 5.0  # between looks for claims of runs that have ended
RUNLESS_SECONDS = 30.0  # from a claim to its run at most; far above what the daemon needs
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 60.0  # after runs that failed for no document's fault
FAULTS_COUNTED = 6  # of the last runs: enough for the longest pause
RUN_PRIORITY = "10"  # a change goes ahead of the runs of a backfill, which have 0
ENDED_STATUSES = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}
AT_WORK = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
COUNTED = 10_000  # of pending documents: at each look that finds nothing, so that it stays cheap
UNREPORTED = -1  # the progress of a run that has reported none: its process is just beginning, or ending
GONE = "The process of this run is gone."
STOOD_STILL = (
    "This run stood still for longer than worker.processing_timeout_seconds ({0.processing_timeout_seconds:g} s): its "
    "process is stopped, or hangs. Its documents are pending again, and the next run takes them."
)
SILENCE_SECONDS = 30.0  # with the grace of a Watch a minute, in which a run says a dozen times that it is there
FELL_SILENT = (
    "Nothing was heard for a minute of this run, whose process is on {host}: the process or its machine is gone, or "
    "does not reach the database. Its documents are pending again, and the next run takes them."
)
LOOK_AT_INDEX_SECONDS = 60
FIRST_INDEX_PAUSE_SECONDS, LONGEST_INDEX_PAUSE_SECONDS = 600.0, 6 * 3600.0  # after runs that built none
UNSTARTED_STATUSES = [DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING]


_instances: list[tuple[object, dg.DagsterInstance]] = []  # of this process, by what they are made from


def document_changes(rag: Rag) -> dg.SensorDefinition:
    """The sensor, on these services.

    They are no resource of Dagster's: with one, Dagster makes an instance of its own for each look (see `instance_of`).
    """

    @dg.sensor(
        name=named("document_changes"),
        job=ingest_job,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Waits for changes of the table and requests one run for all that are due. Off, changes stay "
        "pending and are taken once it is on again; a wait that has begun ends first, within a minute.",
    )
    def look(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        watches = _watches(rag.shared)
        watches.resume(context.cursor)
        yield from _look(instance_of(context), rag.shared, watches)
        context.update_cursor(str(watches))

    return look


def _look(
    instance: dg.DagsterInstance, services: Services, watches: "Watches"
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Claim the documents that changed and request one run for them; wait a while when there are none.

    While a run takes changes itself, or one is waiting to start, changes are left in the outbox: they are
    taken by that run, and what comes later coalesces instead of queueing up. Only of what is more than a run takes,
    another one has its share, where the settings allow several.
    """
    _release_batches_once(services)
    claims, batch_id, hindrance = _wait_for_changes(instance, services, watches)
    if not claims:
        yield dg.SkipReason(hindrance or operations.held(services) or _waiting(instance, services))
        return
    partitions.documents.add(instance, [claim.document_id for claim in claims if claim.path is not None])
    _limit_pool(instance, services.settings.worker.parallel_runs)
    yield dg.RunRequest(
        run_key=batch_id,
        run_config=run_config(batch_id=batch_id, linger=True),
        tags={
            BATCH_TAG: batch_id,
            POOL_TAG: POOL_NAME,
            "dagster/priority": RUN_PRIORITY,
            "rag_assets/documents": str(len(claims)),
        },
    )


def _waiting(instance: dg.DagsterInstance, services: Services) -> str:
    """How many documents are pending, and what they wait for."""
    with services.database.transaction() as cursor:
        pending, claimed, seconds = outbox.waiting(cursor, most=COUNTED + 1)
    reason = _failing(instance)
    if not pending:
        return reason or "No changes."
    which = f"{counted(pending, 'document')} {are(pending)} pending"
    if pending > COUNTED:
        which = f"More than {COUNTED:,} documents are pending"
    if reason:
        return f"{which}. {reason}"
    if claimed >= pending or _consumers(instance, services):
        return f"{which}: a run is at work, or about to be, and takes what comes meanwhile."
    in_run = f"{claimed} in a run, the others " if claimed else ""
    if not seconds:  # committed after the last look
        return f"{which}: {in_run}to be taken at the next look, which begins within seconds."
    return f"{which}: {in_run}after an error, and the next is tried again within {seconds:.0f} s."


def instance_of(context: dg.SensorEvaluationContext) -> dg.DagsterInstance:
    """The same one for all looks: of each that was made, SQLAlchemy keeps what it learned of the database."""
    ref = context.instance_ref
    if ref is None:  # it was handed over ready
        return context.instance
    known = [instance for other, instance in _instances if other == ref]
    if not known:
        known = [dg.DagsterInstance.from_ref(ref)]
        _instances.append((ref, known[0]))
    return known[0]


def _failing(instance: dg.DagsterInstance) -> str:
    pause = _pause(instance)
    if not pause:
        return ""
    return f"The last runs could not do their work: the last one's error says why; the next is tried in {pause:.0f} s."


def index_of_vectors(rag: Rag) -> dg.SensorDefinition:
    """The sensor that has the index of vectors built, measured and dropped, on these services."""

    @dg.sensor(
        name=named("index_of_vectors"),
        job=index_job,
        minimum_interval_seconds=LOOK_AT_INDEX_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has the index of vectors built once there are many (search.index_rows) and nothing is pending, "
        "built anew when it is worn, and dropped when there are few. Off, `rag-assets index --build` does that.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return _look_at_index(instance_of(context), rag.shared)

    return look


def _look_at_index(instance: dg.DagsterInstance, services: Services) -> dg.RunRequest | dg.SkipReason:
    if services.settings.search.index == "manual":
        return dg.SkipReason("search.index is manual: rag-assets index says what is best, and does it.")
    try:
        planned = operations.plan_index(services)
        if planned.step == "keep":
            return dg.SkipReason(f"{planned.reason}.")
        hindrance = _index_hindrance(instance) or operations.index_hindrance(services, planned)
    except SettingsError as exc:  # no tables yet, or a table that is not there
        return dg.SkipReason(str(exc))
    if hindrance:
        return dg.SkipReason(f"{planned.step}: {planned.reason}; {hindrance}.")
    return dg.RunRequest(tags={"rag_assets/index": planned.step})


def _index_hindrance(instance: dg.DagsterInstance) -> str:
    """Why no run for the index is requested now: one is at work, or the last ones built none."""
    last = instance.get_runs(dg.RunsFilter(job_name=index_job.name), limit=1)
    if not last or last[0].status == DagsterRunStatus.SUCCESS:
        return ""
    if last[0].status not in ENDED_STATUSES:
        return "a run is at work on it"
    ended = dg.RunsFilter(job_name=index_job.name, statuses=list(ENDED_STATUSES))
    records = instance.get_run_records(ended, limit=FAULTS_COUNTED)
    faults = list(takewhile(lambda record: record.dagster_run.status != DagsterRunStatus.SUCCESS, records))
    pause = min(FIRST_INDEX_PAUSE_SECONDS * 2.0 ** (len(faults) - 1), LONGEST_INDEX_PAUSE_SECONDS)
    left = (faults[0].end_time or 0.0) + pause - time.time() if faults else 0.0
    if not 0 < left <= pause:  # more is left only where the clock was set back
        return ""
    return f"the last run for it failed or was canceled; the next one is tried in {left / 60:.0f} minutes"


def free_abandoned_claims(instance: dg.DagsterInstance, services: Services) -> None:
    """Release what runs that have ended left unfinished, and keep what queued runs are about to take.

    Runs at work keep their own claims, as long as they get on. A claim without a run is one whose run is being made;
    after a while, one whose maker was killed.
    """
    claim_seconds = services.settings.worker.claim_seconds
    with services.database.transaction() as cursor:
        for owner, seconds_left in outbox.owners(cursor):
            status = _status(instance, owner)
            if status in ENDED_STATUSES or (status is None and seconds_left < claim_seconds - RUNLESS_SECONDS):
                outbox.release(cursor, owner)
            elif status is not None and seconds_left < claim_seconds / 2 and owner.kind == "batch":
                outbox.extend_claims(cursor, owner, seconds=claim_seconds)


def end_lost_runs(instance: dg.DagsterInstance, statuses: Sequence[DagsterRunStatus]) -> None:
    """Fail runs with one of these statuses whose process is gone."""
    for run in instance.get_runs(dg.RunsFilter(statuses=list(statuses))):
        # A process that is gone may have ended its run since that was looked at.
        if launching.is_lost(run) and instance.get_runs_count(dg.RunsFilter([run.run_id], statuses=list(statuses))):
            instance.report_run_failed(run, GONE)


def take_over_stalled(instance: dg.DagsterInstance, services: Services, watch: Watch) -> None:
    """Give to others what runs hold that do not get on, and end these runs: whatever they do later, they store nothing.

    So, too, with runs that are ended for Dagster while their process is still there, stopped before it could notice.
    """
    with services.database.transaction() as cursor:
        reported = {run_id: run.progress for run_id, run in runs.at_work(cursor).items()}
    at_work = {run.run_id: run for run in instance.get_runs(dg.RunsFilter(job_name=ingest_job.name, statuses=AT_WORK))}
    stalled = watch.stalled({**dict.fromkeys(at_work, UNREPORTED), **reported})
    for run_id, progress in reported.items():
        if (
            run_id not in at_work
            and run_id not in stalled
            and _status(instance, ClaimOwner("run", run_id)) in ENDED_STATUSES
        ):
            stalled[run_id] = progress
    for run_id, progress in stalled.items():
        with services.database.transaction() as cursor:
            taken = runs.take_over(cursor, run_id, progress=None if progress == UNREPORTED else progress)
        if taken and run_id in at_work:
            instance.report_run_failed(at_work[run_id], STOOD_STILL.format(services.settings.worker))


def take_over_silent(instance: dg.DagsterInstance, services: Services, watch: Watch) -> None:
    """Give to others what runs on other hosts hold of which nothing is heard, and end these runs.

    Of a run on this host, Dagster is told within seconds when its process is gone: see launching.is_lost.
    """
    with services.database.transaction() as cursor:
        elsewhere = {
            run_id: run for run_id, run in runs.at_work(cursor).items() if run.host not in (None, identity.host())
        }
    for run_id in watch.stalled({run_id: run.beat for run_id, run in elsewhere.items()}):
        with services.database.transaction() as cursor:
            taken = runs.take_over(cursor, run_id, progress=elsewhere[run_id].progress)
        run = instance.get_run_by_id(run_id)
        if taken and run is not None and not run.is_finished:
            instance.report_run_failed(run, FELL_SILENT.format(host=str(elsewhere[run_id].host).partition("/")[0]))


def _status(instance: dg.DagsterInstance, owner: ClaimOwner) -> DagsterRunStatus | None:
    filters = dg.RunsFilter(run_ids=[owner.id]) if owner.kind == "run" else dg.RunsFilter(tags={BATCH_TAG: owner.id})
    runs = instance.get_runs(filters, limit=1)
    return runs[0].status if runs else None


class Watches:
    """The watches over runs that stand still, and over those on other hosts of which nothing is heard.

    Each compares a look with those before. What they have seen is the sensor's cursor as well, and a new process goes
    on from there: a daemon that loads the code itself replaces its process every minute.
    """

    def __init__(self, patience_seconds: float) -> None:
        self.over_progress = Watch(patience_seconds)
        self.over_beats = Watch(SILENCE_SECONDS)
        self._has_begun = False

    def resume(self, cursor: str | None) -> None:
        """Go on from a cursor, once; anew where there is none, or one of another form."""
        if self._has_begun:
            return
        self._has_begun = True
        with suppress(AttributeError, LookupError, TypeError, ValueError):
            kept = json.loads(cursor or "null")
            passed = time.time() - kept["at"]
            progress, beats = (
                {run: (int(number), float(still)) for run, (number, still) in kept[name].items()}
                for name in ("progress", "beats")
            )
            self.over_progress.resume(progress, passed=passed)
            self.over_beats.resume(beats, passed=passed)

    def __str__(self) -> str:
        kept = {"at": time.time(), "progress": dict(self.over_progress.seen), "beats": dict(self.over_beats.seen)}
        return json.dumps(kept)


@cache
def _watches(services: Services) -> Watches:
    """One for the whole process."""
    return Watches(services.settings.worker.processing_timeout_seconds)


@cache
def _release_batches_once(services: Services) -> None:
    """When this process begins, those of an earlier one have no run and will have none."""
    operations.release_batches(services)


def _wait_for_changes(
    instance: dg.DagsterInstance, services: Services, watches: Watches
) -> tuple[list[Claim], str, str]:
    """Claims, the batch that they are for and, where there are none, what hindered the last look at changes, if any."""
    deadline = time.monotonic() + services.settings.worker.poll_seconds
    next_sweep = 0.0
    batch_id = uuid.uuid4().hex
    hindrance = ""
    with Listener(services.database_url, channel=services.settings.database.listen_channel) as listener:
        while True:
            claims: list[Claim] = []
            try:
                if time.monotonic() >= next_sweep:
                    next_sweep = time.monotonic() + SWEEP_SECONDS
                    _sweep(instance, services, watches)
                    hindrance = ""
                if _has_place(instance, services) and not _pause(instance) > 0:
                    claims = _claim(services, batch_id)
            except SettingsError as exc:  # a table that is not there: it may be back at the next look
                hindrance = str(exc)
            if claims or time.monotonic() >= deadline:
                return claims, batch_id, hindrance
            listener.wait(_until(deadline, services))


def _sweep(instance: dg.DagsterInstance, services: Services, watches: Watches) -> None:
    # Dagster would wait for a minute with those that start; with those at work, not every launcher looks at processes.
    end_lost_runs(instance, [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
    take_over_stalled(instance, services, watches.over_progress)
    take_over_silent(instance, services, watches.over_beats)
    free_abandoned_claims(instance, services)
    operations.tend(services)
    partitions.add_all_once(instance, services)


def _has_place(instance: dg.DagsterInstance, services: Services) -> bool:
    """Whether changes may have a run: none takes them or, of `worker.parallel_runs`, more is due than those take."""
    worker, consumers = services.settings.worker, _consumers(instance, services)
    if not consumers or consumers >= worker.parallel_runs:
        return not consumers
    # One that has started may be about to take changes: a run beyond the places would hold documents, and wait.
    if _runs_for_changes(instance, [*UNSTARTED_STATUSES, DagsterRunStatus.STARTED]) >= worker.parallel_runs:
        return False
    with services.database.transaction() as cursor:
        return outbox.count_free(cursor, most=worker.documents_per_run) == worker.documents_per_run


def _consumers(instance: dg.DagsterInstance, services: Services) -> int:
    """How many runs take changes as they come, or are about to start and will; some, where there are enough."""
    with services.database.transaction() as cursor:
        consumers = outbox.count_consumers(cursor)
    if consumers >= services.settings.worker.parallel_runs:
        return consumers
    return consumers + _runs_for_changes(instance, UNSTARTED_STATUSES)


def _runs_for_changes(instance: dg.DagsterInstance, statuses: Sequence[DagsterRunStatus]) -> int:
    tags = {"dagster/priority": RUN_PRIORITY}
    return instance.get_runs_count(dg.RunsFilter(job_name=ingest_job.name, statuses=list(statuses), tags=tags))


def _limit_pool(instance: dg.DagsterInstance, parallel_runs: int) -> None:
    """Have Dagster let so many runs work at once, where that is not what it does by itself: one.

    A limit of 0, which somebody set to have nothing run, stays.
    """
    storage = instance.event_log_storage
    limit = next((pool.limit for pool in storage.get_pool_limits() if pool.name == POOL_NAME), 1)
    if limit not in (0, parallel_runs):
        storage.set_concurrency_slots(POOL_NAME, parallel_runs)


def _pause(instance: dg.DagsterInstance) -> float:
    """Seconds for which no run is requested, doubled with each run in a row that could not do its work.

    Without it, there would be 17,000 failed runs in a day without memory.
    """
    ended = dg.RunsFilter(job_name=ingest_job.name, statuses=list(ENDED_STATUSES))
    # Records name times, but asking for them makes SQLAlchemy keep the instance that was asked (its queries for the
    # columns of a table are cached by dialect, for the last 128): with one instance per look, 10 MB and more.
    if not any(map(_is_fault, instance.get_runs(ended, limit=1))):
        return 0.0
    records = instance.get_run_records(ended, limit=FAULTS_COUNTED)
    faults = list(takewhile(lambda record: _is_fault(record.dagster_run), records))
    if not faults:
        return 0.0
    pause: float = min(FIRST_PAUSE_SECONDS * 2 ** (len(faults) - 1), LONGEST_PAUSE_SECONDS)
    left = (faults[0].end_time or 0.0) + pause - time.time()
    return left if 0 < left <= pause else 0.0  # more is left only where the clock was set back


def _is_fault(run: dg.DagsterRun) -> bool:
    return run.status == DagsterRunStatus.FAILURE and run.tags.get(FAULT_TAG) == run.run_id


def _claim(services: Services, batch_id: str) -> list[Claim]:
    """What is due, for the batch; with paths, though the run asks for them again, when it begins.

    Without one, a document has lost its row: Dagster gets no partition for it, and of too many of these at once, the
    deletions are held before there is a run that could carry them out.
    """
    worker = services.settings.worker
    with services.database.transaction() as cursor:
        return outbox.claim_due(
            cursor,
            services.settings.source,
            limit=worker.documents_per_run,
            claimed_by=ClaimOwner("batch", batch_id),
            seconds=worker.claim_seconds,
        )


def _until(deadline: float, services: Services) -> float:
    """Seconds until the next look: a retry may fall due, and a run that took changes may have ended."""
    return max(0.05, min(1.0, deadline - time.monotonic()))
