-- name: insert_log
-- Record how attempts ended, and add them to the totals.
with logged as (
    insert into rag_ingestion_log (
        document_id, path, run_id, status, stage, error_kind, error_message, content_sha256, media_type, parser, pages,
        characters, chunks, chunks_embedded, chunks_reused, chunks_deleted, tokens, embedding_model, server_build,
        seconds, warnings
    ) values %s returning *
)
insert into rag_ingestion_totals (
    status, error_kind, attempts, characters, chunks_embedded, chunks_reused, chunks_deleted, tokens,
    read_seconds, chunk_seconds, embed_seconds, write_seconds
)
select status, coalesce(error_kind, ''), count(*), sum(characters), sum(chunks_embedded), sum(chunks_reused),
    sum(chunks_deleted), sum(tokens), coalesce(sum((seconds ->> 'read')::float8), 0),
    coalesce(sum((seconds ->> 'chunk')::float8), 0), coalesce(sum((seconds ->> 'embed')::float8), 0),
    coalesce(sum((seconds ->> 'write')::float8), 0)
from logged group by 1, 2;

-- name: insert_fault
-- Record what no document is to blame for, once for each that somebody holds, however often it happens.
with affected as materialized (
    select o.document_id, d.{path_column}::text as path
    from rag_outbox as o left join {table} as d on d.{id_column} = {claimed_id}
    where o.claimed_by = %(claimed_by)s order by o.priority, o.enqueued_at limit %(limit)s
), replaced as (
    delete from rag_ingestion_log as l using affected as a
    where l.document_id = a.document_id and l.error_kind = any(%(kinds)s)
), logged as (
    insert into rag_ingestion_log (document_id, path, run_id, status, stage, error_kind, error_message)
    select distinct on (document_id) document_id, path, %(run_id)s, 'failed', 'embed', %(kind)s, %(message)s from affected
    returning document_id
), added as (
    insert into rag_ingestion_totals (
        status, error_kind, attempts, characters, chunks_embedded, chunks_reused, chunks_deleted, tokens,
        read_seconds, chunk_seconds, embed_seconds, write_seconds
    )
    select 'failed', %(kind)s, count(*), 0, 0, 0, 0, 0, 0, 0, 0, 0 from logged having count(*) > 0
)
select document_id from logged;

-- name: get_last
-- How the last attempt of all ended.
select error_kind, error_message from rag_ingestion_log order by id desc limit 1;

-- name: list_of_run
-- How a run's last attempt at each of these documents ended.
select distinct on (document_id)
    document_id, path, status, stage, error_kind, error_message, content_sha256, media_type, parser, pages,
    characters, chunks, chunks_embedded, chunks_reused, chunks_deleted, tokens, embedding_model, server_build,
    seconds, warnings
from rag_ingestion_log where document_id = any(%(ids)s::text[]) and run_id = %(run_id)s order by document_id, id desc;

-- name: list_failed
-- The documents of which an attempt failed in this run.
select distinct document_id from rag_ingestion_log where run_id = %(run_id)s and status = 'failed';

-- name: purge_log
-- Forget attempts that are older than this and not the last one of their document.
delete from rag_ingestion_log as l
where logged_at < now() - %(days)s * interval '1 day'
    and exists (select from rag_ingestion_log as n where n.document_id = l.document_id and n.id > l.id);

-- name: fold_totals
-- Have one row of the totals for each status and kind of error; their sums stay as they are.
with gone as (delete from rag_ingestion_totals returning *)
insert into rag_ingestion_totals (
    status, error_kind, attempts, characters, chunks_embedded, chunks_reused, chunks_deleted, tokens,
    read_seconds, chunk_seconds, embed_seconds, write_seconds
)
select status, error_kind, sum(attempts), sum(characters), sum(chunks_embedded), sum(chunks_reused),
    sum(chunks_deleted), sum(tokens), sum(read_seconds), sum(chunk_seconds), sum(embed_seconds), sum(write_seconds)
from gone group by 1, 2;
