-- name: get_facts
-- pgvector's version, how many chunks a model has, the dimension of its vectors, and how many rows of chunks were
-- written or deleted since the server counts.
select (select extversion from pg_extension where extname = 'vector'),
    (select count(*) from rag_document_chunks where embedding_model = %(model)s),
    (select vector_dims(embedding) from rag_document_chunks where embedding_model = %(model)s limit 1),
    coalesce((select n_tup_ins + n_tup_upd + n_tup_del from pg_stat_all_tables
        where relid = 'rag_document_chunks'::regclass), 0);

-- name: list_indexes
-- The indexes of a model's vectors, the best first: whether each is whole, its size in bytes, and what was noted of it.
select i.name, i.kind, i.is_valid, i.size_bytes, (
    select obj_description(x.indexrelid, 'pg_class') from pg_index as x join pg_class as c on c.oid = x.indexrelid
    where x.indrelid = 'rag_document_chunks'::regclass and c.relname = i.name
)
from rag_vector_indexes(%(model)s) as i;

-- name: note
-- Keep what is known of an index beside it, and as long as it.
comment on index {name} is {noted};

-- name: now
-- The server's time.
select now();

-- name: count_pending
-- How many documents wait for their first attempt, or for a new one since they changed; those that failed are no
-- reason to wait for, nor are those that get vectors of a model that does not serve yet.
select (select count(*) from rag_outbox where state = 'pending' and error_kind is null and priority < 2)
    + (select count(*) from rag_changes);

-- name: is_building
-- Whether somebody builds or drops an index of vectors.
select exists (select from pg_locks where locktype = 'advisory' and granted and objid = 0 and objsubid = 2
    and database = (select oid from pg_database where datname = current_database())
    and classid = (hashtext('rag_assets.vector_index')::bigint & 4294967295)::oid);

-- name: lock_index_build
-- Whether nobody else builds or drops an index of vectors in this database, of whichever of its tables: each build takes
-- a large part of the server's memory. Until the session ends.
select pg_try_advisory_lock(hashtext('rag_assets.vector_index'), 0);

-- name: unlock_index_build
-- Let others build or drop.
select pg_advisory_unlock(hashtext('rag_assets.vector_index'), 0);

-- name: set_memory
-- How much memory a build takes, as far as the server may (2 GB on Windows before PostgreSQL 18); and it takes as long as
-- it takes.
select set_config('maintenance_work_mem', least(%(kilobytes)s, max_val::bigint) || 'kB', false),
    set_config('statement_timeout', '0', false)
from pg_settings where name = 'maintenance_work_mem';

-- name: build_alone
-- By one process: several share memory in /dev/shm, of which a container has 64 MB unless it is given more.
select set_config('max_parallel_maintenance_workers', '0', false);

-- name: create_hnsw
-- Beside the writers: they go on meanwhile.
create index concurrently {name} on rag_document_chunks using hnsw ((embedding::halfvec({dimension})) halfvec_cosine_ops)
    with (ef_construction = {width}) where embedding_model = {model};

-- name: create_ivfflat
-- The same with lists instead of a graph, where memory forbids that.
create index concurrently {name} on rag_document_chunks
    using ivfflat ((embedding::halfvec({dimension})) halfvec_cosine_ops) with (lists = {lists})
    where embedding_model = {model};

-- name: drop
-- Readers and writers go on meanwhile.
drop index concurrently if exists {name};

-- name: analyze
-- Have the planner know how many chunks there are of a model: searches choose by that between index and comparing all.
analyze rag_document_chunks;

-- name: limit_time
-- The end of a build that was broken off does not keep anybody waiting.
select set_config('statement_timeout', %(milliseconds)s, false);

-- name: get_progress
-- What a build is at, and how far: done and all of its blocks and rows. Nothing where it is hidden from this role, as
-- that of a session of another account is.
select phase, blocks_done, blocks_total, tuples_done, tuples_total
from pg_stat_progress_create_index where pid = %(pid)s and phase is not null;

-- name: nearest_by_index
-- The chunks that a search gives.
select chunk_id from rag_search_vectors(%(vector)s::vector, 10, null::rag_filter, %(model)s);

-- name: nearest_exactly
-- The chunks that are nearest, all compared.
select id from rag_document_chunks where embedding_model = %(model)s
order by embedding <=> %(vector)s::vector, id limit 10;
