-- name: create_table
-- The documents table, for people without an application that has one.
create table {table} ({id_column} bigint generated always as identity primary key, {path_column} text not null);

-- name: get_columns
-- The columns of a table with their types and whether they need no value; nothing where there is no such table.
select a.attname, format_type(a.atttypid, a.atttypmod),
    a.atthasdef or a.attidentity <> '' or not a.attnotnull
from pg_attribute as a
where a.attrelid = to_regclass(%(table)s) and a.attnum > 0 and not a.attisdropped
order by a.attnum;

-- name: get_documents
-- These documents' rows.
select {id_column}::text, {path_column}::text from {table}
where {id_column} = any(%(ids)s::text[]::{id_type}[]);

-- name: list_ids
-- The ids of all documents.
select {id_column}::text from {table} order by {id_column};

-- name: count_documents
-- How many documents there are.
select count(*) from {table};

-- name: register_paths
-- Add rows for paths that have none.
insert into {table} ({path_column})
select p from unnest(%(paths)s::text[]) as p
where not exists (select from {table} as d where d.{path_column} = p);

-- name: get_by_path
-- The rows of these paths.
select {id_column}::text, {path_column}::text from {table} where {path_column} = any(%(paths)s::text[]);
