"""How much a smaller form of the model costs in quality: vectors and ranking beside those of the f32 reference."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag_assets import settings
from rag_assets.services import Services
from rag_assets_tests.benchmarks import ground
from rag_assets_tests.benchmarks.figures import Figure, say
from rag_assets_tests.benchmarks.sample import NoSample

SCIFACT = Path(__file__).parents[3] / "shared" / "ir" / "scifact"
FORMS = ("f16", "q8_0")
LEAST_COSINE = 0.999
LARGEST_LOSS = 0.005  # of nDCG@10
DEPTH = 10
Vectors = Any  # float32, (texts, dimension)


def measure(*, documents: int, rounds: int) -> Figure:
    """nDCG@10 of the form in use over that of f32, on so many abstracts; one round: nothing here is a time."""
    if not SCIFACT.is_dir():
        raise NoSample("../shared/ir/scifact is not there: nothing to measure with")
    queries, judged = _queries()
    abstracts = _abstracts(documents, first={document for found in judged.values() for document in found})
    texts = [*abstracts.values(), *queries.values()]
    vectors = {form: _embedded(texts, form) for form in ("f32", *FORMS)}
    scores = {
        form: _ndcg(found[: len(abstracts)], found[len(abstracts) :], list(abstracts), queries, judged)
        for form, found in vectors.items()
    }
    cosines = {form: np.sum(vectors[form] * vectors["f32"], axis=1) for form in FORMS}
    usual = settings.Settings.model_fields["embedding"].default.quantization
    loss = 1 - scores[usual] / scores["f32"]
    return Figure(
        benchmark="agreement",
        figure=f"nDCG@{DEPTH} with {usual}, the form in use",
        value=scores[usual],
        peer="f32",
        peer_value=scores["f32"],
        aim=f"every cosine >= {LEAST_COSINE}, loss of nDCG <= {LARGEST_LOSS:.1%}",
        met=loss <= LARGEST_LOSS and float(cosines[usual].min()) >= LEAST_COSINE,
        details={
            "abstracts": len(abstracts),
            "queries": len(queries),
            **{f"ndcg of {form}": scores[form] for form in FORMS},
            **{f"least cosine of {form}": float(cosines[form].min()) for form in FORMS},
            **{f"mean cosine of {form}": float(cosines[form].mean()) for form in FORMS},
        },
    )


def _embedded(texts: Sequence[str], form: str) -> Vectors:
    with ground.home():
        config = settings.load_by_hand(embedding={"quantization": form})
        with Services(config) as services:
            say(f"{len(texts)} texts with {form}")
            return services.embedder.embed(texts, token_counts=[len(text) // 3 for text in texts])


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
