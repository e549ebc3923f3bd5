-- name: create_table
-- The documents table, for people without an application that has one.
create table {table} ({id_column} bigint generated always as identity primary key, {path_column} text not null);

-- name: has_texts
-- Whether there is an index in this schema, and not in another one behind it, with at least its table of texts.
select to_regclass(quote_ident(current_schema()) || '.rag_document_text') is not null;

-- name: count_texts
-- How many documents are indexed.
select count(*) from rag_document_text;

-- name: get_columns
-- The columns of a table with their types, and of what kind it is; nothing where there is no such table.
select a.attname, format_type(a.atttypid, a.atttypmod), c.relkind::text
from pg_attribute as a join pg_class as c on c.oid = a.attrelid
where a.attrelid = to_regclass(%(table)s) and a.attnum > 0 and not a.attisdropped
order by a.attnum;

-- name: is_virtual
-- Whether a column is computed whenever it is read (PostgreSQL 18): triggers do not see it.
select attgenerated = 'v' from pg_attribute where attrelid = to_regclass(%(table)s) and attname = %(column)s;

-- name: hides_rows
-- Whether row-level security may keep rows of the table from this role: it applies, and no policy shows all of them.
with applying as (
    select polpermissive, pg_get_expr(polqual, polrelid) = 'true' as shows_all from pg_policy
    where polrelid = to_regclass(%(table)s) and polcmd in ('*', 'r') and exists (
        select from unnest(polroles) as role where role = 0 or pg_has_role(role, 'usage')
    )
)
select row_security_active(to_regclass(%(table)s)::oid) and (
    not exists (select from applying where polpermissive and shows_all)
    or exists (select from applying where not polpermissive and shows_all is not true)
), current_user;

-- name: get_documents
-- These documents' rows, beside the ids as they were given.
select given, d.{id_column}::text, d.{path_column}::text from unnest(%(ids)s::text[]) as given
join {table} as d on d.{id_column} = {given_id};

-- name: compare_ids
-- Whether ids can be compared, without which no row can be found.
select {given_id} = {given_id} from (select '' as given) as no_id;

-- name: prepare_session
-- Have ids of all types, times among them, written the same way in every session. A process that is stopped amid a
-- transaction keeps what it locked for a minute, and not for as long as it stands still.
set datestyle = 'ISO, MDY';
set timezone = 'UTC';
set intervalstyle = 'postgres';
set bytea_output = 'hex';
set extra_float_digits = 1;
set idle_in_transaction_session_timeout = '60s';

-- name: lift_limits
-- Limits that the server, the database or the role has are for those who wait for answers; ours take as long as the
-- table is large. What DATABASE_URL itself asks for stays. The strings of our statements are standard ones.
select set_config(name, case name when 'standard_conforming_strings' then 'on' else '0' end, false) from pg_settings
where name in (
    'statement_timeout', 'lock_timeout', 'transaction_timeout', 'idle_session_timeout', 'standard_conforming_strings'
) and setting not in ('0', 'on') and source <> 'client';

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
set constraints all immediate;

-- name: get_by_path
-- The rows of these paths.
select {id_column}::text, {path_column}::text from {table} where {path_column} = any(%(paths)s::text[]);

-- name: has_triggers
-- Whether the table, its partitions and its children have all our triggers, enabled as they should be, and no other has.
with recursive tree as (
    select to_regclass(%(table)s)::oid as oid
    union all select i.inhrelid from pg_inherits as i join tree on i.inhparent = tree.oid
), triggers as (
    select tgrelid, tgname, tgenabled, tgparentid from pg_trigger where tgfoid = 'notify_document_change'::regproc
)
select not exists (
    select from tree join pg_class as c on c.oid = tree.oid
    where not exists (
        select from triggers where tgrelid = c.oid and tgname = 'rag_document_changed' and tgenabled = 'A'
    ) or c.relkind <> 'f' and not exists (
        select from triggers where tgrelid = c.oid and tgname = 'rag_documents_truncated' and tgenabled = 'A'
    )
) and not exists (
    select from triggers where tgparentid = 0 and (tgrelid not in (select oid from tree)
        or tgname not in ('rag_document_changed', 'rag_documents_truncated'))
);

-- name: list_tables
-- The table, its partitions and its children, and whether each has a trigger for rows only of its own.
with recursive tree as (
    select to_regclass(%(table)s)::oid as oid, true as is_own
    union all select i.inhrelid, not c.relispartition
    from pg_inherits as i join tree on i.inhparent = tree.oid join pg_class as c on c.oid = i.inhrelid
)
select n.nspname, c.relname, tree.is_own, c.relkind <> 'f'
from tree join pg_class as c on c.oid = tree.oid join pg_namespace as n on n.oid = c.relnamespace;

-- name: create_row_trigger
-- Call us after each row that changes, whoever changes it: also where logical replication applies it.
create or replace trigger rag_document_changed after insert or update or delete on {table}
    for each row execute function notify_document_change();

-- name: enable_row_trigger
-- Also in sessions of replication.
alter table {table} enable always trigger rag_document_changed;

-- name: create_truncate_trigger
-- Call us when all rows go at once.
create or replace trigger rag_documents_truncated after truncate on {table}
    for each statement execute function notify_document_change();
alter table {table} enable always trigger rag_documents_truncated;

-- name: list_other_triggers
-- Triggers of ours on tables that are the documents table no more, or of a kind that it had once.
with recursive tree as (
    select to_regclass(%(table)s)::oid as oid
    union all select i.inhrelid from pg_inherits as i join tree on i.inhparent = tree.oid
)
select n.nspname, c.relname, t.tgname
from pg_trigger as t join pg_class as c on c.oid = t.tgrelid join pg_namespace as n on n.oid = c.relnamespace
where t.tgfoid = 'notify_document_change'::regproc and t.tgparentid = 0 and (t.tgrelid not in (select oid from tree)
    or t.tgname not in ('rag_document_changed', 'rag_documents_truncated'));

-- name: list_other_schemas
-- The schema of a trigger function of ours that the table has from an index elsewhere, and the one where ours would be.
select n.nspname, current_schema() from pg_trigger as t
join pg_proc as p on p.oid = t.tgfoid join pg_namespace as n on n.oid = p.pronamespace
where t.tgrelid = to_regclass(%(table)s) and p.proname = 'notify_document_change' and n.nspname <> current_schema()
limit 1;

-- name: drop_trigger
-- Remove one.
drop trigger {trigger} on {table};
