"""A path or an address as the application's table has it comes in; what may be read there, its facts and bytes go out.

A path is a file of this machine, see `paths`. An address, as s3://bucket/a.pdf, is read by fsspec, whole, and by this
process: the text worker, which has neither network nor credentials, gets a copy.
"""

import email.utils
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit

from rag_assets import visible
from rag_assets.errors import DocumentError, SettingsError
from rag_assets.model import FileFacts
from rag_assets.text import paths

ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
HOST_ENDS = re.compile(r"[/?#]")
MISLEADING = re.compile(r"[@%\\]")  # in a host: libraries differ in what they take for its end
CONTROLS = re.compile(r"[\x00-\x1f\x7f]")  # some are left out by what reads an address: of "." and "." they make ".."
PASSWORD = re.compile(r"(?<=://)[^/]*@")
QUERY = re.compile(r"(://[^\s?]*)\?\S*")  # of an address in a message: that of a redirection may have a signature
REDIRECTIONS = (301, 302, 303, 307, 308)
STATE_NAMES = ("ETag", "etag")  # what stores call the name of a state of an object
TIME_NAMES = ("LastModified", "last_modified", "mtime", "updated", "Last-Modified", "created")


@dataclass(frozen=True, kw_only=True)
class Address:
    """A document in a store; `allowed` are the beginnings of addresses of which one is its own."""

    uri: str
    allowed: tuple[str, ...]

    def __str__(self) -> str:
        return self.uri


Place = Path | Address


@dataclass(frozen=True, kw_only=True)
class _State:
    """What a store says of an object without giving it."""

    size: int | None  # bytes
    mtime_ns: int  # paths.TELLS_NOTHING where it says none
    version: str | None


@dataclass(kw_only=True)
class Opened:
    """A document that can be read, until it is closed: its descriptor, or its path where none can be sent (Windows).

    `facts` are those of its store; None: those of the file.
    """

    path: Path
    file: IO[bytes] | None
    facts: FileFacts | None = None
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()


def resolve(
    path: str,
    *,
    schemes: Sequence[str],
    root: Path | None,
    allowed_roots: Sequence[Path] = (),
    path_map: Mapping[str, Path] = paths.NO_MAP,
) -> Place:
    """What a path or an address means; DocumentError not_found, outside_root or unsupported.

    `schemes` has beginnings of addresses that may be read, as `s3` or `https://files.example.com/library/`. What lies
    behind one is not looked at here; an address of `file://` is confined as its path is.
    """
    found = ADDRESS.match(path)
    local = partial(paths.resolve, root=root, allowed_roots=allowed_roots, path_map=path_map)
    if found is None:
        return local(path)
    scheme, rest = found[1].lower(), path[found.end() :]
    uri = f"{scheme}://{rest}"
    allowed = tuple(one if "://" in one else f"{one}://" for one in schemes)
    _require_allowed(uri, allowed=allowed, shown=repr(PASSWORD.sub("***@", path)))
    return local(_file_of(rest)) if scheme == "file" else Address(uri=uri, allowed=allowed)


def _file_of(rest: str) -> str:
    """The path of file:///C:/a.txt is C:/a.txt, where drives have letters."""
    path = unquote(rest)
    return path[1:] if os.name == "nt" and re.match("/[A-Za-z]:", path) else path


def facts(place: Place) -> tuple[int, int]:
    """Size in bytes and modification time in nanoseconds since the epoch; paths.TELLS_NOTHING for what is not known."""
    if isinstance(place, Path):
        return paths.facts(place)
    state = _look(place)
    return paths.TELLS_NOTHING if state.size is None else state.size, state.mtime_ns


def changed_at(place: Place) -> float | None:
    """When a document was written or put in its place, whichever came last, in Unix seconds; None: nobody knows."""
    if isinstance(place, Path):
        status = place.stat()
        return max(status.st_mtime, status.st_ctime)
    mtime_ns = _look(place).mtime_ns
    return None if mtime_ns == paths.TELLS_NOTHING else mtime_ns / 1e9


def is_unchanged(place: Place, stored: FileFacts, *, limit: int, by_stat: bool) -> bool:
    """Whether a document is what is stored of it: by its hash or, where `by_stat`, by size and mtime alone.

    Where a store names the states of an object (etag), the name of what is stored is as good as its hash.
    """
    known = _known(place, stored, by_stat=by_stat)
    if known is not None:
        return known
    now = paths.sha256(place, limit=limit) if isinstance(place, Path) else hashed(place, limit=limit).sha256
    return now == stored.sha256


def look(place: Place, stored: FileFacts, *, limit: int) -> FileFacts:
    """The facts as they are now; a document is hashed only where they differ from what is stored."""
    return stored if _known(place, stored, by_stat=True) else hashed(place, limit=limit)


def hashed(place: Place, *, limit: int) -> FileFacts:
    """The facts of the bytes of a document of at most `limit` bytes."""
    looked_at = time.time_ns()
    if isinstance(place, Path):
        size, mtime_ns = paths.facts(place)
        mtime_ns = paths.reliable_mtime(mtime_ns, looked_at=looked_at)
        return FileFacts(sha256=paths.sha256(place, limit=limit), size=size, mtime_ns=mtime_ns)
    with opened(place, limit=limit) as found:
        return cast(FileFacts, found.facts)


def opened(place: Place, *, limit: int) -> Opened:
    """A document to be read by others; one of a store is fetched, `limit` bytes at most, and gone when it is closed."""
    if isinstance(place, Path):
        with ExitStack() as stack:
            file = None if os.name == "nt" else stack.enter_context(paths.opened(place))
            return Opened(path=place, file=cast("IO[bytes] | None", file), _open=stack.pop_all())
    for _ in range(paths.READ_ATTEMPTS):
        with ExitStack() as stack:
            copy = _Copy(stack)
            if (fetched := _fetch(place, into=copy.file, limit=limit)) is not None:
                return Opened(path=copy.path, file=copy.descriptor, facts=fetched, _open=stack.pop_all())
    raise DocumentError("timed_out", f"It changed during each of {paths.READ_ATTEMPTS} attempts to read it: {place}")


class _Copy:
    """A file for what is fetched, without a name where a descriptor can be sent: nothing is left of it."""

    def __init__(self, stack: ExitStack) -> None:
        if os.name == "nt":
            self.path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rag-assets-"))) / "document"
            self.file: IO[bytes] = stack.enter_context(self.path.open("wb"))
            self.descriptor: IO[bytes] | None = None
        else:
            self.path = Path("document")
            self.file = self.descriptor = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115


def _require_allowed(uri: str, *, allowed: Sequence[str], shown: str) -> None:
    if reason := _refusal(uri, allowed):
        raise DocumentError("outside_root", f"Address refused, {reason}: {shown}")


def _refusal(uri: str, allowed: Sequence[str]) -> str | None:
    """Why an address is refused for its form alone."""
    scheme, _, rest = uri.partition("://")
    if not any(one.startswith(f"{scheme}://") for one in allowed):
        return f"{scheme} is not in source.schemes"
    if MISLEADING.search(HOST_ENDS.split(rest, maxsplit=1)[0]):
        return "its host has a user's name, a password or escaped letters before it or in it"
    if not _is_below(uri, allowed):
        return "it begins with nothing that source.schemes has"
    if "::" in uri or CONTROLS.search(uri):  # fsspec reads what stands before :: in what stands behind it
        return "it contains :: or a control character"
    if ".." in re.split(r"[\\/;]", unquote(uri)):  # some servers leave out what follows a semicolon
        return "it contains '..'"
    return None


def _is_below(uri: str, allowed: Sequence[str]) -> bool:
    """Of the web however letters are escaped, as a server means the same by them; to other stores, % is a letter."""
    if _is_of_the_web(uri):
        uri, allowed = unquote(uri), [unquote(one) for one in allowed]
    return uri.startswith(tuple(allowed))


def _is_of_the_web(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def _known(place: Place, stored: FileFacts, *, by_stat: bool) -> bool | None:
    """Whether a document is what is stored of it, as far as that can be said without its bytes."""
    if isinstance(place, Path):
        size, mtime_ns = paths.facts(place)
        state = _State(size=size, mtime_ns=mtime_ns, version=None)
    else:
        state = _look(place)
    if state.size not in (None, stored.size):
        return False
    is_named = state.version is not None and state.version == stored.version
    is_as_old = by_stat and state.mtime_ns == stored.mtime_ns != paths.TELLS_NOTHING
    if is_named or (is_as_old and state.version in (None, stored.version)):
        return True
    return None


def _fetch(address: Address, *, into: IO[bytes], limit: int) -> FileFacts | None:
    """Write the bytes of an object; their facts, None where it became another one meanwhile."""
    looked_at = time.time_ns()
    before = _look(address)
    _check_size(address, before.size or 0, limit=limit)
    digest, size = hashlib.sha256(), 0
    with _translated(address), _open(address) as source:
        while block := source.read(paths.BLOCK_BYTES):
            size += len(block)
            _check_size(address, size, limit=limit)
            digest.update(block)
            into.write(block)
    into.flush()
    if before.size not in (None, size) or _look(address) != before:
        return None
    mtime_ns = paths.reliable_mtime(before.mtime_ns, looked_at=looked_at)
    return FileFacts(sha256=digest.hexdigest(), size=size, mtime_ns=mtime_ns, version=before.version)


def _open(address: Address) -> Any:
    """A stream of the bytes; of the web in one answer."""
    store, path = _store(address)
    return store.open(path, "rb", **({"block_size": 0} if _is_of_the_web(address.uri) else {}))


def _look(address: Address) -> _State:
    """What its store says of an object."""
    with _translated(address):
        store, path = _store(address)
        info = store.info(path)
        if info.get("type") == "directory":
            raise DocumentError("unsupported", f"A folder, not a file: {address}")
        size = info.get("size")
        return _State(size=None if size is None else int(size), mtime_ns=_mtime_ns(info), version=_version(info))


def _store(address: Address) -> tuple[Any, str]:
    """What reads an address, and the path in it; SettingsError where it is not installed."""
    from fsspec.core import url_to_fs  # 0.1 s that who has files alone does not need

    options = {"get_client": _client(address.allowed)} if _is_of_the_web(address.uri) else {}
    try:
        store, path = url_to_fs(address.uri, use_listings_cache=False, **options)
    except ImportError as exc:
        scheme = address.uri.partition("://")[0]
        raise SettingsError(
            f"source.schemes allows {scheme}, and what reads it is not installed ({exc}): "
            f"pip install 'rag-assets[{scheme}]'"
        ) from exc
    return store, str(path)


@cache  # to fsspec, each is another store, with connections of its own
def _client(allowed: tuple[str, ...]) -> Callable[..., Any]:
    """Makes clients of the web that send nothing to an address that is not allowed, wherever servers redirect to."""

    async def checked(request: Any, send: Callable[[Any], Any]) -> Any:
        shown = str(request.url.with_query(None))  # that of a redirection may have a signature in it
        _require_allowed(str(request.url), allowed=allowed, shown=shown)
        answer = await send(request)
        is_led_on = answer.status in REDIRECTIONS and "Location" in answer.headers
        if is_led_on and MISLEADING.search(urlsplit(answer.headers["Location"]).netloc):
            answer.close()
            raise DocumentError("outside_root", f"Address refused, it leads to one with a login: {shown}")
        if answer.status < 400 and answer.status != 200 and not is_led_on:  # fsspec knows only of those from 400 on
            answer.close()
            raise DocumentError("timed_out", f"Its server answered {answer.status}, which is no document: {shown}")
        return answer

    async def client(**options: Any) -> Any:
        import aiohttp

        return aiohttp.ClientSession(middlewares=[checked], **options)

    return client


@contextmanager
def _translated(address: Address) -> Iterator[None]:
    """Raise what a store raises as a DocumentError."""
    try:
        yield
    except (DocumentError, SettingsError):
        raise
    except Exception as exc:  # each store has errors of its own
        raise _document_error(address, exc) from exc


def _document_error(address: Address, exc: Exception) -> DocumentError:
    cause: BaseException = exc
    if _is_of_the_web(address.uri) and exc.__cause__ is not None:  # to fsspec, all that fails there is not found
        cause = exc.__cause__
    if isinstance(cause, DocumentError):  # of _client
        return cause
    status = getattr(cause, "status", None)  # of an answer over HTTP; as text, that has the address in the end
    words = QUERY.sub(r"\1?***", str(cause))
    said = f"{type(cause).__name__}: {status or words}".removesuffix(": ")
    if isinstance(cause, FileNotFoundError) or status in (404, 410):
        return DocumentError("not_found", f"File not found: {address}")
    if isinstance(cause, PermissionError) or status in (401, 403):
        return DocumentError("not_found", f"File cannot be opened, {said}: {address}")
    return DocumentError("timed_out", f"Its store gives no answer of use, {said}: {address}")


def _version(info: Mapping[str, Any]) -> str | None:
    """What a store calls this state of an object; not where another state may be called the same (weak etags)."""
    named = next((str(info[name]) for name in STATE_NAMES if info.get(name)), "")
    return visible.line(named) if named and not named.startswith("W/") else None


def _mtime_ns(info: Mapping[str, Any]) -> int:
    given = next((info[name] for name in TIME_NAMES if info.get(name)), None)
    if isinstance(given, str):
        given = _time(given)
    if isinstance(given, datetime):
        given = (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()
    return paths.TELLS_NOTHING if given is None else paths.representable(int(float(given) * 1_000_000) * 1_000)


def _time(written: str) -> datetime | None:
    """As in HTTP or in ISO 8601; None for what is neither."""
    for read in (email.utils.parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError):
            return read(written)
    return None


def _check_size(address: Address, size: int, *, limit: int) -> None:
    if size > limit:
        rule = f"the limit (parsing.max_bytes) is {limit:,}"
        raise DocumentError("too_large", f"File has {size:,} bytes or more, {rule}: {address}")
