"""Rows whose ids are odd, missing, doubled or of another type than before: each is named, and none stops the others."""

import secrets
from collections.abc import Sequence

import pytest

from rag_assets.errors import SettingsError
from rag_assets.model import FailedDocument
from rag_assets.postgres import documents, outbox, reconcile
from rag_assets.postgres.documents import ID_BYTES
from rag_assets_tests.application import WORDS, Application

TABLE = '"TblDocumentFiles"'
ODD = [
    "",
    " ",
    "a",
    "A",
    "a ",
    "a\tb\x01\x1b[2J",
    "one,two",
    "a...b",
    "two\nlines",
    "\U0001f600",
    "'; drop table x; --",
    "{braces} %s %",
    "\u202e",
    "é" * (ID_BYTES // 2),
    "\x01" * ID_BYTES,
]


def replace_table(application: Application, columns: str) -> None:
    """Another table of the same name, as an application's own migration makes it."""
    application.sql(f"drop table {TABLE}; create table {TABLE} ({columns})")
    migrate(application)


def migrate(application: Application) -> None:
    application.database.migrate(application.settings.source, dimension=384)


def insert(application: Application, ids: Sequence[object], *, path: str = "a.txt") -> None:
    with application.database.transaction() as cursor:
        cursor.executemany(f"insert into {TABLE} values (%s, %s)", [(one, path) for one in ids])


def failed_documents(application: Application) -> list[FailedDocument]:
    with application.database.transaction() as cursor:
        return outbox.failed_documents(cursor, application.settings.source, limit=20)


def ids_of(application: Application) -> list[str]:
    with application.database.transaction() as cursor:
        return documents.all_ids(cursor, application.settings.source)


def test_document_is_stored_whatever_its_id(application: Application) -> None:
    """Each of these is a document of its own, as PostgreSQL tells them apart."""
    replace_table(application, "id text primary key, file_path text")
    application.write("a.txt", WORDS[0])
    insert(application, ODD)
    outcomes = application.run()
    assert {key: one.status for key, one in outcomes.items()} == dict.fromkeys(ODD, "completed")
    assert application.pending() == []
    assert set(ids_of(application)) == set(ODD)


@pytest.mark.parametrize("size", [ID_BYTES + 1, 2_685, 5_000, 1_000_000])
def test_row_is_named_when_its_id_is_too_long(application: Application, size: int) -> None:
    """Through the trigger, the first fill and reconciliation: the application's write succeeds, the others go on."""
    replace_table(application, "id text, file_path text")  # no key: its index would refuse what is too long for it
    application.write("a.txt", WORDS[0])
    long = secrets.token_hex(size)[:size]
    insert(application, [long, "short"])
    assert set(application.run()) == {"short"}
    migrate(application)
    reconcile.reconcile_table(application.database, application.settings.source, fingerprints=["f"], models=["m"])
    assert long not in application.run(run_id="2")
    [trouble] = failed_documents(application)
    assert (trouble.error_kind, trouble.seconds_to_next) == ("id_too_long", None)
    assert trouble.document_id == f"{long[:60]}..."
    assert "longer than 800 bytes: give it a shorter one" in trouble.error_message
    assert ids_of(application) == ["short"]
    application.sql(f"update {TABLE} set id = 'shorter' where id <> 'short'")
    assert application.run(run_id="3")["shorter"].status == "completed"
    assert failed_documents(application) == []


def test_changes_are_taken_when_one_of_an_earlier_version_has_a_long_id(application: Application) -> None:
    """What the trigger wrote down before ids were limited stops nothing, though its row is gone."""
    application.sql("insert into rag_changes (operation, document_id) values ('insert', repeat(md5('x'), 200))")
    document_id = application.add("a.txt", WORDS[0])
    assert application.run()[document_id].status == "completed"
    assert application.sql("select * from rag_changes") == []


def test_rows_are_named_when_they_have_no_id(application: Application) -> None:
    """They are no documents, are shown as what they are, and become documents when they have an id."""
    replace_table(application, "id int, file_path text")
    application.write("a.txt", WORDS[0])
    insert(application, [None, None, 1])
    application.sql(f"insert into {TABLE} values (null, null)")  # no path either: nothing that anybody could miss
    migrate(application)
    assert set(application.run()) == {"1"}
    assert ids_of(application) == ["1"]
    assert {one.error_kind for one in failed_documents(application)} == {"id_missing"}
    with application.database.transaction() as cursor:
        status = outbox.status(cursor, application.settings.source)
    assert (status.documents, status.up_to_date, status.dead) == (3, 1, {"id_missing": 2})
    assert status.faults == ["2 documents failed (2 id_missing): correct them, then rag-assets retry."]
    application.sql(f"update {TABLE} set id = 2 where ctid = (select min(ctid) from {TABLE} where id is null)")
    assert application.run(run_id="2")["2"].status == "completed"


def test_document_fails_alone_when_several_rows_have_its_id(application: Application) -> None:
    """Which of them counts is for nobody to guess; when one of them is left, it is read."""
    replace_table(application, "id int, file_path text")
    application.write("a.txt", WORDS[0])
    application.write("b.txt", WORDS[1])
    insert(application, [1, 7, 2])
    insert(application, [7], path="b.txt")
    outcomes = application.run()
    assert {key: one.status for key, one in outcomes.items()} == {"1": "completed", "2": "completed", "7": "failed"}
    assert (outcomes["7"].error_kind, outcomes["7"].retry) == ("id_doubled", False)
    assert str(outcomes["7"].error_message).startswith("2 rows of the table have the id 7")
    assert ids_of(application) == ["1", "2", "7"]
    with application.database.transaction() as cursor:
        status = outbox.status(cursor, application.settings.source)
    assert (status.documents, status.up_to_date, status.dead) == (3, 2, {"id_doubled": 1})
    assert len(status.faults) == 1
    application.sql(f"delete from {TABLE} where file_path = 'b.txt'")
    assert application.run(run_id="2")["7"].status == "completed"


def test_runs_go_on_when_the_table_was_replaced_by_one_with_ids_of_another_type(application: Application) -> None:
    """Old ids are no ids of the new column: in claims, in what was given up, and in what is asked for."""
    replace_table(application, "id uuid primary key default gen_random_uuid(), file_path text")
    application.write("a.txt", WORDS[0])
    application.sql(f"insert into {TABLE} (file_path) values ('a.txt'), ('none.txt')")
    application.run()
    application.sql("update rag_outbox set state = 'dead', not_before = now()")
    application.sql("insert into rag_changes (operation, document_id) values ('update', gen_random_uuid())")
    # without `init`, and in the process that knew the old one
    application.sql(f"drop table {TABLE}; create table {TABLE} (id bigint primary key, file_path text)")
    outcomes = application.run(run_id="2")
    assert [one.status for one in outcomes.values()] == ["deleted"]
    with application.database.transaction() as cursor:
        assert outbox.dead(cursor, application.settings.source) == []
        asked = ["0", "abc", "99999999999999999999", "6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b", ""]
        assert documents.get_documents(cursor, application.settings.source, asked) == {}
    migrate(application)
    insert(application, [1])
    assert application.run(run_id="3")["1"].status == "completed"
    reconcile.reconcile_table(application.database, application.settings.source, fingerprints=["f"], models=["m"])
    assert "deleted" in {one.status for one in application.run(run_id="4").values()}


@pytest.mark.parametrize(
    ("id_type", "given"),
    [
        ("numeric", ["1.0", "2.00", "-3"]),
        ("char(5)", ["ab", "cd  ", "9"]),
        ("varchar(3)", ["ab", "b  "]),
        ("real", ["1.5", "0.1"]),
        ("timestamp", ["2024-02-03 04:05:06", "infinity"]),
        ("timestamptz", ["2024-02-03 04:05:06+02"]),
        ("date", ["2024-02-03"]),
        ("bytea", ["\\xff00", "\\x"]),
        ("int[]", ["{1,2}", "{}"]),
        ("int4range", ["[1,4)", "empty"]),
        ("named", ['(1,"a ""b"", c")']),
        ("small", ["7"]),
        ("inet", ["10.0.0.1"]),
        ("mood", ["glad"]),
    ],
)
def test_document_is_stored_whatever_the_type_of_its_id(
    application: Application, id_type: str, given: list[str]
) -> None:
    """One document for each row, found again by the id under which it is stored, also by a change and a deletion."""
    application.sql(
        "create type named as (n int, name text); create domain small as int check (value < 10); "
        "create type mood as enum ('glad', 'sad')"
    )
    replace_table(application, f"id {id_type} primary key, file_path text")
    application.write("a.txt", WORDS[0])
    insert(application, given)
    stored = set(application.run())
    assert stored == set(ids_of(application))
    assert len(stored) == len(given)
    application.sql(f"set datestyle = 'German'; set timezone = 'Asia/Tokyo'; update {TABLE} set file_path = 'b.txt'")
    application.write("b.txt", WORDS[1])
    assert {key: one.status for key, one in application.run(run_id="2").items()} == dict.fromkeys(stored, "completed")
    application.sql(f"set bytea_output = 'escape'; set extra_float_digits = 0; delete from {TABLE}")
    assert {key: one.status for key, one in application.run(run_id="3").items()} == dict.fromkeys(stored, "deleted")
    assert application.sql("select * from rag_document_text") == []


def test_document_goes_when_its_id_is_written_another_way(application: Application) -> None:
    """1.0 and 1.00 are equal, and two names: the old one is not found any more, and neither is another case."""
    replace_table(application, "id numeric primary key, file_path text")
    application.write("a.txt", WORDS[0])
    insert(application, ["1.0"])
    application.run()
    application.sql(f"update {TABLE} set id = 1.00")
    assert {key: one.status for key, one in application.run(run_id="2").items()} == {
        "1.0": "deleted",
        "1.00": "completed",
    }


def test_migrate_names_the_setting_when_ids_are_computed_as_they_are_read(application: Application) -> None:
    """PostgreSQL shows its triggers nothing of such a column: every change would go unseen."""
    with pytest.raises(SettingsError, match="a virtual column, which no trigger sees"):
        replace_table(application, "file_path text, id text generated always as (file_path || '-x') virtual")


@pytest.mark.parametrize("id_type", ["json", "xml", "point"])
def test_migrate_names_the_setting_when_ids_cannot_be_compared(application: Application, id_type: str) -> None:
    """A type without equality is refused before its trigger could fail the application's writes."""
    with pytest.raises(SettingsError, match=r"source\.id_column is 'id', whose values cannot be compared"):
        replace_table(application, f"id {id_type}, file_path text")
    insert(application, [None])


@pytest.mark.parametrize("path", ["", " ", "x" * 1_000_000, "\\0", "a\\u0000b", "\x01\x1b[2J", "../" * 3_000, "a\nb"])
def test_document_fails_alone_when_its_path_is_none(application: Application, path: str) -> None:
    """With a kind of its own; a row without a path is no document."""
    replace_table(application, "id int primary key, file_path text")
    application.write("a.txt", WORDS[0])
    insert(application, [1, 2])
    insert(application, [3], path=path)
    insert(application, [4], path=None)  # type: ignore[arg-type]
    outcomes = application.run()
    assert {key: one.status for key, one in outcomes.items()} == {
        "1": "completed",
        "2": "completed",
        "3": "failed",
        "4": "deleted",
    }
    assert outcomes["3"].error_kind in ("not_found", "outside_root")
    assert len(str(outcomes["3"].error_message)) <= 1_001


def test_register_refuses_when_rows_get_no_id(application: Application) -> None:
    """Rows that no one could ever name are not added in silence."""
    replace_table(application, "id int, file_path text")
    with (
        pytest.raises(SettingsError, match="get no id by themselves: give the column a default"),
        application.database.transaction() as cursor,
    ):
        documents.register(cursor, application.settings.source, ["a"])
    assert application.sql(f"select count(*) from {TABLE}") == [(0,)]
