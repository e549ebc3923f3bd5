"""Dagster's processes under one owner: started in order, started again when they die, all stopped at the end."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml  # type: ignore[import-untyped]
from sqlalchemy import create_engine, text

from rag_assets import settings, supervisor
from rag_assets.errors import ServiceError
from rag_assets.postgres.database import Database
from rag_assets.processes import identity, ports, tree
from rag_assets.services import DAGSTER_SCHEMA
from rag_assets.settings import Settings
from rag_assets.supervisor import Address, Port, Service
from rag_assets_tests.patience import until

LISTEN = """
import socket, sys, time
where, port = sys.argv[1:]
listening = socket.socket(socket.AF_UNIX if port == "-" else socket.AF_INET)
listening.bind(where if port == "-" else (where, int(port)))
listening.listen()
time.sleep(600)
"""
# Launches a run while it ends. That one starts another when it is asked to end, which does not end when it is asked.
LATE_DAEMON = """
import signal, subprocess, sys, time

def start(generation):
    process = subprocess.Popen(
        [sys.executable, "-c", sys.argv[1], sys.argv[1], sys.argv[2], str(generation)],
        start_new_session=True, stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    with open(sys.argv[2], "a") as numbers:
        numbers.write(f"{process.pid} ")

def end(*_):
    time.sleep(0.3)
    if generation < 2:
        start(generation + 1)
        sys.exit()

generation = int(sys.argv[3])
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""
# Takes a second to end, as if it answered by what it had started, and writes whether that has ended meanwhile.
ANSWERS_BY_A_CHILD = """
import signal, subprocess, sys, time

def end(*_):
    time.sleep(1)
    with open(sys.argv[1], "w") as found:
        found.write(str(child.poll()))
    child.kill()
    sys.exit()

child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""
posix = pytest.mark.skipif(os.name == "nt", reason="sends itself a signal")


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return settings.load(home=tmp_path / "home")


# ---- its place


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="root can be another account")
@pytest.mark.parametrize("is_new", [True, False])
def test_lock_cannot_be_held_by_another_account(tmp_path: Path, is_new: bool) -> None:
    """Whoever may open the file for reading may lock it: `up` then said that it runs already."""
    lock = tmp_path / "home" / "run" / "up.lock"
    if not is_new:  # as an earlier release left it
        lock.parent.mkdir(parents=True)
        lock.touch(mode=0o644)
    for folder in [tmp_path, *tmp_path.parents][:-2]:
        folder.chmod(folder.stat().st_mode | 0o011)
    with supervisor.alone(tmp_path / "home"):
        pass
    code = (
        "import fcntl, os, sys; os.setgroups([]); os.setgid(65_534); os.setuid(65_534)\n"
        "fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(lock)], capture_output=True, check=False)
    assert b"PermissionError" in done.stderr


@posix
def test_pipe_in_the_place_of_the_lock_is_not_waited_for(tmp_path: Path) -> None:
    """It is an error that names the file."""
    (tmp_path / "run").mkdir()
    os.mkfifo(tmp_path / "run" / "up.lock")
    with pytest.raises(FileExistsError, match=r"up\.lock"), supervisor.alone(tmp_path):
        pass


# ---- the environment of every Dagster process


def test_dagster_keeps_its_state_in_a_schema_of_our_database(database_url: str, config: Settings) -> None:
    """The tables of the application and ours stay apart from Dagster's; SQLAlchemy finds its driver."""
    with closing(Database(database_url)) as database:
        database.create_schema(DAGSTER_SCHEMA)
    engine = create_engine(supervisor.dagster_url(config, database_url=database_url))
    with engine.connect() as connection:
        assert connection.execute(text("select current_schema()")).scalar() == DAGSTER_SCHEMA
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (
            "postgres://me:p%40ss@here:5433/db?sslmode=require",
            "postgresql+psycopg2://me:p%40ss@here:5433/db?sslmode=require&",
        ),
        ("postgresql://me@/db?host=/tmp/x&port=1", "postgresql+psycopg2://me@/db?host=%2Ftmp%2Fx&port=1&"),
        ("postgresql://here/db?options=-cwork_mem%3D1MB", "postgresql+psycopg2://here/db?options=-cwork_mem%3D1MB%20"),
    ],
)
def test_what_a_database_url_says_is_kept(config: Settings, url: str, kept: str) -> None:
    """Passwords, sockets, and options that are there already."""
    made = supervisor.dagster_url(config, database_url=url)
    assert made.startswith(kept)
    assert made.endswith("-csearch_path%3Ddagster")


def test_dagster_may_have_a_database_of_its_own(tmp_path: Path) -> None:
    """Which is used as it is given, but for the driver."""
    config = settings.load(home=tmp_path, dagster_database_url="postgresql://me@there/dagster")
    made = supervisor.dagster_url(config, database_url="postgresql://me@here/db")
    assert made == "postgresql+psycopg2://me@there/dagster"


def test_every_process_knows_home_and_instance(config: Settings) -> None:
    """The folder of dagster.yaml, a folder for logs that exists, and the same home."""
    variables = supervisor.environment(config, database_url="postgresql://me@here/db")
    assert (Path(variables["DAGSTER_HOME"]) / "dagster.yaml").is_file()
    assert Path(variables["DAGSTER_LOG_DIR"]).is_dir()
    assert variables["RAG_ASSETS_HOME"] == str(config.home)


@pytest.mark.parametrize("address", ["/tmp/x/code-server.sock", ("127.0.0.1", 4000)])
def test_one_code_server_serves_webserver_and_daemon(config: Settings, address: Address) -> None:
    """Both find it by the workspace that is written for them; only the daemon keeps a prewarmed process."""
    config.home.mkdir()
    services = supervisor._services(config, {}, address=address, port=port(), read_only=False)
    assert [service.name for service in services] == ["code server", "webserver", "daemon"]
    assert ["RAG_ASSETS_WARM" in service._environment for service in services] == [False, False, True]
    [entry] = yaml.safe_load((config.home / "workspace.yaml").read_text())["load_from"]
    named = {"socket": address} if isinstance(address, str) else {"host": address[0], "port": address[1]}
    assert entry["grpc_server"] == named | {"location_name": "rag_assets"}


# ---- services


def test_services_log_as_they_are_told(config: Settings) -> None:
    """LOG_FORMAT=json is for their log files too."""
    config.home.mkdir()
    told = config.model_copy(update={"log_format": "json"})
    services = supervisor._services(told, {}, address="socket", port=port(), read_only=False)
    code_server, _, daemon = services  # the webserver reads the setting itself
    assert [each._command[-2:] for each in (code_server, daemon)] == [["--log-format", "json"]] * 2


def test_services_know_what_they_need(config: Settings) -> None:
    """The page, which others reach, holds no password of documents or embedding; nobody else holds its token.

    The webhook is known where sensors are evaluated, and nowhere else.
    """
    config.home.mkdir()
    work = {"DATABASE_URL", "DAGSTER_DATABASE_URL", "RAG_ASSETS_LLAMA_SERVER__API_KEY"}
    webhook = {"RAG_ASSETS_NOTIFY__URL", "RAG_ASSETS_NOTIFY", "rag_assets_notify__url"}
    secrets = work | {"RAG_ASSETS_WEB__TOKEN"} | webhook
    variables = dict.fromkeys(secrets | {"DAGSTER_PG_URL"}, "x")
    services = supervisor._services(config, variables, address="socket", port=port(), read_only=False)
    held = {service.name: secrets & service._environment.keys() for service in services}
    assert held["webserver"] == {"RAG_ASSETS_WEB__TOKEN"}
    assert held["daemon"] == work
    assert held["code server"] == work | webhook
    assert all("DAGSTER_PG_URL" in service._environment for service in services)


def test_the_search_service_knows_what_it_needs(config: Settings) -> None:
    """The database and the key of an embedding server, but no token of Dagster's page, and no webhook; no Dagster is
    started."""
    secrets = ("DATABASE_URL", "RAG_ASSETS_LLAMA_SERVER__API_KEY", "RAG_ASSETS_WEB__TOKEN")
    variables = dict.fromkeys([*secrets, "RAG_ASSETS_NOTIFY__URL", "RAG_ASSETS_NOTIFY"], "x")
    own, page = port(), port()
    made = supervisor._search_service(config, variables, port=own, page=page)
    assert set(made._environment) == {"DATABASE_URL", "RAG_ASSETS_LLAMA_SERVER__API_KEY"}
    assert made._links() == {"RAG_ASSETS_SERVICE__DAGSTER_URL": f"http://127.0.0.1:{page.number}"}
    assert made._command_now()[1:] == [
        *("-m", "rag_assets.service.search_service", "--host", "127.0.0.1", "--port", str(own.number)),
    ]


def port(wanted: int = 0, **options: Any) -> Port:
    return Port("127.0.0.1", wanted, whose="it", progress=print, **options)


def service(
    name: str, code: str, *arguments: str, place: Path, environment: Mapping[str, str] = os.environ, **limits: Any
) -> Service:
    command = [sys.executable, "-c", code, *arguments]
    return Service(name, command, environment=environment, log=place / f"{name.replace(' ', '-')}.log", **limits)


def test_service_that_keeps_dying_is_given_up(tmp_path: Path) -> None:
    """With the last lines of its log, and where the rest is."""
    dying = service("daemon", "import sys; sys.exit('no table dagster.runs')", place=tmp_path)
    for _ in range(supervisor.MOST_RESTARTS):
        dying.start()
        dying.reap()
        assert not dying.alive
    with pytest.raises(ServiceError, match=r"The daemon keeps dying(.|\n)*no table dagster\.runs") as info:
        dying.start()
    assert str(dying.log) in str(info.value)


def test_service_that_died_long_ago_is_started_again(tmp_path: Path) -> None:
    """Only deaths of the last minute count."""
    dying = service("daemon", "", place=tmp_path, restart_window_seconds=0.0)
    for _ in range(supervisor.MOST_RESTARTS + 1):
        dying.start()
        dying.reap()


def test_service_that_is_ended_on_purpose_has_not_died(tmp_path: Path) -> None:
    """One that links to a page whose address changes again and again is started anew each time."""
    outlived = service("search service", "import time; time.sleep(600)", place=tmp_path, restarts=1)
    outlived.start()
    outlived.end()
    assert not outlived.alive
    outlived.start()
    outlived.end()


def test_nothing_is_started_on_an_address_of_another_machine(config: Settings) -> None:
    """The message names the address."""
    with pytest.raises(ServiceError, match=r"No free port on 192\.0\.2\.1 .*is this an address of this machine"):
        supervisor.run(config, database_url="postgresql://me@here/db", host="192.0.2.1", port=0, progress=print)


class Up:
    """What `run` says; small services stand for Dagster's."""

    def __init__(self, place: Path, *, others: str = LISTEN, restarts: int = supervisor.MOST_RESTARTS) -> None:
        self.said: list[str] = []
        self.services: list[Service] = []
        self.daemon = ["import time; time.sleep(600)"]  # its code and arguments
        self._place = place
        self._others = others
        self._restarts = restarts
        self._on: dict[str, Callable[[], Any]] = {}

    def on(self, words: str, do: Callable[[], Any]) -> None:
        self._on[words] = do

    def say(self, message: str) -> None:
        self.said.append(message)
        for words, do in list(self._on.items()):
            if words in message:
                del self._on[words]
                do()

    def make(
        self,
        _settings: Settings,
        variables: Mapping[str, str],
        *,
        address: Address,
        port: Port,
        read_only: bool,
    ) -> list[Service]:
        where = [address, "-"] if isinstance(address, str) else [address[0], str(address[1])]
        self.services = [
            service("code server", LISTEN, *where, place=self._place, environment=variables),
            service(
                "webserver",
                self._others,
                *("{host}", "{port}"),
                place=self._place,
                environment=variables,
                restarts=self._restarts,
                port=port,
            ),
            service("daemon", *self.daemon, place=self._place, environment=variables),
        ]
        return self.services

    def run(self, config: Settings, **options: Any) -> None:
        given = {"host": "127.0.0.1", "port": 0, **options}
        supervisor.run(config, database_url="postgresql://me@here/db", progress=self.say, **given)


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Up:
    made = Up(tmp_path)
    monkeypatch.setattr(supervisor, "_services", made.make)
    return made


@pytest.fixture
def search_services(monkeypatch: pytest.MonkeyPatch) -> list[Service]:
    """The search services that `run` makes: each as it is, but for its program, which listens and does nothing else."""
    made: list[Service] = []
    real = supervisor._search_service

    def search_service(config: Settings, variables: Mapping[str, str], *, port: Port, page: Port) -> Service:
        made.append(real(config, variables, port=port, page=page))
        made[-1]._command = [sys.executable, "-c", LISTEN, "{host}", "{port}"]
        return made[-1]

    monkeypatch.setattr(supervisor, "_search_service", search_service)
    return made


def interrupt(number: int = signal.SIGINT) -> None:
    """A little later, as from a terminal."""
    threading.Timer(0.2, os.kill, (os.getpid(), number)).start()


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)])
def test_everything_is_stopped_at_a_signal(up: Up, config: Settings, number: int) -> None:
    """Ctrl-C, a service manager, a terminal that closes: no process is left, signals mean again what they did."""
    ours = signal.getsignal(number)
    if ours == signal.SIG_IGN:  # pytest was started with nohup
        signal.signal(number, signal.SIG_DFL)
    before = signal.getsignal(number)
    up.on("Dagster is at", lambda: interrupt(number))
    up.run(config)
    assert [message.partition(" at ")[0] for message in up.said] == ["Starting Dagster", "Dagster is", "Stopping"]
    assert not any(service.alive for service in up.services)
    assert not any(psutil.pid_exists(service.pid) for service in up.services if service.pid)
    assert signal.getsignal(number) == before
    signal.signal(number, ours)


@posix
def test_a_run_that_is_launched_while_the_daemon_ends_is_ended_too(
    up: Up, config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's child by then, it outlived `up` by seconds and held its database."""
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 5.0)
    numbers = tmp_path / "late"
    up.daemon = [LATE_DAEMON, LATE_DAEMON, str(numbers), "0"]
    up.on("Dagster is at", lambda: until(lambda: "ready" in up.services[2].log.read_text()) or interrupt())
    up.run(config)
    late = [int(number) for number in numbers.read_text().split()]
    left = [number for number in late if identity.identify(number)]
    for number in left:
        os.kill(number, signal.SIGKILL)
    assert (len(late), left) == (2, [])


@posix
def test_what_a_service_started_is_ended_by_it(tmp_path: Path) -> None:
    """Its embedding server was told to end beside the search service, which was still answering by it."""
    searching = service("search service", ANSWERS_BY_A_CHILD, str(tmp_path / "found"), place=tmp_path)
    searching.start()
    until(lambda: "ready" in searching.log.read_text())
    supervisor._stop_all([Service("code server", [], environment={}, log=tmp_path / "log"), searching], "a mark")
    assert (tmp_path / "found").read_text() == "None"
    assert not searching.alive


@posix
@pytest.mark.parametrize(("given", "is_heard"), [(signal.SIG_DFL, True), (signal.SIG_IGN, False)])
def test_terminal_that_closes_is_not_heard_under_nohup(given: signal.Handlers, is_heard: bool) -> None:
    """Who starts us so wants us to go on."""
    stop, ours = threading.Event(), signal.signal(signal.SIGHUP, given)
    try:
        with supervisor._stop_at_signals(stop):
            assert (signal.getsignal(signal.SIGHUP) != given) is is_heard
    finally:
        signal.signal(signal.SIGHUP, ours)


@posix
def test_another_port_is_said_when_the_wanted_one_is_taken(up: Up, config: Settings) -> None:
    """Who looks at the usual address would find another program there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        up.on("Dagster is at", interrupt)
        up.run(config, port=port)
    assert up.said[0].startswith(f"Port {port} of 127.0.0.1 is taken by another program: Dagster's UI gets ")


@posix
@pytest.mark.parametrize("whose", ["Dagster's UI", "the search service"])
def test_another_port_is_taken_when_a_stranger_comes_between(
    whose: str, up: Up, config: Settings, search_services: list[Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The port was free when it was chosen, and is taken when the service wants to listen: two that start at once.

    What listens then is said, and the search service knows where Dagster's page is.
    """
    chosen = [port().number, port().number]
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", chosen[0] if whose == "Dagster's UI" else chosen[1]))
        up.on("Starting Dagster", stranger.listen)
        both = iter([lambda: None, interrupt])  # either of the two may be the first to listen
        for page in ("Dagster is at", "Search is at"):
            up.on(page, lambda: next(both)())
        monkeypatch.setattr(ports, "free_port", _unaware(ports.free_port, up))
        up.run(config, port=chosen[0], search=("127.0.0.1", chosen[1]))
    page = next(said.split()[3] for said in reversed(up.said) if said.startswith("Dagster is at"))
    assert f"{whose} gets " in "".join(up.said)
    assert search_services[0]._known_links == {"RAG_ASSETS_SERVICE__DAGSTER_URL": page}


def _unaware(real: Callable[..., int], up: Up) -> Callable[..., int]:
    """Before anything is started, each wanted port is as good as free."""
    return lambda host, wanted=0: wanted if wanted and "Starting Dagster" not in up.said else real(host, wanted=wanted)


@posix
def test_the_search_service_is_started_and_stopped_with_the_others(
    up: Up, config: Settings, search_services: list[Service]
) -> None:
    """Its address is said once it listens; where another program has its port, it gets a free one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        both = iter([lambda: None, interrupt])  # either of the two may be the first to listen
        for page in ("Dagster is at http://127.0.0.1:", "Search is at http://127.0.0.1:"):
            up.on(page, lambda: next(both)())
        up.run(config, search=("127.0.0.1", port))
    assert up.said[0].startswith(f"Port {port} of 127.0.0.1 is taken by another program: the search service gets ")
    said = [message.partition(" at ")[0] for message in up.said[1:]]
    assert (said[0], sorted(said[1:-1]), said[-1]) == ("Starting Dagster", ["Dagster is", "Search is"], "Stopping")
    assert search_services[0]._known_links["RAG_ASSETS_SERVICE__DAGSTER_URL"].startswith("http://127.0.0.1:")
    assert not search_services[0].alive


@posix
def test_service_that_dies_is_started_again(up: Up, config: Settings) -> None:
    """And it is said which, and where its log is."""
    pids: list[int | None] = []

    def kill() -> None:
        daemon = up.services[2]
        pids.append(daemon.pid)
        tree.stop_tree(daemon.pid or 0, seconds=5)

    up.on("Dagster is at", kill)
    up.on("The daemon has ended; starting it again. Its log: ", interrupt)
    up.run(config)
    assert up.services[2].pid not in pids


@posix
def test_everything_is_stopped_when_a_service_keeps_dying(
    config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is the service's; the others do not outlive it."""
    up = Up(tmp_path, others="import sys; sys.exit('port is taken')", restarts=1)
    monkeypatch.setattr(supervisor, "_services", up.make)
    with pytest.raises(ServiceError, match=r"The webserver keeps dying(.|\n)*port is taken"):
        up.run(config)
    assert not any(service.alive for service in up.services)


@posix
def test_a_signal_during_the_start_ends_it(up: Up, config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for services that take long to answer."""
    monkeypatch.setattr(supervisor, "_listens", lambda _address: False)
    up.on("Starting Dagster", interrupt)
    up.run(config)
    assert up.said == ["Starting Dagster", "Stopping"]
    assert not any(service.alive for service in up.services)
