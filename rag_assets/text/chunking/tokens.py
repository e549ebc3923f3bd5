"""Text in the embedding model's own tokens: a GGUF file or a server comes in, counts and spans go out."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from rag_assets.gguf_file import read_metadata as read_gguf
from rag_assets.wordpiece import SPECIAL_TOKENS, WORD_START, Span, WordPiece, lowered, without_accent

__all__ = ["SPECIAL_TOKENS", "WORD_START", "RemoteTokenizer", "Span", "Tokenizer", "WordPiece", "read_gguf"]

REQUEST_CHARACTERS = 65_536  # sent to a remote tokenizer at once
SKIPPED_CHARACTERS = 64  # between two tokens of a remote tokenizer


class Tokenizer(Protocol):
    """Counts as the embedding model does; `name` identifies vocabulary and options, for fingerprints."""

    @property
    def name(self) -> str:
        """Another one where the vocabulary or an option is: it is a part of what chunks depend on."""

    @property
    def max_tokens(self) -> int:
        """Tokens of one input that are free for text: the model's positions less the special tokens."""
        ...

    def spans(self, text: str) -> Sequence[Span]:
        """Where each token stands in the text, as (start, end) in characters, in their order."""

    def count(self, text: str) -> int:
        """The number of tokens, without the special ones that a model puts around a text."""


class RemoteTokenizer:
    """Any other model's tokenizer, through `tokenize`: a text -> the text of each token, as /tokenize has it.

    Spans are found by laying the pieces along the text; a piece that cannot be found there (bytes, normalised
    characters) shares the place of the next one that can.
    """

    def __init__(self, name: str, tokenize: Callable[[str], Sequence[str]], *, max_tokens: int) -> None:
        self.name = name
        self.max_tokens = max_tokens
        self._tokenize = tokenize

    def count(self, text: str) -> int:
        """The number of tokens, by one request; none for an empty text."""
        return len(self._tokenize(text)) if text else 0

    def spans(self, text: str) -> list[Span]:
        """Where each token stands in the text, by a request for each REQUEST_CHARACTERS."""
        spans: list[Span] = []
        for start, end in _segments(text, most=REQUEST_CHARACTERS):
            spans.extend(self._laid(text[start:end], offset=start))
        return spans

    def _laid(self, text: str, *, offset: int) -> Iterator[Span]:
        searched = _folded(text)
        ends: list[int] = []
        for piece in self._tokenize(text):
            ends.append(_end_of(piece, searched, position=ends[-1] if ends else 0))
        if ends:
            ends[-1] = len(text)
        return ((offset + start, offset + end) for start, end in zip([0, *ends], ends, strict=False))


def _segments(text: str, *, most: int) -> Iterator[Span]:
    """The text in parts of at most `most` characters, cut before white space where there is some."""
    start = 0
    while start < len(text):
        end = min(start + most, len(text))
        if end < len(text):
            space = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
            end = space if space > 0 else end
        yield start, end
        start = end


def _end_of(piece: str, text: str, *, position: int) -> int:
    """Where `piece` ends when it is looked for from `position` on, white space and little else skipped."""
    word = _folded(piece.replace(WORD_START, " ").strip())
    found = text.find(word, position, position + len(word) + SKIPPED_CHARACTERS)
    return position if found < 0 else found + len(word)


def _folded(text: str) -> str:
    """As long as the text, without case and accents: tokenizers give back what they made of it."""
    return "".join(lowered(without_accent(char, True)) for char in text)
