"""What the fixture `spawn` gives: a Python program in a process of its own, whose output goes to a log."""

import subprocess
from collections.abc import Callable
from pathlib import Path

SLEEP = "import time; time.sleep(600)"
Spawn = Callable[..., "subprocess.Popen[bytes]"]


def log(tmp_path: Path) -> str:
    return (tmp_path / "a" / "log").read_text()
