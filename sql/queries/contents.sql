-- name: hold_still
-- The first statement of a transaction that sees one state of the whole database, whatever others commit.
set transaction isolation level repeatable read, read only;

-- name: export_snapshot
-- A name by which other connections see the same state, as long as this transaction is open.
select pg_export_snapshot();

-- name: list_tables
-- All tables of users that hold rows, but for those of extensions, which create extension brings.
select n.nspname, c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not exists (
    select from pg_depend as d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
)
order by 1, 2;

-- name: count_rows
-- Of one table.
select count(*) from {table};

-- name: list_roles
-- Accounts that rights may be granted to, besides our own and those of PostgreSQL.
select rolname from pg_roles where rolname !~ '^pg_' and rolname <> current_user order by 1;

-- name: get_sizes
-- Bytes on disk: of the database, and of its tables without their indexes, which a dump does not hold.
select pg_database_size(current_database())::bigint, coalesce((
    select sum(pg_table_size(c.oid)) from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
), 0)::bigint;

-- name: analyze
-- What plans are made from; a dump does not hold it.
analyze;
