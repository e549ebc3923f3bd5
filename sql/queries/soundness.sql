-- name: share
-- The share of a table's pages, in percent, that has about so many rows; all of them where there are fewer.
least(100, 100.0 * %(rows)s / greatest((select reltuples from pg_class where oid = {of}::regclass), 1))

-- name: look_at_texts
-- Of a sample of texts that nobody works on: how many there are, how many are empty or have not all of their chunks, and
-- some of those.
select count(*), count(*) filter (where is_empty), count(*) filter (where is_short and not is_empty),
    (array_agg(document_id) filter (where is_empty or is_short))[:%(named)s]
from (
    select t.document_id, t.content = '' as is_empty, n.chunks = 0 or n.chunks <> t.chunk_count as is_short
    from rag_document_text as t tablesample system ({share}) cross join lateral (
        select count(*) as chunks from rag_document_chunks as c
        where c.document_id = t.document_id and c.embedding_model = t.embedding_model
    ) as n
    where not exists (select from rag_outbox as o where o.document_id = t.document_id)
) as seen;

-- name: count_failed
-- How many documents there are, and how many failed: that are given up, or wait for another attempt.
select (select count(*) from {table} as d where d.{path_column} is not null),
    (select count(*) from rag_outbox where state in ('pending', 'dead') and error_kind is not null);

-- name: look_at_owners
-- Of a sample of chunks: how many there are, how many are of no document of the table, and some of those documents;
-- what nobody has seen of the outbox yet may be their deletion.
with sampled as (
    select document_id, count(*) as chunks from rag_document_chunks as c tablesample system ({share}) group by 1
), ownerless as (
    select s.* from sampled as s
    where not exists (select from {table} as d where d.{id_column}::text = s.document_id)
        and not exists (select from rag_outbox as o where o.document_id = s.document_id)
        and not exists (select from rag_changes as n where n.document_id = s.document_id)
)
select (select coalesce(sum(chunks), 0)::bigint from sampled), coalesce(sum(chunks), 0)::bigint,
    (array_agg(document_id))[:%(named)s]
from ownerless;

-- name: look_at_coverage
-- How many documents there are, how many have chunks, and how many of the others nobody works on or knows to have
-- failed, with some of those.
select count(*), count(*) filter (where has_chunks), count(*) filter (where is_overlooked),
    (array_agg(document_id) filter (where is_overlooked))[:%(named)s]
from (
    select d.id as document_id, has_chunks, not has_chunks
        and not exists (select from rag_outbox as o where o.document_id = d.id)
        and not exists (select from rag_changes as n where n.document_id = d.id) as is_overlooked
    from (
        select {id_column}::text as id from {table}
        where {path_column} is not null and octet_length({id_column}::text) <= %(id_bytes)s
    ) as d cross join lateral (
        select exists (select from rag_document_chunks as c where c.document_id = d.id) as has_chunks
    ) as has
) as seen;

-- name: look_at_vectors
-- Of a sample of chunks that nobody works on: how many there are, how many have a vector of another dimension, of
-- another length than 1 (as zero has, and what is not finite), or of another model than this one, with some of their
-- documents; and the model whose vectors are searched.
select count(*), count(*) filter (where is_other_size), count(*) filter (where is_other_length),
    count(*) filter (where is_other_model),
    (array_agg(distinct document_id) filter (where is_other_size or is_other_length or is_other_model))[:%(named)s],
    rag_serving_model()
from (
    select c.document_id, c.embedding_model = %(model)s and vector_dims(c.embedding) <> %(dimension)s as is_other_size,
        (abs(vector_norm(c.embedding) - 1) < 0.01) is not true as is_other_length,
        c.embedding_model <> %(model)s
            and not exists (select from rag_models as m where m.model = c.embedding_model) as is_other_model
    from rag_document_chunks as c tablesample system ({share})
    where not c.distrusted and not exists (select from rag_outbox as o where o.document_id = c.document_id)
) as seen;

-- name: look_at_waiting
-- How many documents are due and wait, for how many seconds the first of them has, and for how many nobody has worked on
-- any. Runs that end for want of an engine or memory work on none: they leave a fault in the log, and are at it for a
-- moment.
select count(*), extract(epoch from now() - min(due_at))::float8, extract(epoch from now() - greatest(
    (select logged_at from rag_ingestion_log where (error_kind = any(%(faults)s)) is not true order by id desc limit 1),
    (select max(progressed_at) from rag_runs
        where not %(is_fault)s or started_at < now() - %(starting)s * interval '1 second')
))::float8
from (
    select case when error_kind is null then enqueued_at else not_before end as due_at from rag_outbox
    where state = 'pending'
    union all select changed_at from rag_changes
) as waiting
where due_at <= now();
