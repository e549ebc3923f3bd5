-- Vectors of two models beside each other: while the new one's are built, searches have the old one's, and changes get
-- both. Which of them serves is in rag_serving.

create table rag_models (
    model      text primary key,
    settings   jsonb not null,
    is_kept    boolean not null default true,
    added_at   timestamptz not null default clock_timestamp()
);

comment on table rag_models is 'Models that served or are to serve; empty where none was ever added beside the one of the settings.';
comment on column rag_models.settings is 'What embeds with it: settings of rag_assets, by section.';
comment on column rag_models.is_kept is 'Whether its vectors are kept in step; false: they are dropped, or being dropped.';

comment on column rag_outbox.priority is '0: a change, 1: first fill, 2: vectors of a model that is to serve; lower goes first.';
