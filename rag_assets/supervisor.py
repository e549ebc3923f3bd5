"""`rag-assets up`: Dagster's services and the search service under one owner that stops all of them."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from rag_assets.errors import ServiceError
from rag_assets.model import Progress
from rag_assets.postgres import conninfo
from rag_assets.processes import bounded_log, file_lock, ports, private_folder, spawning, tree
from rag_assets.services import dagster_database
from rag_assets.settings import PAGE_SECRETS, SENSOR_SECRETS, WORK_SECRETS, Settings, project_root

# The command `dagster-daemon` under this Python, by its public name: its script may lie in no folder of the PATH.
# The root logger has a handler that says nothing: where a library calls `logging.warning`, as Dagster's does when the
# database is away, Python would give it one for good, and each line of the log would come twice.
DAEMON_COMMAND = (
    "import logging, sys; logging.getLogger().addHandler(logging.NullHandler());"
    " from importlib.metadata import distribution;"
    " [main] = distribution('dagster').entry_points.select(group='console_scripts', name='dagster-daemon');"
    " sys.argv[0] = main.name; sys.exit(main.load()())"
)
LOCK = "run/up.lock"  # in the home; who holds it has the only daemon of this home
LOCK_SECONDS = 2.0  # for another `up` of the same home that is just ending
STOP_SECONDS = 10.0  # for services and runs to end by themselves
CODE_SERVER_STOP_SECONDS = 0.5
READY_SECONDS = 120.0
MOST_RESTARTS = 5  # of one service, within RESTART_WINDOW_SECONDS
RESTART_WINDOW_SECONDS = 60.0
LOG_TAIL_LINES = 15
# Logs of services: on Windows, they would be in the code page.
LOGS_IN_UTF8 = {"PYTHONIOENCODING": "utf-8"} if os.name == "nt" else {}
DAGSTER_URL = "RAG_ASSETS_SERVICE__DAGSTER_URL"  # for the links of the search service to it
Address = str | tuple[str, int]  # a socket's path, or host and port
# A terminal that closes: SIGHUP, on Windows SIGBREAK.
_HANG_UP = [getattr(signal, name) for name in ("SIGHUP", "SIGBREAK") if hasattr(signal, name)]


def environment(settings: Settings, *, database_url: str) -> dict[str, str]:
    """The variables with which every Dagster process of this project runs."""
    logs = settings.home / "logs" / "dagster"
    logs.mkdir(parents=True, exist_ok=True)
    return {
        "DAGSTER_HOME": str(project_root()),
        "DAGSTER_PG_URL": dagster_url(settings, database_url=database_url),
        "DAGSTER_LOG_DIR": str(logs),
        # One INSERT for many events instead of a transaction for each: 0.4 ms instead of 12 ms.
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        # One planned event per asset of a backfill's run, not one per partition: <1 s instead of 20-35 s per 500.
        "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "true",
        "RAG_ASSETS_HOME": str(settings.home),
    }


def dagster_url(settings: Settings, *, database_url: str) -> str:
    """Where Dagster keeps its state: DAGSTER_DATABASE_URL, or a schema of its own in our database."""
    text, schema = dagster_database(settings, database_url=database_url)
    return conninfo.as_sqlalchemy(text, schema=schema)


class Port:
    """A TCP port for a service: the wanted one or, while another program has that, any that is free.

    Raises ServiceError where the host is no address of this machine.
    """

    def __init__(
        self, host: str, wanted: int, *, whose: str, progress: Progress, other_than: "Port | None" = None
    ) -> None:
        self.host = host
        self.number = 0
        self._wanted = wanted
        self._whose = whose
        self._progress = progress
        self._other_than = other_than
        self.choose()

    def choose(self) -> None:
        """Choose anew where somebody else has it by now: between the choice and the start, another program may come."""
        before = self.number or self._wanted
        taken = self._other_than is not None and self._other_than.number == before
        try:
            self.number = ports.free_port(self.host, wanted=0 if taken else before)
        except OSError as exc:
            raise ServiceError(f"No free port on {self.host} ({exc}): is this an address of this machine?") from exc
        if before and self.number != before:
            words = f"Port {before} of {self.host} is taken by another program: {self._whose} gets {self.number}"
            self._progress(words)

    @property
    def url(self) -> str:
        """How a page or interface that listens there is asked from this machine."""
        return url_of(self.host, self.number)


class Service:
    """A child process with a log file; it is started again when it dies, but not for ever.

    The parts {host} and {port} of its command are those of its port. `links` are variables that may be others at each
    start; once they are, the process is one to be started anew.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        port: Port | None = None,
        links: Callable[[], Mapping[str, str]] = dict,
        restarts: int = MOST_RESTARTS,
        restart_window_seconds: float = RESTART_WINDOW_SECONDS,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = dict(environment)
        self._port = port
        self._links = links
        self._known_links: Mapping[str, str] = {}
        self._said: int | None = None  # the port that was announced
        self._restarts = restarts
        self._restart_window_seconds = restart_window_seconds
        self._starts: list[float] = []
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; ServiceError with its last log lines when it has died too often lately."""
        now = time.monotonic()
        self._starts = [at for at in self._starts if now - at < self._restart_window_seconds] + [now]
        if len(self._starts) > self._restarts:
            raise ServiceError(f"The {self.name} keeps dying. Its last log lines ({self.log}):\n{self._tail()}")
        if self._port is not None and self._process is not None:
            self._port.choose()
        self._known_links = self._links()
        variables = {**self._environment, **self._known_links}
        self._process = spawning.spawn(self._command_now(), environment=variables, log=self.log)

    def end(self) -> None:
        """End its process on purpose, to be started anew: that is none of the deaths by which it is given up."""
        if self.pid is not None:
            tree.stop_tree(self.pid, seconds=STOP_SECONDS)
        self.reap()
        self._starts = self._starts[:-1]

    def _command_now(self) -> list[str]:
        if self._port is None:
            return self._command
        values = {"{host}": self._port.host, "{port}": str(self._port.number)}
        return [values.get(part, part) for part in self._command]

    def announce(self, words: str, progress: Progress) -> bool:
        """Say once where it listens, as soon as it does; whether that is said. `words` have a place for the {url}."""
        if self._port is not None and self._said != self._port.number and ports.owns_port(self.pid, self._port.number):
            progress(words.replace("{url}", self._port.url))
            self._said = self._port.number
        return self._port is None or self._said == self._port.number

    @property
    def is_outdated(self) -> bool:
        """Whether its process knows links that are others now."""
        return self.alive and self._known_links != self._links()

    @property
    def alive(self) -> bool:
        """Whether its process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The number of its process; None where it was not started."""
        return self._process.pid if self._process else None

    def reap(self) -> None:
        """Take note of its end; one that the kernel holds in a call, on a disk that is gone, is not waited for."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


def is_running(home: Path) -> bool:
    """Whether `rag-assets up` runs for this home."""
    return file_lock.is_locked(home / LOCK)


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold this home's place for Dagster's daemon: two of them would launch each run twice, or stop each other's."""
    lock = home / LOCK
    file_lock.make_lock(lock)
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock.locked(lock, patience=LOCK_SECONDS))
        except TimeoutError as exc:
            raise ServiceError(f"`rag-assets up` runs already for {home}: stop that one first.") from exc
        yield


def run(
    settings: Settings,
    *,
    database_url: str,
    host: str,
    port: int,
    progress: Progress,
    read_only: bool = False,
    search: tuple[str, int] | None = None,
) -> None:
    """Run Dagster, and where `search` is an address (host, port), the search service there, until SIGINT or SIGTERM.

    Nothing of it is left when this returns.
    """
    stop = threading.Event()
    mark = secrets.token_hex(16)
    variables = {**LOGS_IN_UTF8, **os.environ, **environment(settings, database_url=database_url)}
    variables[tree.MARK_VARIABLE] = mark
    page = Port(host, port, whose="Dagster's UI", progress=progress)
    pages = {"webserver": f"Dagster is at {{url}}  (logs in {settings.home / 'logs'}; Ctrl-C stops everything)"}
    with (
        _stop_at_signals(stop),
        private_folder.workplace("rag_assets-") as sockets,
        ExitStack() as stack,
    ):
        address = _code_server_address(sockets)
        services = _services(settings, variables, address=address, port=page, read_only=read_only)
        if search is not None:
            port_of_search = Port(*search, whose="the search service", progress=progress, other_than=page)
            services.append(_search_service(settings, variables, port=port_of_search, page=page))
            pages[services[-1].name] = "Search is at {url}"
        stack.callback(_stop_all, services, mark)
        stack.callback(progress, "Stopping")
        progress("Starting Dagster")
        code_server, *others = services
        code_server.start()
        # It creates Dagster's tables, and the others would ask for it in vain.
        _wait_until(lambda: _listens(address), services=[code_server], stop=stop)
        for service in others:
            service.start()
        _keep_running(services, pages=pages, stop=stop, progress=progress)


def _keep_running(
    services: Sequence[Service], *, pages: Mapping[str, str], stop: threading.Event, progress: Progress
) -> None:
    """Start again what ends, and say where pages are: `pages` are the words for it, by the name of the service."""
    are_all_said, soon = False, time.monotonic() + READY_SECONDS
    while not stop.wait(0.5 if are_all_said or time.monotonic() > soon else 0.1):
        for service in services:
            bounded_log.bound(service.log)  # without its database, Dagster writes 180 lines a second
            if service.is_outdated:
                progress(f"Dagster's UI has another address now: ending the {service.name}, which links to it")
                service.end()
            if not service.alive and not stop.is_set():
                progress(f"The {service.name} has ended; starting it again. Its log: {service.log}")
                service.start()
        are_all_said = all([each.announce(pages[each.name], progress) for each in services if each.name in pages])


def url_of(host: str, port: int) -> str:
    """How a page or interface that listens there is asked from this machine."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _search_service(settings: Settings, variables: Mapping[str, str], *, port: Port, page: Port) -> Service:
    """The index over HTTP: a process that imports no Dagster; its pages link to Dagster's."""
    command = [sys.executable, "-m", "rag_assets.service.search_service", "--host", "{host}", "--port", "{port}"]
    return Service(
        "search service",
        command,
        environment=_variables_of("search service", variables),
        log=settings.home / "logs" / "search-service.log",
        port=port,
        links=lambda: {DAGSTER_URL: settings.service.dagster_url or page.url},
    )


def _services(
    settings: Settings, variables: Mapping[str, str], *, address: Address, port: Port, read_only: bool
) -> list[Service]:
    """One code server for both the webserver and the daemon: each would start its own, at 150 MB."""
    where, flags = _code_server_flags(address)
    workspace = settings.home / "workspace.yaml"
    workspace.write_text(f"load_from:\n  - grpc_server: {{{where}, location_name: rag_assets}}\n")
    dagster = [sys.executable, "-m", "dagster"]
    module = ["--module-name", "rag_assets.definitions", "--location-name", "rag_assets"]
    commands = {
        "code server": [*dagster, "api", "grpc", *flags, *module, "--inject-env-vars-from-instance"],
        "webserver": [
            *[sys.executable, "-m", "rag_assets.service.dagster_ui", "--workspace", str(workspace)],
            *["--host", "{host}", "--port", "{port}", *(["--read-only"] if read_only else [])],
        ],
        "daemon": [sys.executable, "-c", DAEMON_COMMAND, "run", "-w", str(workspace)],
    }
    if settings.log_format == "json":
        for name in ("code server", "daemon"):
            commands[name] += ["--log-format", "json"]
    logs = settings.home / "logs"
    return [
        Service(
            name,
            command,
            environment=_variables_of(name, variables),
            log=logs / f"{name.replace(' ', '-')}.log",
            port=port if name == "webserver" else None,
        )
        for name, command in commands.items()
    ]


def _variables_of(service: str, variables: Mapping[str, str]) -> dict[str, str]:
    """What a service needs to know: the page keeps its token, the sensors their webhook, and the others what only they
    ask for."""
    withheld = WORK_SECRETS if service == "webserver" else PAGE_SECRETS
    withheld |= SENSOR_SECRETS if service != "code server" else frozenset()
    kept = {name: value for name, value in variables.items() if name.upper() not in withheld}
    # See defs.launching: only the daemon launches the sensor's runs.
    return {**kept, "RAG_ASSETS_WARM": "1"} if service == "daemon" else kept


def _code_server_address(folder: Path) -> Address:
    """A private socket; on Windows, where Dagster has none, a loopback port."""
    return ("127.0.0.1", ports.free_port("127.0.0.1")) if os.name == "nt" else str(folder / "code-server.sock")


def _code_server_flags(address: Address) -> tuple[str, list[str]]:
    """How the workspace, and the server's own command line, name the address."""
    if isinstance(address, tuple):
        host, port = address
        return f"host: {host}, port: {port}", ["--host", host, "--port", str(port)]
    return f'socket: "{address}"', ["--socket", address]


@contextmanager
def _stop_at_signals(stop: threading.Event) -> Iterator[None]:
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    # Who starts us with nohup wants us to outlive his terminal.
    names = (signal.SIGINT, signal.SIGTERM, *(name for name in _HANG_UP if signal.getsignal(name) != signal.SIG_IGN))
    before = {name: signal.signal(name, handle) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _stop_all(services: Sequence[Service], mark: str) -> None:
    """Ask all; runs, which are the daemon's children, get time to release the documents they work on.

    What the others started is theirs to end: the search service answers what is under way by its embedding server.
    The daemon may launch another run until it has ended: what has our mark then is a straggler, and so is what that
    one starts while it ends.

    The code server goes first, or its sensor would claim what they release. It is hardly waited for: it would wait
    for the sensor, which waits for changes, and so would the daemon, which waits for the answer.
    """
    code_server, *others = [service.pid for service in services]
    asked = [pid for pid in others if pid is not None]
    runs = [run for service in services if service.name == "daemon" for run in tree.children(service.pid)]
    if code_server is not None:
        tree.stop_tree(code_server, seconds=CODE_SERVER_STOP_SECONDS)
    tree.terminate(asked)
    tree.stop_trees(runs, seconds=STOP_SECONDS)
    tree.stop_trees(asked, seconds=STOP_SECONDS)
    for service in services:
        service.reap()
    deadline = time.monotonic() + STOP_SECONDS  # from then on, what is left is killed at once
    while (late := tree.marked(mark)) and time.monotonic() < deadline + STOP_SECONDS:
        tree.stop_trees(list(late), seconds=max(deadline - time.monotonic(), tree.POLL_SECONDS))


def _wait_until(condition: Callable[[], bool], *, services: Sequence[Service], stop: threading.Event) -> bool:
    """Whether the condition came to hold; False when we were told to stop first, or a service died."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and not stop.wait(0.1):
        if not all(service.alive for service in services):
            return False
        if condition():
            return True
    return False


def _listens(address: Address) -> bool:
    """Whether something accepts connections at a socket's path, or at host and port."""
    family = socket.AF_INET if os.name == "nt" or isinstance(address, tuple) else socket.AF_UNIX
    with socket.socket(family) as probe, suppress(OSError):
        probe.settimeout(1)
        probe.connect(address)
        return True
    return False
