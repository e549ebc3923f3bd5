"""PDF: objects as they are written in a file."""

import zlib

import pytest

from rag_assets.text.formats.pdf.objects import Objects, reference, references

FILE = b"%PDF-1.5\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n"


def packed(numbers: dict[int, bytes], *, number: int = 90) -> bytes:
    """A stream of objects, compressed."""
    places, values = list[str](), b""
    for at, value in numbers.items():
        places.append(f"{at} {len(values)}")
        values += value
    head = " ".join(places).encode() + b" "
    content = zlib.compress(head + values)
    facts = b"/N %d/First %d/Filter/FlateDecode/Length %d" % (len(numbers), len(head), len(content))
    return b"%d 0 obj\n<</Type/ObjStm%s>>stream\n%s\nendstream\nendobj\n" % (number, facts, content)


def test_objects_are_found_in_the_file_and_in_its_streams() -> None:
    """By their numbers; there is nothing of a number that no object has."""
    objects = Objects(FILE + packed({3: b"<</K 7>>", 4: b"[1 2]"}) + b"trailer<</Root 1 0 R>>")
    assert reference(objects.value(objects.root), b"Pages") == 2
    assert [objects.value(number) for number in (3, 4, 5)] == [b"<</K 7>>", b"[1 2]", b""]
    assert len(objects.parts) == 2


def test_of_several_objects_with_one_number_the_last_one_counts() -> None:
    """A file is changed by what is appended to it, compressed or not."""
    plain = b"3 0 obj\n(none)<</K 1>>\nendobj\n"
    assert Objects(packed({3: b"<</K 7>>"}) + plain).value(3).strip() == b"<</K 1>>"
    assert Objects(plain + packed({3: b"<</K 7>>"})).value(3) == b"<</K 7>>"
    assert Objects(packed({3: b"<</K 7>>"}) + packed({3: b"<</K 8>>"}, number=91)).value(3) == b"<</K 8>>"


def test_streams_are_no_part_of_a_value() -> None:
    """Nor is the number of the next object."""
    objects = Objects(b"3 0 obj\n[5 0 R]\nendobj\n4 0 obj\n<</Length 9>>\nstream\n/K 8 7 6\nendstream\nendobj\n")
    assert references(objects.value(3)) == [5]
    assert objects.value(3).strip() == b"[5 0 R]"
    assert objects.value(4).strip() == b"<</Length 9>>"


@pytest.mark.parametrize("text", [b"(/K 5)", b"(a (/K 5) b)", b"(a \\( /K 5)", b"(\\\\)(/K 5)"])
def test_strings_are_left_out(text: bytes) -> None:
    """What is said in them is no key."""
    value = Objects(packed({3: b"<</Alt" + text + b"/S/P>>"})).value(3)
    assert b"/K" not in value
    assert b"/S/P" in value


@pytest.mark.parametrize("head", [b"", b"3", b"3 0 4 99999 5 0 6 99999 ", b"x y ", b"9" * 5_000 + b" 0 "])
def test_streams_with_a_wrong_head_are_read_as_far_as_they_go(head: bytes) -> None:
    """No object is larger than its stream, nor all of them together."""
    content = zlib.compress(head + b"<</K 7>>" * 100)
    objects = Objects(b"90 0 obj\n<</Type/ObjStm/First %d>>stream\n%s" % (len(head), content))
    assert sum(len(objects.value(number)) for number in range(10)) <= 2 * 800
