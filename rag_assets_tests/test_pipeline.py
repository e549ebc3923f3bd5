"""The pipeline: each document is stored whole, fails alone, or is given back; nothing is embedded twice."""

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg2
import pytest

from rag_assets import operations, settings
from rag_assets.claim_source import Pace
from rag_assets.embedding.embedder import Embedder
from rag_assets.errors import (
    DocumentError,
    EmbeddingError,
    Interrupted,
    NotEnoughMemory,
    ServerFailedToStart,
    ServiceError,
    UnembeddableText,
)
from rag_assets.model import Claim, Outcome, ReadDocument
from rag_assets.pipeline import GROUP_TOKENS, Reader
from rag_assets.postgres import stories
from rag_assets.services import Services
from rag_assets_tests import fake_llama
from rag_assets_tests.application import WORDS, Application, HashEmbedder, Vectors, paragraph
from rag_assets_tests.patience import PATIENCE_SECONDS, until

POISON = "poison"


class Refusing(HashEmbedder):
    """Refuses the texts about one thing, as the embedder does after it tried each of them alone."""

    def embed(self, texts: Sequence[str], *, token_counts: Sequence[int]) -> Vectors:
        for index, text in enumerate(texts):
            if POISON in text:
                raise UnembeddableText(index, kind="too_large", message="600 tokens, allowed are 512")
        return super().embed(texts, token_counts=token_counts)


class Held(HashEmbedder):
    """Embeds a text about one of these things only when its event is set; `holds` is set when one came."""

    def __init__(self, **until: threading.Event) -> None:
        super().__init__()
        self.holds = threading.Event()
        self._until = until

    def embed(self, texts: Sequence[str], *, token_counts: Sequence[int]) -> Vectors:
        for about, event in self._until.items():
            if about in texts[0]:
                self.holds.set()
                assert event.wait(PATIENCE_SECONDS)
        return super().embed(texts, token_counts=token_counts)


def test_document_is_stored_whole_when_it_is_new(application: Application) -> None:
    """Chunks with their vectors, the outcome's figures, a row of the log; and no work is left."""
    document_id = application.add("a.txt", *WORDS)
    outcome = application.run()[document_id]
    assert application.stored(document_id) == [paragraph(about).strip() for about in WORDS]
    assert (outcome.status, outcome.chunks, outcome.chunks_embedded) == ("completed", len(WORDS), len(WORDS))
    assert set(outcome.seconds) == {"read", "chunk", "embed", "write"}
    assert application.sql("select run_id, status, path, chunks from rag_ingestion_log") == [
        ("1", "completed", "a.txt", len(WORDS))
    ]
    assert application.pending() == []


def test_only_its_chunk_is_embedded_when_a_paragraph_changes(application: Application) -> None:
    """All other chunks keep their row and vector."""
    document_id = application.add("a.txt", *WORDS)
    application.run()
    application.write("a.txt", *WORDS[:2], "locks", *WORDS[3:])
    application.change(document_id)
    embedder = HashEmbedder()
    outcome = application.run(embedder=embedder)[document_id]
    assert [text.strip() for text in embedder.texts] == [paragraph("locks").strip()]
    assert (outcome.chunks_embedded, outcome.chunks_reused, outcome.chunks_deleted) == (1, len(WORDS) - 1, 1)
    assert application.stored(document_id)[2] == paragraph("locks").strip()


def test_only_the_new_paragraph_is_embedded_when_the_others_moved(application: Application) -> None:
    """A paragraph put before the others costs one vector, not one for each chunk that has another place now."""
    document_id = application.add("a.txt", *WORDS)
    application.run()
    application.write("a.txt", "locks", *reversed(WORDS))
    application.change(document_id)
    assert application.run()[document_id].chunks_embedded == 1
    assert len(application.stored(document_id)) == len(WORDS) + 1


def test_document_is_skipped_when_its_bytes_are_the_same(application: Application) -> None:
    """A change of the row, or of the file's time, reads no text and embeds none; it is logged all the same."""
    document_id = application.add("a.txt", *WORDS)
    first = application.run()[document_id]
    application.write("a.txt", *WORDS)
    application.change(document_id)
    embedder = HashEmbedder()
    second = application.run(embedder=embedder)[document_id]
    assert (second.status, second.content_sha256, embedder.texts) == ("skipped", first.content_sha256, [])
    assert application.sql("select status from rag_ingestion_log order by id") == [("completed",), ("skipped",)]
    assert application.pending() == []


@pytest.mark.parametrize(("about", "status"), [("pumpz", "skipped"), ("locks and keys", "completed")])
def test_time_and_size_are_enough_where_that_is_set(application: Application, about: str, status: str) -> None:
    """`unchanged = "stat"`: no byte is read of a file whose time and size are those that were read; size counts."""
    _settle_for_stat(application)
    document_id = application.add("a.txt", "pumps")
    an_hour_ago = time.time() - 3_600
    os.utime(application.files / "a.txt", (an_hour_ago, an_hour_ago))
    application.run()
    application.write("a.txt", about)
    os.utime(application.files / "a.txt", (an_hour_ago, an_hour_ago))
    application.change(document_id)
    assert application.run()[document_id].status == status


@pytest.mark.parametrize("is_told", [True, False], ids=["by the table", "by nobody"])
def test_file_is_read_again_when_it_was_written_twice_in_a_second(application: Application, is_told: bool) -> None:
    """Where a file's time is in whole seconds, the second version may have size and time of the one that was read."""
    _settle_for_stat(application)
    document_id = application.add("a.txt", "pumps")
    file, second = application.files / "a.txt", int(time.time())
    os.utime(file, (second, second))
    application.run()
    application.write("a.txt", "roses")
    os.utime(file, (second, second))
    if is_told:
        application.change(document_id)
    else:
        with Services(application.settings, reader=application.reader) as services:
            assert operations.reconcile(services)["changed"] == 1
    assert application.run()[document_id].status == "completed"
    assert application.stored(document_id) == [paragraph("roses").strip()]


def _settle_for_stat(application: Application) -> None:
    parsing = application.settings.parsing.model_copy(update={"unchanged": "stat"})
    application.settings = application.settings.model_copy(update={"parsing": parsing})


def test_document_keeps_its_chunks_when_only_its_path_changed(application: Application) -> None:
    """A renamed file is not read again, and is found under its new name."""
    document_id = application.add("a.txt", *WORDS)
    application.run()
    (application.files / "a.txt").rename(application.files / "b.txt")
    application.sql(f"""update "TblDocumentFiles" set file_path = 'b.txt' where id = {document_id}""")
    assert application.run()[document_id].status == "skipped"
    assert application.sql("select path from rag_document_text") == [("b.txt",)]


def test_document_is_read_again_when_another_model_is_set(application: Application) -> None:
    """Unchanged bytes are no reason to keep vectors of another model."""
    document_id = application.add("a.txt", *WORDS)
    application.run()
    embedding = application.settings.embedding.model_copy(update={"model": "another"})
    application.settings = application.settings.model_copy(update={"embedding": embedding})
    application.change(document_id)
    outcome = application.run()[document_id]
    assert (outcome.chunks_embedded, outcome.embedding_model) == (len(WORDS), "another")
    assert application.sql("select distinct embedding_model from rag_document_chunks") == [("another",)]


@pytest.mark.parametrize("window", [1, 10], ids=["in groups of their own", "in one group"])
def test_text_is_embedded_once_when_many_documents_hold_it(application: Application, window: int) -> None:
    """Also when the first of them is not stored yet."""
    worker = application.settings.worker.model_copy(update={"bulk_batch_size": window})
    application.settings = application.settings.model_copy(update={"worker": worker})
    ids = [application.add(f"{n}.txt", *WORDS) for n in range(6)]
    embedder = HashEmbedder()
    outcomes = application.run(embedder=embedder)
    assert len(embedder.texts) == len(WORDS)
    assert [len(application.stored(document_id)) for document_id in ids] == [len(WORDS)] * 6
    assert sum(outcome.chunks_embedded + outcome.chunks_reused for outcome in outcomes.values()) == 6 * len(WORDS)


def test_text_is_embedded_after_all_when_the_stored_vector_vanished(application: Application) -> None:
    """Another document's vector was to be reused, and was deleted before it was: no document is left without."""
    first = application.add("a.txt", "pumps")
    application.run()
    second = application.add("b.txt", "pumps", "roses")
    embedder = HashEmbedder(meanwhile=lambda: application.sql("delete from rag_document_chunks"))
    assert application.run(embedder=embedder)[second].status == "completed"
    assert len(application.stored(second)) == 2
    assert application.stored(first) == []


def test_document_fails_alone_when_its_file_is_missing(application: Application) -> None:
    """The others of its group are stored; the message names the path; another attempt is planned."""
    good = [application.add(f"{n}.txt", WORDS[n]) for n in range(2)]
    bad = application.add_row("missing.txt")
    good.append(application.add("3.txt", WORDS[3]))
    outcomes = application.run()
    assert [outcomes[document_id].status for document_id in good] == ["completed"] * 3
    failed = outcomes[bad]
    assert (failed.status, failed.stage, failed.error_kind, failed.retry) == ("failed", "read", "not_found", True)
    assert failed.error_message == "File not found: missing.txt"
    assert application.pending() == [(bad, "pending", 1, None)]


def test_document_is_given_up_at_once_when_its_bytes_are_to_blame(application: Application) -> None:
    """Trying an empty file again does not help: it is dead until it changes."""
    bad = application.add_row("empty.txt")
    (application.files / "empty.txt").write_bytes(b"")
    failed = application.run()[bad]
    assert (failed.error_kind, failed.retry) == ("empty", False)
    assert application.pending() == [(bad, "dead", 1, None)]


def test_chunks_stay_when_a_new_version_cannot_be_read(application: Application) -> None:
    """What was found yesterday is better than nothing, until the file can be read again."""
    document_id = application.add("a.txt", *WORDS)
    application.run()
    (application.files / "a.txt").unlink()
    application.change(document_id)
    assert application.run()[document_id].status == "failed"
    assert len(application.stored(document_id)) == len(WORDS)


def test_documents_with_a_text_that_cannot_be_embedded_fail_alone(application: Application) -> None:
    """Both that hold it, with the reason; what only they hold is not embedded; the others are stored."""
    bad = [application.add(f"bad-{n}.txt", POISON, f"only {n}") for n in range(2)]
    good = application.add("good.txt", *WORDS)
    embedder = Refusing()
    outcomes = application.run(embedder=embedder)
    for document_id in bad:
        outcome = outcomes[document_id]
        assert (outcome.status, outcome.stage, outcome.error_kind) == ("failed", "embed", "too_large")
        assert outcome.error_message == "600 tokens, allowed are 512"
        assert application.stored(document_id) == []
    assert len(application.stored(good)) == len(embedder.texts) == len(WORDS)


def test_chunks_go_when_the_row_is_deleted(application: Application) -> None:
    """Text and chunks; the outcome says how many."""
    document_id = application.add("a.txt", *WORDS)
    application.run()
    application.remove(document_id)
    outcome = application.run()[document_id]
    assert (outcome.status, outcome.chunks_deleted, outcome.path) == ("deleted", len(WORDS), None)
    assert application.stored(document_id) == []
    assert application.sql("select * from rag_document_text") == application.pending() == []


def test_nothing_is_written_when_the_claim_was_lost_meanwhile(application: Application) -> None:
    """Another run took the document: no outcome, no chunk, no row of the log, and its claim is left alone."""
    document_id = application.add("a.txt", *WORDS)
    other = application.add("b.txt", "locks")
    steal = f"update rag_outbox set claimed_by = 'run:other' where document_id = '{document_id}'"
    outcomes = application.run(embedder=HashEmbedder(meanwhile=lambda: application.sql(steal)))
    assert list(outcomes) == [other]
    assert application.stored(document_id) == []
    assert application.sql("select document_id from rag_ingestion_log") == [(other,)]
    assert application.pending() == [(document_id, "pending", 0, "run:other")]


def test_document_is_stored_when_its_claim_is_just_being_extended(application: Application, database_url: str) -> None:
    """Somebody who touches the row of the outbox for a moment costs a moment, not the work on the document."""
    document_id = application.add("a.txt", *WORDS)
    busy = psycopg2.connect(database_url)
    others = threading.Timer(0.5, busy.commit)

    def extend() -> None:
        with busy.cursor() as cursor:
            cursor.execute("update rag_outbox set claimed_until = claimed_until + interval '1 minute'")
        others.start()

    embedder = HashEmbedder(meanwhile=extend)
    with closing(busy):
        outcomes = application.run(embedder=embedder)
        others.join()
    assert (outcomes[document_id].status, len(embedder.texts)) == ("completed", len(WORDS))
    assert application.pending() == []


def test_newer_change_is_not_lost_when_it_comes_during_the_run(application: Application) -> None:
    """What was read is stored; the document stays pending, free to be taken, and the next run reads it again."""
    document_id = application.add("a.txt", "pumps")

    def change() -> None:
        application.write("a.txt", "roses")
        application.change(document_id)

    application.run(embedder=HashEmbedder(meanwhile=change))
    assert application.stored(document_id) == [paragraph("pumps").strip()]
    assert application.pending() == [(document_id, "pending", 0, None)]
    application.run(run_id="2")
    assert application.stored(document_id) == [paragraph("roses").strip()]


def test_newest_change_is_stored_when_a_backfill_is_slower_than_several(application: Application) -> None:
    """A document that is changed, stored and changed again while a backfill embeds what it was at first."""
    document_id = application.add("a.txt", "pumps")
    backfill = application.claim(run_id="1")
    third_is_claimed, first_is_stored = threading.Event(), threading.Event()
    embedder = Held(pumps=third_is_claimed, taxes=first_is_stored)

    def change(about: str) -> list[Claim]:
        application.write("a.txt", about)
        application.change(document_id)
        return application.claim(run_id="1")

    def changes() -> Iterator[list[Claim]]:
        assert embedder.holds.wait(60)
        yield change("roses")
        until(lambda: application.stored(document_id) == [paragraph("roses").strip()])
        third = change("taxes")
        third_is_claimed.set()
        yield third

    stored = []
    for outcomes in application.pipeline(run_id="1", embedder=embedder).ingest([backfill], changes=changes()):
        stored += [application.stored(outcome.document_id) for outcome in outcomes]
        if len(stored) == 2:
            first_is_stored.set()
    assert stored == [[paragraph(about).strip()] for about in ("roses", "pumps", "taxes")]
    assert application.pending() == []


def test_document_is_as_its_file_when_a_change_is_undone_before_it_is_stored(application: Application) -> None:
    """Unchanged is what is stored when that is settled, not when it was looked at: then it was read once more."""
    document_id = application.add("a.txt", "pumps")
    application.run()
    is_undone = threading.Event()

    def change(about: str) -> list[Claim]:
        application.write("a.txt", about)
        application.change(document_id)
        return application.claim(run_id="2")

    def batches() -> Iterator[list[Claim]]:
        yield change("roses")
        yield change("pumps")
        is_undone.set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while application.pending() and time.monotonic() < deadline:
            yield application.claim(run_id="2")
            time.sleep(0.01)

    pipeline = application.pipeline(run_id="2", embedder=Held(roses=is_undone))
    outcomes = [outcome.status for group in pipeline.ingest(batches()) for outcome in group]
    assert application.stored(document_id) == [paragraph("pumps").strip()]
    assert outcomes == ["completed", "completed"]
    assert application.pending() == []


def test_chunks_go_when_the_row_was_deleted_during_the_run(application: Application) -> None:
    """What a run stores of a document that is gone by then is removed by the next."""
    document_id = application.add("a.txt", *WORDS)
    application.run(embedder=HashEmbedder(meanwhile=lambda: application.remove(document_id)))
    assert application.run(run_id="2")[document_id].status == "deleted"
    assert application.stored(document_id) == []
    assert application.pending() == []


def _short_of_memory(application: Application) -> Embedder:
    return _local(application, "good", required_memory_gb=1e6)


def _dying(application: Application) -> Embedder:
    return _local(application, "dies")


def _local(application: Application, mode: str, **section: float) -> Embedder:
    config = settings.load(home=application.settings.home, llama_server={"required_memory_gb": 0} | section)
    command = [sys.executable, fake_llama.__file__, mode]
    return Embedder.local(config, command=command, model=Path(fake_llama.__file__))


@pytest.mark.parametrize(
    ("make", "error", "kind", "said"),
    [
        (
            _short_of_memory,
            NotEnoughMemory,
            "not_enough_memory",
            r"^Not enough memory to start embedding server: \d+\.\d GB available, 1000000\.0 GB needed",
        ),
        (
            _dying,
            ServerFailedToStart,
            "server_failed",
            r"^Llama-server failed to start: (.|\n)*last log lines:\nerror: cannot load",
        ),
    ],
)
def test_no_attempt_is_counted_when_llama_server_cannot_start(
    application: Application, make: Callable[[Application], Embedder], error: type[ServiceError], kind: str, said: str
) -> None:
    """The run ends with the reason, which is logged; all documents are free and due, and the next run stores them."""
    ids = [application.add(f"{n}.txt", WORDS[n]) for n in range(3)]
    with closing(make(application)) as embedder, pytest.raises(error, match=said):
        application.run(embedder=embedder)
    assert application.pending() == [(document_id, "pending", 0, None) for document_id in ids]
    logged = application.sql("select document_id, status, error_kind from rag_ingestion_log order by 1")
    assert logged == [(document_id, "failed", kind) for document_id in ids]
    assert {outcome.status for outcome in application.run(run_id="2").values()} == {"completed"}


def test_nothing_is_stored_when_a_vector_is_not_one(application: Application) -> None:
    """An embedder that gives wrong vectors is an error of the service: no half document, no attempt."""

    class Wrong(HashEmbedder):
        def embed(self, texts: Sequence[str], *, token_counts: Sequence[int]) -> Vectors:
            return super().embed(texts, token_counts=token_counts) * np.float32("nan")

    document_id = application.add("a.txt", *WORDS)
    with pytest.raises(EmbeddingError, match=f"Document {document_id}: .* not finite"):
        application.run(embedder=Wrong())
    assert application.stored(document_id) == []
    assert application.pending() == [(document_id, "pending", 0, None)]


def test_documents_are_stored_when_every_connection_was_cut_meanwhile(application: Application) -> None:
    """A database that restarts while texts are embedded costs nothing."""
    document_id = application.add("a.txt", *WORDS)
    cut = (
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    assert application.run(embedder=HashEmbedder(meanwhile=lambda: application.sql(cut)))[document_id].chunks == 6
    assert len(application.stored(document_id)) == len(WORDS)


def test_long_document_is_embedded_in_parts_that_are_told(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no outcome for minutes; what has vectors when a text is refused is not embedded once more."""
    monkeypatch.setattr("rag_assets.pipeline.PART_TOKENS", 80)
    document_id = application.add("a.txt", *WORDS)
    told: list[tuple[str, int, int]] = []
    embedder = HashEmbedder()
    pipeline = application.pipeline(run_id="1", embedder=embedder, on_part=lambda *part: told.append(part))
    [[outcome]] = pipeline.ingest([application.claim(run_id="1")])
    assert (outcome.chunks_embedded, len(embedder.texts)) == (len(WORDS), len(WORDS))
    assert len(application.stored(document_id)) == len(WORDS)
    assert told[0] == (document_id, 0, len(WORDS))
    assert told[-1] == (document_id, len(WORDS), len(WORDS))
    assert len(told) > 2


def test_story_tells_how_far_a_long_document_is(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is embedded, to another process; once it is stored, there is nothing to tell."""
    monkeypatch.setattr("rag_assets.pipeline.PART_TOKENS", 80)
    document_id = application.add("a.txt", *WORDS)
    application.beat_seconds = 0.02
    seen: list[tuple[int, int]] = []

    def part() -> tuple[int, int] | None:
        with application.database.transaction() as cursor:
            [story] = stories.get(cursor, application.settings.source, [document_id], attempts=1)
        return story.work.part if story.work else None

    def meanwhile() -> None:
        if embedder.texts[len(WORDS) - 1 :]:  # the last part: the one before was told
            until(lambda: (part() or (0, 0))[0] > 0)
            seen.append(part() or (0, 0))

    embedder = HashEmbedder(meanwhile=meanwhile)
    application.run(embedder=embedder)
    [(embedded, chunks)] = seen
    assert 0 < embedded < chunks == len(WORDS)
    assert part() is None


def test_short_documents_are_no_parts(application: Application) -> None:
    """Nobody is told of what ends in a moment."""
    application.add("a.txt", *WORDS)
    pipeline = application.pipeline(run_id="1", on_part=lambda *_: pytest.fail("a part was told"))
    assert len(list(pipeline.ingest([application.claim(run_id="1")]))) == 1


def test_unfinished_documents_are_free_when_nobody_takes_outcomes_any_more(application: Application) -> None:
    """A run that is cancelled keeps what was stored, gives back the rest at once, and leaves no thread."""
    worker = application.settings.worker.model_copy(update={"bulk_batch_size": 1})
    application.settings = application.settings.model_copy(update={"worker": worker})
    ids = [application.add(f"{n}.txt", f"subject {n}") for n in range(20)]
    groups = application.pipeline(run_id="1").ingest([application.claim(run_id="1")])
    stored = {outcome.document_id for outcome in next(groups)}
    groups.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("feed", "embed", "keep"))]
    assert application.pending() == sorted((name, "pending", 0, None) for name in ids if name not in stored)


class Beginning(HashEmbedder):
    """Each call was about to begin when it was interrupted first, which it does not know, and then takes for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.is_beginning = threading.Event()
        self.was_broken_off = False
        self._interruptions = threading.Semaphore(0)

    def interrupt(self) -> None:
        self._interruptions.release()

    def embed(self, texts: Sequence[str], *, token_counts: Sequence[int]) -> Vectors:
        self.is_beginning.set()
        for _ in ("while it was about to begin", "since"):
            assert self._interruptions.acquire(timeout=PATIENCE_SECONDS)
        self.was_broken_off = True
        raise Interrupted


def test_what_begins_while_it_is_interrupted_ends_too(application: Application) -> None:
    """Ctrl-C came amid the first call's beginning, an import, and the run worked on until it was done."""
    document_id = application.add("a.txt", *WORDS)
    embedder = Beginning()

    def changes() -> Iterator[list[Claim]]:
        assert embedder.is_beginning.wait(PATIENCE_SECONDS)
        raise KeyboardInterrupt
        yield []

    groups = application.pipeline(run_id="1", embedder=embedder).ingest(
        [application.claim(run_id="1")], changes=changes()
    )
    with pytest.raises(KeyboardInterrupt):
        list(groups)
    assert embedder.was_broken_off
    assert application.pending() == [(document_id, "pending", 0, None)]


class Dying:
    """A reader whose process is killed while it reads, so many times."""

    def __init__(self, reader: Reader, *, times: int) -> None:
        self._reader = reader
        self._times = times
        self.reads = 0

    @property
    def fingerprint(self) -> str:
        return self._reader.fingerprint

    def read(self, path: Path, *, name: str) -> ReadDocument:
        self.reads += 1
        if self.reads <= self._times:
            raise DocumentError("crashed", f"The process that was reading {name} ended with signal SIGKILL")
        return self._reader.read(path, name=name)

    def interrupt(self) -> None:
        self._reader.interrupt()


@pytest.mark.parametrize(("times", "status"), [(1, "completed"), (2, "failed")])
def test_document_is_read_once_more_when_its_reader_died(application: Application, times: int, status: str) -> None:
    """Somebody may have killed it, which costs the document no attempt; the second time, it is at fault itself."""
    document_id = application.add("a.txt", *WORDS)
    reader = Dying(application.reader, times=times)
    application.reader = reader
    assert application.run()[document_id].status == status
    assert reader.reads == 2


class Odd:
    """A reader to whom something about one file was never thought of."""

    def __init__(self, reader: Reader, change: Callable[[ReadDocument], ReadDocument]) -> None:
        self._reader = reader
        self._change = change

    @property
    def fingerprint(self) -> str:
        return self._reader.fingerprint

    def read(self, path: Path, *, name: str) -> ReadDocument:
        read = self._reader.read(path, name=name)
        return self._change(read) if name == "odd.txt" else read

    def interrupt(self) -> None:
        self._reader.interrupt()


def _unreadable(read: ReadDocument) -> ReadDocument:
    return replace(read, language=[][len(read.chunks)])


def _with_facts(**facts: object) -> Callable[[ReadDocument], ReadDocument]:
    return lambda read: replace(read, facts=replace(read.facts, **facts))


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        (_unreadable, "read"),
        (_with_facts(mtime_ns=2**70), "write"),
        (_with_facts(version="\udce9"), "write"),
        (_with_facts(version="\x00"), "write"),
    ],
)
def test_document_with_something_unforeseen_fails_alone(
    application: Application, change: Callable[[ReadDocument], ReadDocument], stage: str
) -> None:
    """An error that no room names is that of the document at which it came; those of its group are stored."""
    before, odd, after = (application.add(f"{name}.txt", name) for name in ("before", "odd", "after"))
    application.reader = Odd(application.reader, change)
    outcomes = application.run()
    assert [outcomes[one].status for one in (before, odd, after)] == ["completed", "failed", "completed"]
    failed = outcomes[odd]
    assert (failed.error_kind, failed.stage, failed.retry) == ("crashed", stage, True)
    assert re.search(r"not foreseen.*odd\.txt$", failed.error_message or "")
    assert application.pending() == [(odd, "pending", 1, None)]
    assert (application.stored(before), application.stored(odd)) == ([paragraph("before").strip()], [])


@pytest.mark.skipif(os.name == "nt", reason="names of files are text there")
def test_link_to_a_name_that_is_no_text_fails_alone(application: Application, tmp_path: Path) -> None:
    """The message has the name with its byte written out."""
    os.symlink(os.fsencode(tmp_path) + b"/caf\xe9.txt", application.files / "link.txt")
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("text")
    link, other = application.add_row("link.txt"), application.add("a.txt", "cats")
    outcomes = application.run()
    assert outcomes[other].status == "completed"
    assert (outcomes[link].error_kind, outcomes[link].status) == ("outside_root", "failed")
    assert r"caf\udce9.txt" in (outcomes[link].error_message or "")


@pytest.mark.skipif(os.name == "nt", reason="the times of its files begin in 1601")
def test_file_of_a_time_that_no_number_holds_is_stored(application: Application) -> None:
    """Where its file system has such times at all: others keep the nearest one that they have."""
    document_id = application.add("a.txt", "cats")
    for year in (1600, 2400):
        os.utime(application.files / "a.txt", ns=((year - 1970) * 31_556_952 * 10**9,) * 2)
        application.change(document_id)
        assert application.run(run_id=str(year))[document_id].status in ("completed", "skipped")


def test_claims_are_kept_when_a_group_takes_longer_than_they_last(application: Application) -> None:
    """A long request for vectors does not make another run take the documents over."""
    worker = application.settings.worker.model_copy(update={"claim_seconds": 0.6})
    application.settings = application.settings.model_copy(update={"worker": worker})
    application.add("a.txt", *WORDS)
    ends: set[object] = set()

    def look() -> None:
        until(lambda: ends.update(application.sql("select claimed_by, claimed_until from rag_outbox")) or len(ends) > 2)

    assert len(application.run(embedder=HashEmbedder(meanwhile=look))) == 1
    assert {owner for owner, _ in ends} == {"run:1"}


def test_no_document_waits_for_a_long_one_but_its_copy(application: Application) -> None:
    """Neither those before it in its batch nor those after it; a copy has its vectors, which are made once."""
    others_are_stored = threading.Event()
    embedder = Held(glaciers=others_are_stored)
    before = application.add("before.txt", "pumps")
    long, copy = (application.add(name, *(f"glaciers {n}" for n in range(1_000))) for name in ("long.txt", "copy.txt"))
    after = application.add("after.txt", "locks")
    stored: dict[str, Outcome] = {}
    for outcomes in application.pipeline(run_id="1", embedder=embedder).ingest([application.claim(run_id="1")]):
        stored |= {outcome.document_id: outcome for outcome in outcomes}
        if stored.keys() == {before, after}:
            others_are_stored.set()
    assert list(stored) == [before, after, long, copy]
    assert stored[long].tokens >= GROUP_TOKENS
    assert stored[copy].chunks_embedded == 0
    assert len(embedder.texts) == len(set(embedder.texts)) == stored[long].chunks + 2


def test_a_change_does_not_wait_for_what_a_backfill_embeds(application: Application) -> None:
    """Nor for the documents that were read ahead; what the backfill had of them is kept."""
    change_is_stored = threading.Event()

    class Slow(HashEmbedder):
        def embed(self, texts: Sequence[str], *, token_counts: Sequence[int]) -> Vectors:
            if not any("locks" in one for one in texts):
                assert change_is_stored.wait(60)
            return super().embed(texts, token_counts=token_counts)

    for n in range(20):
        application.add(f"{n}.txt", f"subject {n}")
    backfill = [[claim] for claim in application.claim(run_id="1")]
    changed = application.add("changed.txt", "locks")
    pipeline = application.pipeline(run_id="1", embedder=Slow())
    stored = []
    for outcomes in pipeline.ingest(backfill, changes=[application.claim(run_id="1")]):
        stored += [outcome.document_id for outcome in outcomes if outcome.status == "completed"]
        change_is_stored.set()
    assert stored[0] == changed
    assert len(stored) == 21


def test_a_change_does_not_wait_for_what_a_backfill_reads(application: Application) -> None:
    """One document may keep a reader for a minute."""
    change_is_stored = threading.Event()
    reader = application.reader

    class Slow:
        fingerprint, interrupt = reader.fingerprint, reader.interrupt

        def read(self, path: Path, *, name: str) -> ReadDocument:
            assert change_is_stored.wait(60)
            return reader.read(path, name=name)

    application.reader = Slow()
    slow = application.add("slow.txt", "glaciers")
    backfill = [application.claim(run_id="1")]
    changed = application.add("changed.txt", "locks")
    stored = []
    for outcomes in application.pipeline(run_id="1").ingest(backfill, changes=[application.claim(run_id="1")]):
        stored += [outcome.document_id for outcome in outcomes]
        change_is_stored.set()
    assert stored == [changed, slow]


def test_a_backfill_does_not_wait_for_changes_that_never_end(application: Application) -> None:
    """Changes are taken faster than they are told: there is always one that could be stored."""
    touched = application.add("touched.txt", "locks")
    application.run()
    for n in range(3):
        application.add(f"{n}.txt", f"subject {n}")
    backfill = [[claim] for claim in application.claim(run_id="1")]
    pipeline = application.pipeline(run_id="1")

    def changes() -> Iterator[list[Claim]]:
        while not pipeline.ending.is_set():
            application.change(touched)
            yield application.claim(run_id="1")

    statuses = []
    for outcomes in pipeline.ingest(backfill, changes=changes()):
        statuses += [outcome.status for outcome in outcomes]
        assert len(statuses) < 50
        time.sleep(0.05)
    assert statuses.count("completed") == 3


def test_a_batch_does_not_wait_for_the_next_one(application: Application) -> None:
    """A change is stored at once, however long the run then stays for another one."""
    ids = [application.add(f"{n}.txt", WORDS[n]) for n in range(2)]
    claims = application.claim(run_id="1")
    is_stored = threading.Event()

    def batches() -> Iterator[list[Claim]]:
        yield claims[:1]
        assert is_stored.wait(PATIENCE_SECONDS), "the first document waits for the second"
        yield claims[1:]

    seen = []
    for outcomes in application.pipeline(run_id="1").ingest(batches()):
        seen += [outcome.document_id for outcome in outcomes]
        is_stored.set()
    assert seen == ids


def test_error_of_the_intake_reaches_the_run_after_what_was_read_is_given_back(application: Application) -> None:
    """Whatever ends the stream of claims ends the run, not a thread."""
    application.add("a.txt", *WORDS)
    claims = application.claim(run_id="1")

    def batches() -> Iterator[list[Claim]]:
        yield claims
        raise ServiceError("the ground is gone")

    with pytest.raises(ServiceError, match="the ground is gone"):
        list(application.pipeline(run_id="1").ingest(batches()))
    assert [owner for _, _, _, owner in application.pending()] in ([], [None])


def test_log_has_one_row_for_each_attempt(application: Application) -> None:
    """In the order in which they were made, with the run that made them."""
    document_id = application.add_row("late.txt")
    application.run(run_id="1")
    application.write("late.txt", "pumps")
    application.sql("update rag_outbox set not_before = now()")
    application.run(run_id="2")
    log = application.sql("select run_id, status, error_kind from rag_ingestion_log order by id")
    assert log == [("1", "failed", "not_found"), ("2", "completed", None)]
    assert application.stored(document_id)


def test_two_runs_at_once_share_the_documents(application: Application) -> None:
    """Each document is one run's: stored once, of many with the same words, and nobody waits for the other."""
    added = [application.add(f"{n}.txt", WORDS[n % 3], str(n)) for n in range(60)]
    embedding = {"one": threading.Event(), "other": threading.Event()}
    found: dict[str, list[Outcome]] = {}

    def meet(run_id: str) -> None:
        """Each has documents in hand while the other one has."""
        embedding[run_id].set()
        assert all(event.wait(PATIENCE_SECONDS) for event in embedding.values())

    def work(run_id: str, reader: Reader) -> None:
        embedder = HashEmbedder(meanwhile=lambda: meet(run_id))
        with application.listener() as listener:
            source = application.claim_source(listener, run_id=run_id, pace=Pace(largest_slice=5))
            pipeline = application.pipeline(run_id=run_id, embedder=embedder, reader=reader)
            found[run_id] = [outcome for group in pipeline.ingest(source.pending()) for outcome in group]

    readers = (application.reader, application.urgent_reader)
    threads = [threading.Thread(target=work, args=each) for each in zip(embedding, readers, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert all(found.values())
    assert len(found) == 2
    done = sorted(outcome.document_id for outcomes in found.values() for outcome in outcomes)
    assert done == sorted(added)
    assert application.pending() == []
    assert application.sql("select count(*), count(distinct document_id) from rag_ingestion_log") == [(60, 60)]
    assert all(len(application.stored(document_id)) == 2 for document_id in added)
