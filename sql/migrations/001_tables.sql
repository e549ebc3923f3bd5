-- What rag_assets keeps: pending work, what was read, how it was cut and embedded, and how each attempt ended.

create extension if not exists vector;

create table rag_outbox (
    document_id   text primary key,
    operation     text not null check (operation in ('insert', 'update', 'delete')),
    generation    bigint not null default 1,
    priority      smallint not null default 0,
    state         text not null default 'pending' check (state in ('pending', 'dead')),
    attempts      integer not null default 0,
    enqueued_at   timestamptz not null default now(),
    not_before    timestamptz not null default now(),
    claimed_by    text,
    claimed_until timestamptz,
    error_kind    text,
    last_error    text
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 500);

comment on table rag_outbox is 'One row per document with pending work; generation counts its changes and fences stale writes.';
comment on column rag_outbox.priority is '0: a change, 1: first fill; lower goes first.';

create index rag_outbox_due on rag_outbox (priority, enqueued_at) where state = 'pending';
create index rag_outbox_claimed on rag_outbox (claimed_by) where claimed_by is not null;

create table rag_document_text (
    document_id     text primary key,
    path            text not null,
    sha256          text not null,
    size_bytes      bigint not null,
    mtime_ns        bigint not null,
    media_type      text not null,
    parser          text not null,
    pages           integer,
    title           text,
    metadata        jsonb not null default '{}',
    warnings        text[] not null default '{}',
    content         text not null,
    fingerprint     text not null,
    embedding_model text not null,
    updated_at      timestamptz not null default now()
);

comment on column rag_document_text.sha256 is 'Of the file''s bytes.';
comment on column rag_document_text.fingerprint is 'Of the parser and of the settings that decide the cuts.';

create table rag_document_chunks (
    id              bigint generated always as identity primary key,
    document_id     text not null,
    chunk_index     integer not null,
    content         text not null,
    content_sha256  text not null,
    token_count     integer not null,
    char_start      integer not null,
    char_end        integer not null,
    page            integer,
    heading_path    text[] not null default '{}',
    kind            text not null,
    metadata        jsonb not null default '{}',
    embedding       vector(384) not null,
    embedding_model text not null,
    created_at      timestamptz not null default now(),
    -- deferred: a moved chunk may take the place of another one that moves in the same transaction
    constraint rag_document_chunks_place unique (document_id, chunk_index) deferrable initially deferred
);

comment on column rag_document_chunks.content_sha256 is 'Of the text that was embedded; vectors of the same text and model are reused.';

create index rag_document_chunks_vector on rag_document_chunks (content_sha256, embedding_model);

create table rag_ingestion_log (
    id              bigint generated always as identity primary key,
    document_id     text not null,
    path            text,
    run_id          text not null,
    status          text not null check (status in ('processing', 'completed', 'failed', 'skipped', 'deleted')),
    stage           text not null,
    error_kind      text,
    error_message   text,
    content_sha256  text,
    media_type      text,
    parser          text,
    pages           integer,
    characters      integer not null default 0,
    chunks          integer not null default 0,
    chunks_embedded integer not null default 0,
    chunks_reused   integer not null default 0,
    chunks_deleted  integer not null default 0,
    tokens          integer not null default 0,
    embedding_model text,
    server_build    text,
    seconds         jsonb not null default '{}',
    warnings        text[] not null default '{}',
    logged_at       timestamptz not null default now()
);

create index rag_ingestion_log_document on rag_ingestion_log (document_id, id desc);
