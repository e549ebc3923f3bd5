"""No request waits behind all others, and a server that answers anybody is not hanging."""

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar, cast

import psutil
import pytest

from rag_assets import stopwatch
from rag_assets.embedding.client import MOST_OVERTAKEN, EmbeddingClient
from rag_assets.embedding.embedder import Embedder
from rag_assets.embedding.waiting import Patience
from rag_assets.settings import Settings
from rag_assets_tests import engines
from rag_assets_tests.fake_llama import FakeLlama

LONG_TOKENS = 500  # of a chunk of which only one fits into a batch


UNREAD = cast("socket.socket", None)  # the clock answers for it


class Order(EmbeddingClient):
    """Notes, for each request, how many that began after it were answered before it."""

    overtaken: ClassVar[list[int]] = []
    open: ClassVar[dict[int, int]] = {}
    lock = threading.Lock()
    begun = 0

    def _post(self, path: str, body: dict[str, object]) -> dict[str, object]:
        with self.lock:
            number, Order.begun = Order.begun, Order.begun + 1
            self.open[number] = 0
        try:
            return super()._post(path, body)
        finally:
            with self.lock:
                self.overtaken.append(self.open.pop(number))
                for other in self.open:
                    self.open[other] += other < number


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> type[Order]:
    Order.overtaken, Order.open = [], {}
    monkeypatch.setattr("rag_assets.embedding.embedder.EmbeddingClient", Order)
    monkeypatch.setattr("rag_assets.embedding.server.EmbeddingClient", Order)
    return Order


def _settings(home: Path, *, batch_size: int = 32, **llama: object) -> Settings:
    chosen = {"required_memory_gb": 0, "threads": 1, **llama}
    return Settings(home=home, llama_server=chosen, embedding={"batch_size": batch_size}, _env_file=None)


def test_no_request_is_overtaken_by_many_when_slots_starve(tmp_path: Path, order: type[Order]) -> None:
    """A foreign server with four slots, of which a batch takes the first that has a text: its last ones wait."""
    texts = [f"chunk {number} " + "word " * 480 for number in range(100)]
    with FakeLlama() as fake:
        fake.always = "slotted"
        with closing(Embedder.remote(_settings(tmp_path, url=fake.url))) as embedder:
            embedder.embed(texts, token_counts=[LONG_TOKENS] * len(texts))
    assert len(order.overtaken) > 20
    assert max(order.overtaken) <= MOST_OVERTAKEN + 3  # those that were under way when it was their turn to wait


@pytest.mark.parametrize("engine", ["xllamacpp", "openvino"])
def test_requests_are_answered_in_their_order_when_our_server_is_slow(
    tmp_path: Path, engine: str, order: type[Order], request: pytest.FixtureRequest
) -> None:
    """The real one, stopped half of the time, and chunks of which one fits into a batch: first come, first served."""
    texts = [f"{number} " + "water " * (LONG_TOKENS - 10) for number in range(12)]
    settings = _settings(tmp_path, batch_size=1)
    command, model = engines.command_and_model(engine, request)
    with closing(Embedder.local(settings, command=command, model=model)) as embedder:
        embedder.warm()
        with _slow(engines.servers()):
            embedder.embed(texts, token_counts=[LONG_TOKENS] * len(texts))
    assert max(order.overtaken) <= MOST_OVERTAKEN + 2  # those that were under way beside it


class Clock:
    """Time that passes only while somebody waits to read; what `happens` then is given by second."""

    def __init__(self, happens: dict[int, Callable[[], None]]) -> None:
        self.now = 0.0
        self.happens = happens

    def monotonic(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds

    def wait_for_read(self, _connection: object, *, timeout: float) -> bool:
        self.now += timeout
        if self.now.is_integer():
            self.happens.get(int(self.now), lambda: None)()
        return False


@pytest.mark.parametrize(("answers_at", "given_up_at"), [((), 10), ((4, 9), 19), (range(1, 100), 40), ((3,), 13)])
def test_wait_ends_when_the_server_was_silent_and_not_while_it_answers_others(
    monkeypatch: pytest.MonkeyPatch, answers_at: Sequence[int], given_up_at: int
) -> None:
    """Ten seconds without an answer to anybody, or four times as long in all."""
    patience = Patience()
    clock = Clock(dict.fromkeys(answers_at, patience.answered))
    monkeypatch.setattr(stopwatch, "time", clock)
    monkeypatch.setattr("urllib3.util.wait_for_read", clock.wait_for_read)
    with pytest.raises(TimeoutError):
        patience.wait_for(UNREAD, seconds=10)
    assert given_up_at <= clock.now <= given_up_at + 1


def test_wait_has_its_time_left_when_all_stood_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped and continued, or asleep, for an hour: the server was, too, and is not hanging for that."""
    patience, clock = Patience(), Clock({})
    clock.happens[3] = lambda: clock.pass_by(3_600)
    monkeypatch.setattr(stopwatch, "time", clock)
    monkeypatch.setattr("urllib3.util.wait_for_read", clock.wait_for_read)
    with pytest.raises(TimeoutError):
        patience.wait_for(UNREAD, seconds=10)
    assert 3_600 + 10 - stopwatch.LONGEST_GAP_SECONDS <= clock.now <= 3_600 + 10


def test_wait_ends_when_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a run is interrupted."""
    patience = Patience()
    clock = Clock({3: patience.give_up})
    monkeypatch.setattr(stopwatch, "time", clock)
    monkeypatch.setattr("urllib3.util.wait_for_read", clock.wait_for_read)
    with pytest.raises(TimeoutError):
        patience.wait_for(UNREAD, seconds=10)
    assert clock.now == 3


class _slow:
    """Processes that run for 50 of 150 ms."""

    def __init__(self, slowed: list[psutil.Process]) -> None:
        self._slowed = slowed
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._brake)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _brake(self) -> None:
        while not self._over.is_set():
            for process in self._slowed:
                process.suspend()
            self._over.wait(0.1)
            for process in self._slowed:
                process.resume()
            self._over.wait(0.05)
