"""Backups of the embedded database: one state, whole or not there; a restore that fails changes nothing."""

import json
import os
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from rag_assets import backup, operations, settings, supervisor
from rag_assets.backup import DUMP_FILE, MANIFEST_FILE, Manifest
from rag_assets.bundled import data_directory, dumps, postgres, postgres_watchdog
from rag_assets.cli import main
from rag_assets.errors import ServiceError, SettingsError
from rag_assets.postgres.database import Database
from rag_assets.services import Services
from rag_assets.settings import Settings
from rag_assets.text.sandbox.worker import TextWorker
from rag_assets_tests import corpus, rows

QUESTION = "How long do I have to return an item?"
FOREIGN_UID = 54321
NEWER = "999_of_a_later_program.sql"
as_root = pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="mounts a small disk")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A home with an index of the samples, and what searches it finds; `backup` was made beside a writer."""

    settings: Settings
    url: str
    services: Services
    backup: Path
    manifest: Manifest
    least: int  # rows that were there when the backup began

    def count(self) -> int:
        return int(rows.execute(self.url, 'select count(*) from "TblDocumentFiles"')[0][0])


@pytest.fixture(scope="module")
def origin(reader: TextWorker, model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    place = tmp_path_factory.mktemp("origin")
    home = place / "embedded"
    try:
        url = postgres.start(home)
        with closing(Database(url)) as database:
            database.create_table(settings.Source())
            database.migrate(settings.Source(), dimension=384)
        with corpus.ingested(url, place, reader=reader, model=model_path) as services:
            rows.execute(url, "create role reader nologin")
            rows.execute(url, "select rag_grant_reading('reader')")
            config, least = _settings(home), len(list(corpus.SAMPLES.iterdir()))
            with _writer(url):
                made = backup.make(config, place / "backup", progress=_silent)
            yield Origin(
                settings=config, url=url, services=services, backup=place / "backup", manifest=made, least=least
            )
    finally:
        postgres.remove(home)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that every account may pass through, unlike pytest's: root's databases lie elsewhere, else."""
    path = Path(tempfile.mkdtemp(prefix="rag-assets-place-")).resolve()
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


def _settings(home: Path) -> Settings:
    return settings.load(home=home, database_url=None)


def _silent(_message: str) -> None:
    """Progress that nobody reads."""


@contextmanager
def _writer(url: str) -> Iterator[None]:
    """An application that adds rows, one transaction after the other, from before the block until after it."""
    begun, over = threading.Event(), threading.Event()

    def write() -> None:
        while not over.is_set():
            rows.execute(url, """insert into "TblDocumentFiles" (file_path) values ('missing.txt')""")
            begun.set()

    writing = threading.Thread(target=write)
    writing.start()
    try:
        assert begun.wait(60)
        yield
    finally:
        over.set()
        writing.join()


def _hits(services: Services, url: str) -> list[tuple[str, int, float]]:
    with closing(Database(url)) as database:
        found = operations.search(services.on(database), QUESTION, k=5)
    return [(hit.document_id, hit.chunk_index, hit.score) for hit in found]


def _edited(folder: Path, change: Callable[[Manifest], Manifest], *, origin: Origin, dump: bytes) -> Path:
    """A backup with another manifest and file."""
    folder.mkdir()
    (folder / DUMP_FILE).write_bytes(dump)
    (folder / MANIFEST_FILE).write_text(json.dumps(vars(change(origin.manifest))))
    return folder


# ---- backup


def test_backup_beside_a_writer(origin: Origin) -> None:
    """It holds what was there at one moment while rows are added, and no other account can read it."""
    documents = origin.manifest.rows["public.TblDocumentFiles"]
    assert origin.least <= documents <= origin.count()
    assert origin.manifest.rows["public.rag_document_chunks"] > 0
    assert json.loads((origin.backup / MANIFEST_FILE).read_text()) == vars(origin.manifest)
    assert sorted(each.name for each in origin.backup.iterdir()) == [DUMP_FILE, MANIFEST_FILE]
    if os.name != "nt":
        assert [stat.S_IMODE(each.stat().st_mode) for each in (origin.backup, *origin.backup.iterdir())] == [
            0o700,
            0o600,
            0o600,
        ]


def test_backup_when_the_folder_is_not_empty(origin: Origin) -> None:
    """What lies there is no place for a backup, and stays."""
    before = (origin.backup / MANIFEST_FILE).read_bytes()
    with pytest.raises(SettingsError, match="is there and not empty"):
        backup.make(origin.settings, origin.backup, progress=_silent)
    assert (origin.backup / MANIFEST_FILE).read_bytes() == before


def test_backup_when_there_is_no_database(tmp_path: Path) -> None:
    """Asking for a backup makes no empty database, and no folder."""
    with pytest.raises(SettingsError, match="no embedded database"):
        backup.make(_settings(tmp_path / "home"), tmp_path / "backup", progress=_silent)
    assert list(tmp_path.iterdir()) == []


def test_backup_when_there_is_no_index(home: Path, tmp_path: Path) -> None:
    """A home whose name is misspelt gives no backup, which would be found to be empty when it is needed."""
    try:
        postgres.start(home)
        with pytest.raises(SettingsError, match=r"no index in the database of .*: is it the right home"):
            backup.make(_settings(home), tmp_path / "backup", progress=_silent)
    finally:
        postgres.remove(home)
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_command_when_the_database_is_ones_own(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither takes the embedded database for the one that is in use."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@db.example/app")
    monkeypatch.setenv("RAG_ASSETS_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    with supervisor.alone(tmp_path / "home"):  # `up` runs there, which has nothing to do with it
        result = CliRunner().invoke(main, [command, str(tmp_path / "backup")])
    assert result.exit_code == 1
    assert "take a pg_dump" in result.output


@as_root
@pytest.mark.parametrize("is_known_before", [True, False])
def test_backup_when_the_disk_is_full(
    is_known_before: bool, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so before it begins, or where the disk fills up meanwhile, in pg_dump's words; nothing is left."""
    if not is_known_before:
        monkeypatch.setattr(backup, "_require_space", lambda *_, **__: None)
    said = r"and the disk of .* has 0 MB free" if is_known_before else "No space left on device"
    with _disk(tmp_path / "disk", size="64k") as disk:
        with pytest.raises(ServiceError, match=said):
            backup.make(origin.settings, disk / "backup", progress=_silent)
        assert list(disk.iterdir()) == []


# ---- restore


def test_search_after_restore_into_a_new_home(origin: Origin, home: Path, tmp_path: Path) -> None:
    """The same hits as before; over other data, only where that is said; roles are there as they were granted to."""
    done = CliRunner().invoke(main, ["restore", str(origin.backup)])
    assert done.exit_code == 0, done.output
    assert f"as of {origin.manifest.made_at}. Next: rag-assets reconcile" in done.output
    restored = postgres.start(home)
    hits = _hits(origin.services, origin.url)
    assert _hits(origin.services, restored) == hits
    assert rows.execute(restored, "select has_function_privilege('reader', 'rag_list_documents()', 'execute')") == [
        (True,)
    ]

    rows.execute(restored, 'delete from "TblDocumentFiles"; delete from rag_document_chunks')
    with pytest.raises(SettingsError, match="say --replace"):
        backup.restore(_settings(home), origin.backup, replace=False, progress=_silent)
    assert _hits(origin.services, restored) == []
    backup.restore(_settings(home), origin.backup, replace=True, progress=_silent)
    assert _hits(origin.services, restored) == hits
    again = CliRunner().invoke(main, ["backup", str(tmp_path / "again"), "--json"])
    assert json.loads(again.stdout)["rows"] == origin.manifest.rows
    restored = postgres.start(home)
    databases = rows.execute(restored, "select datname from pg_database where not datistemplate order by 1")
    assert databases == [("postgres",), ("rag_assets",)]


def test_a_home_of_an_earlier_postgresql_goes_on_in_a_new_one(origin: Origin, home: Path, tmp_path: Path) -> None:
    """Its backup is of that version, and its data are refused, as they are, with the way that keeps them."""
    earlier = replace(origin.manifest, postgresql=data_directory.MAJOR_VERSION - 1)
    dump = (origin.backup / DUMP_FILE).read_bytes()
    folder = _edited(tmp_path / "earlier", lambda _manifest: earlier, origin=origin, dump=dump)
    data = home.parent / "old" / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text(f"{earlier.postgresql}\n")
    with pytest.raises(ServiceError, match=r"rag-assets backup FOLDER.*rag-assets restore FOLDER` with a new"):
        backup.restore(_settings(home.parent / "old"), folder, replace=True, progress=_silent)
    assert [file.name for file in data.iterdir()] == ["PG_VERSION"]
    assert backup.restore(_settings(home), folder, replace=False, progress=_silent) == earlier
    assert _hits(origin.services, postgres.start(home)) == _hits(origin.services, origin.url)


@pytest.mark.parametrize("knows_hash", [False, True])
def test_restore_when_the_dump_is_truncated(knows_hash: bool, origin: Origin, tmp_path: Path) -> None:
    """It is found by its hash before anything is done, or else by pg_restore; what was there stays."""
    whole = (origin.backup / DUMP_FILE).read_bytes()
    cut = whole[: len(whole) // 2]

    def change(manifest: Manifest) -> Manifest:
        (tmp_path / "cut").write_bytes(cut)
        return replace(manifest, dump_bytes=len(cut), sha256=backup._sha256(tmp_path / "cut"))

    folder = _edited(tmp_path / "backup", change if knows_hash else lambda same: same, origin=origin, dump=cut)
    before = origin.count(), _hits(origin.services, origin.url)
    said = "pg_restore ended with status 1" if knows_hash else "is not as it was written"
    with pytest.raises(ServiceError, match=said):
        backup.restore(origin.settings, folder, replace=True, progress=_silent)
    assert (origin.count(), _hits(origin.services, origin.url)) == before


def test_restore_when_rows_are_missing(origin: Origin, tmp_path: Path) -> None:
    """What was restored is compared with what was backed up before it takes the place of what is there."""
    name = "public.rag_document_chunks"
    folder = _edited(
        tmp_path / "backup",
        lambda manifest: replace(manifest, rows=manifest.rows | {name: manifest.rows[name] + 1}),
        origin=origin,
        dump=(origin.backup / DUMP_FILE).read_bytes(),
    )
    before = origin.count()
    with pytest.raises(ServiceError, match=f"{name} has {origin.manifest.rows[name]} instead of"):
        backup.restore(origin.settings, folder, replace=True, progress=_silent)
    assert origin.count() == before
    assert rows.execute(origin.url, f"select from pg_database where datname = '{dumps.RESTORING}'") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"migrations": ["001_tables.sql", NEWER]}, f"older than the backup .*{NEWER}"),
        ({"postgresql": 99}, "is of PostgreSQL 99"),
        ({"format": 2}, "install that version or later"),
        ({"roles": ["postgres", 5]}, r"roles\.1"),
        ({"rows": {"x": "y"}}, r"rows\.x"),
        ({"migrations": []}, "holds no index"),
    ],
)
def test_restore_when_the_manifest_is_of_a_newer_program_or_was_changed(
    changes: dict[str, object], said: str, origin: Origin, tmp_path: Path
) -> None:
    """What is needed or wrong is named first: no role is made, and nothing takes the place of what is."""
    folder = _edited(tmp_path / "backup", lambda manifest: replace(manifest, **changes), origin=origin, dump=b"")
    with pytest.raises(SettingsError, match=said):
        backup.restore(origin.settings, folder, replace=True, progress=_silent)


@pytest.mark.skipif(os.name == "nt", reason="FIFOs are POSIX")
@pytest.mark.parametrize("name", [MANIFEST_FILE, DUMP_FILE])
def test_restore_when_a_file_is_a_fifo(name: str, origin: Origin, tmp_path: Path) -> None:
    """Nobody writes to it, and nobody waits."""
    folder = _edited(tmp_path / "backup", lambda manifest: replace(manifest, dump_bytes=0), origin=origin, dump=b"")
    (folder / name).unlink()
    os.mkfifo(folder / name, 0o600)
    with pytest.raises(ServiceError, match="it is a folder, pipe or device"):
        backup.restore(_settings(tmp_path / "home"), folder, replace=False, progress=_silent)


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
@pytest.mark.parametrize("name", [".", MANIFEST_FILE, DUMP_FILE])
@pytest.mark.parametrize("by", ["everybody", "group", "owner"])
def test_restore_when_another_account_could_have_written_it(name: str, by: str, tmp_path: Path) -> None:
    """A dump runs what its author wants, and its hash is the author's, too; no server is started."""
    folder = tmp_path / "backup"
    folder.mkdir(mode=0o700)
    for file in (MANIFEST_FILE, DUMP_FILE):
        (folder / file).touch(mode=0o600)
    part = folder / name
    if by == "owner":
        if os.geteuid() != 0:
            pytest.skip("only root gives files away")
        os.chown(part, FOREIGN_UID, -1)
    else:
        if os.geteuid() == 0:  # a group that could not change this package
            os.chown(part, -1, FOREIGN_UID)
        part.chmod(part.stat().st_mode | (0o002 if by == "everybody" else 0o020))
    said = "belongs to another account" if by == "owner" else "may be written by others"
    with pytest.raises(SettingsError, match=f"{said}, and is not restored: a dump is code") as info:
        backup.restore(_settings(tmp_path / "home"), folder, replace=False, progress=_silent)
    assert str(info.value).endswith("(chown)." if by == "owner" else "(chmod go-w).")
    assert not (tmp_path / "home").exists()


def test_restore_when_the_manifest_is_nested_too_deeply(tmp_path: Path) -> None:
    """As any other that is no manifest."""
    (tmp_path / MANIFEST_FILE).write_text("[" * 100_000)
    with pytest.raises(SettingsError, match="is no manifest of a backup"):
        backup.restore(_settings(tmp_path / "home"), tmp_path, replace=False, progress=_silent)


def test_restore_when_the_folder_is_no_backup(tmp_path: Path) -> None:
    """It says which file is missing, and starts no server."""
    with pytest.raises(SettingsError, match=r"is no backup: manifest\.json"):
        backup.restore(_settings(tmp_path / "home"), tmp_path, replace=False, progress=_silent)
    assert not (tmp_path / "home").exists()


def test_restore_while_others_use_the_home(origin: Origin) -> None:
    """A program that works on the database keeps it; the message names its process."""
    other = os.getppid()
    postgres_watchdog.add_user(origin.settings.home.resolve(), other)
    try:
        with pytest.raises(ServiceError, match=rf"used by the processes {other}: end them first"):
            backup.restore(origin.settings, origin.backup, replace=True, progress=_silent)
    finally:
        postgres_watchdog.remove_user(origin.settings.home.resolve(), other)


def test_restore_while_somebody_is_connected(origin: Origin) -> None:
    """Who came while it was restored keeps the database, and nothing is changed for him."""
    before = origin.count()
    with (
        closing(Database(origin.url)) as database,
        database.transaction(),
        pytest.raises(ServiceError, match="Somebody connected"),
    ):
        backup.restore(origin.settings, origin.backup, replace=True, progress=_silent)
    assert origin.count() == before


@as_root
def test_restore_when_the_disk_is_full(origin: Origin, open_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so before it begins, or in PostgreSQL's words where the disk fills up meanwhile; old data stays."""
    with _disk(open_place / "disk", size="96m") as disk:
        home = disk / "home"
        url = postgres.start(home)
        try:
            rows.execute(url, "create table precious as select 1 as one")
            with _ballast(disk, leave=2 * 2**20):
                with pytest.raises(ServiceError, match=r"The restored database takes .* MB free"):
                    backup.restore(_settings(home), origin.backup, replace=True, progress=_silent)
                monkeypatch.setattr(backup, "_require_space", lambda *_, **__: None)
                with pytest.raises(ServiceError, match="No space left on device"):
                    backup.restore(_settings(home), origin.backup, replace=True, progress=_silent)
            assert rows.execute(postgres.start(home), "select one from precious") == [(1,)]
        finally:
            postgres.remove(home)


@contextmanager
def _ballast(disk: Path, *, leave: int) -> Iterator[None]:
    """A file that leaves so many bytes of the disk free."""
    status = os.statvfs(disk)
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * (status.f_bavail * status.f_frsize - leave))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def _disk(place: Path, *, size: str) -> Iterator[Path]:
    """A disk of its own, which every account may pass through."""
    place.mkdir()
    options = f"size={size},mode=0711"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
