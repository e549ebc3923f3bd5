-- Words that touch a script without spaces, as of "Docker" in front of a Chinese word, were not found alone; and what a
-- question requires was asked of documents in languages that are not theirs, as chunks' words did not tell their own. The
-- words of chunks that are there are taken anew, some at a time.

delete from rag_words_missing;
insert into rag_words_missing (after, upto)
select 0, max(id) from rag_document_chunks having max(id) is not null;
