"""What a run did, counted once: for its log, Dagster's page, the console and --json."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rag_assets.model import Outcome, Status, counted

COUNTED: tuple[Status, ...] = ("completed", "skipped", "deleted", "failed")

SHOWN_STATUSES = {"skipped": "unchanged"}  # what people see of a status that has another name in tables and JSON


@dataclass(kw_only=True)
class RunReport:
    """Each document counts by its last outcome: one that failed and was stored afterwards is completed.

    `gone` and `unknown` are documents that were asked for and are not in the table; of the former something was stored,
    which is deleted now. `busy` are those that another run kept. `pending` is counted by who shows the report.
    """

    run_id: str
    failed: dict[str, Outcome] = field(default_factory=dict)  # by document id
    accepted: dict[str, Outcome] = field(default_factory=dict)  # that cannot be read and may be so, by document id
    chunks_embedded: int = 0
    chunks_reused: int = 0
    gone: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    pending: int = 0
    is_all: bool = True  # whether all that was pending was asked for
    documents: int | None = None  # in the table, counted by who shows the report
    unfinished: dict[str, tuple[int, int]] = field(default_factory=dict)  # id -> chunks embedded in vain, of how many
    seconds: float = 0.0
    interrupted: bool = False  # by SIGINT or SIGTERM: what was not stored by then is pending
    _statuses: dict[str, Status] = field(default_factory=dict)  # by document id

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Count what became of some documents."""
        for outcome in outcomes:
            self._statuses[outcome.document_id] = outcome.status
            self.chunks_embedded += outcome.chunks_embedded
            self.chunks_reused += outcome.chunks_reused
            self.failed.pop(outcome.document_id, None)
            self.accepted.pop(outcome.document_id, None)
            if outcome.status == "failed":
                self.failed[outcome.document_id] = outcome
            if outcome.status == "accepted":
                self.accepted[outcome.document_id] = outcome

    def has(self, document_id: str) -> bool:
        """Whether there is an outcome of this document."""
        return document_id in self._statuses

    @property
    def done(self) -> int:
        """How many documents have an outcome."""
        return len(self._statuses)

    @property
    def is_empty(self) -> bool:
        """Whether no document has an outcome yet."""
        return not self._statuses

    @property
    def deleted(self) -> list[str]:
        """The documents that are not in the table any more."""
        return [document_id for document_id, status in self._statuses.items() if status == "deleted"]

    @property
    def is_short(self) -> bool:
        """Whether something that was asked for was not done."""
        return bool(self.failed or self.busy or self.unknown)

    @property
    def is_mixed(self) -> bool:
        """Whether something was done, and something was not."""
        return self.is_short and len(self._statuses) > len(self.failed)

    @property
    def counts(self) -> dict[str, int]:
        """Documents by what became of them; those that were accepted only where there are some."""
        found = Counter(self._statuses.values())
        counts: dict[str, int] = {status: found[status] for status in COUNTED}
        return counts | ({"accepted": found["accepted"]} if found["accepted"] else {})

    @property
    def brief(self) -> str:
        """What there is of the counts, in a few words: 12 completed, 1 failed."""
        return self._brief(self._words()) or "nothing was pending"

    @property
    def brief_of_failed(self) -> str:
        """The same of what was not done: 1 failed."""
        words = self._words()
        return self._brief({word: words.get(word, 0) for word in ("failed", "pending")})

    def _brief(self, words: Mapping[str, int]) -> str:
        counts = [f"{count} {word}" for word, count in words.items() if count]
        busy = [f"{len(self.busy)} kept by another run"] if self.busy else []
        return ", ".join(counts + busy)

    @property
    def summary(self) -> str:
        """The counts as a sentence without its full stop."""
        counts = ", ".join(f"{count} {word}" for word, count in self._words().items())
        return f"{counts}; {counted(self.chunks_embedded, 'chunk')} embedded, {self.chunks_reused} reused"

    def _words(self) -> dict[str, int]:
        """The counts in the words of the status: what failed and is tried again by itself is pending."""
        words = {SHOWN_STATUSES.get(status, status): count for status, count in self.counts.items()}
        again = sum(outcome.retry for outcome in self.failed.values())
        return words | ({"failed": words["failed"] - again, "pending": again} if again else {})

    @property
    def as_json(self) -> dict[str, Any]:
        """What `--json` prints; `unknown` and `unfinished` only where there are some."""
        unfinished = [
            {"document_id": one, "embedded": embedded, "chunks": chunks}
            for one, (embedded, chunks) in self.unfinished.items()
        ]
        failures = [
            {"document_id": o.document_id, "path": o.path, "kind": o.error_kind, "message": o.error_message}
            for o in self.failed.values()
        ]
        return {
            **self.counts,
            "chunks_embedded": self.chunks_embedded,
            "chunks_reused": self.chunks_reused,
            "seconds": round(self.seconds, 2),
            "run_id": self.run_id,
            "failures": failures,
            "gone": self.gone,
            "busy": self.busy,
            "interrupted": self.interrupted,
            "pending": self.pending,
            **({"unknown": self.unknown} if self.unknown else {}),
            **({"unfinished": unfinished} if unfinished else {}),
        }
