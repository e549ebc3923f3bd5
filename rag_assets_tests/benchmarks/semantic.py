"""Sentences a second of the strategy `semantic`, which embeds each of them to find where to cut, with every engine."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from rag_assets.embedding.embedder import Embedder, Engine
from rag_assets.services import Services
from rag_assets_tests.benchmarks import engines, figures, ground, quiet, sample
from rag_assets_tests.benchmarks.figures import Figure, say

AIM = 200.0  # sentences a second
PEER = "xllamacpp q8_0"


class Cutting:
    """One engine, and the child process that reads and cuts documents with its vectors, as in an ingestion."""

    def __init__(self, engine: Engine, paths: Sequence[Path], *, stack: ExitStack) -> None:
        settings = engines.settings(chunking={"strategy": "semantic"})
        embedder = stack.enter_context(closing(Embedder(settings, engine=engine)))
        embedder.on_embedded = self._count
        self._reader = stack.enter_context(Services(settings, embedder=embedder)).reader
        self._paths = paths
        self.sentences = self.chunks = self.characters = 0  # of the last round

    def rate(self) -> float:
        """Sentences a second over all of the documents, from their files to their chunks."""
        self.sentences = self.chunks = self.characters = 0
        took = quiet.seconds(lambda: self.read(self._paths))
        return self.sentences / took

    def read(self, paths: Sequence[Path]) -> None:
        for path in paths:
            document = self._reader.read(path, name=path.name)
            self.chunks += len(document.chunks)
            self.characters += len(document.parsed.text)

    def _count(self, texts: int) -> None:
        self.sentences += texts


def measure(*, documents: int, rounds: int) -> Figure:
    """Every engine in turn, on the same documents; engine and child are started before."""
    with ground.home() as home, ExitStack() as stack:
        say(f"Unpacking {documents} documents")
        paths = sample.unpack(home / "documents", documents=documents)
        cuttings = {name: Cutting(engine, paths, stack=stack) for name, engine in engines.forms(home).items()}
        taken = engines.chosen(home, cuttings)
        for cutting in cuttings.values():
            cutting.read(paths[:1])
        ways = {name: cutting.rate for name, cutting in cuttings.items()}
        seen = quiet.interleaved(ways, rounds=rounds, home=home, unit="sentences/s")
    rate = seen.median(taken)
    return Figure(
        benchmark="semantic",
        figure=f"sentences a second, read, embedded and put together, with {taken}, which is what is taken here",
        value=rate,
        peer=PEER,
        peer_value=seen.median(PEER),
        ratio=figures.median([one[taken] / one[PEER] for one in seen.values]),
        aim=f">= {AIM:.0f} sentences a second",
        met=rate >= AIM,
        rounds=seen.values,
        details={
            "documents": len(paths),
            "sentences": cuttings[taken].sentences,
            "characters_per_sentence": cuttings[taken].characters / cuttings[taken].sentences,
            "chunks": cuttings[taken].chunks,
            "sentences_per_second": {name: seen.median(name) for name in ways},
            **seen.facts,
        },
    )
