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

-- name: list_missing_rights
-- What `init` needs and this role may not do, before our tables are there.
select array_remove(array[
    case when not has_database_privilege(current_database(), 'create') then 'create on the database' end,
    case when not has_schema_privilege(current_schema(), 'create')
        then 'create on the schema ' || current_schema() end,
    case when not pg_has_role(c.relowner, 'usage')
        then 'ownership of ' || c.oid::regclass || ' (of ' || c.relowner::regrole || ')' end,
    case when not r.rolsuper and not exists (select from pg_extension where extname = 'vector')
        and not exists (select from pg_available_extension_versions where name = 'vector' and trusted)
        then 'the right to create the extension vector' end
], null)
from pg_class as c, pg_roles as r
where c.oid = to_regclass(%(table)s) and r.rolname = current_user;
