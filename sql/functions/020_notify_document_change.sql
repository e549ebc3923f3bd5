-- The trigger on the application's table. Names in braces are filled in by `migrate`, quoted as identifiers.
--
-- For each statement, with transition tables: one INSERT, however many rows changed, into a table without indexes.
-- Nobody waits here: no row of ours is locked, and what several changes of a document come to is decided when they
-- are taken. NOTIFY takes a lock that all notifying transactions of a database queue for at commit: ungated, it made
-- 16 writers 8 to 23 times slower. The gate lets one notifier at a time through; a notice that is not sent for it
-- costs a waiter at most the time to its next look, never a change.

create or replace function notify_document_change()
returns trigger language plpgsql security definer set search_path = {schema}, pg_temp {id_settings} as $$
begin
    if tg_level = 'ROW' then
        -- Logical replication applies rows without statements, so that only triggers for rows fire.
        insert into rag_changes (operation, document_id)
        select lower(tg_op), changed.id
        from (select new.*) as n, (select old.*) as o,
            lateral (select n.{id_column}::text union select o.{id_column}::text) as changed (id)
        where changed.id is not null and (tg_op <> 'UPDATE' or {is_changed});
    elsif tg_op = 'INSERT' then
        insert into rag_changes (operation, document_id)
        select 'insert', n.{id_column}::text from new_rows as n where n.{id_column} is not null;
    elsif tg_op = 'DELETE' then
        insert into rag_changes (operation, document_id)
        select 'delete', o.{id_column}::text from old_rows as o where o.{id_column} is not null;
    elsif tg_op = 'UPDATE' then
        -- One row, as nearly always: `is true` keeps the planner from a hash join, which costs more than the rest.
        insert into rag_changes (operation, document_id)
        select 'update', n.{id_column}::text from new_rows as n, old_rows as o
        where not exists (select from old_rows offset 1) and ({is_same_id}) is true and {is_changed};
        if not found then
            -- Rows that the statement really changed; a document whose id changed is gone under its old one.
            insert into rag_changes (operation, document_id)
            select case when n.{id_column} is null then 'delete' else 'update' end,
                coalesce(n.{id_column}, o.{id_column})::text
            from new_rows as n full join old_rows as o on {is_same_id}
            where coalesce(n.{id_column}, o.{id_column}) is not null
                and (n.{id_column} is null or o.{id_column} is null or {is_changed});
        end if;
    else
        insert into rag_changes (operation, document_id)
        select 'delete', document_id from (
            select document_id from rag_document_text
            union select document_id from rag_document_chunks
            union select document_id from rag_outbox
            union select document_id from rag_changes
        ) as known;
    end if;
    if found and pg_try_advisory_xact_lock(hashtext('rag_assets.notify'), 0) then
        notify {channel};
    end if;
    return null;
end
$$;
