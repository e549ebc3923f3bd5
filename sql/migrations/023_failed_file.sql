-- Whether the file of a document that was given up is another one is seen by when it changed, and not by when it failed:
-- a file that was written shortly before it failed was taken for changed since.

alter table rag_outbox add column failed_changed_at float8;

comment on column rag_outbox.failed_changed_at is
    'When the file of the last failure changed, before it was read, in Unix seconds; null: that is not known.';

-- Nothing is known of a document that never could be read but what the outbox says.

alter table rag_outbox add column failed_path text;

comment on column rag_outbox.failed_path is 'The path at the last failure.';
