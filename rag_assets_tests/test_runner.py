"""The process that waits for a run."""

import os
import subprocess
import sys
from pathlib import Path


def test_prewarmed_process_ends_at_once_when_its_launcher_is_gone(tmp_path: Path) -> None:
    """Also while it imports, which takes long on a busy machine: it asks for no database, and leaves nothing."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER_", "RAG_ASSETS_"))
    }
    nowhere = {"DAGSTER_HOME": str(tmp_path / "none"), "DATABASE_URL": "postgresql://nowhere.invalid/none"}
    done = subprocess.run(
        [sys.executable, "-m", "rag_assets.runner"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment | nowhere,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
