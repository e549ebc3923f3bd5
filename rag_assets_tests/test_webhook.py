"""A notice is taken, or it is said why not, without the URL: a real receiver, and some that are none."""

import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from rag_assets import settings, webhook
from rag_assets.errors import ServiceError, SettingsError
from rag_assets_tests import patience
from rag_assets_tests.webhooks import SECRET, receiving, without_proxies

NOTICE = {"event": "test", "text": "Grüße"}


@pytest.fixture(autouse=True)
def directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy this machine has is not asked."""
    without_proxies(monkeypatch)


def notify(url: str, **values: Any) -> settings.Notify:
    return settings.Notify.model_validate({"url": url, **values})


@contextmanager
def silent(*answers: bytes) -> Iterator[str]:
    """The URL of a server that answers with these parts and then no more, but keeps the connection until the end."""
    stop = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(60)
            for answer in answers:
                connection.sendall(answer)
            stop.wait(120)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/{SECRET}"
        finally:
            stop.set()
            thread.join()


def refused(config: settings.Notify) -> str:
    """Why a notice was not taken; the secret is nowhere in it, nor in what a traceback would show."""
    with pytest.raises(ServiceError) as info:
        webhook.send(config, NOTICE)
    assert SECRET not in "".join(traceback.format_exception(info.value))
    return str(info.value)


def test_a_notice_is_posted_as_json() -> None:
    """To the whole URL, with a query, and under the name of this program."""
    with receiving(204) as receiver:
        webhook.send(notify(f"{receiver.url}?channel=a"), NOTICE)
    assert receiver.notices == [NOTICE]
    assert receiver.requests == [("POST", f"/services/{SECRET}?channel=a", "application/json", "rag-assets")]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (500, "it answered 500."),
        (404, "it answered 404."),
        (302, "it answered 302, a redirect, which is not followed."),
        (307, "it answered 307, a redirect, which is not followed."),
    ],
)
def test_an_answer_other_than_2xx_is_said(status: int, said: str) -> None:
    """It was asked once, and nobody else was."""
    with receiving(status) as receiver:
        assert refused(notify(receiver.url)).endswith(said)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("answers", [(), (b"HTTP/1.1 200 OK\r\n", b"X-Slow: ")])
def test_an_answer_that_does_not_come_is_not_waited_for(answers: tuple[bytes, ...]) -> None:
    """None at all, or the beginning of one: the time is that of the whole."""
    with silent(*answers) as url:
        said = refused(notify(url, timeout_seconds=0.5))
    assert said.endswith("did not take the notice: it did not answer within 0.5 s (notify.timeout_seconds).")


def test_an_answer_letter_by_letter_is_cut() -> None:
    """When time is over, no thread goes on reading it, and the receiver learns of it."""

    def drip(_stop: threading.Event) -> None:
        connection, _ = listening.accept()
        with connection, suppress(ConnectionError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not is_over.wait(0.02):
                connection.sendall(b"a")
            return
        was_cut.set()

    is_over, was_cut = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        with patience.meanwhile(drip):
            try:
                url = f"http://127.0.0.1:{listening.getsockname()[1]}/{SECRET}"
                assert "did not answer within 0.5 s" in refused(notify(url, timeout_seconds=0.5))
                patience.until(was_cut.is_set, what="the end of the connection")
                patience.until(lambda: not _is_posting(), what="the end of the thread")
            finally:
                is_over.set()


def _is_posting() -> bool:
    return any(thread.name == "webhook" for thread in threading.enumerate())


def test_a_webhook_that_is_not_there_is_said() -> None:
    """By the name of the error."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert "it cannot be reached (ConnectionRefusedError)" in refused(notify(f"http://127.0.0.1:{port}/{SECRET}"))


def test_what_is_no_http_is_said() -> None:
    """As of another program's port."""
    with silent(b"SSH-2.0-OpenSSH_9.6\r\n\r\n") as url:
        assert "it cannot be reached (BadStatusLine)" in refused(notify(url))


def test_a_name_that_cannot_be_one_is_said() -> None:
    """Python's own error of it is none of the network."""
    assert "it cannot be reached (" in refused(notify(f"http://a..b/{SECRET}"))


def test_without_a_url_nothing_is_sent() -> None:
    with pytest.raises(SettingsError, match=r"notify\.url is not set"):
        webhook.send(settings.Notify(), NOTICE)


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://hooks.example.org/{SECRET}",
        f"https://me:{SECRET}@hooks.example.org/",
        f"https://hooks.example.org:99999/{SECRET}",
        f"https://hooks.example.org:port/{SECRET}",
        f"https://hooks.example.org/{SECRET} x",
        f"https://hooks.example.org/{SECRET}\n",
        f"https://hooks.example.org/{SECRET}ö",
        f"https:///{SECRET}",
        SECRET,
    ],
)
def test_a_wrong_url_is_refused_by_its_name_and_not_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the message nor in a traceback, which Dagster's page shows of what it cannot load."""
    monkeypatch.setenv("RAG_ASSETS_NOTIFY__URL", url)
    with pytest.raises(SettingsError, match=r"^Setting notify\.url: needed is https://HOST") as info:
        settings.load()
    assert SECRET not in "".join(traceback.format_exception(info.value))


@pytest.mark.parametrize("host", ["hooks.example.org", "hooks.example.org:8443", "10.0.0.1", "[::1]:80", "HOST_1"])
def test_a_url_is_taken_and_not_shown(host: str) -> None:
    """Neither as text nor as JSON."""
    found = settings.load(notify={"url": f"https://{host}/services/{SECRET}?a=b&c=%20"})
    assert SECRET not in repr(found)
    assert SECRET not in found.model_dump_json()


def test_a_notice_says_whose_index_it_is_of() -> None:
    """Its text has the lines that there are."""
    config = settings.load(dagster={"name": "letters"})
    made = webhook.notice(config, "test", ["one", None, "", "two"], runs=2)
    assert (made["event"], made["index"], made["runs"]) == ("test", "letters", 2)
    assert made["text"] == f"rag_assets letters on {made['host']}: one\ntwo"
