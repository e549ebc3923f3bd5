"""A folder of questions and the documents that answer them comes in; how well each mode finds these comes out.

The folder is one of BEIR's (queries.jsonl, qrels/test.tsv, and corpus.jsonl where the documents are not indexed), or
holds a CSV file with the columns question and document. A document is named by its id, its path or its file's name.
"""

import csv
import json
import math
import random
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pydantic import SecretStr

from rag_assets import operations
from rag_assets.errors import SettingsError
from rag_assets.model import Claim, ClaimOwner, Hit, Progress, counted
from rag_assets.postgres import conninfo, outbox
from rag_assets.postgres import search as searching
from rag_assets.services import Services, no_progress
from rag_assets.settings import Mode, Source, require_file

MODES: tuple[Mode, ...] = ("vector", "text", "hybrid")
RECALL_DEPTH = 100  # documents that recall looks at
NDCG_DEPTH = 10  # documents that nDCG looks at
SEARCHED_HITS = 300  # hits in which that many documents are looked for
RESAMPLES = 1_000  # of the bootstrap
EVALUATION_RUN = "evaluate"

Relevance = Mapping[str, float]  # document -> how relevant, above 0


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What is asked, by id, and what answers it; `corpus` is the documents, where they come along: id -> text."""

    texts: Mapping[str, str]
    relevant: Mapping[str, Relevance]
    corpus: Mapping[str, str] | None = None

    @property
    def documents(self) -> list[str]:
        """Those that answer a question, as they are named, each once."""
        return list(dict.fromkeys(document for relevant in self.relevant.values() for document in relevant))


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Means over the questions, and the bounds within which they are with 95 % confidence."""

    mode: str
    questions: int
    ndcg_at_10: float
    ndcg_low: float
    ndcg_high: float
    recall_at_100: float
    recall_low: float
    recall_high: float
    mrr: float
    mrr_low: float
    mrr_high: float
    unknown_documents: int = 0  # that answer a question and are not there: none of them can be found


def read(folder: Path) -> Questions:
    """The questions of a folder; SettingsError where it has none, with what is missing."""
    if (folder / "queries.jsonl").is_file():
        return _read_beir(folder)
    tables = sorted(folder.glob("*.csv"))
    if len(tables) != 1:
        raise SettingsError(
            f"{folder} has neither queries.jsonl with qrels/test.tsv nor one CSV file with the columns question and "
            "document; needed is one of both."
        )
    return _read_table(tables[0])


def evaluate(
    services: Services,
    questions: Questions,
    *,
    progress: Progress = no_progress,
    unknown: list[str] | None = None,
) -> Iterator[Quality]:
    """How well each mode finds what is relevant; with a corpus, in a schema of its own that is gone afterwards.

    To `unknown`, the documents are added that answer a question and are not there, as the questions name them.
    """
    unknown = [] if unknown is None else unknown
    if questions.corpus is None:
        unknown += _not_indexed(services, questions.documents)
        yield from _evaluate(services, questions, unknown=len(unknown))
        return
    unknown += [document for document in questions.documents if document not in questions.corpus]
    with _scratch(services, questions.corpus, progress=progress) as scratch:
        yield from _evaluate(scratch, questions, unknown=len(unknown))


def ranking(hits: Sequence[Hit], known: Callable[[Hit], str]) -> list[str]:
    """The documents of hits, each once, at its best."""
    return list(dict.fromkeys(map(known, hits)))[:RECALL_DEPTH]


def ndcg(found: Sequence[str], relevant: Relevance) -> float:
    """Normalised discounted cumulative gain of the first NDCG_DEPTH, 0 to 1 (Järvelin and Kekäläinen 2002)."""
    gain = sum(relevant.get(document, 0) / math.log2(place + 2) for place, document in enumerate(found[:NDCG_DEPTH]))
    best = sorted(relevant.values(), reverse=True)[:NDCG_DEPTH]
    return gain / sum(value / math.log2(place + 2) for place, value in enumerate(best))


def recall(found: Sequence[str], relevant: Relevance) -> float:
    """The share of the relevant documents that are among the first RECALL_DEPTH, 0 to 1."""
    return len(relevant.keys() & set(found[:RECALL_DEPTH])) / len(relevant)


def reciprocal_rank(found: Sequence[str], relevant: Relevance) -> float:
    """One divided by the place of the first relevant document, counted from 1; 0 where none was found."""
    return next((1 / place for place, document in enumerate(found, start=1) if document in relevant), 0.0)


def quality(mode: str, rankings: Sequence[tuple[Sequence[str], Relevance]], *, unknown: int = 0) -> Quality:
    """The means of one mode's measures over all questions, each with the ends of its interval of confidence."""
    measures = [
        [measure(found, relevant) for found, relevant in rankings] for measure in (ndcg, recall, reciprocal_rank)
    ]
    (n, n_low, n_high), (r, r_low, r_high), (m, m_low, m_high) = map(_mean, measures)
    return Quality(
        mode=mode,
        questions=len(rankings),
        ndcg_at_10=n,
        ndcg_low=n_low,
        ndcg_high=n_high,
        recall_at_100=r,
        recall_low=r_low,
        recall_high=r_high,
        mrr=m,
        mrr_low=m_low,
        mrr_high=m_high,
        unknown_documents=unknown,
    )


def _mean(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean, and where 95 of 100 means of questions drawn anew lie."""
    chance = random.Random(0)  # noqa: S311 - the same bounds for the same questions
    means = sorted(sum(chance.choices(values, k=len(values))) / len(values) for _ in range(RESAMPLES))
    low, high = means[RESAMPLES * 25 // 1000], means[RESAMPLES * 975 // 1000 - 1]
    return round(sum(values) / len(values), 4), round(low, 4), round(high, 4)


def _evaluate(services: Services, questions: Questions, *, unknown: int) -> Iterator[Quality]:
    known = _names(questions)
    vectors = {key: services.embedder.embed_query(text) for key, text in questions.texts.items()}
    for mode in MODES:
        rankings = []
        for key, text in questions.texts.items():
            hits = operations.search(services, text, k=SEARCHED_HITS, mode=mode, vector=vectors[key])
            rankings.append((ranking(hits, known), questions.relevant[key]))
        yield quality(mode, rankings, unknown=unknown)


def _names(questions: Questions) -> Callable[[Hit], str]:
    """How the questions name the document of a hit: as the corpus does, or by id, path, or its file's name."""
    if questions.corpus is not None:
        keys = {_file_name(number): key for number, key in enumerate(questions.corpus)}
        return lambda hit: keys[hit.path or ""]
    named = set(questions.documents)

    def name(hit: Hit) -> str:
        ways = _ways(hit.document_id, hit.path or "")
        return next((way for way in ways if way in named), hit.path or hit.document_id)

    return name


def _ways(document_id: str, path: str) -> tuple[str, ...]:
    """How questions may name a document: its id, its path, its file's name, and that without its ending."""
    file = Path(path.replace("\\", "/"))
    return document_id, path, file.name, file.stem


def _not_indexed(services: Services, named: Sequence[str]) -> list[str]:
    """Those of the named documents of which no chunk is stored."""
    with services.database.transaction() as cursor:
        there = {way for place in searching.places(cursor, named) for way in _ways(*place)}
    return [document for document in named if document not in there]


def _file_name(number: int) -> str:
    """A document of a corpus as a file: its key may be anything, `../x` included, and is no name of a file."""
    return f"d{number}.md"


@contextmanager
def _scratch(services: Services, corpus: Mapping[str, str], *, progress: Progress) -> Iterator[Services]:
    """An index of these documents beside the one that is there, in a schema that is dropped at the end."""
    schema = f"rag_evaluate_{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(corpus.values()):
            (Path(folder) / _file_name(number)).write_bytes(text.encode("utf-8", "replace"))
        settings = services.settings.model_copy(
            update={
                "database_url": SecretStr(conninfo.as_libpq(services.database_url, schema=f"{schema},public")),
                "document_root_path": Path(folder).resolve(),
                "source": Source(table=f"{schema}.documents"),
            }
        )
        services.database.create_schema(schema)
        try:
            with Services(settings, progress=progress, embedder=services.embedder) as scratch:
                _ingest(scratch, Path(folder), progress=progress)
                yield scratch
        finally:
            services.database.drop_schema(schema)


def _ingest(services: Services, folder: Path, *, progress: Progress) -> None:
    operations.create_table(services)
    services.database.migrate(services.settings.source, dimension=services.settings.embedding.dimension)
    total = operations.register(services, [folder]).registered
    done, failed = 0, 0
    while claims := _claim(services):
        for outcomes in services.pipeline(run_id=EVALUATION_RUN).ingest([claims]):
            done += len(outcomes)
            failed += sum(outcome.status == "failed" for outcome in outcomes)
        progress(f"{done} of {counted(total, 'document')}, {failed} of them failed")
    operations.fill_words(services)


def _claim(services: Services) -> list[Claim]:
    with services.database.transaction() as cursor:
        return outbox.claim_due(
            cursor, services.settings.source, limit=500, claimed_by=ClaimOwner("run", EVALUATION_RUN), seconds=3_600
        )


def _read_beir(folder: Path) -> Questions:
    judged = folder / "qrels" / "test.tsv"
    if not judged.is_file():
        raise SettingsError(f"{judged} is missing: which documents answer which question, as BEIR has it.")
    relevant: dict[str, dict[str, float]] = {}
    for query, document, score in _judgements(judged):
        if score > 0:
            relevant.setdefault(query, {})[document] = score
    texts = {row["_id"]: row["text"] for row in _lines(folder / "queries.jsonl") if row["_id"] in relevant}
    if not texts:
        raise SettingsError(f"{folder}: no question of queries.jsonl has a relevant document in qrels/test.tsv.")
    corpus = folder / "corpus.jsonl"
    documents = {row["_id"]: _document(row) for row in _lines(corpus)} if corpus.exists() else None
    return Questions(texts=texts, relevant={key: relevant[key] for key in texts}, corpus=documents)


def _document(row: Mapping[str, str]) -> str:
    return f"# {row['title']}\n\n{row['text']}\n" if row["title"] else row["text"]


def _judgements(file: Path) -> Iterator[tuple[str, str, float]]:
    """Question, document and how relevant it is, of each line but the first, which has the names of the columns."""
    with _opened(file) as opened:
        for number, row in enumerate(csv.DictReader(opened, delimiter="\t", quoting=csv.QUOTE_NONE), start=2):
            try:
                yield row["query-id"], row["corpus-id"], float(row["score"])
            except (KeyError, TypeError, ValueError) as exc:
                raise SettingsError(
                    f"{file}, line {number}: it needs query-id, corpus-id and score, a number."
                ) from exc


def _lines(file: Path) -> Iterator[dict[str, str]]:
    """Objects with `_id` and `text`, and where there is one a `title`; empty lines are passed over."""
    with _opened(file) as opened:
        for number, line in enumerate(opened, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                    yield {"_id": str(row["_id"]), "text": str(row["text"]), "title": str(row.get("title") or "")}
                except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
                    raise SettingsError(
                        f"{file}, line {number}: it has to be an object in JSON with `_id` and `text`."
                    ) from exc


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    """A file of text in UTF-8; SettingsError where it is none, or cannot be read."""
    try:
        require_file(file)
        with file.open(encoding="utf-8-sig", newline="") as opened:
            yield opened
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise SettingsError(f"{file} cannot be read as text in UTF-8: {exc}") from exc


def _read_table(file: Path) -> Questions:
    relevant: dict[str, dict[str, float]] = {}
    with _opened(file) as opened:
        table = csv.DictReader(opened)
        if not {"question", "document"} <= set(table.fieldnames or ()):
            raise SettingsError(f"{file} needs the columns question and document; it has {table.fieldnames}.")
        for row in table:
            if row["question"] and row["document"]:
                relevant.setdefault(row["question"], {})[row["document"]] = 1.0
    if not relevant:
        raise SettingsError(f"{file} has no row with a question and a document.")
    return Questions(texts={key: key for key in relevant}, relevant=relevant)
