-- name: get_stored
-- What is known of documents: the key for "already done?", and what is told when it is. With a vector that is to be
-- made anew, or none of a model that is kept beside the one that serves, a document is not done.
select document_id, sha256, size_bytes, mtime_ns, version,
    case when exists (
        select from rag_document_chunks as c where c.document_id = t.document_id and c.distrusted
    ) or (t.chunk_count is distinct from 0 and exists (
        select from rag_models as m where m.is_kept and not exists (
            select from rag_document_chunks as c where c.document_id = t.document_id and c.embedding_model = m.model
        )
    )) then '' else fingerprint end,
    embedding_model, path, media_type, parser, pages,
    coalesce(chunk_count, (
        select count(*) from rag_document_chunks as c
        where c.document_id = t.document_id and c.embedding_model = t.embedding_model
    ))
from rag_document_text as t where document_id = any(%(ids)s::text[]);

-- name: upsert_text
-- Store what was read.
insert into rag_document_text (
    document_id, path, sha256, size_bytes, mtime_ns, version, media_type, parser, pages, title, metadata, warnings,
    content, fingerprint, embedding_model, chunk_count, language
) values (
    %(document_id)s, %(path)s, %(sha256)s, %(size)s, %(mtime_ns)s, %(version)s, %(media_type)s, %(parser)s, %(pages)s,
    %(title)s, %(metadata)s, %(warnings)s, %(content)s, %(fingerprint)s, %(model)s, %(chunk_count)s, %(language)s
) on conflict (document_id) do update set
    path = excluded.path, sha256 = excluded.sha256, size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns,
    version = excluded.version, media_type = excluded.media_type, parser = excluded.parser, pages = excluded.pages, title = excluded.title,
    metadata = excluded.metadata, warnings = excluded.warnings, content = excluded.content,
    fingerprint = excluded.fingerprint, embedding_model = excluded.embedding_model,
    chunk_count = excluded.chunk_count, language = excluded.language, updated_at = now();

-- name: move_text
-- An unchanged file under another path.
update rag_document_text as t set path = m.path
from unnest(%(ids)s::text[], %(paths)s::text[]) as m (document_id, path)
where t.document_id = m.document_id and t.path <> m.path;

-- name: refresh_facts
-- An unchanged file that was written anew: what spares the next look its hash. Who is storing the document knows better.
with known as materialized (
    select t.document_id, f.size_bytes, f.mtime_ns, f.version
    from rag_document_text as t
    join unnest(%(ids)s::text[], %(hashes)s::text[], %(sizes)s::bigint[], %(mtimes)s::bigint[], %(versions)s::text[])
        as f (document_id, sha256, size_bytes, mtime_ns, version) using (document_id, sha256)
    for update of t skip locked
)
update rag_document_text as t set size_bytes = k.size_bytes, mtime_ns = k.mtime_ns, version = k.version
from known as k where t.document_id = k.document_id;

-- name: delete_text
-- Forget a document.
delete from rag_document_text where document_id = %(document_id)s;

-- name: forget_all
-- Have no document count as unchanged.
update rag_document_text set fingerprint = '';

-- name: list_facts
-- Everything that is known of files, a page at a time, for reconciliation.
select document_id, sha256, size_bytes, mtime_ns, version, fingerprint, embedding_model, path, media_type, parser, pages,
    coalesce(chunk_count, (
        select count(*) from rag_document_chunks as c
        where c.document_id = t.document_id and c.embedding_model = t.embedding_model
    ))
from rag_document_text as t where document_id > %(after)s order by document_id limit %(limit)s;

-- name: list_hashes
-- The documents whose text is stored, and what was read.
select document_id, sha256 from rag_document_text;
