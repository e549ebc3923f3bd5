"""Another model serves without a pause: vectors beside each other, a switch in one transaction, and the way back."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg2
import pytest
from click.testing import CliRunner

from rag_assets import operations, serving, settings, switching
from rag_assets.asking import EVERYTHING, Asking, QueryVector
from rag_assets.cli import main
from rag_assets.embedding.embedder import Embedder
from rag_assets.errors import EmbeddingError, ModelDropped, SettingsError
from rag_assets.model import ClaimOwner
from rag_assets.postgres import models, outbox, stories
from rag_assets.postgres.models import Model
from rag_assets.services import Services
from rag_assets.settings import Settings
from rag_assets_tests import fake_llama, rows
from rag_assets_tests.application import CHUNKING, WORDS, Application, paragraph
from rag_assets_tests.fake_llama import FakeLlama
from rag_assets_tests.patience import until

OLD, NEW = "all-MiniLM-L6-v2", "other"


@dataclass
class Bench:
    """An index with documents, and what embeds for the model that serves and for another one."""

    application: Application
    services: Services
    chosen: Settings  # of the other model
    old: FakeLlama
    new: FakeLlama

    def add(self, name: str, *about: str) -> str:
        return self.application.add(name, *about)

    def claim(self, run_id: str) -> list[Any]:
        with self.services.database.transaction() as cursor:
            return outbox.claim_due(
                cursor, self.services.settings.source, limit=100, claimed_by=ClaimOwner("run", run_id), seconds=900
            )

    def run(self) -> dict[str, Any]:
        """A run on all that is due."""
        groups = self.services.pipeline(run_id="1").ingest([self.claim("1")])
        return {outcome.document_id: outcome for outcomes in groups for outcome in outcomes}

    def fill_both(self) -> None:
        """A document with vectors of both models, of which the old one serves."""
        self.add("a.txt", *WORDS)
        self.run()
        switching.add(self.services, self.chosen)
        self.run()

    def stored(self, model: str) -> dict[str, list[str]]:
        """What each document has of a model, in the order of its chunks."""
        found: dict[str, list[str]] = {}
        for document, content in self.application.sql(
            "select document_id, content from rag_document_chunks "
            f"where embedding_model = '{model}' order by document_id, chunk_index"
        ):
            found.setdefault(document, []).append(content.strip())
        return found

    def found(self, about: str) -> list[str]:
        """What a search for the words of a paragraph finds first, with the model that serves."""
        serving = self.services.serving
        question = paragraph(about).strip()
        return [hit.content.strip() for hit in operations.search(serving, question, k=1, mode="vector")]

    def story(self, document: str) -> str:
        """The model that the story of a document tells of."""
        with self.services.database.transaction() as cursor:
            [told] = stories.get(cursor, self.services.settings.source, [document], attempts=1)
        assert told.reading is not None
        assert told.cuts
        return told.reading.embedding_model

    def require_sound(self) -> None:
        assert self.application.sql("select * from rag_check_words()") == []


@pytest.fixture
def bench(application: Application, model_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        old, new = (stack.enter_context(FakeLlama()) for _ in range(2))
        new.salt = "another model"
        chosen = application.settings.model_copy(
            update={
                "llama_server_model": model_path,
                "llama_server": application.settings.llama_server.model_copy(update={"url": old.url}),
            }
        )
        services = stack.enter_context(
            Services(chosen, reader=application.reader, urgent_reader=application.urgent_reader)
        )
        operations.migrate(services)
        another = chosen.model_copy(
            update={
                "embedding": settings.Embedding(
                    model=NEW, dimension=384, query_prefix="passage: ", passage_prefix="passage: "
                ),
                "llama_server": chosen.llama_server.model_copy(update={"url": new.url}),
            }
        )
        yield Bench(application, services, another, old, new)


def test_new_model_is_built_beside_and_switched_to_and_back(bench: Bench) -> None:
    """Searches have the old one's vectors until the switch; what changes has both, whichever serves."""
    first, second = bench.add("a.txt", *WORDS[:3]), bench.add("b.txt", *WORDS[3:])
    bench.run()
    assert switching.add(bench.services, bench.chosen) == 2
    with pytest.raises(SettingsError, match="2 documents of 2 are without vectors of other"):
        switching.switch(bench.services)
    bench.old.requests.clear()
    bench.run()
    assert not any(paragraph(about) in text for about in WORDS for texts in bench.old.requests for text in texts)
    assert bench.stored(NEW) == bench.stored(OLD)
    assert bench.services.serving.settings.embedding.model == OLD
    assert bench.story(first) == OLD
    assert switching.switch(bench.services) == NEW
    assert bench.services.serving.settings.embedding.model == NEW
    assert bench.story(first) == NEW
    assert bench.found("roses") == [paragraph("roses").strip()]
    bench.application.write("a.txt", "locks")
    bench.application.change(first)
    bench.application.remove(second)
    bench.run()
    for model in (OLD, NEW):
        assert bench.stored(model) == {first: [paragraph("locks").strip()]}
    assert switching.back(bench.services) == OLD
    assert bench.found("locks") == [paragraph("locks").strip()]
    bench.require_sound()
    assert bench.application.pending() == []


def test_documents_of_both_models_count_as_unchanged(bench: Bench) -> None:
    """Before and after the switch, and after the old one is dropped: nothing is read or embedded again."""
    document = bench.add("a.txt", *WORDS)
    bench.run()
    switching.add(bench.services, bench.chosen)
    bench.run()
    for step in (lambda: None, lambda: switching.switch(bench.services), lambda: switching.drop(bench.services)):
        step()
        assert {name: count for name, count in operations.reconcile(bench.services).items() if count} == {}
        bench.application.change(document)
        assert bench.run()[document].status == "skipped"


def test_old_model_is_dropped_with_all_that_is_of_it(bench: Bench) -> None:
    """Its chunks, words and statistics; the settings that still name it embed with the one that serves."""
    bench.fill_both()
    switching.switch(bench.services)
    dropped = switching.drop(bench.services)
    assert (dropped.name, dropped.chunks) == (OLD, len(WORDS))
    assert bench.stored(OLD) == {}
    for table in ("rag_chunk_words", "rag_word_counts", "rag_word_totals"):
        assert bench.application.sql(f"select distinct embedding_model from {table}") == [(NEW,)]
    bench.require_sound()
    operations.migrate(bench.services)
    document = bench.add("b.txt", "locks")
    bench.run()
    assert bench.stored(NEW)[document] == [paragraph("locks").strip()]
    assert document not in bench.stored(OLD)
    with pytest.raises(SettingsError, match="no model but the one that serves"):
        switching.drop(bench.services)
    assert [one.name for one in switching.standings(bench.services)] == [NEW]
    switching.shrink(bench.services)


def test_dropping_a_model_gives_its_space_back_where_that_takes_seconds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not where many chunks stay, nor where somebody has the tables for longer, for whom all others would wait."""
    bench.fill_both()
    switching.switch(bench.services)

    def dropped() -> switching.Dropped:
        bench.application.sql(
            "insert into rag_document_chunks (document_id, chunk_index, content, content_sha256, token_count, "
            "char_start, char_end, kind, embedding, embedding_model) "
            "select '1', 100 + n, 'word ' || n, md5(n::text), 1, 0, 1, 'prose', "
            f"array(select random() from generate_series(1, 384) where n > 0)::vector, '{OLD}' "
            "from generate_series(1, 3000) as n"
        )
        return switching.drop(bench.services)

    found = dropped()
    assert found.bytes_after < found.bytes_before / 5
    with monkeypatch.context() as patched:
        patched.setattr(switching, "SHRUNK_CHUNKS", 1)
        assert dropped().bytes_after > 3 * found.bytes_after
    monkeypatch.setattr(models, "LOCK_SECONDS", 0.1)
    with closing(psycopg2.connect(bench.application.url)) as other, other.cursor() as cursor:
        cursor.execute("select count(*) from rag_document_chunks")  # and is in no hurry
        assert dropped().bytes_after > 3 * found.bytes_after
    assert dropped().bytes_after < 2 * found.bytes_after


@pytest.mark.parametrize("broken", ["vacuum", "forget_words"])
def test_dropping_goes_on_where_it_was_broken_off_after_the_last_chunk(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """What is known of words goes last: until then, the model is being dropped; nothing of it is left afterwards."""
    bench.fill_both()
    switching.switch(bench.services)

    def end(*_arguments: object, **_named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(models, broken, end)
        with pytest.raises(KeyboardInterrupt):
            switching.drop(bench.services)
    assert bench.stored(OLD) == {}
    assert {one.name: one.is_kept for one in switching.standings(bench.services)} == {OLD: False, NEW: True}
    assert switching.drop(bench.services).chunks == 0
    for table in ("rag_word_counts", "rag_word_totals"):
        assert bench.application.sql(f"select distinct embedding_model from {table}") == [(NEW,)]
    assert bench.application.sql("select * from rag_check_words()") == []
    with pytest.raises(SettingsError, match="no model but the one that serves"):
        switching.drop(bench.services)


def test_new_model_is_given_up_before_it_served(bench: Bench) -> None:
    """`drop` removes the one that does not serve; it can be added again."""
    bench.fill_both()
    assert switching.drop(bench.services).chunks == len(WORDS)
    assert bench.services.serving.settings.embedding.model == OLD
    assert switching.add(bench.services, bench.chosen) == 1
    assert bench.run()["1"].chunks_embedded == len(WORDS)


def test_document_that_a_run_had_read_before_the_model_was_added_is_embedded_with_it_later(bench: Bench) -> None:
    """It is stored without, and waits again; the switch would be refused meanwhile."""
    document = bench.add("a.txt", *WORDS)
    groups = bench.services.pipeline(run_id="1")
    read = groups._stored  # the moment at which a run asks what is kept

    def stored(batch: Any) -> Any:
        found = read(batch)
        switching.add(bench.services, bench.chosen)
        return found

    groups._stored = stored
    list(groups.ingest([bench.claim("1")]))
    assert (document in bench.stored(OLD), bench.stored(NEW)) == (True, {})
    with pytest.raises(SettingsError, match="without vectors"):
        switching.switch(bench.services)
    bench.run()
    assert bench.stored(NEW) == bench.stored(OLD)
    assert switching.switch(bench.services) == NEW


def test_run_that_began_with_a_model_ends_when_that_is_dropped(bench: Bench) -> None:
    """It stores nothing, costs no attempt, and the next one has the other model."""
    document = bench.add("a.txt", *WORDS)
    bench.run()
    switching.add(bench.services, bench.chosen)
    bench.run()
    pipeline = bench.services.pipeline(run_id="1")
    switching.switch(bench.services)
    switching.drop(bench.services)
    bench.application.write("a.txt", "locks")
    bench.application.change(document)
    with pytest.raises(ModelDropped, match="was dropped"):
        list(pipeline.ingest([bench.claim("1")]))
    assert bench.application.pending() == [(document, "pending", 0, None)]
    bench.run()
    assert bench.stored(NEW) == {document: [paragraph("locks").strip()]}


def test_both_cuts_live_side_by_side_when_the_models_take_texts_of_other_lengths(bench: Bench) -> None:
    """The shorter model's chunks leave room for what they begin with."""
    bench.add("a.txt", *WORDS)
    bench.run()
    short = settings.Embedding(model=NEW, longest=CHUNKING["size"] // 2 + 9, passage_prefix="passage: ")
    switching.add(bench.services, bench.chosen.model_copy(update={"embedding": short}))
    bench.run()
    old, new = bench.stored(OLD)["1"], bench.stored(NEW)["1"]
    assert len(new) > len(old) == len(WORDS)
    assert "".join("".join(new).split()) == "".join("".join(old).split())
    switching.switch(bench.services)
    for step in (lambda: None, lambda: switching.drop(bench.services)):
        step()
        assert {name: count for name, count in operations.reconcile(bench.services).items() if count} == {}
        [(chunks,)] = bench.application.sql("select chunks from rag_documents")
        assert chunks == len(new)


def test_status_says_why_documents_are_pending_while_another_model_is_filled(bench: Bench) -> None:
    """They are found all the same, which the numbers alone do not say."""
    bench.add("a.txt", *WORDS)
    bench.run()
    assert operations.status(bench.services).notes == ()
    switching.add(bench.services, bench.chosen)
    status = operations.status(bench.services)
    [note] = status.notes
    assert (status.pending, note.startswith(f"1 document waits for vectors of {NEW}, which does not serve")) == (
        1,
        True,
    )
    bench.run()
    assert operations.status(bench.services).notes == ()


def test_failed_document_does_not_hold_up_who_says_so(bench: Bench) -> None:
    """The switch names it, and how to go on without."""
    bench.add("a.txt", *WORDS)
    bench.run()
    (bench.application.files / "a.txt").unlink()
    switching.add(bench.services, bench.chosen)
    bench.application.sql("update rag_outbox set state = 'dead', error_kind = 'not_found'")
    with pytest.raises(
        SettingsError, match=r"1 document .* as they failed or are held \(1\).*rag-assets retry.*--despite-lack"
    ):
        switching.switch(bench.services)
    assert switching.switch(bench.services, despite_lack=True) == NEW


def test_status_says_what_comes_next_from_state_to_state(bench: Bench) -> None:
    """While vectors are made, when none lacks, when some cannot be made, after the switch, back, and amid a drop."""

    def steps() -> dict[str, str]:
        return {one.name: one.next for one in switching.standings(bench.services)}

    document = bench.add("a.txt", *WORDS)
    bench.run()
    assert steps() == {OLD: ""}
    switching.add(bench.services, bench.chosen)
    ingest = "rag-assets ingest, unless `rag-assets up` runs"
    assert steps() == {OLD: "", NEW: f"{ingest}; then rag-assets model switch"}
    bench.application.sql("update rag_outbox set state = 'dead', error_kind = 'not_found'")
    retry = "rag-assets status says why, rag-assets retry has them tried again"
    assert steps() == {OLD: "", NEW: f"{retry}; or rag-assets model switch --despite-lack"}
    switching.switch(bench.services, despite_lack=True)
    back = f"rag-assets model back has {OLD} serve again, rag-assets model drop removes it"
    assert steps() == {OLD: back, NEW: retry}
    bench.application.change(document)
    assert steps() == {OLD: back, NEW: ingest}
    bench.run()
    assert steps() == {OLD: back, NEW: ""}
    switching.back(bench.services)
    assert steps() == {OLD: "", NEW: f"rag-assets model switch has {NEW} serve, rag-assets model drop removes it"}
    bench.application.sql(f"update rag_models set is_kept = model <> '{NEW}'")
    assert steps() == {OLD: "", NEW: "rag-assets model drop removes the rest of it"}


def test_third_model_and_one_that_gives_other_vectors_are_refused(bench: Bench) -> None:
    """Before anything is written."""
    bench.add("a.txt", *WORDS)
    wrong = settings.Embedding(model="third", dimension=100)
    with pytest.raises(EmbeddingError, match="of third have the shape"):
        switching.add(bench.services, bench.chosen.model_copy(update={"embedding": wrong}))
    switching.add(bench.services, bench.chosen)
    third = bench.chosen.model_copy(update={"embedding": settings.Embedding(model="fourth")})
    with pytest.raises(SettingsError, match="are kept already"):
        switching.add(bench.services, third)
    with pytest.raises(SettingsError, match=r"serves already\. Next: rag-assets model switch has other serve"):
        switching.back(bench.services)


def test_model_that_is_there_is_not_added_with_another_file_or_set(bench: Bench, tmp_path: Path) -> None:
    """Or two kinds of vectors had one name, also where it is half dropped; as it was, it may be added again."""
    bench.add("a.txt", *WORDS)
    bench.run()
    switching.add(bench.services, bench.chosen)
    assert switching.add(bench.services, bench.chosen) == 1
    bench.run()
    server = bench.chosen.llama_server.model_copy(update={"url": bench.old.url.replace("://", "://me:secret@")})
    moved = bench.chosen.model_copy(update={"llama_server": server})
    other_set = bench.chosen.embedding.model_copy(update={"query_prefix": "query: "})
    other = bench.chosen.model_copy(update={"embedding": other_set, "llama_server_model": tmp_path})
    drop = f"rag-assets model drop, which removes the vectors of {NEW}, then rag-assets model add {NEW} again"
    shown = bench.old.url.replace("://", r"://\*\*\*@")
    bench.old.requests.clear()
    for step in (lambda: None, lambda: bench.application.sql(f"update rag_models set is_kept = model <> '{NEW}'")):
        step()
        with pytest.raises(SettingsError, match=rf"with url '{bench.new.url}' in place of '{shown}'.*{drop}"):
            switching.add(bench.services, moved)
        with pytest.raises(SettingsError, match=r"query_prefix 'passage: ' in place of 'query: ', file '.*' in place"):
            switching.add(bench.services, other)
    assert bench.old.requests == []
    switching.drop(bench.services)
    assert switching.add(bench.services, other) == 1


def test_model_of_the_settings_may_be_added_again_and_again_once_it_was_dropped(bench: Bench, model_path: Path) -> None:
    """What is known of it by its name is not what the settings leave out; both are one set."""
    bench.services.settings = bench.services.settings.model_copy(update={"embedding": settings.Embedding()})
    name = bench.services.settings.embedding.model
    bench.fill_both()
    switching.switch(bench.services)
    switching.drop(bench.services)
    chosen = switching.chosen(bench.services, name, url=bench.old.url, file=model_path)
    assert chosen.embedding.longest is not None
    assert [switching.add(bench.services, chosen) for _ in range(2)] == [1, 1]


def test_nothing_looks_through_chunks_while_all_who_store_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for a model that was dropped, of which no chunk can be found."""
    bench.add("a.txt", *WORDS)
    bench.run()
    switching.add(bench.services, bench.chosen)
    switching.drop(bench.services)
    scans: list[Any] = []

    def counted(step: Any) -> Any:
        def counting(cursor: Any, *of: Any) -> None:
            cursor.execute(
                "select seq_scan, idx_scan from pg_stat_xact_user_tables where relid = 'rag_document_chunks'::regclass"
            )
            scans.append(cursor.fetchone())
            step(cursor, *of)

        return counting

    monkeypatch.setattr(models, "lock", counted(models.lock))
    monkeypatch.setattr(models, "set_serving", counted(models.set_serving))  # the last step under the lock
    assert switching.add(bench.services, bench.chosen) == 1
    assert len(scans) == 2
    assert scans[0] == scans[1]


def test_model_that_serves_is_called_so_before_anything_is_asked_for(bench: Bench) -> None:
    """Whether the settings name it or it was switched to; the other one may be named again."""
    with pytest.raises(SettingsError, match=f"{OLD} serves already"):
        switching.chosen(bench.services, OLD)
    switching.add(bench.services, bench.chosen)
    switching.switch(bench.services, despite_lack=True)
    with pytest.raises(SettingsError, match=f"{NEW} serves already"):
        switching.chosen(bench.services, NEW)
    with pytest.raises(SettingsError, match=f"Of {OLD}, a GGUF file or a server is needed"):
        switching.chosen(bench.services, OLD)


def test_server_that_does_not_answer_is_named_as_it_was_given(bench: Bench) -> None:
    """Not by a setting that nobody made; what is no address is refused by the option's name, too."""
    with pytest.raises(
        SettingsError, match=r"^--url \(is 'gpu:8080'\): gpu:8080 is no address; allowed are http://HOST"
    ):
        switching.chosen(bench.services, NEW, url="gpu:8080")
    with pytest.raises(SettingsError, match=r"^--url \(is '\*\*\*@gpu'\): \*\*\*@gpu is no address"):
        switching.chosen(bench.services, NEW, url="me:secret@gpu")
    away = "http://me:secret@127.0.0.1:1"
    chosen = switching.chosen(bench.services, NEW, url=away)
    impatient = Embedder.remote(chosen, patience_seconds=0)
    model = Model(name=NEW, settings=serving.written(chosen), is_kept=False, serves=False)
    vars(bench.services.of(model))["embedder"] = impatient
    told: list[str] = []
    with (
        closing(impatient),
        pytest.raises(
            SettingsError, match=rf"^The server of {NEW} at http://\*\*\*@127.0.0.1:1 does not answer: .*--url$"
        ),
    ):
        switching.add(bench.services, chosen, progress=told.append)
    assert told == ["Waiting for the server at http://***@127.0.0.1:1"]


def test_file_that_says_otherwise_than_what_is_set_is_refused_under_any_name(bench: Bench, tmp_path: Path) -> None:
    """Vectors of another pooling look right, and nothing after this would tell."""
    file = bench.chosen.llama_server_model
    assert file is not None
    for given, what in (
        ({"pooling": "cls"}, "its pooling is mean, and that of mine is cls"),
        ({"dimension": 768}, "its vectors have 384 dimensions, and those of mine have 768.*--dimension"),
        ({"longest": 4_096}, "it takes 512 tokens at most"),
        ({"query_prefix": "query: "}, "whose query_prefix is ''"),
    ):
        with pytest.raises(SettingsError, match=what):
            switching.chosen(bench.services, "mine", file=file, **given)
    assert switching.chosen(bench.services, "mine", file=file).embedding.model == "mine"
    none = tmp_path / "none.gguf"
    for text, what in (("hello", "it ends too early"), ("a" * 99, "it starts with")):
        none.write_text(text)
        with pytest.raises(SettingsError, match=f"cannot be read as a GGUF model: {what}"):
            switching.chosen(bench.services, "mine", file=none)
    none.write_bytes(file.read_bytes()[:-100_000])
    with pytest.raises(SettingsError, match="a part is missing; copy or download it again"):
        switching.chosen(bench.services, "mine", file=none)
    with pytest.raises(SettingsError, match=r"^vectors of .* cannot be cut to 128 dimensions"):
        switching.chosen(bench.services, f"{OLD}@128")


def test_vectors_are_those_of_their_model(bench: Bench) -> None:
    """Each chunk has, of each model, the vector that its own server gave."""
    bench.add("a.txt", *WORDS)
    switching.add(bench.services, bench.chosen)
    bench.run()
    for model, prefix, fake in ((OLD, "", bench.old), (NEW, "passage: ", bench.new)):
        for content, vector in bench.application.sql(
            f"select content, embedding::text from rag_document_chunks where embedding_model = '{model}'"
        ):
            expected = fake_llama.vector(prefix + content + fake.salt)
            assert np.allclose(np.array(vector.strip("[]").split(","), dtype=np.float32), expected, atol=1e-5)


def test_settings_that_name_an_unknown_model_are_refused_once_others_are_known(bench: Bench) -> None:
    """Or all documents would vanish from search until they are embedded anew."""
    bench.add("a.txt", *WORDS)
    switching.add(bench.services, bench.chosen)
    third = bench.services.settings.model_copy(update={"embedding": settings.Embedding(model="third")})
    with Services(third) as services, pytest.raises(SettingsError, match="rag-assets model add third"):
        operations.migrate(services)
    assert rows.execute(bench.application.url, "select model from rag_serving") == [(OLD,)]


def test_question_that_was_embedded_before_the_switch_is_asked_of_the_model_that_serves(bench: Bench) -> None:
    """Never the vector of one model among the chunks of another; also where the switch comes amid the search."""
    bench.fill_both()
    question = paragraph("roses").strip()
    with closing(Asking(bench.services.settings)) as asking:

        def found(vector: QueryVector | None) -> tuple[str, float | None]:
            [hit] = asking.search(question, caller=EVERYTHING, k=1, mode="vector", vector=vector)
            return hit.content.strip(), round(hit.similarity or 0, 3)

        vector = asking.embed_query(question)
        assert (vector.model, found(vector)) == (OLD, (question, 1.0))
        switching.switch(bench.services)
        assert found(vector) == (question, 1.0)
        assert asking.embedding.model == NEW
        told: list[str] = []
        looked_at = asking._looked_at

        def late() -> Services:
            if not told:
                told.append(switching.back(bench.services))
            return looked_at()

        asking._looked_at = late
        bench.old.requests.clear()
        assert found(None) == (question, 1.0)
        assert [question] in bench.old.requests
        assert asking.status(caller=EVERYTHING).model == OLD


def test_search_of_a_command_is_asked_again_when_another_model_serves_by_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where models go on being switched, it ends nevertheless."""
    bench.fill_both()
    question, search = paragraph("roses").strip(), operations.search
    steps = [switching.switch, switching.back, switching.switch, switching.back]

    def late(services: Services, query: str, **how: Any) -> Any:
        hits = search(services, query, **how)
        steps.pop(0)(bench.services)
        return hits

    monkeypatch.setattr(operations, "search", late)
    bench.old.requests.clear()
    bench.new.requests.clear()
    [hit] = operations.search_serving(bench.services, question, k=1, mode="vector")
    assert hit.content.strip() == question
    assert ([question] in bench.old.requests, [f"passage: {question}"] in bench.new.requests) == (True, True)
    assert len(steps) == 4 - operations.MOST_SWITCHES


def test_commands_go_from_one_model_to_the_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user does; the settings name the old one all the time."""
    chosen = bench.services.settings
    for name, value in {
        "DATABASE_URL": bench.application.url,
        "DOCUMENT_ROOT_PATH": str(bench.application.files),
        "LLAMA_SERVER_MODEL": str(chosen.llama_server_model),
        "RAG_ASSETS_HOME": str(chosen.home),
        "RAG_ASSETS_CHUNKING": json.dumps(CHUNKING),
        "RAG_ASSETS_LLAMA_SERVER__URL": bench.old.url,
        "RAG_ASSETS_LLAMA_SERVER__REQUIRED_MEMORY_GB": "0",
    }.items():
        monkeypatch.setenv(name, value)

    def said(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, ["model", *words])
        assert done.exit_code == code, done.output
        return done.output

    bench.add("a.txt", *WORDS)
    bench.run()
    assert "0 of 1" not in said("status")
    assert "needed: --file" in said("add", NEW, code=1)
    added = said("add", NEW, "--url", bench.new.url, "--passage-prefix", "passage: ", "--query-prefix", "passage: ")
    assert f"Waiting for the server at {bench.new.url}\n1 document is to get vectors of {NEW}" in added
    early = said("switch", code=1)
    assert "1 document of 1 is without vectors" in early
    assert "Next: rag-assets ingest" in early
    assert "1 document without is not found: rag-assets model status." in said("switch", "--despite-lack")
    nothing = CliRunner().invoke(main, ["search", "--mode", "text", "pumps"])
    assert f"no vector of {NEW} is stored. Next: rag-assets model status" in nothing.output
    assert "serves already. Next: rag-assets model back" in said("switch", code=1)
    making = "Next: rag-assets ingest, unless `rag-assets up` runs; then rag-assets model switch"
    assert f"vectors of {OLD}. {making}" in said("back")
    assert f"{NEW} is kept beside; 0 of 1 document with vectors; 0 chunks, 0.0 MB of vectors. {making}" in said(
        "status"
    )
    bench.run()
    assert [json.loads(line)["lack"] for line in said("status", "--json").splitlines()] == [0, 0]
    assert said("switch") == (
        f"Searches have the vectors of {NEW}. Next: rag-assets model back has {OLD} serve again, rag-assets model drop "
        "removes it\n"
    )
    assert json.loads(said("back", "--json")) == {"serves": OLD}
    said("switch")
    assert f"{len(WORDS)} chunks of {OLD} are removed. Chunks and words have " in (told := said("drop"))
    assert f" before. Set embedding.model to {NEW}" in told
    said("shrink")
    hits = CliRunner().invoke(main, ["search", "--json", "--mode", "vector", "-k", "1", paragraph("roses").strip()])
    assert json.loads(hits.output)["content"].strip() == paragraph("roses").strip()


def test_dropping_waits_for_no_writer_and_no_writer_for_it(bench: Bench) -> None:
    """Who writes a document holds its row: that document's chunks go when it is let go, and the others' before."""
    held, free = bench.add("a.txt", *WORDS[:3]), bench.add("b.txt", *WORDS[3:])
    bench.run()
    switching.add(bench.services, bench.chosen)
    bench.run()
    switching.switch(bench.services)
    with closing(psycopg2.connect(bench.application.url)) as connection, ThreadPoolExecutor() as executor:
        with connection, connection.cursor() as cursor:
            cursor.execute("select from rag_document_text where document_id = %s for update", [held])
            dropping = executor.submit(switching.drop, bench.services)
            until(lambda: free not in bench.stored(OLD))
            assert not dropping.done()
            cursor.execute("update rag_document_text set title = 'new' where document_id = %s", [held])
            chunks = "delete from rag_document_chunks where document_id = %s and embedding_model = %s"
            cursor.execute(chunks + " and chunk_index = 0", [held, OLD])
        dropping.result()
    assert bench.stored(OLD) == {}
    bench.require_sound()


def test_reader_searches_and_a_worker_stores_with_what_is_new(bench: Bench) -> None:
    """The rights of the roles reach the models; a reader changes none."""
    bench.add("a.txt", *WORDS)
    bench.run()
    operations.establish_roles(bench.services)
    try:
        switching.add(bench.services, bench.chosen)
        for role, changes in (("rag_reader", False), ("rag_worker", True)):
            with closing(psycopg2.connect(bench.application.url)) as connection, connection.cursor() as cursor:
                cursor.execute(f"set role {role}")
                cursor.execute("select model from rag_models order by added_at")
                assert cursor.fetchall() == [(OLD,), (NEW,)]
                with nullcontext() if changes else pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    cursor.execute("update rag_models set is_kept = false")
                connection.rollback()
    finally:
        for role in ("rag_owner", "rag_worker", "rag_reader"):
            rows.execute(
                bench.application.url,
                f"reassign owned by {role} to current_user; drop owned by {role} cascade; drop role {role}",
            )
