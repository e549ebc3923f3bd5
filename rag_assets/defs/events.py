"""Outcomes to Dagster's event log, in batches.

Dagster's public `context.log_event` writes one row per transaction (12 ms each on PostgreSQL); a batch costs
0.3 to 0.4 ms per event. A planned event without a materialization after it is what makes a partition FAILED.
"""

import logging
import shlex
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import quote

import dagster as dg

from rag_assets import settings
from rag_assets.defs import dagster_internals, partitions, previews
from rag_assets.model import Outcome, Refused
from rag_assets.services import Services

_settings = settings.load()
named = _settings.dagster.named  # of everything that Dagster has a name for
SOURCE_ASSET = named("TblDocumentFiles")  # the application's table, whatever its name
RAW_TEXT, CHUNKS, EMBEDDINGS = map(named, ("raw_text", "chunks", "embeddings"))
ASSETS = (RAW_TEXT, CHUNKS, EMBEDDINGS)
INDEX_ASSET = named("index")  # of vectors, of all documents
VERSION_TAG = "dagster/data_version"  # the hash of the file's bytes
ROWS = "dagster/row_count"  # metadata that Dagster's page knows
# As JSON, as an event's bytes are: a document's three events have 8,000 of them together, whatever is told.
SHOWN_WARNINGS = 2  # rag_document_text has them all
WARNING_BYTES = 100
MESSAGE_BYTES = 600  # of an error
PATH_BYTES = 200  # also of the link in its place
NAME_BYTES = 50  # of a model, and of an engine
CORRECT_HINT = "Correct the file or its row: it is then tried again. If it is to stay so: rag-assets accept {id}"
DIFFERENCES = {  # what a reconciliation finds, by the name that it has for it
    "unknown": "never read",
    "vanished": "indexed without a row",
    "moved": "with another path",
    "outdated": "read or embedded with other settings",
    "incomplete": "with chunks missing",
    "lacking": "without vectors of a model that is to serve",
    "changed": "with another file",
    "partitions_without_row": "shown here without a row",
    "rows_without_partition": "not shown here",
    "unreported": "stored, and not told of here",
    "missing": "without their files, and left alone: so many at once rather mean that their folder is not mounted",
}
SOURCE_URL = _settings.source.url
MAX_WAITING = 2_000  # documents that are not reported yet


class Reporter:
    """Tells Dagster what became of documents, in a thread of its own: all that came meanwhile in one go.

    A batch of events costs 40 ms however small it is, which neither the embedder nor the next change should wait for.
    Leaving it waits until everything is reported. Raises what the thread raised, at the next report or when left.
    """

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._waiting: list[Outcome] = []
        self._flushes: list[Future[None]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="report")

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        self._thread.shutdown()
        if kind is None:
            self._raise_failed()

    def report(self, outcomes: Sequence[Outcome], services: Services) -> None:
        """Have the partitions of these documents, and their materializations, reported in their order.

        In the services' database, the other documents of their partitions are looked up, also when they were closed.
        """
        self._raise_failed()
        with self._lock:
            self._waiting += outcomes
            is_behind = len(self._waiting) > MAX_WAITING
        self._flushes.append(self._thread.submit(self._flush, services))
        if is_behind:
            self._flushes[-1].result()

    def _flush(self, services: Services) -> None:
        with self._lock:
            outcomes, self._waiting = self._waiting, []
        to_report = _to_report(self._context, outcomes)
        _sync_partitions(self._context, to_report)
        _supersede_failed_runs(self._context, to_report)
        tables = partitions.documents.tables(_by_partition(to_report), services) if to_report else {}
        log_materializations(self._context, [one for one in to_report if one.status != "failed"], tables)
        log_failures(self._context, [one for one in to_report if one.status == "failed"], tables)

    def _raise_failed(self) -> None:
        for flush in [flush for flush in self._flushes if flush.done()]:
            self._flushes.remove(flush)
            flush.result()


def _to_report(context: dg.AssetExecutionContext, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes without those that add nothing to what is shown: the document is unchanged, and that was reported.

    Events cost several times what it costs to find out that nothing changed. A run that was asked for its
    partitions answers for each of them.
    """
    if context.has_partition_key or context.has_partition_key_range:
        return list(outcomes)
    unchanged = [key for key, some in _by_partition(outcomes).items() if all(one.status == "skipped" for one in some)]
    shown = _materialized(context.instance, set(unchanged)) if unchanged else {}
    return [outcome for outcome in outcomes if not _is_shown(outcome.document_id, outcome.content_sha256, shown)]


def log_materializations(
    context: dg.AssetExecutionContext, outcomes: Iterable[Outcome], tables: Mapping[str, str]
) -> None:
    """Log one materialization per asset and partition whose documents are now in step with their files.

    `tables` are those of the documents of partitions, by key, where several share one.
    """
    found = _by_partition(outcomes)
    _log(context, (event for key, some in found.items() for event in materializations(key, some, tables.get(key))))


def log_failures(context: dg.AssetExecutionContext, outcomes: Sequence[Outcome], tables: Mapping[str, str]) -> None:
    """Log why each document failed now, on the page of its partition in each asset, where that stays."""
    last = {partitions.documents.key(one.document_id): one for one in outcomes}  # the page shows the newest table
    shown = {one.document_id: tables[key] for key, one in last.items() if key in tables}
    for asset in ASSETS:
        observations = [_observation(asset, one, shown.get(one.document_id)) for one in outcomes]
        if observations:
            dagster_internals.log_batch(context, observations)


def _observation(asset: str, outcome: Outcome, table: str | None) -> dg.AssetObservation:
    if outcome.seconds_to_next is None:
        then: dict[str, Any] = {"what to do": CORRECT_HINT.format(id=shlex.quote(outcome.document_id))}
    else:
        then = {"next try": dg.MetadataValue.timestamp(time.time() + outcome.seconds_to_next)}
    message = previews.within(outcome.error_message or "", MESSAGE_BYTES)
    why = {"error": outcome.error_kind, "message": message, **then}
    metadata = {"status": "failed", **why, "attempts": outcome.attempts, "stage": outcome.stage}
    metadata["document"] = outcome.document_id
    if outcome.path:
        metadata["path"] = _path(asset, outcome)
    key = partitions.documents.key(outcome.document_id)
    return dg.AssetObservation(asset, partition=key, metadata=metadata | _table(table))


def source_observation(found: Mapping[str, int], *, rows: int, changed_at: datetime | None) -> dg.AssetObservation:
    """What a reconciliation saw of the application's table: its rows, its last change, and what differed, in words."""
    differs = [f"{found[name]} {words}" for name, words in DIFFERENCES.items() if found.get(name)]
    metadata: dict[str, Any] = {ROWS: rows, "differs": "; ".join(differs) or "nothing"}
    if changed_at is not None:
        metadata["last_change"] = dg.MetadataValue.timestamp(changed_at)
    return dg.AssetObservation(SOURCE_ASSET, metadata=metadata)


def row_counts(instance: dg.DagsterInstance, *, texts: int, chunks: int, vectors: int) -> list[dg.AssetObservation]:
    """How many rows a reconciliation found in the table of each asset that documents become, where that is news."""
    rows = {RAW_TEXT: texts, CHUNKS: chunks, EMBEDDINGS: vectors}
    return [
        dg.AssetObservation(asset, metadata={ROWS: count})
        for asset, count in rows.items()
        if not _is_last_told(instance, dg.AssetKey(asset), count)
    ]


def _is_last_told(instance: dg.DagsterInstance, asset: dg.AssetKey, count: int) -> bool:
    """Whether this number of rows is the last that was said of the asset: its page shows what the last event says."""
    seen = instance.fetch_observations(asset, limit=1).records
    if not seen or seen[0].asset_observation is None:
        return False
    told = seen[0].asset_observation.metadata.get(ROWS)
    made = instance.get_latest_materialization_event(asset)
    return told is not None and told.value == count and (made is None or made.timestamp < seen[0].timestamp)


def log_empty(context: dg.AssetExecutionContext) -> None:
    """Log this run's partitions without documents, which only buckets can be: nothing in them is out of step."""
    if context.has_partition_key and not partitions.documents.is_by_document:
        _log(context, [event for key in context.partition_keys for event in materializations(key, [])])


def unreported(instance: dg.DagsterInstance, versions: Mapping[str, str]) -> list[str]:
    """Those of these documents that are not shown as materialized in this version: a run was killed before that."""
    shown = _materialized(instance, None)
    return [document_id for document_id, version in versions.items() if not _is_shown(document_id, version, shown)]


def mark_failed(context: dg.AssetExecutionContext, document_ids: Iterable[str]) -> None:
    """Make these documents' partitions FAILED; to be called just before the step raises."""
    _plan(context, {partitions.documents.key(document_id) for document_id in document_ids})


def fail_apart(
    context: dg.AssetExecutionContext,
    document_ids: Iterable[str],
    *,
    run_config: Mapping[str, object],
    tags: Mapping[str, str],
    failure: dg.Failure,
) -> str:
    """Make these documents' partitions FAILED by a run of their own, whose id is returned: this one may then succeed.

    A document's page shows the run that stored it, in red where that failed, whatever became of this document in it.
    """
    keys = sorted({partitions.documents.key(document_id) for document_id in document_ids})
    return dagster_internals.failed_run(
        context.instance,
        context.run,
        step_key=context.get_step_execution_context().step.key,
        run_config=run_config,
        tags=tags,
        planned=[(asset, key) for key in keys for asset in ASSETS],
        failure=failure,
    )


def _supersede_failed_runs(context: dg.AssetExecutionContext, outcomes: Sequence[Outcome]) -> None:
    """Make this run the one that was to materialize those partitions for which a run that failed is the last such run.

    A partition's page shows that run in red for as long, above whatever was materialized since. It costs three events
    for each of them, 12 ms each, so the others get none.
    """
    instance, planned = context.instance, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    keys = {partitions.documents.key(one.document_id) for one in outcomes if one.status != "failed"}
    if not keys or context.has_partition_key or context.has_partition_key_range:  # which Dagster planned itself
        return
    last = instance.get_latest_storage_id_by_partition(dg.AssetKey(ASSETS[0]), planned, keys)
    if not last:
        return
    records = instance.event_log_storage.get_event_records(
        dg.EventRecordsFilter(planned, storage_ids=list(last.values()))
    )
    run_ids = list({record.run_id for record in records})
    ended = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    failed = {run.run_id for run in instance.get_runs(dg.RunsFilter(run_ids=run_ids, statuses=ended))}
    _plan(context, {str(record.partition_key) for record in records if record.run_id in failed})


def _plan(context: dg.AssetExecutionContext, keys: Iterable[str]) -> None:
    """Say that this run is to materialize these partitions; without a materialization after it, they have FAILED."""
    step_key = context.get_step_execution_context().step.key
    for key in sorted(keys):
        for asset in ASSETS:
            event = dagster_internals.planned_event(
                job=context.run.job_name, step_key=step_key, asset=asset, partition=key
            )
            context.instance.report_dagster_event(event, context.run.run_id, logging.DEBUG)


def tell_accepted(instance: dg.DagsterInstance, documents: Iterable[Refused]) -> None:
    """Have documents that cannot be read, and may be so, shown as FAILED no more; a bucket shows it after its next run.

    Takes 40 ms for each.
    """
    if not partitions.documents.is_by_document:
        return
    for one in documents:
        outcome = Outcome(
            document_id=one.document_id,
            path=one.path,
            status="accepted",
            stage="read",
            error_kind=one.error_kind,
            error_message=one.error_message,
        )
        for event in materializations(partitions.documents.key(one.document_id), [outcome]):
            instance.report_runless_asset_event(event)


def materializations(
    key: str, outcomes: Sequence[Outcome], table: str | None = None
) -> Iterator[dg.AssetMaterialization]:
    """The three materializations of one partition, with a table of its documents where several share it."""
    if partitions.documents.is_by_document:
        for outcome in outcomes:
            yield from _of_document(key, outcome)
    else:
        yield from _of_bucket(key, outcomes, table)


def _of_document(key: str, outcome: Outcome) -> Iterator[dg.AssetMaterialization]:
    tags = {VERSION_TAG: outcome.content_sha256} if outcome.content_sha256 else None
    for asset, facts in _facts(outcome).items():
        known = {name: value for name, value in facts.items() if value is not None}
        yield dg.AssetMaterialization(asset, partition=key, metadata=_common(asset, outcome) | known, tags=tags)


def _common(asset: str, outcome: Outcome) -> dict[str, Any]:
    """What became of a document and its path, on the page of its text; the others have the bytes for what they tell."""
    if asset != RAW_TEXT and outcome.status == "completed":
        return {}
    path = {"path": _path(asset, outcome)} if outcome.path and asset == RAW_TEXT else {}
    return {"status": _status(outcome), **path}


def _path(asset: str, outcome: Outcome) -> dg.UrlMetadataValue | dg.PathMetadataValue:
    """The path as it is shown: where `source.url` is set, a link to the document on the page of what was read of it.

    Of a long path, its end; a link that is too long is none, as a part of it leads nowhere.
    """
    path = outcome.path or ""
    if SOURCE_URL is not None and asset == RAW_TEXT:
        link = SOURCE_URL.replace("{path}", quote(path)).replace("{id}", quote(outcome.document_id, safe=""))
        if len(link) <= PATH_BYTES:
            return dg.MetadataValue.url(link)
    return dg.MetadataValue.path(previews.ending(path, PATH_BYTES))


def _status(outcome: Outcome) -> str:
    if outcome.status == "accepted":
        message = previews.within(outcome.error_message or "", MESSAGE_BYTES)
        return f"accepted, until its file changes: {outcome.error_kind}: {message}"
    return "unchanged" if outcome.status == "skipped" else outcome.status


def _facts(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """The metadata of each asset for an outcome, by asset name; None where nothing is known of it."""
    known: dict[str, dict[str, Any]] = {asset: {} for asset in ASSETS}
    if outcome.preview is not None:  # first, as the page shows the facts in this order
        known[RAW_TEXT]["text"] = dg.MetadataValue.md(previews.read(outcome.preview, characters=outcome.characters))
        known[CHUNKS]["cut"] = dg.MetadataValue.md(previews.cut(outcome.preview, outcome.document_id))
    if outcome.status in ("completed", "skipped"):
        known[RAW_TEXT] |= {"media type": outcome.media_type, "parser": outcome.parser, "pages": outcome.pages}
        known[CHUNKS] |= {"chunks": outcome.chunks}
        known[EMBEDDINGS] |= {"model": _name(outcome.embedding_model)}
    if outcome.status == "completed":
        known[RAW_TEXT] |= {
            "characters": outcome.characters,
            "warnings": _warnings(outcome) or None,
            "seconds": _seconds(outcome, "read"),
        }
        known[CHUNKS] |= {"tokens": outcome.tokens}  # cutting takes milliseconds
        known[EMBEDDINGS] |= {
            "engine": _name(outcome.server_build),
            "embedded": outcome.chunks_embedded,
            "reused": outcome.chunks_reused or None,
            "seconds": _seconds(outcome, "embed"),
        }
    return known


def _name(text: str | None) -> str | None:
    return previews.within(text, NAME_BYTES) if text is not None else None


def _seconds(outcome: Outcome, stage: str) -> float:
    """To the millisecond; of less than one, the first digit."""
    seconds = outcome.seconds.get(stage, 0.0)
    return round(seconds, 3) or float(f"{seconds:.0e}")


def _warnings(outcome: Outcome) -> list[str]:
    shown = [previews.within(warning, WARNING_BYTES) for warning in outcome.warnings[:SHOWN_WARNINGS]]
    more = len(outcome.warnings) - len(shown)
    return shown + ([f"... and {more} more, in rag_document_text"] if more else [])


def _of_bucket(key: str, outcomes: Sequence[Outcome], table: str | None) -> Iterator[dg.AssetMaterialization]:
    counts = Counter(outcome.status for outcome in outcomes)
    for asset in ASSETS:
        yield dg.AssetMaterialization(
            asset,
            partition=key,
            metadata={
                "documents": len(outcomes),
                "completed": counts["completed"],
                "unchanged": counts["skipped"],
                "deleted": counts["deleted"],
                **({"accepted": counts["accepted"]} if counts["accepted"] else {}),
                "chunks": sum(outcome.chunks for outcome in outcomes),
                "embedded": sum(outcome.chunks_embedded for outcome in outcomes),
                **_table(table),
            },
        )


def _table(table: str | None) -> dict[str, Any]:
    """The documents of a bucket under one name in all events: of those since the last materialization, the page shows
    the newest."""
    return {"in this bucket": dg.MetadataValue.md(table)} if table else {}


def _sync_partitions(context: dg.AssetExecutionContext, outcomes: Sequence[Outcome]) -> None:
    """Add partitions of what a run found by itself; those of deleted documents go, unless a range may name them."""
    latest = {one.document_id: one.status for one in outcomes}  # an id may be deleted and inserted again
    partitions.documents.add(context.instance, [name for name, status in latest.items() if status != "deleted"])
    deleted = [name for name, status in latest.items() if status == "deleted"]
    if deleted and not context.has_partition_key_range and not dagster_internals.is_backfilling(context.instance):
        partitions.documents.remove(context.instance, deleted)


def _materialized(instance: dg.DagsterInstance, keys: set[str] | None) -> dict[str, str | None]:
    """The partitions, of these or of all, that are shown as materialized, with the version that was reported last.

    Shown is the last asset, since the first was marked. The others are looked at because they can be wiped one by one.
    """
    materialized, planned = dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    *others, done = [
        instance.get_latest_storage_id_by_partition(dg.AssetKey(asset), materialized, keys) for asset in ASSETS
    ]
    failed = instance.get_latest_storage_id_by_partition(dg.AssetKey(ASSETS[0]), planned, keys)
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey(ASSETS[-1]), materialized, [VERSION_TAG], asset_partitions=None if keys is None else list(keys)
    )
    shown = {key for key, position in done.items() if position > failed.get(key, 0)}.intersection(*others)
    return {key: tags.get(key, {}).get(VERSION_TAG) for key in shown}


def _is_shown(document_id: str, version: str | None, shown: Mapping[str, str | None]) -> bool:
    """Whether there is nothing to tell of a document in this version; those of a bucket have none in common."""
    key = partitions.documents.key(document_id)
    return key in shown and (shown[key] == version or not partitions.documents.is_by_document)


def _by_partition(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(partitions.documents.key(outcome.document_id), []).append(outcome)
    return found


def _log(context: dg.AssetExecutionContext, events: Iterable[dg.AssetMaterialization]) -> None:
    """A batch for each asset: of a batch's last event alone does the storage note that it is its asset's latest."""
    batches: dict[dg.AssetKey, list[dg.AssetMaterialization]] = {}
    for event in events:
        batches.setdefault(event.asset_key, []).append(event)
    for batch in batches.values():
        dagster_internals.log_batch(context, batch)
