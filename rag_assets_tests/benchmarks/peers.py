"""First fill through rag_assets with each of its engines, beside LlamaIndex and CocoIndex on the same documents.

All read the same Markdown files, which rag_assets made of the sample's documents, so that reading formats is not what
differs; all use all-MiniLM-L6-v2 with the weights as they were published, chunks of about 512 tokens, and the same
PostgreSQL. Models are loaded and connections open before the clock starts. The peers are set up as their own
documentation does it: LlamaIndex's IngestionPipeline with SentenceSplitter, HuggingFaceEmbedding and PGVectorStore;
CocoIndex with RecursiveSplitter, SentenceTransformerEmbedder and its table target.

The published configuration of the model lets sentence-transformers embed the first 256 tokens of a text and drop the
rest without a word. The peers' vectors are to stand for whole chunks, as ours do: the limit is raised to the model's
512 for both. CocoIndex with the configuration as published runs beside them, for its pace; what it drops is not found,
so it is not what we are compared with.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

from rag_assets import engines, operations
from rag_assets.embedding.embedder import LLAMA_CPP, OPENVINO, Embedder
from rag_assets.errors import DocumentError
from rag_assets.services import Services
from rag_assets_tests.benchmarks import figures, ground, quiet, sample
from rag_assets_tests.benchmarks.engines import published_weights
from rag_assets_tests.benchmarks.figures import Figure, say
from rag_assets_tests.benchmarks.sample import NoSample

AIM = 2.5
CHUNK_TOKENS, OVERLAP_TOKENS = 510, 50  # as rag_assets cuts: 512 with the model's two special tokens
POSITIONS = 512  # of the model: the longest text that it embeds whole
STOP_SECONDS = 30
PEERS = {
    "llama_index": ("llama_index.embeddings.huggingface", "llama_index.vector_stores.postgres"),
    "cocoindex": ("cocoindex", "sentence_transformers"),
}
CUT_OFF = "cocoindex, 256 tokens of each chunk"  # the model's configuration as published
OURS = {"rag_assets openvino": OPENVINO, "rag_assets llama.cpp": LLAMA_CPP}

# Each peer is a program that answers every line of its input by one pass over all files into an emptied table.
LLAMA_INDEX = """
import json, sys, time
from pathlib import Path
from llama_index.core import Document
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.vector_stores.postgres import PGVectorStore

given = json.loads(sys.argv[1])
embedding = HuggingFaceEmbedding(model_name=given["model"], device="cpu", embed_batch_size=32)
encode = embedding._model.tokenizer.encode
splitter = SentenceSplitter(
    chunk_size=given["tokens"], chunk_overlap=given["overlap"],
    tokenizer=lambda text: encode(text, add_special_tokens=False),
)
embedding.get_text_embedding("warm")
for number, _line in enumerate(sys.stdin):
    store = PGVectorStore.from_params(
        connection_string=given["url"].replace("postgresql://", "postgresql+psycopg2://", 1),
        async_connection_string=given["url"].replace("postgresql://", "postgresql+asyncpg://", 1),
        table_name=f"peer_{number}", embed_dim=384,
    )
    store._initialize()
    started = time.perf_counter()
    files = sorted(Path(given["folder"]).iterdir())
    documents = [Document(text=file.read_text(encoding="utf-8"), id_=file.name) for file in files]
    nodes = IngestionPipeline(transformations=[splitter, embedding], vector_store=store).run(documents=documents)
    print(json.dumps({"seconds": time.perf_counter() - started, "chunks": len(nodes)}), flush=True)
"""
COCOINDEX = """
import asyncio, json, os, pathlib, sys, time
from dataclasses import dataclass
from typing import Annotated
from numpy.typing import NDArray

given = json.loads(sys.argv[1])
os.environ["COCOINDEX_DB"] = str(pathlib.Path(given["state"], "coco.db"))
import cocoindex as coco
from cocoindex.connectors import localfs, postgres
from cocoindex.ops.sentence_transformers import SentenceTransformerEmbedder
from cocoindex.ops.text import RecursiveSplitter
from cocoindex.resources.file import PatternFilePathMatcher
from cocoindex.resources.id import IdGenerator

DATABASE = coco.ContextKey("database")
EMBEDDER = coco.ContextKey("embedder")
splitter = RecursiveSplitter()
embedder = SentenceTransformerEmbedder(given["model"], device="cpu")
counted = []

@dataclass
class Row:
    id: int
    filename: str
    text: str
    embedding: Annotated[NDArray, EMBEDDER]

@coco.lifespan
async def lifespan(builder):
    async with await postgres.create_pool(given["url"]) as pool:
        builder.provide(DATABASE, pool)
        builder.provide(EMBEDDER, embedder)
        yield

@coco.fn
async def chunk_row(chunk, filename, ids, table):
    counted.append(1)
    number, vector = await ids.next_id(chunk.text), await coco.use_context(EMBEDDER).embed(chunk.text)
    table.declare_row(row=Row(id=number, filename=str(filename), text=chunk.text, embedding=vector))

@coco.fn(memo=True)
async def file_rows(file, table):
    chunks = splitter.split(
        await file.read_text(), chunk_size=given["characters"], chunk_overlap=given["overlap_characters"],
        language="markdown",
    )
    await coco.map(chunk_row, chunks, file.file_path.path, IdGenerator(), table)

@coco.fn
async def main(folder, name):
    schema = await postgres.TableSchema.from_class(Row, primary_key=["id", "filename"])
    table = await postgres.mount_table_target(DATABASE, name, schema, pg_schema_name="coco_peer")
    files = localfs.walk_dir(folder, recursive=True, path_matcher=PatternFilePathMatcher(included_patterns=["**/*.md"]))
    await coco.mount_each(file_rows, files.items(), table)

asyncio.run(embedder.embed("warm"))
for number, _line in enumerate(sys.stdin):
    counted.clear()
    name = given["table"] + str(number)
    app = coco.App(coco.AppConfig(name=name), main, folder=pathlib.Path(given["folder"]), name=name)
    started = time.perf_counter()
    app.update_blocking()
    print(json.dumps({"seconds": time.perf_counter() - started, "chunks": len(counted)}), flush=True)
"""
PROGRAMS = {"llama_index": LLAMA_INDEX, "cocoindex": COCOINDEX}


class Peer:
    """A program beside ours that ingests the folder once for each call."""

    def __init__(self, name: str, program: str, given: dict[str, Any]) -> None:
        self.name = name
        self.chunks = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self) -> float:
        """Seconds of one pass. RuntimeError where the program ended instead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):  # else it is what a library prints
                answer = json.loads(line)
                self.chunks = answer["chunks"]
                return float(answer["seconds"])
        raise RuntimeError(f"{self.name} ended with exit code {self._process.wait()}; what it said is above")

    def close(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def measure(*, documents: int, rounds: int) -> Figure:
    """Documents per second of the chosen engine as a multiple of the faster peer's, round by round."""
    missing = [name for name, modules in PEERS.items() if not all(_is_there(module) for module in modules)]
    if missing:
        raise NoSample(f"skipped: {', '.join(missing)} not installed (pip install 'rag-assets[benchmarks]')")
    with ground.home() as home, ExitStack() as stack:
        services = stack.enter_context(ground.ready(Services(ground.load())))
        files, characters = _as_markdown(services, home, documents=documents)
        operations.register(services, files)
        runs = {name: _ours(stack, kind, len(files)) for name, kind in OURS.items()}
        given = _given(services, home)
        published = published_weights(home)
        whole = {"model": str(_embedding_whole_chunks(published, home))}
        peers = [Peer(name, PROGRAMS[name], given | whole | _state(home, name)) for name in PEERS]
        peers.append(Peer(CUT_OFF, COCOINDEX, given | {"model": str(published)} | _state(home, "cut_off")))
        for peer in peers:
            stack.enter_context(closing(peer))
            runs[peer.name] = _rate(peer.run, len(files))
        seen = quiet.interleaved(runs, rounds=rounds, home=home, unit="documents/s")
        stored = ground.execute(services, "select count(*) from rag_document_chunks")[0][0]
    chunks = {"rag_assets": stored, **{peer.name: peer.chunks for peer in peers}}
    return _figure(seen, facts={"documents": len(files), "characters": characters, "chunks": chunks})


def _figure(seen: quiet.Rounds, *, facts: dict[str, Any]) -> Figure:
    chosen = next(iter(OURS))
    ratio = figures.median([one[chosen] / max(one[name] for name in PEERS) for one in seen.values])
    faster = max(PEERS, key=seen.median)
    return Figure(
        benchmark="peers",
        figure=f"documents per second, rows to committed vectors, {chosen}",
        value=seen.median(chosen),
        peer=f"{faster}, the faster of both, side by side",
        peer_value=seen.median(faster),
        ratio=ratio,
        aim=f"ratio >= {AIM}",
        met=ratio >= AIM,
        rounds=seen.values,
        details={"medians": {name: seen.median(name) for name in (*OURS, *PEERS, CUT_OFF)}, **facts, **seen.facts},
    )


def _as_markdown(services: Services, home: Path, *, documents: int) -> tuple[list[Path], int]:
    """What rag_assets reads in the sample's documents, a Markdown file each; all their characters."""
    folder = home / "markdown"
    folder.mkdir()
    characters = 0
    for number, path in enumerate(sample.unpack(home / "documents", documents=documents)):
        try:
            text = services.reader.read(path, name=path.name).parsed.text
        except DocumentError:
            continue
        characters += len(text)
        (folder / f"{number}.md").write_text(text, encoding="utf-8")
    say(f"{len(list(folder.iterdir()))} documents, {characters} characters")
    return sorted(folder.iterdir()), characters


def _ours(stack: ExitStack, kind: str, documents: int) -> Callable[[], float]:
    settings = ground.load(embedding={"engine": kind})
    embedder = stack.enter_context(closing(Embedder(settings, engine=engines.choose(settings, progress=say))))
    embedder.warm()
    services = stack.enter_context(Services(settings, embedder=embedder))

    def run() -> float:
        ground.empty_index(services)
        return quiet.seconds(lambda: ground.ingest(services))

    run()  # Dagster is imported, its tables are there, connections are open
    return _rate(run, documents)


def _rate(run: Callable[[], float], documents: int) -> Callable[[], float]:
    return lambda: documents / run()


def _given(services: Services, home: Path) -> dict[str, Any]:
    """What a peer is told; characters for tokens by what ours has seen of these texts."""
    tokens = ground.execute(services, "select sum(token_count), sum(char_end - char_start) from rag_document_chunks")[0]
    per_token = float(tokens[1]) / float(tokens[0])
    return {
        "url": services.database_url,
        "folder": str(home / "markdown"),
        "tokens": CHUNK_TOKENS,
        "overlap": OVERLAP_TOKENS,
        "characters": round(CHUNK_TOKENS * per_token),
        "overlap_characters": round(OVERLAP_TOKENS * per_token),
    }


def _state(home: Path, name: str) -> dict[str, str]:
    """What each peer has for itself."""
    folder = home / f"state_{name}"
    folder.mkdir()
    return {"state": str(folder), "table": f"{name}_"}


def _embedding_whole_chunks(published: Path, home: Path) -> Path:
    """The published model with sentence-transformers' limit raised to the model's own."""
    folder = home / "whole"
    shutil.copytree(published, folder)
    config = folder / "sentence_bert_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_seq_length": POSITIONS}))
    return folder


def _is_there(module: str) -> bool:
    with suppress(ModuleNotFoundError):
        return importlib.util.find_spec(module) is not None
    return False
