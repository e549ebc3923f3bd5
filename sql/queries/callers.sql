-- name: limit_statements
-- How long a statement of this transaction may take, in milliseconds.
select set_config('statement_timeout', %(milliseconds)s::text, true);

-- name: become
-- Have the rest of the transaction run with this role's rights.
set local role {role};

-- name: claim
-- What policies of row-level security ask of who asks.
select set_config(name, value, true) from unnest(%(names)s::text[], %(values)s::text[]) as claim (name, value);

-- name: list_ids
-- A page of the ids of documents as the caller may see them, in their order as texts.
select document_id from (
    (select document_id from rag_document_text where %(after)s::text is null or document_id > %(after)s
        order by document_id limit %(limit)s)
    union
    (select document_id from rag_outbox where %(after)s::text is null or document_id > %(after)s
        order by document_id limit %(limit)s)
) as known order by document_id limit %(limit)s;

-- name: list_ids_in_state
-- The same of those in one state.
select document_id from rag_documents
where state = %(state)s and (%(after)s::text is null or document_id > %(after)s)
order by document_id limit %(limit)s;

-- name: get_documents
-- What rag_documents says of these documents; it would look at all of them. Nothing of those that the caller may not see.
select i.id as document_id, t.path, t.title, t.media_type, nullif(t.language, '') as language,
    rag_document_state(o) as state,
    (select count(*) from rag_document_chunks as c where c.document_id = i.id and c.embedding_model = %(model)s) as chunks,
    t.pages, t.size_bytes, t.embedding_model, t.updated_at as indexed_at, o.attempts, o.error_kind, o.last_error, t.metadata
from unnest(%(ids)s::text[]) with ordinality as i (id, place)
left join rag_document_text as t on t.document_id = i.id
left join rag_outbox as o on o.document_id = i.id
where t.document_id is not null or o.document_id is not null
order by i.place;

-- name: may_read_table
-- Whether the caller may read the application's table, and so how the rows of documents call their files.
select coalesce(has_table_privilege(to_regclass(%(table)s), 'select'), false);

-- name: list_attempts
-- The last attempts at a document, the newest first.
select status, stage, error_kind, error_message, logged_at as at, run_id, parser, pages, chunks, chunks_embedded,
    chunks_reused, tokens, embedding_model, seconds
from rag_ingestion_log where document_id = %(id)s order by id desc limit %(limit)s;

-- name: may_read_attempts
-- Whether the caller may read the log of attempts, which rag_grant_reading gives to nobody.
select has_table_privilege('rag_ingestion_log', 'select');

-- name: list_chunks
-- A page of a document's chunks, in their order.
select id as chunk_id, chunk_index, content, page, heading_path, char_start, char_end, token_count
from rag_document_chunks
where document_id = %(id)s and embedding_model = %(model)s and chunk_index >= %(first)s
order by chunk_index limit %(limit)s;

-- name: count_documents
-- Documents by state and kind of error, as the caller may see them.
select state, error_kind, count(*) from rag_documents group by 1, 2;

-- name: count_chunks
-- Chunks of the model, as the caller may see them.
select count(*) from rag_document_chunks where embedding_model = %(model)s;

-- name: get_oldest_pending
-- Seconds since the oldest change came that waits in the outbox, as the caller may see it; nothing where none waits.
select extract(epoch from now() - min(enqueued_at))::float8 from rag_outbox where state = 'pending';

-- name: is_ready
-- Whether what a search needs is there: the function and the model that serves.
select to_regprocedure('rag_serving_model()') is not null and to_regclass('rag_documents') is not null;
