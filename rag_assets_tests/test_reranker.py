"""Found passages sorted anew: by llama-server itself, and by servers that are wrong, away, or not to be believed."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rag_assets import cli_service, operations, settings
from rag_assets.asking import Asking
from rag_assets.bundled import llama_server
from rag_assets.embedding.reranker import KNOWN_QUESTIONS, Reranker
from rag_assets.errors import ServiceError, SettingsError, WrongReranker
from rag_assets.service import mcp_server, search_service
from rag_assets.service.page.views import Page
from rag_assets.services import Services
from rag_assets_tests import rerankers, serving
from rag_assets_tests.conftest import _database
from rag_assets_tests.fake_llama import HUGE, RERANKING, FakeLlama

QUESTION = "repaired in spring pump"
WRONG = ["inverted", "blind"]


@pytest.fixture
def fake() -> Iterator[FakeLlama]:
    with FakeLlama() as server:
        yield server


@pytest.fixture(scope="module")
def filled_url(postgres_url: str, _template: str) -> Iterator[str]:
    """A database with documents, that tests only read."""
    for url in _database(postgres_url, template=_template):
        serving.fill(url)
        yield url


@contextmanager
def opened(home: Path, **rerank: Any) -> Iterator[Reranker]:
    home.mkdir(mode=0o700, exist_ok=True)
    config = settings.load(home=home, rerank=rerank, llama_server={"required_memory_gb": 0, "threads": 1})
    with closing(Reranker(config, command=llama_server.command)) as reranker:
        yield reranker


def test_real_server_is_believed_when_it_puts_known_questions_right(tmp_path: Path, model_path: Path) -> None:
    """Scores come in the order of the passages, of which the beginning counts where they are too long for the model."""
    made = rerankers.make(model_path, tmp_path / "right.gguf")
    (question, answer), (_, other), _ = KNOWN_QUESTIONS
    with opened(tmp_path / "home", model=made, timeout_seconds=300) as reranker:
        reranker.require()
        _long, wrong, right = reranker.scores(question, ["word " * 900, other, answer])
    assert right > wrong


def test_real_server_is_refused_when_it_puts_known_questions_wrong(tmp_path: Path, model_path: Path) -> None:
    """As many files of rerankers do; and nothing of it is left."""
    made = rerankers.make(model_path, tmp_path / "wrong.gguf", sign=-1)
    with opened(tmp_path / "home", model=made, timeout_seconds=300) as reranker:
        with pytest.raises(WrongReranker, match=r"wrong\.gguf.*16407.*rerank\.model") as refused:
            reranker.require()
        assert refused.value.right < refused.value.wrong
        assert not list((tmp_path / "home" / "run").glob("llama-server-*.json"))


@pytest.mark.parametrize("how", WRONG)
def test_reranker_is_refused_when_it_is_wrong(tmp_path: Path, fake: FakeLlama, how: str) -> None:
    """Also one that says the same of everything; whoever asks all the same gets no scores."""
    fake.reranks = how
    with opened(tmp_path, url=fake.url) as reranker:
        with pytest.raises(WrongReranker):
            reranker.require()
        with pytest.raises(ServiceError):
            reranker.scores("a", ["a", "b"])


@pytest.mark.parametrize("how", sorted(RERANKING.keys() - {"good", *WRONG}))
def test_scores_are_none_when_an_answer_is_no_answer(tmp_path: Path, fake: FakeLlama, how: str) -> None:
    """Not exactly one finite number for each passage in time is an error, and a moment passes before the next try."""
    with opened(tmp_path, url=fake.url, timeout_seconds=60) as reranker:
        assert reranker.scores("a pump", ["a rose", "a pump"]) == [1.0, 2.0]
        fake.reranks = how
        if how == "hanging":  # only now: what was answered before may have come late
            reranker._client._timeout = 0.2
        with pytest.raises(ServiceError):
            reranker.scores("a pump", ["a rose", "a pump"])
        fake.reranks, asked = "good", len(fake.questions)
        with pytest.raises(ServiceError, match="a moment ago"):
            reranker.scores("a pump", ["a rose", "a pump"])
        assert len(fake.questions) == asked


def test_passages_are_cut_once_when_the_model_reads_less(tmp_path: Path, fake: FakeLlama) -> None:
    """What it reads is found out with the first that is too long, and the next are cut before they are sent."""
    long = "pump " * 300 + HUGE
    with opened(tmp_path, url=f"{fake.url}/v1") as reranker:
        assert reranker.scores("pump", ["rose", long]) == [0.0, 1.0]
        asked = len(fake.questions)
        assert reranker.scores("pump", [long, "rose"]) == [1.0, 0.0]
    assert len(fake.questions) == asked + 1


def test_key_is_sent_and_named_when_it_is_refused(tmp_path: Path) -> None:
    """It is read from its file; the setting of that file is what a refusal names."""
    file = tmp_path / "key"
    with FakeLlama(key="secret") as fake:
        for key in ("secret", "other"):
            file.write_text(f"{key}\n")
            with opened(tmp_path / "home", url=fake.url, api_key_file=file) as reranker:
                if key == "secret":
                    reranker.require()
                    continue
                with pytest.raises(SettingsError, match=r"rerank\.api_key_file"):
                    reranker.require()


def test_reranker_that_is_away_is_waited_for_when_all_begins(tmp_path: Path, fake: FakeLlama) -> None:
    """A service starts without it, and asks it when it is there."""
    fake.reranks = "cut"
    with opened(tmp_path, url=fake.url) as reranker:
        reranker.require()
        fake.reranks = "good"
        assert reranker.scores("a pump", ["a pump"]) == [2.0]


@pytest.mark.parametrize(
    ("rerank", "said"),
    [
        ({"url": "http://localhost:1", "model": "a.gguf"}, "set one of them"),
        ({"top_n": 1}, "rerank.top_n"),
        ({"model": "there-is-none.gguf"}, "rerank.model is there-is-none.gguf"),
    ],
)
def test_setting_is_named_when_it_is_wrong(tmp_path: Path, rerank: dict[str, Any], said: str) -> None:
    """And what is allowed."""
    with pytest.raises(SettingsError, match=said), opened(tmp_path, **rerank):
        pass


def test_hits_are_sorted_by_the_reranker_when_there_is_one(tmp_path: Path, fake: FakeLlama, filled_url: str) -> None:
    """For the service, its page, agents and commands alike; what it has not read comes after, as it was found."""
    config = serving.configured(filled_url, tmp_path / "home", rerank={"url": fake.url, "top_n": 3})
    plain = config.model_copy(update={"rerank": settings.Rerank()})
    with Services(plain) as services:
        found = [hit.chunk_id for hit in operations.search(services, "pump", k=4, mode="text")]
    with serving.served(config, page=Page(None)) as service:
        answer = service.search("pump", k=4)
        shown = service.ask("GET", "/?q=pump&mode=text").text
        [first] = service.search("pump", k=1)["hits"]
        asking = service.asking
        told = _told_by_mcp(asking)
    hits = answer["hits"]
    scores = [hit["rerank_score"] for hit in hits]
    assert scores[:3] == sorted(scores[:3], reverse=True)
    assert scores[3:] == [None] * len(scores[3:])
    assert {hit["chunk_id"] for hit in hits[:3]} == set(found[:3])
    assert [hit["chunk_id"] for hit in hits[3:]] == found[3:]
    assert first["chunk_id"] == hits[0]["chunk_id"]  # the reranker reads more than are asked for
    assert answer["note"] is None
    assert "by the reranker, which sorts: 1.000" in shown
    assert told["passages"][0]["rerank_score"] == scores[0]
    assert told["note"] is None


def _told_by_mcp(asking: Asking) -> dict[str, Any]:
    import anyio.to_thread

    from rag_assets_tests.test_mcp_server import connected

    run = anyio.to_thread.run_sync
    with connected(mcp_server.server(asking, embedding=run, database=run)) as agent:
        return agent("search", query="pump", mode="text")


def test_answer_says_so_when_the_reranker_fails(tmp_path: Path, fake: FakeLlama, filled_url: str) -> None:
    """It comes without, in the order in which it was found."""
    config = serving.configured(filled_url, tmp_path / "home", rerank={"url": fake.url})
    fake.reranks = "500"
    with serving.served(config, page=Page(None)) as service:
        answer = service.search("pump")
        shown = service.ask("GET", "/?q=pump&mode=text").text
        told = _told_by_mcp(service.asking)
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert {hit["rerank_score"] for hit in answer["hits"]} == {None}
    assert answer["note"] == told["note"] == operations.NOT_RERANKED
    assert operations.NOT_RERANKED in shown


@pytest.mark.parametrize("start", ["serve", "up"])
def test_nothing_is_served_when_the_reranker_is_wrong(
    tmp_path: Path, fake: FakeLlama, filled_url: str, start: str
) -> None:
    """Before it listens, the service says why."""
    fake.reranks = "inverted"
    url = fake.url.replace("://", "://me:secret@")
    config = serving.configured(filled_url, tmp_path / "home", rerank={"url": url})
    begin = {
        "up": lambda: cli_service.address(config),
        "serve": lambda: search_service.serve(config, host="127.0.0.1", port=0),
    }
    with pytest.raises(WrongReranker) as info:
        begin[start]()
    assert url.replace("me:secret", "***") in str(info.value)
