"""The documents table renamed, swapped, emptied or made anew: nothing of the index is deleted in silence."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest

from rag_assets import settings
from rag_assets.errors import (
    DeletionsHeld,
    EmbeddingError,
    NotEnoughMemory,
    ServerFailedToStart,
    ServiceError,
    SettingsError,
    SourceUnusable,
)
from rag_assets.model import FileFacts, StoredText
from rag_assets.postgres import documents, outbox, reconcile, watch
from rag_assets.postgres.database import Cursor, Database
from rag_assets.postgres.statements import single
from rag_assets_tests import rows
from rag_assets_tests.application import Application, HashEmbedder, Vectors

SOURCE = settings.Source()
MANY = 20  # documents; losing more than half of them at once is a mass
TABLE = '"TblDocumentFiles"'


@pytest.fixture
def filled(application: Application) -> Application:
    """MANY documents that are indexed, and nothing pending."""
    for n in range(MANY):
        application.add(f"{n}.txt", f"subject {n}")
    application.run()
    assert indexed(application) == MANY
    assert application.pending() == []
    return application


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


def indexed(application: Application) -> int:
    [(count,)] = application.sql("select count(distinct document_id) from rag_document_chunks")
    return int(count)


def held(application: Application) -> int:
    application.sql("select rag_take_changes()")
    [(count,)] = application.sql("select count(*) from rag_outbox where state = 'held'")
    return int(count)


def find_differences(application: Application) -> reconcile.Differences:
    return reconcile.reconcile_table(
        application.database,
        application.settings.source,
        fingerprints=[application.reader.fingerprint],
        models=[application.settings.embedding.model],
    )


def tend(application: Application) -> None:
    watch.tend(application.database, application.settings.source)


# ---- a table that is not there


@pytest.mark.parametrize(
    "statement",
    [
        f"alter table {TABLE} rename to renamed",
        f"alter table {TABLE} set schema elsewhere",
        f"drop table {TABLE}",
        f"alter table {TABLE} rename to renamed; create view {TABLE} as select * from renamed",
        f"alter table {TABLE} rename column file_path to place",
        f"alter table {TABLE} drop column id",
    ],
)
def test_nothing_is_made_or_deleted_when_the_table_is_not_as_configured(filled: Application, statement: str) -> None:
    """Each step says so in one line, and leaves everything where it was; no table is made, no trigger moved."""
    filled.sql("create schema elsewhere")
    filled.sql(statement)
    tables = filled.sql("select oid, relname, relhastriggers from pg_class where relkind in ('r', 'v') order by 1")
    with filled.database.transaction() as cursor:
        rows.enqueue(cursor, ["1"])
    steps = (
        lambda: filled.database.migrate(SOURCE, dimension=384),
        lambda: tend(filled),
        lambda: find_differences(filled),
        lambda: filled.run(),
    )
    for step in steps:
        with pytest.raises(SourceUnusable, match="work is paused, and nothing of the index is deleted") as caught:
            step()
        assert "\n" not in str(caught.value)
    after = "select oid, relname, relhastriggers from pg_class where relkind in ('r', 'v') order by 1"
    assert filled.sql(after) == tables
    assert indexed(filled) == MANY


# ---- a table of which the role sees a part


HIDING = (
    f"create policy one on {TABLE} using (id = 1)",
    f"create policy other on {TABLE} to pg_monitor using (true)",
    f"create policy all_rows on {TABLE} using (true); create policy one on {TABLE} as restrictive using (id = 1)",
    f"create policy written on {TABLE} for update using (true)",
)


@pytest.fixture
def guarded(filled: Application) -> Iterator[Application]:
    """Row-level security holds for the owner of the table, who runs the index."""
    role = f"owner_{uuid.uuid4().hex}"
    filled.sql(f"create role {role} nologin")
    filled.sql(f"alter table {TABLE} owner to {role}")
    filled.sql(f"alter table {TABLE} enable row level security, force row level security")
    yield filled
    filled.sql(f"drop owned by {role} cascade; drop role {role}")


def become_owner(cursor: Cursor) -> None:
    cursor.execute(f"select relowner::regrole::text from pg_class where oid = '{TABLE}'::regclass")
    cursor.execute(f"set local role {single(cursor)[0]}")


@pytest.mark.parametrize("policies", HIDING)
def test_nothing_is_deleted_when_row_level_security_hides_rows(guarded: Application, policies: str) -> None:
    """A row that the role does not see is there all the same: it must not count as deleted."""
    guarded.sql(policies)
    with guarded.database.transaction() as cursor:
        become_owner(cursor)
        with pytest.raises(SourceUnusable, match=r"nothing of the index is deleted\..*create policy"):
            documents.get_documents(cursor, SOURCE, ["1", "2"])


LISTS: dict[str, Callable[[Cursor], object]] = {
    "all_ids": lambda cursor: documents.all_ids(cursor, SOURCE),
    "ids_of_buckets": lambda cursor: documents.ids_of_buckets(cursor, SOURCE, [0, 1], buckets=2),
    "count": lambda cursor: documents.count(cursor, SOURCE),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_rows_are_refused_when_row_level_security_hides_rows(guarded: Application, name: str) -> None:
    """A partition of Dagster's would go, and `register` would add a second row for a path."""
    guarded.sql(f"create policy one on {TABLE} using (id = 1)")
    with guarded.database.transaction() as cursor:
        become_owner(cursor)
        with pytest.raises(SourceUnusable, match="Row-level security"):
            LISTS[name](cursor)


def test_work_goes_on_when_a_policy_shows_the_role_all_rows(guarded: Application) -> None:
    """As the message says: such a policy is enough, BYPASSRLS is not needed."""
    guarded.sql(f"create policy one on {TABLE} using (id = 1); create policy all_rows on {TABLE} using (true)")
    with guarded.database.transaction() as cursor:
        become_owner(cursor)
        assert set(documents.get_documents(cursor, SOURCE, ["1", "2"])) == {"1", "2"}


def test_work_goes_on_as_before_when_the_table_is_renamed_back(filled: Application) -> None:
    """With what changed meanwhile, and nothing else."""
    filled.sql(f"alter table {TABLE} rename to renamed")
    filled.write("3.txt", "pumps")
    filled.sql("update renamed set file_path = file_path where file_path = '3.txt'")
    with pytest.raises(SourceUnusable):
        tend(filled)
    filled.sql(f"alter table renamed rename to {TABLE}")
    tend(filled)
    assert find_differences(filled).vanished == 0
    assert [outcome.status for outcome in filled.run().values()] == ["completed"]
    assert indexed(filled) == MANY


def test_create_table_refuses_when_documents_are_indexed(filled: Application) -> None:
    """An empty table in place of one that was renamed would mean that all are gone."""
    filled.sql(f"alter table {TABLE} rename to renamed")
    with pytest.raises(SettingsError, match=f"^{MANY} documents are indexed, and TblDocumentFiles"):
        filled.database.create_table(SOURCE)
    filled.sql(f"alter table renamed rename to {TABLE}")
    assert filled.database.create_table(SOURCE) is False


# ---- many rows gone at once


LOSSES = [
    f"delete from {TABLE}",
    f"truncate {TABLE}",
    f"delete from {TABLE} where id > 5",
    f"alter table {TABLE} rename to kept; create table {TABLE} (like kept including all)",
    f"update {TABLE} set file_path = ''; alter table {TABLE} alter file_path drop not null; "
    f"update {TABLE} set file_path = null",
]


@pytest.mark.parametrize("statement", LOSSES)
def test_deletion_is_held_when_most_rows_are_gone_at_once(filled: Application, statement: str) -> None:
    """However they went, and whoever finds it; until it is confirmed, also across further looks."""
    filled.sql(statement)
    tend(filled)
    for _ in range(3):
        filled.run()
        find_differences(filled)
        tend(filled)
        assert indexed(filled) == MANY
    gone = held(filled)
    assert gone >= MANY - 5
    with filled.database.transaction() as cursor:
        warning = outbox.status(cursor, SOURCE).warnings[-1]
        assert warning.startswith(f"{gone} of {MANY} indexed documents have lost their row: their deletion is held")
        assert outbox.confirm_deletions(cursor, SOURCE) == gone
    assert {outcome.status for outcome in filled.run().values()} == {"deleted"}
    assert indexed(filled) == MANY - gone


@pytest.mark.parametrize("statement", LOSSES[:3])
def test_nothing_is_deleted_when_the_rows_come_back(filled: Application, statement: str) -> None:
    """As from a backup: what was held is looked at again, and found unchanged."""
    filled.sql(f"create table backup as select * from {TABLE}")
    filled.sql(statement)
    filled.run()
    assert held(filled) >= MANY - 5
    filled.sql(f"insert into {TABLE} overriding system value select * from backup on conflict do nothing")
    tend(filled)
    assert {outcome.status for outcome in filled.run().values()} == {"skipped"}
    assert held(filled) == 0
    assert indexed(filled) == MANY


def test_deletion_is_held_no_longer_when_it_has_become_a_small_one(filled: Application) -> None:
    """The rest of what was a mass needs no word any more."""
    filled.sql(f"create table backup as select * from {TABLE}")
    filled.sql(f"delete from {TABLE}")
    filled.run()
    filled.sql(f"insert into {TABLE} overriding system value select * from backup where id <> 7")
    tend(filled)
    assert filled.run()["7"].status == "deleted"
    assert indexed(filled) == MANY - 1


def test_whole_mass_is_held_when_a_look_takes_a_part_of_it(filled: Application) -> None:
    """Counting what vanished reads the whole index: it is done once for a mass, and not for each part of it."""
    filled.sql(f"delete from {TABLE}")
    with filled.database.transaction() as cursor:
        outbox.drain_changes(cursor)
        cursor.execute("update rag_outbox set claimed_by = 'batch:1', claimed_until = now() where document_id <= '2'")
        claims = outbox.claim_batch(cursor, SOURCE, batch_id="1", run_id="1", seconds=60)
    assert claims == []
    assert held(filled) == MANY


def test_deletion_of_a_few_is_not_held(filled: Application) -> None:
    """What an application deletes every day needs no word."""
    filled.sql(f"delete from {TABLE} where id <= {MANY // 2}")
    assert {outcome.status for outcome in filled.run().values()} == {"deleted"}
    assert indexed(filled) == MANY // 2


def test_documents_asked_for_are_not_deleted_when_most_rows_are_gone(filled: Application) -> None:
    """A backfill on a table that was swapped for an empty one says so."""
    filled.sql(f"alter table {TABLE} rename to kept; create table {TABLE} (like kept including all)")
    with pytest.raises(DeletionsHeld, match="20 of 20"), filled.database.transaction() as cursor:
        outbox.claim_documents(cursor, SOURCE, ["1", "2"], run_id="a", seconds=60)
    assert indexed(filled) == MANY


# ---- trouble that no document is to blame for


class Broken(HashEmbedder):
    """An embedder that cannot work, for the reason it is given."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def embed(self, texts: Sequence[str], *, token_counts: Sequence[int]) -> Vectors:
        raise self._error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NotEnoughMemory(available_bytes=1_200_000_000, needed_bytes=2_000_000_000), "not_enough_memory"),
        (ServerFailedToStart("it died"), "server_failed"),
        (EmbeddingError("all vectors are zero"), "embedding_failed"),
    ],
)
def test_log_and_status_say_why_all_is_pending_when_nothing_can_be_embedded(
    application: Application, error: ServiceError, kind: str
) -> None:
    """A row for each document that was held, however often it happens, and no attempt, until something is done."""
    ids = {application.add(f"{n}.txt", "pumps", f"subject {n}") for n in range(3)}
    for turn in range(3):
        with pytest.raises(type(error)):
            application.run(run_id=str(turn), embedder=Broken(error))
    logged = application.sql(
        "select document_id, path, run_id, status, error_kind, error_message from rag_ingestion_log"
    )
    assert {row[0] for row in logged} == ids
    assert len(logged) == len(ids)
    assert {row[2:] for row in logged} == {("2", "failed", kind, str(error))}
    assert all(path.endswith(".txt") for _, path, *_ in logged)
    assert {row[1:] for row in application.pending()} == {("pending", 0, None)}
    with application.database.transaction() as cursor:
        [warning] = outbox.status(cursor, SOURCE).warnings
    assert str(error) in warning
    application.run()
    with application.database.transaction() as cursor:
        assert outbox.status(cursor, SOURCE).warnings == ()


# ---- files that are not there


def test_documents_are_left_alone_when_their_folder_is_not_mounted(filled: Application) -> None:
    """All files gone at once are no reason to try and fail each document; a few are."""

    def look(stored: StoredText) -> FileFacts | None:
        return stored.facts if stored.path in there else None

    there: set[str] = set()
    found = reconcile.reconcile_files(filled.database, SOURCE, look=look)
    assert (found.changed, found.missing) == (0, MANY)
    assert filled.pending() == []
    there = {f"{n}.txt" for n in range(2, MANY)}
    found = reconcile.reconcile_files(filled.database, SOURCE, look=look)
    assert (found.changed, found.missing) == (2, 0)
