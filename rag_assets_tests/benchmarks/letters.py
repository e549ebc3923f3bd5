"""Writes rag_assets/text/letters.tsv: how often each language has its letters and letter pairs.

Sources: the word lists of wordfreq 3.1 (Robyn Speer; data under CC BY-SA 4.0); for Estonian the dictionary of Debian's
hunspell-et (LGPL 2.1); for Thai the corpus frequencies of PyThaiNLP (CC0); traditional Chinese is wordfreq's Chinese
converted by OpenCC (Apache 2.0). Frequencies are rounded to a quarter of a natural logarithm.

With these installed, run `python -m rag_assets_tests.benchmarks.letters`.
"""

import heapq
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import resources
from itertools import pairwise
from pathlib import Path

_LATIN = (
    "en",
    "de",
    "fr",
    "es",
    "pt",
    "it",
    "nl",
    "da",
    "nb",
    "sv",
    "fi",
    "is",
    "ca",
    "hu",
    "cs",
    "pl",
    "sk",
    "sl",
    "sh",
)
OTHER_SCRIPTS = ("ru", "uk", "bg", "mk", "el", "he", "ar", "fa", "ur", "th")
ALPHABETIC = (*_LATIN, "ro", "lt", "lv", "et", "tr", "vi", *OTHER_SCRIPTS)
LOGOGRAPHIC = ("zh", "zht", "ja", "ko")
WORDS = 40_000  # of each language
LEAST = 2e-5  # of a language's letters: rarer ones are foreign to it
STEP = 0.25  # of a natural logarithm, per unit of a digit
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
MOST_CHARACTERS = 4_500  # of a language that has a character for each syllable or word
SOURCE = Path(__file__).parents[2] / "rag_assets" / "text" / "letters.tsv"


def words(language: str) -> Iterator[tuple[str, float]]:
    """Its words, and how often each one comes."""
    if language == "et":
        lines = Path("/usr/share/hunspell/et_EE.dic").read_text(encoding="iso8859-15").split("\n")[1:]
        yield from ((line.split("/")[0], 1.0) for line in lines)
    elif language == "th":
        text = (resources.files("pythainlp.corpus") / "ttc_freq.txt").read_text(encoding="utf-8")
        yield from ((word, float(count)) for word, count in (line.split("\t") for line in text.splitlines() if line))
    else:
        yield from _of_wordfreq(language)


def _of_wordfreq(language: str) -> Iterator[tuple[str, float]]:
    import wordfreq

    convert = _traditional() if language == "zht" else str
    name = language[:2]
    best = "large" if name in wordfreq.available_languages("large") else "small"
    found = wordfreq.get_frequency_dict(name, wordlist=best)
    for word, share in heapq.nlargest(WORDS, found.items(), key=lambda one: one[1]):
        yield convert(word), share


def _traditional() -> Callable[[str], str]:
    from opencc import OpenCC

    return OpenCC("s2tw").convert


def alphabetic(language: str) -> tuple[str, list[str]]:
    """Its alphabet, beginning with the space between words, and for each letter a row: how often which ones follow."""
    pairs: Counter[tuple[str, str]] = Counter()
    found = [(unicodedata.normalize("NFC", word.lower()), weight) for word, weight in words(language)]
    latin = language not in OTHER_SCRIPTS
    found = [(word, weight) for word, weight in found if all(_is_native(char, latin=latin) for char in word)]
    total = sum(weight for _, weight in found)
    for word, weight in found:
        # Half as words are used, half as they stand in a dictionary: names are rather like the latter.
        share = 0.5 * weight / total + 0.5 / len(found)
        for pair in pairwise(f" {word} "):
            pairs[pair] += share
    letters = Counter[str]()
    for (_, second), share in pairs.items():
        letters[second] += share
    whole = sum(letters.values())
    alphabet = " " + "".join(sorted(char for char in letters if char != " " and letters[char] > LEAST * whole))
    return alphabet, [_row(alphabet, pairs, first) for first in alphabet]


def _is_native(char: str, *, latin: bool) -> bool:
    if not unicodedata.category(char).startswith(("L", "M")):
        return False
    return ord(char) < 0x250 or 0x1E00 < ord(char) < 0x1F00 if latin else ord(char) >= 0x370


def _row(alphabet: str, pairs: Counter[tuple[str, str]], first: str) -> str:
    counts = [pairs[first, second] for second in alphabet]
    total = sum(counts) or 1.0
    # A pair that no word has is not impossible.
    return "".join(_digit(0.998 * count / total + 0.002 / len(alphabet)) for count in counts)


def _digit(share: float) -> str:
    return DIGITS[min(len(DIGITS) - 1, round(-math.log(share) / STEP))]


def logographic(language: str) -> dict[str, str]:
    """Its characters by how often they come."""
    counts: Counter[str] = Counter()
    found = list(words(language))
    total = sum(weight for _, weight in found)
    for word, weight in found:
        for char in word:
            if ord(char) > 0x3000:
                counts[char] += 0.7 * weight / total + 0.3 / len(found)
    whole = sum(counts.values())
    levels: dict[str, str] = {}
    for char, count in counts.most_common(MOST_CHARACTERS):
        digit = _digit(count / whole)
        levels[digit] = levels.get(digit, "") + char
    return levels


def lines() -> Iterator[str]:
    for language in ALPHABETIC:
        alphabet, rows = alphabetic(language)
        yield f"{language}\t{alphabet}\t{''.join(rows)}"
    for language in LOGOGRAPHIC:
        levels = logographic(language)
        yield "\t".join([language, *(f"{digit}{''.join(sorted(chars))}" for digit, chars in sorted(levels.items()))])


if __name__ == "__main__":
    SOURCE.write_text("".join(f"{line}\n" for line in lines()), encoding="utf-8")
