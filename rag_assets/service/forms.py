"""What is asked of the search service and what it answers: pydantic models, of which the OpenAPI document is made."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from rag_assets.errors import RagAssetsError
from rag_assets.model import Filter
from rag_assets.postgres.documents import ID_BYTES

MOST_HITS = 1_000
MOST_TEXTS = 256  # of one request for vectors
MOST_PAGE = 1_000
MOST_TEXT = 100_000  # characters of a text that is to be embedded
MOST_QUERY = 4_000  # characters: what a query takes to be read grows with the square of the phrases in it
DEEPEST = 64  # objects and lists in each other
Mode = Literal["hybrid", "vector", "text"]
State = Literal["indexed", "pending", "running", "held", "failed", "accepted"]
Word = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MOST_TEXT)]
DocumentId = Annotated[str, StringConstraints(min_length=1, max_length=ID_BYTES)]


class Invalid(RagAssetsError):
    """A request that cannot be understood; the message names the field and what is allowed."""


class Form(BaseModel):
    """What is asked; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Filters(Form):
    """Which passages may be found; what is left out does not matter."""

    documents: Annotated[list[DocumentId], Field(max_length=10_000)] | None = Field(None, description="Ids.")
    path_prefix: Word | None = Field(None, description="How the path begins, as in the table.")
    under: Word | None = Field(None, description="The same, by the name of the command line's option.")
    path_glob: Word | None = Field(None, description="What the path is like, with * and ?.")
    types: Annotated[list[Word], Field(max_length=100)] | None = Field(None, description="Media types.")
    languages: Annotated[list[Word], Field(max_length=100)] | None = Field(None, description="ISO 639-1 codes.")
    since: datetime | None = Field(None, description="Files written at or after this time; UTC without a zone.")
    until: datetime | None = Field(None, description="Files written before this time.")
    heading: Word | None = Field(None, description="A heading above has these words, with * and ?.")
    metadata: dict[str, Any] | None = Field(None, description="Contained in the document's metadata.")

    @field_validator("since", "until")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value

    @model_validator(mode="after")
    def _names_one_prefix(self) -> "Filters":
        if self.path_prefix is not None and self.under is not None:
            raise ValueError("under and path_prefix are the same: give one of them")
        return self

    def as_filter(self) -> Filter:
        return Filter(
            documents=_tuple(self.documents),
            path_prefix=self.path_prefix or self.under,
            path_glob=self.path_glob,
            media_types=_tuple(self.types),
            languages=_tuple(self.languages),
            since=self.since,
            until=self.until,
            heading=self.heading,
            metadata=self.metadata,
        )


class SearchRequest(Form):
    """A question to search the index with, and which passages may answer it."""

    query: Annotated[str, StringConstraints(min_length=1, max_length=MOST_QUERY, pattern=r"\S")] = Field(
        description="A phrase in quotes has to stand there, a word after a minus must not."
    )
    k: int = Field(10, ge=1, le=MOST_HITS, description="How many passages.")
    mode: Mode | None = Field(None, description="By meaning and words, by meaning, by words; without: search.mode.")
    filters: Filters = Field(default_factory=Filters)
    context: int = Field(0, ge=0, le=20, description="Passages given before and after each.")


class Passage(BaseModel):
    """A hit, as `rag-assets search --json` has it."""

    document_id: str
    path: str | None
    chunk_index: int
    content: str
    similarity: float | None = Field(description="Cosine of question and passage; null in mode text.")
    page: int | None
    heading_path: list[str]
    score: float = Field(description="What hits are sorted by.")
    chunk_id: int
    title: str | None
    vector_rank: int | None
    word_rank: int | None
    word_score: float | None = Field(description="BM25.")
    media_type: str | None
    language: str | None
    char_start: int
    char_end: int
    before: list[str]
    after: list[str]
    rerank_score: float | None = Field(description="What hits are sorted by, where a reranker has read them.")


class SearchResponse(BaseModel):
    """Passages, best first."""

    hits: list[Passage]
    mode: Mode
    model: str
    note: str | None = Field(description="What is missing: that hits are not re-ranked, as the reranker failed.")
    seconds: float = Field(description="From the whole request to the answer, in the service.")


class EmbeddingsRequest(Form):
    """Texts, in OpenAI's form."""

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)]
    model: Word | None = Field(None, description="The index's own; another one is not found.")
    encoding_format: Literal["float", "base64"] = Field("float", description="base64: of float32, little-endian.")
    input_type: Literal["query", "passage"] = Field(
        "passage", description="Which prefix is put before the texts, for models that have some."
    )
    dimensions: int | None = Field(None, description="The model's own number of them, if given.")
    user: Word | None = Field(None, description="Not used.")

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class Embedding(BaseModel):
    """A vector of length 1."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens of the model, special ones included; 0 where its server does not tell."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(BaseModel):
    """One vector per text, in their order."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


class Page(Form):
    """Which part of the list of documents is asked for."""

    after: DocumentId | None = Field(None, description="The last id of the page before.")
    limit: int = Field(100, ge=1, le=MOST_PAGE)
    state: State | None = None


class ChunkPage(Form):
    """Which chunks of a document."""

    first_chunk: int = Field(0, ge=0, le=2**31 - 1)
    chunks: int = Field(20, ge=0, le=MOST_PAGE)


class DocumentSummary(BaseModel):
    """A document."""

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
    attempts: int | None
    error_kind: str | None
    last_error: str | None
    metadata: dict[str, Any] | None


class DocumentsResponse(BaseModel):
    """A page of documents in the order of their ids as texts; `next` is the next page's `after`."""

    documents: list[DocumentSummary]
    next: str | None


class AttemptForm(BaseModel):
    """One attempt at a document."""

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


class ChunkForm(BaseModel):
    """A stored chunk."""

    chunk_id: int
    chunk_index: int
    content: str
    page: int | None
    heading_path: list[str]
    char_start: int
    char_end: int
    token_count: int


class DocumentResponse(BaseModel):
    """A document, its last attempts (empty where the caller may not read the log), and a page of its chunks."""

    document: DocumentSummary
    attempts: list[AttemptForm]
    chunks: list[ChunkForm]
    next_chunk: int | None = Field(description="The first_chunk of the next page; null at the end.")


class StatusResponse(BaseModel):
    """The index as the caller may see it."""

    model: str
    dimension: int
    documents: int
    states: dict[str, int]
    errors: dict[str, int] = Field(description="Of documents that wait for another attempt or were given up, by kind.")
    chunks: int
    oldest_pending_seconds: float | None
    faults: list[str] = Field(description="What is not well, with what to do; for callers without a role.")


class Health(BaseModel):
    """Whether the service is alive, or ready to answer."""

    status: str


class ErrorBody(BaseModel):
    """What went wrong."""

    kind: str
    message: str


class ErrorResponse(BaseModel):
    """The body of every answer that is no success."""

    error: ErrorBody


AnyForm = TypeVar("AnyForm", bound=Form)


def read(form: type[AnyForm], given: Any) -> AnyForm:
    """The form with these values; Invalid where they are none of it, or no database can hold them."""
    if not isinstance(given, dict):
        raise Invalid("The body is a JSON object.")
    for value in _values(given):
        if isinstance(value, str) and ("\0" in value or _has_surrogates(value)):
            raise Invalid("A text has no NUL and no half of a surrogate pair.")
        if isinstance(value, float) and not math.isfinite(value):
            raise Invalid("A number is finite.")
    try:
        return form.model_validate(given)
    except ValidationError as exc:
        raise Invalid(
            "; ".join(dict.fromkeys(_said(error, form) for error in exc.errors(include_url=False)[:5]))
        ) from exc


def _said(error: Any, form: type[Form]) -> str:
    names = [str(part)[:100] for part in error["loc"]]
    where = ".".join(names)
    if names[:1] == ["input"]:  # of which pydantic says twice why it is neither of both
        return f"input: it is a text, or 1 to {MOST_TEXTS} texts, each of 1 to {MOST_TEXT:,} characters"
    if error["type"] == "extra_forbidden":
        known = Filters if names[:1] == ["filters"] else form
        return f"{where}: there is no such field; there are {', '.join(known.model_fields)}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _values(given: Any) -> Iterator[Any]:
    """Each text, number or other single value in parsed JSON, at any depth; the keys of objects, too."""
    left = [(given, 0)]
    while left:
        value, depth = left.pop()
        if depth > DEEPEST:
            raise Invalid(f"It is nested too deeply: {DEEPEST} levels are the most.")
        if isinstance(value, dict):
            left += [(each, depth + 1) for each in (*value.keys(), *value.values())]
        elif isinstance(value, list):
            left += [(each, depth + 1) for each in value]
        else:
            yield value


def _has_surrogates(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _tuple(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)
