-- How far a run is with long documents, of which nothing is stored until all of it is.

alter table rag_runs add column parts jsonb not null default '{}';

comment on column rag_runs.parts is 'Long documents at work: id -> [new chunks that are embedded, of how many].';
