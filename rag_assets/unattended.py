"""What `rag-assets up` as a service of any system needs: its name, time for an ordered stop, programs of the system."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rag_assets import supervisor
from rag_assets.bundled import postgres as bundled_postgres
from rag_assets.errors import ServiceError

SERVICE_NAME = "rag-assets"  # for the system's manager of services
# Services and runs are asked one group after the other, and then PostgreSQL: see supervisor and bundled.postgres.
STOP_SECONDS = int(bundled_postgres.RELEASE_SECONDS + 4 * supervisor.STOP_SECONDS)
INACTIVE_EXIT_CODE = 3  # exit code of `status`, as systemctl has it
CALL_SECONDS = STOP_SECONDS + 60  # until a call of a program of the system is given up


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a program of the system ended, and what it said, to standard output and to standard error."""

    status: int
    output: str
    error: str


def run(command: Sequence[str], *, hint: str = "") -> str:
    """What a program of the system says; ServiceError where it is missing, late, or says no."""
    answer = ask(command, hint=hint)
    if answer.status:
        said = answer.error.strip() or answer.output.strip() or f"status {answer.status}"
        raise ServiceError(f"`{_name(command)}` failed: {said}. {hint}".strip())
    return answer.output


def ask(command: Sequence[str], *, hint: str = "") -> Answer:
    """How a program of the system answers, whatever it says; ServiceError where it is missing or late."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CALL_SECONDS,
            check=False,
        )
    except FileNotFoundError as exc:
        raise ServiceError(f"There is no program {command[0]} here, which `{_name(command)}` needs.") from exc
    except OSError as exc:
        raise ServiceError(f"`{_name(command)}` cannot be run: {exc}") from exc
    except subprocess.TimeoutExpired as exc:
        raise ServiceError(f"`{_name(command)}` did not end within {CALL_SECONDS} s. {hint}") from exc
    return Answer(status=done.returncode, output=_text(done.stdout), error=_text(done.stderr))


def _name(command: Sequence[str]) -> str:
    words = [Path(command[0]).name, *command[1:4]]
    return " ".join(word for word in words if not word.startswith("-"))


def _text(said: bytes) -> str:
    """NSSM writes UTF-16, whatever the code page is."""
    return said.decode("utf-16-le" if b"\0" in said else "utf-8", errors="replace")
