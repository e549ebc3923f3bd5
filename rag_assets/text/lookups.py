"""Calls that touch a file come in, their results go out; one that a file system does not answer is given up."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

from rag_assets.errors import DocumentError
from rag_assets.stopwatch import Stopwatch

LOOK_SECONDS = 1.0  # between looks at the time, and at what is answered
T = TypeVar("T")
_Calls = SimpleQueue["_Asked[Any] | None"]


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
        return next(self.each([(name, action)]))()

    def each(self, calls: Sequence[tuple[str, Callable[[], T]]]) -> Generator[Callable[[], T], None, None]:
        """For each of a few calls, with their names, what returns or raises the same as `call`, in their order.

        They are made one after the other, and handed over together: going from thread to thread for each takes longer
        than most calls do. Where they are slow, each is handed over within a second.
        """
        given = 0
        while given < len(calls):
            asked = _Asked([action for _, action in calls[given:]])
            self._put(asked)
            try:
                while answers := self._answers(asked):
                    given += len(answers)
                    yield from answers
            finally:
                asked.forget()  # where nobody takes the rest
            if given < len(calls):  # it hangs
                self.close()
                yield _raising(self._timed_out(calls[given][0]))
                given += 1

    def _put(self, asked: "_Asked[Any]") -> None:
        if self._calls is None:
            self._calls = SimpleQueue()
            Thread(target=_make, args=(self._calls,), name="look-up", daemon=True).start()
        self._calls.put(asked)

    def _answers(self, asked: "_Asked[T]") -> list[Callable[[], T]]:
        """Answers that were not taken yet; none where all were, or the next call takes longer than the limit."""
        watch = Stopwatch()
        while not (answers := asked.take()) and not asked.is_taken and (left := self._seconds - watch.look()) > 0:
            with suppress(Empty):
                asked.done.get(timeout=min(left, LOOK_SECONDS))
        return answers

    def _timed_out(self, name: str) -> DocumentError:
        said = f"Its file system or store did not answer within {self._seconds:g} s (parsing.max_seconds): {name}"
        return DocumentError("timed_out", said)

    def close(self) -> None:
        """Let the thread end, when it has made what it is at."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


class _Asked(Generic[T]):
    """Calls on their way to the thread that makes them, and their answers on their way back."""

    def __init__(self, actions: Sequence[Callable[[], T]]) -> None:
        self.done: SimpleQueue[None] = SimpleQueue()  # has something in it once all are made
        self._left = deque(actions)
        self._untaken = len(actions)
        self._answers: deque[Callable[[], T]] = deque()

    def make(self) -> None:
        with suppress(IndexError):  # none is left
            while True:
                self._answers.append(_answer(self._left.popleft()))
        self.done.put(None)

    def take(self) -> list[Callable[[], T]]:
        answers = [self._answers.popleft() for _ in range(len(self._answers))]
        self._untaken -= len(answers)
        return answers

    @property
    def is_taken(self) -> bool:
        return not self._untaken

    def forget(self) -> None:
        self._left.clear()


def _answer(action: Callable[[], T]) -> Callable[[], T]:
    try:
        result = action()
    except BaseException as exc:  # noqa: BLE001 - raised by the thread that asked
        return _raising(exc)
    return lambda: result


def _raising(error: BaseException) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer


def _make(calls: _Calls) -> None:
    while (asked := calls.get()) is not None:
        asked.make()
        del asked
