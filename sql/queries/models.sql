-- name: get_vectors
-- What a model made of these texts at its first use.
select vectors from rag_embedding_models where model = %(model)s and texts = %(texts)s::text[];

-- name: record_model
-- Remember it; where two do at once, the first counts.
insert into rag_embedding_models (model, texts, vectors) values (%(model)s, %(texts)s::text[], %(vectors)s::real[])
on conflict (model) do update set texts = excluded.texts, vectors = excluded.vectors, recorded_at = now()
where rag_embedding_models.texts <> excluded.texts;

-- name: forget_models
-- Forget models of which no vector is trusted: their next use is a first one.
delete from rag_embedding_models as m
where (%(model)s::text is null or m.model = %(model)s)
    and not exists (select from rag_document_chunks as c where c.embedding_model = m.model and not c.distrusted);

-- name: serve
-- Which model's vectors are searched.
insert into rag_serving (model) values (%(model)s)
on conflict (is_only) do update set model = excluded.model where rag_serving.model <> excluded.model;
