-- name: create_table
-- The documents table, for people without an application that has one.
create table {table} ({id_column} bigint generated always as identity primary key, {path_column} text not null);

-- name: get_columns
-- The columns of a table with their types; nothing where there is no such table.
select a.attname, format_type(a.atttypid, a.atttypmod)
from pg_attribute as a
where a.attrelid = to_regclass(%(table)s) and a.attnum > 0 and not a.attisdropped
order by a.attnum;

-- name: get_documents
-- These documents' rows, beside the ids as they were given.
select given, d.{id_column}::text, d.{path_column}::text from unnest(%(ids)s::text[]) as given
join {table} as d on d.{id_column} = {given_id};

-- name: compare_ids
-- Whether ids can be compared, without which no row can be found.
select {given_id} = {given_id} from (select '' as given) as no_id;

-- name: write_ids_alike
-- Have ids of all types, times among them, written the same way in every session.
set datestyle = 'ISO, MDY';
set timezone = 'UTC';
set intervalstyle = 'postgres';
set bytea_output = 'hex';
set extra_float_digits = 1;

-- name: list_ids
-- The ids of all documents; a row without a path, or with an id of no use, is none.
select d.{id_column}::text from {table} as d
where d.{path_column} is not null and octet_length(d.{id_column}::text) <= %(id_bytes)s
order by d.{id_column};

-- name: list_ids_of_buckets
-- The ids of the documents whose hash falls into these buckets.
select {id_column}::text from {table}
where ('x' || left(md5({id_column}::text), 8))::bit(32)::bigint %% %(buckets)s = any(%(numbers)s)
    and octet_length({id_column}::text) <= %(id_bytes)s
order by {id_column};

-- name: count_documents
-- How many documents there are.
select count(*) from {table};

-- name: register_paths
-- Add rows for paths that have none; one process at a time, or two would add the same.
select pg_advisory_xact_lock(hashtext('rag_assets.register'), 0);
insert into {table} ({path_column})
select distinct p from unnest(%(paths)s::text[]) as p
where not exists (select from {table} as d where d.{path_column} = p);

-- name: get_by_path
-- The rows of these paths.
select {id_column}::text, {path_column}::text from {table} where {path_column} = any(%(paths)s::text[]);

-- name: has_triggers
-- Whether the table has all our triggers, enabled as they should be.
select count(*) = 5 from pg_trigger
where tgrelid = to_regclass(%(table)s) and tgfoid = 'notify_document_change'::regproc and (tgname, tgenabled) in (
    ('rag_document_inserted', 'A'), ('rag_document_updated', 'A'), ('rag_document_deleted', 'A'),
    ('rag_documents_truncated', 'A'), ('rag_document_replicated', 'R')
);

-- name: create_triggers
-- Call us after each statement that changes the table, and after each row that logical replication applies.
create or replace trigger rag_document_inserted after insert on {table}
    referencing new table as new_rows for each statement execute function notify_document_change();
create or replace trigger rag_document_updated after update on {table}
    referencing old table as old_rows new table as new_rows
    for each statement execute function notify_document_change();
create or replace trigger rag_document_deleted after delete on {table}
    referencing old table as old_rows for each statement execute function notify_document_change();
create or replace trigger rag_documents_truncated after truncate on {table}
    for each statement execute function notify_document_change();
create or replace trigger rag_document_replicated after insert or update or delete on {table}
    for each row execute function notify_document_change();
alter table {table} enable always trigger rag_document_inserted;
alter table {table} enable always trigger rag_document_updated;
alter table {table} enable always trigger rag_document_deleted;
alter table {table} enable always trigger rag_documents_truncated;
alter table {table} enable replica trigger rag_document_replicated;

-- name: list_other_triggers
-- Triggers of ours on tables that were the documents table once; not those that partitions have from it.
select n.nspname, c.relname, t.tgname
from pg_trigger as t join pg_class as c on c.oid = t.tgrelid join pg_namespace as n on n.oid = c.relnamespace
where t.tgfoid = 'notify_document_change'::regproc and t.tgrelid <> to_regclass(%(table)s) and t.tgparentid = 0;

-- name: list_other_schemas
-- The schema of a trigger function of ours that the table has from an index elsewhere, and the one where ours would be.
select n.nspname, current_schema() from pg_trigger as t
join pg_proc as p on p.oid = t.tgfoid join pg_namespace as n on n.oid = p.pronamespace
where t.tgrelid = to_regclass(%(table)s) and p.proname = 'notify_document_change' and n.nspname <> current_schema()
limit 1;

-- name: drop_trigger
-- Remove one.
drop trigger {trigger} on {table};
