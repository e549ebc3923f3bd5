r"""`rag-assets up` as a service of Windows, by NSSM: a place comes in, commands come out, and are run one by one.

What is the user's stays: settings and secrets in a folder of the service, which is the working directory of `up`, and
what he set by `nssm set` of account and parameters. All else is set anew by each install, so that an upgrade needs
nothing else. Nothing of it is in the environment that NSSM keeps in the registry, as every account may read that.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from rag_assets import unattended
from rag_assets.errors import ServiceError, SettingsError
from rag_assets.model import Progress
from rag_assets.processes import windows_owner
from rag_assets.unattended import SERVICE_NAME, STOP_SECONDS

PARAMETERS = "-P -m rag_assets up"  # of Python; what follows is the user's
ACCOUNT = rf"NT SERVICE\{SERVICE_NAME}"  # comes and goes with the service, has no password and few rights
ADMINISTRATORS, SYSTEM = "*S-1-5-32-544", "*S-1-5-18"  # their names are others in other languages
RESTART_MILLISECONDS = 10_000  # between a failure and the next start; longer, up to 256 s, after several early ones
EARLY_MILLISECONDS = 15_000  # after its start, an end is early; until then, NSSM says SERVICE_START_PENDING
LOOK_SECONDS = 0.5  # between two looks whether it has started or stopped
SETTLE_SECONDS = unattended.CALL_SECONDS  # until it has to have
LOG_BYTES = 10 * 2**20  # of service.log, until it is renamed and another one begins
NO_SERVICE = 3  # exit status of nssm: there is none of this name, or this account may not ask
RUNNING, PAUSED, STOPPED = "SERVICE_RUNNING", "SERVICE_PAUSED", "SERVICE_STOPPED"
PENDING = "_PENDING"  # how the names of states end that are about to change

ENVIRONMENT = """\
# Settings and secrets of the service, NAME=value; kept by `rag-assets service install`. After a change:
# rag-assets service stop, then start. For the home: rag-assets service install before that.
RAG_ASSETS_HOME={home}
#DATABASE_URL=postgresql://me:secret@db.example/app
#DOCUMENT_ROOT_PATH=D:\\Documents
#RAG_ASSETS_WEB__TOKEN=
#RAG_ASSETS_NOTIFY__URL=https://hooks.example.org/...
"""


def is_administrator() -> bool:
    """Whether this process may make services; never elsewhere than on Windows."""
    if sys.platform != "win32":
        return False
    import ctypes

    return bool(ctypes.windll.shell32.IsUserAnAdmin())


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which NSSM makes the service, and where its files are."""

    nssm: Path
    config: Path  # the working directory, in which .env and settings.toml are looked for
    is_administrator: Callable[[], bool] = is_administrator
    owner: Callable[[Path], str | None] = windows_owner.owner

    @property
    def environment(self) -> Path:
        """The file of variables that `up` reads in its working directory, secrets among them."""
        return self.config / ".env"

    @property
    def home(self) -> Path:
        """The home that the file of variables names."""
        named = dotenv_values(self.environment, interpolate=False).get("RAG_ASSETS_HOME")
        return Path(named) if named else self.config / "home"

    @property
    def log(self) -> Path:
        """What `up` says; NSSM gives a full one a name with the time."""
        return self.config / "logs" / "service.log"


def place(nssm: Path | None) -> Place:
    """Where the service of this machine is; SettingsError, with what to do, where there is no NSSM.

    `nssm` is where the user has it; else it is looked for on the PATH.
    """
    data = Path(os.environ.get("PROGRAMDATA") or r"C:\ProgramData")
    return Place(nssm=_found(nssm), config=data / SERVICE_NAME)


def _found(nssm: Path | None) -> Path:
    found = shutil.which(nssm or "nssm")
    # Windows looks in the current folder first, where others may have put one; it gives that without a folder.
    if found is None or not (nssm or os.path.isabs(found)):
        where = f"{nssm} is no program" if nssm else "There is no nssm on the PATH"
        raise SettingsError(
            f"{where}: get NSSM from https://nssm.cc, and name its nssm.exe by --nssm or the variable NSSM. "
            "Without it, let `rag-assets up` run in a console, or have the Task Scheduler start it: "
            f'schtasks /create /tn {SERVICE_NAME} /sc onlogon /tr "{sys.executable} -m rag_assets up"'
        )
    return Path(found).absolute()


# ---- the commands


def commands(place: Place, *, is_new: bool) -> list[list[str]]:
    """What install runs, in this order: the service where it is not there yet, what it is set to, and whose files are.

    The account exists as soon as the service does, and only from then on can rights be given to it.
    """
    made = [
        [str(place.nssm), "install", SERVICE_NAME, sys.executable, *PARAMETERS.split()],
        [_of_windows("sc.exe"), "config", SERVICE_NAME, "obj=", ACCOUNT],
    ]
    return [
        *(made if is_new else []),
        *([str(place.nssm), "set", SERVICE_NAME, *words] for words in _settings(place)),
        _given(place.config, "RX"),
        _given(place.log.parent, "M"),
        _given(place.home, "F"),
    ]


def _settings(place: Place) -> list[tuple[str, ...]]:
    """What NSSM is told of the service. Ctrl-C goes to `up` alone, which stops the others in their order."""
    return [
        ("Application", sys.executable),
        ("AppDirectory", str(place.config)),
        ("DisplayName", "rag_assets"),
        ("Description", "An index that follows a table of documents"),
        ("Start", "SERVICE_AUTO_START"),
        ("AppExit", "Default", "Restart"),
        ("AppExit", "0", "Exit"),
        ("AppRestartDelay", str(RESTART_MILLISECONDS)),
        ("AppThrottle", str(EARLY_MILLISECONDS)),
        ("AppStopMethodConsole", str(STOP_SECONDS * 1000)),
        ("AppStdout", str(place.log)),
        ("AppStderr", str(place.log)),
        ("AppRotateFiles", "1"),
        ("AppRotateOnline", "1"),
        ("AppRotateBytes", str(LOG_BYTES)),
    ]


def _given(folder: Path, right: str) -> list[str]:
    """A folder is closed to all but administrators, the system and the service; what others were given stays theirs."""
    return [*_closed(folder), f"{ACCOUNT}:(OI)(CI){right}"]


def _closed(folder: Path) -> list[str]:
    """As `_given`, to the service as well: there is none yet."""
    grants = [f"{who}:(OI)(CI)F" for who in (ADMINISTRATORS, SYSTEM)]
    return [_of_windows("icacls.exe"), str(folder), "/inheritance:r", "/grant:r", *grants]


def _of_windows(program: str) -> str:
    """By its place: a name alone is looked for in the current folder first, where others may have put one."""
    return str(Path(os.environ.get("SYSTEMROOT") or r"C:\Windows") / "System32" / program)


def script(place: Place) -> str:
    """The commands of a first install, one in a line, as they would be typed."""
    all_of_them = [_closed(place.config), *commands(place, is_new=True)]
    return "".join(f"{subprocess.list2cmdline(command)}\n" for command in all_of_them)


# ---- what is done


def install(place: Place, *, progress: Progress) -> bool:
    """Make or update the service, and what is not there of its folders and its file; whether the service is a new one.

    Raises SettingsError where this account may not, or a service of this name is another program's, or the folder of a
    new one is another account's, and ServiceError with what a command says. A new service that cannot be set up is
    removed again.
    """
    _require_administrator(place)
    is_new = _state(place) is None
    if not is_new:
        _require_ours(place)
    _require_reachable()
    try:
        if is_new:
            _take(place)
        _make_files(place, progress=progress)
    except OSError as exc:
        raise ServiceError(f"{exc.filename or place.config} cannot be written: {exc.strerror}") from exc
    try:
        for command in commands(place, is_new=is_new):
            unattended.run(command)
    except ServiceError:
        if is_new:
            unattended.ask([str(place.nssm), "remove", SERVICE_NAME, "confirm"])
        raise
    return is_new


def uninstall(place: Place) -> None:
    """Stop the service and take it away; settings, home and logs stay."""
    _require_administrator(place)
    require_installed(place)
    _require_ours(place)
    _become(place, STOPPED, by="stop")
    unattended.run([str(place.nssm), "remove", SERVICE_NAME, "confirm"])


def start(place: Place) -> None:
    """Start the installed service; SettingsError where none is, ServiceError where it does not start.

    One that waits after failures is stopped first: to NSSM, it is started already.
    """
    _require_administrator(place)
    if require_installed(place) == PAUSED:
        _become(place, STOPPED, by="stop")
    _become(place, RUNNING, by="start")


def stop(place: Place) -> None:
    """Stop it and wait until everything of it has ended."""
    _require_administrator(place)
    require_installed(place)
    _become(place, STOPPED, by="stop")


def require_installed(place: Place) -> str:
    """How the service is, as SERVICE_RUNNING; SettingsError, with the command that installs it, where there is none."""
    state = _state(place)
    if state is None:
        raise SettingsError(f"There is no service {SERVICE_NAME}: rag-assets service install")
    return state


# ---- what has to hold


def _require_administrator(place: Place) -> None:
    if not place.is_administrator():
        raise SettingsError(
            "A service is made, started and stopped by an administrator: open a console by `Run as administrator`. "
            "`rag-assets service status` needs no such rights."
        )


def _require_ours(place: Place) -> None:
    found = unattended.ask([str(place.nssm), "get", SERVICE_NAME, "AppParameters"])
    if found.status or not found.output.strip().startswith(PARAMETERS):
        raise SettingsError(
            f"The service {SERVICE_NAME} was not made by `rag-assets service install`, and is left as it is: it would "
            f"run `python {PARAMETERS}`."
        )


def _require_reachable() -> None:
    """What lies in the profile of an account, no service of another account reaches."""
    profile = os.environ.get("USERPROFILE")
    for part in (sys.executable, sys.base_prefix) if profile else ():
        if Path(part).is_relative_to(Path(profile or "")):
            raise SettingsError(
                f"{part} is in the profile of an account, where a service cannot read it: install Python for all "
                rf"users, make a virtual environment of it as C:\{SERVICE_NAME}\venv, and run that one's rag-assets."
            )


# ---- files and commands


def _take(place: Place) -> None:
    """Make the folder, and close it; SettingsError where it, or what is in it, is not an administrator's.

    Every account may make folders in C:\\ProgramData. Settings name programs that the service starts.
    """
    place.config.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        trusted = {ADMINISTRATORS.removeprefix("*"), SYSTEM.removeprefix("*"), place.owner(Path(folder))}
    _require_trusted(place, place.config, trusted)
    unattended.run(_closed(place.config))
    for path in place.config.iterdir():
        _require_trusted(place, path, trusted)


def _require_trusted(place: Place, path: Path, trusted: set[str | None]) -> None:
    if windows_owner.leads_elsewhere(path) or place.owner(path) not in trusted:
        raise SettingsError(
            f"{path} was not made by an administrator: others may have put settings there, which name programs that "
            f"the service starts. Look what is in {place.config}, rename or delete it, and install again."
        )


def _make_files(place: Place, *, progress: Progress) -> None:
    """The folders, and the file of variables, where they are not there; nothing secret is in it before it is closed."""
    place.config.mkdir(parents=True, exist_ok=True)
    if not place.environment.exists():
        progress(f"Writing {place.environment}")
        place.environment.write_text(ENVIRONMENT.format(home=place.config / "home"), encoding="utf-8")
    place.log.parent.mkdir(exist_ok=True)
    place.home.mkdir(parents=True, exist_ok=True)


def _state(place: Place) -> str | None:
    """How the service is; None where there is none."""
    answer = unattended.ask([str(place.nssm), "status", SERVICE_NAME])
    if answer.status == NO_SERVICE:
        return None
    if answer.status:
        raise ServiceError(f"`nssm status {SERVICE_NAME}` failed: {answer.error.strip()}")
    return answer.output.strip()


def _become(place: Place, state: str, *, by: str) -> None:
    """Have the service be in this state, by a command of NSSM, and wait until it is; ServiceError where it is not then.

    NSSM 2.24 itself waits for 3 s, and calls it a failure when the service is still on its way.
    """
    if _settled(place) == state:
        return
    answer = unattended.ask([str(place.nssm), by, SERVICE_NAME])
    found = _settled(place)
    if found != state:
        said = answer.error.strip() or answer.output.strip()
        raise ServiceError(f"`nssm {by} {SERVICE_NAME}` failed, it is {found}: {said} See: {place.log}")


def _settled(place: Place) -> str:
    """How the service is once that is not about to change; ServiceError where it takes too long."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (state := require_installed(place)).endswith(PENDING):
        if time.monotonic() > deadline:
            raise ServiceError(f"{SERVICE_NAME} is still {state} after {SETTLE_SECONDS} s. See: {place.log}")
        time.sleep(LOOK_SECONDS)
    return state
