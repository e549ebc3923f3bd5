"""`rag-assets`, also as `python -m rag_assets`: the command line, and an end without a traceback."""

import errno
import io
import os
import signal
import sys

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
CANNOT_WRITE = 74  # exit code, as sysexits.h has it


def main() -> None:
    """Run a command; Ctrl-C while it is only imported ends the process, and so does a full disk behind the output."""
    if os.name == "nt":
        _write_any_language()
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from rag_assets import cli

    signal.signal(signal.SIGINT, before)
    try:
        cli.main(prog_name="rag-assets")
    except OSError as exc:
        _end(exc)
    except SystemExit:
        try:
            sys.stdout.flush()  # now, and not when the interpreter ends, which would show a traceback
        except OSError as exc:
            _end(exc)
        raise


def _write_any_language() -> None:
    """Into files and pipes in UTF-8, as on other systems: the code page of Windows has not the words of most languages.

    A console takes any, and PYTHONIOENCODING is a wish of the user's.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty() and "PYTHONIOENCODING" not in os.environ:
            stream.reconfigure(encoding="utf-8")


def _end(error: OSError) -> None:
    """Say what cannot be written, and end without another try to write the rest; other errors are not for here."""
    if error.errno not in UNWRITABLE:
        raise error
    try:
        sys.stderr.write(f"Error: {error.filename or 'the output'} cannot be written: {error.strerror}\n")
        sys.stderr.flush()
    finally:
        os._exit(CANNOT_WRITE)


if __name__ == "__main__":
    main()
