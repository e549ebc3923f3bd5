"""The engine of ours answers as llama-server does, and is near to the model as it was published."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_assets.bundled import llama_server, openvino_server
from rag_assets.embedding import known
from rag_assets.embedding.client import EmbeddingClient
from rag_assets.embedding.server import LlamaServer
from rag_assets.errors import EmbeddingError
from rag_assets.settings import LlamaServer as LlamaServerSettings
from rag_assets_tests import engines

pytestmark = pytest.mark.skipif(not openvino_server.is_installed(), reason="OpenVINO is not installed")
TEXT = "The na\u00efve fox's [SEP] 1,234 \u00e9t\u00e9 \uc548\ub155 unbelievable-looking \ufffd"


def _serving(command: list[str], model: Path, home: Path) -> Iterator[EmbeddingClient]:
    chosen = LlamaServerSettings(required_memory_gb=0, threads=1)
    server = LlamaServer(command, model=model, settings=chosen, home=home, of_model=engines.MODEL)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def client(exact_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddingClient]:
    yield from _serving(openvino_server.command(), exact_model_path, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def llama_cpp(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddingClient]:
    yield from _serving(llama_server.command(), model_path, tmp_path_factory.mktemp("home"))


def test_vectors_are_near_to_those_in_f32_when_texts_are_known(client: EmbeddingClient) -> None:
    shipped = known.shipped("all-MiniLM-L6-v2")
    assert shipped is not None
    assert known.least_cosine(client.embed(known.TEXTS), shipped) >= known.ENGINE_OF_OURS


@pytest.mark.parametrize("text", [TEXT, "", "x" * 200, "word " * 100])
def test_tokens_are_those_of_llama_server_when_text_is_any(
    client: EmbeddingClient, llama_cpp: EmbeddingClient, text: str
) -> None:
    """Numbers and pieces: what is counted before is what is computed, whichever engine computes."""
    assert client.tokenize(text) == llama_cpp.tokenize(text)


def test_vector_is_the_same_in_every_form_of_question_and_answer(client: EmbeddingClient) -> None:
    """A text, or its tokens, in the ways of OpenAI and of llama-server, in numbers or base64."""
    [expected] = client.embed([TEXT])
    ids = client._post("/tokenize", {"content": TEXT, "add_special": True})["tokens"]
    for given in (TEXT, [TEXT], ids, [ids]):
        answer = client._post("/v1/embeddings", {"input": given})
        assert np.allclose(answer["data"][0]["embedding"], expected, atol=1e-6)
        assert answer["usage"]["prompt_tokens"] == len(ids)


@pytest.mark.parametrize(
    "body",
    [{}, {"input": []}, {"input": 5}, {"input": [[]]}, {"input": [[-1]]}, {"input": [[30_522]]}, {"input": [None]}],
)
def test_question_is_refused_when_it_makes_no_sense(client: EmbeddingClient, body: dict[str, Any]) -> None:
    """Also numbers of no token, which would be read outside of the weights; the next question is answered."""
    with pytest.raises(EmbeddingError, match="answered 400"):
        client._post("/v1/embeddings", body)
    with pytest.raises(EmbeddingError, match="answered 404"):
        client._post("/completion", body)
    assert client.healthy()


def test_a_connection_that_ends_is_said_to_when_a_request_without_the_key_is_refused(client: EmbeddingClient) -> None:
    """Or the next one, sent into it, is lost: on a busy machine, the first vectors after the start were."""
    assert client.door is not None
    with closing(client.door.open(60)) as line:
        line.settimeout(60)
        body = b'{"content": ""}'
        line.sendall(b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        answer = line.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nConnection: close\r\n" in answer


def test_vectors_keep_their_order_when_texts_are_of_all_lengths(client: EmbeddingClient) -> None:
    """Computed sorted and in parts, answered as asked."""
    texts = [f"number {index} " + "word " * (index * 37 % 400) for index in range(12)]
    together = client.embed(texts)
    alone = np.concatenate([client.embed([text]) for text in texts])
    assert known.least_cosine(together, alone) > 0.9999
