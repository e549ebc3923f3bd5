-- Runs at work and whether they get on: what stands still is taken over, and may store nothing afterwards.

create table rag_runs (
    run_id        text primary key,
    started_at    timestamptz not null default now(),
    progress      bigint not null default 0,
    progressed_at timestamptz not null default now(),
    taken_over_at timestamptz
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 100);

comment on table rag_runs is 'One row per run at work; it goes with the run.';
comment on column rag_runs.progress is 'Changes while the run gets on, or has nothing in hand.';
comment on column rag_runs.taken_over_at is 'When its documents were given to other runs: from then on it stores nothing.';
