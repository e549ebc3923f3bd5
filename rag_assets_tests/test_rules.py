"""Which requests a page answers at all: by the name that they ask under, and the page that they come from."""

import pytest
from starlette.requests import Request

from rag_assets.service import rules
from rag_assets.service.rules import Refusal


def request(method: str = "GET", **headers: str) -> Request:
    named = {"host": "localhost:8000", **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in named.items()]
    return Request({"type": "http", "method": method, "headers": raw, "path": "/", "query_string": b""})


@pytest.mark.parametrize("host", ["localhost", "a.localhost:1", "127.0.0.1:80", "[::1]:9", "RAG.example."])
def test_a_name_of_ours_is_answered(host: str) -> None:
    """Addresses too: they cannot be made to point at another machine."""
    rules.admit(request(host=host), rules.hosts(["rag.EXAMPLE"]), setting="hosts")


@pytest.mark.parametrize(("host", "status"), [("evil.example", 421), ("localhost.evil.example", 421), ("a b", 400)])
def test_another_name_is_refused(host: str, status: int) -> None:
    with pytest.raises(Refusal) as info:
        rules.admit(request(host=host), rules.hosts(["rag.example"]), setting="hosts")
    assert info.value.status == status


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://localhost:8000", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},  # a link
    ],
)
def test_our_own_page_and_a_link_to_it_are_answered(headers: dict[str, str]) -> None:
    rules.admit(request(**headers), rules.hosts([]), setting="hosts")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://localhost:8001"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_what_another_page_has_a_browser_send_is_refused(headers: dict[str, str]) -> None:
    """Another port is another page, too."""
    with pytest.raises(Refusal, match="another origin") as info:
        rules.admit(request(**headers), rules.hosts([]), setting="hosts")
    assert info.value.status == 403


def test_media_type_is_without_parameters() -> None:
    assert rules.media_type(request(content_type="Application/JSON ; charset=utf-8")) == "application/json"
