"""The index of vectors, looked after: when it is built, measured, built anew and dropped, so that nobody has to
remember it.

Nothing is done in circles: what a step is taken for is gone when it is done, or is compared with what was noted then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from rag_assets.model import Progress
from rag_assets.postgres import vector_index
from rag_assets.postgres.database import Database
from rag_assets.postgres.vector_index import Advice, Facts, VectorIndex
from rag_assets.processes.memory import available_bytes

Step = Literal["keep", "measure", "build", "tidy", "drop"]

DROP_SHARE = 0.5  # of the number from which there is an index: between both, what is there stays
# Below the 0.95 that is aimed at by more than the chance of a sample of 500 neighbours (1.3 points at 0.9). A new index
# of the same kind finds no more than the last one did when it was new: what it lost since has to be more than chance.
LEAST_RECALL = 0.90
LOST_RECALL = 0.05
BLOATED_RATIO = 2.0  # times the size that so many rows had when the index was new: half of it is empty
LEAST_BLOAT = 32 << 20  # bytes; less is not worth a build
LISTS_OUTGROWN = 4  # times the rows for which the lists of IVFFlat were made: each is so much longer
CHANGED_SHARE = 0.2  # of the rows, written or deleted, after which recall is measured again
MEASURING_PAUSE = timedelta(hours=1)
TRICKLE_SHARE = 1_000  # pending documents that are fewer than one in so many vectors do not hold a build up


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done with the index next, and why."""

    step: Step
    reason: str
    advice: Advice


@dataclass(frozen=True, kw_only=True)
class Tended:
    """What was done with the index, why, and what is there now."""

    step: Step
    reason: str
    rows: int
    index: VectorIndex | None


def plan(database: Database, model: str, *, from_rows: int) -> Plan:
    """What is to be done with the index of a model's vectors. Cheap, but for recall, which has to be measured."""
    with database.transaction() as cursor:
        facts, there = vector_index.get_facts(cursor, model), vector_index.get_all(cursor, model)
        now = vector_index.get_time(cursor)
    return decide(facts, there, from_rows=from_rows, available_bytes=available_bytes(), now=now)


def hindrance(database: Database, *, rows: int) -> str:
    """Why what is planned has to wait; empty where it does not."""
    with database.transaction() as cursor:
        if vector_index.is_building(cursor):
            return "waits: another program builds or drops an index of vectors"
        pending = vector_index.count_pending(cursor)
    what = "document is" if pending == 1 else "documents are"
    return f"waits: {pending:,} {what} pending" if pending > rows // TRICKLE_SHARE else ""


def tend(database: Database, model: str, *, from_rows: int, progress: Progress) -> Tended:
    """Do what is planned, measure what is there, and build it anew where that finds too little."""
    planned = plan(database, model, from_rows=from_rows)
    progress(f"{planned.step}: {planned.reason}")
    index = _done(database, model, planned, progress=progress)
    if index is not None and planned.step != "build":
        with database.autocommit() as cursor:
            index = vector_index.measure(cursor, model, index)
        why = _found_wanting(index)
        if why and _may_replace(index, planned.advice):
            planned = replace(planned, step="build", reason=why)
            progress(f"{planned.step}: {planned.reason}")
            index = vector_index.build(database, model, planned.advice, progress=progress)
    return Tended(step=planned.step, reason=planned.reason, rows=planned.advice.rows, index=index)


def decide(facts: Facts, there: Sequence[VectorIndex], *, from_rows: int, available_bytes: int, now: datetime) -> Plan:
    """What is to be done with these indexes of a model's vectors; the first valid one is used by searches."""
    advice = vector_index.advise(facts, from_rows=from_rows, available_bytes=available_bytes)
    step, reason = _decided(facts, there, advice, few=DROP_SHARE * from_rows, now=now)
    return Plan(step=step, reason=reason, advice=advice)


def _decided(
    facts: Facts, there: Sequence[VectorIndex], advice: Advice, *, few: float, now: datetime
) -> tuple[Step, str]:
    serving = _serving(there)
    left = [one for one in there if one.is_ours and one is not serving]
    if serving is not None and not serving.is_ours:
        return "keep", f"{serving.name} was built by hand, and is left alone"
    if facts.rows < few or (serving is None and advice.kind == "exact"):
        return "drop" if left or serving else "keep", advice.reason
    if serving is None:
        return "build", f"a build was broken off; {advice.reason}" if left else advice.reason
    if left:
        return "tidy", f"{left[0].name} is left of a build that was broken off"
    return _upkeep(serving, facts, advice, now)


def _serving(there: Sequence[VectorIndex]) -> VectorIndex | None:
    return next((one for one in there if one.is_valid), None)


def _done(database: Database, model: str, planned: Plan, *, progress: Progress) -> VectorIndex | None:
    """The index that is there when it is done."""
    if planned.step == "build":
        return vector_index.build(database, model, planned.advice, progress=progress)
    with database.transaction() as cursor:
        serving = _serving(vector_index.get_all(cursor, model))
    if planned.step == "drop":
        vector_index.drop(database, model, only_ours=True)
        return None
    if planned.step == "tidy":
        vector_index.drop(database, model, keep=serving, only_ours=True)
    return serving


def _upkeep(serving: VectorIndex, facts: Facts, advice: Advice, now: datetime) -> tuple[Step, str]:
    if advice.kind == "exact":
        return "keep", f"the index that is there stays; {advice.reason}"
    if why := _worn(serving, facts, advice):
        return ("build", why) if _may_replace(serving, advice) else ("keep", f"{why}; {advice.reason}")
    if _is_to_be_measured(serving, facts, now):
        return "measure", "much has changed since it was measured how well the index finds"
    return "keep", f"{facts.rows:,} vectors have their index"


def _may_replace(serving: VectorIndex, advice: Advice) -> bool:
    """A graph that is there needs no memory, and is not given away for lists where there is too little to build one."""
    return advice.kind == "hnsw" or advice.kind == serving.kind


def _worn(serving: VectorIndex, facts: Facts, advice: Advice) -> str:
    """Why another index would be better; empty where none would."""
    if (serving.kind, advice.kind) == ("ivfflat", "hnsw"):
        return f"there is memory for a graph in place of lists; {advice.reason}"
    if serving.noted is None:
        return ""
    before = max(serving.noted.rows, 1)
    if serving.kind == "ivfflat" and facts.rows > LISTS_OUTGROWN * before:
        return f"its lists were made for {before:,} vectors, and there are {facts.rows:,}"
    expected = serving.noted.size_bytes * facts.rows / before
    if serving.size_bytes > max(BLOATED_RATIO * expected, expected + LEAST_BLOAT):
        return f"its size is {serving.size_bytes / 1e6:,.0f} MB, and that of a new one {expected / 1e6:,.0f} MB"
    return ""


def _is_to_be_measured(serving: VectorIndex, facts: Facts, now: datetime) -> bool:
    noted = serving.noted
    if noted is None:
        return True
    # The server forgets its counts when it crashes, and begins anew.
    changed = facts.changes - noted.changes if facts.changes >= noted.changes else facts.changes
    is_soon = timedelta(0) <= now - noted.looked_at < MEASURING_PAUSE
    return changed > CHANGED_SHARE * facts.rows and not is_soon


def _found_wanting(index: VectorIndex) -> str:
    """Why it is to be built anew after it was measured; empty where it is not."""
    found, when_new = index.recall_at_10, index.noted.recall_at_10 if index.noted else None
    if found is None or when_new is None or not found < min(LEAST_RECALL, when_new - LOST_RECALL):
        return ""
    return f"it finds {found:.1%} of the ten nearest, and found {when_new:.1%} when it was new"
