-- Documents that cannot be read, of which somebody said that this is well: they fail no run and no check until their
-- file is another one.

alter table rag_outbox drop constraint rag_outbox_state_check;
alter table rag_outbox add constraint rag_outbox_state_check check (state in ('pending', 'dead', 'held', 'accepted'));
alter table rag_outbox add column accepted_kind text;
alter table rag_outbox add column accepted_size bigint;
alter table rag_outbox add column accepted_mtime_ns bigint;

comment on column rag_outbox.state is 'held: a deletion that came with too many others, and waits until it is confirmed. '
    'accepted: a document that cannot be read, which is well until its file changes.';
comment on column rag_outbox.accepted_kind is 'The error kind with which the document may fail; null: with none.';
comment on column rag_outbox.accepted_size is 'Bytes of the file of which that was said; null: there was none.';
comment on column rag_outbox.accepted_mtime_ns is 'When it was written, in nanoseconds since the epoch.';
