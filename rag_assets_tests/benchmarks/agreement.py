"""What an engine or a smaller form of the model costs in quality: vectors and ranking beside those in f32."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rag_assets.embedding.embedder import Embedder, Engine
from rag_assets_tests.benchmarks import engines, ground
from rag_assets_tests.benchmarks.figures import Figure, say
from rag_assets_tests.benchmarks.sample import NoSample

SCIFACT = Path(__file__).parents[3] / "shared" / "ir" / "scifact"
AIMS = {"openvino": (0.9995, 0.002), "xllamacpp": (0.999, 0.005)}  # least cosine, and largest loss of nDCG@10
DEPTH = 10
Vectors = Any  # float32, (texts, dimension)


def measure(*, documents: int, rounds: int) -> Figure:
    """nDCG@10 of the engine that is taken over that of f32, on so many abstracts; one round: nothing here is a time."""
    if not SCIFACT.is_dir():
        raise NoSample("../shared/ir/scifact is not there: nothing to measure with")
    queries, judged = _queries()
    abstracts = _abstracts(documents, first={document for found in judged.values() for document in found})
    texts = [*abstracts.values(), *queries.values()]
    with ground.home() as home:
        forms = engines.forms(home)
        taken = engines.chosen(home, forms)
        vectors = {name: _embedded(texts, name, engine) for name, engine in forms.items()}
        exact = _embedded(texts, "the reference", engines.reference(home))
    score = partial(_score, ids=list(abstracts), queries=queries, judged=judged)
    best = score(exact)
    rows = {name: _row(found, exact, score=score(found), best=best) for name, found in vectors.items()}
    return Figure(
        benchmark="agreement",
        figure=f"nDCG@{DEPTH} with {taken}, which is what is taken here",
        value=rows[taken]["ndcg"],
        peer="the published weights in f32, by llama.cpp",
        peer_value=best,
        aim="; ".join(
            f"{name}: every cosine >= {cos}, loss of nDCG <= {loss:.1%}" for name, (cos, loss) in AIMS.items()
        ),
        met=all(_meets(name, row) for name, row in rows.items()),
        details={"abstracts": len(abstracts), "queries": len(queries), "engines": rows},
    )


def _embedded(texts: Sequence[str], name: str, engine: Engine) -> Vectors:
    with closing(Embedder(engines.settings(), engine=engine)) as embedder:
        say(f"{len(texts)} texts with {name}")
        return embedder.embed(texts, token_counts=[len(text) // 3 for text in texts])


def _row(found: Vectors, exact: Vectors, *, score: float, best: float) -> dict[str, float]:
    cosines = np.sum(found * exact, axis=1)
    return {
        "ndcg": score,
        "loss": 1 - score / best,
        "least_cosine": float(cosines.min()),
        "one_minus_least_cosine": 1 - float(cosines.min()),  # figures are rounded to four digits
        "mean_cosine": float(cosines.mean()),
    }


def _meets(name: str, row: Mapping[str, float]) -> bool:
    cosine, loss = AIMS[name.split()[0]]
    return row["least_cosine"] >= cosine and row["loss"] <= loss


def _score(
    vectors: Vectors, *, ids: Sequence[str], queries: Mapping[str, str], judged: Mapping[str, Mapping[str, int]]
) -> float:
    """Of vectors of the abstracts, and after them of the questions."""
    return _ndcg(vectors[: len(ids)], vectors[len(ids) :], ids, queries, judged)


def _ndcg(
    abstracts: Vectors,
    asked: Vectors,
    ids: Sequence[str],
    queries: Mapping[str, str],
    judged: Mapping[str, Mapping[str, int]],
) -> float:
    """The mean over the queries of DCG@10 over the best possible (Järvelin and Kekäläinen, 2002)."""
    best = np.argsort(-(asked @ abstracts.T), axis=1, kind="stable")[:, :DEPTH]
    discounts = 1 / np.log2(np.arange(2, DEPTH + 2))
    found = []
    for query, order in zip(queries, best, strict=True):
        gains = np.array([judged[query].get(ids[at], 0) for at in order])
        ideal = np.array(sorted(judged[query].values(), reverse=True)[:DEPTH])
        found.append(float(gains @ discounts) / float(ideal @ discounts[: len(ideal)]))
    return sum(found) / len(found)


def _queries() -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    judged: dict[str, dict[str, int]] = defaultdict(dict)
    for line in (SCIFACT / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, score = line.split("\t")
        judged[query][document] = int(score)
    texts = {row["_id"]: row["text"] for row in _rows("queries.jsonl")}
    return {query: texts[query] for query in judged}, judged


def _abstracts(count: int, *, first: set[str]) -> dict[str, str]:
    """The judged ones, and others up to the number asked for, cut to what the model reads."""
    rows = sorted(_rows("corpus.jsonl"), key=lambda row: row["_id"] not in first)
    return {row["_id"]: f"{row['title']}. {row['text']}"[:1_200] for row in rows[: max(count, len(first))]}


def _rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (SCIFACT / name).read_text(encoding="utf-8").splitlines()]
