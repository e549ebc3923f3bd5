"""rag_chunk_words and its statistics: what triggers write down is folded here, and what they never saw is filled in."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor

from rag_assets.postgres.statements import single, statement


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """A word, or a total, of which the statistics say something else than a recount."""

    model: str
    word: str  # empty: chunks; a space: their length together
    counted: int
    kept: int


def fold(cursor: Cursor, *, at_least: int = 1) -> int:
    """Add the changes that were written down to the statistics, where there are so many; how many."""
    cursor.execute(statement("words", "fold"), {"at_least": at_least})
    return int(single(cursor)[0])


def fill(cursor: Cursor, *, count: int) -> int:
    """Store the words of so many chunks that were stored before words were; how many may be left."""
    cursor.execute(statement("words", "fill"), {"count": count})
    return int(single(cursor)[0])


def list_without_language(cursor: Cursor, *, count: int, characters: int) -> dict[str, str]:
    """Documents whose language nobody looked at, with the beginning of their text; source code is not among them."""
    cursor.execute(statement("words", "list_without_language"), {"count": count, "characters": characters})
    return dict(cursor.fetchall())


def set_languages(cursor: Cursor, languages: Mapping[str, str]) -> None:
    """Note the languages of documents, by id; the words of their chunks follow."""
    values = {"ids": list(languages), "languages": list(languages.values())}
    cursor.execute(statement("words", "set_languages"), values)


def check(cursor: Cursor, *, limit: int = 20) -> list[Mismatch]:
    """What is wrong with the statistics; reads all words."""
    cursor.execute(statement("words", "check"), {"limit": limit})
    return [Mismatch(model=row[0], word=row[1], counted=row[2], kept=row[3]) for row in cursor.fetchall()]


def recount(cursor: Cursor) -> None:
    """Count all words anew; nobody writes chunks meanwhile."""
    cursor.execute(statement("words", "recount"))
