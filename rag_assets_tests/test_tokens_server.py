"""Tokens and chunks against the real llama-server with the real model: what we count is what it counts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from rag_assets.bundled import llama_server
from rag_assets.embedding.client import EmbeddingClient
from rag_assets.embedding.server import LlamaServer
from rag_assets.model import ParsedText, Structure
from rag_assets.settings import Chunking
from rag_assets.settings import LlamaServer as LlamaServerSettings
from rag_assets.text.chunking import chunker, tokens
from rag_assets_tests import cutting, engines, test_chunker
from rag_assets_tests.places import real_documents
from rag_assets_tests.test_wordpiece import CASES, mixed


@pytest.fixture(scope="module")
def server(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddingClient]:
    """The real llama-server with the embedded model."""
    home = tmp_path_factory.mktemp("home")
    chosen = LlamaServerSettings(required_memory_gb=0, threads=1)
    llama = LlamaServer(llama_server.command(), model=model_path, settings=chosen, home=home, of_model=engines.MODEL)
    try:
        yield llama.start()
    finally:
        llama.stop()


@pytest.fixture(scope="module")
def minilm(model_path: Path) -> tokens.WordPiece:
    return tokens.WordPiece.from_gguf(model_path)


def test_counts_agree_with_the_server_when_documents_are_real(
    server: EmbeddingClient, minilm: tokens.WordPiece
) -> None:
    """On every document that is here, whatever its bytes look like as text."""
    for path in real_documents():
        text = path.read_bytes().decode("utf-8", "replace")[:200_000]
        assert minilm.count(text) == len(server.tokenize(text)), path


def test_counts_agree_with_the_server_when_code_points_are_any(
    server: EmbeddingClient, minilm: tokens.WordPiece
) -> None:
    """Every 7th code point, between letters and by itself."""
    codes = [code for code in range(0, 0x32000, 7) if not 0xD800 <= code < 0xE000]
    for first in range(0, len(codes), 1_000):
        for form in ("x{}y", "{}", "É{}"):
            text = "\n".join(form.format(chr(code)) for code in codes[first : first + 1_000])
            assert minilm.count(text) == len(server.tokenize(text)), f"U+{codes[first]:04X} and after, as {form}"


@settings(max_examples=CASES, deadline=None)
@given(mixed)
def test_counts_agree_with_the_server_when_text_is_any(
    server: EmbeddingClient, minilm: tokens.WordPiece, text: str
) -> None:
    """Scripts, marks, controls and special tokens in any order."""
    found = [token["id"] for token in server.tokenize(text)]
    assert minilm.ids(text) == found
    assert minilm.count(text) == len(minilm.spans(text)) == len(found)


def test_remote_tokenizer_agrees_when_it_asks_the_server(server: EmbeddingClient, minilm: tokens.WordPiece) -> None:
    """The way for models whose vocabulary is not read from the file gives the same counts and places."""
    remote = tokens.RemoteTokenizer(
        "server", lambda text: [str(token["piece"]) for token in server.tokenize(text)], max_tokens=510
    )
    text = "The naïve fox's 1,234 été\n\njumped over unbelievable-looking dogs."
    assert remote.count(text) == minilm.count(text)
    ends = [end for _, end in minilm.spans(text)]
    assert sum(end in ends for _, end in remote.spans(text)) > len(ends) * 0.9


@settings(max_examples=CASES, deadline=None)
@given(test_chunker.documents, test_chunker.structures, test_chunker.options)
def test_no_chunk_is_over_the_limit_when_the_server_counts(
    server: EmbeddingClient, minilm: tokens.WordPiece, text: str, structure: Structure, options: dict[str, Any]
) -> None:
    """The promise that embedding rests on: no text is ever too long."""
    parsed = ParsedText(text=text, media_type="text/plain", parser="test", structure=structure)
    chosen = Chunking(**options)
    for chunk in chunker.chunk(parsed, tokenizer=minilm, settings=chosen, embed=cutting.embed):
        count = len(server.tokenize(chunk.embedded_text))
        assert chunk.token_count == count <= chosen.size - tokens.SPECIAL_TOKENS


@pytest.mark.parametrize("strategy", ["recursive", "fixed"])
def test_no_chunk_is_over_the_limit_when_documents_are_real(
    server: EmbeddingClient, minilm: tokens.WordPiece, strategy: Any
) -> None:
    """Whole documents as text, the binary ones included: the limit of the model is never passed."""
    for path in real_documents():
        text = path.read_bytes().decode("utf-8", "replace")[:30_000]
        parsed = ParsedText(text=text, media_type="text/plain", parser="test")
        chunks = chunker.chunk(parsed, tokenizer=minilm, settings=Chunking(strategy=strategy))
        assert all(chunk.token_count <= minilm.max_tokens for chunk in chunks), path
        assert all(len(server.tokenize(chunk.embedded_text)) == chunk.token_count for chunk in chunks[:5]), path
