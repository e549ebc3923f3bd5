-- The index at a glance; `rag-assets status` shows the same numbers.

create or replace view rag_status as
with pending as (
    select o.*, claimed_by like 'run:%' and claimed_until > now() as running from rag_outbox as o
)
select
    (select count(*) from {table}) as documents,
    (select count(*) from {table} as d
        join rag_document_text as t on t.document_id = d.{id_column}::text
        where not exists (select from rag_outbox as o where o.document_id = t.document_id)) as up_to_date,
    (select count(*) from pending where state = 'pending') as pending,
    (select min(enqueued_at) from pending where state = 'pending') as oldest_pending_at,
    (select count(*) from pending where running) as running,
    (select coalesce(jsonb_object_agg(error_kind, n), '{{}}') from (
        select error_kind, count(*) as n from pending
        where state = 'pending' and error_kind is not null group by 1) as f) as failed,
    (select coalesce(jsonb_object_agg(error_kind, n), '{{}}') from (
        select error_kind, count(*) as n from pending
        where state = 'dead' and error_kind is not null group by 1) as f) as dead,
    (select count(*) from rag_document_chunks) as chunks,
    (select count(*) from rag_document_chunks where embedding is not null) as chunks_with_vector;
