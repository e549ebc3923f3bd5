"""What the command line shows: results to standard output, progress to standard error."""

import json
import re
import shlex
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from rag_assets import visible, wrapping
from rag_assets.doctor import Finding
from rag_assets.embedding.calibration import Calibration
from rag_assets.errors import DocumentError
from rag_assets.evaluation import Quality
from rag_assets.model import Chunk, FailedDocument, Hit, IndexStatus, Outcome, ReadDocument, are, counted, them
from rag_assets.operations import Accepted, Registered
from rag_assets.postgres.roles import Granted
from rag_assets.postgres.search import WORD_MARKS
from rag_assets.postgres.vector_index import VectorIndex
from rag_assets.report import SHOWN_STATUSES, RunReport
from rag_assets.upkeep import Plan
from rag_assets.vectors import Marked

JSON = click.option("--json", "as_json", is_flag=True, help="JSON, one object per line, for programs.")

INGEST = "Next: rag-assets ingest"
FIRST_STEP = "Next: rag-assets register FOLDER (files become rows), then rag-assets ingest"
NO_FILES = "No files there: hidden ones and folders behind links are left out."
PREVIEW_CHARACTERS = 320
SHOWN_UNKNOWN = 5  # documents of an evaluation that are named
RATE_SECONDS = 1.0  # before a rate says anything
TO_DO = {  # with the index of vectors
    "keep": "Nothing is to be done",
    "measure": "It is to be measured",
    "build": "An index is advised",
    "tidy": "It is to be tidied up",
    "drop": "It is to be dropped",
}
NEXT_STEPS = {
    "build": " Next: rag-assets index --build",
    "tidy": " Next: rag-assets index --build",
    "drop": " Next: rag-assets index --drop",
}
# Of the numbers of rag_status whose names are older than the words for states.
STATE_LABELS = {"failed": "tried again", "dead": "failed"}
BAR_FORMAT = "{{l_bar}}{{bar}}| {{n_fmt}}/{{total_fmt}} {noun} [{{elapsed}}<{{remaining}}{{postfix}}]"


def print_progress(message: str) -> None:
    """Print one line of progress to standard error, so that standard output has results alone."""
    click.echo(visible.line(message), err=True)


def show(text: str) -> None:
    """Print one line of results to standard output, control characters escaped."""
    click.echo(visible.line(text))


def show_text(text: str) -> None:
    """Print text of documents to standard output: lines stay, control characters are escaped."""
    click.echo(visible.lines(text))


def print_json(value: Mapping[str, Any]) -> None:
    """One object on one line, in UTF-8; times as ISO 8601, bytes of a path that are no UTF-8 as Python has them."""
    line = json.dumps(value, ensure_ascii=False, default=_plain)
    click.echo(visible.json_line(line))


def export_line(name: str, value: str, *, shell: str) -> str:
    """The line that sets an environment variable in `shell`: "sh" or "powershell"."""
    if shell == "powershell":
        quoted = value.replace("'", "''")
        return f"$env:{name} = '{quoted}'"
    return f"export {name}={shlex.quote(value)}"


class Progress:
    """A bar that counts documents, with the chunks that are embedded: of a long document, they are all that moves."""

    def __init__(self, *, total: int) -> None:
        bar = BAR_FORMAT.format(noun="document" if total == 1 else "documents")
        self._bar = tqdm(
            total=total,
            file=sys.stderr,
            disable=total == 0,
            desc="Ingesting",
            bar_format=bar,
            miniters=0,  # else chunks alone would not have it drawn anew once some documents are done
        )
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._chunks = 0
        self._started: float | None = None  # when the first chunks were there
        self.unfinished: dict[str, tuple[int, int]] = {}  # long documents at work: chunks embedded, of how many

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.close()

    def advance(self, outcomes: Sequence[Outcome]) -> None:
        """Count documents that have their outcomes."""
        with self._lock:
            self._counts.update("pending" if one.retry else one.status for one in outcomes)
            for outcome in outcomes:
                self.unfinished.pop(outcome.document_id, None)
            self._show_counts()
            self._bar.update(len(outcomes))

    def embedded(self, chunks: int) -> None:
        """Count chunks that have their vectors now; may be called from several threads."""
        with self._lock:
            self._chunks += chunks
            self._started = self._started or time.monotonic()
            self._show_counts()
            self._bar.update(0)  # which shows it, if it is time

    def part(self, document_id: str, embedded: int, chunks: int) -> None:
        """Note how far a long document is; may be called from several threads."""
        with self._lock:
            self.unfinished[document_id] = (embedded, chunks)
            self._show_counts()
            self._bar.update(0)

    def _show_counts(self) -> None:
        counts = [f"{SHOWN_STATUSES.get(status, status)}={count}" for status, count in self._counts.items()]
        if self._started is not None:
            seconds = time.monotonic() - self._started
            rate = f" ({self._chunks / seconds:.1f}/s)" if seconds > RATE_SECONDS else ""
            counts.append(f"chunks={self._chunks}{rate}")
        for document_id, (embedded, chunks) in self.unfinished.items():
            counts.append(f"document {visible.line(document_id)}: {embedded}/{chunks}")
        self._bar.set_postfix_str(", ".join(counts), refresh=False)


def show_registered(found: Registered, *, step: str = INGEST) -> None:
    """How many files are rows now, and the next step; where there are none, why that may be."""
    show_left_out(found)
    if found.registered:
        show(f"{counted(found.registered, 'file')}, {found.new} new. {step}")
    else:
        show(NO_FILES)


def show_left_out(found: Registered) -> None:
    """Which files were not registered, and why."""
    for reason in found.left_out:
        print_progress(f"Left out: {reason}")


def show_report(report: RunReport, *, step: str = INGEST) -> None:
    """What a run did, each document that failed with its reason, and the next step for those that are pending."""
    show(f"{report.summary}, in {report.seconds:.1f} s (Dagster run {report.run_id})")
    for one in report.failed.values():
        show(_failed(one.document_id, one.error_kind, one.error_message, seconds_to_next=one.seconds_to_next))
    for document_id in report.busy:
        show(f"  busy     {document_id}  another run is working on it; try again when that has ended")
    for document_id in report.gone:
        show(f"  deleted  {document_id}  it has no row in the table any more")
    if report.interrupted:
        begun = {one: parts for one, parts in report.unfinished.items() if parts[0]}
        for document_id, (embedded, chunks) in begun.items():
            done = f"{embedded:,} of {chunks:,} chunks, or a few more, had been embedded, and will be again"
            show(f"  pending  {document_id}  {done}: a document is stored whole")
    if left := _left(report, step=step):
        show(left)


def _left(report: RunReport, *, step: str) -> str:
    """What is still to be done, and who does it; empty where nothing is."""
    pending = f"{counted(report.pending, 'document')} {are(report.pending)} pending"
    if report.interrupted:
        return f"Stopped: what is stored stays, {pending}. {step}"
    if report.pending and not report.is_all:
        return f"{pending}. {step}"
    if report.pending:
        they = "it is" if report.pending == 1 else "they are"
        return f"{pending}: another run has {them(report.pending)}, or {they} tried again later."
    return FIRST_STEP if report.documents == 0 else ""


def _failed(document_id: str, kind: str | None, message: str | None, *, seconds_to_next: float | None) -> str:
    """A document whose last attempt failed, with the state that it has now."""
    if seconds_to_next is None:
        return f"  failed   {document_id}  {kind}: {message}"
    again = f"due again in {seconds_to_next:.0f} s" if seconds_to_next >= 1 else "due again"
    return f"  pending  {document_id}  {kind}: {message} ({again})"


def show_unknown_documents(names: Sequence[str], *, of: int) -> None:
    """Documents that questions name and the index does not have: each of them counts as not found."""
    if names:
        first = ", ".join(names[:SHOWN_UNKNOWN]) + (", ..." if len(names) > SHOWN_UNKNOWN else "")
        they = f"{len(names)} of the {counted(of, 'document')} that the questions name {are(len(names))} not indexed"
        print_progress(f"{they}, and counted as not found: {first}")


def show_nothing_found(why: str, *, as_json: bool) -> None:
    """Where results would stand; where those are for programs, they stay no line."""
    (print_progress if as_json else show)(f"Nothing found: {why}")


def show_answers(answers: Mapping[str, Sequence[Hit]]) -> None:
    """The hits of several questions, best first, each group below its question."""
    for query, hits in answers.items():
        show_text(f"\n> {query}\n")
        for hit in hits:
            show_hit(hit)


def show_hit(hit: Hit, excerpt: str | None = None) -> None:
    """One passage with where it comes from and how it was found; the words that were asked for stand out."""
    place = [Path(hit.path or hit.document_id).name, *hit.heading_path]
    page = f" (page {hit.page})" if hit.page else ""
    ways = {"meaning": hit.vector_rank, "words": hit.word_rank}
    found = [f"{way} {rank}." for way, rank in ways.items() if rank]
    measured = {"similarity": hit.similarity, "reranker": hit.rerank_score}
    how = ", ".join([*found, *(f"{name} {value:.2f}" for name, value in measured.items() if value is not None)])
    show(f"{hit.score:.3f}  {' > '.join(place)}{page}" + (f"  [{how}]" if how else ""))
    for text in hit.before:
        show(f"     < {shorten(text)}")
    shown = visible.line(shorten(hit.content if excerpt is None else excerpt, length=PREVIEW_CHARACTERS))
    click.echo(_with_marks_shown(wrapping.wrapped(f"       {shown}", indent=7, columns=wrapping.width())))
    for text in hit.after:
        show(f"     > {shorten(text)}")


def _with_marks_shown(text: str) -> str:
    """Bold on a terminal; click leaves that out where the output goes elsewhere."""
    start, stop = WORD_MARKS
    for word in re.findall(f"{start}([^{start}{stop}]*){stop}", text):
        text = text.replace(f"{start}{word}{stop}", click.style(word, bold=True))
    return text.replace(start, "").replace(stop, "")


def show_quality(found: Quality) -> None:
    """A mode's measures with the bounds within which they are, of 100 times, 95."""
    show(
        f"{found.mode:>8}  nDCG@10 {found.ndcg_at_10:.3f} ({found.ndcg_low:.3f}-{found.ndcg_high:.3f})  "
        f"recall@100 {found.recall_at_100:.3f} ({found.recall_low:.3f}-{found.recall_high:.3f})  "
        f"MRR {found.mrr:.3f} ({found.mrr_low:.3f}-{found.mrr_high:.3f})  {counted(found.questions, 'question')}"
    )


def show_demo_end(facts: Mapping[str, Any]) -> None:
    """What the demo took, in seconds and MB, and what to do next."""
    click.echo(
        f"\nDone in {facts['seconds']} s; peak memory of all processes together {facts['peak_memory_mb']} MB. "
        "Everything is stopped.\n\nNext:\n"
        '  rag-assets search "..."        ask something else\n'
        "  rag-assets register ~/docs     add files of your own, then: rag-assets ingest\n"
        "  rag-assets up                  Dagster's UI, and an index that follows the table by itself"
    )


def show_status(status: IndexStatus, failed_documents: Sequence[FailedDocument]) -> None:
    """The numbers, the first of the documents that failed, and what to do."""
    for key, value in status.numbers.items():
        _show_wrapped(f"{STATE_LABELS.get(key, key.replace('_', ' ')):>20}  {_readable(value)}", indent=22)
    for one in failed_documents:
        told = _failed(one.document_id, one.error_kind, one.error_message, seconds_to_next=one.seconds_to_next)
        _show_wrapped(told, indent=11)
    more = sum(status.failed.values()) + sum(status.dead.values()) - len(failed_documents)
    if failed_documents and more > 0:
        show(f"  ... and {more} more: rag_ingestion_log has them all")
    for told in [*status.faults, *status.notes]:
        _show_wrapped(f"-> {told}", indent=3)
    if not status.documents and not status.faults:
        show(FIRST_STEP)


def _show_wrapped(text: str, *, indent: int) -> None:
    click.echo(wrapping.wrapped(visible.line(text), indent=indent, columns=wrapping.width()))


def quoted(ids: Sequence[str]) -> str:
    """Ids as they were given, each in quotes: one may be empty, or have a comma in it."""
    return ", ".join(map(repr, ids))


def show_roles(granted: Granted) -> None:
    """Which roles have what they need, and the statements for those that only an administrator can help."""
    for role in granted.roles:
        show(f"Role {role} has its rights; make accounts its members: grant {role} to ...")
    if granted.to_run:
        show("What this account may not do, for an administrator to run once in this database:")
        for one in granted.to_run:
            show_text(one if one.endswith(";") else f"{one};")


def show_accepted(found: Accepted) -> None:
    """Which documents may stay as they are, which were not given up, and what to do."""
    if found.pending:
        show(f"Pending, and not given up: {quoted(found.pending)}. Next: rag-assets ingest ID")
    if found.others:
        show(f"Nothing to accept, not failed in such a way: {quoted(found.others)}")
    if found.changed:
        show(f"Changed since it failed, and not accepted: {quoted(found.changed)}. Next: rag-assets reconcile")
    if found.waiting:
        ones = f"{counted(found.waiting, 'document')} that failed {are(found.waiting)} pending again"
        show(f"{ones}, and not accepted. Next: rag-assets ingest, then accept what fails")
    for one in found.accepted:
        show(f"  {one.document_id}  {one.error_kind}: {one.error_message}")
    now, before = len(found.accepted), found.before
    earlier = f", {before} {'was' if before == 1 else 'were'} before" if before else ""
    step = "Each is tried again when its file changes" if now or before else "None was given up: see rag-assets status"
    show(f"{counted(now, 'document')} {are(now)} accepted{earlier}. {step}.")


def show_retried(count: int) -> None:
    """How many are pending, and who takes them; where there are none, where to look."""
    step = (
        "Next: rag-assets ingest, unless `rag-assets up` runs."
        if count
        else "None of those had failed: see rag-assets status."
    )
    show(f"{counted(count, 'document')} {are(count)} pending again. {step}")


def show_marked(found: Marked) -> None:
    """How many vectors are to be made anew, and who does it."""
    step = "Next: rag-assets ingest, unless `rag-assets up` runs." if found.chunks else "Nothing is to be done."
    whose = f"{counted(found.chunks, 'vector')} of {counted(len(found.documents), 'document')}"
    show(f"{whose} {are(found.chunks)} to be made anew. {step}")


def show_index(found: VectorIndex | None, planned: Plan) -> None:
    """The index of vectors that is there, and what is to be done with it."""
    if found is None:
        show("No index of vectors: searches compare all of them.")
    else:
        recall = "" if found.recall_at_10 is None else f", finds {found.recall_at_10:.1%} of the ten nearest"
        whole = "" if found.is_valid else "; not whole"
        show(f"{found.name}: {found.kind}, {found.size_bytes / 1e6:.1f} MB{recall}{_built(found)}{whole}")
    show(f"{TO_DO[planned.step]}: {planned.reason}.{NEXT_STEPS.get(planned.step, '')}")


def _built(found: VectorIndex) -> str:
    if found.noted is None or found.noted.built_at is None:
        return ""
    when = found.noted.built_at.astimezone(UTC)
    return f", built {when:%Y-%m-%d %H:%M} UTC for {found.noted.rows:,} vectors in {found.noted.seconds:.1f} s"


def show_advised_index(planned: Plan, *, by_itself: bool) -> None:
    """A line where an index of vectors is advised, and nothing where it is not.

    `by_itself`: it is looked after where `rag-assets up` runs.
    """
    if planned.step == "build":
        unless = ", unless `rag-assets up` runs" if by_itself else ""
        show(f"An index of vectors is advised: {planned.reason}.{NEXT_STEPS['build']}{unless}")


def show_dropped_index(count: int) -> None:
    """How many indexes of vectors there were."""
    show("Dropped: searches compare all vectors." if count else "There was no index of vectors.")


def show_confirmed(count: int) -> None:
    """How many documents go, and who lets them."""
    step = "Next: rag-assets ingest, unless `rag-assets up` runs." if count else "Every indexed document has its row."
    show(f"{counted(count, 'document')} {are(count)} to be deleted. {step}")


def show_finding(finding: Finding) -> None:
    """One line of what doctor found, and a second one of what to do about it."""
    found = finding.found.replace("\n", f"\n{'':>4}  {'':<14} ")  # such as the end of a log
    show_text(f"{finding.verdict:>4}  {finding.check:<14} {found}")
    if finding.next:
        show(f"{'':>4}  {'':<14} -> {finding.next}")


def show_calibration(found: Calibration, file: Path) -> None:
    """Which setting was fastest, in chunks a second, and in which file it is kept."""
    best, defaults = found.best, found.own_defaults
    show(
        f"Fastest: {best.name} ({best.quantization}), {best.chunks_per_second or 0:.1f} chunks/s; llama-server's own "
        f"defaults: {defaults.chunks_per_second or 0:.1f}. Kept in {file}, in {found.seconds:.0f} s."
    )


def show_parsed(name: str, read: ReadDocument, *, as_json: bool) -> None:
    """The text that would be indexed, and what read it."""
    if as_json:
        print_json(
            {
                "path": name,
                "text": read.parsed.text,
                "media_type": read.parsed.media_type,
                "parser": read.parsed.parser,
                "pages": len(read.parsed.page_offsets) or None,
                "seconds": round(read.seconds_parse, 4),
                "title": read.parsed.title,
                "warnings": read.parsed.warnings,
            }
        )
        return
    print_progress(f"--- {name}: {read.parsed.media_type} by {read.parsed.parser}, {read.seconds_parse:.3f} s")
    show_text(read.parsed.text)


def show_error(name: str, error: DocumentError, *, seconds: float, as_json: bool) -> None:
    """That a document could not be read, and why: as one object in JSON, or in a line on standard error."""
    if as_json:
        facts = {"path": name, "error": error.kind, "message": error.message}
        print_json(facts | {"media_type": None, "parser": None, "pages": None, "seconds": round(seconds, 4)})
    else:
        print_progress(f"--- {name}: {error.kind}: {error.message}")


def show_chunks(name: str, read: ReadDocument, *, as_json: bool) -> None:
    """Each cut of a document, and for people how many there are."""
    for chunk in read.chunks:
        show_chunk(chunk, as_json=as_json)
    if not as_json:
        tokens = sum(chunk.token_count for chunk in read.chunks)
        print_progress(f"--- {name}: {counted(len(read.chunks), 'chunk')}, {counted(tokens, 'token')}")


def show_chunk(chunk: Chunk, *, as_json: bool) -> None:
    """One cut; offsets are in characters of the text that `rag-assets parse` shows."""
    if as_json:
        fields = ("index", "content", "char_start", "char_end", "token_count", "page", "heading_path", "kind")
        print_json({field: getattr(chunk, field) for field in fields})
        return
    heading = " > ".join(chunk.heading_path)
    print_progress(
        f"--- {chunk.index}: {chunk.kind}, {counted(chunk.token_count, 'token')}, "
        f"{chunk.char_start}-{chunk.char_end} {heading}"
    )
    show_text(chunk.content)


def shorten(text: str, *, length: int = PREVIEW_CHARACTERS) -> str:
    """The beginning of a text on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def _readable(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {kind}" for kind, count in value.items()) or "none"
    if isinstance(value, datetime):
        seconds = (datetime.now(tz=value.tzinfo) - value).total_seconds()
        return f"{local(value):%Y-%m-%d %H:%M:%S} ({seconds:.0f} s ago)"
    return "none" if value is None else str(value)


def local(moment: datetime) -> datetime:
    """The time of this machine's zone; where the zone is none, as it is."""
    try:
        return moment.astimezone()
    except (ValueError, OverflowError):  # the variable TZ may say anything, such as 99 hours
        return moment


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
