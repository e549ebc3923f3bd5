"""A BERT model on OpenVINO: its GGUF file in f32 comes in, vectors of token ids come out.

The network is built from OpenVINO's operations straight from the file's weights, which are mapped, not copied. What
OpenVINO makes of it is kept beside the file, so that the next process starts without building it again.
"""

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

from rag_assets import gguf_file
from rag_assets.errors import SettingsError
from rag_assets.gguf_file import GgufFile
from rag_assets.processes import whole_file

if TYPE_CHECKING:
    import numpy as np
    from numpy import float32, uint8
    from numpy.typing import NDArray

Precision = Literal["f32", "bf16"]

BATCH_TOKENS = 512  # computed at once, padding included: more gains nothing, and others would wait for longer
MOST_STREAMS = 8  # each has memory of its own; with more cores than that, a stream has several
PADDING_TOKENS = 64  # of one batch, at most, beyond its first two texts
LEAST_COSINE = 0.9995  # least cosine of vectors in bf16 with those in f32
MEAN_POOLING = 1  # in GGUF's metadata
PROBE_LENGTHS = (8, 64, 500)  # tokens of the texts on which precisions are compared


class Model:
    """Thread-safe: as many calls compute at a time as there are `streams`, each with a core or more of its own.

    Threads that share one computation wait for each other at every layer, and all of them for one whose core another
    process has taken. On two cores, two streams embedded 67 texts of 354 tokens a second (bf16), and one with two
    threads 52.
    """

    def __init__(self, path: Path, file: GgufFile, *, threads: int, precision: Precision | None = None) -> None:
        """Read, or build and keep, the network.

        `threads`: 0 for one per core. `precision`: None takes bf16 where the processor has it and it agrees.
        SettingsError where the file is no BERT model in f32 with mean pooling.
        """
        _require_bert(path, file)
        self._openvino = import_openvino()
        self._path = path
        self._file = file
        self._core = self._openvino.Core()
        threads = threads or os.cpu_count() or 1
        self.streams = min(threads, MOST_STREAMS)
        self._options = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": self.streams,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # other processes have these cores, too
        }
        self.positions = int(file.metadata["bert.context_length"])
        self.dimension = int(file.metadata["bert.embedding_length"])
        self.precision: Precision = "f32"
        self._wanted = precision
        compiled = self._ready()
        self._free: SimpleQueue[Any] = SimpleQueue()  # requests that compute nothing now
        for _ in range(self.streams):
            self._free.put(compiled.create_infer_request())

    @property
    def build(self) -> str:
        """The library with its version, and the precision."""
        return f"openvino {self._openvino.__version__.split('-')[0]} {self.precision}"

    def embed(self, texts: Sequence[Sequence[int]]) -> "NDArray[float32]":
        """One vector of length 1 for each text's token ids, special ones included: shape (texts, dimension)."""
        import numpy as np

        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for batch in batches([len(text) for text in texts]):
            vectors[batch] = self.embed_batch([texts[index] for index in batch])
        return vectors

    def embed_batch(self, texts: Sequence[Sequence[int]]) -> "NDArray[float32]":
        """The vectors of `embed`, in one computation. Texts are padded to the longest, and should be equally long."""
        request = self._free.get()
        try:
            vectors: NDArray[float32] = request.infer(dict(enumerate(_padded(texts))))[0].copy()
        finally:
            self._free.put(request)
        return vectors

    def _ready(self) -> Any:
        """The compiled network, from the file that is kept where there is one."""
        for precision in [self._wanted] if self._wanted else self._precisions():
            if (kept := self._kept(precision)).is_file():
                with suppress(RuntimeError):  # of another build, or damaged: it is made again
                    return self._read(kept, precision)
        precision = self._wanted or self._choose()
        self.precision = precision
        compiled = self._compile(precision)
        with suppress(OSError):  # no place to keep it: the next start builds it again
            self._keep(compiled, self._kept(precision))
            return self._read(self._kept(precision), precision)
        return compiled

    def _precisions(self) -> list[Precision]:
        """The precisions for which this processor has instructions, the fastest first."""
        has_bf16 = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return ["bf16", "f32"] if has_bf16 else ["f32"]

    def _choose(self) -> Precision:
        fastest, *others = self._precisions()
        if not others:
            return fastest
        vectors, exact = (self._probe(self._compile(precision)) for precision in (fastest, others[-1]))
        return fastest if float((vectors * exact).sum(axis=1).min()) >= LEAST_COSINE else others[-1]

    def _probe(self, compiled: Any) -> "NDArray[float32]":
        import numpy as np

        numbers, words = np.random.default_rng(0), len(self._file.metadata["tokenizer.ggml.tokens"])
        request = compiled.create_infer_request()
        texts = [[int(number) for number in numbers.integers(words // 30, words, length)] for length in PROBE_LENGTHS]
        return np.concatenate([request.infer(dict(enumerate(_padded([text]))))[0].copy() for text in texts])

    def _compile(self, precision: Precision) -> Any:
        network = build(self._path, self._file, openvino=self._openvino)
        return self._core.compile_model(network, "CPU", self._options | {"INFERENCE_PRECISION_HINT": precision})

    def _read(self, kept: Path, precision: Precision) -> Any:
        import numpy as np

        # Mapped, and so no memory of this process alone. The tensor does not keep the array alive.
        self._mapped = np.memmap(kept, np.uint8, "c")
        tensor = self._openvino.Tensor(self._mapped, shared_memory=True)
        compiled = self._core.import_model(tensor, "CPU", self._options | {"INFERENCE_PRECISION_HINT": precision})
        self.precision = precision
        return compiled

    def _keep(self, compiled: Any, target: Path) -> None:
        with whole_file.replacing(target, mode=0o600) as draft:
            draft.write_bytes(compiled.export_model().getvalue())
        for older in target.parent.glob(f"{self._path.stem}.*.blob"):
            if not older.name.startswith(f"{self._path.stem}.{self._key}."):
                with suppress(OSError):  # another process may have it open
                    older.unlink()

    def _kept(self, precision: Precision) -> Path:
        """Where the compiled network is kept; of the precision that is chosen here, another file than on demand."""
        return self._path.with_suffix(f".{self._key}.{precision if self._wanted else f'auto-{precision}'}.blob")

    @property
    def _key(self) -> str:
        """Another one for whatever the file depends on: OpenVINO, the processor, the weights, how the network is built.

        A home may move to another machine, and a machine to another processor.
        """
        facts = self._path.stat()
        processor = [self._core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
        code = Path(__file__).read_bytes()
        key = repr((self._openvino.__version__, processor, facts.st_size, facts.st_mtime_ns, code))
        return hashlib.sha256(key.encode()).hexdigest()[:16]


def import_openvino() -> Any:
    """The library without its conversion tools: they take half a second, and bring telemetry with them."""
    sys.modules.setdefault("openvino.tools", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of texts that are computed together: of about one length, as padding is computed like text."""
    batch: list[int] = []
    longest = padding = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        padding += longest - lengths[index]
        if batch and ((len(batch) + 1) * longest > BATCH_TOKENS or padding > PADDING_TOKENS):
            yield batch
            batch, padding = [], 0
        if not batch:
            longest, padding = lengths[index], 0
        batch.append(index)
    if batch:
        yield batch


def build(path: Path, file: GgufFile, *, openvino: Any) -> Any:
    """The network: token ids and their mask of shape (texts, tokens), 1 where there is text, to vectors of length 1.

    BERT as in Devlin et al. 2018 (https://arxiv.org/abs/1810.04805): post-normalized layers, gelu with erf; then the
    mean over the tokens, as sentence-transformers has it.
    """
    import numpy as np
    from openvino import opset13 as op

    network = _Network(path, file, op=op, np=np)
    ids = op.parameter([-1, -1], np.int32, name="ids")
    mask = op.parameter([-1, -1], np.float32, name="mask")
    hidden = network.embeddings(ids)
    unseen = op.multiply(op.subtract(mask, np.float32(1)), np.float32(1e9))
    attention_mask = op.unsqueeze(unseen, op.constant(np.array([1, 2], np.int64)))
    for layer in range(int(file.metadata["bert.block_count"])):
        hidden = network.layer(hidden, attention_mask, name=f"blk.{layer}")
    tokens = op.constant(np.array([1], np.int64))
    weights = op.unsqueeze(mask, op.constant(np.int32(2)))
    mean = op.divide(op.reduce_sum(op.multiply(hidden, weights), tokens), op.reduce_sum(weights, tokens))
    return openvino.Model([op.normalize_l2(mean, tokens, 1e-12, "add")], [ids, mask], "bert")


class _Network:
    """The services of the network; `op` is OpenVINO's set of operations."""

    def __init__(self, path: Path, file: GgufFile, *, op: Any, np: Any) -> None:
        self._op, self._np = op, np
        self._tensors = file.tensors
        self._bytes: NDArray[uint8] = np.memmap(path, np.uint8, "c")
        self._epsilon = float(file.metadata["bert.attention.layer_norm_epsilon"])
        self._dimension = int(file.metadata["bert.embedding_length"])
        self._heads = int(file.metadata["bert.attention.head_count"])

    def embeddings(self, ids: Any) -> Any:
        op, np = self._op, self._np
        zero = op.constant(np.int32(0))
        count = op.gather(op.shape_of(ids, "i32"), op.constant(np.int32(1)), zero)
        positions = op.range(np.int32(0), count, np.int32(1), "i32")
        words = op.gather(self._constant("token_embd.weight"), ids, zero)
        places = op.unsqueeze(op.gather(self._constant("position_embd.weight"), positions, zero), zero)
        first_type = op.constant(self._values("token_types.weight")[:1].reshape(1, 1, -1), shared_memory=True)
        return self._normalized(op.add(op.add(words, places), first_type), "token_embd_norm")

    def layer(self, hidden: Any, mask: Any, *, name: str) -> Any:
        op, np = self._op, self._np
        query, key, value = (self._by_head(self._linear(hidden, f"{name}.attn_{part}")) for part in "qkv")
        seen = op.transpose(op.scaled_dot_product_attention(query, key, value, mask), self._swap)
        seen = op.reshape(seen, op.constant(np.array([0, 0, self._dimension], np.int64)), True)
        hidden = op.add(self._linear(seen, f"{name}.attn_output"), hidden)
        hidden = self._normalized(hidden, f"{name}.attn_output_norm")
        inner = op.gelu(self._linear(hidden, f"{name}.ffn_up"), "erf")
        return self._normalized(op.add(self._linear(inner, f"{name}.ffn_down"), hidden), f"{name}.layer_output_norm")

    def _by_head(self, values: Any) -> Any:
        """(texts, tokens, dimension) -> (texts, heads, tokens, dimension of a head)."""
        shape = self._np.array([0, 0, self._heads, self._dimension // self._heads], self._np.int64)
        return self._op.transpose(self._op.reshape(values, self._op.constant(shape), True), self._swap)

    @property
    def _swap(self) -> Any:
        return self._op.constant(self._np.array([0, 2, 1, 3], self._np.int64))

    def _linear(self, values: Any, name: str) -> Any:
        product = self._op.matmul(values, self._constant(f"{name}.weight"), False, True)
        return self._op.add(product, self._constant(f"{name}.bias"))

    def _normalized(self, values: Any, name: str) -> Any:
        last = self._op.constant(self._np.array([-1], self._np.int64))
        scaled = self._op.mvn(values, last, True, self._epsilon, "inside_sqrt")
        return self._op.add(self._op.multiply(scaled, self._constant(f"{name}.weight")), self._constant(f"{name}.bias"))

    def _constant(self, name: str) -> Any:
        return self._op.constant(self._values(name), shared_memory=True)

    def _values(self, name: str) -> Any:
        tensor = self._tensors[name]
        return self._bytes[tensor.start : tensor.start + 4 * tensor.values].view(self._np.float32).reshape(tensor.shape)


def _padded(texts: Sequence[Sequence[int]]) -> "tuple[NDArray[np.int32], NDArray[float32]]":
    """Ids and mask, each of shape (texts, tokens of the longest)."""
    import numpy as np

    ids = np.zeros((len(texts), max(map(len, texts))), dtype=np.int32)
    mask = np.zeros(ids.shape, dtype=np.float32)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return ids, mask


def _require_bert(path: Path, file: GgufFile) -> None:
    facts = file.metadata
    kind, pooling = facts.get("general.architecture"), facts.get("bert.pooling_type")
    if kind != "bert" or pooling != MEAN_POOLING:
        raise SettingsError(
            f"{path}: its architecture is {kind!r} with pooling {pooling!r}; OpenVINO runs 'bert' with 1, mean. "
            'Set embedding.engine = "llama.cpp" for this model.'
        )
    if any(tensor.kind != gguf_file.F32 for tensor in file.tensors.values()):
        raise SettingsError(f'{path} is quantized; OpenVINO reads f32. Set embedding.engine = "llama.cpp" for it.')
