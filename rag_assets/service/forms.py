"""What is asked of the search service and what it answers: pydantic models, of which the OpenAPI document is made.

Answers hold the nouns of rag_assets.model as they are."""

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from rag_assets.errors import RagAssetsError
from rag_assets.model import Attempt, DocumentState, Filter, Hit, State, StoredChunk, Summary, moment
from rag_assets.postgres.documents import ID_BYTES
from rag_assets.text.languages import language

MOST_HITS = 1_000
MOST_TEXTS = 256  # of one request for vectors
MOST_PAGE = 1_000
MOST_TEXT = 100_000  # characters of a text that is to be embedded
MOST_QUERY = 4_000  # characters: what a query takes to be read grows with the square of the phrases in it
DEEPEST_NESTING = 64  # objects and lists in each other
MOST_ERRORS = 5  # that are told of one request
WHOLE, NUMBER, TEXT, LIST, OBJECT = (
    f"it has to be {what}" for what in ("a whole number", "a number", "a text", "a list", "an object")
)
# Of each kind of pydantic's errors, what it says to people who do not know pydantic.
WORDS = {
    "missing": "it has to be there",
    "string_type": TEXT,
    "string_too_short": "it is empty",
    "string_too_long": "it has {max_length:,} characters at most",
    "string_pattern_mismatch": "it is empty",
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_parsing_size": WHOLE,
    "int_from_float": WHOLE,
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "greater_than_equal": "it has to be {ge:,} at least",
    "less_than_equal": "it has to be {le:,} at most",
    "literal_error": "it has to be {expected}",
    "list_type": LIST,
    "too_long": "it has {max_length:,} entries at most",
    "dict_type": OBJECT,
    "model_type": OBJECT,
    "model_attributes_type": OBJECT,
}
Mode = Literal["hybrid", "vector", "text"]
Word = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MOST_TEXT)]


def _of_number(what: str) -> BeforeValidator:
    """Refuses true and false, which Python takes for 1 and 0."""

    def validated(value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(what)
        return value

    return BeforeValidator(validated)


Whole = Annotated[int, _of_number(WHOLE)]
Number = Annotated[float, _of_number(NUMBER)]
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

    @field_validator("since", "until", mode="before")
    @classmethod
    def _moment(cls, value: Any) -> datetime | None:
        return None if value is None else moment(value)

    @field_validator("languages")
    @classmethod
    def _languages(cls, codes: list[str] | None) -> list[str] | None:
        return None if codes is None else [language(code) for code in codes]

    @model_validator(mode="after")
    def _names_one_prefix(self) -> "Filters":
        if self.path_prefix is not None and self.under is not None:
            raise ValueError("under and path_prefix are the same: give one of them")
        return self

    def as_filter(self) -> Filter:
        """The same as the search takes it; lists become tuples."""
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
    k: Whole = Field(10, ge=1, le=MOST_HITS, description="How many passages.")
    mode: Mode | None = Field(None, description="By meaning and words, by meaning, by words; without: search.mode.")
    filters: Filters = Field(default_factory=Filters)
    context: Whole = Field(0, ge=0, le=20, description="Passages given before and after each.")
    min_similarity: Number | None = Field(
        None, ge=-1, le=1, description="Of those found, less similar ones (by cosine) are left out; not in mode text."
    )

    def mode_or(self, usual: Mode) -> Mode:
        """How it is to be searched; Invalid where words alone are to have a similarity."""
        mode = self.mode or usual
        if mode == "text" and self.min_similarity is not None:
            raise Invalid("min_similarity: words alone have no similarity; ask with mode hybrid or vector")
        return mode


class SearchResponse(BaseModel):
    """Passages, best first."""

    hits: list[Hit]
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
    dimensions: Whole | None = Field(None, description="The model's own number of them, if given.")
    user: Word | None = Field(None, description="Not used.")

    @property
    def texts(self) -> list[str]:
        """The input as a list, of one text where it is no list."""
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
    limit: Whole = Field(100, ge=1, le=MOST_PAGE)
    state: State | None = None


class ChunkPage(Form):
    """Which chunks of a document."""

    first_chunk: Whole = Field(0, ge=0, le=2**31 - 1)
    chunks: Whole = Field(20, ge=0, le=MOST_PAGE)


class DocumentsResponse(BaseModel):
    """A page of documents in the order of their ids as texts; `next` is the next page's `after`."""

    documents: list[DocumentState]
    next: str | None


class DocumentResponse(BaseModel):
    """A document, its last attempts (empty where the caller may not read the log), and a page of its chunks."""

    document: DocumentState
    attempts: list[Attempt]
    chunks: list[StoredChunk]
    next_chunk: int | None = Field(description="The first_chunk of the next page; null at the end.")


class StatusResponse(RootModel[Summary]):
    """The index as the caller may see it."""


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
        raise Invalid(in_words(exc, known=form.model_fields)) from exc


def in_words(exc: ValidationError, *, known: Iterable[str]) -> str:
    """What is wrong with some fields, of which there are those that are `known`."""
    errors = exc.errors(include_url=False)[:MOST_ERRORS]
    return "; ".join(dict.fromkeys(_in_words(error, known=known) for error in errors))


def _in_words(error: Any, *, known: Iterable[str]) -> str:
    names = [str(part)[:100] for part in error["loc"]]
    where = ".".join(names)
    if names[:1] == ["input"]:  # of which pydantic says twice why it is neither of both
        return f"input: it is a text, or 1 to {MOST_TEXTS} texts, each of 1 to {MOST_TEXT:,} characters"
    if error["type"] == "extra_forbidden":
        there = Filters.model_fields if names[:1] == ["filters"] else known
        return f"{where}: there is no such field; there are {', '.join(there)}"
    if (words := WORDS.get(error["type"])) is not None:
        message = words.format_map({key: _whole(value) for key, value in error.get("ctx", {}).items()})
    else:
        message = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _values(given: Any) -> Iterator[Any]:
    """Each text, number or other single value in parsed JSON, at any depth; the keys of objects, too."""
    left = [(given, 0)]
    while left:
        value, depth = left.pop()
        if depth > DEEPEST_NESTING:
            raise Invalid(f"It is nested too deeply: {DEEPEST_NESTING} levels are the most.")
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
