-- The trigger on the application's table. Names in braces are filled in by `migrate`, quoted as identifiers.
--
-- For each statement, with transition tables: one INSERT, however many rows changed. NOTIFY takes a lock that all
-- notifying transactions of a database queue for at commit: ungated, it made 16 writers 8 to 23 times slower. The
-- gate lets one notifier at a time through; a notice that is not sent for it costs a waiter at most the time to
-- its next look, never a change.

create or replace function notify_document_change()
returns trigger language plpgsql security definer set search_path = {schema}, pg_temp as $$
begin
    if tg_op = 'INSERT' then
        perform rag_enqueue(array_agg(n.{id_column}::text), 'insert') from new_rows as n having count(*) > 0;
    elsif tg_op = 'DELETE' then
        perform rag_enqueue(array_agg(o.{id_column}::text), 'delete') from old_rows as o having count(*) > 0;
    elsif tg_op = 'TRUNCATE' then
        perform rag_enqueue(array_agg(document_id), 'delete')
        from (select document_id from rag_document_text union select document_id from rag_outbox) as known
        having count(*) > 0;
    else
        -- Rows that the statement really changed, in any column: an application that wants a document read again
        -- touches any of them. (*<> compares images, so that types without equality, such as json, do no harm.)
        perform rag_enqueue(array_agg(n.{id_column}::text), 'update')
        from new_rows as n left join old_rows as o on o.{id_column} = n.{id_column}
        where o.{id_column} is null or n *<> o
        having count(*) > 0;
        -- A document whose id changed is gone under its old one.
        perform rag_enqueue(array_agg(o.{id_column}::text), 'delete')
        from old_rows as o left join new_rows as n on n.{id_column} = o.{id_column}
        where n.{id_column} is null
        having count(*) > 0;
    end if;
    if pg_try_advisory_xact_lock(hashtext('rag_assets.notify'), 0) then
        notify {channel};
    end if;
    return null;
end
$$;

create or replace trigger rag_document_inserted after insert on {table}
    referencing new table as new_rows for each statement execute function notify_document_change();
create or replace trigger rag_document_updated after update on {table}
    referencing old table as old_rows new table as new_rows
    for each statement execute function notify_document_change();
create or replace trigger rag_document_deleted after delete on {table}
    referencing old table as old_rows for each statement execute function notify_document_change();
create or replace trigger rag_documents_truncated after truncate on {table}
    for each statement execute function notify_document_change();

-- Also for rows that logical replication applies.
alter table {table} enable always trigger rag_document_inserted;
alter table {table} enable always trigger rag_document_updated;
alter table {table} enable always trigger rag_document_deleted;
alter table {table} enable always trigger rag_documents_truncated;
