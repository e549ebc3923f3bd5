"""The programs that embed, by name: what holds for one of them is to hold for all."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rag_assets.bundled import llama_server, openvino_server
from rag_assets.model_sets import KNOWN
from rag_assets_tests import fake_llama

MODEL = KNOWN["all-MiniLM-L6-v2"]  # which all of them run
REAL = ("xllamacpp", "openvino", "native")
ALL = ("fake", *REAL)


def servers() -> list[psutil.Process]:
    """The processes of engines that this one, or one that it started, started."""
    return list(_servers(psutil.Process()))


def _servers(root: psutil.Process) -> Iterator[psutil.Process]:
    for child in root.children(recursive=True):
        try:
            if is_server(child.cmdline()):
                yield child
        except psutil.Error:  # it has just ended
            continue


def is_server(command_line: list[str]) -> bool:
    """Whichever engine it is, it is given its key in a file."""
    return any("llama-server-" in part and part.endswith(".key") for part in command_line)


def program(name: str, folder: Path) -> Path:
    """An executable file that is this engine, for LLAMA_SERVER_BINARY."""
    module = {"openvino": openvino_server, "xllamacpp": llama_server}[name].__name__
    file = folder / f"{name}-server"
    file.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n', encoding="utf-8")
    file.chmod(0o755)
    return file


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
