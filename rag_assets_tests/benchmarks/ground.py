"""A home of a benchmark's own: database, model, rows and Dagster's storage, all of it gone afterwards."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rag_assets import engines, operations, settings, supervisor
from rag_assets.bundled import model, postgres
from rag_assets.embedding.embedder import Embedder
from rag_assets.report import RunReport
from rag_assets.services import Services
from rag_assets.settings import Settings
from rag_assets_tests.benchmarks import figures

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

OURS = ("DATABASE_URL", "DAGSTER_", "RAG_ASSETS_", "LLAMA_SERVER_MODEL", "DOCUMENT_ROOT_PATH", "LOG_FORMAT")
TABLE = '"TblDocumentFiles"'


class HashEmbedder:
    """Vectors made from a text's hash, in microseconds: where the embedder is not what is measured."""

    build = "hash"
    on_embedded: Callable[[int], None] = staticmethod(lambda _count: None)

    def __init__(self) -> None:
        self.texts = 0  # embedded so far

    def interrupt(self) -> None:
        """It takes no time, so there is nothing to break off."""

    def embed(self, texts: Sequence[str], *, token_counts: Sequence[int]) -> "NDArray[float32]":
        import numpy as np

        self.texts += len(texts)
        seeds = [abs(hash(text)) for text in texts]
        raw = np.array([np.random.default_rng(seed).standard_normal(384) for seed in seeds], dtype=np.float32)
        return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)


def services_without_server(embedder: HashEmbedder | None = None) -> Services:
    """Everything real but the embedder."""
    return Services(load(), embedder=cast(Embedder, embedder or HashEmbedder()))


@contextmanager
def home() -> Iterator[Path]:
    """A folder that is RAG_ASSETS_HOME and the current one, with nothing else configured, and the model in it.

    Nothing of the caller's own settings, .env or database is read.
    """
    place = Path(tempfile.mkdtemp(prefix="rag-assets-benchmark-")).resolve()
    place.chmod(0o711)  # where root runs this, the account that runs PostgreSQL passes through
    before, folder = dict(os.environ), Path.cwd()
    try:
        for name in [name for name in os.environ if name.startswith(OURS)]:
            del os.environ[name]
        os.environ["RAG_ASSETS_HOME"] = str(place)
        os.chdir(place)
        _give_model(place)
        yield place
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(before)
        postgres.remove(place)
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def ready(services: Services) -> Iterator[Services]:
    """Migrated services, and a process in which Dagster finds its storage."""
    assert services.settings.database_url is None, "a benchmark writes into no database of yours"
    with services:
        operations.migrate(services)
        os.environ.update(supervisor.environment(services.settings, database_url=services.database_url))
        yield services


def load(**sections: Any) -> Settings:
    return settings.load(**sections)


def execute(services: Services, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """One statement in a transaction of its own."""
    import psycopg2

    with closing(psycopg2.connect(services.database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def ids(services: Services) -> list[str]:
    return [row[0] for row in execute(services, f"select t.id::text from {TABLE} as t order by t.id")]


def ingest(services: Services, ids: Sequence[str] = ()) -> RunReport:
    """These documents, or all that are pending, in a Dagster run in this process; its report.

    KeyboardInterrupt where the run was told to end: what a part of the documents took is no figure.
    """
    from rag_assets.defs import foreground  # reads the settings when it is imported

    report = foreground.ingest(services, document_ids=ids, on_outcomes=lambda _outcomes: None)
    if report.interrupted:
        raise KeyboardInterrupt
    assert not report.failed, list(report.failed.values())[:3]
    [(left,)] = execute(services, "select count(*) from rag_outbox where state = 'pending'")
    assert ids or not left, f"{left} documents are left after a run over all that were pending"
    return report


def store_vectors(services: Services, paths: Sequence[Path], *, beside: Path) -> None:
    """Ingest copies of these files with vectors made from hashes: the files' own chunks then need no embedding."""
    assert isinstance(services.embedder, HashEmbedder)
    beside.mkdir()
    copies = [beside / f"{number}{path.suffix}" for number, path in enumerate(paths)]
    for path, copy in zip(paths, copies, strict=True):
        shutil.copyfile(path, copy)
    operations.register(services, copies)
    with services.claim_source(run_id="copies") as claim_source:
        for _ in services.pipeline(run_id="copies").ingest(claim_source.pending()):
            pass


def empty_index(services: Services) -> None:
    """Forget all that was read, cut and embedded; every row is pending again."""
    execute(services, "truncate rag_document_chunks, rag_document_text, rag_changes, rag_outbox, rag_ingestion_log")
    operations.migrate(services)  # rows of which nothing is known become pending


def _give_model(place: Path) -> None:
    """The model as each engine wants it, from a cache that outlives the home: it is made from a download."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rag-assets-tests"
    cache.mkdir(parents=True, exist_ok=True)
    chosen = settings.load()
    kinds = {chosen.embedding.quantization, *(("f32",) if engines.uses_openvino(chosen) else ())}
    (place / "models").mkdir()
    for kind in kinds:
        made = model.ensure(cache, quantization=kind, progress=figures.say)
        shutil.copy(made, place / "models" / made.name)
