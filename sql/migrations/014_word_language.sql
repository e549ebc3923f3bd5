-- The language that is set for all documents decides how their words are taken. When it changes, documents that are
-- there follow, some at a time.

create table rag_word_language (
    is_only  boolean primary key default true check (is_only),
    language text,
    after    text
);

comment on table rag_word_language is 'One row: the language set for all documents, and how far they follow it.';
comment on column rag_word_language.language is 'ISO 639-1; null: each document has its own, as it is detected.';
comment on column rag_word_language.after is 'Documents after this id are still to be looked at; null: none.';

insert into rag_word_language (language, after) values (null, null);
