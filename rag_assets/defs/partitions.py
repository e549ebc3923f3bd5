"""The partitions: one for each row of the documents table, its key the id as text."""

from collections.abc import Sequence
from functools import cache

import dagster as dg

from rag_assets.model import Outcome
from rag_assets.postgres import documents as table
from rag_assets.runtime import Parts

DOCUMENTS = "documents"

documents = dg.DynamicPartitionsDefinition(name=DOCUMENTS)


@cache
def add_all_once(instance: dg.DagsterInstance, parts: Parts) -> None:
    """The same as `add_all`, once per process: what comes later is added with its run."""
    add_all(instance, parts)


def add_all(instance: dg.DagsterInstance, parts: Parts) -> None:
    """Make every row a partition, so that the user interface and the command line can choose among all of them."""
    with parts.database.transaction() as cursor:
        ids = table.all_ids(cursor, parts.settings.source)
    known = set(instance.get_dynamic_partitions(DOCUMENTS))
    instance.add_dynamic_partitions(DOCUMENTS, [document_id for document_id in ids if document_id not in known])


def follow(instance: dg.DagsterInstance, outcomes: Sequence[Outcome], *, keep_deleted: bool) -> None:
    """Add what a run found by itself; deleted documents lose their partition, unless a range still names it."""
    instance.add_dynamic_partitions(DOCUMENTS, [o.document_id for o in outcomes if o.status != "deleted"])
    for outcome in outcomes:
        if outcome.status == "deleted" and not keep_deleted:
            instance.delete_dynamic_partition(DOCUMENTS, outcome.document_id)
