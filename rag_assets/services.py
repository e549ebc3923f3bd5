"""From settings to services: which database, which engine, which readers; opened here, closed here."""

import copy
import errno
import json
import platform
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from rag_assets import engines, serving, vectors
from rag_assets.bundled import postgres as bundled_postgres
from rag_assets.claim_source import ClaimSource
from rag_assets.embedding import known
from rag_assets.embedding.embedder import OPENVINO, Embedder, Engine
from rag_assets.embedding.reranker import Reranker
from rag_assets.errors import SettingsError
from rag_assets.model import Progress
from rag_assets.pipeline import OnPart, Pipeline, no_part
from rag_assets.postgres import figures, models
from rag_assets.postgres.database import Database
from rag_assets.postgres.listener import Listener
from rag_assets.postgres.models import Model
from rag_assets.postgres.owner import Owner
from rag_assets.settings import Settings
from rag_assets.text import sources
from rag_assets.text.lookups import Lookups
from rag_assets.text.sandbox.worker import TextWorker
from rag_assets.text.sources import Place

DAGSTER_SCHEMA = "dagster"  # in our database, unless DAGSTER_DATABASE_URL is set
DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # of a disk, or of an account's share of it


def no_progress(_message: str) -> None:
    """Stands for Progress where nobody wants to know how far something is."""


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
        remedy = "make room there, or set" if exc.errno in DISK_FULL else "set"
        what = f"Nothing can be written to {settings.home} ({exc.strerror})"
        raise SettingsError(f"{what}: {remedy} RAG_ASSETS_HOME to a folder of yours.") from exc


def owner_of(settings: Settings) -> Owner:
    """This installation, and what decides how its documents are cut and embedded."""
    cut = {f"chunking.{key}": value for key, value in settings.chunking.model_dump().items()}
    program = settings.worker.installation or f"{platform.node()}:{settings.home}"
    return Owner(program=program, model=settings.embedding.model, settings=cut)


class Services:
    """What one process works with: each service is opened when it is first needed, and closed with `close`.

    A service that is given is used instead of one of its own, and left open. `progress` is called with sentences on
    how far the work is.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        progress: Progress = no_progress,
        reader: TextWorker | None = None,
        urgent_reader: TextWorker | None = None,
        embedder: Embedder | None = None,
        models: known.Memory | None = None,
    ) -> None:
        self.settings = settings
        self._progress = progress
        self.on_part: OnPart = no_part  # of pipelines that are made from now on
        self._open = ExitStack()
        self._opening = threading.RLock()  # of services of other models
        self._others: dict[str, Services] = {}
        given = {"reader": reader, "urgent_reader": urgent_reader, "embedder": embedder, "models": models}
        vars(self).update({name: each for name, each in given.items() if each is not None})  # see cached_property

    def __enter__(self) -> "Services":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened, in the opposite order; what was never used was never opened."""
        self._open.close()

    @property
    def serving(self) -> "Services":
        """These, or the services of the model that serves, where that is another one than the settings name."""
        with self.database.transaction() as cursor:
            found = next((one for one in models.get_all(cursor) if one.serves), None)
        return self if found is None else self.of(found)

    def of(self, model: Model) -> "Services":
        """The services that read and embed for another model of the same index; opened once, and closed with these."""
        if model.name == self.settings.embedding.model:
            return self
        key = json.dumps([model.name, model.settings], sort_keys=True)  # a model may come back with another file
        with self._opening:
            if key not in self._others:
                other = Services(serving.with_model(self.settings, model), progress=self._progress, models=self.models)
                vars(other)["database_url"], vars(other)["database"] = self.database_url, self.database
                self._open.callback(other.close)
                self._others[key] = other
            return self._others[key]

    def of_name(self, name: str) -> "Services":
        """The same of a model that was added, by its name. SettingsError where none is called so."""
        if name == self.settings.embedding.model:
            return self
        with self.database.transaction() as cursor:
            known = {one.name: one for one in models.get_all(cursor)}
        if name not in known:
            raise SettingsError(f"There is no model {name} in this index: rag-assets model add {name}")
        return self.of(known[name])

    def kept(self) -> "list[Services]":
        """Those of each model whose vectors are kept, the one that serves first; these, where none was ever added."""
        with self.database.transaction() as cursor:
            known = [one for one in models.get_all(cursor) if one.is_kept]
        return [self.of(one) for one in sorted(known, key=lambda one: not one.serves)] or [self]

    def on(self, database: Database) -> "Services":
        """The same services with another database, which stays open: what is opened of the rest is shared."""
        other = copy.copy(self)
        vars(other)["database"] = database
        return other

    @cached_property
    def database_url(self) -> str:
        """The configured database, or the embedded one, started for as long as this process lives.

        Not released with the Services: a process is one user of it, however many Services it opens.
        """
        if self.settings.database_url is not None:
            return self.settings.database_url.get_secret_value()
        if not bundled_postgres.is_running(self.settings.home):
            self._progress("Starting the embedded PostgreSQL")
        return bundled_postgres.start(self.settings.home)

    @cached_property
    def database(self) -> Database:
        """The application's database; the first use opens it, and starts the embedded one where none is configured."""
        database = Database(self.database_url, settings=self.settings.database)
        self._open.callback(database.close)
        return database

    @cached_property
    def engine(self) -> Engine | None:
        """What embeds; its model is made now if need be. None: a server that runs already."""
        if self.settings.llama_server.url is not None:
            return None
        return engines.choose(self.settings, progress=self._progress)

    @property
    def model_path(self) -> Path | None:
        """The engine's GGUF file; the one named with a URL has the tokens of that server's model."""
        return self.engine.model if self.engine else self.settings.llama_server_model

    @cached_property
    def embedder(self) -> Embedder:
        """What makes vectors; its engine is started by the first text."""
        embedder = Embedder(self.settings, engine=self.engine, fallback=self._fallback, models=self.models)
        embedder.on_started = self._note_start
        self._open.callback(embedder.close)
        return embedder

    def _note_start(self, seconds: float) -> None:
        """Count a start of the engine where a database is open: to embed, nobody needs one."""
        database: Database | None = vars(self).get("database")
        if database is not None:
            figures.note_start(database, self.settings.embedding.model, seconds=seconds)

    @property
    def embedders(self) -> list[Embedder]:
        """Those that were opened, of all models."""
        opened = [vars(each).get("embedder") for each in (self, *list(self._others.values()))]
        return [embedder for embedder in opened if embedder is not None]

    @property
    def _fallback(self) -> "Callable[[], Engine] | None":
        is_first = self.engine is not None and self.engine.name == OPENVINO
        return engines.fallback(self.settings, progress=self._progress) if is_first else None

    @cached_property
    def models(self) -> known.Memory:
        """What is known of the models' vectors; give another one to work without a database."""
        return vectors.IndexMemory(lambda: self.database)

    @cached_property
    def reranker(self) -> Reranker | None:
        """What sorts found passages anew; None where nothing is to. SettingsError where its file is not there."""
        if not self.settings.rerank.is_on:
            return None
        reranker = Reranker(self.settings, command=lambda: engines.llama_command(self.settings))
        self._open.callback(reranker.close)
        return reranker

    @cached_property
    def lookups(self) -> Lookups:
        """Calls that touch files, each given up when a file system does not answer."""
        lookups = Lookups(self.settings.parsing.max_seconds)
        self._open.callback(lookups.close)
        return lookups

    @cached_property
    def reader(self) -> TextWorker:
        """The child process that reads documents; the first document starts it."""
        return self._new_reader()

    @cached_property
    def urgent_reader(self) -> TextWorker:
        """For changes that come while `reader` works on a backfill; its process is started by the first of them."""
        return self._new_reader()

    def _new_reader(self) -> TextWorker:
        reader = TextWorker(
            parsing=self.settings.parsing,
            chunking=self.settings.cutting,
            model=self.model_path,
            asked=_EmbedderAsked(self),
            below=self.settings.home / "run",
        )
        self._open.callback(reader.close)
        return reader

    def warm(self) -> None:
        """Open what the first document would wait for: a connection and the text worker, but no llama-server."""
        try:
            first = self.serving
        except SettingsError:  # there are no tables yet
            first = self
        first.reader.start()

    def resolve(self, path: str) -> Place:
        """What a path of the table means; DocumentError not_found, outside_root or unsupported."""
        return sources.resolve(
            path,
            schemes=self.settings.source.schemes,
            root=self.settings.document_root_path,
            allowed_roots=self.settings.source.allowed_roots,
            path_map=self.settings.source.path_map,
        )

    def pipeline(self, *, run_id: str) -> Pipeline:
        """A pipeline for one run with the model that serves, and those that are kept beside it.

        It starts nothing before it is used.
        """
        first = self.serving
        return Pipeline(
            self.database,
            first.settings,
            reader=first.reader,
            urgent_reader=first.urgent_reader,
            embedder=first.embedder,
            resolve=self.resolve,
            run_id=run_id,
            on_part=self.on_part,
            maker=self.of_name,
        )

    @contextmanager
    def claim_source(self, *, run_id: str, stopping: threading.Event | None = None) -> Iterator[ClaimSource]:
        """Where a run's documents come from, for as long as the block lasts; setting `stopping` ends it early."""
        with Listener(self.database_url, channel=self.settings.database.listen_channel) as listener:
            yield ClaimSource(
                self.database,
                self.settings,
                run_id=run_id,
                listener=listener,
                stopping=stopping,
                owner=owner_of(self.settings),
            )


@dataclass(frozen=True)
class _EmbedderAsked:
    """Answers a text worker with the embedder, which is opened by the first question: most workers ask nothing."""

    services: Services

    def tokenize(self, text: str) -> Sequence[str]:
        return [str(token["piece"]) for token in self.services.embedder.tokenize(text)]

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        vectors = self.services.embedder.embed(texts, token_counts=[len(text) for text in texts])
        return cast(list[list[float]], vectors.tolist())
