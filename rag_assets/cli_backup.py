"""The commands `rag-assets backup` and `rag-assets restore`."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from rag_assets import backup as backups
from rag_assets import settings, supervisor
from rag_assets.backup import Manifest
from rag_assets.bundled import postgres as bundled_postgres
from rag_assets.console import JSON, print_json, print_progress, show
from rag_assets.services import require_home

FOLDER = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))


@click.command(
    short_help="Back the embedded database up.", epilog="\b\nFor example:\n  rag-assets backup /backups/2026-11-29"
)
@FOLDER
@JSON
def backup(folder: Path, as_json: bool) -> None:
    """Back the embedded database up into FOLDER, which is made, while others read and write.

    It holds everything as it was at one moment: the documents table, the index, and Dagster's runs. The documents
    themselves are not in it. FOLDER appears when it is whole, readable by its owner alone. With DATABASE_URL, take a
    pg_dump: see docs/operating.md.
    """
    config = settings.load()
    with _released(config.home):
        made = backups.make(config, folder, progress=print_progress)
    _show(made, f"{made.dump_bytes / 1e6:.1f} MB in {folder}", as_json=as_json)


@click.command(
    short_help="Put a backup into the embedded database.",
    epilog="\b\nFor example:\n  rag-assets restore /backups/2026-11-29",
)
@FOLDER
@click.option("--replace", is_flag=True, help="In place of what is there, which is gone then.")
@JSON
def restore(folder: Path, replace: bool, as_json: bool) -> None:
    """Put the backup in FOLDER into the embedded database of this home, which nothing else may use meanwhile.

    It is restored beside what is there, compared with what was backed up, and takes its place at the end. A dump is
    code: restore only what you made yourself. What another account could have written is refused.
    """
    config = settings.load()
    require_home(config)
    is_own = config.database_url is not None  # which a restore refuses, whatever runs in this home
    with nullcontext() if is_own else supervisor.alone(config.home), _released(config.home):
        found = backups.restore(config, folder, replace=replace, progress=print_progress)
    _show(found, f"as of {found.made_at}. Next: rag-assets reconcile (finds what changed since)", as_json=as_json)


@contextmanager
def _released(home: Path) -> Iterator[None]:
    """The embedded server ends, where nobody else needs it, before the command does."""
    try:
        yield
    finally:
        bundled_postgres.release(home)


def _show(manifest: Manifest, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(manifest))
    else:
        show(f"{manifest.contents.words}, {what}")


COMMANDS = (backup, restore)
