"""Text in the embedding model's own tokens: a GGUF file or a server comes in, counts and spans go out."""

import hashlib
import re
import struct
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

from rag_assets.errors import SettingsError

Span = tuple[int, int]  # character offsets in the text that was given, end exclusive

SPECIAL_TOKENS = 2  # [CLS] and [SEP]
CACHED_WORDS = 150_000  # about 15 MB a cache; then it starts afresh
CACHED_CHARACTERS = 64  # longer words hardly ever come again
REQUEST_CHARACTERS = 65_536  # sent to a remote tokenizer at once
SKIPPED_CHARACTERS = 64  # between two tokens of a remote tokenizer
WORD_START = "\u2581"  # how a GGUF file marks a piece that begins a word
MATCHED_AS_WRITTEN = frozenset({2, 3, 4})  # GGUF token types unknown, control, user defined


class Tokenizer(Protocol):
    """Counts as the embedding model does; `name` identifies vocabulary and options, for fingerprints."""

    @property
    def name(self) -> str: ...

    @property
    def max_tokens(self) -> int:
        """Tokens of one input that are free for text: the model's positions less the special tokens."""
        ...

    def spans(self, text: str) -> Sequence[Span]: ...

    def count(self, text: str) -> int: ...


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
    ) -> None:
        self.max_tokens = max_tokens
        self._pieces = frozenset(pieces)
        self._specials = tuple(sorted(specials, key=lambda special: (-len(special), special)))
        self._lowercase = lowercase
        self._strip_accents = strip_accents
        self._longest = _longest_by_start(self._pieces)
        self._words = _words(strip_accents)
        self._special = re.compile("|".join(map(re.escape, self._specials)) or r"(?!)")
        self._letters: _Cache[str, str] = _Cache(self._letter)
        self._cuts: _Cache[str, tuple[int, ...]] = _Cache(self._ends)
        self._counts: _Cache[str, int] = _Cache(lambda word: len(self._ends(word)))
        self._run_counts: _Cache[str, int] = _Cache(self._count_run)
        self._ascii_counts: _Cache[bytes, int] = _Cache(lambda word: len(self._ends(word.decode())))
        self._has_punctuation = all(WORD_START + chr(code) in self._pieces for code in _PUNCTUATION)

    @classmethod
    def from_gguf(cls, path: Path) -> "WordPiece":
        """Read vocabulary and options; SettingsError if the file is no GGUF or has another tokenizer."""
        facts = read_gguf(path)
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
        )

    @property
    def name(self) -> str:
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
            return alone + sum(map(self._ascii_counts.__getitem__, data.translate(_SPACED, _CONTROLS).split()))
        if _NOT_SPACE.search(text):
            return self._count_run(text)
        return sum(map(self._run_counts.__getitem__, text.split()))

    def _count_run(self, run: str) -> int:
        return sum(map(self._counts.__getitem__, self._words.findall(run)))

    def spans(self, text: str) -> list[Span]:
        """Where each token stands; an unknown word is one token."""
        spans: list[Span] = []
        for start, end, special in self._fragments(text):
            if special:
                spans.append((start, end))
            else:
                self._append_words(spans, text, within=(start, end))
        return spans

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

    def _letter(self, char: str) -> str:
        """A character as the vocabulary has it; empty where the model does not see it."""
        plain = _plain(char, self._strip_accents)
        if _is_dropped(plain, self._strip_accents):
            return ""
        return _lower(plain) if self._lowercase else plain

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
        return len(self._tokenize(text)) if text else 0

    def spans(self, text: str) -> list[Span]:
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


def read_gguf(path: Path) -> dict[str, Any]:
    """The metadata of a GGUF file (versions 2 and 3): key -> value, without the tensors."""
    try:
        with path.open("rb") as file:
            return _read_metadata(file)
    except (OSError, struct.error, UnicodeDecodeError, KeyError, ValueError) as exc:
        raise SettingsError(f"{path} cannot be read as a GGUF model: {exc}") from exc


_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_LARGEST_STRING = 2**24  # bytes; chat templates are the longest real ones


def _read_metadata(file: BinaryIO) -> dict[str, Any]:
    magic, version, _, entries = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError(f"it starts with {magic!r}, version {version}; GGUF versions 2 and 3 are known")
    return {_read_string(file): _read_value(file, _read_scalar(file, "<I")) for _ in range(entries)}


def _read_value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _read_string(file)
    if kind != _ARRAY:
        return _read_scalar(file, _SCALARS[kind])
    kind, length = struct.unpack("<IQ", file.read(12))
    if kind in (_STRING, _ARRAY):
        return [_read_value(file, kind) for _ in range(length)]
    code = _SCALARS[kind][1]
    return list(struct.unpack(f"<{length}{code}", file.read(length * struct.calcsize(f"<{code}"))))


def _read_string(file: BinaryIO) -> str:
    length = _read_scalar(file, "<Q")
    if length > _LARGEST_STRING:
        raise ValueError(f"a string of {length} bytes")
    return file.read(length).decode("utf-8")


def _read_scalar(file: BinaryIO, code: str) -> Any:
    return struct.unpack(code, file.read(struct.calcsize(code)))[0]


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
_CONTROLS = bytes([*range(0x09), *range(0x0E, 0x20), 0x7F])
_SPACED = bytes.maketrans(_PUNCTUATION, b" " * len(_PUNCTUATION))

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
    plain = _plain(char, strip_accents)
    category = unicodedata.category(plain)
    return plain in _IS_NEW_PUNCTUATION or category[0] == "P" or (category[0] == "S" and plain < "\x7f")


def _plain(char: str, strip_accents: bool) -> str:
    return unicodedata.normalize("NFD", char)[0] if strip_accents and char > "\x7f" else char


def _lower(char: str) -> str:
    return char.lower()[0]


def _is_dropped(char: str, strip_accents: bool) -> bool:
    category = unicodedata.category(char)
    if category[0] == "M" or char in _IS_NEW_MARK:
        return strip_accents
    return char == "\ufffd" or category in ("Cc", "Cf", "Cs", "Co")


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
    return "".join(_lower(_plain(char, True)) for char in text)
