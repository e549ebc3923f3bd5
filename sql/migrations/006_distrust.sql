-- What `rag-assets reembed` found to be wrong, and what each model's vectors were at its first use.

alter table rag_document_chunks add column distrusted boolean not null default false;

comment on column rag_document_chunks.distrusted is 'Whether the vector is to be made anew: it is neither kept nor reused.';

create index rag_document_chunks_distrusted on rag_document_chunks (document_id) where distrusted;

create table rag_embedding_models (
    model       text primary key,
    texts       text[] not null,
    vectors     real[] not null,
    recorded_at timestamptz not null default now()
);

comment on table rag_embedding_models is 'Vectors of known texts at each model''s first use: what comes later under the same name is compared with them.';
comment on column rag_embedding_models.vectors is 'One row per text.';
