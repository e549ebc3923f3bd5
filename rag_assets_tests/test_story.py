"""`rag-assets story` and `status --watch`: a document's whole story, and the index again and again, in a terminal."""

import json
import signal
import sys
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result

from rag_assets import cli_status, console_story, wrapping
from rag_assets.cli import main
from rag_assets.errors import DatabaseUnavailable, ErrorKind, NotEnoughMemory
from rag_assets.model import ClaimOwner
from rag_assets.postgres import ingestion_log, outbox
from rag_assets.settings import Chunking
from rag_assets_tests.application import WORDS, Application, paragraph, text


@pytest.fixture
def configured(application: Application, monkeypatch: pytest.MonkeyPatch) -> Application:
    """An application whose database and folder the commands are told of."""
    monkeypatch.setenv("RAG_ASSETS_HOME", str(application.settings.home))
    monkeypatch.setenv("DATABASE_URL", application.url)
    monkeypatch.setenv("DOCUMENT_ROOT_PATH", str(application.files))
    monkeypatch.setenv("RAG_ASSETS_CHUNKING__SIZE", "64")
    monkeypatch.setenv("RAG_ASSETS_CHUNKING__OVERLAP", "0")
    monkeypatch.delenv("COLUMNS", raising=False)
    return application


def invoke(*arguments: str, code: int = 0, **how: Any) -> Result:
    result = CliRunner().invoke(main, list(arguments), prog_name="rag-assets", **how)
    assert result.exit_code == code, result.output
    return result


def told(document_id: str) -> dict[str, Any]:
    """The story as a program reads it."""
    found: dict[str, Any] = json.loads(invoke("story", document_id, "--json").stdout)
    return found


def add_guide(application: Application) -> str:
    """A document with headings, indexed."""
    guide = f"# Guide\n\n{paragraph('pumps')}\n\n## Repairs\n\n{paragraph('roses')}\n\n{paragraph('taxes')}\n"
    (application.files / "guide.md").write_text(guide, encoding="utf-8")
    document_id = application.add_row("guide.md")
    application.run()
    return document_id


# ---- a document's story


def test_story_answers_what_was_read_how_it_was_cut_by_which_model_and_when(configured: Application) -> None:
    """Of a document that is well: on a line each, and that nothing is to be done."""
    document_id = add_guide(configured)
    said = invoke("story", document_id).stdout
    assert f" document  {document_id}  guide.md\n" in said
    assert "    state  indexed: " in said
    assert "     read  text/markdown by markdown, " in said
    assert "      cut  3 chunks of " in said
    assert "at most 64 by chunking.size" in said
    assert "  heading  Guide > Repairs  (chunk 1-2)" in said
    assert "    model  all-MiniLM-L6-v2 by hash" in said
    assert "completed, 3 chunks: 3 embedded, 0 reused" in said
    assert said.endswith("    to do  Nothing.\n\n")


def test_story_has_everything_as_json(configured: Application) -> None:
    """One object per document, with each cut and each attempt."""
    story = told(add_guide(configured))
    assert story["state"] == "indexed"
    assert story["reading"]["path"] == story["path"] == "guide.md"
    assert story["reading"]["beginning"].startswith("# Guide")
    assert [cut["heading_path"] for cut in story["cuts"]] == [["Guide"], ["Guide", "Repairs"], ["Guide", "Repairs"]]
    assert all(0 < cut["tokens"] <= 64 for cut in story["cuts"])
    assert [(one["status"], one["run_id"]) for one in story["attempts"]] == [("completed", "1")]
    assert story["work"] is None


def test_story_says_why_and_what_to_do_when_a_document_failed(configured: Application) -> None:
    """A missing file is tried again, an empty one is not; the attempt names where it failed."""
    (configured.files / "empty.txt").touch()
    dead, failed = configured.add_row("empty.txt"), configured.add_row("missing.txt")
    configured.run()
    said = invoke("story", dead, failed).stdout
    first, second = said.split(" document  ")[1:]
    assert "    state  failed: " in first
    assert "      why  empty: " in first
    assert f"Then: rag-assets retry {dead}. If it is to stay so: rag-assets accept {dead}\n" in first
    assert "  attempt  " in first
    assert "failed at read, empty: " in first
    assert "    state  pending: it waits for the next run\n" in second
    assert "      why  not_found: File not found: missing.txt (1 attempt)" in second
    assert f"at once: rag-assets ingest {failed}\n" in second


def test_story_has_the_words_of_the_status_for_each_state(configured: Application) -> None:
    """Pending before anybody looked and after, running, overlooked; held, when the row went with all others."""
    document_id = configured.add("a.txt", *WORDS)
    assert told(document_id)["state"] == "pending"
    claims = configured.claim(run_id="7")
    assert (told(document_id)["state"], told(document_id)["work"]["holder"]) == ("running", "run:7")
    with configured.database.transaction() as cursor:
        outbox.release_claims(cursor, claims)
    assert told(document_id)["state"] == "pending"
    configured.sql("delete from rag_outbox")
    story = told(document_id)
    assert (story["state"], story["reading"]) == ("overlooked", None)
    assert "rag-assets reconcile" in story["to_do"]


def test_story_tells_of_a_document_whose_deletion_is_held(configured: Application) -> None:
    """It has no row any more, and is still searched."""
    ids = [configured.add(f"{n}.txt", f"subject {n}") for n in range(12)]
    configured.run()
    configured.sql('delete from "TblDocumentFiles"')
    configured.claim(run_id="7")  # the look that finds so many deletions, and takes none
    said = invoke("story", ids[0]).stdout
    assert "0.txt  (it has no row in the table any more)" in said
    assert "state  held: " in said
    assert "rag-assets confirm-deletions" in said


def test_story_tells_what_kept_the_last_run_from_a_document(configured: Application) -> None:
    """A fault that is none of the document's counts no attempt, and is named."""
    document_id = configured.add("a.txt", *WORDS)
    [claim] = configured.claim(run_id="7")
    with configured.database.transaction() as cursor:
        error = NotEnoughMemory(available_bytes=1, needed_bytes=2_000_000_000)
        owner = ClaimOwner("run", "7")
        ingestion_log.write_fault(cursor, configured.settings.source, error, claimed_by=owner, run_id="7")
        outbox.release_claims(cursor, [claim])
    said = invoke("story", document_id).stdout
    assert "not_enough_memory: Not enough memory to start embedding server" in said
    assert "for no fault of the document: mend that first" in said


def test_story_says_how_far_a_long_document_is(configured: Application) -> None:
    """Of which nothing is stored for minutes, as its run has told last."""
    document_id = configured.add("a.txt", *WORDS)
    configured.claim(run_id="r")
    configured.sql(f"""insert into rag_runs (run_id, parts) values ('r', '{{"{document_id}": [352, 1396]}}')""")
    said = invoke("story", document_id).stdout
    assert "    state  running: a run works on it\n" in said
    assert " embedded  352 of 1,396 new chunks; it is stored when all are\n" in said
    assert told(document_id)["work"]["part"] == [352, 1_396]
    configured.sql("delete from rag_runs")
    assert "embedded  " not in invoke("story", document_id).stdout


def test_story_names_an_id_that_is_no_document(configured: Application) -> None:
    """The others are told, and the exit code is 1."""
    document_id = add_guide(configured)
    result = invoke("story", "nobody", document_id, code=1)
    assert "state  indexed: " in result.stdout
    assert result.stderr == "Not in the table TblDocumentFiles: 'nobody'\n"
    assert "Not in the table TblDocumentFiles: 'nobody'" in invoke("story", "nobody", code=1).stderr
    *_, last = invoke("story", "nobody", document_id, "--json", code=1).stdout.splitlines()
    assert json.loads(last) == {"unknown": ["nobody"]}


@pytest.mark.parametrize("columns", [20, 41, 80])
def test_story_is_wrapped_when_the_terminal_is_narrow(configured: Application, columns: int) -> None:
    """No line is wider, however long a path or a message is."""
    (configured.files / ("long" * 40)).write_text(text("pumps"), encoding="utf-8")
    document_id = configured.add_row("long" * 40)
    configured.run()
    lines = invoke("story", document_id, env={"COLUMNS": str(columns)}).stdout.splitlines()
    assert max(map(wrapping.cells, lines)) <= columns
    assert max(map(wrapping.cells, invoke("story", document_id).stdout.splitlines())) > 160


@pytest.mark.parametrize("setting", [None, "1"])
def test_no_color_leaves_plain_letters(configured: Application, setting: str | None) -> None:
    """With the variable NO_COLOR, a terminal gets no escape sequence."""
    document_id = add_guide(configured)
    shown = invoke("story", document_id, color=True, env={"NO_COLOR": setting}).stdout
    assert ("\x1b[" in shown) is (setting is None)


def test_every_kind_of_error_has_a_remedy() -> None:
    """Whoever reads that a document failed learns what helps."""
    assert set(console_story.REMEDIES) == set(get_args(ErrorKind))


def test_picture_of_lengths_has_a_sign_for_each_chunk_or_for_several() -> None:
    """In the document's order; of a long document, each sign is the mean of neighbours."""
    picture = console_story._picture([1, 32, 64], top=64)
    assert [console_story.BLOCKS.index(sign) for sign in picture] == [0, 4, 7]
    assert console_story._picture([64] * 500 + [1] * 500, top=64) == "█" * 24 + "▁" * 24


def test_picture_is_of_plain_signs_when_the_terminal_has_no_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the code page of a Windows console."""

    class Old:
        encoding = "cp1252"

    monkeypatch.setattr(sys, "stdout", Old())
    assert console_story._picture([1, 32, 64], top=64) == ".+@"


# ---- status again and again


class Ticks:
    """A sleep that takes no time and ends in Ctrl-C after some."""

    def __init__(self, ticks: int, *, meanwhile: Any = lambda: None) -> None:
        self.left = ticks
        self.seconds: list[float] = []
        self._meanwhile = meanwhile

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.left -= 1
        if self.left < 0:
            signal.raise_signal(signal.SIGINT)
        self._meanwhile()


@pytest.mark.parametrize("seconds", ["nan", "0", "abc"])
def test_watch_refuses_what_is_no_time_to_wait(seconds: str) -> None:
    """Before anything is looked at."""
    assert "'--watch'" in invoke("status", "--watch", seconds, code=2).output


def test_watch_adds_a_line_for_each_look_until_ctrl_c(configured: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the output is no terminal; the end is no error, and nothing of an interrupt is shown."""
    configured.add("a.txt", *WORDS)
    ticks = Ticks(1, meanwhile=configured.run)
    monkeypatch.setattr("rag_assets.cli_status.time.sleep", ticks)
    result = invoke("status", "--watch", "7")
    first, second = result.stdout.splitlines()
    assert first.endswith("  1 document: 0 up to date, 1 pending, 0 running, 0 failed, 0 held")
    assert second.endswith("  1 document: 1 up to date, 0 pending, 0 running, 0 failed, 0 held")
    assert ticks.seconds == [7, 7]
    assert result.stderr == ""


def test_watch_redraws_the_screen_of_a_terminal(configured: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """All numbers stand where they stood."""
    cleared: list[str] = []
    monkeypatch.setattr("rag_assets.cli_status.time.sleep", Ticks(1))
    monkeypatch.setattr("rag_assets.cli_status.click.clear", lambda: cleared.append("cleared"))
    monkeypatch.setattr(cli_status, "_look", lambda services, as_json: lambda: cli_status._redraw(services))
    shown = invoke("status", "--watch").stdout
    assert shown.count("up to date  0") == len(cleared) == 2
    assert "Ctrl-C ends" in shown


def test_watch_gives_objects_when_a_program_asks(configured: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """One per look."""
    monkeypatch.setattr("rag_assets.cli_status.time.sleep", Ticks(2))
    lines = invoke("status", "--watch", "--json").stdout.splitlines()
    assert [json.loads(line)["documents"] for line in lines] == [0, 0, 0]


def test_watch_goes_on_when_a_later_look_finds_no_database(
    configured: Application, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What hinders it is said once per look, and the next one counts again."""
    looks = iter([None, DatabaseUnavailable("The database is away"), None])

    def look() -> None:
        if error := next(looks):
            raise error
        print("looked")

    monkeypatch.setattr("rag_assets.cli_status.time.sleep", Ticks(2))
    cli_status._repeat(look, seconds=1)
    said = capsys.readouterr()
    assert said.out.splitlines() == ["looked", "looked"]
    assert said.err.endswith("  The database is away\n")


# ---- help and completion


def test_help_of_chunk_shows_its_defaults() -> None:
    """The settings that decide without the options, and their values without a file of settings."""
    shown = " ".join(invoke("chunk", "--help").output.split())
    for key, value in (("size", Chunking().size), ("overlap", Chunking().overlap), ("strategy", Chunking().strategy)):
        assert f"[default: chunking.{key}, {value}]" in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_are_completed_in_each_shell(shell: str) -> None:
    """As docs/operating.md has it switched on."""
    env = {"COMP_WORDS": "rag-assets sto", "COMP_CWORD": "sto" if shell == "fish" else "1"}
    env["_RAG_ASSETS_COMPLETE"] = f"{shell}_complete"
    result = CliRunner().invoke(main, [], prog_name="rag-assets", env=env)
    assert "story" in result.stdout
    assert "status" not in result.stdout
