"""Rows: everything that is read from or written to PostgreSQL; the statements are in sql/, read by `statements`.

Connections: `database` (migrations, too), `conninfo`, `listener` (notices), `roles`, `callers` (others' rights).
Tables: `documents` (the application's), `outbox`, `texts`, `chunks`, `models`, `runs`, `owner`, `ingestion_log`.
Searching: `search`, `words` and their statistics, `vector_index`. One document: `stories`; many: `buckets`.
Looking after: `reconcile`, `watch` (what no trigger saw), `soundness`, `health` (doctor), `contents` (backups).
What operators watch: `figures`.
"""
