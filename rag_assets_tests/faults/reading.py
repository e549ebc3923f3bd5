"""A reader around another one: what a fault changes of it is its `read`."""

from pathlib import Path

from rag_assets.model import ReadDocument
from rag_assets.pipeline import Reader


class ReaderAround:
    """All that a pipeline asks of a reader, as the other one answers it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def fingerprint(self) -> str:
        return self._reader.fingerprint

    def interrupt(self) -> None:
        self._reader.interrupt()

    def read(self, path: Path, *, name: str) -> ReadDocument:
        return self._reader.read(path, name=name)
