-- Who sees what: a view of documents, and rows that follow the row-level security of rag_document_chunks.

-- What a document's row of the outbox, or that there is none, says of its state, as callers are told it.
create or replace function rag_document_state(waiting rag_outbox) returns text language sql stable as $$
    select case
        when waiting.document_id is null then 'indexed'
        when waiting.state = 'dead' then 'failed'
        when waiting.state in ('held', 'accepted') then waiting.state
        when waiting.claimed_by like 'run:%' and waiting.claimed_until > now() then 'running'
        else 'pending'
    end
$$;

-- Documents with their state and counts, those that wait for their first indexing included. As a function, because a
-- view reads its tables with the rights of its owner (security_invoker came with PostgreSQL 15), and a function that it
-- calls with those of the caller. Without settings of its own, so that the planner sees through it.
create or replace function rag_list_documents() returns table (
    document_id text, path text, title text, media_type text, language text, state text, chunks bigint, pages integer,
    size_bytes bigint, embedding_model text, indexed_at timestamptz, attempts integer, error_kind text, last_error text
) language sql stable as $$
    select coalesce(t.document_id, o.document_id),
        coalesce(t.path, case when o.error_kind is not null then o.failed_path end), t.title, t.media_type, t.language,
        {schema}.rag_document_state(o),
        (select count(*) from {schema}.rag_document_chunks as c
            where c.document_id = t.document_id and c.embedding_model = (select {schema}.rag_serving_model())),
        t.pages, t.size_bytes, t.embedding_model, t.updated_at, o.attempts, o.error_kind, o.last_error
    from {schema}.rag_document_text as t full join {schema}.rag_outbox as o on o.document_id = t.document_id
$$;

create or replace view rag_documents as select * from {schema}.rag_list_documents();

comment on view rag_documents is
    'One row per document: indexed, or waiting (pending, running, held, failed, accepted), as far as the caller may see it.';

-- Where rag_document_chunks has row-level security, have what is made of chunks follow it: of whose chunks a role sees
-- none, it sees neither text, words, errors nor attempts; and statistics, which would give away words, not at all
-- unless it sees every chunk. Where it has none, neither have these. Whether something was changed. Only the owner of
-- the tables may; `rag-assets init` does, and who enables or disables row-level security calls it after that.
create or replace function rag_follow_row_security() returns boolean
language plpgsql set search_path = {schema}, pg_catalog, pg_temp as $$
declare
    sees_all constant text := '(select not row_security_active(''rag_document_chunks''))';
    of_document constant text := sees_all
        || ' or exists (select from rag_document_chunks as c where c.document_id = %I.document_id)';
    of_chunk constant text := sees_all || ' or exists (select from rag_document_chunks as c where c.id = %I.chunk_id)';
    is_on boolean := (select relrowsecurity from pg_class where oid = 'rag_document_chunks'::regclass);
    has_changed boolean := false;
    one record;
begin
    for one in
        select f.name, f.visible, c.relrowsecurity as is_on,
            exists (select from pg_policy as p where p.polrelid = c.oid and p.polname = 'rag_follows_chunks') as has_policy
        from (values
            ('rag_document_text', of_document), ('rag_outbox', of_document), ('rag_ingestion_log', of_document),
            ('rag_chunk_words', of_chunk), ('rag_word_counts', sees_all), ('rag_word_totals', sees_all),
            ('rag_word_changes', sees_all), ('rag_changes', sees_all)
        ) as f (name, visible)
        join pg_class as c on c.oid = f.name::regclass
    loop
        if is_on and not one.has_policy then
            execute format(
                'create policy rag_follows_chunks on %I using (%s) with check (true)', one.name, format(one.visible, one.name)
            );
            has_changed := true;
        end if;
        if is_on <> one.is_on and (is_on or one.has_policy) then  -- what others enabled stays
            execute format(
                'alter table %I %s row level security', one.name, case when is_on then 'enable' else 'disable' end
            );
            has_changed := true;
        end if;
    end loop;
    return has_changed;
end
$$;

-- Let a role search and see the state of documents, and nothing else.
create or replace function rag_grant_reading(reader name) returns void
language plpgsql set search_path = {schema}, pg_catalog, pg_temp as $$
begin
    execute format('grant usage on schema %I to %I', current_schema(), reader);
    execute format(
        'grant select on rag_documents, rag_document_chunks, rag_document_text, rag_outbox, rag_chunk_words, '
        'rag_word_counts, rag_word_totals, rag_word_changes, rag_models, rag_serving to %I', reader
    );
end
$$;

-- Let a role ingest: what reads the application's table, and Dagster's state, is granted by `rag-assets init --roles`.
create or replace function rag_grant_working(worker name) returns void
language plpgsql set search_path = {schema}, pg_catalog, pg_temp as $$
begin
    perform rag_grant_reading(worker);
    execute format('grant select on rag_migrations to %I', worker);
    execute format(
        'grant select, insert, update, delete on rag_changes, rag_chunk_words, rag_document_chunks, rag_document_text, '
        'rag_embedder_starts, rag_embedding_models, rag_ingestion_log, rag_ingestion_totals, rag_looks, rag_models, '
        'rag_outbox, rag_owner, rag_runs, rag_serving, '
        'rag_word_changes, rag_word_counts, rag_word_language, rag_word_totals, rag_words_missing to %I', worker
    );
    execute format('grant select on rag_status to %I', worker);
    execute format('grant usage on sequence rag_outbox_generation to %I', worker);
end
$$;

-- Give all that is ours to a role, whose members may then migrate it and look after its index; who calls this owns it,
-- and is a member of the role, which may create in the schema.
create or replace function rag_grant_owning(new_owner name) returns void
language plpgsql set search_path = {schema}, pg_catalog, pg_temp as $$
declare
    role oid := (select r.oid from pg_roles as r where r.rolname = new_owner);
    one record;
begin
    for one in
        select format('%s %I', case c.relkind when 'v' then 'view' when 'c' then 'type' else 'table' end, c.relname) as what
        from pg_class as c
        where c.relnamespace = current_schema()::regnamespace and c.relname = any ({relations})
            and c.relowner <> role
        union all
        select 'function ' || p.oid::regprocedure from pg_proc as p
        where p.pronamespace = current_schema()::regnamespace and p.proname = any ({functions})
            and p.proowner <> role
    loop
        execute format('alter %s owner to %I', one.what, new_owner);
    end loop;
end
$$;

-- Functions that triggers call with the rights of their owner are nobody else's to call: on a table of his own, whoever
-- may make one would have them change what is indexed. A trigger that is there fires without.
create or replace function rag_close_triggers() returns void
language plpgsql set search_path = {schema}, pg_catalog, pg_temp as $$
declare
    one record;
begin
    for one in
        select p.oid::regprocedure as name from pg_proc as p
        where p.pronamespace = current_schema()::regnamespace and p.proname = any ({functions})
            and p.prosecdef and p.prorettype = 'trigger'::regtype
            and pg_has_role(p.proowner, 'usage') and has_function_privilege('public', p.oid, 'execute')
    loop
        execute format('revoke execute on function %s from public', one.name);
    end loop;
end
$$;

do $$ begin
    perform {schema}.rag_close_triggers();
    perform {schema}.rag_follow_row_security();
    -- what is new
    if exists (
        select from pg_class as c join pg_namespace as n on n.oid = c.relnamespace join pg_roles as r on r.oid = c.relowner
        where n.nspname = current_schema() and c.relname = 'rag_migrations' and r.rolname = 'rag_owner'
    ) then
        perform {schema}.rag_grant_owning('rag_owner');
    end if;
    if exists (select from pg_roles where rolname = 'rag_reader') then
        perform {schema}.rag_grant_reading('rag_reader');
    end if;
    -- tables that are new; a role that serves another database of the cluster alone is given nothing here
    if exists (
        select from pg_class as c join pg_namespace as n on n.oid = c.relnamespace, pg_roles as r
        where n.nspname = current_schema() and c.relname = 'rag_outbox' and r.rolname = 'rag_worker'
            and has_table_privilege(r.oid, c.oid, 'insert')
    ) then
        perform {schema}.rag_grant_working('rag_worker');
    end if;
end $$;
