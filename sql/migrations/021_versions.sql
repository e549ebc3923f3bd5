-- Documents that are fetched from a store: what that calls the state of an object that was read.

alter table rag_document_text add column version text;

comment on column rag_document_text.version is 'The strong etag of what was read; null of files, and where a store has none.';
