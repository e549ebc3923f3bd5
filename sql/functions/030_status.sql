-- The index at a glance; `rag-assets status` shows the same numbers.
-- A function stands between view and table, so that the application can still alter or drop its table.
-- A document is counted once: what a run works on is running, also if it changed meanwhile, and of several rows with
-- the same id, which are given up together, all but one are no documents. Rows without a usable id are dead.

create or replace function rag_count_status() returns table (
    documents bigint, up_to_date bigint, pending bigint, oldest_pending_at timestamptz, running bigint,
    failed jsonb, dead jsonb, chunks bigint, chunks_with_vector bigint
) language plpgsql stable as $$
begin
    return query
    with of_kind as (
        select o.state, o.error_kind, count(*) as n from rag_outbox as o where o.error_kind is not null group by 1, 2
    ),
    dead_of_kind as (
        select k.error_kind, k.n from of_kind as k where k.state = 'dead'
        union all select u.kind, count(*) from rag_unfit_rows() as u group by 1
    ),
    doubled as (
        select count(*) - count(distinct d.{id_column}::text) as n from {table} as d
        where d.{path_column} is not null and exists (select from of_kind as k where k.error_kind = 'id_doubled')
            and d.{id_column}::text in (select o.document_id from rag_outbox as o where o.error_kind = 'id_doubled')
    ),
    at_work as (
        select o.document_id from rag_outbox as o where o.claimed_by like 'run:%' and o.claimed_until > now()
    ),
    waiting as (
        select o.document_id from rag_outbox as o where o.state = 'pending'
        union select n.document_id from rag_changes as n where octet_length(n.document_id) <= {id_bytes}
        except select a.document_id from at_work as a
    )
    select
        (select count(*) from {table} as d where d.{path_column} is not null) - (select d.n from doubled as d),
        (select count(*) from {table} as d
            join rag_document_text as t on t.document_id = d.{id_column}::text
            where not exists (select from rag_outbox as o where o.document_id = t.document_id)
                and not exists (select from rag_changes as n where n.document_id = t.document_id)),
        (select count(*) from waiting),
        (select least((select min(o.enqueued_at) from rag_outbox as o where o.state = 'pending'),
            (select min(n.changed_at) from rag_changes as n))),
        (select count(*) from at_work),
        (select coalesce(jsonb_object_agg(k.error_kind, k.n), '{{}}') from of_kind as k where k.state = 'pending'),
        (select coalesce(jsonb_object_agg(k.error_kind, k.n), '{{}}') from dead_of_kind as k),
        (select count(*) from rag_document_chunks as c where c.embedding_model = (select rag_serving_model())),
        (select count(*) from rag_document_chunks as c
            where c.embedding_model = (select rag_serving_model()) and c.embedding is not null);
end
$$;

create or replace view rag_status as
select s.*, (select count(*) from rag_outbox as o where o.state = 'held') as held,
    (select coalesce(jsonb_object_agg(k.error_kind, k.n), '{{}}') from (
        select o.error_kind, count(*) as n from rag_outbox as o where o.state = 'accepted' group by 1
    ) as k) as accepted
from rag_count_status() as s;
