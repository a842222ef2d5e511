"""Jobs for warming, and what is known of them."""

import asyncio
from typing import Any


class Work:
    """Jobs that take a second, and what is known of them."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.running = 0
        self.most = 0

    async def __call__(self, name: str, *, seconds: float = 1.0, error: BaseException | None = None) -> None:
        self.begun.append(name)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(seconds)
            if error is not None:
                raise error
            self.done.append(name)
        finally:
            self.running -= 1


def jobs(work: Work, name: str, count: int, **options: Any):
    """A strategy of `count` jobs."""

    async def strategy():
        for number in range(count):
            yield work(f"{name}{number}", **options)

    return strategy


def alone() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}
