"""One per cent of the documents changed, one paragraph each: what is embedded again, and how long it takes."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rag_assets import operations
from rag_assets.report import RunReport
from rag_assets.services import Services
from rag_assets_tests.benchmarks import figures, ground, quiet, sample
from rag_assets_tests.benchmarks.figures import Figure, say

AIM = 0.03  # of the full run's time
CHANGED_SHARE = 0.01
WORDS = "This paragraph was changed in round {round}; it tells of valves, filters and roses instead."


def measure(*, documents: int, rounds: int) -> Figure:
    """Each round: empty the index, fill it, change some files and rows, run again; each run starts a llama-server."""
    with ground.home() as home:
        say(f"Unpacking {documents} documents")
        paths = sample.unpack(home / "documents", documents=documents)
        with ground.ready(Services(ground.load())) as services:
            operations.register(services, paths[:1])
            ground.ingest(services)  # Dagster is imported, its tables are there
            operations.register(services, paths)
        seen = [_round(number, paths) for number in range(rounds)]
    ratio = figures.median([one["delta_seconds"] / one["full_seconds"] for one in seen])
    exact = all(one["embedded"] == one["changed_chunks"] for one in seen)
    return Figure(
        benchmark="delta",
        figure="seconds of a run after 1 % of the documents changed, one paragraph each",
        value=figures.median([one["delta_seconds"] for one in seen]),
        peer="seconds of the full run in the same round",
        peer_value=figures.median([one["full_seconds"] for one in seen]),
        ratio=ratio,
        aim=f"ratio <= {AIM}, and only changed chunks embedded",
        met=ratio <= AIM and exact,
        rounds=seen,
        details={"documents": len(paths), "only_changed_chunks_embedded": exact},
    )


def _round(number: int, paths: Sequence[Path]) -> dict[str, Any]:
    changing = _with_paragraphs(paths, count=max(1, round(len(paths) * CHANGED_SHARE)), skip=number)
    with closing(Services(ground.load())) as services:
        ground.empty_index(services)
        full = quiet.seconds(lambda: ground.ingest(services))
        before = _hashes(services, changing)
    with closing(Services(ground.load())) as services:
        for path in changing:
            _change_one_paragraph(path, number)
        after = _hashes(services, changing)
        _touch(services, changing)
        reports: list[RunReport] = []
        delta = quiet.seconds(lambda: reports.append(ground.ingest(services)))
    seen = {
        "full_seconds": full,
        "delta_seconds": delta,
        "documents_changed": len(changing),
        "chunks_of_them": len(after),
        "changed_chunks": len(after - before),
        "embedded": reports[0].chunks_embedded,
    }
    say(f"Round {number + 1}: {seen}")
    return seen


def _with_paragraphs(paths: Sequence[Path], *, count: int, skip: int) -> list[Path]:
    """Documents long enough to have a middle; others in each round."""
    long = [path for path in paths if path.suffix == ".md" and len(_paragraphs(path)) >= 8]
    return [long[(skip * count + index) % len(long)] for index in range(count)]


def _change_one_paragraph(path: Path, number: int) -> None:
    paragraphs = _paragraphs(path)
    middle = len(paragraphs) // 2
    paragraphs[middle] = WORDS.format(round=number)
    path.write_text("\n\n".join(paragraphs), encoding="utf-8")


def _paragraphs(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n\n")


def _hashes(services: Services, paths: Iterable[Path]) -> set[str]:
    return {chunk.content_sha256 for path in paths for chunk in services.reader.read(path, name=path.name).chunks}


def _touch(services: Services, paths: Iterable[Path]) -> None:
    """The application writes these rows anew."""
    names = [str(path) for path in paths]
    ground.execute(services, f"update {ground.TABLE} set file_path = file_path where file_path = any(%s)", names)
