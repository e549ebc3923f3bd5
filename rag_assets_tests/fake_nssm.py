"""A Windows with nssm.exe, sc.exe and icacls, as far as services go: `python fake_nssm.py STATE.json PROGRAM WORD...`.

It answers as NSSM 2.24's source does: exit statuses, messages in UTF-16, refusals. What it knows stays in STATE.json:
whether an administrator asks, whether programs end at once, after how many looks a service has started or stopped, and
of each service its settings, its account and its state.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PARAMETERS = {
    "Application",
    "AppParameters",
    "AppDirectory",
    "AppExit",
    "AppRestartDelay",
    "AppThrottle",
    "AppStopMethodConsole",
    "AppStdout",
    "AppStderr",
    "AppRotateFiles",
    "AppRotateOnline",
    "AppRotateBytes",
    "DisplayName",
    "Description",
    "Start",
}
STARTS = {"SERVICE_AUTO_START", "SERVICE_DELAYED_AUTO_START", "SERVICE_DEMAND_START", "SERVICE_DISABLED"}
DONE = "The operation completed successfully."
ADMINISTRATORS_ALONE = {"install", "set", "get", "remove"}


class Refused(Exception):
    """An exit status, and what is said to standard error."""


class Windows:
    """What is known of services and of the rights of folders."""

    def __init__(self, file: Path) -> None:
        self._file = file
        known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        self.is_administrator: bool = known.get("is_administrator", True)
        self.ends_at_once: bool = known.get("ends_at_once", False)
        self.looks: int = known.get("looks", 0)
        self.services: dict[str, dict[str, Any]] = known.get("services", {})
        self.rights: dict[str, list[str]] = known.get("rights", {})
        self.calls: list[list[str]] = known.get("calls", [])

    def save(self) -> None:
        known = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        self._file.write_text(json.dumps(known))

    def called(self, program: str, words: Sequence[str]) -> str:
        """What a program says; Refused where it fails."""
        self.calls.append([program, *words])
        if program == "nssm":
            return self._nssm(*words)
        return self._sc(*words) if program == "sc.exe" else self._icacls(*words)

    def _nssm(self, verb: str, name: str, *words: str) -> str:
        if verb in ADMINISTRATORS_ALONE and not self.is_administrator:
            raise Refused(100, f"Administrator access is needed to {verb} a service.\r\n")
        if verb == "install":
            return self._install(name, *words)
        service = self._opened(name)
        return str(getattr(self, f"_{verb}")(name, service, *words))

    def _opened(self, name: str) -> dict[str, Any]:
        if name not in self.services:
            said = "OpenService(): The specified service does not exist as an installed service.\r\n"
            raise Refused(3, f"Can't open service!\r\n{said}")
        return self.services[name]

    def _install(self, name: str, application: str, *words: str) -> str:
        if name in self.services:
            raise Refused(5, "Error creating service!\r\nCreateService(): The specified service already exists.\r\n")
        settings = {"Application": application, "AppParameters": " ".join(words)}
        self.services[name] = {"state": "SERVICE_STOPPED", "account": "LocalSystem", "settings": settings}
        return f'Service "{name}" installed successfully!\r\n'

    def _set(self, name: str, service: dict[str, Any], parameter: str, *words: str) -> str:
        if parameter not in PARAMETERS:
            raise Refused(1, f'Invalid parameter "{parameter}".  Valid parameters are:\r\n')
        if parameter == "AppExit":
            if len(words) < 2:
                raise Refused(1, f'Parameter "{parameter}" requires a subparameter!\r\n')
            parameter, words = f"AppExit {words[0]}", words[1:]
        if parameter == "Start" and words[0] not in STARTS:
            raise Refused(1, "Invalid startup type.\r\n")
        service["settings"][parameter] = " ".join(words)
        return f'Set parameter "{parameter}" for service "{name}".\r\n'

    def _get(self, _name: str, service: dict[str, Any], parameter: str) -> str:
        return f"{service['settings'].get(parameter, '')}\r\n"

    def _status(self, _name: str, service: dict[str, Any]) -> str:
        state = service["state"]
        if service.get("looks", 0):
            service["looks"] -= 1
        elif "then" in service:
            service["state"] = service.pop("then")
        return f"{state}\r\n"

    def _start(self, name: str, service: dict[str, Any]) -> str:
        if service["state"] != "SERVICE_STOPPED":
            raise Refused(1, f"{name}: START: An instance of the service is already running.\r\n")
        return self._goes_on(name, service, "START", "SERVICE_PAUSED" if self.ends_at_once else "SERVICE_RUNNING")

    def _stop(self, name: str, service: dict[str, Any]) -> str:
        return self._goes_on(name, service, "STOP", "SERVICE_STOPPED")

    def _goes_on(self, name: str, service: dict[str, Any], control: str, state: str) -> str:
        """It is in this state at once, or after some looks at it, for which NSSM does not wait."""
        service["state"] = state
        if self.looks:
            service |= {"state": f"SERVICE_{control}_PENDING", "then": state, "looks": self.looks - 1}
        if self.looks or state == "SERVICE_PAUSED":
            said = f"{name}: Unexpected status {service['state']} in response to {control} control.\r\n"
            raise Refused(1, said)
        return f"{name}: {control}: {DONE}\r\n"

    def _remove(self, name: str, service: dict[str, Any], *words: str) -> str:
        if words != ("confirm",):
            raise Refused(100, "To remove a service without confirmation: nssm remove <servicename> confirm\r\n")
        if service["state"] != "SERVICE_STOPPED":
            raise Refused(4, "DeleteService(): The service is running.\r\n")  # Windows deletes it once it is stopped
        del self.services[name]
        return f'Service "{name}" removed successfully!\r\n'

    def _sc(self, verb: str, name: str, key: str, value: str) -> str:
        if name not in self.services:
            raise Refused(1060, "[SC] OpenService FAILED 1060:\r\n")
        if (verb, key) != ("config", "obj="):
            raise Refused(1639, "[SC] ...\r\n")
        self.services[name]["account"] = value
        return "[SC] ChangeServiceConfig SUCCESS\r\n"

    def _icacls(self, folder: str, *words: str) -> str:
        if not Path(folder).is_dir():
            raise Refused(2, f"{folder}: The system cannot find the file specified.\r\n")
        grants = list(words[words.index("/grant:r") + 1 :])
        for who in (grant.partition(":")[0] for grant in grants):
            if not who.startswith("*S-1-") and who.removeprefix("NT SERVICE\\") not in self.services:
                raise Refused(1332, f"{who}: No mapping between account names and security IDs was done.\r\n")
        self.rights[folder] = grants
        return f"processed file: {folder}\r\n"


def main(file: str, program: str, *words: str) -> int:
    """The exit status of a call, of which a system keeps a byte on Linux and four on Windows."""
    windows, encoding = Windows(Path(file)), "utf-16-le" if program == "nssm" else "ascii"
    try:
        sys.stdout.buffer.write(windows.called(program, words).encode(encoding))
        return 0
    except Refused as exc:
        status, said = exc.args
        sys.stderr.buffer.write(said.encode(encoding))
        return min(int(status), 255)
    finally:
        windows.save()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
