-- Rows that cannot be documents for want of an id, and the error kind of each: none, or one that is too long for an
-- index, here or among Dagster's partitions. They are looked at where the table has them, as nothing else can.

create or replace function rag_unfit_rows() returns table (kind text, id text, path text) language plpgsql stable as $$
begin
    return query
    select case when d.{id_column} is null then 'id_missing' else 'id_too_long' end, d.{id_column}::text,
        d.{path_column}::text
    from {table} as d
    where d.{path_column} is not null and (octet_length(d.{id_column}::text) <= {id_bytes}) is not true;
end
$$;
