-- What the trigger saw since somebody last looked: without index or constraint, so that it costs the application little.
-- clock_timestamp(): changes of a document follow each other, also those of one transaction.

create table rag_changes (
    changed_at  timestamptz not null default clock_timestamp(),
    operation   text not null,
    document_id text not null
) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

comment on table rag_changes is 'Changes of documents that are not in rag_outbox yet; rag_take_changes() moves them.';

-- Where the application publishes all its tables, rows without a key could not be deleted otherwise.
alter table rag_changes replica identity full;
