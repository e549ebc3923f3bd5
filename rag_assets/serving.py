"""Which settings embed with a model: those of the file for the one that it names, those that were kept for another.

What is kept of a model is what another one would change: its set, and its file or server. No key is among it.
"""

from pathlib import Path
from typing import Any

from rag_assets.postgres.models import Model
from rag_assets.settings import OF_A_SET, Embedding, LlamaServer, Settings

OF_SERVER = ("url", "model")  # settings of [llama_server] that name what runs the model


def written(settings: Settings) -> dict[str, Any]:
    """What is kept of the settings' model, as JSON has it."""
    file = settings.llama_server_model
    return {
        "embedding": {name: getattr(settings.embedding, name) for name in ("model", *OF_A_SET)},
        "llama_server": {name: getattr(settings.llama_server, name) for name in OF_SERVER},
        "llama_server_model": str(file.absolute()) if file else None,
    }


def with_model(settings: Settings, model: Model) -> Settings:
    """The settings with another model; as they are, where it is theirs. What else is set holds for each model."""
    if model.name == settings.embedding.model:
        return settings
    file = model.settings.get("llama_server_model")
    return settings.model_copy(
        update={
            "embedding": Embedding(**settings.embedding.model_dump() | model.settings["embedding"]),
            "llama_server": LlamaServer(**settings.llama_server.model_dump() | model.settings["llama_server"]),
            "llama_server_model": Path(file) if file else None,
        }
    )
