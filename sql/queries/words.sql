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

-- name: check
-- Compare the statistics with a recount.
select embedding_model, word, counted, kept from rag_check_words() order by 1, 2 limit %(limit)s;

-- name: recount
-- Count all words anew.
select rag_recount_words();
