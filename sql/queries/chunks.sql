-- name: list_stored_hashes
-- Which of these content hashes have a vector of this model.
select distinct content_sha256 from rag_document_chunks
where content_sha256 = any(%(hashes)s::text[]) and embedding_model = %(model)s;

-- name: get_vectors
-- One stored vector per content hash, in its text form.
select distinct on (content_sha256) content_sha256, embedding::text from rag_document_chunks
where content_sha256 = any(%(hashes)s::text[]) and embedding_model = %(model)s;

-- name: get_chunks
-- The chunks that a document has, without their content.
select id, content_sha256, embedding_model, chunk_index, char_start, char_end, page, heading_path, kind
from rag_document_chunks where document_id = %(document_id)s;

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

-- name: delete_document
-- Remove all chunks of a document.
delete from rag_document_chunks where document_id = %(document_id)s;

-- name: count_valid
-- Chunks of a document, and those of them whose vector has this dimension and length 1.
select count(*), count(*) filter (
    where vector_dims(embedding) = %(dimension)s and abs(vector_norm(embedding) - 1) < 0.01
) from rag_document_chunks where document_id = %(document_id)s;

-- name: get_dimension
-- The dimension of the column, and whether any chunk is stored.
select atttypmod, exists (select from rag_document_chunks) from pg_attribute
where attrelid = 'rag_document_chunks'::regclass and attname = 'embedding';

-- name: alter_dimension
-- Change the dimension of an empty table.
alter table rag_document_chunks alter column embedding type vector({dimension});

-- name: search
-- The nearest chunks by cosine distance; of the same words in several documents always the same one first.
select c.document_id, t.path, c.chunk_index, c.content, 1 - (c.embedding <=> %(vector)s::vector), c.page,
    c.heading_path
from rag_document_chunks as c left join rag_document_text as t using (document_id)
where c.embedding_model = %(model)s
order by c.embedding <=> %(vector)s::vector, c.document_id, c.chunk_index
limit %(k)s;
