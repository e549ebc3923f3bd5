-- In databases whose character type is C, as the embedded one's, words beside dashes, curly quotes, bullets and other signs
-- beyond ASCII were kept together with them. The words of chunks that are there are taken anew, some at a time.

drop function if exists rag_without_tags(text);

delete from rag_words_missing;
insert into rag_words_missing (after, upto)
select 0, max(id) from rag_document_chunks having max(id) is not null;
