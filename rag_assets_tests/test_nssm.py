"""The service of Windows: what NSSM is told, settings that stay, and refusals that say what to do; with a fake NSSM."""

import json
import os
import re
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rag_assets import cli_nssm, cli_systemd, nssm, unattended
from rag_assets.cli import main
from rag_assets.errors import ServiceError, SettingsError
from rag_assets.nssm import Place
from rag_assets_tests import fake_nssm
from rag_assets_tests.fake_nssm import Windows
from rag_assets_tests.test_systemd import PACKAGE, said_by_the_program

PAGE = PACKAGE.parent / "docs" / "windows.md"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="its programs are shell scripts, and NSSM may be there")


class Machine:
    """Programs of Windows on the PATH, with what they know."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state.json"
        (folder / "System32").mkdir()
        for name in ("nssm", "System32/sc.exe", "System32/icacls.exe"):
            command = shlex.join([sys.executable, fake_nssm.__file__, str(self._state), Path(name).name])
            (folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (folder / name).chmod(0o755)

    @property
    def known(self) -> Windows:
        return Windows(self._state)

    @property
    def service(self) -> dict[str, object]:
        return self.known.services[unattended.SERVICE_NAME]

    def becomes(self, **facts: int) -> None:
        """Facts of it change."""
        known = self.known
        vars(known).update(facts)
        known.save()

    def calls(self) -> list[str]:
        """What was asked since the last look, without questions."""
        known = self.known
        found = [" ".join(call) for call in known.calls if call[1] not in ("status", "get")]
        known.calls = []
        known.save()
        return found


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("SYSTEMROOT", str(folder))
    monkeypatch.setenv("PROGRAMDATA", str(tmp_path / "data"))
    monkeypatch.delenv("USERPROFILE", raising=False)
    monkeypatch.delenv("NSSM", raising=False)
    found = Machine(folder)
    real = nssm.place
    asked = lambda named: replace(real(named), is_administrator=lambda: found.known.is_administrator)  # noqa: E731
    monkeypatch.setattr(nssm, "place", asked)
    return found


@pytest.fixture
def place(machine: Machine) -> Place:
    return nssm.place(None)


def _silent(_message: str) -> None:
    """Progress that nobody reads."""


def run(*words: str) -> tuple[int, str]:
    """A command of the service: its exit code, and all that it says."""
    result = CliRunner().invoke(cli_nssm.service, list(words), prog_name="rag-assets service")
    if isinstance(result.exception, SettingsError | ServiceError):
        return 1, str(result.exception)
    return result.exit_code, result.output


# ---- what NSSM is told


def test_the_service_is_restarted_after_failures_and_has_time_to_stop(place: Place, machine: Machine) -> None:
    """An end in order is none; the working directory and the log are its own, and the log is rotated."""
    assert nssm.install(place, progress=_silent)
    settings = machine.service["settings"]
    assert settings == {
        "Application": sys.executable,
        "AppParameters": "-P -m rag_assets up",
        "AppDirectory": str(place.config),
        "DisplayName": "rag_assets",
        "Description": "An index that follows a table of documents",
        "Start": "SERVICE_AUTO_START",
        "AppExit Default": "Restart",
        "AppExit 0": "Exit",
        "AppRestartDelay": "10000",
        "AppThrottle": "15000",
        "AppStopMethodConsole": str(unattended.STOP_SECONDS * 1000),
        "AppStdout": str(place.log),
        "AppStderr": str(place.log),
        "AppRotateFiles": "1",
        "AppRotateOnline": "1",
        "AppRotateBytes": "10485760",
    }
    assert place.log.parent.is_dir()


def test_the_service_has_an_account_of_its_own_and_closed_folders(place: Place, machine: Machine) -> None:
    """It may not change its settings, and nobody but administrators may read them; the registry has no secret."""
    nssm.install(place, progress=_silent)
    assert machine.service["account"] == r"NT SERVICE\rag-assets"
    rights = machine.known.rights
    assert list(rights) == [str(place.config), str(place.log.parent), str(place.home)]
    assert rights[str(place.config)][-1] == r"NT SERVICE\rag-assets:(OI)(CI)RX"
    assert all("AppEnvironment" not in call for call in machine.calls())


def test_print_runs_nothing(place: Place, machine: Machine, tmp_path: Path) -> None:
    """What is shown is what install runs."""
    code, said = run("install", "--print")
    assert (code, machine.calls(), (tmp_path / "data").exists()) == (0, [], False)
    nssm.install(place, progress=_silent)
    ran = [call.split()[:4] for call in machine.calls()]
    assert ran[0][0] == "icacls.exe"
    named = said.replace(str(place.nssm), "nssm").replace(f"{place.nssm.parent}/System32/", "")
    assert [line.split()[:4] for line in named.splitlines()] == ran


# ---- install and the others


def test_install_again_keeps_what_is_the_users(place: Place, machine: Machine) -> None:
    """His settings, account and options of `up`; this program's Python is set anew."""
    nssm.install(place, progress=_silent)
    written = f"RAG_ASSETS_HOME={place.config / 'elsewhere'}\nDATABASE_URL=postgresql://me:secret@db.example/app\n"
    place.environment.write_text(written)
    known = machine.known
    service = known.services[unattended.SERVICE_NAME]
    service["account"] = r".\documents"
    service["settings"] |= {"AppParameters": f"{nssm.PARAMETERS} --port 3001", "Application": "old.exe"}
    known.save()
    assert not nssm.install(place, progress=_silent)
    assert place.environment.read_text() == written
    assert place.home.is_dir()
    assert str(place.home) in machine.known.rights
    assert machine.service["account"] == r".\documents"
    assert machine.service["settings"]["AppParameters"].endswith("--port 3001")  # type: ignore[index]
    assert machine.service["settings"]["Application"] == sys.executable  # type: ignore[index]


def test_commands_from_install_to_uninstall(place: Place, machine: Machine) -> None:
    """Each says what comes next; `status` tells by its exit code; at the end the service is gone, the rest is not."""
    assert run("start")[1].endswith("rag-assets service install")
    assert "Next: rag-assets service start" in run("install")[1]
    assert run("status")[0] == unattended.INACTIVE_EXIT_CODE
    machine.calls()
    assert run("start")[0] == 0
    assert run("start")[0] == 0
    assert machine.calls() == ["nssm start rag-assets"]
    code, said = run("status", "--json")
    assert (code, json.loads(said)["state"]) == (0, "SERVICE_RUNNING")
    assert "still runs what it was started with" in run("install")[1]
    assert run("stop") == (0, "Stopped: what is stored stays, all else is pending.\n")
    run("start")
    machine.calls()
    assert str(place.config) in run("uninstall")[1]
    assert machine.calls() == ["nssm stop rag-assets", "nssm remove rag-assets confirm"]
    assert machine.known.services == {}
    assert place.environment.exists()


def test_start_of_a_service_that_ends_at_once(place: Place, machine: Machine) -> None:
    """What NSSM says, and where the reason is; once it is mended, start works though NSSM waits to start it again."""
    nssm.install(place, progress=_silent)
    machine.becomes(ends_at_once=True)
    with pytest.raises(ServiceError, match=r"failed, it is SERVICE_PAUSED: .*See: .*service\.log"):
        nssm.start(place)
    code, said = run("status")
    assert code == unattended.INACTIVE_EXIT_CODE
    assert "It failed, and is started again" in said
    machine.becomes(ends_at_once=False)
    nssm.start(place)
    assert run("status")[0] == 0


def test_commands_wait_where_nssm_does_not(place: Place, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordered stop takes longer than NSSM waits, and is no failure; nor is a start."""
    monkeypatch.setattr(nssm, "LOOK_SECONDS", 0.0)
    nssm.install(place, progress=_silent)
    machine.becomes(looks=3)
    assert run("start")[0] == 0
    assert machine.service.get("state") == "SERVICE_RUNNING"
    assert run("stop")[0] == 0
    assert machine.service.get("state") == "SERVICE_STOPPED"
    run("start")
    assert run("uninstall")[0] == 0
    assert machine.known.services == {}


def test_commands_do_not_wait_for_ever(place: Place, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """They say how it is, and where the reason is."""
    monkeypatch.setattr(nssm, "LOOK_SECONDS", 0.0)
    nssm.install(place, progress=_silent)
    machine.becomes(looks=1_000_000)
    monkeypatch.setattr(nssm, "SETTLE_SECONDS", 0)
    with pytest.raises(ServiceError, match=r"is still SERVICE_START_PENDING after 0 s\. See: .*service\.log"):
        nssm.start(place)


def test_a_new_service_that_cannot_be_set_up_is_removed(
    place: Place, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a service would be started at boot."""
    monkeypatch.setattr(nssm, "_settings", lambda _place: [("AppNonsense", "1")])
    with pytest.raises(ServiceError, match='`nssm set rag-assets AppNonsense` failed: Invalid parameter "AppNonsense"'):
        nssm.install(place, progress=_silent)
    assert machine.known.services == {}


# ---- refusals


@pytest.mark.parametrize("command", ["install", "start", "stop", "uninstall"])
def test_commands_without_administrators_rights(command: str, place: Place, machine: Machine) -> None:
    """They say what to do before anything is changed; looking needs no rights."""
    nssm.install(place, progress=_silent)
    machine.calls()
    machine.becomes(is_administrator=False)
    code, said = run(command)
    assert code == 1
    assert "Run as administrator" in said
    assert machine.calls() == []
    assert run("status")[0] == unattended.INACTIVE_EXIT_CODE


def test_install_over_the_service_of_somebody_else(place: Place, machine: Machine) -> None:
    """It is left as it is, by uninstall too."""
    known = machine.known
    known.called("nssm", ["install", "rag-assets", "other.exe", "--serve"])
    known.save()
    machine.calls()
    for command in ("install", "uninstall"):
        code, said = run(command)
        assert code == 1
        assert "is left as it is" in said
    assert machine.calls() == []


@pytest.mark.parametrize("named", ["", ".env", "home"])
def test_install_into_a_folder_of_another_account(named: str, place: Place, machine: Machine) -> None:
    """Its settings would be the service's: nothing is made, and nothing is written."""
    planted = place.config / named
    (place.config / "home").mkdir(parents=True)
    place.environment.write_text("LLAMA_SERVER_BINARY=C:\\evil.exe\n")
    theirs = replace(place, owner=lambda path: "S-1-5-21-1-2-3-1001" if path == planted else "S-1-5-18")
    with pytest.raises(SettingsError, match=re.escape(f"{planted} was not made by an administrator")):
        nssm.install(theirs, progress=_silent)
    assert machine.known.services == {}
    assert place.environment.read_text() == "LLAMA_SERVER_BINARY=C:\\evil.exe\n"
    assert nssm.install(replace(place, owner=lambda _path: "S-1-5-32-544"), progress=_silent)


@pytest.mark.parametrize("named", ["", ".env"])
def test_install_into_a_folder_that_leads_elsewhere(named: str, place: Place, machine: Machine, tmp_path: Path) -> None:
    """Rights of another folder would be changed, and a file elsewhere written."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = place.config / named
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    with pytest.raises(SettingsError, match="was not made by an administrator"):
        nssm.install(place, progress=_silent)
    assert str(elsewhere) not in machine.known.rights
    assert machine.known.services == {}
    assert list(elsewhere.iterdir()) == []


def test_commands_without_nssm(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They say where to get it, and how it goes without; a name that is none is told."""
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert re.search(r"no nssm on the PATH: get NSSM from https://nssm\.cc.*schtasks /create", run("status")[1])
    assert "nowhere.exe is no program" in run("status", "--nssm", "nowhere.exe")[1]
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda program: f"./{program}")  # as Windows finds it in the current folder
        assert "no nssm on the PATH" in run("status")[1]
    monkeypatch.setenv("NSSM", str(tmp_path / "bin" / "nssm"))
    assert run("status")[1].endswith("rag-assets service install")


def test_install_from_a_python_that_no_service_can_read(
    place: Place, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was installed for one account is found before a service fails in it."""
    monkeypatch.setenv("USERPROFILE", str(Path(sys.executable).parent.parent))
    with pytest.raises(SettingsError, match="install Python for all users"):
        nssm.install(place, progress=_silent)
    assert machine.calls() == []
    assert not place.config.exists()


def test_commands_are_those_of_linux() -> None:
    """Under the same names, whichever system it is."""
    assert isinstance(main.commands["service"], click.Group)
    assert set(cli_nssm.service.commands) == set(cli_systemd.service.commands)


# ---- the page


def test_messages_of_the_page_are_those_of_the_program() -> None:
    """What people look for in its table is what the program says; ... stands for what differs."""
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \|", page.split("## Troubleshooting")[1].split("\n## ")[0], re.MULTILINE)
    assert len(rows) > 5
    said = said_by_the_program()
    for row in rows:
        for part in row.split("..."):
            assert part.strip() in said, row
