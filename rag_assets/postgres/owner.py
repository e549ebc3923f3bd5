"""rag_owner: the program whose settings decide how documents are cut and embedded, one at a time.

Two programs with other settings on one database would cut all documents back and forth, each finding outdated what the
other one stored.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor

from rag_assets.errors import SettingsError
from rag_assets.postgres.statements import single, statement


@dataclass(frozen=True, kw_only=True)
class Owner:
    """`program` names an installation, or host and home; `settings` are those that decide chunks and vectors."""

    program: str
    model: str
    settings: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of `written`, in hexadecimal."""
        return hashlib.sha256(self.written.encode()).hexdigest()

    @property
    def written(self) -> str:
        """The settings and the model as JSON with sorted keys: the same ones give the same text."""
        return json.dumps(self.settings | {"embedding.model": self.model}, sort_keys=True)


def claim(cursor: Cursor, mine: Owner) -> None:
    """Have this program's settings hold where no other's do, or where it changed its own; else SettingsError."""
    found = _get(cursor)
    if found is None or found[0] == mine.program:
        take_over(cursor, mine)
    else:
        _require_same(found, mine)


def require(cursor: Cursor, mine: Owner) -> None:
    """SettingsError where the index follows other settings by now."""
    found = _get(cursor)
    if found is not None:
        _require_same(found, mine)


def take_over(cursor: Cursor, mine: Owner) -> None:
    """Have this program's settings hold, whoever's did; every other one refuses to work from now on."""
    cursor.execute(statement("owner", "has_owner_table"))
    if not single(cursor)[0]:
        return  # there is no index yet
    values = {
        "program": mine.program,
        "fingerprint": mine.fingerprint,
        "model": mine.model,
        "settings": mine.written,
    }
    cursor.execute(statement("owner", "set_owner"), values)


def _get(cursor: Cursor) -> tuple[str, str, str] | None:
    """Program, fingerprint and settings."""
    cursor.execute(statement("owner", "get_owner"))
    row = cursor.fetchone()
    return (row[0], row[1], row[2]) if row else None


def _require_same(found: tuple[str, str, str], mine: Owner) -> None:
    program, fingerprint, written = found
    if fingerprint == mine.fingerprint:
        return
    theirs, ours = json.loads(written), json.loads(mine.written)
    differing = [
        f"{name} is {ours.get(name)!r} here and {theirs.get(name)!r} there"
        for name in sorted(theirs.keys() | ours.keys())
        if theirs.get(name) != ours.get(name)
    ]
    raise SettingsError(
        f"The index of this database follows the settings of {program}: {', '.join(differing)}. Two programs would cut "
        "all documents back and forth. Use the same settings (a program that runs, after a restart), or take over on "
        "purpose, and the other one refuses to work: rag-assets init --take-over"
    )
