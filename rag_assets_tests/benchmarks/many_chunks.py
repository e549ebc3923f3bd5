"""Chunks by the million for measuring search: real texts and real vectors, mixed in pairs inside the database.

Each chunk has the first two thirds of the sentences of one SciFact abstract and the last third of those of another one.
Its vector is 0.7 of the first one's and 0.3 of the second one's, as the product's model has them, plus noise of length
0.15, all of length 1: about 0.9 by cosine from the first. So a million chunks are a million texts and vectors, with the
words and the neighbourhoods of real ones; but the words are those of 2,000 abstracts, so that a word stands in as large
a share of a million chunks as of those, which is harder than a real corpus, and near doubles are many.

Ten chunks make a document. Its path, `d3/d43/d243/n.md`, is what filters ask for: `d3/` leaves 10 %, `d3/d43/` 1 %, and
`d3/d43/d243/` 0.1 %. Chunks are stored by the product's own triggers, which make the words and their statistics.
"""

import itertools
import json
import re
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import psycopg2
from psycopg2.extras import execute_values

from rag_assets.postgres import words
from rag_assets.services import Services
from rag_assets_tests import rows
from rag_assets_tests.benchmarks.figures import say

ABSTRACTS = 2_000
CHARACTERS = 1_200  # of an abstract: about what a chunk of the product has
NOISES = 1_000
NOISE = 0.15  # its length
AT_ONCE = 5_000  # chunks of one statement
WRITERS = 2

PREPARE = """
create table public.base_texts (
    number integer primary key, head text, tail text, head_vector vector, tail_vector vector
);
create table public.base_noise (number integer primary key, noise vector);
"""
DOCUMENTS = """
insert into rag_document_text (document_id, path, sha256, size_bytes, mtime_ns, media_type, parser, content,
    fingerprint, embedding_model, chunk_count, language)
select d::text, concat_ws('/', 'd' || d %% 10, 'd' || d %% 100, 'd' || d %% 1000, d || '.md'), '', 0, 0,
    'text/markdown', 'markdown', '', '', %(model)s, 10, 'en'
from generate_series(%(first)s / 10, (%(last)s - 1) / 10) as d
"""
CHUNKS = """
insert into rag_document_chunks (document_id, chunk_index, content, content_sha256, token_count, char_start, char_end,
    kind, embedding, embedding_model)
select (n / 10)::text, n %% 10, a.head || ' ' || b.tail, md5(n::text), 200, 0, 1, 'prose',
    l2_normalize(a.head_vector + b.tail_vector + e.noise), %(model)s
from generate_series(%(first)s::bigint, %(last)s - 1) as n
join public.base_texts as a on a.number = n %% %(texts)s
join public.base_texts as b on b.number = (n * 7919 + n / %(texts)s) %% %(texts)s
join public.base_noise as e on e.number = (n * 104729 / 7) %% %(noises)s
"""


def fill(services: Services, count: int, *, corpus: Path) -> None:
    """So many chunks of the abstracts of a corpus.jsonl."""
    with services.database.transaction() as cursor:
        cursor.execute("select to_regclass('public.base_texts') is null")
        [(is_new,)] = cursor.fetchall()
    if is_new:
        _prepare(services, _abstracts(corpus))
    _store(services, count)
    with services.database.transaction() as cursor:
        words.fold(cursor)


def _abstracts(corpus: Path) -> list[str]:
    rows = [json.loads(line) for line in corpus.read_text(encoding="utf-8").splitlines()[:ABSTRACTS]]
    return [f"{row['title']} {row['text']}"[:CHARACTERS] for row in rows]


def _prepare(services: Services, texts: Sequence[str]) -> None:
    say(f"Embedding {len(texts)} abstracts")
    vectors = services.embedder.embed(texts, token_counts=[len(text) // 3 for text in texts])
    with closing(psycopg2.connect(services.database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(PREPARE)
        rows = [
            (number, *_halved(text), _text(0.7 * vector), _text(0.3 * vector))
            for number, (text, vector) in enumerate(zip(texts, vectors, strict=True))
        ]
        execute_values(cursor, "insert into public.base_texts values %s", rows)
        noise = np.random.default_rng(0).standard_normal((NOISES, vectors.shape[1]))
        noise *= NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
        execute_values(
            cursor, "insert into public.base_noise values %s", [(n, _text(one)) for n, one in enumerate(noise)]
        )


def _store(services: Services, count: int) -> None:
    starts = iter(range(0, count, AT_ONCE))
    lock, done = threading.Lock(), itertools.count(AT_ONCE, AT_ONCE)
    ended = threading.Event()  # because one of the writers failed

    def write() -> None:
        try:
            while not ended.is_set():
                with lock:
                    first = next(starts, None)
                if first is None:
                    return
                values = {"first": first, "last": min(first + AT_ONCE, count), "texts": ABSTRACTS, "noises": NOISES}
                _write(services, values | {"model": services.settings.embedding.model})
                say(f"{min(next(done), count)} of {count} chunks")
        except BaseException:
            ended.set()
            raise

    rows.in_threads([write] * WRITERS)


def _write(services: Services, values: dict[str, object]) -> None:
    with services.database.transaction() as cursor:
        cursor.execute(DOCUMENTS, values)
        cursor.execute(CHUNKS, values)


def _halved(text: str) -> tuple[str, str]:
    sentences = re.split(r"(?<=[.!?]) ", text)
    cut = max(1, round(len(sentences) * 2 / 3))
    return " ".join(sentences[:cut]), " ".join(sentences[cut:])


def _text(vector: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> str:
    return "[" + ",".join(f"{value:.7g}" for value in vector.tolist()) + "]"
