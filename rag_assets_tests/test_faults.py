"""The short form of the suite of faults; the long one is `python -m rag_assets_tests.faults --long --json`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rag_assets.errors import IndexUnavailable
from rag_assets.model import Hit
from rag_assets_tests.faults import __main__ as command
from rag_assets_tests.faults.arena import Ground
from rag_assets_tests.faults.kinds import KINDS
from rag_assets_tests.faults.served import SearchService
from rag_assets_tests.faults.switching import NEW, OLD, Searches, vectors

SEED = 1
# They start all of `rag-assets up`, as the end-to-end tests do; by the command only.
SLOW = {
    "kill_daemon",
    "kill_tree",
    "kill_anything",
    "two_ups",
    "stop_up",
    "terminate_run",
    "run_stands_still",
    "all_stand_still",
}
BREAKS = {
    "a chunk is removed": "delete from rag_document_chunks where id = (select min(id) from rag_document_chunks)",
    "a chunk is there twice": "insert into rag_document_chunks (document_id, chunk_index, content, content_sha256, "
    "token_count, char_start, char_end, kind, embedding, embedding_model) select document_id, 99, content, "
    "content_sha256, token_count, char_start, char_end, kind, embedding, embedding_model from rag_document_chunks "
    "limit 1",
    "vectors are exchanged": "update rag_document_chunks set embedding = (select embedding from rag_document_chunks "
    "order by id desc limit 1) where id = (select min(id) from rag_document_chunks)",
    "a change is forgotten": "update rag_outbox set state = 'dead'",
    "work is left": "select rag_enqueue(array_agg(id::text), 'update') from \"TblDocumentFiles\"",
    "something is reported that was not done": "insert into test_events values ('run', '1', 'sha')",
    "a word is counted twice": "insert into rag_word_changes (embedding_model, language, chunks, length, words, "
    "counts) select embedding_model, language, 0, 0, words[1:1], counts[1:1] from rag_word_changes limit 1",
    "a chunk has no words": "delete from rag_chunk_words where chunk_id = (select min(chunk_id) from rag_chunk_words)",
}


@pytest.fixture(scope="module")
def ground(postgres_url: str, model_path: Path) -> Iterator[Ground]:
    """A template of a migrated application, from which each trial has its own database."""
    with Ground(postgres_url, model=model_path).template() as made:
        yield made


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in SLOW])
def test_index_is_that_of_a_fresh_build_when_something_failed(ground: Ground, kind: str) -> None:
    """Whatever was killed, away, doubled or full: nothing is lost, nothing double, no process left."""
    result = KINDS[kind](ground, seed=SEED, long=False)
    assert not result.violations
    assert result.trials


@pytest.mark.parametrize("broken", BREAKS)
def test_judge_finds_it_when_something_is_wrong(ground: Ground, broken: str) -> None:
    """The judge can fail: each of its rules is seen to be broken."""
    with ground.arena(SEED) as arena:
        arena.insert(3)
        arena.settle()
        assert not arena.violations()
        if broken == "a change is forgotten":
            arena.change(3)
        arena.sql(BREAKS[broken])
        assert arena.violations()


def test_judge_of_answers_finds_it_when_one_is_mixed_or_lacks_something() -> None:
    """Of both models, whichever served; also where nothing was found."""
    contents = [f"passage {number}" for number in range(30)]
    searches = Searches(list, contents, seed=SEED)
    for model, other in ((OLD, NEW), (NEW, OLD)):
        cosines, others = (vectors(contents, of) @ vectors(contents[:1], of)[0] for of in (model, other))
        hits = [_hit(contents[place], cosines[place]) for place in np.argsort(-cosines)[:10]]
        assert searches._wrong(0, hits) == ""
        assert searches._wrong(0, [*hits[:3], *hits[4:]]) == f"1 results missing of {model}"
        place = contents.index(hits[5].content)
        assert "mixed" in searches._wrong(0, [*hits[:5], _hit(contents[place], others[place]), *hits[6:]])
    assert "mixed" in searches._wrong(0, [])
    assert searches.by_model == {OLD: 2, NEW: 2}


def test_client_of_the_search_service_waits_for_its_start_and_for_no_other_answer(
    empty_database_url: str, tmp_path: Path
) -> None:
    """While nobody answers, it asks again, also after a kill; an error that is answered is one."""
    environment = {**os.environ, "DATABASE_URL": empty_database_url, "RAG_ASSETS_HOME": str(tmp_path / "home")}
    with SearchService(environment, log=tmp_path / "log").running() as service:
        for _ in range(2):
            with pytest.raises(IndexUnavailable, match="rag-assets init"):
                service.search("pump", k=1)
            [process] = service.processes()
            process.kill()
            process.wait()
    assert not service.processes()


def _hit(content: str, similarity: float) -> Hit:
    return Hit(
        document_id="1",
        path=None,
        chunk_index=0,
        content=content,
        similarity=float(similarity),
        page=None,
        heading_path=(),
        score=1.0,
        chunk_id=1,
    )


def test_command_lists_the_kinds_when_asked() -> None:
    """The long form is found by its help."""
    asked = [sys.executable, "-m", "rag_assets_tests.faults", "--help"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert all(kind in done.stdout for kind in KINDS)
    assert "--long" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
@pytest.mark.parametrize(("said", "status"), [("echo a line", 0), ("echo a line; exit 1", 1), ("kill -9 $$", 1)])
def test_kinds_side_by_side_end_as_each_of_them_does(
    said: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two kinds in processes of their own, one that fails or says nothing makes the whole fail."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\ncase "$*" in *two_ticks*) {said};; *) echo another line;; esac\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(sys, "argv", ["faults", "--jobs", "2", "--kind", "two_ticks", "--kind", "two_daemons"])
    assert command.main() == status
    lines = capsys.readouterr().out.splitlines()
    assert "another line" in lines
    assert len(lines) == 2
