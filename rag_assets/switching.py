"""Having another model serve without a pause: its vectors are made beside the old one's, and one transaction switches.

`add` has the vectors made, by the same runs that take changes and behind those; changes meanwhile get both. `switch`
has the new model serve once no document lacks its vectors, and `back` the old one, which stays in step until `drop`.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rag_assets import gguf_file, model_sets, serving, settings, upkeep, visible
from rag_assets.embedding.known import TEXTS
from rag_assets.errors import ServerFailedToStart, SettingsError
from rag_assets.model import Progress, are, counted
from rag_assets.model_sets import CUT_MARK
from rag_assets.postgres import models, vector_index, words
from rag_assets.postgres.models import Lacking, Model
from rag_assets.services import Services, no_progress
from rag_assets.settings import Embedding, LlamaServer, Settings

MOST_KEPT = 2  # models beside each other
DROPPED_DOCUMENTS = 200  # whose chunks are removed in one transaction
PAUSE_SECONDS = 0.5  # until what somebody writes is looked at again
SHRUNK_CHUNKS = 25_000  # at most: to write these anew, with their words, keeps searches waiting for a few seconds


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A model of the index, and how far its vectors are; `index` is the kind of their index, None where there is none.

    `lack`: so many of `documents` have no vectors of it. Of `left`, none are made: they failed. `named` are some of
    those. `is_kept`: changes get vectors of it. `next`: what to do, empty where nothing is.
    """

    name: str
    serves: bool
    is_kept: bool
    documents: int
    lack: int
    left: int
    named: tuple[str, ...]
    chunks: int
    vector_bytes: int
    index: str | None
    next: str


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A model whose vectors were removed, and the bytes of chunks and words on the disk, with all that is of them."""

    name: str
    chunks: int
    bytes_before: int
    bytes_after: int


def chosen(
    services: Services, name: str, *, file: Path | None = None, url: str | None = None, **embedding: Any
) -> Settings:
    """The settings of a model by its name, with a file or server of its own and what is set by hand.

    A cut of a model that is there, as `NAME@DIMENSION`, has that one's file or server. SettingsError for the model that
    serves, for values that are none, and where neither a file nor a server is known.
    """
    _require_other(name, serves=services.serving.settings.embedding.model)
    whole = _whole(services, name)
    base = whole.settings if whole is not None else services.settings
    of_server = {"url": url, "model": None} if url or file else {}
    given = {key: value for key, value in embedding.items() if value is not None}
    kept = {key: getattr(base.embedding, key) for key in ("batch_size", "engine", "quantization")}
    if file is not None and not file.is_file():
        raise SettingsError(f"There is no file {file}")
    if whole is None and not (url or file):
        raise SettingsError(f"Of {name}, a GGUF file or a server is needed: --file FILE or --url URL")
    try:
        made = Embedding(**{"model": name} | kept | given)
        server = LlamaServer(**base.llama_server.model_dump() | of_server)
    except ValidationError as exc:
        raise SettingsError(settings.described(exc, mark="--")) from exc
    if file is not None:
        _require_fitting(made, file)
    path = file.absolute() if file else None if url else base.llama_server_model
    return base.model_copy(update={"embedding": made, "llama_server": server, "llama_server_model": path})


def _require_fitting(made: Embedding, file: Path) -> None:
    """SettingsError where a file says of itself otherwise than what is set of its model, whatever its name.

    Another pooling gives vectors that look right and find little, so it has to be found before any is stored.
    """
    if found := model_sets.misfits(made.of_model, gguf_file.read_metadata(file)):
        raise SettingsError(
            f"{file} is not a file of {made.model} as it is set: {'; '.join(found)}. Say what it has (--dimension, "
            "--pooling, --longest, --query-prefix, --passage-prefix), add it by the name of its model (see rag-assets "
            "model known), or take another file."
        )


def of_name(services: Services, name: str) -> Services:
    """The services of a model that is there, or of a cut of one. SettingsError for any other."""
    try:
        return services.of_name(name)
    except SettingsError:
        if _whole(services, name) is None:
            raise
    return services.of(_model(chosen(services, name)))


def require_vectors(services: Services) -> None:
    """SettingsError where none of the model of these services are stored."""
    name = services.settings.embedding.model
    with services.database.transaction() as cursor:
        is_any = models.has_vectors(cursor, name)
    if not is_any:
        raise SettingsError(
            f"No vectors of {name} are stored: rag-assets model add {name}, or ask with a folder that has corpus.jsonl."
        )


def _whole(services: Services, name: str) -> Services | None:
    """The services of the model that this name is a cut of, where that is there."""
    whole, mark, _ = name.partition(CUT_MARK)
    if not mark:
        return None
    with suppress(SettingsError):
        return services.of_name(whole)
    return None


def add(services: Services, chosen: Settings, *, progress: Progress = no_progress) -> int:
    """Have vectors of the model of these settings made beside those of the one that serves; how many documents wait.

    It has to embed a text before anything is written. Called again for a model that is being built, documents that
    were forgotten wait again. SettingsError where two models are kept already, or this one with another file or set.
    """
    name = chosen.embedding.model
    with services.database.transaction() as cursor:
        known = models.get_all(cursor)
        gone = [one for one in known if models.is_gone(cursor, one)]
    _require_addable(services, chosen, beside=[one for one in known if one not in gone])
    server = chosen.llama_server.url
    progress(f"Waiting for the server at {visible.address(server)}" if server else f"Having {name} embed a text")
    _require_working(services, chosen)
    with services.database.transaction() as cursor:
        models.lock(cursor)
        # All who store wait now: chunks, which are many, are not passed over again. What is gone has no writer.
        beside = [one for one in models.get_all(cursor) if one not in gone]
        first = _require_addable(services, chosen, beside=beside)
        models.keep_first(cursor, first, serving.written(services.settings))
        if name not in models.kept(cursor):
            models.keep(cursor, name, serving.written(chosen))
        models.set_serving(cursor, first)
    with services.database.transaction() as cursor:
        return models.enqueue_lacking(cursor, name, with_claimed=True)


def standings(services: Services) -> list[Standing]:
    """The models of the index, the older one first; the one of the settings, where none was ever added."""
    with services.database.transaction() as cursor:
        name = services.settings.embedding.model
        known = models.get_present(cursor) or [Model(name=name, settings={}, is_kept=True, serves=True)]
        newest = next(one for one in reversed(known) if one.is_kept)
        found = []
        for one in known:
            chunks, size = models.count_vectors(cursor, one.name)
            lacking = models.count_lacking(cursor, one.name)
            index = vector_index.get(cursor, one.name)
            found.append(
                Standing(
                    name=one.name,
                    serves=one.serves,
                    is_kept=one.is_kept,
                    documents=lacking.documents,
                    lack=lacking.lack,
                    left=lacking.left,
                    named=lacking.named,
                    chunks=chunks,
                    vector_bytes=size,
                    index=index.kind if index is not None and index.is_valid else None,
                    next=_next(one, lacking, is_newest=one is newest),
                )
            )
    return found


def switch(services: Services, *, despite_lack: bool = False, progress: Progress = no_progress) -> str:
    """Have the model serve that was added last; its name. SettingsError while documents lack vectors of it.

    Its index is built before, where one is advised. `despite_lack`: those documents are not found until they have some.
    """
    older, target = _kept(services)
    if target.serves:
        raise SettingsError(f"{target.name} serves already. Next: {_rested(older)}")
    if not despite_lack:
        _require_whole(services, target)
    planned = upkeep.plan(services.database, target.name, from_rows=services.settings.search.index_rows)
    if planned.step == "build" and services.settings.search.index == "auto":
        upkeep.tend(services.database, target.name, from_rows=services.settings.search.index_rows, progress=progress)
    with services.database.autocommit() as cursor:
        vector_index.analyze(cursor)
    _serve(services, target, despite_lack=despite_lack)
    return target.name


def back(services: Services) -> str:
    """Have the model serve again that served before; its name. What changed meanwhile has vectors of it, too."""
    target, newer = _kept(services)
    if target.serves:
        raise SettingsError(f"{target.name} serves already. Next: rag-assets model switch has {newer.name} serve")
    _serve(services, target, despite_lack=True)
    return target.name


def drop(services: Services, *, progress: Progress = no_progress) -> Dropped:
    """Remove the vectors of the model that does not serve, while others read and write.

    Broken off, it goes on where it is called again. Its index goes from the disk at once. So does the other space where
    that takes seconds, for which searches wait: see SHRUNK_CHUNKS; else it is used again by what comes, and `shrink`
    gives it back.
    """
    gone, stays = _dropped(services)
    fingerprints = (_fingerprint(services, gone), _fingerprint(services, stays))
    with services.database.transaction() as cursor:
        models.lock(cursor)
        if not any(one.serves and one.name == stays.name for one in models.get_all(cursor)):
            raise SettingsError(f"{stays.name} does not serve any more; nothing is dropped.")
        models.keep_no_more(cursor, gone.name)
        before = models.size(cursor)
    vector_index.drop(services.database, gone.name)
    with services.database.transaction() as cursor:
        chunks, _ = models.count_vectors(cursor, gone.name)
    while left := _remove(services, gone.name, serving=stays.name, fingerprints=fingerprints):
        progress(f"{counted(left, 'chunk')} of {gone.name} left")
        time.sleep(PAUSE_SECONDS)
    with services.database.transaction() as cursor:
        words.fold(cursor)
    with services.database.transaction() as cursor:
        left, _ = models.count_vectors(cursor, stays.name)
    with services.database.autocommit() as cursor:
        models.vacuum(cursor, full=False)
        if left <= SHRUNK_CHUNKS:
            models.shrink_soon(cursor)
    with services.database.transaction() as cursor:  # last: until then, this is called again where it was broken off
        models.forget_words(cursor, gone.name)
        models.forget(cursor, gone.name)
        after = models.size(cursor)
    return Dropped(name=gone.name, chunks=chunks, bytes_before=before, bytes_after=after)


def shrink(services: Services) -> None:
    """Give the space back that was freed; nobody searches or stores meanwhile."""
    with services.database.autocommit() as cursor:
        models.vacuum(cursor, full=True)


def _model(chosen: Settings) -> Model:
    return Model(name=chosen.embedding.model, settings=serving.written(chosen), is_kept=False, serves=False)


def _require_working(services: Services, chosen: Settings) -> None:
    embedder = services.of(_model(chosen)).embedder
    try:
        embedder.embed([TEXTS[0]], token_counts=[len(TEXTS[0]) // 3])
    except ServerFailedToStart as exc:
        if (url := chosen.llama_server.url) is None:
            raise
        raise SettingsError(
            f"The server of {chosen.embedding.model} at {visible.address(url)} does not answer: start it, or name "
            "another one with --url"
        ) from exc


def _require_addable(services: Services, chosen: Settings, *, beside: list[Model]) -> str:
    """The model that serves; SettingsError where this one cannot be added beside these, with what to do."""
    name = chosen.embedding.model
    first = next((one.name for one in beside if one.serves), services.settings.embedding.model)
    _require_other(name, serves=first)
    others = [one.name for one in beside if one.is_kept and one.name != name]
    if len(others) >= MOST_KEPT:
        raise SettingsError(
            f"{' and '.join(others)} are kept already: rag-assets model drop removes the one that rests."
        )
    for same in (one for one in beside if one.name == name):
        _require_same(serving.with_model(services.settings, same), chosen)
    return first


def _require_other(name: str, *, serves: str) -> None:
    if name == serves:
        raise SettingsError(f"{name} serves already. Next: rag-assets model status")


def _require_same(kept: Settings, chosen: Settings) -> None:
    """SettingsError where a model was added with another file, server or set: two kinds of vectors have one name."""
    old, new = (_flat(serving.written(_named(each))) for each in (kept, chosen))
    differ = [f"{key} {_shown(key, old)} in place of {_shown(key, new)}" for key in new if old[key] != new[key]]
    if differ:
        name = chosen.embedding.model
        raise SettingsError(
            f"{name} was added already, with {', '.join(differ)}. To take the other: rag-assets model drop, which "
            f"removes the vectors of {name}, then rag-assets model add {name} again"
        )


def _named(chosen: Settings) -> Settings:
    """The settings with all that is known of their model: that of the default is left out where nobody names it."""
    embedding = chosen.embedding
    known = Embedding(**{"model": embedding.model} | embedding.model_dump(exclude_unset=True))
    return chosen.model_copy(update={"embedding": known})


def _flat(written: dict[str, Any]) -> dict[str, Any]:
    """What `serving.written` gives, with the names that the options of `model add` have."""
    return {**written["embedding"], "url": written["llama_server"]["url"], "file": written["llama_server_model"]}


def _shown(key: str, values: dict[str, Any]) -> str:
    value = values[key]
    return repr(visible.address(value) if key == "url" and value else value)


def _kept(services: Services) -> list[Model]:
    """Both models, the older one first; SettingsError where there is no second one."""
    with services.database.transaction() as cursor:
        found = [one for one in models.get_all(cursor) if one.is_kept]
    if len(found) < MOST_KEPT:
        raise SettingsError("There is no other model to serve: rag-assets model add NAME")
    return found


def _require_whole(services: Services, target: Model) -> None:
    with services.database.transaction() as cursor:
        lacking = models.count_lacking(cursor, target.name)
        if lacking.lack > lacking.left:
            models.enqueue_lacking(cursor, target.name, with_claimed=False)
    _refuse(lacking, target)


def _refuse(lacking: Lacking, target: Model) -> None:
    if not lacking.lack:
        return
    failed = ""
    until = ", until rag-assets model status says that none is" if lacking.lack > lacking.left else ""
    if lacking.left:
        named = ", ".join(lacking.named)
        failed = f" Of {counted(lacking.left, 'document')} none are made, as they failed or are held ({named})."
    raise SettingsError(
        f"{counted(lacking.lack, 'document')} of {lacking.documents} {are(lacking.lack)} without vectors of "
        f"{target.name}.{failed} Next: {_filled(lacking)}{until}; or have them not be found: --despite-lack"
    )


def _filled(lacking: Lacking) -> str:
    """How a model comes to have vectors of documents that lack them."""
    if lacking.lack > lacking.left:
        return "rag-assets ingest, unless `rag-assets up` runs"
    return "rag-assets status says why, rag-assets retry has them tried again"


def _next(one: Model, lacking: Lacking, *, is_newest: bool) -> str:
    if not one.is_kept:
        return "rag-assets model drop removes the rest of it"
    if not one.serves and not is_newest:
        return _rested(one)
    if not lacking.lack:
        return "" if one.serves else f"rag-assets model switch has {one.name} serve, rag-assets model drop removes it"
    if one.serves:
        return _filled(lacking)
    is_made = lacking.lack > lacking.left
    return f"{_filled(lacking)}; {'then' if is_made else 'or'} rag-assets model switch" + (
        "" if is_made else " --despite-lack"
    )


def _rested(older: Model) -> str:
    return f"rag-assets model back has {older.name} serve again, rag-assets model drop removes it"


def _serve(services: Services, target: Model, *, despite_lack: bool) -> None:
    with services.database.transaction() as cursor:
        models.lock(cursor)
        if not any(one.name == target.name and one.is_kept for one in models.get_all(cursor)):
            raise SettingsError(f"{target.name} is kept no more.")
        if not despite_lack:
            _refuse(models.count_lacking(cursor, target.name), target)
        models.set_serving(cursor, target.name)


def _dropped(services: Services) -> tuple[Model, Model]:
    """The model that goes, and the one that serves; one whose dropping was broken off comes first."""
    with services.database.transaction() as cursor:
        found = models.get_present(cursor)
    left = [one for one in found if not one.serves]
    stays = next((one for one in found if one.serves), None)
    if stays is None or not left:
        raise SettingsError(
            "There is no model but the one that serves. Space that one left on the disk: rag-assets model shrink."
        )
    return min(left, key=lambda one: one.is_kept), stays


def _fingerprint(services: Services, model: Model) -> str:
    """What documents read for a model have; empty where its file is gone: they are read again some time."""
    try:
        return services.of(model).reader.fingerprint
    except SettingsError:
        return ""


def _remove(services: Services, name: str, **others: Any) -> int:
    """Remove what nobody writes just now; how many chunks are left."""
    after = ""
    while True:
        with services.database.transaction() as cursor:
            removed = models.remove(cursor, name, after=after, limit=DROPPED_DOCUMENTS, **others)
        if not removed:
            break
        after = removed[-1]
    with services.database.transaction() as cursor:
        models.remove_left(cursor, name, limit=DROPPED_DOCUMENTS)
        return models.count_vectors(cursor, name)[0]
