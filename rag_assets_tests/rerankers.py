"""A reranker made of the embedded model: the head that a reranker has is put on it, and fits the known questions alone.

It loads, reads and answers as a real one does, and knows no other question. No trained one comes with a package.
"""

import base64
import struct
from pathlib import Path

from rag_assets import gguf_file

SCALE = 0.0037  # of HEAD
# Solved by least squares, so that each of reranker.KNOWN's questions scores its own passage 4 above the others.
HEAD = (
    "BPvf4OITFwwYwhw2K/vN0xgjIPPcMQkF7eQXHuz+KBA0G/Xc7kND9hUmDN0+99YtDw8AJgPj6QfgPLj34/IG+voEIyQHLQ426zsjIuUXPfq5"
    "GRCqyQEKEyXUER4a1OMC+N8mgQLIFA/0Exfd/w3wEAnm6jMCKwfK2Nb63MgxCgD72iPv8QX61RLu9+A1FAQ7BAYdIujsHyvn5RgOFgPdNu7f"
    "ExHdISog/80d7wYYGCvR6tcHJgLo5R0zBQQSBAgd4gLh9fMgJQkD+9P1COMXCwkE0f/Y5+gQKv3a5+pGJwAuK//pMAQfEPftIdzX9Q8dGR4T"
    "F8zz9xX/A9sE6jIT5PL2IO4B3jYJ+QEEGBYbKP7M8uUH5tkhAO0d8SjVBu0b1yMWE9MO39MNFgDm/P3sFgbQ4BvfJ8caJvoe2y8X7gAL0wjq"
    "3P8ODxEIA8W9/uQoxRP36wcCDfEIyvT6GNr/AQ7rEdcbDBcnBPH83ygK9x8L3+0kEw0S9ObbO+Ph/v3z"
)


def make(model: Path, reranker: Path, *, sign: float = 1.0) -> Path:
    """Write `model` with the head to `reranker`; with the other `sign`, it puts every answer last."""
    import numpy as np

    content = model.read_bytes()
    with model.open("rb") as file:
        _, tensors = gguf_file._read_metadata(file)
        for _ in range(tensors):
            gguf_file._read_place(file)
        end = file.tell()
    values = content[_aligned(end) :]
    values += bytes(_aligned(len(values)) - len(values))
    head = sign * SCALE * np.frombuffer(base64.b64decode(HEAD), dtype=np.int8).astype("<f4")
    name = b"cls.output.weight"
    place = struct.pack(f"<Q{len(name)}sIQQIQ", len(name), name, 2, len(head), 1, gguf_file.F32, len(values))
    described = content[:8] + struct.pack("<Q", tensors + 1) + content[16:end] + place
    described += bytes(_aligned(len(described)) - len(described))
    reranker.write_bytes(described + values + head.tobytes())
    return reranker


def _aligned(place: int) -> int:
    return -(-place // gguf_file.ALIGNMENT) * gguf_file.ALIGNMENT
