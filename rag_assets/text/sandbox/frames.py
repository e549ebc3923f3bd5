"""Messages over a pipe: a JSON object and bytes go in at one end and come out at the other, or nothing does."""

import json
import struct
from typing import IO, Any, NamedTuple

FILES_VARIABLE = "RAG_ASSETS_FILES"  # says which descriptor of a child is a socket, by which documents come

_HEAD = struct.Struct("<IQ")  # bytes of JSON, bytes of the body


class Frame(NamedTuple):
    """A message, as an object of JSON, and bytes that belong to it."""

    message: dict[str, Any]
    body: bytes


class BrokenFrame(ValueError):
    """What arrived is no message, or larger than agreed."""


def write(file: IO[bytes], message: dict[str, Any], body: bytes = b"") -> None:
    """Send one message; OSError when the other side is gone."""
    head = json.dumps(message, ensure_ascii=False, skipkeys=True, default=str).encode("utf-8", "replace")
    file.write(_HEAD.pack(len(head), len(body)))
    file.write(head)
    if body:
        file.write(body)
    file.flush()


def read(file: IO[bytes], *, limit: int) -> Frame | None:
    """The next message of at most `limit` bytes, None at the end; BrokenFrame, OSError.

    The other side may be in an attacker's hands: lengths are checked before anything is allocated, numbers that
    are none come as None, characters that PostgreSQL cannot store are gone.
    """
    start = file.read(_HEAD.size)
    if not start:
        return None
    if len(start) < _HEAD.size:
        raise BrokenFrame("it ends within its head")
    length, body_length = _HEAD.unpack(start)
    if length + body_length > limit:
        raise BrokenFrame(f"it has {length + body_length:,} bytes, the limit is {limit:,}")
    message = _object(_exactly(file, length))
    return Frame(message, _exactly(file, body_length))


def _exactly(file: IO[bytes], length: int) -> bytes:
    data = file.read(length) if length else b""
    if len(data) < length:
        raise BrokenFrame(f"it ends after {len(data):,} of {length:,} bytes")
    return data


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=lambda _: None)
        cleaned = _without_controls(value) if b"\\u" in data else value
    except (ValueError, RecursionError) as exc:
        raise BrokenFrame(f"it is no JSON: {exc}") from exc
    if not isinstance(cleaned, dict):
        raise BrokenFrame("it is no JSON object")
    return cleaned


def _without_controls(value: Any) -> Any:
    """JSON spells NUL and lone surrogates as escapes, and only as escapes."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")
    if isinstance(value, list):
        return [_without_controls(item) for item in value]
    if isinstance(value, dict):
        return {_without_controls(key): _without_controls(item) for key, item in value.items()}
    return value
