"""What the embedding servers of the wheels share as processes: flags as llama-server has them, their start and end."""

import argparse
import signal
import sys
import threading
from pathlib import Path


def parser(description: str | None) -> argparse.ArgumentParser:
    """The flags that mean the same for each engine."""
    made = argparse.ArgumentParser(prog="llama-server", description=description, allow_abbrev=False)
    made.add_argument("--version", action="store_true", help="show the version and exit")
    made.add_argument("-m", "--model", type=Path, help="a GGUF file")
    made.add_argument("--host", default="127.0.0.1", help="the address to listen on, or a path that ends with .sock")
    made.add_argument("--port", type=int, default=8080, help="the port to listen on; 0: any free one")
    made.add_argument("--api-key-file", type=Path, help="a file with one API key per line")
    made.add_argument("--embedding", "--embeddings", action="store_true", help="serve embeddings")
    made.add_argument("-c", "--ctx-size", type=int, default=0, help="tokens of context, over all slots")
    made.add_argument("-np", "--parallel", type=int, default=1, help="slots: a text has one of so many parts of -c")
    return made


def api_keys(arguments: argparse.Namespace) -> list[str]:
    """The keys of --api-key-file; none where everybody may ask."""
    return arguments.api_key_file.read_text(encoding="utf-8").split() if arguments.api_key_file else []


def stop_event() -> threading.Event:
    """An event that is set when SIGINT or SIGTERM comes; their handlers are installed by this call."""
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda _number, _frame: stop.set())
    return stop


def serve_until(stop: threading.Event, *, address: object) -> None:
    """Say where the server listens, which whoever started it waits for, and stay until told to stop."""
    print(f"listening on {address}", file=sys.stderr, flush=True)  # noqa: T201
    while not stop.wait(1):
        pass
