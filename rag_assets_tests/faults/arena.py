"""An application's table and files that change, and the judge who says what the index must hold in the end."""

import os
import random
import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import psutil
import psycopg2
from psycopg2 import sql

from rag_assets.bundled import postgres, postgres_watchdog
from rag_assets.claim_source import ClaimSource
from rag_assets.model import Claim, Outcome
from rag_assets.pipeline import Embeds, Pipeline, Reader
from rag_assets.postgres import outbox
from rag_assets.postgres.database import Database
from rag_assets.postgres.listener import Listener
from rag_assets.services import Services
from rag_assets.settings import Settings, Source
from rag_assets.text.sandbox.worker import TextWorker
from rag_assets_tests import rows

DIMENSION = 384
ROUNDS = 30  # runs until everything must have settled
DOCUMENTS = '"TblDocumentFiles"'
WORDS = (
    "pump",
    "error",
    "filter",
    "valve",
    "return",
    "rose",
    "garden",
    "needle",
    "engine",
    "letter",
    "window",
    "river",
)
EVENTS = "create table test_events (run_id text, document_id text, content_sha256 text)"

Piece = tuple[str, str, bool]  # document, chunk hash, vector present
VectorOf = Callable[[str], Any]  # of a text: numbers
Listen = Callable[[], Listener]
Take = Callable[[ClaimSource], Iterable[Sequence[Claim]]]


class HashEmbedder:
    """The vector of a text is made from its hash: what is stored where can be checked without a model."""

    build = "hash"
    on_embedded: Callable[[int], None] = staticmethod(lambda _count: None)

    def __init__(self, seconds: float = 0.0, *, per_text: float = 0.0) -> None:
        self._seconds = seconds
        self._per_text = per_text

    def interrupt(self) -> None:
        """It takes no time, so there is nothing to break off."""

    def embed(self, texts: Any, *, token_counts: Any) -> "np.ndarray[Any, np.dtype[np.float32]]":
        time.sleep(self._seconds + self._per_text * len(texts))
        return np.array([rows.vector(text) for text in texts], dtype=np.float32).reshape(len(texts), DIMENSION)


@dataclass(kw_only=True)
class Result:
    """What became of the trials of one kind; each violation says what, of which trial."""

    trials: int = 0
    violations: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def add(self, violations: list[str], *, trial: object = "") -> None:
        self.trials += 1
        self.violations += [f"{trial}: {violation}" for violation in violations]


class Readers:
    """Warm readers, each lent to one arena after the other: to start one costs a second, and a trial needs several."""

    def __init__(self) -> None:
        self._idle: dict[str, list[TextWorker]] = {}  # by the settings that they read with
        self._open = ExitStack()

    def __enter__(self) -> "Readers":
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    @contextmanager
    def lent(self, settings: Settings) -> Iterator[TextWorker]:
        """One that reads with these settings, and that nobody else has meanwhile."""
        chosen = settings.parsing, settings.chunking, settings.llama_server_model
        idle = self._idle.setdefault(repr(chosen), [])
        reader = idle.pop() if idle else self._open.enter_context(new_reader(settings))
        try:
            yield reader
        finally:
            idle.append(reader)


class Ground:
    """A PostgreSQL server with a template of a migrated application, the model, and readers."""

    def __init__(self, server_url: str, *, model: Path) -> None:
        self.server_url = server_url
        self.model = model
        self._template = f"faults_{secrets.token_hex(4)}"
        self._readers = Readers()

    @contextmanager
    def template(self) -> Iterator["Ground"]:
        self._run(sql.SQL("create database {}").format(sql.Identifier(self._template)))
        try:
            prepare(self._url(self._template))
            with self._readers:
                yield self
        finally:
            self._run(sql.SQL("drop database {} with (force)").format(sql.Identifier(self._template)))

    @contextmanager
    def arena(self, seed: int, **options: Any) -> Iterator["Arena"]:
        name = f"fault_{secrets.token_hex(4)}"
        # By copying files, 50 ms instead of 300: the other way writes all of it to the write-ahead log.
        create = sql.SQL("create database {} template {} strategy file_copy")
        self._run(create.format(sql.Identifier(name), sql.Identifier(self._template)))
        try:
            arena = partial(Arena, self._url(name), model=self.model, seed=seed, readers=self._readers, **options)
            with folder() as place, arena(place) as made:
                yield made
        finally:
            self._run(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self.server_url)._replace(path=f"/{name}"))

    def _run(self, statement: sql.Composed) -> None:
        with closing(psycopg2.connect(self.server_url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)


def new_reader(settings: Settings) -> TextWorker:
    return TextWorker(parsing=settings.parsing, chunking=settings.chunking, model=settings.llama_server_model)


@contextmanager
def folder() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="rag-faults-")).resolve()
    place.chmod(0o711)  # the account that runs PostgreSQL for root passes through
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def server() -> Iterator[str]:
    """A PostgreSQL of a home that is gone afterwards; its URL."""
    with folder() as home:
        try:
            yield postgres.start(home)
        finally:
            postgres.remove(home)


def prepare(url: str) -> None:
    """The application's table, and ours."""
    rows.execute(url, f"create table {DOCUMENTS} (id bigserial primary key, file_path text not null, version int)")
    with closing(Database(url)) as database:
        database.create_table(Source())
        database.migrate(Source(), dimension=DIMENSION)
    rows.execute(url, EVENTS)


class Arena:
    """One database, one folder of files, and what the test does to both; everything random comes from the seed."""

    def __init__(
        self, url: str, place: Path, *, model: Path, seed: int, readers: Readers | None = None, **options: Any
    ) -> None:
        self.url = url
        self.place = place
        self.files = place / "files"
        self.files.mkdir(exist_ok=True)
        self.rng = random.Random(seed)
        self.settings = settings_for(url, place, model=model, **options)
        self.embedder: Embeds = HashEmbedder()
        self.vector_of: VectorOf | None = rows.vector  # None: the judge cannot know
        self._names = 0
        self._open = ExitStack()
        self._readers = readers or self._open.enter_context(Readers())
        self.database = Database(url)
        self._open.callback(self.database.close)

    def __enter__(self) -> "Arena":
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    @cached_property
    def reader(self) -> TextWorker:
        return self.another_reader()

    @cached_property
    def judge(self) -> TextWorker:
        return self.another_reader()

    def another_reader(self) -> TextWorker:
        """A warm one, that was perhaps another arena's, for as long as this one is open."""
        return self._open.enter_context(self._readers.lent(self.settings))

    def new_reader(self) -> TextWorker:
        """One of which nothing was started yet, where the fault is one of its start."""
        return self._open.enter_context(new_reader(self.settings))

    # ---- what the application does

    def text(self, sentences: int = 0, *, rng: random.Random | None = None) -> str:
        chosen = rng or self.rng
        count = sentences or chosen.randrange(2, 14)
        return "\n\n".join(" ".join(chosen.choices(WORDS, k=12)).capitalize() + "." for _ in range(count))

    def new_file(self) -> str:
        self._names += 1
        name = f"{self._names}-{self.rng.randrange(10**9)}.txt"
        (self.files / name).write_text(self.text())
        return name

    def insert(self, count: int) -> None:
        names = [self.new_file() for _ in range(count)]
        values = ", ".join(f"('{name}', 0)" for name in names)
        self.sql(f"insert into {DOCUMENTS} (file_path, version) values {values}")

    def change(self, count: int) -> None:
        """Rewrite, add and delete documents; one in six is deleted."""
        known = self.sql(f"select id, file_path from {DOCUMENTS} order by id")
        for document_id, name in self.rng.sample(known, min(count, len(known))):
            if self.rng.random() < 1 / 6:
                self.sql(f"delete from {DOCUMENTS} where id = {document_id}")
                (self.files / name).unlink()
            else:
                replace_text(self.files / name, self.text())
                self.sql(f"update {DOCUMENTS} set version = version + 1 where id = {document_id}")
        self.insert(max(1, count // 4))

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return rows.execute(self.url, statement)

    # ---- runs

    def run(self, *, run_id: str = "", embedder: Embeds | None = None, reader: Reader | None = None) -> int:
        """A run as Dagster would make one, on everything that is due; how many outcomes."""
        return run(
            self.settings,
            run_id=run_id or secrets.token_hex(6),
            embedder=embedder or self.embedder,
            reader=reader or self.reader,
        )

    def is_settled(self) -> bool:
        with self.database.transaction() as cursor:
            return rows.pending(cursor) == 0

    def free_claims(self) -> None:
        """What the sensor does when the runs have ended."""
        with self.database.transaction() as cursor:
            for owner, _ in outbox.owners(cursor):
                outbox.release(cursor, owner)

    def settle(self) -> None:
        """Runs until nothing is due, as the daemon would start them."""
        for _ in range(ROUNDS):
            self.free_claims()
            self.run()
            if self.is_settled():
                return
            time.sleep(0.05)

    # ---- the judge

    def expected(self) -> Counter[Piece]:
        """What a fresh build from table and files would store."""
        pieces: Counter[Piece] = Counter()
        for document_id, name in self.sql(f"select id::text, file_path from {DOCUMENTS}"):
            path = self.files / name
            if path.is_file():
                read = self.judge.read(path, name=name)
                pieces.update((document_id, chunk.content_sha256, True) for chunk in read.chunks)
        return pieces

    def stored(self) -> Counter[Piece]:
        found = self.sql("select document_id, content_sha256, embedding is not null from rag_document_chunks")
        return Counter(found)

    def violations(self, *, exempt: frozenset[str] = frozenset()) -> list[str]:
        """What the index lacks or has too much, work that is left, wrong vectors and statistics, and false reports."""
        expected, stored = self.expected(), self.stored()
        lost = [piece for piece in (expected - stored).elements() if piece[0] not in exempt]
        surplus = [piece for piece in (stored - expected).elements() if piece[0] not in exempt]
        self.is_settled()  # takes what changed
        left = self.sql("select document_id, state, error_kind, last_error, claimed_by from rag_outbox")
        found: dict[str, Sequence[object]] = {
            "lost": lost,
            "surplus": surplus,
            "left in the outbox": [row for row in left if row[0] not in exempt],
            "wrong vectors": self._wrong_vectors(),
            "statistics of words that are not what a recount says": self.sql("select * from rag_check_words()"),
            "reported, not logged": self.sql(
                "select e.* from test_events e left join rag_ingestion_log l "
                "on (l.run_id, l.document_id) = (e.run_id, e.document_id) and l.status <> 'failed' "
                "where l.id is null"
            ),
        }
        return [f"{len(what)} {name}: {what[:2]}" for name, what in found.items() if what]

    def _wrong_vectors(self) -> list[str]:
        if (vector_of := self.vector_of) is None:
            return []
        stored = self.sql("select content_sha256, content, embedding::text from rag_document_chunks")
        return [sha for sha, content, text in stored if not _same(text, vector_of(content))]


def run(
    settings: Settings,
    *,
    run_id: str,
    embedder: Embeds | None,
    reader: Reader | None,
    take: Take = ClaimSource.pending,
    beside: Sequence[str] = (),
    listen: Listen | None = None,
) -> int:
    """One run outside Dagster, on what it is to take, and on what changes beside these documents of a backfill.

    Its events go to a table of the tests' own. How many outcomes.
    """
    done = 0

    def ordinary() -> Listener:
        return Listener(services.database_url, channel=settings.database.listen_channel)

    with Services(settings) as services, (listen or ordinary)() as listener:
        claim_source = ClaimSource(services.database, settings, run_id=run_id, listener=listener)
        pipeline = Pipeline(
            services.database,
            settings,
            reader=reader or services.reader,
            urgent_reader=services.urgent_reader,
            embedder=embedder or services.embedder,
            resolve=services.resolve,
            run_id=run_id,
        )
        changes = claim_source.changes_beside(beside, ending=pipeline.ending) if beside else ()
        for outcomes in pipeline.ingest(take(claim_source), changes=changes):
            report(services.database, outcomes, run_id=run_id)
            done += len(outcomes)
    return done


def report(database: Database, outcomes: list[Outcome], *, run_id: str) -> None:
    with database.transaction() as cursor:
        for outcome in outcomes:
            if outcome.status != "failed":
                values = (run_id, outcome.document_id, outcome.content_sha256)
                cursor.execute("insert into test_events values (%s, %s, %s)", values)


def replace_text(path: Path, text: str) -> None:
    """As a careful application writes."""
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    fresh.write_text(text)
    fresh.replace(path)


def processes_marked(mark: str) -> list[psutil.Process]:
    """Living processes with this mark in their environment."""
    return [process for process in psutil.process_iter() if mark in _environment(process).values()]


def workers_marked(mark: str) -> list[psutil.Process]:
    """Those of them that do not keep the database."""
    return [
        process for process in processes_marked(mark) if Path(postgres_watchdog.__file__).name not in _command(process)
    ]


def patience(seconds: float) -> float:
    """So long as something takes where each core has one thing to do: longer on a machine that is shared."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return seconds * max(1.0, load / (os.cpu_count() or 1))


def left_after(mark: str, *, seconds: float = 10.0) -> list[str]:
    """Processes with this mark that are still there after so long, but for the database's watchdog."""
    deadline = time.monotonic() + patience(seconds)
    while (left := workers_marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [f"left running: {process.pid} ...{_command(process)[-200:]}" for process in left]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return {} if process.status() == psutil.STATUS_ZOMBIE else process.environ()
    except psutil.Error:
        return {}


def _same(text: str, vector: object) -> bool:
    return bool(np.allclose(np.fromstring(text.strip("[]"), sep=",", dtype=np.float32), np.asarray(vector), atol=1e-5))


def settings_for(url: str, place: Path, *, model: Path, **options: Any) -> Settings:
    sections: dict[str, dict[str, Any]] = {
        "chunking": {"size": 64, "overlap": 0},
        "worker": {"retry_base_seconds": 0.05, "retry_max_seconds": 0.1, "bulk_batch_size": 4},
        "llama_server": {"required_memory_gb": 0, "threads": 1},
        "source": {"mass_deletion_share": 1},  # what the application deletes here is meant
    }
    chosen: dict[str, Any] = options | {name: values | options.get(name, {}) for name, values in sections.items()}
    chosen = {"home": place / "home"} | chosen
    return Settings(
        database_url=url,
        document_root_path=place / "files",
        llama_server_model=model,
        _env_file=None,
        **chosen,
    )
