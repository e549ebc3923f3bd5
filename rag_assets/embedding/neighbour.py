"""A server that another process of this home has started: its record comes in, a client that trusts it goes out.

The record and the key lie in the home's private folder `run`. Before a byte is sent, the kernel says that the process
of the record holds the other end of the connection, as with a server of our own.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

import psutil

from rag_assets.embedding.client import EmbeddingClient
from rag_assets.embedding.door import Door, Owned, to_owned
from rag_assets.embedding.server import RECORD_PATTERN, Record, runs, tree_bytes
from rag_assets.model_sets import ModelSet
from rag_assets.settings import LlamaServer as LlamaServerSettings


def find(run: Path, *, model: Path, settings: LlamaServerSettings, of_model: ModelSet) -> EmbeddingClient | None:
    """A client of a server of this model's file that answers now; None where there is none."""
    for file in sorted(run.glob(RECORD_PATTERN)):
        with suppress(OSError, ValueError, KeyError, TypeError, psutil.Error):  # it may be ending this moment
            record: Record = json.loads(file.read_text())
            if record["model"] != str(model) or record["owner"] == os.getpid() or not _lives(record):
                continue
            client = EmbeddingClient(
                "http://localhost",  # the door decides where that is
                api_key=file.with_suffix(".key").read_text().strip(),
                of_model=of_model,
                timeout_seconds=settings.request_timeout_seconds,
                door=_door(record),
            )
            if client.healthy():
                return client
            client.close()
    return None


def memory_bytes(run: Path) -> int:
    """What all servers of this home have in memory, whoever started them; 0 where none runs."""
    found = 0
    for file in run.glob(RECORD_PATTERN):
        with suppress(OSError, ValueError, KeyError, TypeError, psutil.Error):  # it may be ending this moment
            record: Record = json.loads(file.read_text())
            found += tree_bytes(record["pid"]) if _lives(record) else 0
    return found


def notes(run: Path) -> list[str]:
    """Why engines that embed now in this home are not the faster ones, each reason once."""
    found: dict[str, None] = {}
    for file in sorted(run.glob(RECORD_PATTERN)):
        with suppress(OSError, ValueError, KeyError, TypeError, psutil.Error):  # it may be ending this moment
            record: Record = json.loads(file.read_text())
            if record["note"] and _lives(record):
                found[record["note"]] = None
    return list(found)


def _lives(record: Record) -> bool:
    return runs(record["pid"], record["created"]) and runs(record["owner"], record["owner_created"])


def _door(record: Record) -> Door:
    owned = Owned(record["pid"], is_alive=lambda: runs(record["pid"], record["created"]))
    folder = Path(record["folder"]) if record["folder"] else None
    return to_owned(owned, folder=folder, host=record["host"])
