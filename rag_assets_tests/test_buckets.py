"""Buckets: which documents are in one, in which states, and that nobody looks at all documents for it."""

from contextlib import closing

import dagster as dg
import pytest

from rag_assets import operations, partition_keys
from rag_assets.defs import events, partitions
from rag_assets.errors import DatabaseUnavailable
from rag_assets.model import Outcome
from rag_assets.postgres import buckets, statements
from rag_assets.postgres.buckets import Member
from rag_assets.postgres.database import Database
from rag_assets_tests.application import WORDS, Application
from rag_assets_tests.project import KEYS, Project

EVENT_BYTES = 8_192  # of the three events of a bucket, in which a run may have one document


def get(application: Application, numbers: list[int], *, of: int, limit: int = 9) -> dict[int, buckets.Bucket]:
    with application.database.transaction() as cursor:
        buckets.ensure_indexes(cursor, buckets=of)
        return buckets.get(cursor, numbers, buckets=of, limit=limit)


def test_documents_of_a_bucket_have_the_word_of_their_state(application: Application) -> None:
    """Failed ones first, then those that wait, as the view rag_documents has them; no more than are asked for."""
    ids = [application.add(f"{n}.txt", *WORDS[:1]) for n in range(12)]
    application.run()
    for n, words in (
        (3, "state = 'dead', error_kind = 'empty'"),
        (7, "error_kind = 'not_found'"),
        (11, "state = state"),
    ):
        application.change(ids[n])
        application.sql(f"update rag_outbox set {words} where document_id = '{ids[n]}' returning 1")
    application.sql(
        f"update rag_outbox set claimed_by = 'run:1', claimed_until = now() + '1 h' where document_id = '{ids[11]}' "
        "returning 1"
    )
    [found] = get(application, [0], of=1).values()
    assert found.documents == len(ids)
    assert found.members[:4] == (
        Member(document_id=ids[3], state="failed", error_kind="empty"),
        Member(document_id=ids[7], state="pending", error_kind="not_found"),
        Member(document_id=ids[11], state="running", error_kind=None),
        Member(document_id=ids[0], state="indexed", error_kind=None),
    )
    assert len(found.members) == 9
    said = dict(application.sql("select document_id, state from rag_documents"))
    assert all(said[one.document_id] == one.state for one in found.members)


def test_buckets_hold_what_their_keys_say(application: Application) -> None:
    """Also what was never read, and is in the outbox alone; an empty bucket has no entry."""
    ids = [application.add(f"{n}.txt", *WORDS[:1]) for n in range(40)]
    application.run()
    ids += [application.add_row(f"missing-{n}.txt") for n in range(40)]
    application.pending()
    found = get(application, list(range(64)), of=64, limit=90)
    assert len(found) < 64
    for number, one in found.items():
        members = {member.document_id for member in one.members}
        key = partition_keys.bucket(number)
        assert members == {each for each in ids if partition_keys.of_bucket(each, buckets=64) == key}
        assert one.documents == len(members)


def test_bucket_is_found_in_an_index_where_partitions_are_buckets(project: Project) -> None:
    """A look at a million documents for each group of a run would cost more than the run; init makes the index."""
    worker = project.services.settings.worker.model_copy(update={"partitioning": "bucket", "buckets": 7})
    project.services.settings = project.services.settings.model_copy(update={"worker": worker})
    document_id = project.application.add("a.txt", *WORDS)
    project.application.run()
    with project.services.database.transaction() as cursor:
        assert buckets.get(cursor, range(7), buckets=7, limit=9) == {}  # an upgrade, before init
    for _ in range(2):
        operations.migrate(project.services)
    names = project.application.sql("select indexname from pg_indexes where indexname ~ 'buckets' order by 1")
    assert names == [("rag_outbox_of_7_buckets",), ("rag_texts_of_7_buckets",)]
    with project.services.database.transaction() as cursor:
        [found] = buckets.get(cursor, range(7), buckets=7, limit=9).values()
        assert found.members == (Member(document_id=document_id, state="indexed", error_kind=None),)
        listing = statements.composed("buckets", "list_documents", bucket=buckets.bucket_of(7))
        looked_up = cursor.mogrify(listing, {"numbers": [0], "limit": 9}).decode()
        cursor.execute(f"set local enable_seqscan = off; explain (costs off) {looked_up}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert plan.count("rag_texts_of_7_buckets") >= 2
    assert plan.count("rag_outbox_of_7_buckets") >= 2


@pytest.fixture
def bucketed(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project with a single bucket: the definitions of the assets themselves stay as they are."""
    monkeypatch.setattr(partitions, "documents", partitions.ByBucket(buckets=1))
    with project.services.database.transaction() as cursor:
        buckets.ensure_indexes(cursor, buckets=1)
    return project


def shown(project: Project, key: dg.AssetKey, *, observed: bool = False) -> str:
    """The table on the page of the bucket, of its last materialization or observation."""
    instance = project.instance
    fetch = instance.fetch_observations if observed else instance.fetch_materializations
    [record] = fetch(dg.AssetRecordsFilter(asset_key=key, asset_partitions=["bucket-00000"]), limit=1).records
    told = record.asset_observation if observed else record.asset_materialization
    assert told is not None
    return str(told.metadata["in this bucket"].value)


def test_page_of_a_bucket_lists_its_documents(bucketed: Project) -> None:
    """All that are in it, not only those of the last run, on the page of each asset; what fails is told at once."""
    first, other = (bucketed.application.add(f"{n}.txt", *WORDS) for n in range(2))
    bucketed.run()
    empty = bucketed.application.add_row("empty.txt")
    (bucketed.application.files / "empty.txt").touch()
    bucketed.application.change(other)
    bucketed.application.write("1.txt", *WORDS[:2])
    bucketed.run()
    lines = [f"| {empty} | failed | empty |", f"| {first} | indexed |  |", f"| {other} | indexed |  |"]
    for key in KEYS:
        assert shown(bucketed, key).splitlines() == ["| document | state | error |", "|-|-|-|", *lines]
        assert shown(bucketed, key, observed=True) == shown(bucketed, key)


@pytest.mark.parametrize("letter", ["a", "ä", "🌱", "|"])
def test_page_of_a_large_bucket_says_how_many_are_left_out(bucketed: Project, letter: str) -> None:
    """And stays within the bytes of a document's events, whatever ids are like."""
    application = bucketed.application
    application.add("a.txt", *WORDS)
    application.sql(
        "insert into rag_document_text (document_id, path, sha256, size_bytes, mtime_ns, media_type, parser, content,"
        f" fingerprint, embedding_model, chunk_count) select n || repeat('{letter}', 90), '', '', 0, 0, '', '', '', '',"
        " '', 0 from generate_series(1, 5000) as n returning 1"
    )
    bucketed.run()
    *_, last = shown(bucketed, KEYS[0]).splitlines()
    rows = shown(bucketed, KEYS[0]).count("\n| ")
    assert last.startswith(f"*{5_001 - rows} documents more: `rag-assets story ID`")
    assert 1 < rows < 20
    found = [bucketed.instance.get_latest_materialization_event(key) for key in KEYS]
    assert sum(len(event.to_json().encode()) for event in found if event) < EVENT_BYTES


def test_indexes_that_are_there_wait_for_no_writer(application: Application) -> None:
    """Whose transaction holds a table of ours, as each command sees to it that they are there."""
    get(application, [0], of=4)
    with (
        closing(Database(application.url, settings=application.settings.database)) as other,
        other.transaction() as writer,
    ):
        writer.execute("lock table rag_document_text, rag_outbox in row exclusive mode")
        assert get(application, [0], of=4) == {}


def test_no_run_ends_when_the_database_is_away_as_a_bucket_is_looked_up(
    bucketed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored is reported, without the table."""

    def away(*_: object, **__: object) -> dict[int, buckets.Bucket]:
        raise DatabaseUnavailable("The database is starting up")

    monkeypatch.setattr(buckets, "get", away)
    bucketed.application.add("a.txt", *WORDS)
    bucketed.run()
    assert "in this bucket" not in bucketed.last("chunks").metadata


def test_documents_without_a_bucket_have_no_table() -> None:
    """A partition that is a document has its own text and chunks on its page."""
    outcome = Outcome(document_id="7", path="a.txt", status="completed", stage="write")
    assert not [one for one in events.materializations("7", [outcome]) if "in this bucket" in one.metadata]
