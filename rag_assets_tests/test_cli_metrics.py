"""`rag-assets metrics`: printed, or written to a file that a collector reads at any moment."""

import os
import sys
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result
from prometheus_client.parser import text_string_to_metric_families

from rag_assets.bundled import postgres as bundled_postgres
from rag_assets.bundled import postgres_watchdog
from rag_assets.cli import main
from rag_assets_tests import rows, serving
from rag_assets_tests.test_metrics import STORED, log, samples


@pytest.fixture
def configured(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with documents, of which the commands are told."""
    serving.fill(database_url)
    log(database_url, STORED)
    monkeypatch.setenv("RAG_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATABASE_URL", database_url)
    return database_url


def invoke(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["metrics", *arguments], prog_name="rag-assets")
    assert result.exit_code == code, result.output
    return result


def figures(text: str) -> dict[str, float]:
    return samples(list(text_string_to_metric_families(text)))


def test_metrics_are_printed(configured: str) -> None:
    """Those of the index: nobody asks this process anything."""
    found = figures(invoke().stdout)
    assert (found["rag_assets_documents.indexed"], found["rag_assets_chunks"]) == (4, 7)
    assert (found["rag_assets_attempts_total.completed"], found["rag_assets_database_up"]) == (1, 1)
    assert not [name for name in found if "search" in name]


def test_a_file_is_replaced_whole_and_every_account_may_read_it(configured: str, tmp_path: Path) -> None:
    """A collector that has the old one open reads it to its end, and nothing else is left in the folder."""
    folder = tmp_path / "textfile"
    folder.mkdir()
    target = folder / "rag_assets.prom"
    target.write_text("old 1\n")
    before = os.umask(0o077)
    try:
        with target.open() as opened:
            result = invoke("--write", str(target))
            assert sys.platform == "win32" or opened.read() == "old 1\n"
    finally:
        os.umask(before)
    assert result.stdout == ""
    assert list(folder.iterdir()) == [target]
    assert sys.platform == "win32" or target.stat().st_mode & 0o777 == 0o644
    assert figures(target.read_text())["rag_assets_documents.indexed"] == 4


def test_a_database_that_is_away_is_written_down(
    configured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what the file is for; the reason is said to whoever reads the timer's mail."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    target = tmp_path / "rag_assets.prom"
    assert "127.0.0.1" in invoke("--write", str(target)).stderr
    assert figures(target.read_text()) == {"rag_assets_database_up": 0, "rag_assets_embedder_memory_bytes": 0}


def test_an_embedded_database_that_does_not_run_is_away_and_is_not_started(
    configured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timer would start and stop it each minute, and say that it is up; once it runs, it is asked."""
    monkeypatch.delenv("DATABASE_URL")
    target, home = tmp_path / "rag_assets.prom", tmp_path / "home"
    assert "rag-assets up" in invoke("--write", str(target)).stderr
    assert figures(target.read_text())["rag_assets_database_up"] == 0
    assert not (home / "postgres").exists()
    bundled_postgres.start(home)
    try:
        invoke("--write", str(target))
        assert figures(target.read_text())["rag_assets_database_up"] == 1
    finally:
        bundled_postgres.remove(home)


def test_a_home_that_is_not_there_is_not_made(configured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name may be mistyped, which is seen where it is said."""
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("RAG_ASSETS_HOME", str(tmp_path / "mistyped"))
    assert str(tmp_path / "mistyped") in "".join(invoke().stderr.split("\n"))
    assert not (tmp_path / "mistyped").exists()


def test_a_locked_table_is_not_waited_for(configured: str) -> None:
    """A timer runs this each minute; the database answers."""
    with rows.locked(configured, "rag_outbox"):
        result = invoke()
    assert figures(result.stdout) == {"rag_assets_database_up": 1, "rag_assets_embedder_memory_bytes": 0}
    assert "locks one of its tables" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="stops processes by a signal")
def test_an_embedded_database_that_is_stuck_is_away(
    configured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the seconds that /metrics waits, and it is not said that it would not start."""
    monkeypatch.delenv("DATABASE_URL")
    home = tmp_path / "home"
    bundled_postgres.start(home)
    try:
        number = postgres_watchdog.running_server((postgres_watchdog.folder(home) / "data").resolve())
        assert number is not None
        server = psutil.Process(number)  # which answers who connects
        try:
            server.suspend()
            started = time.monotonic()
            result = invoke()
            seconds = time.monotonic() - started
        finally:
            server.resume()
    finally:
        bundled_postgres.remove(home)
    assert figures(result.stdout)["rag_assets_database_up"] == 0
    assert "does not answer within 5 s" in result.stderr
    assert seconds < 30  # of which a busy machine takes most


@pytest.mark.parametrize("url", ["mysql://me:secret@host/x", "postgresql://[bad"])
def test_an_address_of_no_database_is_an_error_and_leaves_the_file(
    configured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Nobody was asked, so nothing is told of a database: how old the file is tells that something is wrong."""
    target = tmp_path / "rag.prom"
    target.write_text("rag_assets_database_up 1\n")
    monkeypatch.setenv("DATABASE_URL", url)
    found = invoke("--write", str(target), code=1)
    assert "DATABASE_URL" in found.output
    assert "secret" not in found.output
    assert target.read_text() == "rag_assets_database_up 1\n"


def test_tables_that_are_not_up_to_date_leave_no_old_figures(
    configured: str, empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade, before `init`: a file that stays would be taken for what is so now."""
    target = tmp_path / "rag_assets.prom"
    invoke("--write", str(target))
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    assert "rag-assets init" in invoke("--write", str(target)).stderr
    assert figures(target.read_text()) == {"rag_assets_database_up": 1, "rag_assets_embedder_memory_bytes": 0}


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [("metrics.txt", 2, "end in .prom"), ("no/such/folder/a.prom", 1, "needs a folder that takes files")],
)
def test_a_file_that_no_collector_would_read_is_refused(
    configured: str, tmp_path: Path, name: str, code: int, said: str
) -> None:
    """With what to do."""
    result = invoke("--write", str(tmp_path / name), code=code)
    assert said in " ".join((result.output + str(result.exception)).split())


def test_the_help_shows_how_a_timer_runs_it(configured: str) -> None:
    """With the line of cron as it is written there."""
    assert "* * * * *  rag-assets metrics --write /var/lib/node_exporter" in invoke("--help").output
