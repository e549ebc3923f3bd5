"""Everything that can go wrong, as a tree.

RagAssetsError
├── DocumentError(kind)          about one document: recorded for it, the batch goes on
└── ServiceError                 about the ground we stand on: raised, costs no document an attempt
    ├── SettingsError            a setting is wrong; the message names its key and the allowed range
    │   ├── WrongModel           vectors are not those of the model under whose name they would be stored
    │   ├── WrongReranker        a reranker does not know which passage answers a question
    │   └── SourceUnusable       the documents table is not there, or not as configured: work is paused
    ├── DeletionsHeld            too many documents have lost their row at once: the user has to confirm it
    ├── DatabaseUnavailable      PostgreSQL does not answer
    ├── TookTooLong              a question to the database is given up after its time
    ├── NotEnoughMemory          llama-server is not started: it would not fit
    ├── ServerFailedToStart      an embedding server died, or never became ready; quotes its log
    │   └── ServerKilled         it was killed again and again while it started, which is no fault of its own
    ├── EmbeddingError           llama-server answers, but not with usable vectors
    ├── ModelDropped             the run began with a model whose vectors are kept no more
    ├── LostRun(run_id)          this run stood still, and others work on its documents
    ├── IndexUnavailable         the search service does not answer, or cannot now (rag_assets.client)
    └── IndexRefused             it does not take the key, or what is asked (rag_assets.client)

Between our own rooms only, never shown to a user:
├── UnembeddableText(index)      one text of a call cannot be embedded; its document fails, the others go on
├── MissingVectors(hashes, model) a vector that was to be reused is gone: embed it, write again
└── Interrupted                  the run is being stopped: nothing comes of this call
"""

from collections.abc import Collection
from typing import Literal, get_args

# Of a document that has a row of its own: it may stay as it is, where somebody says so.
AcceptableKind = Literal[
    "not_found",
    "outside_root",
    "empty",
    "no_text",
    "encrypted",
    "corrupt",
    "unsupported",
    "too_large",
    "timed_out",
    "crashed",
]
ACCEPTABLE_KINDS: tuple[AcceptableKind, ...] = get_args(AcceptableKind)

ErrorKind = Literal[AcceptableKind, "id_doubled", "id_missing", "id_too_long"]
ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)

# Trying the same bytes again can help only where the cause was not in the bytes.
RETRYABLE_KINDS: frozenset[ErrorKind] = frozenset({"not_found", "timed_out", "crashed"})


class RagAssetsError(Exception):
    """Base of every error this project raises on purpose."""


class DocumentError(RagAssetsError):
    """One document cannot be ingested; `kind` is one of ERROR_KINDS, `message` names file, number and limit.

    `retryable` says whether trying the same bytes again can help: as the kind does, unless it is `certain` that they
    end the same each time.
    """

    def __init__(self, kind: ErrorKind, message: str, *, certain: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retryable = kind in RETRYABLE_KINDS and not certain


class ServiceError(RagAssetsError):
    """Something that every document needs is missing; nothing is lost and no attempt is counted."""


class SettingsError(ServiceError):
    """A setting is missing or out of range."""


class WrongModel(SettingsError):
    """The vectors of known texts are not the model's own; nothing of this server is stored or searched with."""

    def __init__(self, model: str, *, cosine: float, least: float) -> None:
        self.cosine = cosine
        super().__init__(
            f"The vectors are not those of {model}: their cosine with vectors known to be its own is {cosine:.2f}, and "
            f"at least {least} is due. If this is another model, give it a name of its own (embedding.model). If it is "
            f"{model}, start its server with --pooling mean, or take another build or file. If what is stored under "
            f"this name is wrong: rag-assets reembed --where model={model}"
        )


class WrongReranker(SettingsError):
    """A reranker puts a passage that does not answer a known question above the one that does."""

    def __init__(self, where: str, *, question: str, right: float, wrong: float) -> None:
        self.right = right
        self.wrong = wrong
        super().__init__(
            f"The reranker ({where}) is wrong: of the question {question!r} it scores the passage that answers it "
            f"{right:.3g}, and one that does not {wrong:.3g}. Many GGUF files of rerankers do so with llama-server "
            "(https://github.com/ggml-org/llama.cpp/issues/16407): take another file or build, and see that the server "
            "runs with --rerank; or unset rerank.url and rerank.model."
        )


class SourceUnusable(SettingsError):
    """There is no documents table as it is configured: nothing is done, and nothing deleted, until there is."""


class DeletionsHeld(ServiceError):
    """More documents have lost their row at once than the settings let go without a word of the user."""

    def __init__(self, *, vanished: int, indexed: int) -> None:
        self.vanished = vanished
        self.indexed = indexed
        super().__init__(
            f"{vanished} of {indexed} indexed documents have lost their row: their deletion is held, and they stay in "
            "the index. Put the rows back, or confirm with: rag-assets confirm-deletions"
        )


class DatabaseUnavailable(ServiceError):
    """PostgreSQL does not answer at the configured URL (shown without its password)."""


class TookTooLong(ServiceError):
    """A statement that somebody waits for was given up."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(
            f"The database took longer than {seconds:g} s: ask with a narrower filter or a smaller k, or raise "
            "service.request_seconds. rag-assets index says whether an index of vectors would help."
        )


class IndexUnavailable(ServiceError):
    """The search service does not answer, or not now: asking again later can help."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # seconds, where the service says so


class IndexRefused(ServiceError):
    """The search service does not take the request: its `kind`, as "unauthorized" or "invalid", says why."""

    def __init__(self, message: str, *, kind: str, status: int) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status  # of HTTP


class NotEnoughMemory(ServiceError):
    """Starting llama-server would exceed the memory at hand."""

    def __init__(self, *, available_bytes: int, needed_bytes: int) -> None:
        self.available_bytes = available_bytes
        self.needed_bytes = needed_bytes
        super().__init__(
            "Not enough memory to start embedding server: "
            f"{available_bytes / 1e9:.1f} GB available, {needed_bytes / 1e9:.1f} GB needed. "
            "Stop other programs or lower llama_server.required_memory_gb; the documents stay pending."
        )


class ServerFailedToStart(ServiceError):
    """The server `of` an engine died or was late; `log_tail` holds its last lines."""

    def __init__(self, reason: str, *, of: str = "the embedding server", log_tail: str = "") -> None:
        self.log_tail = log_tail
        quoted = f"\nIts last log lines:\n{log_tail}" if log_tail else ""
        super().__init__(f"{of[0].upper()}{of[1:]} failed to start: {reason}{quoted}")


class ServerKilled(ServerFailedToStart):
    """Somebody, or the system for want of memory, ended it at each of its starts: the next one may go well."""


class EmbeddingError(ServiceError):
    """llama-server answered, but not with one valid vector per text."""


class ModelDropped(ServiceError):
    """The model that a run began with was dropped meanwhile: nothing is lost, and the next run has the other one."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model {model} was dropped while this run embedded with it. Nothing is lost: its documents stay "
            "pending, and the next run embeds with the model that serves."
        )


class LostRun(ServiceError):
    """This run stood still for too long; its documents were given to others, and it may store nothing any more."""

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"Run {run_id} stood still for longer than worker.processing_timeout_seconds: its process was stopped, or "
            "hung. Its documents were given to other runs, and what it had not stored by then is not stored by it."
        )
        self.run_id = run_id


class UnembeddableText(RagAssetsError):
    """llama-server refuses, or dies of, the text at `index` of the call, again and again and by itself."""

    def __init__(self, index: int, *, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.index = index
        self.kind = kind  # too_large: over the model's limit; crashed: it fails alone, others go well
        self.message = message


class MissingVectors(RagAssetsError):
    """Vectors of these content hashes are neither given nor stored any more."""

    def __init__(self, hashes: Collection[str], *, model: str) -> None:
        super().__init__(f"{len(hashes)} vectors are neither given nor stored")
        self.hashes = frozenset(hashes)
        self.model = model


class Interrupted(RagAssetsError):
    """What was asked for is wanted no longer: the run is being stopped."""
