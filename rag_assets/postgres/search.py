"""Search: a question and its vector come in, the best chunks come out; the work is done by rag_search in SQL."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from pgvector import Vector
from psycopg2 import errors as pg_errors
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from rag_assets.model import Filter, Hit
from rag_assets.postgres.statements import nouns, single, statement
from rag_assets.settings import Search

WORD_MARKS = ("\ue000", "\ue001")  # around a word of an excerpt that was asked for; of the private use area
ELLIPSIS = "..."
WORD_CHARACTERS = 60  # up to which an excerpt begins and ends with whole words; there are scripts without spaces


def find(
    cursor: Cursor, query: str, vector: Sequence[float] | None, *, k: int, model: str, search: Search, filter: Filter
) -> list[Hit]:
    """The k best chunks of this model for a question, of those that the filter leaves, best first.

    `vector` is the question's (dimension floats); None where `search.mode` is text. ValueError for a mode, k or weight
    that there is not.
    """
    values: dict[str, object] = asdict(filter) | {
        "query": query,
        "vector": None if vector is None else Vector(list(map(float, vector))).to_text(),
        "k": k,
        "model": model,
        "mode": search.mode,
        "fusion": search.fusion,
        "vector_weight": search.vector_weight,
        "candidates": search.candidates,
        "query_language": search.language,
        "metadata": None if filter.metadata is None else Json(filter.metadata),
    }
    for name in ("documents", "media_types", "languages"):
        given = values[name]
        values[name] = list(given) if isinstance(given, tuple) else None
    try:
        cursor.execute(statement("search", "search"), values)
    except pg_errors.InvalidParameterValue as exc:
        raise ValueError(exc.diag.message_primary) from exc
    return nouns(cursor, Hit)


def search(cursor: Cursor, vector: Sequence[float], *, k: int, model: str) -> list[Hit]:
    """The k chunks of this model nearest to `vector` (dimension floats) by cosine distance, best first."""
    return find(cursor, "", vector, k=k, model=model, search=Search(mode="vector"), filter=Filter())


def places(cursor: Cursor, named: Sequence[str]) -> list[tuple[str, str]]:
    """Id and path of the documents that have one of these as id, path, file name, or file name without its ending."""
    cursor.execute(statement("search", "places"), {"named": list(named)})
    return cursor.fetchall()


def has_path(cursor: Cursor, prefix: str) -> bool:
    """Whether the path of a document begins so."""
    cursor.execute(statement("search", "has_path"), {"prefix": prefix})
    return bool(single(cursor)[0])


def any_path(cursor: Cursor) -> str | None:
    """The path of some document; None where there is none."""
    cursor.execute(statement("search", "any_path"))
    row = cursor.fetchone()
    return None if row is None else str(row[0])


def with_neighbours(cursor: Cursor, hits: Sequence[Hit], *, count: int) -> list[Hit]:
    """The same hits with up to so many chunks before and after each."""
    return [_with_neighbours(cursor, hit, count=count) for hit in hits]


def asked_for(cursor: Cursor, query: str, *, model: str, language: str | None) -> tuple[list[str], bool]:
    """The words that a question looks for, as they are kept, and whether something has to stand there, or must not."""
    cursor.execute(statement("search", "asked_for"), {"query": query, "model": model, "language": language})
    words, requires = single(cursor)
    return words, requires


def excerpts(cursor: Cursor, query: str, hits: Sequence[Hit], *, model: str) -> list[str]:
    """Of each hit, the part that has most of the question's words, which stand between WORD_MARKS."""
    start, stop = WORD_MARKS
    options = f"StartSel={start}, StopSel={stop}, MaxWords=55, MinWords=40"
    values = {
        "query": query,
        "model": model,
        "options": options,
        "contents": [hit.content for hit in hits],
        "languages": [hit.language or "" for hit in hits],
    }
    cursor.execute(statement("search", "excerpts"), values)
    return [_as_written(*row, content=hit.content) for row, hit in zip(cursor.fetchall(), hits, strict=True)]


def _as_written(excerpt: str, spaced: str, *, content: str) -> str:
    """An excerpt of a text in which signs are spaces, with the signs that are there; it may have WORD_MARKS.

    It begins and ends between white space; what the text has before and after it is told by an ellipsis.
    """
    plain = "".join(each for each in excerpt if each not in WORD_MARKS)
    start = spaced.find(plain)
    if start < 0:
        return excerpt
    written = iter(content[start:])
    inner = "".join(each if each in WORD_MARKS else next(written) for each in excerpt)
    before, after = content[:start], content[start + len(plain) :]
    if not any(map(str.isalnum, before)):
        return before + inner + _end(after)
    begun = "" if before[-1:].isspace() else before.rsplit(maxsplit=1)[-1]
    return f"{ELLIPSIS} {begun if len(begun) <= WORD_CHARACTERS else ''}{inner}{_end(after)}"


def _end(after: str) -> str:
    """What of the text after an excerpt belongs to its last word, and that there is more."""
    if not any(map(str.isalnum, after)):
        return after
    rest = "" if after[:1].isspace() else after.split(maxsplit=1)[0]
    if len(rest) > WORD_CHARACTERS:
        rest = ""
    return f"{rest} {ELLIPSIS}" if any(map(str.isalnum, after[len(rest) :])) else after


def _with_neighbours(cursor: Cursor, hit: Hit, *, count: int) -> Hit:
    cursor.execute(statement("search", "neighbours"), {"chunk": hit.chunk_id, "count": count})
    rows = cursor.fetchall()
    before = tuple(content for index, content in rows if index < hit.chunk_index)
    return replace(hit, before=before, after=tuple(content for index, content in rows if index > hit.chunk_index))
