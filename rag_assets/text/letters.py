"""Which encoding bytes are in, by the letters and letter pairs that each language really has.

For each pair of an encoding and a language that is written in it, the bytes are decoded, and what comes out is as
likely as the product of the likelihoods of its letters after those before them. The most likely pair wins. Costs are
negative natural logarithms of likelihoods throughout. `letters.tsv` holds the frequencies; the program that writes it,
`rag_assets_tests/benchmarks/letters.py`, names their sources.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

MOST_BYTES = 4_096  # of words that are looked at, each once
MOST_PAIRS = 100_000  # whose cost one language remembers
COST_STEP = 0.25  # of a cost, for a digit of the table
COST_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

FIRST_BYTES = 128  # of them, for a first look
CLOSE_COSTS = 30.0  # costs that a first look does not tell apart
COMMON_SYMBOL_COST, RARE_SYMBOL_COST, UNDEFINED_COST, CONTROL_COST = 4.5, 10.0, 11.0, 16.0
RELATED_COST, FOREIGN_COST = 9.0, 14.0  # a letter that the language has not: of its script, of another one
MIXED_COST = 10.0  # ASCII beside another script
ASCII_LETTER_COST = 3.0
BESIDE_SMALL_COST, BESIDE_LARGE_COST = 5.0, 1.5  # an East Asian character and an ASCII letter
OTHER_LANGUAGE_COST = 3.0  # a word in another language than most words of its text
MISPLACED_COST = 6.0  # a symbol where it never stands
CAPITAL_COST, CAPITAL_WITHIN_COST = 1.0, 9.0
STRAY_BYTE_COST = 15.0  # a byte that belongs to no character

_WESTERN = ("de", "fr", "es", "pt", "en", "it", "nl", "da", "nb", "sv", "fi", "is", "ca")
_CENTRAL = ("hu", "cs", "pl", "sk", "sl", "sh", "ro")
_BALTIC = ("lt", "lv", "et")
_CYRILLIC = ("ru", "uk", "bg", "mk")
# The languages that an encoding is used for, and the cost of its being used at all: Windows' ones are seen most.
_ENCODINGS: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("cp1252", 0.0, (*_WESTERN, "et")),
    ("gb18030", 2.0, ("zh",)),
    ("cp932", 2.0, ("ja",)),
    ("cp949", 2.0, ("ko",)),
    ("big5hkscs", 2.0, ("zht",)),
    ("cp1250", 1.5, _CENTRAL),
    ("cp1251", 2.0, _CYRILLIC),
    ("cp1253", 2.0, ("el",)),
    ("cp1254", 1.5, ("tr",)),
    ("cp1255", 3.0, ("he",)),
    ("cp1256", 3.0, ("ar", "fa", "ur")),
    ("cp1257", 1.5, _BALTIC),
    ("cp1258", 3.0, ("vi",)),
    ("cp874", 3.0, ("th",)),
    ("euc_jp", 2.5, ("ja",)),
    ("koi8_r", 2.5, ("ru",)),
    ("koi8_u", 2.5, ("uk",)),
    ("iso8859-2", 3.0, _CENTRAL),
    ("iso8859-5", 3.0, _CYRILLIC),
    ("iso8859-6", 3.0, ("ar",)),
    ("iso8859-7", 3.0, ("el",)),
    ("iso8859-8", 3.0, ("he",)),
    ("iso8859-13", 3.0, _BALTIC),
    ("iso8859-15", 3.0, _WESTERN),
    ("cp850", 4.0, _WESTERN),
    ("cp852", 4.0, _CENTRAL),
    ("cp866", 4.0, ("ru", "uk", "bg")),
    ("mac-roman", 5.0, _WESTERN),
    ("mac-cyrillic", 5.0, _CYRILLIC),
    ("mac-latin2", 6.0, _CENTRAL),
    ("mac-greek", 6.0, ("el",)),
    ("mac-turkish", 6.0, ("tr",)),
    ("iso8859-4", 6.0, _BALTIC),
    ("johab", 6.0, ("ko",)),
    ("cp437", 6.0, ("de", "fr", "es", "en")),
    ("cp737", 6.0, ("el",)),
    ("cp775", 6.0, _BALTIC),
    ("cp855", 6.0, _CYRILLIC),
    ("cp857", 6.0, ("tr",)),
    ("cp862", 6.0, ("he",)),
    ("cp865", 6.0, ("da", "nb")),
    ("cp869", 6.0, ("el",)),
)
EAST_ASIAN = frozenset(("gb18030", "cp949", "cp932", "big5hkscs", "euc_jp", "johab"))
CHARACTER_BYTES = 4  # bytes of a character
_ASIAN = ("zh", "zht", "ja", "ko")

# Words with a byte that is not ASCII, and the ASCII bytes that are the second half of East Asian characters.
_WORD = re.compile(rb"[A-Za-z]*[\x80-\xff][A-Za-z\x80-\xff@\[-`{-~]*")
_WITHIN = "’´·°־׳״ـ"  # seen within words
_OPENING = "‘‚“„¿¡§€£©×±½¼¾µ№"  # never seen after a letter
_CLOSING = "”…®™²³ªº،؛؟"  # never seen before one
_COMMON = frozenset(f"{_WITHIN}{_OPENING}{_CLOSING}«»–—•\xa0")
_FULL_WIDTH = re.compile("[\u3000-\u303f\uff01-\uff5e\u2010-\u2026\u2190-\u2193\u2460-\u2473\u25a0-\u25cf×°±℃①-⑳]")
_SCRIPTS = (  # from the first character of each to the last
    (0x00AA, 0x024F), (0x0300, 0x036F), (0x0370, 0x03FF), (0x0400, 0x052F), (0x0590, 0x05FF), (0x0600, 0x06FF),
    (0x0E00, 0x0E7F), (0x1E00, 0x1EFF), (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xFF66, 0xFF9F),
)  # fmt: skip


class _Language(dict[tuple[str, str], float]):
    """The cost of a character after another one; found once for each pair."""

    def __missing__(self, pair: tuple[str, str]) -> float:
        if len(self) >= MOST_PAIRS:
            self.clear()
        cost = self[pair] = self._cost(*pair)
        return cost

    def _cost(self, first: str, second: str) -> float:
        raise NotImplementedError


class _Alphabetic(_Language):
    def __init__(self, alphabet: str, rows: str) -> None:
        super().__init__()
        self._index = {letter: at for at, letter in enumerate(alphabet)}
        size = len(alphabet)
        self._rows = [
            [COST_DIGITS.index(digit) * COST_STEP for digit in rows[at : at + size]] for at in range(0, size**2, size)
        ]
        self._rows[0][0] = 1.0
        self._is_latin = "a" in self._index
        self._script = _script(alphabet[-1])

    def _cost(self, first: str, second: str) -> float:
        letter = second.lower()[0]
        row = self._rows[self._index.get(first.lower()[0], 0)]
        if second > "\x7f" and letter not in self._index:
            return self._stranger(second, row[0]) + (MISPLACED_COST if second in _OPENING and first.isalpha() else 0.0)
        if not self._is_latin and second.isascii() and second.isalpha():
            return ASCII_LETTER_COST if first.isascii() else MIXED_COST
        cost = row[self._index.get(letter, 0)]
        if not self._is_latin and second > "\x7f" and first.isascii() and first.isalpha():
            cost += MIXED_COST
        if first in _CLOSING and second.isalpha():
            cost += MISPLACED_COST
        return cost + _capital(first, second)

    def _stranger(self, char: str, ends: float) -> float:
        if char in _COMMON:
            return ends + COMMON_SYMBOL_COST
        if char.isalpha() or unicodedata.combining(char):
            same = (_script(char) == self._script) or (self._is_latin and _script(char) in (0, 7))
            return RELATED_COST if same else FOREIGN_COST
        if "\x80" <= char < "\xa0":
            return CONTROL_COST
        return UNDEFINED_COST if char == "\ufffd" else ends + RARE_SYMBOL_COST


class _Logographic(_Language):
    """A language with a character for each syllable or word: how often each one comes says enough."""

    def __init__(self, levels: list[str]) -> None:
        super().__init__()
        self._costs = {char: COST_DIGITS.index(level[0]) * COST_STEP for level in levels for char in level[1:]}

    def _cost(self, first: str, second: str) -> float:
        if second.isascii():
            if not second.isalpha():
                return 1.0
            return ASCII_LETTER_COST + (0.0 if first.isascii() else _beside(second))
        return self._character(second) + (_beside(first) if first.isascii() and first.isalpha() else 0.0)

    def _character(self, char: str) -> float:
        if char in self._costs:
            return self._costs[char]
        if _FULL_WIDTH.match(char):
            return COMMON_SYMBOL_COST
        if char == "\ufffd" or "\ue000" <= char < "\uf900":
            return STRAY_BYTE_COST
        return 6.5 if "\uff66" <= char <= "\uff9f" else 13.0


def _beside(letter: str) -> float:
    return BESIDE_SMALL_COST if letter.islower() else BESIDE_LARGE_COST


def _capital(first: str, second: str) -> float:
    if not second.isupper():
        return 0.0
    return CAPITAL_WITHIN_COST if first.islower() else CAPITAL_COST


def _script(char: str) -> int:
    code = ord(char)
    return next((at for at, (first, last) in enumerate(_SCRIPTS) if first <= code <= last), -1)


@cache
def _table() -> Mapping[str, str]:
    lines = Path(__file__).with_suffix(".tsv").read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t", 1) for line in lines)


@cache
def _language(name: str) -> _Language:
    fields = _table()[name].split("\t")
    return _Logographic(fields) if name in _ASIAN else _Alphabetic(*fields)


def codec(sample: bytes) -> str:
    """The encoding under which these bytes make the most likely words of any language; cp1252 for plain ASCII."""
    name, cost = _likeliest(sample)
    if name in EAST_ASIAN and sample[0] > 127:  # half a character there would pair all halves behind it wrongly
        without, less = _likeliest(sample[1:])
        return without if less + STRAY_BYTE_COST < cost else name
    return name


def _likeliest(sample: bytes) -> tuple[str, float]:
    words = _words(sample)
    if not words:
        return "cp1252", 0.0
    costs = _costs(words[:FIRST_BYTES], _ENCODINGS)
    if len(words) > FIRST_BYTES:
        least = min(costs.values()) + CLOSE_COSTS
        costs = _costs(words, [encoding for encoding in _ENCODINGS if costs[encoding[0]] <= least])
    name = min(costs, key=lambda name: costs[name])
    return name, costs[name]


def mended(line: bytes, name: str) -> str:
    """The most likely text of a line in an East Asian encoding, in which a few bytes belong to no character.

    The cheapest way through its bytes, each a part of a character or a stray, found from its beginning to its end:
    after a lost byte, the halves of all characters behind it would be paired wrongly.
    """
    language = _language(next(languages[0] for encoding, _, languages in _ENCODINGS if encoding == name))
    best: list[tuple[float, str, int]] = [(0.0, "", 0)]  # of the line up to each byte: cost, last character, its start
    for end in range(1, len(line) + 1):
        best.append(min(_endings(line, end, best, name, language)))
    found, end = [], len(line)
    while end:
        _, char, start = best[end]
        found.append(char)
        end = start
    return "".join(reversed(found))


def _endings(
    line: bytes, end: int, best: Sequence[tuple[float, str, int]], name: str, language: _Language
) -> Iterator[tuple[float, str, int]]:
    yield best[end - 1][0] + STRAY_BYTE_COST, "", end - 1
    for start in range(max(0, end - CHARACTER_BYTES), end):
        char = _character(line[start:end], name)
        if char:
            yield best[start][0] + language[best[start][1] or "\n", char], char, start


@lru_cache(maxsize=20_000)
def _character(data: bytes, name: str) -> str:
    """The character for which these bytes stand in an encoding; empty where they stand for none."""
    try:
        text = data.decode(name)
    except UnicodeDecodeError:
        return ""
    return text if len(text) == 1 else ""


def _words(sample: bytes) -> bytes:
    """The words that are not ASCII, each once, one on a line."""
    found: dict[bytes, None] = {}
    size = 0
    for match in _WORD.finditer(sample):
        word = match.group()[: MOST_BYTES - size]
        if word not in found:
            found[word] = None
            size += len(word)
        if size >= MOST_BYTES:
            break
    return b"\n".join(found)


def _costs(words: bytes, encodings: Iterable[tuple[str, float, tuple[str, ...]]]) -> dict[str, float]:
    """By encoding, the least cost of these words in any of its languages."""
    costs = {}
    known: dict[tuple[str, str], list[float]] = {}  # by text and language: many encodings have the same letters here
    for name, rarity, languages in encodings:
        text = words.decode(name, errors="replace")
        if name == "cp1258":  # accents are characters of their own
            text = unicodedata.normalize("NFC", text)
        pairs: list[list[tuple[str, str]]] = []
        for language in languages:
            if (text, language) not in known:
                pairs = pairs or [list(pairwise(f"\n{word}\n")) for word in text.split("\n")]
                known[text, language] = [sum(map(_language(language).__getitem__, word)) for word in pairs]
        costs[name] = rarity + _cost([known[text, language] for language in languages])
    return costs


def _cost(costs: Sequence[Sequence[float]]) -> float:
    """The cost of words, by language and word, most of which are in one language and some in others."""
    if len(costs) == 1:
        return float(sum(costs[0]))
    least = [min(others) + OTHER_LANGUAGE_COST for others in zip(*costs, strict=True)]
    return min(float(sum(map(min, own, least))) for own in costs)
