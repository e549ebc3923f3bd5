-- name: claim_due
-- Take pending documents that are due and that nobody holds: changes before first fills, oldest first.
update rag_outbox as o
set claimed_by = %(claimed_by)s, claimed_until = now() + %(seconds)s * interval '1 second'
from (
    select document_id from rag_outbox
    where state = 'pending' and not_before <= now() and (claimed_by is null or claimed_until < now())
        and priority <= %(priority)s
    order by priority, enqueued_at
    limit %(limit)s
    for update skip locked
) as due
where o.document_id = due.document_id
returning o.document_id;

-- name: claim_batch
-- Take over, for a run, what the sensor claimed under its batch.
update rag_outbox
set claimed_by = %(claimed_by)s, claimed_until = now() + %(seconds)s * interval '1 second'
where claimed_by = %(batch)s
returning document_id;

-- name: enqueue_missing
-- Make documents pending that are not; those that are keep their generation.
insert into rag_outbox (document_id, operation, priority)
select distinct unnest(%(ids)s::text[]), 'update', 1
on conflict (document_id) do nothing;

-- name: claim_documents
-- Take these documents, also from a batch that waits in the queue, also dead ones, but from no run that works on them.
update rag_outbox as o
set claimed_by = %(claimed_by)s, claimed_until = now() + %(seconds)s * interval '1 second', state = 'pending'
from (
    select document_id from rag_outbox
    where document_id = any(%(ids)s::text[])
        and (claimed_by is null or claimed_by not like 'run:%%' or claimed_until < now())
    order by document_id
    for update
) as free
where o.document_id = free.document_id
returning o.document_id;

-- name: get_claims
-- The claims on these documents, with the path of those that still have a row.
select o.document_id, o.generation, o.operation, o.attempts, d.{path_column}::text as path
from rag_outbox as o left join {table} as d on d.{id_column} = o.document_id::{id_type}
where o.document_id = any(%(ids)s::text[])
order by o.priority, o.enqueued_at, o.document_id;

-- name: lock_claim
-- Whether the claim is still ours: the document's outbox row, locked until the end of the transaction.
select generation from rag_outbox
where document_id = %(document_id)s and claimed_by = %(claimed_by)s
for update;

-- name: lock_claims
-- The same for many.
select document_id from rag_outbox
where document_id = any(%(ids)s::text[]) and claimed_by = %(claimed_by)s
order by document_id
for update;

-- name: delete_settled
-- Done: remove the pending work, unless the document changed again meanwhile.
delete from rag_outbox as o using unnest(%(ids)s::text[], %(generations)s::bigint[]) as s (document_id, generation)
where o.document_id = s.document_id and o.generation = s.generation;

-- name: free_changed
-- The documents that changed meanwhile stay pending, and anybody may take them.
update rag_outbox set claimed_by = null, claimed_until = null
where document_id = any(%(ids)s::text[]) and claimed_by = %(claimed_by)s;

-- name: record_failure
-- Count an attempt and plan the next one, or none; a newer change counts for nothing and stays due.
update rag_outbox
set claimed_by = null, claimed_until = null,
    attempts = case when generation = %(generation)s then %(attempts)s else attempts end,
    state = case when generation = %(generation)s then %(state)s else state end,
    not_before = case when generation = %(generation)s
        then now() + %(delay)s * interval '1 second' else not_before end,
    error_kind = case when generation = %(generation)s then %(error_kind)s else error_kind end,
    last_error = case when generation = %(generation)s then %(error)s else last_error end
where document_id = %(document_id)s and claimed_by = %(claimed_by)s;

-- name: extend_claims
-- Keep what somebody at work holds.
update rag_outbox set claimed_until = now() + %(seconds)s * interval '1 second'
where claimed_by = %(claimed_by)s;

-- name: release
-- Give back what somebody holds; no attempt is counted.
update rag_outbox set claimed_by = null, claimed_until = null
where claimed_by = %(claimed_by)s
    and (%(ids)s::text[] is null or document_id = any(%(ids)s::text[]));

-- name: list_owners
-- Who holds claims now.
select distinct claimed_by from rag_outbox where claimed_by is not null order by 1;

-- name: count_due
-- Documents that could be claimed now.
select count(*) from rag_outbox
where state = 'pending' and not_before <= now() and (claimed_by is null or claimed_until < now());

-- name: get_next_due
-- Seconds until the next document falls due that nobody holds; null when none will.
select extract(epoch from min(greatest(not_before, coalesce(claimed_until, not_before))) - now())::float8
from rag_outbox where state = 'pending';

-- name: retry
-- Make failed and dead documents due again, with all their attempts.
update rag_outbox
set state = 'pending', attempts = 0, not_before = now(), enqueued_at = now()
where (state = 'dead' or error_kind is not null)
    and (cardinality(%(ids)s::text[]) = 0 or document_id = any(%(ids)s::text[]))
    and (%(kind)s::text is null or error_kind = %(kind)s);

-- name: enqueue
-- Enqueue documents as changed.
select rag_enqueue(%(ids)s::text[], %(operation)s, %(priority)s::smallint);

-- name: enqueue_unknown
-- Enqueue every document of the table of which nothing is known yet: the first fill.
select rag_enqueue(array_agg(d.{id_column}::text), 'insert', 1::smallint) from {table} as d
where not exists (select from rag_document_text as t where t.document_id = d.{id_column}::text)
    and not exists (select from rag_outbox as o where o.document_id = d.{id_column}::text)
having count(*) > 0;

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

-- name: is_taken
-- Whether a run takes changes as they come: it holds this lock for as long as it does.
select exists (
    select from pg_locks
    where locktype = 'advisory' and classid = hashtext('rag_assets.intake')::oid and objid = 0
        and database = (select oid from pg_database where datname = current_database()) and granted
);

-- name: get_status
-- The index at a glance.
select documents, up_to_date, pending, oldest_pending_at, running, failed, dead, chunks, chunks_with_vector
from rag_status;

-- name: hold_intake
-- Say that this connection's process takes changes as they come, for as long as the connection lives.
select pg_advisory_lock_shared(hashtext('rag_assets.intake'), 0);

-- name: leave_intake
-- Say that it no longer does.
select pg_advisory_unlock_shared(hashtext('rag_assets.intake'), 0);

-- name: list_channels
-- Which channels this connection listens on, as the server knows it.
select pg_listening_channels();
