"""What is asked of the index to see whether it is sound; each look comes as a verdict, in words and numbers.

Each is a statement or a few, cheap with a million chunks too: of many texts, chunks and vectors, a sample is looked at;
documents that failed, or have no chunks, are counted, all of them. A fault names the command that mends it. Documents
that somebody works on, or is about to, are left out: they change by themselves.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rag_assets.model import are, counted
from rag_assets.postgres import chunks, soundness
from rag_assets.postgres.database import Database
from rag_assets.settings import Settings

FAILED_SHARE = 0.05  # of the documents; fewer are a matter of single documents, which the check of the table names
IDLE_SECONDS = 900  # with work that is due; a run tells that it gets on far more often
CANARIES = 8  # chunks that are searched for, as many as there is time for
CANARY_SECONDS = 2.0  # a search takes milliseconds, and as long as this among a million chunks without an index


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is wrong, with the command that mends it, else what is well; and what was counted."""

    faults: tuple[str, ...]
    well: str
    numbers: Mapping[str, int | float | str]

    @property
    def words(self) -> str:
        """The faults, or what is well."""
        return " ".join(self.faults) or self.well


Look = Callable[[Database, Settings], Verdict]


def texts(database: Database, _settings: Settings) -> Verdict:
    """No text is empty, and none is without its chunks."""
    with database.transaction() as cursor:
        seen = soundness.texts(cursor)
    faults = _faults(
        (seen.empty, f"{counted(seen.empty, 'text')} {are(seen.empty)} empty"),
        (seen.short, f"{counted(seen.short, 'text')} {_have(seen.short)} not all of the chunks that were cut"),
        named=seen.named,
        mended="rag-assets reconcile has them read anew",
    )
    numbers = {"texts": seen.seen, "empty": seen.empty, "without_all_chunks": seen.short}
    return Verdict(faults=faults, well=f"{_each(seen.seen, 'text')} has its chunks.", numbers=numbers)


def failed(database: Database, settings: Settings) -> Verdict:
    """Few documents failed; accepted ones are none of them."""
    with database.transaction() as cursor:
        seen = soundness.failed(cursor, settings.source)
    share = seen.failed / max(seen.documents, 1)
    words = f"{seen.failed} of {counted(seen.documents, 'document')} could not be read ({share:.1%})"
    fault = f"{words}: rag-assets status says why; then correct them, or rag-assets accept."
    numbers = {"documents": seen.documents, "failed": seen.failed, "failed_percent": round(100 * share, 1)}
    return Verdict(faults=(fault,) if share > FAILED_SHARE else (), well=f"{words}.", numbers=numbers)


def owners(database: Database, settings: Settings) -> Verdict:
    """No chunk is of a document that the table does not have."""
    with database.transaction() as cursor:
        seen = soundness.owners(cursor, settings.source)
    faults = _faults(
        (
            seen.ownerless,
            f"{counted(seen.ownerless, 'chunk')} {are(seen.ownerless)} of no document of {settings.source.table}",
        ),
        named=seen.named,
        mended="rag-assets reconcile has them deleted",
    )
    numbers = {"chunks": seen.seen, "of_no_document": seen.ownerless}
    return Verdict(faults=faults, well=f"{_each(seen.seen, 'chunk')} is of a document of the table.", numbers=numbers)


def coverage(database: Database, settings: Settings) -> Verdict:
    """No document is without chunks that is neither pending nor failed."""
    with database.transaction() as cursor:
        seen = soundness.coverage(cursor, settings.source)
    share = seen.with_chunks / max(seen.documents, 1)
    what = f"{counted(seen.overlooked, 'document')} {_have(seen.overlooked)} no chunks and {are(seen.overlooked)} not"
    faults = _faults((seen.overlooked, f"{what} pending"), named=seen.named, mended="rag-assets reconcile")
    can = f"{seen.with_chunks} of {counted(seen.documents, 'document')} can be found"
    well = f"{can}; the others are pending, failed or accepted."
    numbers = {"documents": seen.documents, "with_chunks": seen.with_chunks, "covered_percent": round(100 * share, 1)}
    return Verdict(faults=faults, well=well, numbers=numbers)


def vectors(database: Database, settings: Settings) -> Verdict:
    """Each chunk has a vector of the model, of its dimension and of length 1, and that model's are searched."""
    model, dimension = settings.embedding.model, settings.embedding.dimension
    with database.transaction() as cursor:
        seen = soundness.vectors(cursor, model=model, dimension=dimension)
    faults = _faults(
        (seen.other_size, f"{counted(seen.other_size, 'vector')} {_have(seen.other_size)} not {dimension} numbers"),
        (seen.other_length, f"{counted(seen.other_length, 'vector')} {are(seen.other_length)} zero or not of length 1"),
        named=seen.named,
        mended="rag-assets reembed --where vectors=wrong",
    )
    faults += _faults(
        (seen.other_model, f"{counted(seen.other_model, 'vector')} {are(seen.other_model)} not of {model}"),
        named=seen.named,
        mended="rag-assets reembed --where model=NAME, with the name of that model",
    )
    if seen.serving not in (None, model):
        faults += (f"Searches compare with the vectors of {seen.serving}, and {model} is set: rag-assets init.",)
    numbers: dict[str, int | float | str] = {
        "vectors": seen.seen,
        "of_other_dimension": seen.other_size,
        "not_of_length_1": seen.other_length,
        "of_other_model": seen.other_model,
        "model": model,
    }
    well = f"{_each(seen.seen, 'chunk')} has its vector of {model}, {dimension} numbers."
    return Verdict(faults=faults, well=well, numbers=numbers)


def waiting(database: Database, settings: Settings) -> Verdict:
    """What is due does not wait while nobody works."""
    with database.transaction() as cursor:
        seen = soundness.waiting(cursor)
    idle = seen.seconds if seen.idle_seconds is None else min(seen.seconds, seen.idle_seconds)
    which = f"{counted(seen.due, 'document')} {are(seen.due)} due, the first for {seen.seconds / 60:.0f} minutes"
    fault = f"{which}, and nobody worked on any for {idle / 60:.0f}: " + (
        f"the last run could not do its work. {seen.fault}"
        if seen.fault
        else f"is `rag-assets up` running, and the sensor {settings.dagster.named('document_changes')} on? rag-assets "
        "ingest takes what is pending at once."
    )
    is_late = seen.due > 0 and idle > IDLE_SECONDS
    well = f"{which}, and are being worked on." if seen.due else "Nothing waits."
    numbers = {"due": seen.due, "oldest_minutes": round(seen.seconds / 60, 1)}
    return Verdict(faults=(fault,) if is_late else (), well=well, numbers=numbers)


def canaries(database: Database, settings: Settings) -> Verdict:
    """Each of a few chunks is found first by its own vector, or as well as what is found first."""
    model = settings.embedding.model
    with database.transaction() as cursor:
        sample = chunks.sample_vectors(cursor, model=model, count=CANARIES)
    ends = time.monotonic() + CANARY_SECONDS
    found = [soundness.is_found(database, one, model=model) for one in sample if time.monotonic() < ends]
    lost = found.count(False)
    what = f"A search for a chunk's own vector did not find it first, for {lost} of {counted(len(found), 'chunk')}"
    mended = "rag-assets reembed --where vectors=wrong, then rag-assets index --build"
    well = "A search for the vector of a chunk finds it first."
    numbers = {"searched_for": len(found), "not_found": lost}
    return Verdict(faults=_faults((lost, what), mended=mended), well=well, numbers=numbers)


def _faults(*found: tuple[int, str], mended: str, named: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A sentence with what was found of each kind, of those of which there are any, and what mends it."""
    kinds = ", ".join(words for count, words in found if count)
    which = f" (of the documents {', '.join(named)})" if named else ""
    return (f"{kinds}{which}: {mended}.",) if kinds else ()


def _each(count: int, noun: str) -> str:
    return f"Each of {counted(count, noun)}" if count != 1 else f"The one {noun}"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"
