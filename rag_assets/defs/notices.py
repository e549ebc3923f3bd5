"""A sensor tells a webhook of runs that failed, of a backlog, and of deletions that are held; off without a URL.

Dagster's own `run_failure_sensor` looks at one run a tick, and at the next one whatever became of the notice. This one
reads the same events, tells of all that came since the last notice at once, and again where a notice was not taken.
"""

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from urllib.parse import quote

import dagster as dg

from rag_assets import errors, operations, visible, webhook
from rag_assets.defs import events, jobs, remedies, sensors
from rag_assets.defs.events import named
from rag_assets.defs.resources import Rag
from rag_assets.defs.sensors import instance_of
from rag_assets.errors import RagAssetsError, ServiceError
from rag_assets.model import are, counted
from rag_assets.postgres.figures import Pending
from rag_assets.services import Services

LOOK_SECONDS = 30
# Dagster gives a look up after 60 s and forgets what it told: with the longest notify.timeout_seconds, this is less.
PREPARING_SECONDS = 20.0
TRIES = 5  # of a notice, one a look
MOST_RUNS = 200  # that one notice tells of: each is a query
ERROR_CHARACTERS = 500
OUR_STEPS = {
    jobs.INGEST,
    events.INDEX_ASSET,
    *(op.name for op in (jobs.reconcile_index, jobs.make_tables, jobs.accept_unreadable)),
}
ELSEWHERE = "{what} failed it: the run's page has the words, which may name documents."
OF_NO_STEP = (sensors.GONE, sensors.STOOD_STILL.partition("{")[0])  # how such messages begin that are ours
OF_NO_DOCUMENT = tuple(  # how messages of errors begin that are about none
    f"{kind.__module__}.{kind.__name__}: "
    for kind in (
        errors.SettingsError,
        errors.SourceUnusable,
        errors.WrongModel,
        errors.DeletionsHeld,
        errors.DatabaseUnavailable,
        errors.NotEnoughMemory,
        errors.ServerFailedToStart,
        errors.ModelDropped,
        errors.LostRun,
    )
)
OUR_JOBS = {job.name for job in (jobs.ingest_job, jobs.index_job, jobs.reconcile, jobs.accept_documents, jobs.init)}
OUR_ASSETS = {dg.AssetKey(name) for name in (events.SOURCE_ASSET, *events.ASSETS, events.INDEX_ASSET)}
OF_DOCUMENTS = "rag-assets status names the documents, why they failed and what to do; so does the run's page."
OF_RUNS = "read the run's page, then: rag-assets doctor."
OF_HELD = "put the rows back, or confirm that they are to go: rag-assets confirm-deletions"
OF_BACKLOG = "rag-assets status, and the sensor {sensor} on Dagster's page, say what it waits for."

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the sensor knows at its next look: its cursor."""

    run_event: int  # the last event of a failed run that was told of, or need not be
    runs_at: float = 0.0  # when failed runs were told of last, in seconds since 1970
    backlog: bool = False  # whether a backlog was told of, and its end was not
    held: bool = False  # the same of deletions that are held
    tries: int = 0  # how often the notice that is due was not taken
    due: str = ""  # the event of that notice
    untold: int = 0  # failed runs of notices that were given up, since the last one that was taken

    @classmethod
    def parse(cls, cursor: str | None) -> "Told | None":
        """What such a cursor says; None where there is none, or not one of this sensor."""
        try:
            return cls(**json.loads(cursor or "null"))
        except (TypeError, ValueError):
            return None

    def __str__(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, kw_only=True)
class FailedRun:
    """A run that failed: what of its error names no document, and how many documents failed in it, by kind."""

    run_id: str
    job: str
    error: str
    kinds: Mapping[str, int]


def notices(rag: Rag) -> list[dg.SensorDefinition]:
    """The sensor, on these services; none where `notify.url` is not set."""
    if rag.settings.notify.url is None:
        return []
    under_way = threading.Lock()

    @dg.sensor(
        name=named("notices"),
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the webhook of notify.url of runs that failed, of a backlog and of its end. Off, nobody is "
        "told; what failed meanwhile is told of once it is on again.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not under_way.acquire(blocking=False):
            return dg.SkipReason("A look that Dagster gave up is still under way.")
        try:
            told, said = _look(instance_of(context), rag.shared, Told.parse(context.cursor))
        finally:
            under_way.release()
        context.update_cursor(str(told))
        return dg.SkipReason(said)

    return [look]


def _look(instance: dg.DagsterInstance, services: Services, told: Told | None) -> tuple[Told, str]:
    """Tell of what is due, one notice at most; what is known then, and what to say of this look."""
    until = time.monotonic() + PREPARING_SECONDS
    if told is None:
        return Told(run_event=_last_event(instance)), "Runs that fail from now on are told of."
    failed, last_event = _failed_runs(instance, after=told.run_event)
    left = told.runs_at + services.settings.notify.pause_seconds - time.time()
    waits = 0 < left <= services.settings.notify.pause_seconds  # more is left only where the clock was set back
    if failed and not waits:
        then = replace(told, run_event=last_event, runs_at=time.time(), untold=0)
        of_runs = _of_runs(services, [_described(instance, entry) for entry in failed], untold=told.untold)
        return _tell(services, of_runs, told=told, then=then, until=until, runs=len(failed))
    if not failed:
        told = replace(told, run_event=last_event)
    if (pending := _pending(services)) is not None:
        for notice, then in (
            (_of_backlog(services, pending, is_told=told.backlog), replace(told, backlog=not told.backlog)),
            (_of_held(services, pending, is_told=told.held), replace(told, held=not told.held)),
        ):
            if notice is not None:
                return _tell(services, notice, told=told, then=then, until=until)
    said = f"{_runs_failed(len(failed))}: told in {left:.0f} s." if failed else "Nothing is to be told."
    return replace(told, tries=0), said


def _tell(
    services: Services, notice: Mapping[str, object], *, told: Told, then: Told, until: float, runs: int = 0
) -> tuple[Told, str]:
    """Send a notice, which tells of so many failed runs: `then` is known once it was taken, or is given up.

    Not after `until`: Dagster might give this look up meanwhile, and the next one would tell the same.
    """
    if time.monotonic() > until:
        said = f"Dagster's database and ours took longer than {PREPARING_SECONDS:g} s: nothing is told at this look."
        logger.warning(said)
        return told, said
    try:
        webhook.send(services.settings.notify, notice)
    except ServiceError as exc:
        event = str(notice["event"])
        tries = told.tries + 1 if told.due == event else 1
        is_last = tries >= TRIES
        said = f"{exc} {'It was the last try' if is_last else 'The next look tries again'} ({tries} of {TRIES})."
        logger.warning(said)
        kept = replace(then, tries=0, untold=told.untold + runs) if is_last else replace(told, tries=tries, due=event)
        return kept, said
    return replace(then, tries=0), f"Told: {str(notice['text']).splitlines()[0]}"


def _last_event(instance: dg.DagsterInstance) -> int:
    """The number of the newest event of a run that failed; 0 where none did."""
    newest = instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=1).records
    return newest[0].storage_id if newest else 0


def _failed_runs(instance: dg.DagsterInstance, *, after: int) -> tuple[list[dg.EventLogEntry], int]:
    """The failures of runs of this index after an event, the oldest first, and the last event that was looked at."""
    found = instance.fetch_run_status_changes(
        dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=after),
        limit=MOST_RUNS,
        ascending=True,
    ).records
    if not found:
        return [], after
    runs = instance.get_runs(dg.RunsFilter(run_ids=list({record.run_id for record in found})))
    ours = {run.run_id for run in runs if not jobs.is_only_stopped(run) and _is_ours(instance, run)}
    return [record.event_log_entry for record in found if record.run_id in ours], found[-1].storage_id


def _is_ours(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether it is of one of our jobs, or was to make or check an asset of ours, as those of Dagster's own job are."""
    if run.job_name in OUR_JOBS:
        return True
    assets, checked = run.asset_selection, {check.asset_key for check in run.asset_check_selection or ()}
    if assets is not None or checked:
        return bool(OUR_ASSETS & {*(assets or ()), *checked})
    return bool(OUR_ASSETS & _planned(instance, run))  # nothing was selected: all of the job


def _planned(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[dg.AssetKey | None]:
    """The assets that its steps were to make; none where its plan is not there, or not one that can be read."""
    try:
        steps = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id or "").steps
    except Exception:  # whatever others wrote, in whichever release
        logger.warning("The plan of run %s cannot be read: it is not told of.", run.run_id, exc_info=True)
        return set()
    return {output.properties.asset_key for step in steps for output in step.outputs if output.properties}


def _described(instance: dg.DagsterInstance, failure: dg.EventLogEntry) -> FailedRun:
    try:
        error, kinds = _why(instance, failure)
    except Exception:  # whatever others put into their events, the run is told of
        logger.warning("Run %s failed, and why cannot be read.", failure.run_id, exc_info=True)
        error, kinds = ELSEWHERE.format(what="An error"), {}
    return FailedRun(run_id=failure.run_id, job=failure.job_name or "", error=_first_line(error), kinds=kinds)


def _why(instance: dg.DagsterInstance, failure: dg.EventLogEntry) -> tuple[str, dict[str, int]]:
    """The error of a run, in our own words, which name no document there, or by its class alone; and its kinds."""
    steps = instance.all_logs(failure.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    step = steps[0].dagster_event if steps else None
    if step is None:
        message = (failure.dagster_event.message if failure.dagster_event else None) or ""
        return message if message.startswith(OF_NO_STEP) else ELSEWHERE.format(what="No step"), {}
    data = step.step_failure_data
    if data.user_failure_data is not None and step.step_key in OUR_STEPS:
        kinds = data.user_failure_data.metadata.get("kinds")
        return data.user_failure_data.description or "", _kinds(kinds.value if kinds is not None else None)
    error = data.error and (data.error.cause or data.error)  # the outer one is Dagster's: a step failed
    if error is not None and error.message.startswith(OF_NO_DOCUMENT):
        return error.message, {}
    return ELSEWHERE.format(what=(error and error.cls_name) or "An error"), {}


def _kinds(value: object) -> dict[str, int]:
    """Documents that failed, by kind of error, where the value is that."""
    kinds = value if isinstance(value, dict) else {}
    is_fit = all(isinstance(kind, str) and isinstance(count, int) for kind, count in kinds.items())
    return kinds if is_fit else {}


def _first_line(message: str) -> str:
    """Without the documents that come after it, a line each, and what a terminal would obey."""
    return visible.line(next(filter(None, map(str.strip, message.splitlines())), ""))[:ERROR_CHARACTERS]


def _of_runs(services: Services, failed: Sequence[FailedRun], *, untold: int) -> dict[str, object]:
    kinds = sum((Counter(run.kinds) for run in failed), Counter[str]())
    by_job, newest = Counter(run.job for run in failed), failed[-1]
    next_step = OF_DOCUMENTS if kinds else OF_RUNS
    page = services.settings.service.dagster_url
    url = f"{page.rstrip('/')}/runs/{quote(newest.run_id, safe='')}" if page else None
    documents = f"{counted(kinds.total(), 'document')} failed: {_counts(kinds)}." if kinds else None
    earlier = f"{_runs_failed(untold)} before, of which no notice was taken." if untold else None
    lines = [
        f"{_runs_failed(len(failed))} ({_counts(by_job)}).",
        documents,
        f"{'The last error' if len(failed) > 1 else 'The error'}: {newest.error}",
        f"What to do: {next_step}",
        earlier,
        url,
    ]
    return webhook.notice(
        services.settings,
        "runs_failed",
        lines,
        runs=len(failed),
        jobs=dict(by_job),
        failed_documents=kinds.total(),
        kinds=dict(kinds),
        error=newest.error,
        next=next_step,
        run_id=newest.run_id,
        run_url=url,
        runs_not_told=untold,
        **_waiting(services),
    )


def _of_backlog(services: Services, pending: Pending, *, is_told: bool) -> dict[str, object] | None:
    """That there is a backlog, or where one was told of, that there is none any more; None where that is no news."""
    limit, seconds = services.settings.notify.backlog_seconds, pending.oldest_seconds
    if (seconds > limit) == is_told:
        return None
    facts = {
        "pending": pending.documents,
        "oldest_pending_seconds": round(seconds),
        "limit_seconds": limit,
        "kinds": pending.kinds,
    }
    if is_told:
        line = f"the backlog is over. Nothing is pending for more than {limit:g} s now; pending in all: "
        line += f"{pending.documents}."
        return webhook.notice(services.settings, "backlog_over", [line], **facts, next=None)
    next_step = remedies.with_jobs(_hindrances(services) or OF_BACKLOG.format(sensor=named("document_changes")))
    lines = [
        f"a backlog. The oldest change is pending for {seconds:.0f} s, more than {limit:g} s; pending in all: "
        f"{pending.documents}.",
        f"Failed, and to be tried again: {_counts(pending.kinds)}." if pending.kinds else None,
        f"What to do: {next_step}",
    ]
    return webhook.notice(services.settings, "backlog", lines, **facts, next=next_step)


def _of_held(services: Services, pending: Pending, *, is_told: bool) -> dict[str, object] | None:
    """That deletions are held until somebody confirms them, or that none is any more; None where that is no news."""
    held = pending.held
    if bool(held) == is_told:
        return None
    if is_told:
        line = "no deletion is held any more."
        return webhook.notice(services.settings, "deletions_held_over", [line], held=0, next=None)
    next_step = remedies.with_jobs(OF_HELD)
    lines = [
        f"{counted(held, 'deletion')} {are(held)} held, as so many rows are gone at once: the documents stay indexed.",
        f"What to do: {next_step}",
    ]
    return webhook.notice(services.settings, "deletions_held", lines, held=held, next=next_step)


def _hindrances(services: Services) -> str:
    """What keeps changes from being worked on; nothing where the database does not say so in time."""
    try:
        return " ".join(operations.hindrances(services))
    except RagAssetsError:
        return ""


def _pending(services: Services) -> Pending | None:
    """What waits; None where nobody knows in time: no database, no tables, or somebody holds them."""
    try:
        return operations.pending_now(services)
    except RagAssetsError:
        return None


def _waiting(services: Services) -> dict[str, object]:
    """How many documents are pending, and for how many seconds the oldest is; None where nobody says so in time."""
    pending = _pending(services)
    if pending is None:
        return {"pending": None, "oldest_pending_seconds": None}
    return {"pending": pending.documents, "oldest_pending_seconds": round(pending.oldest_seconds)}


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _runs_failed(count: int) -> str:
    return f"{counted(count, 'run')} failed"
