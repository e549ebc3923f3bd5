"""How much memory all processes take together: while everything is embedded, idle, and over many documents."""

import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from rag_assets_tests.benchmarks import figures, ground, sample
from rag_assets_tests.benchmarks.figures import Figure, say
from rag_assets_tests.benchmarks.running import Up, up
from rag_assets_tests.patience import meanwhile

BULK_GB = 2.0
IDLE_MB = 700.0
GROWTH_MB = 20.0  # over the second half of the documents
PDF_PAGES = 300
LINES_PER_PAGE = 44
IDLE_SECONDS = 45.0  # from the last document: over the 15 s for which a run lingers
SAMPLE_SECONDS = 0.5
PATIENCE_SECONDS = 3_600.0
GROWTH_ROWS = 10_000  # over fewer files, which they share
BULK_DOCUMENTS = 40  # beside the PDF; for embedding is what takes time
WARM_UP_SHARE = 0.3


def measure(*, documents: int, rounds: int) -> Figure:
    """Peak in bulk and idle with `rag-assets up`, `rounds` times idle; growth over `documents` without embedding."""
    with ground.home() as home:
        say(f"Unpacking {documents} documents")
        paths = sample.unpack(home / "documents", documents=documents)
        pdf = home / "three-hundred-pages.pdf"
        pdf.write_bytes(pdf_of(PDF_PAGES))
        bulk, many = [pdf, *paths[:BULK_DOCUMENTS]], paths[BULK_DOCUMENTS:]
        with ground.ready(ground.services_without_server()) as services:
            say(f"Storing vectors of {len(many)} documents, for the growth")
            ground.store_vectors(services, many, beside=home / "copies")
            services.reader.close()
            with up(home, services) as running:
                fresh = _idle(running, 1)[0]
                with _watched(running) as peaks:
                    _ingest(running, bulk)
                idle = _idle(running, rounds)
                growth = _growth(running, many)
    peak = max(peaks) / 1e9
    idle_mb = figures.median(idle) / 1e6
    return Figure(
        benchmark="memory",
        figure="GB (PSS), peak of all processes in bulk with a 300-page PDF",
        value=peak,
        peer="the limit",
        peer_value=BULK_GB,
        aim=f"bulk <= {BULK_GB} GB, up idle <= {IDLE_MB:.0f} MB, no growth over many documents",
        met=peak <= BULK_GB and idle_mb <= IDLE_MB and growth["growth_mb"] <= GROWTH_MB,
        rounds=[value / 1e6 for value in idle],
        details={"up_idle_mb": idle_mb, "up_just_started_mb": fresh / 1e6, "growth": growth},
    )


def _ingest(running: Up, paths: Sequence[Path]) -> None:
    names = [str(path) for path in paths]
    ids = [
        row[0]
        for row in running.sql(f"insert into {ground.TABLE} (file_path) select unnest(%s) returning id::text", names)
    ]
    say(f"Waiting for {len(ids)} documents")
    started = time.monotonic()
    while left := running.sql("select pending + running from rag_status")[0][0]:
        assert time.monotonic() - started < PATIENCE_SECONDS, f"{left} documents are still pending"
        time.sleep(1)
    failed = running.sql("select document_id, last_error from rag_outbox where state = 'dead' limit 3")
    assert not failed, failed


def _idle(running: Up, rounds: int) -> list[float]:
    say(f"Idle for {IDLE_SECONDS:.0f} s")
    time.sleep(IDLE_SECONDS)
    seen = []
    for _ in range(rounds):
        seen.append(float(running.memory()))
        time.sleep(SAMPLE_SECONDS)
    say(f"Idle: {seen[-1] / 1e6:.0f} MB, {running.servers()} llama-servers")
    return seen


@contextmanager
def _watched(running: Up) -> Iterator[list[int]]:
    """What all processes take, every SAMPLE_SECONDS."""
    seen: list[int] = [running.memory()]

    def look(stop: threading.Event) -> None:
        while not stop.wait(SAMPLE_SECONDS):
            seen.append(running.memory())

    try:
        with meanwhile(look):
            yield seen
    finally:
        say(f"Peak {max(seen) / 1e6:.0f} MB")


def _growth(running: Up, paths: Sequence[Path]) -> dict[str, Any]:
    """GROWTH_ROWS rows, whose vectors are stored already, so that parsing and bookkeeping are what runs."""
    started = time.monotonic()
    rows = list(islice(cycle(paths), GROWTH_ROWS))
    with _watched(running) as seen:
        _ingest(running, rows)
    warm = seen[int(len(seen) * WARM_UP_SHARE) :]
    third = max(1, len(warm) // 3)
    first, last = figures.median(warm[:third]), figures.median(warm[-third:])
    return {
        "documents": len(rows),
        "files": len(paths),
        "documents_per_second": len(rows) / (time.monotonic() - started),
        "first_third_mb": first / 1e6,
        "last_third_mb": last / 1e6,
        "growth_mb": (last - first) / 1e6,
        "peak_mb": max(seen) / 1e6,
    }


def pdf_of(pages: int) -> bytes:
    """A PDF of so many pages of text, uncompressed objects and compressed pages, as a printer driver writes it."""
    objects = {1: b"<</Type/Catalog/Pages 2 0 R>>", 3: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"}
    kids = []
    for number in range(pages):
        page, content = 4 + 2 * number, 5 + 2 * number
        kids.append(f"{page} 0 R")
        objects[page] = (
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {content} 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
        ).encode()
        stream = zlib.compress(_page(number))
        head = f"<</Length {len(stream)}/Filter/FlateDecode>>stream\n".encode()
        objects[content] = head + stream + b"\nendstream"
    objects[2] = f"<</Type/Pages/Count {pages}/Kids[{' '.join(kids)}]>>".encode()
    return _assembled(objects)


def _page(number: int) -> bytes:
    lines = [
        f"({number}.{line} The valve of pump {number * line % 97} opens at {line * 7 % 31} bar and closes again.) Tj T*"
        for line in range(LINES_PER_PAGE)
    ]
    return ("BT /F1 10 Tf 50 800 Td 16 TL\n" + "\n".join(lines) + "\nET").encode()


def _assembled(objects: dict[int, bytes]) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    places = {}
    for number in sorted(objects):
        places[number] = len(out)
        out += f"{number} 0 obj\n".encode() + objects[number] + b"\nendobj\n"
    table = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{places[number]:010} 00000 n \n".encode() for number in sorted(objects))
    return bytes(out + f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{table}\n%%EOF\n".encode())
