"""The objects of a PDF by their numbers, as they are written in the file, without their strings.

They are found where they stand, and not by the table of their places, which damaged files do not have. Of several with
one number the last one counts, as an incremental update is appended.
"""

import re
import zlib
from collections.abc import Iterator
from functools import cached_property
from operator import itemgetter

MOST_INFLATED = 2**26  # bytes of the streams that hold a document's objects
PART_BYTES = 2**16  # of a compressed stream that are read at once
MOST_DIGITS = 20  # bytes of an object's number and generation
DEEPEST_STRING = 8  # parentheses within one another

_STREAM = re.compile(rb"/Type\s*/ObjStm.{0,300}?stream\r?\n", re.S)
_STREAM_HEAD = 300  # bytes before /Type that may be of the same dictionary
_FIRST = re.compile(rb"/First\s+(\d{1,9})")
_OBJECT = re.compile(rb" obj\b\s*")
_OBJECT_NUMBER = re.compile(rb"(\d{1,10})\s+\d{1,5}$")
_END = re.compile(rb"stream|endobj")
_ROOT = re.compile(rb"/Root\s+(\d{1,10})\s+\d{1,5}\s+R\b")
_STRING = re.compile(rb"\((?:[^()\\]|\\.)*+\)", re.S)
_NUMBER = re.compile(rb"\d{1,10}")
_REFERENCE = re.compile(rb"(\d{1,10})\s+\d{1,5}\s+R\b")


class Objects:
    """The objects of one document; `parts` are the bytes that they are in: the file, and what is compressed in it."""

    def __init__(self, data: bytes) -> None:
        self._streams = list(_inflated(data))
        self.parts = [data, *(text for _, _, text in self._streams)]

    @property
    def root(self) -> int:
        """The number of the document's catalog; 0 when no trailer says it."""
        found = _ROOT.findall(self.parts[0])
        return int(found[-1]) if found else 0

    def value(self, number: int) -> bytes:
        """What is written of an object, up to its stream if it has one; empty when there is none of this number."""
        text = self._values.get(number, b"")
        return _without_strings(text) if b"(" in text else text

    @cached_property
    def _values(self) -> dict[int, bytes]:
        found = list(_outside(self.parts[0]))
        found += [(at, number, value) for at, first, text in self._streams for number, value in _inside(text, first)]
        found.sort(key=itemgetter(0))
        return {number: value for _, number, value in found}


def references(text: bytes) -> list[int]:
    """The numbers of the objects that a text refers to, in its order."""
    return list(map(int, _REFERENCE.findall(text)))


def reference(text: bytes, key: bytes) -> int:
    """The number of the object that this key of a dictionary refers to; 0 when there is none."""
    found = re.search(rb"/" + key + rb"\s+(\d{1,10})\s+\d{1,5}\s+R\b", text)
    return int(found[1]) if found else 0


def _outside(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The objects that stand in the file itself: the place of each, its number and its value."""
    words = ((word.start(), word.end()) for word in _OBJECT.finditer(data))
    heads = ((_OBJECT_NUMBER.search(data, max(0, at - MOST_DIGITS), at), start) for at, start in words)
    known = [(head, start) for head, start in heads if head]
    ends = [*(head.start() for head, _ in known[1:]), len(data)]
    for (head, start), end in zip(known, ends, strict=False):
        yield head.start(), int(head[1]), _END.split(data[start:end], maxsplit=1)[0]


def _inside(text: bytes, first: int) -> Iterator[tuple[int, bytes]]:
    """The objects of a stream, which begins with the number and the place of each; none is part of two."""
    head = list(map(int, _NUMBER.findall(text, 0, first)))
    found = sorted(zip(head[1::2], head[::2], strict=False))
    ends = [*(first + at for at, _ in found[1:]), len(text)]
    for (at, number), end in zip(found, ends, strict=False):
        yield number, text[first + at : end]


def _without_strings(text: bytes) -> bytes:
    """Strings may have parentheses in them: the inner ones go first."""
    for _ in range(DEEPEST_STRING):
        shorter = _STRING.sub(b" ", text)
        if shorter == text:
            break
        text = shorter
    return text


def _inflated(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Of each stream of objects its place in the file, that of its first object within it, and what is in it."""
    left = MOST_INFLATED
    for found in _STREAM.finditer(data):
        head = data[max(0, found.start() - _STREAM_HEAD) : found.end()].rpartition(b"obj")[2]
        first = _FIRST.search(head)
        text = _inflate(data, found.end(), left)
        yield found.start(), int(first[1]) if first else len(text), text
        left -= len(text)
        if left <= 0:
            return


def _inflate(data: bytes, at: int, most: int) -> bytes:
    """A compressed stream that begins there, as far as it can be read."""
    stream, parts = zlib.decompressobj(), []
    while not stream.eof and most > 0 and at < len(data):
        try:
            parts.append(stream.decompress(data[at : at + PART_BYTES], most))
        except zlib.error:
            break
        most -= len(parts[-1])
        at += PART_BYTES
    return b"".join(parts)
