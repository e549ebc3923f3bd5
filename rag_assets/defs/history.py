"""Runs that ended longer ago than `dagster.history_days` are forgotten, but for what Dagster's pages show of them.

A run goes as a whole, by Dagster's own `delete_run`, once nothing in it is the last of its kind for any asset and
partition that is there, nor for any check: states of partitions, metadata and checks are afterwards as before. Only
runs of this code location whose events are all of our assets are looked at: an instance may have others, and a code
location, too.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import dagster as dg

from rag_assets.defs import events, partitions

PAGE = 5  # runs between two looks at the clock
EVENTS_PAGE = 500  # of one run at a time
NEWEST = 100  # events of an asset among which its last one without a partition is looked for
LOOK_SECONDS = 5.0  # what is left then is left to the next look
REPOSITORY_TAG = ".dagster/repository"  # of runs: their code location, and what holds its jobs there
ROOT_TAG = "dagster/root_run_id"  # of a run that repeats another one, as is the next: its page links to both
PARENT_TAG = "dagster/parent_run_id"
CURSOR = "rag_assets_history"  # of the run that was looked at last, for each code location
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
OF_CHECKS = {dg.DagsterEventType.ASSET_CHECK_EVALUATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED}
OF_ASSETS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_FAILED_TO_MATERIALIZE,
    dg.DagsterEventType.ASSET_OBSERVATION,
}
OUR_ASSETS = {dg.AssetKey(name) for name in (*events.ASSETS, events.INDEX_ASSET, events.SOURCE_ASSET)}


def forget(instance: dg.DagsterInstance, run: dg.DagsterRun, *, days: float) -> int:
    """Forget old runs of the code location that `run` is of; how many. Nothing goes where that is not known.

    A look takes LOOK_SECONDS or a little more. The next one goes on behind it, and after the last run from the first.
    """
    repository = run.tags_for_storage().get(REPOSITORY_TAG)  # Dagster stores it beside a run's own tags
    if not days or repository is None:
        return 0
    history = _History(instance, own_job=run.job_name)
    before = datetime.now(UTC) - timedelta(days=days)
    key = f"{CURSOR}:{repository}"
    seen = instance.daemon_cursor_storage.get_cursor_values({key}).get(key)
    forgotten, until, is_more = 0, time.monotonic() + LOOK_SECONDS, True
    while is_more:
        after = datetime.fromisoformat(seen) if seen else None
        old = dg.RunsFilter(
            statuses=ENDED, tags={REPOSITORY_TAG: repository}, updated_before=before, created_after=after
        )
        records = instance.get_run_records(old, limit=PAGE, ascending=True)
        superseded = [each.dagster_run.run_id for each in records if history.is_superseded(each.dagster_run)]
        for run_id in superseded:
            instance.event_log_storage.delete_events(run_id)  # first: without its run, nobody would find them
            instance.delete_run(run_id)
        forgotten += len(superseded)
        is_last = len(records) < PAGE
        seen = "" if is_last else records[-1].create_timestamp.isoformat()
        instance.daemon_cursor_storage.set_cursor_values({key: seen})
        is_more = not is_last and time.monotonic() < until
    return forgotten


class _History:
    """What of runs is still shown."""

    def __init__(self, instance: dg.DagsterInstance, *, own_job: str) -> None:
        self._instance = instance
        self._own_job = own_job
        self._partitions = set(partitions.documents.definition.get_partition_keys(dynamic_partitions_store=instance))
        self._last_of_all = cache(self._find_last_of_all)

    def is_superseded(self, run: dg.DagsterRun) -> bool:
        """Whether the run is ours, and nothing in it is shown any more."""
        cursor, has_events, is_more = None, False, True
        while is_more:
            page = self._instance.get_records_for_run(
                run.run_id, cursor=cursor, of_type=OF_ASSETS | OF_CHECKS, limit=EVENTS_PAGE
            )
            if self._is_shown(run.run_id, page.records):
                return False
            has_events, cursor, is_more = has_events or bool(page.records), page.cursor, page.has_more
        return (has_events or run.job_name == self._own_job) and not self._is_repeated(run.run_id)

    def _is_repeated(self, run_id: str) -> bool:
        tags = (ROOT_TAG, PARENT_TAG)
        return any(self._instance.get_runs_count(dg.RunsFilter(tags={tag: run_id})) for tag in tags)

    def _is_shown(self, run_id: str, records: Sequence[dg.EventLogRecord]) -> bool:
        """Whether any of these events is the last of its kind, or not of our assets."""
        grouped: dict[tuple[dg.AssetKey, dg.DagsterEventType], dict[str | None, int]] = defaultdict(dict)
        checks: set[dg.AssetCheckKey] = set()
        for record in records:
            event = record.event_log_entry.get_dagster_event()
            if event.event_type in OF_CHECKS:
                checks.add(event.event_specific_data.asset_check_key)  # type: ignore[union-attr]
            else:
                assert event.asset_key is not None  # noqa: S101 - each of OF_ASSETS has one
                grouped[event.asset_key, event.event_type][event.partition] = record.storage_id
        assets = {asset for asset, _ in grouped} | {check.asset_key for check in checks}
        return (
            not assets <= OUR_ASSETS
            or self._has_last_check(run_id, checks)
            or any(self._has_last(*key, ids) for key, ids in grouped.items())
        )

    def _has_last_check(self, run_id: str, checks: set[dg.AssetCheckKey]) -> bool:
        last = self._instance.event_log_storage.get_latest_asset_check_execution_by_key(list(checks))
        return any(record.run_id == run_id for record in last.values())

    def _has_last(self, asset: dg.AssetKey, kind: dg.DagsterEventType, ids: Mapping[str | None, int]) -> bool:
        """Whether one of these storage ids, by partition, is the last of the asset's events of this kind there.

        A partition that was deleted, as its document was, shows nothing.
        """
        known = {partition: id_ for partition, id_ in ids.items() if partition in self._partitions}
        if known:
            last = self._instance.get_latest_storage_id_by_partition(asset, kind, {str(each) for each in known})
            if any(last.get(str(partition), 0) <= id_ for partition, id_ in known.items()):
                return True
        return None in ids and ids[None] >= self._last_of_all(asset, kind)

    def _find_last_of_all(self, asset: dg.AssetKey, kind: dg.DagsterEventType) -> int:
        """The storage id of the asset's last event without a partition; 0 where it is not among the NEWEST."""
        records = self._instance.event_log_storage.get_event_records(
            dg.EventRecordsFilter(kind, asset_key=asset), limit=NEWEST, ascending=False
        )
        return next((record.storage_id for record in records if record.partition_key is None), 0)
