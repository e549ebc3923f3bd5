"""From settings to working parts: which database, which llama-server, which model; opened here, closed here."""

import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rag_assets import engines, vectors
from rag_assets.bundled import postgres as bundled_postgres
from rag_assets.embedding import known
from rag_assets.embedding.embedder import OPENVINO, Embedder, Engine
from rag_assets.errors import DocumentError, SettingsError
from rag_assets.intake import Intake
from rag_assets.model import FileFacts, Hit, IndexStatus, StoredText, Trouble
from rag_assets.pipeline import Pipeline
from rag_assets.postgres import conninfo, documents, ingestion_log, outbox, owner, reconcile, runs, watch
from rag_assets.postgres import search as vector_search
from rag_assets.postgres.database import Database, require_schema
from rag_assets.postgres.listener import Listener
from rag_assets.postgres.owner import Owner
from rag_assets.settings import Settings
from rag_assets.text import paths
from rag_assets.text.lookups import Lookups
from rag_assets.text.sandbox.worker import TextWorker
from rag_assets.vectors import Marked, Sampled

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

DAGSTER_SCHEMA = "dagster"  # in our database, unless DAGSTER_DATABASE_URL is set
DAGSTER_CONNECTIONS = 4  # that it has at once, where it has much to tell
BYTE_CODE = "__pycache__"  # written beside code by Python, and by pip beside the samples of an installed package
Say = Callable[[str], None]


def silent(_message: str) -> None:
    """Progress nobody asked for."""


def database_url(settings: Settings) -> str:
    """The configured database, or the embedded one, started for as long as this process lives.

    Not released with the Parts: a process is one user of it, however many Parts it opens.
    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return bundled_postgres.start(settings.home)


def dagster_database(settings: Settings, *, database_url: str) -> tuple[str, str | None]:
    """Where Dagster keeps its state: a connection text, and its schema there; None: the one that it finds."""
    if settings.dagster_database_url is not None:
        return settings.dagster_database_url.get_secret_value(), None
    return database_url, DAGSTER_SCHEMA


def require_home(settings: Settings) -> None:
    """Make the home where there is none; SettingsError where nothing can be written to it."""
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.home) as file:
            file.write(b"x")
    except OSError as exc:
        raise SettingsError(
            f"Nothing can be written to {settings.home} ({exc.strerror}): set RAG_ASSETS_HOME to a folder of yours."
        ) from exc


def owner_of(settings: Settings) -> Owner:
    """This installation, and what decides how its documents are cut and embedded."""
    cut = {f"chunking.{key}": value for key, value in settings.chunking.model_dump().items()}
    return Owner(program=f"{platform.node()}:{settings.home}", model=settings.embedding.model, settings=cut)


def files_below(places: Iterable[Path], *, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    """The files named, and all files below the folders named, in order; hidden ones and byte code only when named.

    `on_error` is told of each folder that cannot be read; the others are.
    """
    for place in places:
        if not place.is_dir():
            yield place
            continue
        for folder, folders, files in os.walk(place, onerror=on_error):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name != BYTE_CODE)
            yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))


@dataclass(frozen=True, kw_only=True)
class Registered:
    """What became of files that were to be rows; why each was `left_out` that was, and each folder."""

    registered: int
    new: int
    left_out: tuple[str, ...]


class Parts:
    """What one process works with; each part is opened when it is first needed and closed with `close`."""

    def __init__(self, settings: Settings, *, say: Say = silent) -> None:
        self.settings = settings
        self._say = say
        self._open = ExitStack()

    def __enter__(self) -> "Parts":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._open.close()

    @cached_property
    def database_url(self) -> str:
        return database_url(self.settings)

    @cached_property
    def database(self) -> Database:
        database = Database(self.database_url, settings=self.settings.database)
        self._open.callback(database.close)
        return database

    @cached_property
    def engine(self) -> Engine | None:
        """What embeds; its model is made now if need be. None: a server that runs already."""
        if self.settings.llama_server.url is not None:
            return None
        return engines.choose(self.settings, progress=self._say)

    @property
    def model_path(self) -> Path | None:
        """The engine's GGUF file; the one named with a URL has the tokens of that server's model."""
        return self.engine.model if self.engine else self.settings.llama_server_model

    @cached_property
    def embedder(self) -> Embedder:
        embedder = Embedder(self.settings, engine=self.engine, fallback=self._fallback, models=self.models)
        self._open.callback(embedder.close)
        return embedder

    @property
    def _fallback(self) -> "Callable[[], Engine] | None":
        is_first = self.engine is not None and self.engine.name == OPENVINO
        return engines.fallback(self.settings, progress=self._say) if is_first else None

    @cached_property
    def models(self) -> known.Memory:
        """What is known of the models' vectors; set another one to work without a database."""
        return vectors.Index(lambda: self.database)

    @cached_property
    def _lookups(self) -> Lookups:
        lookups = Lookups(self.settings.parsing.max_seconds)
        self._open.callback(lookups.close)
        return lookups

    @cached_property
    def reader(self) -> TextWorker:
        return self._new_reader()

    @cached_property
    def urgent_reader(self) -> TextWorker:
        """For changes that come while `reader` works on a backfill; its process is started by the first of them."""
        return self._new_reader()

    def _new_reader(self) -> TextWorker:
        reader = TextWorker(
            parsing=self.settings.parsing,
            chunking=self.settings.chunking,
            model=self.model_path,
            tokenize=lambda text: [str(token["piece"]) for token in self.embedder.tokenize(text)],
            embed=lambda texts: self.embedder.embed(texts, token_counts=[len(text) for text in texts]).tolist(),
            below=self.settings.home / "run",
        )
        self._open.callback(reader.close)
        return reader

    def warm(self) -> None:
        """Open what the first document would wait for: a connection and the text worker, but no llama-server."""
        with self.database.transaction():
            self.reader.start()

    def create_table(self) -> bool:
        """Make the documents table, if there is none and nothing is indexed; whether there was none."""
        return self.database.create_table(self.settings.source)

    def create_own_table(self) -> None:
        """The same on the embedded database alone: on yours, the table is the application's."""
        if self.settings.database_url is None:
            self.create_table()

    def migrate(self) -> list[str]:
        """Create or update tables, functions and triggers; the names of what was applied.

        The documents table has to be there: it is made only by who is asked to, and in a new embedded database.
        """
        if not self.database.is_migrated():
            self.create_own_table()
        if self.settings.dagster_database_url is None:
            self.database.create_schema(DAGSTER_SCHEMA)
            self._require_dagster_schema()
        return self.database.migrate(
            self.settings.source, dimension=self.settings.embedding.dimension, owner=owner_of(self.settings)
        )

    def take_over(self) -> None:
        """Have the index follow these settings from now on, and programs with other ones refuse to work."""
        self.database.take_over(owner_of(self.settings))

    def _require_dagster_schema(self) -> None:
        """Said here in a sentence, and not by Dagster, which tries for half a minute, or makes its tables elsewhere."""
        url = conninfo.as_libpq(self.database_url, schema=DAGSTER_SCHEMA)
        seconds = self.settings.database.connect_timeout_seconds
        require_schema(url, DAGSTER_SCHEMA, connections=DAGSTER_CONNECTIONS, seconds=seconds)

    def register(self, places: Iterable[Path]) -> Registered:
        """Make files, and those below folders, rows of the documents table."""
        unreadable: list[OSError] = []
        names = [self._name(path) for path in files_below(places, on_error=unreadable.append)]
        possible = [name for name in names if name == _without_surrogates(name)]
        with self.database.transaction() as cursor:
            before = documents.count(cursor, self.settings.source)
            rows = documents.register(cursor, self.settings.source, possible)
            new = documents.count(cursor, self.settings.source) - before
        left_out = [f"cannot be read, {exc.strerror}: {_without_surrogates(str(exc.filename))}" for exc in unreadable]
        for name in names:
            if (shown := _without_surrogates(name)) != name:
                left_out.append(f"no row can hold a name that is not UTF-8: {shown}")
        return Registered(registered=len(rows), new=new, left_out=tuple(left_out))

    def search(self, query: str, *, k: int) -> list[Hit]:
        """The k nearest passages, best first."""
        vector = self.embedder.embed_query(query)
        with self.database.transaction() as cursor:
            return vector_search.search(cursor, vector, k=k, model=self.settings.embedding.model)

    def reembed(self, ids: Sequence[str], conditions: Sequence[str]) -> Marked:
        """Have stored vectors made anew: those of these documents for which all of `--where` holds."""
        selection, is_wrong = vectors.selection(ids, conditions)
        if not is_wrong:
            return vectors.distrust(self.database, selection)
        model = self.settings.embedding.model
        return vectors.distrust_wrong(self.database, selection, model=model, embed=self._embed)

    def sample_vectors(self) -> Sampled:
        """Whether a few stored vectors are what the model makes of their texts."""
        return vectors.sample(self.database, self.settings.embedding.model, self._embed)

    def _embed(self, texts: list[str]) -> "NDArray[float32]":
        return self.embedder.embed(texts, token_counts=[len(text) // 3 for text in texts])

    def reconcile(self) -> dict[str, int]:
        """Enqueue whatever differs between table, files and index; how many documents, by what was found."""
        model = self.settings.embedding.model
        self.tend()
        with self.database.transaction() as cursor:
            owner.require(cursor, owner_of(self.settings))
            outbox.take_changes(cursor)  # or what the trigger saw would be found once more
        found = reconcile.reconcile_table(
            self.database, self.settings.source, fingerprint=self.reader.fingerprint, model=model
        )
        with self.database.transaction() as cursor:
            outbox.retry_dead(cursor, kind="not_found")  # a file that was missing may be there now
        files = reconcile.reconcile_files(self.database, self.settings.source, look=self._look)
        retried = reconcile.retry_changed(self.database, self.settings.source, changed_at=self._changed_at)
        return {**asdict(found), "changed": files.changed + retried, "missing": files.missing}

    def tend(self) -> None:
        """Look at what no trigger tells of; see watch.tend. SourceUnusable where there is no documents table."""
        watch.tend(self.database, self.settings.source)

    def confirm_deletions(self) -> int:
        """Let go what is indexed and has no row any more, however much it is; how many documents."""
        with self.database.transaction() as cursor:
            return outbox.confirm_deletions(cursor, self.settings.source)

    def held(self) -> str:
        """What to say of deletions that are held; empty where none are."""
        with self.database.transaction() as cursor:
            return str(outbox.held(cursor, self.settings.source)) if outbox.holds(cursor) else ""

    def purge_log(self) -> int:
        """Forget attempts that are older than `worker.log_days`, but for each document's last; how many."""
        with self.database.transaction() as cursor:
            runs.purge(cursor, days=self.settings.worker.log_days)
            return ingestion_log.purge(cursor, days=self.settings.worker.log_days)

    def _look(self, stored: StoredText) -> FileFacts | None:
        """A file's facts as they are now; it is hashed only where size or time differ from what is stored."""
        try:
            return self._lookups.call(lambda: self._facts(stored), name=stored.path)
        except DocumentError:
            return None

    def _facts(self, stored: StoredText) -> FileFacts:
        path, looked_at = self.resolve(stored.path), time.time_ns()
        size, mtime_ns = paths.facts(path)
        if (size, mtime_ns) == (stored.facts.size, stored.facts.mtime_ns):
            return stored.facts
        sha256 = paths.sha256(path, limit=self.settings.parsing.max_bytes)
        return FileFacts(sha256=sha256, size=size, mtime_ns=paths.telling(mtime_ns, looked_at=looked_at))

    def _changed_at(self, path: str) -> float | None:
        """When a file was written or put in its place, whichever came last."""
        try:
            status = self._lookups.call(lambda: self.resolve(path).stat(), name=path)
        except (DocumentError, OSError):
            return None
        return max(status.st_mtime, status.st_ctime)

    def status(self) -> IndexStatus:
        with self.database.transaction() as cursor:
            status = outbox.status(cursor, self.settings.source)  # which says what to do where nothing is set up
            still = runs.standing_still(cursor, seconds=self.settings.worker.processing_timeout_seconds)
            return replace(status, standing_still=still)

    def troubles(self, *, limit: int) -> list[Trouble]:
        """Rows that can be no documents, then documents whose last attempt failed, those given up first."""
        with self.database.transaction() as cursor:
            return outbox.troubles(cursor, self.settings.source, limit=limit)

    def find(self, ids: Sequence[str]) -> tuple[list[str], list[str]]:
        """The documents that ids given by hand name, each once, and those of the ids that name none."""
        if not ids:
            return [], []
        with self.database.transaction() as cursor:
            found = outbox.find(cursor, self.settings.source, ids)
        known = dict.fromkeys(found[one] for one in ids if one in found)
        return list(known), [one for one in dict.fromkeys(ids) if one not in found]

    def retry(self, *, ids: Sequence[str], kind: str | None) -> int:
        """Make failed and dead documents pending again; how many."""
        with self.database.transaction() as cursor:
            return outbox.retry_dead(cursor, ids=ids, kind=kind)

    def retry_failures_of(self, run_id: str) -> int:
        """The same for those that failed in this run, and did not succeed since."""
        with self.database.transaction() as cursor:
            ids = ingestion_log.failed_in(cursor, run_id=run_id)
            return outbox.retry_dead(cursor, ids=ids) if ids else 0

    def release_batches(self) -> int:
        """Give back what a sensor claimed for runs that it was about to request, when it is gone; how many."""
        with self.database.transaction() as cursor:
            return outbox.release_batches(cursor)

    def resolve(self, path: str) -> Path:
        """The file that a path of the table means; DocumentError not_found or outside_root."""
        return paths.resolve(
            path,
            root=self.settings.document_root_path,
            allowed_roots=self.settings.source.allowed_roots,
            path_map=self.settings.source.path_map,
        )

    def pipeline(self, *, run_id: str) -> Pipeline:
        return Pipeline(
            self.database,
            self.settings,
            reader=self.reader,
            urgent_reader=self.urgent_reader,
            embedder=self.embedder,
            resolve=self.resolve,
            run_id=run_id,
        )

    @contextmanager
    def intake(self, *, run_id: str, stopping: threading.Event | None = None) -> Iterator[Intake]:
        with Listener(self.database_url, channel=self.settings.database.listen_channel) as listener:
            yield Intake(
                self.database,
                self.settings,
                run_id=run_id,
                listener=listener,
                stopping=stopping,
                owner=owner_of(self.settings),
            )

    def _name(self, path: Path) -> str:
        """How a file is written in the table: below the root relative to it, so that the root can move."""
        absolute = Path(os.path.abspath(path))
        root = self.settings.document_root_path
        if root is not None and absolute.is_relative_to(root.resolve()):
            return absolute.relative_to(root.resolve()).as_posix()
        return str(absolute)


def _without_surrogates(name: str) -> str:
    """The name as it can be shown: bytes that are no UTF-8, which Python keeps as surrogates, are question marks."""
    return name.encode("utf-8", "replace").decode("utf-8")
