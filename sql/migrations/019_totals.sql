-- What was done in all: attempts are forgotten after a while, and what is counted of them is not to fall then.

create table rag_ingestion_totals (
    id              bigint generated always as identity primary key,
    status          text not null,
    error_kind      text not null default '',
    attempts        bigint not null,
    characters      bigint not null,
    chunks_embedded bigint not null,
    chunks_reused   bigint not null,
    chunks_deleted  bigint not null,
    tokens          bigint not null,
    read_seconds    float8 not null,
    chunk_seconds   float8 not null,
    embed_seconds   float8 not null,
    write_seconds   float8 not null
);

comment on table rag_ingestion_totals is
    'Sums of rag_ingestion_log: to be added up. Each writer appends, so that none waits for another; now and then they are folded.';

insert into rag_ingestion_totals (
    status, error_kind, attempts, characters, chunks_embedded, chunks_reused, chunks_deleted, tokens,
    read_seconds, chunk_seconds, embed_seconds, write_seconds
)
select status, coalesce(error_kind, ''), count(*), sum(characters), sum(chunks_embedded), sum(chunks_reused),
    sum(chunks_deleted), sum(tokens), coalesce(sum((seconds ->> 'read')::float8), 0),
    coalesce(sum((seconds ->> 'chunk')::float8), 0), coalesce(sum((seconds ->> 'embed')::float8), 0),
    coalesce(sum((seconds ->> 'write')::float8), 0)
from rag_ingestion_log group by 1, 2;

create table rag_embedder_starts (
    model      text primary key,
    starts     bigint not null,
    seconds    float8 not null,
    started_at timestamptz not null default now()
);

comment on table rag_embedder_starts is 'How often the embedding server was started for a model, and how long that took in all.';
