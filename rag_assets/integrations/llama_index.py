"""LlamaIndex asks our index: a retriever by meaning and words, and the embedding model whose vectors are stored.

Both work on an Index: the Services of this process, or a client of the search service. Their async methods leave the
event loop free.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import (
    NodeRelationship,
    NodeWithScore,
    ObjectType,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from rag_assets import client, operations
from rag_assets.errors import UnembeddableText
from rag_assets.model import Filter, Hit, require_numbers
from rag_assets.services import Services
from rag_assets.settings import Mode
from rag_assets.text.languages import language

TEXTS_AT_ONCE = 256  # that LlamaIndex gives in one call; they are cut into requests of embedding.batch_size

T = TypeVar("T")
_Operators = frozenset[FilterOperator]
ONE_OF: _Operators = frozenset({FilterOperator.EQ, FilterOperator.IN})
IS: _Operators = frozenset({FilterOperator.EQ})
TIMES: _Operators = frozenset({FilterOperator.GTE, FilterOperator.LT})
OF_METADATA: _Operators = frozenset({FilterOperator.EQ, FilterOperator.CONTAINS, FilterOperator.ALL})
# What a filter may ask of each key of a node's metadata; other keys are those of the document's own metadata.
OPERATORS: dict[str, _Operators] = {
    "document_id": ONE_OF,
    "media_type": ONE_OF,
    "language": ONE_OF,
    "path": IS,
    "path_prefix": IS,
    "path_glob": IS,
    "heading": frozenset({FilterOperator.TEXT_MATCH_INSENSITIVE}),
    "changed_at": TIMES,
}
# What else a node's metadata tells, and no filter asks for: passages have it, and not the document's own metadata.
OF_NODES = frozenset({"title", "page", "heading_path", "chunk_index", "similarity", "word_score"})
FILTER_FIELDS = {"document_id": "documents", "media_type": "media_types", "language": "languages", "path": "path_glob"}


class UnsupportedFilter(ValueError):
    """A filter that the index cannot apply; the message names its key and operator, and what there is instead."""


class Index(Protocol):
    """What answers: `search` gives at most k hits, best first; vectors have the dimension of the model, length 1."""

    @property
    def model(self) -> str:
        """The name of the embedding model."""

    def search(self, query: str, *, k: int, filter: Filter, mode: Mode | None, neighbours: int) -> Sequence[Hit]:
        """The `k` best hits, each with so many `neighbours` on either side; `mode` None: the setting's."""

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of passages, in their order."""


class ServicesIndex:
    """The Index of this process: its database and its embedding server."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def model(self) -> str:
        """The name of the embedding model that serves."""
        return self._services.serving.settings.embedding.model

    def search(self, query: str, *, k: int, filter: Filter, mode: Mode | None, neighbours: int) -> Sequence[Hit]:
        """The hits, read from the database here; SettingsError where there is no index."""
        operations.require_index(self._services)
        return operations.search_serving(self._services, query, k=k, filter=filter, mode=mode, neighbours=neighbours)

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question, from the engine that this process uses."""
        return self._services.serving.embedder.embed_query(text)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of passages; each text counts as a third of its characters in tokens."""
        counts = [len(text) // 3 for text in texts]
        vectors: list[list[float]] = self._services.serving.embedder.embed(texts, token_counts=counts).tolist()
        return vectors


class ClientIndex:
    """The Index of a search service, or of a database, as rag_assets.client asks it."""

    def __init__(self, client: client.Index) -> None:
        self._client = client

    @property
    def model(self) -> str:
        """The name of the embedding model, asked of the service."""
        return self._client.status().model

    def search(self, query: str, *, k: int, filter: Filter, mode: Mode | None, neighbours: int) -> Sequence[Hit]:
        """The hits, asked of the service."""
        given = {field.name: getattr(filter, field.name) for field in fields(filter)}
        types = given.pop("media_types")
        return self._client.search(query, k=k, mode=mode, context=neighbours, types=types, **given)

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question, asked of the service."""
        return self._client.embed([text], input_type="query")[0]

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of passages, asked of the service."""
        return self._client.embed(texts)


class RagAssetsRetriever(BaseRetriever):
    """The k passages that answer a question best, of those that the filters leave, as nodes with their score.

    A node's id is that of its chunk, its SOURCE the document. `mode` is hybrid, vector or text, None as the settings
    say. With `neighbours`, a node's text has so many passages before and after it, too. Raises ValueError for a
    question that is empty or too long, UnsupportedFilter, and ServiceErrors.
    """

    def __init__(
        self,
        index: Services | client.Index | Index,
        *,
        k: int = 5,
        filters: MetadataFilters | None = None,
        mode: Mode | None = None,
        neighbours: int = 0,
        **of_base: Any,
    ) -> None:
        require_numbers(k=k, neighbours=neighbours)
        self._index = _index(index)
        self._k = k
        self._filter = as_filter(filters)
        self._mode = mode
        self._neighbours = neighbours
        super().__init__(**of_base)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        query = query_bundle.query_str
        if not query.strip():
            raise ValueError("The question is empty: ask with a few words.")
        hits = _in_words(
            lambda: self._index.search(
                query, k=self._k, filter=self._filter, mode=self._mode, neighbours=self._neighbours
            )
        )
        return [NodeWithScore(node=_node(hit), score=hit.score) for hit in hits]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


class RagAssetsEmbedding(BaseEmbedding):
    """The index's own embedding model: vectors of questions, and of texts, as those that are stored.

    Raises ValueError for a text that the model does not take, and ServiceErrors.
    """

    _index: Index = PrivateAttr()

    def __init__(self, index: Services | client.Index | Index, **of_base: Any) -> None:
        found = _index(index)
        super().__init__(**{"model_name": found.model, "embed_batch_size": TEXTS_AT_ONCE, **of_base})
        self._index = found

    @classmethod
    def class_name(cls) -> str:
        """The name by which LlamaIndex stores the class."""
        return "RagAssetsEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        return _in_words(lambda: self._index.embed_query(query))

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return _in_words(lambda: self._index.embed(texts))

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


def as_filter(filters: MetadataFilters | None) -> Filter:
    """Our Filter for those of LlamaIndex; UnsupportedFilter, never one that leaves out a part of what was asked."""
    fields: dict[str, Any] = {}
    for each in _flat(filters):
        _require_supported(each)
        for field, value in _fields(each).items():
            fields[field] = _both(field, fields[field], value) if field in fields else value
    return Filter(**fields)


def _flat(filters: MetadataFilters | None) -> Iterator[MetadataFilter]:
    """All that have to hold."""
    if filters is None:
        return
    is_negated = filters.condition is FilterCondition.NOT
    if is_negated or (filters.condition is not FilterCondition.AND and len(filters.filters) > 1):
        raise UnsupportedFilter(
            f"Filters cannot be combined by {getattr(filters.condition, 'value', None)!r}, only by 'and'. "
            "One of several values of a key is asked for by the operator 'in'."
        )
    for each in filters.filters:
        if isinstance(each, MetadataFilters):
            yield from _flat(each)
        else:
            yield each


def _require_supported(given: MetadataFilter) -> None:
    if given.key in OF_NODES:
        raise UnsupportedFilter(
            f"The key {given.key!r} of a node cannot be filtered by; there are {', '.join(OPERATORS)}, and the keys of "
            "the documents' own metadata."
        )
    allowed = OPERATORS.get(given.key, OF_METADATA)
    if given.operator not in allowed:
        known = ", ".join(sorted(repr(operator.value) for operator in allowed))
        raise UnsupportedFilter(
            f"The operator {given.operator.value!r} is not supported for the key {given.key!r}; there is {known}."
        )
    takes_list = given.operator in (FilterOperator.IN, FilterOperator.ALL)
    if given.value in (None, []) or isinstance(given.value, list) is not takes_list:
        needed = "a list of values" if takes_list else "one value"
        raise UnsupportedFilter(
            f"The operator {given.operator.value!r} of the key {given.key!r} takes {needed}, not {given.value!r}."
        )


def _fields(given: MetadataFilter) -> dict[str, Any]:
    """The fields of a Filter that one filter means."""
    if given.key not in OPERATORS:
        is_scalar_of_list = given.operator is FilterOperator.CONTAINS
        return {"metadata": {given.key: [given.value] if is_scalar_of_list else given.value}}
    if given.key == "changed_at":
        return {"since" if given.operator is FilterOperator.GTE else "until": _time(given.value)}
    if OPERATORS[given.key] is ONE_OF:
        values = given.value if isinstance(given.value, list) else [given.value]
        return {FILTER_FIELDS[given.key]: tuple(_one_of(given.key, str(value)) for value in values)}
    text = str(given.value)
    if given.key == "path" and set(text) & {"*", "?"}:
        raise UnsupportedFilter(f"The path {text!r} has * or ?, which stand for others: filter by document_id.")
    return {FILTER_FIELDS.get(given.key, given.key): text}


def _one_of(key: str, value: str) -> str:
    """The value as it is stored."""
    if key != "language":
        return value
    try:
        return language(value)
    except ValueError as exc:
        raise UnsupportedFilter(str(exc)) from None


def _both(field: str, first: Any, second: Any) -> Any:
    """What holds where both do."""
    if isinstance(first, tuple):
        return tuple(value for value in first if value in second)
    if isinstance(first, datetime):
        return max(first, second) if field == "since" else min(first, second)
    if isinstance(first, dict):
        return {
            **first,
            **{key: _both(key, first[key], second[key]) if key in first else second[key] for key in second},
        }
    if isinstance(first, list) and isinstance(second, list):
        return first + second
    if first == second:
        return first
    raise UnsupportedFilter(f"Two filters ask different things of {field!r}: {first!r} and {second!r}.")


def _time(value: Any) -> datetime:
    """From ISO 8601, in UTC where it names no zone, or from seconds since 1970."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, tz=UTC)
        found = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        raise UnsupportedFilter(
            f"changed_at is compared with a time as in 2026-11-28T14:30, or seconds since 1970, not with {value!r}."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _node(hit: Hit) -> TextNode:
    known = {
        "document_id": hit.document_id,
        "path": hit.path,
        "title": hit.title,
        "page": hit.page,
        "heading_path": " > ".join(hit.heading_path) or None,
        "chunk_index": hit.chunk_index,
        "media_type": hit.media_type,
        "language": hit.language,
        "similarity": hit.similarity,
        "word_score": hit.word_score,
    }
    to_read = {"path", "title", "page", "heading_path"}
    return TextNode(
        id_=str(hit.chunk_id),
        text="\n\n".join((*hit.before, hit.content, *hit.after)),
        metadata={name: value for name, value in known.items() if value is not None},
        excluded_llm_metadata_keys=[name for name in known if name not in to_read],
        excluded_embed_metadata_keys=list(known),  # as they were embedded, without them
        start_char_idx=hit.char_start,
        end_char_idx=hit.char_end,
        relationships={
            NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.document_id, node_type=ObjectType.DOCUMENT)
        },
    )


def _index(given: Services | client.Index | Index) -> Index:
    if isinstance(given, client.Index):
        return ClientIndex(given)
    return ServicesIndex(given) if isinstance(given, Services) else given


def _in_words(ask: Callable[[], T]) -> T:
    """A text that the model does not take is a wrong value, for whoever gave it."""
    try:
        return ask()
    except UnembeddableText as exc:
        raise ValueError(f"The model does not take text {exc.index}, shorten it: {exc}") from exc
