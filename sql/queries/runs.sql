-- name: begin
-- Say that a run is at work, and on which host; no row where it was taken over before that.
insert into rag_runs as r (run_id, host) values (%(run_id)s, %(host)s)
on conflict (run_id) do update set started_at = now(), progress = r.progress + 1, progressed_at = now(), parts = '{}',
    host = excluded.host, beat_at = now()
    where r.taken_over_at is null
returning run_id;

-- name: record_progress
-- Note that a run is there, whether it got on since the last time, and its long documents; no row where it was taken
-- over.
update rag_runs
set progress = progress + %(moved)s::int,
    parts = %(parts)s,
    beat_at = now(),
    progressed_at = case when %(moved)s then now() else progressed_at end
where run_id = %(run_id)s and taken_over_at is null
returning run_id;

-- name: hold
-- Keep a run from being taken over until the end of the transaction; no row where it was.
select run_id from rag_runs where run_id = %(run_id)s and taken_over_at is null for key share;

-- name: finish
-- The run has ended.
delete from rag_runs where run_id = %(run_id)s;

-- name: list_at_work
-- Runs at work, how far each is, where it is, and when it last said that it is there, in microseconds.
select run_id, progress, host, (extract(epoch from beat_at) * 1000000)::bigint
from rag_runs where taken_over_at is null order by run_id;

-- name: take_over
-- From now on this run stores nothing; no row where it is just storing.
with stalled as (
    select run_id from rag_runs
    where run_id = %(run_id)s and progress = %(progress)s and taken_over_at is null
    for update skip locked
)
update rag_runs as r set taken_over_at = now() from stalled where r.run_id = stalled.run_id returning r.run_id;

-- name: forbid
-- The same for a run that has not said yet that it is at work; no row where it has.
insert into rag_runs (run_id, taken_over_at) values (%(run_id)s, now()) on conflict (run_id) do nothing
returning run_id;

-- name: list_stalled
-- Runs that hold documents and have not got on for so many seconds, longest first.
select r.run_id, extract(epoch from clock_timestamp() - r.progressed_at)::int
from rag_runs as r
where r.taken_over_at is null and r.progressed_at < clock_timestamp() - %(seconds)s * interval '1 second'
    and exists (select from rag_outbox as o where o.claimed_by = 'run:' || r.run_id)
order by r.progressed_at;

-- name: purge
-- Forget runs whose processes cannot be there any more: nothing was heard of them for so many days.
delete from rag_runs where coalesce(taken_over_at, progressed_at) < now() - %(days)s * interval '1 day';
