"""A path as the application's table has it comes in; a file that may be read, its facts or its bytes go out."""

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from types import MappingProxyType

from rag_assets.errors import DocumentError
from rag_assets.model import FileFacts

READ_ATTEMPTS = 3  # at a file that changes while it is read
BLOCK_BYTES = 2**20
COARSEST_MTIME_NS = 2_000_000_000  # of the file systems in use: FAT's
TELLS_NOTHING = -1  # in place of an mtime
NO_MAP: Mapping[str, Path] = MappingProxyType({})

# Folders of a POSIX system whose "files" are devices or made up by the kernel.
SYSTEM_FOLDERS = ("/dev", "/proc", "/sys")
_DEVICE = re.compile(r"[\\/]{2}[.?][\\/]|\\\?\?\\")
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\")  # a drive, or rooted with a backslash (UNC included)
_RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?")
_STREAM = re.compile(r"[^:]*\.\w{1,5}:[^:]*(?::\$\w+)?|[^:]*:[^:]*:\$\w+")  # a.txt:hidden, a::$DATA


def resolve(
    path: str,
    *,
    root: Path | None,
    allowed_roots: Sequence[Path] = (),
    path_map: Mapping[str, Path] = NO_MAP,
) -> Path:
    """The real path of a regular file, free of links; DocumentError not_found, outside_root or unsupported.

    Relative paths are below `root` (without one: the current folder). A path must end up below `root`, one of
    `allowed_roots`, or the folder of the `path_map` prefix it begins with; links count by where they lead. With
    neither root nor allowed roots, absolute paths are not confined, and `..` is as good as any other path.
    """
    roots = [folder for folder in (root, *allowed_roots) if folder is not None]
    mapped = _mapped(path, path_map)
    reason = _refusal(path, confined=bool(roots or mapped), mapped=mapped is not None, roots=roots)
    if reason:
        raise _outside(path, reason)
    if mapped:
        return _regular(path, mapped[0] / mapped[1], roots=[mapped[0], *roots])
    return _regular(path, _below(root or Path.cwd(), path), roots=roots)


def facts(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time in nanoseconds since the epoch."""
    try:
        status = os.stat(path)
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    return status.st_size, representable(status.st_mtime_ns)


def representable(mtime_ns: int) -> int:
    """An mtime of the years 1678 to 2261, which 64 bits hold as nanoseconds; TELLS_NOTHING in place of any other."""
    return mtime_ns if abs(mtime_ns) < 2**63 else TELLS_NOTHING


def reliable_mtime(mtime_ns: int, *, looked_at: int) -> int:
    """The mtime of a file as it is to be noted with what was in it at this time (nanoseconds since the epoch).

    Until it is older than the coarsest clock of a file system ticks, the file may be written again and keep it: then
    TELLS_NOTHING.
    """
    return mtime_ns if looked_at - mtime_ns > COARSEST_MTIME_NS else TELLS_NOTHING


def sha256(path: Path, *, limit: int) -> str:
    """Hash of a file of at most `limit` bytes, in hexadecimal."""
    with open_regular(path) as file:
        _check_size(path, os.fstat(file).st_size, limit=limit)
        digest = hashlib.sha256()
        read = 0
        while block := os.read(file, BLOCK_BYTES):
            read += len(block)
            _check_size(path, read, limit=limit)
            digest.update(block)
    return digest.hexdigest()


def read(path: Path, *, limit: int) -> tuple[bytes, FileFacts]:
    """The bytes of a file of at most `limit` bytes with the facts of exactly these bytes.

    A file that is written to meanwhile is read again; one that never rests is `timed_out`. The mtime is that of
    `reliable_mtime`.
    """
    with open_regular(path) as file:
        return read_open(file, path=path, limit=limit)


def read_open(file: int, *, path: Path, limit: int) -> tuple[bytes, FileFacts]:
    """The same of an open file; `path` is for messages."""
    for _ in range(READ_ATTEMPTS):
        looked_at = time.time_ns()
        os.lseek(file, 0, os.SEEK_SET)
        before = os.fstat(file)
        _check_size(path, before.st_size, limit=limit)
        data = _read_all(file, limit=limit)
        after = os.fstat(file)
        _check_size(path, len(data), limit=limit)
        if _state(before) == _state(after) and len(data) == after.st_size:
            sha = hashlib.sha256(data).hexdigest()
            mtime_ns = reliable_mtime(representable(after.st_mtime_ns), looked_at=looked_at)
            return data, FileFacts(sha256=sha, size=len(data), mtime_ns=mtime_ns)
    raise DocumentError("timed_out", f"File changed during each of {READ_ATTEMPTS} attempts to read it: {path}")


@contextmanager
def open_regular(path: Path) -> Iterator[int]:
    """Open a regular file for reading, as `opened` does, and return its descriptor."""
    with opened(path) as file:
        yield file.fileno()


def opened(path: Path) -> FileIO:
    """A regular file, to be read; no device or pipe is opened in its place, nothing is waited for.

    Nor is a link that was put there, or on the way there, since `resolve` (Linux; elsewhere only as the file).
    """
    flags = os.O_RDONLY
    for name in ("O_BINARY", "O_CLOEXEC", "O_NOINHERIT", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY"):
        flags |= getattr(os, name, 0)
    try:
        file = os.open(path, flags)
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    try:
        _check_mode(str(path), os.fstat(file).st_mode)
        _check_place(path, file)
        return FileIO(file)
    except BaseException:
        os.close(file)
        raise


def _read_all(file: int, *, limit: int) -> bytes:
    blocks = []
    room = limit + 1  # one more than allowed shows that it is too large
    while room and (block := os.read(file, min(room, 16 * BLOCK_BYTES))):
        blocks.append(block)
        room -= len(block)
    return b"".join(blocks)


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _refusal(path: str, *, confined: bool, mapped: bool, roots: Sequence[Path]) -> str | None:
    """Why a path is refused for its form alone, before anything is touched."""
    parts = re.split(r"[\\/]", path)
    if not path.strip():
        return "it is empty"
    if "\0" in path:
        return "it contains a NUL character"
    if _DEVICE.match(path):
        return "it names a device"
    if confined and ".." in parts:
        return "it contains '..'"
    if mapped or os.name == "nt":
        return _windows_refusal(path, parts, mapped=mapped, roots=roots)
    if path.startswith("//"):
        return "it names another computer"
    return "it is a Windows path; map its prefix to a folder in source.path_map" if _WINDOWS.match(path) else None


def _windows_refusal(path: str, parts: Sequence[str], *, mapped: bool, roots: Sequence[Path]) -> str | None:
    if not mapped and re.match(r"[\\/]{2}", path) and not any(_lies_in(str(Path(path)), root) for root in roots):
        return "it names another computer"
    if any(_RESERVED.fullmatch(part.rstrip(". ")) for part in parts):
        return "it names a device"
    if any(":" in part for part in parts[1:]) or re.match(r"[^:]{2,}:|[^\\/]:[^\\/]", path):
        return "it names a stream of a file, or is relative to a drive"
    return None


def _mapped(path: str, path_map: Mapping[str, Path]) -> tuple[Path, Path] | None:
    """Folder and rest of the longest prefix that the path begins with, written as on Windows or not."""
    plain = path.replace("\\", "/")
    for prefix in sorted(path_map, key=len, reverse=True):
        start = prefix.replace("\\", "/").rstrip("/") + "/"
        same = plain[: len(start)] == start
        if same or (_WINDOWS.match(prefix) and plain[: len(start)].casefold() == start.casefold()):
            return path_map[prefix], Path(*filter(None, plain[len(start) :].split("/")))
    return None


def _below(folder: Path, path: str) -> Path:
    """Backslashes of a relative path separate folders, unless a file's name really has them."""
    plain = folder / path
    if os.name == "nt" or "\\" not in path or os.path.lexists(plain):
        return plain
    return folder / path.replace("\\", "/")


def _regular(path: str, candidate: Path, *, roots: Sequence[Path]) -> Path:
    try:
        real = os.path.realpath(candidate)
    except (OSError, ValueError) as exc:
        raise _outside(path, str(exc)) from exc
    home = next((root for root in roots if _lies_in(real, root)), None)
    if roots and home is None:
        raise _outside(path, f"it leads to {real}; set DOCUMENT_ROOT_PATH or source.allowed_roots to allow it")
    if os.name != "nt" and _is_of_the_system(real, home):
        raise _outside(path, "it names a device")
    try:
        _check_mode(path, os.stat(real).st_mode)
    except OSError as exc:
        raise _missing(path, exc) from exc
    return Path(real)


def _lies_in(real: str, folder: Path) -> bool:
    return _is_below(real, os.path.realpath(folder))


def _is_below(path: str, folder: str) -> bool:
    """Whether a path is this folder or below it, by what they are called: text, for a Path takes ten times as long."""
    return _as_folder(path).startswith(_as_folder(folder))


def _as_folder(path: str) -> str:
    return os.path.normcase(os.path.join(path, ""))


def _is_of_the_system(real: str, home: Path | None) -> bool:
    """A root inside such a folder was chosen (shared memory); /dev/zero below the root `/` was not."""
    return any(
        _is_below(real, folder) and not (home and _is_below(os.path.realpath(home), folder))
        for folder in SYSTEM_FOLDERS
    )


def _missing(path: str, exc: OSError) -> DocumentError:
    """Names that mean something else on Windows are files like others here, but only where such a file exists."""
    name = re.split(r"[\\/]", path)[-1]
    if isinstance(exc, FileNotFoundError) and (_RESERVED.fullmatch(name) or _STREAM.fullmatch(name)):
        return _outside(path, "it names a device, or a stream of a file")
    return _unreadable(path, exc)


def _check_mode(path: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise DocumentError("unsupported", f"A folder, not a file: {path}")
    if not stat.S_ISREG(mode):
        raise DocumentError("unsupported", f"A device, pipe or socket, not a file: {path}")


def _check_place(path: Path, file: int) -> None:
    """On Linux: a folder on the way that became a link since `resolve` led somewhere else."""
    try:
        opened = os.readlink(f"/proc/self/fd/{file}")
    except OSError:
        return
    if os.path.isabs(path) and opened.removesuffix(" (deleted)") != os.path.normpath(path):
        raise DocumentError("not_found", f"File moved, or reached through a link, while it was opened: {path}")


def _check_size(path: Path, size: int, *, limit: int) -> None:
    if size > limit:
        raise DocumentError("too_large", f"File has {size:,} bytes, the limit (parsing.max_bytes) is {limit:,}: {path}")


def _outside(path: str, reason: str) -> DocumentError:
    return DocumentError("outside_root", f"Path refused, {reason}: {path!r}")


def _unreadable(path: Path | str, exc: OSError) -> DocumentError:
    if isinstance(exc, FileNotFoundError | NotADirectoryError):
        return DocumentError("not_found", f"File not found: {path}")
    if exc.errno == errno.ELOOP:
        return DocumentError("not_found", f"File is a link, or links lead in a circle: {path}")
    return DocumentError("not_found", f"File cannot be opened, {exc.strerror or exc}: {path}")
