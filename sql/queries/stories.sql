-- name: list_stories
-- What is known of documents: what was read of the file, and what waits. The row is looked for by who asks.
-- A change that nobody has taken up yet is pending, too. The model is the one that serves, where it has the document.
select i.id, t.path, t.media_type, t.parser, t.pages, char_length(t.content), t.language, t.title, t.warnings, t.metadata,
    t.size_bytes, t.sha256, to_timestamp(t.mtime_ns / 1e9), left(t.content, 300), coalesce(
        (select s.model from rag_serving as s where exists (
            select from rag_document_chunks as c where c.document_id = i.id and c.embedding_model = s.model
        )), t.embedding_model
    ), t.updated_at,
    (select l.server_build from rag_ingestion_log as l
        where l.document_id = i.id and l.status = 'completed' and l.server_build is not null order by l.id desc limit 1),
    o.operation, o.state, o.attempts, o.enqueued_at, o.error_kind, o.last_error,
    case when o.state = 'pending' then greatest(0, extract(epoch from o.not_before - now()))::float8 end,
    case when o.claimed_until > now() then o.claimed_by end,
    case when o.claimed_until > now()
        then (select r.parts -> i.id from rag_runs as r where 'run:' || r.run_id = o.claimed_by) end,
    exists (select from rag_changes as n where n.document_id = i.id)
from unnest(%(ids)s::text[]) with ordinality as i (id, place)
left join rag_document_text as t on t.document_id = i.id
left join rag_outbox as o on o.document_id = i.id
order by i.place;

-- name: list_cuts
-- How a document was cut, in the order of its chunks.
select chunk_index, token_count, page, heading_path, kind, distrusted, created_at
from rag_document_chunks where document_id = %(id)s and embedding_model = %(model)s order by chunk_index;
