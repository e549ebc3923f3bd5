"""A webhook is told of runs that fail and of a backlog: a real receiver, runs of a real instance of Dagster."""

import json
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest
from dagster import DagsterInstance, DagsterRunStatus

from rag_assets import definitions, operations, settings
from rag_assets.defs import jobs, notices, sensors
from rag_assets.defs.jobs import run_config
from rag_assets.defs.notices import Told
from rag_assets.defs.resources import Rag
from rag_assets.errors import EmbeddingError
from rag_assets.services import Services
from rag_assets_tests.application import WORDS, HashEmbedder
from rag_assets_tests.project import Project, Short, submit
from rag_assets_tests.webhooks import SECRET, Receiver, receiving

PLAN_LOST: dict[str, Any] = {
    "asset_selection": None,
    "asset_check_selection": None,
    "execution_plan_snapshot_id": "purged",
}
HOUR = "interval '1 hour'"


class Watched:
    """A project whose sensor tells a receiver; its cursor goes from look to look, as Dagster keeps it."""

    def __init__(self, project: Project, receiver: Receiver) -> None:
        self.project = project
        self.receiver = receiver
        self.cursor: str | None = None
        self.set(pause_seconds=0)

    def set(self, *, dagster_url: str | None = "https://dagster.example.org/", **values: Any) -> None:
        config = self.project.services.settings
        notify = settings.Notify.model_validate({"url": self.receiver.url, **values})
        service = config.service.model_copy(update={"dagster_url": dagster_url})
        self.project.services.settings = config.model_copy(update={"notify": notify, "service": service})

    def look(self) -> str:
        """What the look says."""
        [sensor] = notices.notices(self.project.rag)
        with dg.build_sensor_context(instance=self.project.instance, cursor=self.cursor) as context:
            tick = sensor.evaluate_tick(context)
        self.cursor = tick.cursor
        assert tick.skip_message is not None
        assert tick.run_requests == []
        assert SECRET not in tick.skip_message + str(tick.cursor)
        return tick.skip_message

    def told(self) -> list[dict[str, Any]]:
        """What it is told by one look."""
        before = len(self.receiver.notices)
        self.look()
        return self.receiver.notices[before:]

    @property
    def known(self) -> Told:
        known = Told.parse(self.cursor)
        assert known is not None
        return known

    def know(self, **changed: Any) -> None:
        self.cursor = str(replace(self.known, **changed))

    def fail(self, message: str = sensors.GONE) -> str:
        """A run of the job that fails without doing anything; its id."""
        run_id = submit(self.project, tags={}, status=DagsterRunStatus.STARTED)
        run = self.project.instance.get_run_by_id(run_id)
        assert run is not None
        self.project.instance.report_run_failed(run, message)
        return run_id


@dg.asset
def other() -> None:
    """Somebody else's."""


@contextmanager
def holding(url: str, tables: str) -> Iterator[None]:
    """Somebody changes tables and has not committed that yet."""
    with closing(psycopg2.connect(url)) as other:
        with other.cursor() as cursor:
            cursor.execute(f"lock table {tables} in access exclusive mode")
        yield


@pytest.fixture
def watched(project: Project) -> Iterator[Watched]:
    """One that has looked once, before anything was."""
    with receiving() as receiver:
        made = Watched(project, receiver)
        assert made.look() == "Runs that fail from now on are told of."
        yield made


def test_documents_that_fail_are_told_by_kind_with_what_to_do_and_a_link(watched: Watched) -> None:
    """Those of a run that stored others, and those of one that stored nothing, in one notice; no name of a document."""
    application = watched.project.application
    application.add("good.txt", *WORDS)
    application.add_row("geheim-1.txt")
    watched.project.run()
    application.add_row("geheim-2.txt")
    application.add_row("geheim-3.exe")
    last = watched.project.run(succeeds=False).run_id
    [told] = watched.told()
    assert (told["event"], told["runs"], told["jobs"]) == ("runs_failed", 2, {"ingest_documents": 2})
    assert (told["failed_documents"], told["kinds"]) == (3, {"not_found": 3})
    assert (told["run_id"], told["run_url"]) == (last, f"https://dagster.example.org/runs/{last}")
    assert told["error"] == "2 documents were not ingested; all others of this run are stored."
    assert told["next"] == notices.OF_DOCUMENTS
    assert (told["pending"], told["runs_not_told"]) == (3, 0)
    assert told["oldest_pending_seconds"] >= 0
    assert "2 runs failed (2 ingest_documents).\n3 documents failed: 3 not_found.\n" in told["text"]
    assert told["text"].endswith(told["run_url"])
    assert "geheim" not in json.dumps(told)
    assert watched.told() == []


def test_what_keeps_runs_from_their_work_is_told(watched: Watched) -> None:
    """With the error itself, not with Dagster's word that a step failed; without a page, there is no link."""
    watched.set(dagster_url=None, pause_seconds=0)
    watched.project.embed_with(Short())
    watched.project.application.add("a.txt", *WORDS)
    watched.project.run(succeeds=False)
    [told] = watched.told()
    assert told["error"].startswith("rag_assets.errors.NotEnoughMemory: "), told["error"]
    assert (told["kinds"], told["failed_documents"], told["next"]) == ({}, 0, notices.OF_RUNS)
    assert told["run_url"] is None
    assert told["text"].count("\n") == 2


def test_runs_that_were_stopped_are_not_told(watched: Watched) -> None:
    """Nothing failed, and they are repeated; unless they were stopped so often that they are not."""
    for repeated in ({jobs.REPEATS_TAG: "true"}, jobs.NOT_BY_ITSELF):
        run_id = watched.fail()
        tags = {jobs.SUMMARY_TAG: jobs.STOPPED_SUMMARY, jobs.REPEATS_TAG: "false"}
        watched.project.instance.add_run_tags(run_id, tags | repeated)
        assert watched.told() == []
    run_id = watched.fail()
    watched.project.instance.add_run_tags(run_id, {jobs.SUMMARY_TAG: jobs.STOPPED_SUMMARY, jobs.REPEATS_TAG: "false"})
    assert [told["runs"] for told in watched.told()] == [1]


def test_runs_that_fail_within_the_pause_are_put_together(watched: Watched) -> None:
    """The first is told at once, and a burst after it makes one more notice."""
    watched.set(pause_seconds=3600)
    watched.fail()
    [told] = watched.told()
    assert (told["runs"], told["error"]) == (1, "The process of this run is gone.")
    ids = [watched.fail(f"{sensors.GONE} {n}") for n in range(4)]
    assert watched.look().startswith("4 runs failed: told in 3")
    watched.know(runs_at=watched.known.runs_at - 3601)
    ids.append(watched.fail(f"{sensors.GONE} 4"))
    [first, told] = watched.receiver.notices[:1] + watched.told()
    assert (first["runs"], told["runs"], told["error"], told["run_id"]) == (1, 5, f"{sensors.GONE} 4", ids[-1])
    assert watched.told() == []


def test_a_clock_that_was_set_back_holds_no_notice(watched: Watched) -> None:
    """By years, as of a board without a battery."""
    watched.set(pause_seconds=300)
    watched.know(runs_at=watched.known.runs_at + 10**10)
    watched.fail()
    assert [told["runs"] for told in watched.told()] == [1]


def test_of_many_runs_each_is_told_once(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are at once."""
    monkeypatch.setattr(notices, "MOST_RUNS", 2)
    for _ in range(5):
        watched.fail()
    assert [told["runs"] for _ in range(4) for told in watched.told()] == [2, 2, 1]


def test_a_notice_that_is_not_taken_is_tried_again_and_then_given_up(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged each time, without the URL; runs of which nobody was told are counted in the next notice."""
    watched.receiver.status = 500
    watched.fail()
    for n in range(1, notices.TRIES):
        said = watched.look()
        assert said.endswith(f"it answered 500. The next look tries again ({n} of {notices.TRIES})."), said
    watched.fail()
    assert watched.look().endswith(f"It was the last try ({notices.TRIES} of {notices.TRIES}).")
    assert [told["runs"] for told in watched.receiver.notices] == [1] * (notices.TRIES - 1) + [2]
    assert len([record for record in caplog.records if record.name == notices.__name__]) == notices.TRIES
    assert SECRET not in caplog.text
    assert watched.told() == []
    watched.receiver.status = 200
    watched.fail()
    [told] = watched.told()
    assert (told["runs"], told["runs_not_told"]) == (1, 2)
    assert "2 runs failed before, of which no notice was taken." in told["text"]
    assert (watched.known.tries, watched.known.untold) == (0, 0)


def test_runs_of_several_notices_that_were_given_up_are_counted_together(watched: Watched) -> None:
    """As long as none is taken; what is said of a backlog meanwhile is no answer for them."""
    watched.receiver.status = 500
    watched.fail()
    watched.know(untold=3, tries=notices.TRIES - 1, due="runs_failed")
    assert "It was the last try" in watched.look()
    assert (watched.known.untold, watched.known.tries) == (4, 0)
    watched.receiver.status = 200
    watched.project.application.add("a.txt", *WORDS)
    watched.project.application.sql(f"update rag_changes set changed_at = changed_at - 2 * {HOUR}")
    assert [told["event"] for told in watched.told()] == ["backlog"]
    assert watched.known.untold == 4


def test_of_an_error_its_first_line_is_told(watched: Watched) -> None:
    """Where it is long, its beginning; without what a terminal would obey."""
    watched.fail(f"{sensors.GONE} Red: \x1b[31m\nsecond line")
    [told] = watched.told()
    assert told["error"] == f"{sensors.GONE} Red: \\x1b[31m"
    message = sensors.GONE + " long" * 1_000
    watched.fail(message)
    [told] = watched.told()
    assert told["error"] == message[: notices.ERROR_CHARACTERS]


class Quoting(HashEmbedder):
    """An embedder whose error names the document."""

    def embed(self, texts: Any, *, token_counts: Any) -> Any:
        raise EmbeddingError("Document geheim.pdf: 3 chunks cut, 2 stored.")


def test_what_hinders_a_backlog_names_no_document(watched: Watched) -> None:
    """Where the last run's error does."""
    watched.project.embed_with(Quoting())
    watched.project.application.add("a.txt", *WORDS)
    watched.project.run(succeeds=False)
    [told] = watched.told()
    assert told["error"] == notices.ELSEWHERE.format(what="EmbeddingError")
    watched.project.application.sql(f"update rag_outbox set enqueued_at = enqueued_at - 2 * {HOUR}")
    [told] = watched.told()
    assert (told["event"], told["pending"]) == ("backlog", 1)
    assert "The last run could not do its work, and what it held is pending: its page" in told["next"]
    assert "geheim.pdf" not in json.dumps(told)


class Astray(HashEmbedder):
    """An embedder with an error that nobody thought of."""

    def embed(self, texts: Any, *, token_counts: Any) -> Any:
        raise KeyError("geheim.pdf")


def test_what_may_name_a_document_is_not_told(watched: Watched) -> None:
    """The words of others stay on the run's page; of an exception, its class is told."""
    watched.fail("Could not find a partition with key `geheim.pdf`")
    [told] = watched.told()
    assert told["error"] == notices.ELSEWHERE.format(what="No step")
    watched.project.embed_with(Astray())
    watched.project.application.add("a.txt", *WORDS)
    watched.project.run(succeeds=False)
    [told] = watched.told()
    assert told["error"] == notices.ELSEWHERE.format(what="KeyError")
    watched.project.rag.services = lambda **_options: watched.project.services  # type: ignore[method-assign]
    job = watched.project.definitions.resolve_job_def("accept_documents")
    config = {"ops": {"accept_unreadable": {"config": {"document_ids": ["geheim.pdf"]}}}}
    ran = job.execute_in_process(instance=watched.project.instance, run_config=config, raise_on_error=False)
    [told] = watched.told()
    assert (told["run_id"], told["error"]) == (ran.run_id, "1 document that is not in the table: nothing is done.")
    assert "geheim" not in json.dumps(watched.receiver.notices).replace(SECRET, "")


@pytest.mark.parametrize("step", ["ingest", "theirs"])
@pytest.mark.parametrize("kinds", [7, {"a": "b"}, "corrupt", {"x": {"y": 1}}])
def test_kinds_of_others_are_no_documents(watched: Watched, step: str, kinds: Any) -> None:
    """What others put beside their failures has their own shape, and the next notice comes, too."""

    @dg.op(name=step)
    def fails() -> None:
        raise dg.Failure("Theirs.", metadata={"kinds": kinds})

    @dg.job
    def init() -> None:
        fails()

    init.execute_in_process(instance=watched.project.instance, raise_on_error=False)
    [told] = watched.told()
    assert (told["jobs"], told["kinds"], told["failed_documents"]) == ({"init": 1}, {}, 0)
    assert told["error"] == ("Theirs." if step == "ingest" else notices.ELSEWHERE.format(what="Failure"))
    watched.fail()
    assert [told["runs"] for told in watched.told()] == [1]


def test_a_run_that_cannot_be_described_is_told(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without details."""

    def broken(*_args: object, **_named: object) -> None:
        raise RuntimeError("an event that this release cannot read")

    monkeypatch.setattr(DagsterInstance, "all_logs", broken)
    run_id = watched.fail()
    [told] = watched.told()
    assert (told["run_id"], told["error"]) == (run_id, notices.ELSEWHERE.format(what="An error"))


def test_each_notice_has_its_own_tries(watched: Watched) -> None:
    """Those of a backlog count nothing against a run that fails then."""
    watched.receiver.status = 500
    watched.project.application.add("a.txt", *WORDS)
    watched.project.application.sql(f"update rag_changes set changed_at = changed_at - 2 * {HOUR}")
    for _ in range(notices.TRIES - 1):
        watched.look()
    watched.fail()
    assert watched.look().endswith(f"The next look tries again (1 of {notices.TRIES}).")
    assert (watched.known.due, watched.known.untold) == ("runs_failed", 0)


def test_a_notice_is_told_when_the_webhook_is_back(watched: Watched) -> None:
    """With what failed meanwhile."""
    watched.receiver.status = 503
    watched.fail()
    watched.look()
    watched.receiver.status = 200
    watched.fail()
    assert [(told["runs"], told["runs_not_told"]) for told in watched.told()] == [(2, 0)]
    assert watched.known.tries == 0


def test_runs_of_others_and_those_before_the_first_look_are_not_told(watched: Watched) -> None:
    """An instance may have other projects; a run of Dagster's own job of all assets is ours where one of ours is."""

    @dg.op
    def fails() -> None:
        raise dg.Failure("not ours")

    @dg.job
    def others() -> None:
        fails()

    instance = watched.project.instance
    others.execute_in_process(instance=instance, raise_on_error=False)
    before = watched.known.run_event
    assert watched.told() == []
    assert watched.known.run_event > before, "what is not ours is passed over once"
    watched.fail()
    watched.cursor = None
    watched.look()
    assert watched.told() == []
    asset_job = watched.project.definitions.get_repository_def().get_job("__ASSET_JOB")
    run = instance.create_run_for_job(asset_job, asset_selection=frozenset({dg.AssetKey("chunks")}))
    instance.report_run_failed(run)
    assert [told["jobs"] for told in watched.told()] == [{"__ASSET_JOB": 1}]


@pytest.mark.parametrize("of", ["checks", "all"])
def test_what_is_launched_on_the_page_is_told(watched: Watched, of: str) -> None:
    """Checks alone, or all that there is without a selection."""
    job = watched.project.definitions.get_repository_def().get_job("__ASSET_JOB")
    instance = watched.project.instance
    run = instance.create_run_for_job(job)
    assert run.asset_selection is None
    if of == "checks":
        checked = frozenset({dg.AssetCheckKey(dg.AssetKey("TblDocumentFiles"), "index_in_step")})
        alone = {"asset_selection": frozenset(), "asset_check_selection": checked, "execution_plan_snapshot_id": None}
        run = instance.add_run(run._replace(run_id=str(uuid.uuid4()), **alone))
    instance.report_run_failed(run)
    assert [told["jobs"] for told in watched.told()] == [{"__ASSET_JOB": 1}]
    theirs = dg.Definitions(assets=[other]).get_repository_def().get_job("__ASSET_JOB")
    instance.report_run_failed(instance.create_run_for_job(theirs))
    lost = instance.add_run(run._replace(run_id=str(uuid.uuid4()), **PLAN_LOST))
    instance.report_run_failed(lost)
    assert watched.told() == []


def test_a_backlog_is_told_when_it_begins_and_when_it_is_over(watched: Watched) -> None:
    """Once each, whether or not a look has seen the changes yet."""
    watched.project.application.add("a.txt", *WORDS)
    assert watched.told() == []
    watched.project.application.sql(f"update rag_changes set changed_at = changed_at - 2 * {HOUR}")
    [told] = watched.told()
    assert (told["event"], told["limit_seconds"], told["pending"]) == ("backlog", 3600, 1)
    assert told["oldest_pending_seconds"] >= 7200
    assert "the sensor document_changes" in told["next"]
    assert watched.told() == []
    watched.project.run()
    [told] = watched.told()
    assert (told["event"], told["pending"], told["oldest_pending_seconds"]) == ("backlog_over", 0, 0)
    assert watched.told() == []


def test_deletions_that_are_held_are_told_when_they_begin_and_when_they_are_over(watched: Watched) -> None:
    """Somebody has to say whether they are meant, and they are no backlog."""
    application = watched.project.application
    for number in range(60):
        application.add(f"{number}.txt", f"word{number}")
    watched.project.run()
    assert watched.told() == []
    application.sql('delete from "TblDocumentFiles"')
    watched.project.run()
    [told] = watched.told()
    assert (told["event"], told["held"]) == ("deletions_held", 60)
    assert "rag-assets confirm-deletions" in told["next"]
    assert "60 deletions are held, as so many rows are gone at once: the documents stay indexed.\n" in told["text"]
    assert watched.told() == []
    operations.confirm_deletions(watched.project.services)
    watched.project.run()
    [told] = watched.told()
    assert (told["event"], told["held"], told["next"]) == ("deletions_held_over", 0, None)
    assert watched.told() == []


def test_a_backlog_is_told_with_what_hinders(watched: Watched) -> None:
    """As `rag-assets status` says it."""
    application = watched.project.application
    application.add("a.txt", *WORDS)
    application.sql(f"update rag_changes set changed_at = changed_at - 2 * {HOUR}")
    application.sql('alter table "TblDocumentFiles" disable trigger rag_document_changed')
    [told] = watched.told()
    assert "lacks our triggers, or they are off" in told["next"]
    assert f"What to do: {told['next']}" in told["text"]


def test_the_end_of_a_backlog_that_nobody_was_told_of_is_told_once(watched: Watched) -> None:
    """A webhook that takes nothing is asked TRIES times for each notice, and no more."""
    watched.receiver.status = 500
    watched.project.application.add("a.txt", *WORDS)
    watched.project.application.sql(f"update rag_changes set changed_at = changed_at - 2 * {HOUR}")
    for _ in range(notices.TRIES + 3):
        watched.look()
    assert [told["event"] for told in watched.receiver.notices] == ["backlog"] * notices.TRIES


def test_a_backlog_that_ends_before_it_could_be_told_is_none(watched: Watched) -> None:
    """The next notice has all of its tries."""
    watched.receiver.status = 500
    watched.project.application.add("a.txt", *WORDS)
    watched.project.application.sql(f"update rag_changes set changed_at = changed_at - 2 * {HOUR}")
    watched.look()
    assert (watched.known.tries, watched.known.backlog) == (1, False)
    watched.project.run()
    watched.receiver.status = 200
    assert watched.told() == []
    assert (watched.known.tries, watched.known.backlog) == (0, False)


def test_a_table_that_somebody_holds_keeps_no_notice(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the changes, what nobody knows is null; of a backlog, the documents table is not needed at all."""
    monkeypatch.setattr(operations, "GLANCE_SECONDS", 0.2)
    application = watched.project.application
    application.add("a.txt", *WORDS)
    application.sql(f"update rag_changes set changed_at = changed_at - 2 * {HOUR}")
    watched.fail()
    with holding(application.url, "rag_changes"):
        [told] = watched.told()
        assert (told["event"], told["pending"], told["oldest_pending_seconds"]) == ("runs_failed", None, None)
        assert watched.told() == []
    with holding(application.url, '"TblDocumentFiles", rag_document_chunks, rag_runs'):
        [told] = watched.told()
    assert (told["event"], told["pending"]) == ("backlog", 1)
    assert "the sensor document_changes" in told["next"]


def test_nothing_is_told_that_dagster_would_forget(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that was long in preparing tells nothing, and the next one does."""
    monkeypatch.setattr(notices, "PREPARING_SECONDS", -1.0)
    watched.fail()
    before = watched.cursor
    assert "nothing is told at this look" in watched.look()
    assert (watched.cursor, watched.receiver.notices) == (before, [])
    monkeypatch.undo()
    assert [told["runs"] for told in watched.told()] == [1]


def test_a_look_beside_one_that_is_under_way_does_nothing(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster gives a look up and begins another one, while the first is still in its process."""
    [sensor] = notices.notices(watched.project.rag)
    whole, said = notices._look, []

    def looks_within(*args: Any) -> Any:
        with dg.build_sensor_context(instance=watched.project.instance, cursor=watched.cursor) as context:
            tick = sensor.evaluate_tick(context)
        said.append((tick.skip_message, tick.cursor))
        return whole(*args)

    monkeypatch.setattr(notices, "_look", looks_within)
    with dg.build_sensor_context(instance=watched.project.instance, cursor=watched.cursor) as context:
        assert sensor.evaluate_tick(context).skip_message == "Nothing is to be told."
    assert said == [("A look that Dagster gave up is still under way.", watched.cursor)]


def test_runs_are_told_of_where_the_database_is_away(tmp_path: Path) -> None:
    """Then more than ever; what nobody knows is null."""
    with (
        receiving() as receiver,
        DagsterInstance.ephemeral() as instance,
        Services(
            settings.load(
                home=tmp_path,
                database_url="postgresql://nobody:geheim@127.0.0.1:1/nothing",
                notify={"url": receiver.url},
            )
        ) as services,
    ):
        told, _ = notices._look(instance, services, None)
        run = instance.create_run_for_job(definitions.defs.resolve_job_def("reconcile"))
        instance.report_run_failed(run, sensors.GONE)
        told, said = notices._look(instance, services, told)
        assert said.startswith("Told: ")
        assert notices._look(instance, services, told)[1] == "Nothing is to be told."
    [notice] = receiver.notices
    assert (notice["jobs"], notice["error"]) == ({"reconcile": 1}, sensors.GONE)
    assert (notice["pending"], notice["oldest_pending_seconds"]) == (None, None)
    assert "geheim" not in json.dumps(notice).replace(SECRET, "")


def test_the_sensor_is_there_where_a_url_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the others, in what Dagster loads; without, nobody is told, and nothing looks."""

    def names(**sections: Any) -> list[str]:
        monkeypatch.setattr(definitions, "rag", Rag(Services(settings.load(home=tmp_path, **sections))))
        return [sensor.name for sensor in definitions.of_index().sensors or ()]

    assert names() == ["document_changes", "index_of_vectors"]
    assert names(notify={"url": f"https://hooks.example.org/{SECRET}"})[2:] == ["notices"]


@pytest.mark.parametrize("cursor", [None, "", "{}", "7", "[1]", '{"run_event": 1, "other": 2}', "no json"])
def test_a_cursor_of_something_else_is_none(cursor: str | None) -> None:
    """The sensor then begins anew."""
    assert Told.parse(cursor) is None


def test_a_cursor_is_read_as_it_was_written() -> None:
    told = Told(run_event=3, runs_at=1.5, backlog=True, tries=2, due="backlog", untold=4)
    assert Told.parse(str(told)) == told


def test_a_cursor_from_before_events_had_tries_is_read() -> None:
    """A new version begins where the old one ended."""
    assert Told.parse('{"run_event": 3, "runs_at": 1.5, "backlog": true, "tries": 2, "untold": 4}') == Told(
        run_event=3, runs_at=1.5, backlog=True, tries=2, untold=4
    )


def test_documents_of_a_run_can_be_ingested_again_by_what_is_told(watched: Watched) -> None:
    """The run that a notice names is the one that holds what failed."""
    document_id = watched.project.application.add_row("missing.txt")
    watched.project.application.add("good.txt", *WORDS)
    watched.project.run(run_config=run_config(document_ids=["1", "2"]))
    [told] = watched.told()
    run = watched.project.instance.get_run_by_id(told["run_id"])
    assert run is not None
    assert run.run_config["ops"]["ingest"]["config"]["document_ids"] == [document_id]
