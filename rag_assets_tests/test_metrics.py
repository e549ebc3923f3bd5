"""What operators watch: counters that only rise, figures of the index only where they are known."""

import re
import threading
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from rag_assets import asking
from rag_assets.asking import Asking
from rag_assets.embedding import neighbour
from rag_assets.errors import NotEnoughMemory
from rag_assets.model import ClaimOwner, Outcome, State
from rag_assets.postgres import ingestion_log
from rag_assets.postgres.database import Database
from rag_assets.service.metrics import Metrics, of_index
from rag_assets.settings import Source
from rag_assets_tests import rows, serving
from rag_assets_tests.serving import Service, configured, served

STORED = Outcome(
    document_id="1",
    path="1.md",
    status="completed",
    stage="write",
    characters=100,
    chunks=5,
    chunks_embedded=3,
    chunks_reused=2,
    chunks_deleted=1,
    tokens=50,
    seconds={"read": 0.5, "chunk": 0.25, "embed": 2.0, "write": 0.125},
)
OF_INDEX = {"rag_assets_documents.indexed", "rag_assets_backlog.pending", "rag_assets_oldest_pending_seconds"}
FAILED = Outcome(
    document_id="2", path="2.pdf", status="failed", stage="read", error_kind="encrypted", error_message="locked"
)


def families(service: Service) -> list[Metric]:
    answer = service.ask("GET", "/metrics")
    assert answer.status_code == 200
    return list(text_string_to_metric_families(answer.text))


def samples(found: list[Metric]) -> dict[str, float]:
    """Each sample by its name and the values of its labels."""
    return {".".join([s.name, *s.labels.values()]): s.value for family in found for s in family.samples}


def log(url: str, *outcomes: Outcome, purge: bool = False) -> None:
    """Record attempts, long ago; with `purge`, forget what is not the last of its document."""
    with closing(Database(url)) as database, database.transaction() as cursor:
        ingestion_log.write_log(cursor, outcomes, run_id="r")
        cursor.execute("update rag_ingestion_log set logged_at = now() - interval '100 days'")
        if purge:
            ingestion_log.purge(cursor, days=90)


def test_counters_go_on_where_attempts_are_forgotten_and_the_service_starts_anew(
    database_url: str, tmp_path: Path
) -> None:
    """A counter that falls would be taken for one that began again, and counted twice."""
    config = configured(database_url, tmp_path / "home")
    log(database_url, STORED, FAILED)
    with served(config) as service:
        first = samples(families(service))
    assert first["rag_assets_attempts_total.completed"] == first["rag_assets_failures_total.encrypted"] == 1
    log(database_url, STORED, FAILED, STORED, purge=True)
    assert rows.execute(database_url, "select count(*) from rag_ingestion_log") == [(2,)]
    with served(config) as service:
        second = samples(families(service))
    assert second["rag_assets_attempts_total.completed"] == 3
    assert second["rag_assets_failures_total.encrypted"] == 2
    assert second["rag_assets_chunks_stored_total.embedded"] == 9
    assert second["rag_assets_chunks_stored_total.kept"] == 6
    assert (second["rag_assets_chunks_deleted_total"], second["rag_assets_tokens_stored_total"]) == (3, 150)
    stages = [second[f"rag_assets_stage_seconds_total.{stage}"] for stage in ("read", "cut", "embed", "store")]
    assert stages == [1.5, 0.75, 6.0, 0.375]
    assert rows.execute(database_url, "select count(*) from rag_ingestion_totals") == [(2,)]


def test_what_no_document_is_to_blame_for_counts_once_for_each_that_it_kept_from_work(database_url: str) -> None:
    """The log has its last time alone."""
    rows.execute(database_url, """insert into "TblDocumentFiles" (file_path) values ('a.md'), ('b.md')""")
    owner = ClaimOwner("run", "r")
    with closing(Database(database_url)) as database, database.transaction() as cursor:
        rows.enqueue(cursor, ["1", "2"])
        cursor.execute("update rag_outbox set claimed_by = %s, claimed_until = now()", (str(owner),))
        error = NotEnoughMemory(needed_bytes=2, available_bytes=1)
        for _ in range(2):
            assert ingestion_log.write_fault(cursor, Source(), error, claimed_by=owner, run_id="r") == 2
        assert ingestion_log.write_fault(cursor, Source(), error, claimed_by=ClaimOwner("run", "x"), run_id="x") == 0
    counted = "select error_kind, sum(attempts)::integer from rag_ingestion_totals group by 1"
    assert rows.execute(database_url, counted) == [("not_enough_memory", 4)]


def test_a_kind_of_failure_is_told_before_the_first_one(database_url: str, tmp_path: Path) -> None:
    """What is there at its first look has not increased, as Prometheus counts: 500 failures would raise no alert."""
    with served(configured(database_url, tmp_path / "home")) as service:
        found = samples(families(service))
        assert found["rag_assets_failures_total.encrypted"] == found["rag_assets_failures_total.server_failed"] == 0
        log(database_url, *[FAILED] * 500)
        assert samples(families(service))["rag_assets_failures_total.encrypted"] == 500


def test_what_waits_is_told_before_any_run(database_url: str, tmp_path: Path) -> None:
    """Documents by state, changes that nobody has seen, and for how long."""
    serving.fill(database_url)
    with closing(Database(database_url)) as database, database.transaction() as cursor:
        rows.enqueue(cursor, ["new", "north-1", "bad"])
        cursor.execute("update rag_outbox set enqueued_at = now() - interval '2 hours' where document_id = 'new'")
        cursor.execute("update rag_outbox set state = 'dead', error_kind = 'encrypted' where document_id = 'bad'")
    rows.execute(database_url, "delete from rag_changes; insert into rag_changes values (now(), 'insert', 'newest')")
    with served(configured(database_url, tmp_path / "home")) as service:
        found = samples(families(service))
        states = [found[f"rag_assets_documents.{state}"] for state in ("indexed", "pending", "running", "failed")]
        assert states == [3, 2, 0, 1]
        assert found["rag_assets_document_errors.encrypted"] == 1
        assert (found["rag_assets_backlog.pending"], found["rag_assets_backlog.unseen"]) == (2, 1)
        assert 7_200 <= found["rag_assets_oldest_pending_seconds"] < 10_000
        assert found["rag_assets_chunks"] == 7
        assert found["rag_assets_stored_bytes"] > 0
        rows.execute(database_url, "delete from rag_outbox; delete from rag_changes")
        after = samples(families(service))
        assert after["rag_assets_oldest_pending_seconds"] == 0
        assert "rag_assets_document_errors.encrypted" not in after


def test_starts_and_searches_are_counted(database_url: str, tmp_path: Path) -> None:
    """Those of the embedding server in the database, searches by the service."""
    serving.fill(database_url)
    config = configured(database_url, tmp_path / "home")
    for starts in (1, 2):
        with served(config) as service:
            service.search("pump", mode="vector")
            found = samples(families(service))
            assert found[f"rag_assets_embedder_starts_total.{rows.MODEL}"] == starts
            assert found[f"rag_assets_embedder_start_seconds_total.{rows.MODEL}"] > 0
            assert found["rag_assets_embedder_memory_bytes"] > 1_000_000
            assert (found["rag_assets_embedder_up"], found["rag_assets_question_embedder_starts_total"]) == (1, 1)
            assert found["rag_assets_searches_total.vector.ok"] == found["rag_assets_search_seconds_count.vector"] == 1


def test_a_count_of_chunks_that_takes_too_long_keeps_the_number_from_before(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first one there is none; all else is told, as the database is there."""
    monkeypatch.setattr(asking, "CHUNKS_SECONDS", -1.0)
    serving.fill(database_url)
    slow = (
        "alter table rag_document_chunks rename to whole;"
        "create view rag_document_chunks as select * from whole where pg_sleep(60) is not null"
    )
    fast = "drop view rag_document_chunks; alter table whole rename to rag_document_chunks"
    config = configured(database_url, tmp_path / "home", service={"request_seconds": 10})
    found = []
    with Asking(config) as asked:
        for change in (slow, fast, slow):
            rows.execute(database_url, change)
            found.append(asked.figures())
    assert [each.chunks for each in found] == [None, 7, 7]
    assert [each.states["indexed"] for each in found] == [4, 4, 4]
    assert b"embedder_memory" not in of_index(found[0], is_up=True, embedder_memory_bytes=None)
    assert b"rag_assets_chunks " not in of_index(found[0], is_up=True, embedder_memory_bytes=0)


def test_ticks_are_those_that_dagster_gave_numbers(database_url: str, tmp_path: Path) -> None:
    """However many of them it has forgotten since; none are told of where it keeps them elsewhere."""
    with served(configured(database_url, tmp_path / "home")) as service:
        assert "rag_assets_sensor_ticks_total" not in samples(families(service))
        rows.execute(
            database_url,
            "create schema dagster; create table dagster.job_ticks (id bigserial primary key); "
            "insert into dagster.job_ticks select from generate_series(1, 5); delete from dagster.job_ticks",
        )
        assert samples(families(service))["rag_assets_sensor_ticks_total"] == 5


def test_memory_is_looked_at_beside_what_answers_others(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All answers wait for the loop of events, and a look at every process takes its time."""
    threads: list[str] = []

    def look(_run: Path) -> int:
        threads.append(threading.current_thread().name)
        return 5

    monkeypatch.setattr(neighbour, "memory_bytes", look)
    with served(configured(database_url, tmp_path / "home")) as service:
        assert samples(families(service))["rag_assets_embedder_memory_bytes"] == 5
    assert [name.partition("_")[0] for name in threads] == ["metrics"]


def test_names_follow_the_rules_of_prometheus(database_url: str, tmp_path: Path) -> None:
    """Snake case, our prefix, counters in _total, and a sentence of each."""
    log(database_url, STORED, FAILED)
    with served(configured(database_url, tmp_path / "home")) as service:
        found = families(service)
    assert len(found) > 20
    for family in found:
        assert re.fullmatch(r"rag_assets(_[a-z]+)+", family.name)
        assert family.documentation.endswith(".")
        assert family.type in {"counter", "gauge", "histogram"}
        assert all(s.name.endswith("_total") == (family.type == "counter") for s in family.samples)


def test_a_database_without_tables_answers_and_has_no_figures(empty_database_url: str, tmp_path: Path) -> None:
    """It is there, and nothing is to be alarmed about."""
    with served(configured(empty_database_url, tmp_path / "home")) as service:
        found = samples(families(service))
    assert found["rag_assets_database_up"] == 1
    assert not [name for name in found if name.startswith("rag_assets_documents")]


def test_tables_of_a_newer_program_have_no_figures(database_url: str, tmp_path: Path) -> None:
    """What this program would count in them may be wrong; the database is there."""
    rows.execute(database_url, "insert into rag_migrations values ('999_future.sql', 'x')")
    with served(configured(database_url, tmp_path / "home")) as service:
        found = samples(families(service))
    assert found["rag_assets_database_up"] == 1
    assert not OF_INDEX.intersection(found)


@pytest.mark.parametrize("table", ["rag_document_chunks", "rag_outbox", "rag_ingestion_totals", "rag_chunk_words"])
def test_a_locked_table_is_no_database_that_is_away(table: str, database_url: str, tmp_path: Path) -> None:
    """As `vacuum full` locks it: the database answers all the same, and its numbers are back after it."""
    with served(configured(database_url, tmp_path / "home")) as service:
        with rows.locked(database_url, table):
            found = samples(families(service))
            assert found["rag_assets_database_up"] == 1
            assert not OF_INDEX.intersection(found)
        assert samples(families(service)).keys() > OF_INDEX


def test_each_status_and_state_is_told_before_the_first_one(database_url: str, tmp_path: Path) -> None:
    """What appears at 1 has not increased, as Prometheus counts."""
    with served(configured(database_url, tmp_path / "home")) as service:
        found = samples(families(service))
    statuses, states = ("completed", "failed", "skipped", "deleted"), get_args(State)
    assert [found[f"rag_assets_attempts_total.{status}"] for status in statuses] == [0] * 4
    assert [found[f"rag_assets_documents.{state}"] for state in states] == [0] * 6


def test_a_database_that_is_away_is_told_and_nothing_of_it(tmp_path: Path) -> None:
    """The answer comes all the same."""
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    with served(configured(url, tmp_path / "home")) as service:
        found = samples(families(service))
    assert found["rag_assets_database_up"] == 0
    assert found["rag_assets_embedder_memory_bytes"] == 0
    assert not [name for name in found if name.startswith(("rag_assets_documents", "rag_assets_attempts"))]


def test_starts_for_questions_are_counted_once() -> None:
    """However often somebody asks."""
    metrics = Metrics()

    def told(starts: int) -> float:
        text = metrics.render(
            None, is_up=False, embedder_starts=starts, embedder_runs=False, embedder_memory_bytes=0
        ).decode()
        return samples(list(text_string_to_metric_families(text)))["rag_assets_question_embedder_starts_total"]

    assert [told(starts) for starts in (1, 1, 3)] == [1, 1, 3]
