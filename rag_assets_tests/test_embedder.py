"""Many texts become vectors in their order, whatever dies meanwhile; one bad text is found, the others are not hurt."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest

from rag_assets.bundled import llama_server
from rag_assets.embedding import known
from rag_assets.embedding.client import EmbeddingClient
from rag_assets.embedding.embedder import Embedder
from rag_assets.errors import EmbeddingError, Interrupted, NotEnoughMemory, ServerFailedToStart, UnembeddableText
from rag_assets.processes import memory
from rag_assets.settings import Settings
from rag_assets_tests import engines, fake_llama
from rag_assets_tests.fake_llama import FakeLlama
from rag_assets_tests.patience import until

TEXTS = [f"text {number} " + "word " * (number % 7) for number in range(40)]
COUNTS = [len(text.split()) for text in TEXTS]


def _settings(home: Path, **llama: object) -> Settings:
    chosen = {"required_memory_gb": 0, "threads": 1, "request_timeout_seconds": 20, **llama}
    return Settings(home=home, llama_server=chosen, embedding={"batch_size": 8}, _env_file=None)


@pytest.fixture
def fake() -> Iterator[FakeLlama]:
    with FakeLlama() as server:
        yield server


@pytest.fixture
def remote(fake: FakeLlama, tmp_path: Path) -> Iterator[Embedder]:
    with closing(Embedder.remote(_settings(tmp_path, url=fake.url, request_timeout_seconds=0.5))) as embedder:
        yield embedder


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Embedder]:
    """A program of the tests' own, started and restarted as the real one is."""
    command = [sys.executable, fake_llama.__file__, "good"]
    with closing(Embedder.local(_settings(tmp_path), command=command, model=Path(__file__))) as embedder:
        yield embedder


def _expected(texts: list[str]) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    return np.array([fake_llama.vector(text) for text in texts], dtype=np.float32)


def test_embed_keeps_the_order_when_texts_are_packed_by_length(remote: Embedder, fake: FakeLlama) -> None:
    """Longest first on the way out, as given on the way back; nothing at all for no texts."""
    assert np.allclose(remote.embed(TEXTS, token_counts=COUNTS), _expected(TEXTS), atol=1e-6)
    assert max(map(len, fake.requests)) <= 8
    assert remote.embed([], token_counts=[]).shape == (0, 384)


def test_embed_works_from_many_threads_when_they_share_it(remote: Embedder) -> None:
    results: list[bool] = []

    def work(start: int) -> None:
        mine = TEXTS[start : start + 10]
        results.append(np.allclose(remote.embed(mine, token_counts=COUNTS[:10]), _expected(mine), atol=1e-6))

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 30, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 10


@pytest.mark.parametrize("behaviour", ["late", "reordered", "503", "cut", "hanging", "short", "nan", "500"])
def test_embed_recovers_when_a_server_misbehaves_once(remote: Embedder, fake: FakeLlama, behaviour: str) -> None:
    """One bad answer among good ones costs time only."""
    fake.next.append(behaviour)
    assert np.allclose(remote.embed(TEXTS, token_counts=COUNTS), _expected(TEXTS), atol=1e-6)


@pytest.mark.parametrize("behaviour", ["503", "short", "duplicate", "nan", "500", "no json"])
def test_embed_blames_no_text_when_the_server_always_misbehaves(
    remote: Embedder, fake: FakeLlama, behaviour: str
) -> None:
    """An error of the service, soon; and all is well when the server is."""
    fake.always = behaviour
    with pytest.raises(EmbeddingError):
        remote.embed(TEXTS, token_counts=COUNTS)
    fake.always = "good"
    assert np.allclose(remote.embed(TEXTS, token_counts=COUNTS), _expected(TEXTS), atol=1e-6)


@pytest.mark.parametrize(
    ("word", "kind"), [(fake_llama.HUGE, "too_large"), (fake_llama.SICK, "crashed"), (fake_llama.POISON, "crashed")]
)
@pytest.mark.parametrize("place", [0, 17, 39])
def test_embed_names_the_text_when_one_cannot_be_embedded(local: Embedder, word: str, kind: str, place: int) -> None:
    """Its index is told, whatever stood in the same request; the others are embedded without it."""
    texts = [*TEXTS[:place], f"a {word} text", *TEXTS[place + 1 :]]
    with pytest.raises(UnembeddableText) as info:
        local.embed(texts, token_counts=COUNTS)
    assert (info.value.index, info.value.kind) == (place, kind)
    assert len(local.embed(TEXTS, token_counts=COUNTS)) == len(TEXTS)


def test_a_call_of_one_request_does_not_queue_when_long_ones_do(fake: FakeLlama, tmp_path: Path) -> None:
    """It is sent next, whatever else waits for its turn, and however long that takes."""
    with closing(Embedder.remote(_settings(tmp_path, url=fake.url, request_timeout_seconds=600))) as embedder:
        embedder.warm()
        fake.always = "held"  # nobody is answered until the change was sent
        counts = {"token_counts": COUNTS}
        long = [threading.Thread(target=embedder.embed, args=(TEXTS,), kwargs=counts) for _ in range(2)]
        for thread in long:
            thread.start()
        change = threading.Thread(target=embedder.embed, args=(["a change"],), kwargs={"token_counts": [2]})
        try:
            until(lambda: len(_asked(fake)) >= 3)
            change.start()
            until(lambda: ["a change"] in _asked(fake))
        finally:
            fake.released.set()
        for thread in (change, *long):
            thread.join()


def _asked(fake: FakeLlama) -> list[list[str]]:
    """The requests without those that look whether it is the right model."""
    return [texts for texts in fake.requests if texts != list(known.TEXTS)]


def test_no_request_outlives_its_call_when_one_fails(remote: Embedder, fake: FakeLlama) -> None:
    """The next call does not meet what is left of this one."""
    fake.next.extend(["late", "late"])
    texts = [*TEXTS, fake_llama.HUGE]
    with pytest.raises(UnembeddableText):
        remote.embed(texts, token_counts=[*COUNTS, 500])
    assert fake.late == 0
    assert not remote._executor._work_queue.qsize()


@pytest.mark.parametrize("behaviour", ["good", "hanging"])
def test_call_ends_when_it_is_interrupted(tmp_path: Path, behaviour: str) -> None:
    """After its current requests, or without them where the server hangs; later calls are not touched."""
    command = [sys.executable, fake_llama.__file__, behaviour]
    texts = [f"text {number}" for number in range(20_000)]
    raised: list[BaseException] = []

    def call() -> None:
        try:
            embedder.embed(texts, token_counts=[3] * len(texts))
        except Interrupted as exc:
            raised.append(exc)

    with closing(Embedder.local(_settings(tmp_path), command=command, model=Path(__file__))) as embedder:
        thread = threading.Thread(target=call)
        thread.start()
        deadline = time.monotonic() + 120
        while not embedder.started and time.monotonic() < deadline:
            time.sleep(0.01)
        embedder.interrupt()
        thread.join(120)
        assert len(raised) == 1
        embedder.interrupt()  # of no calls
        if behaviour == "good":
            assert len(embedder.embed(TEXTS, token_counts=COUNTS)) == len(TEXTS)


def test_call_ends_when_it_is_interrupted_while_the_server_starts(tmp_path: Path) -> None:
    """Whoever interrupts does not wait for the start either, nor is the server left."""
    others = psutil.Process().children()
    command = [sys.executable, fake_llama.__file__, "loads for ever"]
    settings = _settings(tmp_path, startup_timeout_seconds=60)
    with closing(Embedder.local(settings, command=command, model=Path(__file__))) as embedder:
        with ThreadPoolExecutor(1) as executor:
            call = executor.submit(embedder.embed, TEXTS, token_counts=COUNTS)
            deadline = time.monotonic() + 60
            while not set(psutil.Process().children()) - set(others) and time.monotonic() < deadline:
                time.sleep(0.01)
            embedder.interrupt()
            with pytest.raises(Interrupted):
                call.result(60)
        assert not embedder.started
    assert set(psutil.Process().children()) <= set(others)


def test_warm_says_so_when_no_server_answers_at_the_url(tmp_path: Path) -> None:
    chosen = _settings(tmp_path, url="http://127.0.0.1:9")
    with (
        closing(Embedder.remote(chosen, patience_seconds=0.1)) as embedder,
        pytest.raises(ServerFailedToStart, match=r"all-MiniLM-L6-v2.*llama_server\.url"),
    ):
        embedder.warm()


def test_server_starts_with_the_first_text_and_ends_with_close(local: Embedder) -> None:
    """And again after `stop_server`: it gives the memory back between batches."""
    assert not local.started
    others = psutil.Process().children()  # those of other tests' parts
    for _ in range(2):
        local.embed(TEXTS[:1], token_counts=[2])
        assert local.started
        [server] = [child for child in psutil.Process().children() if child not in others]
        local.stop_server()
        assert not local.started
        assert not server.is_running()


@pytest.fixture(params=["xllamacpp", "openvino"])
def command_and_model(request: pytest.FixtureRequest) -> tuple[list[str], Path]:
    """Each of the engines that come with this package."""
    return engines.command_and_model(request.param, request)


def test_embed_recovers_when_the_real_server_is_killed_meanwhile(
    tmp_path: Path, command_and_model: tuple[list[str], Path]
) -> None:
    """SIGKILL in the middle of a batch: a new server embeds the rest, and the vectors are those of a quiet run."""
    chosen = _settings(tmp_path)
    texts = [f"Sentence {number}: the pump shows error four. " * 12 for number in range(32)]
    command, model = command_and_model
    with closing(Embedder.local(chosen, command=command, model=model)) as embedder:
        quiet = embedder.embed(texts, token_counts=[150] * 32)
        killer = threading.Timer(0.1, _kill_servers)
        killer.start()
        disturbed = embedder.embed(texts, token_counts=[150] * 32)
        killer.join()
        again = embedder.embed(texts[:2], token_counts=[150] * 2)
    assert np.allclose(np.sum(quiet * disturbed, axis=1), 1, atol=1e-3)
    assert np.allclose(np.sum(quiet[:2] * again, axis=1), 1, atol=1e-3)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_question_outlives_a_server_that_is_killed_under_it_several_times(local: Embedder) -> None:
    """By others: that is none of its tries, of which it has two. The fourth server answers."""
    assert np.allclose(local.embed_query(fake_llama.DEADLY), _expected([fake_llama.DEADLY])[0], atol=1e-6)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_server_that_is_killed_is_said_once_whoever_waits_for_it(
    local: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    """However many questions are under way."""
    local.warm()
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(local.embed_query, [fake_llama.DEADLY] * 6))
    assert 1 <= len([line for line in caplog.messages if "it was killed" in line]) <= fake_llama.DEATHS


@pytest.mark.skipif(os.name == "nt", reason="no process can be stopped there without its end")
def test_embed_recovers_when_the_real_server_hangs_meanwhile(
    tmp_path: Path, command_and_model: tuple[list[str], Path]
) -> None:
    """It stands still for ever: after the longest time of a request it is replaced, and nothing is lost."""
    command, model = command_and_model
    chosen = _settings(tmp_path, request_timeout_seconds=5)
    with closing(Embedder.local(chosen, command=command, model=model)) as embedder:
        quiet = embedder.embed(TEXTS, token_counts=COUNTS)
        [server] = engines.servers()
        server.suspend()
        disturbed = embedder.embed(TEXTS, token_counts=COUNTS)
        assert not server.is_running()
    assert np.allclose(np.sum(quiet * disturbed, axis=1), 1, atol=1e-3)


def _kill_servers() -> None:
    for server in engines.servers():
        server.kill()


def test_client_is_closed_when_its_server_went_away(
    remote: Embedder, fake: FakeLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No open connections are left behind."""
    closed: list[EmbeddingClient] = []
    monkeypatch.setattr(EmbeddingClient, "close", lambda self: closed.append(self))
    fake.next.append("cut")
    remote.embed(TEXTS[:1], token_counts=[2])
    assert len(closed) == 1


def test_query_needs_only_the_memory_of_the_server_when_ingestion_needs_more(
    tmp_path: Path, command_and_model: tuple[list[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 0.4 GB available a query is answered, from a process that takes no more than was asked for; no text is."""
    monkeypatch.setattr(memory, "available_bytes", lambda: 400_000_000)
    chosen = _settings(tmp_path, required_memory_gb=2)
    command, model = command_and_model
    with closing(Embedder.local(chosen, command=command, model=model)) as embedder:
        with pytest.raises(NotEnoughMemory, match=r"2\.0 GB needed"):
            embedder.embed(["a text"], token_counts=[3])
        before = psutil.Process().children()
        assert len(embedder.embed_query("word " * 400)) == 384
        [server] = [child for child in psutil.Process().children() if child not in before]
        assert embedder._server is not None
        assert server.memory_info().rss < embedder._server.query_bytes < 400_000_000
        with pytest.raises(NotEnoughMemory):
            embedder.embed(["a text"], token_counts=[3])


def test_query_is_refused_when_not_even_the_server_fits(
    tmp_path: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 100_000_000)
    chosen = _settings(tmp_path, required_memory_gb=2)
    with (
        closing(Embedder.local(chosen, command=llama_server.command(), model=model_path)) as embedder,
        pytest.raises(NotEnoughMemory, match=r"0\.1 GB available, 0\.2 GB needed"),
    ):
        embedder.embed_query("a text")


def test_progress_counts_texts_when_a_call_is_long(remote: Embedder) -> None:
    """As they have their vectors, long before the call ends."""
    counted: list[int] = []
    remote.on_embedded = counted.append
    remote.embed(TEXTS, token_counts=COUNTS)
    assert sum(counted) == len(TEXTS)
    assert len(counted) > 4


QUESTIONS = """
import sys
from pathlib import Path
from rag_assets.embedding.embedder import Embedder
from rag_assets_tests import fake_llama, test_embedder

command = [sys.executable, fake_llama.__file__, "good"]
embedders = {}
for line in sys.stdin:
    model = Path(line.strip())
    if model not in embedders:
        embedders[model] = Embedder.local(test_embedder._settings(Path(sys.argv[1])), command=command, model=model)
    embedders[model].embed_query("a question")
    print(embedders[model].is_shared, flush=True)
for embedder in embedders.values():
    embedder.close()
"""


def test_query_is_embedded_by_a_server_that_runs_already_while_that_lives(local: Embedder, tmp_path: Path) -> None:
    """One of the same home and model, of another process; a server of one's own is started when it has gone."""
    local.embed(TEXTS[:1], token_counts=COUNTS[:1])
    (tmp_path / "run" / "llama-server-0.json").write_text("{")  # of one that has just ended
    with subprocess.Popen(
        [sys.executable, "-c", QUESTIONS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:

        def ask(model: str = __file__) -> str:
            assert other.stdin is not None
            assert other.stdout is not None
            print(model, file=other.stdin, flush=True)
            return other.stdout.readline().strip()

        assert ask() == "True"
        assert not psutil.Process(other.pid).children()
        assert ask(fake_llama.__file__) == "False"  # for this file, it is another model
        local.stop_server()
        assert [ask(), ask()] == ["False", "False"]
        assert other.stdin is not None
        other.stdin.close()
    assert other.returncode == 0
