"""The command line: results to standard output, an exit code that tells, errors that say what to do, no traceback."""

import errno
import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from rag_assets import __main__ as program
from rag_assets import cli, engines, operations, settings, supervisor
from rag_assets.cli import main
from rag_assets.embedding.embedder import LLAMA_CPP, Embedder, Engine
from rag_assets.errors import UnembeddableText
from rag_assets.model import Outcome
from rag_assets.postgres.documents import ID_BYTES
from rag_assets.processes import ports
from rag_assets.report import RunReport
from rag_assets.services import Services
from rag_assets_tests import fake_llama, rows
from rag_assets_tests.application import WORDS, Application, HashEmbedder, paragraph, text

OURS = ("DATABASE_URL", "DAGSTER_", "RAG_ASSETS_", "LLAMA_SERVER_", "DOCUMENT_ROOT_PATH", "LOG_FORMAT")
posix = pytest.mark.skipif(os.name == "nt", reason="a program that is a shell script")


@pytest.fixture(autouse=True)
def _bare(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing configured but a home, whatever the shell of the tests has; what a command sets is gone afterwards."""
    kept = ("RAG_ASSETS_HOME", "RAG_ASSETS_TEST_SESSION")
    for name in os.environ:
        if name.startswith(OURS) and name not in kept:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    logger, root = logging.getLogger("rag_assets"), logging.getLogger()
    handlers, level, names = root.handlers, logger.level, set(os.environ)
    yield
    for name in set(os.environ) - names:  # such as DAGSTER_HOME
        del os.environ[name]
    root.handlers = handlers
    logger.setLevel(level)


@pytest.fixture
def configured(application: Application, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Application:
    """A database, a folder of documents and a model of the user's own."""
    monkeypatch.setenv("DATABASE_URL", application.url)
    monkeypatch.setenv("DOCUMENT_ROOT_PATH", str(application.files))
    monkeypatch.setenv("LLAMA_SERVER_MODEL", str(model_path))
    monkeypatch.setenv("RAG_ASSETS_CHUNKING__SIZE", "64")
    monkeypatch.setenv("RAG_ASSETS_CHUNKING__OVERLAP", "0")
    monkeypatch.setenv("RAG_ASSETS_LLAMA_SERVER__REQUIRED_MEMORY_GB", "0")
    return application


@pytest.fixture
def fake_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A llama-server of the user's own, whose vectors come from hashes."""
    program = tmp_path / "llama-server"
    command = shlex.join([sys.executable, fake_llama.__file__, "good"])
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("LLAMA_SERVER_BINARY", str(program))


def invoke(*arguments: str, code: int = 0) -> Result:
    """In this process: no time goes into importing it all again."""
    result = CliRunner().invoke(main, list(arguments), prog_name="rag-assets")
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """As a program; each command is seen at least once to be one."""
    command = [sys.executable, "-m", "rag_assets", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def objects(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


# ---- help


@pytest.mark.parametrize("command", [None, *sorted(main.commands)])
def test_help_of_every_command_is_more_than_its_name(command: str | None) -> None:
    """What it does, and every option with a word on it."""
    shown = invoke(*filter(None, [command]), "--help").output
    assert "Usage: rag-assets" in shown
    assert len(shown) > 150
    options = [one for one in (main.commands[command] if command else main).params if isinstance(one, click.Option)]
    assert all(option.help for option in options)


@pytest.mark.parametrize(
    "command",
    ["init", "ingest", "search pumps", "register .", "reconcile", "retry", "accept", "confirm-deletions", "status"],
)
def test_commands_of_an_older_program_refuse_tables_of_a_newer_one(command: str, configured: Application) -> None:
    """In a sentence that says what to do; nothing is changed, nor embedded."""
    configured.add("a.txt", *WORDS)
    configured.sql("insert into rag_migrations values ('999_future.sql', 'x')")
    before = configured.sql("select * from rag_changes")
    result = invoke(*command.split(), code=1)
    assert result.output.strip().splitlines()[-1] == (
        "Error: This program is older than the tables of the database (999_future.sql was applied to them): install "
        "the version of rag-assets that did it, or a later one. Nothing was changed."
    )
    assert configured.sql("select * from rag_changes") == before


@pytest.mark.parametrize("command", ["chunk", "demo", "doctor", "ingest", "parse", "register", "retry", "search", "up"])
def test_help_of_a_command_with_arguments_has_an_example(command: str) -> None:
    """That can be copied: click takes it."""
    shown = invoke(command, "--help").output
    Path("docs").mkdir()
    Path("report.pdf").touch()
    examples = re.findall(r"^ +rag-assets (.*)$", shown.partition("For example:")[2], re.MULTILINE)
    assert examples
    for example in examples:
        name, *arguments = shlex.split(example, comments=True)
        assert name == command
        main.commands[name].make_context(name, arguments)


def test_every_command_fits_its_line_of_the_help() -> None:
    """What it does is not cut off in the middle."""
    assert "..." not in invoke("--help").output.partition("Commands:")[2]


def test_help_begins_with_the_first_steps() -> None:
    """Who knows nothing learns which command to try."""
    shown = invoke("--help").output
    assert shown.index("First steps") < shown.index("rag-assets demo") < shown.index("Commands:")


def test_log_format_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As .env.example has it; what is wrong there is said by the command, and hides no help."""
    formats: list[str] = []
    monkeypatch.setattr("rag_assets.cli.logs.configure", formats.append)
    Path(".env").write_text("LOG_FORMAT=json\n")
    invoke("status", "--help")
    assert formats == ["json"]
    Path(".env").write_text("LOG_FORMAT=loud\n")
    invoke("status", "--help")
    assert "Setting LOG_FORMAT (is 'loud'): Input should be 'pretty' or 'json'" in invoke("status", code=1).stderr


@posix
@pytest.mark.parametrize("arguments", [["--help"], ["parse", __file__], ["parse", "--json", __file__]])
def test_a_full_disk_behind_the_output_is_said_in_a_line(arguments: list[str]) -> None:
    """With an exit code of its own, and no traceback."""
    command = [sys.executable, "-m", "rag_assets", *arguments]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 74
    assert "Error: the output cannot be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@posix
def test_ctrl_c_while_a_command_is_imported_ends_it_without_a_traceback() -> None:
    """As any program ends of it; afterwards, each command has its own way."""
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'rag_assets.cli': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv = ['rag-assets', '--help']\n"
        "from rag_assets.__main__ import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_output_to_a_file_is_utf8_whatever_the_code_page_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows, that of most countries has no Japanese; but who names an encoding gets it."""
    for variable, encoding in ((None, "utf-8"), ("cp1252", "cp1252")):
        with monkeypatch.context() as there, (tmp_path / encoding).open("w", encoding="cp1252") as file:
            there.delenv("PYTHONIOENCODING", raising=False)
            if variable:
                there.setenv("PYTHONIOENCODING", variable)
            there.setattr(sys, "stdout", file)
            program._write_any_language()
            assert file.encoding == encoding


# ---- without a database


def test_parse_shows_the_text_of_each_file(configured: Application) -> None:
    """The text to standard output; what read it to standard error, so that the text can be piped on."""
    configured.write("a.txt", "pumps")
    configured.write("b.txt", "roses")
    result = invoke("parse", "a.txt", "b.txt")
    assert result.stdout.split() == f"{text('pumps')} {text('roses')}".split()
    assert "a.txt: text/plain by plain" in result.stderr


def test_parse_shows_the_others_when_a_file_is_missing(configured: Application) -> None:
    """The exit code and a line tell; the path is the one that was asked for."""
    configured.write("b.txt", "roses")
    result = invoke("parse", "--json", "missing.txt", "b.txt", code=1)
    missing, found = objects(result.stdout)
    assert (missing["path"], missing["error"]) == ("missing.txt", "not_found")
    assert missing["message"] == "File not found: missing.txt"
    assert found["text"].split() == text("roses").split()


@posix
def test_json_is_utf8_whatever_the_path(configured: Application) -> None:
    """Bytes of a name that are no UTF-8 are escaped: one such file does not make the output unreadable."""
    name = os.fsdecode(b"b\xff.txt")
    command = [sys.executable, "-m", "rag_assets", "parse", "--json", name]
    done = subprocess.run(command, capture_output=True, timeout=600, check=False)
    assert json.loads(done.stdout.decode("utf-8"))["path"] == name


def test_parse_starts_no_database(home: Path, tmp_path: Path) -> None:
    """Looking at a file leaves nothing behind."""
    (tmp_path / "a.txt").write_text("Some words.")
    invoke("parse", str(tmp_path / "a.txt"))
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("strategy", ["recursive", "fixed"])
def test_chunk_cuts_as_it_is_told(configured: Application, strategy: str) -> None:
    """Options go ahead of settings; the offsets are those of the text that `parse` shows."""
    configured.write("a.txt", *WORDS)
    whole = objects(invoke("parse", "--json", "a.txt").stdout)[0]["text"]
    result = invoke("chunk", "--json", "--strategy", strategy, "--size", "32", "--overlap", "0", "a.txt")
    chunks = objects(result.stdout)
    assert [chunk["index"] for chunk in chunks] == list(range(len(chunks)))
    assert all(chunk["token_count"] <= 30 for chunk in chunks)
    assert all(whole[chunk["char_start"] : chunk["char_end"]] == chunk["content"] for chunk in chunks)


def test_chunk_says_how_many_there_are(configured: Application) -> None:
    """Of each file, in the end."""
    configured.write("a.txt", "pumps")
    configured.write("b.txt", *WORDS)
    said = [line for line in invoke("chunk", "a.txt", "b.txt").stderr.splitlines() if ".txt: " in line]
    assert re.fullmatch(r"--- a.txt: 1 chunk, \d+ tokens\n--- b.txt: 6 chunks, \d+ tokens", "\n".join(said))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--size", "8"], "Setting chunking.size (is 8): Input should be greater than or equal to 16"),
        (["--size", "64", "--overlap", "64"], "overlap is 64; allowed is 0 to 63"),
        (["--overlap", "-1"], "Setting chunking.overlap (is -1): Input should be greater than or equal to 0"),
    ],
)
def test_chunk_refuses_a_value_out_of_range(options: list[str], said: str) -> None:
    """One line that names the setting, its value and what is allowed."""
    result = invoke("chunk", *options, "a.txt", code=1)
    assert result.stderr.startswith("Error: ")
    assert said in result.stderr


# ---- with a database


def test_status_counts_what_there_is(configured: Application) -> None:
    """For programs as one object, for people one line for each number."""
    configured.add("a.txt", *WORDS)
    configured.run()
    configured.add("b.txt", *WORDS)
    [found] = objects(invoke("status", "--json").stdout)
    assert {key: found[key] for key in ("documents", "up_to_date", "pending", "chunks", "chunks_with_vector")} == {
        "documents": 2,
        "up_to_date": 1,
        "pending": 1,
        "chunks": len(WORDS),
        "chunks_with_vector": len(WORDS),
    }
    assert "up to date  1\n" in invoke("status").stdout
    assert "->" not in invoke("status").stdout


def test_status_says_why_another_engine_embeds_in_this_home(configured: Application) -> None:
    """As long as it does; the numbers are those of any index that is well."""
    engine = Engine(name=LLAMA_CPP, command=tuple(fake_llama.command("good")), model=Path(__file__), note="it failed")
    with closing(Embedder(settings.load(llama_server={"required_memory_gb": 0}), engine=engine)) as elsewhere:
        elsewhere.warm()
        assert "-> it failed" in invoke("status").stdout.splitlines()
        [found] = objects(invoke("status", "--json").stdout)
        assert (found["notes"], found["warnings"]) == (["it failed"], [])
    assert "->" not in invoke("status").stdout


def test_status_says_what_failed_and_what_to_do(configured: Application) -> None:
    """Without a look into the tables: why, whether it is tried again, and the command for what is not."""
    (configured.files / "empty.txt").touch()
    configured.add_row("empty.txt")
    configured.add_row("missing.txt")
    configured.run()
    *_, first, second, last = invoke("status").stdout.splitlines()
    assert first.startswith("  failed   1  empty: ")
    assert re.fullmatch(r"  pending  2  not_found: File not found: missing.txt \(due again in \d+ s\)", second)
    assert (
        last == "-> 1 document failed (1 empty): correct it, then rag-assets retry, or leave it so: rag-assets accept."
    )
    assert re.search(r"^ +failed  1 empty$", invoke("status").stdout, re.MULTILINE)


@posix
def test_status_is_shown_whatever_the_variable_tz_says(
    configured: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zone of 99 hours is no zone: then the time is UTC's."""
    configured.add("a.txt", *WORDS)
    monkeypatch.setenv("TZ", "Foo/Bar+99")
    assert re.search(r"oldest pending at +\d{4}-\d\d-\d\d .* s ago", run("status").stdout)
    run("status", "--json")


def test_database_that_is_away_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was looked for, and what to check."""
    port = ports.free_port("127.0.0.1")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:geheim@127.0.0.1:{port}/documents")
    said = invoke("status", code=1).stderr
    assert said.startswith(f"Error: Database postgresql://me:***@127.0.0.1:{port}/documents: ")
    assert "check that PostgreSQL runs there, that DATABASE_URL is right" in said
    assert "geheim" not in said


def test_database_url_that_is_none_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read may hold a password anywhere."""
    monkeypatch.setenv("DATABASE_URL", "me:geheim/documents")
    said = invoke("status", code=1).stderr
    assert "DATABASE_URL is not a PostgreSQL URL: postgresql://user:password@host:port/name" in said
    assert "geheim" not in said


def test_status_says_what_to_run_when_nothing_was_set_up(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty database is not an error of SQL."""
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    assert "rag-assets init --create-table" in invoke("status", code=1).stderr
    rows.execute(empty_database_url, 'create table "TblDocumentFiles" (id int primary key, file_path text)')
    assert "Run `rag-assets init`" in invoke("status", code=1).stderr


@pytest.mark.parametrize("mode", ["hybrid", "text"])
def test_search_says_the_same_before_a_model_is_made_when_nothing_was_set_up(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """In the words of the other commands: nobody waits for a model to ask an index that is not there."""
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    monkeypatch.setattr(engines, "choose", lambda *_arguments, **_named: pytest.fail("a model was asked for"))
    said = invoke("status", code=1).stderr.splitlines()[-1]
    assert invoke("search", "--mode", mode, "words", code=1).stderr.splitlines()[-1] == said
    rows.execute(empty_database_url, 'create table "TblDocumentFiles" (id int primary key, file_path text)')
    assert "Run `rag-assets init`" in invoke("search", "--mode", mode, "words", code=1).stderr


@pytest.fixture
def fresh(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedded database that is new, in place of which another one stands, as starting one takes seconds."""
    monkeypatch.setattr(Services, "database_url", empty_database_url)
    monkeypatch.setattr(engines, "choose", lambda *_arguments, **_named: pytest.fail("a model was asked for"))


@pytest.mark.parametrize(
    "command",
    [["status"], ["search", "words"], ["search", "--mode", "text", "x"], ["retry"], ["accept"], ["story", "1"]],
)
def test_what_asks_a_new_home_is_told_the_first_step(fresh: None, home: Path, command: list[str]) -> None:
    """No table has been lost, and none need be made by hand."""
    said = invoke(*command, code=1).stderr.splitlines()[-1]
    assert said == (
        f"Error: There are no documents in {home} yet. Next: rag-assets register FOLDER (files become rows), then "
        "rag-assets ingest"
    )


@pytest.mark.parametrize("command", [("ingest",), ("init",), ("reconcile",), ("status",), ("register", "."), ("up",)])
def test_table_that_is_not_there_is_said_in_one_line_and_not_made(configured: Application, command: Any) -> None:
    """It was renamed, or its name is misspelt: in the application's schema nothing is made in its place."""
    configured.sql('alter table "TblDocumentFiles" rename to renamed')
    said = invoke(*command, code=1).stderr.splitlines()[-1]
    assert said.startswith("Error: There is no table TblDocumentFiles: work is paused, and nothing of the index is")
    assert configured.sql("""select to_regclass('"TblDocumentFiles"')""") == [(None,)]


def test_init_makes_the_table_when_it_is_told_to(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only then."""
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    invoke("init", code=1)
    assert "0 documents, 0 pending. Next: rag-assets register FOLDER" in run("init", "--create-table").stdout
    assert invoke("status").stdout.splitlines()[-1].startswith("Next: rag-assets register FOLDER")
    said = invoke("search", "--mode", "text", "words").stdout
    assert said.startswith("Nothing found: there are no documents. Next: rag-assets register FOLDER")


def test_deletions_that_are_held_are_confirmed_by_a_command(configured: Application) -> None:
    """`status` and `reconcile` name it."""
    for n in range(12):
        configured.add(f"{n}.txt", f"subject {n}")
    configured.run()
    configured.sql('delete from "TblDocumentFiles"')
    assert "confirm with: rag-assets confirm-deletions" in invoke("reconcile").stdout
    assert "-> 12 of 12 indexed documents have lost their row" in invoke("status").stdout
    assert "12 documents are to be deleted" in invoke("confirm-deletions").stdout
    assert {outcome.status for outcome in configured.run().values()} == {"deleted"}
    assert "Every indexed document has its row" in invoke("confirm-deletions").stdout


def test_program_with_other_settings_refuses_and_takes_over_when_told_to(
    configured: Application, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two installations on one database do not cut all documents back and forth."""
    invoke("reconcile")
    first = os.environ["RAG_ASSETS_HOME"]
    monkeypatch.setenv("RAG_ASSETS_HOME", str(tmp_path / "second"))
    monkeypatch.setenv("RAG_ASSETS_CHUNKING__SIZE", "32")
    for command in ("reconcile", "init", "ingest"):
        assert "chunking.size is 32 here and 64 there" in invoke(command, code=1).stderr
    invoke("init", "--take-over")
    invoke("reconcile")
    monkeypatch.setenv("RAG_ASSETS_HOME", first)
    monkeypatch.setenv("RAG_ASSETS_CHUNKING__SIZE", "64")
    assert "chunking.size is 64 here and 32 there" in invoke("reconcile", code=1).stderr


@pytest.mark.parametrize(
    ("options", "count"), [([], 2), (["--kind", "empty"], 1), (["01"], 1), (["--kind", "crashed"], 0), (["3"], 0)]
)
def test_retry_makes_failed_documents_pending(configured: Application, options: list[str], count: int) -> None:
    """All of them, those of one kind, or those named; with all their attempts."""
    (configured.files / "empty.txt").touch()
    assert configured.add_row("missing.txt") == "1"
    configured.add_row("empty.txt")
    configured.add("good.txt", *WORDS)
    configured.run()
    said = invoke("retry", *options).stdout
    assert f"{count} {'document is' if count == 1 else 'documents are'} pending again." in said
    assert ("Next: rag-assets ingest" if count else "None of those had failed") in said
    fresh = [row for row in configured.pending() if row[1:3] == ("pending", 0)]
    assert len(fresh) == count


@pytest.mark.parametrize("command", ["ingest", "reembed", "retry"])
@pytest.mark.parametrize("asked", ["99999", "abc", "99999999999999999999", "-1", "x" * 5_000, os.fsdecode(b"\xff"), ""])
def test_command_names_what_is_not_in_the_table(
    configured: Application, command: str, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With exit code 1, and no run is started for it; `--` lets an id begin with a dash."""
    monkeypatch.setattr(cli, "_ingest", lambda *_arguments, **_named: pytest.fail("a run was started"))
    assert "Not in the table TblDocumentFiles: " in invoke(command, "--", asked, code=1).stderr


def test_retry_names_what_is_not_in_the_table_beside_what_is(configured: Application) -> None:
    """The others are pending again all the same."""
    configured.add_row("missing.txt")
    configured.run()
    said = invoke("retry", "1", "7", "--json", code=1).stdout
    assert objects(said) == [{"retried": 1, "unknown": ["7"]}]
    said = invoke("reembed", "1", "7", "--json", code=1).stdout
    assert objects(said) == [{"chunks": 0, "documents": [], "unknown": ["7"]}]


@posix
def test_documents_with_odd_ids_are_ingested_through_dagster(configured: Application, fake_server: None) -> None:
    """Its tables have indexes of their own: the longest id there may be fits, and one too long stops nothing."""
    configured.sql('drop table "TblDocumentFiles"; create table "TblDocumentFiles" (id text, file_path text)')
    configured.write("a.txt", *WORDS)
    with configured.database.transaction() as cursor:
        noise = "".join(chr(1 + byte % 31) for byte in os.urandom(ID_BYTES))
        ids = ["", " ", "a,b...c", noise, os.urandom(2_685).hex(), None, "twice", "twice"]
        values = [(one, "a.txt") for one in ids]
        cursor.executemany('insert into "TblDocumentFiles" values (%s, %s)', values)
    invoke("init")
    [report] = objects(invoke("ingest", "--json", code=1).stdout)
    assert (report["completed"], report["failed"], report["pending"]) == (4, 1, 0)
    assert [(one["document_id"], one["kind"]) for one in report["failures"]] == [("twice", "id_doubled")]
    [found] = objects(invoke("status", "--json").stdout)
    assert found["dead"] == {"id_doubled": 1, "id_missing": 1, "id_too_long": 1}
    assert (found["documents"], found["up_to_date"]) == (7, 4)
    keys = {key for (key,) in configured.sql("select partition from dagster.dynamic_partitions")}
    assert len(keys) == 5
    [documents] = [line for line in objects(invoke("doctor", "--json", code=1).stdout) if line["check"] == "documents"]
    assert documents["verdict"] == "warn"
    assert "id_missing: give each row an id" in documents["next"]


@posix
def test_ingest_names_what_is_not_in_the_table_beside_what_is(configured: Application, fake_server: None) -> None:
    """A document that is gone, and of which something is kept, is no such one: that is removed."""
    kept, gone = configured.add("a.txt", *WORDS), configured.add("b.txt", *WORDS)
    configured.run()
    configured.sql('alter table "TblDocumentFiles" disable trigger all')
    configured.remove(gone)
    done = invoke("ingest", "--json", f"0{kept}", gone, "99999", code=1)
    [report] = objects(done.stdout)
    assert (report["unknown"], report["gone"], report["deleted"]) == (["99999"], [gone], 1)
    assert report["completed"] + report["skipped"] == 1


def test_index_takes_one_thing_to_do_at_a_time() -> None:
    """Two are a wrong command line, before anything is opened; none is dropped by mistake."""
    assert "exclude each other" in invoke("index", "--build", "--drop", code=2).output
    assert "exclude each other" in invoke("index", "--advise", "--drop", code=2).output


def test_an_index_is_advised_where_it_is_worth_it(configured: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the last line of ingest, and by the command, in the words of what looks after it."""
    configured.add("a.txt", *WORDS)
    configured.run()
    assert "6 vectors are compared one by one; an index is for 25,000 and more." in invoke("index").stdout
    monkeypatch.setenv("RAG_ASSETS_SEARCH__INDEX_ROWS", "6")
    advised = "An index of vectors is advised: 6 vectors; building takes 64 MB. Next: rag-assets index --build"
    assert invoke("ingest").stdout.splitlines()[-1] == f"{advised}, unless `rag-assets up` runs"
    assert advised.replace("An index of vectors is advised", "An index is advised") in invoke("index").stdout
    said = invoke("index", "--build").stdout
    assert re.search(r"hnsw, .* MB, finds 100.0% of the ten nearest, built .* UTC for 6 vectors in .* s$", said, re.M)
    assert "Nothing is to be done: 6 vectors have their index." in said
    [told] = objects(invoke("index", "--advise", "--json").stdout)
    assert (told["index"]["noted"]["rows"], told["advice"]["kind"], told["step"]) == (6, "hnsw", "keep")
    assert "Dropped" in invoke("index", "--drop").stdout


def test_retry_names_the_kinds_when_there_is_no_such_one() -> None:
    """A wrong command line is exit code 2, before anything is opened."""
    assert "'not_found'" in invoke("retry", "--kind", "bored", code=2).output


def test_reconcile_finds_what_no_trigger_saw(configured: Application) -> None:
    """A file that changed on disk; one line tells how many of each, and what to do next."""
    document_id = configured.add("a.txt", *WORDS)
    configured.run()
    assert set(objects(invoke("reconcile", "--json").stdout)[0].values()) == {0}
    assert "Nothing is to be done." in invoke("reconcile").stdout
    configured.write("a.txt", "locks")
    assert "1 changed. Next: rag-assets ingest" in invoke("reconcile").stdout
    assert configured.pending() == [(document_id, "pending", 0, None)]


def test_reembed_has_vectors_made_anew_that_it_is_asked_for(configured: Application) -> None:
    """Of documents, and of what --where says; nothing is deleted, and the next run embeds them."""
    first, second = configured.add("a.txt", "pumps"), configured.add("b.txt", "roses")
    configured.run()
    assert objects(invoke("reembed", "--json", first).stdout) == [{"chunks": 1, "documents": [first]}]
    assert configured.pending() == [(first, "pending", 0, None)]
    assert configured.run()[first].chunks_embedded == 1
    assert "1 vector of 1 document" in invoke("reembed", "--where", "path=b*").stdout
    assert configured.run()[second].chunks_embedded == 1
    assert "Nothing is to be done" in invoke("reembed", "--where", "model=another").stdout
    assert configured.pending() == []


class AsTheServer(HashEmbedder):
    """Gives the vectors that the fake server does."""

    def embed(self, texts: Sequence[str], *, token_counts: Sequence[int]) -> "np.ndarray[Any, np.dtype[np.float32]]":
        return np.array([fake_llama.vector(text) for text in texts], dtype=np.float32)


@posix
def test_reembed_finds_the_vectors_that_are_not_the_models(configured: Application, fake_server: None) -> None:
    """Each is embedded again and compared; those that are right stay."""
    wrong, _ = configured.add("a.txt", "pumps"), configured.add("b.txt", "roses")
    configured.run(embedder=AsTheServer())
    assert objects(invoke("reembed", "--json", "--where", "vectors=wrong").stdout) == [{"chunks": 0, "documents": []}]
    negative = "embedding - embedding - embedding"
    configured.sql(f"update rag_document_chunks set embedding = {negative} where document_id = '{wrong}'")
    found = objects(invoke("reembed", "--json", "--where", "vectors=wrong").stdout)
    assert found == [{"chunks": 1, "documents": [wrong]}]


@pytest.mark.parametrize("arguments", [(), ("--where", "size=3")])
def test_reembed_says_what_it_takes_when_it_is_asked_for_nothing_or_unknown_things(
    configured: Application, arguments: tuple[str, ...]
) -> None:
    result = CliRunner().invoke(main, ["reembed", *arguments])
    assert result.exit_code in (1, 2)
    assert "model=NAME" in result.output


@posix
def test_files_are_registered_ingested_and_found(configured: Application, fake_server: None) -> None:
    """From a folder to a passage, in three commands; one bad file fails alone, with exit code 1 and its reason."""
    for number, about in enumerate(WORDS):
        configured.write(f"{number}.txt", about)
    (configured.files / "empty.txt").touch()
    (configured.files / ".hidden").write_text("not meant")
    assert "7 files, 7 new. Next: rag-assets ingest" in run("register", str(configured.files)).stdout
    report = objects(run("ingest", "--json", code=1).stdout)[0]
    assert (report["completed"], report["failed"], report["chunks_embedded"]) == (6, 1, 6)
    [failure] = report["failures"]
    assert (failure["path"], failure["kind"]) == ("empty.txt", "empty")
    [best, *_] = objects(invoke("search", "--json", "-k", "2", paragraph("roses").strip()).stdout)
    assert (best["path"], best["content"]) == ("1.txt", paragraph("roses").strip())
    vector = invoke("embed", paragraph("roses").strip()).stdout.strip()  # by which SQL finds the same
    found = configured.sql(f"select path from rag_search('', '{vector}', mode => 'vector', k => 1)")
    assert found == [("1.txt",)]
    assert "is left by all filters" in invoke("search", "--type", "no/type", "roses").stdout
    assert "found: Not in the table TblDocumentFiles: '99'" in invoke("search", "--document", "99", "roses").stdout


@posix
def test_register_leaves_out_only_what_cannot_be_a_row(configured: Application) -> None:
    """A name of other bytes than UTF-8 is told, with exit code 1; byte code beside samples or code is no document."""
    configured.write("a.txt", "pumps")
    (configured.files / "__pycache__").mkdir()
    (configured.files / "__pycache__" / "a.pyc").write_bytes(b"\0")
    (configured.files / os.fsdecode(b"b\xff.txt")).touch()
    done = invoke("register", "--json", str(configured.files), code=1)
    [found] = objects(done.stdout)
    assert (found["registered"], found["new"], len(found["left_out"])) == (1, 1, 1)
    said = invoke("register", str(configured.files), code=1).stderr
    assert said == "Left out: no row can hold a name that is not UTF-8: b?.txt\n"


def test_register_names_a_folder_that_cannot_be_read(configured: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are not left out in silence; those of the others are rows."""
    configured.write("a.txt", "pumps")
    (configured.files / "shut").mkdir()
    scan = os.scandir

    def refuse(path: str) -> Any:
        if Path(path).name == "shut":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with Services(settings.load()) as services:
        found = operations.register(services, [configured.files])
    assert (found.registered, found.left_out) == (
        1,
        (f"cannot be read, Permission denied: {configured.files / 'shut'}",),
    )


@posix
def test_register_names_links_that_lead_out_of_the_folder(configured: Application, tmp_path: Path) -> None:
    """Whoever writes to a folder does not choose what is read elsewhere; links within it, and named ones, are files."""
    configured.write("a.txt", "pumps")
    (tmp_path / "outside.txt").write_text("a secret")
    inside, outside, nowhere = (configured.files / name for name in ("b.txt", "c.txt", "d.txt"))
    inside.symlink_to(configured.files / "a.txt")
    outside.symlink_to(tmp_path / "outside.txt")
    nowhere.symlink_to(nowhere)
    with Services(settings.load()) as services:
        found = operations.register(services, [configured.files])
        assert found.registered == 2
        assert found.left_out == (
            f"a link to a file that is not below {configured.files.resolve()}: {outside}",
            f"a link that leads to no file: {nowhere}",
        )
        assert operations.register(services, [outside]).registered == 1


def test_register_of_an_empty_folder_says_so(configured: Application) -> None:
    """Nobody is sent on to ingest nothing."""
    assert "No files there" in invoke("register", str(configured.files)).stdout


@posix
def test_search_refuses_a_query_that_the_model_does_not_take(
    configured: Application, fake_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing to ask, or too much of it, is a wrong command line."""
    assert "it is empty" in invoke("search", " ", code=2).output
    assert "it is empty" in invoke("demo", "-q", "", code=2).output
    monkeypatch.setattr("rag_assets.operations.search", _too_large)
    said = invoke("search", "pumps", code=2).output
    assert "Invalid value for QUERY: it is longer than the model reads: ask with fewer words.\n" in said


@pytest.mark.parametrize("command", ["search", "embed"])
def test_a_question_that_begins_with_a_minus_is_told_how_to_be_asked(command: str) -> None:
    """It looks like an option, and the error says what to write instead."""
    said = invoke(command, "-pump", code=2).output
    assert f'rag-assets {command} -- "-word other"' in said


@posix
def test_search_leaves_out_what_is_not_similar_when_a_limit_is_given(
    configured: Application, fake_server: None
) -> None:
    """Something is always nearest, and scored near 1: the similarity tells, and cuts; words alone have none."""
    configured.add("a.txt", *WORDS)
    configured.run()
    plain = invoke("search", "pumps").stdout
    assert re.search(r"\[meaning 1\.(, words \d+\.)?, similarity -?[01]\.\d\d\]", plain)
    every = objects(invoke("search", "pumps", "--json").stdout)
    limit = sorted(hit["similarity"] for hit in every)[len(every) // 2]
    few = objects(invoke("search", "pumps", "--json", "--min-similarity", str(limit)).stdout)
    assert few == [hit for hit in every if hit["similarity"] >= limit]
    assert "is left by all filters" in invoke("search", "pumps", "--min-similarity", "1").stdout
    assert "is not a number" in invoke("search", "x", "--min-similarity", "nan", code=2).output
    assert "--min-similarity needs" in invoke("search", "x", "--mode", "text", "--min-similarity", "0", code=2).output


@posix
def test_search_that_finds_nothing_says_of_which_model(
    configured: Application, fake_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index need not be empty: its vectors may be of the model that was set before."""
    configured.add("a.txt", *WORDS)
    configured.run()
    monkeypatch.setenv("RAG_ASSETS_EMBEDDING__MODEL", "another")
    assert "no vector of another is stored" in invoke("search", "pumps").stdout


def test_search_says_that_nothing_is_indexed_yet(configured: Application) -> None:
    """Words have no vectors, and what is to be done is known."""
    configured.add("a.txt", *WORDS)
    said = invoke("search", "--mode", "text", "pumps").stdout
    assert said == "Nothing found: nothing is indexed, and 1 of 1 document is pending. Next: rag-assets ingest\n"


@posix
def test_search_says_why_when_it_finds_nothing(
    configured: Application, fake_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked for decides; with --json, that is on standard error, and standard output has no line."""
    (configured.files / "sub").mkdir()
    configured.add("sub/a.txt", "pumps")
    configured.run()
    cases = {"--under": ("no path begins with nowhere. The table's are like sub/a.txt", ["--under", "nowhere"])}
    cases |= {"quotes": ("what is in quotes", ['"no such phrase"']), "words": ("no passage has such words", ["zzz"])}
    in_words = {
        "zzz": "no passage has such words",
        '"zzz" -pumps': "no passage has what is in quotes and lacks what is after a minus. Ask without.",
        "pumps -pumps": "every passage that answers has what is after a minus. Ask without.",
        "-pumps": "a minus only excludes, and nothing says what to look for",
        "to be or not to be": "its words are too common to be looked for",
        '"the"': "its words are too common to be looked for",
        '""': "there is no word in it",
    }
    for name, (said, asked) in cases.items():
        mode = ["--mode", "text"] if name == "words" else []
        assert said in invoke("search", *mode, *asked, *(["pumps"] if name == "--under" else [])).stdout
    for question, said in in_words.items():
        assert said in invoke("search", "--mode", "text", "--", question).stdout
    assert "it has bytes that are no text in UTF-8" in invoke("search", "pumps \udcff", code=2).stderr
    told = run("search", "--json", '"no such phrase"')
    assert (told.stdout, told.stderr.count("Nothing found: ")) == ("", 1)


@posix
def test_search_finds_what_is_under_a_folder_however_it_is_written(
    configured: Application, fake_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the table has it, below the document root, absolute, or from the folder that one is in."""
    for folder in ("sub", "far"):
        (configured.files / folder).mkdir()
    configured.add("sub/a.txt", "pumps")
    configured.add(str(configured.files / "far" / "b.txt"), "roses")
    configured.run()
    root = configured.files.resolve()
    monkeypatch.chdir(configured.files / "far")
    for under, path in (
        ("sub/", "sub/a.txt"),
        (f"{root}/sub/", "sub/a.txt"),
        ("far/", f"{configured.files}/far/b.txt"),
        (".", f"{configured.files}/far/b.txt"),
    ):
        found = objects(invoke("search", "--json", "pumps roses", "--under", under).stdout)
        assert {hit["path"] for hit in found} == {path}, under


@pytest.mark.parametrize("given", ["2026-11-28", "2026-11-28T14:30", "2026-11-28 14:30:00", "2026-11-28T14:30+07:00"])
def test_since_takes_a_time_as_iso_8601_has_it(given: str) -> None:
    """From a date alone on; UTC where it names no zone."""
    found = cli.MOMENT.convert(given, None, None)
    assert found.utcoffset() is not None
    assert found.isoformat().startswith(given[:10])


def test_a_language_that_is_none_is_said_with_those_that_are(home: Path) -> None:
    """Before anything is opened; letter case does not matter, and of several in one it says how they are given."""
    assert "'klingon' is none of the codes of lang" in invoke("search", "--language", "klingon", "x", code=2).stderr
    said = invoke("search", "--language", "en,de", "x", code=2).stderr
    assert "it takes one code; of several: --language en --language de\n" in said
    assert list(home.iterdir()) == []
    assert cli.LANGUAGE.convert("EN", None, None) == "en"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["search", "--type", "pdf", "x"], "it is no media type, such as application/pdf or text/csv."),
        (["status", "--watch", "often"], "'often' is not a number."),
        (["status", "--watch", "nan"], "'nan' is not a number."),
        (["status", "--watch", "0"], "0.0 is not in the range"),
    ],
)
def test_value_that_is_none_is_said_before_anything_is_opened(home: Path, command: list[str], said: str) -> None:
    """In the words of who asks, and not of a program."""
    assert said in invoke(*command, code=2).stderr
    assert list(home.iterdir()) == []


def test_since_says_how_a_time_is_written() -> None:
    """What is none is a wrong command line."""
    assert "it has to be a time such as 2026-11-28" in invoke("search", "x", "--since", "yesterday", code=2).output


def _too_large(_services: object, _query: str, *, k: int, **_how: object) -> None:
    raise UnembeddableText(k, kind="too_large", message="20002 tokens")


@posix
def test_ingest_says_what_is_short_and_loses_nothing(
    configured: Application, fake_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both numbers, and that the documents stay pending, without a traceback of Dagster's."""
    document_id = configured.add("a.txt", *WORDS)
    monkeypatch.setenv("RAG_ASSETS_LLAMA_SERVER__REQUIRED_MEMORY_GB", "1000000")
    said = invoke("ingest", code=1).stderr
    assert "Error: Not enough memory to start embedding server: " in said
    assert "1000000.0 GB needed" in said
    assert configured.pending() == [(document_id, "pending", 0, None)]


@pytest.mark.parametrize(
    ("found", "code", "says"),
    [
        ({"busy": ["5"]}, 1, "busy     5  another run is working on it"),
        ({"interrupted": True, "pending": 7}, 130, "Stopped: what is stored stays, 7 documents are pending."),
        (
            {"interrupted": True, "pending": 1, "unfinished": {"8": (0, 900), "9": (352, 1_396)}},
            130,
            "\n  pending  9  352 of 1,396 chunks, or a few more, had been embedded, and will be again: a document is "
            "stored whole\nStopped: what is stored stays, 1 document is pending.",
        ),
        ({"pending": 7}, 0, "7 documents are pending: another run has them, or they are tried again later."),
        ({"pending": 1}, 0, "1 document is pending: another run has it, or it is tried again later."),
        ({"pending": 1, "is_all": False}, 0, "\n1 document is pending. Next: rag-assets ingest"),
        ({"documents": 0}, 0, "\nNext: rag-assets register FOLDER"),
        ({}, 0, "2 completed"),
    ],
)
def test_what_was_asked_for_and_not_done_is_no_success(
    capsys: pytest.CaptureFixture[str], found: dict[str, Any], code: int, says: str
) -> None:
    """It is told, and the exit code tells it too."""
    report = RunReport(run_id="r", **found)
    report.add(Outcome(document_id=one, path=one, status="completed", stage="write") for one in ("1", "2"))
    with pytest.raises(SystemExit) as ended:
        cli._end_with(report, as_json=False)
    assert ended.value.code == code
    assert says in capsys.readouterr().out


@posix
def test_env_gives_a_shell_what_dagster_needs(tmp_path: Path) -> None:
    """`eval` takes it; the embedded database is up as long as the shell, for the commands after it."""
    rag_assets = shlex.join([sys.executable, "-m", "rag_assets"])
    script = f'eval "$({rag_assets} env)" && echo "$DAGSTER_HOME" && {rag_assets} status --json && echo "$PGHOST"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    dagster_home, status, place = done.stdout.splitlines()
    assert Path(place).is_dir()  # of the socket by which psql finds the database
    assert (Path(dagster_home) / "dagster.yaml").is_file()
    assert json.loads(status)["documents"] == 0
    assert done.stderr == "Starting the embedded PostgreSQL\n", "standard output is for the shell"


@posix
def test_env_starts_the_database_for_the_shell_and_not_for_a_shell_within_it() -> None:
    """As a $(...) has for itself where it says more than a command."""
    program = "from rag_assets import cli; print(cli._shell())"
    script = f'echo "$({shlex.quote(sys.executable)} -c {shlex.quote(program)} 2>/dev/null; true)" $$'
    for shell in ("bash", "sh"):
        done = subprocess.run([shell, "-c", script], capture_output=True, text=True, timeout=120, check=True)
        found, itself = done.stdout.split()
        assert found == itself, shell


def test_env_refuses_a_process_that_is_none() -> None:
    """The embedded database would have nobody to stay up for."""
    assert "there is no process 4194305" in invoke("env", "--pid", "4194305", code=2).output


@pytest.mark.parametrize(
    ("shell", "line"), [("sh", "export DAGSTER_HOME='a b'"), ("powershell", "$env:DAGSTER_HOME = 'a b'")]
)
def test_export_line_is_quoted_for_its_shell(shell: str, line: str) -> None:
    """A folder with a space is one value."""
    from rag_assets import console

    assert console.export_line("DAGSTER_HOME", "a b", shell=shell) == line


@pytest.mark.parametrize("command", [["demo"], ["status"], ["chunk", "a.txt"]])
def test_home_that_cannot_be_written_is_named(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the variable that says where else."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("RAG_ASSETS_HOME", str(tmp_path / "file" / "home"))
    assert "file/home (Not a directory): set RAG_ASSETS_HOME to" in invoke(*command, code=1).stderr.replace("\\", "/")


def test_home_on_a_full_disk_asks_for_room(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing wrong with the folder; a new one would begin with an empty database."""

    def refuse(**_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("rag_assets.services.tempfile.TemporaryFile", refuse)
    assert "(No space left on device): make room there, or" in invoke("status", code=1).stderr


def test_up_is_refused_where_another_one_runs(configured: Application, home: Path) -> None:
    """Two daemons on one home would get into each other's way."""
    with supervisor.alone(home):
        assert "`rag-assets up` runs already for" in invoke("up", code=1).stderr


def test_nobody_is_sent_to_ingest_what_up_takes_up(configured: Application, home: Path) -> None:
    """Where it runs in this home, that is said in place of the next step."""
    configured.write("a.txt", "pumps")
    folder, by_itself = str(configured.files), "`rag-assets up` runs here, and takes up what is pending.\n"
    with supervisor.alone(home):
        for command in (("register", folder), ("init",)):
            assert invoke(*command).stdout.endswith(by_itself)
    assert invoke("register", folder).stdout == "1 file, 0 new. Next: rag-assets ingest\n"


@pytest.mark.parametrize(("port", "of_search"), [("0", 0), ("3001", 8_000)])
def test_each_server_of_up_takes_a_free_port_with_port_0(
    configured: Application, monkeypatch: pytest.MonkeyPatch, port: str, of_search: int
) -> None:
    """As two of them run on one machine; `up` prints where they listen."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(supervisor, "run", lambda _settings, **how: asked.append(how))
    invoke("up", "--port", port)
    [how] = asked
    assert (how["port"], how["search"]) == (int(port), ("127.0.0.1", of_search))


def test_demo_does_not_touch_a_users_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sample documents have no place in it."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@127.0.0.1:1/documents")
    assert "will not add its sample documents to your table" in invoke("demo", code=1).stderr
