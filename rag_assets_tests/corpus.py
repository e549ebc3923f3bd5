"""A small corpus that was really ingested: the samples of the package, by the real model, in a database of its own."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rag_assets import operations, settings
from rag_assets.services import Services
from rag_assets.text.sandbox.worker import TextWorker
from rag_assets_tests.application import CHUNKING, Application

SAMPLES = Path(settings.__file__).parent / "samples"


@contextmanager
def ingested(
    url: str, place: Path, *, reader: TextWorker, model: Path, files: Mapping[str, str] | None = None
) -> Iterator[Services]:
    """Services on a migrated database, in which the samples and these files are indexed; paths are relative."""
    with closing(_application(url, place, reader=reader, model=model)) as application:
        for sample in SAMPLES.iterdir():
            if sample.is_file():
                shutil.copy(sample, application.files)
        for name, content in (files or {}).items():
            (application.files / name).write_text(content, encoding="utf-8")
        with Services(application.settings) as services:
            operations.register(services, [application.files])
            outcomes = application.run(embedder=services.embedder)
            assert {outcome.status for outcome in outcomes.values()} == {"completed"}, outcomes
            operations.fill_words(services)
            yield services


def _application(url: str, place: Path, *, reader: TextWorker, model: Path) -> Application:
    sections: dict[str, Any] = {
        "chunking": CHUNKING,
        "llama_server": {"required_memory_gb": 0, "threads": 1},
        "llama_server_model": model,
    }
    return Application(url, place, reader=reader, urgent_reader=reader, **sections)
