"""A worker process that has counted, and can be asked for all metrics of all of them: a child of `scrape`.

`python -m bench.counted <peer module> <folder>`. Command: `scrape`.
"""

import os
import sys
import time
from pathlib import Path

from bench.children import Parent
from bench.registry import find


def main(path: str, folder: str) -> None:
    """Be a worker until the parent is gone."""
    parent = Parent()
    try:
        scrape = find(path).counting(Path(folder))
        parent.say("ready")
        for _ in parent:
            wall, cpu = time.perf_counter(), time.thread_time()
            body: bytes = scrape()
            took = {"wall": time.perf_counter() - wall, "cpu": time.thread_time() - cpu}
            parent.say({**took, "bytes": len(body), "total": _total(body)})
    except Exception as error:  # noqa: BLE001  the scenario writes it into the table
        parent.fail(error)
    os._exit(0)


def _total(body: bytes) -> float:
    """The sum of all that was counted, over all processes."""
    return sum(float(line.rpartition(b" ")[2]) for line in body.splitlines() if line.startswith(b"requests_total{"))


if __name__ == "__main__":
    main(*sys.argv[1:])
