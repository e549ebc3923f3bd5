"""First fill: rows to committed vectors, beside the same chunks sent straight to the same engine."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_assets import engines, operations
from rag_assets.embedding.client import EmbeddingClient
from rag_assets.embedding.embedder import Embedder
from rag_assets.services import Services
from rag_assets_tests.benchmarks import figures, ground, quiet, sample
from rag_assets_tests.benchmarks.figures import Figure, say

AIM = 0.95
REQUEST_TOKENS = (2_048, 8_192)  # the ceiling's grid: how much one request holds,
IN_FLIGHT = (2, 4)  # and how many are under way
TRIAL_CHUNKS = 32  # of each setting of the grid, twice


@dataclass(frozen=True, kw_only=True)
class Packing:
    request_tokens: int
    in_flight: int


Texts = list[tuple[str, int]]  # with their tokens


def measure(*, documents: int, rounds: int) -> Figure:
    """Chunks per second as a share of the ceiling; server started, Dagster imported and everything warm before."""
    with ground.home() as home, served(home) as (services, client):
        say(f"Unpacking {documents} documents")
        paths = sample.unpack(home / "documents", documents=documents)
        texts = _texts(services, paths)
        say(f"{len(texts)} different chunks, {sum(n for _, n in texts) / len(texts):.0f} tokens each")
        packing = _best(client, texts)
        _warm_up(services, paths)

        def run() -> float:
            ground.empty_index(services)
            return len(texts) / quiet.seconds(lambda: ground.ingest(services))

        def ceiling() -> float:
            return len(texts) / quiet.seconds(lambda: send(client, texts, packing=packing))

        seen = quiet.interleaved({"ceiling": ceiling, "run": run}, rounds=rounds, home=home, unit="chunks/s")
        stored = ground.execute(services, "select count(distinct content_sha256) from rag_document_chunks")[0][0]
    return _figure(
        seen,
        packing=packing,
        texts=texts,
        facts={"documents": len(paths), "chunks_stored": stored, "build": services.embedder.build},
    )


def _figure(seen: quiet.Rounds, *, packing: Packing, texts: Texts, facts: dict[str, Any]) -> Figure:
    ratio = figures.median([one["run"] / one["ceiling"] for one in seen.values])
    return Figure(
        benchmark="bulk",
        figure="chunks per second, rows to committed vectors, in a real Dagster run",
        value=seen.median("run"),
        peer="the same chunks straight to the same engine's server, best packing",
        peer_value=seen.median("ceiling"),
        ratio=ratio,
        aim=f"ratio >= {AIM}",
        met=ratio >= AIM,
        rounds=seen.values,
        details={
            **facts,
            "chunks": len(texts),
            "tokens_per_chunk": sum(tokens for _, tokens in texts) / len(texts),
            "ceiling_packing": {"request_tokens": packing.request_tokens, "in_flight": packing.in_flight},
            **seen.facts,
        },
    )


@contextmanager
def served(home: Path) -> Iterator[tuple[Services, EmbeddingClient]]:
    """Services whose engine is warm, and a client of its server."""
    settings = ground.load()
    with closing(Embedder(settings, engine=engines.choose(settings, progress=say))) as embedder:
        embedder.warm()
        assert embedder.client is not None
        with ground.ready(Services(settings, embedder=embedder)) as services:
            yield services, embedder.client


def send(client: EmbeddingClient, texts: Texts, *, packing: Packing) -> None:
    """Embed all of them, longest first, in requests of so many tokens, and keep nothing."""
    with ThreadPoolExecutor(packing.in_flight) as executor:
        list(executor.map(client.embed, _packs(texts, most_tokens=packing.request_tokens)))


def _packs(texts: Texts, *, most_tokens: int) -> Iterator[list[str]]:
    pack: list[str] = []
    room = most_tokens
    for text, tokens in sorted(texts, key=lambda one: -one[1]):
        if pack and tokens > room:
            yield pack
            pack, room = [], most_tokens
        pack.append(text)
        room -= tokens
    yield pack


def _best(client: EmbeddingClient, texts: Texts) -> Packing:
    """The quickest of the grid on a part of the texts; each setting is tried twice, and its better time counts."""
    part = texts[:TRIAL_CHUNKS]
    grid = [Packing(request_tokens=t, in_flight=n) for t, n in itertools.product(REQUEST_TOKENS, IN_FLIGHT)]
    best: dict[Packing, float] = {}
    for packing in grid * 2:
        took = quiet.seconds(_sending(client, part, packing=packing))
        best[packing] = min(best.get(packing, took), took)
    for packing, seconds in best.items():
        say(f"Ceiling: {packing.request_tokens} tokens x {packing.in_flight}: {len(part) / seconds:.2f} chunks/s")
    return min(best, key=lambda packing: best[packing])


def _sending(client: EmbeddingClient, texts: Texts, *, packing: Packing) -> Callable[[], None]:
    return lambda: send(client, texts, packing=packing)


def _texts(services: Services, paths: Sequence[Path]) -> Texts:
    """The different texts that the documents are cut into."""
    found: dict[str, int] = {}
    for path in paths:
        found |= {c.embedded_text: c.token_count for c in services.reader.read(path, name=path.name).chunks}
    return list(found.items())


def _warm_up(services: Services, paths: Sequence[Path]) -> None:
    """One run over two documents: Dagster is imported, its tables are there, connections are open."""
    operations.register(services, paths[:2])
    ground.ingest(services)
    operations.register(services, paths)
