-- name: has_owner_table
-- Whether the database is migrated so far.
select to_regclass('rag_owner') is not null;

-- name: get_owner
-- Whose settings the index follows, and which they are.
select program, fingerprint, settings from rag_owner;

-- name: set_owner
-- Have the index follow these settings; nothing is written where it does.
insert into rag_owner as o (program, fingerprint, embedding_model, settings)
values (%(program)s, %(fingerprint)s, %(model)s, %(settings)s)
on conflict (is_only) do update set program = excluded.program, fingerprint = excluded.fingerprint,
    embedding_model = excluded.embedding_model, settings = excluded.settings, since = now()
where (o.program, o.fingerprint) is distinct from (excluded.program, excluded.fingerprint);
