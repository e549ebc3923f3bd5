"""Keeps one PostgreSQL alive while it has users: a Spec comes in, a server runs until the last one is gone.

`python -I -S postgres_watchdog.py SPEC` detaches itself, starts the server (or takes over a running one), prints
"ready" or what went wrong, and then watches. Standard library only: it is a process of its own for a long time.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":  # run by its path and without site: only what lies beside this package is found
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from rag_assets.processes import bounded_log, file_lock, identity

READY_ANSWER = "ready"
WATCH_SECONDS = 0.3
USE_SECONDS = 60.0  # between notes that a cluster outside of its home is used
START_SECONDS = 60.0  # crash recovery included
SHARED_MEMORY_SECONDS = 10.0  # how long the children of a killed server may take to notice
STOP_SECONDS = 60.0  # a shutdown writes what is dirty
NOTED_SECONDS = 2.0  # a server's own note of its start is at most so much before the system's
RESTART_SECONDS = 3.0
DELETE_SECONDS = 5.0  # how long deleting a home may take, until we take it for moved
USERS_LOCK = "lock"  # held while users come and go
WATCHDOG_LOCK = "keeper.lock"  # held by the watchdog as long as it lives; the name is that of earlier versions
HOME_RECORD = "home"  # whose a cluster outside of its home is
WINDOWS = os.name == "nt"
THREAD_LIBRARY, THREAD_LIBRARY_PACKAGE = "libwinpthread-1.dll", "gmpy2"


class Spec(NamedTuple):
    """What to run. `cluster` is the folder to remove when the home is deleted, where it lies elsewhere."""

    home: str
    data: str
    binaries: str
    options: list[str]  # name=value, for `postgres -c`
    socket: str | None
    uid: int | None
    gid: int | None
    cluster: str | None


class StartFailed(Exception):
    """The server ended, or was not ready in time."""


# ---- users; others use these too


def folder(home: Path) -> Path:
    """Where a home keeps everything about its server."""
    return home / "postgres"


def add_user(home: Path, pid: int) -> None:
    """Note that a process uses the home's server, which runs as long as it lives; ProcessLookupError: it does not."""
    name = identity.identify(pid)
    if name is None:
        raise ProcessLookupError(f"there is no process {pid}")
    (folder(home) / "users" / name).touch()


def remove_user(home: Path, pid: int) -> None:
    """Forget that a process uses the home's server; nothing happens where it is not noted."""
    for lease in (folder(home) / "users").glob(f"{pid}.*"):
        lease.unlink(missing_ok=True)


def users(home: Path) -> list[str]:
    """The living users of a home; leases of the dead are removed."""
    leases = folder(home) / "users"
    with suppress(FileNotFoundError):
        for name in _lease_names(leases):
            if identity.identify(int(name.partition(".")[0])) != name:
                (leases / name).unlink(missing_ok=True)
        return _lease_names(leases)
    return []


def _lease_names(leases: Path) -> list[str]:
    # a network file system puts files of its own beside ours
    return [name for name in os.listdir(leases) if name.partition(".")[0].isdecimal()]


# ---- the server


def running_server(data: Path) -> int | None:
    """The process id of the server of this data folder; not fooled by a postmaster.pid left after a crash."""
    pid = _recorded_pid(data)
    return pid if pid is not None and _is_server(pid, data) else None


def _recorded_pid(data: Path) -> int | None:
    try:
        return int(_pid_file_lines(data)[0])
    except (OSError, ValueError, IndexError):
        return None


def _pid_file_lines(data: Path) -> list[str]:
    return (data / "postmaster.pid").read_text(errors="replace").splitlines()


def _is_server(pid: int, data: Path) -> bool:
    if identity.identify(pid) is None:
        return False
    if sys.platform == "linux":  # only the command line can be read of another account's process in a container
        return f"\0-D\0{data}\0" in _command_line(pid)
    return _is_recorded_server(pid, data)


def _is_recorded_server(pid: int, data: Path) -> bool:
    """Whether it is a PostgreSQL that had begun when the server of this folder noted its start, in whole seconds."""
    import psutil

    with suppress(psutil.Error, OSError, ValueError, IndexError):
        process, noted = psutil.Process(pid), float(_pid_file_lines(data)[2])
        return process.name() in ("postgres", "postgres.exe") and process.create_time() < noted + NOTED_SECONDS
    return False


def _command_line(pid: int) -> str:
    with suppress(OSError):
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
    return ""


def _start_server(spec: Spec) -> int:
    """Start the server and wait until it takes connections; returns its process id."""
    deadline = time.monotonic() + SHARED_MEMORY_SECONDS
    while True:
        _remove_stale_records(spec)
        log = _log_file(Path(spec.home))
        offset = log.stat().st_size if log.exists() else 0
        try:
            return _launch(spec, log)
        except StartFailed:
            if pid := running_server(Path(spec.data)):  # one that a watchdog had just started when it was killed
                return pid
            # children of a killed server end a moment after it, and hold its shared memory until then
            if time.monotonic() > deadline or b"still in use" not in log.read_bytes()[offset:]:
                raise
            time.sleep(0.2)


def _remove_stale_records(spec: Spec) -> None:
    """PostgreSQL does not start while the process id in its lock files exists, though it were a zombie's.

    After a crash of the machine, or in a container where nobody reaps zombies, that would be for ever.
    Two servers on one data folder are still impossible: its shared memory tells.
    """
    data = Path(spec.data)
    pid = _recorded_pid(data)
    if pid is not None and not _is_server(pid, data) and (identity.identify(pid) is None or _command_line(pid)):
        (data / "postmaster.pid").unlink(missing_ok=True)
    for left in Path(spec.socket).glob(".s.PGSQL.*") if spec.socket else ():
        left.unlink(missing_ok=True)


def _launch(spec: Spec, log: Path) -> int:
    if WINDOWS:
        return _launch_on_windows(spec, log)
    with open(log, "ab") as output:
        server = subprocess.Popen(
            [program(spec.binaries, "postgres"), "-D", spec.data, *_flags(spec)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=server_environment(),
            start_new_session=True,
            **account_arguments(spec.uid, spec.gid),
        )
    _await_ready(server, Path(spec.data))
    return server.pid


def _await_ready(server: "subprocess.Popen[bytes]", data: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise StartFailed(f"PostgreSQL ended with status {server.returncode}")
        if _recorded_pid(data) == server.pid and _is_ready(data):
            server.returncode = 0  # from now on it is known by its process id, as a server taken over is
            return
        time.sleep(0.02)
    server.kill()
    with suppress(subprocess.TimeoutExpired):  # the kernel may hold it in a call on its disk
        server.wait(STOP_SECONDS)
    raise StartFailed(f"PostgreSQL was not ready within {START_SECONDS:.0f} s")


def _is_ready(data: Path) -> bool:
    with suppress(OSError, IndexError):
        return _pid_file_lines(data)[7].strip() == READY_ANSWER
    return False


def _launch_on_windows(spec: Spec, log: Path) -> int:
    # pg_ctl drops administrator rights, with which PostgreSQL refuses to start. Its cmd.exe keeps the log to itself.
    bounded_log.bound(log)
    quoted = subprocess.list2cmdline(_flags(spec))
    _pg_ctl(spec, "start", "-w", "-t", str(int(START_SECONDS)), "-l", str(log), "-o", quoted)
    pid = running_server(Path(spec.data))
    if pid is None:
        raise StartFailed("PostgreSQL ended at once")
    return pid


def _pg_ctl(spec: Spec, *arguments: str) -> None:
    command = [program(spec.binaries, "pg_ctl"), "-D", spec.data, *arguments]
    seconds = START_SECONDS + STOP_SECONDS
    try:
        # The server inherits its handles, and would keep a pipe open to whoever waits for the end of our output.
        done = subprocess.run(command, env=server_environment(), timeout=seconds, **_NO_STREAMS)
    except subprocess.TimeoutExpired as exc:
        raise StartFailed(f"pg_ctl {arguments[0]} did not end within {seconds:.0f} s") from exc
    if done.returncode:
        raise StartFailed(f"pg_ctl {arguments[0]} ended with status {done.returncode}")


_NO_STREAMS: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)


def _flags(spec: Spec) -> list[str]:
    return [part for option in spec.options for part in ("-c", option)]


def program(binaries: str, name: str) -> str:
    """The path of one of PostgreSQL's programs in its folder `binaries`, as this system names files."""
    return f"{binaries}/{name}.exe" if WINDOWS else f"{binaries}/{name}"


def server_environment() -> dict[str, str]:
    """Nothing of ours: a PGDATA or PGPORT of the user's would redirect the server; messages in English."""
    kept = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "TZ", "LD_LIBRARY_PATH")
    ours = {"LC_ALL": "C"}
    if WINDOWS and (folder := thread_library()):
        ours["PATH"] = os.pathsep.join(filter(None, (str(folder.parent), os.environ.get("PATH"))))
    return {name: os.environ[name] for name in kept if name in os.environ} | ours


def thread_library() -> Path | None:
    """The DLL that postgres.exe needs on Windows and its wheel lacks, as the wheel of gmpy2 brings it; else None."""
    import importlib.util

    spec = importlib.util.find_spec(THREAD_LIBRARY_PACKAGE)
    for package in (spec.submodule_search_locations or ()) if spec else ():
        library = Path(package).with_name(f"{THREAD_LIBRARY_PACKAGE}.libs") / THREAD_LIBRARY
        if library.is_file():
            return library
    return None


def account_arguments(uid: int | None, gid: int | None) -> dict[str, Any]:
    """Popen's arguments to run as another account, without the groups of ours."""
    umask = {} if WINDOWS else {"umask": 0o077}
    return umask if uid is None or gid is None else umask | {"user": uid, "group": gid, "extra_groups": []}


def _stop_server(spec: Spec, pid: int) -> None:
    """Stop without waiting for clients; harder when that takes too long."""
    if WINDOWS:
        with suppress(StartFailed):
            _pg_ctl(spec, "stop", "-m", "fast", "-w", "-t", str(int(STOP_SECONDS)))
        return
    for sign in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, sign)
        if _ends(pid, Path(spec.data)):
            return


def _ends(pid: int, data: Path) -> bool:
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and (data / "PG_VERSION").exists():  # deleted data cannot be saved
        if not _lives(pid):
            return True
        time.sleep(0.02)
    return not _lives(pid)


def _lives(pid: int) -> bool:
    if not WINDOWS:
        with suppress(ChildProcessError):  # a server taken over is no child of ours
            os.waitpid(pid, os.WNOHANG)
    return identity.identify(pid) is not None


# ---- the watch


class Watch:
    """The server of one home, from here to its last user's end."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.home = Path(spec.home)
        self._home_handle = None if WINDOWS else os.open(self.home, os.O_RDONLY)
        self.server = running_server(Path(spec.data)) or _start_server(spec)

    def run(self) -> None:
        """Keep the server running, and its log small, until the last user is gone; then it has been stopped."""
        while not self._ended_with_last_user():
            self._restart_if_gone()
            bounded_log.bound(_log_file(self.home))
            bounded_log.bound(_own_log_file(self.home))
            self._note_use()
            time.sleep(WATCH_SECONDS)
        self._remove_if_home_deleted()

    def _ended_with_last_user(self) -> bool:
        if users(self.home):
            return False
        lock = folder(self.home) / USERS_LOCK
        if not lock.exists():
            self._stop()
            return True
        # a start in another process holds this lock while it adds itself: no server stops under it
        with suppress(TimeoutError, FileNotFoundError), file_lock.locked(lock, patience=WATCH_SECONDS):
            if not users(self.home):
                self._stop()
                return True
        return False

    def _stop(self) -> None:
        _stop_server(self.spec, self.server)
        _remove_socket_folder(self.spec)
        self._note_use()

    def _note_use(self) -> None:
        """A cluster outside of its home was used until now: from here on data_directory counts until it forgets it."""
        if self.spec.cluster:
            record = f"{self.spec.cluster}/{HOME_RECORD}"
            with suppress(FileNotFoundError):
                if time.time() - os.stat(record).st_mtime > USE_SECONDS:
                    os.utime(record)

    def _remove_if_home_deleted(self) -> None:
        """A home that was only moved, or whose disk is not mounted any more, keeps its data."""
        deadline = time.monotonic() + DELETE_SECONDS
        while self.spec.cluster and not (folder(self.home) / USERS_LOCK).exists() and time.monotonic() < deadline:
            if self._home_handle is not None and os.fstat(self._home_handle).st_nlink == 0:
                import shutil

                shutil.rmtree(self.spec.cluster, ignore_errors=True)
                return
            time.sleep(0.1)

    def _restart_if_gone(self) -> None:
        if _lives(self.server):
            return
        try:
            self.server = running_server(Path(self.spec.data)) or _start_server(self.spec)
        except (StartFailed, OSError) as exc:
            _print_line(f"watchdog: {exc}; trying again")
            time.sleep(RESTART_SECONDS)


def _remove_socket_folder(spec: Spec) -> None:
    import shutil

    if spec.socket:
        shutil.rmtree(spec.socket, ignore_errors=True)


def _log_file(home: Path) -> Path:
    return home / "logs" / "postgres.log"


def _own_log_file(home: Path) -> Path:
    """The watchdog's own: on Windows, nobody else may write to the server's while the server runs."""
    return home / "logs" / "postgres-watchdog.log"


def main() -> None:
    """Run the server that the first argument describes, a Spec in JSON, and watch over it until its last user is gone.

    The first line of standard output tells whoever started us how that went: READY_ANSWER, or why there is no server.
    """
    spec = Spec(**json.loads(sys.argv[1]))
    _detach()
    with file_lock.locked(folder(Path(spec.home)) / WATCHDOG_LOCK):
        try:
            watch = Watch(spec)
        except (StartFailed, OSError) as exc:
            _remove_socket_folder(spec)
            _print_line(str(exc))
            return
        # when a service manager ends everything at once, the users go first
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _print_line(READY_ANSWER)
        _redirect_output(Path(spec.home))
        watch.run()


def _detach() -> None:
    """Become nobody's child, so that no user has to wait for us and no terminal ends us."""
    if sys.platform != "win32":
        if os.fork():
            os._exit(0)
        os.setsid()
        os.chdir("/")
    elif sys.argv[-1] != "detached":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        command = [sys.executable, *sys.orig_argv[1:], "detached"]
        subprocess.Popen(command, creationflags=flags, stdout=sys.stdout, stderr=sys.stderr)
        os._exit(0)


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _redirect_output(home: Path) -> None:
    # the starter has read our answer and closes its end; what is printed later belongs into the log
    with open(_own_log_file(home), "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


if __name__ == "__main__":
    main()
