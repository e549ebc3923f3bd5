"""How well each mode of search finds what answers a question, beside BM25 of bm25s and exact cosine, in one run.

What is measured goes through the product: documents are files that are ingested, and hits are those of rag_search. A
document stands where its best chunk does. The weight of the vectors is not chosen on the questions that it is scored
on: the questions are halved by chance, each half is scored with the weight that is best for the other one, and that is
repeated with other halves.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rag_assets import evaluation, operations
from rag_assets.evaluation import Questions, Relevance
from rag_assets.model import Hit
from rag_assets.services import Services
from rag_assets.settings import Mode
from rag_assets_tests.benchmarks import ground, place
from rag_assets_tests.benchmarks.figures import Figure, say
from rag_assets_tests.benchmarks.sample import SHARED, NoSample

SCIFACT = SHARED / "ir" / "scifact"
AIMS = {"vector": 0.65, "text": 0.685, "hybrid": 0.72}  # nDCG@10
LEAST_RECALL = 0.95  # of hybrid, at 100
WEIGHTS = [step / 20 for step in range(21)]
POOL = 1_200  # hits among which a weight is chosen

Rankings = Mapping[str, Sequence[str]]  # question -> documents, best first
Vectors = Mapping[str, Sequence[float]]  # question -> its vector


def measure(*, documents: int, rounds: int, folder: Path = SCIFACT, index: str | None = None) -> Figure:
    """Every mode on the questions of a folder in BEIR's form; `documents` 0: all of its corpus; `rounds` of halving.

    `index` is a database, or a home, in which documents of the corpus are indexed already, named as `ingest` does here:
    what is missing there is told, and its questions are asked all the same.
    """
    if not (folder / "corpus.jsonl").is_file():
        raise NoSample(f"skipped: {folder} has no corpus.jsonl with queries.jsonl and qrels/test.tsv")
    questions = _first(evaluation.read(folder), documents)
    with place.opened(index) as (services, home):
        if index is None:
            assert home is not None
            _ingest(services, questions, below=home / "corpus")
        operations.fill_words(services)  # an older index gets its words some at a time
        return _figure(services, questions, rounds=rounds)


def _figure(services: Services, questions: Questions, *, rounds: int) -> Figure:
    assert questions.corpus is not None
    indexed = _indexed(services)
    vectors = {key: services.embedder.embed_query(text) for key, text in questions.texts.items()}
    found: dict[str, Rankings] = {}
    for mode in evaluation.MODES:
        say(f"rag_search, {mode}")
        found[mode] = _asked(services, questions, vectors, mode=mode)
    say("The weight of the vectors, chosen on halves")
    found["hybrid_cross_validated"], chosen, by_weight = _cross_validated(services, questions, vectors, rounds=rounds)
    say("Peers")
    found["bm25s"] = _bm25s(questions, indexed)
    found["exact_cosine"] = _exact(services, vectors)
    told = {name: _told(name, rankings, questions.relevant) for name, rankings in found.items()}
    hybrid = told["hybrid_cross_validated"]
    best_leg = max(told["vector"]["ndcg_at_10"], told["text"]["ndcg_at_10"])
    return Figure(
        benchmark="search_quality",
        figure="nDCG@10 of hybrid search, the weight of the vectors chosen on the other half of the questions",
        value=hybrid["ndcg_at_10"],
        peer="BM25 of bm25s with its English stemmer and stop words, on the same documents",
        peer_value=told["bm25s"]["ndcg_at_10"],
        aim=f"nDCG@10: vector >= {AIMS['vector']}, text >= {AIMS['text']}, hybrid >= {AIMS['hybrid']} and above both; "
        f"recall@100 of hybrid >= {LEAST_RECALL}",
        met=all(told[mode]["ndcg_at_10"] >= least for mode, least in AIMS.items() if mode != "hybrid")
        and hybrid["ndcg_at_10"] >= max(AIMS["hybrid"], best_leg)
        and hybrid["recall_at_100"] >= LEAST_RECALL,
        rounds=chosen,
        details={
            "documents": len(questions.corpus),
            "documents_indexed": len(indexed & questions.corpus.keys()),
            "questions": len(questions.texts),
            "default_weight": services.settings.search.vector_weight,
            **told,
            "ndcg_by_weight_on_all_questions": by_weight,
        },
    )


def _first(questions: Questions, documents: int) -> Questions:
    """The judged documents, and others up to so many."""
    assert questions.corpus is not None
    judged = {document for relevant in questions.relevant.values() for document in relevant}
    ordered = sorted(questions.corpus, key=lambda key: key not in judged)
    kept = ordered[: max(documents, len(judged & questions.corpus.keys()))] if documents else list(questions.corpus)
    return Questions(
        texts=questions.texts, relevant=questions.relevant, corpus={key: questions.corpus[key] for key in kept}
    )


def _ingest(services: Services, questions: Questions, *, below: Path) -> None:
    below.mkdir()
    assert questions.corpus is not None
    for key, text in questions.corpus.items():
        (below / f"{key}.md").write_text(text, encoding="utf-8")
    operations.register(services, [below])
    say(f"Ingesting {len(questions.corpus)} documents")
    ground.ingest(services)


def _name(hit: Hit) -> str:
    """How the corpus names the document of a hit."""
    return Path(hit.path or "").stem


def _indexed(services: Services) -> set[str]:
    return {Path(path).stem for (path,) in ground.execute(services, "select path from rag_document_text")}


def _asked(
    services: Services, questions: Questions, vectors: Vectors, *, mode: Mode, keys: Sequence[str] = ()
) -> Rankings:
    """What rag_search gives these questions, or all."""
    return {
        key: evaluation.ranking(
            operations.search(
                services, questions.texts[key], k=evaluation.SEARCHED_HITS, mode=mode, vector=vectors[key]
            ),
            _name,
        )
        for key in keys or questions.texts
    }


def _told(name: str, rankings: Rankings, relevant: Mapping[str, Relevance]) -> dict[str, Any]:
    told = asdict(evaluation.quality(name, [(rankings[key], relevant[key]) for key in rankings]))
    return {key: value for key, value in told.items() if key not in ("mode", "questions")}


# ---- the weight of the vectors


def _cross_validated(
    services: Services, questions: Questions, vectors: Vectors, *, rounds: int
) -> tuple[Rankings, list[dict[str, Any]], dict[str, float]]:
    """What rag_search gives each question with a weight that was chosen without it (of the first halving); the weights
    of all halvings with the mean nDCG@10 that they have on the other half; the nDCG@10 of every weight on all.

    Weights are chosen on the scores of a deep search, added up here as docs/search.md says that `convex` does.
    """
    deep = {
        key: operations.search(services, text, k=POOL, mode="hybrid", vector=vectors[key])
        for key, text in questions.texts.items()
    }
    scores = {
        weight: {key: evaluation.ndcg(_fused(hits, weight), questions.relevant[key]) for key, hits in deep.items()}
        for weight in WEIGHTS
    }
    halvings = [_halving(scores, list(questions.texts), seed=number) for number in range(rounds)]
    rankings: dict[str, Sequence[str]] = {}
    for weight, unseen in halvings[0]:
        with _weighted(services, weight):
            rankings |= _asked(services, questions, vectors, mode="hybrid", keys=unseen)
    told = [
        {
            "weights": [weight for weight, _ in halving],
            "ndcg_at_10": sum(scores[weight][key] for weight, unseen in halving for key in unseen) / len(deep),
        }
        for halving in halvings
    ]
    return rankings, told, {f"{weight:.2f}": _mean(of_all, list(of_all)) for weight, of_all in scores.items()}


def _fused(hits: Sequence[Hit], weight: float) -> list[str]:
    """The documents in the order of the weighted scores, each as a share of its best."""
    nearest = max((hit.similarity or 0.0) + 1 for hit in hits)
    most = max(hit.word_score or 0.0 for hit in hits) or 1.0

    def score(hit: Hit) -> float:
        return weight * ((hit.similarity or 0.0) + 1) / nearest + (1 - weight) * (hit.word_score or 0.0) / most

    return evaluation.ranking(sorted(hits, key=score, reverse=True), _name)


def _halving(
    scores: Mapping[float, Mapping[str, float]], keys: list[str], *, seed: int
) -> list[tuple[float, list[str]]]:
    """The weight that is best for each half of the questions, with the other half."""
    random.Random(seed).shuffle(keys)
    halves = keys[: len(keys) // 2], keys[len(keys) // 2 :]
    weights = [max(WEIGHTS, key=lambda weight: _mean(scores[weight], half)) for half in halves]
    return list(zip(weights, reversed(halves), strict=True))


@contextmanager
def _weighted(services: Services, weight: float) -> Iterator[None]:
    before = services.settings
    search = before.search.model_copy(update={"vector_weight": weight})
    services.settings = before.model_copy(update={"search": search})
    try:
        yield
    finally:
        services.settings = before


def _mean(scores: Mapping[str, float], keys: Sequence[str]) -> float:
    return sum(scores[key] for key in keys) / len(keys)


# ---- peers


def _bm25s(questions: Questions, indexed: set[str]) -> Rankings:
    """BM25 as bm25s has it by default (Lù, arXiv 2407.03618), of whole documents: those that are indexed here."""
    import bm25s
    import Stemmer

    assert questions.corpus is not None
    corpus = {key: text for key, text in questions.corpus.items() if key in indexed}
    options: dict[str, Any] = {"stopwords": "en", "stemmer": Stemmer.Stemmer("english"), "show_progress": False}
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(list(corpus.values()), **options), show_progress=False)
    asked = bm25s.tokenize(list(questions.texts.values()), **options)
    found, _ = retriever.retrieve(asked, k=min(evaluation.RECALL_DEPTH, len(corpus)), show_progress=False)
    keys = list(corpus)
    return {key: [keys[at] for at in row] for key, row in zip(questions.texts, found, strict=True)}


def _exact(services: Services, vectors: Vectors) -> Rankings:
    """All stored vectors compared with each question's, outside of the database."""
    import json

    import numpy as np

    rows = ground.execute(
        services,
        "select t.path, c.embedding::text from rag_document_chunks as c join rag_document_text as t using (document_id)"
        " where c.embedding_model = %s",
        services.settings.embedding.model,
    )
    names = [Path(path).stem for path, _ in rows]
    stored = np.array([json.loads(text) for _, text in rows], dtype=np.float32)
    found = {}
    for key, vector in vectors.items():
        order = np.argsort(-(stored @ np.asarray(vector, dtype=np.float32)), kind="stable")[: evaluation.SEARCHED_HITS]
        found[key] = list(dict.fromkeys(names[at] for at in order))[: evaluation.RECALL_DEPTH]
    return found
