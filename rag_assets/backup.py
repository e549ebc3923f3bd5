"""Backups of the embedded database: a home becomes a folder with a dump and its manifest, and the folder a home.

A backup is one state of everything (documents table, index, Dagster's runs), taken beside whoever writes. The folder
appears when it is whole. A restore fills a database beside the one in use, compares it with the manifest, and only then
puts it in its place: until then, nothing that goes wrong changes what is there.
"""

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from rag_assets.bundled import data_directory, dumps
from rag_assets.bundled import postgres as bundled_postgres
from rag_assets.errors import ServiceError, SettingsError
from rag_assets.model import Progress, counted
from rag_assets.postgres import conninfo, contents
from rag_assets.postgres.contents import Contents
from rag_assets.postgres.database import Database
from rag_assets.postgres.statements import folder as sql_folder
from rag_assets.settings import Settings, distrust, require_file

MANIFEST_FORMAT = 1  # of the manifest; a program reads its own and earlier ones
MANIFEST_FILE = "manifest.json"
DUMP_FILE = "database.dump"
SPARE_BYTES = 64 * 2**20  # that a restore leaves free: PostgreSQL stops where its disk is full
READ_BYTES = 2**20  # at a time


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a backup holds: `dump_bytes` and `sha256` are of its file, `database_bytes` what it takes when restored."""

    format: int
    program: str  # the version of rag_assets
    made_at: str  # ISO 8601, UTC
    postgresql: int  # major version
    dump_bytes: int
    sha256: str
    database_bytes: int
    roles: list[str]
    migrations: list[str]
    rows: dict[str, int]  # by schema.table

    @property
    def contents(self) -> Contents:
        """What the backup holds, in the form in which a database's own contents are compared with it."""
        return Contents(migrations=self.migrations, rows=self.rows)


def make(settings: Settings, folder: Path, *, progress: Progress) -> Manifest:
    """Back the embedded database up into a folder that is not there, or empty.

    Raises SettingsError where there is no such database or no index in it, or the folder has something in it, and
    ServiceError where the disk is too small or the dump fails; then the folder is as it was.
    """
    _require_embedded(settings)
    if not dumps.has_cluster(settings.home):
        raise SettingsError(f"There is no embedded database in {settings.home}: nothing is to be backed up.")
    folder = Path(os.path.abspath(folder))
    with _written(folder) as unfinished, _database(settings) as database:
        with contents.snapshot(database) as (cursor, snapshot):
            sizes, held, roles = contents.sizes(cursor), contents.count(cursor), contents.roles(cursor)
            if not held.migrations:
                raise SettingsError(f"There is no index in the database of {settings.home}: is it the right home?")
            _require_space(unfinished, needed=sizes.tables, what="The dump may take")
            progress(f"Writing {held.words}")
            variables = conninfo.as_environment(database.url)
            dumps.dump(variables=variables, snapshot=snapshot, file=unfinished / DUMP_FILE)
        manifest = Manifest(
            format=MANIFEST_FORMAT,
            program=version("rag-assets"),
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            postgresql=data_directory.MAJOR_VERSION,
            dump_bytes=(unfinished / DUMP_FILE).stat().st_size,
            sha256=_sha256(unfinished / DUMP_FILE),
            database_bytes=sizes.database,
            roles=roles,
            **asdict(held),
        )
        _write_manifest(unfinished / MANIFEST_FILE, manifest)
    return manifest


def restore(settings: Settings, folder: Path, *, replace: bool, progress: Progress) -> Manifest:
    """Put a backup into the embedded database of this home, which nobody else may use meanwhile.

    Raises SettingsError where the folder is no backup that this program can restore, where another account could have
    written it, or where data is there and `replace` is not said, ServiceError where it is damaged, the disk is too
    small or somebody uses the database. What was there stays then.
    """
    _require_embedded(settings)
    folder = Path(os.path.abspath(folder))
    manifest = read(folder)
    with _database(settings) as database:
        if others := dumps.other_users(settings.home, os.getpid()):
            raise ServiceError(
                f"The database of {settings.home} is used by the processes {', '.join(others)}: end them first "
                "(`rag-assets up`, or a shell that `rag-assets env` was for)."
            )
        if not replace:
            _require_empty(database, settings.home)
        place = dumps.data_folder(settings.home)
        _require_space(place, needed=manifest.database_bytes + SPARE_BYTES, what="The restored database takes")
        progress(f"Restoring {manifest.contents.words}")
        variables = conninfo.as_environment(database.url)
        with dumps.restored(
            url=database.url, variables=variables, roles=manifest.roles, file=folder / DUMP_FILE
        ) as restored:
            _require_same(restored, settings, manifest)
            database.close()
            dumps.replace(database.url)
    return manifest


def read(folder: Path) -> Manifest:
    """The manifest of a backup that is whole and that this program can restore.

    Raises SettingsError where it is none, a newer program made it, or another account could have written it, and
    ServiceError where its file is damaged.
    """
    _require_trusted(folder)
    manifest = _read_manifest(folder / MANIFEST_FILE)
    if newer := set(manifest.migrations) - {file.name for file in sql_folder("migrations")}:
        raise SettingsError(
            f"This program is older than the backup in {folder} ({max(newer)} was applied to its tables): install "
            f"rag-assets {manifest.program} or later. Nothing was changed."
        )
    if manifest.postgresql > data_directory.MAJOR_VERSION:
        raise SettingsError(
            f"The backup in {folder} is of PostgreSQL {manifest.postgresql}, and {data_directory.MAJOR_VERSION} is "
            'installed: pip install --upgrade "rag-assets[embedded]". Nothing was changed.'
        )
    _require_whole(folder / DUMP_FILE, manifest)
    return manifest


# ---- what has to hold


def _require_embedded(settings: Settings) -> None:
    if settings.database_url is not None:
        raise SettingsError(
            "DATABASE_URL is set, and this is for the embedded database alone. Of your own, take a pg_dump: "
            "docs/operating.md says of what."
        )


def _require_space(place: Path, *, needed: int, what: str) -> None:
    free = shutil.disk_usage(place).free
    if free < needed:
        raise ServiceError(
            f"{what} {needed / 1e6:.0f} MB, and the disk of {place} has {free / 1e6:.0f} MB free: make room, or name "
            "another disk. Nothing was changed."
        )


def _require_empty(database: Database, home: Path) -> None:
    with database.transaction() as cursor:
        found = contents.count(cursor)
    if found.rows:
        raise SettingsError(
            f"The database of {home} holds {found.words}. Back it up if you want "
            "to keep what is there, then say --replace to have the backup in their place. Nothing was changed."
        )


def _require_trusted(folder: Path) -> None:
    """A hash proves nothing here: who writes the dump writes the manifest, too."""
    for part in (folder, folder / MANIFEST_FILE, folder / DUMP_FILE):
        if why := distrust(part, writers=stat.S_IWGRP | stat.S_IWOTH):
            what, command = why
            raise SettingsError(
                f"{part} {what}, and is not restored: a dump is code, which runs in the database as the account of its "
                f"server. Restore what you made yourself; or if you trust who made this, correct the "
                f"{'owner' if command == 'chown' else 'permissions'} of the folder and its files ({command})."
            )


def _require_whole(file: Path, manifest: Manifest) -> None:
    try:
        require_file(file)
        found = file.stat().st_size
        is_whole = found == manifest.dump_bytes and _sha256(file) == manifest.sha256
    except OSError as exc:
        raise ServiceError(f"{file} cannot be read: {exc.strerror or exc}. Nothing was changed.") from exc
    if not is_whole:
        raise ServiceError(
            f"{file} is not as it was written: it has {found} bytes, and the manifest says {manifest.dump_bytes} with "
            "another hash, or the same. Copy the backup again, or take an earlier one. Nothing was changed."
        )


def _require_same(url: str, settings: Settings, manifest: Manifest) -> None:
    """Compare what was restored with what was counted when the backup was made, and prepare it for use."""
    with closing(Database(url, settings=settings.database)) as database, database.transaction() as cursor:
        found = contents.count(cursor)
        contents.analyze(cursor)
    if found != manifest.contents:
        pairs = {name: (count, found.rows.get(name)) for name, count in manifest.rows.items()}
        differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        wrong = [f"{name} has {now} instead of {counted(then, 'row')}" for name, (then, now) in differing.items()]
        raise ServiceError(
            f"What was restored is not what was backed up: {'; '.join(wrong) or 'other tables or migrations'}. "
            "Nothing was changed."
        )


# ---- files


@contextmanager
def _written(folder: Path) -> Iterator[Path]:
    """A private folder beside this one that takes its place at the end of the block, or is gone after an error."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SettingsError(f"{folder} is there and not empty: name a folder that is not there.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.unfinished-", dir=folder.parent))
    except OSError as exc:
        raise ServiceError(f"{exc.filename or folder} cannot be written: {exc.strerror}") from exc
    try:
        yield unfinished
        with suppress(FileNotFoundError):
            folder.rmdir()  # an empty one; that of somebody who was faster is not
        unfinished.rename(folder)
    except OSError as exc:
        raise ServiceError(f"{folder} cannot be written: {exc.strerror}. Nothing is left of it.") from exc
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_manifest(file: Path, manifest: Manifest) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as written:
        json.dump(asdict(manifest), written, indent=2)
        written.flush()
        os.fsync(written.fileno())


def _read_manifest(file: Path) -> Manifest:
    try:
        require_file(file)
        text = file.read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text)
        if found["format"] > MANIFEST_FORMAT:
            raise SettingsError(f"{file} was written by rag-assets {found['program']}: install that version or later.")
        manifest = TypeAdapter(Manifest).validate_json(text, strict=True)
    except OSError as exc:
        raise SettingsError(
            f"{file.parent} is no backup: {MANIFEST_FILE} cannot be read there ({exc.strerror or exc})"
        ) from exc
    except ValidationError as exc:
        wrong = exc.errors()[0]
        where = ".".join(map(str, wrong["loc"]))
        raise SettingsError(f"{file} is no manifest of a backup: {where}: {wrong['msg']}") from exc
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise SettingsError(f"{file} is no manifest of a backup: {exc}") from exc
    if not manifest.migrations:
        raise SettingsError(f"The backup in {file.parent} holds no index: it is of an empty database.")
    return manifest


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    """The embedded database, of which this process is a user from now on."""
    with closing(Database(bundled_postgres.start(settings.home), settings=settings.database)) as database:
        yield database
