-- name: list_stored_hashes
-- Which of these content hashes have a vector of this model.
select distinct content_sha256 from rag_document_chunks
where content_sha256 = any(%(hashes)s::text[]) and embedding_model = %(model)s and not distrusted;

-- name: get_vectors
-- One stored vector per content hash, in its text form.
select distinct on (content_sha256) content_sha256, embedding::text from rag_document_chunks
where content_sha256 = any(%(hashes)s::text[]) and embedding_model = %(model)s and not distrusted;

-- name: get_chunks
-- The chunks that a document has of a model, without their content; without a hash where the vector is to be made anew.
select id, case when distrusted then '' else content_sha256 end, chunk_index, char_start, char_end, page, heading_path,
    kind
from rag_document_chunks where document_id = %(document_id)s and embedding_model = %(model)s;

-- name: insert_chunks
-- Add chunks with their vectors.
insert into rag_document_chunks (
    document_id, chunk_index, content, content_sha256, token_count, char_start, char_end, page, heading_path, kind,
    embedding, embedding_model
) values %s;

-- name: move_chunks
-- Give chunks that kept their content their new place.
update rag_document_chunks as c
set chunk_index = m.chunk_index, char_start = m.char_start, char_end = m.char_end, page = m.page,
    heading_path = m.heading_path, kind = m.kind
from (values %s) as m (id, chunk_index, char_start, char_end, page, heading_path, kind)
where c.id = m.id;

-- name: delete_chunks
-- Remove chunks that the document no longer has.
delete from rag_document_chunks where id = any(%(ids)s::bigint[]);

-- name: delete_others
-- Remove a document's chunks of all models but these; how many.
delete from rag_document_chunks where document_id = %(document_id)s and embedding_model <> all(%(models)s::text[]);

-- name: delete_document
-- Remove all chunks of a document.
delete from rag_document_chunks where document_id = %(document_id)s;

-- name: count_valid
-- A model's chunks of a document, and those of them whose vector has this dimension and length 1.
select count(*), count(*) filter (
    where vector_dims(embedding) = %(dimension)s and abs(vector_norm(embedding) - 1) < 0.01
) from rag_document_chunks where document_id = %(document_id)s and embedding_model = %(model)s;

-- name: has_vectors
-- Whether chunks have a place for their vector: it goes with the extension.
select exists (
    select from pg_attribute
    where attrelid = 'rag_document_chunks'::regclass and attname = 'embedding' and not attisdropped
);

-- name: create_extension
-- The type vector.
create extension if not exists vector;

-- name: add_vectors
-- The place for vectors; chunks that had one and lost it are cut and embedded anew.
delete from rag_document_chunks;
alter table rag_document_chunks add column embedding vector not null;
alter table rag_document_chunks alter column embedding set storage main;

-- name: get_dimension
-- The dimension of the stored vectors, where they are those of the settings.
select vector_dims(embedding) from rag_document_chunks where not exists (select from rag_models) limit 1;

-- name: sample_vectors
-- A few trusted chunks of a model with their vectors, from places that chance chooses.
select distinct c.id, c.content, c.heading_path, c.content_sha256, c.embedding::text
from (
    select least + floor(random() * (most - least + 1)) as place
    from (select min(id) as least, max(id) as most from rag_document_chunks) as ends, generate_series(1, %(count)s)
) as places, lateral (
    select * from rag_document_chunks
    where id >= place and embedding_model = %(model)s and not distrusted order by id limit 1
) as c
order by c.id;

-- name: list_vectors
-- Chunks with their vectors, a page at a time: of a selection.
select c.id, c.content, c.heading_path, c.content_sha256, c.embedding::text
from rag_document_chunks as c
where c.id > %(after)s and c.embedding_model = %(current)s and {selection}
order by c.id limit %(limit)s;

-- name: selection
-- The chunks that `rag-assets reembed` is to make anew; what is null does not matter.
not c.distrusted
    and (%(ids)s::text[] is null or c.document_id = any(%(ids)s::text[]))
    and (%(model)s::text is null or c.embedding_model = %(model)s)
    and (%(after_time)s::timestamptz is null or c.created_at >= %(after_time)s)
    and (%(before_time)s::timestamptz is null or c.created_at < %(before_time)s)
    and (%(run)s::text is null or exists (
        select from rag_ingestion_log as l where l.document_id = c.document_id and l.run_id = %(run)s))
    and (%(path)s::text is null or exists (
        select from rag_document_text as t where t.document_id = c.document_id and t.path like %(path)s))

-- name: list_selected
-- The content hashes of a selection's vectors, with their models.
select distinct c.content_sha256, c.embedding_model from rag_document_chunks as c where {selection};

-- name: list_sharing
-- The documents that have vectors of these content hashes and models: what is reused from one is in all of them.
select distinct c.document_id
from rag_document_chunks as c
join unnest(%(hashes)s::text[], %(models)s::text[]) as w (content_sha256, embedding_model)
    using (content_sha256, embedding_model)
where not c.distrusted;

-- name: distrust
-- Mark the vectors of these content hashes and models, in these documents; how many are marked by this.
with marked as (
    update rag_document_chunks as c set distrusted = true
    from unnest(%(hashes)s::text[], %(models)s::text[]) as w (content_sha256, embedding_model)
    where (c.content_sha256, c.embedding_model) = (w.content_sha256, w.embedding_model) and not c.distrusted
        and c.document_id = any(%(ids)s::text[])
    returning 1
)
select count(*) from marked;
