-- A database of the version whose last migration was 009_runs.sql, as pg_dump writes it: that of 005_generations.sql,
-- migrated: documents that are done (1), renamed (2), deleted (3), failed once (4), given up (5), waiting (6), held by a
-- run (7) and by a batch (8).

SET check_function_bodies = false;

CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;

CREATE FUNCTION public.notify_document_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
declare
    new_id text;
    old_id text;
begin
    if pg_catalog.current_setting('rag_assets.wrote', true) operator(pg_catalog.=) 'yes'
        and tg_level operator(pg_catalog.=) 'ROW'
    then
        begin
            
            new_id := new."id"::pg_catalog.text;
            old_id := old."id"::pg_catalog.text;
        exception when insufficient_resources then
            raise;
        when others then
            begin
                insert into "public".rag_looks (reason) values (pg_catalog.left(sqlerrm, 500));
            exception when others then
                null;  -- then reconciliation finds it
            end;
            return new;
        end;
        insert into "public".rag_changes (operation, document_id)
        values (pg_catalog.lower(tg_op), coalesce(new_id, old_id));
        if old_id operator(pg_catalog.<>) new_id then
            insert into "public".rag_changes (operation, document_id) values ('delete', old_id);
        end if;
        return new;
    end if;
    begin
        if tg_op operator(pg_catalog.<>) 'TRUNCATE' then
            
            insert into "public".rag_changes (operation, document_id)
            values (pg_catalog.lower(tg_op), coalesce(new."id", old."id")::pg_catalog.text);
            if old."id"::pg_catalog.text operator(pg_catalog.<>) new."id"::pg_catalog.text then
                insert into "public".rag_changes (operation, document_id)
                values ('delete', old."id"::pg_catalog.text);
            end if;
        elsif (pg_catalog.current_setting('rag_assets.truncated', true) operator(pg_catalog.=) 'yes') is not true then
            -- The table and each partition; the first tells of all that is known.
            perform pg_catalog.set_config('rag_assets.truncated', 'yes', true);
            insert into "public".rag_changes (operation, document_id)
            select 'delete', known.document_id from (
                select document_id from "public".rag_document_text
                union select document_id from "public".rag_document_chunks
                union select document_id from "public".rag_outbox
                union select document_id from "public".rag_changes
            ) as known;
        end if;
        if pg_catalog.set_config('rag_assets.wrote', 'yes', true) operator(pg_catalog.=) 'yes'
            and pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('rag_assets.notify'), 0)
            and pg_catalog.current_setting('max_prepared_transactions') operator(pg_catalog.=) '0'
        then
            notify "document_changes";
        end if;
    exception when insufficient_resources then
        raise;  -- a full disk, or no memory: the server's own trouble, and the change would be lost
    when others then
        begin
            insert into "public".rag_looks (reason) values (pg_catalog.left(sqlerrm, 500));
        exception when others then
            null;  -- then reconciliation finds it
        end;
    end;
    return new;
end
$$;

CREATE FUNCTION public.rag_as_id(given text, kind anyelement) RETURNS anyelement
    LANGUAGE plpgsql STABLE
    AS $$
declare
    id kind%type;
begin
    id := given;  -- what is returned would be converted outside of the block
    return id;
exception when others then
    return null;
end
$$;

CREATE FUNCTION public.rag_count_status() RETURNS TABLE(documents bigint, up_to_date bigint, pending bigint, oldest_pending_at timestamp with time zone, running bigint, failed jsonb, dead jsonb, chunks bigint, chunks_with_vector bigint)
    LANGUAGE plpgsql STABLE
    AS $$
begin
    return query
    with of_kind as (
        select o.state, o.error_kind, count(*) as n from rag_outbox as o where o.error_kind is not null group by 1, 2
    ),
    dead_of_kind as (
        select k.error_kind, k.n from of_kind as k where k.state = 'dead'
        union all select u.kind, count(*) from rag_unfit_rows() as u group by 1
    ),
    doubled as (
        select count(*) - count(distinct d."id"::text) as n from "TblDocumentFiles" as d
        where d."file_path" is not null and exists (select from of_kind as k where k.error_kind = 'id_doubled')
            and d."id"::text in (select o.document_id from rag_outbox as o where o.error_kind = 'id_doubled')
    ),
    at_work as (
        select o.document_id from rag_outbox as o where o.claimed_by like 'run:%' and o.claimed_until > now()
    ),
    waiting as (
        select o.document_id from rag_outbox as o where o.state = 'pending'
        union select n.document_id from rag_changes as n where octet_length(n.document_id) <= 800
        except select a.document_id from at_work as a
    )
    select
        (select count(*) from "TblDocumentFiles" as d where d."file_path" is not null) - (select d.n from doubled as d),
        (select count(*) from "TblDocumentFiles" as d
            join rag_document_text as t on t.document_id = d."id"::text
            where not exists (select from rag_outbox as o where o.document_id = t.document_id)
                and not exists (select from rag_changes as n where n.document_id = t.document_id)),
        (select count(*) from waiting),
        (select least((select min(o.enqueued_at) from rag_outbox as o where o.state = 'pending'),
            (select min(n.changed_at) from rag_changes as n))),
        (select count(*) from at_work),
        (select coalesce(jsonb_object_agg(k.error_kind, k.n), '{}') from of_kind as k where k.state = 'pending'),
        (select coalesce(jsonb_object_agg(k.error_kind, k.n), '{}') from dead_of_kind as k),
        (select count(*) from rag_document_chunks),
        (select count(*) from rag_document_chunks as c where c.embedding is not null);
end
$$;

CREATE FUNCTION public.rag_enqueue(changed_ids text[], changed_how text, with_priority smallint DEFAULT 0) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
    enqueued bigint;
begin
    perform pg_advisory_xact_lock(hashtext('rag_assets.changes'), 0);  -- one at a time: see rag_take_changes
    insert into rag_outbox as o (document_id, operation, priority)
    select changed.id, changed_how, with_priority
    from (select distinct unnest(changed_ids) as id order by 1) as changed
    where octet_length(changed.id) <= 800  -- what has none, or a longer one, is shown by rag_unfit_rows
    -- What a further change of a pending document does to its row: the end of every insert into the outbox by functions.
on conflict (document_id) do update set
    operation = excluded.operation,
    generation = nextval('rag_outbox_generation'),
    priority = least(o.priority, excluded.priority),
    state = 'pending',
    attempts = 0,
    enqueued_at = case when o.state = 'dead' then now() else o.enqueued_at end,
    not_before = now(),
    error_kind = null,
    last_error = null;
    get diagnostics enqueued = row_count;
    return enqueued;
end
$$;

CREATE FUNCTION public.rag_id_order(id text) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN (id ~ '^[0-9]{1,18}$'::text) THEN (id)::numeric ELSE NULL::numeric END;

CREATE FUNCTION public.rag_take_changes() RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
    if not exists (select from rag_changes) then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('rag_assets.changes'), 0);
    with taken as (delete from rag_changes returning changed_at, operation, document_id)
    insert into rag_outbox as o (document_id, operation, priority, enqueued_at)
    select document_id, (array_agg(operation order by changed_at desc))[1], 0, min(changed_at)
    from taken where octet_length(document_id) <= 800 group by 1 order by 1
    -- What a further change of a pending document does to its row: the end of every insert into the outbox by functions.
on conflict (document_id) do update set
    operation = excluded.operation,
    generation = nextval('rag_outbox_generation'),
    priority = least(o.priority, excluded.priority),
    state = 'pending',
    attempts = 0,
    enqueued_at = case when o.state = 'dead' then now() else o.enqueued_at end,
    not_before = now(),
    error_kind = null,
    last_error = null;
end
$$;

CREATE FUNCTION public.rag_unfit_rows() RETURNS TABLE(kind text, id text, path text)
    LANGUAGE plpgsql STABLE
    AS $$
begin
    return query
    select case when d."id" is null then 'id_missing' else 'id_too_long' end, d."id"::text,
        d."file_path"::text
    from "TblDocumentFiles" as d
    where d."file_path" is not null and (octet_length(d."id"::text) <= 800) is not true;
end
$$;

CREATE TABLE public."TblDocumentFiles" (
    id bigint NOT NULL,
    file_path text NOT NULL
);

ALTER TABLE public."TblDocumentFiles" ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public."TblDocumentFiles_id_seq"
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.rag_changes (
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    operation text NOT NULL,
    document_id text
)
WITH (autovacuum_vacuum_scale_factor='0.0', autovacuum_vacuum_threshold='1000');

ALTER TABLE ONLY public.rag_changes REPLICA IDENTITY FULL;

COMMENT ON TABLE public.rag_changes IS 'Changes of documents that are not in rag_outbox yet; rag_take_changes() moves them.';

CREATE TABLE public.rag_document_chunks (
    id bigint NOT NULL,
    document_id text NOT NULL,
    chunk_index integer NOT NULL,
    content text NOT NULL,
    content_sha256 text NOT NULL,
    token_count integer NOT NULL,
    char_start integer NOT NULL,
    char_end integer NOT NULL,
    page integer,
    heading_path text[] DEFAULT '{}'::text[] NOT NULL,
    kind text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    embedding public.vector(384) NOT NULL,
    embedding_model text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    distrusted boolean DEFAULT false NOT NULL
);

COMMENT ON COLUMN public.rag_document_chunks.content_sha256 IS 'Of the text that was embedded; vectors of the same text and model are reused.';

COMMENT ON COLUMN public.rag_document_chunks.distrusted IS 'Whether the vector is to be made anew: it is neither kept nor reused.';

ALTER TABLE public.rag_document_chunks ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.rag_document_chunks_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.rag_document_text (
    document_id text NOT NULL,
    path text NOT NULL,
    sha256 text NOT NULL,
    size_bytes bigint NOT NULL,
    mtime_ns bigint NOT NULL,
    media_type text NOT NULL,
    parser text NOT NULL,
    pages integer,
    title text,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    warnings text[] DEFAULT '{}'::text[] NOT NULL,
    content text NOT NULL,
    fingerprint text NOT NULL,
    embedding_model text NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    chunk_count integer
);

COMMENT ON COLUMN public.rag_document_text.sha256 IS 'Of the file''s bytes.';

COMMENT ON COLUMN public.rag_document_text.fingerprint IS 'Of the parser and of the settings that decide the cuts.';

CREATE TABLE public.rag_embedding_models (
    model text NOT NULL,
    texts text[] NOT NULL,
    vectors real[] NOT NULL,
    recorded_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE public.rag_embedding_models IS 'Vectors of known texts at each model''s first use: what comes later under the same name is compared with them.';

COMMENT ON COLUMN public.rag_embedding_models.vectors IS 'One row per text.';

CREATE TABLE public.rag_ingestion_log (
    id bigint NOT NULL,
    document_id text NOT NULL,
    path text,
    run_id text NOT NULL,
    status text NOT NULL,
    stage text NOT NULL,
    error_kind text,
    error_message text,
    content_sha256 text,
    media_type text,
    parser text,
    pages integer,
    characters integer DEFAULT 0 NOT NULL,
    chunks integer DEFAULT 0 NOT NULL,
    chunks_embedded integer DEFAULT 0 NOT NULL,
    chunks_reused integer DEFAULT 0 NOT NULL,
    chunks_deleted integer DEFAULT 0 NOT NULL,
    tokens integer DEFAULT 0 NOT NULL,
    embedding_model text,
    server_build text,
    seconds jsonb DEFAULT '{}'::jsonb NOT NULL,
    warnings text[] DEFAULT '{}'::text[] NOT NULL,
    logged_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT rag_ingestion_log_status_check CHECK ((status = ANY (ARRAY['processing'::text, 'completed'::text, 'failed'::text, 'skipped'::text, 'deleted'::text])))
);

ALTER TABLE public.rag_ingestion_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.rag_ingestion_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.rag_looks (
    asked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    reason text NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.0', autovacuum_vacuum_threshold='1000');

ALTER TABLE ONLY public.rag_looks REPLICA IDENTITY FULL;

COMMENT ON TABLE public.rag_looks IS 'Something changed that no document is known of: the whole documents table is to be looked at.';

CREATE TABLE public.rag_migrations (
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.rag_outbox (
    document_id text NOT NULL,
    operation text NOT NULL,
    generation bigint NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    enqueued_at timestamp with time zone DEFAULT now() NOT NULL,
    not_before timestamp with time zone DEFAULT now() NOT NULL,
    claimed_by text,
    claimed_until timestamp with time zone,
    error_kind text,
    last_error text,
    claimed_generation bigint,
    confirmed_at timestamp with time zone,
    CONSTRAINT rag_outbox_operation_check CHECK ((operation = ANY (ARRAY['insert'::text, 'update'::text, 'delete'::text]))),
    CONSTRAINT rag_outbox_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'dead'::text, 'held'::text])))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.0', autovacuum_vacuum_threshold='500');

COMMENT ON TABLE public.rag_outbox IS 'One row per document with pending work; generation, new at each change, fences stale writes.';

COMMENT ON COLUMN public.rag_outbox.priority IS '0: a change, 1: first fill; lower goes first.';

COMMENT ON COLUMN public.rag_outbox.state IS 'held: a deletion that came with too many others, and waits until it is confirmed.';

COMMENT ON COLUMN public.rag_outbox.confirmed_at IS 'When somebody said that this document is to go, however many others do.';

CREATE SEQUENCE public.rag_outbox_generation
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.rag_outbox_generation OWNED BY public.rag_outbox.generation;

CREATE TABLE public.rag_owner (
    is_only boolean DEFAULT true NOT NULL,
    program text NOT NULL,
    fingerprint text NOT NULL,
    embedding_model text NOT NULL,
    settings text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT rag_owner_is_only_check CHECK (is_only)
);

COMMENT ON TABLE public.rag_owner IS 'The program whose settings decide how documents are cut and embedded; others refuse to work.';

CREATE TABLE public.rag_runs (
    run_id text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    progress bigint DEFAULT 0 NOT NULL,
    progressed_at timestamp with time zone DEFAULT now() NOT NULL,
    taken_over_at timestamp with time zone
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.0', autovacuum_vacuum_threshold='100');

COMMENT ON TABLE public.rag_runs IS 'One row per run at work; it goes with the run.';

COMMENT ON COLUMN public.rag_runs.progress IS 'Changes while the run gets on, or has nothing in hand.';

COMMENT ON COLUMN public.rag_runs.taken_over_at IS 'When its documents were given to other runs: from then on it stores nothing.';

CREATE VIEW public.rag_status AS
 SELECT documents,
    up_to_date,
    pending,
    oldest_pending_at,
    running,
    failed,
    dead,
    chunks,
    chunks_with_vector,
    ( SELECT count(*) AS count
           FROM public.rag_outbox o
          WHERE (o.state = 'held'::text)) AS held
   FROM public.rag_count_status() s(documents, up_to_date, pending, oldest_pending_at, running, failed, dead, chunks, chunks_with_vector);

ALTER TABLE ONLY public.rag_outbox ALTER COLUMN generation SET DEFAULT nextval('public.rag_outbox_generation'::regclass);

INSERT INTO public."TblDocumentFiles" OVERRIDING SYSTEM VALUE VALUES (1, 'done.txt');
INSERT INTO public."TblDocumentFiles" OVERRIDING SYSTEM VALUE VALUES (4, 'failing.txt');
INSERT INTO public."TblDocumentFiles" OVERRIDING SYSTEM VALUE VALUES (5, 'dead.xyz');
INSERT INTO public."TblDocumentFiles" OVERRIDING SYSTEM VALUE VALUES (6, 'new.txt');
INSERT INTO public."TblDocumentFiles" OVERRIDING SYSTEM VALUE VALUES (7, 'running.txt');
INSERT INTO public."TblDocumentFiles" OVERRIDING SYSTEM VALUE VALUES (8, 'batched.txt');
INSERT INTO public."TblDocumentFiles" OVERRIDING SYSTEM VALUE VALUES (2, 'renamed.txt');

INSERT INTO public.rag_changes VALUES ('2026-11-28 19:04:15.805869+00', 'delete', '3');
INSERT INTO public.rag_changes VALUES ('2026-11-28 19:04:15.819038+00', 'update', '2');

INSERT INTO public.rag_document_chunks OVERRIDING SYSTEM VALUE VALUES (1, '1', 0, 'This paragraph tells about pumps. It says much more on pumps. It says much more on pumps. It says much more on pumps. It says much more on pumps. It says much more on pumps. It says much more on pumps.', 'c45189458afcfac3fa7a980d4a9b46c9f5fcc834f9012d1deb6c1cb3698bcdd2', 48, 0, 201, NULL, '{}', 'prose', '{}', '[-0.04079575,-0.04716775,0.051096436,-0.0338484,0.010979841,-0.00088667637,-0.013372816,0.05121942,0.042096984,-0.0022267273,-0.017499963,-0.026832314,-0.03514066,-0.022957206,-0.022801856,0.09360952,0.02880714,0.027605478,0.015010799,0.088956535,0.093559206,0.0062853424,-0.085456856,-0.063636504,-0.0017830412,0.04790654,0.03307557,-0.008837572,-0.03618978,-0.0032870308,-0.019562954,0.025658626,-0.13819584,-0.030601284,0.01755233,0.024349755,0.061635885,0.029223775,0.08246684,-0.00202575,0.025476607,-0.040801305,-0.0024515463,-0.042084984,0.12080025,0.016602566,-0.01920627,0.017730651,-0.055854995,-0.0664531,0.0732511,-0.09188301,0.01930819,0.017090786,-0.057892457,-0.0541468,-0.031653684,-0.030968307,0.015520002,-0.040266432,0.005880966,0.06720211,0.0074877176,0.01870548,-0.03166467,-0.032896567,-0.011240611,-0.0272597,-0.00067398435,0.09713122,0.0065697497,0.03744567,-0.031163465,0.02845153,0.03420653,-0.079064034,0.01470352,0.038760893,-0.052241832,-0.00075460185,-0.01431055,-0.038595304,-0.05115288,-0.04507,-0.00902143,0.02017523,0.051542867,0.06032116,0.03722394,-0.04374827,0.040919434,0.02243188,-0.013428545,0.030956788,-0.07906476,0.098884255,0.07854638,0.047853682,-0.05714258,-0.09052623,0.04016341,0.0025421374,-0.016708741,0.0239441,0.032325238,-0.029103173,-0.02553059,-0.06256116,-0.0028023222,-0.07272798,0.040465154,0.0058389264,3.8046666e-05,0.041111533,0.026187725,0.034829613,0.015389855,-0.034073353,-0.06222317,-0.025072478,0.03759327,-0.008324148,-0.032458592,0.046509728,0.046488665,-0.11759666,-0.008750555,0.057325352,-0.02642526,-0.015145148,0.0047088647,0.029616468,0.036273856,0.037442267,-0.09187104,0.060821556,-0.0042100535,0.020732118,-0.019323606,0.07945671,-0.038096033,0.074148454,0.02513057,-0.019311538,-0.013648404,-0.0074192462,-0.015256577,0.0057427217,0.06187517,-0.012474168,-0.061493568,-0.097801425,0.01257812,0.04659508,0.12091308,0.035578344,0.007316108,-0.08988105,-0.0787459,-0.04579499,0.14037614,-0.04689154,0.06523311,-0.020727396,0.0012385881,-0.14638981,0.087154046,0.073268294,-0.012124168,0.021865563,-0.034016483,0.119216874,-0.005394281,-0.09527663,-0.024030726,0.013180342,-0.024197781,0.01803928,-0.10470545,-0.10447899,0.033573993,0.033869334,-0.04744103,-0.0326289,-0.0650566,-0.022033717,-0.033124607,-0.032246046,0.10506704,0.005085091,-0.02910352,0.0043212743,0.07403743,0.012640994,0.0660296,-0.027747843,-0.0729773,0.11053528,-0.10562494,-0.10796474,0.044828877,0.003706211,0.036455836,0.08335191,0.021761302,0.02261329,-0.007928597,-0.009902089,-0.021905389,-0.0837907,0.021175459,-0.011431357,0.060069866,0.022816202,-0.0764427,0.016025992,-0.080849424,-0.07106205,-0.027812835,0.047394853,-0.042551577,0.0017465631,-0.008738355,0.10261002,0.041321713,-0.08789553,-0.10312602,0.079827234,-0.024233004,-0.045802914,0.05175621,-0.047049444,0.029329857,-0.06819262,0.02877146,-0.011410638,0.019945422,-0.077652626,-0.019792993,-0.009990673,0.04278917,0.046357956,0.020515883,0.045772463,-0.022842534,-0.070926376,0.080889285,0.036635883,0.054074265,0.0042095156,0.008283506,-0.0049679996,0.09236966,-0.017834209,0.010874501,-0.05723288,0.072898954,-0.011393464,-0.029429957,-0.04669066,-0.010817681,0.06442638,0.021012347,0.025031958,-0.06631283,0.022373416,0.030255934,0.01250097,-0.036659863,-0.008171549,0.041465264,-0.039291803,0.057922598,0.015817553,0.061127674,0.07224954,0.03618851,0.052537125,-0.0064005386,0.06173317,0.07682751,-0.08382979,-0.060602088,0.03289201,0.09269914,0.042495113,0.0011323752,0.06500993,-0.02036218,0.048864264,-0.09070326,-0.0029214702,-0.043595307,0.066887744,-0.0213198,0.018295538,0.053299848,-0.014329182,-0.04245787,0.04056975,0.025544683,0.08975556,-0.07684669,-0.05275073,-0.03795345,0.04257367,-0.035841674,-0.01038414,0.025242548,-0.030514328,-0.04547632,0.007939974,0.0004928052,0.02866146,-0.05285321,-0.0009685906,0.06418713,-0.056460187,-0.06089437,0.05979995,-0.028840689,0.0004178272,-0.056896623,-0.002781416,-0.11493493,0.056126904,0.009194107,-0.0448336,-0.0117365215,0.0066694105,-0.039178085,0.037463516,0.04521963,-0.0030799094,0.048380736,-0.12759618,0.066040255,0.016833233,-0.02961213,-0.011754907,0.0851058,0.014384037,0.050528467,-0.027199566,0.023954326,-0.057567082,-0.03180871,-0.045080297,-0.06091152,0.038876064,0.0071536303,-0.057575434,0.0044108923,0.028256292,0.042183004,-0.005525939,-0.051715367,0.08583622,0.1680011,0.010744943,0.024399824,-0.040158372,0.0048836577,0.03410346,-0.030165672,-0.0071208198,-0.011690801,0.011324413,-0.017209312,0.07711741,0.0419193,-0.013918925,0.116104305,0.016210716,-0.049732443,-0.04628726,-0.033183206,-0.07180098,0.014570949,0.04366422,-0.03240609,-0.027263418,0.05119585,0.015321568]', 'all-MiniLM-L6-v2', '2026-11-28 19:04:15.519821+00', false);
INSERT INTO public.rag_document_chunks OVERRIDING SYSTEM VALUE VALUES (2, '1', 1, 'This paragraph tells about roses. It says much more on roses. It says much more on roses. It says much more on roses. It says much more on roses. It says much more on roses. It says much more on roses.', '27aad09f49eac725f0db70dab3b5e881b8cf2b8587330973fadb7592f65f89cf', 48, 204, 405, NULL, '{}', 'prose', '{}', '[-0.13753362,0.008494292,0.028632633,-0.007325671,0.011744691,-0.05991458,-0.022942806,0.033587374,-0.04563061,0.0012478789,-0.0242543,-0.06591201,0.08571628,0.044598155,0.045379512,0.04814601,-0.09655441,0.016208457,-0.035920385,-0.034581315,0.019579656,0.0002342671,-0.012157492,-0.046333466,0.107769355,-0.038773403,0.032741833,0.06882886,0.029727887,-0.041296333,-0.014792551,-0.01166809,-0.13664827,0.04737164,-0.0155968405,0.03634602,-0.013580692,0.02655206,-0.023602586,-0.017974954,-0.017236123,-0.06762215,0.05255119,0.045034017,0.08556368,-0.043250456,-0.046656027,0.05505155,-0.06718478,0.0071261916,0.0150704235,0.026152642,-0.021423802,-0.047937453,0.0498149,0.008724701,0.054053225,0.017918086,0.0110484455,-0.023146067,-0.014439072,0.042339887,-0.007233372,0.015549219,0.048267134,0.06477408,0.03473657,0.017754994,-0.0048893793,0.0422507,0.04691796,0.010426618,0.06155309,0.008379683,0.01612789,-0.016701423,-0.019850833,-0.009236799,-0.03427556,0.0039495565,-0.008078933,-0.01028311,-0.0039032337,-0.033301227,-0.019459618,0.0038363761,-0.04335506,-0.07735939,0.063154325,0.021598937,-0.0020690246,-0.02880835,0.008064363,-0.03427253,0.034368794,-0.12830715,0.047691792,0.029554654,-0.11605291,-0.024488878,-0.023334676,0.026884872,-0.032102317,0.017348394,0.10749853,0.0666083,0.022594023,0.059294198,-0.13510384,0.008268462,-0.057785023,-0.012247905,0.019174576,0.032388344,0.016779518,0.04116108,-0.019815654,0.003933801,0.092402205,0.06406109,-0.097344734,-0.07585441,0.10894035,-0.058436397,0.06356662,0.036631286,-0.0010451241,0.13383816,0.071003325,-0.023061613,0.0355857,-0.050309896,0.0008895638,0.03052486,0.03900017,0.029157013,-0.052453898,-0.0067254608,-0.021253873,0.015747545,-0.008546746,-0.020850796,-0.035071995,-0.00020345158,0.04082804,0.013200519,0.00608224,-0.018379591,0.075102106,0.09365567,0.0095270295,-0.04916687,0.0050050938,0.05897153,0.057988286,0.02257888,-0.027420878,0.03980185,-0.006558931,0.0105322655,-0.008612059,0.0004223612,0.0034705221,-0.025294911,0.0629948,0.050736263,-0.013329825,-0.05979945,-0.07803993,0.044814803,-0.11713164,0.11837577,0.11805087,-0.047823336,0.061588563,-0.018905023,0.04431169,0.0014511053,-0.08286976,0.060217746,-0.010157039,0.030342774,0.01919783,0.038012225,0.007454479,-0.04546975,0.037157856,-0.04982661,0.016041586,0.047856517,0.013592353,-0.07066426,-0.022696596,0.024676383,-0.027073959,-0.056761988,-0.059935834,0.05713721,-0.0052788197,0.09709004,-0.054958794,-0.040973626,-0.002764715,-0.051201075,-0.01446559,0.053729605,0.033333242,-0.001432587,-0.01745347,0.032063868,-0.046472542,0.033322502,-0.10610781,-0.053390834,-0.09637238,-0.044290014,-0.006865972,-0.010399671,0.011139567,-0.024765356,0.10793311,0.032783605,-0.01735712,-0.00068286725,0.022553295,0.004314715,-0.008063633,-0.017001959,0.024976423,-0.04225005,0.027078379,-0.036377072,0.038856525,-0.14283043,-0.13029085,0.045482986,0.00020731201,-0.018694013,0.037562925,0.026022129,-0.13300453,-0.12749718,0.0436262,-0.085694514,0.029193277,-0.06749728,0.044768758,0.03212592,-0.030363027,-0.12750912,0.0050779358,-0.096608564,0.04225933,0.05432911,0.034050517,-0.041624192,0.054602515,0.058935076,0.022027792,-0.041320823,-0.08163711,0.099697284,-0.06175873,-0.039036866,0.050413996,-0.019664137,-0.06327915,0.10137396,0.0012390709,0.038524028,0.00461357,0.07000914,-0.038414814,0.03446236,-0.007529956,-0.035139255,-0.007912436,-0.014780775,0.0114912195,-0.009960173,0.06649731,0.057726864,0.014041257,-0.064907715,0.02175959,0.028886223,0.08600349,-0.04300104,0.042763975,0.048387736,0.017630856,0.011916044,-0.106063776,0.02675332,0.029754968,-0.0013413391,0.02817541,0.023706272,-0.044809714,0.03854656,-0.07421187,0.0004880375,-0.017538738,0.004764826,-0.033298615,0.04231195,0.012521436,-0.060132906,-0.08866528,0.028413251,-0.021684231,-0.04972723,0.00823515,-0.04172646,-0.0031117338,-0.10044977,-0.07119334,-0.012908307,-0.026176324,0.049311582,0.002235882,-0.0053806435,0.08496917,0.03920111,-0.04700205,-0.052457105,0.06451954,0.029385854,-0.008401279,-0.024627376,0.13365968,-0.04260309,-0.09553327,-0.0037392897,-0.021660207,-0.008174985,0.0098432675,0.0009196274,-0.012535124,0.053960744,-0.018401818,0.067459166,0.092619166,0.004318399,0.029843595,-0.07303838,-0.08625729,-0.078027025,-0.050361995,0.024561893,-0.011798653,-0.024744637,0.05359102,-0.06448261,0.035719573,-0.0052665076,0.035909202,0.049927082,-0.008861313,0.024630355,0.0027031526,-0.09490422,-0.03245636,-0.06789668,-0.014670876,-0.060831334,0.026746202,0.0066384263,0.09315861,0.01712161,0.03629037,0.023638748,0.09182273,0.03877342,-0.004555827,0.10621662,0.0011632565,-0.05725956,0.0059984615,-0.005374563,-0.037354738,0.009293886,0.012171897,-0.08563643]', 'all-MiniLM-L6-v2', '2026-11-28 19:04:15.519821+00', false);
INSERT INTO public.rag_document_chunks OVERRIDING SYSTEM VALUE VALUES (3, '2', 0, 'This paragraph tells about taxes. It says much more on taxes. It says much more on taxes. It says much more on taxes. It says much more on taxes. It says much more on taxes. It says much more on taxes.', 'd6b248a3f6e1456f65b5da96df4e421587f2c3641e20790b75019f709e1d8d8b', 48, 0, 201, NULL, '{}', 'prose', '{}', '[0.074083626,-0.012035123,-0.06328766,0.013875217,0.052521486,-0.002791351,0.06550978,-0.07646628,-0.07124189,0.060759746,0.05980509,-0.013070607,-0.08274783,-0.010126172,0.056222808,-0.017907854,0.027178256,0.0109127695,0.0037629865,0.108696826,0.0072961454,-0.024598096,0.06377674,-0.07680126,-0.008512249,0.05998601,-0.046028826,0.047386438,0.08861925,0.024125796,-0.001027573,-0.06630172,-0.07669457,-0.056944016,-0.046368238,0.05058056,-0.060110502,-0.022624947,0.02480706,0.09268695,0.057369813,0.06219347,0.11466586,-0.013512545,0.063598365,-0.024234695,0.04982501,-0.013527502,-0.04242084,0.039997786,-0.0054041827,0.003433765,-0.08051472,-0.0014052636,-0.032327607,0.07442525,0.014745355,0.017433036,0.0696614,0.035188634,-0.055505797,0.013353383,0.04352375,-0.013349458,0.05792047,0.022272557,0.03231421,-0.0202604,0.00349205,0.042722534,0.09732081,-0.03912865,-8.355289e-05,-0.04526215,-0.04517085,0.0047243466,-0.024761405,0.028618542,-0.06752566,0.018510183,0.009483863,-0.03012388,0.102975376,-0.03632456,-0.04332178,0.02134908,0.06444554,0.066685066,0.112667486,-0.074258275,-0.026026994,0.0032905005,-0.06117736,0.03979754,-0.06159893,0.029501075,0.0701169,0.027905924,-0.017879423,-0.017311824,0.00854987,-0.0768364,0.038661182,0.01990216,0.042870305,0.0075953016,-0.004906592,-0.0046402905,-0.02096582,0.061439026,0.07768702,-0.05584202,0.02160148,-0.03755408,0.036782775,0.05928807,-0.036927406,-0.026171621,0.0271741,0.058988933,0.0049830102,0.015281348,-0.05927768,-0.013368778,0.0064551155,0.0153812645,-0.00084458914,0.0527866,-0.0221918,0.09004744,-0.0319643,-0.020050062,0.029504485,0.045195375,0.012582649,0.1061368,0.037325703,-0.052801095,0.0154039115,-0.0028172126,0.061413947,-0.0111066215,-0.045625534,0.05906005,0.05546923,-0.0017293245,-0.019703042,0.020024007,-0.02729705,0.06033769,-0.049211945,-0.023006508,0.027565967,0.0125925215,0.008752882,0.08435928,-0.008121086,0.07265889,0.038061902,-0.057651054,-0.026678778,-0.05583568,-0.0034317204,0.019496191,0.013355601,-0.0156519,-0.023918694,-0.030602971,-0.029094288,-0.04169717,-0.000138472,0.023513429,-0.08096042,0.0326976,0.032402635,0.109254695,0.13611521,-0.09605027,-0.028406397,-0.061102558,-0.009769911,-0.060028825,0.09350708,0.028269127,-0.0068574823,-0.01547436,-0.009749912,-0.04910105,0.026366066,-0.03333245,0.07684852,0.032879043,0.06175079,-0.09584099,0.03487283,0.001172874,-0.08634149,0.038668375,-0.04386014,0.02639548,0.04079399,0.11003257,-0.012501979,-0.055539105,-0.03302293,0.011328372,0.065219596,0.049394775,0.121033944,-0.02042607,-0.023632951,0.010059428,0.028631914,-0.070288785,0.080734126,-0.05222098,0.028196912,-0.0017804209,0.01677876,0.09320564,0.097342074,0.0017736645,-0.03943162,0.03346303,-0.06958308,-0.11803022,0.06747934,0.0458146,-0.045287985,-0.0031180002,-0.002824342,0.01954698,-0.057342056,-0.01328492,-0.00013095995,-0.04457837,-0.048932027,-0.001583569,-0.03691352,-0.075894326,-0.047773153,-0.01726291,0.064392254,-0.03789997,-0.06796159,-0.0054331063,-0.045066625,-0.09212138,-0.010912232,0.0029522544,-0.008671562,-0.024269018,-0.06568534,0.027464416,-0.006648842,-0.028859643,-0.055531926,-0.053082738,-0.096443094,0.06723813,-0.06593496,-0.037579488,0.02422445,-0.06477805,-0.054955993,0.017899815,0.02644776,-0.0022988988,-0.010937388,0.0120604765,-0.115656964,0.08622586,-0.021327682,0.0026152553,-0.008857079,-0.015031293,0.04130571,-0.00055155286,-0.044629674,0.028341118,-0.10154775,0.03418367,-0.009041296,-0.01051738,0.07295664,0.03668531,0.05556051,-0.122480325,0.046107482,0.034410805,0.09407959,0.048701063,-0.022057835,-0.06972077,-0.034587033,0.07567692,-0.04860731,0.023199195,-0.07118337,-0.005647815,-0.0633771,0.02252406,-0.029750504,0.022286419,0.05163595,0.06454527,-0.033274867,-0.060271017,-0.04242383,-0.051880356,-0.08700767,0.11106606,0.054171722,0.014228204,0.017456088,-0.03736154,-0.029211013,0.06363667,0.030900553,-0.120591775,0.065898284,0.022679782,0.017411783,0.033915613,-0.014503249,0.05690356,-0.109820895,-0.049185533,-0.11295236,0.047923032,-0.05867964,0.05720427,0.028621562,0.04285665,-0.033639334,-0.014893967,0.014365826,0.10218229,-0.00070509134,-0.03891777,0.025119375,-0.082379565,-0.013472037,0.04329473,0.087953344,-0.06722157,-0.11988907,0.09545091,0.024369335,0.020088952,0.005858774,0.045894936,-0.043418434,0.005010195,0.021112833,0.022367988,-0.0076748827,0.011621205,0.0117803905,-0.013646592,-0.022657875,-0.032491095,0.091775134,-0.0069854003,-0.003893598,-0.013542203,-0.04839352,-0.009352728,-0.009464467,0.0016375709,-0.044229083,-0.0070894314,-0.07536335,-0.0030489205,-0.083611175,-0.057062052,-0.049776554,-0.018962886,-0.096941896,-0.07017975,-0.0053894063,0.031626996,0.02577711,0.049296793]', 'all-MiniLM-L6-v2', '2026-11-28 19:04:15.519821+00', false);
INSERT INTO public.rag_document_chunks OVERRIDING SYSTEM VALUE VALUES (4, '2', 1, 'This paragraph tells about trains. It says much more on trains. It says much more on trains. It says much more on trains. It says much more on trains. It says much more on trains. It says much more on trains.', '44b3672ea71291b1723ab7013dbab8c5a3f27f87f386ebdd57c26cf885ef3cb9', 48, 204, 412, NULL, '{}', 'prose', '{}', '[0.030725647,0.051297046,-0.0141910035,0.0002847514,0.051172934,0.026651984,-0.060094874,0.08251751,0.0015454588,-0.04561851,0.027001686,0.08414812,0.08052677,-0.011108638,-0.08197882,0.00797802,0.0063213357,0.032885235,-0.00077576644,-0.0050893207,-0.03379648,-0.19144002,0.04602677,-0.006232223,0.022287888,-0.049747244,-0.051241998,0.042172685,0.0075774933,0.053080596,0.09091409,0.020408493,0.007627976,0.0768777,0.0010516254,-0.0018536123,-0.015395761,-0.007996789,-0.057037525,0.00081558904,-0.021648794,0.05884894,-0.021537967,-0.01093497,-0.026362944,-0.004553206,0.0142335165,-0.024061562,-0.026896615,-0.014154429,0.019498298,-0.020964468,0.0064805825,-0.05818158,0.043187086,0.0031189625,0.06976297,-0.049428742,0.016550975,0.025140049,0.006201805,0.10180234,0.10684812,-0.04644506,-0.00742183,-0.039326772,0.043485235,0.026674036,0.08190686,-0.06508313,-0.076782234,0.027191138,-0.034920428,-0.12251173,0.09262098,0.06426513,-0.044220135,-0.03827391,0.07000992,0.11370101,-0.041599475,0.031069059,0.008327092,-0.0014169866,-0.0057061226,0.072931506,0.03061215,0.072393715,0.050119616,0.011172258,-0.04371821,0.008522146,-0.040708452,0.023286676,0.0016663993,-0.0011242232,0.12387342,0.07661296,-0.03694105,-0.0012070099,-0.0039645806,-0.025350872,-0.05411818,0.007808882,-0.0697183,-0.0080522625,0.06277323,0.06063922,-0.022025878,-0.039346434,-0.02876734,-0.04025121,-0.034898132,0.10667236,-0.0685067,0.045720074,-0.04925638,-0.030079173,-0.041076843,0.0069596446,-0.053593446,0.045997903,-0.011901936,0.016304336,-0.04673603,-0.0046201544,0.12005422,0.053243563,-0.010484667,-0.034492817,0.002634478,0.005609168,-0.010175933,0.022353662,-0.06335783,0.010385479,0.03612717,0.030104084,0.015062342,-0.05723514,0.03284379,0.05694097,-0.046082597,0.055893645,0.021870242,0.058100272,0.11541525,0.043056425,0.046012215,0.039578926,-0.05631634,0.07466086,-0.014803783,-0.049117006,-0.03808673,-0.0100221895,-0.027992727,0.09676289,0.12008391,0.04510136,-0.019927375,0.03171053,0.059462197,0.028121307,-0.004699547,0.037283663,0.076137304,0.06142775,0.0070218504,0.05595795,0.04848201,-0.027081765,0.095032826,-0.015961697,-0.005866706,0.06617453,0.031802293,0.035568032,0.037983403,0.03179338,-0.015792921,0.05291151,-0.0305563,0.025173321,0.0033873422,0.022657065,0.06261774,0.0066227266,0.02826124,-0.0353989,-0.03587363,0.030580413,0.026098428,0.05746494,-0.040583998,0.06630233,0.047093805,-0.005575849,-0.05529454,0.010981309,-0.047490407,0.065703146,-0.060658786,0.027034197,0.11294107,0.022581378,-0.003926897,-0.01088357,-0.07195767,-0.037919484,-0.0014377655,-0.029556505,-0.034479175,-0.03631862,0.021172956,0.09577403,0.0037318114,-0.08238816,-0.055029053,0.034840744,0.1012226,0.01380994,-0.010732582,0.12845764,-0.01885884,-0.05267886,0.028250972,-0.100863196,-0.0049785725,-0.02068382,0.056831863,-0.14205994,0.042573564,-0.017056122,-0.048487917,-0.049494866,0.022863446,-0.010247418,0.020907229,0.005792852,0.048929963,0.07057084,-0.08482573,-0.03055663,-0.07564838,-0.0062697013,-0.047950197,0.015270428,0.04684839,0.0639879,0.028057823,0.03257615,-0.0059098816,0.0011823071,0.04467683,0.012932433,0.013301001,0.055142123,0.015263211,-0.042396624,0.03908956,-0.13057339,0.017779253,-0.010772908,-0.120923705,0.07026487,-0.05519435,0.021311972,0.009332354,-0.021253658,0.07416629,-0.11772579,-0.03900101,0.023981491,0.058117524,-0.113234535,0.03361601,-0.023228679,0.078274585,-0.028954037,-0.053705662,0.08143927,-0.038075652,-0.032957397,-0.05405053,0.03341169,-0.056436215,0.017042845,0.033154525,0.028360473,-0.047484733,0.040215548,0.015615167,0.030360768,0.02353007,-0.053532723,0.022229033,-0.070823744,-0.026650097,0.012190974,-0.023003925,-0.03528043,0.03007312,0.011376426,0.028769476,0.024264533,0.10987787,-0.033050254,0.03731824,-0.09719815,0.11507181,0.06170051,0.011582609,0.031152787,0.005499668,0.064136505,0.10066482,-0.027920285,-0.043253634,0.025230104,-0.038658455,0.066751935,-0.07699131,0.0060796603,-0.08876546,-0.026801812,0.04230676,-0.04850656,0.014756769,-0.0001781753,0.045840036,-0.008911358,-0.02004407,-0.08204571,0.0024256352,-0.0664831,0.0033597562,-0.046384506,0.051062673,-0.016285392,0.028121438,-0.049553964,0.031112125,-0.07914114,0.105801396,-0.059952036,-0.0005974133,-0.05168107,0.03920192,-0.05195938,0.06507526,-0.018352376,-0.057808597,0.016987823,0.045270983,0.02465198,-0.0634135,-0.024596188,-0.042167634,-0.0024744286,-0.10547372,-0.014180036,-0.0020888841,-0.0032595973,0.019128105,-0.10918255,-0.041551717,0.06134992,0.026686838,-0.050867587,0.0048714974,0.06399685,0.006918586,-0.00556969,0.036403496,-0.030104963,0.028467264,-0.026808433,0.05551826,0.0011824203,-0.0031873551,0.07004717,0.0017697858,-0.08276248]', 'all-MiniLM-L6-v2', '2026-11-28 19:04:15.519821+00', false);
INSERT INTO public.rag_document_chunks OVERRIDING SYSTEM VALUE VALUES (5, '3', 0, 'This paragraph tells about violins. It says much more on violins. It says much more on violins. It says much more on violins. It says much more on violins. It says much more on violins. It says much more on violins.', '41fa3c24534594cc1aa23d10bc878b2712a02fd9c01f63f59f930e5c48f44784', 48, 0, 215, NULL, '{}', 'prose', '{}', '[-0.052974124,0.035962097,0.023852821,-0.09519024,0.01746103,0.051288486,-0.025124736,-0.035192735,-0.052122243,0.006997561,0.023639685,-0.023942946,-0.052518826,-0.02173753,-0.05236328,-0.064877085,-0.025670229,0.067960195,-0.02945854,-0.0024007868,-0.025392672,-0.085713886,-0.032747112,0.001543509,-0.0710875,0.00827983,0.031983778,0.0031069405,0.013615354,0.04996766,0.08573994,0.057840526,-0.02192876,-0.0050620968,-0.027593365,0.03758783,-0.07592917,-0.019482167,0.04323094,-0.04248506,-0.013735481,0.038502812,0.028241279,-0.035545506,0.0096971225,-0.014236167,0.042067543,0.044548113,0.104129404,0.090604566,0.03864691,0.0019053149,-0.08951025,0.04182358,-0.07753118,-0.021614274,-0.022768399,-0.06683211,-0.039488595,-0.06842118,-0.067294285,-0.04629718,-0.024295213,0.11665701,0.026283784,0.029221127,0.04244665,-0.0074102655,0.016343651,0.11665878,-0.07310488,-0.0147650605,0.0061025866,0.06602775,0.005652588,-0.110100865,0.112855926,0.09106237,0.023627685,0.042083528,0.09212917,-0.08916551,-0.015750645,-0.053521696,-0.048599575,0.042099334,-0.0561796,0.0006661032,0.02375085,-0.023908166,-0.0025883613,0.04156831,-0.048001252,0.020350898,0.005632672,0.028790044,0.050828863,0.018838385,-0.00034433452,0.012526686,-0.009568166,0.061068237,0.012926245,-0.04742957,-0.029097725,0.039301112,0.03638561,-0.07438248,-0.024506086,0.011661696,-0.0073954985,-0.004490694,-0.050651804,-0.06238167,0.008730942,0.013502959,0.059890702,-0.011156634,-0.013099505,0.01582262,-0.010911513,0.059174024,0.050497167,-0.015195297,0.023245443,-0.102099836,0.031895768,-0.0008742271,-0.094840765,0.03073997,-0.0917722,0.016453447,-0.0066166217,-0.08912888,-0.0879693,0.07544091,0.06385891,0.08516843,-0.100583,-0.0068624886,-0.08865912,-0.018897353,-0.06364022,-0.053997148,-0.062443666,-0.062368017,-0.06670889,0.043483824,0.029875707,0.07027901,0.047960144,0.008880303,0.069040045,0.08231881,-0.086478956,0.032107163,-0.034531504,-0.017655348,0.019456636,-0.04547507,-0.036967516,0.08585307,-0.016803954,0.054531522,-0.046863504,0.05773207,0.062810436,0.033464573,0.0058700684,-0.114426695,0.0031801958,0.0780588,-0.039581735,0.06679317,0.031275753,0.0061765537,-0.02745957,0.0359568,0.050569568,0.013265362,-0.0015819804,0.043125946,-0.022229245,-0.017214138,-0.024703225,0.03399927,0.013953107,-0.11207379,-0.011707225,-0.05782908,-0.005090015,0.109545276,-0.035810992,0.00547092,-0.15488654,0.028178,0.05390577,0.014709716,0.016650181,-0.039161608,0.024249133,0.046273224,0.04880374,0.03929915,0.043638445,0.017517766,-0.02246803,0.06281409,0.11529565,0.035757013,0.030836634,-0.02464327,0.07631906,-0.042490385,3.6358313e-05,0.029067032,0.07160852,-0.052244745,-0.027100926,-0.017928496,-0.067360155,-0.05464994,-0.05405907,0.030580726,0.11664275,-0.04842306,-0.029890439,0.019783245,-0.04375528,-0.03323928,0.036466718,0.019285375,0.042483356,-0.052654892,-0.014663108,0.056139514,-0.07746927,0.02885588,0.01286481,0.03180955,-0.07063182,-0.002875861,0.04677112,0.021976355,-0.064215094,0.021886216,-0.05447149,-0.03121303,-0.020081388,-0.056170553,0.016412748,0.016173664,-0.072705306,-0.023991069,0.008480448,-0.025288,0.06182126,0.06522504,0.049501263,-0.119949594,0.045711573,-0.06925443,-0.0076914695,-0.025585243,-0.051838372,0.096743435,0.0053934404,0.09387969,0.0670392,-0.06437015,-0.037264,-0.059412606,-0.049801618,0.032293588,0.018985176,-0.030189732,0.076476224,-0.024597704,-0.031489402,0.0745994,-0.031885564,0.0900614,0.008181335,-0.05692976,-0.11823095,0.029415842,-0.0007084536,-0.07165895,0.060477305,-0.073661044,0.038829148,-0.045337398,-0.00023596233,-0.03179238,0.053121388,0.058324046,-0.057371363,-0.043514926,0.09414048,0.05851506,-0.035183206,-0.054757435,-0.077576436,0.08164294,0.018982986,0.031568762,0.022714552,0.001394044,-0.032813523,-0.048012905,-0.11902347,-0.088885725,-0.059538133,-0.09249028,-0.044066265,-0.019304076,0.030536013,-0.018170338,-0.036872283,-0.0012475072,-0.08475828,-0.01301539,0.021620234,-0.05025133,0.10854262,-0.08696751,-0.04349031,-0.00091374404,-0.02219697,-0.025467629,-0.005065951,0.066751465,0.026019847,-0.04989768,0.029075671,0.04646976,-0.04749214,0.04262937,-0.0018270971,-0.012987167,-0.008105817,-0.021381572,-0.0025143314,-0.0986096,0.01202723,-0.07035546,0.030155022,0.04181276,0.09238118,-0.0071822475,-0.04145036,0.038577866,-0.050484776,-0.072620004,0.040339425,0.026851516,0.040016808,-0.010308697,0.062151585,0.019718137,-0.004741332,0.047666512,0.004344985,-0.013906435,-0.0425642,-0.02585086,0.018369813,0.040051866,0.046514828,-0.025825575,0.05143796,0.0024096873,0.014770018,0.028636565,0.023249678,0.0071952892,-0.090547614,0.0044410215,-0.0067732055,-0.0012868252,0.007439157,0.05038556,0.0052130455,-0.0328551]', 'all-MiniLM-L6-v2', '2026-11-28 19:04:15.519821+00', false);

INSERT INTO public.rag_document_text VALUES ('1', 'done.txt', 'f3f9b88910d50613e55b8f7e6dcdd571c5c168128596958cd90d2d8523680664', 406, 1795892650118703469, 'text/plain', 'plain', NULL, NULL, '{"encoding": "utf-8"}', '{}', 'This paragraph tells about pumps. It says much more on pumps. It says much more on pumps. It says much more on pumps. It says much more on pumps. It says much more on pumps. It says much more on pumps. 

This paragraph tells about roses. It says much more on roses. It says much more on roses. It says much more on roses. It says much more on roses. It says much more on roses. It says much more on roses. ', 'a939e9131f8b44e10e3c83454268feed', 'all-MiniLM-L6-v2', '2026-11-28 19:04:15.519821+00', 2);
INSERT INTO public.rag_document_text VALUES ('2', 'changed.txt', '4c2c19dc891ccaf863e9c52511f9dd2d124479a9a9187110505c35eeb33541ca', 413, 1795892650179839538, 'text/plain', 'plain', NULL, NULL, '{"encoding": "utf-8"}', '{}', 'This paragraph tells about taxes. It says much more on taxes. It says much more on taxes. It says much more on taxes. It says much more on taxes. It says much more on taxes. It says much more on taxes. 

This paragraph tells about trains. It says much more on trains. It says much more on trains. It says much more on trains. It says much more on trains. It says much more on trains. It says much more on trains. ', 'a939e9131f8b44e10e3c83454268feed', 'all-MiniLM-L6-v2', '2026-11-28 19:04:15.519821+00', 2);
INSERT INTO public.rag_document_text VALUES ('3', 'gone.txt', '68ae1fbe35ffbbd8fd67d47cdfb49e3be5eac46ec891a5f4a3b991d61926046b', 216, 1795892650212517723, 'text/plain', 'plain', NULL, NULL, '{"encoding": "utf-8"}', '{}', 'This paragraph tells about violins. It says much more on violins. It says much more on violins. It says much more on violins. It says much more on violins. It says much more on violins. It says much more on violins. ', 'a939e9131f8b44e10e3c83454268feed', 'all-MiniLM-L6-v2', '2026-11-28 19:04:15.519821+00', 1);

INSERT INTO public.rag_ingestion_log OVERRIDING SYSTEM VALUE VALUES (1, '1', 'done.txt', '1', 'completed', 'write', NULL, NULL, 'f3f9b88910d50613e55b8f7e6dcdd571c5c168128596958cd90d2d8523680664', 'text/plain', 'plain', NULL, 406, 2, 2, 0, 0, 96, 'all-MiniLM-L6-v2', 'hash', '{"read": 0.0006, "chunk": 0.1222, "embed": 0.0335, "write": 0.0212}', '{}', '2026-11-28 19:04:15.519821+00');
INSERT INTO public.rag_ingestion_log OVERRIDING SYSTEM VALUE VALUES (2, '2', 'changed.txt', '1', 'completed', 'write', NULL, NULL, '4c2c19dc891ccaf863e9c52511f9dd2d124479a9a9187110505c35eeb33541ca', 'text/plain', 'plain', NULL, 413, 2, 2, 0, 0, 96, 'all-MiniLM-L6-v2', 'hash', '{"read": 0.0007, "chunk": 0.0009, "embed": 0.0335, "write": 0.0088}', '{}', '2026-11-28 19:04:15.519821+00');
INSERT INTO public.rag_ingestion_log OVERRIDING SYSTEM VALUE VALUES (3, '3', 'gone.txt', '1', 'completed', 'write', NULL, NULL, '68ae1fbe35ffbbd8fd67d47cdfb49e3be5eac46ec891a5f4a3b991d61926046b', 'text/plain', 'plain', NULL, 216, 1, 1, 0, 0, 48, 'all-MiniLM-L6-v2', 'hash', '{"read": 0.0005, "chunk": 0.0006, "embed": 0.0167, "write": 0.0098}', '{}', '2026-11-28 19:04:15.519821+00');
INSERT INTO public.rag_ingestion_log OVERRIDING SYSTEM VALUE VALUES (4, '4', 'failing.txt', '2', 'failed', 'read', 'not_found', 'File not found: failing.txt', NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, NULL, NULL, '{"read": 0.0004}', '{}', '2026-11-28 19:04:15.652014+00');
INSERT INTO public.rag_ingestion_log OVERRIDING SYSTEM VALUE VALUES (5, '5', 'dead.xyz', '2', 'failed', 'read', 'unsupported', 'dead.xyz is binary (NUL bytes) and no known kind of document', NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, NULL, NULL, '{"read": 0.0065}', '{}', '2026-11-28 19:04:15.652014+00');

INSERT INTO public.rag_migrations VALUES ('001_tables.sql', '7c81bcdb23be3a78ae2427907a6e4caaa4d7f20b6f0caf24fb590bfcb82f7a2b', '2026-11-28 19:04:09.237745+00');
INSERT INTO public.rag_migrations VALUES ('002_claimed_generation.sql', '8313410d983c6c7d52cfa72bb73bd35219e07cc60d1aebfe1bf390b1da8ae6d4', '2026-11-28 19:04:09.237745+00');
INSERT INTO public.rag_migrations VALUES ('003_chunk_count.sql', '792b94d86d0691c250546d048cb16a82eeddc80d3c4daf0fbdc33d1cc026bfd6', '2026-11-28 19:04:09.237745+00');
INSERT INTO public.rag_migrations VALUES ('004_changes.sql', '9ffcd35b8b6df37bb353f46dc3d7b0282d7521b83a0a0249f6aad9a5bf760b08', '2026-11-28 19:04:09.237745+00');
INSERT INTO public.rag_migrations VALUES ('005_generations.sql', '8990cab93f46c75d77b06f4aaa8c78a99d86aebb5e9e57e264a6b7c7421db0b1', '2026-11-28 19:04:09.237745+00');
INSERT INTO public.rag_migrations VALUES ('006_distrust.sql', 'a6ccdb79423e3c4f08c6562163c39b861d0e5673a6aad8db8f2fb7fb89237e73', '2026-11-28 21:33:01.991366+00');
INSERT INTO public.rag_migrations VALUES ('007_watch.sql', 'bb830b9ef5d9d2a6ca4a731137810157f0563824d8b4bc8350de910aaac75718', '2026-11-28 21:33:01.991366+00');
INSERT INTO public.rag_migrations VALUES ('008_ids.sql', 'f9ffa38f9e5d6f9000c91bd1130d03bc3c8f92b6fe5c0196b20c1c2bb58ebb83', '2026-11-28 21:33:01.991366+00');
INSERT INTO public.rag_migrations VALUES ('009_runs.sql', 'bacfc87cd9ba83441c0df6c1dc9a06d5d835e6c3d063c08d91de7192a6fa69e2', '2026-11-28 21:33:01.991366+00');

INSERT INTO public.rag_outbox VALUES ('4', 'insert', 4, 0, 'pending', 1, '2026-11-28 19:04:15.607773+00', '2026-11-28 19:04:49.38705+00', NULL, NULL, 'not_found', 'File not found: failing.txt', NULL, NULL);
INSERT INTO public.rag_outbox VALUES ('5', 'insert', 5, 0, 'dead', 1, '2026-11-28 19:04:15.625932+00', '2026-11-28 19:04:15.652014+00', NULL, NULL, 'unsupported', 'dead.xyz is binary (NUL bytes) and no known kind of document', NULL, NULL);
INSERT INTO public.rag_outbox VALUES ('6', 'insert', 6, 0, 'pending', 0, '2026-11-28 19:04:15.702276+00', '2026-11-28 19:04:15.75581+00', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.rag_outbox VALUES ('7', 'insert', 7, 0, 'pending', 0, '2026-11-28 19:04:15.719268+00', '2026-11-28 19:04:15.75581+00', 'run:3', '2026-11-29 19:04:15.771787+00', NULL, NULL, 7, NULL);
INSERT INTO public.rag_outbox VALUES ('8', 'insert', 8, 0, 'pending', 0, '2026-11-28 19:04:15.738721+00', '2026-11-28 19:04:15.75581+00', 'batch:4', '2026-11-29 19:04:15.784241+00', NULL, NULL, 8, NULL);

SELECT pg_catalog.setval('public."TblDocumentFiles_id_seq"', 8, true);

SELECT pg_catalog.setval('public.rag_document_chunks_id_seq', 5, true);

SELECT pg_catalog.setval('public.rag_ingestion_log_id_seq', 5, true);

SELECT pg_catalog.setval('public.rag_outbox_generation', 8, true);

ALTER TABLE ONLY public."TblDocumentFiles"
    ADD CONSTRAINT "TblDocumentFiles_pkey" PRIMARY KEY (id);

ALTER TABLE ONLY public.rag_document_chunks
    ADD CONSTRAINT rag_document_chunks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.rag_document_chunks
    ADD CONSTRAINT rag_document_chunks_place UNIQUE (document_id, chunk_index) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.rag_document_text
    ADD CONSTRAINT rag_document_text_pkey PRIMARY KEY (document_id);

ALTER TABLE ONLY public.rag_embedding_models
    ADD CONSTRAINT rag_embedding_models_pkey PRIMARY KEY (model);

ALTER TABLE ONLY public.rag_ingestion_log
    ADD CONSTRAINT rag_ingestion_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.rag_migrations
    ADD CONSTRAINT rag_migrations_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.rag_outbox
    ADD CONSTRAINT rag_outbox_pkey PRIMARY KEY (document_id);

ALTER TABLE ONLY public.rag_owner
    ADD CONSTRAINT rag_owner_pkey PRIMARY KEY (is_only);

ALTER TABLE ONLY public.rag_runs
    ADD CONSTRAINT rag_runs_pkey PRIMARY KEY (run_id);

CREATE INDEX rag_document_chunks_distrusted ON public.rag_document_chunks USING btree (document_id) WHERE distrusted;

CREATE INDEX rag_document_chunks_vector ON public.rag_document_chunks USING btree (content_sha256, embedding_model);

CREATE INDEX rag_ingestion_log_document ON public.rag_ingestion_log USING btree (document_id, id DESC);

CREATE INDEX rag_outbox_claimed ON public.rag_outbox USING btree (claimed_by) WHERE (claimed_by IS NOT NULL);

CREATE INDEX rag_outbox_due ON public.rag_outbox USING btree (priority, enqueued_at) WHERE (state = 'pending'::text);

CREATE INDEX rag_outbox_held ON public.rag_outbox USING btree (document_id) WHERE (state = 'held'::text);

CREATE TRIGGER rag_document_changed AFTER INSERT OR DELETE OR UPDATE ON public."TblDocumentFiles" FOR EACH ROW EXECUTE FUNCTION public.notify_document_change();

ALTER TABLE public."TblDocumentFiles" ENABLE ALWAYS TRIGGER rag_document_changed;

CREATE TRIGGER rag_documents_truncated AFTER TRUNCATE ON public."TblDocumentFiles" FOR EACH STATEMENT EXECUTE FUNCTION public.notify_document_change();

ALTER TABLE public."TblDocumentFiles" ENABLE ALWAYS TRIGGER rag_documents_truncated;

