"""A PostgreSQL of our own: a home comes in, a URL goes out, served until its last user is gone."""

import json
import os
import re
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg2
from psycopg2 import sql

from rag_assets.bundled import data_directory, postgres_watchdog
from rag_assets.errors import DatabaseUnavailable
from rag_assets.processes import file_lock, memory, ports, tree, whole_file

ROLE = "rag_assets"
DATABASE = "rag_assets"
JOIN_SECONDS = 60.0
RELEASE_SECONDS = 4 * postgres_watchdog.STOP_SECONDS  # it asks three times, each harder than before
LOG_LINES = 15
SOCKETS = "rag-pg-"  # how folders of sockets begin
LONGEST_PATH = 4_096  # bytes
SOCKET_PATH_BYTES = 90  # the system allows 107, with PostgreSQL's file name

LEAST_BUFFERS = 64 << 20  # bytes, of shared_buffers
MOST_BUFFERS = 2 << 30

# Written once, at initdb, so that ALTER SYSTEM can change them. Small: the machine embeds at the same time.
TUNING = {
    "shared_buffers": f"{LEAST_BUFFERS >> 20}MB",  # more where there is much to search: see _buffers
    "maintenance_work_mem": "64MB",
    "work_mem": "8MB",
    "max_connections": "60",
    "max_wal_size": "512MB",
    "min_wal_size": "64MB",
    "wal_level": "minimal",  # one server, no standby
    "max_wal_senders": "0",
    "wal_compression": "pglz",
    "max_parallel_workers_per_gather": "0",  # parallel workers share /dev/shm, 64 MB in a container
    "max_parallel_maintenance_workers": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",  # the default keeps three more processes
    "jit": "off",
    "log_checkpoints": "off",
    # a failed statement carries its values, which are people's documents; the client reports it anyway
    "log_min_error_statement": "panic",
}


def start(home: Path, *, user_pid: int | None = None) -> str:
    """Start or join the server of this home, for as long as this process (or `user_pid`) lives: its URL.

    A process is one user, however often it starts. Raises SettingsError where no PostgreSQL is installed,
    DatabaseUnavailable (with the log's last lines) where it does not start.
    """
    home = home.expanduser().resolve()
    pid = user_pid or os.getpid()
    with _translated(home):
        _prepare(home)
        with file_lock.locked(postgres_watchdog.folder(home) / postgres_watchdog.USERS_LOCK):
            return _join(home, pid)


def release(home: Path, *, user_pid: int | None = None) -> None:
    """This process needs the server no longer. The last one waits until it has stopped."""
    home = home.expanduser().resolve()
    if not (postgres_watchdog.folder(home) / postgres_watchdog.USERS_LOCK).exists():
        return
    with _translated(home), file_lock.locked(postgres_watchdog.folder(home) / postgres_watchdog.USERS_LOCK):
        postgres_watchdog.remove_user(home, user_pid or os.getpid())
        if not postgres_watchdog.users(home) and is_running(home) and not _has_watchdog(home):
            _start_watchdog(home)  # its watchdog was killed; a new one sees that nobody is left
    deadline = time.monotonic() + RELEASE_SECONDS
    while _has_watchdog(home) and not postgres_watchdog.users(home) and time.monotonic() < deadline:
        time.sleep(0.05)


def remove(home: Path) -> None:
    """Release the server of this home and delete its database for good, which must have no other user."""
    release(home)
    home = home.expanduser().resolve()
    if others := postgres_watchdog.users(home):
        raise DatabaseUnavailable(f"The database of {home} is still used by the processes {', '.join(others)}.")
    data_directory.discard(home)


def is_running(home: Path) -> bool:
    """Whether the server of this home runs, whoever uses it."""
    return postgres_watchdog.running_server((postgres_watchdog.folder(home) / "data").resolve()) is not None


def running_url(home: Path) -> str | None:
    """The URL of the server of this home, None where it does not run; who asks is no user of it.

    So nothing is started or waited for, and the server may end at any moment.
    """
    home = home.expanduser().resolve()
    return _url(home, DATABASE) if is_running(home) else None


def _prepare(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    for folder in (postgres_watchdog.folder(home), postgres_watchdog.folder(home) / "users", home / "logs"):
        folder.mkdir(mode=0o700, exist_ok=True)
    for lock in (postgres_watchdog.USERS_LOCK, postgres_watchdog.WATCHDOG_LOCK):
        file_lock.make_lock(postgres_watchdog.folder(home) / lock)


def _has_watchdog(home: Path) -> bool:
    return file_lock.is_locked(postgres_watchdog.folder(home) / postgres_watchdog.WATCHDOG_LOCK)


def _join(home: Path, pid: int) -> str:
    postgres_watchdog.add_user(home, pid)
    try:
        return _await_database(home)
    except BaseException:
        postgres_watchdog.remove_user(home, pid)
        raise


def _await_database(home: Path) -> str:
    """A watchdog may be restarting a killed server, or be ending itself: look until it answers."""
    deadline = time.monotonic() + JOIN_SECONDS
    while True:
        if not _has_watchdog(home):
            _start_watchdog(home)
        try:
            _ensure_database(_url(home, "postgres"))
        except psycopg2.OperationalError as exc:
            answered = exc.pgcode is not None
            if answered or time.monotonic() > deadline:
                raise _unavailable(home, str(exc).strip()) from exc
            time.sleep(0.1)
        else:
            return _url(home, DATABASE)


def _ensure_database(url: str) -> None:
    with closing(psycopg2.connect(url, connect_timeout=10)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("select from pg_database where datname = %s", [DATABASE])
            if not cursor.rowcount:
                cursor.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))


def _url(home: Path, database: str) -> str:
    """The URL of the server. It has no percent sign, which configuration files and alembic would read as their own."""
    if postgres_watchdog.WINDOWS:
        folder = postgres_watchdog.folder(home)
        password, port = (folder / "password").read_text(), (folder / "port").read_text()
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/{database}"
    return f"postgresql://{ROLE}@/{database}?host={data_directory.noted_path(_socket_record(home))}&port=5432"


# ---- the watchdog, and what it is given to run


def _start_watchdog(home: Path) -> None:
    cluster = data_directory.place(home)
    if not (cluster.data / "PG_VERSION").exists():
        _create(home, cluster)
    _check_version(cluster)
    _write_access_rules(cluster)
    log = home / "logs" / "postgres.log"
    offset = log.stat().st_size if log.exists() else 0
    answer = _run_watchdog(_spec(home, cluster))
    if answer != postgres_watchdog.READY_ANSWER:
        raise _unavailable(home, answer or "its watchdog ended at once", log_from=offset)


def _run_watchdog(spec: postgres_watchdog.Spec) -> str:
    # psutil, which other systems than Linux need there, needs site
    isolated = ["-I", "-S"] if sys.platform == "linux" else ["-I"]
    command = [sys.executable, *isolated, postgres_watchdog.__file__, json.dumps(spec._asdict())]
    # It serves others, too, when the one who started it is ended with all of its own.
    environment = {name: value for name, value in os.environ.items() if name != tree.MARK_VARIABLE}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe
        first = process.stdout.readline()
        # Not to the end: the launcher of a virtual environment on Windows holds the pipe as long as the watchdog lives.
        is_ready = first.strip() == postgres_watchdog.READY_ANSWER.encode()
        return postgres_watchdog.READY_ANSWER if is_ready else _said(first + process.stdout.read())


def _said(output: bytes) -> str:
    return output.decode(errors="replace").strip()


def _spec(home: Path, cluster: data_directory.Cluster) -> postgres_watchdog.Spec:
    account = cluster.account
    place = None if postgres_watchdog.WINDOWS else _socket_folder(home, cluster)
    return postgres_watchdog.Spec(
        home=str(home),
        data=str(cluster.data),
        binaries=str(cluster.binaries),
        options=[f"{name}={value}" for name, value in (_options(home, cluster, place) | _buffers(cluster)).items()],
        socket=place,
        uid=account.uid if account else None,
        gid=account.gid if account else None,
        cluster=str(cluster.folder) if cluster.outside else None,
    )


def _options(home: Path, cluster: data_directory.Cluster, place: str | None) -> dict[str, str]:
    options = {
        "hba_file": str(cluster.folder / "pg_hba.conf"),
        "ident_file": str(cluster.folder / "pg_ident.conf"),
    }
    if place is None:
        over_tcp = {"listen_addresses": "127.0.0.1", "port": _free_port(home), "unix_socket_directories": ""}
        return options | over_tcp
    only_here = {"unix_socket_directories": place, "unix_socket_permissions": "0700"}
    return options | only_here | {"listen_addresses": "", "port": "5432"}


def _buffers(cluster: data_directory.Cluster) -> dict[str, str]:
    """Memory for the pages that searches read: a quarter of the data, at most an eighth of what is available.

    A graph of vectors is read in no order, so that each page that is not there costs a call of the system: searches of
    a million chunks take half as long. Nothing where somebody chose otherwise, by ALTER SYSTEM or in the file.
    """
    chosen = (cluster.data / name for name in ("postgresql.auto.conf", "postgresql.conf"))
    lines = re.findall(r"^\s*shared_buffers\s*=?\s*'?(\w+)", "\n".join(map(_text, chosen)), re.MULTILINE)
    if lines != [TUNING["shared_buffers"]]:
        return {}
    data = sum(map(_size, (cluster.data / "base").glob("*/*")))
    most = min(MOST_BUFFERS, memory.available_bytes() // 8)
    return {"shared_buffers": f"{max(LEAST_BUFFERS, min(data // 4, most)) >> 20}MB"}


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def _size(file: Path) -> int:
    """In bytes; 0 where it went away."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _write_access_rules(cluster: data_directory.Cluster) -> None:
    """Who may connect: on a socket the system vouches for the user, on Windows a password does.

    As root the server runs as another account, so the rule names both; anybody else is refused even where
    the socket's private folder were opened.
    """
    hba = "host all all 127.0.0.1/32 scram-sha-256\n" if postgres_watchdog.WINDOWS else "local all all peer map=owner\n"
    ident = "" if postgres_watchdog.WINDOWS else "".join(f'owner "{name}" {ROLE}\n' for name in _trusted_users(cluster))
    for name, content in (("pg_hba.conf", hba), ("pg_ident.conf", ident)):
        path = cluster.folder / name
        path.write_text(content)
        path.chmod(0o644 if cluster.account else 0o600)


def _trusted_users(cluster: data_directory.Cluster) -> list[str]:
    import pwd

    return sorted({pwd.getpwuid(uid).pw_name for uid in (0, os.geteuid(), cluster.data.stat().st_uid)})


# ---- socket, port


def _socket_record(home: Path) -> Path:
    return postgres_watchdog.folder(home) / "socket"


def _socket_folder(home: Path, cluster: data_directory.Cluster) -> str:
    """A private folder, the one of last time where its users may still know it.

    It lies beside the data where that path is short and plain enough (paths of sockets are limited to 107
    bytes, homes are not), else in the folder for temporary files.
    """
    record = _socket_record(home)
    account = cluster.account
    owner = account.uid if account else os.geteuid()
    if not (record.exists() and _belongs_to(data_directory.noted_path(record), home, owner)):
        place = _new_socket_folder(cluster.folder / "socket.d")
        if account:
            os.chown(place, account.uid, account.gid)
        data_directory.note_path(place / "home", home)
        data_directory.note_path(record, place)
    return str(data_directory.noted_path(record))


def _belongs_to(place: Path, home: Path, owner: int) -> bool:
    """Whether a socket folder is private and made for this home: the record in a copied home names its original's."""
    try:
        facts = place.lstat()
        private = stat.S_ISDIR(facts.st_mode) and facts.st_uid == owner and not facts.st_mode & 0o077
        return private and data_directory.noted_path(place / "home") == home
    except OSError:
        return False


def _new_socket_folder(beside: Path) -> Path:
    shutil.rmtree(beside, ignore_errors=True)
    if _is_plain(beside):
        beside.mkdir(mode=0o700)
        if _takes_sockets(beside):
            return beside
        beside.rmdir()
    configured = Path(tempfile.gettempdir())
    base = configured if _is_plain(configured / f"{SOCKETS}12345678") else Path("/tmp")  # noqa: S108
    _remove_abandoned_sockets(base)
    return Path(tempfile.mkdtemp(prefix=SOCKETS, dir=base))


def _remove_abandoned_sockets(base: Path) -> None:
    """Folders whose home is gone, or has another by now; in a folder that all may write to, names say nothing."""
    owners = {os.geteuid(), *data_directory.accounts()}
    for place in base.glob(f"{SOCKETS}*"):
        with suppress(OSError):
            facts = place.lstat()
            if stat.S_ISDIR(facts.st_mode) and facts.st_uid in owners and not facts.st_mode & 0o077:
                home = Path(_small_file(place / "home"))
                if not _is_used(place, home):
                    shutil.rmtree(place, ignore_errors=True)


def _is_used(place: Path, home: Path) -> bool:
    """Whether a server may be listening there, or its home would look there for one."""
    record = _socket_record(home)
    return _has_watchdog(home) or (record.is_file() and data_directory.noted_path(record) == place)


def _small_file(path: Path) -> str:
    """What a file says; OSError at once where it is none, or not of the account whose folder it is in."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
            raise FileExistsError(f"{path} is no file of ours")
        return os.fsdecode(os.read(file, LONGEST_PATH))
    finally:
        os.close(file)


def _is_plain(path: Path) -> bool:
    """Whether the path is short, and needs no quoting in a URL nor in PostgreSQL's list of folders."""
    return len(str(path)) <= SOCKET_PATH_BYTES and bool(re.fullmatch(r"[\w/.+-]+", str(path), re.ASCII))


def _takes_sockets(folder: Path) -> bool:
    """Folders shared with another system often take files only."""
    probe = folder / "probe"
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(probe))
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)
    return True


def _free_port(home: Path) -> str:
    """The port of last time where it is still free, else any."""
    record = postgres_watchdog.folder(home) / "port"
    if is_running(home):  # its watchdog was killed; it listens where it did
        return record.read_text()
    port = ports.free_port("127.0.0.1", wanted=int(record.read_text()) if record.exists() else 0)
    record.write_text(str(port))
    return str(port)


# ---- a new cluster


def _create(home: Path, cluster: data_directory.Cluster) -> None:
    """initdb beside its place, then one rename: half a cluster is never found."""
    unfinished = cluster.data.with_name(f"{cluster.data.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    account = cluster.account
    if sys.platform != "win32" and account:
        os.chown(unfinished, account.uid, account.gid)
    _initdb(home, cluster, unfinished)
    whole_file.rename(unfinished, cluster.data)


def _initdb(home: Path, cluster: data_directory.Cluster, folder: Path) -> None:
    account = cluster.account
    done = subprocess.run(
        [
            postgres_watchdog.program(str(cluster.binaries), "initdb"),
            f"--pgdata={folder}",
            f"--username={ROLE}",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",  # the same order on every system
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            *_authentication(home),
            *(f"--set={name}={value}" for name, value in TUNING.items()),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder.anchor,
        env=postgres_watchdog.server_environment(),
        check=False,
        **postgres_watchdog.account_arguments(account.uid if account else None, account.gid if account else None),
    )
    if done.returncode:
        raise _unavailable(
            home, f"initdb ended with status {done.returncode}", log=done.stdout.decode(errors="replace")
        )


def _authentication(home: Path) -> list[str]:
    if not postgres_watchdog.WINDOWS:
        return ["--auth-local=peer", "--auth-host=reject"]
    password = postgres_watchdog.folder(home) / "password"
    password.write_text(secrets.token_urlsafe(24))  # the home is private to its user, and so is this file
    return ["--auth=scram-sha-256", f"--pwfile={password}"]


def _check_version(cluster: data_directory.Cluster) -> None:
    found = (cluster.data / "PG_VERSION").read_text().strip()
    if found != str(data_directory.MAJOR_VERSION):
        raise DatabaseUnavailable(
            f"{cluster.data} was made by PostgreSQL {found}, installed is {data_directory.MAJOR_VERSION}. Nothing was "
            "changed. Install the release of rag_assets that made it and take a `rag-assets backup FOLDER`; then this "
            "one again, and `rag-assets restore FOLDER` with a new RAG_ASSETS_HOME."
        )


# ---- errors


@contextmanager
def _translated(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise _unavailable(home, f"{exc.filename or home}: {exc.strerror or exc}") from exc


def _unavailable(home: Path, reason: str, *, log: str | None = None, log_from: int = 0) -> DatabaseUnavailable:
    lines = (_log(home, log_from) if log is None else log).strip().splitlines()[-LOG_LINES:]
    quoted = "\nIts last log lines:\n" + "\n".join(lines) if lines else ""
    return DatabaseUnavailable(
        f"The PostgreSQL of {home} does not start: {reason}. Check that its disk has space "
        f"({_free_space(home)}), that {postgres_watchdog.folder(home)} can be written, and "
        f"{home / 'logs' / 'postgres.log'}; or set DATABASE_URL to another server.{quoted}"
    )


def _log(home: Path, offset: int) -> str:
    try:
        with open(home / "logs" / "postgres.log", "rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")
    except OSError:
        return ""


def _free_space(home: Path) -> str:
    existing = next(path for path in (postgres_watchdog.folder(home) / "data", home, *home.parents) if path.exists())
    return f"{shutil.disk_usage(existing).free / 1e6:.0f} MB free"
