-- Moves what the trigger wrote down into the outbox: each look at the outbox begins with it.
-- One at a time: who comes second waits until the first has committed, or it would see neither. All who insert into the
-- outbox take the same turn, or two of them could wait for each other's rows. The trigger writes down whatever id a row
-- has, so that no write of the application fails: what is too long for an index goes no further than here. The lock is
-- that of this outbox: another index in the database has its own, and its first fill may take long.

create or replace function rag_take_changes() returns void language plpgsql as $$
begin
    if not exists (select from rag_changes) then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('rag_assets.changes'), 'rag_outbox'::regclass::oid::integer);
    with taken as (delete from rag_changes returning changed_at, operation, document_id)
    insert into rag_outbox as o (document_id, operation, priority, enqueued_at)
    select document_id, (array_agg(operation order by changed_at desc))[1], 0, min(changed_at)
    from taken where octet_length(document_id) <= {id_bytes} group by 1 order by 1
    {coalesce};
end
$$;
