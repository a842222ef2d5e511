"""A thread for a function that may never come back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OneThread(Executor):
    """Runs one function at a time in a daemon thread made for it.

    Not the threads of the event loop: a function that is stuck would take one from everybody else, and keep the process
    from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: Future[object] | None = None

    @property
    def busy(self) -> bool:
        """Whether the function still runs, awaited or not."""
        return self._running is not None and not self._running.done()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn`. Raises `RuntimeError` while another runs, and where no thread can be started."""
        if self.busy:
            message = f"{self._name} still runs"
            raise RuntimeError(message)
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # from here on nobody can cancel it, as nobody can stop a thread

        def work() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - whoever awaits it gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        Thread(target=work, name=self._name, daemon=True).start()
        self._running = future  # type: ignore[assignment]  # only asked whether it is done
        return future
