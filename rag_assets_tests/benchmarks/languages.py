"""How well questions in three languages find documents in their own language and in others, by model and mode.

What is measured goes through the product: each model's index is filled from ../shared/corpus in a home of its own, and
hits are those of rag_search, with the weights that are set at first. A document stands where its best chunk does.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_assets import evaluation, gguf_file, model_sets, operations
from rag_assets.model import counted
from rag_assets.services import Services
from rag_assets.settings import Embedding, Mode
from rag_assets_tests import questions as question_set
from rag_assets_tests.benchmarks import ground
from rag_assets_tests.benchmarks.figures import Figure, say
from rag_assets_tests.benchmarks.sample import NoSample
from rag_assets_tests.places import CORPUS
from rag_assets_tests.questions import Question

RUN = "languages"
RECALL_DEPTH = 10  # documents: among a hundred, as many as evaluation.RECALL_DEPTH would be nearly all
BUNDLED: str = Embedding.model_fields["model"].default

Rankings = Mapping[str, Sequence[str]]  # a question's id -> the documents found, best first


def measure(*, documents: int, rounds: int, model_files: Sequence[tuple[str, Path]] = ()) -> Figure:
    """The bundled model, and each of these by name and file; the set is as large as it is, and nothing is a time."""
    if not CORPUS.is_dir():
        raise NoSample(f"skipped: {CORPUS} is not there")
    asked = question_set.read()
    told = {BUNDLED: _of_model(asked)}
    for name, file in model_files:
        told[name] = _of_model(asked, embedding=_embedding(name, file), llama_server_model=file)
    hybrid = told[BUNDLED]["hybrid"]
    return Figure(
        benchmark="languages",
        figure=f"nDCG@10 of hybrid search with {BUNDLED}, where no answer is in the question's language",
        value=hybrid["across"]["ndcg_at_10"],
        peer="where an answer is in the question's language",
        peer_value=hybrid["same"]["ndcg_at_10"],
        aim="none: docs/search.md advises by these figures",
        met=True,
        details={"questions": len(asked), **told},
    )


def by_group(asked: Sequence[Question], found: Rankings, *, mode: Mode) -> dict[str, dict[str, Any]]:
    """The measures of all questions, and of those of each language, alone and by whether an answer is in it."""
    groups = {
        "all": asked,
        **{name: [one for one in asked if one.language == name] for name in question_set.LANGUAGES},
    }
    halves = {
        f"{kind} {name}".removesuffix(" all"): [one for one in members if one.is_across == (kind == "across")]
        for name, members in groups.items()
        for kind in ("same", "across")
    }
    return {name: _told(members, found, mode=mode) for name, members in {**groups, **halves}.items() if members}


def _told(asked: Sequence[Question], found: Rankings, *, mode: Mode) -> dict[str, Any]:
    rankings = [(found[one.id], dict.fromkeys(one.documents, 1.0)) for one in asked]
    quality = evaluation.quality(mode, rankings)
    recalls = [evaluation.recall(ranking[:RECALL_DEPTH], relevant) for ranking, relevant in rankings]
    return {
        "questions": quality.questions,
        "ndcg_at_10": quality.ndcg_at_10,
        "ndcg_low": quality.ndcg_low,
        "ndcg_high": quality.ndcg_high,
        f"recall_at_{RECALL_DEPTH}": sum(recalls) / len(recalls),
        "mrr": quality.mrr,
    }


def _of_model(asked: Sequence[Question], **settings: Any) -> dict[str, Any]:
    """By mode, what `by_group` tells; and how much was indexed."""
    with ground.home(), ground.ready(Services(ground.load(**settings), progress=say)) as services:
        indexed, chunks = _ingest(services)
        missing = {name for one in asked for name in one.documents} - indexed
        assert not missing, f"These answer a question and could not be read: {sorted(missing)}"
        vectors = {one.id: services.embedder.embed_query(one.text) for one in asked}
        return {
            "documents": len(indexed),
            "chunks": chunks,
            **{mode: by_group(asked, _found(services, asked, vectors, mode), mode=mode) for mode in evaluation.MODES},
        }


def _ingest(services: Services) -> tuple[set[str], int]:
    """The documents that were read, as paths below the corpus, and how many chunks they have.

    Some of the corpus's documents are there to fail: they are encrypted, cut off or empty.
    """
    total = operations.register(services, sorted(one for one in CORPUS.resolve().iterdir() if one.is_dir())).registered
    say(f"Ingesting {counted(total, 'document')} with {services.settings.embedding.model}")
    with services.claim_source(run_id=RUN) as source:
        for _ in services.pipeline(run_id=RUN).ingest(source.pending()):
            pass
    operations.fill_words(services)
    paths = ground.execute(services, "select path from rag_document_text")
    [(chunks,)] = ground.execute(services, "select count(*) from rag_document_chunks")
    return {_name(path) for (path,) in paths}, chunks


def _found(services: Services, asked: Sequence[Question], vectors: Mapping[str, list[float]], mode: Mode) -> Rankings:
    say(f"rag_search, {mode}")
    return {
        one.id: evaluation.ranking(
            operations.search(services, one.text, k=evaluation.SEARCHED_HITS, mode=mode, vector=vectors[one.id]),
            lambda hit: _name(hit.path or ""),
        )
        for one in asked
    }


def _name(path: str) -> str:
    """How the questions name a document."""
    return Path(path).relative_to(CORPUS.resolve()).as_posix()


def _embedding(name: str, file: Path) -> dict[str, Any]:
    """The section of the settings; a model that is known by name brings its dimension, another one's is in its file."""
    if model_sets.known(name):
        return {"model": name}
    metadata = gguf_file.read_metadata(file)
    return {"model": name, "dimension": int(metadata[f"{metadata['general.architecture']}.embedding_length"])}
