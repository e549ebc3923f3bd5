"""Documents that cannot be read and may be so: they fail nothing until their file changes."""

import json
import os

import pytest
from click.testing import CliRunner

from rag_assets import operations, pipeline, settings
from rag_assets.cli import main
from rag_assets.defs import checks, events, jobs
from rag_assets.errors import SettingsError
from rag_assets.postgres import callers, documents, outbox, stories
from rag_assets_tests.application import WORDS, Application
from rag_assets_tests.project import Project

KINDS = ("empty",)


def add_empty(application: Application, name: str = "empty.txt") -> str:
    """A document that cannot be read, however often it is tried."""
    (application.files / name).touch()
    return application.add_row(name)


def accept(project: Project, **selected: object) -> list[str]:
    accepted = operations.accept(project.services, **selected).accepted
    events.tell_accepted(project.instance, accepted)
    return [one.document_id for one in accepted]


def test_failed_document_is_shown_as_accepted_when_it_was(project: Project) -> None:
    """By the status, the check, its story, the service and Dagster alike; what is well is left alone."""
    good, bad = project.application.add("a.txt", *WORDS), add_empty(project.application)
    project.run()
    assert project.partitions("FAILED") == {bad}
    seen = "select path, state from rag_documents order by document_id"
    assert project.application.sql(seen) == [("a.txt", "indexed"), ("empty.txt", "failed")]
    assert accept(project) == [bad]
    status = operations.status(project.services)
    assert (status.dead, status.accepted, status.faults) == ({}, {"empty": 1}, [])
    assert checks.evaluation(operations.status(project.services)).passed
    assert project.partitions("FAILED") == set()
    assert project.partitions("MATERIALIZED") == {good, bad}
    assert project.last("raw_text").metadata["status"].value.startswith("accepted, until its file changes: empty: ")
    with project.services.database.transaction() as cursor:
        source = project.services.settings.source
        assert [one.state for one in stories.get(cursor, source, [good, bad], attempts=1)] == ["indexed", "accepted"]
        assert dict((state, n) for state, _, n in callers.count_documents(cursor)) == {"indexed": 1, "accepted": 1}
        assert outbox.failed_documents(cursor, source, limit=9) == []


def test_run_succeeds_when_only_what_was_accepted_cannot_be_read(project: Project) -> None:
    """Also where it is asked for each partition, as by a backfill; its log says which were not read."""
    project.application.add("a.txt", *WORDS)
    bad = add_empty(project.application)
    project.run()
    accept(project)
    result = project.run(tags={"dagster/partition": bad})
    assert project.partitions("FAILED") == set()
    logged = [entry.user_message for entry in project.instance.all_logs(result.run_id) if not entry.is_dagster_event]
    assert logged[-1].startswith(f"1 document cannot be read, which was accepted:\n{bad}  empty: ")
    assert operations.status(project.services).accepted == {"empty": 1}


def test_accepted_document_fails_again_when_its_file_is_another_one(project: Project) -> None:
    """Nobody has said that this one may be unreadable; where it can be read, it is indexed as any other."""
    bad = add_empty(project.application)
    project.run(succeeds=False)
    accept(project)
    file = project.application.files / "empty.txt"
    os.utime(file, ns=(1_700_000_000_000_000_000,) * 2)
    project.application.change(bad)
    project.run(succeeds=False)
    assert operations.status(project.services).dead == {"empty": 1}
    accept(project)
    project.application.write("empty.txt", *WORDS)
    project.application.change(bad)
    project.run()
    status = operations.status(project.services)
    assert (status.accepted, status.up_to_date) == ({}, 1)


def test_reconciliation_leaves_alone_what_failed_when_its_file_is_as_it_was(project: Project) -> None:
    """Given up or accepted, also a moment after it was written; one that is written again is tried again."""
    bad = add_empty(project.application)
    project.run(succeeds=False)
    assert operations.reconcile(project.services)["changed"] == 0
    assert operations.status(project.services).dead == {"empty": 1}
    accept(project)
    assert operations.reconcile(project.services)["changed"] == 0
    assert operations.status(project.services).accepted == {"empty": 1}
    (project.application.files / "empty.txt").touch()
    assert operations.reconcile(project.services)["changed"] == 1
    project.run(succeeds=False)
    assert operations.reconcile(project.services)["changed"] == 0
    project.application.write("empty.txt", *WORDS)
    assert operations.reconcile(project.services)["changed"] == 1
    project.run()
    assert project.partitions("MATERIALIZED") == {bad}


def test_what_changed_since_it_failed_is_not_accepted(project: Project) -> None:
    """Nobody has seen how that is; what is as it was is accepted."""
    bad, other = add_empty(project.application), add_empty(project.application, "other.txt")
    project.run(succeeds=False)
    project.application.write("empty.txt", *WORDS)
    found = operations.accept(project.services)
    assert ([one.document_id for one in found.accepted], found.changed) == ([other], [bad])
    found = operations.accept(project.services, ids=[bad])
    assert (found.accepted, found.changed, found.others) == ([], [bad], [])
    operations.reconcile(project.services)
    project.run()
    assert operations.status(project.services).up_to_date == 1


def test_file_that_is_written_while_it_is_read_is_tried_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed is the older one; it is another one than the one that is there afterwards."""
    file = project.application.files / "empty.txt"
    add_empty(project.application)
    read = pipeline.Pipeline._read_file

    def read_and_write(*given: object, **named: object) -> object:
        try:
            return read(*given, **named)  # type: ignore[arg-type]
        finally:
            file.write_text("\n".join(WORDS))

    with monkeypatch.context() as patched:
        patched.setattr(pipeline.Pipeline, "_read_file", read_and_write)
        project.run(succeeds=False)
    assert operations.reconcile(project.services)["changed"] == 1
    project.run()
    assert operations.status(project.services).up_to_date == 1


def test_retry_takes_back_what_was_accepted_when_the_document_is_named(project: Project) -> None:
    """Without a name, what is accepted is let alone."""
    bad = add_empty(project.application)
    project.run(succeeds=False)
    accept(project)
    assert operations.retry(project.services, ids=[], kind=None) == 0
    assert operations.retry(project.services, ids=[bad], kind=None) == 1
    project.run(succeeds=False)
    assert operations.status(project.services).dead == {"empty": 1}


def test_only_documents_of_the_kind_are_accepted_when_one_is_named(project: Project) -> None:
    """And of the ids; a missing file, which is tried again, was not given up and cannot be accepted yet."""
    bad, other = add_empty(project.application), add_empty(project.application, "other.txt")
    (project.application.files / "strange.xyz").write_bytes(bytes(range(256)))
    strange = project.application.add_row("strange.xyz")
    project.application.add_row("missing.txt")
    project.run(succeeds=False)
    assert accept(project, ids=[bad, strange], kind="empty") == [bad]
    assert accept(project, kind="empty") == [other]
    assert accept(project) == [strange]


def test_missing_file_is_found_when_it_is_there_though_it_was_accepted(project: Project) -> None:
    """Reconciliation looks at accepted documents as at those that failed."""
    document_id = project.application.add_row("missing.txt")
    project.application.sql("update rag_outbox set attempts = 99")
    project.application.sql("select rag_take_changes()")
    project.application.sql("update rag_outbox set attempts = 99")
    project.run(succeeds=False)
    assert accept(project) == [document_id]
    operations.reconcile(project.services)
    assert operations.status(project.services).accepted == {"not_found": 1}
    project.application.write("missing.txt", *WORDS)
    operations.reconcile(project.services)
    project.run()
    assert operations.status(project.services).up_to_date == 1


def test_kinds_of_the_settings_are_accepted_at_once(project: Project) -> None:
    """With worker.accept, a first fill with such documents is a success; others fail as ever."""
    services = project.services
    worker = services.settings.worker.model_copy(update={"accept": KINDS})
    services.settings = services.settings.model_copy(update={"worker": worker})
    bad = add_empty(project.application)
    project.run()
    assert operations.status(services).accepted == {"empty": 1}
    assert project.partitions("MATERIALIZED") == {bad}
    (project.application.files / "strange.xyz").write_bytes(bytes(range(256)))
    strange = project.application.add_row("strange.xyz")
    project.run(succeeds=False)
    assert project.partitions("FAILED") == {strange}


def test_kinds_of_the_settings_are_those_of_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that cannot be documents are wrong in the table, and have to be mended there."""
    monkeypatch.setenv("RAG_ASSETS_WORKER__ACCEPT", '["id_doubled"]')
    with pytest.raises(SettingsError, match=r"worker\.accept"):
        settings.load()


def test_job_accepts_what_failed(project: Project) -> None:
    """From Dagster's page, all of it or one kind; an id that is no document is named, and nothing is done."""
    bad = add_empty(project.application)
    project.run(succeeds=False)
    project.rag.services = lambda **_options: project.services  # type: ignore[method-assign]
    job = project.definitions.resolve_job_def(jobs.accept_documents.name)

    def launch(**config: object) -> bool:
        run_config = {"ops": {"accept_unreadable": {"config": config}}}
        return job.execute_in_process(instance=project.instance, run_config=run_config, raise_on_error=False).success

    assert not launch(document_ids=["nobody", bad])
    assert launch(kind="encrypted")
    assert project.partitions("FAILED") == {bad}
    assert launch()
    assert project.partitions("FAILED") == set()


def test_command_accepts_what_failed(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """By kind or id; what is accepted is named, for people and programs, and each id that cannot be, with exit 1.

    What was accepted before is so still: it is counted, and no fault.
    """
    monkeypatch.setenv("RAG_ASSETS_HOME", str(application.settings.home))
    monkeypatch.setenv("DATABASE_URL", application.url)
    monkeypatch.setenv("DOCUMENT_ROOT_PATH", str(application.files))
    monkeypatch.setattr("rag_assets.cli._tell_accepted", lambda services, accepted: None)  # Dagster's, tried above
    bad, other = add_empty(application), add_empty(application, "other.txt")
    good = application.add("a.txt", *WORDS)
    waiting = application.add_row("missing.txt")
    application.run()

    def said(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["accept", *arguments], prog_name="rag-assets")
        assert result.exit_code == code, result.output
        return result.output

    assert "Not in the table TblDocumentFiles: 'nobody', ''" in said("nobody", "", code=1)
    assert said("--kind", "encrypted").startswith("0 documents are accepted. None was given up")
    assert f"Nothing to accept, not failed in such a way: {good!r}" in said(good, code=1)
    assert f"Pending, and not given up: {waiting!r}. Next: rag-assets ingest ID\n0 doc" in said(waiting, code=1)
    named = json.loads(said(good, bad, waiting, "--json", code=1))
    left = {"not_accepted": [waiting, good], "accepted_before": 0}
    assert named == {"accepted": [bad], "unknown": [], **left}
    assert f"  {other}  empty: " in said("--kind", "empty")
    assert said(bad) == "0 documents are accepted, 1 was before. Each is tried again when its file changes.\n"
    pending = (
        "1 document that failed is pending again, and not accepted. Next: rag-assets ingest, then accept what fails"
    )
    assert said() == f"{pending}\n0 documents are accepted, 2 were before. Each is tried again when its file changes.\n"
    assert json.loads(said(bad, "--json"))["accepted_before"] == 1


def test_acceptance_is_told_to_callers(project: Project) -> None:
    """As a state of its own, by which documents can be listed."""
    bad = add_empty(project.application)
    project.run(succeeds=False)
    accept(project)
    database, source = project.services.database, project.services.settings.source
    with database.transaction() as cursor:
        assert documents.count(cursor, source) == 1
        found = callers.list_documents(cursor, after=None, state="accepted", limit=9, model="m", source=source)
    assert [(one.document_id, one.state, one.error_kind) for one in found] == [(bad, "accepted", "empty")]
