"""Who waits for llama-server, and for how long: none behind all others, none for a server that stands still."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rag_assets.stopwatch import Stopwatch

LOOK_SECONDS = 0.5  # between looks at whether a wait is given up
LONGEST_SILENCES = 4  # times the limit of a server's silence: one request, however many others are answered


class Patience:
    """How long an answer is waited for: as long as the server answers anybody, as it then does not hang."""

    def __init__(self) -> None:
        self._answers = 0
        self._given_up = threading.Event()

    def answered(self) -> None:
        """Note that the server answered somebody: those who wait begin to count anew."""
        self._answers += 1

    def give_up(self) -> None:
        """End the waits that are under way, and all later ones."""
        self._given_up.set()

    def wait_for(self, connection: socket.socket, *, seconds: float) -> None:
        """Until there is something to read; TimeoutError when the server is silent for so long."""
        from urllib3.util import wait_for_read

        watch, answers, heard = Stopwatch(), self._answers, 0.0
        while not wait_for_read(connection, timeout=min(LOOK_SECONDS, seconds)):
            waited = watch.look()
            if self._answers != answers:
                answers, heard = self._answers, waited
            if waited - heard >= seconds or waited > LONGEST_SILENCES * seconds or self._given_up.is_set():
                raise TimeoutError("timed out")


@contextmanager
def no_longer_than(seconds: float, stop: Callable[[], object]) -> Iterator[None]:
    """Call `stop`, from another thread, where what is done meanwhile takes longer; it then ends with TimeoutError.

    A time limit of a socket is one between two bytes: a server that goes on sending them would never be left.
    """
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        with suppress(OSError, ValueError, RuntimeError):  # it has just ended by itself
            stop()

    watch = threading.Timer(seconds, end)
    watch.daemon = True
    watch.start()
    try:
        yield
    except Exception as exc:
        if is_late.is_set():
            raise TimeoutError("timed out") from exc
        raise
    finally:
        watch.cancel()
    if is_late.is_set():  # what was cut off may look whole
        raise TimeoutError("timed out")


class Turns:
    """No request is overtaken by more than `most` later ones: those then wait outside until it is answered.

    llama-server fills its batch from the first slot on and refills that one first: where few texts fit into a batch,
    those in its last slots wait for as long as new ones come.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._overtaken: dict[int, int] = {}  # requests under way, by their number
        self._next = 0
        self._changed = threading.Condition()

    @contextmanager
    def one(self) -> Iterator[None]:
        """A context in which one request is under way; entering it waits until it may be."""
        with self._changed:
            self._changed.wait_for(lambda: all(count < self._most for count in self._overtaken.values()))
            number, self._next = self._next, self._next + 1
            self._overtaken[number] = 0
        try:
            yield
        finally:
            with self._changed:
                del self._overtaken[number]
                for other in self._overtaken:
                    self._overtaken[other] += other < number
                self._changed.notify_all()
