"""`rag-assets up` as a service of systemd: a place comes in, a unit is written there and given to its manager.

What is the user's stays in files of his own: settings and secrets in the environment file, changes of the unit in
drop-ins (`systemctl edit`). The unit itself is written anew by each install, so that an upgrade needs nothing else.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from rag_assets import unattended
from rag_assets.errors import ServiceError, SettingsError
from rag_assets.model import Progress
from rag_assets.processes import whole_file
from rag_assets.unattended import CALL_SECONDS, SERVICE_NAME, STOP_SECONDS  # the name is the account's, too

UNIT = f"{SERVICE_NAME}.service"
UNIT_MARK = "# Written by `rag-assets service install`, which replaces it."
SYSTEMD_FOLDER = Path("/run/systemd/system")  # is there where systemd started the system, see sd_booted(3)
PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "MainPID",
    "MemoryCurrent",
    "NRestarts",
    "Result",
)

# What seccomp can refuse, which an account may have refused to itself. The text worker needs its own sandbox: user,
# network and IPC namespaces, Landlock and a filter of its own. Not MemoryDenyWriteExecute: OpenVINO compiles for the
# processor it finds.
NARROW = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=user net ipc
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp
SystemCallErrorNumber=EPERM
"""

# What needs the system's manager. Not ProtectProc and ProcSubset: who uses a home is asked of /proc, also of others.
# Not PrivateUsers: PostgreSQL asks the kernel who connects.
NARROWER = """\
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
"""

ENVIRONMENT = """\
# Settings and secrets of the service, NAME=value; kept by `rag-assets service install`. After a change:
# rag-assets service stop, then start. For the home: rag-assets service install before that.
RAG_ASSETS_HOME={home}
#DATABASE_URL=postgresql://me:secret@db.example/app
#DOCUMENT_ROOT_PATH=/srv/documents
#RAG_ASSETS_WEB__TOKEN=
#RAG_ASSETS_NOTIFY__URL=https://hooks.example.org/...
# Options of `rag-assets up`, as in: --host 0.0.0.0 --port 3000
UP_OPTIONS=
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the files of a service are, and whose it is: the system's, or (`account` is None) the user's own."""

    unit: Path
    config: Path  # the working directory, in which settings.toml is looked for
    state: Path  # the home, unless the environment file names another
    account: str | None
    booted: Path = SYSTEMD_FOLDER

    @property
    def environment(self) -> Path:
        """The file of variables that the unit gives to the service, secrets among them."""
        return self.config / f"{SERVICE_NAME}.env"

    @property
    def home(self) -> Path:
        """The home that the environment file names."""
        named = dotenv_values(self.environment, interpolate=False).get("RAG_ASSETS_HOME")
        return Path(named) if named else self.state

    @property
    def systemctl(self) -> list[str]:
        """How a command of systemctl begins that means this place."""
        return ["systemctl", "--no-pager", *(() if self.account else ("--user",))]

    @property
    def journal(self) -> str:
        """The command that shows what the service said."""
        return f"journalctl {'-u' if self.account else '--user -u'} {SERVICE_NAME} -n 50"


def system_place() -> Place:
    """Where a service of the whole machine is, which has an account of its own."""
    return Place(
        unit=Path("/etc/systemd/system") / UNIT,
        config=Path("/etc") / SERVICE_NAME,
        state=Path("/var/lib") / SERVICE_NAME,
        account=SERVICE_NAME,
    )


def user_place() -> Place:
    """Where a service of the caller's own account is, by the XDG variables or their defaults."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return Place(
        unit=config / "systemd" / "user" / UNIT, config=config / SERVICE_NAME, state=state / SERVICE_NAME, account=None
    )


def unit_text(place: Place) -> str:
    """The unit of this Python's rag-assets at this place."""
    return "\n".join((UNIT_MARK, _unit_section(place), _service_section(place), _install_section(place)))


def _unit_section(place: Place) -> str:
    after = "After=network-online.target postgresql.service\nWants=network-online.target\n" if place.account else ""
    return (
        "[Unit]\nDescription=rag_assets, an index that follows a table of documents\n"
        f"{after}StartLimitIntervalSec=10min\nStartLimitBurst=5\n"
    )


def _service_section(place: Place) -> str:
    """SIGTERM goes to `up` alone, which stops the others in their order; what is left after it, or late, is killed.

    A process that the memory limit ends does not end the service: `up` and the runs start theirs again.
    """
    program = f"{_quoted(sys.executable)} -P -m rag_assets up $UP_OPTIONS"
    account = f"User={place.account}\n" if place.account else ""
    return (
        f"[Service]\nType=exec\n{account}"
        f"WorkingDirectory={_escaped(place.config)}\nEnvironmentFile={_escaped(place.environment)}\n"
        f"ExecStart={program}\nRestart=on-failure\nRestartSec=10\n"
        f"KillMode=mixed\nKillSignal=SIGTERM\nTimeoutStopSec={STOP_SECONDS}\n"
        "MemoryMax=75%\nOOMPolicy=continue\nLimitCORE=0\nUMask=0077\n"
        f"{NARROW}{f'{NARROWER}ReadWritePaths={_quoted(place.home)}' if place.account else ''}"
    ).rstrip("\n") + "\n"


def _install_section(place: Place) -> str:
    return f"[Install]\nWantedBy={'multi-user.target' if place.account else 'default.target'}\n"


def _escaped(path: Path | str) -> str:
    """A path as a whole line has it: % begins what systemd fills in."""
    return str(path).replace("%", "%%")


def _quoted(path: Path | str) -> str:
    """A path as a word, with all that has a meaning there taken for itself."""
    text = _escaped(path).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"' if any(sign in text for sign in " \t'\"\\;") else text


# ---- what is done


def install(place: Place, *, progress: Progress) -> bool:
    """Write the unit, and what is not there of account, folders and environment file; whether the unit is another now.

    Raises SettingsError where this is no system for it, and ServiceError with what a command of it says.
    """
    require_system(place)
    _require_ours(place.unit)
    if place.account:
        _make_account(place.account, place.state, progress=progress)
    _require_runnable(place)
    try:
        _make_files(place, progress=progress)
        is_new = _write_unit(place)
    except OSError as exc:
        raise ServiceError(f"{exc.filename or place.config} cannot be written: {exc.strerror}") from exc
    _call(place, "daemon-reload")
    _call(place, "enable", UNIT)
    return is_new


def uninstall(place: Place) -> None:
    """Stop the service and take its unit away; settings, home and account stay."""
    require_installed(place)
    _require_ours(place.unit)
    _call(place, "disable", "--now", UNIT)
    place.unit.unlink()
    _call(place, "daemon-reload")


def start(place: Place) -> None:
    """Start the installed service; SettingsError where none is, ServiceError where it does not start."""
    require_installed(place)
    _call(place, "start", UNIT)


def stop(place: Place) -> None:
    """Stop it and wait until everything of it has ended."""
    require_installed(place)
    _call(place, "stop", UNIT)


def status(place: Place) -> dict[str, str]:
    """What the manager knows of the unit, by the names of `systemctl show`."""
    require_installed(place)
    said = _call(place, "show", UNIT, f"--property={','.join(PROPERTIES)}")
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


# ---- what has to hold


def require_linux() -> None:
    """SettingsError, with what to do meanwhile, where services are made in another way."""
    if sys.platform != "linux":
        raise SettingsError("Services are made on Linux with systemd. Here, have `rag-assets up` run in your own way.")


def require_system(place: Place) -> None:
    """SettingsError where systemd does not run the system, or the account may not tell it what to do."""
    require_linux()
    if not place.booted.is_dir():
        raise SettingsError(
            "systemd did not start this system (a container, or another init): nobody would start the service. "
            "In a container, have `rag-assets up` as its main process; `rag-assets service install --print` shows "
            "the unit for another machine."
        )
    if place.account and not is_root():
        raise SettingsError(
            "A service of the system needs root: sudo "
            f"{sys.executable} -m rag_assets service ... ; one of your own account does not: "
            "rag-assets service install --user"
        )


def require_installed(place: Place) -> None:
    """SettingsError, with the command that installs it, where there is no unit."""
    require_system(place)
    if not place.unit.exists():
        option = "" if place.account else " --user"
        raise SettingsError(f"There is no {place.unit}: rag-assets service install{option}")


def is_root() -> bool:
    """Whether this process may do everything; never on Windows, where there is no such account."""
    return sys.platform != "win32" and os.geteuid() == 0


def _require_ours(unit: Path) -> None:
    if unit.exists() and UNIT_MARK not in unit.read_text(encoding="utf-8", errors="replace"):
        raise SettingsError(
            f"{unit} was not written by `rag-assets service install`, and is left as it is: move it away first."
        )


def _require_runnable(place: Place) -> None:
    """Start this Python as the account: what lies below /root or in a private home it does not reach."""
    if place.account is None or sys.platform == "win32":
        return
    import pwd

    entry = pwd.getpwnam(place.account)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", "import rag_assets"],
            cwd="/",
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            user=entry.pw_uid,
            group=entry.pw_gid,
            extra_groups=[],
            timeout=CALL_SECONDS,
            check=False,
        )
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] if done.returncode else None
    except PermissionError as exc:
        said = [str(exc)]
    if said is not None:
        raise SettingsError(
            f"The account {place.account} cannot run {sys.executable} with rag_assets ({''.join(said)}): install it "
            f"where everybody may read, as in python3 -m venv /opt/{SERVICE_NAME}, and run that one's rag-assets."
        )


# ---- account and files


def _make_account(name: str, home: Path, *, progress: Progress) -> None:
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        progress(f"Making the account {name}")
        options = ["--system", "--user-group", "--no-create-home", "--home-dir", str(home), "--shell", _no_shell()]
        unattended.run(["useradd", *options, name])


def _no_shell() -> str:
    return next((path for path in ("/usr/sbin/nologin", "/sbin/nologin") if Path(path).exists()), "/bin/false")


def _make_files(place: Place, *, progress: Progress) -> None:
    """The folders and the environment file, where they are not there; the latter is its owner's alone in any case."""
    place.config.mkdir(mode=0o755 if place.account else 0o700, parents=True, exist_ok=True)
    if not place.environment.exists():
        progress(f"Writing {place.environment}")
        handle = os.open(place.environment, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="utf-8") as file:
            file.write(ENVIRONMENT.format(home=place.state))
    if place.environment.stat().st_mode & 0o077:
        progress(f"Others may not read {place.environment} any more")
        place.environment.chmod(0o600)
    _make_home(place)


def _make_home(place: Place) -> None:
    if not place.home.exists():
        place.home.mkdir(mode=0o700, parents=True)
        if place.account and sys.platform != "win32":
            import pwd

            entry = pwd.getpwnam(place.account)
            os.chown(place.home, entry.pw_uid, entry.pw_gid)


def _write_unit(place: Place) -> bool:
    text = unit_text(place)
    if place.unit.exists() and place.unit.read_text(encoding="utf-8") == text:
        return False
    place.unit.parent.mkdir(parents=True, exist_ok=True)
    with whole_file.replacing(place.unit) as draft:
        draft.write_text(text, encoding="utf-8")
        draft.chmod(0o644)
    return True


# ---- commands


def _call(place: Place, *arguments: str) -> str:
    return unattended.run([*place.systemctl, *arguments], hint=_hint(place))


def _hint(place: Place) -> str:
    if place.account:
        return f"See: {place.journal}"
    return (
        f"See: {place.journal}; where there is no bus, log in as this user (not by su or sudo), and have its manager "
        "stay: sudo loginctl enable-linger"
    )
