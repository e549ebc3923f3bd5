-- name: lock_migrations
-- One migration at a time.
select pg_advisory_xact_lock(hashtext('rag_assets.migrate'), 0);

-- name: limit_waiting
-- Rather fail than make the application's writers queue behind us for its table.
set local lock_timeout = '5s';

-- name: limit_waiting_briefly
-- The same, for what is tried again in a few seconds.
set local lock_timeout = '1s';

-- name: has_migrations
-- Whether any was ever applied.
select to_regclass('rag_migrations') is not null;

-- name: create_migrations
-- Which migrations were applied, and the hash of each.
create table if not exists rag_migrations (
    name text primary key, sha256 text not null, applied_at timestamptz not null default now()
);

-- name: may_list_migrations
-- Whether this account may know what was applied: one that only searches may not.
select to_regclass('rag_migrations') is not null and has_table_privilege(to_regclass('rag_migrations'), 'select');

-- name: list_migrations
-- What was applied.
select name, sha256 from rag_migrations;

-- name: insert_migration
-- Record one.
insert into rag_migrations (name, sha256) values (%(name)s, %(sha256)s);

-- name: get_schema
-- Where our tables live.
select current_schema();

-- name: get_schemas
-- Where our tables live, and where pgvector does.
select current_schema(), (select n.nspname from pg_extension as e join pg_namespace as n on n.oid = e.extnamespace
    where e.extname = 'vector');

-- name: has_schema
-- Whether there is a schema of this name.
select exists (select from pg_namespace where nspname = %(name)s);

-- name: create_schema
-- A schema for Dagster's own tables.
create schema if not exists {schema};

-- name: drop_schema
-- A schema of ours, with all that is in it.
drop schema if exists {schema} cascade;

-- name: list_missing
-- Tables of ours that are not there.
select name from unnest(array[
    'rag_changes', 'rag_chunk_words', 'rag_document_chunks', 'rag_document_text', 'rag_embedder_starts',
    'rag_embedding_models', 'rag_ingestion_log', 'rag_ingestion_totals', 'rag_looks', 'rag_models', 'rag_outbox',
    'rag_owner', 'rag_runs', 'rag_serving', 'rag_word_changes', 'rag_word_counts', 'rag_word_language', 'rag_word_totals',
    'rag_words_missing'
]) as name where to_regclass(name) is null;
