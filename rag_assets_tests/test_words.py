"""Words of chunks, and their statistics, as SQL keeps them: found as they are written, right whatever happens."""

import re
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import closing

import psycopg2
import pytest

from rag_assets import words as filling
from rag_assets.model import Filter
from rag_assets.postgres import search, words
from rag_assets.postgres.database import Database
from rag_assets.settings import Search, Source
from rag_assets_tests import rows

PLACES = "document_id, chunk_index, content, content_sha256, token_count, char_start, char_end, kind, embedding"


class Library:
    """Documents that are stored without a pipeline; each text is a chunk."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = Database(url)

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        return rows.execute(self.url, statement)

    def add(
        self, document_id: str, *contents: str, language: str = "en", path: str | None = None, title: str | None = None
    ) -> None:
        with self.database.transaction() as cursor:
            cursor.execute(
                "insert into rag_document_text (document_id, path, sha256, size_bytes, mtime_ns, media_type, parser, "
                "title, content, fingerprint, embedding_model, language) "
                "values (%s, %s, '', 0, 0, 'text/plain', 'plain', %s, %s, '', 'm', %s)",
                [document_id, path or f"files/{document_id}", title, "\n".join(contents), language],
            )
            self.add_chunks(cursor, document_id, contents)

    def add_chunks(self, cursor: psycopg2.extensions.cursor, document_id: str, contents: Sequence[str]) -> None:
        for index, content in enumerate(contents):
            cursor.execute(
                f"insert into rag_document_chunks ({PLACES}, embedding_model) "
                "values (%s, %s, %s, md5(%s), 1, 0, 1, 'prose', '[1,0,0]', 'm')",
                [document_id, index, content, content],
            )

    def found(self, query: str, **given: object) -> list[str]:
        """The documents whose words are found, best first."""
        with self.database.transaction() as cursor:
            cursor.execute("select document_id from rag_search(%s, k => 100, mode => 'text')", [query])
            return [row[0] for row in cursor.fetchall()]

    def mismatches(self) -> list[words.Mismatch]:
        with self.database.transaction() as cursor:
            return words.check(cursor)

    def fold(self) -> None:
        with self.database.transaction() as cursor:
            words.fold(cursor)


@pytest.fixture
def library(database_url: str) -> Iterator[Library]:
    made = Library(database_url)
    with closing(made.database):
        yield made


PASTED = {  # what a text has, and what is asked
    "The pump shows ERR-4711 at night.": ["ERR-4711", "err 4711", "4711"],
    "Call foo_bar before the rest.": ["foo_bar", "foo bar"],
    "Fixed in v2.3.1 of the tool.": ["v2.3.1"],
    "See report_final-v2.pdf for all.": ["report_final-v2.pdf", "final"],
    "Written in C++ long ago.": ["C++"],
    "It lies in D:\\Docs\\plan.txt today.": ["D:\\Docs\\plan.txt", "plan.txt"],
    "この文書は日本語で書かれています": ["日本語"],
    "It's O'Brien's \\ 'quoted' & | ! text": ["O'Brien"],
}


def test_what_is_pasted_is_found_when_it_stands_in_a_text(library: Library) -> None:
    """Error codes, names with signs, versions, files, scripts without spaces: before what has a part of them."""
    library.add("0", "Nothing of the kind is said here.", path="files/none.txt")
    for number, written in enumerate(PASTED, start=1):
        library.add(str(number), written, path=f"files/{'abcdefghijk'[number]}.txt")
    for number, asked in enumerate(PASTED.values(), start=1):
        assert {one: library.found(one)[:1] for one in asked} == {one: [str(number)] for one in asked}


def test_what_is_pasted_is_found_whatever_strings_the_sessions_have(library: Library) -> None:
    """An old application may have escapes in its plain strings; its questions and ours find the same."""
    name = rows.execute(library.url, "select quote_ident(current_database())")[0][0]
    library.sql(f"alter database {name} set standard_conforming_strings = off")
    library.database.migrate(Source(), dimension=384)
    for number, written in enumerate(PASTED):
        library.add(str(number), written)
    for number, asked in enumerate(PASTED.values()):
        assert library.found(asked[0])[:1] == [str(number)]
    for question, found in (('"report_final-v2.pdf"', [("3",)]), ("C++", [("4",)]), ("pump -ERR-4711", [])):
        asked_by_others = f"select document_id from rag_search('{question}', k => 1, mode => 'text')"
        assert library.sql(asked_by_others) == found


BETWEEN_SIGNS = {  # what stands between signs that PostgreSQL's parser takes for tags and entities, and what is asked
    "List<Integer> toucans = new List<>();": "Integer",
    "If a <b and\nthe parrots are red\n\nthen c> d.": "parrots",
    "<!-- a macaw was here --> and left.": "macaw",
    "Read &heron; from the pointer.": "heron",
    "Written by Jay <magpie@example.org> in May.": "magpie@example.org",
    "See http://example.org/?bird=condor&page=2 for more.": "http://example.org/?bird=condor&page=2",
    "The minister said \u201cKestrel is lovely\u201d and left.": "Kestrel",
    "From there\u2014harrier\u2013osprey\u2026 they went on.": "osprey",
    "\u2022Buzzard, \u00abkite\u00bb, arrow\u2192merlin, the hobby\u2019s nest,\u00a0gannet\U0001f600": "hobby",
    "\u300cpetrel\u300d and \uff08shrike\uff09": "shrike",
    "We asked AT&T of it.": "AT&T",
}


def test_signs_that_are_of_no_word_are_spaces_and_nothing_else_is(library: Library) -> None:
    """By the categories of Unicode: dashes, quotes, brackets and spaces are; letters, digits and accents never."""
    points = [n for n in range(0x80, 0x20000) if not 0xD800 <= n < 0xE000]
    spaced = {n for (n,) in library.sql(f"select n from unnest(array{points}) as n where rag_spaced(chr(n)) = ' '")}
    kinds = {n: unicodedata.category(chr(n)) for n in points}
    assert {n for n in spaced if kinds[n][0] in "LMN"} == set()
    signs = {n for n in points if unicodedata.ucd_3_2_0.category(chr(n)) in ("Pd", "Ps", "Pe", "Pi", "Pf", "Zs", "Zl")}
    signs = {n for n in signs if n < 0x10000 and kinds[n][0] in "PZ"}  # a soft hyphen was a sign then
    assert {chr(n) for n in signs - spaced} == set()
    assert library.sql("select rag_spaced(E'a<b>&c \u2019\u2026\U0001f600d')") == [("a b> c    d",)]


def test_a_minus_excludes_words_and_phrases_whatever_they_begin_with(library: Library) -> None:
    """Two minuses, or one with a space after it, exclude nothing."""
    library.add("1", "A heron of .NET and one (merlin) at --home, for $100.")
    library.add("2", "A heron of two kites.")
    excluded = ('-"two kites"', "-\u201ctwo kites\u201d", "\u2212kites", "-kites", "-(kites)", "-<kites>")
    assert {one: library.found(f"heron {one}") for one in excluded} == {one: ["1"] for one in excluded}
    excluded = ("-.NET", "-$100", "-(merlin)", '-"one (merlin)"', "-merlin -home")
    assert {one: library.found(f"heron {one}") for one in excluded} == {one: ["2"] for one in excluded}
    library.add("3", "A heron of AT&T, in C++.")
    library.add("4", "A heron of the C language, at T.")
    library.add("titled", "Nothing.", title="What AT&T is")
    assert library.found("AT&T") == ["titled", "3"]
    assert set(library.found("heron -C++")) == {"1", "2", "4"}
    assert set(library.found("heron -AT&T")) == set(library.found('heron -"of AT&T"')) == {"1", "2", "4"}
    assert (
        library.found('"AT&T" -nothing')
        == library.found('"heron of AT&T"')
        == library.found('heron -nothing "AT&T"')
        == ["3"]
    )
    for one in ("--home", "- home", "-", '-""', '-"kites two"'):
        assert set(library.found(f"heron {one}")) == {"1", "2", "3", "4"}, one


def test_a_phrase_of_words_that_are_too_common_requires_nothing(library: Library) -> None:
    """They are not kept, so nobody knows where they stand; beside others, those are required."""
    library.add("1", "To be or not to be, that is the question of herons.")
    library.add("2", "Herons, unchanged.", language="")
    assert set(library.found('herons "to be or not to be"')) == {"1", "2"}
    assert library.found('"the question of herons"') == ["1"]


def test_search_tells_nothing_to_who_logs_notices(library: Library) -> None:
    """An application's log has no lines of ours."""
    library.add("1", "A red pump.")
    with closing(psycopg2.connect(library.url)) as connection, connection.cursor() as cursor:
        for question in ("pump", 'the "of the" -the', "", "pump -red"):
            cursor.execute("select * from rag_search(%s, '[1,0,0]', languages => array['en'])", [question])
        assert connection.notices == []


def test_words_between_angle_brackets_and_of_entities_are_found(library: Library) -> None:
    """Alone, in quotes, after a minus, in a title and in a heading; and they count as they do elsewhere."""
    for number, written in enumerate(BETWEEN_SIGNS):
        library.add(str(number), written)
    everything = set(map(str, range(len(BETWEEN_SIGNS))))
    for number, asked in enumerate(BETWEEN_SIGNS.values()):
        assert library.found(asked)[:1] == [str(number)]
        assert library.found(f'"{asked}"') == [str(number)]
    library.add("titled", "Nothing.", title="class Nest<Ostrich extends Bird>")
    assert library.found("ostrich") == ["titled"]
    assert library.found('"List<Integer>"') == ["0"]
    assert library.found('"List<String>"') == []
    for number in everything:
        library.sql(f"update rag_document_chunks set content = content || ' zebra' where document_id = '{number}'")
    assert set(library.found("zebra -List<Integer>")) == everything - {"0"}
    assert set(library.found("zebra -<Integer>")) == everything - {"0"}
    assert set(library.found("zebra -Integer")) == everything - {"0"}
    assert library.mismatches() == []


INFLECTED = {  # the language of a text, and another form of a word of it
    "en": ("The pumps were running.", "pump runs"),
    "de": ("Die Pumpen liefen in den Häusern.", "Haus"),
    "id": ("Buku itu dibaca oleh anaknya.", "membaca bukunya"),
    "": ("Zażółć gęślą jaźń.", "JAŹŃ"),
}


def test_words_are_found_in_another_form_when_the_language_is_known(library: Library) -> None:
    """Each document's words are taken as its language has them, and a question's as all of them have."""
    library.add("0", "The first document is English, as most are.")
    for language, (written, _) in INFLECTED.items():
        library.add(language, written, language=language)
    for language, (_, asked) in INFLECTED.items():
        assert library.found(asked)[:1] == [language]


def test_title_file_name_and_headings_count_more_when_words_are_compared(library: Library) -> None:
    """Beside texts that say the same."""
    library.add("1", "Some text on pumps and other things.")
    library.add("2", "Some text on pumps and other things.", title="Pumps")
    library.add("3", "Some text on pumps and other things.", path="files/pumps.txt", title="Pumps")
    library.add("4", "Some text on wells and other things.")
    assert library.found("pumps") == ["3", "2", "1"]


def test_a_phrase_has_to_stand_there_and_a_word_after_a_minus_must_not_when_asked(library: Library) -> None:
    """As search engines have it."""
    library.add("1", "A red pump stands beside the house.")
    library.add("2", "A pump, red as wine, stands beside the garage.")
    library.add("3", "The house is old.")
    assert library.found('"red pump"') == ["1"]
    assert sorted(library.found("pump -garage")) == ["1"]
    assert library.found("house -pump") == ["3"]
    assert library.found("-pump") == []
    assert set(library.found('house "the')) == {"1", "3"}


ODD = ["'", "\\", "a' | b", "!", "((", "a:*", "' or 1=1 --", "\x01", "%s {x}", '"', '""', '"\\"', "-", "the", "²", "$1"]


def test_any_question_is_answered_when_it_is_odd(library: Library) -> None:
    """No sign is a command."""
    library.add("1", "The pumps were running.")
    for query in ODD:
        assert library.found(query) in ([], ["1"])
    assert library.sql("select count(*) from rag_document_chunks") == [(1,)]


CHANGES = [
    "update rag_document_chunks set content = 'new words of it'",
    "update rag_document_chunks set heading_path = array['Other', 'headings'] where document_id = '2'",
    "update rag_document_chunks set chunk_index = chunk_index + 1",
    "update rag_document_chunks set embedding_model = 'other' where document_id = '2'",
    "update rag_document_text set title = 'Another title' where document_id = '1'",
    "update rag_document_text set path = 'elsewhere/name.pdf'",
    "update rag_document_text set language = 'de'",
    "delete from rag_document_chunks where document_id = '1'",
    "delete from rag_document_chunks",
    "truncate rag_document_chunks",
    "begin; delete from rag_document_chunks; rollback",
    f"insert into rag_document_chunks ({PLACES}, embedding_model) select '9', 7, content, '', 1, 0, 1, 'prose', "
    "embedding, 'm2' from rag_document_chunks where document_id = '2'",
]


@pytest.mark.parametrize("is_folded", [True, False])
def test_statistics_are_those_of_a_recount_when_chunks_change(library: Library, is_folded: bool) -> None:
    """Whether the changes before were folded already, or not; by whatever statement."""
    for change in CHANGES:
        library.sql("truncate rag_document_text, rag_document_chunks")
        library.add("1", "A red pump stands here, a pump.", "Another pump.", title="Pumps")
        library.add("2", "Houses and trees.", language="")
        if is_folded:
            library.fold()
        library.sql(change)
        assert library.mismatches() == [], change
        library.fold()
        assert library.mismatches() == [], change
        assert library.sql("select count(*) from rag_word_changes") == [(0,)]


def test_a_recount_differs_and_mends_when_statistics_are_wrong(library: Library) -> None:
    """The judge sees a fault."""
    library.add("1", "A red pump.")
    library.fold()
    library.sql("update rag_word_counts set chunks = 7 where word = 'pump'")
    [found] = library.mismatches()
    assert (found.word, found.counted, found.kept) == ("pump", 1, 7)
    with library.database.transaction() as cursor:
        cursor.execute("select rag_recount_words()")
    assert library.mismatches() == []


def test_writers_do_not_wait_for_each_other_when_they_store_the_same_words(library: Library) -> None:
    """Two transactions at once, and a fold beside them, which leaves what is not committed to a later one."""
    library.add("0", "A red pump.")
    with closing(psycopg2.connect(library.url)) as one, closing(psycopg2.connect(library.url)) as other:
        for number, connection in enumerate((one, other), start=1):
            with connection.cursor() as cursor:
                cursor.execute("set lock_timeout = '1s'")
                library.add_chunks(cursor, str(number), ["A red pump.", "The pump."])
        library.fold()
        one.commit()
        assert library.mismatches() == []
        other.rollback()
    library.fold()
    assert library.mismatches() == []
    assert library.sql("select chunks from rag_word_counts where word = 'pump'") == [(3,)]


def test_words_are_filled_in_when_chunks_were_stored_before(library: Library) -> None:
    """Some at a time, in their language, beside changes that come meanwhile."""
    library.add("1", *(f"The pumps number {n} were running." for n in range(12)))
    library.add("2", "Die Pumpen liefen in allen Häusern, und niemand wusste, warum sie das immer noch taten.")
    library.sql(
        "truncate rag_chunk_words, rag_word_changes, rag_word_counts, rag_word_totals; "
        "update rag_document_text set language = null; "
        "insert into rag_words_missing (after, upto) select 0, max(id) from rag_document_chunks"
    )
    library.add("3", "A pump that was stored meanwhile.")
    with library.database.transaction() as cursor:
        assert words.fill(cursor, count=5) > 0
    library.sql("delete from rag_document_chunks where document_id = '1' and chunk_index > 8")
    filling.fill(library.database, Search(), program="this")
    assert library.mismatches() == []
    assert library.sql("select count(*) from rag_chunk_words") == [(11,)]
    assert library.found("Haus") == ["2"]
    assert library.sql("select * from rag_words_missing") == []


def test_words_that_were_taken_in_another_way_are_taken_anew(library: Library) -> None:
    """As an older version left them: some at a time, found meanwhile, beside changes; statistics stay right."""
    library.add("1", *(f"A pump number {n} of type List<Valve>." for n in range(12)))
    older = "to_tsvector('english', 'files 1 pump number of type list')"
    library.sql(f"update rag_chunk_words set words = {older}, length = rag_word_length({older})")
    library.sql("select rag_recount_words()")
    library.sql("insert into rag_words_missing (after, upto) select 0, max(id) from rag_document_chunks")
    assert (library.found("pump"), library.found("valve")) == (["1"] * 12, [])
    with library.database.transaction() as cursor:
        assert words.fill(cursor, count=5) > 0
    assert (library.found("pump"), library.found("valve")) == (["1"] * 12, ["1"] * 5)
    library.sql("delete from rag_document_chunks where chunk_index in (0, 11)")
    filling.fill(library.database, Search(), program="this")
    assert library.found("valve") == ["1"] * 10
    assert library.mismatches() == []
    before = library.sql("select xmin, chunk_id from rag_chunk_words order by chunk_id")
    library.sql("insert into rag_words_missing (after, upto) select 0, max(id) from rag_document_chunks")
    filling.fill(library.database, Search(), program="this")
    assert library.sql("select xmin, chunk_id from rag_chunk_words order by chunk_id") == before  # nothing to be done


def test_words_are_those_of_the_newest_text_when_they_are_taken_anew_beside_a_change(library: Library) -> None:
    """Who changes a chunk or a title waits for who takes its words anew, or is left alone: neither is lost."""
    library.add("1", "A red pump.", "A blue pump.")
    library.sql("update rag_chunk_words set words = 'old'::tsvector, length = 1")
    library.sql("select rag_recount_words()")
    for change in (
        "update rag_document_chunks set content = 'A green valve.' where chunk_index = 0",
        "update rag_document_text set title = 'Of valves'",
    ):
        library.sql("delete from rag_words_missing")
        library.sql("insert into rag_words_missing (after, upto) select 0, max(id) from rag_document_chunks")
        with closing(psycopg2.connect(library.url)) as changing, closing(psycopg2.connect(library.url)) as renewing:
            with changing.cursor() as cursor:
                cursor.execute(change)
                with renewing.cursor() as other:
                    other.execute("set lock_timeout = '5s'")
                    words.fill(other, count=100)
                renewing.commit()
            changing.commit()
        assert library.mismatches() == []
        others = "select 1 from rag_chunk_words as w, rag_take_words(array[w.chunk_id]) as t where w.words <> t.words"
        assert library.sql(others) == []


def languages_of(library: Library) -> list[tuple[object, ...]]:
    return library.sql("select document_id, language from rag_document_text order by document_id")


ENGLISH = "The pumps were running in all of the houses, and nobody knew why they still did that."
GERMAN = "Die Pumpen liefen in allen Häusern, und niemand wusste, warum sie das immer noch taten."


def test_words_follow_when_another_language_is_set(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some documents at a time, those that are there; source code stays as it is. And back, when none is set."""
    monkeypatch.setattr(filling, "CHUNKS_AT_ONCE", 2)
    for number in range(5):
        library.add(str(number), f"The pumps number {number} were running.", GERMAN, language="en")
    library.add("code", "def running(pumps): return pumps", language="")
    library.sql("update rag_document_chunks set kind = 'code' where document_id = 'code'")
    pinned = Search(language="de")
    assert filling.tend(library.database, pinned, program="this") == 1
    assert languages_of(library) == [(str(n), "de" if n == 0 else "en") for n in range(5)] + [("code", "")]
    filling.fill(library.database, pinned, program="this")
    assert languages_of(library) == [(str(n), "de") for n in range(5)] + [("code", "")]
    assert sorted(library.found("Haus")) == [str(n) for n in range(5)]
    assert library.mismatches() == []
    library.add("9", "Later.", language="de")
    assert filling.tend(library.database, pinned, program="this") == 0
    library.sql(f"update rag_document_text set content = '{GERMAN}' where document_id in ('1', '9')")
    library.sql(f"update rag_document_text set content = '{ENGLISH}' where document_id in ('0', '2', '3', '4')")
    filling.fill(library.database, Search(), program="this")
    assert dict(languages_of(library)) == {"0": "en", "1": "de", "2": "en", "3": "en", "4": "en", "9": "de", "code": ""}
    assert library.mismatches() == []


def test_a_document_that_is_being_written_is_waited_for_by_a_later_look(library: Library) -> None:
    """Who stores documents never waits for who has words follow, nor are these taken in a deadlock."""
    for number in range(3):
        library.add(str(number), GERMAN, language="en")
    with closing(psycopg2.connect(library.url)) as writer, writer.cursor() as cursor:
        cursor.execute("update rag_document_text set title = 'Another' where document_id = '1'")
        filling.fill(library.database, Search(language="de"), program="this")
        assert languages_of(library) == [("0", "de"), ("1", "en"), ("2", "en")]
        writer.commit()
    filling.fill(library.database, Search(language="de"), program="this")
    assert languages_of(library) == [("0", "de"), ("1", "de"), ("2", "de")]
    assert library.mismatches() == []


def test_no_language_changes_when_the_index_follows_another_program(library: Library) -> None:
    """Two programs with other settings would have all words taken to and fro."""
    library.add("1", GERMAN, language="en")
    library.sql(
        "insert into rag_owner (program, fingerprint, embedding_model, settings) values ('other', '', 'm', '{}')"
    )
    filling.fill(library.database, Search(language="de"), program="this")
    assert languages_of(library) == [("1", "en")]


def test_searches_of_frequent_words_give_the_best_when_many_chunks_have_them(library: Library) -> None:
    """Where not all rows are looked at, those in which the words stand often are."""
    with library.database.transaction() as cursor:
        cursor.execute(
            f"insert into rag_document_chunks ({PLACES}, embedding_model) select n, 0, case when n % 1000 = 0 "
            "then 'pump pump pump pump valve valve valve valve' else 'pump and valve and ' || n || ' more words' end, "
            "n, 1, 0, 1, 'prose', '[1,0,0]', 'm' from generate_series(1, 4000) as n"
        )
    library.fold()
    with library.database.transaction() as cursor:
        cursor.execute(
            "select w.word, w.idf, w.chunks, w.mean_length from rag_weigh_words(array['pump', 'valve'], 'm') as w"
        )
        found = cursor.fetchall()
        cursor.execute(
            "select rag_word_candidates(%s, %s, %s, %s, 'm', budget => 100, most => 50)",
            [[row[0] for row in found], [row[1] for row in found], [row[2] for row in found], found[0][3]],
        )
        [(ids,)] = cursor.fetchall()
        cursor.execute("select document_id from rag_document_chunks where id = any(%s)", [ids])
        assert {"1000", "2000", "3000", "4000"} <= {row[0] for row in cursor.fetchall()}
        assert len(ids) <= 50


@pytest.mark.parametrize(
    ("seldom", "most_scored", "least"), [(False, 20, 5), (False, 60, 20), (True, 20, 20), (True, 60, 20)]
)
def test_frequent_words_are_looked_for_further_when_few_pass_a_filter(
    library: Library, seldom: bool, most_scored: int, least: int
) -> None:
    """Where what passes has them seldom, no candidate does at first; where words only add, a quarter of k will do."""
    with library.database.transaction() as cursor:
        cursor.execute(
            "insert into rag_document_text (document_id, path, sha256, size_bytes, mtime_ns, media_type, parser, "
            "content, fingerprint, embedding_model, language) select n, 'files/' || n, '', 0, 0, "
            "case when n % 10 = 0 then 'text/tenth' else 'text/plain' end, 'plain', '', '', 'm', 'simple' "
            "from generate_series(1, 4000) as n"
        )
        cursor.execute(
            f"insert into rag_document_chunks ({PLACES}, embedding_model) "
            f"select n, 0, case when {seldom} and n % 10 = 0 then "
            "'pump valve ' || repeat('another ', 20 + n / 100) else repeat('pump valve ', 4) || n % 7 end, "
            "n, 1, 0, 1, 'prose', '[1,0,0]', 'm' from generate_series(1, 4000) as n"
        )
        cursor.execute("analyze rag_document_text, rag_document_chunks, rag_chunk_words")
    library.fold()
    filtered = "row(null, null, null, array['text/tenth'], null, null, null, null, null, null)::rag_filter"
    found = library.sql(
        "select r.chunk_id, r.score from rag_weighed(array['pump', 'valve'], 'm') as q, rag_rank_words(q.words, "
        f"q.idfs, q.chunks, q.mean_length, 20, {filtered}, 'm', budget => 500, most_scored => {most_scored}) as r"
    )
    exact = library.sql(
        "select s.score from rag_weighed(array['pump', 'valve'], 'm') as q, rag_score_words(array("
        "select id from rag_document_chunks where document_id::int % 10 = 0), q.words, q.idfs, q.mean_length) as s "
        "order by 1 desc limit 20"
    )
    tenth = library.sql("select id from rag_document_chunks where document_id::int % 10 = 0")
    assert least <= len(found) <= 20
    assert {(chunk,) for chunk, _ in found} <= set(tenth)
    assert [score for _, score in found] == [score for (score,) in exact[: len(found)]]


def test_an_excerpt_has_what_stands_between_angle_brackets(library: Library) -> None:
    """PostgreSQL takes it for tags, and would leave it out: of code, of comparisons, and of HTML that is told of."""
    text = (
        "Use <b>bold</b>: List<Toucans> toucans = new List<>(); if a <b and c> d, see &toucans; \u2014toucans\u201d <i>"
    )
    library.add("1", text)
    with library.database.transaction() as cursor:
        hits = search.find(cursor, "toucans", None, k=1, model="m", search=Search(mode="text"), filter=Filter())
        [excerpt] = search.excerpts(cursor, "toucans", hits, model="m")
    start, stop = search.WORD_MARKS
    assert excerpt == re.sub("toucans", lambda found: f"{start}{found[0]}{stop}", text, flags=re.IGNORECASE)


def test_question_of_the_wrong_model_is_refused_in_words(library: Library) -> None:
    """A vector of another length says how to get one that fits; a model that has no vectors is named in a warning."""
    library.add("1", "A red pump.")
    with closing(psycopg2.connect(library.url)) as connection, connection.cursor() as cursor:
        with pytest.raises(psycopg2.errors.DataException) as refused:
            cursor.execute("select * from rag_search('pump', '[1,0]')")
        assert refused.value.diag.message_primary == "rag_search: different vector dimensions 3 and 2"
        assert "query_embedding has 2 dimensions. It has to be made by the model m" in refused.value.diag.message_hint
        assert len(refused.value.diag.context.splitlines()) == 1
        connection.rollback()
        cursor.execute("select * from rag_search('pump', mode => 'text', model => 'none')")
        assert cursor.fetchall() == []
        assert "no chunk has a vector of model none" in connection.notices[-1]


def test_an_excerpt_of_a_long_text_says_that_there_is_more(library: Library) -> None:
    """It begins and ends with whole words, with the signs that they have."""
    filler = " ".join(f"Word{n} of a garden." for n in range(80))
    text = f"{filler} In the middle \u201cList<Toucan>\u201d \u2014 and {filler}"
    library.add("1", f"# {text}", language="")
    with library.database.transaction() as cursor:
        hits = search.find(cursor, "toucan", None, k=1, model="m", search=Search(mode="text"), filter=Filter())
        [excerpt] = search.excerpts(cursor, "toucan", hits, model="m")
    start, stop = search.WORD_MARKS
    plain = excerpt.replace(start, "").replace(stop, "")
    assert f"\u201cList<{start}Toucan{stop}>\u201d \u2014 and" in excerpt
    assert (plain[:4], plain[-4:]) == ("... ", " ...")
    assert plain[4:-4] in text
    assert set(plain[4:-4].split()) <= set(text.split())


def test_migrating_again_changes_nothing_when_words_are_there(library: Library) -> None:
    """Functions are applied anew, and what they kept is still right."""
    library.add("1", "A red pump.")
    assert library.database.migrate(Source(), dimension=3) == []
    assert library.mismatches() == []
    assert library.found("pump") == ["1"]


def test_rows_stay_narrow_when_chunks_have_many_words(library: Library) -> None:
    """A search visits thousands of them for their length alone: fifty with 200 words each fit on one page."""
    library.add("1", *(" ".join(f"word{number}x{index}" for index in range(200)) for number in range(50)))
    assert library.sql("select count(*), pg_relation_size('rag_chunk_words') from rag_chunk_words") == [(50, 8192)]


def test_what_is_required_is_asked_of_each_document_in_its_own_language(library: Library) -> None:
    """Words that are too common in one language, and how it makes words shorter, are nothing to documents in others."""
    library.add("en", "The hard disks of the server are being replaced.")
    library.add("film", "A film of that name: die hard.")
    library.add("canteen", "The canteen is serving lunch.")
    library.add("de", "Die harten Zeiten sind vorbei, sagt der Server.", language="de")
    library.add("fr", "Le serveur est dur.", language="fr")
    assert library.found('"die hard"') == ["film"]
    assert library.found('server -"die hard"')[:1] == ["en"]
    assert "film" not in library.found('hard -"die hard"')
    assert library.found("canteen -server") == ["canteen"]
    assert library.found('"harten Zeiten"') == ["de"]


def test_a_given_language_of_the_question_hides_no_document(library: Library) -> None:
    """It decides which words are too common to count, and nothing else."""
    library.add("1", "A wombat digs.", language="en")
    library.add("2", "Der Wombat im Bau.", language="de")
    for language in ("", "en", "de", "fi"):
        found = library.sql(
            f"select document_id from rag_search('wombat', mode => 'text', query_language => '{language}')"
        )
        assert sorted(found) == [("1",), ("2",)]


def test_phrases_and_minuses_of_scripts_without_spaces(library: Library) -> None:
    """All pairs of characters have to be there; words of other scripts that touch them are words."""
    library.add("ja", "\u6771\u4eac\u30bf\u30ef\u30fc\u306f\u9ad8\u3044\u3067\u3059", language="ja")
    library.add("other", "\u6771\u4eac\u306e\u591c", language="ja")
    library.add(
        "th",
        "\u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e\u0e40\u0e1b\u0e47\u0e19\u0e40\u0e21\u0e37\u0e2d\u0e07",
        language="th",
    )
    library.add("mixed", "Docker\u5bb9\u5668 runs on Linux\u670d\u52a1\u5668", language="zh")
    assert library.found('"\u6771\u4eac\u30bf\u30ef\u30fc"') == ["ja"]
    assert library.found("\u6771\u4eac -\u30bf\u30ef\u30fc") == ["other"]
    assert library.found("\u6771\u4eac -\u6771\u4eac\u30bf\u30ef\u30fc") == ["other"]
    assert library.found('"\u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e"') == ["th"]
    for asked in ("docker", "Linux", "\u5bb9\u5668", "Docker\u5bb9\u5668", '"Linux\u670d\u52a1\u5668"'):
        assert library.found(asked) == ["mixed"], asked


def test_a_phrase_has_the_signs_that_tell_a_name_from_a_word(library: Library) -> None:
    """C++ is not C, in quotes as without; other signs of a phrase stand for what is between words."""
    library.add("c", "The language C and others.")
    library.add("cpp", "The language C++ and others.")
    library.add("sharp", "F# is a language.")
    library.add("letter", "F is a letter of language.")
    assert library.found('"C++"') == library.found('"language C++ and"') == ["cpp"]
    for minus in ("-C++", '-"C++"'):
        assert sorted(library.found(f"language {minus}")) == ["c", "letter", "sharp"]
    assert library.found('"F#"') == ["sharp"]


def test_a_question_of_many_phrases_is_read_in_a_moment(library: Library) -> None:
    """Each counts once, as long as a question may be."""
    library.add("1", "a pump b")
    started = time.monotonic()
    library.found('-"a b" ' * 3_000)
    library.found(" ".join(f'-"pump {number}"' for number in range(1_500)))
    assert time.monotonic() - started < 60


def test_a_recount_mends_what_others_have_left(library: Library) -> None:
    """Words of chunks that are gone, and chunks without words, as writers leave them that switch triggers off."""
    library.add("1", "A pump.")
    library.add("2", "A valve.")
    library.sql(
        "set session_replication_role = replica; delete from rag_document_chunks where document_id = '1';"
        "delete from rag_chunk_words as w using rag_document_chunks as c where c.id = w.chunk_id; select 1"
    )
    assert library.mismatches()
    library.sql("select 1 from rag_recount_words()")
    assert library.mismatches() == []
    assert library.found("valve") == ["2"]
    assert library.found("pump") == []
