"""The trigger and the outbox: every change pending, one owner at a time, nothing lost between."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import cursor as Cursor

from rag_assets import settings
from rag_assets.model import Claim, ClaimOwner, Outcome
from rag_assets.postgres import ingestion_log, outbox
from rag_assets.postgres.database import Database
from rag_assets_tests import rows

SOURCE = settings.Source()
WORKER = settings.Worker()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


@pytest.fixture
def documents(database: Database) -> list[str]:
    """Five rows, with nothing pending."""
    _sql(database, """insert into "TblDocumentFiles" (file_path) select 'f' || n from generate_series(1, 5) as n""")
    _sql(database, "delete from rag_outbox")
    return ["1", "2", "3", "4", "5"]


# ---- the trigger ----


@pytest.mark.parametrize(
    ("statement", "pending"),
    [
        ("""insert into "TblDocumentFiles" (file_path) values ('x'), ('y')""", {"6": "insert", "7": "insert"}),
        ("""update "TblDocumentFiles" set file_path = 'x' where id < 3""", {"1": "update", "2": "update"}),
        (
            """update "TblDocumentFiles" set file_path = file_path where id in (1, 5)""",
            {"1": "update", "5": "update"},
        ),
        ("""update "TblDocumentFiles" set file_path = 'x' where id = 99""", {}),
        ("""delete from "TblDocumentFiles" where id = 4""", {"4": "delete"}),
        ("""delete from "TblDocumentFiles" where id = 99""", {}),
        ("""insert into "TblDocumentFiles" (file_path) select 'x' where false""", {}),
        (
            """insert into "TblDocumentFiles" (id, file_path) overriding system value values (2, 'x'), (9, 'y')
            on conflict (id) do update set file_path = excluded.file_path""",
            {"2": "update", "9": "insert"},
        ),
        (
            """merge into "TblDocumentFiles" as d using (values (1, 'x'), (2, null)) as v (id, path) on d.id = v.id
            when matched and path is null then delete when matched then update set file_path = path""",
            {"1": "update", "2": "delete"},
        ),
        (
            """alter table "TblDocumentFiles" alter id drop identity;
            update "TblDocumentFiles" set id = id + 1 where id = 5""",
            {"5": "delete", "6": "update"},
        ),
    ],
)
def test_trigger_enqueues_what_was_written_when_a_statement_ran(
    database: Database, documents: list[str], statement: str, pending: dict[str, str]
) -> None:
    """Exactly the documents whose rows were written are pending, and how; also where a row stayed equal."""
    _sql(database, statement)
    assert dict(_sql(database, "select document_id, operation from rag_outbox")) == pending


def test_trigger_sees_other_columns_when_they_change(database: Database, documents: list[str]) -> None:
    """Any column may mean a new file, also one of a type without equality; a setting takes some out."""
    _sql(database, 'alter table "TblDocumentFiles" add views int default 0, add extra json, add modified timestamptz')
    _sql(database, """update "TblDocumentFiles" set extra = '{}' where id = 1""")
    assert _pending(database) == {"1"}
    database.migrate(settings.Source(ignored_columns=("views",)), dimension=384)
    _sql(database, "delete from rag_outbox")
    _sql(database, 'update "TblDocumentFiles" set views = views + 1')
    assert _pending(database) == set()
    _sql(database, 'update "TblDocumentFiles" set views = views + 1, modified = now() where id = 2')
    assert _pending(database) == {"2"}


def test_trigger_enqueues_all_that_is_known_when_the_table_is_truncated(
    database: Database, documents: list[str]
) -> None:
    """TRUNCATE is the deletion of every document that was read or is pending."""
    _sql(database, """update "TblDocumentFiles" set file_path = 'x' where id in (1, 2)""")
    _sql(database, 'truncate "TblDocumentFiles"')
    assert set(_sql(database, "select document_id, operation from rag_outbox")) == {("1", "delete"), ("2", "delete")}


def test_trigger_coalesces_when_a_document_changes_often(database: Database, documents: list[str]) -> None:
    """One row, a new generation, the age of the first change; dead ones come back to life."""
    for n in range(3):
        _sql(database, f"""update "TblDocumentFiles" set file_path = 'v{n}' where id = 1""")
    [(before,)] = _sql(database, "select generation from rag_outbox")
    _sql(database, "update rag_outbox set state = 'dead', attempts = 5, error_kind = 'corrupt', priority = 1")
    _sql(database, """update "TblDocumentFiles" set file_path = 'w' where id = 1""")
    query = "select document_id, generation > %s, state, attempts, error_kind, priority from rag_outbox"
    assert _sql(database, query % before) == [("1", True, "pending", 0, None, 0)]


def test_trigger_fires_when_rows_come_by_replication(database: Database, documents: list[str]) -> None:
    """ENABLE ALWAYS: also where session_replication_role is replica."""
    _sql(database, """set local session_replication_role = replica; delete from "TblDocumentFiles" where id = 1""")
    assert _pending(database) == {"1"}


def test_trigger_needs_no_rights_when_the_writer_has_only_those_of_its_table(
    database: Database, database_url: str, documents: list[str]
) -> None:
    """A role that may write the documents table, and nothing of ours, can write it; a search_path cannot trick us."""
    _sql(database, "drop role if exists rag_test_writer; create role rag_test_writer")
    try:
        _sql(database, 'grant insert, update, delete, select on "TblDocumentFiles" to rag_test_writer')
        _sql(
            database,
            """create schema evil; create table evil.rag_outbox (); grant usage on schema evil to rag_test_writer;
            set local role rag_test_writer; set local search_path = evil, public;
            update "TblDocumentFiles" set file_path = 'x' where id = 1""",
        )
        assert _pending(database) == {"1"}
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            _sql(database, "set local role rag_test_writer; select * from rag_outbox")
    finally:
        _sql(database, "drop owned by rag_test_writer; drop role rag_test_writer")


def test_trigger_ends_in_no_deadlock_when_writers_touch_the_same_documents(
    database: Database, database_url: str
) -> None:
    """Sixteen writers, overlapping documents in any order, one statement per transaction: all commit."""
    _sql(database, """insert into "TblDocumentFiles" (file_path) select 'f' || n from generate_series(1, 40) as n""")

    def write(seed: int) -> None:
        choose = random.Random(seed)
        with closing(psycopg2.connect(database_url)) as connection:
            for n in range(15):
                first, last = sorted((choose.randint(1, 40), choose.randint(1, 40)))
                with connection, connection.cursor() as cursor:
                    # rows are locked in the order of the ids, as an application without deadlocks of its own does
                    cursor.execute(
                        f"""with d as materialized (select id from "TblDocumentFiles" where id between {first} and
                        {last} order by id for update) update "TblDocumentFiles" as t set file_path = '{seed}-{n}'
                        from d where d.id = t.id"""
                    )

    rows.in_threads([lambda seed=seed: write(seed) for seed in range(16)])  # type: ignore[misc]
    assert len(_pending(database)) == 40


# ---- claims ----


def test_claim_due_takes_changes_before_first_fills_when_both_are_due(database: Database, documents: list[str]) -> None:
    """Priority first, then age; and never more than asked for."""
    with database.transaction() as cursor:
        rows.enqueue(cursor, ["1", "2"], priority=1)
    _change(database, 3)
    with database.transaction() as cursor:
        assert [c.document_id for c in _claim(cursor, limit=1)] == ["3"]
        assert {c.document_id for c in _claim(cursor, owner="run:b")} == {"1", "2"}


def test_claim_due_gives_no_document_twice_when_many_claim_at_once(database: Database) -> None:
    """Eight claimants at once share 200 documents without one in common."""
    _sql(database, """insert into "TblDocumentFiles" (file_path) select 'f' || n from generate_series(1, 200) as n""")
    taken: list[str] = []

    def take(owner: str) -> None:
        for _ in range(5):
            with database.transaction() as cursor:
                taken.extend(c.document_id for c in _claim(cursor, owner=owner, limit=7))

    rows.in_threads([lambda n=n: take(f"run:{n}") for n in range(8)])  # type: ignore[misc]
    assert len(taken) == len(set(taken)) == 200


def test_claim_has_no_path_when_the_row_is_gone(database: Database, documents: list[str]) -> None:
    """The claim of a deleted document says so."""
    _sql(database, 'delete from "TblDocumentFiles" where id = 1')
    with database.transaction() as cursor:
        (claim,) = _claim(cursor)
    assert (claim.document_id, claim.path, claim.operation) == ("1", None, "delete")


def test_claims_can_be_taken_by_others_when_they_have_run_out(database: Database, documents: list[str]) -> None:
    """A claim lasts its time, or longer when it is extended; then it is anybody's."""
    _change(database, 1)
    with database.transaction() as cursor:
        assert len(_claim(cursor, owner="run:a", seconds=0.0)) == 1
    with database.transaction() as cursor:
        outbox.extend_claims(cursor, "run:a", seconds=60)
    with database.transaction() as cursor:
        assert _claim(cursor, owner="run:b") == []
        assert [owner for owner, _ in outbox.owners(cursor)] == [ClaimOwner("run", "a")]
        outbox.extend_claims(cursor, "run:a", seconds=-1)
        assert len(_claim(cursor, owner="run:b")) == 1


def test_claim_batch_takes_over_when_the_sensor_claimed(database: Database, documents: list[str]) -> None:
    """What the sensor holds for a queued run becomes the run's, once."""
    _change(database, 1, 2)
    with database.transaction() as cursor:
        assert len(_claim(cursor, owner="batch:x")) == 2
    for expected in (2, 0):
        with database.transaction() as cursor:
            claims = outbox.claim_batch(cursor, SOURCE, batch_id="x", run_id="a", seconds=60)
            assert len(claims) == expected


def test_claim_documents_takes_all_but_those_of_other_runs_when_chosen_by_hand(
    database: Database, documents: list[str]
) -> None:
    """Unchanged, dead, queued and unknown documents are claimed; those a run works on are named as busy."""
    _change(database, 1, 2, 3)
    _sql(
        database, "update rag_outbox set claimed_by = 'run:b', claimed_until = now() + '1 min' where document_id = '1'"
    )
    _sql(
        database, "update rag_outbox set claimed_by = 'batch:c', claimed_until = now() + '1 h' where document_id = '2'"
    )
    _sql(database, "update rag_outbox set state = 'dead' where document_id = '3'")
    with database.transaction() as cursor:
        claims, busy = outbox.claim_documents(
            cursor, SOURCE, ["1", "2", "3", "4", "99", "no number"], run_id="a", seconds=60
        )
    assert {c.document_id: c.path for c in claims} == {"2": "v", "3": "v", "4": "f4", "99": None, "no number": None}
    assert busy == ["1"]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_claim_due_takes_what_came_while_it_waited_whatever_isolation_is_the_default(
    database_url: str, level: str
) -> None:
    """An application's choice for its own transactions: ours look again after they waited for each other."""
    rows.execute(
        database_url,
        f"""do $$ begin
        execute format('alter database %I set default_transaction_isolation = %L', current_database(), '{level}');
    end $$""",
    )
    with closing(Database(database_url)) as database, ThreadPoolExecutor(1) as executor:
        _sql(database, """insert into "TblDocumentFiles" (file_path) values ('a'), ('b')""")

        def claimed() -> list[str]:
            with database.transaction() as cursor:
                return [claim.document_id for claim in _claim(cursor)]

        with database.transaction() as cursor:
            outbox.drain_changes(cursor)
            second = executor.submit(claimed)
            while not rows.execute(database_url, "select pid from pg_locks where not granted"):
                assert not second.done()
        assert sorted(second.result()) == ["1", "2"]


def test_claim_documents_waits_for_nobody_who_works_on_a_document_when_it_took_changes(
    database: Database, documents: list[str]
) -> None:
    """It holds what it took, and who works on another document may wait for that: each would wait for the other."""
    _change(database, 1)
    _claim_change(database)
    _change(database, 2)
    with database.transaction() as working, database.transaction() as claiming:
        outbox.extend_claims(working, "run:a", seconds=60)
        claiming.execute("set local lock_timeout = '2s'")
        claims, busy = outbox.claim_documents(claiming, SOURCE, ["1", "2"], run_id="b", seconds=60)
        assert ([claim.document_id for claim in claims], busy) == (["2"], ["1"])


def test_claim_documents_waits_for_no_writer_when_one_is_changing_a_document(
    database: Database, database_url: str, documents: list[str]
) -> None:
    """A document in an open transaction is claimed as it was before; the change is due when it is committed."""
    _change(database, 1)
    statement = """update "TblDocumentFiles" set file_path = 'w' where id in (1, 2)"""
    with _OpenTransaction(database_url, statement), database.transaction() as cursor:
        claims, busy = outbox.claim_documents(cursor, SOURCE, ["1", "2"], run_id="a", seconds=60)
        assert ([claim.path for claim in claims], busy) == (["v", "f2"], [])
    with database.transaction() as cursor:
        assert [claim.path for claim in _claim(cursor, owner="run:a")] == ["w", "w"]


def test_release_gives_back_without_an_attempt_when_a_run_ends_early(database: Database, documents: list[str]) -> None:
    """What is released can be claimed at once."""
    _change(database, 1, 2)
    with database.transaction() as cursor:
        assert len(_claim(cursor, owner="run:a")) == 2
        assert outbox.release(cursor, "run:a") == 2
        assert [c.attempts for c in _claim(cursor, owner="run:b")] == [0, 0]


# ---- settling ----


def test_settle_removes_the_pending_work_when_nothing_changed_meanwhile(
    database: Database, documents: list[str]
) -> None:
    """The row is gone, the outcome is in the log."""
    claim = _claim_change(database)
    with database.transaction() as cursor:
        assert _settle(cursor, claim, rows.outcome(claim, chunks=3))
    with database.transaction() as cursor:
        assert rows.pending(cursor) == 0
        assert [outcome.chunks for outcome in ingestion_log.of_run(cursor, ["1"], run_id="a")] == [3]


def test_settle_leaves_the_document_pending_when_it_changed_meanwhile(database: Database, documents: list[str]) -> None:
    """The newer change stays, and is free at once."""
    claim = _claim_change(database)
    _sql(database, """update "TblDocumentFiles" set file_path = 'newer' where id = 1""")
    with database.transaction() as cursor:
        assert _settle(cursor, claim)
    with database.transaction() as cursor:
        (again,) = _claim(cursor, owner="run:b")
    assert again.path == "newer"


def test_claim_due_takes_a_newer_change_when_the_run_holds_the_older_one(
    database: Database, documents: list[str]
) -> None:
    """The same run may claim the change at once; settling the older one then does not free the newer claim."""
    claim = _claim_change(database)
    _change(database, 1, value="newer")
    with database.transaction() as cursor:
        assert _claim(cursor, owner="run:b") == []
        (newer,) = _claim(cursor, owner="run:a")
    with database.transaction() as cursor:
        assert _settle(cursor, claim)
        assert _claim(cursor, owner="run:b") == []
        assert _settle(cursor, newer)
        assert rows.pending(cursor) == 0


def test_settle_leaves_a_later_change_when_the_document_was_done_in_between(
    database: Database, documents: list[str]
) -> None:
    """A claim is for one change, and never for another one of the same run, whatever became of the row meanwhile."""
    late = _claim_change(database)
    second = _claim_change(database, value="second")
    with database.transaction() as cursor:
        assert _settle(cursor, second)
    third = _claim_change(database, value="third")
    with database.transaction() as cursor:
        assert _settle(cursor, late)
    with database.transaction() as cursor:
        assert _settle(cursor, third)
        assert rows.pending(cursor) == 0


def test_lock_holds_nothing_when_the_claim_was_lost(database: Database, documents: list[str]) -> None:
    """A run whose claim ran out and was taken has nothing that it may settle, fail, or write."""
    claim = _claim_change(database)
    _sql(database, "update rag_outbox set claimed_by = 'run:b'")
    with database.transaction() as cursor:
        assert outbox.lock(cursor, [claim], owner="run:a") == set()
    with database.transaction() as cursor:
        assert outbox.lock(cursor, [claim], owner="run:b") == {"1"}


def test_settle_waits_for_no_writer_when_one_is_changing_the_document(
    database: Database, database_url: str, documents: list[str]
) -> None:
    """An open transaction of the application holds up nothing; its change is due for the same run when it commits."""
    claim = _claim_change(database)
    statement = """update "TblDocumentFiles" set file_path = 'w' where id = 1"""
    with _OpenTransaction(database_url, statement), database.transaction() as cursor:
        outbox.extend_claims(cursor, "run:a", seconds=60)
        assert _settle(cursor, claim)
        assert _claim(cursor, owner="run:a") == []
    with database.transaction() as cursor:
        assert [c.path for c in _claim(cursor, owner="run:a")] == ["w"]


def test_settle_takes_what_is_ours_when_some_claims_were_lost(database: Database) -> None:
    """Thousands in a few statements; the lost ones are left alone."""
    _sql(database, """insert into "TblDocumentFiles" (file_path) select 'f' || n from generate_series(1, 3000) as n""")
    with database.transaction() as cursor:
        claims = _claim(cursor, limit=3000)
        cursor.execute("update rag_outbox set claimed_by = 'run:b' where document_id = '7'")
        held = outbox.lock(cursor, claims, owner="run:a")
        assert {claim.document_id for claim in claims} - held == {"7"}
        pairs = [(claim, rows.outcome(claim, "skipped")) for claim in claims if claim.document_id in held]
        outbox.settle(cursor, pairs, run_id="a")
        assert rows.pending(cursor) == 1
        cursor.execute("select count(*) from rag_ingestion_log where status = 'skipped'")
        assert cursor.fetchone() == (2999,)


def test_fail_plans_longer_and_longer_waits_when_trying_again_can_help(
    database: Database, documents: list[str]
) -> None:
    """Attempts are counted, waits double within their jitter, and after the last one the document is dead."""
    worker = settings.Worker(max_attempts=3, retry_base_seconds=100, retry_max_seconds=150)
    _change(database, 1)
    for attempt, (shortest, longest) in enumerate([(80, 120), (120, 180)], start=1):
        assert _fail_once(database, retry=True, worker=worker)
        with database.transaction() as cursor:
            cursor.execute("select extract(epoch from not_before - now())::float8 from rag_outbox")
            assert shortest - 5 <= (cursor.fetchone() or (0,))[0] <= longest
            assert _claim(cursor) == []
            cursor.execute("update rag_outbox set not_before = now() returning attempts, error_kind, last_error")
            assert cursor.fetchone() == (attempt, "timed_out", "late")
    assert not _fail_once(database, retry=True, worker=worker)
    assert _sql(database, "select state, attempts from rag_outbox") == [("dead", 3)]


def test_fail_is_final_when_trying_again_cannot_help(database: Database, documents: list[str]) -> None:
    """Dead until `retry` or a new change; `retry` chooses by kind and by id."""
    _change(database, 1)
    assert not _fail_once(database, retry=False)
    with database.transaction() as cursor:
        assert _claim(cursor) == []
        assert outbox.retry_dead(cursor, kind="corrupt") == 0
        assert outbox.retry_dead(cursor, ids=["2"]) == 0
        assert outbox.retry_dead(cursor, ids=["1"], kind="timed_out") == 1
        assert [c.attempts for c in _claim(cursor)] == [0]


def test_retry_counts_when_an_attempt_is_just_being_made(database: Database, documents: list[str]) -> None:
    """What it read may be what was put right since: the document is tried again, with all its attempts."""
    _change(database, 1)
    assert _fail_once(database, retry=True)
    with database.transaction() as cursor:
        cursor.execute("update rag_outbox set not_before = now(), attempts = %s", [WORKER.max_attempts - 1])
    with database.transaction() as cursor:
        [claim] = _claim(cursor)
    with database.transaction() as cursor:
        assert outbox.retry_dead(cursor) == 1
    failed = rows.outcome(claim, "failed", error_kind="timed_out", error_message="late", retry=True)
    with database.transaction() as cursor:
        assert outbox.fail(cursor, claim, failed, file=None, changed_at=None, run_id="a", worker=WORKER).retry
    with database.transaction() as cursor:
        assert [again.attempts for again in _claim(cursor, owner="run:b")] == [0]


def test_change_is_due_when_the_clock_was_set_back_after_it(database: Database, documents: list[str]) -> None:
    """Only a document that failed waits for its time."""
    _change(database, 1, 2)
    with database.transaction() as cursor:
        [claim] = _claim(cursor, limit=1)
        failed = rows.outcome(claim, "failed", error_kind="timed_out", error_message="late", retry=True)
        outbox.fail(cursor, claim, failed, file=None, changed_at=None, run_id="a", worker=WORKER)
        cursor.execute("update rag_outbox set not_before = now() + interval '1 hour'")
        assert [due.document_id for due in _claim(cursor)] == ["2"]


def test_fail_counts_nothing_when_the_document_changed_meanwhile(database: Database, documents: list[str]) -> None:
    """The failure was one of the older file: the newer one is due at once, with all its attempts."""
    claim = _claim_change(database)
    _change(database, 1, value="newer")
    failed = rows.outcome(claim, "failed", error_kind="corrupt", error_message="x")
    with database.transaction() as cursor:
        outbox.fail(cursor, claim, failed, file=None, changed_at=None, run_id="a", worker=WORKER)
    with database.transaction() as cursor:
        assert [(c.path, c.attempts) for c in _claim(cursor, owner="run:b")] == [("newer", 0)]


def test_a_change_is_never_lost_when_it_races_with_settling(database: Database, database_url: str) -> None:
    """Writers with delays before commit, workers that settle: what was settled last is what is in the table."""
    _sql(database, """insert into "TblDocumentFiles" (file_path) select '0' from generate_series(1, 10)""")
    settled: dict[str, str | None] = {}
    done = threading.Event()

    def work(name: str) -> None:
        while not done.is_set() or _left(database):
            with database.transaction() as cursor:
                claims = _claim(cursor, owner=f"run:{name}", limit=3)
            time.sleep(0.002)
            for claim in claims:
                _settle_or_release(database, claim, name=name, settled=settled)

    workers = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "c")]
    for thread in workers:
        thread.start()
    rows.in_threads([lambda seed=seed: _write_slowly(database_url, seed) for seed in range(6)])  # type: ignore[misc]
    done.set()
    for thread in workers:
        thread.join()
    assert settled == dict(_sql(database, 'select id::text, file_path from "TblDocumentFiles"'))


def _write_slowly(url: str, seed: int) -> None:
    choose = random.Random(seed)
    with closing(psycopg2.connect(url)) as connection:
        for n in range(40):
            with connection, connection.cursor() as cursor:
                values = {"path": f"{seed}-{n}", "id": choose.randint(1, 10)}
                cursor.execute('update "TblDocumentFiles" set file_path = %(path)s where id = %(id)s', values)
                time.sleep(choose.random() / 200)


def _settle_or_release(database: Database, claim: Claim, *, name: str, settled: dict[str, str | None]) -> None:
    with database.transaction() as cursor:
        if _settle(cursor, claim, owner=f"run:{name}"):
            settled[claim.document_id] = claim.path
            return
    with database.transaction() as cursor:
        outbox.release(cursor, f"run:{name}")


def test_status_counts_every_state_when_there_is_one_of_each(database: Database, documents: list[str]) -> None:
    """Python and SQL say the same: pending, running, failed and dead by kind; each document is counted once."""
    _change(database, 1, 2, 3, 4)
    _sql(database, "update rag_outbox set state = 'dead', error_kind = 'corrupt' where document_id = '1'")
    _sql(database, "update rag_outbox set error_kind = 'timed_out' where document_id = '2'")
    with database.transaction() as cursor:
        outbox.claim_documents(cursor, SOURCE, ["3"], run_id="a", seconds=60)
    with database.transaction() as cursor:
        status = outbox.status(cursor, SOURCE)
        cursor.execute("select documents, pending, running, failed, dead from rag_status")
        assert cursor.fetchone() == (5, 2, 1, {"timed_out": 1}, {"corrupt": 1})
    assert (status.documents, status.pending, status.running, status.up_to_date) == (5, 2, 1, 0)
    assert (status.failed, status.dead, status.chunks) == ({"timed_out": 1}, {"corrupt": 1}, 0)
    assert status.oldest_pending_at is not None


def _sql(database: Database, statement: str) -> list[tuple[object, ...]]:
    """One transaction, which begins as a look at the outbox does."""
    return rows.execute(database.url, f"select rag_take_changes(); {statement}")


def _pending(database: Database) -> set[object]:
    return {row[0] for row in _sql(database, "select document_id from rag_outbox")}


def _left(database: Database) -> int:
    with database.transaction() as cursor:
        return rows.pending(cursor)


def _change(database: Database, *ids: int, value: str = "v") -> None:
    _sql(
        database,
        f"""update "TblDocumentFiles" set file_path = '{value}' where id = any('{{{str(ids)[1:-1]}}}')""".replace(
            ",}", "}"
        ),
    )


def _claim(cursor: Cursor, *, owner: str = "run:a", limit: int = 100, seconds: float = 60) -> list[Claim]:
    return outbox.claim_due(cursor, SOURCE, limit=limit, claimed_by=owner, seconds=seconds)


def _settle(cursor: Cursor, claim: Claim, outcome: Outcome | None = None, *, owner: str = "run:a") -> bool:
    """Settle a claim if it is still the owner's; whether it was."""
    if not outbox.lock(cursor, [claim], owner=owner):
        return False
    outbox.settle(cursor, [(claim, outcome or rows.outcome(claim))], run_id=owner.removeprefix("run:"))
    return True


def _claim_change(database: Database, *, value: str = "v") -> Claim:
    _change(database, 1, value=value)
    with database.transaction() as cursor:
        (claim,) = _claim(cursor)
    return claim


def _fail_once(database: Database, *, retry: bool, worker: settings.Worker = WORKER) -> bool:
    with database.transaction() as cursor:
        (claim,) = _claim(cursor)
        failed = rows.outcome(claim, "failed", error_kind="timed_out", error_message="late", retry=retry)
        return outbox.fail(cursor, claim, failed, file=None, changed_at=None, run_id="a", worker=worker).retry


class _OpenTransaction:
    """A writer that has changed something and not committed yet; it commits at the end."""

    def __init__(self, url: str, statement: str) -> None:
        self._connection = psycopg2.connect(url)
        self._connection.cursor().execute(statement)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        self._connection.commit()
        self._connection.close()
