"""The main job as a user sees it: a row becomes searchable, follows its file, and goes when its row goes."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from rag_assets_tests.e2e.conftest import PATIENCE_SECONDS, Running, command, llama_servers, wait_for

PARAGRAPHS = [
    f"Paragraph {n} is about {word}. " + f"It says much more on {word}. " * 40
    for n, word in enumerate(("pumps", "roses", "taxes", "trains", "violins", "glaciers", "bread", "locks"))
]


def test_demo_when_nothing_is_configured(environment: dict[str, str]) -> None:
    """One command ingests the sample documents and finds the right passage for both questions."""
    [report] = command("demo", environment=environment)
    assert (report["completed"], report["failed"]) == (6, 0)
    best = [hits[0]["path"] for hits in report["answers"].values()]
    assert [Path(path).name for path in best] == ["returns-policy.md", "pump-manual.html"]


def test_row_is_indexed_updated_and_deleted_when_it_changes(running: Running, tmp_path: Path) -> None:
    """INSERT makes it searchable, UPDATE embeds only what changed, DELETE removes it; llama-server comes and goes."""
    assert not llama_servers(running.process.pid)
    file = tmp_path / "notes.md"
    file.write_text("\n\n".join(f"# Part {n}\n\n{text}" for n, text in enumerate(PARAGRAPHS)))
    document = running.insert(file)
    wait_for(lambda: running.chunks(document), what="chunks after INSERT")
    before = running.chunks(document)
    assert all(has_vector for _, has_vector in before)

    file.write_text(file.read_text().replace("about trains", "about night trains"))
    running.sql('update "TblDocumentFiles" set file_path = %s where id = %s', str(file) + "", document)
    running.command("reconcile")
    wait_for(lambda: any("night trains" in text for text, _ in running.chunks(document)), what="chunks after UPDATE")
    [(embedded,)] = running.sql(
        "select chunks_embedded from rag_ingestion_log where document_id = %s order by id desc limit 1", document
    )
    assert 1 <= embedded < len(before)

    running.sql('delete from "TblDocumentFiles" where id = %s', document)
    wait_for(lambda: not running.chunks(document), what="no chunks after DELETE")
    wait_for(lambda: not llama_servers(running.process.pid), what="llama-server gone")


def test_nothing_is_lost_when_the_run_is_killed(running: Running, tmp_path: Path) -> None:
    """After kill -9 of the run in the middle no llama-server is left, and every document ends complete, once."""
    files = [tmp_path / f"{n}.md" for n in range(12)]
    for n, file in enumerate(files):
        file.write_text("\n\n".join(f"# {n}.{m}\n\n{text[:600]} {n} {m}" for m, text in enumerate(PARAGRAPHS[:3])))
    ids = [running.insert(file) for file in files]
    wait_for(lambda: llama_servers(running.process.pid), what="llama-server at work")
    wait_for(lambda: running.sql("select 1 from rag_document_chunks limit 1"), what="first chunks")
    [server] = llama_servers(running.process.pid)
    run = server.parent()
    assert run is not None
    os.kill(run.pid, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(server.pid) or server.status() == "zombie", what="server gone")
    wait_for(lambda: running.command("status")[0]["up_to_date"] == len(ids), what="all complete")
    doubles = running.sql("select document_id, chunk_index from rag_document_chunks group by 1, 2 having count(*) > 1")
    assert not doubles


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_no_process_is_left_when_up_is_stopped(running: Running) -> None:
    """Ctrl-C stops the code server, the webserver, the daemon and PostgreSQL; the last test of those that share it."""
    family = psutil.Process(running.process.pid).children(recursive=True)
    assert family
    running.process.send_signal(signal.SIGINT)
    running.process.wait(timeout=PATIENCE_SECONDS)
    assert not [process for process in family if process.is_running() and process.status() != "zombie"]
