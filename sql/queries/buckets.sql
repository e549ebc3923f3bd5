-- name: get_bucket
-- The number of a document's bucket, as an expression of an index; list_ids_of_buckets has the same of the table.
mod(('x' || left(md5(document_id), 8))::bit(32)::bigint, {buckets})

-- name: create_indexes
-- Have the documents of a bucket found without a look at all of them.
create index if not exists {texts} on rag_document_text ({bucket}, document_id);
create index if not exists {outbox} on rag_outbox ({bucket}, state, document_id);

-- name: has_indexes
-- Whether both are there.
select to_regclass(%(texts)s) is not null and to_regclass(%(outbox)s) is not null;

-- name: list_documents
-- Some documents of each of these buckets, what needs somebody first, and how many there are in it.
select a.bucket, f.document_id, f.state, f.error_kind, n.documents
from unnest(%(numbers)s::bigint[]) as a (bucket) cross join lateral (
    select count(*) + (  -- an aggregate: a plain expression would be computed for each document that is shown
        select count(*) from rag_outbox as o where {bucket} = a.bucket
            and not exists (
                select from rag_document_text as t where {bucket} = a.bucket and t.document_id = o.document_id
            )
    ) as documents from rag_document_text where {bucket} = a.bucket
) as n cross join lateral (
    select * from (
        select s.place, w.* from unnest(array['dead', 'pending', 'held', 'accepted']) with ordinality as s (state, place)
        cross join lateral (
            select o.document_id, rag_document_state(o) as state, o.error_kind from rag_outbox as o
            where {bucket} = a.bucket and o.state = s.state order by o.document_id limit %(limit)s
        ) as w
        union all (
            select 5, document_id, 'indexed', null from rag_document_text as t
            where {bucket} = a.bucket and not exists (
                select from rag_outbox as o where {bucket} = a.bucket and o.document_id = t.document_id
            )
            order by document_id limit %(limit)s
        )
    ) as members order by place, document_id limit %(limit)s
) as f order by a.bucket, f.place, rag_id_order(f.document_id), f.document_id;
