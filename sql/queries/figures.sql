-- name: count_waiting
-- Documents that wait, by state and kind of error.
select rag_document_state(o), coalesce(o.error_kind, ''), count(*) from rag_outbox as o group by 1, 2;

-- name: count_indexed
-- Documents that are in the index and wait for nothing.
select count(*) from rag_document_text as t
where not exists (select from rag_outbox as o where o.document_id = t.document_id);

-- name: count_chunks
-- Chunks of the model that serves.
select count(*) from rag_document_chunks where embedding_model = rag_serving_model();

-- name: begin_counting
-- Have statements end after so long, until end_counting.
savepoint counting;
select set_config('statement_timeout', %(milliseconds)s::text, true);

-- name: end_counting
-- Have the limits from before hold again; nothing was written in between. A statement that was ended is forgotten.
rollback to savepoint counting;
release savepoint counting;

-- name: get_backlog
-- Changes that no look has moved to the outbox, and how many seconds the oldest of all that is pending waits.
select (select count(*) from rag_changes),
    coalesce(extract(epoch from clock_timestamp() - least(
        (select min(enqueued_at) from rag_outbox where state = 'pending'), (select min(changed_at) from rag_changes)
    )), 0)::float8;

-- name: get_pending
-- Documents that wait, seconds since the oldest of their changes, how many wait after an error, by its kind, and how many
-- deletions wait for somebody's word.
select
    (select count(*) from (
        select document_id from rag_outbox where state = 'pending'
        union select document_id from rag_changes
        except select document_id from rag_outbox where claimed_by like 'run:%' and claimed_until > now()
    ) as waiting) as documents,
    coalesce(extract(epoch from clock_timestamp() - least(
        (select min(enqueued_at) from rag_outbox where state = 'pending'), (select min(changed_at) from rag_changes)
    )), 0)::float8 as oldest_seconds,
    (select coalesce(jsonb_object_agg(error_kind, n), '{}') from (
        select error_kind, count(*) as n from rag_outbox where state = 'pending' and error_kind is not null group by 1
    ) as failed) as kinds,
    (select count(*) from rag_outbox where state = 'held') as held;

-- name: sum_attempts
-- What was done in all, by how attempts ended.
select status, error_kind, sum(attempts)::bigint as attempts, sum(characters)::bigint as characters,
    sum(chunks_embedded)::bigint as chunks_embedded, sum(chunks_reused)::bigint as chunks_reused,
    sum(chunks_deleted)::bigint as chunks_deleted, sum(tokens)::bigint as tokens, sum(read_seconds) as read_seconds,
    sum(chunk_seconds) as chunk_seconds, sum(embed_seconds) as embed_seconds, sum(write_seconds) as write_seconds
from rag_ingestion_totals group by 1, 2 order by 1, 2;

-- name: list_starts
-- How often the embedding server was started for each model, and the seconds that this took.
select model, starts, seconds from rag_embedder_starts order by model;

-- name: add_start
-- Count a start of the embedding server.
insert into rag_embedder_starts as s (model, starts, seconds) values (%(model)s, 1, %(seconds)s)
on conflict (model) do update
set starts = s.starts + 1, seconds = s.seconds + excluded.seconds, started_at = excluded.started_at;

-- name: get_sizes
-- The model that serves, and the bytes of its tables with all their indexes.
select rag_serving_model(), pg_total_relation_size('rag_document_chunks') + pg_total_relation_size('rag_document_text')
    + pg_total_relation_size('rag_chunk_words');

-- name: count_ticks
-- How many looks of sensors and schedules Dagster ever began: the last number that it gave; null where it keeps them elsewhere.
select max(last_value) from pg_sequences where schemaname = %(schema)s and sequencename = 'job_ticks_id_seq';
