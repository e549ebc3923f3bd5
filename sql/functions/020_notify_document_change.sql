-- The trigger on the application's table. Names in braces are filled in by `migrate`, quoted as identifiers.
--
-- For each statement, with transition tables: one INSERT, however many rows changed. NOTIFY takes a lock that all
-- notifying transactions of a database queue for at commit: ungated, it made 16 writers 8 to 23 times slower. The
-- gate lets one notifier at a time through; a notice that is not sent for it costs a waiter at most the time to
-- its next look, never a change.

-- Rows go in ordered by id: two statements that touch the same documents must not lock them in different orders.

create or replace function notify_document_change()
returns trigger language plpgsql security definer set search_path = {schema}, pg_temp as $$
begin
    if tg_op = 'INSERT' then
        insert into rag_outbox as o (document_id, operation, priority)
        select n.{id_column}::text, 'insert', 0 from new_rows as n
        where n.{id_column} is not null group by 1 order by 1
        {coalesce};
    elsif tg_op = 'DELETE' then
        insert into rag_outbox as o (document_id, operation, priority)
        select o.{id_column}::text, 'delete', 0 from old_rows as o
        where o.{id_column} is not null group by 1 order by 1
        {coalesce};
    elsif tg_op = 'UPDATE' then
        -- Rows that the statement really changed; a document whose id changed is gone under its old one.
        insert into rag_outbox as o (document_id, operation, priority)
        select coalesce(n.{id_column}, o.{id_column})::text,
            max(case when n.{id_column} is null then 'delete' else 'update' end), 0
        from new_rows as n full join old_rows as o on o.{id_column} = n.{id_column}
        where coalesce(n.{id_column}, o.{id_column}) is not null
            and (n.{id_column} is null or o.{id_column} is null or {is_changed})
        group by 1 order by 1
        {coalesce};
    else
        perform rag_enqueue(array_agg(document_id), 'delete') from (
            select document_id from rag_document_text
            union select document_id from rag_document_chunks
            union select document_id from rag_outbox
        ) as known;
    end if;
    if found and pg_try_advisory_xact_lock(hashtext('rag_assets.notify'), 0) then
        notify {channel};
    end if;
    return null;
end
$$;
