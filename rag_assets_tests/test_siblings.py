"""Siblings of known faults are read as a person reads them: `python -m rag_assets_tests.siblings`."""

import pytest

from rag_assets.errors import DocumentError
from rag_assets_tests import reading
from rag_assets_tests.siblings.kinds import KINDS
from rag_assets_tests.siblings.sibling import Sibling, faults, sibling

# Not read so yet, and why.
LIMITS = {
    "pdf_damaged_tounicode/all_nul.pdf": "letters that stand for NUL are dropped before anybody sees them",
    "pdf_widgets/value_of_parent.pdf": "pdfium gives what a field itself says, not what its parent does",
}


@pytest.mark.parametrize("kind", KINDS)
def test_siblings_are_read_as_a_person_reads_them(kind: str) -> None:
    """All of a kind, except for those that LIMITS gives the reason of."""
    wrong = {each.name: why for each in KINDS[kind]() if (why := _faults(each))}
    assert set(wrong) == {each.partition("/")[2] for each in LIMITS if each.startswith(f"{kind}/")}, wrong


def test_each_kind_has_at_least_five_siblings_of_different_names() -> None:
    for kind, siblings in KINDS.items():
        names = [each.name for each in siblings()]
        assert len(set(names)) == len(names) >= 5, kind


@pytest.mark.parametrize(
    ("wanted", "wrong"),
    [
        (sibling("a.txt", "", "two words"), "missing: two words"),
        (sibling("a.txt", "", absent=["Three"]), "unwanted: 'Three'"),
        (sibling("a.txt", "", order=["four", "one"]), "order: four > one"),
        (sibling("a.txt", "", rows=[["one", "four"]]), "row broken: one | four"),
        (sibling("a.txt", "", rows=[["fi", "ve"]]), "row broken: fi | ve"),
        (sibling("a.txt", "", "one", absent=["six"], order=["one", "four"], rows=[["Three", "four"]]), None),
    ],
)
def test_a_text_that_is_not_as_wanted_is_said_to_be_so(wanted: Sibling, wrong: str | None) -> None:
    text = "one two\n| Three | four |\n| five | |"
    assert list(faults(wanted, text)) == ([wrong] if wrong else [])


def _faults(wanted: Sibling) -> list[str]:
    try:
        return list(faults(wanted, reading.read(wanted.data, wanted.name).text))
    except DocumentError as exc:
        return [exc.kind]
