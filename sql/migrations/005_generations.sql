-- A generation is given once. Counted per row, it began again at 1 when a document was done and changed once more: a run
-- that had read that document before both changes, and stored it last, took its old claim for the new one.

lock table rag_outbox in share row exclusive mode;

create sequence rag_outbox_generation owned by rag_outbox.generation;

select setval('rag_outbox_generation', (select coalesce(max(generation), 0) + 1 from rag_outbox), false);

alter table rag_outbox alter column generation set default nextval('rag_outbox_generation');

comment on table rag_outbox is 'One row per document with pending work; generation, new at each change, fences stale writes.';
