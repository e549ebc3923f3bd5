"""Which engine embeds: settings and what is installed come in, programs with the files that they run go out."""

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rag_assets import gguf_file, model_sets
from rag_assets.bundled import llama_server, model, openvino_server
from rag_assets.embedding.embedder import LLAMA_CPP, OPENVINO, Engine
from rag_assets.errors import SettingsError
from rag_assets.model import Progress
from rag_assets.settings import Settings

LLAMA_SERVER = "llama-server"
NOT_INSTALLED = (
    "llama.cpp embeds, as OpenVINO, which is faster, is not installed: "
    'pip install "rag-assets[embedded]", or set embedding.engine to "llama.cpp" where it has no wheel'
)


def uses_openvino(settings: Settings) -> bool:
    """Whether OpenVINO comes first: a binary, a model or a URL that was named comes before it."""
    wanted = settings.embedding.engine
    return not _is_named(settings) and (wanted == OPENVINO or (wanted == "auto" and openvino_server.is_installed()))


def choose(settings: Settings, *, progress: Progress) -> Engine:
    """The engine of these settings; its model is made now if need be. SettingsError where that cannot be."""
    _require_file(settings)
    if not uses_openvino(settings):
        is_wanted = settings.embedding.engine == "auto" and not _is_named(settings)
        return replace(llama_cpp(settings, progress=progress), note=NOT_INSTALLED if is_wanted else "")
    try:
        return openvino(settings, progress=progress)
    except SettingsError as exc:
        if settings.embedding.engine == OPENVINO or not has_llama_cpp():
            raise
        why = str(exc).splitlines()[0]
    return replace(llama_cpp(settings, progress=progress), note=f"llama.cpp embeds instead of openvino: {why}")


def fallback(settings: Settings, *, progress: Progress) -> Callable[[], Engine] | None:
    """What to take where OpenVINO does not start, or its vectors are not the model's; None where nothing else is."""
    if not uses_openvino(settings) or settings.embedding.engine == OPENVINO or not has_llama_cpp():
        return None
    return lambda: llama_cpp(settings, progress=progress)


def openvino(settings: Settings, *, progress: Progress) -> Engine:
    """OpenVINO with the model's weights as they were published."""
    if not openvino_server.is_installed():
        raise SettingsError(
            'embedding.engine is "openvino", and the package is not there: pip install "rag-assets[embedded]", or set '
            'it to "auto".'
        )
    file = model.ensure(settings.home, quantization="f32", progress=progress)
    return Engine(name=OPENVINO, command=tuple(openvino_server.command()), model=file)


def llama_cpp(settings: Settings, *, progress: Progress) -> Engine:
    """The configured llama-server, one found on PATH (native builds are faster), or the embedded one."""
    if (file := settings.llama_server_model) is None:
        file = model.ensure_any(settings.home, quantization=settings.embedding.quantization, progress=progress)
    else:
        _require_fitting(settings, file)
    return Engine(name=LLAMA_CPP, command=tuple(llama_command(settings)), model=file)


def _is_named(settings: Settings) -> bool:
    return bool(settings.llama_server_binary or settings.llama_server_model or settings.llama_server.url)


def _require_file(settings: Settings) -> None:
    """SettingsError where another known model is named than the embedded one, and no file or server of it."""
    name = settings.embedding.model
    other = model_sets.known(name) is not None and name != model.MODEL_NAME
    if other and settings.llama_server_model is None:
        raise SettingsError(
            f"embedding.model is {name}, of which no file comes with this program: name its GGUF file in "
            "LLAMA_SERVER_MODEL, or a server that runs it in llama_server.url."
        )


def _require_fitting(settings: Settings, file: Path) -> None:
    """SettingsError where a file is not of the model whose name its vectors would be stored under."""
    if not file.is_file() or model_sets.known(settings.embedding.model) is None:
        return  # who starts the engine says that there is none; of other models, nothing is known to compare with
    found = model_sets.misfits(settings.embedding.of_model, gguf_file.read_metadata(file))
    if found:
        raise SettingsError(
            f"{file} is not a file of {settings.embedding.model} as it is set: {'; '.join(found)}. Set embedding.model "
            "to the name of the model that the file is of (see rag-assets model known), or take another file."
        )


def llama_command(settings: Settings) -> list[str]:
    """How the command line of llama.cpp's server begins."""
    if settings.llama_server_binary is not None:
        return [str(settings.llama_server_binary)]
    found = shutil.which(LLAMA_SERVER)
    return [found] if found else llama_server.command()


def has_llama_cpp() -> bool:
    """Whether there is a llama-server, native or of the wheel."""
    return shutil.which(LLAMA_SERVER) is not None or importlib.util.find_spec("xllamacpp") is not None
