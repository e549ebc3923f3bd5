-- What must not happen in silence: deletions that wait for a word of the user, changes of which the trigger could not
-- tell the document, and whose settings the index follows.

alter table rag_outbox drop constraint rag_outbox_state_check;
alter table rag_outbox add constraint rag_outbox_state_check check (state in ('pending', 'dead', 'held'));
alter table rag_outbox add column confirmed_at timestamptz;

comment on column rag_outbox.state is 'held: a deletion that came with too many others, and waits until it is confirmed.';
comment on column rag_outbox.confirmed_at is 'When somebody said that this document is to go, however many others do.';

create index rag_outbox_held on rag_outbox (document_id) where state = 'held';

create table rag_looks (
    asked_at timestamptz not null default clock_timestamp(),
    reason   text not null
) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

comment on table rag_looks is 'Something changed that no document is known of: the whole documents table is to be looked at.';

alter table rag_looks replica identity full;  -- where the application publishes all its tables; see rag_changes

alter table rag_changes alter column document_id drop not null;  -- a row without an id is no document, and no error

create table rag_owner (
    is_only         boolean primary key default true check (is_only),
    program         text not null,
    fingerprint     text not null,
    embedding_model text not null,
    settings        text not null,
    since           timestamptz not null default now()
);

comment on table rag_owner is 'The program whose settings decide how documents are cut and embedded; others refuse to work.';
