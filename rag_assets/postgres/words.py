"""rag_chunk_words and its statistics: what triggers write down is folded here, and what they never saw is filled in."""

import itertools
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


@dataclass(frozen=True, kw_only=True)
class Following:
    """A document that may have to follow another language; `text` is its beginning."""

    document_id: str
    language: str | None  # None where nobody looked
    text: str
    is_prose: bool


def follow_language(cursor: Cursor, language: str | None, *, program: str) -> None:
    """Have all documents follow this language, None: each its own, where the index follows the program's settings."""
    cursor.execute(statement("words", "follow_language"), {"language": language, "program": program})


def list_following(cursor: Cursor, *, count: int, chunks: int, characters: int) -> list[Following] | None:
    """The next documents that do not follow yet, in the order of their ids, up to one that somebody writes just now.

    At most `count`, with about so many `chunks`. None where all follow.
    """
    cursor.execute(statement("words", "get_following"))
    if (row := cursor.fetchone()) is None:
        return None
    values = {"after": row[0], "count": count, "chunks": chunks, "characters": characters}
    cursor.execute(statement("words", "list_after"), values)
    found = cursor.fetchall()
    if not found:
        cursor.execute(statement("words", "set_following"), {"after": None})
        return None
    free = itertools.takewhile(lambda row: row[1], found)
    return [Following(document_id=row[0], language=row[2], text=row[3], is_prose=row[4]) for row in free]


def change_languages(cursor: Cursor, languages: Mapping[str, str], *, last: str) -> None:
    """Note other languages of documents, by id, and that all up to `last` follow."""
    values = {"ids": list(languages), "languages": list(languages.values())}
    cursor.execute(statement("words", "change_languages"), values)
    cursor.execute(statement("words", "set_following"), {"after": last})


def check(cursor: Cursor, *, limit: int = 20) -> list[Mismatch]:
    """What is wrong with the statistics; reads all words."""
    cursor.execute(statement("words", "check"), {"limit": limit})
    return [Mismatch(model=row[0], word=row[1], counted=row[2], kept=row[3]) for row in cursor.fetchall()]
