"""Calls that touch a file come in, their results go out; one that a file system does not answer is given up."""

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from rag_assets.errors import DocumentError
from rag_assets.stopwatch import Stopwatch

LOOK_SECONDS = 1.0  # between looks at the time
T = TypeVar("T")
_Answer = SimpleQueue[tuple[Any, BaseException | None]]
_Calls = SimpleQueue[tuple[Callable[[], Any], _Answer] | None]


class Lookups:
    """Makes calls in a thread of its own; to be used by one thread at a time, and closed.

    A disk over a network may hold a call for ever, and no signal ends it. Then the thread is left to it, and another
    one makes the next call.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._calls: _Calls | None = None

    def call(self, action: Callable[[], T], *, name: str) -> T:
        """What `action` returns or raises; DocumentError timed_out when it takes longer than the limit."""
        if self._calls is None:
            self._calls = SimpleQueue()
            Thread(target=_make, args=(self._calls,), name="look-up", daemon=True).start()
        answer: _Answer = SimpleQueue()
        self._calls.put((action, answer))
        result, error = self._awaited(answer, name=name)
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def _awaited(self, answer: _Answer, *, name: str) -> tuple[Any, BaseException | None]:
        watch = Stopwatch()
        while (left := self._seconds - watch.look()) > 0:
            with suppress(Empty):
                return answer.get(timeout=min(left, LOOK_SECONDS))
        self.close()
        said = f"Its file system did not answer within {self._seconds:g} s (parsing.max_seconds): {name}"
        raise DocumentError("timed_out", said)

    def close(self) -> None:
        """Let the thread end, when it has made what it is at."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


def _make(calls: _Calls) -> None:
    while (call := calls.get()) is not None:
        action, answer = call
        try:
            answer.put((action(), None))
        except BaseException as exc:  # noqa: BLE001 - raised by the thread that asked
            answer.put((None, exc))
        del call, action, answer
