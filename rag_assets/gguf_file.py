"""GGUF files, versions 2 and 3: a path comes in, the metadata and where each tensor lies go out.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rag_assets.errors import SettingsError

F32 = 0  # the type of a tensor of 4-byte floats
ALIGNMENT = 32  # bytes, where the file names no other
# Bytes of 256 numbers of each type of tensor, by its number in ggml; no block of any has more. Those that ggml gave up
# are not among them.
# fmt: off
BYTES_OF_256: Mapping[int, int] = {
    0: 1024, 1: 512, 2: 144, 3: 160, 6: 176, 7: 192, 8: 272, 9: 320, 10: 84, 11: 110, 12: 144, 13: 176, 14: 210,
    15: 292, 16: 66, 17: 74, 18: 98, 19: 50, 20: 144, 21: 110, 22: 82, 23: 136, 24: 256, 25: 512, 26: 1024,
    27: 2048, 28: 2048, 29: 56, 30: 512, 34: 54, 35: 66, 39: 136, 40: 144, 41: 36,
}
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """`shape` is in the order of numpy, the fastest dimension last; `start` is a byte of the file."""

    shape: tuple[int, ...]
    kind: int
    start: int

    @property
    def values(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def end(self) -> int:
        """The byte of the file after its values; of a type that is not known, that where they begin."""
        return self.start + self.values * BYTES_OF_256.get(self.kind, 0) // 256


@dataclass(frozen=True, kw_only=True)
class GgufFile:
    """`tensors` are found in the file by their names."""

    metadata: dict[str, Any]
    tensors: dict[str, Tensor]


def read(path: Path) -> GgufFile:
    """All but the tensors' values; SettingsError where the file is no GGUF, or ends before its last tensor does."""
    try:
        with path.open("rb") as file:
            return _read_all(file)
    except struct.error as exc:
        raise SettingsError(f"{path} cannot be read as a GGUF model: it ends too early") from exc
    except (OSError, UnicodeDecodeError, KeyError, ValueError) as exc:
        raise SettingsError(f"{path} cannot be read as a GGUF model: {exc}") from exc


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a GGUF file: key -> value; SettingsError as `read`."""
    return read(path).metadata


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


def _read_all(file: BinaryIO) -> GgufFile:
    metadata, count = _read_metadata(file)
    places = [_read_place(file) for _ in range(count)]
    alignment = metadata.get("general.alignment", ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError(f"its general.alignment is {alignment!r}")
    data = -(-file.tell() // alignment) * alignment
    tensors = {name: Tensor(shape=shape, kind=kind, start=data + offset) for name, shape, kind, offset in places}
    size, needed = os.fstat(file.fileno()).st_size, max((one.end for one in tensors.values()), default=0)
    if size < needed:
        raise ValueError(f"it has {size:,} of {needed:,} bytes, so a part is missing; copy or download it again")
    return GgufFile(metadata=metadata, tensors=tensors)


def _read_place(file: BinaryIO) -> tuple[str, tuple[int, ...], int, int]:
    """A tensor's name, shape, type and where it begins among all values."""
    name, dimensions = _read_string(file), _read_scalar(file, "<I")
    shape = struct.unpack(f"<{dimensions}Q", file.read(8 * dimensions))[::-1]
    kind, offset = struct.unpack("<IQ", file.read(12))
    return name, shape, kind, offset


def _read_metadata(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """Key -> value, and how many tensors follow."""
    magic, version, tensors, entries = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError(f"it starts with {magic!r}, version {version}; GGUF versions 2 and 3 are known")
    return {_read_string(file): _read_value(file, _read_scalar(file, "<I")) for _ in range(entries)}, tensors


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
