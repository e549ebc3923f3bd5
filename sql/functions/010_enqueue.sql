-- The outbox's one way in: for the trigger, the first fill, `retry` and `reconcile`.
-- plpgsql, not sql: it keeps its plan from call to call in every version of PostgreSQL.

create or replace function rag_enqueue(changed_ids text[], changed_how text, with_priority smallint default 0)
returns bigint language plpgsql as $$
declare
    enqueued bigint;
begin
    -- Ordered by id: two statements that touch the same documents must not lock them in different orders.
    insert into rag_outbox as o (document_id, operation, priority)
    select changed.id, changed_how, with_priority
    from (select distinct unnest(changed_ids) as id order by 1) as changed
    where changed.id is not null
    on conflict (document_id) do update set
        operation = excluded.operation,
        generation = o.generation + 1,
        priority = least(o.priority, excluded.priority),
        state = 'pending',
        attempts = 0,
        enqueued_at = case when o.state = 'dead' then now() else o.enqueued_at end,
        not_before = now(),
        error_kind = null,
        last_error = null;
    get diagnostics enqueued = row_count;
    return enqueued;
end
$$;
