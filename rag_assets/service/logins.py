"""Who has logged in on the page with a key: a cookie that says nothing stands for the key, which stays in this process.

A key that is taken out of the file ends its logins at once, and so does a restart of the service.
"""

import hashlib
import secrets
import threading
import time
from collections import OrderedDict

from starlette.requests import HTTPConnection
from starlette.responses import Response

from rag_assets.model import Caller
from rag_assets.service.keys import Keys

COOKIE = "rag_assets_search"
LOGIN_SECONDS = 12 * 3_600
MOST_LOGINS = 10_000  # the oldest goes


class Logins:
    """The logins of one service."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, tuple[float, str]] = (
            OrderedDict()
        )  # hash of the cookie -> until when, which key

    def begin(self, key: str, response: Response, *, is_secure: bool) -> bool:
        """Give whoever has a key a cookie; whether it is one. SettingsError where the file of keys cannot be used."""
        if self._keys.caller(key) is None:
            return False
        value = secrets.token_urlsafe(32)
        with self._lock:
            self._known[_hash(value)] = (time.monotonic() + LOGIN_SECONDS, key)
            if len(self._known) > MOST_LOGINS:
                self._known.popitem(last=False)
        response.set_cookie(COOKIE, value, max_age=LOGIN_SECONDS, httponly=True, samesite="strict", secure=is_secure)
        return True

    def caller(self, connection: HTTPConnection) -> Caller | None:
        """Whose login it is; None without one. SettingsError where the file of keys cannot be used."""
        with self._lock:
            until, key = self._known.get(_hash(_cookie(connection)), (0.0, ""))
        return self._keys.caller(key) if time.monotonic() < until else None

    def end(self, connection: HTTPConnection, response: Response) -> None:
        """Forget a login."""
        with self._lock:
            self._known.pop(_hash(_cookie(connection)), None)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def _cookie(connection: HTTPConnection) -> str:
    return connection.cookies.get(COOKIE, "")


def _hash(value: str) -> bytes:
    """So that how long a look-up takes tells nothing of the cookies that there are."""
    return hashlib.sha256(value.encode("utf-8", "replace")).digest()
