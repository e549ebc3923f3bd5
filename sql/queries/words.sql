-- name: fold
-- Add what was written down to the statistics.
select rag_fold_words(%(at_least)s);

-- name: fill
-- Store the words of chunks that were there before.
select rag_fill_words(%(count)s);

-- name: list_without_language
-- Documents whose language nobody looked at.
select document_id, left(content, %(characters)s) from rag_document_text
where language is null order by document_id limit %(count)s;

-- name: set_languages
-- Note the languages of documents, where nobody did meanwhile.
update rag_document_text as t set language = l.language
from unnest(%(ids)s::text[], %(languages)s::text[]) as l (document_id, language)
where t.document_id = l.document_id and t.language is null;

-- name: follow_language
-- Have the documents follow this language from now on, all of them; not for a program that the index does not follow.
update rag_word_language set language = %(language)s, after = ''
where language is distinct from %(language)s and not exists (select from rag_owner where program <> %(program)s);

-- name: get_following
-- After which document those come that do not follow yet; none where all do, or somebody else has them follow.
select after from rag_word_language where after is not null for update skip locked;

-- name: list_after
-- The next documents with their language, whether they are text, and its beginning, as many as have so many chunks or
-- one; without that where somebody writes the document now. Source code is taken as it stands, whatever is set.
with next as materialized (
    select t.document_id,
        (select count(*) from rag_document_chunks as c where c.document_id = t.document_id) as chunks
    from rag_document_text as t where t.document_id > %(after)s order by t.document_id limit %(count)s
),
few as materialized (
    select n.document_id from (
        select document_id, sum(chunks) over (order by document_id) - chunks as before from next
    ) as n where n.before < %(chunks)s
),
free as materialized (
    select t.document_id, t.language, t.content from rag_document_text as t join few using (document_id)
    for no key update of t skip locked
)
select few.document_id, free.document_id is not null, free.language, left(free.content, %(characters)s), exists (
    select from rag_document_chunks as c where c.document_id = few.document_id and c.kind <> 'code'
)
from few left join free using (document_id) order by few.document_id;

-- name: change_languages
-- Note other languages of documents; the words of their chunks follow.
update rag_document_text as t set language = l.language
from unnest(%(ids)s::text[], %(languages)s::text[]) as l (document_id, language)
where t.document_id = l.document_id and t.language <> l.language;

-- name: set_following
-- How far the documents follow; null: all do.
update rag_word_language set after = %(after)s;

-- name: check
-- Compare the statistics with a recount.
select embedding_model, word, counted, kept from rag_check_words() order by 1, 2 limit %(limit)s;
