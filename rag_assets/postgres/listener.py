"""Waiting for notices: a connection of its own that LISTENs, proves that it does, and comes back when lost."""

import logging
import random
import select
import time

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection

from rag_assets.errors import DatabaseUnavailable
from rag_assets.postgres.database import connect, hide_password
from rag_assets.postgres.statements import statement

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0
RECONNECT_SECONDS = (0.5, 1.5)  # at random between these: many clients should not come back in step
LOG_SECONDS = 1.0  # at most one line in this time while the database is away
CONNECT_SECONDS = 5


class Listener:
    """A dedicated connection that listens on a channel. Notices wake; only the table tells what there is to do.

    `wait` never fails because the database is away: it reconnects, and whoever waits looks at the table anyway.
    The URL must lead to PostgreSQL itself: behind a pooler in transaction mode notices are lost, which is
    noticed at the next heartbeat, said once, and then costs time (looks at intervals), never a change.
    """

    def __init__(self, url: str, *, channel: str) -> None:
        self._url = url
        self._channel = channel
        self._holds_intake = False
        self._connection: connection | None = None
        self._proved = 0.0
        self._logged = 0.0
        self.is_deaf = False  # the server says that we do not listen
        self._open()

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def hold_intake(self) -> None:
        """Tell the sensor that this process takes changes as they come, until `leave_intake` or the end of it."""
        self._holds_intake = True
        self._execute("hold_intake")

    def leave_intake(self) -> None:
        self._holds_intake = False
        self._execute("leave_intake")

    def wait(self, seconds: float) -> bool:
        """Wait until a notice comes, at most so long; whether one came. A lost connection counts as a notice."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not self._ready():
                time.sleep(min(left, random.uniform(*RECONNECT_SECONDS)))  # noqa: S311 - no secret
                continue
            try:
                if self._poll(min(left, HEARTBEAT_SECONDS)):
                    return True
            except psycopg2.Error as exc:
                self._lost(exc)
                return True  # what was notified meanwhile is not known: look
        return False

    def _poll(self, seconds: float) -> bool:
        assert self._connection is not None  # noqa: S101 - see _ready
        if select.select([self._connection], [], [], seconds) != ([], [], []):
            self._connection.poll()
        elif time.monotonic() - self._proved >= HEARTBEAT_SECONDS:
            self._prove()
        noticed = bool(self._connection.notifies)
        self._connection.notifies.clear()
        return noticed

    def _ready(self) -> bool:
        if self._connection is None or self._connection.closed:
            try:
                self._open()
            except (DatabaseUnavailable, psycopg2.Error) as exc:
                self._lost(exc)
                return False
            logger.info("Listening again on %s", self._channel)
        return True

    def _open(self) -> None:
        self._connection = connect(self._url, seconds=CONNECT_SECONDS)
        self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute(sql.SQL("listen {}").format(sql.Identifier(self._channel)))
        self._prove()
        if self._holds_intake:
            self._execute("hold_intake")

    def _prove(self) -> None:
        """Ask the server whether we listen: finds dead lines, and poolers that gave the session to others."""
        assert self._connection is not None  # noqa: S101 - see _ready
        with self._connection.cursor() as cursor:
            cursor.execute(statement("outbox", "list_channels"))
            deaf = (self._channel,) not in cursor.fetchall()
        if deaf and not self.is_deaf:
            logger.warning(
                "%s does not keep LISTEN %s: it seems to be a pooler in transaction mode. Changes are found by "
                "looking, which takes longer; set DATABASE_URL to PostgreSQL itself.",
                hide_password(self._url),
                self._channel,
            )
        self.is_deaf = deaf
        self._proved = time.monotonic()

    def _execute(self, name: str) -> None:
        if self._connection is not None and not self._connection.closed:
            try:
                with self._connection.cursor() as cursor:
                    cursor.execute(statement("outbox", name))
            except psycopg2.Error as exc:
                self._lost(exc)

    def _lost(self, cause: Exception) -> None:
        self.close()
        if time.monotonic() - self._logged >= LOG_SECONDS:
            self._logged = time.monotonic()
            logger.warning("Not listening on %s: %s", self._channel, str(cause).strip())
