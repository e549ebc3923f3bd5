"""Whether vectors are those of the model whose name they are stored under: compared with vectors known to be its own.

Those of all-MiniLM-L6-v2 come with this package. Of another model they are those of its first use, which whoever
keeps the index remembers.
"""

import base64
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rag_assets.errors import WrongModel

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

TEXTS = (
    "The pump shows error four.",
    "Return an item within thirty days of the day it reached you; keep the packing slip, and send it all back.",
    "Rosen schneidet man, wenn die Forsythie blüht. " * 2,
)
# Cosine of a model's vectors of one text, however it is quantized and run. Seen of all-MiniLM-L6-v2 beside f32: f16
# 0.9999998, q8_0 0.9996, q5_0 0.989, q4_1 0.962; with --pooling cls 0.32.
SAME_MODEL = 0.95
ENGINE_OF_OURS = 0.9995  # the same, of an engine that is taken only where it is that near to f32
FILE = Path(__file__).with_name("known_vectors.json")


class Memory(Protocol):
    """What an index has stored of its models' vectors, to compare new ones with."""

    def recall(self, model: str) -> "NDArray[float32] | None":
        """The model's vectors of TEXTS at its first use: float32 of shape (texts, dimension); None: it is new."""

    def verify(self, model: str, embed: "Callable[[list[str]], NDArray[float32]]") -> float | None:
        """The least cosine of stored vectors of this model and those of the same texts now; None: none are stored."""

    def remember(self, model: str, vectors: "NDArray[float32]") -> None:
        """Keep them as the model's own."""


class Forgetful:
    """A Memory for callers without an index: it recalls nothing, so that only shipped vectors are compared."""

    def recall(self, model: str) -> "NDArray[float32] | None":
        """Nothing is known."""
        return None

    def verify(self, model: str, embed: "Callable[[list[str]], NDArray[float32]]") -> float | None:
        """Nothing is stored."""
        return None

    def remember(self, model: str, vectors: "NDArray[float32]") -> None:
        """Nothing is kept."""


def require(
    model: str,
    embed: "Callable[[list[str]], NDArray[float32]]",
    *,
    memory: Memory,
    least: float = SAME_MODEL,
    vectors: "NDArray[float32] | None" = None,
) -> None:
    """Raise WrongModel unless what `embed` gives are this model's vectors; a model that is new is remembered.

    `least` is the cosine with vectors that come with this package; others may be of any quantization. `vectors` are
    those of TEXTS, where somebody has had them made already.
    """
    if vectors is None:
        vectors = embed(list(TEXTS))
    known = shipped(model)
    if known is not None:
        _compare(model, least_cosine(vectors, known), least=least)
        return
    known = memory.recall(model)
    if known is not None:
        _compare(model, least_cosine(vectors, known), least=SAME_MODEL)
        return
    found = memory.verify(model, embed)
    if found is not None:
        _compare(model, found, least=SAME_MODEL)
    memory.remember(model, vectors)


def least_cosine(vectors: "NDArray[float32]", others: "NDArray[float32]") -> float:
    """Of vectors of length 1, row by row; 0 where they are not of one shape."""
    if vectors.shape != others.shape:
        return 0.0
    return float((vectors * others).sum(axis=1).min())


@cache
def shipped(model: str) -> "NDArray[float32] | None":
    """The vectors of TEXTS of a model that this package knows, computed in f32."""
    import numpy as np

    rows = json.loads(FILE.read_text(encoding="utf-8")).get(model)
    if rows is None:
        return None
    return np.array([np.frombuffer(base64.b64decode(row), dtype="<f2") for row in rows], dtype=np.float32)


def _compare(model: str, found: float, *, least: float) -> None:
    if found < least:
        raise WrongModel(model, cosine=found, least=least)
