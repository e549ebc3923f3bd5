"""What goes between a text worker and its child: whole frames, of bounded size, that PostgreSQL can store."""

import io
import struct

import pytest

from rag_assets.text.sandbox import frames

MIB = 2**20


@pytest.mark.parametrize(
    "data",
    [
        b"\1",
        struct.pack("<IQ", 2**31, 2**62),
        struct.pack("<IQ", 9, 0) + b"{}",
        struct.pack("<IQ", 2, 9) + b"{}",
        struct.pack("<IQ", 2, 0) + b"[]",
        struct.pack("<IQ", 2, 0) + b"\xff}",
        struct.pack("<IQ", 200_000, 0) + b"[" * 200_000,
        struct.pack("<IQ", 10_007, 0) + b'{"a": ' + b"9" * 10_000 + b"}",
    ],
)
def test_frame_that_is_none_is_refused(data: bytes) -> None:
    """Before anything of the length it claims is allocated."""
    with pytest.raises(frames.BrokenFrame):
        frames.read(io.BytesIO(data), limit=MIB)


def test_frame_carries_what_postgres_can_store() -> None:
    """No NUL, no lone surrogate, no number that is none; other characters as they are."""
    pipe = io.BytesIO()
    frames.write(pipe, {"a": ["x\0y", float("nan"), "é🎉"], "b\0": "\udcff"}, b"body\0")
    pipe.seek(0)
    message, body = frames.read(pipe, limit=MIB) or ({}, b"")
    assert message == {"a": ["xy", None, "é🎉"], "b": "?"}
    assert body == b"body\0"
    head = b'{"a": "\\u0000\\ud800z"}'
    assert frames.read(io.BytesIO(struct.pack("<IQ", len(head), 0) + head), limit=MIB) == ({"a": "z"}, b"")
