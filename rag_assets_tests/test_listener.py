"""A listener is woken by changes, proves that it listens, and outlives its connection."""

import logging
import threading
from contextlib import closing

import pytest

from rag_assets.errors import DatabaseUnavailable
from rag_assets.postgres import outbox
from rag_assets.postgres.database import Database
from rag_assets.postgres.listener import Listener
from rag_assets_tests import rows
from rag_assets_tests.faults.proxy import Proxy
from rag_assets_tests.patience import until

CHANNEL = "document_changes"
INSERT = """insert into "TblDocumentFiles" (file_path) values ('a')"""
PIDS = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


def test_wait_ends_when_a_document_changes(database_url: str) -> None:
    """A committed change wakes; without one the time passes, and each notice wakes once."""
    with Listener(database_url, channel=CHANNEL) as listener:
        assert not listener.wait(0.05)
        timer = threading.Timer(0.1, rows.execute, args=(database_url, INSERT))
        timer.start()
        assert listener.wait(60)
        timer.join()
        assert not listener.wait(0.05)
        assert not listener.notify_unavailable


def test_wait_ends_at_once_when_the_notice_came_before(database_url: str) -> None:
    """What was notified between two waits is not forgotten, also when a query came in between."""
    with Listener(database_url, channel=CHANNEL) as listener:
        rows.execute(database_url, INSERT)
        listener.announce_consumer()
        assert listener.wait(60)


def test_wait_comes_back_when_its_backend_was_terminated(database_url: str) -> None:
    """The loss itself wakes (what was missed is not known), then notices come again."""
    with Listener(database_url, channel=CHANNEL) as listener:
        listener.announce_consumer()
        rows.execute(database_url, f"select pg_terminate_backend(pid, 5000) from ({PIDS}) as p")
        assert listener.wait(60)
        assert not listener.wait(0.5)
        rows.execute(database_url, INSERT)
        assert listener.wait(60)
        assert _has_active_consumer(database_url)


def test_consumer_of_another_index_in_the_database_is_none_of_this_one(database_url: str) -> None:
    """Each index has a schema; changes of one do not wait for a run of the other, which never takes them."""
    rows.execute(database_url, "create schema letters_index")
    other = f"{database_url}{'&' if '?' in database_url else '?'}options=-csearch_path%3Dletters_index,public"
    with Listener(other, channel=CHANNEL) as listener:
        listener.announce_consumer()
        assert _has_active_consumer(other)
        assert not _has_active_consumer(database_url)
        listener.withdraw_consumer()
        assert not _has_active_consumer(other)


def test_wait_notices_when_the_line_is_half_open(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A line on which nothing comes back any more is given up at a heartbeat, without blocking."""
    with (
        Proxy(database_url) as proxy,
        Listener(proxy.url, channel=CHANNEL, heartbeat_seconds=0.1, answer_seconds=60.0) as listener,
    ):
        assert proxy.swallow() == 1
        listener.answer_seconds = 0.3
        assert listener.wait(60)
        assert "no answer within 0.3 s" in caplog.text
        listener.answer_seconds = 60.0  # the new line answers, however busy the machine is
        assert not listener.wait(0.5)
        rows.execute(database_url, INSERT)
        assert listener.wait(60)


def test_wait_logs_little_when_the_database_stays_away(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """However often it tries, at most one line in LOG_SECONDS."""
    quick = (0.01, 0.02)
    with Proxy(database_url) as proxy, Listener(proxy.url, channel=CHANNEL, reconnect_seconds=quick) as listener:
        proxy.stop()
        caplog.clear()
        assert listener.wait(60)
        for _ in range(3):
            listener.wait(0.2)
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


@pytest.mark.parametrize(
    ("found", "replaced"),
    [
        (b"K\x00\x00\x00\x0c\x00", b"K\x00\x00\x00\x0c\x7f"),  # BackendKeyData: a process id of the pooler's own
        (b'listen "d', b'listen "D'),  # LISTEN is lost
    ],
)
def test_listener_says_once_that_it_is_deaf_when_behind_a_pooler(
    database_url: str, caplog: pytest.LogCaptureFixture, found: bytes, replaced: bytes
) -> None:
    """It warns once, holds no lock that the pooler could keep for ever, and goes on waiting."""
    with Proxy(database_url, replace=(found, replaced)) as proxy:
        for _ in range(2):
            with Listener(proxy.url, channel=CHANNEL) as listener:
                listener.announce_consumer()
                assert listener.notify_unavailable
                assert not listener.wait(0.05)
                assert not _has_active_consumer(database_url)
    assert caplog.text.count("is a pooler") == 1


def test_intake_is_held_until_left_when_several_hold_it(database_url: str) -> None:
    """Any holder counts, and the end of the connection is the end of the hold."""
    with Listener(database_url, channel=CHANNEL) as first, Listener(database_url, channel=CHANNEL) as second:
        first.announce_consumer()
        second.announce_consumer()
        first.withdraw_consumer()
        assert _has_active_consumer(database_url)
    until(lambda: not _has_active_consumer(database_url))


def test_listener_raises_when_there_is_no_database_to_begin_with() -> None:
    """As everything does that cannot reach it, and without the password."""
    with pytest.raises(DatabaseUnavailable, match=r"someone:\*\*\*@127"):
        Listener("postgresql://someone:secret@127.0.0.1:1/docs", channel=CHANNEL)


def _has_active_consumer(url: str) -> bool:
    with closing(Database(url)) as database, database.transaction() as cursor:
        return outbox.count_consumers(cursor) > 0
