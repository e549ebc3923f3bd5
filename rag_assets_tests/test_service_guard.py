"""The guard before a web page, asked over real connections: whose requests pass, and in which form."""

import json
import time
from collections.abc import Callable, Iterator

import pytest
import requests
from dagster_webserver.webserver import DagsterWebserver
from starlette.routing import Route
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from rag_assets import settings
from rag_assets.errors import SettingsError
from rag_assets.service import guard
from rag_assets_tests.guarded import TOKEN, Page, served

HTML = {"Accept": "text/html,application/xhtml+xml"}
QUERY = {"query": "mutation { wipeAssets { __typename } }"}


@pytest.fixture
def page() -> Iterator[Page]:
    with served(Page()) as made:
        yield made


@pytest.fixture
def locked_page() -> Iterator[Page]:
    with served(Page(token=TOKEN)) as made:
        yield made


def test_the_page_itself_works_as_a_browser_uses_it(page: Page) -> None:
    """Pages, GraphQL by POST of JSON, the websocket: with the headers that a browser sends for its own page."""
    own = {"Origin": f"http://127.0.0.1:{page.port}", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    typed_in = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert page.ask("GET", "/runs", headers=HTML | typed_in).text == "<p>the page</p>"
    assert page.ask("GET", "/graphql", headers=HTML).status_code == 200  # GraphiQL: a page, which then asks by POST
    assert page.ask("POST", "/graphql", json=QUERY, headers=own).status_code == 200
    for host in (f"127.0.0.1:{page.port}", f"localhost:{page.port}"):
        with connect(f"ws://{host}/graphql", origin=f"http://{host}"):  # type: ignore[arg-type]
            pass
    assert page.reached == ["GET /runs", "GET /graphql", "POST /graphql", "websocket", "websocket"]


def test_programs_without_a_browsers_headers_are_served(page: Page) -> None:
    """requests, curl: they send no Origin; a character set behind the media type does not matter."""
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert page.ask("POST", "/graphql", data=json.dumps(QUERY), headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/graphql?query=mutation", {}, 405),  # an image on any page
        (
            "GET",
            "/graphql?query=mutation",
            {"Accept": "image/avif,image/webp,*/*", "Sec-Fetch-Site": "cross-site"},
            403,
        ),
        ("HEAD", "/graphql?query=mutation", {}, 405),
        ("POST", "/graphql?query=mutation", {}, 415),  # a form without fields
        ("POST", "/graphql", {"Content-Type": "text/plain; application/json"}, 415),  # which needs no preflight
        ("POST", "/graphql", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("POST", "/graphql", {"Content-Type": "application/graphql"}, 415),
        ("POST", "/report_asset_materialization/raw_text?data_version=1", {}, 415),
        ("POST", "/graphql", {"Content-Type": "application/json", "Origin": "http://evil.example"}, 403),
        ("POST", "/graphql", {"Content-Type": "application/json", "Origin": "null"}, 403),  # a sandboxed frame
        ("POST", "/graphql", {"Content-Type": "application/json", "Origin": "http://127.0.0.1:1"}, 403),
        ("POST", "/graphql", {"Content-Type": "application/json", "Origin": "http://127.0.0.1@evil.example"}, 403),
        ("POST", "/graphql", {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", "/graphql", {"Content-Type": "application/json", "Sec-Fetch-Site": "same-site"}, 403),
        ("GET", "/logs/x", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ("OPTIONS", "/graphql", {"Access-Control-Request-Method": "POST"}, 405),  # no preflight succeeds
        ("DELETE", "/runs", {"Content-Type": "application/json"}, 405),
        ("PUT", "/runs", {"Content-Type": "application/json"}, 405),
        ("GET", "/", {"Host": "evil.example"}, 421),  # a name that was made to point here
        ("GET", "/", {"Host": "127.0.0.1.evil.example"}, 421),
        ("GET", "/", {"Host": "localhost.evil.example:80"}, 421),
        ("GET", "/", {"Host": "evil.example/@localhost"}, 400),
    ],
)
def test_what_a_foreign_page_could_send_does_not_reach_the_application(
    page: Page, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Neither by GET nor by a form, nor from another origin, nor under another name."""
    answer = page.ask(method, path, headers=headers)
    assert (answer.status_code, page.reached) == (status, [])
    assert "access-control-allow-origin" not in answer.headers


def test_a_request_without_one_host_is_refused(page: Page) -> None:
    """None, as HTTP/1.0 allows, and two, of which a proxy might have looked at the other."""
    assert " 400 " in page.raw("GET / HTTP/1.0\r\n\r\n")
    assert " 400 " in page.raw("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    assert page.reached == []


@pytest.mark.parametrize("length", ["2", "0"])
def test_a_request_that_ends_in_two_ways_is_refused(page: Page, length: str) -> None:
    """By its length and in chunks: what a proxy takes for one request could be two for us."""
    head = f"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n"
    answers = page.raw(f"{head}\r\n0\r\n\r\nGET /second HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert " 400 " in answers.splitlines()[0]
    assert answers.count("HTTP/1.1 ") == 1  # what follows is not taken for a request
    assert page.reached == []


def test_a_link_on_another_page_opens_ours(page: Page) -> None:
    """In a tab of its own; not in a frame, which nobody may put around us."""
    link = HTML | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    answer = page.ask("GET", "/runs/1", headers=link)
    assert answer.status_code == 200
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert page.ask("GET", "/runs/1", headers=link | {"Sec-Fetch-Dest": "iframe"}).status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_a_websocket_of_a_foreign_page_is_refused(page: Page, origin: str) -> None:
    """Browsers let any page open one: only the server can look at its origin."""
    with pytest.raises(InvalidStatus, match="403"), connect(f"ws://127.0.0.1:{page.port}/graphql", origin=origin):  # type: ignore[arg-type]
        pass
    assert page.reached == []


def test_a_name_of_the_settings_is_answered(page: Page) -> None:
    """As a reverse proxy passes it on; the origin is then of that name, too."""
    with served(Page(hosts=("rag.intranet.example",))) as proxied:
        named = {"Host": "RAG.intranet.example", "Origin": "https://rag.intranet.example"}
        assert proxied.ask("POST", "/graphql", json=QUERY, headers=named).status_code == 200
        assert proxied.ask("GET", "/", headers={"Host": "rag.intranet.example:443"}).status_code == 200
    assert page.ask("GET", "/", headers={"Host": "rag.intranet.example"}).status_code == 421


def test_a_body_too_long_does_not_reach_the_application(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read no further than the limit, whatever its headers say."""
    monkeypatch.setattr(guard, "BODY_BYTES", 1_000)
    headers = {"Content-Type": "application/json"}
    assert page.ask("POST", "/graphql", data=b"1" * 1_000, headers=headers).json() == {"bytes": 1_000}
    assert page.ask("POST", "/graphql", data=iter([b"1" * 900] * 3), headers=headers).status_code == 500
    assert page.reached == ["POST /graphql"]


# ---- with a token


@pytest.mark.parametrize("given", [None, "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", "Bearer "])
def test_nothing_is_served_without_the_token(locked_page: Page, given: str | None) -> None:
    """Pages, files, GraphQL, websocket; programs get 401, browsers the login page."""
    headers = {"Authorization": given} if given else {}
    assert locked_page.ask("POST", "/graphql", json=QUERY, headers=headers).status_code == 401
    assert locked_page.ask("GET", "/vendor/x.js", headers=headers).status_code == 401
    answer = locked_page.ask("GET", "/runs?page=2", headers=headers | HTML)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=/runs%3Fpage%3D2")
    with pytest.raises(InvalidStatus, match="403"), connect(f"ws://127.0.0.1:{locked_page.port}/graphql"):
        pass
    assert locked_page.reached == []


def test_a_program_sends_the_token(locked_page: Page) -> None:
    """As a bearer token."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert locked_page.ask("POST", "/graphql", json=QUERY, headers=headers).status_code == 200


def log_in(page: Page, token: str, *, target: str = "/") -> requests.Response:
    return page.ask("POST", f"/login?next={target}", data={"token": token})


def test_a_person_logs_in_once(locked_page: Page) -> None:
    """The form leads to where he wanted to go; the cookie is out of reach of scripts and of foreign pages' posts."""
    assert "web.token" in locked_page.ask("GET", "/login", headers=HTML).text
    answer = log_in(locked_page, TOKEN, target="/runs%3Fpage%3D2")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/runs?page=2")
    assert {"HttpOnly", "SameSite=lax"} <= set(answer.headers["Set-Cookie"].split("; "))
    cookie = {"Cookie": f"{guard.COOKIE}={answer.cookies[guard.COOKIE]}"}
    assert locked_page.ask("GET", "/runs", headers=HTML | cookie).status_code == 200
    foreign = {"Origin": "http://evil.example"}
    assert locked_page.ask("POST", "/graphql", json=QUERY, headers=cookie | foreign).status_code == 403
    assert TOKEN not in str(answer.headers)


def test_a_wrong_token_does_not_log_in(locked_page: Page) -> None:
    """Nor an empty one, nor two, nor one in another form; and the answer takes its time."""
    started = time.monotonic()
    for token in ("", "wrong", TOKEN + "x"):
        answer = log_in(locked_page, token)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (401, False)
    assert time.monotonic() - started >= 3 * guard.WRONG_TOKEN_SECONDS
    assert locked_page.ask("POST", "/login", json={"token": TOKEN}).status_code == 405
    assert locked_page.ask("POST", "/login", data={"token": TOKEN * 1_000}).status_code == 413


@pytest.mark.parametrize(
    "forge",
    [
        lambda cookie: "",
        lambda cookie: "." + cookie.partition(".")[2],
        lambda cookie: "9" * 11 + "." + cookie.partition(".")[2],
        lambda cookie: cookie[:-1] + ("0" if cookie[-1] != "0" else "1"),
        lambda cookie: f"{int(time.time()) - 1}." + cookie.partition(".")[2],
        lambda cookie: "٣" + cookie,
    ],
)
def test_a_forged_cookie_is_refused(locked_page: Page, forge: Callable[[str], str]) -> None:
    """Its date is signed with the token."""
    cookie = log_in(locked_page, TOKEN).cookies[guard.COOKIE]
    headers = {"Cookie": f"{guard.COOKIE}={forge(cookie)}".encode()}
    assert locked_page.ask("POST", "/graphql", json=QUERY, headers=headers).status_code == 401


@pytest.mark.parametrize(("seconds", "status"), [(3_600, 200), (-1, 401)])
def test_a_cookie_ends(seconds: int, status: int) -> None:
    """A week after the login, also where the browser keeps it."""
    with served(Page(token=TOKEN, login_seconds=seconds)) as page:
        headers = {"Cookie": log_in(page, TOKEN).headers["Set-Cookie"].partition(";")[0]}
        assert page.ask("POST", "/graphql", json=QUERY, headers=headers).status_code == status


@pytest.mark.parametrize(
    "target", ["//evil.example", "http://evil.example", "/%5Cevil.example", "%09//evil.example", "/a%0d%0aX: y"]
)
def test_the_login_leads_nowhere_else(locked_page: Page, target: str) -> None:
    """A link to our login page cannot send people on to another one."""
    assert log_in(locked_page, TOKEN, target=target).headers["Location"] == "/"


def test_the_login_page_shows_no_markup_of_a_link(locked_page: Page) -> None:
    """What a link to it says is shown as text, or not at all."""
    text = locked_page.ask("GET", "/login?next=/%22%3E%3Cscript%3E", headers=HTML).text
    assert "<script>" not in text


# ---- read-only, and where it may listen


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/report_asset_materialization/raw_text", {}, 403),
        ("/graphql", QUERY, 403),
        (
            "/graphql",
            {"query": "query A { version } mutation B { wipeAssets { __typename } }", "operationName": "A"},
            403,
        ),
        ("/graphql", {"query": "# query\nmutation{a}"}, 403),
        ("/graphql", {"query": "{" * 5_000}, 400),
        ("/graphql", {"query": "query { mutation: version }"}, 200),
        ("/graphql", {"query": "subscription { a }"}, 200),
    ],
)
def test_a_read_only_page_takes_queries_alone(path: str, body: dict[str, str], status: int) -> None:
    """However a mutation is dressed; and the application receives the query whole."""
    with served(Page(read_only=True)) as page:
        answer = page.ask("POST", path, json=body)
        assert answer.status_code == status
        assert status != 200 or answer.json() == {"bytes": len(json.dumps(body))}


def test_a_short_token_is_refused() -> None:
    """It could be guessed; and the message does not show it."""
    with pytest.raises(SettingsError, match=r"web\.token.*16") as info:
        settings.load(web={"token": "short-one"})
    assert "short-one" not in str(info.value)


@pytest.mark.parametrize(
    "path",
    [
        "/notebook",
        "/notebook?path=/srv/docs/x.ipynb&repoLocName=x",
        "/%6eotebook",
        "/dagit/notebook",
        "/dagit/notebook?path=/srv/docs/x.ipynb&repoLocName=x",
        "/dagit/%6eotebook",
    ],
)
def test_a_notebook_is_not_made_a_page_of_ours(page: Page, path: str) -> None:
    """Where nbconvert is installed, a link would run the scripts of a document with the reader's rights here."""
    assert page.ask("GET", path, headers=HTML).status_code == 404
    assert page.reached == []


def test_no_route_to_a_notebook_is_open_when_dagster_has_several(page: Page) -> None:
    """All that lead to it are found in Dagster's own list: one of a former name was forgotten before."""
    routes = DagsterWebserver(None).build_routes()  # type: ignore[arg-type]
    paths = [route.path for route in routes if isinstance(route, Route) and "notebook" in route.endpoint.__name__]
    assert {"/notebook", "/dagit/notebook"} <= set(paths)
    assert {page.ask("GET", path, headers=HTML).status_code for path in paths} == {404}


def test_a_body_that_says_it_is_too_long_is_told_so(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_BYTES", 1_000)
    assert page.ask("POST", "/graphql", json={"query": "x" * 1_000}).status_code == 413
    assert page.reached == []
