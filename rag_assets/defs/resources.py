"""The services of rag_assets as a Dagster resource: ten lines around rag_assets.services."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain

from rag_assets import operations, settings
from rag_assets.claim_source import ClaimSource
from rag_assets.defs import partitions
from rag_assets.defs.progress import RunProgress
from rag_assets.model import Claim, Outcome, Progress
from rag_assets.services import Services, no_progress
from rag_assets.settings import Settings

ShouldYield = Callable[[], bool]
OnOutcomes = Callable[[list[Outcome]], None]


@dataclass(frozen=True, kw_only=True)
class IngestRequest:
    """What a run is asked to work on: the documents of its partitions, these documents, or all that is pending."""

    run_id: str
    partition_keys: Sequence[str] | None  # None: the run has none; which documents they have is asked as it begins
    document_ids: Sequence[str]
    batch_id: str | None  # what the sensor claimed for it
    repeats: str | None  # the id of a run whose failed documents are pending again, as with `rag-assets retry`
    linger_seconds: float  # how long it stays for further changes


@dataclass(frozen=True, kw_only=True)
class IngestRun:
    """A run at work: what it has done so far, and what it could not get hold of."""

    outcomes: Iterator[list[Outcome]]
    claim_source: ClaimSource
    services: Services
    progress: RunProgress


class Rag:
    """Opens the services when a step or a sensor needs them; given ones are used, and left open."""

    def __init__(self, services: Services | None = None, *, on_outcomes: OnOutcomes = lambda _outcomes: None) -> None:
        self._given = services
        self._on_outcomes = on_outcomes

    @property
    def settings(self) -> Settings:
        """Those that were given, else what environment and files say now; SettingsError where they contradict."""
        return self._given.settings if self._given else settings.load()

    def services(self, *, progress: Progress = no_progress) -> Services:
        """Services of the caller's own, which it closes; `progress` is told what takes long to start."""
        return Services(self.settings, progress=progress)

    @cached_property
    def shared(self) -> Services:
        """Services that stay open as long as this process: for sensors and checks, which come again and again."""
        return self.services()

    @contextmanager
    def prewarmed(self) -> Iterator[None]:
        """While open, runs of this process find a database connection and a started text worker."""
        with self.services() as services:
            services.warm()
            self._given = services
            try:
                yield
            finally:
                self._given = None

    @contextmanager
    def run(self, request: IngestRequest, *, should_yield: ShouldYield) -> Iterator["IngestRun"]:
        """One run's stream of outcomes, a group of documents at a time, until `should_yield` says that others wait."""
        with ExitStack() as stack:
            services = stack.enter_context(self._services_of_a_run())
            progress = RunProgress(count_due=partial(operations.count_due, services))
            stack.enter_context(progress.hears(services))
            pipeline = services.pipeline(run_id=request.run_id)
            opened = services.claim_source(run_id=request.run_id, stopping=pipeline.stopping)
            claim_source = stack.enter_context(opened)
            changes: Iterator[list[Claim]] = iter(())
            if (ids := _asked_for(request, services)) is not None:
                progress.asked = len(ids)
                batches = claim_source.documents(ids)
                changes = claim_source.changes_beside(ids, ending=pipeline.ending)
            else:
                if request.repeats:
                    operations.retry_failures_of(services, request.repeats)
                batch = claim_source.batch(request.batch_id) if request.batch_id else iter(())
                linger = request.linger_seconds
                follow = partial(claim_source.pending_until_idle, linger) if linger else claim_source.pending
                batches = chain(batch, follow(should_yield=should_yield))
            # Closed first of all: its threads use the rest.
            groups = stack.enter_context(closing(pipeline.ingest(batches, changes=changes)))
            outcomes = self._with_callback(groups)
            yield IngestRun(outcomes=outcomes, claim_source=claim_source, services=services, progress=progress)

    def _services_of_a_run(self) -> AbstractContextManager[Services]:
        return nullcontext(self._given) if self._given else self.services()

    def _with_callback(self, groups: Iterator[list[Outcome]]) -> Iterator[list[Outcome]]:
        for outcomes in groups:
            self._on_outcomes(outcomes)
            yield outcomes


def _asked_for(request: IngestRequest, services: Services) -> Sequence[str] | None:
    """The documents that were chosen; None: what is pending."""
    if request.partition_keys is None:
        return request.document_ids or None
    return partitions.documents.document_ids(request.partition_keys, services)
