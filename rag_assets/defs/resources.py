"""The parts of rag_assets as a Dagster resource: ten lines around rag_assets.runtime."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain

from rag_assets import runtime, settings
from rag_assets.intake import Intake
from rag_assets.model import Claim, Outcome
from rag_assets.settings import Settings

GivesWay = Callable[[], bool]
OnOutcomes = Callable[[list[Outcome]], None]


@dataclass(frozen=True, kw_only=True)
class IngestRun:
    """A run at work: what it has done so far, and what it could not get hold of."""

    outcomes: Iterator[list[Outcome]]
    intake: Intake


class Rag:
    """Opens the parts when a step or a sensor needs them; given ones are used, and left open."""

    def __init__(self, parts: runtime.Parts | None = None, *, on_outcomes: OnOutcomes = lambda _outcomes: None) -> None:
        self._warm = parts
        self._on_outcomes = on_outcomes

    @property
    def settings(self) -> Settings:
        return self._warm.settings if self._warm else settings.load()

    def parts(self, *, say: runtime.Say = runtime.silent) -> runtime.Parts:
        return runtime.Parts(self.settings, say=say)

    @cached_property
    def standing(self) -> runtime.Parts:
        """Parts that stay open as long as this process: for sensors and checks, which come again and again."""
        return self.parts()

    @contextmanager
    def warmed(self) -> Iterator[None]:
        """While open, runs of this process find a database connection and a started text worker."""
        with self.parts() as parts:
            parts.warm()
            self._warm = parts
            try:
                yield
            finally:
                self._warm = None

    @contextmanager
    def run(
        self,
        *,
        run_id: str,
        document_ids: Callable[[runtime.Parts], Sequence[str] | None],
        batch_id: str | None,
        repeats: str | None,
        linger: float,
        gives_way: GivesWay,
    ) -> Iterator["IngestRun"]:
        """One run's stream of outcomes, a group of documents at a time: of the ids, or without them what is pending.

        Then, what failed in the run that this one `repeats` is pending again, as with `rag-assets retry`.
        """
        with ExitStack() as stack:
            parts = stack.enter_context(self._parts_of_a_run())
            pipeline = parts.pipeline(run_id=run_id)
            intake = stack.enter_context(parts.intake(run_id=run_id, stopping=pipeline.stopping))
            changes: Iterator[list[Claim]] = iter(())
            if (ids := document_ids(parts)) is not None:
                batches = intake.documents(ids)
                changes = intake.changes_beside(ids, ending=pipeline.ending)
            else:
                if repeats:
                    parts.retry_failures_of(repeats)
                batch = intake.batch(batch_id) if batch_id else iter(())
                follow = partial(intake.linger, linger) if linger else intake.pending
                batches = chain(batch, follow(gives_way=gives_way))
            # Closed first of all: its threads use the rest.
            groups = stack.enter_context(closing(pipeline.ingest(batches, changes=changes)))
            yield IngestRun(outcomes=self._watched(groups), intake=intake)

    def _parts_of_a_run(self) -> AbstractContextManager[runtime.Parts]:
        return nullcontext(self._warm) if self._warm else self.parts()

    def _watched(self, groups: Iterator[list[Outcome]]) -> Iterator[list[Outcome]]:
        for outcomes in groups:
            self._on_outcomes(outcomes)
            yield outcomes
