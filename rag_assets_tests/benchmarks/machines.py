"""Runs on two workers of Celery, by the files of deploy/celery, beside one; then one is killed and Redis restarted.

What embeds is a server that takes the same time for each request, as one on another machine may: the cores of this one
do the rest for all workers.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from rag_assets import operations
from rag_assets.processes import ports
from rag_assets.services import Services
from rag_assets.settings import project_root
from rag_assets_tests import fake_llama
from rag_assets_tests.benchmarks import figures, ground
from rag_assets_tests.benchmarks.figures import Figure, say
from rag_assets_tests.benchmarks.sample import NoSample

AIM = 1.8
REQUEST_SECONDS = 1.0  # for vectors: long enough that a slow machine of two cores has time for two workers
NEVER = "0 0 29 2 *"  # so that no reconciliation falls into the measurement
STALLED_SECONDS = 600.0  # nothing more is stored for so long: the trial has failed
STOP_SECONDS, LOOK_SECONDS = 30.0, 0.1
DEPLOYED = project_root() / "deploy" / "celery"
STORED = "select count(*) from rag_document_text"
AT_WORK = "select count(*) from dagster.runs where status not in ('SUCCESS', 'FAILURE', 'CANCELED')"
LOST = f"""
select count(*) from {ground.TABLE} as t
where not exists (select from rag_document_chunks as c where c.document_id = t.id::text)
    or exists (select from rag_outbox as o where o.document_id = t.id::text)
"""
DOUBLE = """
select count(*) from (
    select from rag_ingestion_log where status = 'completed' group by document_id having count(*) > 1
) as d
"""
BY_RUN = "select count(*) from rag_ingestion_log where status = 'completed' group by run_id order by 1 desc"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What became of all documents, once the daemon and workers were started."""

    seconds_to_first: float  # from that start until something was stored: processes import, and a run begins
    seconds: float  # from then until the last was stored
    lost: int  # documents without chunks, or still pending
    double: int  # documents that were stored more than once
    stored_by_each_run: Sequence[int]
    requests_for_vectors: int


def missing() -> str | None:
    """What is not there and has to be, and how it comes; None where all is."""
    if shutil.which("redis-server") is None:
        return "redis-server is not on PATH (Debian: apt-get install redis-server)"
    if importlib.util.find_spec("dagster_celery") is None:
        return "dagster-celery is not installed (pip install 'rag-assets[celery]')"
    return None


def measure(*, documents: int, rounds: int) -> Figure:
    """Documents a second with two workers, beside those with one."""
    with ground.home() as home, prepared(home, documents=documents) as cluster:
        seen = [{"one": cluster.run(1), "two": cluster.run(2)} for _ in range(rounds)]
        say("Two workers: one is killed, and Redis is restarted")
        troubled = cluster.run(2, at={0.25: cluster.kill_worker, 0.6: cluster.restart_broker})
    rates = [{workers: documents / trial.seconds for workers, trial in trials.items()} for trials in seen]
    ratio = figures.median([rate["two"] / rate["one"] for rate in rates])
    every = [troubled, *(trial for trials in seen for trial in trials.values())]
    return Figure(
        benchmark="machines",
        figure="documents per second with two workers of Celery, from the first committed vectors to the last",
        value=figures.median([rate["two"] for rate in rates]),
        peer="one worker",
        peer_value=figures.median([rate["one"] for rate in rates]),
        ratio=ratio,
        aim=f"ratio >= {AIM}; with a worker killed and Redis restarted, none lost and none stored twice",
        met=ratio >= AIM and not any(trial.lost or trial.double for trial in every),
        rounds=rates,
        details={
            "documents": documents,
            "seconds_for_each_request_for_vectors": REQUEST_SECONDS,
            "trials": [{workers: asdict(trial) for workers, trial in trials.items()} for trials in seen],
            "with_a_worker_killed_and_redis_restarted": asdict(troubled),
        },
    )


@contextmanager
def prepared(home: Path, *, documents: int, request_seconds: float = REQUEST_SECONDS) -> Iterator["Cluster"]:
    """Rows of small documents, an embedding server, and nothing that works on them yet; NoSample without Redis."""
    if reason := missing():
        raise NoSample(reason)
    folder = home / "documents"
    folder.mkdir()
    for number in range(documents):
        words = " ".join(f"word{number * 7 + place}" for place in range(40))
        (folder / f"{number}.txt").write_text(f"Document {number}. {words}.\n", encoding="utf-8")
    model = min((home / "models").glob("*.gguf"))
    with fake_llama.FakeLlama() as server:
        server.always, server.late_seconds = "late", request_seconds
        os.environ |= {"LLAMA_SERVER_MODEL": str(model), "RAG_ASSETS_LLAMA_SERVER__URL": server.url}
        with ground.ready(ground.services_without_server()) as services:
            operations.register(services, [folder])
            yield Cluster(home, services, server, documents=documents)


class Cluster:
    """Redis, Dagster's daemon and workers on a home, as the files of deploy/celery have them."""

    def __init__(self, home: Path, services: Services, server: fake_llama.FakeLlama, *, documents: int) -> None:
        self._services, self._server, self._documents = services, server, documents
        self._port = ports.free_port("127.0.0.1")
        self._folder, self._logs = home / "celery", home / "logs"
        self._folder.mkdir()
        for file in (DEPLOYED / "dagster.yaml", DEPLOYED / "worker.yaml", project_root() / "workspace.yaml"):
            shutil.copy(file, self._folder)
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DATABASE_URL": services.database_url,
            "DAGSTER_HOME": str(self._folder),
            "CELERY_BROKER": f"redis://127.0.0.1:{self._port}/0",
            "CELERY_BACKEND": f"redis://127.0.0.1:{self._port}/1",
            "RAG_ASSETS_WORKER__INSTALLATION": "benchmark",
            "RAG_ASSETS_WORKER__RECONCILE_CRON": NEVER,
        }
        self._broker: subprocess.Popen[bytes] | None = None
        self._daemon: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []

    def run(self, workers: int, *, at: Mapping[float, Callable[[], None]] | None = None) -> Trial:
        """Have all documents read anew; `at` has what is done when such a share of them is stored."""
        ground.empty_index(self._services)
        self._server.requests.clear()
        self._environment["RAG_ASSETS_WORKER__PARALLEL_RUNS"] = str(workers)
        started = time.perf_counter()
        with ExitStack() as stack:
            stack.callback(self._stop_all)
            self._start_broker()
            self._daemon = self._start("dagster-daemon", "run", "-w", "workspace.yaml")
            for _ in range(workers):
                self._start_worker()
            self._until(STORED, lambda stored: stored > 0)
            begun = time.perf_counter()
            ended = self._wait(dict(at or {}))
        trial = self._judged(seconds_to_first=begun - started, seconds=ended - begun)
        say(f"{workers} workers: {self._documents / trial.seconds:.3g} documents/s, {trial}")
        return trial

    def kill_worker(self) -> None:
        """One that has a run, with all it has started, as when its machine is gone; another one comes in its place."""
        self._workers.sort(key=_has_run)
        _kill(self._workers.pop())
        self._start_worker()

    def restart_broker(self) -> None:
        """Redis ends as its service does, and comes again with what it had."""
        assert self._broker is not None
        self._broker.terminate()
        self._broker.wait(STOP_SECONDS)
        self._start_broker()

    def _start_broker(self) -> None:
        options = ("--port", str(self._port), "--bind", "127.0.0.1", "--appendonly", "yes", "--save", "")
        self._broker = self._start("redis-server", *options)

    def _start_worker(self) -> None:
        command = ("dagster-celery", "worker", "start", "-A", "dagster_celery.app", "-y", "worker.yaml")
        self._workers.append(self._start(*command, "--", "--concurrency", "1"))

    def _start(self, *command: str) -> "subprocess.Popen[bytes]":
        with (self._logs / f"{command[0]}.log").open("ab") as log:
            return subprocess.Popen(command, cwd=self._folder, env=self._environment, stdout=log, stderr=log)

    def _stop_all(self) -> None:
        for process in (*self._workers, self._daemon, self._broker):
            _kill(process)
        self._workers.clear()

    def _wait(self, at: dict[float, Callable[[], None]]) -> float:
        """Until all is stored, which is when (seconds of time.perf_counter), and no run is at work any more."""
        self._until(STORED, lambda stored: self._pass(stored, at) or stored == self._documents)
        ended = time.perf_counter()
        self._until(AT_WORK, lambda at_work: at_work == 0)
        return ended

    def _pass(self, stored: int, at: dict[float, Callable[[], None]]) -> None:
        for share in [share for share in at if stored >= share * self._documents]:
            say(f"{stored} documents are stored: {at[share].__name__}")
            at.pop(share)()

    def _until(self, question: str, is_answer: Callable[[int], bool]) -> None:
        """Ask until it is; TimeoutError where nothing changes for long."""
        last, since = None, time.monotonic()
        while not is_answer(now := self._ask(question)):
            if now != last:
                last, since = now, time.monotonic()
            if time.monotonic() - since > STALLED_SECONDS:
                raise TimeoutError(f"It is still {now}: {question}; see {self._logs}")
            time.sleep(LOOK_SECONDS)

    def _ask(self, question: str) -> int:
        return int(ground.execute(self._services, question)[0][0])

    def _judged(self, *, seconds_to_first: float, seconds: float) -> Trial:
        return Trial(
            seconds_to_first=seconds_to_first,
            seconds=seconds,
            lost=self._ask(LOST),
            double=self._ask(DOUBLE),
            stored_by_each_run=[row[0] for row in ground.execute(self._services, BY_RUN)],
            requests_for_vectors=len(self._server.requests),
        )


def _has_run(worker: "subprocess.Popen[bytes]") -> bool:
    """Whether there is a text worker below it."""
    with suppress(psutil.Error):
        return any("rag_assets.text" in part for one in _family(worker) for part in one.cmdline())
    return False


def _family(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    root = psutil.Process(process.pid)
    return [root, *root.children(recursive=True)]


def _kill(process: "subprocess.Popen[bytes] | None") -> None:
    """With all that it started, none of which is asked."""
    if process is None:
        return
    with suppress(psutil.Error):
        for each in _family(process):
            with suppress(psutil.Error):
                each.kill()
    process.wait()
