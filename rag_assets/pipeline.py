"""A stream of claimed documents goes through read, cut, embed and store; one outcome per document comes out."""

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rag_assets import visible
from rag_assets.errors import (
    DatabaseUnavailable,
    DocumentError,
    LostRun,
    MissingVectors,
    ModelDropped,
    ServiceError,
    UnembeddableText,
)
from rag_assets.lease import BEAT_SECONDS, Lease
from rag_assets.model import Chunk, ChunkBrief, Claim, ClaimOwner, Outcome, Preview, ReadDocument, Stage, StoredText
from rag_assets.postgres import chunks, ingestion_log, models, outbox, texts, words
from rag_assets.postgres.chunks import OfModel
from rag_assets.postgres.database import REFUSED, Cursor, Database
from rag_assets.settings import Chunking, Settings
from rag_assets.text import languages, sources
from rag_assets.text.lookups import Lookups
from rag_assets.text.sources import Place

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

GROUPS_IN_FLIGHT = 2  # while one group's last requests finish, the next one's already keep the server busy
GROUPS_AHEAD = 3  # read before the first of them is stored
GROUP_TOKENS = 8_192  # a group is sent to be embedded when it holds so many tokens, or a window of documents
LARGEST_GROUP = 500  # documents
PART_TOKENS = 2 * GROUP_TOKENS  # at least, that are embedded in one call: only a long document has several parts
MESSAGE_CHARACTERS = 1_000  # of an error
PREVIEWED_TEXT, PREVIEWED_WORDS, PREVIEWED_CHUNKS = 400, 60, 8  # characters, characters of a chunk, chunks at most
WAIT_SECONDS = 0.5  # at a time, for a group: on Windows, Ctrl-C does not end a wait that has no end
PARTING_SECONDS = 0.05  # between interruptions of what is still under way in a run that is stopped
DATABASE_PATIENCE_SECONDS = 60.0  # how long a finished document waits for a database that restarts
# What a document's own bytes, name or facts can bring about; what the machine lacks is an OSError or a MemoryError.
UNFORESEEN = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, REFUSED)
READINGS = 3  # of a file that changes between being cut for one model and for another
LOOKED_AT_TOGETHER = 25  # files, at most, before the first of them is read
FOLDED_TOGETHER = 50  # changes of the statistics of words


Key = tuple[str, str]  # a model, and the content hash of a text that it embeds
Resolve = Callable[[str], Place]  # a path of the table -> where the document is; DocumentError
Look = Callable[[], StoredText | None]  # DocumentError
OnPart = Callable[[str, int, int], None]  # a long document's id, how many of its new chunks are embedded, of how many


class Reader(Protocol):
    """What the pipeline needs of the text worker; `interrupt` comes from another thread than the rest."""

    @property
    def fingerprint(self) -> str:
        """The settings and versions that decide what is read and how it is cut, as one text."""

    def read(self, path: Place, *, name: str) -> ReadDocument:
        """Text and chunks of a document; `name` is what messages call it. DocumentError for what cannot be read."""

    def interrupt(self) -> None:
        """End what `read` is doing, which then raises."""


class Embeds(Protocol):
    """What the pipeline needs of the embedder; `embed` gives float32 of shape (texts, dimension)."""

    on_embedded: Callable[[int], None]  # to be told how many texts have their vectors, as they have

    @property
    def build(self) -> str | None:
        """What the engine says of its version; None where it says nothing, or does not run yet."""

    def embed(self, texts: Sequence[str], *, token_counts: Sequence[int]) -> "NDArray[float32]":
        """Vectors of the texts, which have so many tokens each; blocks until all of them are there."""

    def interrupt(self) -> None:
        """End what `embed` is doing, which then raises."""


class Maker(Protocol):
    """What cuts and embeds for a model that is kept beside the run's own."""

    @property
    def settings(self) -> Settings:
        """With the model in [embedding]."""

    @property
    def reader(self) -> Reader:
        """Of the batches."""

    @property
    def urgent_reader(self) -> Reader:
        """Of changes beside them."""

    @property
    def embedder(self) -> Embeds:
        """Of this model's vectors."""


def no_maker(model: str) -> Maker:
    """Stands for what makes another model's vectors where there is none."""
    raise ServiceError(f"{model} is kept beside the model that serves, and nothing here embeds with it.")


def no_part(_document_id: str, _embedded: int, _chunks: int) -> None:
    """Stands for OnPart where nobody asks how far a long document is."""


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A document whose chunks are to be embedded and stored."""

    claim: Claim
    read: ReadDocument
    others: Mapping[str, ReadDocument] = field(default_factory=dict)  # the same file as it is cut for other models
    changed_at: float | None = None  # of the file before it was read, in Unix seconds; None: not known


@dataclass(frozen=True, kw_only=True)
class _Unchanged:
    """A document whose file and settings are those of the chunks that are stored."""

    claim: Claim
    stored: StoredText


@dataclass(frozen=True, kw_only=True)
class _Settled:
    """A document of which nothing is to be stored: it failed, or has no row in the table any more."""

    claim: Claim
    outcome: Outcome
    file: tuple[int, int] | None = None  # that failed: its size and when it was written, as sources.facts has them
    changed_at: float | None = None  # of that file before it was read, as sources.changed_at has it; None: not known


_Work = _Read | _Unchanged | _Settled  # one document on its way


@dataclass(kw_only=True)
class _Group:
    """Documents that are embedded together and committed together."""

    works: list[_Work]
    texts: dict[Key, tuple[str, int]] = field(default_factory=dict)  # with their tokens
    announced: frozenset[Key] = frozenset()  # that later groups rely on, also of documents that failed since
    awaited: frozenset[Key] = frozenset()  # that earlier groups have announced
    vectors: "dict[Key, NDArray[float32]]" = field(default_factory=dict)
    seconds_embed: float = 0.0

    @property
    def document_ids(self) -> set[str]:
        return {work.claim.document_id for work in self.works}


@dataclass(kw_only=True)
class _Gathered:
    """Documents that are to be a group, counted as they come."""

    works: list[_Work] = field(default_factory=list)
    read: int = 0  # documents with chunks
    tokens: int = 0  # of their chunks

    def add(self, work: _Work, *, tokens: int) -> None:
        self.works.append(work)
        self.read += isinstance(work, _Read)
        self.tokens += tokens

    def is_full(self, *, window: int) -> bool:
        """Documents with nothing to embed are cheap to hold, and cheaper to commit in large numbers."""
        return len(self.works) >= LARGEST_GROUP or self.read >= window or self.tokens >= GROUP_TOKENS


class _Lane:
    """Groups on their way to be stored, a few at a time: the first that is embedded, of those that `reader` read.

    One long document may be embedded for minutes, and none waits for it but those that hold a text of it, and a newer
    state of itself.
    """

    def __init__(
        self, reader: Reader, *, is_urgent: bool, max_seconds: float, something_is_done: threading.Event
    ) -> None:
        self.reader = reader
        self.is_urgent = is_urgent
        self.lookups = Lookups(max_seconds)
        self.looks_ahead = Lookups(max_seconds)  # apart: no file that is read now waits for those that come after it
        self._something_is_done = something_is_done
        self._groups: list[tuple[_Group, Future[_Group]]] = []
        self._room = threading.Semaphore(GROUPS_AHEAD)
        self._error: BaseException | None = None
        self._is_fed = True

    def put(self, group: _Group, embed: Callable[[], Future[_Group]]) -> None:
        """Take a group in, once there is room for it."""
        self._room.acquire()
        embedded = embed()
        self._groups.append((group, embedded))
        embedded.add_done_callback(lambda _: self._something_is_done.set())

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more comes; `error` is the reason if it is a bad one."""
        self._error, self._is_fed = error, False
        self._something_is_done.set()

    def make_room(self) -> None:
        """For a thread that waits for it, and will put nothing in any more."""
        self._room.release()

    @property
    def is_at_work(self) -> bool:
        """Whether groups that were put in are still being embedded."""
        return not all(embedded.done() for _, embedded in self._groups)

    def take(self) -> Future[_Group] | None:
        """A group that can be stored; raises what the lane ended with after the last one."""
        announced: set[Key] = set()  # by the groups that are still being embedded
        documents: set[str] = set()  # of these groups
        for index, (group, embedded) in enumerate(self._groups):
            if embedded.done() and announced.isdisjoint(group.awaited) and documents.isdisjoint(group.document_ids):
                self._room.release()
                del self._groups[index]
                return embedded
            announced |= group.announced
            documents |= group.document_ids
        if self._error is not None and not self._groups:
            raise self._error
        return None

    @property
    def has_ended(self) -> bool:
        """Whether all was taken, and nothing went wrong."""
        return not self._is_fed and not self._groups and self._error is None


class Pipeline:
    """Ingests documents for one run; every claim that is handed in is settled, failed or released.

    DocumentErrors become failed outcomes. ServiceErrors are raised after the claims of all unfinished
    documents were released, so that nothing is lost and no attempt is counted. So is LostRun, when the run stood
    still for so long that others were given its documents. To be used once.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        reader: Reader,
        urgent_reader: Reader,
        embedder: Embeds,
        resolve: Resolve,
        run_id: str,
        beat_seconds: float = BEAT_SECONDS,
        on_part: OnPart = no_part,
        maker: Callable[[str], Maker] = no_maker,
    ) -> None:
        self._database = database
        self._settings = settings
        self._reader = reader
        self._urgent_reader = urgent_reader  # of changes beside the batches: one document may take a reader a minute
        self._embedder = embedder
        self._resolve = resolve
        self._run_id = run_id
        self._owner = ClaimOwner("run", run_id)
        self._on_part = on_part
        self._lease = Lease(
            database,
            run_id=run_id,
            claim_seconds=settings.worker.claim_seconds,
            patience_seconds=settings.worker.processing_timeout_seconds,
            beat_seconds=beat_seconds,
        )
        self._model = settings.embedding.model
        self._maker_of = maker  # what embeds with a model that is kept beside this one
        self._makers: dict[str, Maker] = {}
        self._making = threading.Lock()
        self._in_flight: set[Key] = set()  # what an earlier group is about to store
        self.stopping = threading.Event()  # set when nobody takes outcomes any more: batches should end
        self.ending = threading.Event()  # set when the last of the batches is stored: changes should end

    def ingest(
        self, batches: Iterable[Sequence[Claim]], *, changes: Iterable[Sequence[Claim]] = ()
    ) -> Generator[list[Outcome], None, None]:
        """Yield the outcomes of each group of documents once they are committed.

        A batch ends a group: its documents do not wait for those of the next batch. A document of GROUP_TOKENS or
        more is a group of its own, for which no other waits. Documents of `changes` wait for none of `batches`.
        Close it when it is left early: until then its threads work on, and keep the claims. What they are at is then
        broken off, and all that is not stored yet given back.
        """
        done = threading.Event()
        bulk, urgent = (
            _Lane(
                reader,
                is_urgent=reader is self._urgent_reader,
                max_seconds=self._settings.parsing.max_seconds,
                something_is_done=done,
            )
            for reader in (self._reader, self._urgent_reader)
        )
        lanes = deque([urgent, bulk])  # by turns, or changes that never end would keep the batches from theirs
        with self._leased(), ThreadPoolExecutor(2 * GROUPS_IN_FLIGHT, thread_name_prefix="embed") as executor:
            feeders = [
                threading.Thread(target=self._feed, args=(source, lane, executor), name=f"feed-{name}")
                for name, source, lane in (("batches", batches, bulk), ("changes", changes, urgent))
            ]
            for feeder in feeders:
                feeder.start()
            try:
                with self._faults_recorded():
                    while not (bulk.has_ended and urgent.has_ended):
                        done.clear()
                        self._require_lease()
                        if bulk.has_ended:
                            self.ending.set()
                        if (group := lanes[0].take()) is not None:
                            lanes.rotate()
                        else:
                            group = lanes[1].take()
                        if group is not None:
                            yield self._store(group.result())
                        else:
                            done.wait(WAIT_SECONDS)
            finally:
                self.stopping.set()
                self.ending.set()
                if not (bulk.has_ended and urgent.has_ended):  # nobody waits for a long document any more
                    self._break_off()
                    self._lease.release()  # now: who stops us may not wait for the threads on a busy machine
                    self._await_threads(feeders, (bulk, urgent))
                for feeder, lane in zip(feeders, (bulk, urgent), strict=True):
                    feeder.join()
                    lane.lookups.close()
                    lane.looks_ahead.close()

    def _break_off(self) -> None:
        with self._making:
            makers = list(self._makers.values())
        for part in (self._reader, self._urgent_reader, self._embedder):
            part.interrupt()
        for maker in makers:
            maker.reader.interrupt()
            maker.urgent_reader.interrupt()
            maker.embedder.interrupt()

    def _await_threads(self, feeders: Iterable[threading.Thread], lanes: Iterable[_Lane]) -> None:
        """Return once no thread reads or embeds any more.

        They are interrupted again and again: one that was about to begin when it was interrupted first has begun since.
        """
        while any(feeder.is_alive() for feeder in feeders) or any(lane.is_at_work for lane in lanes):
            self._break_off()
            for lane in lanes:
                lane.make_room()
            time.sleep(PARTING_SECONDS)

    # ---- read: a thread for each lane ----

    def _feed(self, batches: Iterable[Sequence[Claim]], lane: _Lane, executor: ThreadPoolExecutor) -> None:
        try:
            for batch in batches:
                self._lease.take(len(batch))
                for group in self._read_groups(batch, lane):
                    lane.put(group, partial(executor.submit, self._embed, group))
                    if self.stopping.is_set():
                        return
            lane.end()
        except BaseException as exc:  # noqa: BLE001 - handed to the consumer's thread, which raises it
            lane.end(exc)

    def _read_groups(self, batch: Sequence[Claim], lane: _Lane) -> Iterator[_Group]:
        window = self._settings.worker.bulk_batch_size
        stored, others = self._stored(batch)
        looks = self._looks(batch, stored, lane=lane, others=others)
        gathered = _Gathered()
        for claim in batch:
            if self.stopping.is_set():
                return
            work = self._read(claim, looks, lane=lane, others=others)
            tokens = _tokens(work)
            if tokens >= GROUP_TOKENS and gathered.works:
                yield self._group(gathered.works)
                gathered = _Gathered()
            gathered.add(work, tokens=tokens)
            if gathered.is_full(window=window):
                yield self._group(gathered.works)
                gathered = _Gathered()
        if gathered.works:
            yield self._group(gathered.works)

    def _stored(self, batch: Sequence[Claim]) -> tuple[dict[str, StoredText], list[Maker]]:
        """What is stored of the documents, and what makes vectors of the other models that are kept."""
        with self._database.transaction() as cursor:
            stored = texts.get_stored(cursor, [claim.document_id for claim in batch])
            kept = models.kept(cursor)
        return stored, [self._maker(name) for name in kept if name != self._model]

    def _maker(self, model: str) -> Maker:
        with self._making:
            if model not in self._makers:
                made = self._maker_of(model)
                made.embedder.on_embedded = lambda _texts: self._lease.move()
                self._makers[model] = made
            return self._makers[model]

    def _read(self, claim: Claim, looks: Iterator[Look], *, lane: _Lane, others: Sequence[Maker]) -> _Work:
        started = time.perf_counter()
        try:
            work = self._looked_at(claim, next(looks), lane=lane, others=others)
        except DocumentError as exc:
            work = self._unreadable(claim, exc, changed_at=None, lane=lane)
        except UNFORESEEN as exc:
            logger.exception("%s could not be read", visible.line(claim.path or ""))
            work = _unforeseen(claim, exc, stage="read")
        if isinstance(work, _Settled):
            seconds = {"read": time.perf_counter() - started}
            work = replace(work, outcome=replace(work.outcome, seconds=seconds))
        self._lease.move()
        return work

    def _looked_at(self, claim: Claim, look: Look, *, lane: _Lane, others: Sequence[Maker]) -> _Work:
        """What is to be done with a document; DocumentError where nothing can be."""
        _require_one_row(claim)
        if claim.path is None:
            gone = Outcome(document_id=claim.document_id, path=None, status="deleted", stage="write")
            return _Settled(claim=claim, outcome=gone)
        if (stored := look()) is not None:
            return _Unchanged(claim=claim, stored=stored)
        place, changed_at = lane.lookups.call(partial(self._place, claim.path), name=claim.path)
        try:
            read, beside = self._read_for_all(place, name=claim.path, lane=lane, others=others)
        except DocumentError as exc:
            return self._unreadable(claim, exc, changed_at=changed_at, lane=lane)
        read = replace(read, language=self._language(read))
        return _Read(claim=claim, read=read, others=beside, changed_at=changed_at)

    def _read_for_all(
        self, file: Place, *, name: str, lane: _Lane, others: Sequence[Maker]
    ) -> tuple[ReadDocument, dict[str, ReadDocument]]:
        """A file as it is cut for the run's model and for the others, all of the same bytes.

        It is read once where they are cut alike.
        """
        for _ in range(READINGS):
            read = self._read_file(file, name=name, reader=lane.reader)
            beside = {}
            for maker in others:
                reader = _reader_of(maker, lane)
                is_alike = reader.fingerprint == read.fingerprint
                beside[maker.settings.embedding.model] = (
                    read if is_alike else self._read_file(file, name=name, reader=reader)
                )
            if all(one.facts.sha256 == read.facts.sha256 for one in beside.values()):
                return read, beside
        raise DocumentError("timed_out", f"{name} changes while it is read")

    def _place(self, path: str) -> tuple[Place, float | None]:
        """Where a document is, and when its file changed last; None where that is not known without asking a store."""
        place = self._resolve(path)
        with suppress(OSError):
            return place, sources.changed_at(place) if isinstance(place, Path) else None
        return place, None

    def _unreadable(self, claim: Claim, error: DocumentError, *, changed_at: float | None, lane: _Lane) -> _Settled:
        """A document that cannot be read; `changed_at` is when its file changed last, as it was before."""
        outcome = _failed(claim, error, stage="read")
        file = self._file(claim, lane=lane, is_late=error.kind == "timed_out")
        return _Settled(claim=claim, outcome=outcome, file=file, changed_at=changed_at)

    def _file(self, claim: Claim, *, lane: _Lane, is_late: bool) -> tuple[int, int] | None:
        """Size and time of a file that cannot be read; a store that gave no answer in time is not asked once more."""

        def facts() -> tuple[int, int] | None:
            place = self._resolve(path)
            return None if is_late and isinstance(place, sources.Address) else sources.facts(place)

        path = claim.path or ""
        with suppress(DocumentError, OSError):
            return lane.lookups.call(facts, name=path)
        return None

    def _language(self, read: ReadDocument) -> str:
        """What the words of a document are taken as; those of source code as they stand."""
        if read.parsed.structure == "code":
            return languages.UNSURE
        return self._settings.search.language or languages.detect(read.parsed.text)

    def _read_file(self, file: Place, *, name: str, reader: Reader) -> ReadDocument:
        """A reader that died may have been killed by somebody: only the second time is it the document's fault.

        Otherwise, it would cost the document an attempt, and a pause of minutes before the next one.
        """
        try:
            return reader.read(file, name=name)
        except DocumentError as exc:
            if exc.kind != "crashed" or self.stopping.is_set():
                raise
        return reader.read(file, name=name)

    def _looks(
        self, batch: Sequence[Claim], stored: Mapping[str, StoredText], *, lane: _Lane, others: Sequence[Maker]
    ) -> Iterator[Look]:
        """For each claim, what is stored of it where file, settings and models are those of that; else None.

        Models are kept in step with each other: what was stored by a run with the one holds for the other.
        """
        fingerprints = {lane.reader.fingerprint, *(_reader_of(maker, lane).fingerprint for maker in others)}
        names = {self._model, *(maker.settings.embedding.model for maker in others)}

        def call(claim: Claim) -> tuple[str, Look]:
            path, known = claim.path, stored.get(claim.document_id)
            if path is None or known is None:
                return "", _none
            is_same = known.fingerprint in fingerprints and known.embedding_model in names
            return path, (lambda: known if self._is_unchanged(path, known) else None) if is_same else _none

        for start in range(0, len(batch), LOOKED_AT_TOGETHER):
            yield from lane.looks_ahead.each([call(claim) for claim in batch[start : start + LOOKED_AT_TOGETHER]])

    def _is_unchanged(self, path: str, stored: StoredText) -> bool:
        # Of two documents, the states may be called the same, and size and time be the same: both came in one archive.
        is_same = path == stored.path
        facts = stored.facts if is_same else replace(stored.facts, version=None)
        parsing = self._settings.parsing
        by_stat = is_same and parsing.unchanged == "stat"
        return sources.is_unchanged(self._resolve(path), facts, limit=parsing.max_bytes, by_stat=by_stat)

    def _group(self, works: list[_Work]) -> _Group:
        """Choose the texts that truly need embedding: not stored, and in no group before this one."""
        group = _Group(works=works)
        wanted = self._texts(works)
        fresh = wanted.keys() - self._in_flight
        group.awaited = frozenset(wanted.keys() - fresh)
        if fresh:
            with self._database.transaction() as cursor:
                missing = {
                    (model, sha)
                    for model in {model for model, _ in fresh}
                    for sha in chunks.missing_vectors(cursor, [sha for of, sha in fresh if of == model], model=model)
                }
            group.texts = {key: wanted[key] for key in wanted if key in missing}
            group.announced = frozenset(group.texts)
            self._in_flight |= group.announced
        return group

    def _texts(self, works: Iterable[_Work]) -> dict[Key, tuple[str, int]]:
        """What is embedded of documents, each text once for a model, with its tokens."""
        return {
            (model, chunk.content_sha256): (chunk.embedded_text, chunk.token_count)
            for work in works
            if isinstance(work, _Read)
            for model, read in ((self._model, work.read), *work.others.items())
            for chunk in read.chunks
        }

    # ---- embed: threads "embed" ----

    def _embed(self, group: _Group) -> _Group:
        started = time.perf_counter()
        self._tell_part(group)
        while (part := _part(group)) and not self.stopping.is_set():
            try:
                group.vectors |= self._vectors(part)
            except UnembeddableText as exc:
                self._fail_documents_with(list(part)[exc.index], group=group, error=exc)
            self._tell_part(group)
        group.seconds_embed = time.perf_counter() - started
        return group

    def _tell_part(self, group: _Group) -> None:
        """Say how far a document is that has several parts: for minutes, it has no outcome."""
        if sum(tokens for _, tokens in group.texts.values()) > PART_TOKENS:
            part = (group.works[0].claim.document_id, len(group.vectors), len(group.texts))
            self._lease.tell_part(*part)
            self._on_part(*part)

    def _vectors(self, wanted: dict[Key, tuple[str, int]]) -> "dict[Key, NDArray[float32]]":
        """Of texts of one model."""
        model = next(iter(wanted))[0]
        embedder = self._embedder if model == self._model else self._maker(model).embedder
        vectors = embedder.embed(
            [text for text, _ in wanted.values()], token_counts=[tokens for _, tokens in wanted.values()]
        )
        return dict(zip(wanted, vectors, strict=True))

    # ---- store: the consumer's thread ----

    def _store(self, group: _Group) -> list[Outcome]:
        """Commit a group, waiting for a database that restarts."""
        deadline = time.monotonic() + DATABASE_PATIENCE_SECONDS
        retrying = False
        while True:
            try:
                outcomes = self._commit(group, after_lost_connection=retrying)
                self._in_flight -= group.announced
                self._lease.settle([work.claim.document_id for work in group.works])
                if not all(isinstance(work, _Unchanged) for work in group.works):
                    self._fold_words()
                return outcomes
            except MissingVectors as exc:
                self._embed_missing(group, {(exc.model, sha) for sha in exc.hashes})
            except DatabaseUnavailable as exc:
                if time.monotonic() > deadline or self.stopping.is_set():
                    raise
                retrying = True
                logger.warning("Database away while storing %d documents: %s", len(group.works), exc)
                time.sleep(1)
            except UNFORESEEN as exc:
                return self._store_apart(group, exc)

    def _store_apart(self, group: _Group, error: Exception) -> list[Outcome]:
        """Commit each document of a group alone, so that the one that cannot be stored is seen, and fails."""
        if len(group.works) > 1:
            return [outcome for work in group.works for outcome in self._store(replace(group, works=[work]))]
        [work] = group.works
        if isinstance(work, _Settled):
            raise error
        logger.error("%s could not be stored", visible.line(work.claim.path or ""), exc_info=error)
        return self._store(replace(group, works=[_unforeseen(work.claim, error, stage="write")]))

    def _fold_words(self) -> None:
        """So that a search has few changes to add up."""
        with suppress(DatabaseUnavailable), self._database.transaction() as cursor:
            words.fold(cursor, at_least=FOLDED_TOGETHER)

    def _embed_missing(self, group: _Group, keys: Collection[Key]) -> None:
        """What another group was to store and did not, or what vanished from the table since it was looked at."""
        wanted = {key: text for key, text in self._texts(group.works).items() if key in keys}
        try:
            group.vectors |= self._vectors(wanted)
        except UnembeddableText as exc:
            self._fail_documents_with(list(wanted)[exc.index], group=group, error=exc)

    def _fail_documents_with(self, key: Key, *, group: _Group, error: UnembeddableText) -> None:
        """Take the documents that hold this text out of the group, and what only they wanted embedded."""

        def settled(work: _Work) -> _Work:
            if not isinstance(work, _Read) or key not in self._texts([work]):
                return work
            outcome = _failed(work.claim, DocumentError(error.kind, error.message), stage="embed")
            seconds = {"read": work.read.seconds_parse, "chunk": work.read.seconds_chunk}
            file = (work.read.facts.size, work.read.facts.mtime_ns)
            outcome = replace(outcome, seconds=seconds)
            return _Settled(claim=work.claim, outcome=outcome, file=file, changed_at=work.changed_at)

        group.works = [settled(work) for work in group.works]
        group.texts = {key: text for key, text in self._texts(group.works).items() if key in group.texts}

    def _commit(self, group: _Group, *, after_lost_connection: bool) -> list[Outcome]:
        share = group.seconds_embed / max(1, len(group.texts))
        with self._database.transaction() as cursor:
            kept = models.hold(cursor)
            if kept and self._model not in kept:
                raise ModelDropped(self._model)
            self._lease.hold(cursor)
            held = outbox.lock(cursor, [work.claim for work in group.works], owner=self._owner)
            ours = [work for work in group.works if work.claim.document_id in held]
            outcomes = self._settle_skipped(cursor, ours)
            changed = [work for work in ours if not isinstance(work, _Unchanged)]
            outcomes += [self._write(cursor, work, group=group, share=share, kept=kept) for work in changed]
            if after_lost_connection:  # a commit whose answer was lost with it did happen where the log has its rows
                lost = [work.claim.document_id for work in group.works if work.claim.document_id not in held]
                outcomes += ingestion_log.of_run(cursor, lost, run_id=self._run_id)
        return outcomes

    def _settle_skipped(self, cursor: Cursor, works: list[_Work]) -> list[Outcome]:
        """Settle the unchanged documents, in a few statements; their outcomes.

        Given back is what is not stored any more as it was when it was compared: the state that an earlier change
        had, read by this run before this change came, was stored in between.
        """
        skipped = [(work.claim, work.stored) for work in works if isinstance(work, _Unchanged)]
        if not skipped:
            return []
        stored = texts.get_stored(cursor, [claim.document_id for claim, _ in skipped])
        same = [
            (claim, now) for claim, then in skipped if (now := stored.get(claim.document_id)) and _is_same(then, now)
        ]
        settled = [(claim, _skipped(claim, now)) for claim, now in same]
        outbox.settle(cursor, settled, run_id=self._run_id)
        texts.move(cursor, {claim.document_id: claim.path or "" for claim, _ in same})
        if len(same) < len(skipped):
            done = {claim for claim, _ in same}
            outbox.release_claims(cursor, [claim for claim, _ in skipped if claim not in done])
        return [outcome for _, outcome in settled]

    def _write(
        self, cursor: Cursor, work: _Read | _Settled, *, group: _Group, share: float, kept: Collection[str]
    ) -> Outcome:
        if isinstance(work, _Read):
            return self._store_chunks(cursor, work, group=group, share=share, kept=kept)
        claim, outcome = work.claim, work.outcome
        if outcome.status == "failed":
            worker = self._settings.worker
            return outbox.fail(
                cursor, claim, outcome, file=work.file, changed_at=work.changed_at, run_id=self._run_id, worker=worker
            )
        outcome = replace(outcome, chunks_deleted=chunks.delete_document(cursor, claim.document_id))
        outbox.settle(cursor, [(claim, outcome)], run_id=self._run_id)
        return outcome

    def _store_chunks(
        self, cursor: Cursor, work: _Read, *, group: _Group, share: float, kept: Collection[str]
    ) -> Outcome:
        """Chunks of a model that is kept, and was not yet when the document was read, go: it is to be read again."""
        started = time.perf_counter()
        counts = chunks.write_document(
            cursor,
            work.claim.document_id,
            work.read,
            path=work.claim.path or "",
            vectors=_of_model(group, self._model),
            model=self._model,
            dimension=self._settings.embedding.dimension,
            others=[
                OfModel(
                    name=name,
                    dimension=self._maker(name).settings.embedding.dimension,
                    chunks=read.chunks,
                    vectors=_of_model(group, name),
                )
                for name, read in work.others.items()
                if name in kept
            ],
        )
        seconds = {
            "read": work.read.seconds_parse,
            "chunk": work.read.seconds_chunk,
            "embed": share * counts.embedded,
            "write": time.perf_counter() - started,
        }
        outcome = self._completed(work.claim, work.read, counts=counts, seconds=seconds)
        outbox.settle(cursor, [(work.claim, outcome)], run_id=self._run_id)
        return outcome

    def _completed(
        self, claim: Claim, read: ReadDocument, *, counts: chunks.WriteCounts, seconds: dict[str, float]
    ) -> Outcome:
        return Outcome(
            document_id=claim.document_id,
            path=claim.path,
            status="completed",
            stage="write",
            content_sha256=read.facts.sha256,
            media_type=read.parsed.media_type,
            parser=read.parsed.parser,
            pages=len(read.parsed.page_offsets) or None,
            characters=len(read.parsed.text),
            chunks=len(read.chunks),
            chunks_embedded=counts.embedded,
            chunks_reused=counts.kept + counts.reused,
            chunks_deleted=counts.deleted,
            tokens=sum(chunk.token_count for chunk in read.chunks),
            embedding_model=self._model,
            server_build=self._embedder.build,
            seconds=seconds,
            warnings=read.parsed.warnings,
            preview=_preview(read, self._settings.chunking) if self._settings.worker.shows_previews else None,
        )

    @contextmanager
    def _leased(self) -> Iterator[None]:
        before = self._embedder.on_embedded

        def on_embedded(texts: int) -> None:
            self._lease.move()
            before(texts)

        self._embedder.on_embedded = on_embedded
        try:
            with self._lease:
                yield
        finally:
            self._embedder.on_embedded = before
        if self._lease.released:
            logger.info(
                "Released %d unfinished documents: they are pending, and the next run takes them", self._lease.released
            )

    @contextmanager
    def _faults_recorded(self) -> Iterator[None]:
        """Have the log say, of each document that is held, why it is not done; what cannot be said is in the run."""
        try:
            yield
        except ServiceError as exc:
            source = self._settings.source
            with suppress(ServiceError), self._database.transaction() as cursor:
                ingestion_log.write_fault(cursor, source, exc, claimed_by=self._owner, run_id=self._run_id)
            raise

    def _require_lease(self) -> None:
        if self._lease.lost.is_set():
            raise LostRun(self._run_id)


def _none() -> None:
    """Stands for Look where a document is read, whatever is in its file."""


def _require_one_row(claim: Claim) -> None:
    if claim.rows > 1:
        raise DocumentError(
            "id_doubled",
            f"{claim.rows} rows of the table have the id {claim.document_id}, one of them the path {claim.path}: "
            "give each an id of its own, or delete all but one",
        )


def _tokens(work: _Work) -> int:
    return sum(chunk.token_count for chunk in work.read.chunks) if isinstance(work, _Read) else 0


def _part(group: _Group) -> dict[Key, tuple[str, int]]:
    """The next texts of a model without a vector, of PART_TOKENS or a little more; none where all have theirs."""
    part: dict[Key, tuple[str, int]] = {}
    room = PART_TOKENS
    for (model, sha), (text, tokens) in group.texts.items():
        is_of_another = bool(part) and model != next(iter(part))[0]
        if room > 0 and not is_of_another and (model, sha) not in group.vectors:
            part[model, sha] = (text, tokens)
            room -= tokens
    return part


def _of_model(group: _Group, model: str) -> "dict[str, NDArray[float32]]":
    """A model's vectors by the content hash of their text."""
    return {sha: vector for (of, sha), vector in group.vectors.items() if of == model}


def _reader_of(maker: Maker, lane: _Lane) -> Reader:
    return maker.urgent_reader if lane.is_urgent else maker.reader


def _is_same(then: StoredText, now: StoredText) -> bool:
    """Whether the chunks that are stored are still those that were."""
    return (then.facts.sha256, then.fingerprint, then.embedding_model) == (
        now.facts.sha256,
        now.fingerprint,
        now.embedding_model,
    )


def _skipped(claim: Claim, stored: StoredText) -> Outcome:
    return Outcome(
        document_id=claim.document_id,
        path=claim.path,
        status="skipped",
        stage="read",
        content_sha256=stored.facts.sha256,
        media_type=stored.media_type,
        parser=stored.parser,
        pages=stored.pages,
        chunks=stored.chunks,
        embedding_model=stored.embedding_model,
    )


def _preview(read: ReadDocument, chunking: Chunking) -> Preview:
    briefs = [
        ChunkBrief(
            index=chunk.index,
            page=chunk.page,
            heading=" > ".join(chunk.heading_path)[:PREVIEWED_WORDS],
            tokens=chunk.token_count,
            beginning=_first_words(chunk),
        )
        for chunk in read.chunks[:PREVIEWED_CHUNKS]
    ]
    return Preview(
        beginning=read.parsed.text[:PREVIEWED_TEXT],
        language=read.language,
        cut_by=chunking.words,
        tokens=tuple(chunk.token_count for chunk in read.chunks),
        briefs=tuple(briefs),
    )


def _first_words(chunk: Chunk) -> str:
    """What follows the headings that the chunk begins with, which are shown beside it; they, where nothing does."""
    lines = chunk.content.splitlines()
    after = itertools.dropwhile(lambda line: line.strip(" #") in ("", *chunk.heading_path), lines)
    return "\n".join(after)[:PREVIEWED_WORDS] or chunk.content[:PREVIEWED_WORDS]


def _storable(message: str) -> str:
    """A message names paths and quotes stores: of any length, on several lines, with bytes that are no text."""
    shown = visible.line(message)
    return shown if len(shown) <= MESSAGE_CHARACTERS else shown[:MESSAGE_CHARACTERS] + "…"


def _unforeseen(claim: Claim, error: Exception, *, stage: Stage) -> _Settled:
    """A document with something in it that nobody has thought of fails alone, as one does that ends its text worker."""
    said = f"Something in it was not foreseen, {type(error).__name__}: {error}; the log has more: {claim.path}"
    return _Settled(claim=claim, outcome=_failed(claim, DocumentError("crashed", said), stage=stage))


def _failed(claim: Claim, error: DocumentError, *, stage: Stage) -> Outcome:
    return Outcome(
        document_id=claim.document_id,
        path=claim.path,
        status="failed",
        stage=stage,
        error_kind=error.kind,
        error_message=_storable(error.message),
        retry=error.retryable,
    )
