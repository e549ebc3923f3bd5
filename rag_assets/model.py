"""The nouns: what travels between the rooms, as frozen, keyword-only dataclasses."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from rag_assets.errors import ACCEPTABLE_KINDS, ErrorKind

Structure = Literal["markdown", "plain", "code"]
ChunkKind = Literal["prose", "code", "table"]
Operation = Literal["insert", "update", "delete"]
Status = Literal["processing", "completed", "failed", "accepted", "skipped", "deleted"]
Stage = Literal["claim", "read", "chunk", "embed", "write"]
State = Literal["indexed", "pending", "running", "held", "failed", "accepted"]  # of a document, to callers

Vector = Sequence[float]
Progress = Callable[[str], None]  # called with a sentence on how far long work is


def counted(count: int, noun: str) -> str:
    """A number with what it counts: `1 document`, `2 documents`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def them(count: int) -> str:
    """The pronoun of such a number, as an object."""
    return "it" if count == 1 else "them"


def not_in_table(ids: Sequence[str], *, table: str) -> str:
    """What to say of documents that were asked for and are not there, each in quotes: an id may be empty."""
    return f"Not in the table {table}: {', '.join(map(repr, ids))}"


def require_numbers(**given: Any) -> None:
    """TypeError that names what is true or false, which Python takes for the numbers 1 and 0."""
    for name, value in given.items():
        if isinstance(value, bool):
            raise TypeError(f"{name} is a number, not {value!r}")


def moment(text: object) -> datetime:
    """A time as ISO 8601 has it, from a date alone to seconds with a zone, in UTC, as which it is taken without one.

    ValueError where it is none, or is of no year from 1 to 9999 in UTC.
    """
    with suppress(ValueError, OverflowError):
        if isinstance(text, str):
            found = datetime.fromisoformat(text)
            # PostgreSQL knows no zone that is 16 hours away or more.
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    raise ValueError("it has to be a time such as 2026-11-28, 2026-11-28T14:30 or 2026-11-28T14:30:00+07:00")


def are(count: int) -> str:
    """The verb after such a number."""
    return "is" if count == 1 else "are"


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A row of the application's table."""

    id: str
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The right to work on one document: its pending outbox row, fenced by `generation`.

    `path` is None when the document's row is gone (its chunks are to be removed); of several rows, it is one of theirs.
    """

    document_id: str
    generation: int
    operation: Operation
    attempts: int
    path: str | None
    rows: int = 1  # of the table that have this id


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """What identifies the bytes that were read."""

    sha256: str
    size: int  # bytes
    mtime_ns: int  # nanoseconds since the epoch; see text.paths.reliable_mtime
    version: str | None = None  # what the store of a document calls these bytes (its etag); None of files


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedText:
    """What a format module makes of one file's bytes.

    `structure` says how `text` is to be cut: "markdown" has `#` headings, fences and pipe tables,
    "code" is source in `language`, "plain" is neither. `page_offsets[n]` is the offset in `text` at
    which page (slide, sheet) n+1 starts; empty when the format has no pages.
    """

    text: str
    media_type: str
    parser: str
    structure: Structure = "markdown"
    language: str | None = None
    page_offsets: tuple[int, ...] = ()
    title: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)  # front matter, author, counts ...; JSON values
    warnings: tuple[str, ...] = ()  # parts that yielded no text, repairs made


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """A piece of a document: `text[char_start:char_end]` is its body.

    `content` is the body, with a table's header row put before it where the cut separated them.
    `embedded_text` is what goes to the model (the content, or heading path and content).
    `token_count` counts `embedded_text` without the model's special tokens.
    """

    index: int
    content: str
    content_sha256: str  # of embedded_text: the key under which a vector can be reused
    embedded_text: str
    token_count: int
    char_start: int
    char_end: int
    page: int | None
    heading_path: tuple[str, ...]
    kind: ChunkKind


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadDocument:
    """One document read and cut: what the text worker returns. `fingerprint` covers parser and cut settings.

    `language` is the text's, as an ISO 639-1 code; empty where that is unsure, None where nobody looked.
    """

    facts: FileFacts
    fingerprint: str
    parsed: ParsedText
    chunks: tuple[Chunk, ...]
    seconds_parse: float
    seconds_chunk: float
    language: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredText:
    """What rag_document_text knows of a document: the key for "already done?", and what is told when it is."""

    document_id: str
    facts: FileFacts
    fingerprint: str
    embedding_model: str
    path: str
    media_type: str
    parser: str
    pages: int | None
    chunks: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkBrief:
    """A chunk in a line of a table."""

    index: int
    page: int | None
    heading: str
    tokens: int
    beginning: str  # of its words


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What Dagster's page shows of a document: the beginning of its text and its first chunks."""

    beginning: str
    language: str | None  # as ReadDocument has it
    cut_by: str  # the settings
    tokens: tuple[int, ...]  # of each chunk
    briefs: tuple[ChunkBrief, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one attempt at one document ended; Dagster's metadata and the ingestion log both come from it."""

    document_id: str
    path: str | None
    status: Status
    stage: Stage
    error_kind: ErrorKind | None = None
    error_message: str | None = None
    retry: bool = False  # whether another attempt is planned
    attempts: int = 0  # that failed by now, this one counted
    seconds_to_next: float | None = None  # until another attempt may begin; None where none will
    content_sha256: str | None = None  # of the file's bytes
    media_type: str | None = None
    parser: str | None = None
    pages: int | None = None
    characters: int = 0
    chunks: int = 0
    chunks_embedded: int = 0
    chunks_reused: int = 0
    chunks_deleted: int = 0
    tokens: int = 0
    embedding_model: str | None = None
    server_build: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)  # per stage
    warnings: tuple[str, ...] = ()
    preview: Preview | None = None  # of what was read and cut now, where it is to be shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Which chunks a search may give; what is None does not matter."""

    documents: tuple[str, ...] | None = None
    path_prefix: str | None = None
    path_glob: str | None = None  # with * for anything and ? for one character
    media_types: tuple[str, ...] | None = None
    languages: tuple[str, ...] | None = None  # ISO 639-1
    since: datetime | None = None  # when the file was written, at or after
    until: datetime | None = None  # before
    heading: str | None = None  # in any of the headings above it, with * and ?
    metadata: dict[str, Any] | None = None  # contained in the document's


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """One search result, and how it came.

    `score` is what hits are sorted by. `similarity` is the cosine similarity of query and chunk, -1 to 1, and
    `word_score` its BM25; None where that was not asked for. A rank is the place among what vectors, or words, found
    alone, from 1; None where it was not among those. With a reranker, hits are sorted by `rerank_score` first, on
    the reranker's own scale; None where it has not read the hit.
    """

    document_id: str
    path: str | None
    chunk_index: int
    content: str
    similarity: float | None
    page: int | None
    heading_path: tuple[str, ...]
    score: float
    chunk_id: int
    title: str | None = None
    vector_rank: int | None = None
    word_rank: int | None = None
    word_score: float | None = None
    media_type: str | None = None
    language: str | None = None
    char_start: int = 0
    char_end: int = 0
    before: tuple[str, ...] = ()  # neighbours of the same document, where they were asked for
    after: tuple[str, ...] = ()
    rerank_score: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks: with the rights of a role of the database, and settings that its policies ask for.

    Without a role he sees all that the program itself sees.
    """

    name: str
    role: str | None = None
    claims: tuple[tuple[str, str], ...] = ()  # settings of the transaction, as ("app.customer", "42")


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentState:
    """A document as a caller may see it.

    Failed is what is not tried again until it changes or is retried, accepted what may stay so until its file changes;
    what is tried again by itself is pending, with the error of its last attempt. `path` is None where it was never read
    and the caller may not read its row.
    """

    document_id: str
    path: str | None
    title: str | None
    media_type: str | None
    language: str | None
    state: State
    chunks: int
    pages: int | None
    size_bytes: int | None
    embedding_model: str | None
    indexed_at: datetime | None
    attempts: int | None  # at what waits or failed
    error_kind: str | None
    last_error: str | None
    metadata: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """How one attempt at a document ended: a row of rag_ingestion_log."""

    status: str
    stage: str
    error_kind: str | None
    error_message: str | None
    at: datetime
    run_id: str
    parser: str | None
    pages: int | None
    chunks: int
    chunks_embedded: int
    chunks_reused: int
    tokens: int
    embedding_model: str | None
    seconds: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredChunk:
    """A row of rag_document_chunks, without its vector."""

    chunk_id: int
    chunk_index: int
    content: str
    page: int | None
    heading_path: tuple[str, ...]
    char_start: int
    char_end: int
    token_count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """A document, its last attempts with the newest first, and a page of its chunks.

    There are no attempts where the caller may not read the log.
    """

    document: DocumentState
    attempts: tuple[Attempt, ...]
    chunks: tuple[StoredChunk, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The index as a caller may see it: documents by state, errors by kind, chunks.

    `errors` counts documents that failed or wait for another attempt. `faults` is what is not well, with what to do;
    said only to callers without a role.
    """

    model: str
    dimension: int
    documents: int
    states: dict[str, int]
    errors: dict[str, int]
    chunks: int
    oldest_pending_seconds: float | None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimOwner:
    """Who holds claims: a run at work, or a batch that the sensor claimed for a run that is still queued.

    In the database it is a text, "run:<id of Dagster's run>" or "batch:<id>".
    """

    kind: Literal["run", "batch"]
    id: str

    @classmethod
    def parse(cls, text: str) -> "ClaimOwner":
        """The owner that such a text of the database names; what does not begin with run: is a batch."""
        kind, _, name = text.partition(":")
        return cls("run" if kind == "run" else "batch", name)

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedDocument:
    """A document whose last attempt failed, and when the next one is; None: it was given up."""

    document_id: str
    error_kind: ErrorKind
    error_message: str
    seconds_to_next: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A document that was given up, and why."""

    document_id: str
    path: str
    error_kind: ErrorKind
    error_message: str


def stands_still(run_id: str, *, seconds: float) -> str:
    """What to say of a run that does not get on."""
    return (
        f"Run {run_id} has stood still for {seconds} s: its process is stopped or hangs. Under `rag-assets "
        "up`, another run takes its documents; else they are free in some minutes, or when you end the process."
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexStatus:
    """The index at a glance; the same numbers as the view rag_status."""

    documents: int
    up_to_date: int
    pending: int
    oldest_pending_at: datetime | None
    running: int
    failed: dict[str, int]  # error kind -> documents waiting for another attempt
    dead: dict[str, int]  # error kind -> documents that wait for `retry` or a new change
    chunks: int
    chunks_with_vector: int
    standing_still: dict[str, int] = field(default_factory=dict)  # runs with documents: id -> seconds without progress
    held: int = 0  # deletions that wait to be confirmed
    accepted: dict[str, int] = field(default_factory=dict)  # error kind -> documents that may fail with it
    warnings: tuple[str, ...] = ()  # what keeps changes from being seen or worked on, with what to do
    notes: tuple[str, ...] = ()  # what goes on otherwise than it should, and why

    @property
    def numbers(self) -> dict[str, Any]:
        """What is counted, by name."""
        return {key: value for key, value in asdict(self).items() if key not in ("warnings", "notes")}

    @property
    def is_hindered(self) -> bool:
        """Whether something is wrong with the index as a whole, and not with single documents."""
        return bool(self.warnings) or self.chunks_with_vector < self.chunks

    @property
    def faults(self) -> list[str]:
        """What is not well and does not become so by itself, with what to do; pending work is no fault."""
        given_up, without_vector = sum(self.dead.values()), self.chunks - self.chunks_with_vector
        at_rest = self.up_to_date + sum(self.accepted.values())
        overlooked = self.documents - at_rest - self.pending - self.running - given_up
        faults = list(self.warnings)
        if given_up:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.dead.items())
            which = f"{counted(given_up, 'document')} failed ({kinds})"
            or_so = (
                f", or leave {them(given_up)} so: rag-assets accept" if self.dead.keys() & set(ACCEPTABLE_KINDS) else ""
            )
            faults.append(f"{which}: correct {them(given_up)}, then rag-assets retry{or_so}.")
        if overlooked > 0:
            which = f"{counted(overlooked, 'document')} {are(overlooked)} neither indexed nor pending"
            faults.append(f"{which}: rag-assets reconcile finds {them(overlooked)}.")
        for run_id, seconds in self.standing_still.items():
            faults.append(stands_still(run_id, seconds=seconds))
        if without_vector:
            have = "has" if without_vector == 1 else "have"
            faults.append(f"{counted(without_vector, 'chunk')} {have} no vector: rag-assets doctor.")
        return faults
