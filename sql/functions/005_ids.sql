-- A text as a value of the type that `kind` has, or null where it is none: old ids of another type, and ids given by
-- hand, are compared with the table's column without an error, in every version of PostgreSQL.

create or replace function rag_as_id(given text, kind anyelement) returns anyelement language plpgsql stable as $$
declare
    id kind%type;
begin
    id := given;  -- what is returned would be converted outside of the block
    return id;
exception when others then
    return null;
end
$$;

-- What ids are sorted by before their text: numbers as numbers, 9 before 10.
create or replace function rag_id_order(id text) returns numeric language sql immutable
return case when id ~ '^[0-9]{{1,18}}$' then id::numeric end;
