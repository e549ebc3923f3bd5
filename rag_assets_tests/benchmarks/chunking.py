"""Speed, stability and retrieval of every way to cut, beside llama-index and semantic-text-splitter.

`python -m rag_assets_tests.benchmarks.chunking [--only speed|stability|retrieval] [--questions N] [--json]`
prints one line per figure, on the Markdown files of ../shared/scale.tar.xz (or --documents), with the embedded model
and llama-server. 200 questions cannot tell hit rates apart that differ by less than 0.04.
"""

import argparse
import json
import random
import re
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from rag_assets import settings
from rag_assets.bundled import llama_server, model
from rag_assets.embedding.server import LlamaServer
from rag_assets.model import ParsedText
from rag_assets.text.chunking import chunker, tokens
from rag_assets_tests import engines

SCALE = Path(__file__).parents[3] / "shared" / "scale.tar.xz"
SENTENCE = "Here stands a sentence that was not in this document before today. "
INSERTED_AT = {"start": 0.0, "middle": 0.5, "end": 0.95}
BATCH = 64  # texts per embedding request
READ_TOKENS = 2_048  # what a reader of search results is given, whatever the size of chunks
QUESTIONS = 200
QUESTIONS_PER_DOCUMENT = 20

Range = tuple[int, int]  # characters
Cut = Callable[[str], list[Range]]
Embed = Callable[[Sequence[str]], list[list[float]]]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to cut. `cut` gives ranges; `texts` is what would be embedded for each."""

    name: str
    cut: Cut
    texts: Callable[[str], list[str]]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A sentence taken out of a document, and where the rest of its paragraph stands."""

    text: str
    document: int
    paragraph: Range


def main() -> None:
    options = _options()
    model_path = model.ensure(Path(tempfile.gettempdir()) / "rag-assets-benchmarks", quantization="q8_0")
    tokenizer = tokens.WordPiece.from_gguf(model_path)
    with _embedder(model_path) as embed:
        for figure in _figures(options, tokenizer, model_path, embed=embed):
            line = json.dumps(figure) if options.json else "  ".join(f"{key}={value}" for key, value in figure.items())
            print(line, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m rag_assets_tests.benchmarks.chunking")
    parser.add_argument("--documents", type=Path, default=SCALE, help="folder or .tar.xz of Markdown files")
    parser.add_argument("--only", choices=["speed", "stability", "retrieval"])
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="of retrieval, at most")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _documents(source: Path) -> list[str]:
    if source.is_dir():
        return [path.read_text("utf-8", "replace") for path in sorted(source.rglob("*.md"))]
    with tarfile.open(source) as archive:
        members = sorted((member for member in archive if member.name.endswith(".md")), key=lambda member: member.name)
        files = [archive.extractfile(member) for member in members]
        return [file.read().decode("utf-8", "replace") for file in files if file]


@contextmanager
def _embedder(model_path: Path) -> Iterator["Embedder"]:
    """The embedded server, started when the first text comes."""
    with tempfile.TemporaryDirectory() as home:
        server = LlamaServer(
            llama_server.command(),
            model=model_path,
            settings=settings.LlamaServer(required_memory_gb=0, request_timeout_seconds=600),
            home=Path(home),
            of_model=engines.MODEL,
        )
        try:
            yield Embedder(server)
        finally:
            server.stop()


def _figures(
    options: argparse.Namespace, tokenizer: tokens.WordPiece, model_path: Path, *, embed: "Embedder"
) -> Iterator[dict[str, Any]]:
    documents, only = _documents(options.documents), options.only
    ways = [*_ours(tokenizer, 512, overlap=50, embed=embed), *_peers(tokenizer, 512, overlap=50, model_path=model_path)]
    if only in (None, "speed"):
        yield from _speed(documents, ways, embed=embed)
    if only in (None, "stability"):
        yield from _stability(sorted(documents, key=len)[-60:-10], ways)
    if only in (None, "retrieval"):
        texts, questions = _questions(documents, most=options.questions)
        yield from _retrieval(texts, questions, tokenizer, model_path=model_path, embed=embed)


# ---- the ways


def _ours(tokenizer: tokens.WordPiece, size: int, *, overlap: int, embed: Embed) -> list[Way]:
    return [
        _our(name, tokenizer, size=size, overlap=overlap, embed=embed) for name in ("recursive", "fixed", "semantic")
    ]


def _our(
    strategy: Any,
    tokenizer: tokens.WordPiece,
    *,
    size: int,
    overlap: int,
    embed: Embed,
    headings: bool = False,
) -> Way:
    chosen = settings.Chunking(size=size, overlap=overlap, strategy=strategy, heading_context=headings)

    def chunks(text: str) -> Any:
        parsed = ParsedText(text=text, media_type="text/markdown", parser="benchmark")
        return chunker.chunk(parsed, tokenizer=tokenizer, settings=chosen, embed=embed)

    return Way(
        name=f"{strategy} {size}/{overlap}{' with headings' if headings else ''}",
        cut=lambda text: [(chunk.char_start, chunk.char_end) for chunk in chunks(text)],
        texts=lambda text: [chunk.embedded_text for chunk in chunks(text)],
    )


def _peers(tokenizer: tokens.WordPiece, size: int, *, overlap: int, model_path: Path) -> list[Way]:
    cuts = {
        f"llama-index SentenceSplitter {size}/{overlap}": _sentence_splitter(tokenizer, size - 2, overlap=overlap),
        f"semantic-text-splitter {size}/{overlap}": _text_splitter(model_path, size - 2, overlap=overlap),
    }
    return [Way(name=name, cut=cut, texts=partial(_texts, cut)) for name, cut in cuts.items()]


def _texts(cut: Cut, text: str) -> list[str]:
    return [text[start:end] for start, end in cut(text)]


def _sentence_splitter(tokenizer: tokens.WordPiece, size: int, *, overlap: int) -> Cut:
    from llama_index.core import Document
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.schema import TextNode

    splitter = SentenceSplitter(
        chunk_size=size,
        chunk_overlap=overlap,
        include_metadata=False,
        tokenizer=lambda text: range(tokenizer.count(text)),
    )

    def cut(text: str) -> list[Range]:
        nodes = splitter.get_nodes_from_documents([Document(text=text)])
        return [(node.start_char_idx or 0, node.end_char_idx or 0) for node in nodes if isinstance(node, TextNode)]

    return cut


def _text_splitter(model_path: Path, size: int, *, overlap: int) -> Cut:
    from semantic_text_splitter import MarkdownSplitter

    splitter = MarkdownSplitter.from_huggingface_tokenizer(_hf_tokenizer(model_path), size, overlap=overlap)
    return lambda text: [(start, start + len(part)) for start, part in splitter.chunk_indices(text)]


@cache
def _hf_tokenizer(model_path: Path) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    pieces = tokens.read_gguf(model_path)["tokenizer.ggml.tokens"]
    vocabulary = {_hf_piece(piece): index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=1_000_000))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def _hf_piece(piece: str) -> str:
    if piece.startswith(tokens.WORD_START):
        return piece[1:]
    return piece if re.fullmatch(r"\[[A-Z]+\]", piece) else f"##{piece}"


@dataclass(frozen=True)
class Embedder:
    """Texts -> vectors; the same text is sent once."""

    server: LlamaServer
    known: dict[str, list[float]] = field(default_factory=dict)

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        client = self.server.client or self.server.start()
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        for first in range(0, len(new), BATCH):
            batch = new[first : first + BATCH]
            self.known.update(zip(batch, client.embed(batch).tolist(), strict=True))
        return [self.known[text] for text in texts]


# ---- speed


def _speed(documents: list[str], ways: Sequence[Way], *, embed: Embedder) -> Iterator[dict[str, Any]]:
    """MB/s of three interleaved rounds, the median; fewer documents where each sentence goes through the embedder."""
    sample = random.Random(4).sample(documents, min(len(documents), 400))
    chosen = {way.name: sample[:6] if way.name.startswith("semantic ") else sample for way in ways}
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    for _ in range(3):
        for way in ways:
            embed.known.clear()
            started = time.perf_counter()
            for text in chosen[way.name]:
                way.cut(text)
            seconds[way.name].append(time.perf_counter() - started)
    for name, taken in seconds.items():
        size = sum(len(text.encode()) for text in chosen[name]) / 1e6
        yield {
            "figure": "speed",
            "way": name,
            "megabytes": round(size, 2),
            "mb_per_s": round(size / statistics.median(taken), 3),
        }


# ---- stability


def _stability(documents: list[str], ways: Sequence[Way]) -> Iterator[dict[str, Any]]:
    """Share of the chunks that are found again, text for text, after one sentence was inserted."""
    for way in ways:
        before = [set(way.texts(text)) for text in documents]
        for place, share in INSERTED_AT.items():
            changes = [
                (len([1 for text in after if text not in known]), len(after))
                for known, text in zip(before, documents, strict=True)
                if (after := way.texts(_inserted(text, share)))
            ]
            yield {
                "figure": "stability",
                "way": way.name,
                "inserted": place,
                "documents": len(documents),
                "chunks": sum(total for _, total in changes),
                "unchanged": round(statistics.mean(1 - new / total for new, total in changes), 4),
                "changed_mean": round(statistics.mean(new for new, _ in changes), 2),
                "changed_most": max(new for new, _ in changes),
            }


def _inserted(text: str, share: float) -> str:
    at = text.find("\n\n", int(len(text) * share))
    at = len(text) if at < 0 else at + 2
    return text[:at] + SENTENCE + text[at:]


# ---- retrieval


def _retrieval(
    texts: list[str], questions: list[Question], tokenizer: tokens.WordPiece, *, model_path: Path, embed: Embed
) -> Iterator[dict[str, Any]]:
    """Sentences are taken out of long documents; each must find the paragraph it came from, among all chunks.

    The answer is the rest of the paragraph: what only repeats the question's words elsewhere does not count. Large
    chunks cover more at the same rank, so the hit rate is also given for a fixed amount of text read.
    """
    vectors = embed([question.text for question in questions])
    for way in _candidates(tokenizer, model_path=model_path, embed=embed):
        started = time.perf_counter()
        yield _hit_rate(way, texts, questions, vectors=vectors, tokenizer=tokenizer, embed=embed) | {
            "seconds": round(time.perf_counter() - started, 1)
        }


def _candidates(tokenizer: tokens.WordPiece, *, model_path: Path, embed: Embed) -> Iterator[Way]:
    for size, overlap in ((512, 50), (256, 25), (256, 0), (128, 12)):
        yield _our("recursive", tokenizer, size=size, overlap=overlap, embed=embed)
        yield _our("recursive", tokenizer, size=size, overlap=overlap, embed=embed, headings=True)
    for size, overlap in ((512, 50), (256, 25)):
        yield _our("fixed", tokenizer, size=size, overlap=overlap, embed=embed)
        yield _our("semantic", tokenizer, size=size, overlap=overlap, embed=embed)
        yield from _peers(tokenizer, size, overlap=overlap, model_path=model_path)


def _questions(documents: list[str], *, most: int) -> tuple[list[str], list[Question]]:
    """Documents without the sentences that became questions."""
    chooser = random.Random(2026)
    long = [text for text in documents if 15_000 < len(text) < 90_000 and _is_english(text)]
    texts: list[str] = []
    questions: list[Question] = []
    for text in chooser.sample(long, len(long)):
        if len(questions) >= most:
            break
        paragraphs = [match.span() for match in _PARAGRAPH.finditer(text) if _sentences(match[0])]
        if len(paragraphs) >= QUESTIONS_PER_DOCUMENT // 2:
            chosen = sorted(chooser.sample(paragraphs, min(len(paragraphs), QUESTIONS_PER_DOCUMENT)))
            cloze, found = _without_sentences(text, len(texts), paragraphs=chosen, chooser=chooser)
            texts.append(cloze)
            questions.extend(found)
    return texts, questions[:most]


_PARAGRAPH = re.compile(r"(?:\A|(?<=\n\n))[A-Z](?:[^\n#|`<>{}]|\n(?!\n)){300,1500}(?=\n\n)")


def _is_english(text: str) -> bool:
    return len(re.findall(r"\b(?:the|of|and|to)\b", text)) > len(text) / 200


def _sentences(paragraph: str) -> list[str]:
    """Those that can be asked, if enough of the paragraph is left without one."""
    found = re.split(r"(?<=[.!?])\s+(?=[A-Z])", paragraph)
    return [sentence for sentence in found if 8 <= len(sentence.split()) <= 40] if len(found) > 2 else []


def _without_sentences(
    text: str, document: int, *, paragraphs: list[Range], chooser: random.Random
) -> tuple[str, list[Question]]:
    kept = ""
    found: list[Question] = []
    position = 0
    for start, end in paragraphs:
        question = chooser.choice(_sentences(text[start:end]))
        rest = text[start:end].replace(question, "", 1)
        kept += text[position:start]
        found.append(
            Question(text=" ".join(question.split()), document=document, paragraph=(len(kept), len(kept) + len(rest)))
        )
        kept += rest
        position = end
    return kept + text[position:], found


def _hit_rate(
    way: Way,
    texts: list[str],
    questions: list[Question],
    *,
    vectors: list[list[float]],
    tokenizer: tokens.WordPiece,
    embed: Embed,
) -> dict[str, Any]:
    import numpy

    ranges = [(document, span) for document, text in enumerate(texts) for span in way.cut(text)]
    chunks = [chunk for text in texts for chunk in way.texts(text)]
    sizes = [tokenizer.count(chunk) for chunk in chunks]
    matrix = numpy.asarray(embed(chunks))
    orders = numpy.argsort(-(numpy.asarray(vectors) @ matrix.T), axis=1)
    ranks = [
        [at for at in order[:60].tolist() if _answers(ranges[at], question)]
        for question, order in zip(questions, orders, strict=True)
    ]
    reach = [_reach(order.tolist(), sizes) for order in orders]
    places = [{order: place for place, order in enumerate(row[:60].tolist())} for row in orders]
    first = [min((place[at] for at in hits), default=60) for hits, place in zip(ranks, places, strict=True)]
    return {
        "figure": "retrieval",
        "way": way.name,
        "questions": len(questions),
        "chunks": len(chunks),
        "mean_tokens": round(statistics.mean(sizes)),
        "tokens_embedded": sum(sizes),
        "hit_at_1": round(statistics.mean(place < 1 for place in first), 3),
        "hit_at_5": round(statistics.mean(place < 5 for place in first), 3),
        f"hit_in_{READ_TOKENS}_tokens": round(
            statistics.mean(place < limit for place, limit in zip(first, reach, strict=True)), 3
        ),
        "mrr": round(statistics.mean(1 / (place + 1) if place < 60 else 0 for place in first), 3),
    }


def _answers(found: tuple[int, Range], question: Question) -> bool:
    """Whether the chunk holds at least half of what is left of the question's paragraph."""
    document, (start, end) = found
    first, last = question.paragraph
    return document == question.document and min(end, last) - max(start, first) >= (last - first) / 2


def _reach(order: Sequence[int], sizes: Sequence[int]) -> int:
    """How many results a reader sees who reads READ_TOKENS tokens."""
    read = 0
    for place, at in enumerate(order):
        read += sizes[at]
        if read > READ_TOKENS:
            return place
    return len(order)


if __name__ == "__main__":
    main()
