-- The trigger on the application's table. Names in braces are filled in by `migrate`, quoted as identifiers.
--
-- For each statement, with transition tables: one INSERT, however many rows changed. NOTIFY takes a lock that all
-- notifying transactions of a database queue for at commit: ungated, it made 16 writers 8 to 23 times slower. The
-- gate lets one notifier at a time through; a notice that is not sent for it costs a waiter at most the time to
-- its next look, never a change.

create or replace function notify_document_change()
returns trigger language plpgsql security definer set search_path = {schema}, pg_temp as $$
declare
    changed text[];
    gone text[];
begin
    if tg_op = 'INSERT' then
        select array_agg(n.{id_column}::text) into changed from new_rows as n;
    elsif tg_op = 'DELETE' then
        select array_agg(o.{id_column}::text) into gone from old_rows as o;
    elsif tg_op = 'TRUNCATE' then
        select array_agg(document_id) into gone from (
            select document_id from rag_document_text
            union select document_id from rag_document_chunks
            union select document_id from rag_outbox
        ) as known;
    else
        -- Rows that the statement really changed; a document whose id changed is gone under its old one.
        select array_agg(n.{id_column}::text) filter (where n.{id_column} is not null),
            array_agg(o.{id_column}::text) filter (where n.{id_column} is null)
        into changed, gone
        from new_rows as n full join old_rows as o on o.{id_column} = n.{id_column}
        where n.{id_column} is null or o.{id_column} is null or {is_changed};
    end if;
    if changed is null and gone is null then
        return null;
    end if;
    if changed is not null then
        perform rag_enqueue(changed, lower(tg_op));
    end if;
    if gone is not null then
        perform rag_enqueue(gone, 'delete');
    end if;
    if pg_try_advisory_xact_lock(hashtext('rag_assets.notify'), 0) then
        notify {channel};
    end if;
    return null;
end
$$;
