"""First fill with the words of chunks kept, beside the same without: what search by words costs when documents come in.

The product always keeps them; here, the triggers that do are disabled for one of the two.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rag_assets import operations
from rag_assets.services import Services
from rag_assets_tests.benchmarks import bulk, figures, ground, quiet, sample
from rag_assets_tests.benchmarks.figures import Figure, say

AIM = 0.95
TRIGGERS = ("rag_words_inserted", "rag_words_deleted", "rag_words_updated", "rag_words_truncated")
CHUNKS = "rag_document_chunks"
WORDS = ("rag_chunk_words", "rag_word_counts", "rag_word_totals", "rag_word_changes")


def measure(*, documents: int, rounds: int) -> Figure:
    """Chunks per second with words as a share of those without; and the bytes that the words of a chunk take."""
    with ground.home() as home, bulk.served(home) as (services, _client):
        say(f"Unpacking {documents} documents")
        operations.register(services, sample.unpack(home / "documents", documents=documents))
        ground.ingest(services)  # Dagster is imported, its tables are there, connections are open
        expected, sizes = _chunks(services)[0], {}

        def with_words() -> float:
            ground.empty_index(services)
            rate = _rate(services)
            assert _chunks(services) == (expected, expected)
            operations.fill_words(services)  # what is not folded yet is
            sizes.update(_bytes(services))
            return rate

        def without() -> float:
            ground.empty_index(services)  # before: one of the triggers empties the words with their chunks
            with _switched_off(services):
                rate = _rate(services)
            assert _chunks(services) == (expected, 0)
            return rate

        seen = quiet.interleaved(
            {"with words": with_words, "without": without}, rounds=rounds, home=home, unit="chunks/s"
        )
    ratio = figures.median([one["with words"] / one["without"] for one in seen.values])
    per_chunk = {table: round(size / expected) for table, size in sizes.items()}
    return Figure(
        benchmark="words",
        figure="chunks per second, rows to committed vectors and words, in a real Dagster run",
        value=seen.median("with words"),
        peer="the same without words",
        peer_value=seen.median("without"),
        ratio=ratio,
        aim=f"ratio >= {AIM}",
        met=ratio >= AIM,
        rounds=seen.values,
        details={
            "chunks": expected,
            "bytes_per_chunk": per_chunk,
            "bytes_of_words_per_chunk": sum(size for table, size in per_chunk.items() if table != CHUNKS),
            **seen.facts,
        },
    )


def _rate(services: Services) -> float:
    """Chunks per second of a first fill."""
    took = quiet.seconds(lambda: ground.ingest(services))
    return _chunks(services)[0] / took


@contextmanager
def _switched_off(services: Services) -> Iterator[None]:
    """Have no words kept meanwhile."""
    _switch(services, "disable")
    try:
        yield
    finally:
        _switch(services, "enable")


def _switch(services: Services, state: str) -> None:
    ground.execute(services, "; ".join(f"alter table {CHUNKS} {state} trigger {name}" for name in TRIGGERS))


def _chunks(services: Services) -> tuple[int, int]:
    """How many there are, and how many have their words."""
    [(chunks, with_words)] = ground.execute(
        services, f"select (select count(*) from {CHUNKS}), (select count(*) from rag_chunk_words)"
    )
    return chunks, with_words


def _bytes(services: Services) -> dict[str, int]:
    """Of each table with its indexes."""
    statement = "select t, pg_total_relation_size(t::regclass) from unnest(%s) as t"
    return dict(ground.execute(services, statement, [CHUNKS, *WORDS]))
