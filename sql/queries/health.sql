-- name: get_server
-- The server's version, pgvector's where it is installed here, and where it could be.
select current_setting('server_version_num')::integer,
    (select extversion from pg_extension where extname = 'vector'),
    (select default_version from pg_available_extensions where name = 'vector');

-- name: has_tables
-- Whether our tables are there, and the application's.
select to_regclass('rag_migrations') is not null and to_regclass('rag_document_chunks') is not null,
    to_regclass(%(table)s) is not null;

-- name: has_function
-- Whether the trigger function is there.
select to_regproc('notify_document_change') is not null;

-- name: has_chunks
-- Whether anything is indexed.
select exists (select from rag_document_chunks);
