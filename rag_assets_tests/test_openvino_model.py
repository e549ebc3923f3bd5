"""The network that OpenVINO computes: its batches, what is kept of it, and which weights it takes."""

import shutil
from pathlib import Path

import pytest

from rag_assets import gguf_file
from rag_assets.bundled import openvino_model, openvino_server
from rag_assets.embedding import known
from rag_assets.errors import SettingsError

pytestmark = pytest.mark.skipif(not openvino_server.is_installed(), reason="OpenVINO is not installed")


@pytest.mark.parametrize("lengths", [[], [5], [512] * 3, [300, 2, 300, 2], [20] * 100, list(range(1, 200))])
def test_batches_hold_every_text_once_when_lengths_are_any(lengths: list[int]) -> None:
    """With little padding, and no more than is computed at once unless one text alone is."""
    found = list(openvino_model.batches(lengths))
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    for batch in found:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or len(batch) * longest <= openvino_model.BATCH_TOKENS
        assert sum(longest - lengths[index] for index in batch) <= openvino_model.PADDING_TOKENS


def test_network_is_made_again_when_what_is_kept_is_damaged(exact_model_path: Path, tmp_path: Path) -> None:
    """Kept beside the weights by the first start, read by the second; a file that is no network is replaced."""
    path = tmp_path / "model.gguf"
    shutil.copy(exact_model_path, path)  # Windows gives not everyone a link
    file = gguf_file.read(path)
    ids = [[101, 7592, 2088, 102]]
    vectors = openvino_model.Model(path, file, threads=1).embed(ids)
    [kept] = tmp_path.glob("*.blob")
    written = kept.stat().st_mtime_ns
    assert known.least_cosine(openvino_model.Model(path, file, threads=1).embed(ids), vectors) > 0.9999
    assert kept.stat().st_mtime_ns == written
    kept.write_bytes(b"no network")
    assert known.least_cosine(openvino_model.Model(path, file, threads=1).embed(ids), vectors) > 0.9999
    assert kept.stat().st_size > 10_000


def test_model_is_refused_when_it_is_quantized(model_path: Path) -> None:
    """With what to set."""
    with pytest.raises(SettingsError, match=r"embedding\.engine"):
        openvino_model.Model(model_path, gguf_file.read(model_path), threads=1)
