"""The project's definitions on an instance of Dagster of a test's own, beside an application's table."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from rag_assets.defs import assets, checks, events, jobs, partitions, sensors, specs
from rag_assets.defs.jobs import ingest_job
from rag_assets.defs.resources import Rag
from rag_assets.errors import NotEnoughMemory
from rag_assets.postgres import outbox
from rag_assets.services import Services
from rag_assets_tests.application import Application, HashEmbedder

POOLS = {"concurrency": {"pools": {"default_limit": 1}}}  # as in dagster.yaml


KEYS = [AssetKey(name) for name in events.ASSETS]


class Project:
    """The project's definitions on an instance of the test's own."""

    def __init__(self, application: Application, instance: DagsterInstance, services: Services) -> None:
        self.application = application
        self.instance = instance
        self.services = services
        self.rag = Rag(services)
        self.rag.shared = services

    def set_worker(self, **changed: Any) -> None:
        """Other settings of [worker] from now on."""
        worker = self.services.settings.worker.model_copy(update=changed)
        self.services.settings = self.services.settings.model_copy(update={"worker": worker})

    def embed_with(self, embedder: object) -> None:
        self.services.embedder = embedder  # type: ignore[assignment]

    @property
    def definitions(self) -> dg.Definitions:
        return dg.Definitions(
            assets=[specs.source_table, assets.ingest, assets.index],
            asset_checks=[checks.index_in_step, checks.index_is_sound],
            jobs=[jobs.ingest_job, jobs.index_job, jobs.reconcile, jobs.accept_documents],
            sensors=[sensors.document_changes(self.rag), sensors.index_of_vectors(self.rag)],
            resources={"rag": self.rag},
            executor=dg.in_process_executor,
        )

    def run(self, *, succeeds: bool = True, **options: Any) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(ingest_job.name)
        result = job.execute_in_process(instance=self.instance, raise_on_error=False, **options)
        assert result.success is succeeds, [event.message for event in result.all_events if event.is_failure]
        return result

    def reconcile(self, **options: Any) -> None:
        self.rag.services = lambda **_options: self.services  # type: ignore[method-assign]
        job = self.definitions.resolve_job_def("reconcile")
        assert job.execute_in_process(instance=self.instance, **options).success

    def tick(self, *, cursor: str | None = None) -> Any:
        definitions = self.definitions
        context = dg.build_sensor_context(
            instance=self.instance, definitions=definitions, sensor_name="document_changes", cursor=cursor
        )
        return sensors.document_changes(self.rag).evaluate_tick(context)

    def partitions(self, status: str) -> set[str]:
        """Those that are in this state for all three assets."""
        known = self.instance.get_dynamic_partitions(partitions.PARTITIONS_NAME)
        found = []
        for key in KEYS:
            states = self.instance.get_status_by_partition(key, known, partitions.documents.definition) or {}
            found.append({name for name, state in states.items() if state and state.name == status})
        return set.intersection(*found)

    def last(self, asset: str) -> dg.AssetMaterialization:
        event = self.instance.get_latest_materialization_event(AssetKey(asset))
        assert event is not None
        assert event.asset_materialization is not None
        return event.asset_materialization


class Short(HashEmbedder):
    """An embedder whose server does not fit."""

    def embed(self, texts: Any, *, token_counts: Any) -> Any:
        raise NotEnoughMemory(available_bytes=1_200_000_000, needed_bytes=2_000_000_000)


def submit(project: Project, *, tags: dict[str, str], status: DagsterRunStatus) -> str:
    job = project.definitions.resolve_job_def(ingest_job.name)
    return project.instance.create_run_for_job(job, tags=tags, status=status).run_id


def claim(project: Project, owner: str, *, seconds: float = 900) -> None:
    with project.services.database.transaction() as cursor:
        outbox.claim_due(cursor, project.services.settings.source, limit=9, claimed_by=owner, seconds=seconds)


@contextmanager
def opened(application: Application) -> Iterator[Project]:
    """The project on what an application has; nobody waits for changes."""
    worker = application.settings.worker.model_copy(update={"poll_seconds": 0.2, "linger_seconds": 0.0})
    application.settings = application.settings.model_copy(update={"worker": worker})
    readers = {"reader": application.reader, "urgent_reader": application.urgent_reader}
    with DagsterInstance.ephemeral(settings=POOLS) as instance, Services(application.settings, **readers) as services:
        made = Project(application, instance, services)
        made.embed_with(HashEmbedder())
        yield made
