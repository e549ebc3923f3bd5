"""The programs that embed, by name: what holds for one of them is to hold for all."""

import shutil
import sys
from pathlib import Path

import pytest

from rag_assets.bundled import llama_server, openvino_server
from rag_assets_tests import fake_llama

REAL = ("xllamacpp", "openvino", "native")
ALL = ("fake", *REAL)


def command_and_model(name: str, request: pytest.FixtureRequest) -> tuple[list[str], Path]:
    """How its command line begins, and the file that it runs; skips where it is not installed."""
    if name == "fake":
        return [sys.executable, fake_llama.__file__, "good"], Path(__file__)
    if name == "openvino":
        if not openvino_server.is_installed():
            pytest.skip("OpenVINO is not installed")
        return openvino_server.command(), request.getfixturevalue("exact_model_path")
    if name == "native":
        if (found := shutil.which("llama-server")) is None:
            pytest.skip("no llama-server on PATH")
        return [found], request.getfixturevalue("model_path")
    return llama_server.command(), request.getfixturevalue("model_path")
