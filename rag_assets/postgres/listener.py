"""Waiting for notices: a connection of its own that LISTENs, proves that it does, and comes back when lost."""

import logging
import random
import selectors
import time
from collections.abc import Mapping

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import POLL_OK, POLL_READ, connection

from rag_assets.errors import DatabaseUnavailable
from rag_assets.postgres import conninfo
from rag_assets.postgres.database import connect_async, unavailable
from rag_assets.postgres.statements import statement

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0
ANSWER_SECONDS = 5.0  # a server that takes longer for a heartbeat counts as lost: half-open lines never answer
CONNECT_SECONDS = 5.0
RECONNECT_SECONDS = (0.5, 1.5)  # at random between these: many clients should not come back in step
LOG_SECONDS = 1.0  # at most one line in this time while the database is away

_warned: set[str] = set()  # URLs for which the warning that notices do not come through was logged


class Listener:
    """A dedicated connection that listens on a channel. Notices wake; only the table tells what there is to do.

    `wait` never fails because the database is away: it reconnects, and whoever waits looks at the table anyway.
    The URL must lead to PostgreSQL itself: behind a pooler in transaction mode notices are lost, which is noticed
    at once or at the next heartbeat, said once, and then costs time (looks at intervals), never a change.
    Raises DatabaseUnavailable when there is no connection to begin with. `answer_seconds` may be set later, too.
    """

    def __init__(
        self,
        url: str,
        *,
        channel: str,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        reconnect_seconds: tuple[float, float] = RECONNECT_SECONDS,
    ) -> None:
        self._url = url
        self._channel = channel
        self._heartbeat_seconds = heartbeat_seconds
        self.answer_seconds = answer_seconds
        self._reconnect_seconds = reconnect_seconds
        self._is_consumer = False
        self._run_id = ""
        self._connection: connection | None = None
        self._verified = 0.0
        self._logged = 0.0
        self.notify_unavailable = False  # a pooler stands between: no notices, and no locks of the session
        try:
            self._open()
        except psycopg2.Error as exc:
            self.close()
            raise unavailable(url, exc) from None  # which may quote the URL

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def announce_consumer(self, run_id: str = "") -> None:
        """Tell the sensor that this run takes changes as they come.

        It holds until `withdraw_consumer`, or the end of this process. Nothing is told behind a pooler, which could
        keep the lock when the process has long ended.
        """
        self._is_consumer, self._run_id = True, run_id
        self._execute("announce_consumer")

    def withdraw_consumer(self) -> None:
        """Take back `announce_consumer`: from now on the sensor starts runs for changes again."""
        self._is_consumer = False
        self._execute("withdraw_consumer")

    def wait(self, seconds: float) -> bool:
        """Wait until a notice comes, at most so long; whether one came. A lost connection counts as a notice."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not self._is_ready():
                time.sleep(min(left, random.uniform(*self._reconnect_seconds)))  # noqa: S311 - no secret
                continue
            try:
                if self._is_noticed(min(left, self._heartbeat_seconds)):
                    return True
            except psycopg2.Error as exc:
                self._disconnect(exc)
                return True  # what was notified meanwhile is not known: look
        return False

    def refresh(self) -> None:
        """Come back if the connection was lost, without waiting: for a consumer that looks now."""
        if not self._is_ready():
            return
        try:
            while _is_ready_for(self._line(), selectors.EVENT_READ, seconds=0.0):
                self._line().poll()  # the server's last word comes before the end
            if time.monotonic() - self._verified >= self._heartbeat_seconds:
                self._verify_listening()
        except psycopg2.Error as exc:
            self._disconnect(exc)
            self._is_ready()

    def _is_noticed(self, seconds: float) -> bool:
        line = self._line()
        if not line.notifies:  # some may have come with the answer to a heartbeat
            if _is_ready_for(line, selectors.EVENT_READ, seconds=seconds):
                line.poll()
            elif time.monotonic() - self._verified >= self._heartbeat_seconds:
                self._verify_listening()
        noticed = bool(line.notifies)
        line.notifies.clear()
        return noticed

    def _is_ready(self) -> bool:
        if self._connection is not None and not self._connection.closed:
            return True
        try:
            self._open()
        except (DatabaseUnavailable, psycopg2.Error) as exc:
            self._disconnect(exc)
            return False
        logger.info("Listening again on %s", self._channel)
        return True

    def _open(self) -> None:
        self._connection = connect_async(self._url)
        self._finish(CONNECT_SECONDS)
        self._query(statement("documents", "lift_limits"))
        self._query(sql.SQL("listen {}").format(sql.Identifier(self._channel)))
        self._verify_listening()
        if self._is_consumer:
            self._execute("announce_consumer")

    def _verify_listening(self) -> None:
        """Ask the server whether we listen: finds dead lines, and poolers that give the session to others."""
        answers = self._query(statement("outbox", "prove_listening"))
        pids, channels = {row[0] for row in answers}, {row[1] for row in answers}
        # A pooler invents the process id that it tells its clients.
        self.notify_unavailable = self._channel not in channels or pids != {self._line().info.backend_pid}
        if self.notify_unavailable and self._url not in _warned:
            _warned.add(self._url)
            logger.warning(
                "%s is a pooler, which may not deliver NOTIFY (in transaction mode it does not). Changes are found by "
                "looking, which takes longer; set DATABASE_URL to PostgreSQL itself.",
                conninfo.shown(self._url),
            )
        self._verified = time.monotonic()

    def _execute(self, name: str) -> None:
        if self.notify_unavailable or self._connection is None or self._connection.closed:
            return
        try:
            self._query(statement("outbox", name), {"run_id": self._run_id})
        except psycopg2.Error as exc:
            self._disconnect(exc)

    def _query(
        self, query: str | sql.Composable, values: Mapping[str, object] | None = None
    ) -> list[tuple[object, ...]]:
        with self._line().cursor() as cursor:
            cursor.execute(query, values)
            self._finish(self.answer_seconds)
            return cursor.fetchall() if cursor.description else []

    def _finish(self, seconds: float) -> None:
        """Wait until the server has answered; OperationalError when it is late."""
        line, deadline = self._line(), time.monotonic() + seconds
        while (state := line.poll()) != POLL_OK:
            event = selectors.EVENT_READ if state == POLL_READ else selectors.EVENT_WRITE
            if not _is_ready_for(line, event, seconds=max(0.0, deadline - time.monotonic())):
                raise psycopg2.OperationalError(f"no answer within {seconds:g} s")

    def _line(self) -> connection:
        if self._connection is None:
            raise psycopg2.InterfaceError("not connected")
        return self._connection

    def _disconnect(self, cause: Exception) -> None:
        self.close()
        if time.monotonic() - self._logged >= LOG_SECONDS:
            self._logged = time.monotonic()
            logger.warning("Not listening on %s: %s", self._channel, conninfo.redacted_message(cause, self._url))


def _is_ready_for(line: connection, event: int, *, seconds: float) -> bool:
    """Not select.select: it fails in processes with more than 1,024 open files."""
    with selectors.DefaultSelector() as selector:
        selector.register(line.fileno(), event)
        return bool(selector.select(seconds))
