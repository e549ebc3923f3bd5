"""The partitions: one for each row of the documents table or, where there are too many, for each bucket of rows."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Protocol
from urllib.parse import unquote
from weakref import WeakSet

import dagster as dg

from rag_assets import partition_keys, settings
from rag_assets.defs import previews
from rag_assets.errors import DatabaseUnavailable
from rag_assets.postgres import buckets
from rag_assets.postgres import documents as table
from rag_assets.services import Services

PARTITIONS_NAME = settings.load().dagster.named("documents")


class Partitioning(Protocol):
    """Which partition a document belongs to, and what Dagster is told of documents that come and go."""

    is_by_document: bool
    partitions_per_run: int  # of a backfill

    @property
    def definition(self) -> "dg.PartitionsDefinition[str]":
        """What the three assets are given as their partitions."""

    def key(self, document_id: str) -> str:
        """The partition of a document."""

    def document_ids(self, keys: Sequence[str], services: Services) -> list[str]:
        """The documents of partitions, as the table has them now; those of ByDocument whether it has them or not."""

    def tables(self, keys: Collection[str], services: Services) -> dict[str, str]:
        """A Markdown table of a partition's documents, by key, where several share one."""

    def add(self, instance: dg.DagsterInstance, document_ids: Iterable[str]) -> None:
        """Make partitions for documents that may be new."""

    def remove(self, instance: dg.DagsterInstance, document_ids: Iterable[str]) -> None:
        """Forget the partitions of documents that are gone."""

    def add_all(self, instance: dg.DagsterInstance, services: Services) -> int:
        """Make every row a partition, so that the UI and the command line can choose among all; how many were none."""

    def remove_gone(self, instance: dg.DagsterInstance, services: Services) -> int:
        """Forget the partitions that have no row; how many."""


class ByDocument:
    """A partition for each document, its key the id as text."""

    is_by_document = True

    def __init__(self, *, documents_per_run: int) -> None:
        self.definition = dg.DynamicPartitionsDefinition(name=PARTITIONS_NAME)
        self.partitions_per_run = documents_per_run

    def key(self, document_id: str) -> str:
        """The id, with characters escaped that Dagster refuses in keys."""
        return partition_keys.of_document(document_id)

    def document_ids(self, keys: Sequence[str], services: Services) -> list[str]:
        """The ids that the keys stand for, one for each; whether they have rows is not asked."""
        return [unquote(key) if key != partition_keys.EMPTY else "" for key in keys]

    def tables(self, keys: Collection[str], services: Services) -> dict[str, str]:
        """None: a partition has one document."""
        return {}

    def add(self, instance: dg.DagsterInstance, document_ids: Iterable[str]) -> None:
        """Add a partition for each document that has none."""
        instance.add_dynamic_partitions(PARTITIONS_NAME, [self.key(document_id) for document_id in document_ids])

    def remove(self, instance: dg.DagsterInstance, document_ids: Iterable[str]) -> None:
        """Delete the partitions of these documents; one that is not there is no error."""
        for document_id in document_ids:
            instance.delete_dynamic_partition(PARTITIONS_NAME, self.key(document_id))

    def add_all(self, instance: dg.DagsterInstance, services: Services) -> int:
        """Add a partition for each row of the table that has none; how many were added."""
        with services.database.transaction() as cursor:
            ids = table.all_ids(cursor, services.settings.source)
        known = set(instance.get_dynamic_partitions(PARTITIONS_NAME))
        new = [document_id for document_id in ids if self.key(document_id) not in known]
        self.add(instance, new)
        return len(new)

    def remove_gone(self, instance: dg.DagsterInstance, services: Services) -> int:
        """Delete the partitions whose documents have no row any more; how many."""
        known = instance.get_dynamic_partitions(
            PARTITIONS_NAME
        )  # before the rows: a new one is no partition without row
        with services.database.transaction() as cursor:
            there = {self.key(document_id) for document_id in table.all_ids(cursor, services.settings.source)}
        gone = [key for key in known if key not in there]
        for key in gone:
            instance.delete_dynamic_partition(PARTITIONS_NAME, key)
        return len(gone)


class ByBucket:
    """A fixed number of partitions, documents spread over them by hash; each document's detail is in PostgreSQL.

    Dagster advises against more than 100,000 partitions.
    """

    is_by_document = False
    partitions_per_run = 1

    def __init__(self, *, buckets: int) -> None:
        self._buckets = buckets
        self.definition = dg.StaticPartitionsDefinition([partition_keys.bucket(number) for number in range(buckets)])

    def key(self, document_id: str) -> str:
        """The name of the bucket that the hash of the id falls into."""
        return partition_keys.of_bucket(document_id, buckets=self._buckets)

    def document_ids(self, keys: Sequence[str], services: Services) -> list[str]:
        """All documents of these buckets that have a row, as the table has them now."""
        with services.database.transaction() as cursor:
            return table.ids_of_buckets(cursor, services.settings.source, _numbers(keys), buckets=self._buckets)

    def tables(self, keys: Collection[str], services: Services) -> dict[str, str]:
        """Of those of these buckets that have documents: id, state and error of some, in one query for all.

        None while the database is away: what was stored is reported all the same.
        """
        found: dict[int, buckets.Bucket] = {}
        with suppress(DatabaseUnavailable), services.database.transaction() as cursor:
            found = buckets.get(cursor, _numbers(keys), buckets=self._buckets, limit=previews.MEMBERS)
        return {partition_keys.bucket(number): previews.bucket(each) for number, each in found.items()}

    def add(self, instance: dg.DagsterInstance, document_ids: Iterable[str]) -> None:
        """Nothing is to be added: the buckets exist from the start."""

    def remove(self, instance: dg.DagsterInstance, document_ids: Iterable[str]) -> None:
        """Nothing is to be removed: a bucket stays when its documents go."""

    def add_all(self, instance: dg.DagsterInstance, services: Services) -> int:
        """Add none: the buckets exist from the start."""
        return 0

    def remove_gone(self, instance: dg.DagsterInstance, services: Services) -> int:
        """Remove none: a bucket stays when its documents go."""
        return 0


def _numbers(keys: Iterable[str]) -> list[int]:
    return [int(key.rpartition("-")[2]) for key in keys]


def _configured(worker: settings.Worker) -> Partitioning:
    if worker.partitioning == "bucket":
        return ByBucket(buckets=worker.buckets)
    return ByDocument(documents_per_run=worker.documents_per_run)


documents = _configured(settings.load().worker)


_added: "WeakSet[Services]" = WeakSet()  # those of this process whose documents were all added


def add_all_once(instance: dg.DagsterInstance, services: Services) -> None:
    """`add_all`, once per process: what comes later is added with its run.

    The instance is no part of what is remembered: Dagster makes a new one for each look of a sensor.
    """
    if services not in _added:
        documents.add_all(instance, services)
        _added.add(services)
