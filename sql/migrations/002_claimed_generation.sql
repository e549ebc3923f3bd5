-- Which change a claim is for: what comes after it is free to be claimed by the same run at once.

alter table rag_outbox add column claimed_generation bigint;
