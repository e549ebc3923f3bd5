-- The words of chunks, for search by words: how they are taken from a text, and the statistics of them.
--
-- Statistics are kept right without a row that all writers wait for: each statement that changes chunks writes down one
-- row of differences (rag_word_changes), a search adds those that are not folded yet, and a look folds them.

-- The text search configuration of a language, by its ISO 639-1 code.
create or replace function rag_word_config(language text) returns regconfig language sql immutable parallel safe
return case language
    when 'ar' then 'pg_catalog.arabic' when 'hy' then 'pg_catalog.armenian' when 'eu' then 'pg_catalog.basque'
    when 'ca' then 'pg_catalog.catalan' when 'da' then 'pg_catalog.danish' when 'nl' then 'pg_catalog.dutch'
    when 'en' then 'pg_catalog.english' when 'fi' then 'pg_catalog.finnish' when 'fr' then 'pg_catalog.french'
    when 'de' then 'pg_catalog.german' when 'el' then 'pg_catalog.greek' when 'hi' then 'pg_catalog.hindi'
    when 'hu' then 'pg_catalog.hungarian' when 'id' then 'pg_catalog.indonesian' when 'ga' then 'pg_catalog.irish'
    when 'it' then 'pg_catalog.italian' when 'lt' then 'pg_catalog.lithuanian' when 'ne' then 'pg_catalog.nepali'
    when 'no' then 'pg_catalog.norwegian' when 'nb' then 'pg_catalog.norwegian' when 'nn' then 'pg_catalog.norwegian'
    when 'pt' then 'pg_catalog.portuguese' when 'ro' then 'pg_catalog.romanian' when 'ru' then 'pg_catalog.russian'
    when 'sr' then 'pg_catalog.serbian' when 'es' then 'pg_catalog.spanish' when 'sv' then 'pg_catalog.swedish'
    when 'ta' then 'pg_catalog.tamil' when 'tr' then 'pg_catalog.turkish' when 'yi' then 'pg_catalog.yiddish'
    else 'pg_catalog.simple'
end::regconfig;

-- A text of the same length in which signs that are of no word are spaces, where PostgreSQL's parser would see something
-- else in them: < begins a tag, over many lines up to the next >, and & with a name and ; is an entity, of which no word
-- is kept; and in a database with the character type C, as the embedded one, all beyond ASCII is a letter, also dashes,
-- quotes, bullets, spaces that do not break, arrows and pictures.
create or replace function rag_spaced(given text) returns text language sql immutable parallel safe
return regexp_replace(
    given,
    E'[<&\\u00a0-\\u00a9\\u00ab\\u00ac\\u00ae-\\u00b1\\u00b4\\u00b6-\\u00b8\\u00bb\\u00bf\\u00d7\\u00f7'
    '\\u037e\\u0387\\u055a-\\u055f\\u0589\\u058a\\u05be\\u05c0\\u05c3\\u05c6\\u05f3\\u05f4'
    '\\u0609-\\u060f\\u061b\\u061e\\u061f\\u066a-\\u066d\\u06d4\\u0964\\u0965\\u0970\\u0df4\\u0e3f\\u0e4f\\u0e5a\\u0e5b'
    '\\u0f01-\\u0f17\\u0f3a-\\u0f3d\\u104a-\\u104f\\u10fb\\u1360-\\u1368\\u1680\\u169b\\u169c\\u17d4-\\u17d6\\u17d8-\\u17db'
    '\\u1800-\\u180a\\u2000-\\u200b\\u2010-\\u2029\\u202f-\\u205f\\u207a-\\u207e\\u208a-\\u208e\\u20a0-\\u20cf'
    '\\u2116-\\u2118\\u2120-\\u2123\\u2190-\\u245f\\u2500-\\u2775\\u2794-\\u2bff\\u2e00-\\u2e2e\\u2e30-\\u2e7f'
    '\\u3000-\\u3004\\u3008-\\u3020\\u3030\\u30a0\\u30fb\\ufd3e\\ufd3f\\ufe10-\\ufe19\\ufe30-\\ufe6b'
    '\\uff01-\\uff0f\\uff1a-\\uff20\\uff3b-\\uff40\\uff5b-\\uff65\\uffe0-\\uffee\\ufffc\\ufffd'
    '\\U0001f000-\\U0001f0ff\\U0001f10d-\\U0001faff]',
    ' ', 'g'
);

-- Names with signs in them (ERR-4711, foo_bar, v2.3.1, AT&T, C++), each once, in small letters.
create or replace function rag_names(given text) returns text[] language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp as $$
begin
    return (
        select array_agg(distinct lower(m[1]))
        from regexp_matches(
            given, E'([[:alnum:]]+(?:[-_./\\\\:@#+~&]+[[:alnum:]]+)+|[[:alpha:]][[:alnum:]]*(?:\\+\\+|#))', 'g'
        ) as m (m)
        where octet_length(m[1]) <= 200
    );
end
$$;

-- A run of characters of a script that sets no spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese, Korean.
create or replace function rag_scripts_without_spaces() returns text language sql immutable parallel safe
return E'([\\u0e00-\\u0eff\\u1000-\\u109f\\u1780-\\u17ff\\u3040-\\u30ff\\u3400-\\u9fff\\uac00-\\ud7af]+)';

-- The pairs of characters that stand side by side in a text of a script without spaces, each once, as there are no
-- words to be seen in it; a character that has none beside it, alone. Null where there is no such script.
create or replace function rag_character_pairs(given text) returns text[]
language plpgsql immutable parallel safe set search_path = {schema}, pg_catalog, pg_temp as $$
begin
    return (
        select array_agg(distinct substr(run[1], start, 2))
        from regexp_matches(given, rag_scripts_without_spaces(), 'g') as run,
            generate_series(1, greatest(char_length(run[1]) - 1, 1)) as start
    );
end
$$;

-- What is not of such a script, with spaces instead.
create or replace function rag_other_scripts(given text) returns text language sql immutable parallel safe
return regexp_replace(given, rag_scripts_without_spaces(), ' ', 'g');

-- What the parser of PostgreSQL takes apart, or puts together, otherwise than who looks for it writes it: such names,
-- whole and in parts, pairs of characters of scripts without spaces, and words of other scripts that touch these.
create or replace function rag_identifiers(config regconfig, given text) returns tsvector
language plpgsql immutable parallel safe set search_path = {schema}, pg_catalog, pg_temp as $$
declare
    wholes text[] := rag_names(given);
    pairs text[] := rag_character_pairs(given);
begin
    return array_to_tsvector(coalesce(wholes, '{{}}') || coalesce(pairs, '{{}}')) || strip(to_tsvector(config, concat_ws(
        ' ',
        (select string_agg(part, ' ') from unnest(wholes) as whole, regexp_split_to_table(whole, '[^[:alnum:]]+') as part
            where whole ~ '[[:alpha:]]' and char_length(part) > 1),
        case when pairs is not null then rag_spaced(rag_other_scripts(given)) end
    )));
end
$$;

-- The words of a chunk. What stands in its title, its file's name and its headings counts twice, or once more than in
-- the body where it stands there too. ' 2word' and ' 4word' say that a word stands there at least so often: so the
-- rows that a search of frequent words looks at can be few, and no word of a text begins with a space. ' :en' is the
-- language: what has to stand there, or must not, is asked of each document in its own.
create or replace function rag_words(language text, title text, path text, headings text[], body text)
returns tsvector language plpgsql immutable parallel safe
set search_path = {schema}, pg_catalog, pg_temp set client_min_messages = warning as $$
declare
    config regconfig := rag_word_config(language);
    name text := regexp_replace(coalesce(path, ''), E'^.*[/\\\\]', '');
    head text := left(coalesce(title, ''), 2000);
    above text := left(array_to_string(array_remove(headings, title), ' '), 2000);
    words tsvector;
begin
    words := setweight(to_tsvector(config, rag_spaced(head)), 'A')
        || setweight(to_tsvector(config, regexp_replace(name, '[^[:alnum:]]+', ' ', 'g')), 'A')
        || setweight(to_tsvector(config, rag_spaced(above)), 'B')
        || to_tsvector(config, rag_spaced(body));
    return words
        || rag_identifiers(config, concat_ws(' ', head, name, above, body))
        || array_to_tsvector(array[' :' || coalesce(language, '')])
        || array_to_tsvector(array(
            select ' ' || often || w.lexeme from unnest(words) as w, unnest('{{2,4}}'::integer[]) as often
            where cardinality(w.positions) >= often and octet_length(w.lexeme) <= 1000
        ));
end
$$;

-- How many words a chunk has, with repetitions.
create or replace function rag_word_length(words tsvector) returns integer language sql immutable parallel safe
return (select coalesce(sum(cardinality(w.positions)), 0) from unnest(words) as w);

-- Write down what these rows change in the statistics: 1 where they came, -1 where they went.
create or replace function rag_note_words(rows rag_chunk_words[], sign integer) returns void
language plpgsql set search_path = {schema}, pg_catalog, pg_temp as $$
begin
    with counted as (
        select r.embedding_model, r.language, e.word, count(*) as n
        from unnest(rows) as r, unnest(tsvector_to_array(r.words)) as e (word) group by 1, 2, 3
    )
    insert into rag_word_changes (embedding_model, language, chunks, length, words, counts)
    select r.embedding_model, r.language, sign * r.chunks, sign * r.length,
        coalesce(c.words, '{{}}'), coalesce(c.counts, '{{}}')
    from (
        select embedding_model, language, count(*) as chunks, sum(length) as length from unnest(rows) group by 1, 2
    ) as r
    left join (
        select embedding_model, language, array_agg(word) as words, array_agg(sign * n) as counts
        from counted group by 1, 2
    ) as c using (embedding_model, language);
end
$$;

-- The words of these chunks as they are taken from their texts now, whatever is stored.
create or replace function rag_take_words(ids bigint[])
returns table (chunk_id bigint, embedding_model text, language text, length integer, words tsvector)
language plpgsql stable set search_path = {schema}, pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    return query
    select c.id, c.embedding_model, coalesce(t.language, ''), rag_word_length(w.words), w.words
    from rag_document_chunks as c left join rag_document_text as t using (document_id)
    cross join lateral (
        select rag_words(t.language, t.title, t.path, c.heading_path, c.content) as words offset 0
    ) as w
    where c.id = any(ids);
end
$$;

-- Store the words of these chunks, and what that changes. Chunks that have theirs are left alone.
create or replace function rag_add_words(ids bigint[]) returns void
language plpgsql set search_path = {schema}, pg_catalog, pg_temp as $$
declare
    added rag_chunk_words[];
begin
    with stored as (
        insert into rag_chunk_words (chunk_id, embedding_model, language, length, words)
        select t.chunk_id, t.embedding_model, t.language, t.length, t.words from rag_take_words(ids) as t
        on conflict (chunk_id) do nothing
        returning rag_chunk_words as stored
    )
    select array_agg(s.stored) into added from stored as s;
    perform rag_note_words(added, 1);
end
$$;

-- Take the words of these chunks anew, where they were taken in another way before. Whom somebody changes meanwhile is
-- left alone, as that takes them anew; and who changes one after this waits, and then finds what is stored here.
create or replace function rag_renew_words(ids bigint[]) returns void
language plpgsql set search_path = {schema}, pg_catalog, pg_temp as $$
declare
    before rag_chunk_words[];
    after rag_chunk_words[];
begin
    before := array(select w from rag_chunk_words as w where w.chunk_id = any(ids) for update skip locked);
    with renewed as (
        update rag_chunk_words as w set language = t.language, length = t.length, words = t.words
        from rag_take_words(array(select b.chunk_id from unnest(before) as b)) as t
        where t.chunk_id = w.chunk_id and (t.language, t.words) is distinct from (w.language, w.words)
        returning w as renewed
    )
    select array_agg(r.renewed) into after from renewed as r;
    perform rag_note_words(array(select b from unnest(before) as b join unnest(after) as a using (chunk_id)), -1);
    perform rag_note_words(after, 1);
end
$$;

-- Forget the words of these chunks.
create or replace function rag_remove_words(ids bigint[]) returns void
language plpgsql set search_path = {schema}, pg_catalog, pg_temp as $$
declare
    removed rag_chunk_words[];
begin
    with gone as (delete from rag_chunk_words where chunk_id = any(ids) returning rag_chunk_words as gone)
    select array_agg(g.gone) into removed from gone as g;
    perform rag_note_words(removed, -1);
end
$$;

-- The triggers of rag_document_chunks and rag_document_text. Security definer: who may change chunks, changes these.
create or replace function rag_words_of_new_chunks() returns trigger
language plpgsql security definer set search_path = {schema}, pg_catalog, pg_temp as $$
begin
    perform rag_add_words(array(select id from new_chunks));
    return null;
end
$$;

create or replace function rag_words_of_old_chunks() returns trigger
language plpgsql security definer set search_path = {schema}, pg_catalog, pg_temp as $$
begin
    perform rag_remove_words(array(select id from old_chunks));
    return null;
end
$$;

create or replace function rag_words_of_changed_chunks() returns trigger
language plpgsql security definer set search_path = {schema}, pg_catalog, pg_temp as $$
declare
    before bigint[];
    after bigint[];
begin
    select array_agg(o.id) filter (where o.id is not null), array_agg(n.id) filter (where n.id is not null)
    into before, after from old_chunks as o full join new_chunks as n using (id)
    where (o.document_id, o.embedding_model, o.heading_path, o.content)
        is distinct from (n.document_id, n.embedding_model, n.heading_path, n.content);
    if before is not null then
        perform rag_remove_words(before);
        perform rag_add_words(after);
    end if;
    return null;
end
$$;

create or replace function rag_words_of_no_chunks() returns trigger
language plpgsql security definer set search_path = {schema}, pg_catalog, pg_temp as $$
begin
    truncate rag_chunk_words, rag_word_counts, rag_word_totals, rag_word_changes, rag_words_missing;
    return null;
end
$$;

create or replace function rag_words_of_changed_texts() returns trigger
language plpgsql security definer set search_path = {schema}, pg_catalog, pg_temp as $$
declare
    changed bigint[];
begin
    if not exists (
        select from old_texts as o join new_texts as n using (document_id)
        where (o.path, o.title, o.language) is distinct from (n.path, n.title, n.language)
    ) then
        return null;
    end if;
    changed := array(
        select w.chunk_id from old_texts as o join new_texts as n using (document_id)
        join rag_document_chunks as c using (document_id) join rag_chunk_words as w on w.chunk_id = c.id
        where (o.path, o.title, o.language) is distinct from (n.path, n.title, n.language)
    );
    perform rag_remove_words(changed);
    perform rag_add_words(changed);
    return null;
end
$$;

-- Fold what was written down into the statistics; how many rows of it. One at a time; who comes second leaves it to the
-- first; each index of a database for itself. What is not committed yet is folded by a later one.
create or replace function rag_fold_words(at_least integer default 1) returns bigint
language plpgsql set search_path = {schema}, pg_catalog, pg_temp as $$
declare
    folded bigint;
begin
    if (select count(*) from (select from rag_word_changes limit at_least) as few) < at_least
        or not pg_try_advisory_xact_lock(hashtext('rag_assets.words'), 'rag_word_changes'::regclass::oid::integer)
    then
        return 0;
    end if;
    with gone as (
        delete from rag_word_changes returning embedding_model, language, chunks, length, words, counts
    ),
    of_words as (
        insert into rag_word_counts as c (embedding_model, word, chunks)
        select g.embedding_model, e.word, sum(e.n)
        from gone as g, unnest(g.words, g.counts) as e (word, n) group by 1, 2 having sum(e.n) <> 0 order by 1, 2
        on conflict (embedding_model, word) do update set chunks = c.chunks + excluded.chunks
    ),
    totals as (
        insert into rag_word_totals as t (embedding_model, language, chunks, length)
        select g.embedding_model, g.language, sum(g.chunks), sum(g.length) from gone as g group by 1, 2 order by 1, 2
        on conflict (embedding_model, language)
        do update set chunks = t.chunks + excluded.chunks, length = t.length + excluded.length
    )
    select count(*) into folded from gone;
    return folded;
end
$$;

-- Store the words of chunks that were there before this was, or before words were taken as they are now; how many ids
-- are left. One at a time.
create or replace function rag_fill_words(how_many integer) returns bigint
language plpgsql set search_path = {schema}, pg_catalog, pg_temp as $$
declare
    missing rag_words_missing;
    ids bigint[];
begin
    select * into missing from rag_words_missing for update skip locked;
    if missing is null then
        return 0;
    end if;
    ids := array(
        select c.id from rag_document_chunks as c where c.id > missing.after and c.id <= missing.upto
        order by c.id limit how_many for key share  -- who deletes one of them waits, and then finds its words
    );
    perform rag_renew_words(ids);
    perform rag_add_words(array(
        select m.id from unnest(ids) as m (id) where not exists (select from rag_chunk_words as w where w.chunk_id = m.id)
    ));
    if cardinality(ids) < how_many then
        delete from rag_words_missing;
        return 0;
    end if;
    update rag_words_missing set after = ids[how_many];
    return missing.upto - ids[how_many];
end
$$;

-- What a recount of the words says otherwise than the statistics do: none, where all is well.
create or replace function rag_check_words() returns table (embedding_model text, word text, counted bigint, kept bigint)
language sql stable set search_path = {schema}, pg_catalog, pg_temp as $$
    with counted as (
        select w.embedding_model, e.word, count(*) as n
        from rag_chunk_words as w, unnest(tsvector_to_array(w.words)) as e (word) group by 1, 2
        union all select w.embedding_model, '', count(*) from rag_chunk_words as w group by 1
        union all select w.embedding_model, ' ', sum(w.length) from rag_chunk_words as w group by 1
    ),
    kept as (
        select k.embedding_model, k.word, sum(k.n)::bigint as n from (
            select c.embedding_model, c.word, c.chunks from rag_word_counts as c
            union all select t.embedding_model, '', t.chunks from rag_word_totals as t
            union all select t.embedding_model, ' ', t.length from rag_word_totals as t
            union all select c.embedding_model, '', c.chunks from rag_word_changes as c
            union all select c.embedding_model, ' ', c.length from rag_word_changes as c
            union all select c.embedding_model, e.word, e.n
            from rag_word_changes as c, unnest(c.words, c.counts) as e (word, n)
        ) as k (embedding_model, word, n) group by 1, 2 having sum(k.n) <> 0
    )
    select coalesce(c.embedding_model, k.embedding_model), coalesce(c.word, k.word), coalesce(c.n, 0), coalesce(k.n, 0)
    from counted as c full join kept as k using (embedding_model, word)
    where c.n is distinct from k.n
    union all
    select ch.embedding_model, 'chunk ' || coalesce(ch.id, w.chunk_id), (ch.id is not null)::integer, (w.chunk_id is not null)::integer
    from rag_document_chunks as ch full join rag_chunk_words as w on w.chunk_id = ch.id
    where (ch.id is null or w.chunk_id is null or ch.embedding_model <> w.embedding_model)
        and not exists (select from rag_words_missing)
$$;

-- Count all words anew, with words for chunks that lack them, and none of chunks that are gone.
create or replace function rag_recount_words() returns void
language plpgsql set search_path = {schema}, pg_catalog, pg_temp as $$
begin
    lock table rag_document_chunks in share mode;  -- nobody writes meanwhile
    delete from rag_chunk_words as w where not exists (select from rag_document_chunks as c where c.id = w.chunk_id);
    perform rag_add_words(array(
        select c.id from rag_document_chunks as c
        where not exists (select from rag_words_missing)
            and not exists (select from rag_chunk_words as w where w.chunk_id = c.id)
    ));
    truncate rag_word_counts, rag_word_totals, rag_word_changes;
    insert into rag_word_counts (embedding_model, word, chunks)
    select w.embedding_model, e.word, count(*)
    from rag_chunk_words as w, unnest(tsvector_to_array(w.words)) as e (word) group by 1, 2;
    insert into rag_word_totals (embedding_model, language, chunks, length)
    select w.embedding_model, w.language, count(*), sum(w.length) from rag_chunk_words as w group by 1, 2;
end
$$;
