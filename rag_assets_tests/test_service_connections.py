"""Connections of a web page: how many there are, and how long one may say nothing."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from rag_assets.service.connections import BoundedProtocol
from rag_assets_tests.guarded import TOKEN, Page, connected, is_closed, served
from rag_assets_tests.patience import until


class Hasty(BoundedProtocol):
    request_seconds = 0.5


class Small(BoundedProtocol):
    connections_at_most = 5


class HastyAndSmall(Hasty):
    connections_at_most = 3


@pytest.fixture
def page() -> Iterator[Page]:
    with served(Page()) as made:
        yield made


@pytest.fixture
def locked_page() -> Iterator[Page]:
    with served(Page(token=TOKEN)) as made:
        yield made


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 9\r\n\r\ntok",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\ntok",
    ],
)
def test_a_connection_on_which_no_whole_request_comes_is_ended(said: bytes) -> None:
    """Wherever it stops: before, in the head, in the body, in the next request, or in the body of a refused one."""
    with served(Page(token=TOKEN), protocol=Hasty) as page, connected(page, said) as connection:
        assert is_closed(connection)


def test_idle_connections_shut_nobody_out() -> None:
    """Any number of them: the oldest goes for a new one, so that file descriptors stay for the page itself."""
    with served(Page(token=TOKEN), protocol=Small) as page, ExitStack() as stack:
        idle = [stack.enter_context(connected(page)) for _ in range(20)]
        assert page.ask("GET", "/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert [is_closed(connection) for connection in idle[:15]] == [True] * 15


def test_a_request_under_way_is_not_ended_for_new_connections() -> None:
    """Only those that wait for a request go; a websocket that is open and an answer in the making stay."""
    said = b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with served(Page(), protocol=HastyAndSmall) as page, connected(page, said) as asked, ExitStack() as stack:
        page.delay = 2.0
        until(lambda: page.reached)
        for _ in range(10):
            stack.enter_context(connected(page))
        answer = b""
        while part := asked.recv(65_536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_head_without_end_is_refused(locked_page: Page) -> None:
    """Headers are kept until the request is there: without a limit, whoever reaches the port fills the memory."""
    line = b"X-Filler: " + b"a" * 8_000 + b"\r\n"
    with connected(locked_page, b"GET / HTTP/1.1\r\nHost: localhost\r\n") as connection:
        try:
            for _ in range(2_000):
                connection.sendall(line)
        except ConnectionError:
            return
        answer = connection.recv(100)
    assert answer.startswith(b"HTTP/1.1 400 ")
