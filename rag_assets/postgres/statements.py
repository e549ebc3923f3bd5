"""The SQL files of this project: a file and a name come in, a statement comes out."""

import re
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from rag_assets.settings import project_root

_Noun = TypeVar("_Noun")
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def statement(table: str, name: str) -> str:
    """The statement `name` of sql/queries/<table>.sql."""
    return _statements(table)[name]


def composed(table: str, name: str, /, **identifiers: sql.Composable) -> sql.Composed:
    """A statement with its {names} filled in; only identifiers and types of the catalogue go there, never values."""
    text = statement(table, name)
    if "%(" in text:  # values will be filled in, and that halves every percent sign
        identifiers = {key: _with_percent_doubled(part) for key, part in identifiers.items()}
    return sql.SQL(text).format(**identifiers)


def single(cursor: Cursor) -> tuple[Any, ...]:
    """The row of a statement that always gives one."""
    row = cursor.fetchone()
    assert row is not None  # noqa: S101 - such a statement was run
    return row


def nouns(cursor: Cursor, noun: type[_Noun]) -> list[_Noun]:
    """All rows that are left, as dataclasses whose fields are the names of the columns; arrays become tuples."""
    names = [column.name for column in cursor.description or ()]
    return [noun(**dict(zip(names, map(_fixed, row), strict=True))) for row in cursor.fetchall()]


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def folder(name: str) -> list[Path]:
    """The files of sql/<name>, in the order in which they are applied."""
    return sorted((project_root() / "sql" / name).glob("*.sql"))


def _with_percent_doubled(part: sql.Composable) -> sql.Composable:
    if isinstance(part, sql.Identifier):
        return sql.Identifier(*(name.replace("%", "%%") for name in part.strings))
    if isinstance(part, sql.Composed):
        return sql.Composed(map(_with_percent_doubled, part.seq))
    return part


@cache
def _statements(table: str) -> dict[str, str]:
    text = (project_root() / "sql" / "queries" / f"{table}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}
