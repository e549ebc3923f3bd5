"""Real files of every kind, bent at random: each is read or refused, none is more than its own misfortune.

Short by default. Longer, with the same rules: RAG_ASSETS_FUZZ_SECONDS=3600 pytest rag_assets_tests/test_fuzz.py
(RAG_ASSETS_FUZZ_SEED repeats a run; what fails is shrunk and shown by hypothesis).
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from rag_assets.errors import DocumentError
from rag_assets.settings import Chunking, Parsing
from rag_assets.text.sandbox.worker import TextWorker
from rag_assets_tests import samples
from rag_assets_tests.cutting import WordModel

SECONDS = float(os.environ.get("RAG_ASSETS_FUZZ_SECONDS", "10"))
SEED = int(os.environ.get("RAG_ASSETS_FUZZ_SEED", random.randrange(2**32)))
EXAMPLES = 100  # between two looks at the clock
LIMITS = Parsing(max_seconds=60, max_memory_mb=512, max_characters=1_000_000, max_zip_bytes=32 * 2**20)

# An edit: where (a share of the length), how many bytes go, what comes in their place.
SMALL = st.integers(0, 24)
PLACE = st.floats(0, 1, exclude_max=True)
INSERTED = st.sampled_from(samples.interesting()) | st.binary(max_size=8) | st.just(b"")
REPEATED = st.sampled_from([1, 1, 1, 2, 50, 5_000])
EDIT = st.tuples(PLACE, SMALL | st.just(10**9), INSERTED, REPEATED)
EDITS = st.lists(EDIT, min_size=1, max_size=6)


def bent(data: bytes, edits: list[tuple[float, int, bytes, int]]) -> bytes:
    for place, length, inserted, times in edits:
        at = int(place * len(data))
        data = data[:at] + inserted * times + data[at + length :]
    return data


def bent_inside(data: bytes, edits: list[tuple[float, int, bytes, int]], *, part: float) -> bytes:
    """One entry of a ZIP file bent, and the whole zipped again; other files as they are."""
    entries = samples.unzipped(data)
    if not entries:
        return bent(data, edits)
    name = list(entries)[int(part * len(entries))]
    return samples.zipped(entries | {name: bent(entries[name], edits)})


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, bytes]:
    """A name and bytes that were a document of that name, or of another."""
    name = draw(st.sampled_from(list(samples.SAMPLES)))
    data = samples.SAMPLES[name]
    edits = draw(EDITS)
    inside = draw(st.booleans())
    data = bent_inside(data, edits, part=draw(PLACE)) if inside else bent(data, edits)
    return draw(st.sampled_from([name, name, name, *samples.SAMPLES])), data


@pytest.fixture(scope="module")
def reader() -> Iterator[TextWorker]:
    """A process of its own: a fault in machine code, a loop or a leak is then found like any other."""
    with TextWorker(parsing=LIMITS, chunking=Chunking(size=64, overlap=8), model=None, asked=WordModel()) as reader:
        yield reader


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_sample_is_read_when_it_is_not_bent(reader: TextWorker, tmp_path: Path, name: str) -> None:
    """Else bending it would show nothing."""
    file = tmp_path.resolve() / name
    file.write_bytes(samples.SAMPLES[name])
    assert reader.read(file, name=name).chunks


def test_bent_document_is_read_or_refused(
    reader: TextWorker, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """No error but those of the closed list, no crash, nothing late, text that PostgreSQL can store."""
    file = tmp_path.resolve() / "document"
    count = 0

    def check(document: tuple[str, bytes]) -> None:
        nonlocal count
        count += 1
        file.write_bytes(document[1])
        problem = problem_with(reader, file, name=document[0])
        assert problem is None, problem

    deadline = time.monotonic() + SECONDS
    numbers = random.Random(SEED)
    while time.monotonic() < deadline:
        options = settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )
        seed(numbers.randrange(2**32))(options(given(documents())(check)))()
    record_property("documents", count)
    print(f"{count} documents in {SECONDS:.0f} s, seed {SEED}")


def problem_with(reader: TextWorker, file: Path, *, name: str) -> str | None:
    try:
        read = reader.read(file, name=name)
    except DocumentError as exc:
        return exc.message if exc.kind in ("crashed", "timed_out", "not_found", "outside_root") else None
    storable = "\0" not in read.parsed.text and len(read.parsed.text) <= LIMITS.max_characters
    return None if storable else "its text cannot be stored"
