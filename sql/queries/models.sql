-- name: get_vectors
-- What a model made of these texts at its first use.
select vectors from rag_embedding_models where model = %(model)s and texts = %(texts)s::text[];

-- name: record_model
-- Remember it; where two do at once, the first counts.
insert into rag_embedding_models (model, texts, vectors) values (%(model)s, %(texts)s::text[], %(vectors)s::real[])
on conflict (model) do update set texts = excluded.texts, vectors = excluded.vectors, recorded_at = now()
where rag_embedding_models.texts <> excluded.texts;

-- name: forget_models
-- Forget models of which no vector is trusted: their next use is a first one.
delete from rag_embedding_models as m
where (%(model)s::text is null or m.model = %(model)s)
    and not exists (select from rag_document_chunks as c where c.embedding_model = m.model and not c.distrusted);

-- name: serve
-- Which model's vectors are searched.
insert into rag_serving (model) values (%(model)s)
on conflict (is_only) do update set model = excluded.model where rag_serving.model <> excluded.model;

-- name: hold_models
-- Have no model be added, served or dropped until the end of the transaction; who does waits for all who write.
select pg_advisory_xact_lock_shared(hashtext('rag_assets.models'), 0);

-- name: lock_models
-- Wait for all who write chunks, and let nobody begin until the end of the transaction.
select pg_advisory_xact_lock(hashtext('rag_assets.models'), 0);

-- name: list_models
-- All that were ever added, the first one first: name, settings, whether it is kept, and whether it serves.
select m.model, m.settings, m.is_kept, s.model is not null
from rag_models as m left join rag_serving as s using (model) order by m.added_at, m.model;

-- name: keep
-- Have a model's vectors be kept beside the others'.
insert into rag_models (model, settings) values (%(model)s, %(settings)s)
on conflict (model) do update set settings = excluded.settings, is_kept = true, added_at = excluded.added_at;

-- name: keep_first
-- The same of the model that served before any was added; what is known of it stays.
insert into rag_models (model, settings) values (%(model)s, %(settings)s) on conflict (model) do nothing;

-- name: keep_no_more
-- Have a model's vectors be written no more.
update rag_models set is_kept = false where model = %(model)s;

-- name: enqueue_lacking
-- Make documents pending, behind changes and first fills, that have no vectors of a model; and those that somebody works
-- on, who may not know of it yet. What was given up or is held stays so.
select coalesce(rag_enqueue(array_agg(document_id), 'update', 2::smallint), 0) from (
    select t.document_id from rag_document_text as t
    where t.chunk_count is distinct from 0 and not exists (
        select from rag_document_chunks as c where c.document_id = t.document_id and c.embedding_model = %(model)s
    ) and not exists (
        select from rag_outbox as o where o.document_id = t.document_id and (o.state <> 'pending' or not %(with_claimed)s)
    )
    union select o.document_id from rag_outbox as o
    where o.claimed_by is not null and o.state = 'pending' and %(with_claimed)s
) as lacking;

-- name: count_lacking
-- How many documents are indexed, how many of them have no vectors of a model, and of how many of those nobody is to make
-- some, with some of these.
select count(*), count(*) filter (where lacks), count(*) filter (where lacks and is_left),
    (array_agg(document_id order by document_id) filter (where lacks and is_left))[:%(named)s]
from (
    select t.document_id, t.chunk_count is distinct from 0 and not exists (
        select from rag_document_chunks as c where c.document_id = t.document_id and c.embedding_model = %(model)s
    ) as lacks, exists (
        select from rag_outbox as o where o.document_id = t.document_id and o.state <> 'pending'
    ) as is_left
    from rag_document_text as t
) as seen;

-- name: has_vectors
-- Whether there is any chunk of a model.
select exists (select from rag_document_chunks where embedding_model = %(model)s);

-- name: has_rest
-- Whether there is any chunk of a model, or what is known of its words, which goes last.
select exists (select from rag_word_totals where embedding_model = %(model)s)
    or exists (select from rag_word_changes where embedding_model = %(model)s)
    or exists (select from rag_document_chunks where embedding_model = %(model)s);

-- name: count_vectors
-- Chunks of a model, and the bytes of their vectors.
select count(*), coalesce(sum(pg_column_size(embedding)), 0)::bigint
from rag_document_chunks where embedding_model = %(model)s;

-- name: follow
-- Have documents count as read for the model that is kept, some at a time, and remove their chunks of another one; how
-- many documents that were. The row of a document is held by who writes it: neither waits for the other.
with held as materialized (
    select t.document_id from rag_document_text as t
    where t.document_id > %(after)s and (
        t.embedding_model = %(model)s or exists (
            select from rag_document_chunks as c
            where c.document_id = t.document_id and c.embedding_model = %(model)s
        )
    )
    order by t.document_id limit %(limit)s for update of t skip locked
),
gone as materialized (
    select c.id from rag_document_chunks as c join held using (document_id)
    where c.embedding_model = %(model)s order by c.id for update of c skip locked
),
removed as (
    delete from rag_document_chunks as c using gone where c.id = gone.id
),
followed as (
    update rag_document_text as t
    set embedding_model = %(serving)s, fingerprint = case t.fingerprint when %(old)s then %(new)s else t.fingerprint end,
        chunk_count = (
            select count(*) from rag_document_chunks as c
            where c.document_id = t.document_id and c.embedding_model = %(serving)s
        )
    from held where t.document_id = held.document_id and t.embedding_model = %(model)s
)
select document_id from held order by document_id;

-- name: remove_left
-- Remove chunks of a model whose document is not known any more; how many.
with gone as materialized (
    select c.id from rag_document_chunks as c where c.embedding_model = %(model)s
        and not exists (select from rag_document_text as t where t.document_id = c.document_id)
    order by c.id limit %(limit)s for update of c skip locked
),
removed as (delete from rag_document_chunks as c using gone where c.id = gone.id returning 1)
select count(*) from removed;

-- name: get_size
-- The bytes of tables, with their indexes and what lies apart.
select sum(pg_total_relation_size(name::regclass))::bigint from unnest(%(tables)s::text[]) as name;

-- name: wait_shortly
-- Have this session wait for no lock longer than so.
select set_config('lock_timeout', (%(seconds)s * 1000)::integer::text, false);

-- name: vacuum
-- Have the space of what was deleted be used again, and give back what lies at the end.
vacuum (analyze) {table};

-- name: shrink
-- Write a table anew, without what was deleted; nobody reads or writes it meanwhile.
vacuum (full, analyze) {table};

-- name: forget_words
-- Remove the statistics of words of a model that has no chunks any more; one at a time with who folds others.
select pg_advisory_xact_lock(hashtext('rag_assets.words'), 'rag_word_changes'::regclass::oid::integer);
delete from rag_word_changes where embedding_model = %(model)s;
delete from rag_word_counts where embedding_model = %(model)s;
delete from rag_word_totals where embedding_model = %(model)s;
