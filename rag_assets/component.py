"""RagIndex: an index as a component of somebody's own Dagster project, made by a defs.yaml.

It imports nothing of the rest before its settings are known: what Dagster loads has them from the beginning.
"""

import sys
from typing import Any

import dagster as dg
from pydantic import Field

from rag_assets import settings
from rag_assets.errors import SettingsError

DEFINITIONS = "rag_assets.definitions"


class RagIndex(dg.Component, dg.Model, dg.Resolvable):
    """A pgvector index of an application's documents, kept in step with its PostgreSQL table.

    Comes with the assets of a document's way (table, raw text, chunks, embeddings, index), their checks, the jobs, a
    schedule of reconciliation, and the sensor that turns changes of the table into runs.
    """

    name: str = Field(
        default="",
        description="Stands before the names of all assets, jobs, sensors, partitions and the pool, as in "
        "letters_chunks; needed where another index is in the same Dagster instance. a-z, 0-9 and _",
        examples=["letters"],
    )
    database_url: str | None = Field(
        default=None,
        description="Where the application's table is. Tables of the index are made in the first schema of its "
        "search_path. Without it: DATABASE_URL, or an embedded PostgreSQL.",
        examples=["{{ env.LIBRARY_DATABASE_URL }}?options=-csearch_path%3Dletters_index,public"],
    )
    document_root_path: str | None = Field(
        default=None,
        description="The folder of the documents, which relative paths of the table begin at. Without it: "
        "DOCUMENT_ROOT_PATH.",
    )
    home: str | None = Field(
        default=None, description="The folder of all state (models, logs). Without it: RAG_ASSETS_HOME."
    )
    settings: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Any other settings, by section and key as in settings.toml.",
        examples=[{"source": {"table": "app.letters", "path_column": "file"}, "chunking": {"size": 256}}],
    )

    @property
    def values(self) -> dict[str, Any]:
        """As settings take them; what is not set here stays as the environment and settings.toml say."""
        sections = {name: dict(section) for name, section in self.settings.items()}
        sections["dagster"] = {**sections.get("dagster", {}), **({"name": self.name} if self.name else {})}
        top = ("database_url", "document_root_path", "home")
        return sections | {name: value for name in top if (value := getattr(self, name)) is not None}

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The index's definitions; SettingsError where settings are wrong, or this process has another index."""
        # What was loaded has settings already, given or not, and keeps them: with others, nothing is given any more.
        if DEFINITIONS in sys.modules and settings.load(**self.values) != settings.load():
            raise SettingsError(settings.OTHER_INDEX)
        settings.give(self.values)
        from rag_assets import definitions
        from rag_assets.defs import jobs

        return dg.Definitions.merge(definitions.of_index(), dg.Definitions(jobs=[jobs.init]))
