"""The index of vectors is looked after by itself: built, measured, built anew and dropped, and never in circles."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dagster import DagsterRunStatus

from rag_assets import operations, upkeep
from rag_assets.defs import events, sensors
from rag_assets.defs.jobs import index_job
from rag_assets.errors import SettingsError
from rag_assets.postgres import vector_index
from rag_assets.postgres.vector_index import Facts, Noted, VectorIndex
from rag_assets_tests.project import Project

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FACTS = Facts(version="0.8.5", rows=100_000, dimension=384, changes=1_000_000)
NOTED = Noted(
    built_at=NOW - timedelta(days=9),
    seconds=60.0,
    rows=100_000,
    size_bytes=130_000_000,
    recall_at_10=0.98,
    looked_at=NOW - timedelta(days=1),
    changes=999_000,
)
OURS = VectorIndex(name="rag_vectors_x_hnsw", kind="hnsw", is_valid=True, size_bytes=130_000_000, noted=NOTED)
NOT_WHOLE = VectorIndex(name="rag_vectors_x_hnsw_2", kind="hnsw", is_valid=False, size_bytes=0)
THEIRS = VectorIndex(name="nearest", kind="hnsw", is_valid=True, size_bytes=130_000_000)


def changed(what: Any, **changes: Any) -> Any:
    """The same with other values."""
    return type(what)(**{**vars(what), **changes})


LISTS = changed(OURS, name="rag_vectors_x_ivfflat", kind="ivfflat")
SITUATIONS: dict[str, tuple[Facts, list[VectorIndex], str, str]] = {
    "few": (changed(FACTS, rows=12_000), [], "keep", "12,000 vectors are compared one by one; an index is for 25,000"),
    "many": (FACTS, [], "build", "100,000 vectors"),
    "broken off": (FACTS, [NOT_WHOLE], "build", "a build was broken off"),
    "broken off beside": (FACTS, [OURS, NOT_WHOLE], "tidy", "rag_vectors_x_hnsw_2 is left"),
    "fewer again": (changed(FACTS, rows=13_000), [OURS], "keep", "the index that is there stays; 13,000"),
    "few again": (changed(FACTS, rows=12_499), [OURS], "drop", "12,499 vectors are compared one by one"),
    "few, and broken off": (changed(FACTS, rows=20_000), [NOT_WHOLE], "drop", "20,000 vectors"),
    "by hand": (FACTS, [THEIRS, NOT_WHOLE], "keep", "nearest was built by hand"),
    "few, by hand": (changed(FACTS, rows=5), [THEIRS], "keep", "nearest was built by hand"),
    "well": (FACTS, [OURS], "keep", "100,000 vectors have their index"),
    "old pgvector": (changed(FACTS, version="0.8.3"), [], "keep", "pgvector 0.8.3 can damage"),
    "old pgvector, built before": (changed(FACTS, version="0.8.3"), [OURS], "keep", "the index that is there stays"),
    "unknown": (FACTS, [changed(OURS, noted=None)], "measure", "much has changed"),
    "much changed": (changed(FACTS, changes=1_030_000), [OURS], "measure", "much has changed"),
    "server forgot": (changed(FACTS, changes=30_000), [OURS], "measure", "much has changed"),
    "just measured": (
        changed(FACTS, changes=1_030_000),
        [changed(OURS, noted=changed(NOTED, looked_at=NOW - timedelta(minutes=59)))],
        "keep",
        "have their index",
    ),
    "bloated": (
        FACTS,
        [changed(OURS, size_bytes=270_000_000)],
        "build",
        "its size is 270 MB, and that of a new one 1",
    ),
    "grown": (changed(FACTS, rows=300_000), [changed(OURS, size_bytes=390_000_000)], "keep", "have their index"),
    "lists": (FACTS, [LISTS], "build", "there is memory for a graph"),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_what_is_planned_depends_on_what_is_there(name: str) -> None:
    facts, there, step, reason = SITUATIONS[name]
    planned = upkeep.decide(facts, there, from_rows=25_000, available_bytes=1 << 34, now=NOW)
    assert planned.step == step
    assert reason in planned.reason


@pytest.mark.parametrize(
    ("facts", "there", "step"),
    [
        (FACTS, [], "build"),
        (FACTS, [OURS], "keep"),
        (FACTS, [changed(OURS, size_bytes=900_000_000)], "keep"),
        (FACTS, [LISTS], "keep"),
        (changed(FACTS, rows=400_001), [changed(LISTS, size_bytes=500_000_000)], "build"),
    ],
    ids=["none", "graph", "bloated graph", "lists", "lists for fewer"],
)
def test_a_graph_is_not_given_away_when_memory_is_short(facts: Facts, there: list[VectorIndex], step: str) -> None:
    """How much memory there is changes from minute to minute: an index that is there does not go to and fro with it."""
    planned = upkeep.decide(facts, there, from_rows=25_000, available_bytes=1 << 20, now=NOW)
    assert (planned.step, planned.advice.kind) == (step, "ivfflat")


@pytest.mark.parametrize(
    ("before", "found", "is_wanting"), [(0.98, 0.91, False), (0.98, 0.89, True), (0.9, 0.86, False)]
)
def test_an_index_is_built_anew_when_it_lost_more_than_chance(before: float, found: float, is_wanting: bool) -> None:
    """A new one that finds no more than the last one did would be built again and again."""
    index = changed(OURS, recall_at_10=found, noted=changed(NOTED, recall_at_10=before))
    assert bool(upkeep._found_wanting(index)) == is_wanting


class Vectors:
    """A project with an index from 200 vectors on, and rows of vectors without documents."""

    def __init__(self, project: Project, **search: Any) -> None:
        self.project = project
        self.services = project.services
        self.set(index_rows=200)
        self.sql = project.application.sql
        self.sql("alter table rag_document_chunks disable trigger user")  # words do not matter here
        project.rag.services = lambda **_options: self.services  # type: ignore[method-assign]

    def set(self, **search: Any) -> None:
        changed_search = self.services.settings.search.model_copy(update=search)
        self.services.settings = self.services.settings.model_copy(update={"search": changed_search})

    def add(self, count: int) -> None:
        self.sql(
            "insert into rag_document_chunks (document_id, chunk_index, content, content_sha256, token_count, "
            "char_start, char_end, kind, embedding_model, embedding) "
            "select 'd' || n, (select coalesce(max(id), 0) from rag_document_chunks), '', n, 1, 0, 1, 'prose', "
            f"'{self.services.settings.embedding.model}', "
            "(select array_agg(sin(n * i))::real[]::vector from generate_series(1, 384) as i) "
            f"from generate_series(1, {count}) as n"
        )

    def look(self) -> Any:
        """What the sensor says, or the run that it asks for."""
        return sensors._look_at_index(self.project.instance, self.services)

    def said(self) -> str:
        return str(self.look().skip_message)

    def run(self) -> dict[str, Any]:
        """The run that the sensor asks for; what it tells."""
        request = self.look()
        assert request.tags["rag_assets/index"]
        job = self.project.definitions.resolve_job_def(index_job.name)
        assert job.execute_in_process(instance=self.project.instance, tags=request.tags).success
        return {name: value.value for name, value in self.project.last(events.INDEX_ASSET).metadata.items()}

    def indexes(self) -> list[VectorIndex]:
        with self.services.database.transaction() as cursor:
            return vector_index.get_all(cursor, self.services.settings.embedding.model)


@pytest.fixture
def vectors(project: Project) -> Vectors:
    return Vectors(project)


def test_the_index_is_built_kept_and_dropped_by_itself(vectors: Vectors) -> None:
    """Once there are enough, and nothing is pending; and no more when there are half as many."""
    vectors.add(150)
    assert vectors.said() == "150 vectors are compared one by one; an index is for 200 and more."
    vectors.add(100)
    vectors.project.application.sql("""insert into "TblDocumentFiles" (file_path) values ('a.txt'), ('b.txt')""")
    assert vectors.said().startswith("build: 250 vectors; building takes 64 MB; waits: 2 documents are pending")
    vectors.sql("truncate rag_changes, rag_outbox")
    told = vectors.run()
    assert (told["step"], told["kind"], told["rows"], told["recall_at_10"]) == ("build", "hnsw", 250, 1.0)
    assert told["bytes"] > 0
    assert told["seconds_to_build"] > 0
    assert "built_at" in told
    assert vectors.said() == "250 vectors have their index."
    vectors.sql("delete from rag_document_chunks where document_id > 'd2'")
    told = vectors.run()
    assert (told["step"], told["kind"]) == ("drop", "exact")
    assert vectors.indexes() == []
    assert "compared one by one" in vectors.said()


def test_a_trickle_of_changes_holds_nothing_up(vectors: Vectors) -> None:
    """Where some document always changes, the outbox is never empty; what failed is not waited for."""
    vectors.sql("""insert into "TblDocumentFiles" (file_path) values ('a.txt'), ('b.txt')""")
    vectors.project.application.pending()
    assert upkeep.hindrance(vectors.services.database, rows=1_999) == "waits: 2 documents are pending"
    assert upkeep.hindrance(vectors.services.database, rows=2_000) == ""
    vectors.sql("update rag_outbox set error_kind = 'not_found'")
    assert upkeep.hindrance(vectors.services.database, rows=0) == ""


def test_an_index_that_is_not_whole_is_built_anew_and_leftovers_go(vectors: Vectors) -> None:
    """As a build leaves them that was killed, or whose program was killed while the server went on."""
    vectors.add(250)
    vectors.run()
    [first] = vectors.indexes()
    vectors.sql(f"update pg_index set indisvalid = false where indexrelid = '{first.name}'::regclass")
    told = vectors.run()
    assert told["step"] == "build"
    assert "a build was broken off" in told["reason"]
    [built] = vectors.indexes()
    vectors.sql(
        f"create index {built.name}_2 on rag_document_chunks using hnsw ((embedding::halfvec(384)) halfvec_cosine_ops) "
        f"where embedding_model = '{vectors.services.settings.embedding.model}'"
    )
    assert vectors.run()["step"] == "tidy"
    assert [one.name for one in vectors.indexes()] == [f"{built.name}_2"]


def test_nothing_is_done_by_itself_when_the_setting_says_so(vectors: Vectors) -> None:
    """The command does it; and an index that was built by hand is left alone in any case."""
    vectors.add(250)
    vectors.set(index="manual")
    assert vectors.said().startswith("search.index is manual")
    assert operations.build_index(vectors.services).is_valid
    assert operations.drop_index(vectors.services) == 1
    vectors.set(index="auto")
    vectors.sql(
        "create index nearest on rag_document_chunks using hnsw ((embedding::halfvec(384)) halfvec_cosine_ops) "
        f"where embedding_model = '{vectors.services.settings.embedding.model}'"
    )
    assert vectors.said() == "nearest was built by hand, and is left alone."


def test_an_index_of_an_earlier_version_is_measured_once(vectors: Vectors) -> None:
    """What follows is compared with that; when it was built, nobody knows."""
    vectors.add(250)
    [built] = [operations.build_index(vectors.services)]
    vectors.sql(f"comment on index {built.name} is null")
    told = vectors.run()
    assert (told["step"], told["recall_at_10"], "built_at" in told) == ("measure", 1.0, False)
    assert vectors.said() == "250 vectors have their index."


def test_one_run_at_a_time_is_asked_for_and_pauses_follow_failures(vectors: Vectors) -> None:
    """A build that cannot succeed, for want of memory or disk, is not tried every minute."""
    vectors.add(250)
    job = vectors.project.definitions.resolve_job_def(index_job.name)
    vectors.project.instance.create_run_for_job(job, status=DagsterRunStatus.STARTED)
    assert "a run is at work on it" in vectors.said()
    [run] = vectors.project.instance.get_runs()
    vectors.project.instance.report_run_failed(run)
    assert "the next one is tried in 10 minutes" in vectors.said()


def test_the_sensor_says_what_is_wrong_when_there_are_no_tables(vectors: Vectors) -> None:
    """It is no error of the sensor."""
    vectors.sql("drop table rag_document_chunks cascade")
    assert "rag-assets init" in vectors.said()


def test_the_run_says_in_a_sentence_that_somebody_builds(vectors: Vectors) -> None:
    """Two never build at once."""
    vectors.add(250)
    with vectors.services.database.autocommit() as cursor:
        cursor.execute("select pg_advisory_lock(hashtext('rag_assets.vector_index'), 0)")
        assert "another program builds" in vectors.said()
        with pytest.raises(SettingsError, match="Another program builds"):
            operations.tend_index(vectors.services)
