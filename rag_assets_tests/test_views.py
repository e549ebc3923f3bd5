"""The page of the search service: what it shows, to whom, and that nothing of a document is more than text in it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest
import requests
from bs4 import BeautifulSoup

from rag_assets.errors import NotEnoughMemory
from rag_assets.postgres.search import WORD_MARKS
from rag_assets.service.keys import Keys
from rag_assets.service.page import catalogue, views
from rag_assets.services import Services
from rag_assets_tests import rows, serving
from rag_assets_tests.serving import Service

QUESTION = "How long do I have to return an item?"
DAGSTER = "http://dagster.example:3000"
FILES = {"orbit.md": "# Orbits\n\n" + "\n\n".join(f"## Orbit {n}\n\nSatellite number {n} turns." for n in range(150))}
SCRIPT = "<script>alert(1)</script>"
HIDING = "\x1b[2J\u202e\u2066"
ODD = {  # ids of documents whose every text tries to be more than text
    f"a/../{SCRIPT}?x=1#y&%41": "slashes, and what URLs have",
    "..": "what browsers resolve",
    f"'\" onmouseover=alert(1) {HIDING}": "quotes, and what hides",
}


def add_odd(url: str) -> None:
    """Documents that no reader of ours would store so."""
    for document_id in ODD:
        values = (document_id, f"x/{SCRIPT}{HIDING}", f"{SCRIPT}{HIDING}", '{"a<b>": "<img src=x onerror=alert(1)>"}')
        content = (
            f'Xylophone {SCRIPT} {HIDING} <img src=x onerror="alert(1)"> '
            + WORD_MARKS[1]
            + WORD_MARKS[0]
            + " {{ 7*7 }}"
        )
        rows.execute(
            url,
            "insert into rag_document_text (document_id, path, sha256, size_bytes, mtime_ns, media_type, parser, "
            "title, content, fingerprint, embedding_model, language, metadata) select "
            f"{_literal(values[0])}, {_literal(values[1])}, '', 1, 1700000000000000000, 'text/plain', 'plain', "
            f"{_literal(values[2])}, {_literal(content)}, 'f', embedding_model, 'en', {_literal(values[3])} "
            "from rag_document_text limit 1;"
            "insert into rag_document_chunks (document_id, chunk_index, content, content_sha256, token_count, "
            "char_start, char_end, kind, embedding_model, embedding, heading_path) select "
            f"{_literal(document_id)}, 0, {_literal(content)}, {_literal(rows.sha256(document_id))}, 1, 0, 1, 'prose', "
            f"embedding_model, embedding, array[{_literal(SCRIPT + HIDING)}] from rag_document_chunks limit 1;"
            "insert into rag_ingestion_log (document_id, path, run_id, status, stage, error_kind, error_message) "
            f"values ({_literal(document_id)}, 'x', '../{SCRIPT}', 'failed', 'read', 'corrupt', "
            f"{_literal(SCRIPT + HIDING)});",
        )
    rows.execute(
        url,
        "insert into \"TblDocumentFiles\" overriding system value values (99, 'vault/locked.pdf');"
        "delete from rag_outbox where document_id = '99';"  # what the trigger wrote of it
        "insert into rag_outbox (document_id, operation, generation, state, attempts, error_kind, last_error) "
        f"values ('99', 'insert', 99999, 'dead', 3, 'encrypted', {_literal('It is encrypted. ' + SCRIPT)})",
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@dataclass
class Person:
    """Somebody with a browser that keeps cookies and runs no script."""

    service: Service
    session: requests.Session
    language: str = "en"

    def open(self, path: str, *, status: int = 200, **options: Any) -> BeautifulSoup:
        headers = {"Accept": "text/html", "Accept-Language": self.language}
        answer = self.session.request(
            options.pop("method", "GET"), urljoin(self.service.url, path), timeout=120, headers=headers, **options
        )
        assert answer.status_code == status, answer.text
        assert answer.headers["Content-Security-Policy"] == views.POLICY
        found = BeautifulSoup(answer.text, "html.parser")
        assert not found.select("[onclick], [style], style, script:not([src]), img, iframe, object"), path
        return found

    def hits(self, query: str, **parameters: Any) -> list[Any]:
        parameters = {"q": query, "mode": "text", **parameters}
        return list(self.open("/", params=parameters).select("article.hit"))


@pytest.fixture(scope="module")
def service(corpus: Services) -> Iterator[Service]:
    """Without keys, beside a Dagster."""
    add_odd(corpus.database_url)
    section = corpus.settings.service.model_copy(update={"dagster_url": f"{DAGSTER}/"})
    config = corpus.settings.model_copy(update={"service": section})
    with serving.served(config, page=views.Page(None)) as made:
        yield made


@pytest.fixture
def person(service: Service) -> Iterator[Person]:
    with requests.Session() as session:
        session.trust_env = False
        yield Person(service, session)


def test_passages_are_shown_when_asked(person: Person) -> None:
    """With the words marked, where they stand, the score's parts, and a link to their document at this passage."""
    page = person.open("/", params={"q": QUESTION})
    assert page.select_one("input[name=q]")["value"] == QUESTION
    first = page.select_one("article.hit")
    assert first.select_one("h3 a").text == "Returns and refunds"
    assert {mark.text.lower() for mark in first.select("mark")} >= {"return", "item"}
    assert "How long you have" in first.select_one(".place").text
    assert "returns-policy.md" in first.select_one(".path").text
    assert re.search(r"by meaning: place 1, cosine 0\.\d+.*by words: place 1, BM25 \d", first.text, re.DOTALL)
    linked = person.open(first.select_one("h3 a")["href"])
    assert "within 30 days" in linked.select_one(".passage.current").text
    around = person.open(first.select_one("[data-around]")["data-around"])
    assert len(around.select(".passage")) == 2  # it is the first one of its document
    assert first.select_one("[data-around] a")["href"] == first.select_one("h3 a")["href"]  # without the script


def test_excerpt_shows_where_its_passage_goes_on(person: Person) -> None:
    """An ellipsis at an end that is not that of the passage, and none where it is."""
    long, short = person.hits(QUESTION, k=1)[0], person.hits('"satellite number 44"', k=1)[0]
    assert long.select_one(".excerpt").text.endswith(" …")
    assert not long.select_one(".excerpt").text.startswith("…")
    assert "…" not in short.select_one(".excerpt").text


def test_filters_hold_when_given(person: Person) -> None:
    """As they are in the form, which shows them again."""
    assert {hit.select_one(".path").text for hit in person.hits("terms", type="application/pdf")} == {"warranty.pdf"}
    page = person.open(
        "/", params={"q": "satellite", "under": "orbit", "k": "3", "mode": "text", "since": "2020-01-01"}
    )
    assert len(page.select("article.hit")) == 3
    assert page.select_one("details[open] input[name=under]")["value"] == "orbit"
    nothing = person.open("/", params={"q": "satellite", "path": "nowhere/*", "mode": "text"})
    again = person.open(nothing.select_one(".notice a.button")["href"])
    assert again.select("article.hit")


def test_document_is_read_whole_when_paged_through(person: Person) -> None:
    """Each passage once, in order; back again, too."""
    [hit] = person.hits('"satellite number 44"', k=1)
    page = person.open(hit.select_one("h3 a")["href"].partition("?")[0])
    seen: list[str] = []
    while True:
        seen += [passage["id"] for passage in page.select(".passage")]
        if (later := page.select_one("a[rel=next]")) is None:
            break
        page = person.open(later["href"])
    assert seen == [f"chunk-{number}" for number in range(len(seen))]
    assert len(seen) == int(page.select_one("#passages .hint").text) > views.PAGE_CHUNKS
    assert person.open(page.select_one("a[rel=prev]")["href"]).select(".passage")


def test_story_tells_what_became_of_a_document(person: Person) -> None:
    """What was read, cut and embedded, and the way to Dagster's partition and run."""
    page = person.open(person.hits("packing slip", k=1)[0].select_one("h3 a")["href"])
    text = page.select_one("main").text
    assert "text/markdown (en)" in text
    assert re.search(r"completed\s+20\d\d-\d\d-\d\d \d\d:\d\d UTC", text)
    assert re.search(r"read by markdown; \d+ passages, \d+ tokens; \d+ embedded, \d+ reused", text)
    links = [link["href"] for link in page.select("main a[href^=http]")]
    [document_id] = re.findall(r"partition=(\d+)$", links[0])
    assert links == [
        f"{DAGSTER}/assets/raw_text?view=partitions&partition={document_id}",
        *[f"{DAGSTER}/runs/1"] * 2,
    ]


def test_failure_is_shown_when_a_document_has_no_passages(person: Person) -> None:
    """No search finds it: the start page leads there by its state, and it says what to do."""
    start = person.open("/")
    listed = person.open(start.select_one("a.state.failed")["href"])
    [link] = listed.select(".list a")
    page = person.open(link["href"])
    assert "It is encrypted." in page.select_one(".notice.bad").text
    commands = [code.text for code in page.select(".notice code")]
    assert commands == ["rag-assets retry 99", "rag-assets accept 99"]
    assert link.text == page.select_one("h1").text == "locked.pdf"  # its file: it was never read, so it has no title


@pytest.mark.parametrize("document_id", ODD, ids=["url", "dots", "quotes"])
def test_nothing_of_a_document_is_more_than_text(person: Person, document_id: str) -> None:
    """No tag, attribute, template or turned text comes of title, path, id, heading, passage, metadata or error."""
    page = person.open("/", params={"q": "xylophone", "mode": "text", "k": "10", "document": document_id})
    [hit] = page.select("article.hit")
    href = hit.select_one("h3 a")["href"]
    around = person.open(hit.select_one("[data-around]")["data-around"])
    story = person.open(href)
    assert story.select_one("dd").text.startswith(document_id[:5])
    for shown in (hit, story, around):
        text = shown.text
        assert SCRIPT in text
        assert "{{ 7*7 }}" in text
        assert "\\x1b" in text or document_id not in text
        assert not re.search("[\x1b\u202e\u2066]", str(shown))
    assert [link for link in story.select("a[href]") if not re.match(r"(/|#|\?|http://dagster)", link["href"])] == []
    partition = story.select_one("main a[href^=http]")["href"]
    assert not re.search(r"[<>\"'\s]", partition)


def test_hits_are_escaped_when_the_question_tries(person: Person) -> None:
    """The question comes back as text, whatever it holds."""
    page = person.open("/", params={"q": f'"><script>x</script> {HIDING} xylophone', "mode": "text"})
    assert page.select_one("input[name=q]")["value"].startswith('"><script>x</script>')
    assert page.title.text.startswith('"><script>')


@pytest.mark.parametrize(
    ("parameters", "status", "said"),
    [
        ({"q": "x", "k": "many"}, 422, "k:"),
        ({"q": "x", "k": "101"}, 422, "100 passages"),
        ({"q": "x", "mode": "magic"}, 422, "mode"),
        ({"q": "x", "since": "soon"}, 422, "since"),
        ({"q": "a\0b"}, 422, "NUL"),
        ({"q": "a " * 1_500, "mode": "vector"}, 422, "fewer words"),
        ({"state": "lost"}, 422, "state"),
    ],
)
def test_page_says_what_to_do_when_asked_wrongly(
    person: Person, parameters: dict[str, str], status: int, said: str
) -> None:
    """As a page, and not as JSON or a traceback."""
    page = person.open("/documents" if "state" in parameters else "/", params=parameters, status=status)
    assert said in page.select_one("[role=alert]").text


@pytest.mark.parametrize("path", ["/documents/none", "/documents/a%00b", f"/documents/{'x' * 5000}", "/around?id=none"])
def test_page_leads_on_when_there_is_no_such_document(person: Person, path: str) -> None:
    """To all that there are."""
    page = person.open(path, status=404)
    assert person.open(page.select_one("[role=alert] a")["href"]).select(".list li")


def test_page_offers_words_alone_when_memory_is_short(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link asks the same without a model, another one tries again."""

    def refuse(_text: str) -> list[float]:
        raise NotEnoughMemory(available_bytes=10**9, needed_bytes=2 * 10**9)

    monkeypatch.setattr(person.service.asking, "embed_query", refuse)
    page = person.open("/", params={"q": "packing slip"}, status=503)
    notice = page.select_one("[role=alert]")
    assert "not enough memory" in notice.text
    assert "1.0 GB available, 2.0 GB needed" in notice.text
    by_words, again = (link["href"] for link in notice.select("a"))
    assert person.open(by_words).select("article.hit")
    assert again.startswith("/?q=packing+slip")


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [("", "en"), ("id", "id"), ("id-ID,id;q=0.9,en;q=0.8", "id"), ("en;q=0.1, id;q=0.9", "id"), ("de, fr;q=x", "en")],
)
def test_page_speaks_the_language_that_is_asked_for(person: Person, accepted: str, expected: str) -> None:
    """By the browser's preference; by a link for good, whatever the browser prefers."""
    person.language = accepted
    page = person.open("/")
    assert page.html["lang"] == expected
    assert page.h1.text == catalogue.LANGUAGES[expected]["title"]
    other = page.select_one(".languages a")
    assert person.open(other["href"]).html["lang"] == other["hreflang"] != expected
    assert person.open("/documents").html["lang"] == other["hreflang"]


def test_page_says_how_to_begin_when_nothing_is_indexed(database_url: str, tmp_path: Path) -> None:
    """The commands, in order."""
    config = serving.configured(database_url, tmp_path / "home")
    with serving.served(config, page=views.Page(None)) as service, requests.Session() as session:
        session.trust_env = False
        page = Person(service, session).open("/")
        assert page.select_one(".notice code").text.splitlines() == [
            "rag-assets register ~/documents",
            "rag-assets ingest",
        ]


@pytest.fixture
def locked(corpus: Services, tmp_path: Path) -> Iterator[tuple[Person, Path, dict[str, str]]]:
    """With keys: the person, the file, and the keys by name."""
    file = tmp_path / "keys.toml"
    made = serving.write_keys(file, ada={}, bob={})
    page = views.Page(Keys(file))
    with serving.served(corpus.settings, keys=Keys(file), page=page) as service, requests.Session() as session:
        session.trust_env = False
        yield Person(service, session), file, made


def test_a_key_lets_in_until_it_is_taken_back(locked: Any) -> None:
    """By a cookie that no script and no other site can use; it ends with the key, and at the way out."""
    person, file, keys = locked
    page = person.open("/?q=packing+slip&mode=text")
    assert page.select_one("input[name=key]")["type"] == "password"
    action = page.form["action"]
    wrong = person.open(action, method="POST", data={"key": "nobody's"}, status=401)
    assert "not known" in wrong.select_one("[role=alert]").text
    inside = person.open(action, method="POST", data={"key": f" {keys['ada']} "})
    assert inside.select("article.hit")  # where he wanted to go
    [cookie] = [cookie for cookie in person.session.cookies if cookie.name == "rag_assets_search"]
    assert keys["ada"] not in str(cookie.value)
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "strict"
    assert "(ada)" in inside.select_one("nav form").text
    api = {"url": f"{person.service.url}/v1/search", "json": {"query": "x", "mode": "text"}, "timeout": 120}
    assert person.session.post(**api).status_code == 401  # a cookie is for what is only read
    left = person.open("/logout", method="POST", data={"a": "b"})
    assert left.select("input[name=key]")
    assert person.open("/").select("input[name=key]")
    assert person.open(action, method="POST", data={"key": keys["ada"]}).select("article.hit")
    file.write_text(file.read_text().split("\n\n")[1], encoding="utf-8")  # bob's alone
    assert person.open("/").select("input[name=key]")


def test_login_leads_nowhere_else_when_told_to(locked: Any) -> None:
    """A link to the login cannot send whoever logs in to another site; nor can another site log him in or out."""
    person, _, keys = locked
    for target in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        answer = person.session.post(
            f"{person.service.url}/login?next={quote(target, safe='')}",
            data={"key": keys["ada"]},
            allow_redirects=False,
            timeout=120,
        )
        assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    for path in ("/login", "/logout"):
        evil = {"Origin": "https://evil.example"}
        assert person.service.ask("POST", path, data={"key": keys["ada"]}, headers=evil).status_code == 403


def test_programs_are_told_in_json_when_they_have_no_key(locked: Any) -> None:
    """Only a browser is led to the login."""
    person, _, keys = locked
    answer = person.service.ask("GET", "/", headers={"Accept": "*/*"})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (401, "unauthorized")
    assert person.service.ask("GET", "/static/page.css").status_code == 200
    assert person.service.ask("GET", "/static/../views.py").status_code in (401, 404)
    assert person.service.ask("GET", "/?mode=text&q=x", key=keys["ada"]).status_code == 200
