"""Processes that live for a whole scenario and do as they are told: one JSON value a line, over their pipes.

They are started afresh as `python -m`, so that each has nothing but what its contender loads, and they end when their
parent does.
"""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from bench.measure import describe

_END = 5.0
_TOLD = 400
"""How many characters of a child's last words are told."""


class ChildError(Exception):
    """A child could not do it, has ended, or took too long."""


class Child:
    """A process that runs `module` of the bench; use it with `with`.

    core: the processor it is kept on, if there are several. Whatever it prints goes to a file in `folder`.
    """

    def __init__(self, module: str, *arguments: str, folder: Path, core: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.module = module
        self._log = folder / "output.txt"
        self._buffer = b""
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                bufsize=0,
            )
        if core is not None and hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > core:
            os.sched_setaffinity(self._process.pid, {core})

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END)
        self._process.stdout.close()

    def ask(self, command: str, *, within: float, **given: Any) -> Any:
        """Have it do `command` within so many seconds, and return what it answered. Raises `ChildError`."""
        self.tell(command, **given)
        return self.answer(within)

    def tell(self, command: str, **given: Any) -> None:
        """Begin what `answer` ends."""
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps({"command": command, **given}).encode() + b"\n")
        except OSError:
            raise ChildError(self._last_words()) from None

    def answer(self, seconds: float) -> Any:
        """What it says next; when it has just been started, that it is ready."""
        answer = json.loads(self._line(time.monotonic() + seconds))
        if "error" in answer:
            raise ChildError(answer["error"])
        return answer["answer"]

    def _line(self, ends: float) -> bytes:
        assert self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, ends - time.monotonic())):
                    message = f"{self.module} took too long"
                    raise ChildError(message)
                data = os.read(self._process.stdout.fileno(), 65_536)
                if not data:
                    raise ChildError(self._last_words())
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines() or [f"{self.module} ended"]
        return lines[-1][:_TOLD]


class Parent:
    """What a child hears and says; whatever else is printed goes to standard error."""

    def __init__(self) -> None:
        self._heard: TextIO = os.fdopen(os.dup(0), "r", encoding="utf-8")
        self._said = os.dup(1)
        os.dup2(2, 1)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Commands, until there is nobody to give any."""
        while (command := self.hear()) is not None:
            yield command

    def hear(self) -> dict[str, Any] | None:
        """The next command, when it comes; None when there is nobody any more."""
        line = self._heard.readline()
        command: dict[str, Any] | None = json.loads(line) if line else None
        return command

    def say(self, answer: Any) -> None:
        """Answer."""
        self._write({"answer": answer})

    def fail(self, error: BaseException) -> None:
        """Answer that it could not be done."""
        self._write({"error": describe(error)})

    def _write(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self._said, data) :]
