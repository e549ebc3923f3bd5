"""Cutting of texts for tests: a small tokenizer, an embedder by letters, prose of any length."""

import random
import string
from collections.abc import Callable, Sequence
from typing import Any

from rag_assets.model import Chunk, ParsedText, Structure
from rag_assets.settings import Chunking
from rag_assets.text.chunking import chunker, tokens

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["hello", "world", "the", "naive", "chunk", "a", "中", "é", *string.ascii_lowercase, *string.digits]
PUNCTUATION = [char for char in string.punctuation]


def vocabulary() -> list[str]:
    """A small WordPiece vocabulary as a GGUF file holds it."""
    first = [tokens.WORD_START + piece for piece in [*WORDS, *PUNCTUATION]]
    return [*SPECIALS, *first, *string.ascii_lowercase, *string.digits, "ing", "ed", "s"]


def small_tokenizer() -> tokens.WordPiece:
    return tokens.WordPiece(vocabulary(), SPECIALS)


TOKENIZER = small_tokenizer()


class LetterTokenizer:
    """A tokenizer whose counts do not add up: three characters a token, white space counted too."""

    name = "letters"
    max_tokens = 8_192

    def spans(self, text: str) -> list[tokens.Span]:
        return [(at, min(at + 3, len(text))) for at in range(0, len(text), 3)]

    def count(self, text: str) -> int:
        return -(-len(text) // 3)


def embed(texts: Sequence[str]) -> list[list[float]]:
    """A vector of letter counts: texts of the same words are alike."""
    return [[1.0, *(float(text.lower().count(letter)) for letter in "aeiounst")] for text in texts]


class WordModel:
    """Answers a text worker without an engine: tokens are words, vectors count letters, or as given functions say."""

    def __init__(
        self,
        *,
        tokenize: Callable[[str], list[str]] = str.split,
        embed: Callable[[Sequence[str]], list[list[float]]] = embed,
    ) -> None:
        self.tokenize = tokenize
        self.embed = embed


def cut(text: str, *, structure: Structure = "markdown", **options: Any) -> tuple[Chunk, ...]:
    parsed = ParsedText(text=text, media_type="text/plain", parser="test", structure=structure)
    return chunker.chunk(parsed, tokenizer=TOKENIZER, settings=Chunking(**options), embed=embed)


def prose(count: int, *, seed: int) -> list[str]:
    """Paragraphs of three to six sentences, all different."""
    chooser = random.Random(seed)
    return [" ".join(_sentence(chooser) for _ in range(chooser.randint(3, 6))) for _ in range(count)]


def _sentence(chooser: random.Random) -> str:
    found = ["".join(chooser.choices("abcdefgh", k=chooser.randint(1, 5))) for _ in range(chooser.randint(5, 15))]
    return " ".join(found).capitalize() + "."
