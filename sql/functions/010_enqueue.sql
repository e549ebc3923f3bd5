-- The outbox's way in for the first fill, `retry` and `reconcile`; changes come by rag_changes.
-- plpgsql, not sql: it keeps its plan from call to call in every version of PostgreSQL.

create or replace function rag_enqueue(changed_ids text[], changed_how text, with_priority smallint default 0)
returns bigint language plpgsql as $$
declare
    enqueued bigint;
begin
    -- one at a time: see rag_take_changes
    perform pg_advisory_xact_lock(hashtext('rag_assets.changes'), 'rag_outbox'::regclass::oid::integer);
    insert into rag_outbox as o (document_id, operation, priority)
    select changed.id, changed_how, with_priority
    from (select distinct unnest(changed_ids) as id order by 1) as changed
    where octet_length(changed.id) <= {id_bytes}  -- what has none, or a longer one, is shown by rag_unfit_rows
    {coalesce};
    get diagnostics enqueued = row_count;
    return enqueued;
end
$$;
