"""Folders swept by processes that are killed meanwhile, and by the workers of a real service."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from seawall.files import Retention

SWEEP = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from seawall.files import Retention
from seawall.testing import FakeClock

clock = FakeClock(datetime.now(UTC) + timedelta(hours=float(sys.argv[2])))
print("sweeps", flush=True)
report = asyncio.run(Retention(sys.argv[1], clock=clock).sweep())
print(len(report.removed), len(report.failed))
"""


def sweeping(folder: Path, hours: float) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SWEEP, str(folder), str(hours)], stdout=subprocess.PIPE, text=True)


def fill(folder: Path, entries: int) -> None:
    for number in range(entries):
        deep = folder / f"session-{number}" / "charts"
        deep.mkdir(parents=True)
        for file in range(3):
            (deep / str(file)).write_bytes(b"x" * 100)


def test_a_sweep_that_is_killed_leaves_whole_entries_and_the_next_one_ends_it(tmp_path):
    folder = tmp_path / "uploads"
    fill(folder, 800)
    kills = 0
    for _ in range(4):
        with sweeping(folder, 49) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "sweeps\n"
            before = len(list(folder.iterdir()))
            until = time.monotonic() + 20
            while len(list(folder.iterdir())) > before - 30 and time.monotonic() < until and process.poll() is None:
                time.sleep(0.005)
            kills += process.poll() is None
            process.kill()
        for left in folder.glob("session-*"):
            assert len(list((left / "charts").iterdir())) == 3
    assert kills >= 2
    # What the killed ones left is taken for abandoned five minutes later.
    with sweeping(folder, 50) as process:
        out, _ = process.communicate(timeout=60)
    assert out.split()[2] == "0"
    assert list(folder.iterdir()) == []


def test_processes_that_sweep_at_once_remove_each_entry_once(tmp_path):
    folder = tmp_path / "uploads"
    fill(folder, 400)
    processes = [sweeping(folder, 49) for _ in range(4)]
    told = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert sum(int(removed) for _, removed, _ in told) == 400
    assert {failed for _, _, failed in told} == {"0"}
    assert list(folder.iterdir()) == []


def test_requests_go_on_while_a_large_folder_is_swept(tmp_path):
    folder = tmp_path / "uploads"
    fill(folder, 800)

    async def main() -> int:
        sweep = asyncio.create_task(Retention(folder).sweep())
        turns = 0
        while not sweep.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert (await sweep).kept == 800
        return turns

    # A sweep on the loop itself would leave it one turn, or two.
    assert asyncio.run(main()) > 10
