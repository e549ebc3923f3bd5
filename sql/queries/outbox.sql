-- name: coalesce
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

-- name: drain_changes
-- Make pending what the trigger wrote down since the last time.
select rag_take_changes();

-- name: claim_due
-- Take pending documents that are due: those that nobody holds, and those that changed after their owner took them.
-- Changes before first fills, oldest first; never waits for a writer. Only what failed has to wait for its time, or a
-- change would, too, where the clock was set back.
with due as materialized (
    select document_id from rag_outbox
    where state = 'pending' and (not_before <= now() or error_kind is null) and priority <= %(priority)s
        and (claimed_by is null or claimed_until < now()
            or (claimed_by = %(claimed_by)s and claimed_generation < generation))
    order by priority, enqueued_at
    limit %(limit)s
    for update skip locked
)
update rag_outbox as o
set claimed_by = %(claimed_by)s, claimed_until = now() + %(seconds)s * interval '1 second',
    claimed_generation = o.generation
from due where o.document_id = due.document_id
returning o.document_id;

-- name: claim_batch
-- Take over, for a run, what the sensor claimed under its batch.
with held as materialized (
    select document_id from rag_outbox where claimed_by = %(batch)s order by document_id for update
)
update rag_outbox as o
set claimed_by = %(claimed_by)s, claimed_until = now() + %(seconds)s * interval '1 second',
    claimed_generation = o.generation
from held where o.document_id = held.document_id
returning o.document_id;

-- name: lock_outbox
-- Wait for who inserts into the outbox, and be the only one until the end of the transaction.
select pg_advisory_xact_lock(hashtext('rag_assets.changes'), 'rag_outbox'::regclass::oid::integer);

-- name: enqueue_missing
-- Make documents pending that are not; those that are keep their generation, and are not waited for.
insert into rag_outbox (document_id, operation, priority)
select asked.id, 'update', 1 from (select distinct unnest(%(ids)s::text[]) as id order by 1) as asked
where not exists (select from rag_outbox as o where o.document_id = asked.id)
on conflict (document_id) do nothing;

-- name: claim_documents
-- Take these documents, also from a batch that waits in the queue, also dead ones, but from no run that works on them.
with free as materialized (
    select document_id from rag_outbox
    where document_id = any(%(ids)s::text[])
        and (claimed_by is null or claimed_by not like 'run:%%' or claimed_until < now()
            or (claimed_by = %(claimed_by)s and claimed_generation < generation))
    order by document_id
    for update skip locked
)
update rag_outbox as o
set claimed_by = %(claimed_by)s, claimed_until = now() + %(seconds)s * interval '1 second',
    claimed_generation = o.generation, state = 'pending'
from free where o.document_id = free.document_id
returning o.document_id;

-- name: get_claims
-- The claims on these documents, with the path of those that still have a row, and how many rows have it. Equal is not
-- enough for an id: 1.0 = 1.00, and there are texts that are equal whatever their capitals.
select o.document_id, o.generation, o.operation, o.attempts, min(d.{path_column}::text), count(d.{path_column})
from rag_outbox as o left join {table} as d
    on d.{id_column} = {claimed_id} and d.{id_column}::text collate "C" = o.document_id
where o.document_id = any(%(ids)s::text[])
group by o.document_id
order by o.priority, o.enqueued_at, rag_id_order(o.document_id), o.document_id;

-- name: lock_claims
-- Those of the documents that are still ours, locked until the end of the transaction. Waits for whoever extends claims
-- or makes a document pending again: for a moment, as all who hold such rows hold them, and in the same order as all.
select document_id from rag_outbox
where document_id = any(%(ids)s::text[]) and claimed_by = %(claimed_by)s
order by document_id
for update;

-- name: delete_settled
-- Done: remove the pending work, unless the document changed again meanwhile.
delete from rag_outbox as o using unnest(%(ids)s::text[], %(generations)s::bigint[]) as s (document_id, generation)
where o.document_id = s.document_id and o.generation = s.generation;

-- name: release_claims
-- Documents that stay pending, as they changed meanwhile, may be taken by anybody; unless the same run already did.
update rag_outbox as o set claimed_by = null, claimed_until = null, claimed_generation = null
from unnest(%(ids)s::text[], %(generations)s::bigint[]) as s (document_id, generation)
where o.document_id = s.document_id and o.claimed_generation = s.generation;

-- name: record_failure
-- Count an attempt and plan the next one, or none; the state after it. What was accepted stays so as long as it fails in
-- the same way and the file is the same; `accept` does so with what is given up now.
update rag_outbox as o
set claimed_by = null, claimed_until = null, claimed_generation = null, attempts = %(attempts)s,
    state = case when a.is_accepted then 'accepted' else %(state)s end,
    accepted_kind = case when a.is_accepted then %(error_kind)s end,
    accepted_size = case when a.is_accepted then %(size)s::bigint end,
    accepted_mtime_ns = case when a.is_accepted then %(mtime_ns)s::bigint end,
    not_before = now() + %(delay)s * interval '1 second', error_kind = %(error_kind)s, last_error = %(error)s,
    failed_path = %(path)s, failed_changed_at = %(changed_at)s
from (
    select document_id, %(accept)s and %(state)s = 'dead' or coalesce(accepted_kind = %(error_kind)s, false)
        and (accepted_size, accepted_mtime_ns) is not distinct from (%(size)s::bigint, %(mtime_ns)s::bigint)
        as is_accepted
    from rag_outbox where document_id = %(document_id)s
) as a
where o.document_id = a.document_id and o.generation = %(generation)s
returning o.state;

-- name: list_acceptable
-- Documents given up that have a row, by id and kind of error: id, path, kind, message.
select o.document_id, d.{path_column}::text, o.error_kind, o.last_error
from rag_outbox as o join {table} as d
    on d.{id_column} = {claimed_id} and d.{id_column}::text collate "C" = o.document_id
where o.state = 'dead' and o.error_kind <> 'id_doubled' and d.{path_column} is not null
    and (cardinality(%(ids)s::text[]) = 0 or o.document_id = any(%(ids)s::text[]))
    and (%(kind)s::text is null or o.error_kind = %(kind)s)
order by rag_id_order(o.document_id), o.document_id;

-- name: accept
-- Have documents given up count as well, each with its file as it was seen; which ones. In the same order as all.
with seen as (
    select * from unnest(%(ids)s::text[], %(kinds)s::text[], %(sizes)s::bigint[], %(mtimes_ns)s::bigint[])
        as s (document_id, kind, size, mtime_ns)
),
dead as materialized (
    select o.document_id from rag_outbox as o join seen as s using (document_id)
    where o.state = 'dead' and o.error_kind = s.kind
    order by o.document_id for update of o
)
update rag_outbox as o
set state = 'accepted', accepted_kind = s.kind, accepted_size = s.size, accepted_mtime_ns = s.mtime_ns
from dead join seen as s using (document_id)
where o.document_id = dead.document_id
returning o.document_id;

-- name: list_accepted
-- Of these ids, or of all, what is accepted, by kind of error.
select document_id from rag_outbox
where state = 'accepted' and (cardinality(%(ids)s::text[]) = 0 or document_id = any(%(ids)s::text[]))
    and (%(kind)s::text is null or error_kind = %(kind)s);

-- name: list_pending
-- Of these ids, what is pending.
select document_id from rag_outbox where state = 'pending' and document_id = any(%(ids)s::text[]);

-- name: count_failed_pending
-- How many failed, with this kind of error or any, and are pending again.
select count(*) from rag_outbox
where state = 'pending' and error_kind is not null and (%(kind)s::text is null or error_kind = %(kind)s);

-- name: withdraw
-- Have documents that were accepted fail again, if they do.
with accepted as materialized (
    select document_id from rag_outbox
    where document_id = any(%(ids)s::text[]) and accepted_kind is not null order by document_id for update
)
update rag_outbox as o set accepted_kind = null, accepted_size = null, accepted_mtime_ns = null
from accepted where o.document_id = accepted.document_id;

-- name: extend_claims
-- Keep what somebody at work holds.
with held as materialized (
    select document_id from rag_outbox where claimed_by = %(claimed_by)s order by document_id for update skip locked
)
update rag_outbox as o set claimed_until = now() + %(seconds)s * interval '1 second'
from held where o.document_id = held.document_id;

-- name: release
-- Give back all that somebody holds.
with held as materialized (
    select document_id from rag_outbox where claimed_by = %(claimed_by)s order by document_id for update skip locked
)
update rag_outbox as o set claimed_by = null, claimed_until = null, claimed_generation = null
from held where o.document_id = held.document_id;

-- name: list_owners
-- Who holds claims, and the seconds until the last of them expires.
select claimed_by, extract(epoch from max(claimed_until) - clock_timestamp())
from rag_outbox where claimed_by is not null group by claimed_by order by claimed_by;

-- name: retry
-- Make failed and dead documents due again, with all their attempts, as if they had changed: where one is just being
-- made, what it read may be what was put right.
with failed as materialized (
    select document_id from rag_outbox
    where (state = 'dead' or error_kind is not null)
        and case cardinality(%(ids)s::text[]) when 0 then state <> 'accepted' else document_id = any(%(ids)s::text[]) end
        and (%(kind)s::text is null or error_kind = %(kind)s)
    order by document_id
    for update skip locked
)
update rag_outbox as o
set state = 'pending', attempts = 0, not_before = now(), enqueued_at = now(),
    generation = nextval('rag_outbox_generation')
from failed where o.document_id = failed.document_id;

-- name: list_known
-- Those of these documents of which something is kept here.
select given from unnest(%(ids)s::text[]) as given
where exists (select from rag_outbox as o where o.document_id = given)
    or exists (select from rag_document_text as t where t.document_id = given)
    or exists (select from rag_document_chunks as c where c.document_id = given);

-- name: has_indexed
-- Whether any of these documents is indexed, so that there is something to delete.
select exists (select from rag_document_text where document_id = any(%(ids)s::text[]));

-- name: count_vanished
-- How many documents are indexed, and how many of those have no row any more, but for what was confirmed to go.
select (select count(*) from rag_document_text), count(*)
from rag_document_text as t
where not exists (
        select from {table} as d where d.{id_column}::text = t.document_id and d.{path_column} is not null
    ) and not exists (select from rag_outbox as o where o.document_id = t.document_id and o.confirmed_at is not null);

-- name: hold
-- Keep these deletions until somebody confirms them, or their rows are back.
update rag_outbox set state = 'held', operation = 'delete', claimed_by = null, claimed_until = null,
    claimed_generation = null
where document_id = any(%(ids)s::text[]) and confirmed_at is null
    and exists (select from rag_document_text as t where t.document_id = rag_outbox.document_id)
returning document_id;

-- name: hold_vanished
-- The same for all that is pending, free, indexed and without a row.
with lost as materialized (
    select o.document_id from rag_outbox as o join rag_document_text as t using (document_id)
    where o.state = 'pending' and o.confirmed_at is null and o.claimed_by is null and not exists (
        select from {table} as d where d.{id_column}::text = o.document_id and d.{path_column} is not null
    )
    order by o.document_id for update of o skip locked
)
update rag_outbox as o set state = 'held', operation = 'delete' from lost where o.document_id = lost.document_id;

-- name: count_held
-- How many deletions are held.
select count(*) from rag_outbox where state = 'held';

-- name: release_held
-- Make due what is held no longer: the documents whose rows are back or, where few are gone now, all.
with free as materialized (
    select o.document_id from rag_outbox as o
    where o.state = 'held' and (%(all)s or o.document_id in (
        select d.{id_column}::text from {table} as d where d.{path_column} is not null
    ))
    order by o.document_id for update of o skip locked
)
update rag_outbox as o set state = 'pending', operation = 'update', not_before = now(), enqueued_at = now()
from free where o.document_id = free.document_id;

-- name: confirm_deletions
-- Let everything go that is indexed and has no row, however much it is.
insert into rag_outbox as o (document_id, operation, confirmed_at)
select t.document_id, 'delete', now() from rag_document_text as t
where not exists (
    select from {table} as d where d.{id_column}::text = t.document_id and d.{path_column} is not null
) order by t.document_id
on conflict (document_id) do update set state = 'pending', attempts = 0, not_before = now(),
    enqueued_at = case when o.state = 'pending' then o.enqueued_at else now() end,
    error_kind = null, last_error = null, confirmed_at = excluded.confirmed_at;

-- name: list_dead
-- Documents given up or accepted, with the time of their last attempt, which is when one more would have been due.
select o.document_id, d.{path_column}::text as path, extract(epoch from o.not_before)::float8 as failed_at,
    o.failed_changed_at as changed_at
from rag_outbox as o join {table} as d
    on d.{id_column} = {claimed_id} and d.{id_column}::text collate "C" = o.document_id
where o.state in ('dead', 'accepted');

-- name: list_failed_documents
-- Documents whose last attempt failed, those given up first, with the seconds to the next attempt of the others.
select document_id, error_kind, last_error,
    case when state = 'pending' then greatest(0, extract(epoch from not_before - now()))::float8 end
from rag_outbox where error_kind is not null and state <> 'accepted'
order by state, case when state = 'pending' then not_before end, rag_id_order(document_id), document_id
limit %(limit)s;

-- name: list_unfit_rows
-- Rows that cannot be documents for want of an id that is one: the error kind, the id or its beginning, the path.
select kind, left(id, 60), left(path, 200) from rag_unfit_rows() order by kind, path limit %(limit)s;

-- name: enqueue
-- Enqueue documents as changed.
select rag_enqueue(%(ids)s::text[], %(operation)s, %(priority)s::smallint);

-- name: enqueue_unknown
-- Enqueue every document of the table of which nothing is known yet: the first fill. Without a path it is none.
select rag_enqueue(array_agg(d.{id_column}::text), 'insert', 1::smallint) from {table} as d
where d.{path_column} is not null
    and not exists (select from rag_document_text as t where t.document_id = d.{id_column}::text)
    and not exists (select from rag_outbox as o where o.document_id = d.{id_column}::text)
having count(*) > 0;

-- name: ask_look
-- Have the whole table looked at: something changed, and nobody knows where.
insert into rag_looks (reason) values (%(reason)s);

-- name: trim_looks
-- One question is enough where it cannot be answered yet; the last one, as those before it are no younger.
delete from rag_looks where asked_at < (select max(asked_at) from rag_looks);

-- name: get_look
-- Why the whole table is to be looked at, if it is.
select reason from rag_looks order by asked_at desc limit 1;

-- name: take_looks
-- What was asked until now is about to be answered.
delete from rag_looks;

-- name: enqueue_all
-- Enqueue every document of the table, also those somebody works on: what they read may be of before the change.
select rag_enqueue(array_agg(d.{id_column}::text), 'update', 1::smallint) from {table} as d
where d.{path_column} is not null having count(*) > 0;

-- name: enqueue_texts
-- Enqueue every document that was ever read.
select rag_enqueue(array_agg(document_id), 'update', 1::smallint) from rag_document_text having count(*) > 0;

-- name: enqueue_vanished
-- Enqueue what is indexed and has no row any more.
select rag_enqueue(array_agg(document_id), 'delete') from (
    select document_id from rag_document_text union select document_id from rag_document_chunks
) as known
where not exists (select from {table} as d where d.{id_column}::text = known.document_id)
    and not exists (select from rag_outbox as o where o.document_id = known.document_id)
having count(*) > 0;

-- name: enqueue_moved
-- Enqueue documents whose row names another path than the one that was read.
select rag_enqueue(array_agg(t.document_id), 'update')
from rag_document_text as t join {table} as d on d.{id_column}::text = t.document_id
where d.{path_column}::text is distinct from t.path
    and not exists (select from rag_outbox as o where o.document_id = t.document_id)
having count(*) > 0;

-- name: enqueue_outdated
-- Enqueue documents that were read or embedded with other settings than any model's that is kept, or of which vectors
-- are to be made anew.
select rag_enqueue(array_agg(t.document_id), 'update', 1::smallint) from rag_document_text as t
where (t.fingerprint <> all(%(fingerprints)s::text[]) or t.embedding_model <> all(%(models)s::text[])
        or exists (select from rag_document_chunks as c where c.document_id = t.document_id and c.distrusted))
    and not exists (select from rag_outbox as o where o.document_id = t.document_id)
having count(*) > 0;

-- name: enqueue_incomplete
-- Enqueue documents whose chunks are not all there, that have none, or whose text is gone; forget what was read of them,
-- or they would count as unchanged.
with incomplete as (
    delete from rag_document_text as t
    where (t.content = '' or exists (
        select from (
            select count(*) as n from rag_document_chunks as c
            where c.document_id = t.document_id and c.embedding_model = t.embedding_model
        ) as there
        where n = 0 or n <> t.chunk_count
    ))
        and not exists (select from rag_outbox as o where o.document_id = t.document_id)
    returning t.document_id
)
select rag_enqueue(array_agg(document_id), 'update') from incomplete having count(*) > 0;

-- name: enqueue_idle
-- Enqueue those of these documents that are neither pending nor given up.
select rag_enqueue(array_agg(id), 'update') from unnest(%(ids)s::text[]) as id
where not exists (select from rag_outbox as o where o.document_id = id)
having count(*) > 0;

-- name: count_consumers
-- How many runs take changes as they come: each holds a lock of its own for as long as it does. One that stood still
-- and was taken over may hold it for ever. In a database with several indexes, each has locks named by its schema.
select count(*) from pg_locks
where locktype = 'advisory' and classid = hashtext('rag_assets.intake.' || current_schema())::oid
    and database = (select oid from pg_database where datname = current_database()) and granted
    and objid not in (select hashtext(run_id)::oid from rag_runs where taken_over_at is not null);

-- name: count_free
-- Documents that are due, as claim_due has it, and that nobody holds, so many at most.
select count(*) from (
    select from rag_outbox
    where state = 'pending' and (not_before <= now() or error_kind is null)
        and (claimed_by is null or claimed_until < now())
    limit %(most)s
) as o;

-- name: count_waiting
-- What is pending, so many at most; how much somebody works on, or is about to; and seconds until the next of the rest
-- of these is due, as claim_due has it.
select count(*),
    (select count(*) from rag_outbox where claimed_by is not null and claimed_until >= now() and state = 'pending'),
    greatest(0, extract(epoch from min(case when error_kind is null then now() else not_before end)
        filter (where claimed_until is null or claimed_until < now()) - now()))::float8
from (select claimed_until, error_kind, not_before from rag_outbox where state = 'pending' limit %(most)s) as o;

-- name: count_due
-- Documents that are to be worked on now, or are in somebody's hands.
select count(*) from rag_outbox where state = 'pending' and (not_before <= now() or error_kind is null);

-- name: get_last_change
-- When a change of a document was seen or worked on last; null where none ever was.
select greatest(
    (select max(changed_at) from rag_changes), (select max(enqueued_at) from rag_outbox),
    (select logged_at from rag_ingestion_log where status <> 'skipped' order by id desc limit 1)
);

-- name: get_status
-- The index at a glance.
select documents, up_to_date, pending, oldest_pending_at, running, failed, dead, chunks, chunks_with_vector, held,
    accepted
from rag_status;

-- name: announce_consumer
-- Say that this connection's process takes changes as they come, for as long as the connection lives; the server
-- is to notice within a minute when the machine at its other end has gone.
set tcp_keepalives_idle = 30;
set tcp_keepalives_interval = 10;
select pg_advisory_lock_shared(hashtext('rag_assets.intake.' || current_schema()), hashtext(%(run_id)s));

-- name: withdraw_consumer
-- Say that it no longer does.
select pg_advisory_unlock_shared(hashtext('rag_assets.intake.' || current_schema()), hashtext(%(run_id)s));

-- name: prove_listening
-- Which channels this connection listens on, and the process that serves it, as the server knows it.
select pg_backend_pid(), channel from pg_listening_channels() as channel
union all select pg_backend_pid(), null;
