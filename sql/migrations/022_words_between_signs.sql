-- Words between < and > were not kept, and what stood between & and ; neither. The words of chunks that are there are
-- taken anew, some at a time; searches find what they found before until then.

delete from rag_words_missing;
insert into rag_words_missing (after, upto)
select 0, max(id) from rag_document_chunks having max(id) is not null;

comment on table rag_words_missing is
    'The ids of chunks whose words are to be taken, for the first time or anew: a look does some at a time.';
