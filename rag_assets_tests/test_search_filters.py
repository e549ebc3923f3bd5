"""Filters come before the k are counted, whichever way is taken; and a caller finds only what he may see."""

import json
import math
import os
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import cursor as Cursor

from rag_assets import upkeep
from rag_assets.postgres.database import Database
from rag_assets_tests import rows

DOCUMENTS = 300
CHUNKS = 4  # of each document
FAMILIES = ("manuals", "contracts", "100%_notes")
KINDS = ("text/plain", "application/pdf")
LANGUAGES = ("en", "de", "")
NAMES = "document_id, chunk_index, content, content_sha256, token_count, char_start, char_end, kind, embedding_model"


@dataclass(frozen=True)
class Stored:
    """What the filters may ask of a document."""

    number: int

    @property
    def path(self) -> str:
        return f"/srv/{FAMILIES[self.number % 3]}/part{self.number % 10}/{self.number}.txt"

    @property
    def media_type(self) -> str:
        return KINDS[self.number % 2]

    @property
    def language(self) -> str:
        return LANGUAGES[self.number % 3]

    @property
    def day(self) -> int:
        return self.number % 28 + 1

    @property
    def heading(self) -> str:
        return f"Chapter {self.number % 7} > 50% off_line"

    @property
    def metadata(self) -> dict[str, object]:
        return {"tenant": f"t{self.number % 2}", "tags": [f"tag{self.number % 100}"]}


def _vector(chance: random.Random) -> str:
    return "[" + ",".join(f"{chance.gauss(0, 1):.4f}" for _ in range(8)) + "]"


@pytest.fixture
def url(database_url: str) -> str:
    """Documents of which each has other properties, and a few chunks each that say nearly the same."""
    chance = random.Random(7)
    with closing(psycopg2.connect(database_url)) as connection, connection, connection.cursor() as cursor:
        for number in range(DOCUMENTS):
            one = Stored(number)
            cursor.execute(
                "insert into rag_document_text (document_id, path, sha256, size_bytes, mtime_ns, media_type, parser, "
                "content, fingerprint, embedding_model, language, metadata) values (%s, %s, '', 0, "
                "extract(epoch from make_date(2026, 3, %s))::bigint * 1000000000, %s, 'plain', '', '', 'm', %s, %s)",
                [str(number), one.path, one.day, one.media_type, one.language, json.dumps(one.metadata)],
            )
            values = [
                (
                    str(number),
                    index,
                    f"pump number {number} part {index}",
                    f"{number}-{index}",
                    one.heading,
                    _vector(chance),
                )
                for index in range(CHUNKS)
            ]
            cursor.executemany(
                f"insert into rag_document_chunks ({NAMES}, heading_path, embedding) "
                "values (%s, %s, %s, %s, 1, 0, 1, 'prose', 'm', array[%s], %s)",
                values,
            )
    return database_url


FILTERS: dict[str, tuple[dict[str, object], Callable[[Stored], bool]]] = {
    "documents": ({"documents": ["1", "2", "299", "no such"]}, lambda one: one.number in (1, 2, 299)),
    "no documents": ({"documents": []}, lambda one: False),
    "path prefix": ({"path_prefix": "/srv/100%_"}, lambda one: one.path.startswith("/srv/100%_")),
    "path glob": ({"path_glob": "*/part3/?3.txt"}, lambda one: one.number % 10 == 3 and 9 < one.number < 100),
    "media type": ({"media_types": ["application/pdf"]}, lambda one: one.number % 2 == 1),
    "language": ({"languages": ["de"]}, lambda one: one.language == "de"),
    "since": ({"since": "2026-03-20T00:00:00Z"}, lambda one: one.day >= 20),
    "until": ({"until": "2026-03-03T00:00:00Z"}, lambda one: one.day < 3),
    "heading": ({"heading": "chapter 3 > 50% off_"}, lambda one: one.number % 7 == 3),
    "metadata": ({"metadata": '{"tags": ["tag17"]}'}, lambda one: one.number % 100 == 17),
    "several": (
        {"metadata": '{"tenant": "t1"}', "languages": ["en"], "path_prefix": "/srv/manuals/"},
        lambda one: one.number % 2 == 1 and one.number % 3 == 0,
    ),
}


def _search(cursor: Cursor, mode: str, k: int, filter: dict[str, object], query: str = "pump") -> list[Any]:
    given = {"query_text": query, "query_embedding": "[1,0,0,0,0,0,0,0]", "k": k, "mode": mode} | filter
    casts = {"query_embedding": "vector", "since": "timestamptz", "until": "timestamptz", "metadata": "jsonb"}
    names = ", ".join(
        f"{name} => %({name})s::{casts[name]}" if name in casts else f"{name} => %({name})s" for name in given
    )
    names = names.replace("%(documents)s", "%(documents)s::text[]")
    cursor.execute(f"select document_id, chunk_index, score from rag_search({names})", given)
    return cursor.fetchall()


@pytest.mark.parametrize("name", FILTERS)
def test_k_hits_come_where_k_are_left_when_a_filter_is_set(url: str, name: str) -> None:
    """All that a filter leaves and nothing else, in each mode; fewer than k only where there are no more."""
    filter, passes = FILTERS[name]
    expected = {
        (str(number), index) for number in range(DOCUMENTS) if passes(Stored(number)) for index in range(CHUNKS)
    }
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        for mode in ("vector", "text", "hybrid"):
            found = _search(cursor, mode, 2000, filter)
            assert {(row[0], row[1]) for row in found} == expected, mode
            assert len(found) == len(expected), mode
            few = _search(cursor, mode, 7, filter)
            assert len(few) == min(7, len(expected)), mode
            if mode != "hybrid":  # its scores are shares of the best of what was looked at
                assert few == found[: len(few)], mode


def test_k_hits_come_through_an_index_when_a_filter_leaves_few(url: str) -> None:
    """Of 24,000 chunks 0.1 % have what is asked for: the index, built as by itself, alone would give none of them."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            f"insert into rag_document_chunks ({NAMES}, embedding) "
            "select 'near' || n, 0, 'a pump of steel', n, 1, 0, 1, 'prose', 'm', "
            "array[1, random(), random(), random(), 0, 0, 0, 0] from generate_series(1, 5000) as n"
        )
        cursor.execute("alter table rag_document_chunks disable trigger user")  # words of these are of no matter
        cursor.execute(
            f"insert into rag_document_chunks ({NAMES}, embedding) "
            "select 'far' || n, 0, '', n, 1, 0, 1, 'prose', 'm', array[1, random(), random(), random(), 0, 0, 0, 0] "
            "from generate_series(1, 18000) as n"
        )
        cursor.execute("alter table rag_document_chunks enable trigger user")
        cursor.execute("analyze rag_document_text")
        connection.commit()
        with closing(Database(url)) as database:
            tended = upkeep.tend(database, "m", from_rows=20_000, progress=lambda _line: None)
        assert tended.step == "build"
        assert tended.index is not None
        assert (tended.index.recall_at_10 or 0) >= 0.9
        cursor.execute("select name, kind from rag_vector_index('m')")
        assert cursor.fetchone() == (tended.index.name, "hnsw")
        unfiltered = _search(cursor, "vector", 10, {})
        assert len(unfiltered) == 10
        assert [row[2] for row in unfiltered] == sorted((row[2] for row in unfiltered), reverse=True)
        cursor.execute(
            "select document_id, chunk_index from rag_document_chunks "
            "order by embedding <=> '[1,0,0,0,0,0,0,0]', rag_id_order(document_id), document_id, chunk_index limit 10"
        )
        exact = set(cursor.fetchall())
        assert len(exact & {(row[0], row[1]) for row in unfiltered}) >= 8
        of_many_words = _search(cursor, "text", 10, {}, "pump -part")
        assert [row[0].startswith("near") for row in of_many_words] == [True] * 10
        for filter, passes in FILTERS.values():
            left = CHUNKS * sum(passes(Stored(number)) for number in range(DOCUMENTS))
            assert len(_search(cursor, "vector", 10, filter)) == min(10, left), filter
        half = [f"{where}{number}" for where in ("near", "far") for number in range(2, 18_000, 2)]
        through_it = _search(cursor, "vector", 10, {"documents": half})
        cursor.execute(
            "select document_id, chunk_index from rag_document_chunks where document_id = any(%s) "
            "order by embedding <=> '[1,0,0,0,0,0,0,0]', rag_id_order(document_id), document_id, chunk_index limit 10",
            [half],
        )
        assert len(through_it) == 10
        assert len({(row[0], row[1]) for row in through_it} & set(cursor.fetchall())) >= 8
        cursor.execute("select current_setting('hnsw.ef_search'), current_setting('hnsw.iterative_scan')")
        assert cursor.fetchone() == ("40", "off")  # as they were
        for count, width in ((24_000, "200"), (250_000, "500"), (5_000_000, "1000")):
            assert _width_of_a_scan(cursor, tended.index.name, count) == width


def _width_of_a_scan(cursor: Cursor, index: str, count: int) -> str:
    """With how long a list a search looks through a graph that is said to have so many rows: what it sets is left."""
    tables = [index, "rag_document_chunks"]
    cursor.execute("update pg_class set reltuples = %s where relname = any (%s)", [count, tables])
    cursor.execute("create or replace function rag_end_scan(before text[]) returns void language sql as 'select'")
    _search(cursor, "vector", 10, {})
    cursor.execute("select current_setting('hnsw.ef_search')")
    [(width,)] = cursor.fetchall()
    cursor.connection.rollback()
    return str(width)


@pytest.fixture
def tenant(url: str) -> Iterator[tuple[str, Callable[[Cursor], None]]]:
    """A role that sees the chunks of the tenant that its session names."""
    name = f"rag_test_{secrets.token_hex(6)}"
    password = secrets.token_hex(8)
    rows.execute(  # the locks of tables come first: a transaction that grants before may meet autovacuum in a deadlock
        url,
        f"create role {name} login password '{password}';"
        "alter table rag_document_chunks enable row level security;"
        "create policy of_a_tenant on rag_document_chunks for select using ("
        "(document_id::integer % 2)::text = current_setting('app.tenant', true));"
        "select rag_follow_row_security();"
        f"select rag_grant_reading('{name}');",
    )
    try:
        yield name, lambda cursor: cursor.execute(f"set local role {name}")
    finally:
        rows.execute(url, f"drop owned by {name}; drop role {name}")


def test_a_tenant_finds_only_his_own_when_rows_have_an_owner(
    url: str, tenant: tuple[str, Callable[[Cursor], None]]
) -> None:
    """Whatever he asks, in whatever mode and with whatever filter; and who named no tenant finds nothing."""
    _, become = tenant
    chance = random.Random(3)
    words = ["pump", "number", "part", *map(str, range(DOCUMENTS))]
    with closing(psycopg2.connect(url)) as connection:
        for turn in range(60):
            with connection, connection.cursor() as cursor:
                become(cursor)
                cursor.execute("set local app.tenant = %s", [str(turn % 2)])
                filter, _ = FILTERS[chance.choice(list(FILTERS))] if turn % 3 else ({}, None)
                question = " ".join(chance.sample(words, 3))
                found = _search(cursor, ("vector", "text", "hybrid")[turn % 3], 50, filter, question)
                assert {int(row[0]) % 2 for row in found} <= {turn % 2}
                assert found or filter
                cursor.execute(
                    "select document_id from rag_neighbours(%s, 2)", [chance.randrange(1, DOCUMENTS * CHUNKS)]
                )
                assert {int(row[0]) % 2 for row in cursor.fetchall()} <= {turn % 2}
        with connection, connection.cursor() as cursor:
            become(cursor)
            assert [_search(cursor, mode, 5, {}) for mode in ("vector", "text", "hybrid")] == [[], [], []]


def test_who_may_see_no_row_at_all_finds_nothing_through_an_index(
    url: str, tenant: tuple[str, Callable[[Cursor], None]]
) -> None:
    """Without any policy, the planner knows that no row is left: nothing is divided by their number."""
    _, become = tenant
    search = "select chunk_id from rag_search_vectors('[1,0,0,0,0,0,0,0]', 5, model => 'm')"
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "drop policy of_a_tenant on rag_document_chunks;"
            "create index rag_vectors_test on rag_document_chunks"
            " using hnsw ((embedding::halfvec(8)) halfvec_cosine_ops) where embedding_model = 'm'"
        )
        cursor.execute(search)
        assert len(cursor.fetchall()) == 5
        become(cursor)
        cursor.execute("select name from rag_vector_index('m')")
        assert cursor.fetchone() == ("rag_vectors_test",)
        cursor.execute(search)
        assert cursor.fetchall() == []


HOSTILE = ["'; drop table rag_document_text; --", "\\'", "%s", "{}", "$1", ")' or true --", "a' | 'b", ":*", "\ufffd"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_stays_a_text_when_it_looks_like_sql(url: str, text: str) -> None:
    """In the question and in each filter."""
    filters: list[dict[str, object]] = [
        {"path_prefix": text}, {"path_glob": text}, {"heading": text}, {"documents": [text]}, {"media_types": [text]},
        {"metadata": json.dumps({"tenant": text})},
    ]  # fmt: skip
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        for filter in filters:
            assert _search(cursor, "hybrid", 3, filter) == []
        assert len(_search(cursor, "hybrid", 3, {}, f"{text} pump")) <= 3
        cursor.execute("select count(*) from rag_document_text")
        assert cursor.fetchone() == (DOCUMENTS,)


CASTS = {"query_embedding": "::vector", "metadata": "::jsonb", "since": "::timestamptz", "until": "::timestamptz"}
TAKEN: list[tuple[str, list[object]]] = [  # an argument, and values with which something is found or nothing
    ("model", [*HOSTILE, ""]),
    ("query_language", ["", "en", "tlh"]),
    ("languages", [[], [""], ["en", None], ["tlh"]]),
    ("metadata", [*(json.dumps({text: text}) for text in HOSTILE), "[]", "1", "null", '""']),
    ("k", [2**30, 2**31 - 1]),
    ("candidates", [1, 2**31 - 1, None]),
    ("since", ["infinity", "-infinity", "0001-01-01 BC"]),
    ("until", ["infinity", "-infinity", "0001-01-01 BC"]),
]
REFUSED: list[tuple[str, list[object]]] = [
    ("query_embedding", ["[0,0,0,0,0,0,0,0]", "[1e-40,0,0,0,0,0,0,0]"]),  # no similarity to anything is a number
    ("mode", [*HOSTILE, "", None]),
    ("fusion", [*HOSTILE, "", None]),
    ("k", [0, -1, -(2**31), None]),
    ("candidates", [0, -1, -(2**31)]),
    ("query_language", [*HOSTILE, "english", "EN", "en "]),
    ("languages", [*([text] for text in HOSTILE), ["english"], ["en", "DE"]]),
    ("vector_weight", [float("nan"), float("inf"), -float("inf"), -0.1, 1.1, None]),
]
ODD: list[tuple[dict[str, object], bool]] = [
    ({name: value}, is_taken)
    for odd, is_taken in ((TAKEN, True), (REFUSED, False))
    for name, some in odd
    for value in some
]


@pytest.mark.parametrize("part", range(4))
def test_every_argument_is_taken_or_refused_when_it_is_odd(url: str, part: int) -> None:
    """Names, weights and numbers as well: with the code of a wrong argument, and no other, and nothing is changed."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for given, is_taken in ODD[part::4]:
            values: dict[str, object] = {"query_text": "pump", "query_embedding": "[1,0,0,0,0,0,0,0]", **given}
            arguments = ", ".join(f"{name} => %({name})s" + CASTS.get(name, "") for name in values)
            try:
                cursor.execute(f"select document_id, score from rag_search({arguments})", values)
                found = cursor.fetchall()
            except psycopg2.errors.InvalidParameterValue:
                assert not is_taken, given
            else:
                assert is_taken, given
                assert all(math.isfinite(score) for _, score in found), given
        for n in (-1, 0, 2**31 - 1, None):
            cursor.execute("select count(*) from rag_neighbours((select min(id) from rag_document_chunks), %s)", [n])
            assert cursor.fetchone() == ({-1: 0, 0: 1, None: 0}.get(n, CHUNKS),)
        for k in (2**30, 2**31 - 1):
            for mode in ("vector", "text"):
                assert len(_search(cursor, mode, k, {})) == DOCUMENTS * CHUNKS
            cursor.execute("select count(*) from rag_search_words('pump', %s, null, 'm')", [k])
            assert cursor.fetchone() == (DOCUMENTS * CHUNKS,)
        cursor.execute("select count(*) from rag_document_text")
        assert cursor.fetchone() == (DOCUMENTS,)


SEARCHES = int(os.environ.get("RAG_ASSETS_TENANT_SEARCHES", "600"))
AT_ONCE = 50  # searches of one statement, by one tenant
PARTS = (  # what is asked of each question: what any of them gives has a chunk_id
    "rag_search(words, vector, 3, mode, f.documents, f.path_prefix, f.path_glob, f.media_types, f.languages, f.since, "
    "f.until, f.heading, f.metadata, fusion => fusion)",
    "rag_search_words(words, 3, f)",
    "rag_search_vectors(vector, 3, f)",
    "rag_neighbours(chunk, 2)",
)


def _question(chance: random.Random, chunks: dict[int, int]) -> dict[str, object]:
    """One that a document answers, of whomever it is: its number in words, and a filter that it passes, by up to three
    of its properties."""
    chunk = chance.choice(list(chunks))
    one = Stored(chunks[chunk])
    properties: dict[str, object] = {
        "documents": [str(one.number), str(chance.randrange(DOCUMENTS))],
        "path_prefix": one.path[: chance.randrange(len(one.path))],
        "path_glob": f"*/part{one.number % 10}/*",
        "media_types": [one.media_type],
        "languages": [one.language],
        "since": f"2026-03-{one.day:02}T00:00:00Z",
        "until": f"2026-03-{one.day + 1:02}T00:00:00Z",
        "heading": one.heading,
        "metadata": one.metadata,
    }
    words = chance.choice(("pump {}", 'pump "number {}"', "number {} -valve")).format(one.number)
    mode, fusion = chance.choice(("hybrid", "vector", "text")), chance.choice(("convex", "rrf"))
    given = {"chunk": chunk, "words": words, "vector": _vector(chance), "mode": mode, "fusion": fusion}
    return given | {name: properties[name] for name in chance.sample(list(properties), chance.randrange(4))}


def _ask(cursor: Cursor, part: str, questions: list[dict[str, object]]) -> list[set[int]]:
    """Which chunks each of them finds."""
    cursor.execute(
        "select q.n, s.chunk_id from jsonb_array_elements(%s) with ordinality as q (given, n) "
        "cross join lateral jsonb_populate_record(null::rag_filter, q.given) as f "
        "cross join lateral jsonb_to_record(q.given) "
        "as g (chunk bigint, words text, vector vector, mode text, fusion text) "
        f"cross join lateral {part} as s",
        [json.dumps(questions)],
    )
    found: list[set[int]] = [set() for _ in questions]
    for place, chunk in cursor.fetchall():
        found[place - 1].add(chunk)
    return found


def test_a_tenant_sees_nothing_of_the_others_whatever_he_asks(
    url: str, tenant: tuple[str, Callable[[Cursor], None]]
) -> None:
    """In random searches by turns, and by their parts: of what is his all that answers, of the other's nothing, which
    who sees all finds. RAG_ASSETS_TENANT_SEARCHES=10000 asks so often."""
    _, become = tenant
    chance = random.Random(11)
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("delete from rag_document_chunks where document_id::integer >= 24; select rag_fold_words()")
        cursor.execute("select id, document_id::integer from rag_document_chunks order by id")
        chunks: dict[int, int] = dict(cursor.fetchall())
        for turn in range(math.ceil(SEARCHES / AT_ONCE)):
            own = turn % 2
            questions = [_question(chance, chunks) for _ in range(AT_ONCE)]
            whose = [chunks[question["chunk"]] % 2 for question in questions]
            cursor.execute("reset role")
            for part in PARTS if turn < 2 else ():
                of_all = _ask(cursor, part, questions)
                assert all(of_all), part
                assert {chunks[chunk] % 2 for found in of_all for chunk in found} == {0, 1}, part
            become(cursor)
            cursor.execute("select set_config('app.tenant', %s, true)", [str(own)])
            for part in PARTS:
                for question, of, found in zip(questions, whose, _ask(cursor, part, questions), strict=True):
                    assert {chunks[chunk] % 2 for chunk in found} <= {own}, (part, question)
                    assert found or of != own, (part, question)
            cursor.execute("select count(*) from rag_documents where document_id::integer %% 2 <> %s", [own])
            assert cursor.fetchall() == [(0,)]


def test_texts_words_and_statistics_follow_when_rows_have_an_owner(
    url: str, tenant: tuple[str, Callable[[Cursor], None]]
) -> None:
    """No table or view tells a tenant of a document of which he sees no chunk; who sees all chunks sees all of it."""
    name, become = tenant
    tables = ("rag_document_text", "rag_documents", "rag_ingestion_log", "rag_outbox")
    hidden = ("rag_word_counts", "rag_word_totals", "rag_word_changes")
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("select rag_fold_words(), rag_enqueue(array_agg(document_id), 'update') from rag_document_text")
        cursor.execute(
            "insert into rag_ingestion_log (document_id, run_id, status, stage) "
            "select document_id, 'r', 'completed', 'done' from rag_document_text"
        )
        cursor.execute(
            'insert into rag_document_text select (jsonb_populate_record(t, \'{"document_id": "5001"}\')).* '
            "from rag_document_text as t limit 1"
        )
        cursor.execute(f"grant select on rag_ingestion_log to {name}")
        become(cursor)
        cursor.execute("select set_config('app.tenant', '1', true)")
        for table in tables:
            cursor.execute(f"select count(*), count(*) filter (where document_id::integer % 2 = 0) from {table}")
            assert cursor.fetchall() == [(DOCUMENTS // 2, 0)], table
        cursor.execute("select count(*) from rag_chunk_words")
        assert cursor.fetchall() == [(DOCUMENTS // 2 * CHUNKS,)]
        for table in hidden:
            cursor.execute(f"select count(*) from {table}")
            assert cursor.fetchall() == [(0,)], table
        cursor.execute("select document_id, path, state, chunks from rag_documents where document_id = '1'")
        assert cursor.fetchall() == [("1", Stored(1).path, "pending", CHUNKS)]
        cursor.execute("reset role; select count(*) from rag_documents")
        assert cursor.fetchall() == [(DOCUMENTS + 1,)]
        cursor.execute("alter table rag_document_chunks disable row level security; select rag_follow_row_security()")
        become(cursor)
        for table in ("rag_document_text", "rag_word_counts", "rag_word_totals"):
            cursor.execute(f"select count(*) > 0 from {table}")
            assert cursor.fetchall() == [(True,)], table


def test_functions_of_triggers_are_nobodys_to_call(url: str, tenant: tuple[str, Callable[[Cursor], None]]) -> None:
    """On a table of his own, a reader would have them change what is indexed, with the rights of their owner."""
    _, become = tenant
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select p.oid::regprocedure::text from pg_proc as p where p.prosecdef "
            "and p.pronamespace = (select relnamespace from pg_class where oid = 'rag_outbox'::regclass)"
        )
        functions = [name for (name,) in cursor.fetchall()]
        assert len(functions) >= 6
        become(cursor)
        cursor.execute("create temp table mine (id bigint)")
        for function in functions:
            cursor.execute("savepoint before")
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(
                    f"create trigger mine after truncate on mine for each statement execute function {function}"
                )
            cursor.execute("rollback to before")


@pytest.mark.parametrize("way", ["policy", "heading"])
def test_few_of_many_are_all_compared_when_the_planner_takes_them_for_half(
    url: str, tenant: tuple[str, Callable[[Cursor], None]], way: str
) -> None:
    """It knows nothing of a policy that looks into another table, nor of headings: an index would find others."""
    _, become = tenant
    few, many = 30, 14_000
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("create table owned (document_id text primary key)")
        cursor.execute("insert into owned values ('few')")
        cursor.execute("grant select on owned to public")
        cursor.execute("alter table rag_document_chunks disable trigger user")
        cursor.execute(
            f"insert into rag_document_chunks ({NAMES}, heading_path, embedding) "
            "select case when n < %(few)s then 'few' else 'many' end, n, 'x', md5(n::text), 1, 0, 1, 'prose', 'm', "
            "case when n < %(few)s then array['Rare words'] else array['Other'] end, "
            "(select array_agg(sin(n * 7.0 + d * d * 1.7) order by d) from generate_series(1, 8) as d)::real[]::vector "
            "from generate_series(0, %(many)s) as n",
            {"few": few, "many": many},
        )
        cursor.execute(
            "drop policy of_a_tenant on rag_document_chunks;"
            "create policy of_a_tenant on rag_document_chunks for select using ("
            " document_id in (select o.document_id from owned as o));"
            "create index rag_vectors_test on rag_document_chunks"
            " using hnsw ((embedding::halfvec(8)) halfvec_cosine_ops) where embedding_model = 'm'"
        )
        cursor.execute("analyze rag_document_chunks")
        filter = "null"
        if way == "policy":
            become(cursor)
        else:
            filter = """jsonb_populate_record(null::rag_filter, '{"heading": "Rare"}')"""
        cursor.execute(f"select rag_estimate({filter}, 'm'), rag_sample({filter}, 'm')")
        [(guessed, sampled)] = cursor.fetchall()
        assert guessed > 5_000
        assert sampled < 300
        for number in range(10):
            vector = [math.cos(number * 3.1 + place) for place in range(8)]
            cursor.execute(f"select chunk_id from rag_search_vectors(%s::real[]::vector, 10, {filter}, 'm')", [vector])
            found = [chunk for (chunk,) in cursor.fetchall()]
            cursor.execute(
                "select id from rag_document_chunks where document_id = 'few' "
                "order by embedding <=> %s::real[]::vector, chunk_index limit 10",
                [vector],
            )
            assert found == [chunk for (chunk,) in cursor.fetchall()]


def test_as_many_hits_come_as_are_asked_for_when_these_are_many(url: str) -> None:
    """By each way: k is a number of hits, and no other bounds it."""
    many = 10_500
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            f"insert into rag_document_chunks ({NAMES}, embedding) "
            "select '0', n, 'pump', md5(n::text), 1, 0, 1, 'prose', 'm', '[1,0,0,0,0,0,0,0]' "
            "from generate_series(10, %s + 9) as n",
            [many],
        )
        for mode in ("vector", "text", "hybrid"):
            assert len(_search(cursor, mode, many, {})) == many
