-- Vectors lie in the row they belong to, and not beside the table where each comparison would look them up one by one:
-- comparing all of 10,000 takes a fifth of the time, and no more space. Text that does not fit then lies beside. Rows
-- that are there stay as they are, and are found all the same; what is written from now on lies like this.

alter table rag_document_chunks alter column embedding set storage main;

-- The words of a chunk, on the other hand, lie beside their row, so that a search which visits thousands of rows for
-- their length alone finds a hundred of them on a page, and not five: that takes a fifth of the time. PostgreSQL moves
-- values out of rows from 2 kB on only, whatever toast_tuple_target says; the filler makes every row so long, and is
-- itself compressed to some thirty bytes.

alter table rag_chunk_words add column filler text not null default repeat(' ', 2100);

comment on column rag_chunk_words.filler is 'Spaces, which have PostgreSQL keep `words` beside the table; see migration 013.';
