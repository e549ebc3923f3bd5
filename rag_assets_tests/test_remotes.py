"""Running servers of other machines: several serve as one, any may go and come back, and each proves its model."""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_assets import settings
from rag_assets.embedding import client as client_module
from rag_assets.embedding import known, remotes
from rag_assets.embedding.client import BELIEVED_SECONDS, EmbeddingClient
from rag_assets.embedding.embedder import Embedder
from rag_assets.errors import EmbeddingError, SettingsError, UnembeddableText, WrongModel
from rag_assets.settings import Settings
from rag_assets_tests import engines, fake_llama
from rag_assets_tests.fake_llama import FakeLlama

WRONG = ["500", "nan", "zero", "short vector", "short", "no json", "endless"]
TEXTS = [f"text {number}" for number in range(64)]
COUNTS = [3] * len(TEXTS)


@pytest.fixture
def pair() -> Iterator[tuple[FakeLlama, FakeLlama]]:
    with FakeLlama() as one, FakeLlama() as other:
        yield one, other


def _settings(home: Path, *servers: FakeLlama, **values: Any) -> Settings:
    chosen = {"url": [server.url for server in servers], "request_timeout_seconds": 20, **values}
    return Settings(home=home, llama_server=chosen, embedding={"batch_size": 4}, _env_file=None)


def _embed(embedder: Embedder) -> None:
    expected = np.array([fake_llama.vector(text) for text in TEXTS], dtype=np.float32)
    assert np.allclose(embedder.embed(TEXTS, token_counts=COUNTS), expected, atol=1e-6)


def _asked(server: FakeLlama) -> int:
    """Requests without those that look whether it is the right model."""
    return sum(texts != list(known.TEXTS) for texts in server.requests)


def test_work_is_shared_when_there_are_several(pair: tuple[FakeLlama, FakeLlama], tmp_path: Path) -> None:
    """Each gets a part, whichever is slow."""
    for server in pair:
        server.always = "late"
    with closing(Embedder.remote(_settings(tmp_path, *pair))) as embedder:
        _embed(embedder)
    assert all(_asked(server) > 4 for server in pair)
    assert sum(map(_asked, pair)) == 16


def test_other_one_takes_over_when_one_dies_and_it_works_again_when_it_is_back(
    pair: tuple[FakeLlama, FakeLlama], tmp_path: Path
) -> None:
    """Nothing is lost meanwhile; where all are away, that is an error of the service."""
    one, other = pair
    with closing(Embedder.remote(_settings(tmp_path, *pair), pause_seconds=0.0)) as embedder:
        _embed(embedder)
        one.is_away = True
        _embed(embedder)
        other.is_away = True
        with pytest.raises(EmbeddingError):
            embedder.embed(TEXTS[:1], token_counts=[3])
        one.is_away = False
        before = _asked(one)
        _embed(embedder)
        assert _asked(one) > before


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time by which servers are left alone."""
    made = Clock()
    monkeypatch.setattr(remotes, "time", made)
    return made


def test_server_gets_no_text_before_it_is_well_and_is_looked_at_less_often_when_it_stays_away(
    pair: tuple[FakeLlama, FakeLlama], tmp_path: Path, clock: Clock
) -> None:
    """In five minutes seven times, after 5, 10, 20, 40 and then 60 seconds; a look is not what a text waits behind."""
    one, _ = pair
    with closing(Embedder.remote(_settings(tmp_path, *pair))) as embedder:
        _embed(embedder)
        one.is_away = True
        _embed(embedder)
        one.is_away, one.is_loading = False, True
        texts, looks = len(one.requests), one.seen.count(("/health", None))
        for _ in range(60):
            clock.now += 5
            embedder.embed(TEXTS[:1], token_counts=[3])
        assert len(one.requests) == texts
        assert one.seen.count(("/health", None)) - looks == 7
        one.is_loading = False
        clock.now += 60
        _embed(embedder)
        assert len(one.requests) > texts


def test_those_that_answer_serve_when_one_is_not_there_at_the_start(
    pair: tuple[FakeLlama, FakeLlama], tmp_path: Path
) -> None:
    """Also where the one that answers is the last that was named."""
    one, other = pair
    one.shutdown()
    one.server_close()
    with closing(Embedder.remote(_settings(tmp_path, one, other))) as embedder:
        _embed(embedder)
    assert _asked(other) == 16


def test_model_is_refused_when_one_of_several_has_another(pair: tuple[FakeLlama, FakeLlama], tmp_path: Path) -> None:
    """Half of the vectors would be of no use."""
    pair[1].salt = "another model"
    with closing(Embedder.remote(_settings(tmp_path, *pair))) as embedder, pytest.raises(WrongModel):
        embedder.embed(TEXTS, token_counts=COUNTS)


def test_server_serves_when_it_only_knows_openais_interface(tmp_path: Path) -> None:
    """No /health, no base64, several models, an address that ends in /v1, a key in a file."""
    key = tmp_path / "key"
    key.write_text("secret\n")
    with FakeLlama(key="secret") as server:
        server.is_plain, server.models = True, ["small", "large"]
        chosen = {"url": f"{server.url}/v1/", "api_key_file": key, "model": "small"}
        with closing(Embedder.remote(Settings(home=tmp_path, llama_server=chosen, _env_file=None))) as embedder:
            _embed(embedder)
        assert {body["model"] for body in server.bodies} == {"small"}
        assert {body.get("encoding_format") for body in server.bodies[-2:]} == {None}


def test_what_is_wrong_is_named_when_a_name_or_a_file_is(tmp_path: Path) -> None:
    with FakeLlama() as server:
        server.models = ["small"]
        with (
            closing(Embedder.remote(_settings(tmp_path, server, model="large"))) as embedder,
            pytest.raises(SettingsError, match=r"no model large.*but small"),
        ):
            embedder.warm()
        with (
            closing(Embedder.remote(_settings(tmp_path, server, api_key_file=tmp_path / "none"))) as embedder,
            pytest.raises(SettingsError, match="api_key_file"),
        ):
            embedder.warm()


@pytest.mark.parametrize(
    "written", ["http://a:1,http://b:2", "http://a:1/, http://b:2/v1", ["http://a:1", "http://b:2", "http://a:1"]]
)
def test_addresses_are_each_counted_once_however_they_are_written(
    written: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a file as a list or with commas, in the environment as a list in JSON or with commas."""
    assert settings.LlamaServer(url=written).urls == ("http://a:1", "http://b:2")
    monkeypatch.setenv("RAG_ASSETS_LLAMA_SERVER__URL", written if isinstance(written, str) else json.dumps(written))
    assert Settings(_env_file=None).llama_server.urls == ("http://a:1", "http://b:2")


@pytest.mark.parametrize("written", ["gpu-box:8080", "http://a:1, b:2", "http://", ["ftp://a"], '["b:2"]'])
def test_address_is_refused_when_it_is_none(written: Any) -> None:
    """At once, and not by a wait for somebody who cannot answer."""
    with pytest.raises(SettingsError, match=r"llama_server\.url.*http://HOST:PORT"):
        settings.load(llama_server={"url": written})


def test_path_and_credentials_of_an_address_are_sent_when_it_has_them() -> None:
    """As a proxy before the server may want them."""
    with FakeLlama() as server:
        url = server.url.replace("http://", "http://us%40er:pass@") + "/models/small/"
        client = EmbeddingClient(url, api_key=None, of_model=engines.MODEL, timeout_seconds=20)
        with closing(client):
            client.embed(TEXTS[:1])
        assert server.seen == [("/models/small/v1/embeddings", "Basic dXNAZXI6cGFzcw==")]


def test_least_busy_server_is_asked_when_another_one_is_held(pair: tuple[FakeLlama, FakeLlama], tmp_path: Path) -> None:
    """What is in flight decides: a server that has not answered gets no second request while others are free."""
    one, other = pair
    with ExitStack() as stack:
        embedder = stack.enter_context(closing(Embedder.remote(_settings(tmp_path, *pair))))
        embedder.warm()
        one.always = "held"
        first = threading.Thread(target=embedder.embed, args=(TEXTS[:1],), kwargs={"token_counts": [3]})
        first.start()
        while not _asked(one):
            first.join(0.01)
        for text in TEXTS[:4]:
            embedder.embed([text], token_counts=[3])
        assert (_asked(one), _asked(other)) == (1, 4)
        one.released.set()
        first.join()


@pytest.fixture
def small_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no end is given up soon."""
    whole = EmbeddingClient.__init__

    def limited(self: EmbeddingClient, *arguments: Any, **options: Any) -> None:
        whole(self, *arguments, **options, most_answer_bytes=2**20)

    monkeypatch.setattr(EmbeddingClient, "__init__", limited)


def _warnings(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in log.records if record.levelno == logging.WARNING]


@pytest.mark.usefixtures("small_answers")
@pytest.mark.parametrize("behaviour", WRONG)
def test_server_is_left_alone_and_named_when_it_answers_wrongly(
    pair: tuple[FakeLlama, FakeLlama],
    tmp_path: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    behaviour: str,
) -> None:
    """From the start or amid a run: its requests go to the other one, and it is asked again when its pause is over."""
    one, other = pair
    one.url = one.url.replace("http://", "http://me:secret@")
    one.always = behaviour
    with closing(Embedder.remote(_settings(tmp_path, *pair))) as embedder:
        _embed(embedder)
        assert _asked(other) == 16
        one.always = "good"
        clock.now += remotes.PAUSE_SECONDS
        _embed(embedder)
        assert _asked(one)
        one.always = behaviour
        _embed(embedder)
        asked = len(one.requests)
        _embed(embedder)
        assert len(one.requests) == asked
    warnings = _warnings(caplog)
    assert len(warnings) > 1
    assert all(one.url.replace("me:secret", "***") in warning for warning in warnings)
    assert not any(other.url in warning or "Set embedding.dimension" in warning for warning in warnings)


def test_pause_is_longer_when_a_server_answers_wrongly_again(
    pair: tuple[FakeLlama, FakeLlama], tmp_path: Path, clock: Clock
) -> None:
    """As of one that is away: in five minutes it gets seven requests, each of which the other one answers."""
    one, _ = pair
    with closing(Embedder.remote(_settings(tmp_path, *pair))) as embedder:
        embedder.warm()
        one.always = "500"
        _embed(embedder)
        asked = len(one.requests)
        for _ in range(60):
            clock.now += 5
            embedder.embed(TEXTS[:1], token_counts=[3])
        assert len(one.requests) - asked == 7


@pytest.mark.usefixtures("small_answers")
@pytest.mark.parametrize("behaviour", [*WRONG, "cut"])
@pytest.mark.parametrize("is_warm", [False, True])
def test_each_server_is_named_with_what_is_wrong_when_none_answers_well(
    pair: tuple[FakeLlama, FakeLlama], tmp_path: Path, behaviour: str, is_warm: bool
) -> None:
    """At the start or later; the dimension is advised to be set only where all give the same other one."""
    one, other = pair
    with closing(Embedder.remote(_settings(tmp_path, *pair))) as embedder:
        if is_warm:
            embedder.warm()
        for server, does in ((one, behaviour), (other, "no json")):
            server.always = does
        with pytest.raises(EmbeddingError) as info:
            embedder.embed(TEXTS[:2], token_counts=COUNTS[:2])
        assert one.url in str(info.value)
        assert f"{other.url} gave no JSON" in str(info.value)
        assert "Set embedding.dimension" not in str(info.value)


def test_dimension_is_advised_once_when_all_servers_give_the_same_other_one(
    pair: tuple[FakeLlama, FakeLlama], tmp_path: Path
) -> None:
    for server in pair:
        server.always = "short vector"
    with (
        closing(Embedder.remote(_settings(tmp_path, *pair))) as embedder,
        pytest.raises(EmbeddingError) as info,
    ):
        embedder.embed(TEXTS, token_counts=COUNTS)
    assert all(server.url in str(info.value) for server in pair)
    assert str(info.value).count("Set embedding.dimension") == 1


@pytest.mark.parametrize("word", [fake_llama.SICK, fake_llama.HUGE])
@pytest.mark.parametrize("behaviour", ["good", "500"])
def test_text_is_blamed_when_it_fails_at_every_server(
    pair: tuple[FakeLlama, FakeLlama], tmp_path: Path, word: str, behaviour: str
) -> None:
    """Also where one of them answers nothing well; the other texts are embedded without it."""
    with closing(Embedder.remote(_settings(tmp_path, *pair))) as embedder:
        embedder.warm()
        pair[0].always = behaviour
        with pytest.raises(UnembeddableText) as info:
            embedder.embed([*TEXTS[:9], word, *TEXTS[10:]], token_counts=COUNTS)
        assert info.value.index == 9
        _embed(embedder)


@pytest.mark.parametrize("bad", [1, 2])
def test_no_text_is_blamed_when_every_second_answer_is_an_error(
    pair: tuple[FakeLlama, FakeLlama], tmp_path: Path, bad: int
) -> None:
    """Where one server is like that, the other one embeds all; where both are, it is an error of the service."""
    with closing(Embedder.remote(_settings(tmp_path, *pair, requests_in_flight=1), pause_seconds=0.0)) as embedder:
        embedder.warm()
        for server in pair[:bad]:
            server.next.extend(["500", "good"] * 500)
        for text in TEXTS[:16]:
            try:
                embedder.embed([text], token_counts=[3])
            except EmbeddingError:
                assert bad == 2


def test_text_is_not_blamed_when_a_single_server_answers_every_second_request_with_an_error(tmp_path: Path) -> None:
    """The known texts between its failures are several, so that not all of them go well by chance."""
    with FakeLlama() as server, closing(Embedder.remote(_settings(tmp_path, server, requests_in_flight=1))) as embedder:
        embedder.embed(TEXTS[:1], token_counts=[3])  # no new connection is checked amid what follows
        server.next.extend(["500", "good"] * 10)
        with pytest.raises(EmbeddingError, match="answered 500"):
            embedder.embed(TEXTS[:1], token_counts=[3])


def test_server_stays_in_use_when_it_only_cannot_tokenize(pair: tuple[FakeLlama, FakeLlama], tmp_path: Path) -> None:
    """Any can embed, but only llama.cpp's has /tokenize: what one does not have is asked of the other one."""
    one, _ = pair
    with closing(Embedder.remote(_settings(tmp_path, *pair))) as embedder:
        embedder.warm()
        one.says = "no object"
        assert [token["piece"] for token in embedder.tokenize("one two")] == ["one", "two"]
        _embed(embedder)
        assert _asked(one)


@pytest.mark.parametrize("count", [1, 2])
def test_server_is_refused_when_it_has_another_model_amid_open_connections(
    pair: tuple[FakeLlama, FakeLlama], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """No new connection is needed to notice it; it is asked once, and not before each request."""
    clock = Clock()
    monkeypatch.setattr(client_module, "time", clock)
    one, *others = pair[:count]
    with closing(Embedder.remote(_settings(tmp_path, one, *others))) as embedder:
        for server in others:
            server.always = "500"
        embedder.warm()

        def checks() -> int:
            return one.requests.count(list(known.TEXTS))

        for _ in range(3):
            embedder.embed_query("a question")
        before = checks()
        clock.now += BELIEVED_SECONDS + 1
        for _ in range(3):
            embedder.embed_query("a question")
        assert checks() == before + 1
        clock.now += BELIEVED_SECONDS + 1
        one.salt = "another model"
        with pytest.raises(WrongModel, match=one.url):
            embedder.embed_query("a question")
