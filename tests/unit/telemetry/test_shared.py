"""The metrics of several processes, with real processes that are killed."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seawall.core import OptionError
from seawall.telemetry.metrics import Across, Metrics, memory
from seawall.telemetry.shared import SharedFolder

WORKER = """
import sys
from pathlib import Path
from seawall.telemetry.metrics import Across, Metrics
from seawall.telemetry.shared import SharedFolder

metrics = Metrics()
metrics.move(SharedFolder(Path(sys.argv[1])))
done = metrics.counter("done_total", "Things.", labels=("kind",))
took = metrics.histogram("took_seconds", "Time.", buckets=(0.1, 1.0))
active = metrics.gauge("active", "Under way.")
worst = metrics.gauge("worst", "State.", across=Across.MAX)
for number in range(int(sys.argv[2])):
    done.inc(kind="a")
    took.observe(0.5)
active.set(1)
worst.set(int(sys.argv[2]))
print("ready", flush=True)
sys.stdin.read()
"""


def worker(folder: Path, count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), str(count)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.kill()
        process.communicate()


def test_processes_add_up_and_a_killed_one_loses_nothing(tmp_path):
    own = SharedFolder(tmp_path)
    metrics = Metrics()
    done = metrics.counter("done_total", "Things.", labels=("kind",))
    done.inc(5, kind="a")
    metrics.move(own)
    done.inc(kind="a")
    first, second = worker(tmp_path, 10), worker(tmp_path, 20)
    totals = own.totals()
    assert totals["done_total"]["a",] == [36]
    assert totals["took_seconds"][()] == [0, 30, 0, 15.0]
    assert (totals["active"][()], totals["worst"][()]) == ([2], [20])
    kill(second)
    totals = own.totals()
    assert totals["done_total"]["a",] == [36]
    assert totals["took_seconds"][()] == [0, 30, 0, 15.0]
    assert (totals["active"][()], totals["worst"][()]) == ([1], [10])
    kill(first)
    assert own.totals()["done_total"]["a",] == [36]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".index", ".json", ".values"]
    own.close()


def test_the_folder_stays_small_however_often_processes_are_replaced(tmp_path):
    for number in range(1000):
        metrics = Metrics()
        folder = SharedFolder(tmp_path)
        metrics.move(folder)
        metrics.counter("done_total", "Things.", labels=("kind",)).inc(kind="a")
        folder.close()
        if number % 50 == 0:
            reader = SharedFolder(tmp_path)
            assert reader.totals()["done_total"]["a",] == [number + 1]
            reader.close()
    reader = SharedFolder(tmp_path)
    assert reader.totals()["done_total"]["a",] == [1000]
    assert len(list(tmp_path.iterdir())) <= 4
    reader.close()


def test_a_fold_that_was_cut_short_counts_nothing_twice(tmp_path):
    kill(worker(tmp_path, 10))
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix in {".index", ".values"}}
    reader = SharedFolder(tmp_path)
    assert reader.totals()["done_total"]["a",] == [10]
    # As if it had been killed after the archive was written, before the files were removed.
    for name, data in left.items():
        (tmp_path / name).write_bytes(data)
    assert reader.totals()["done_total"]["a",] == [10]
    assert reader.totals()["done_total"]["a",] == [10]
    reader.close()


def test_a_process_stopped_while_it_reads_holds_up_nobody_for_long(tmp_path):
    first = worker(tmp_path, 1)
    holding = subprocess.Popen(
        [
            sys.executable, "-c",
            "import fcntl, os, sys, time; file = os.open(sys.argv[1], os.O_RDWR); fcntl.flock(file, fcntl.LOCK_EX);"
            "print('held', flush=True); time.sleep(60)", str(tmp_path / "lock"),
        ],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holding.stdout is not None
    holding.stdout.readline()
    os.kill(holding.pid, signal.SIGSTOP)
    reader = SharedFolder(tmp_path)
    began = time.monotonic()
    assert reader.totals()["done_total"]["a",] == [1]
    assert time.monotonic() - began < 5
    reader.close()
    kill(first, holding)


def test_an_archive_that_is_no_more_one_is_left_behind(tmp_path, caplog):
    (tmp_path / "archive.json").write_text("{torn")
    reader = SharedFolder(tmp_path)
    assert reader.totals() == {}
    assert "can't be read" in caplog.text
    reader.close()


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="a folder one can write to"):
        SharedFolder(tmp_path / "file" / "below")


def test_on_a_full_disk_counting_goes_on_in_this_process(tmp_path, monkeypatch, caplog):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    folder = SharedFolder(tmp_path)
    metrics = Metrics()
    metrics.move(folder)
    monkeypatch.setattr(os, "posix_fallocate", full)
    for kind in range(3):
        metrics.counter("done_total", "Things.", labels=("kind",)).inc(kind=kind)
    assert caplog.text.count("No space left") == 1
    assert metrics.counter("done_total", "Things.", labels=("kind",)).labels(0).value == 1
    folder.close()


def test_many_series_take_many_pages(tmp_path):
    folder = SharedFolder(tmp_path)
    metrics = Metrics(most_series=3000)
    metrics.move(folder)
    took = metrics.histogram("took_seconds", "Time.", labels=("n",))
    for number in range(3000):
        took.observe(number, n=number)
    totals = folder.totals()["took_seconds"]
    assert len(totals) == 3000
    assert totals["2999",][-1] == 2999
    assert metrics.gauge("a", "A.", across=Across.MIN).labels().value == 0
    folder.close()


def test_a_process_that_was_forked_off_begins_with_nothing():
    metrics = Metrics()
    counted, least, most = (
        metrics.counter("counted_total", "Counted."),
        metrics.gauge("least", "Least.", across=Across.MIN),
        metrics.gauge("most", "Most.", across=Across.MAX),
    )
    counted.inc(3)
    least.set(0.25)
    most.set(0.75)
    before = counted.labels().values
    metrics.move(memory, anew=True)
    assert [family.labels().value for family in (counted, least, most)] == [0.0, math.inf, 0.0]
    assert before[0] == 3.0, "the parent's number, where both have it mapped"
