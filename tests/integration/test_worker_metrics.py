"""A worker on a machine of its own tells Prometheus what all its processes count."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from celery import Celery
from prometheus_client.parser import text_string_to_metric_families

from seawall.testing.valkey import Valkey
from tests.integration.test_celery import APP, ROOT, until


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    temporary: Path
    celery: Celery
    app: str

    def run(self, name: str, times: int = 1) -> None:
        jobs = [self.celery.send_task(f"{self.app}.{name}") for _ in range(times)]
        for job in jobs:
            job.get(timeout=30, propagate=False)

    def scrape(self, path: str = "/metrics", **headers: str) -> str:
        request = Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        with urlopen(request, timeout=5) as answer:
            return str(answer.read().decode())

    def total(self, name: str, **labels: str) -> float:
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.scrape())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def shared(self) -> list[Path]:
        return list(self.temporary.glob("seawall-*/reports-*"))


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    ended: list[subprocess.Popen[bytes]] = []
    with Valkey() as valkey, closing(Celery("tests", broker=valkey.url, backend=valkey.url)) as celery:

        def start(*options: str, port: int, app: str = APP, **more: str) -> Worker:
            temporary, log = tmp_path / "tmp", tmp_path / "worker.log"
            temporary.mkdir()
            environment = {name: value for name, value in os.environ.items() if name != "SEAWALL_METRICS_FOLDER"}
            environment |= {
                "CELERY_BROKER_URL": valkey.url, "CELERY_RESULT_BACKEND": valkey.url, "PYTHONPATH": str(ROOT),
                "SEAWALL_WORKER_METRICS_PORT": str(port), "TMPDIR": str(temporary), **more,
            }  # fmt: skip
            command = [sys.executable, "-m", "celery", "-A", f"{app}:celery", "worker", "--without-gossip", *options]
            with log.open("wb") as file:
                process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=file, stderr=file)
            ended.append(process)
            until(lambda: " ready" in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            return Worker(process, port, log, temporary, celery, app)

        yield start
        for process in ended:
            process.terminate()
            process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_jobs_of_all_processes_are_counted_however_often_those_are_replaced(started):
    worker = started("--concurrency", "2", "--max-tasks-per-child", "3", port=free_port())
    worker.run("pid", times=20)
    until(lambda: worker.total("jobs_total", state="succeeded") == 20)
    worker.run("die")
    worker.run("pid", times=4)
    until(lambda: worker.total("jobs_total", state="succeeded") == 24)
    assert worker.total("job_duration_seconds_count", job_name=f"{APP}.pid") == 24
    assert worker.total("process_resident_memory_bytes") > 10_000_000
    assert 0 < worker.total("process_cpu_seconds_total") < 60
    assert 0 < worker.total("system_disk_free_ratio") < 1
    assert 0 < worker.total("system_memory_used_ratio") < 1
    # What the main process had counted is not counted again by each that it forks; a few lines aren't written yet.
    assert worker.total("log_lines_total", level="info") < worker.log.read_text().count('"level": "info"') + 8
    assert worker.total("service_processes") in {1, 2}
    until(lambda: worker.total("jobs_active") == 0)
    assert worker.scrape(accept="application/openmetrics-text").endswith("# EOF\n")

    (folder,) = worker.shared()
    assert len(list(folder.glob("*.values"))) <= 4
    with pytest.raises(HTTPError, match="404"):
        worker.scrape("/")
    worker.process.terminate()
    assert worker.process.wait(30) == 0
    with pytest.raises(URLError):
        worker.scrape()
    assert worker.shared() == []


def test_a_worker_of_threads_tells_its_own(started):
    worker = started("--pool", "threads", "--concurrency", "2", port=free_port())
    worker.run("pid", times=5)
    until(lambda: worker.total("jobs_total", state="succeeded") == 5)
    worker.process.terminate()
    assert worker.process.wait(30) == 0
    assert worker.shared() == []


def test_parts_that_only_jobs_use_are_not_told_to_be_down(started):
    worker = started(
        "--concurrency", "1", port=free_port(), app="tests.integration.celery_parts",
        REDIS_URL="redis://127.0.0.1:1", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
    )  # fmt: skip
    worker.run("pid", times=2)
    until(lambda: worker.total("jobs_total", state="succeeded") == 2)
    told = worker.scrape().split()
    assert not [
        line for line in told if line.startswith(("database_node_up", "database_node_primary", "cache_tier_up"))
    ]


def test_a_port_that_is_taken_costs_no_job(started):
    with socket.create_server(("", 0)) as taken:
        worker = started("--concurrency", "1", port=taken.getsockname()[1])
        worker.run("pid", times=2)
        lines = [json.loads(line) for line in worker.log.read_text().splitlines() if line.startswith("{")]
    (told,) = [line["message"] for line in lines if "SEAWALL_WORKER_METRICS_PORT" in line["message"]]
    assert "Address already in use" in told
