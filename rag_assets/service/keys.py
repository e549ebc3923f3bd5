"""API keys: a file of names, hashes, roles and claims comes in; a key that was given becomes the caller whose it is.

The file is TOML, read again whenever it changes:

    [keys.intranet]
    sha256 = "..."                       # of the key, as `rag-assets key intranet` prints it
    role = "tenant_a"                    # of the database, whose rights decide; without: all is seen
    claims = { "app.customer" = "42" }   # settings of the transaction, which policies ask for
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import sys
import threading
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from rag_assets.errors import SettingsError
from rag_assets.model import Caller
from rag_assets.settings import TOO_DEEP

SETTING = "service.keys_file"
LEAST_CHARACTERS = 16  # of a key that stands in the file itself
MOST_BYTES = 2**20
CLAIM = re.compile(r"[a-z_][a-z0-9_]{0,30}(\.[a-z_][a-z0-9_]{0,30})+")  # settings of PostgreSQL itself have no dot
OTHERS_RIGHTS = stat.S_IRWXO | stat.S_IWGRP  # who may do nothing with the file, or not this


class Entry(BaseModel):
    """What the file says of one key."""

    model_config = ConfigDict(extra="forbid")

    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    key: Annotated[SecretStr, Field(min_length=LEAST_CHARACTERS)] | None = None
    role: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^\x00]+$")] | None = None
    claims: dict[str, str] = {}

    @model_validator(mode="after")
    def _is_one_key(self) -> "Entry":
        if (self.sha256 is None) == (self.key is None):
            raise ValueError("it has either sha256 or key")
        if self.claims and self.role is None:
            raise ValueError("claims are for policies, which do not apply without a role")
        for name, value in self.claims.items():
            if not CLAIM.fullmatch(name) or "\0" in value:
                raise ValueError(f"the claim {name!r} is no name with a dot in it, as app.customer")
        return self

    @property
    def digest(self) -> bytes:
        """SHA-256 of the key, 32 bytes: what a key that is presented is compared by."""
        if self.key is not None:
            return _digest(self.key.get_secret_value())
        return bytes.fromhex(self.sha256 or "")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: Annotated[dict[str, Entry], Field(min_length=1)]


class Keys:
    """The keys of a file; thread-safe."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._read_at: tuple[int, ...] = ()
        self._callers: list[tuple[bytes, Caller]] = []

    def caller(self, given: str) -> Caller | None:
        """Whose key it is; None: nobody's. SettingsError where the file is not there, not ours or wrong: nobody is
        let in until it is mended, as one who is to be let in no more may be why it was changed."""
        digest = _digest(given)
        found = None
        for known, caller in self._current():  # each of them, so that time does not tell which
            if hmac.compare_digest(digest, known):
                found = caller
        return found

    def require(self) -> int:
        """How many keys there are; SettingsError as above."""
        return len(self._current())

    def _current(self) -> list[tuple[bytes, Caller]]:
        with self._lock:
            try:
                facts = os.stat(self._file)
                _require_private(self._file, facts)  # before it is opened, which of a pipe would wait
                state = (facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino)
                if state != self._read_at:
                    self._callers = _read(self._file)
                    self._read_at = state
            except OSError as exc:
                self._read_at = ()
                raise SettingsError(f"{SETTING}, {self._file}, cannot be read: {exc.strerror}") from exc
            except SettingsError:
                self._read_at = ()
                raise
            return self._callers


def new_key(name: str, *, role: str | None = None) -> tuple[str, str]:
    """A new key, and the lines for the file; a name has letters, digits and - _ . only."""
    key = f"rag_{secrets.token_urlsafe(32)}"
    lines = [f'[keys."{name}"]', f'sha256 = "{_digest(key).hex()}"']
    if role is not None:
        lines.append(f"role = {json.dumps(role)}")
    return key, "\n".join(lines) + "\n"


def _digest(key: str) -> bytes:
    """Keys are long and random, so that one round is enough."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _read(file: Path) -> list[tuple[bytes, Caller]]:
    with file.open("rb") as opened:
        _require_private(file, os.fstat(opened.fileno()))
        content = opened.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise SettingsError(f"{SETTING}, {file}, has more than {MOST_BYTES:,} bytes.")
    try:
        entries = _File.model_validate(tomllib.loads(content.decode("utf-8-sig"))).keys
    except ValidationError as exc:
        said = "; ".join(
            f"{'.'.join(map(str, error['loc']))}: {str(error['msg']).removeprefix('Value error, ')}"
            for error in exc.errors(include_input=False, include_url=False)
        )
        raise SettingsError(f"{SETTING}, {file}: {said}") from None  # the values may be keys
    except ValueError as exc:
        raise SettingsError(f"{SETTING}, {file}, cannot be read as TOML in UTF-8: {exc}") from exc
    except RecursionError as exc:
        raise SettingsError(f"{SETTING}, {file}, cannot be read as TOML in UTF-8: a value is {TOO_DEEP}") from exc
    return _callers(file, entries)


def _callers(file: Path, entries: dict[str, Entry]) -> list[tuple[bytes, Caller]]:
    _require_same_claims(file, entries)
    found: dict[bytes, Caller] = {}
    for name, entry in entries.items():
        if entry.digest in found:
            raise SettingsError(f"{SETTING}, {file}: {found[entry.digest].name} and {name} have the same key.")
        claims = tuple(sorted(entry.claims.items()))
        found[entry.digest] = Caller(name=name, role=entry.role, claims=claims)
    return list(found.items())


def _require_same_claims(file: Path, entries: dict[str, Entry]) -> None:
    """A setting that was ever set in a session is empty afterwards, not missing: for a key without the claim, a policy
    would compare with nothing, and one that looks at how a text begins would let all through."""
    named = {name for entry in entries.values() for name in entry.claims}
    for key, entry in entries.items():
        if entry.role is not None and (missing := named - entry.claims.keys()):
            raise SettingsError(
                f"{SETTING}, {file}: {key} has no claim {', '.join(sorted(missing))}, and other keys have. Policies "
                "would find it empty: give it to each key that has a role."
            )


def _require_private(file: Path, facts: os.stat_result) -> None:
    """SettingsError where other accounts may read or change who is let in; a group may read."""
    if not stat.S_ISREG(facts.st_mode):
        raise SettingsError(f"{SETTING}, {file}, is no file.")
    if sys.platform == "win32":
        return  # folders of an account are closed to others there
    if facts.st_uid not in (os.geteuid(), 0) or facts.st_mode & OTHERS_RIGHTS:
        raise SettingsError(
            f"{SETTING}, {file}, may be read or changed by others: it has to belong to this account or root "
            "(chown), and be closed to the rest (chmod 600)."
        )
