"""Does the code server stay as small as it is: many looks of the sensor, asked for as Dagster's daemon does."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
from dagster import DagsterInstance
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import SensorExecutionArgs
from dagster._serdes import deserialize_value

from rag_assets.processes import ports
from rag_assets_tests.benchmarks import ground
from rag_assets_tests.benchmarks.figures import Figure, say

SENSOR = "document_changes"
POLL_SECONDS = "0.01"  # a look that does not wait: what grows, grows with each
GROWTH_KB = 10.0  # per look, over the second half
WARM_UP_SHARE = 0.5  # of the looks: caches fill
HOST = "127.0.0.1"
START_SECONDS = 120.0
SAMPLES = 20


def measure(*, documents: int, rounds: int) -> Figure:
    """KB per look of the sensor over the second half of `documents` looks, `rounds` times in new code servers."""
    with ground.home(), ground.ready(ground.services_without_server()):
        os.environ["RAG_ASSETS_WORKER__POLL_SECONDS"] = POLL_SECONDS
        seen = [_series(documents) for _ in range(rounds)]
    growth = sorted(_growth(series) for series in seen)[len(seen) // 2]
    return Figure(
        benchmark="ticks",
        figure="KB (RSS) that the code server grows with each look of the sensor, over the second half of them",
        value=growth,
        peer="the limit",
        peer_value=GROWTH_KB,
        aim=f"<= {GROWTH_KB} KB per look",
        met=growth <= GROWTH_KB,
        rounds=[_growth(series) for series in seen],
        details={"looks": documents, "rss_mb": [[round(size / 1e6, 1) for _, size in series] for series in seen]},
    )


def _series(looks: int) -> list[tuple[int, int]]:
    """Looks so far, and the code server's resident bytes then, at some points of the way."""
    series = []
    with DagsterInstance.get() as instance, _code_server() as (process, server):
        client, ask = server.create_client(), _asking(instance, server)
        for number in range(looks):
            _assert_looked(client.external_sensor_execution(ask))
            if (number + 1) % max(1, looks // SAMPLES) == 0:
                series.append((number + 1, process.memory_info().rss))
                say(f"{number + 1} looks: {series[-1][1] / 1e6:.1f} MB")
    return series


def _assert_looked(answer: str) -> None:
    """A look that failed at once measures nothing."""
    result = deserialize_value(answer)
    assert isinstance(result, SensorExecutionData), result


def _growth(series: list[tuple[int, int]]) -> float:
    """KB per look after the warm-up."""
    later = [point for point in series if point[0] >= series[-1][0] * WARM_UP_SHARE]
    (first, before), (last, after) = later[0], later[-1]
    return (after - before) / 1e3 / max(1, last - first)


def _asking(instance: DagsterInstance, server: GrpcServerCodeLocationOrigin) -> SensorExecutionArgs:
    origin = RemoteRepositoryOrigin(code_location_origin=server, repository_name="__repository__")
    return SensorExecutionArgs(repository_origin=origin, instance_ref=instance.get_ref(), sensor_name=SENSOR)


@contextmanager
def _code_server() -> Iterator[tuple[psutil.Process, GrpcServerCodeLocationOrigin]]:
    """The project's code server as `rag-assets up` starts it, and where it is."""
    port = ports.free_port(HOST)
    command = [sys.executable, "-m", "dagster", "api", "grpc", "--host", HOST, "--port", str(port)]
    module = ["--module-name", "rag_assets.definitions", "--location-name", "rag_assets"]
    server = subprocess.Popen([*command, *module, "--inject-env-vars-from-instance"], stdout=subprocess.DEVNULL)
    try:
        where = GrpcServerCodeLocationOrigin(host=HOST, port=port, location_name="rag_assets")
        _await(where.create_client(), server)
        yield psutil.Process(server.pid), where
    finally:
        server.kill()  # asked to end, it would wait for its clients
        server.wait()


def _await(client: DagsterGrpcClient, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with suppress(DagsterUserCodeUnreachableError):
            client.ping("")
            return
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the code server did not start")
        time.sleep(0.2)
