"""Whether stored vectors are the model's, and having those made anew that are not.

A sample of stored chunks, or a selection, is embedded again and compared. What is wrong is marked in
rag_document_chunks: a marked vector is still searched, but it is neither kept nor reused, also not for other documents
with the same words, and its document is pending until it is replaced.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rag_assets.embedding import known
from rag_assets.errors import SettingsError
from rag_assets.postgres import chunks, models
from rag_assets.postgres.chunks import Selection, StoredVector
from rag_assets.postgres.database import Database
from rag_assets.text.chunking.pieces import HEADING_SEPARATOR

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

SAMPLE_CHUNKS = 32  # chunks of a check
LENGTH_TOLERANCE = 0.01  # by which the length of a vector may differ from 1
PAGE_CHUNKS = 256  # chunks that are compared at a time
CONDITIONS = "model=NAME, after=TIME, before=TIME, run=RUN_ID, path=PATTERN and vectors=wrong"

Embed = Callable[[list[str]], "NDArray[float32]"]


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """How many of `compared` stored vectors are not what the model makes of their texts; `least` cosine of all."""

    compared: int
    wrong: int
    least: float


@dataclass(frozen=True, kw_only=True)
class Marked:
    """How many vectors are to be made anew, and of which documents."""

    chunks: int
    documents: tuple[str, ...]


class IndexMemory(known.Memory):
    """The memory of which vectors each model gives, kept in the index's own database."""

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database  # opened when a model is met that does not come with known vectors

    def recall(self, model: str) -> "NDArray[float32] | None":
        """The model's vectors of known.TEXTS as they were at its first use; None where it is new to this index."""
        with self._database().transaction() as cursor:
            return models.get_vectors(cursor, model, known.TEXTS)

    def verify(self, model: str, embed: Embed) -> float | None:
        """The least cosine of a few stored vectors and those of the same chunks now; None where none are stored."""
        found = sample(self._database(), model, embed)
        return found.least if found.compared else None

    def remember(self, model: str, vectors: "NDArray[float32]") -> None:
        """Keep these as the model's vectors of known.TEXTS."""
        with self._database().transaction() as cursor:
            models.record(cursor, model, known.TEXTS, vectors)


def sample(database: Database, model: str, embed: Embed, *, count: int = SAMPLE_CHUNKS) -> Sampled:
    """Embed a few stored chunks again, and compare."""
    with database.transaction() as cursor:
        stored = chunks.sample_vectors(cursor, model=model, count=count)
    cosines = [cosine for _, cosine in _compared(stored, embed)]
    wrong = sum(cosine < known.SAME_MODEL for cosine in cosines)
    return Sampled(compared=len(cosines), wrong=wrong, least=min(cosines, default=1.0))


def distrust(database: Database, selection: Selection) -> Marked:
    """Have the selected vectors made anew; a whole model's, and its next use is a first one."""
    with database.transaction() as cursor:
        count, documents = chunks.distrust(cursor, chunks.selected(cursor, selection))
        if selection == Selection(model=selection.model):
            models.forget(cursor, selection.model)
    return Marked(chunks=count, documents=tuple(documents))


def distrust_wrong(database: Database, selection: Selection, *, model: str, embed: Embed) -> Marked:
    """Embed all that is selected again, and have those vectors made anew that are not the model's."""
    total, named, after = 0, set[str](), 0
    while True:
        with database.transaction() as cursor:
            stored = chunks.list_vectors(cursor, selection, model=model, after=after, limit=PAGE_CHUNKS)
        if not stored:
            return Marked(chunks=total, documents=tuple(sorted(named)))
        after = stored[-1].id
        wrong = {(one.content_sha256, model) for one, cosine in _compared(stored, embed) if cosine < known.SAME_MODEL}
        with database.transaction() as cursor:
            count, documents = chunks.distrust(cursor, wrong)
        total, named = total + count, named | set(documents)


def selection(ids: Sequence[str], conditions: Sequence[str]) -> tuple[Selection, bool]:
    """What the words of `--where` select, and whether of that only vectors that are wrong; all of them have to hold."""
    given: dict[str, str] = {}
    for condition in conditions:
        key, _, value = condition.partition("=")
        if key not in _READERS or not value or key in given:
            raise SettingsError(f"--where {condition}: it takes {CONDITIONS}, each once.")
        given[key] = value
    if given.pop("vectors", "wrong") != "wrong":
        raise SettingsError("--where vectors=...: it takes vectors=wrong.")
    fields = dict(_READERS[key](value) for key, value in given.items())
    is_wrong = any(condition.startswith("vectors=") for condition in conditions)
    return Selection(ids=list(ids) or None, **fields), is_wrong  # type: ignore[arg-type]


def _time(value: str) -> datetime:
    try:
        return datetime.fromisoformat(value).astimezone()  # without a zone: this machine's
    except ValueError as exc:
        raise SettingsError(f"--where: {value!r} is no time; write 2026-11-28 or 2026-11-28T14:30") from exc


def _pattern(value: str) -> str:
    """A pattern of LIKE from one with * and ?."""
    plain = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return plain.replace("*", "%").replace("?", "_")


_READERS: dict[str, Callable[[str], tuple[str, object]]] = {
    "model": lambda value: ("model", value),
    "after": lambda value: ("after_time", _time(value)),
    "before": lambda value: ("before_time", _time(value)),
    "run": lambda value: ("run", value),
    "path": lambda value: ("path", _pattern(value)),
    "vectors": lambda value: ("vectors", value),
}


def _compared(stored: Sequence[StoredVector], embed: Embed) -> Iterator[tuple[StoredVector, float]]:
    """Chunks with the cosine of their stored vector and what their text gives now.

    It is 0 where the dimension differs, or where the stored one is not of length 1: searches compare by inner product
    with an index of such vectors.
    """
    import numpy as np

    texts = [(one, text) for one in stored if (text := _embedded_text(one)) is not None]
    if not texts:
        return
    for (one, _), now in zip(texts, embed([text for _, text in texts]), strict=True):
        then = one.embedding.to_numpy()
        length = float(np.linalg.norm(then))
        is_sound = then.shape == now.shape and abs(length - 1) < LENGTH_TOLERANCE
        yield one, float(then @ now) / length if is_sound else 0.0


def _embedded_text(stored: StoredVector) -> str | None:
    """What was embedded: the content, or with headings before it; its hash tells. None where it cannot be told."""
    path = stored.heading_path
    contexts = [path[first:last] for last in range(len(path), 0, -1) for first in range(last)]
    texts = [stored.content, *(HEADING_SEPARATOR.join(context) + "\n\n" + stored.content for context in contexts)]
    return next((text for text in texts if _sha256(text) == stored.content_sha256), None)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
