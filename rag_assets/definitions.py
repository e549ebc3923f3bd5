"""What Dagster loads: the assets, the sensors, the jobs, the checks and the resource, wired together."""

import dagster as dg

from rag_assets.defs import assets, checks, jobs, notices, resources, sensors, specs

rag = resources.Rag()


def of_index() -> dg.Definitions:
    """The index alone, as it stands in somebody's own project, too (component)."""
    return dg.Definitions(
        assets=[specs.source_table, assets.ingest, assets.index],
        asset_checks=[checks.index_in_step, checks.vectors_are_the_models, checks.index_is_sound],
        jobs=[jobs.ingest_job, jobs.index_job, jobs.reconcile, jobs.accept_documents],
        schedules=[jobs.reconcile_schedule],
        sensors=[sensors.document_changes(rag), sensors.index_of_vectors(rag), *notices.notices(rag)],
        resources={"rag": rag},
    )


defs = dg.Definitions.merge(
    of_index(),
    dg.Definitions(
        # Nothing is handed from asset to asset. Dagster's default IO manager would take a path from a run's config, and
        # put the value of any environment variable that is named there in its place.
        resources={"io_manager": dg.mem_io_manager},
        executor=dg.in_process_executor,  # one step per run; another process would cost 1.5 s and the warm parts
    ),
)
