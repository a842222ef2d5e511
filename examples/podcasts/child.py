"""Child processes that tell when they are up, and never outlive their parent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

TERMINATE_TIMEOUT = 3.0
"""Seconds a process has to end by itself before it is killed."""


class ChildError(Exception):
    """A child process did not start."""


@contextmanager
def child(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    start_timeout: float = 60.0,
    errors: IO[bytes] | None = None,
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """Run `python -m *arguments` for the duration of the `with` block.

    Yields the process and the line of JSON that it prints when it is up. Raises `ChildError`, with what it wrote to
    standard error (into `errors`, where given), if no line came within `start_timeout` seconds. The process gets
    SIGTERM with the end of the block, SIGKILL three seconds later, and an end of its standard input if this one dies.
    """
    examples = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, (examples, os.environ.get("PYTHONPATH"))))
    with (
        tempfile.TemporaryFile() as kept,
        subprocess.Popen(  # noqa: S603 - this interpreter with these arguments
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors or kept,
            env={**os.environ, **(environment or {}), "PYTHONPATH": path},
            # A Ctrl-C in the terminal is for the parent, which ends its children in order.
            process_group=0,
        ) as process,
    ):
        try:
            yield process, _first_line(process, errors or kept, start_timeout)
        finally:
            _end(process)


def announce(line: Mapping[str, Any]) -> None:
    """In a child: tell the parent that everything is up."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def end_asked(*, until_stdin_closes: bool) -> asyncio.Event:
    """In a child: an event that is set by SIGTERM, SIGINT, and the end of standard input if `until_stdin_closes`."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if until_stdin_closes:
        threading.Thread(target=_watch_stdin, args=(loop, ended), daemon=True).start()
    return ended


def _watch_stdin(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    # `os.read`, not `sys.stdin`: a thread inside the buffered reader would abort the interpreter at its exit.
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(ended.set)


def _first_line(process: subprocess.Popen[bytes], errors: IO[bytes], timeout: float) -> dict[str, Any]:
    """Read the line of JSON that the process prints, in a thread, because a pipe has no portable timeout."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda stdout: lines.append(stdout.readline()), args=(process.stdout,))
    reader.start()
    reader.join(timeout)
    if reader.is_alive() or not lines[0]:
        _end(process)
        reader.join()
        errors.seek(0)
        written = errors.read().decode(errors="replace").strip() or "nothing"
        command = subprocess.list2cmdline(process.args[1:] if isinstance(process.args, list) else [])
        message = (
            f"python {command} did not come up within {timeout:g} s (exit code {process.returncode}); "
            f"it wrote: {written}"
        )
        raise ChildError(message)
    line: dict[str, Any] = json.loads(lines[0])
    return line


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(TERMINATE_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
