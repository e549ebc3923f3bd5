"""BERT's WordPiece as llama.cpp cuts it: a GGUF file's vocabulary and a text come in, counts, spans and ids go out."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from rag_assets import gguf_file
from rag_assets.errors import SettingsError

Span = tuple[int, int]  # character offsets in the text that was given, end exclusive

SPECIAL_TOKENS = 2  # [CLS] and [SEP]
CACHED_WORDS = 150_000  # about 15 MB a cache; then it starts afresh
CACHED_CHARACTERS = 64  # longer words hardly ever come again
WORD_START = "\u2581"  # how a GGUF file marks a piece that begins a word
MATCHED_AS_WRITTEN = frozenset({2, 3, 4})  # GGUF token types unknown, control, user defined


class WordPiece:
    """BERT's WordPiece as llama.cpp cuts it (llm_tokenizer_wpm).

    It differs from other libraries in corners: of a decomposed character only the first code point counts,
    a word has no maximal length, and special tokens written out in the text count as one.
    """

    def __init__(
        self,
        pieces: Iterable[str],
        specials: Iterable[str] = (),
        *,
        max_tokens: int = 510,
        lowercase: bool = True,
        strip_accents: bool = True,
        unknown: int = 0,
    ) -> None:
        self.max_tokens = max_tokens
        self._pieces = {piece: number for number, piece in enumerate(pieces)}
        self._specials = tuple(sorted(specials, key=lambda special: (-len(special), special)))
        self._lowercase = lowercase
        self._strip_accents = strip_accents
        self._unknown = unknown  # the id of what has no pieces
        self._longest = _longest_by_start(self._pieces)
        self._special = re.compile("|".join(map(re.escape, self._specials)) or r"(?!)")
        self._letters: _Cache[str, str] = _Cache(self._letter)
        self._cuts: _Cache[str, tuple[int, ...]] = _Cache(self._ends)
        self._ids: _Cache[str, tuple[int, ...]] = _Cache(self._ids_of)
        self._counts: _Cache[str, int] = _Cache(lambda word: len(self._ends(word)))
        self._run_counts: _Cache[str, int] = _Cache(self._count_run)
        self._ascii_counts: _Cache[bytes, int] = _Cache(lambda word: len(self._ends(word.decode())))
        self._has_punctuation = all(WORD_START + chr(code) in self._pieces for code in _PUNCTUATION)

    @classmethod
    def from_gguf(cls, path: Path) -> "WordPiece":
        """Read vocabulary and options; SettingsError if the file is no GGUF or has another tokenizer."""
        return cls.from_metadata(gguf_file.read_metadata(path), path=path)

    @classmethod
    def from_metadata(cls, facts: dict[str, Any], *, path: Path) -> "WordPiece":
        """The same of metadata that has been read already from `path`."""
        kind = facts.get("tokenizer.ggml.model")
        if kind != "bert":
            raise SettingsError(
                f"{path}: its tokenizer is {kind!r}, and only 'bert' (WordPiece) is read from the file. "
                "Use the server's tokenizer for this model."
            )
        tokens = facts["tokenizer.ggml.tokens"]
        types = facts.get("tokenizer.ggml.token_type") or [1] * len(tokens)
        positions = facts.get(f"{facts.get('general.architecture')}.context_length", 512)
        return cls(
            tokens,
            [token for token, kind in zip(tokens, types, strict=True) if kind in MATCHED_AS_WRITTEN and token],
            max_tokens=positions - SPECIAL_TOKENS,
            lowercase=facts.get("tokenizer.ggml.normalizer.lowercase", True),
            strip_accents=facts.get("tokenizer.ggml.normalizer.strip_accents", True),
            unknown=facts.get("tokenizer.ggml.unknown_token_id", 0),
        )

    @property
    def name(self) -> str:
        """`wordpiece-` and a hash of vocabulary and options."""
        if "_name" not in self.__dict__:
            facts = (
                sorted(self._pieces),
                self._specials,
                self._lowercase,
                self._strip_accents,
                self.max_tokens,
            )
            self._name = f"wordpiece-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}"
        return self._name

    def count(self, text: str) -> int:
        """Number of tokens, without the model's special ones."""
        if self._special.search(text):
            fragments = self._fragments(text)
            return sum(1 if special else self._count(text[start:end]) for start, end, special in fragments)
        return self._count(text)

    def _count(self, text: str) -> int:
        if self._has_punctuation and text.isascii():
            data = text.encode()
            alone = len(data) - len(data.translate(None, _PUNCTUATION))
            return alone + sum(map(self._ascii_counts.__getitem__, data.translate(_TO_SPACES, _CONTROLS).split()))
        if _NOT_SPACE.search(text):
            return self._count_run(text)
        return sum(map(self._run_counts.__getitem__, text.split()))

    def _count_run(self, run: str) -> int:
        return sum(map(self._counts.__getitem__, self._words.findall(run)))

    def ids(self, text: str) -> list[int]:
        """The number of each token in the vocabulary, without the model's special ones."""
        found: list[int] = []
        words = _ASCII_WORDS if text.isascii() else self._words
        for start, end, is_special in self._fragments(text):
            if is_special:
                found.append(self._pieces[text[start:end]])
            else:
                for word in words.findall(text, start, end):
                    found.extend(self._ids[word])
        return found

    @property
    def size(self) -> int:
        """How many tokens the vocabulary has."""
        return len(self._pieces)

    def piece(self, number: int) -> str:
        """The token's text as the vocabulary has it; KeyError where there is none of this number."""
        return self._by_number[number]

    @cached_property
    def _by_number(self) -> dict[int, str]:
        return {number: piece for piece, number in self._pieces.items()}

    def spans(self, text: str) -> list[Span]:
        """Where each token stands; an unknown word is one token."""
        spans: list[Span] = []
        for start, end, special in self._fragments(text):
            if special:
                spans.append((start, end))
            else:
                self._append_words(spans, text, within=(start, end))
        return spans

    @property
    def _words(self) -> re.Pattern[str]:
        return _words(self._strip_accents)

    def _append_words(self, spans: list[Span], text: str, *, within: Span) -> None:
        cuts = self._cuts
        for match in self._words.finditer(text, *within):
            ends = cuts[match[0]]
            if len(ends) == 1:
                spans.append(match.span())
                continue
            begin = last = match.start()
            for cut in ends:
                spans.append((last, begin + cut))
                last = begin + cut

    def _fragments(self, text: str) -> Iterator[tuple[int, int, bool]]:
        position = 0
        for match in self._special.finditer(text):
            yield position, match.start(), False
            yield match.start(), match.end(), True
            position = match.end()
        yield position, len(text), False

    def _ends(self, word: str) -> tuple[int, ...]:
        """Ends of the word's pieces, in characters of the word as written."""
        if word.isascii() and word.isprintable():
            return tuple(self._greedy(WORD_START + (word.lower() if self._lowercase else word))) or (len(word),)
        letters = list(map(self._letters.__getitem__, word))
        normal = "".join(letters)
        if not normal:
            return ()
        ends = self._greedy(WORD_START + normal)
        if len(normal) < len(word):
            kept = [index for index, letter in enumerate(letters) if letter]
            ends = [kept[at - 1] + 1 if at < len(kept) else len(word) for at in ends]
        return tuple(ends) or (len(word),)

    def _ids_of(self, word: str) -> tuple[int, ...]:
        normal = word.lower() if word.isascii() and word.isprintable() and self._lowercase else self._normal(word)
        if not normal:
            return ()
        marked = WORD_START + normal
        cuts = [0, *(end + 1 for end in self._greedy(marked))]
        return tuple(self._pieces[marked[start:end]] for start, end in pairwise(cuts)) or (self._unknown,)

    def _normal(self, word: str) -> str:
        return "".join(map(self._letters.__getitem__, word))

    def _letter(self, char: str) -> str:
        """A character as the vocabulary has it; empty where the model does not see it."""
        plain = without_accent(char, self._strip_accents)
        if _is_dropped(plain, self._strip_accents):
            return ""
        return lowered(plain) if self._lowercase else plain

    def _greedy(self, word: str) -> list[int]:
        """The longest piece first: where pieces end, less the start mark; empty if the word is unknown."""
        pieces, longest = self._pieces, self._longest
        ends: list[int] = []
        at, size = 0, len(word)
        while at < size:
            end = min(size, at + longest.get(word[at : at + 2], 1))
            while end > at and word[at:end] not in pieces:
                end -= 1
            if end == at:
                return []
            ends.append(max(end - 1, 0))
            at = end
        return ends


_Word = TypeVar("_Word", str, bytes)
_Value = TypeVar("_Value")


class _Cache(dict[_Word, _Value]):
    """Words seen before; natural text repeats itself, so nearly every look-up hits."""

    def __init__(self, compute: Callable[[_Word], _Value]) -> None:
        super().__init__()
        self._compute: Callable[[_Word], _Value] = compute

    def __missing__(self, word: _Word) -> _Value:
        value = self._compute(word)
        if len(word) <= CACHED_CHARACTERS:
            if len(self) >= CACHED_WORDS:
                self.clear()
            self[word] = value
        return value


def _longest_by_start(pieces: Iterable[str]) -> dict[str, int]:
    """First two characters -> length of the longest piece that begins so; saves most look-ups."""
    longest: dict[str, int] = {}
    for piece in pieces:
        start = piece[:2]
        if len(piece) > longest.get(start, 0):
            longest[start] = len(piece)
    return longest


# ASCII alone, where no table of Unicode is needed: punctuation and symbols are words by themselves.
_PUNCTUATION = bytes(code for code in range(0x21, 0x7F) if not chr(code).isalnum())
_ASCII_WORDS = re.compile(rf"[{re.escape(_PUNCTUATION.decode())}]|[^{re.escape(_PUNCTUATION.decode())}\t\n\v\f\r ]+")
_CONTROLS = bytes([*range(0x09), *range(0x0E, 0x20), 0x7F])
_TO_SPACES = bytes.maketrans(_PUNCTUATION, b" " * len(_PUNCTUATION))

_NOT_SPACE = re.compile(r"[\x1c-\x1f]")  # str.split() takes these for white space, llama.cpp does not

# What llama.cpp's tables call whitespace, and its ranges of Chinese characters (a gap at U+2B820 included).
_WHITESPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
_LAST_PUNCTUATION = 0x1FFFF  # no plane above has any

# llama.cpp's tables are of Unicode 15.0; Python 3.11 knows 14.0. What the later one added:
_NEW_PUNCTUATION = ((0x11B00, 0x11B09), (0x11F43, 0x11F4F))
_NEW_MARKS = (
    (0xCF3, 0xCF3),
    (0xECE, 0xECE),
    (0x10EFD, 0x10EFF),
    (0x11241, 0x11241),
    (0x11F00, 0x11F01),
    (0x11F03, 0x11F03),
    (0x11F34, 0x11F3A),
    (0x11F3E, 0x11F42),
    (0x13439, 0x13440),
    (0x13447, 0x13455),
    (0x1E08F, 0x1E08F),
    (0x1E4EC, 0x1E4EF),
)
_IS_NEW_PUNCTUATION = frozenset(chr(code) for first, last in _NEW_PUNCTUATION for code in range(first, last + 1))
_IS_NEW_MARK = frozenset(chr(code) for first, last in _NEW_MARKS for code in range(first, last + 1))


@cache
def _words(strip_accents: bool) -> re.Pattern[str]:
    """Matches a character that is a word by itself, or a run of others.

    The planes above the first have their own alternative: inside one class, `re` would try every one of their
    ranges on every letter.
    """
    alone = [chr(code) for code in range(0x21, _LAST_PUNCTUATION) if _stands_alone(chr(code), strip_accents)]
    low = _class(char for char in alone if char <= "\uffff") + _ranges(_CHINESE[:3])
    high = _class(char for char in alone if char > "\uffff") + _ranges(_CHINESE[3:])
    above = "\U00010000-\U0010ffff"
    return re.compile(f"[{low}]|(?:[^{low}{_WHITESPACE}{above}]+|(?![{high}])[{above}])+|[{high}]")


def _class(chars: Iterable[str]) -> str:
    return "".join(map(re.escape, chars))


def _ranges(ranges: Iterable[tuple[int, int]]) -> str:
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


def _stands_alone(char: str, strip_accents: bool) -> bool:
    plain = without_accent(char, strip_accents)
    category = unicodedata.category(plain)
    return plain in _IS_NEW_PUNCTUATION or category[0] == "P" or (category[0] == "S" and plain < "\x7f")


def without_accent(char: str, strip_accents: bool) -> str:
    """The first character of its decomposition, as BERT's tokenizer strips accents, where that is asked for."""
    return unicodedata.normalize("NFD", char)[0] if strip_accents and char > "\x7f" else char


def lowered(char: str) -> str:
    """The first character of its lower case, which may have more: a character stays one."""
    return char.lower()[0]


def _is_dropped(char: str, strip_accents: bool) -> bool:
    category = unicodedata.category(char)
    if category[0] == "M" or char in _IS_NEW_MARK:
        return strip_accents
    return char == "\ufffd" or category in ("Cc", "Cf", "Cs", "Co")
