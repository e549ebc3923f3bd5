"""What is done with the services: tables made, files registered, the index searched, reconciled and looked at.

The command line, Dagster's jobs and sensor, and what is served over HTTP call these; each is one function of the
services and of what it is asked for.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_assets import upkeep, vectors, words
from rag_assets.embedding import neighbour
from rag_assets.errors import DocumentError, ServiceError
from rag_assets.model import (
    FailedDocument,
    FileFacts,
    Filter,
    Hit,
    IndexStatus,
    Progress,
    Refused,
    StoredText,
    Vector,
    counted,
    stands_still,
)
from rag_assets.postgres import (
    buckets,
    callers,
    conninfo,
    documents,
    figures,
    ingestion_log,
    models,
    outbox,
    owner,
    runs,
    vector_index,
    watch,
)
from rag_assets.postgres import reconcile as reconciling
from rag_assets.postgres import search as searching
from rag_assets.postgres import stories as story_tables
from rag_assets.postgres.database import Cursor, require_no_newer, require_schema
from rag_assets.postgres.figures import Figures, Pending
from rag_assets.postgres.roles import Granted
from rag_assets.postgres.stories import Story
from rag_assets.postgres.vector_index import VectorIndex
from rag_assets.services import DAGSTER_SCHEMA, Services, no_progress, owner_of
from rag_assets.settings import Mode
from rag_assets.text import sources
from rag_assets.upkeep import Plan, Tended
from rag_assets.vectors import Marked, Sampled

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

NOT_RERANKED = "These passages are not re-ranked: the reranker gives no answer just now."
MOST_SWITCHES = 3  # of the model that serves, between the beginning of a search and its end
STORY_ATTEMPTS = 20  # at a document, of which its story tells
GLANCE_SECONDS = 2.0  # of a statement of a look that has to end soon, whatever holds the tables
COUNT_SECONDS = 2.0  # after which counting chunks is given up: who looks waits for five in all
DAGSTER_CONNECTIONS = 4  # that it has at once, where it has much to tell
BYTE_CODE = "__pycache__"  # written beside code by Python, and by pip beside the samples of an installed package


@dataclass(frozen=True, kw_only=True)
class Registered:
    """What became of files that were to be rows; why each was `left_out` that was, and each folder."""

    registered: int
    new: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What became of documents that were to be accepted; `pending` and `others` are ids that were asked for."""

    accepted: list[Refused]
    before: int  # of those asked for, or of all
    pending: list[str]  # not given up yet
    waiting: int  # that failed so too, and are pending again: where no ids were given
    changed: list[str]  # whose file is not the one any more that failed
    others: list[str]  # with nothing to accept, or with another kind of error


def create_table(services: Services) -> bool:
    """Make the documents table, if there is none and nothing is indexed; whether there was none."""
    return services.database.create_table(services.settings.source)


def create_own_table(services: Services) -> None:
    """The same on the embedded database alone: on yours, the table is the application's."""
    if services.settings.database_url is None:
        create_table(services)


def migrate(services: Services) -> list[str]:
    """Create or update tables, functions and triggers; the names of what was applied.

    The documents table has to be there: it is made only by who is asked to, and in a new embedded database.
    """
    owner = owner_of(services.settings)
    if services.database.is_up_to_date_by_others(owner):
        return []
    if not services.database.is_migrated():
        create_own_table(services)
    if services.settings.dagster_database_url is None:
        services.database.create_schema(DAGSTER_SCHEMA)
        _require_dagster_schema(services)
    applied = services.database.migrate(
        services.settings.source, dimension=services.settings.embedding.dimension, owner=owner
    )
    if services.settings.worker.partitioning == "bucket":
        with services.database.transaction() as cursor:
            buckets.ensure_indexes(cursor, buckets=services.settings.worker.buckets)
    return applied


def establish_roles(services: Services) -> Granted:
    """Make the roles rag_owner, rag_worker and rag_reader, and grant each what it needs; see roles.establish."""
    schema = DAGSTER_SCHEMA if services.settings.dagster_database_url is None else None
    return services.database.establish_roles(services.settings.source, dagster_schema=schema)


def take_over(services: Services) -> None:
    """Have the index follow these settings from now on, and programs with other ones refuse to work."""
    services.database.take_over(owner_of(services.settings))


def register(services: Services, places: Iterable[Path]) -> Registered:
    """Make files, and those below folders, rows of the documents table."""
    left_out: list[str] = []

    def leave_out(why: str, name: str) -> None:
        left_out.append(f"{why}: {_without_surrogates(name)}")

    names = [_name(services, path) for path in files_below(places, on_left_out=leave_out)]
    possible = [name for name in names if name == _without_surrogates(name)]
    with services.database.transaction() as cursor:
        before = documents.count(cursor, services.settings.source)
        rows = documents.register(cursor, services.settings.source, possible)
        new = documents.count(cursor, services.settings.source) - before
    for name in names:
        if _without_surrogates(name) != name:
            leave_out("no row can hold a name that is not UTF-8", name)
    return Registered(registered=len(rows), new=new, left_out=tuple(left_out))


def search(
    services: Services,
    query: str,
    *,
    k: int,
    filter: Filter | None = None,
    mode: Mode | None = None,
    neighbours: int = 0,
    min_similarity: float | None = None,
    vector: Vector | None = None,
    notes: list[str] | None = None,
) -> list[Hit]:
    """The k best passages of those that the filter leaves, best first; `mode` None: as the settings say.

    With up to so many `neighbours` before and after each. Of those found, the ones are left out whose similarity to the
    question is below `min_similarity`, which mode text knows of none. By words alone, nothing is embedded; nor where
    the question's `vector` is given. Where the reranker fails, they stay as they were found, and `notes` are
    told.
    """
    search = services.settings.search.model_copy(update={"mode": mode} if mode else {})
    if vector is None and search.mode != "text":
        vector = services.embedder.embed_query(query)
    model, rerank = services.settings.embedding.model, services.settings.rerank
    count = max(k, rerank.top_n) if rerank.is_on else k
    with services.database.transaction() as cursor:
        for spelling in _spellings(services, filter or Filter()):
            hits = searching.find(cursor, query, vector, k=count, model=model, search=search, filter=spelling)
            if hits:
                break
    if min_similarity is not None:
        hits = [hit for hit in hits if hit.similarity is not None and hit.similarity >= min_similarity]
    if rerank.is_on:
        hits = _reranked(services, query, hits, notes=notes)[:k]
    if not neighbours:
        return hits
    with services.database.transaction() as cursor:
        return searching.with_neighbours(cursor, hits, count=neighbours)


def search_serving(services: Services, query: str, **how: Any) -> list[Hit]:
    """As `search`, with the model that serves; again where another one does by the time of the answer."""
    for serving in each_serving(services.serving, look=lambda: services.serving):
        hits = search(serving, query, **how)
    return hits


def each_serving(serving: Services, *, look: Callable[[], Services]) -> Iterator[Services]:
    """These services, of the model that serves, and after what is done with them those of each that does by then.

    `look` finds out which one does. After MOST_SWITCHES of them, what was done last holds.
    """
    for _ in range(MOST_SWITCHES):
        yield serving
        done, serving = serving, look()
        if serving is done:
            return


def require_index(services: Services) -> None:
    """SettingsError, with what to do, where there is nothing to search yet, or a newer program made the tables.

    It is asked before anything is embedded for a search.
    """
    with services.database.transaction() as cursor:
        callers.require_index(cursor, services.settings.source)
    services.database.require_no_newer()


def _reranked(services: Services, query: str, hits: Sequence[Hit], *, notes: list[str] | None) -> list[Hit]:
    """The first `rerank.top_n` of them by the reranker's score, then the others; outside of any transaction."""
    read, others = hits[: services.settings.rerank.top_n], hits[services.settings.rerank.top_n :]
    if not read or services.reranker is None:
        return list(hits)
    try:
        scores = services.reranker.scores(query, [hit.content for hit in read])
    except ServiceError as exc:
        logger.warning("Passages are not re-ranked: %s", exc)
        if notes is not None:
            notes.append(NOT_RERANKED)
        return list(hits)
    scored = [replace(hit, rerank_score=score) for hit, score in zip(read, scores, strict=True)]
    return [*sorted(scored, key=lambda hit: -(hit.rerank_score or 0.0)), *others]


def require_reranker(services: Services) -> None:
    """Refuse a reranker that is wrong, before anything is asked; see Reranker.require."""
    if services.reranker is not None:
        services.reranker.require()


def count_chunks(services: Services) -> int:
    """How many chunks there are that a search of the embedding model can find."""
    model = services.serving.settings.embedding.model
    with services.database.transaction() as cursor:
        return callers.count_chunks(cursor, model=model)


def count_due(services: Services) -> int:
    """How many documents are to be worked on now, or are at work."""
    with services.database.transaction() as cursor:
        return outbox.count_due(cursor)


def other_path(services: Services, prefix: str) -> str | None:
    """A stored path, where none begins with this prefix, however it is spelled; None where one does."""
    with services.database.transaction() as cursor:
        for spelling in _spellings(services, Filter(path_prefix=prefix)):
            if searching.has_path(cursor, spelling.path_prefix or ""):
                return None
        return searching.any_path(cursor)


def asked_for(services: Services, query: str) -> tuple[list[str], bool]:
    """The words that a question looks for, as they are kept, and whether something has to stand there, or must not."""
    with services.database.transaction() as cursor:
        model, search = services.serving.settings.embedding.model, services.settings.search
        return searching.asked_for(cursor, query, model=model, language=search.language)


def excerpts(services: Services, query: str, hits: Sequence[Hit]) -> list[str]:
    """Of each hit, the part that has most of the question's words, which stand between MARKS."""
    with services.database.transaction() as cursor:
        return searching.excerpts(cursor, query, hits, model=services.settings.embedding.model)


def reembed(services: Services, ids: Sequence[str], conditions: Sequence[str]) -> Marked:
    """Have stored vectors made anew: those of these documents for which all of `--where` holds."""
    services = services.serving
    selection, is_wrong = vectors.selection(ids, conditions)
    if not is_wrong:
        return vectors.distrust(services.database, selection)
    model = services.settings.embedding.model
    return vectors.distrust_wrong(services.database, selection, model=model, embed=partial(_embed, services))


def sample_vectors(services: Services) -> Sampled:
    """Whether a few stored vectors are what the model makes of their texts."""
    services = services.serving
    return vectors.sample(services.database, services.settings.embedding.model, partial(_embed, services))


def reconcile(services: Services) -> dict[str, int]:
    """Enqueue whatever differs between table, files and index; how many documents, by what was found."""
    tend(services)
    with services.database.transaction() as cursor:
        owner.require(cursor, owner_of(services.settings))
        outbox.drain_changes(cursor)  # or what the trigger saw would be found once more
    kept = services.kept()
    found = reconciling.reconcile_table(
        services.database,
        services.settings.source,
        fingerprints=[one.reader.fingerprint for one in kept],
        models=[one.settings.embedding.model for one in kept],
    )
    with services.database.transaction() as cursor:
        outbox.retry_dead(cursor, kind="not_found")  # a file that was missing may be there now
    files = reconciling.reconcile_files(services.database, services.settings.source, look=partial(_look, services))
    retried = reconciling.retry_changed(
        services.database, services.settings.source, changed_at=partial(_changed_at, services)
    )
    return {**asdict(found), "changed": files.changed + retried, "missing": files.missing}


def tend(services: Services) -> None:
    """Look at what no trigger tells of; see watch.tend. SourceUnusable where there is no documents table."""
    watch.tend(services.database, services.settings.source)
    words.tend(services.database, services.settings.search, program=owner_of(services.settings).program)


def fill_words(services: Services) -> None:
    """Store the words of all that was stored before words were, or with another language set, and fold what changed."""
    words.fill(services.database, services.settings.search, program=owner_of(services.settings).program)


def confirm_deletions(services: Services) -> int:
    """Let go what is indexed and has no row any more, however much it is; how many documents."""
    with services.database.transaction() as cursor:
        return outbox.confirm_deletions(cursor, services.settings.source)


def held(services: Services) -> str:
    """What to say of deletions that are held; empty where none are."""
    with services.database.transaction() as cursor:
        return str(outbox.held(cursor, services.settings.source)) if outbox.holds(cursor) else ""


def purge_log(services: Services) -> int:
    """Forget attempts that are older than `worker.log_days`, but for each document's last; how many."""
    with services.database.transaction() as cursor:
        runs.purge(cursor, days=services.settings.worker.log_days)
        return ingestion_log.purge(cursor, days=services.settings.worker.log_days)


def status(services: Services) -> IndexStatus:
    """The index at a glance.

    SettingsError, with what to do, where nothing is set up, or a newer program made the tables.
    """
    with services.database.transaction() as cursor:
        require_no_newer(cursor)
        status = outbox.status(cursor, services.settings.source)  # which says what to do where nothing is set up
        still = runs.standing_still(cursor, seconds=services.settings.worker.processing_timeout_seconds)
        beside = _beside(cursor)
    return replace(status, standing_still=still, notes=(*neighbour.notes(services.settings.home / "run"), *beside))


def _beside(cursor: Cursor) -> list[str]:
    """For vectors of which models that do not serve documents wait: they count as pending, and are found."""
    told = []
    for one in models.get_all(cursor):
        if one.is_kept and not one.serves and (lack := models.count_lacking(cursor, one.name).lack):
            waiting = f"{counted(lack, 'document')} {'waits' if lack == 1 else 'wait'}"
            told.append(
                f"{waiting} for vectors of {one.name}, which does not serve yet: searches find them all the same. "
                "See rag-assets model status"
            )
    return told


def figures_now(services: Services) -> Figures:
    """What operators watch, everything counted, chunks only where that ends within COUNT_SECONDS.

    Raises what figures.get raises, and SettingsError, with what to do, where nothing is set up.
    """
    with services.database.transaction() as cursor:
        chunks = figures.count_chunks(cursor, seconds=COUNT_SECONDS)
        return figures.get(cursor, chunks=chunks, dagster_schema=DAGSTER_SCHEMA)


def pending_now(services: Services) -> Pending:
    """What waits, however large the index is; DatabaseUnavailable where that is not said within GLANCE_SECONDS."""
    with services.database.transaction() as cursor:
        callers.limit(cursor, seconds=GLANCE_SECONDS)
        return figures.get_pending(cursor)


def hindrances(services: Services) -> list[str]:
    """What keeps changes from being seen or worked on, with what to do, and without the name of a document.

    DatabaseUnavailable where a look at one takes longer than GLANCE_SECONDS.
    """
    with services.database.transaction() as cursor:
        callers.limit(cursor, seconds=GLANCE_SECONDS)
        still = runs.standing_still(cursor, seconds=services.settings.worker.processing_timeout_seconds)
        stalled = [stands_still(run_id, seconds=seconds) for run_id, seconds in still.items()]
        return [*outbox.warnings(cursor, services.settings.source, for_others=True), *stalled]


def count_texts(services: Services) -> int:
    """How many documents have a text and chunks in the index."""
    with services.database.transaction() as cursor:
        return documents.count_indexed(cursor)


def last_change(services: Services) -> datetime | None:
    """When a change of a document was seen or worked on last; None where none ever was."""
    with services.database.transaction() as cursor:
        return outbox.last_change(cursor)


def failed_documents(services: Services, *, limit: int) -> list[FailedDocument]:
    """Rows that can be no documents, then documents whose last attempt failed, those given up first."""
    with services.database.transaction() as cursor:
        return outbox.failed_documents(cursor, services.settings.source, limit=limit)


def stories(services: Services, ids: Sequence[str]) -> list[Story]:
    """All that is known of these documents, in their order."""
    with services.database.transaction() as cursor:
        return story_tables.get(cursor, services.settings.source, ids, attempts=STORY_ATTEMPTS)


def find(services: Services, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """The documents that ids given by hand name, each once, and those of the ids that name none."""
    if not ids:
        return [], []
    with services.database.transaction() as cursor:
        found = outbox.find(cursor, services.settings.source, ids)
    known = dict.fromkeys(found[one] for one in ids if one in found)
    return list(known), [one for one in dict.fromkeys(ids) if one not in found]


def accept(services: Services, *, ids: Sequence[str] = (), kind: str | None = None) -> Accepted:
    """Have documents given up, of these ids and kind or all, count as well until their file changes."""
    with services.database.transaction() as cursor:
        found = outbox.acceptable(cursor, services.settings.source, ids=ids, kind=kind)
        given_up = {one.document_id: one for one in outbox.dead(cursor, services.settings.source)}
    changed = [
        one.document_id
        for one in found
        if (known := given_up.get(one.document_id)) is not None
        and known.changed_at is not None
        and reconciling.is_another(known, _changed_at(services, one.path))
    ]
    seen = [(one, _size_and_time(services, one.path)) for one in found if one.document_id not in changed]
    with services.database.transaction() as cursor:
        before = outbox.accepted(cursor, ids=ids, kind=kind)
        accepted = outbox.accept(cursor, seen)
        left = [one for one in ids if one not in accepted and one not in before and one not in changed]
        pending = outbox.pending(cursor, left)
        waiting = 0 if ids else outbox.count_failed_pending(cursor, kind=kind)
    return Accepted(
        accepted=[one for one in found if one.document_id in accepted],
        before=len(before),
        pending=[one for one in left if one in pending],
        waiting=waiting,
        changed=changed,
        others=[one for one in left if one not in pending],
    )


def retry(services: Services, *, ids: Sequence[str], kind: str | None) -> int:
    """Make failed and dead documents pending again; how many. Accepted ones only by id, which withdraws that."""
    with services.database.transaction() as cursor:
        outbox.withdraw(cursor, ids)
        return outbox.retry_dead(cursor, ids=ids, kind=kind)


def retry_failures_of(services: Services, run_id: str) -> int:
    """The same for those that failed in this run, and did not succeed since."""
    with services.database.transaction() as cursor:
        ids = ingestion_log.failed_in(cursor, run_id=run_id)
        return outbox.retry_dead(cursor, ids=ids) if ids else 0


def release_batches(services: Services) -> int:
    """Give back what a sensor claimed for runs that it was about to request, when it is gone; how many."""
    with services.database.transaction() as cursor:
        return outbox.release_batches(cursor)


def plan_index(services: Services) -> Plan:
    """What is to be done with the index of the embedding model's vectors, and why."""
    settings = services.serving.settings
    return upkeep.plan(services.database, settings.embedding.model, from_rows=settings.search.index_rows)


def index_hindrance(services: Services, planned: Plan) -> str:
    """Why what is planned has to wait; empty where it does not."""
    return upkeep.hindrance(services.database, rows=planned.advice.rows)


def tend_index(services: Services, *, progress: Progress = no_progress) -> Tended:
    """Do what is planned for the index, and measure what is there then."""
    settings = services.serving.settings
    return upkeep.tend(
        services.database, settings.embedding.model, from_rows=settings.search.index_rows, progress=progress
    )


def get_index(services: Services) -> VectorIndex | None:
    """The index of the embedding model's vectors with its recall, measured on a sample; None where there is none."""
    model = services.serving.settings.embedding.model
    with services.database.autocommit() as cursor:
        found = vector_index.get(cursor, model)
        if found is None or not found.is_valid:
            return found
        return replace(found, recall_at_10=vector_index.recall(cursor, model))


def build_index(services: Services, *, progress: Progress = no_progress) -> VectorIndex:
    """Build the index that is advised, in place of the one that is there; see vector_index.build."""
    advice = plan_index(services).advice
    return vector_index.build(services.database, services.serving.settings.embedding.model, advice, progress=progress)


def drop_index(services: Services) -> int:
    """Drop the indexes of the embedding model's vectors; how many. Searches compare all vectors then."""
    return vector_index.drop(services.database, services.serving.settings.embedding.model)


def _spellings(services: Services, filter: Filter) -> Iterator[Filter]:
    """The filter as it was given; then with its prefix of a path below the document root written the other way.

    A table may have paths relative to DOCUMENT_ROOT_PATH or absolute ones, and who asks need not know which.
    """
    yield filter
    prefix, root = filter.path_prefix, services.settings.document_root_path
    if not prefix or root is None:
        return
    beginning = f"{root.resolve().as_posix().rstrip('/')}/"
    if prefix.startswith(beginning) and prefix != beginning:
        yield replace(filter, path_prefix=prefix.removeprefix(beginning))
    elif not os.path.isabs(prefix):
        yield replace(filter, path_prefix=beginning + prefix.removeprefix("./"))


def _require_dagster_schema(services: Services) -> None:
    """Said here in a sentence, and not by Dagster, which tries for half a minute, or makes its tables elsewhere."""
    url = conninfo.as_libpq(services.database_url, schema=DAGSTER_SCHEMA)
    seconds = services.settings.database.connect_timeout_seconds
    require_schema(url, DAGSTER_SCHEMA, connections=DAGSTER_CONNECTIONS, seconds=seconds)


def _embed(services: Services, texts: list[str]) -> "NDArray[float32]":
    return services.embedder.embed(texts, token_counts=[len(text) // 3 for text in texts])


def _look(services: Services, stored: StoredText) -> FileFacts | None:
    """A file's facts as they are now; it is hashed only where size or time differ from what is stored."""
    try:
        return services.lookups.call(lambda: _facts(services, stored), name=stored.path)
    except DocumentError:
        return None


def _facts(services: Services, stored: StoredText) -> FileFacts:
    return sources.look(services.resolve(stored.path), stored.facts, limit=services.settings.parsing.max_bytes)


def _size_and_time(services: Services, path: str) -> tuple[int, int] | None:
    """As a run sees them; None where there is no such file."""
    with suppress(DocumentError, OSError):
        return services.lookups.call(lambda: sources.facts(services.resolve(path)), name=path)
    return None


def _changed_at(services: Services, path: str) -> float | None:
    """When a file was written or put in its place, whichever came last."""
    try:
        return services.lookups.call(lambda: sources.changed_at(services.resolve(path)), name=path)
    except (DocumentError, OSError):
        return None


def _name(services: Services, path: Path) -> str:
    """How a file is written in the table: below the root relative to it, so that the root can move."""
    absolute = Path(os.path.abspath(path))
    root = services.settings.document_root_path
    if root is not None and absolute.is_relative_to(root.resolve()):
        return absolute.relative_to(root.resolve()).as_posix()
    return str(absolute)


def files_below(places: Iterable[Path], *, on_left_out: Callable[[str, str], None]) -> Iterator[Path]:
    """The files named, and all files below the folders named, in order; hidden ones and byte code only when named.

    `on_left_out` is told why, and the name, of each folder that cannot be read and of each link to a file elsewhere,
    which whoever writes to a folder may have made; it can be named.
    """

    def cannot_be_read(error: OSError) -> None:
        on_left_out(f"cannot be read, {error.strerror}", str(error.filename))

    for place in places:
        if not place.is_dir():
            yield place
            continue
        real = place.resolve()
        for folder, folders, files in os.walk(place, onerror=cannot_be_read):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name != BYTE_CODE)
            for file in (Path(folder, name) for name in sorted(files) if not name.startswith(".")):
                if file.is_symlink() and (why := _leads_out(file, real)):
                    on_left_out(why, str(file))
                else:
                    yield file


def _leads_out(link: Path, folder: Path) -> str:
    """Why a link is no file of this folder, which is a real path; empty where it is."""
    try:
        return (
            "" if link.resolve(strict=True).is_relative_to(folder) else f"a link to a file that is not below {folder}"
        )
    except (OSError, RuntimeError):  # links in a circle are the latter up to Python 3.12
        return "a link that leads to no file"


def _without_surrogates(name: str) -> str:
    """The name as it can be shown: bytes that are no UTF-8, which Python keeps as surrogates, are question marks."""
    return name.encode("utf-8", "replace").decode("utf-8")
