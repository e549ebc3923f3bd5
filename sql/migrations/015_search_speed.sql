-- How indexes of vectors and of words are looked at depends on the filter and the kind of search since: these had fewer
-- parameters.
drop function if exists rag_begin_scan(text, integer);
drop function if exists rag_rank_words(text[], float8[], bigint[], float8, integer, rag_filter, text);
