"""Log files keep their newest part."""

import os
from pathlib import Path

import pytest

from rag_assets.processes import bounded_log

posix = pytest.mark.skipif(os.name == "nt", reason="signals, sockets and accounts of POSIX")


@posix
def test_log_when_long(home: Path) -> None:
    """The log keeps its newest part and never grows without end."""
    (home / "logs").mkdir()
    log = home / "logs" / "postgres.log"
    log.write_bytes(b"x" * 2_000)
    bounded_log.bound(log, most_bytes=1_000)
    assert (log.stat().st_size, (home / "logs" / "postgres.log.1").stat().st_size) == (0, 2_000)
