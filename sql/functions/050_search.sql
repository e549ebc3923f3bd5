-- Search in SQL, by vectors, by words, and by both: rag_search is the way in, the others are its parts.
-- All run with the caller's rights (security invoker): row-level security on rag_document_chunks decides what is found.

-- The model whose vectors are searched.
create or replace function rag_serving_model() returns text language sql stable set search_path = {path} as $$
    select coalesce(
        (select model from rag_serving), (select embedding_model from rag_document_chunks order by id limit 1)
    )
$$;

-- A path pattern with * and ?, as one of LIKE; and a text as a pattern for itself.
create or replace function rag_like_literal(given text) returns text language sql immutable parallel safe
return regexp_replace(given, '([\\%_])', '\\\1', 'g');
create or replace function rag_like(glob text) returns text language sql immutable parallel safe
return translate(regexp_replace(glob, '([\\%_])', '\\\1', 'g'), '*?', '%_');

-- A word as a query for it alone, whatever signs are in it.
create or replace function rag_word_query(word text) returns tsquery language sql immutable parallel safe
return ('''' || replace(replace(word, '\', '\\'), '''', '''''') || '''')::tsquery;

-- What a filter means in SQL, with the filter as $1 and the model as $2: only what is given is asked.
create or replace function rag_filter_source(filter rag_filter, with_words boolean default false) returns text
language sql immutable parallel safe set search_path = {path} as $$
    select concat(
        'rag_document_chunks as c',
        case when num_nonnulls(filter.path_prefix, filter.path_glob, filter.media_types, filter.languages, filter.since,
                filter.until, filter.metadata) > 0
            then ' join rag_document_text as t using (document_id)' end,
        case when with_words or filter.required is not null then ' join rag_chunk_words as w on w.chunk_id = c.id' end,
        ' where ',
        concat_ws(' and ',
            'c.embedding_model = $2',
            case when filter.documents is not null then 'c.document_id = any (($1).documents)' end,
            case when filter.heading is not null then $c$exists (
                select from unnest(c.heading_path) as h where h ilike '%' || rag_like(($1).heading) || '%'
            )$c$ end,
            case when filter.path_prefix is not null then
                $c$t.path like rag_like_literal(($1).path_prefix) || '%'$c$ end,
            case when filter.path_glob is not null then 't.path like rag_like(($1).path_glob)' end,
            case when filter.media_types is not null then 't.media_type = any (($1).media_types)' end,
            case when filter.languages is not null then 't.language = any (($1).languages)' end,
            case when filter.since is not null then 'rag_changed_at(t.mtime_ns, t.updated_at) >= ($1).since' end,
            case when filter.until is not null then 'rag_changed_at(t.mtime_ns, t.updated_at) < ($1).until' end,
            case when filter.metadata is not null then 't.metadata @> ($1).metadata' end,
            case when filter.required is not null then 'w.words @@ ($1).required' end
        )
    )
$$;

-- When a file was written; where its time tells nothing, when it was read.
create or replace function rag_changed_at(mtime_ns bigint, updated_at timestamptz) returns timestamptz
language sql immutable parallel safe
return case when mtime_ns > 0 then to_timestamp(mtime_ns / 1000000000.0) else updated_at end;

-- About how many chunks a filter leaves, as the planner sees it, row-level security included. Volatile in name only:
-- PostgreSQL explains nothing in a stable function.
create or replace function rag_estimate(filter rag_filter, model text) returns float8
language plpgsql volatile set search_path = {path} as $$
declare
    plan json;
begin
    execute 'explain (format json) select c.id from ' || rag_filter_source(filter) into plan using filter, model;
    return (plan -> 0 -> 'Plan' ->> 'Plan Rows')::float8;
end
$$;

-- The same as a sample of the table's pages has it: the planner takes a policy that looks into another table, and a
-- heading, for a half of all, whatever they leave. At least 1; the same pages each time, so that searches repeat.
create or replace function rag_sample(filter rag_filter, model text) returns float8
language plpgsql stable set search_path = {path} as $$
declare
    most_pages constant integer := 500;
    share float8;
    found bigint;
begin
    select least(1, most_pages / greatest(c.relpages, 1)::float8) into share
    from pg_class as c where c.oid = 'rag_document_chunks'::regclass;
    execute 'select count(*) from ' || replace(
        rag_filter_source(filter), 'rag_document_chunks as c',
        format('rag_document_chunks as c tablesample system (%s) repeatable (0)', 100 * share)
    ) into found using filter, model;
    return greatest(found / share, 1);
end
$$;

-- What is asked for: the words of a question as the indexed texts have them, and what has to hold of each hit. A phrase
-- in quotes has to stand there, a word or a phrase after a minus must not; two minuses, as of an option, are none. Each
-- word is looked for as each language of the indexed documents has it, and what a document has to have, or not to have, as
-- its own language has it; the question's own language, guessed unless it is given, decides which words are too common to
-- count, and a phrase of nothing else is not asked for, as they are not kept.
create or replace function rag_parse_query(
    query_text text, model text, language text default null, out words text[], out required tsquery
) language plpgsql stable set search_path = {path} set client_min_messages = warning as $$
declare
    before constant text := E'(?:^|\\s)[-\\u2212]';
    word constant text := E'(?!-)\\S*[[:alnum:]]\\S*';
    phrase constant text := '[^"]*[[:alnum:]][^"]*';
    given text := left(translate(query_text, E'\u201c\u201d\u201e', '"""'), 20000);
    unwanted text[] := array(select distinct m[1] from regexp_matches(given, before || '"(' || phrase || ')"', 'g') as m);
    left_over text := regexp_replace(given, before || '"[^"]*"', ' ', 'g');
    phrases text[] := array(select distinct m[1] from regexp_matches(left_over, '"(' || phrase || ')"', 'g') as m);
    plain text := regexp_replace(left_over, '"[^"]*"', ' ', 'g');
    languages text[] := array(
        select s.language from rag_languages(model) as s order by s.chunks desc, s.language
    );
    chosen text;
    wanted text := concat_ws(' ', regexp_replace(plain, before || word, ' ', 'g'), array_to_string(phrases, ' '));
    counting text;  -- without the words that are too common
    one text;
    name text;
    alternatives tsquery;
    configs regconfig[];  -- of these languages, each once, and of which documents it is
    of_documents tsquery[];
begin
    chosen := coalesce(language, rag_guess_language(rag_spaced(wanted), languages));
    if chosen <> all (languages) then
        languages := languages || chosen;
    end if;
    counting := (
        select string_agg(t.token, ' ') from ts_parse('default', rag_spaced(wanted)) as t
        where t.token ~ '[[:alnum:]]' and length(to_tsvector(rag_word_config(chosen), t.token)) > 0
    );
    words := array(
        select distinct unnest(tsvector_to_array(
            to_tsvector(rag_word_config(l), coalesce(counting, '')) || rag_identifiers(rag_word_config(l), wanted)
        )) from unnest(languages) as l
    );
    select array_agg(f.config), array_agg(f.mark) into configs, of_documents from (
        select rag_word_config(l) as config, rag_any_of(array_agg(rag_word_query(' :' || l))) as mark
        from unnest(languages) as l group by 1 order by 1
    ) as f;
    if cardinality(configs) = 1 then
        of_documents := '{{NULL}}';
    end if;
    foreach one in array phrases loop
        continue when numnode(rag_phrase_query(rag_word_config(chosen), one)) = 0;
        select rag_any_of(array_agg(coalesce(f.mark && p.query, p.query))) into alternatives
        from unnest(configs, of_documents) as f (config, mark)
        cross join lateral (select rag_phrase_query(f.config, one) as query) as p where numnode(p.query) > 0;
        required := case when required is null then alternatives else required && alternatives end;
    end loop;
    foreach one in array unwanted || array(
        select distinct m[1] from regexp_matches(plain, before || '(' || word || ')', 'g') as m
    ) loop
        name := (rag_names(one))[1];  -- null, or the whole of it: who excludes C++ does not exclude C
        name := case when replace(lower(one), name, '') !~ '[[:alnum:]]' then name end;
        select rag_any_of(array_agg(coalesce(f.mark && p.query, p.query))) into alternatives
        from unnest(configs, of_documents) as f (config, mark)
        cross join lateral (
            select case when one = any (unwanted) or rag_character_pairs(one) is not null
                    then rag_phrase_query(f.config, one)
                when name is not null then rag_word_query(name)
                else plainto_tsquery(f.config, rag_spaced(one)) end as query
        ) as p where numnode(p.query) > 0;
        if numnode(alternatives) > 0 then
            required := case when required is null then !! alternatives else required && !! alternatives end;
        end if;
    end loop;
    if numnode(required) = 0 then
        required := null;
    end if;
end
$$;

-- A phrase as a query of a language: its words one after the other, and its names of which PostgreSQL keeps no part, as of
-- AT&T, or not what tells them from a word, as of C++. Of scripts without spaces, which have no words, all pairs of
-- characters that it has, and the words beside them. Empty where it has none of all that.
create or replace function rag_phrase_query(config regconfig, phrase text) returns tsquery
language plpgsql immutable parallel safe set search_path = {path} set client_min_messages = warning as $$
declare
    pairs text[] := rag_character_pairs(phrase);
    in_order tsquery := phraseto_tsquery(config, rag_spaced(phrase));
    beside tsquery;
    names tsquery;
begin
    if pairs is not null then
        beside := plainto_tsquery(config, rag_spaced(rag_other_scripts(phrase)));
        in_order := rag_all_of(pairs);
        in_order := case when numnode(beside) > 0 then in_order && beside else in_order end;
    end if;
    names := rag_all_of(array(
        select name from unnest(rag_names(phrase)) as name
        where name ~ E'(\\+\\+|#)$' or numnode(plainto_tsquery(config, rag_spaced(name))) = 0
    ));
    return case when names is null then in_order when numnode(in_order) = 0 then names else in_order && names end;
end
$$;

-- Chunks that have all of these words; null where there is none.
create or replace function rag_all_of(words text[]) returns tsquery language sql immutable parallel safe
return (select string_agg(rag_word_query(word)::text, ' & ')::tsquery from unnest(words) as word);

create or replace function rag_any_of(queries tsquery[]) returns tsquery language plpgsql immutable parallel safe
set client_min_messages = warning as $$  -- PostgreSQL would tell of each empty query
declare
    found tsquery := '';
    one tsquery;
begin
    foreach one in array coalesce(queries, '{{}}') loop
        found := found || one;
    end loop;
    return found;
end
$$;

-- The languages of the indexed chunks. Statistics are hidden from who may not see all chunks; what the visible
-- documents are in is asked then.
create or replace function rag_languages(model text) returns table (language text, chunks bigint)
language sql stable set search_path = {path} as $$
    with known as (
        select s.language, sum(s.chunks)::bigint as n from (
            select t.language, t.chunks from rag_word_totals as t where t.embedding_model = model
            union all select c.language, c.chunks from rag_word_changes as c where c.embedding_model = model
        ) as s group by 1 having sum(s.chunks) > 0
    )
    select k.language, k.n from known as k
    union all
    select d.language, d.n from (
        select coalesce(t.language, '') as language, count(*) as n from rag_document_text as t group by 1
    ) as d where not exists (select from known)
    union all
    select '', 0 where not exists (select from known) and not exists (select from rag_document_text)
$$;

-- The language of a question: the one most chunks have, unless at least two more of its words are such that are too
-- common to count in another one.
create or replace function rag_guess_language(query_text text, languages text[]) returns text
language sql stable set search_path = {path} as $$
    select l.language from unnest(languages) with ordinality as l (language, place)
    cross join lateral (
        select count(*) filter (where length(to_tsvector(rag_word_config(l.language), t.token)) = 0) as n
        from (select distinct token from ts_parse('default', lower(query_text)) where token ~ '[[:alpha:]]') as t
    ) as common
    order by common.n + case when l.place = 1 then 1.5 else 0 end desc, l.place limit 1
$$;

-- Each word of a query with the number of chunks it stands in and what it tells (its inverse document frequency), and
-- the mean length of a chunk. Who may not see all chunks gets the numbers of those that he sees.
create or replace function rag_weigh_words(words text[], model text)
returns table (word text, chunks bigint, idf float8, mean_length float8)
language plpgsql stable set search_path = {path} as $$
declare
    total bigint;
    whole bigint;
begin
    if row_security_active('rag_document_chunks') then
        return query
        with visible as materialized (
            select w.words, w.length from rag_document_chunks as c join rag_chunk_words as w on w.chunk_id = c.id
            where c.embedding_model = model
        ),
        counted as (
            select q.word, (select count(*) from visible as v where v.words @@ rag_word_query(q.word)) as n
            from unnest(rag_weigh_words.words) as q (word)
        ),
        totals as (select count(*) as n, avg(v.length)::float8 as length from visible as v)
        select c.word, c.n, ln(1 + (t.n - c.n + 0.5) / (c.n + 0.5))::float8, t.length
        from counted as c, totals as t where c.n > 0;
        return;
    end if;
    select coalesce(sum(s.chunks), 0), coalesce(sum(s.length), 0) into total, whole from (
        select t.chunks, t.length from rag_word_totals as t where t.embedding_model = model
        union all select c.chunks, c.length from rag_word_changes as c where c.embedding_model = model
    ) as s;
    return query
    select k.word, k.n, ln(1 + (greatest(total, k.n) - k.n + 0.5) / (k.n + 0.5))::float8, whole::float8 / greatest(total, 1)
    from (
        select s.word, sum(s.chunks)::bigint as n from (
            select c.word, c.chunks from rag_word_counts as c
            where c.embedding_model = model and c.word = any (rag_weigh_words.words)
            union all
            select e.word, e.n from rag_word_changes as c, unnest(c.words, c.counts) as e (word, n)
            where c.embedding_model = model and e.word = any (rag_weigh_words.words)
        ) as s group by 1
    ) as k
    where k.n > 0;
end
$$;

-- BM25 of these chunks. How often a word stands in a chunk is taken from ts_rank, which adds up 1/n^2 over the
-- occurrences of a word: the sum to the nth is very nearly pi^2/6 - 1/(n + 1/2).
--
-- Written so that each ts_rank, which is most of the work, is computed once, and none where no word stands: a term of
-- the sum is n / (n + norm) as 1 / (1 + norm / n), which is null where the word does not stand.
create or replace function rag_score_words(
    ids bigint[], words text[], idfs float8[], mean_length float8, k1 float8 default 1.2, b float8 default 0.75
) returns table (chunk_id bigint, score float8) language sql stable set search_path = {path} as $$
    select s.chunk_id, s.score
    from (
        select d.chunk_id, (
            select sum(q.gain / (1 + d.norm / nullif(round(
                1 / (1.6449340668482264 * (1 - ts_rank('{{1,1,1,1}}'::real[], d.words, q.query)::float8)) - 0.5
            ), 0)))
            from unnest(w.queries, w.gains) as q (query, gain)
        ) as score
        from (
            select array_agg(rag_word_query(u.word)) as queries, array_agg(u.idf * (k1 + 1)) as gains,
                rag_any_of(array_agg(rag_word_query(u.word))) as any_of_them
            from unnest(words, idfs) as u (word, idf)
        ) as w
        cross join (
            select w.chunk_id, k1 * (1 - b + b * w.length / greatest(mean_length, 1)) as norm,
                setweight(w.words, 'D') as words  -- read once, and not by each ts_rank
            from rag_chunk_words as w where w.chunk_id = any (ids) offset 0
        ) as d
        where d.words @@ w.any_of_them
        offset 0
    ) as s
    where s.score is not null
$$;

-- The chunks that are worth scoring, of those in which these words stand: for rare words all of them, for frequent ones
-- those in which they stand often, so that no more than about `budget` rows are looked at. A sequential scan would read
-- the words of all chunks, which the planner takes for free.
create or replace function rag_word_candidates(
    words text[], idfs float8[], chunks bigint[], mean_length float8, model text, budget integer, most integer
) returns bigint[] language plpgsql stable set search_path = {path} set enable_seqscan = off as $$
declare
    queries tsquery[] := '{{}}';
    gains float8[] := '{{}}';
    often integer[] := '{{}}';  -- a row of this list has the word so often, at least
    known integer[] := '{{}}';  -- and so often as another list told already
    place integer;
    rows bigint;
    used bigint := 0;
    level integer;
    before integer;
    norm_of_a_word constant float8 := 0.9 / greatest(mean_length, 1);
begin
    for place in select o from unnest(chunks) with ordinality as u (n, o) order by n, o loop
        before := 0;
        foreach level in array array[1, 2, 4] loop
            if level = 1 then
                rows := chunks[place];
            else
                select coalesce(sum(c.chunks), 0) into rows from rag_word_counts as c
                where c.embedding_model = model and c.word = ' ' || level || words[place];
            end if;
            if rows > 0 and used + rows <= budget then
                queries := queries || rag_word_query(case when level > 1 then ' ' || level else '' end || words[place]);
                gains := gains || idfs[place];
                often := often || level;
                known := known || before;
                used := used + rows;
                before := level;
            end if;
        end loop;
    end loop;
    if used < least(budget, 1000) then  -- frequent words only: where all of them stand
        queries := queries || (
            select string_agg(rag_word_query(word)::text, ' & ')::tsquery from unnest(words) as word
        );
        gains := gains || (select sum(idf) from unnest(idfs) as idf);
        often := often || 1;
        known := known || 0;
    end if;
    return array(
        select w.chunk_id
        from unnest(queries, gains, often, known) as l (query, gain, often, known)
        cross join lateral (
            select w.chunk_id, 0.3 + norm_of_a_word * w.length as norm from rag_chunk_words as w
            where w.words @@ l.query and w.embedding_model = model limit budget
        ) as w
        group by 1
        order by sum(l.gain * (l.often / (l.often + w.norm) - l.known / (l.known + w.norm))) desc, 1
        limit most
    );
end
$$;

-- The words of a query with what each tells, rarest first: what rag_search_words ranks by. Null where none is known.
create or replace function rag_weighed(
    query_words text[], model text,
    out words text[], out idfs float8[], out chunks bigint[], out mean_length float8
) language sql stable set search_path = {path} as $$
    select array_agg(w.word order by w.chunks, w.word), array_agg(w.idf order by w.chunks, w.word),
        array_agg(w.chunks order by w.chunks, w.word), max(w.mean_length)
    from rag_weigh_words(query_words, model) as w
$$;

-- The k chunks of a model that the words of a query speak for most, by BM25, best first.
create or replace function rag_search_words(
    query_text text, k integer, filter rag_filter default null, model text default rag_serving_model(),
    language text default null
) returns table (chunk_id bigint, score float8) language plpgsql stable set search_path = {path} as $$
declare
    parsed record := rag_parse_query(query_text, model, language);
begin
    filter.required := coalesce(filter.required && parsed.required, parsed.required, filter.required);
    return query select r.* from rag_weighed(parsed.words, model) as q
        cross join lateral rag_rank_words(
            q.words, q.idfs, q.chunks, q.mean_length, k, filter, model,
            budget => 20000, most_scored => least(greatest(600, 3 * k::bigint), 2147483647)::integer
        ) as r;
end
$$;

-- The same for words that are weighed already, and a filter that has what the query requires. Of frequent words, about
-- `budget` rows of their index are looked at, and `most_scored` chunks are scored. Filtered, so many more are looked at
-- that as many are left, and more where too few were; or all that pass the filter are scored, whichever is sooner done.
-- Too few are less than k, or, where words only add to what vectors found and so no more than k are scored, less than
-- a quarter of these. No sequential scan, as above.
create or replace function rag_rank_words(
    words text[], idfs float8[], chunks bigint[], mean_length float8, k integer, filter rag_filter, model text,
    budget integer, most_scored integer
) returns table (chunk_id bigint, score float8)
language plpgsql stable set search_path = {path} set random_page_cost = 1.1 set enable_seqscan = off as $$
declare
    rows constant bigint := (select sum(n) from unnest(chunks) as n);
    exact_rows constant integer := 5000;  -- so few are scored, each
    rows_for_a_score constant integer := 4;  -- of the index of words take about as long as scoring one chunk
    wider constant integer := 8;  -- times as many rows are looked at next
    enough constant integer := case when most_scored > k then k else ceil(k / 4.0) end;
    is_filtered boolean;
    passing float8;
    needed float8;
    first_slice float8;
    slice float8;
    ranked bigint[];
    ids bigint[];
    any_word tsquery;
begin
    if words is null then
        return;
    end if;
    any_word := rag_any_of(array(select rag_word_query(word) from unnest(words) as word));
    is_filtered := row_security_active('rag_document_chunks') or num_nonnulls(
        filter.documents, filter.path_prefix, filter.path_glob, filter.media_types, filter.languages, filter.since,
        filter.until, filter.heading, filter.metadata, filter.required
    ) > 0;
    if not is_filtered then
        if rows <= exact_rows then
            ids := rag_word_candidates(
                words, idfs, chunks, mean_length, model, budget => 2147483647, most => exact_rows
            );
        else
            ids := rag_word_candidates(
                words, idfs, chunks, mean_length, model, budget => budget, most => most_scored
            );
        end if;
    elsif rows > exact_rows and not row_security_active('rag_document_chunks') then
        passing := greatest(rag_estimate(filter, model), 1);
        -- so many are enough where what passes is spread evenly
        first_slice := ceil(most_scored * rag_estimate(null::rag_filter, model) / passing);
        needed := greatest(budget, 3 * first_slice);
        while needed < least(rows_for_a_score * passing, 2147483647) and (cardinality(ids) >= enough) is not true loop
            ranked := rag_word_candidates(
                words, idfs, chunks, mean_length, model, budget => needed::integer, most => needed::integer
            );
            ids := '{{}}';
            slice := first_slice;
            while cardinality(ranked) > 0 and cardinality(ids) < most_scored loop
                execute 'select $5 || array('
                    'select i.id from unnest($3) with ordinality as i (id, place) join (select c.id from '
                    || rag_filter_source(filter) || ') as c on c.id = i.id order by i.place limit $4)'
                into ids using filter, model, ranked[:slice::integer], most_scored - cardinality(ids), ids;
                ranked := ranked[slice::integer + 1:];
                slice := 2 * slice;
            end loop;
            needed := wider * needed;
        end loop;
        if cardinality(ids) < enough then
            ids := null;
        end if;
    end if;
    if ids is null and passing < rows then  -- most would be read twice: to see whether a word is in it, and to score it
        execute 'select array(select c.id from ' || rag_filter_source(filter) || ')' into ids using filter, model;
    elsif ids is null then
        execute 'select array(select c.id from ' || rag_filter_source(filter, with_words => true)
            || ' and w.words @@ $3)'
        into ids using filter, model, any_word;
    end if;
    return query
    select s.chunk_id, s.score from (
        select * from rag_score_words(ids, words, idfs, mean_length) as s
        order by s.score desc fetch first (k) rows with ties
    ) as s
    cross join lateral (select * from rag_document_chunks where id = s.chunk_id offset 0) as c
    order by s.score desc, rag_id_order(c.document_id), c.document_id, c.chunk_index limit k;
end
$$;

-- The indexes of a model's vectors, the best first, and the type as which each has them, as halfvec(384): a query that
-- writes it uses the index. One that is not valid was broken off, or is being built.
create or replace function rag_vector_indexes(model text)
returns table (name name, kind name, written text, is_valid boolean, size_bytes bigint)
language sql stable set search_path = {path} as $$
    select c.relname, a.amname, format_type(e.atttypid, e.atttypmod), i.indisvalid, pg_relation_size(i.indexrelid)
    from pg_index as i join pg_class as c on c.oid = i.indexrelid join pg_am as a on a.oid = c.relam
    join pg_attribute as e on e.attrelid = i.indexrelid and e.attnum = 1
    where i.indrelid = 'rag_document_chunks'::regclass and a.amname in ('hnsw', 'ivfflat')
        and pg_get_expr(i.indpred, i.indrelid) = format('(embedding_model = %L::text)', model)
    order by i.indisvalid desc, i.indexrelid desc
$$;

-- The one of them that searches use; none where there is no valid one.
create or replace function rag_vector_index(model text, out name text, out kind text, out written text)
language sql stable set search_path = {path} as $$
    select i.name, i.kind, i.written from rag_vector_indexes(model) as i where i.is_valid limit 1
$$;

-- The k chunks of a model whose vectors are nearest to this one by cosine similarity (-1 to 1), best first: all compared
-- one by one, which is exact, or found by the index, scanned on until k pass the filter, and sorted by the exact
-- distance, whichever takes less; where the index gives fewer than k, exact after all.
--
-- The index meets a row that passes the filter once in `chunks / passing` rows, or rarer: what passes often lies
-- together (a folder is about one thing), and so beside the question. Up to ten times as many rows are taken for needed,
-- and no more are looked at than would be compared in the same time. A row of a graph of 1,000,000 takes about 25 us,
-- and one that is compared 2 us. Of such a filter's 10 % the ten nearest took 0.2 s one by one, and 0.1 s by the graph,
-- which found 0.93 of them; of its 1 %, 0.02 s and 0.7 s, and 0.7 of them (25 questions, tables in memory). A page read
-- out of order costs little more than one in order there.
create or replace function rag_search_vectors(
    query_embedding vector, k integer, filter rag_filter default null, model text default rag_serving_model()
) returns table (chunk_id bigint, score float8)
language plpgsql stable set search_path = {path} set random_page_cost = 1.1 as $$
declare
    exact_rows constant integer := 5000;  -- so few are compared one by one in any case
    -- more than are asked for: the index has rounded vectors, and finds near doubles in no order
    wanted constant bigint := greatest(k::bigint + 10, 100);
    row_of_index constant integer := 12;  -- takes as long as so many that are compared
    together constant integer := 10;
    passing float8;
    all_rows float8;
    looked_at float8;
    source text := rag_filter_source(filter);
    best constant text := 'n.distance, rag_id_order(n.document_id), n.document_id, n.chunk_index';
    index record;
    before text[];
    ids bigint[];
    scores float8[];
begin
    select * into index from rag_vector_index(rag_search_vectors.model);
    if index.name is not null then
        passing := greatest(rag_estimate(filter, model), 1);  -- 0 where row-level security lets none through
        if passing > exact_rows and (filter.heading is not null or row_security_active('rag_document_chunks')) then
            passing := least(passing, rag_sample(filter, model));
        end if;
        all_rows := greatest(passing, (
            select i.reltuples from pg_class as i
            where i.relname = index.name and i.relnamespace = (
                select t.relnamespace from pg_class as t where t.oid = 'rag_document_chunks'::regclass
            )
        ));
        looked_at := wanted * all_rows / passing * least(all_rows / passing, together);
        if passing > exact_rows and passing > row_of_index * looked_at then
            before := rag_begin_scan(index.kind, greatest(wanted, sqrt(all_rows))::bigint, passing);
            execute format(
                'select array_agg(n.id order by %1$s), array_agg(1 - n.distance order by %1$s) from ('
                'select c.id, c.document_id, c.chunk_index, c.embedding <=> $3 as distance'
                ' from %2$s and c.embedding_model = %3$L order by c.embedding::%4$s <=> $3::%4$s limit $4) as n',
                best, source, model, index.written
            ) into ids, scores using filter, model, query_embedding, wanted;
            perform rag_end_scan(before);
        end if;
    end if;
    if cardinality(ids) >= k then
        return query select * from unnest(ids[:k], scores[:k]);
    else
        return query execute
            'with near as materialized (select c.id, c.document_id, c.chunk_index, c.embedding <=> $3 as distance from '
            || source || ' order by distance fetch first ($4) rows with ties)'
            ' select n.id, 1 - n.distance from near as n order by ' || best || ' limit $4'
        using filter, model, query_embedding, k;
    end if;
end
$$;

-- Have an index of vectors be scanned on until so many are found that are wanted, or until it took about as long as to
-- compare what passes the filter, one by one. What was set before.
--
-- A graph is looked through with a list of the nearest so far, of 200 to 1,000, which is pgvector's limit. Searches ask
-- for the square root of the rows: the more vectors, the more of them lie in the way. So 0.976 of the ten nearest were
-- found among 100,000 (100 questions), and 0.953 with 200; among 1,000,000 in 2,000 groups of near doubles 0.84 (60
-- questions), and 0.65 with 200. That took 1 and 14 ms more of processor time.
create or replace function rag_begin_scan(kind text, wanted bigint, passing float8) returns text[]
language plpgsql stable set search_path = {path} as $$
declare
    names text[] := case kind
        when 'hnsw' then array['hnsw.iterative_scan', 'hnsw.ef_search', 'hnsw.max_scan_tuples']
        else array['ivfflat.iterative_scan', 'ivfflat.probes'] end;
    given text[] := case kind
        when 'hnsw' then array[
            'relaxed_order', least(greatest(wanted, 200), 1000)::text, least(passing / 10, 100000)::integer::text
        ]
        else array['relaxed_order', '30'] end;
    before text[];
    place integer;
begin
    for place in 1 .. cardinality(names) loop
        before := before || names[place] || current_setting(names[place], true);
        perform set_config(names[place], given[place], true);
    end loop;
    return before;
end
$$;

create or replace function rag_end_scan(before text[]) returns void
language plpgsql stable set search_path = {path} as $$
declare
    place integer;
begin
    for place in 1 .. cardinality(before) / 2 loop
        perform set_config(before[2 * place - 1], before[2 * place], true);
    end loop;
end
$$;

-- The k best chunks for a question: by its vector, its words, or both, of those that the filters leave. Without a
-- vector, words alone decide, and without words the vector. Filters are applied before the k are counted.
--
-- `convex` adds the weighted scores of both, each as a share of its best: of the cosine + 1, and of BM25 (Bruch, Gai and
-- Ingber: An Analysis of Fusion Functions for Hybrid Retrieval, arXiv 2210.11934). A chunk that one leg found gets its
-- score in the other too. So where vectors weigh more, words have to bring only the few chunks that they speak for most:
-- what the vectors rank behind `candidates` needs nearly the best score of words. Fewer of their rows are looked at then.
-- `rrf` adds 1 / (60 + rank) of each leg, weighted.
--
-- `offset 0`: what was found is looked up row by row. The planner does not know how little that is, and would read all.
-- A generic plan: it is the same for whatever is asked, and planning takes milliseconds.
create or replace function rag_search(
    query_text text,
    query_embedding vector default null,
    k integer default 10,
    mode text default 'hybrid',
    documents text[] default null,
    path_prefix text default null,
    path_glob text default null,
    media_types text[] default null,
    languages text[] default null,
    since timestamptz default null,
    until timestamptz default null,
    heading text default null,
    metadata jsonb default null,
    model text default null,
    fusion text default 'convex',
    vector_weight float8 default 0.8,
    candidates integer default 200,
    query_language text default null
) returns table (
    chunk_id bigint, document_id text, path text, title text, chunk_index integer, content text, page integer,
    heading_path text[], score float8, vector_rank bigint, vector_score float8, word_rank bigint, word_score float8,
    media_type text, language text, char_start integer, char_end integer
) language plpgsql stable set search_path = {path} set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    of_model text := coalesce(model, rag_serving_model());
    filter rag_filter := row(
        documents, path_prefix, path_glob, media_types, languages, since, until, heading, metadata, null
    )::rag_filter;
    parsed record;
    q record;
    with_vectors boolean := query_embedding is not null and mode in ('hybrid', 'vector');
    with_words boolean := query_text ~ '[[:alnum:]]' and mode in ('hybrid', 'text');
    -- of each leg; where there is one only, nothing is put together
    pool integer := case when with_vectors and with_words
        then greatest(k, least(greatest(candidates, 2 * k::bigint), 10000)) else k end;
    words_add boolean := with_vectors and fusion = 'convex' and vector_weight >= 0.5;  -- to what the vectors found
    wrong text;
begin
    wrong := case
        when (k >= 1) is not true then 'k is at least 1'
        when (mode in ('hybrid', 'vector', 'text')) is not true then 'mode is hybrid, vector or text'
        when (fusion in ('convex', 'rrf')) is not true then 'fusion is convex or rrf'
        when (vector_weight between 0 and 1) is not true then 'vector_weight is 0 to 1'
        when candidates < 1 then 'candidates is at least 1'
        when exists (select from unnest(languages || query_language) as l where l !~ '^([a-z]{{2,3}})?$')
            then 'languages and query_language are codes like en and id'
        when mode = 'vector' and query_embedding is null then 'mode vector needs query_embedding'
        when with_vectors and (query_embedding <=> query_embedding) = 'NaN' then 'query_embedding is zero, and so near to nothing'
    end;
    if wrong is not null then
        raise exception 'rag_search: %', wrong using errcode = 'invalid_parameter_value';
    end if;
    parsed := rag_parse_query(coalesce(query_text, ''), of_model, query_language);
    filter.required := parsed.required;
    q := rag_weighed(case when with_words then parsed.words else '{{}}' end, of_model);
    begin
        return query
        with by_vector as materialized (
            select v.chunk_id, v.score, row_number() over () as rank
            from rag_search_vectors(query_embedding, pool, filter, of_model) as v where with_vectors
        ),
        by_words as materialized (
            select w.chunk_id, w.score, row_number() over () as rank
            from rag_rank_words(
                q.words, q.idfs, q.chunks, q.mean_length, pool, filter, of_model,
                budget => case when words_add then 5000 else 20000 end,
                most_scored => case when words_add then pool else greatest(600, least(3 * pool::bigint, 2147483647)::integer) end
            ) as w
        ),
        found as materialized (
            select v.chunk_id from by_vector as v union select w.chunk_id from by_words as w
        ),
        scored as materialized (
            select f.chunk_id, v.rank as vector_rank, w.rank as word_rank, case
                    when v.chunk_id is not null then v.score
                    when with_vectors then (
                        select 1 - (c.embedding <=> query_embedding) from rag_document_chunks as c where c.id = f.chunk_id
                    )
                end as vector_score, case
                    when w.chunk_id is not null then w.score
                    when with_words then coalesce(late.score, 0)
                end as word_score
            from found as f
            left join by_vector as v on v.chunk_id = f.chunk_id
            left join by_words as w on w.chunk_id = f.chunk_id
            left join rag_score_words(
                array(select v.chunk_id from by_vector as v except select w.chunk_id from by_words as w),
                q.words, q.idfs, q.mean_length
            ) as late on late.chunk_id = f.chunk_id
        ),
        fused as (
            select s.*, case
                when not with_words then s.vector_score
                when not with_vectors then s.word_score
                when fusion = 'rrf' then
                    coalesce(vector_weight / (60 + s.vector_rank), 0) + coalesce((1 - vector_weight) / (60 + s.word_rank), 0)
                else
                    vector_weight * coalesce((s.vector_score + 1) / nullif(max(s.vector_score) over () + 1, 0), 0)
                    + (1 - vector_weight) * coalesce(s.word_score / nullif(max(s.word_score) over (), 0), 0)
            end as score
            from scored as s
        ),
        best as materialized (
            select * from fused as f order by f.score desc fetch first (k) rows with ties
        )
        select f.chunk_id, c.document_id, t.path, t.title, c.chunk_index, c.content, c.page, c.heading_path, f.score,
            f.vector_rank, f.vector_score, f.word_rank, f.word_score, t.media_type, t.language, c.char_start, c.char_end
        from best as f
        cross join lateral (select * from rag_document_chunks where id = f.chunk_id offset 0) as c
        left join lateral (select * from rag_document_text where document_id = c.document_id offset 0) as t on true
        order by f.score desc, rag_id_order(c.document_id), c.document_id, c.chunk_index
        limit k;
    exception
        when data_exception then
            get stacked diagnostics wrong = message_text;
            if wrong not like 'different vector dimensions%' then
                raise;
            end if;
            raise exception 'rag_search: %', wrong using errcode = 'data_exception', hint = format(
                'query_embedding has %s dimensions. It has to be made by the model %s, as rag-assets embed does.',
                vector_dims(query_embedding), of_model
            );
    end;
    if not found and not exists (select from rag_document_chunks where embedding_model = of_model)
        and exists (select from rag_document_chunks)
    then
        raise warning 'rag_search: no chunk has a vector of model %: see rag-assets model status', of_model;
    end if;
end
$$;

-- A chunk with up to n before and after it of the same document, in their order.
create or replace function rag_neighbours(chunk bigint, n integer default 1) returns table (
    chunk_id bigint, document_id text, chunk_index integer, content text, page integer, heading_path text[],
    char_start integer, char_end integer
) language sql stable set search_path = {path} as $$
    select c.id, c.document_id, c.chunk_index, c.content, c.page, c.heading_path, c.char_start, c.char_end
    from rag_document_chunks as s
    join rag_document_chunks as c on c.document_id = s.document_id and c.embedding_model = s.embedding_model
        and c.chunk_index between s.chunk_index - n::bigint and s.chunk_index + n::bigint
    where s.id = chunk
    order by c.chunk_index
$$;
