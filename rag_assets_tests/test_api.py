"""The search service, asked over real connections: answers, limits, keys, tenants, and what an attacker sends."""

import base64
import json
import re
import subprocess
import sys
from array import array
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate

from rag_assets.service import forms
from rag_assets_tests import conftest, rows, serving
from rag_assets_tests.serving import Service, configured, served

DIMENSION = 384


@pytest.fixture(scope="module")
def filled_url(postgres_url: str, _template: str) -> Iterator[str]:
    for url in conftest._database(postgres_url, template=_template):
        serving.fill(url)
        yield url


@pytest.fixture(scope="module")
def service(filled_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Without keys."""
    with served(configured(filled_url, tmp_path_factory.mktemp("service") / "home")) as made:
        yield made


# ---- answers


def test_a_hit_is_what_search_prints(service: Service) -> None:
    """The same fields as `rag-assets search --json`, the best passage first."""
    [hit] = service.search("error E4", k=1)["hits"]
    assert hit["document_id"] == "north-1"
    assert hit["content"] == "The pump of the north shows error E4."
    assert set(hit) >= {"path", "title", "chunk_index", "score", "similarity", "word_rank", "heading_path", "before"}


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text"])
def test_each_mode_finds_a_passage_by_its_own_words(service: Service, mode: str) -> None:
    """By meaning, the embedding server is started by the first question and stays for the next."""
    answer = service.search("The pump of the north shows error E4.", mode=mode, k=2)
    assert answer["mode"] == mode
    assert len(answer["hits"]) == 2
    assert service.metric(f'rag_assets_searches_total{{mode="{mode}",outcome="ok"}}') >= 1


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"path_prefix": "north/"}, {"north-1"}),
        ({"under": "south/"}, {"south-1", "100% sure/../1"}),
        ({"path_glob": "*odd*"}, {"100% sure/../1"}),
        ({"documents": ["south-1", "north-2"]}, {"south-1"}),
        ({"types": ["application/pdf"]}, set()),
        ({"languages": ["en"], "since": "2023-01-01", "until": "2024-01-01T00:00:00Z"}, {"north-1", "south-1"}),
        ({"metadata": {"author": "nobody"}}, set()),
    ],
)
def test_filters_leave_what_they_say(service: Service, filters: dict[str, Any], found: set[str]) -> None:
    """Each of the command line's, by its name in JSON."""
    query = "pump pumps"
    assert set(service.found(query, filters=filters)) >= found
    assert set(service.found(query, filters=filters)) <= found | {"100% sure/../1"}


def test_what_is_not_similar_is_left_out_when_a_limit_is_given(service: Service) -> None:
    """Of those found: the passage itself stays, which no other one is near."""
    query = "The pump of the north shows error E4."
    assert len(service.search(query, mode="vector")["hits"]) > 1
    [hit] = service.search(query, mode="vector", min_similarity=0.99)["hits"]
    assert hit["content"] == query


def _asked(form: type[forms.Form], given: Any) -> str:
    """What is said of it; nothing where it is right."""
    try:
        forms.read(form, given)
    except forms.Invalid as exc:
        return str(exc)
    return ""


def test_a_boolean_is_no_number_in_any_form() -> None:
    """True would count as 1: each field of each form that is a number refuses both."""
    usual: dict[type[forms.Form], dict[str, Any]] = {
        forms.SearchRequest: {"query": "x"},
        forms.EmbeddingsRequest: {"input": "x"},
        forms.Page: {},
        forms.ChunkPage: {},
    }
    asked = [
        (form, name, _asked(form, {**given, name: value}))
        for form, given in usual.items()
        for name, field in form.model_fields.items()
        for value in (True, False)
        if not _asked(form, {**given, name: field.default}) and not _asked(form, {**given, name: 1})
    ]
    assert {name for _, name, _ in asked} == {
        *("k", "context", "min_similarity", "dimensions", "limit", "first_chunk", "chunks")
    }
    assert [one for one in asked if not re.search("it has to be a (whole )?number", one[2])] == []


def test_a_language_is_the_same_in_any_letter_case() -> None:
    """As it is stored."""
    asked = forms.read(forms.SearchRequest, {"query": "x", "filters": {"languages": ["EN", "id"]}})
    assert asked.filters.as_filter().languages == ("en", "id")


def test_no_word_of_pydantic_is_told() -> None:
    """Of each limit of a form, one by one: people who do not know it are told what has to be."""
    wrong: list[Any] = ["", "x" * 200_000, -5, 10**9, 0.5, [], {}, True, None, ["x"] * 20_000]
    usual = {"query": "x"}
    asked: list[tuple[type[forms.Form], Any]] = [
        *(
            (forms.SearchRequest, {**usual, name: value})
            for name in forms.SearchRequest.model_fields
            for value in wrong
        ),
        *(
            (forms.SearchRequest, {**usual, "filters": {name: value}})
            for name in forms.Filters.model_fields
            for value in wrong
        ),
        *(
            (forms.EmbeddingsRequest, {"input": "x", name: value})
            for name in forms.EmbeddingsRequest.model_fields
            for value in wrong
        ),
    ]
    said = [_asked(form, given) for form, given in asked]
    assert sum(map(bool, said)) > len(wrong)
    assert [one for one in said if re.search(r"[Ii]nput should|should|valid |String|instance", one)] == []


def test_a_document_that_was_never_read_has_its_path(service: Service, filled_url: str) -> None:
    """That of its row, where the caller may read it; its state is told by the same word everywhere."""
    [(document_id,)] = rows.execute(
        filled_url, """insert into "TblDocumentFiles" (file_path) values ('lost/a.md') returning id::text"""
    )
    rows.execute(
        filled_url,
        "insert into rag_outbox (document_id, operation, generation, state, attempts, error_kind, last_error) "
        f"values ('{document_id}', 'insert', 99999, 'dead', 1, 'not_found', 'It is gone.')",
    )
    try:
        [found] = service.ask("GET", "/v1/documents", params={"state": "failed"}).json()["documents"]
        story = service.ask("GET", f"/v1/documents/{document_id}").json()["document"]
        assert found == story
        assert (found["path"], found["state"], found["error_kind"]) == ("lost/a.md", "failed", "not_found")
        assert service.ask("GET", "/v1/status").json()["states"]["failed"] == 1
    finally:
        rows.execute(
            filled_url,
            f"""delete from "TblDocumentFiles" where id = {document_id};"""
            "delete from rag_outbox; delete from rag_changes",
        )


def test_context_brings_the_neighbours(service: Service) -> None:
    """So many before and after."""
    [hit] = service.search("repaired spring", k=1, context=1)["hits"]
    assert hit["before"] == ["The pump of the north shows error E4."]


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_come_in_openais_form(service: Service, encoding: str) -> None:
    """One per text, in their order, of length 1, as numbers or as float32 in base64."""
    answer = service.ask(
        "POST", "/v1/embeddings", json={"input": ["one", "two"], "model": rows.MODEL, "encoding_format": encoding}
    ).json()
    assert [row["index"] for row in answer["data"]] == [0, 1]
    vectors = [row["embedding"] for row in answer["data"]]
    if encoding == "base64":
        vectors = [list(array("f", base64.b64decode(vector))) for vector in vectors]
    assert all(len(vector) == DIMENSION for vector in vectors)
    assert all(abs(sum(value * value for value in vector) - 1) < 1e-3 for vector in vectors)
    assert answer["model"] == rows.MODEL
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 0


def test_a_model_that_is_not_the_index_is_not_found(service: Service) -> None:
    """As OpenAI says it; the answer names the one that there is."""
    answer = service.ask("POST", "/v1/embeddings", json={"input": "x", "model": "text-embedding-3-small"})
    assert answer.status_code == 404
    assert answer.json()["error"]["kind"] == "model_not_found"
    assert rows.MODEL in answer.json()["error"]["message"]


@pytest.mark.parametrize("given", ["", [], [""], [[1, 2]], 7, ["x"] * 257, {"a": "b"}])
def test_what_is_no_text_is_not_embedded(service: Service, given: Any) -> None:
    """OpenAI's lists of tokens among it; it is said what is."""
    answer = service.ask("POST", "/v1/embeddings", json={"input": given})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith("input: it is a text, or 1 to 256 texts")


def test_a_text_over_the_models_limit_is_said_to_be_too_long(service: Service) -> None:
    """And not what the embedding server says of it."""
    for path, body in (("/v1/embeddings", {"input": "huge"}), ("/v1/search", {"query": "huge", "mode": "vector"})):
        answer = service.ask("POST", path, json=body)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (422, "too_long")
        assert "fewer words" in answer.json()["error"]["message"]


def test_documents_come_page_by_page(service: Service) -> None:
    """All of them, each once, whatever is in an id."""
    found: list[str] = []
    after: str | None = None
    while True:
        page = service.ask("GET", "/v1/documents", params={"limit": 2, "after": after} if after else {"limit": 2})
        found += [document["document_id"] for document in page.json()["documents"]]
        if (after := page.json()["next"]) is None:
            break
    assert sorted(found) == sorted(serving.DOCUMENTS)
    states = service.ask("GET", "/v1/documents", params={"state": "failed"}).json()
    assert states == {"documents": [], "next": None}


@pytest.mark.parametrize("document_id", list(serving.DOCUMENTS))
def test_a_document_is_found_by_its_id(service: Service, document_id: str) -> None:
    """With its chunks, page by page; ids with slashes and dots are no paths."""
    path = "/v1/documents/" + requests_quote(document_id)
    story = service.ask("GET", path, params={"chunks": 1}).json()
    assert story["document"]["document_id"] == document_id
    assert story["document"]["state"] == "indexed"
    _, contents = serving.DOCUMENTS[document_id]
    found = [chunk["content"] for chunk in story["chunks"]]
    while story["next_chunk"] is not None:
        story = service.ask("GET", path, params={"chunks": 1, "first_chunk": story["next_chunk"]}).json()
        found += [chunk["content"] for chunk in story["chunks"]]
    assert found == contents


def requests_quote(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def test_status_counts_what_there_is(service: Service) -> None:
    """Documents by state, chunks, the model."""
    found = service.ask("GET", "/v1/status").json()
    assert (found["documents"], found["states"]) == (4, {"indexed": 4})
    assert (found["chunks"], found["model"], found["dimension"]) == (7, rows.MODEL, DIMENSION)


def test_health_and_readiness_and_numbers(service: Service) -> None:
    """What an operator asks."""
    assert service.ask("GET", "/healthz").json() == {"status": "alive"}
    assert service.ask("GET", "/readyz").json() == {"status": "ready"}
    assert service.metric('rag_assets_documents{state="indexed"}') == 4
    assert service.metric("rag_assets_database_up") == 1
    names = {line.split()[2] for line in service.ask("GET", "/metrics").text.splitlines() if line.startswith("# TYPE")}
    assert all(name.startswith("rag_assets_") for name in names)


def test_the_openapi_document_is_one(service: Service) -> None:
    """It is valid, and has each route."""
    document = service.ask("GET", "/openapi.json").json()
    validate(document)
    assert set(document["paths"]) >= {"/v1/search", "/v1/embeddings", "/v1/documents/{id}", "/v1/status", "/metrics"}


def test_the_process_imports_no_dagster() -> None:
    """It starts fast and stays small."""
    code = (
        "import sys; import rag_assets.service.search_service;"
        "print([name for name in ('dagster', 'dagster_webserver', 'llama_index', 'numpy', 'requests', 'graphql')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- what cannot be


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"query": ""}, "query"),
        ({"query": " \n"}, "query"),
        ({"query": "x" * 4_001}, "query"),
        ({"k": 0}, "k: it has to be 1 at least"),
        ({"k": 10**9}, "k: it has to be 1,000 at most"),
        ({"k": "many"}, "k: it has to be a whole number"),
        ({"k": True}, "k: it has to be a whole number"),
        ({"context": False}, "context: it has to be a whole number"),
        ({"mode": "vector", "min_similarity": True}, "min_similarity: it has to be a number"),
        ({"filters": {"languages": ["EN", "klingon"]}}, "filters.languages: 'klingon' is none of the codes of lang"),
        ({"k": json.loads("9" * 900)}, "k: it has to be"),
        ({"mode": "magic"}, "mode: it has to be 'hybrid', 'vector' or 'text'"),
        ({"context": 21}, "context: it has to be 20 at most"),
        ({"min_similarity": 0.5}, "words alone have no similarity"),
        ({"mode": "vector", "min_similarity": 2}, "min_similarity: it has to be 1 at most"),
        ({"filters": ["x"]}, "filters: it has to be an object"),
        ({"filters": {"types": "x"}}, "filters.types: it has to be a list"),
        ({"filters": {"since": 5}}, "filters.since: it has to be a time such as 2026-11-28"),
        ({"top": 3}, "top: there is no such field; there are query, k"),
        ({"filters": {"author": "x"}}, "filters.author: there is no such field; there are documents"),
        ({"filters": {"since": "yesterday"}}, "filters.since"),
        ({"filters": {"since": "9999-12-31T23:59:59-23:59"}}, "filters.since: it has to be a time such as"),
        ({"filters": {"until": "0001-01-01T00:00:00+23:59"}}, "filters.until: it has to be a time such as"),
        ({"filters": {"under": "a", "path_prefix": "b"}}, "under and path_prefix"),
        ({"query": "nul \0"}, "NUL"),
        ({"filters": {"metadata": {"a": ["\ud800"]}}}, "surrogate"),
        ({"filters": {"metadata": {"a\0": 1}}}, "NUL"),
        ({"filters": {"metadata": json.loads('{"a":' * 900 + "1" + "}" * 900)}}, "nested too deeply"),
    ],
)
def test_a_field_that_is_wrong_is_named(service: Service, fields: dict[str, Any], said: str) -> None:
    """With what is allowed; nothing of it reaches the database."""
    error = service.search(**{"query": "pump", **fields}, status=422)["error"]
    assert error["kind"] == "invalid"
    assert said in error["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[1, 2]",
        b'"text"',
        b"\xff\xfe\x00",
        b'{"query": "\xc3\x28"}',
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b'{"query": "pump", "query": "roses"}',
        b'{"query": "pump", "k": NaN}',
        b'{"query": "pump", "filters": {"metadata": {"a": 1e999}}}',
        b'{"query": "pump", "k": ' + b"9" * 5_000 + b"}",
        b'{"query": "pump", "filters": {"metadata": ' + b'{"a":' * 3_000 + b"1" + b"}" * 3_000 + b"}}",
    ],
)
def test_a_body_that_is_no_question_is_refused(service: Service, body: bytes) -> None:
    """In a sentence, whatever it is, and the service goes on."""
    answer = service.ask("POST", "/v1/search", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["error"]["kind"] == "invalid"
    assert "sys." not in answer.json()["error"]["message"]  # what Python advises its programmers
    assert service.found("E4") == ["north-1"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/documents/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/v1/documents/../../etc/passwd", 404),
        ("GET", "/v1/documents/a%00b", 404),
        ("GET", "/v1/documents/%ff%fe", 404),
        ("GET", "/v1/documents/" + "x" * 5_000, 404),
        ("GET", "/v1/documents/a%0d%0aSet-Cookie:%20a=b", 404),
        ("GET", "/v1/documents?limit=1000000", 422),
        ("GET", "/v1/documents?limit=1&limit=2", 422),
        ("GET", "/v1/documents?after=%00", 422),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/search", 405),
        ("PUT", "/v1/search", 405),
        ("DELETE", "/v1/documents/north-1", 405),
        ("POST", "/v1/search", 415),
    ],
)
def test_a_path_or_method_that_is_not_there_is_said(service: Service, method: str, path: str, status: int) -> None:
    """As JSON, without headers of the attacker's."""
    answer = service.ask(method, path)
    assert answer.status_code == status, answer.text
    assert set(answer.json()["error"]) == {"kind", "message"}
    assert "Set-Cookie" not in answer.headers


def test_what_is_in_a_document_is_never_a_page(service: Service) -> None:
    """JSON, which no browser takes for HTML, and a policy that lets nothing run."""
    answer = service.ask("POST", "/v1/search", json={"query": "alert roses script", "mode": "text"})
    assert "<script>alert('roses')</script>" in answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_other_names_and_pages_are_refused(service: Service) -> None:
    """A name that was made to resolve to this machine, and a page of another origin."""
    assert service.ask("GET", "/v1/status", headers={"Host": "evil.example"}).status_code == 421
    assert service.ask("GET", "/v1/status", headers={"Origin": "https://evil.example"}).status_code == 403
    assert service.ask("GET", "/v1/status", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_a_body_of_100_megabytes_is_not_read(service: Service) -> None:
    """Neither one that says its length, nor one that comes in parts."""
    head = b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    assert b" 413 " in service.raw(head + b"Content-Length: 104857600\r\n\r\n").split(b"\r\n")[0]
    part = b"%x\r\n%b\r\n" % (2**18, b"x" * 2**18)
    answer = service.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + part * 400)
    assert not answer or b" 413 " in answer.split(b"\r\n")[0]
    assert service.found("E4") == ["north-1"]


def test_answers_are_json_whatever_is_asked(service: Service) -> None:
    """Errors have one form."""
    assert json.loads(service.ask("GET", "/nothing/<script>").text)["error"]["kind"] == "not_found"
