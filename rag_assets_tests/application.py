"""An application with a table and a folder of documents, and runs on it, outside Dagster."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag_assets import lease, settings
from rag_assets.claim_source import USUAL_PACE, ClaimSource, Pace
from rag_assets.model import Claim, Outcome
from rag_assets.pipeline import Embeds, OnPart, Pipeline, Reader, no_part
from rag_assets.postgres import outbox
from rag_assets.postgres.database import Database
from rag_assets.postgres.listener import Listener
from rag_assets.text import paths
from rag_assets_tests import rows

CHUNKING = {"size": 64, "overlap": 0}
Vectors = np.ndarray[Any, np.dtype[np.float32]]  # float32 of shape (texts, dimension)
WORDS = ("pumps", "roses", "taxes", "trains", "violins", "glaciers")


def paragraph(about: str) -> str:
    """Of the size of a chunk: each paragraph becomes one."""
    return f"This paragraph tells about {about}. " + f"It says much more on {about}. " * 6


def text(*about: str) -> str:
    return "\n\n".join(map(paragraph, about))


class HashEmbedder:
    """The vector of a text is made from its hash; what was embedded is kept, and something can happen meanwhile."""

    build = "hash"
    on_embedded: Callable[[int], None] = staticmethod(lambda _count: None)

    def __init__(self, *, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.texts: list[str] = []
        self._meanwhile = meanwhile

    def interrupt(self) -> None:
        """It takes no time, so there is nothing to break off."""

    def embed(self, texts: Sequence[str], *, token_counts: Sequence[int]) -> Vectors:
        assert len(texts) == len(token_counts)
        self.texts += texts
        self._meanwhile()
        return np.array([rows.vector(text) for text in texts], dtype=np.float32)


class Application:
    """Documents are known by the names of their files; the readers must cut by CHUNKING."""

    def __init__(self, url: str, place: Path, *, reader: Reader, urgent_reader: Reader, **sections: Any) -> None:
        self.url = url
        self.files = place / "files"
        self.files.mkdir(exist_ok=True)
        self.reader = reader
        self.urgent_reader = urgent_reader
        self.beat_seconds = lease.BEAT_SECONDS
        self.settings = settings.load(
            home=place / "home",
            database_url=url,
            document_root_path=self.files,
            **{"chunking": CHUNKING, "llama_server": {"required_memory_gb": 0}} | sections,
        )
        self.database = Database(url, settings=self.settings.database)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return rows.execute(self.url, statement)

    def add(self, name: str, *about: str) -> str:
        """A document with a paragraph about each; its id."""
        self.write(name, *about)
        return self.add_row(name)

    def add_row(self, name: str) -> str:
        [(document_id,)] = self.sql(f"""insert into "TblDocumentFiles" (file_path) values ('{name}') returning id""")
        return str(document_id)

    def write(self, name: str, *about: str) -> None:
        (self.files / name).write_text(text(*about), encoding="utf-8")

    def change(self, document_id: str) -> None:
        """What the trigger sees of an update."""
        with self.database.transaction() as cursor:
            rows.enqueue(cursor, [document_id])

    def remove(self, document_id: str) -> None:
        self.sql(f'delete from "TblDocumentFiles" where id = {document_id}')

    def pending(self) -> list[tuple[Any, ...]]:
        """Id, state, attempts and owner of what is in the outbox."""
        self.sql("select rag_take_changes()")
        return self.sql("select document_id, state, attempts, claimed_by from rag_outbox order by document_id")

    def stored(self, document_id: str) -> list[str]:
        """The chunks that are stored with the vector of their words."""
        found = self.sql(
            "select content, embedding::text from rag_document_chunks "
            f"where document_id = '{document_id}' order by chunk_index"
        )
        for content, vector in found:
            assert np.allclose(np.array(vector.strip("[]").split(","), dtype=np.float32), rows.vector(content))
        return [content for content, _ in found]

    def claim(self, *, run_id: str) -> list[Claim]:
        with self.database.transaction() as cursor:
            return outbox.claim_due(
                cursor,
                self.settings.source,
                limit=1_000,
                claimed_by=f"run:{run_id}",
                seconds=self.settings.worker.claim_seconds,
            )

    def pipeline(
        self,
        *,
        run_id: str,
        embedder: Embeds | None = None,
        on_part: OnPart = no_part,
        reader: Reader | None = None,
    ) -> Pipeline:
        """With `reader` as its only one, where another pipeline has the others of the application."""
        return Pipeline(
            self.database,
            self.settings,
            reader=reader or self.reader,
            urgent_reader=reader or self.urgent_reader,
            embedder=embedder or HashEmbedder(),
            resolve=lambda path: paths.resolve(path, root=self.files, allowed_roots=(), path_map={}),
            run_id=run_id,
            beat_seconds=self.beat_seconds,
            on_part=on_part,
        )

    def claim_source(self, listener: Listener, *, run_id: str, pace: Pace = USUAL_PACE) -> ClaimSource:
        return ClaimSource(self.database, self.settings, run_id=run_id, listener=listener, pace=pace)

    def listener(self) -> Listener:
        return Listener(self.url, channel=self.settings.database.listen_channel)

    def run(self, *, run_id: str = "1", embedder: Embeds | None = None) -> dict[str, Outcome]:
        """One run on what is due at its start; the last outcome of each document."""
        batches = [self.claim(run_id=run_id)]
        groups = self.pipeline(run_id=run_id, embedder=embedder).ingest(batches)
        return {outcome.document_id: outcome for outcomes in groups for outcome in outcomes}

    def close(self) -> None:
        self.database.close()
