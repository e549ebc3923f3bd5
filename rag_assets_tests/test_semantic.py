"""The strategy semantic needs somebody who embeds."""

import pytest

from rag_assets.errors import SettingsError
from rag_assets.model import ParsedText
from rag_assets.settings import Chunking
from rag_assets.text.chunking import chunker
from rag_assets_tests.cutting import TOKENIZER


def test_semantic_refuses_when_no_embedder_is_given() -> None:
    """It does not quietly become another strategy."""
    parsed = ParsedText(text="hello", media_type="text/plain", parser="test")
    with pytest.raises(SettingsError, match="semantic"):
        chunker.chunk(parsed, tokenizer=TOKENIZER, settings=Chunking(strategy="semantic"))
