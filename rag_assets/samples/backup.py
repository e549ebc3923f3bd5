"""Nightly backup of the order database to the second disk."""

import datetime
import pathlib
import subprocess

KEEP_DAYS = 14


def dump(database: str, folder: pathlib.Path) -> pathlib.Path:
    """Write one compressed dump; pg_dump's custom format can be restored table by table."""
    target = folder / f"{database}-{datetime.date.today():%Y%m%d}.dump"
    subprocess.run(["pg_dump", "--format=custom", "--file", str(target), database], check=True)
    return target


def prune(folder: pathlib.Path) -> None:
    """Delete dumps that are older than KEEP_DAYS."""
    oldest = datetime.datetime.now() - datetime.timedelta(days=KEEP_DAYS)
    for file in folder.glob("*.dump"):
        if datetime.datetime.fromtimestamp(file.stat().st_mtime) < oldest:
            file.unlink()
