-- Search: vectors of several models side by side, the words of each chunk, and what is known of each word.

alter table rag_document_chunks alter column embedding type vector;  -- of any dimension; nothing is written anew
alter table rag_document_chunks drop constraint rag_document_chunks_place;
-- deferred: a moved chunk may take the place of another one that moves in the same transaction
alter table rag_document_chunks add constraint rag_document_chunks_place
    unique (document_id, embedding_model, chunk_index) deferrable initially deferred;

alter table rag_document_text add column language text;

comment on column rag_document_text.language is 'ISO 639-1, as it was detected or set; empty where that is unsure, null where nobody looked.';

create index rag_document_text_path on rag_document_text (path text_pattern_ops);
create index rag_document_text_metadata on rag_document_text using gin (metadata jsonb_path_ops);

create table rag_serving (
    is_only boolean primary key default true check (is_only),
    model   text not null
);

comment on table rag_serving is 'The model whose vectors are searched: one row.';

-- Apart from the chunks: a search visits thousands of rows, which lie close together here, and filling it for chunks
-- that were stored before leaves them, and the index of their vectors, untouched.
create table rag_chunk_words (
    chunk_id        bigint primary key,
    embedding_model text not null,
    language        text not null,
    length          integer not null,
    words           tsvector not null
) with (toast_tuple_target = 128);

alter table rag_chunk_words alter column words set storage external;

comment on table rag_chunk_words is 'One row per row of rag_document_chunks, kept by its triggers.';
comment on column rag_chunk_words.length is 'Words, those of title, file name and headings as often as they count.';
comment on column rag_chunk_words.words is
    'Title, file name and headings several times, as they count more; '' 2word'' and '' 4word'': it stands there so often.';

create index rag_chunk_words_words on rag_chunk_words using gin (words);

create table rag_word_counts (
    embedding_model text not null,
    word            text not null,
    chunks          bigint not null,
    primary key (embedding_model, word)
) with (fillfactor = 80);

comment on table rag_word_counts is 'In how many chunks a word stands; rag_word_changes are to be added.';

create table rag_word_totals (
    embedding_model text not null,
    language        text not null,
    chunks          bigint not null,
    length          bigint not null,
    primary key (embedding_model, language)
);

comment on table rag_word_totals is 'How many chunks there are, and their length together; rag_word_changes are to be added.';

create table rag_word_changes (
    id              bigint generated always as identity primary key,
    embedding_model text not null,
    language        text not null,
    chunks          bigint not null,
    length          bigint not null,
    words           text[] not null,
    counts          bigint[] not null
);

comment on table rag_word_changes is 'One row per statement that changed chunks, so that no writer waits for another.';

create table rag_words_missing (
    after bigint not null,
    upto  bigint not null
);

comment on table rag_words_missing is 'The ids of chunks that were stored before their words were: a look fills some at a time.';

insert into rag_words_missing (after, upto)
select 0, max(id) from rag_document_chunks having max(id) is not null;

-- What they do is said in sql/functions.
create function rag_words_of_new_chunks() returns trigger language plpgsql as $$ begin return null; end $$;
create function rag_words_of_old_chunks() returns trigger language plpgsql as $$ begin return null; end $$;
create function rag_words_of_changed_chunks() returns trigger language plpgsql as $$ begin return null; end $$;
create function rag_words_of_no_chunks() returns trigger language plpgsql as $$ begin return null; end $$;
create function rag_words_of_changed_texts() returns trigger language plpgsql as $$ begin return null; end $$;

create trigger rag_words_inserted after insert on rag_document_chunks referencing new table as new_chunks
    for each statement execute function rag_words_of_new_chunks();
create trigger rag_words_deleted after delete on rag_document_chunks referencing old table as old_chunks
    for each statement execute function rag_words_of_old_chunks();
create trigger rag_words_updated after update on rag_document_chunks
    referencing old table as old_chunks new table as new_chunks
    for each statement execute function rag_words_of_changed_chunks();
create trigger rag_words_truncated after truncate on rag_document_chunks
    for each statement execute function rag_words_of_no_chunks();
create trigger rag_words_retitled after update on rag_document_text
    referencing old table as old_texts new table as new_texts
    for each statement execute function rag_words_of_changed_texts();

create type rag_filter as (
    documents   text[],
    path_prefix text,
    path_glob   text,
    media_types text[],
    languages   text[],
    since       timestamptz,
    until       timestamptz,
    heading     text,
    metadata    jsonb,
    required    tsquery
);

comment on type rag_filter is 'Which chunks a search may give; what is null does not matter.';

create index rag_document_text_no_language on rag_document_text (document_id) where language is null;
