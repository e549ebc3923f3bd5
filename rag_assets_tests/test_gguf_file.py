"""GGUF files: what gguf's own writer wrote is found again, and what is none is refused."""

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from rag_assets import gguf_file
from rag_assets.errors import SettingsError


def written(path: Path) -> Path:
    writer = gguf.GGUFWriter(str(path), "bert")
    writer.add_context_length(512)
    writer.add_token_list(["[PAD]", "é"])
    writer.add_token_scores([0.5, -1.0])
    writer.add_tensor("first", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("second", np.full((5,), 7, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_metadata_and_tensors_are_found_when_gguf_wrote_them(tmp_path: Path) -> None:
    """Values of every kind, and of each tensor its shape and where its values begin."""
    path = written(tmp_path / "model.gguf")
    found = gguf_file.read(path)
    assert found.metadata == gguf_file.read_metadata(path)
    assert found.metadata["bert.context_length"] == 512
    assert found.metadata["tokenizer.ggml.tokens"] == ["[PAD]", "é"]
    assert found.metadata["tokenizer.ggml.scores"] == [0.5, -1.0]
    values = {
        name: np.frombuffer(path.read_bytes(), dtype="<f4", count=tensor.values, offset=tensor.start)
        for name, tensor in found.tensors.items()
    }
    assert {name: tensor.shape for name, tensor in found.tensors.items()} == {"first": (2, 3), "second": (5,)}
    assert values["first"].tolist() == [0, 1, 2, 3, 4, 5]
    assert values["second"].tolist() == [7] * 5


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04" * 20,
        struct.pack("<4sIQQ", b"GGUF", 1, 0, 0),
        struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, 2**60),  # the name of its first entry would have so many bytes
        struct.pack("<4sIQQQ17sII", b"GGUF", 3, 0, 1, 17, b"general.alignment", 4, 0),
    ],
    ids=["empty", "another kind", "version 1", "endless", "aligned to nothing"],
)
def test_file_is_refused_when_it_is_no_gguf(tmp_path: Path, content: bytes) -> None:
    """It is named, and nothing of the size that it claims is read."""
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"model\.gguf cannot be read as a GGUF model"):
        gguf_file.read(path)


def test_file_is_refused_when_its_last_tensor_is_cut(tmp_path: Path) -> None:
    """By one byte; with both sizes, and what to do. Padding behind the last tensor may be missing."""
    path = written(tmp_path / "model.gguf")
    whole = path.read_bytes()
    needed = gguf_file.read(path).tensors["second"].end
    path.write_bytes(whole[:needed])
    assert gguf_file.read(path).metadata["bert.context_length"] == 512
    path.write_bytes(whole[: needed - 1])
    for read in (gguf_file.read, gguf_file.read_metadata):
        with pytest.raises(SettingsError, match=rf"it has {needed - 1} of {needed} bytes, so a part is missing"):
            read(path)


def test_tensors_of_each_type_are_as_long_as_gguf_says() -> None:
    """Each that is known here has the block of ggml's own package."""
    theirs = {int(kind): 256 // numbers * size for kind, (numbers, size) in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: theirs[kind] for kind in gguf_file.BYTES_OF_256} == gguf_file.BYTES_OF_256
