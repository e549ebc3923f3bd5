-- name: search
-- The best chunks for a question.
select chunk_id, document_id, path, title, chunk_index, content, page, heading_path, score, vector_rank,
    vector_score as similarity, word_rank, word_score, media_type, nullif(language, '') as language, char_start, char_end
from rag_search(
    query_text => %(query)s, query_embedding => %(vector)s::vector, k => %(k)s, mode => %(mode)s,
    documents => %(documents)s::text[], path_prefix => %(path_prefix)s, path_glob => %(path_glob)s,
    media_types => %(media_types)s::text[], languages => %(languages)s::text[], since => %(since)s::timestamptz,
    until => %(until)s::timestamptz, heading => %(heading)s, metadata => %(metadata)s::jsonb, model => %(model)s,
    fusion => %(fusion)s, vector_weight => %(vector_weight)s, candidates => %(candidates)s,
    query_language => %(query_language)s
);

-- name: neighbours
-- A chunk's own and its neighbours' words.
select chunk_index, content from rag_neighbours(%(chunk)s, %(count)s);

-- name: asked_for
-- The words of a question, and whether it requires or excludes something.
select words, required is not null from rag_parse_query(%(query)s, %(model)s, %(language)s);

-- name: excerpts
-- The parts of these texts that have most of a question's words, and the texts: both as words are taken from them.
select ts_headline(rag_word_config(h.language), s.spaced, q.words, %(options)s), s.spaced
from (
    select rag_any_of(array(select rag_word_query(word) from unnest(p.words) as word)) as words
    from rag_parse_query(%(query)s, %(model)s) as p
) as q, unnest(%(contents)s::text[], %(languages)s::text[]) with ordinality as h (content, language, place)
cross join lateral (select rag_spaced(h.content) as spaced offset 0) as s
order by h.place;

-- name: places
-- The documents that are called so: by id, path, file name, or file name without its ending.
select t.document_id, coalesce(t.path, '')
from rag_document_text as t
cross join lateral (select regexp_replace(t.path, E'^.*[/\\\\]', '') as file) as f
where t.document_id = any (%(named)s) or t.path = any (%(named)s) or f.file = any (%(named)s)
    or regexp_replace(f.file, E'\\.[^.]*$', '') = any (%(named)s);

-- name: has_path
-- Whether the path of a document begins so.
select exists (select from rag_document_text where starts_with(path, %(prefix)s));

-- name: any_path
-- The path of some document.
select path from rag_document_text limit 1;
