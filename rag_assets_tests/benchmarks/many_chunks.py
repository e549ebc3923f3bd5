"""Chunks by the million for measuring search: real texts and real vectors, mixed in pairs inside the database.

Each chunk has the first two thirds of the sentences of one SciFact abstract and the last third of those of another one.
Its vector is 0.7 of the first one's and 0.3 of the second one's, as the product's model has them, plus noise of length
0.15, all of length 1: about 0.9 by cosine from the first. So a million chunks are a million texts and vectors, with the
words and the neighbourhoods of real ones; but the words are those of 2,000 abstracts, so that a word stands in as large
a share of a million chunks as of those, which is harder than a real corpus, and near doubles are many.

Ten chunks make a document. Its path, `d3/d43/d243/n.md`, is what filters ask for: `d3/` leaves 10 %, `d3/d43/` 1 %, and
`d3/d43/d243/` 0.1 %.

The product's triggers take the words of each chunk from its text, which is an hour or two for a million. Here the
words of each half of an abstract are taken once, and put together as rag_words does; then they are counted, and their
index is built. The words of one chunk in a thousand are compared with what rag_words makes of its text.
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

from rag_assets.services import Services
from rag_assets_tests import rows
from rag_assets_tests.benchmarks.figures import say

ABSTRACTS = 2_000
CHARACTERS = 1_200  # of an abstract: about what a chunk of the product has
NOISES = 1_000
NOISE = 0.15  # its length
AT_ONCE = 5_000  # chunks of one statement
WRITERS = 2
COMPARED = 1_000  # the words of one chunk in so many are made by the product, too

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

BASE_WORDS = """
create table if not exists public.base_words as
select number, to_tsvector('english', rag_spaced(head)) as head,
    to_tsvector('english', rag_spaced(tail)) as tail,
    rag_identifiers('english', head) as head_identifiers, rag_identifiers('english', tail) as tail_identifiers
from public.base_texts
"""
WORDS = """
insert into rag_chunk_words (chunk_id, embedding_model, language, length, words)
select c.id, c.embedding_model, 'en', rag_word_length(w.words),
    w.words || rag_identifiers('english', c.document_id || '.md') || a.head_identifiers || b.tail_identifiers
    || array_to_tsvector(array[' :en'])
    || array_to_tsvector(array(
        select ' ' || often || u.lexeme from unnest(w.words) as u, unnest('{2,4}'::integer[]) as often
        where cardinality(u.positions) >= often
    ))
from (
    select *, 10 * document_id::bigint + chunk_index as n from rag_document_chunks
    where id >= %(first)s and id < %(last)s
) as c
join public.base_words as a on a.number = c.n %% %(texts)s
join public.base_words as b on b.number = (c.n * 7919 + c.n / %(texts)s) %% %(texts)s
cross join lateral (
    select setweight(to_tsvector('english', c.document_id || ' md'), 'A') || a.head || b.tail as words offset 0
) as w
"""
COUNTS = """
truncate rag_word_counts, rag_word_totals, rag_word_changes;
insert into rag_word_counts (embedding_model, word, chunks)
select %(model)s, word, ndoc from ts_stat('select words from rag_chunk_words');
insert into rag_word_totals (embedding_model, language, chunks, length)
select embedding_model, language, count(*), sum(length) from rag_chunk_words group by 1, 2;
"""
DIFFERENT = """
select count(*) from rag_document_chunks as c
join rag_document_text as t using (document_id) left join rag_chunk_words as w on w.chunk_id = c.id
cross join lateral (
    select rag_words(t.language, t.title, t.path, c.heading_path, c.content) as words offset 0
) as o
where c.id %% %(compared)s = 0
    and (strip(w.words), w.length) is distinct from (strip(o.words), rag_word_length(o.words))
"""


def fill(services: Services, count: int, *, corpus: Path) -> None:
    """So many chunks of the abstracts of a corpus.jsonl."""
    store_chunks(services, count, corpus=corpus)
    store_words(services)


def store_chunks(services: Services, count: int, *, corpus: Path) -> None:
    """Documents, chunks and vectors; their words have to follow."""
    with services.database.transaction() as cursor:
        cursor.execute("select to_regclass('public.base_texts') is null")
        [(is_new,)] = cursor.fetchall()
        cursor.execute("alter table rag_document_chunks disable trigger rag_words_inserted")
    if is_new:
        _prepare(services, _abstracts(corpus))
    _write(services, 0, count, (DOCUMENTS, CHUNKS), "chunks")
    with services.database.transaction() as cursor:
        cursor.execute("alter table rag_document_chunks enable trigger rag_words_inserted")


def store_words(services: Services) -> None:
    """The words of all chunks, their statistics, and their index, which is dropped meanwhile."""
    model = services.settings.embedding.model
    with services.database.transaction() as cursor:
        cursor.execute(BASE_WORDS)
        cursor.execute(
            "select pg_get_indexdef('rag_chunk_words_words'::regclass), min(id), max(id) from rag_document_chunks"
        )
        [(index, first, last)] = cursor.fetchall()
        cursor.execute("drop index rag_chunk_words_words")
    _write(services, first, last + 1, (WORDS,), "words of chunks")
    with services.database.transaction() as cursor:
        cursor.execute(COUNTS, {"model": model})
        say("The words are counted")
        cursor.execute("set local maintenance_work_mem = '1GB'")
        cursor.execute(index)
        say("Their index is built")
        cursor.execute(DIFFERENT, {"compared": COMPARED})
        if cursor.fetchall() != [(0,)]:
            raise RuntimeError("The words of these chunks are not those that rag_words takes from their texts.")


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


def _write(services: Services, first: int, last: int, statements: Sequence[str], what: str) -> None:
    """Have these statements write all from `first` until before `last`, some at a time and by several writers."""
    starts = iter(range(first, last, AT_ONCE))
    lock, done = threading.Lock(), itertools.count(AT_ONCE, AT_ONCE)
    ended = threading.Event()  # because one of the writers failed

    def write() -> None:
        try:
            while not ended.is_set():
                with lock:
                    start = next(starts, None)
                if start is None:
                    return
                values = {"first": start, "last": min(start + AT_ONCE, last), "texts": ABSTRACTS, "noises": NOISES}
                with services.database.transaction() as cursor:
                    for statement in statements:
                        cursor.execute(statement, values | {"model": services.settings.embedding.model})
                say(f"{min(next(done), last - first)} of {last - first} {what}")
        except BaseException:
            ended.set()
            raise

    rows.in_threads([write] * WRITERS)


def _halved(text: str) -> tuple[str, str]:
    sentences = re.split(r"(?<=[.!?]) ", text)
    cut = max(1, round(len(sentences) * 2 / 3))
    return " ".join(sentences[:cut]), " ".join(sentences[cut:])


def _text(vector: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> str:
    return "[" + ",".join(f"{value:.7g}" for value in vector.tolist()) + "]"
