"""`python -m podcasts.demo`: a podcast service, all that it depends on, traffic, and a bad day for some of it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live

from podcasts.child import ChildError, child
from podcasts.demo.budgets import budgets
from podcasts.demo.checker import Checker
from podcasts.demo.cluster import Cluster
from podcasts.demo.readers import Readers
from podcasts.demo.screen import Screen, summary
from podcasts.demo.story import Story
from podcasts.demo.traffic import Traffic
from podcasts.demo.watch import Watch
from podcasts.generate import EVENTS
from podcasts.stubs.client import Stubs, start_stubs
from seawall.testing import Valkey

SHORTEST = 40.0
LONGEST = 86_400.0
STORY = 90.0
"""Seconds that the story may take when nobody set an end."""
ENDING = 3.0
"""Seconds kept for the summary and for ending the processes."""


@dataclass(frozen=True)
class World:
    """What was started: the service at `url`, with the admin `token`, and what it depends on."""

    stubs: Stubs
    valkey: Valkey
    cluster: Cluster
    url: str
    token: str


def run(seconds: float, events: int, console: Console, *, once: bool) -> int:
    """Start everything, tell the story, end all within `seconds`, or `once` it is told. Returns the exit code."""
    end = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        with console.status("Starting PostgreSQL ...") as status:
            cluster = stack.enter_context(Cluster())
            cluster.fill(
                events, lambda written: status.update(f"Generating data: {written:,} of {events:,} events ...")
            )
            status.update("Making two replicas ...")
            cluster.replicate()
            status.update("Starting the providers and the service ...")
            stubs = stack.enter_context(start_stubs())
            valkey = stack.enter_context(Valkey())
            token = secrets.token_urlsafe(24)
            log = stack.enter_context(tempfile.NamedTemporaryFile(prefix="podcasts-", suffix=".log"))
            open_for = min(4.0, (seconds or STORY) / 8)
            environment = service_environment(stubs, token, open_for=open_for, database_url=cluster.primary.url)
            environment |= {"REDIS_URL": valkey.url, "SEAWALL_SECRET_KEY": secrets.token_hex(16)}
            environment["DATABASE_REPLICA_URLS"] = ",".join(replica.url for replica in cluster.replicas)
            arguments = ["podcasts", "--port=0", "--until-stdin-closes"]
            _, line = stack.enter_context(child(arguments, environment=environment, errors=log.file))
        console.print(f"The service: {line['url']}/docs\nIts log: {log.name}", soft_wrap=True)
        console.print(
            f"Its inside: {line['url']}/admin/breakers, /admin/cache and /admin/database with the token {token}\n",
            soft_wrap=True,
        )
        left = end - time.monotonic() - ENDING if seconds else None
        world = World(stubs, valkey, cluster, line["url"], token)
        return asyncio.run(watch(world, left, console, once=once))


def service_environment(stubs: Stubs, token: str, *, open_for: float, database_url: str) -> dict[str, str]:
    """Where the service finds the stubs and its database, and a breaker that opens for seconds, not half a minute."""
    urls = {f"{name.upper()}_BASE_URL": url for name, url in stubs.providers.items()}
    keys = {f"{name.upper()}_API_KEY": "sk_test_demo" for name in stubs.providers}
    durations = {"PODCASTS_OPEN_FOR": f"{open_for:g}", "PODCASTS_ATTEMPT_TIMEOUT": "2", "PODCASTS_TOTAL_TIMEOUT": "6"}
    return urls | keys | durations | {"SEAWALL_ADMIN_TOKEN": token, "DATABASE_URL": database_url}


async def watch(world: World, seconds: float | None, console: Console, *, once: bool) -> int:
    """Tell the story on the screen; unless `once`, go on until `seconds` are over or somebody presses Ctrl-C."""
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    async with (
        Watch(world.url, world.token) as watching,
        Traffic(world.url) as traffic,
        Readers(world.url) as readers,
        Checker(world.url) as checker,
    ):
        length = STORY if seconds is None else seconds
        story = Story(world.stubs, watching, traffic, readers, world.valkey, checker, world.cluster, length)
        with show(story, console):
            telling = asyncio.create_task(story.tell())
            stopping = asyncio.create_task(interrupted.wait())
            await asyncio.wait({telling, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if telling.done() and telling.exception() is None and not once:
                going_on = asyncio.create_task(story.go_on())
                left = None if seconds is None else max(0.0, seconds - story.elapsed())
                await asyncio.wait({stopping}, timeout=left)
                going_on.cancel()
            telling.cancel()
            stopping.cancel()
            ended = (await asyncio.gather(telling, stopping, return_exceptions=True))[0]
        console.print(summary(story))
        console.print(await budgets(world.url))
    if isinstance(ended, Exception):
        console.print(f"[bold red]The story did not happen:[/] {ended}")
        return 1
    if not story.complete:
        console.print("Stopped before the end of the story.")
        return 130
    console.print(
        "[bold green]The story happened as told:[/] OpenAI, Valkey, a replica and the primary went down and came back, "
        "and nothing was lost."
    )
    return 0


@contextlib.contextmanager
def show(story: Story, console: Console) -> Iterator[None]:
    """A live screen in a terminal; lines elsewhere."""
    if console.is_terminal:
        with Live(Screen(story), console=console, refresh_per_second=8, screen=False):
            yield
    else:
        story.listener = lambda at, words: console.print(f"{at:5.1f} s  {words}")
        yield


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m podcasts.demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.0, help="end after so long; 0 (default): Ctrl-C ends it")
    parser.add_argument("--once", action="store_true", help="end when the story is told")
    parser.add_argument("--events", type=int, default=EVENTS, help=f"attribution events to generate (default {EVENTS})")
    options = parser.parse_args()
    seconds = options.seconds
    if options.events < 0:
        parser.error(f"--events is {options.events}; allowed: 0 or more")
    if seconds and not SHORTEST <= seconds <= LONGEST:
        parser.error(f"--seconds is {seconds:g}; allowed: 0, or {SHORTEST:g} to {LONGEST:g}, so that the story fits")
    console = Console()
    logging.getLogger("seawall").addHandler(logging.NullHandler())  # what happens is told by the story
    # Until the story handles it, a SIGTERM unwinds like Ctrl-C, which ends what was started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run(seconds, options.events, console, once=options.once)
    except ChildError as error:
        console.print(f"[bold red]{error}[/]")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
