-- name: get_facts
-- pgvector's version, how many chunks a model has, and the dimension of its vectors.
select (select extversion from pg_extension where extname = 'vector'),
    (select count(*) from rag_document_chunks where embedding_model = %(model)s),
    (select vector_dims(embedding) from rag_document_chunks where embedding_model = %(model)s limit 1);

-- name: get_index
-- The best index of a model's vectors, whether it is whole, and its size in bytes.
select name, kind, is_valid, size_bytes from rag_vector_indexes(%(model)s) limit 1;

-- name: lock_index_build
-- Whether nobody else builds or drops an index of vectors here; until the session ends.
select pg_try_advisory_lock(hashtext('rag_assets.vector_index'), 0);

-- name: unlock_index_build
-- Let others build or drop.
select pg_advisory_unlock(hashtext('rag_assets.vector_index'), 0);

-- name: set_memory
-- How much memory a build takes, as 512MB; and it takes as long as it takes.
select set_config('maintenance_work_mem', %(memory)s, false), set_config('statement_timeout', '0', false);

-- name: create_hnsw
-- Beside the writers: they go on meanwhile.
create index concurrently {name} on rag_document_chunks using hnsw ((embedding::halfvec({dimension})) halfvec_cosine_ops)
    where embedding_model = {model};

-- name: create_ivfflat
-- The same with lists instead of a graph, where memory forbids that.
create index concurrently {name} on rag_document_chunks
    using ivfflat ((embedding::halfvec({dimension})) halfvec_cosine_ops) with (lists = {lists})
    where embedding_model = {model};

-- name: drop
-- Readers and writers go on meanwhile.
drop index concurrently if exists {name};

-- name: get_progress
-- What a build is at, and how far: done and all of its blocks and rows.
select phase, blocks_done, blocks_total, tuples_done, tuples_total
from pg_stat_progress_create_index where relid = 'rag_document_chunks'::regclass limit 1;

-- name: nearest_by_index
-- The chunks that a search gives.
select chunk_id from rag_search_vectors(%(vector)s::vector, 10, null, %(model)s);

-- name: nearest_exactly
-- The chunks that are nearest, all compared.
select id from rag_document_chunks where embedding_model = %(model)s
order by embedding <=> %(vector)s::vector, id limit 10;
