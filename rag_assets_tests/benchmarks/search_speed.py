"""How long a search takes among many chunks, how well it finds the nearest, and what its index costs, beside plain SQL.

The chunks are those of many_chunks; the questions are SciFact's, with their own vectors. Each way is asked the same
questions, by one client and by eight at once, each on a connection of its own, without a filter and with filters that
10 %, 1 % and 0.1 % of the chunks pass. Embedding the question is not measured.
"""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import cursor as Cursor
from pydantic import SecretStr

from rag_assets import evaluation, operations
from rag_assets.postgres import conninfo
from rag_assets.services import Services
from rag_assets.settings import Source
from rag_assets_tests import rows
from rag_assets_tests.benchmarks import figures, ground, many_chunks, place
from rag_assets_tests.benchmarks.figures import Figure, say
from rag_assets_tests.benchmarks.quiet import Others
from rag_assets_tests.benchmarks.sample import SHARED, NoSample

SCIFACT = SHARED / "ir" / "scifact"
SIZES = (10_000,)
AIMS = {100_000: 0.050, 1_000_000: 0.150}  # seconds, p95 of hybrid search with one client
LEAST_RECALL = 0.95
K = 10
FILTERS = {"all": None, "10 %": "d3/", "1 %": "d3/d43/", "0.1 %": "d3/d43/d243/"}
CLIENTS = (1, 8)
CELL_SECONDS = 20.0  # a way that is slow is asked fewer questions
READ_BYTES = 1 << 26  # at once, of a table that was there already
WARMING = 5  # questions before those that are measured
SLOW_SECONDS = 2.0  # who takes longer is warmed by one question, and asked by one client


@dataclass(frozen=True, kw_only=True)
class Question:
    text: str
    vector: str  # as pgvector reads it
    words: str  # any of its words, as a tsquery


@dataclass(frozen=True, kw_only=True)
class Way:
    """A statement of one parameter `filter`, and what is set before it."""

    statement: str
    settings: str = ""


PRODUCT = {
    mode: Way(
        statement="select chunk_id from rag_search(%(text)s, %(vector)s::vector, 10, "
        f"mode => '{mode}', path_prefix => %(filter)s)"
    )
    for mode in ("hybrid", "vector", "text")
}


def _plain(order: str, *, words: bool = False) -> str:
    """As it is written without rag_search."""
    joins = "join rag_chunk_words as w on w.chunk_id = c.id " if words else ""
    return (
        f"select c.id from rag_document_chunks as c {joins}"
        "where c.embedding_model = %(model)s "
        + ("and w.words @@ %(words)s::tsquery " if words else "")
        + "and (%(filter)s::text is null or c.document_id in (select t.document_id from rag_document_text as t "
        "where t.path like %(filter)s || '%%')) "
        f"order by {order} limit 10"
    )


EXACT = Way(statement=_plain("c.embedding <=> %(vector)s::vector"))
PEERS = {
    "pgvector, exact": EXACT,
    "pgvector, HNSW without iterative scan": Way(
        statement=_plain("c.embedding::halfvec({dimension}) <=> %(vector)s::halfvec({dimension})"),
        settings="set hnsw.iterative_scan = off",
    ),
    "ts_rank": Way(statement=_plain("ts_rank(w.words, %(words)s::tsquery) desc", words=True)),
}


def measure(*, documents: int, rounds: int, chunks: Sequence[int] = SIZES, index: str | None = None) -> Figure:
    """Each number of chunks in a schema of its own, with `rounds` questions for each way, filter and number of clients.

    In a database `index`, what is there already of so many chunks is used, and left.
    """
    if not (SCIFACT / "corpus.jsonl").is_file():
        raise NoSample("skipped: there is no ../shared/ir/scifact")
    with place.opened(index) as (services, home):
        vectors = {
            text: services.embedder.embed_query(text) for text in list(evaluation.read(SCIFACT).texts.values())[:rounds]
        }
        sizes = {count: _size(services, count, vectors, home=home) for count in chunks}
    largest = sizes[max(sizes)]
    return Figure(
        benchmark="search_speed",
        figure=f"seconds, p95 of hybrid search among {max(sizes)} chunks, one client, no filter",
        value=largest["searches"]["hybrid"]["all"]["1 client"]["p95"],
        peer="pgvector, exact, of the same chunks",
        peer_value=largest["searches"]["pgvector, exact"]["all"]["1 client"]["p95"],
        aim="p95 of hybrid <= 50 ms at 100,000 and <= 150 ms at 1,000,000 chunks; recall@10 >= 0.95; always k hits",
        met=all(_is_met(count, size) for count, size in sizes.items()),
        details={str(count): size for count, size in sizes.items()},
    )


def _is_met(count: int, size: dict[str, Any]) -> bool:
    cells = [cell for way in ("hybrid", "vector") for cell in size["searches"][way].values()]  # words may be rarer
    recalls = [cell["recall_at_10"] for cell in size["searches"]["vector"].values()]
    p95 = size["searches"]["hybrid"]["all"]["1 client"]["p95"]
    return (
        p95 <= AIMS.get(count, p95)
        and min(recalls) >= LEAST_RECALL
        and all(cell[f"{clients}"]["least_hits"] == K for cell in cells for clients in ("1 client", "8 clients"))
    )


def _size(services: Services, count: int, vectors: dict[str, list[float]], *, home: Path | None) -> dict[str, Any]:
    with _schema(services, f"search_speed_{count}") as of_size:
        told: dict[str, Any] = {"seconds_to_store": _fill(of_size, count)}
        told |= _index(of_size)
        if told["seconds_to_store"] is None:
            _read_all(of_size)
        questions = [_question(of_size, text, vector) for text, vector in vectors.items()]
        told["bytes"] = _bytes(of_size)
        with Others(home or of_size.settings.home) as others:
            told["searches"] = _searches(of_size, questions, has_index=told["index"] != "exact")
        told["cores_taken_by_others"] = others.share
    return told


@contextmanager
def _schema(services: Services, name: str) -> Iterator[Services]:
    """The same database, with the tables in a schema of this name."""
    ground.execute(services, "create extension if not exists vector")
    services.database.create_schema(name)
    url = conninfo.as_libpq(services.database_url, schema=f"{name},public")
    settings = services.settings.model_copy(
        update={"database_url": SecretStr(url), "source": Source(table=f"{name}.documents")}
    )
    with Services(settings, embedder=services.embedder, progress=say) as of_size:
        operations.create_table(of_size)
        of_size.database.migrate(settings.source, dimension=settings.embedding.dimension)
        yield of_size


def _fill(services: Services, count: int) -> float | None:
    """The seconds that it took; None where the chunks were there."""
    with services.database.transaction() as cursor:
        cursor.execute("select count(*) from rag_document_chunks")
        if cursor.fetchall() == [(count,)]:
            return None
    started = time.perf_counter()
    many_chunks.fill(services, count, corpus=SCIFACT / "corpus.jsonl")
    took = time.perf_counter() - started
    with services.database.autocommit() as cursor:
        cursor.execute("vacuum (analyze)")
    return took


def _read_all(services: Services) -> None:
    """Have the system's memory hold tables and indexes, as after storing them: or the first way waits for a disk."""
    with services.database.autocommit() as cursor:
        cursor.execute(
            "with relation as (select oid, reltoastrelid from pg_class"
            " where relnamespace = current_schema::regnamespace and relkind in ('r', 'i'))"
            " select sum(length(pg_read_binary_file("
            "pg_relation_filepath(r.oid) || case when file > 0 then '.' || file else '' end,"
            " part * %(part)s, %(part)s, true)))"
            " from (select oid from relation union select nullif(reltoastrelid, 0) from relation) as r"
            " cross join lateral generate_series(0, pg_relation_size(r.oid) / (1 << 30)) as file"
            " cross join generate_series(0, (1 << 30) / %(part)s - 1) as part",
            {"part": READ_BYTES},
        )
        [(size,)] = cursor.fetchall()
        say(f"read once: {size / 1e9:.1f} GB")


def _index(services: Services) -> dict[str, Any]:
    """The index that the product advises, built if it is not there."""
    advice, took = operations.plan_index(services).advice, None
    if (there := operations.get_index(services)) is None and advice.kind != "exact":
        started = time.perf_counter()
        there = operations.build_index(services, progress=say)
        took = time.perf_counter() - started
    return {
        "index": there.kind if there else "exact",
        "advice": advice.reason,
        "seconds_to_build": took,
        "index_bytes": there.size_bytes if there else 0,
    }


def _bytes(services: Services) -> dict[str, int]:
    tables = ("rag_document_chunks", "rag_chunk_words", "rag_word_counts")
    with services.database.transaction() as cursor:
        cursor.execute("select t, pg_total_relation_size(t::regclass) from unnest(%s) as t", [list(tables)])
        return dict(cursor.fetchall())


def _question(services: Services, text: str, vector: Sequence[float]) -> Question:
    with services.database.transaction() as cursor:
        cursor.execute("select replace(plainto_tsquery('english', %s)::text, '&', '|')", [text])
        [(words,)] = cursor.fetchall()
    return Question(text=text, vector=json.dumps([round(value, 7) for value in vector]), words=words)


# ---- searches


def _searches(services: Services, questions: Sequence[Question], *, has_index: bool) -> dict[str, Any]:
    """p50 and p95 in seconds, and the least number of hits, of each way, filter and number of clients."""
    peers = {name: way for name, way in PEERS.items() if has_index or "HNSW" not in name}
    told: dict[str, Any] = {}
    for (name, way), (filter_name, prefix) in itertools.product((PRODUCT | peers).items(), FILTERS.items()):
        cell: dict[str, Any] = {}
        found: dict[int, list[int]] = {}
        for clients in CLIENTS:
            if name in peers and cell and cell["1 client"]["p50"] > SLOW_SECONDS:
                continue
            seconds, hits = _asked(services, way, questions, prefix, clients=clients)
            found = hits if clients == 1 else found
            cell[f"{clients} client{'s' if clients > 1 else ''}"] = {
                "p50": figures.percentile(seconds, 0.5),
                "p95": figures.percentile(seconds, 0.95),
                "least_hits": min(map(len, hits.values())),
                "questions": len(seconds),
            }
        told.setdefault(name, {})[filter_name] = cell | _recall(services, name, questions, prefix, found)
        say(f"{name}, {filter_name}: {cell}")
    return told


def _asked(
    services: Services, way: Way, questions: Sequence[Question], prefix: str | None, *, clients: int
) -> tuple[list[float], dict[int, list[int]]]:
    """Seconds of each search, and the hits of each question, by its number."""
    numbers = itertools.count()
    ready = threading.Barrier(clients)
    seconds: list[float] = []
    hits: dict[int, list[int]] = {}

    def ask() -> None:
        try:
            with closing(psycopg2.connect(services.database_url)) as connection, connection.cursor() as cursor:
                connection.autocommit = True
                run = _prepared(services, cursor, way, prefix)
                _warm(run, questions)
                ready.wait()
                end = time.perf_counter() + CELL_SECONDS
                while (number := next(numbers)) < len(questions) and time.perf_counter() < end:
                    started = time.perf_counter()
                    found = run(questions[number])
                    seconds.append(time.perf_counter() - started)
                    hits[number] = found
        except BaseException:
            ready.abort()
            raise

    rows.in_threads([ask] * clients)
    return seconds, hits


def _warm(run: Callable[[Question], list[int]], questions: Sequence[Question]) -> None:
    started = time.perf_counter()
    for question in questions[:WARMING]:
        run(question)
        if time.perf_counter() - started > SLOW_SECONDS:
            return


def _prepared(services: Services, cursor: Cursor, way: Way, prefix: str | None) -> Callable[[Question], list[int]]:
    embedding = services.settings.embedding
    statement = way.statement.replace("{dimension}", str(embedding.dimension))
    if way.settings:
        cursor.execute("select null::vector")  # pgvector is loaded, and knows its settings
        cursor.execute(way.settings)

    def run(question: Question) -> list[int]:
        values = {"text": question.text, "vector": question.vector, "words": question.words}
        cursor.execute(statement, values | {"filter": prefix, "model": embedding.model})
        return [row[0] for row in cursor.fetchall()]

    return run


def _recall(
    services: Services, name: str, questions: Sequence[Question], prefix: str | None, found: dict[int, list[int]]
) -> dict[str, float]:
    """The share of the ten nearest that a way finds which looks for these."""
    if name not in ("vector", "pgvector, HNSW without iterative scan"):
        return {}
    _, exact = _asked(services, EXACT, [questions[number] for number in sorted(found)], prefix, clients=1)
    asked = dict(zip(sorted(found), (exact[place] for place in sorted(exact)), strict=False))
    same = sum(len(set(found[number]) & set(nearest)) for number, nearest in asked.items())
    return {"recall_at_10": same / max(1, sum(map(len, asked.values())))}
