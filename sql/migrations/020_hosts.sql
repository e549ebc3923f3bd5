-- Runs on several machines: whether one that cannot be looked up, as its process is elsewhere, is still there.

alter table rag_runs add column host text;
alter table rag_runs add column beat_at timestamptz not null default now();

comment on column rag_runs.host is 'Where its process is: the machine, and the container in it. Null: of a version before this.';
comment on column rag_runs.beat_at is 'When the run last said that it is there, by the clock of this server.';
