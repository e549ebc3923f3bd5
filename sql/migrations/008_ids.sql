-- Documents whose id is longer than 800 bytes have no place here any more: where such an id fitted into our indexes, it
-- did not fit into Dagster's. Their rows are shown as failed (see rag_unfit_rows) until they have shorter ids.

delete from rag_outbox where octet_length(document_id) > 800;
delete from rag_document_text where octet_length(document_id) > 800;
delete from rag_document_chunks where octet_length(document_id) > 800;
