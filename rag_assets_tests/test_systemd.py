"""The service of systemd: a unit that systemd understands, settings that stay, and refusals that say what to do."""

import ast
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from rag_assets import supervisor, systemd, unattended
from rag_assets.bundled import postgres
from rag_assets.cli import main
from rag_assets.errors import ServiceError, SettingsError
from rag_assets.systemd import Place

PACKAGE = Path(systemd.__file__).parent
PAGE = PACKAGE.parent / "docs" / "linux.md"
EXPOSURE = 30  # tenths, of `systemd-analyze security`: below it is what systemd calls OK

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
as_root = pytest.mark.skipif(not systemd.is_root(), reason="becomes another account")

# It notes how it was called, and answers `show`; what it would start is not there.
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$0.calls"
case "$*" in *show*) printf 'ActiveState=%s\\nSubState=dead\\nMainPID=0\\n' "$(cat "$0.state")";; esac
"""


class Manager:
    """A systemctl on the PATH, without a manager behind it."""

    def __init__(self, folder: Path) -> None:
        self._program = folder / "systemctl"
        self._program.write_text(SYSTEMCTL)
        self._program.chmod(0o755)
        self.state = "inactive"

    @property
    def state(self) -> str:
        return (self._program.with_name("systemctl.state")).read_text()

    @state.setter
    def state(self, value: str) -> None:
        self._program.with_name("systemctl.state").write_text(value)

    def calls(self) -> list[str]:
        """What was asked since the last look."""
        file = self._program.with_name("systemctl.calls")
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [" ".join(word for word in line.split() if word not in ("--no-pager", "--user")) for line in lines]


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manager:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return Manager(folder)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Of a user, in a system that systemd seems to have started; the commands find it too."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    found = replace(systemd.user_place(), booted=tmp_path)
    monkeypatch.setattr(systemd, "user_place", lambda: found)
    return found


def _silent(_message: str) -> None:
    """Progress that nobody reads."""


def _values(unit: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)


def _written(place: Place, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / systemd.UNIT
    file.write_text(systemd.unit_text(place))
    return file


# ---- the unit


@analyze
@pytest.mark.parametrize("is_users", [True, False])
def test_unit_is_understood_by_systemd(is_users: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where paths have spaces, percent signs and quotes; what it does not understand would only be logged."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    odd = tmp_path / 'my 50% "state"'
    made = systemd.user_place() if is_users else systemd.system_place()
    config = tmp_path / "my 50% config"
    config.mkdir()
    (config / f"{unattended.SERVICE_NAME}.env").write_text(f"RAG_ASSETS_HOME='{odd}'\n")
    file = _written(replace(made, config=config), tmp_path / "units")
    command = ["systemd-analyze", "verify", *(["--user"] if is_users else []), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Failed to initialize manager" in done.stderr:
        pytest.skip(f"systemd-analyze cannot work here: {done.stderr}")
    about_it = [line for line in done.stderr.splitlines() if str(file) in line or systemd.UNIT in line]
    assert (done.returncode, about_it) == (0, [])


@analyze
def test_unit_leaves_little_open(tmp_path: Path) -> None:
    """As systemd itself counts it."""
    file = _written(systemd.system_place(), tmp_path)
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot look at files")
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


@analyze
@pytest.mark.parametrize("make", [systemd.system_place, systemd.user_place])
def test_unit_allows_what_the_sandbox_of_the_text_worker_needs(make: Callable[[], Place]) -> None:
    """A service with fewer rights must not lose the ones by which documents are kept from others."""
    unit = systemd.unit_text(make())
    assert set(_values(unit, "RestrictNamespaces")[0].split()) >= {"user", "net", "ipc"}
    allowed = _system_calls(" ".join(_values(unit, "SystemCallFilter")).split())
    landlock = {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}
    assert allowed >= landlock | {"unshare", "prctl", "seccomp", "capset", "prlimit64", "clone", "recvmsg", "kill"}


def _system_calls(names: list[str]) -> set[str]:
    """The system calls of groups and single names."""
    found = {name for name in names if not name.startswith("@")}
    for group in set(names) - found:
        said = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
        lines = [line.strip() for line in said.stdout.splitlines()[1:]]
        found |= _system_calls([line for line in lines if line and not line.startswith("#")])
    return found


def test_unit_leaves_time_for_an_ordered_stop() -> None:
    """`up` alone is told to end, and ends the others; it has longer than they have together."""
    unit = systemd.unit_text(systemd.system_place())
    assert _values(unit, "KillMode") == ["mixed"]
    assert int(_values(unit, "TimeoutStopSec")[0]) > postgres.RELEASE_SECONDS + 3 * supervisor.STOP_SECONDS


def test_print_writes_nothing(place: Place, tmp_path: Path) -> None:
    """The unit is shown without systemd and without root."""
    result = CliRunner().invoke(main, ["service", "install", "--user", "--print"])
    assert (result.exit_code, result.stdout) == (0, systemd.unit_text(place))
    assert list(tmp_path.iterdir()) == []


# ---- install and the others


def test_install_again_keeps_settings(place: Place, manager: Manager) -> None:
    """An upgrade replaces the unit alone; what is in the environment file stays, and becomes its owner's alone."""
    assert systemd.install(place, progress=_silent)
    assert manager.calls() == ["daemon-reload", f"enable {systemd.UNIT}"]
    assert stat.S_IMODE(place.environment.stat().st_mode) == 0o600
    settings = f"RAG_ASSETS_HOME={place.state}-elsewhere\nDATABASE_URL=postgresql://me:secret@db.example/app\n"
    place.environment.write_text(settings)
    place.environment.chmod(0o644)
    assert not systemd.install(place, progress=_silent)
    assert place.environment.read_text() == settings
    assert stat.S_IMODE(place.environment.stat().st_mode) == 0o600
    assert place.home.is_dir()
    assert "secret" not in place.unit.read_text()

    place.unit.write_text(systemd.UNIT_MARK + "\n# of an earlier release\n")
    assert systemd.install(place, progress=_silent)
    assert place.unit.read_text() == systemd.unit_text(place)


def test_commands_from_install_to_uninstall(place: Place, manager: Manager) -> None:
    """Each says what comes next; `status` tells by its exit code; at the end the unit is gone and the rest is not."""

    def run(*words: str) -> tuple[int, str]:
        manager.calls()
        result = CliRunner().invoke(main, ["service", *words, "--user"])
        return result.exit_code, result.output

    assert run("start")[1].endswith("rag-assets service install --user\n")
    assert "Next: rag-assets service start --user" in run("install")[1]
    assert run("status")[0] == unattended.INACTIVE_EXIT_CODE
    assert run("start")[0] == 0
    assert manager.calls() == [f"start {systemd.UNIT}"]
    manager.state = "active"
    code, said = run("status", "--json")
    assert (code, json.loads(said)["ActiveState"]) == (0, "active")
    assert "still runs what it was started with" in run("install")[1]
    assert run("stop") == (0, "Stopped: what is stored stays, all else is pending.\n")
    assert str(place.environment.parent) in run("uninstall")[1]
    assert manager.calls() == [f"disable --now {systemd.UNIT}", "daemon-reload"]
    assert not place.unit.exists()
    assert place.environment.exists()


# ---- refusals


def test_install_without_systemd(place: Place, tmp_path: Path) -> None:
    """In a container nobody would start it; nothing is written."""
    with pytest.raises(SettingsError, match="have `rag-assets up` as its main process"):
        systemd.install(replace(place, booted=tmp_path / "none"), progress=_silent)
    assert not place.config.exists()


def test_install_without_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to be root, and that an own service needs none."""
    monkeypatch.setattr(systemd, "is_root", lambda: False)
    with pytest.raises(SettingsError, match=r"sudo .*python\S* -m rag_assets service .* --user"):
        systemd.install(replace(systemd.system_place(), booted=tmp_path), progress=_silent)


def test_install_on_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to do meanwhile."""
    with monkeypatch.context() as other:
        other.setattr(sys, "platform", "darwin")
        with pytest.raises(SettingsError, match="in your own way"):
            systemd.require_linux()


def test_install_over_the_unit_of_somebody_else(place: Place, manager: Manager) -> None:
    """A unit that was written by hand is left as it is, by uninstall too."""
    place.unit.parent.mkdir(parents=True)
    place.unit.write_text("[Service]\nExecStart=/usr/bin/true\n")
    for command in (lambda: systemd.install(place, progress=_silent), lambda: systemd.uninstall(place)):
        with pytest.raises(SettingsError, match="is left as it is: move it away first"):
            command()
    assert "usr/bin/true" in place.unit.read_text()
    assert manager.calls() == []


@as_root
def test_install_when_the_account_cannot_run_the_program(
    place: Place, tmp_path: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment of root's own is found before a service fails in it."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(private / "python"))
    with pytest.raises(SettingsError, match=r"account nobody cannot run .*/opt/rag-assets"):
        systemd.install(replace(place, account="nobody"), progress=_silent)
    assert not place.unit.exists()
    assert not place.environment.exists()
    assert manager.calls() == []


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemctl is not installed")
def test_install_when_the_user_has_no_bus(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after su: what systemctl says, and how to come to a manager of one's own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    with pytest.raises(ServiceError, match=r"`systemctl daemon-reload` failed: .*enable-linger"):
        systemd.install(place, progress=_silent)


# ---- the page


def test_messages_of_the_page_are_those_of_the_program() -> None:
    """What people look for in its table is what the program says; ... stands for what differs."""
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \|", page.split("## Troubleshooting")[1], re.MULTILINE)
    assert len(rows) > 5
    said = said_by_the_program()
    for row in rows:
        for part in row.split("..."):
            assert part.strip() in said, row


@pytest.mark.parametrize("page", ["linux.md", "windows.md"])
def test_pages_say_how_long_a_stop_may_take(page: str) -> None:
    """The same as the service's manager is told."""
    assert f"after {unattended.STOP_SECONDS} s is killed" in " ".join((PAGE.parent / page).read_text("utf-8").split())


def said_by_the_program() -> str:
    """All that any of its messages may say, for the tables of what they mean."""
    return "\n".join(_texts())


def _texts() -> Iterator[str]:
    """All texts of the package's code, each without what is filled in."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "\n" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
