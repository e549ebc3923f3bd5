"""What Dagster's catalogue says of each asset: what it is for, whose it is, and which table and columns it fills."""

import dagster as dg

from rag_assets import __version__, settings
from rag_assets.defs import events

TABLE_NAME, COLUMNS = "dagster/table_name", "dagster/column_schema"  # keys that Dagster's page knows
TEXTS_TABLE, CHUNKS_TABLE = "rag_document_text", "rag_document_chunks"
TEXT_COLUMNS = {  # column: type, what it holds
    "document_id": ("text", "The id of the document's row in the application's table."),
    "path": ("text", "As the row had it when the file was read."),
    "sha256": ("text", "Of the file's bytes: the data version of the document's materializations."),
    "media_type": ("text", "Found by looking at the bytes."),
    "parser": ("text", "Which reader read the file."),
    "pages": ("integer", "Of formats that have pages."),
    "language": ("text", "ISO 639-1; empty where it is unsure."),
    "warnings": ("text[]", "What could not be read as it should be."),
    "content": ("text", "What was read."),
    "updated_at": ("timestamp with time zone", "When the document was stored."),
}
CHUNK_COLUMNS = {
    "document_id": ("text", "The document that the chunk is part of."),
    "chunk_index": ("integer", "The chunk's place in the document, from 0."),
    "content": ("text", "The chunk's words."),
    "token_count": ("integer", "In tokens of the embedding model."),
    "page": ("integer", "Where the chunk begins, of formats that have pages."),
    "heading_path": ("text[]", "The headings that the chunk stands under, outermost first."),
    "content_sha256": ("text", "Of the text that was embedded: the same text and model have the same vector."),
}
EMBEDDING_COLUMNS = {
    "document_id": ("text", "The document that the chunk is part of."),
    "chunk_index": ("integer", "The chunk's place in the document, from 0."),
    "embedding": ("vector", "The chunk's vector."),
    "embedding_model": ("text", "The model that made the vector."),
    "created_at": ("timestamp with time zone", "When the chunk was stored."),
}

_settings = settings.load()
_cut, _source = _settings.chunking, _settings.source
# Shown, and not judged by: materializations carry no code version, with which Dagster would call them out of date for
# ever. Which documents another version reads in another way is found by their fingerprints.
CODE_VERSION = __version__
OWNERS, TAGS = list(_settings.dagster.owners), dict(_settings.dagster.tags)


def _schema(columns: dict[str, tuple[str, str]]) -> dg.TableSchema:
    return dg.TableSchema(
        [dg.TableColumn(name, kind, description=description) for name, (kind, description) in columns.items()]
    )


def _step(key: str, after: str, *, kinds: set[str], description: str, metadata: dict[str, object]) -> dg.AssetSpec:
    """One of the three steps of a document's way from its file to its vectors."""
    return dg.AssetSpec(
        key,
        deps=[after],
        skippable=True,
        group_name="ingestion",
        kinds=kinds,
        description=description,
        metadata=metadata,
        code_version=CODE_VERSION,
        owners=OWNERS,
        tags=TAGS,
    )


source_table = dg.AssetSpec(
    events.SOURCE_ASSET,
    description="The application's table of documents (source.table); owned by the application. A changed row becomes "
    f"a run of the three assets within seconds, by the sensor {events.named('document_changes')}. Each reconciliation "
    "notes here how many rows there are and what differed.",
    kinds={"postgres"},
    group_name="source",
    metadata={
        TABLE_NAME: ".".join(_source.table_parts),
        "id_column": _source.id_column,
        "path_column": _source.path_column,
    },
    owners=OWNERS,
    tags=TAGS,
)
raw_text = _step(
    events.RAW_TEXT,
    events.SOURCE_ASSET,
    kinds={"python", "postgres"},
    description="What was read from the document's file: rag_document_text. A document that cannot be read is failed "
    "here, with the reason and what to do in its observations.",
    metadata={
        TABLE_NAME: TEXTS_TABLE,
        COLUMNS: _schema(TEXT_COLUMNS),
        "largest_file_bytes": _settings.parsing.max_bytes,
        "most_seconds_to_read": _settings.parsing.max_seconds,
    },
)
chunks = _step(
    events.CHUNKS,
    events.RAW_TEXT,
    kinds={"python", "postgres"},
    description="How the text was cut, in tokens of the embedding model: rag_document_chunks. Chunks whose words stay "
    "the same keep their row and vector.",
    metadata={TABLE_NAME: CHUNKS_TABLE, COLUMNS: _schema(CHUNK_COLUMNS), "cut_by": _cut.words},
)
embeddings = _step(
    events.EMBEDDINGS,
    events.CHUNKS,
    kinds={"postgres", "pgvector"},
    description="The vector of each chunk by the embedding model: rag_document_chunks.embedding. Only chunks whose "
    "words are new are embedded, by a server that is started for it and gone afterwards.",
    metadata={
        TABLE_NAME: CHUNKS_TABLE,
        COLUMNS: _schema(EMBEDDING_COLUMNS),
        "model": _settings.embedding.model,
        "dimension": _settings.embedding.dimension,
    },
)
index = dg.AssetSpec(
    events.INDEX_ASSET,
    deps=[events.EMBEDDINGS],
    group_name="search",
    kinds={"postgres", "pgvector"},
    description="The index of all vectors of the embedding model, from search.index_rows on: its kind, size and age, "
    "and the share of the ten nearest that it finds, of a sample.",
    metadata={TABLE_NAME: CHUNKS_TABLE, "built_from_rows": _settings.search.index_rows},
    owners=OWNERS,
    tags=TAGS,
)
