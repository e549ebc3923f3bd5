-- How many chunks a document was cut into, so that chunks that went missing are noticed.

alter table rag_document_text add column chunk_count integer;
