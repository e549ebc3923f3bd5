-- The trigger on the application's table. Names in braces are filled in by `migrate`, quoted as identifiers.
--
-- It makes no write of the application fail: what goes wrong here, be it a column that was renamed or a table of ours
-- that is gone, is written down as a question about the whole table, and `status` says what to do. The first change of
-- a transaction is therefore written in a subtransaction. From then on, our table cannot be altered by others before
-- the end, and only what depends on the application's columns is tried: a subtransaction that writes, for each of many
-- rows, would slow down every snapshot of the server.
--
-- For each row, as partitions have such triggers from their table, and one row is what a statement nearly always
-- changes: without transition tables it costs half. One INSERT into a table without indexes: nobody waits here, no row
-- of ours is locked, and what several changes of a document come to is decided when they are taken. Every UPDATE is a
-- change: so an application says that a file has new content.
--
-- NOTIFY takes a lock that all notifying transactions of a database queue for at commit: ungated, it made 16 writers
-- 8 to 23 times slower. The gate, one for the whole database as that lock is, lets one notifier at a time through; a
-- notice that is not sent for it costs a waiter at most the time to its next look, never a change. A transaction that
-- notified cannot be prepared for two-phase commit: where that is in use, looks have to do.
--
-- An expression is prepared once in each transaction, so that few stand on the way of a change, and the notice costs as
-- much as all the rest of it: one INSERT serves all operations (old has no id where a row is new, new has none where it is
-- gone) and `return new`, which is none, ends every way. A change without an id is written down, too, and taken for
-- nothing.
--
-- What a transaction has done already stands in settings of its own whose names have the schema in them: a database may
-- have several indexes, and a transaction may write to the tables of two.
--
-- Security definer, so that writers need no rights on our tables: every name and operator says its schema, which is
-- cheaper than a search_path of its own.

create or replace function notify_document_change()
returns trigger language plpgsql security definer {id_settings} as $$
declare
    new_id text;
    old_id text;
begin
    if pg_catalog.current_setting({wrote}, true) operator(pg_catalog.=) 'yes'
        and tg_level operator(pg_catalog.=) 'ROW'
    then
        begin
            {unless_changed}
            new_id := new.{id_column}::pg_catalog.text;
            old_id := old.{id_column}::pg_catalog.text;
        exception when insufficient_resources then
            raise;
        when others then
            begin
                insert into {schema}.rag_looks (reason) values (pg_catalog.left(sqlerrm, 500));
            exception when others then
                null;  -- then reconciliation finds it
            end;
            return new;
        end;
        insert into {schema}.rag_changes (operation, document_id)
        values (pg_catalog.lower(tg_op), coalesce(new_id, old_id));
        if old_id operator(pg_catalog.<>) new_id then
            insert into {schema}.rag_changes (operation, document_id) values ('delete', old_id);
        end if;
        return new;
    end if;
    begin
        if tg_op operator(pg_catalog.<>) 'TRUNCATE' then
            {unless_changed}
            insert into {schema}.rag_changes (operation, document_id)
            values (pg_catalog.lower(tg_op), coalesce(new.{id_column}, old.{id_column})::pg_catalog.text);
            if old.{id_column}::pg_catalog.text operator(pg_catalog.<>) new.{id_column}::pg_catalog.text then
                insert into {schema}.rag_changes (operation, document_id)
                values ('delete', old.{id_column}::pg_catalog.text);
            end if;
        elsif (pg_catalog.current_setting({truncated}, true) operator(pg_catalog.=) 'yes') is not true then
            -- The table and each partition; the first tells of all that is known.
            perform pg_catalog.set_config({truncated}, 'yes', true);
            insert into {schema}.rag_changes (operation, document_id)
            select 'delete', known.document_id from (
                select document_id from {schema}.rag_document_text
                union select document_id from {schema}.rag_document_chunks
                union select document_id from {schema}.rag_outbox
                union select document_id from {schema}.rag_changes
            ) as known;
        end if;
        if pg_catalog.set_config({wrote}, 'yes', true) operator(pg_catalog.=) 'yes'
            and pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('rag_assets.notify'), 0)
            and pg_catalog.current_setting('max_prepared_transactions') operator(pg_catalog.=) '0'
        then
            notify {channel};
        end if;
    exception when insufficient_resources then
        raise;  -- a full disk, or no memory: the server's own trouble, and the change would be lost
    when others then
        begin
            insert into {schema}.rag_looks (reason) values (pg_catalog.left(sqlerrm, 500));
        exception when others then
            null;  -- then reconciliation finds it
        end;
    end;
    return new;
end
$$;
