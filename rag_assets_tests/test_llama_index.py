"""LlamaIndex over an index that was really made: it finds, filters, embeds and cites as the index does."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_assets import client, operations
from rag_assets.model import Filter
from rag_assets.services import Services

llama_index = pytest.importorskip("rag_assets.integrations.llama_index")
core = pytest.importorskip("llama_index.core")

from llama_index.core.base.llms.types import CompletionResponse, LLMMetadata  # noqa: E402
from llama_index.core.llms import CustomLLM  # noqa: E402
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine  # noqa: E402
from llama_index.core.vector_stores import FilterCondition, MetadataFilter, MetadataFilters  # noqa: E402

from rag_assets.integrations.llama_index import (  # noqa: E402
    RagAssetsEmbedding,
    RagAssetsRetriever,
    UnsupportedFilter,
    as_filter,
)
from rag_assets_tests import serving  # noqa: E402

PAGE = Path(__file__).parents[1] / "docs" / "llama-index.md"
QUESTION = "How long do I have to return an item?"
FILES = {"ada.md": "---\nauthor: Ada\ntags: [engines, sums]\n---\n# Notes\n\nThe engine weaves patterns of algebra.\n"}


class Quoting(CustomLLM):
    """In place of a language model: it answers with the sentence of its prompt that has a number of days."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window=4_096, num_output=256, model_name="quoting")

    def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
        found = re.search(r"[^.\n]*within 30 days[^.]*", prompt)
        source = re.search(r"Source (\d+):(?:(?!Source \d).)*within 30 days", prompt, re.DOTALL)
        return CompletionResponse(text=(found[0] if found else "nothing") + (f" [{source[1]}]" if source else ""))

    def stream_complete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
        yield self.complete(prompt)


@pytest.fixture(autouse=True)
def _no_download() -> Iterator[None]:
    """LlamaIndex counts tokens; its own tokenizer may have to be fetched."""
    core.set_global_tokenizer(str.split)
    yield
    core.global_tokenizer = None


def filters(*given: tuple[str, str, Any], condition: str = "and") -> MetadataFilters:
    made = [MetadataFilter(key=key, operator=operator, value=value) for key, operator, value in given]
    return MetadataFilters(filters=made, condition=FilterCondition(condition))


def test_query_engine_answers_and_cites_when_asked(corpus: Services) -> None:
    """The passage that answers reaches the language model, and the answer names its document."""
    engine = RetrieverQueryEngine.from_args(RagAssetsRetriever(corpus, k=3), llm=Quoting())
    answer = engine.query(QUESTION)
    assert "within 30 days" in str(answer)
    first = answer.source_nodes[0]
    assert first.node.metadata["path"] == "returns-policy.md"
    assert first.node.metadata["heading_path"] == "Returns and refunds > How long you have"
    cited = CitationQueryEngine.from_args(None, retriever=RagAssetsRetriever(corpus, k=3), llm=Quoting()).query(
        QUESTION
    )
    [number] = re.findall(r"\[(\d+)\]", str(cited))
    assert cited.source_nodes[int(number) - 1].node.metadata["path"] == "returns-policy.md"


def test_nodes_are_the_hits_when_retrieved(corpus: Services) -> None:
    """In order, with ids, scores and all that is known of each; neighbours on demand."""
    hits = operations.search(corpus, QUESTION, k=4, neighbours=1)
    plain, wide = (RagAssetsRetriever(corpus, k=4, neighbours=count).retrieve(QUESTION) for count in (0, 1))
    assert [(each.node.node_id, each.score) for each in plain] == [(str(hit.chunk_id), hit.score) for hit in hits]
    for found, more, hit in zip(plain, wide, hits, strict=True):
        assert found.node.ref_doc_id == found.node.metadata["document_id"] == hit.document_id
        assert found.node.get_content() == hit.content
        assert more.node.get_content() == "\n\n".join((*hit.before, hit.content, *hit.after))
        for name in ("path", "title", "page", "media_type", "language", "chunk_index"):
            assert found.node.metadata.get(name) == getattr(hit, name), name
    assert any(hit.before or hit.after for hit in hits)


def test_vectors_are_those_of_the_index_when_embedded(corpus: Services) -> None:
    """Of questions and of texts, one and many, in their order."""
    embedding, texts = RagAssetsEmbedding(corpus), [f"text {number}" for number in range(5)]
    assert embedding.model_name == corpus.settings.embedding.model
    assert np.allclose(embedding.get_query_embedding(QUESTION), corpus.embedder.embed_query(QUESTION), atol=1e-5)
    many = embedding.get_text_embedding_batch(texts)
    assert np.allclose(many, corpus.embedder.embed(texts, token_counts=[2] * 5), atol=1e-5)
    assert np.allclose(embedding.get_text_embedding(texts[3]), many[3], atol=1e-2)  # a batch rounds otherwise


def test_answers_are_the_same_when_asked_through_the_service(corpus: Services) -> None:
    """Nodes, filters and vectors, by the client of rag_assets."""
    with serving.served(corpus.settings) as service, client.Index(service.url) as index:
        how = {"k": 3, "neighbours": 1, "filters": filters(("media_type", "in", ["text/markdown", "application/pdf"]))}
        near, far = (RagAssetsRetriever(way, **how).retrieve(QUESTION) for way in (corpus, index))
        assert [(each.node.node_id, each.text) for each in near] == [(each.node.node_id, each.text) for each in far]
        embedding = RagAssetsEmbedding(index)
        assert embedding.model_name == corpus.settings.embedding.model
        assert np.allclose(embedding.get_query_embedding("x"), corpus.embedder.embed_query("x"), atol=1e-3)
        assert len(embedding.get_text_embedding_batch(["one", "two"])) == 2


class Slow(llama_index.ServicesIndex):  # type: ignore[name-defined,misc]
    """Answers once somebody else has run meanwhile."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.others_ran = threading.Event()

    def search(self, *given: Any, **how: Any) -> Any:
        assert self.others_ran.wait(60)
        return super().search(*given, **how)

    def embed(self, texts: Any) -> Any:
        assert self.others_ran.wait(60)
        return super().embed(texts)


@pytest.mark.parametrize("way", ["retrieve", "embed"])
def test_event_loop_goes_on_when_asked_in_it(corpus: Services, way: str) -> None:
    """While the index works, other tasks run."""
    index = Slow(corpus)

    async def other() -> None:
        index.others_ran.set()

    async def ask() -> Any:
        asked = (
            RagAssetsRetriever(index, k=1).aretrieve(QUESTION)
            if way == "retrieve"
            else RagAssetsEmbedding(index).aget_text_embedding_batch(["one", "two"])
        )
        return (await asyncio.gather(asked, other()))[0]

    assert len(asyncio.run(ask())) == (1 if way == "retrieve" else 2)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), Filter()),
        ((("document_id", "==", 7),), Filter(documents=("7",))),
        ((("document_id", "in", ["7", "8"]), ("document_id", "in", ["8", "9"])), Filter(documents=("8",))),
        ((("media_type", "in", ["a/b"]), ("language", "==", "EN")), Filter(media_types=("a/b",), languages=("en",))),
        ((("path", "==", "a_b%.txt"),), Filter(path_glob="a_b%.txt")),
        ((("path_prefix", "==", "x/"), ("path_glob", "==", "*.md")), Filter(path_prefix="x/", path_glob="*.md")),
        ((("heading", "text_match_insensitive", "pump"),), Filter(heading="pump")),
        (
            (("changed_at", ">=", "2026-01-02"), ("changed_at", "<", 0)),
            Filter(since=datetime(2026, 1, 2, tzinfo=UTC), until=datetime(1970, 1, 1, tzinfo=UTC)),
        ),
        (
            (("author", "==", "Ada"), ("tags", "contains", "a"), ("tags", "all", ["b", "c"])),
            Filter(metadata={"author": "Ada", "tags": ["a", "b", "c"]}),
        ),
    ],
)
def test_filters_mean_what_the_index_filters_by_when_given(given: Any, expected: Filter) -> None:
    """All that has to hold is in one filter of ours; what two say of one thing, both hold."""
    assert as_filter(filters(*given)) == expected
    assert as_filter(MetadataFilters(filters=[filters(*given)])) == expected


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (filters(("page", "==", 3)), ("'page'", "document_id, media_type, language, path")),
        (filters(("title", "==", "x")), ("'title'", "own metadata")),
        (filters(("document_id", "in", [])), ("'in'", "'document_id'", "a list of values", "[]")),
        (filters(("tags", "all", [])), ("'all'", "'tags'", "[]")),
        (filters(("language", "==", "English")), ("'English'", "Close to it: en")),
        (filters(("path", "!=", "x")), ("'!='", "'path'", "'=='")),
        (filters(("pages", ">", 3)), ("'>'", "'pages'")),
        (filters(("tags", "any", ["x"])), ("'any'", "'tags'")),
        (filters(("author", "is_empty", None)), ("'is_empty'", "'author'")),
        (filters(("heading", "text_match", "x")), ("'text_match'", "'heading'", "'text_match_insensitive'")),
        (filters(("changed_at", "==", "2026-01-01")), ("'=='", "'changed_at'")),
        (filters(("changed_at", ">=", "yesterday")), ("yesterday",)),
        (filters(("document_id", "in", "7")), ("'in'", "a list")),
        (filters(("document_id", "==", ["7"])), ("'=='", "one value")),
        (filters(("author", "==", None)), ("'author'", "one value")),
        (filters(("path", "==", "a*.txt")), ("a*.txt", "document_id")),
        (filters(("author", "==", "Ada"), ("author", "==", "Bob")), ("'author'", "Ada", "Bob")),
        (filters(("author", "==", "Ada"), ("language", "==", "en"), condition="or"), ("'or'", "'in'")),
        (filters(("author", "==", "Ada"), condition="not"), ("'not'",)),
    ],
)
def test_filter_is_refused_by_name_when_the_index_has_none_such(given: Any, named: tuple[str, ...]) -> None:
    """None is ever left out in silence; the error says what there is instead."""
    with pytest.raises(UnsupportedFilter) as refused:
        as_filter(given)
    assert all(word in str(refused.value) for word in named), refused.value


def test_filters_hold_when_retrieved(corpus: Services) -> None:
    """Before the passages are counted, on real documents."""
    pdf = RagAssetsRetriever(corpus, k=5, filters=filters(("media_type", "==", "application/pdf"))).retrieve(QUESTION)
    assert {each.node.metadata["path"] for each in pdf} == {"warranty.pdf"}
    ada = RagAssetsRetriever(corpus, k=5, filters=filters(("author", "==", "Ada"), ("tags", "contains", "sums")))
    assert {each.node.metadata["path"] for each in ada.retrieve(QUESTION)} == {"ada.md"}


def test_question_is_refused_when_it_cannot_be_asked(corpus: Services) -> None:
    """Empty, or over the model's limit: a wrong value, with what to do."""
    with pytest.raises(ValueError, match="few words"):
        RagAssetsRetriever(corpus).retrieve("  ")
    with pytest.raises(ValueError, match="shorten"):
        RagAssetsRetriever(corpus, mode="vector").retrieve("word " * 3_000)
    with pytest.raises(ValueError, match="mode is hybrid, vector or text"):
        RagAssetsRetriever(corpus, mode="x").retrieve("pump")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shorten"):
        RagAssetsEmbedding(corpus).get_text_embedding_batch(["short", "word " * 3_000])


def test_examples_of_the_page_run(corpus: Services, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """As they stand there, one after the other."""
    monkeypatch.setattr("rag_assets.settings.load", lambda: corpus.settings)
    names: dict[str, Any] = {"llm": Quoting()}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        exec(block, names)  # noqa: S102 - our own page
        names["services"] = corpus  # that of the first block is closed at its end
    shown = capsys.readouterr().out
    assert "within 30 days" in shown
    assert "returns-policy.md" in shown
    assert {each.node.metadata["media_type"] for each in names["retriever"].retrieve(QUESTION)} <= {
        "application/pdf",
        "text/markdown",
    }
    assert [len(vector) for vector in names["vectors"]] == [len(names["vector"])] * 2


def test_llama_index_is_not_loaded_when_the_rest_is_used() -> None:
    """It takes seconds to import: only who asks for it pays."""
    code = "import sys, rag_assets.cli, rag_assets.operations; sys.exit('llama_index' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
