"""How fast and how well documents are read, beside markitdown and the plain libraries, in one run.

    python -m rag_assets_tests.benchmarks.parsing [--json] [--sample N] [--groups G] [--markitdown-python PATH]

Each reader is given the same files, round about, `ROUNDS` times; the median counts. Processes are started before the
clock; rag_assets reads as it does in a run, through its child process. Quality is the score of
../shared/corpus/check.py: documents with every required check held.
"""

import argparse
import json
import logging
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from rag_assets.errors import DocumentError
from rag_assets.settings import Chunking, Parsing
from rag_assets.text.sandbox.worker import TextWorker

SHARED = (Path(__file__).parents[3] / "shared").resolve()  # the child reads through no link
ROUNDS = 3
MARKITDOWN = """
import json, sys, time
from markitdown import MarkItDown
reader = MarkItDown()
for line in sys.stdin:
    started = time.perf_counter()
    try:
        answer = {"text": reader.convert(line.rstrip("\\n")).text_content}
    except Exception as exc:
        answer = {"error": type(exc).__name__}
    print(json.dumps({**answer, "seconds": time.perf_counter() - started}), flush=True)
"""

Read = Callable[[Path], dict[str, Any]]


def main(argv: Sequence[str] | None = None) -> None:
    options = _options(argv)
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what it says of fonts is of no use here
    with tempfile.TemporaryDirectory() as folder:
        groups = _documents(Path(folder), sample=options.sample)
        groups = {name: paths for name, paths in groups.items() if name.startswith(options.groups)}
        process = _markitdown(options.markitdown_python)
        with TextWorker(parsing=Parsing(), chunking=Chunking(), model=None) as worker:
            readers: dict[str, Read] = {"rag_assets": lambda path: ours(worker, path), "plain": plain}
            if process:
                readers["markitdown"] = lambda path: _asked(process, path)
            try:
                for result in chain(measured(groups, readers), scored(readers)):
                    print(json.dumps(result) if options.json else _line(result), flush=True)
            finally:
                _stop(process)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one JSON line per figure")
    parser.add_argument("--sample", type=int, default=120, help="documents of each kind from scale.tar.xz")
    parser.add_argument("--groups", default="", help="only those that begin so: corpus/pdf, scale ...")
    parser.add_argument("--markitdown-python", type=Path, help="an interpreter that has markitdown")
    return parser.parse_args(argv)


# ---- readers


def ours(worker: TextWorker, path: Path) -> dict[str, Any]:
    """As a run reads: through the child process."""
    try:
        return {"text": worker.parse(path, name=path.name).parsed.text}
    except DocumentError as exc:
        return {"error": exc.kind}


def plain(path: Path) -> dict[str, Any]:
    """The prescribed libraries, used as their first pages show; other formats are decoded."""
    try:
        return {"text": _plain_text(path)}
    except Exception as exc:  # noqa: BLE001 - a peer's failure is its result
        return {"error": type(exc).__name__}


def _plain_text(path: Path) -> str:
    if path.suffix == ".pdf":
        import pypdf

        return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
    if path.suffix == ".docx":
        import docx

        return "\n".join(paragraph.text for paragraph in docx.Document(str(path)).paragraphs)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        import markdownify

        return str(markdownify.markdownify(text))
    return text


def _markitdown(python: Path | None) -> "subprocess.Popen[str] | None":
    if python is None or not python.exists():
        return None
    command = [str(python), "-W", "ignore", "-c", MARKITDOWN]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
    )


def _asked(process: "subprocess.Popen[str]", path: Path) -> dict[str, Any]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("markitdown was started without pipes")
    process.stdin.write(f"{path}\n")
    process.stdin.flush()
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    return answer


def _stop(process: "subprocess.Popen[str] | None") -> None:
    if process:
        process.kill()
        process.communicate()


# ---- figures


def measured(groups: dict[str, list[Path]], readers: dict[str, Read]) -> Iterator[dict[str, Any]]:
    for group, paths in groups.items():
        size = sum(path.stat().st_size for path in paths)
        seconds: dict[str, list[float]] = defaultdict(list)
        for read in readers.values():
            read(paths[0])  # imports
        for _ in range(ROUNDS):
            for name, read in readers.items():
                seconds[name].append(sum(_seconds(read, path) for path in paths))
        for name, times in seconds.items():
            took = statistics.median(times)
            figures = {
                "documents": len(paths),
                "documents_per_second": len(paths) / took,
                "mb_per_second": size / 1e6 / took,
            }
            yield {"group": group, "reader": name, **{key: round(value, 2) for key, value in figures.items()}}


def _seconds(read: Read, path: Path) -> float:
    started = time.perf_counter()
    told = read(path).get("seconds")  # by a reader in another process, without the pipe
    return float(told) if told is not None else time.perf_counter() - started


def scored(readers: dict[str, Read]) -> Iterator[dict[str, Any]]:
    """check.py's own totals, per reader."""
    corpus = SHARED / "corpus"
    expected = [json.loads(line) for line in (corpus / "expect.jsonl").read_text(encoding="utf-8").splitlines()]
    for name, read in readers.items():
        with tempfile.TemporaryDirectory() as folder:
            outputs = Path(folder) / "outputs.jsonl"
            lines = [json.dumps({"path": one["path"], **read(corpus / one["path"])}) for one in expected]
            outputs.write_text("\n".join(lines), encoding="utf-8")
            command = [sys.executable, str(corpus / "check.py"), str(outputs)]
            report = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        for line in report[1:]:
            group, documents, must, should = line.split()
            yield {"group": group, "reader": name, "all_musts": documents, "musts": must, "shoulds": should}


def _documents(folder: Path, *, sample: int) -> dict[str, list[Path]]:
    corpus: dict[str, list[Path]] = defaultdict(list)
    for path in sorted((SHARED / "corpus").glob("*/*")):
        corpus[f"corpus/{path.parent.name}"].append(path)
    return dict(corpus) | _sampled(folder, sample)


def _sampled(folder: Path, sample: int) -> dict[str, list[Path]]:
    """Every n-th document of each kind, and all of them written out before the clock starts."""
    with tarfile.open(SHARED / "scale.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    found: dict[str, list[Path]] = {}
    for kind in ("md", "html", "rst"):
        paths = sorted(folder.rglob(f"*.{kind}"))
        found[f"scale/{kind}"] = paths[:: max(1, len(paths) // sample)][:sample]
    # Plain text: the same words, under names that say so.
    found["scale/txt"] = [Path(shutil.copyfile(path, f"{path}.txt")) for path in found["scale/md"]]
    return found


def _line(result: dict[str, Any]) -> str:
    facts = "  ".join(f"{key} {value}" for key, value in result.items() if key not in ("group", "reader"))
    return f"{result['group']:14} {result['reader']:12} {facts}"


if __name__ == "__main__":
    main()
