"""What every suite does: read the command line, measure, print, and write the results."""

import argparse
import asyncio
import gc
import os
import platform
import sys
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.model import Table
from bench.plan import Plan
from bench.registry import Peer, load
from bench.report import as_json, markdown, print_table
from bench.run import Bar, Run
from bench.targets import Target, verdicts

RESULTS = Path(__file__).parent / "results"
Scenario = Callable[[Run], Awaitable[Table]]


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A part of Seawall and what it is measured with.

    name: of the module that is run, and of the result files. peers: the package with a module a contender. missing:
    for each ability, what a library lacks that does not offer it. long: what `--long` makes of a plan.
    """

    name: str
    title: str
    peers: ModuleType
    missing: Mapping[str, str]
    scenarios: Mapping[str, Scenario]
    targets: Sequence[Target]
    long: Callable[[Plan], Plan] | None = None

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run the suite and return the exit status: 1 when `--check` is given and a target is missed."""
        options = self._options(arguments)
        warnings.simplefilter("ignore")  # the peers' own deprecations are not the subject
        plan = Plan.quick() if options.quick else Plan()
        if options.rounds:
            plan = replace(plan, rounds=options.rounds)
        if self.long is not None and options.long:
            plan = self.long(plan)
        try:
            peers = load(self.peers, self.missing, options.peers)
        except LookupError as error:
            sys.exit(f"bench: {error}")
        console = Console()
        gc.collect()
        gc.freeze()  # so that the collections between laps look at the contenders, not at the imports
        before = _ticks()
        tables = asyncio.run(self._measure(options.only or list(self.scenarios), peers, plan, console))
        found = verdicts(self.targets, tables)
        about = _about(peers, plan, before)
        if not (options.only or options.peers):  # a part of the picture never replaces the whole
            stem = f"{self.name}-quick" if options.quick else self.name
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{stem}.md").write_text(markdown(self.title, tables, found, about), encoding="utf-8")
            (RESULTS / f"{stem}.json").write_text(as_json(tables, found, about), encoding="utf-8")
            console.print(f"written: bench/results/{stem}.md and {stem}.json")
        return int(options.check and any(verdict.reached is not True for verdict in found))

    def _options(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        parser = argparse.ArgumentParser(prog=f"python -m bench.{self.name}", description=self.title)
        scenarios = list(self.scenarios)
        parser.add_argument("--quick", action="store_true", help="a few seconds a scenario")
        parser.add_argument("--rounds", type=_rounds, metavar="N", help="rounds per scenario")
        parser.add_argument("--only", action="append", choices=scenarios, help="this scenario; repeat for more")
        parser.add_argument("--peers", type=lambda text: text.split(","), default=[], metavar="A,B", help="these peers")
        parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
        if self.long is not None:
            parser.add_argument("--long", action="store_true", help="with what takes minutes")
        return parser.parse_args(arguments)

    async def _measure(
        self, keys: Sequence[str], peers: Sequence[Peer], plan: Plan, console: Console
    ) -> dict[str, Table]:
        """Run the scenarios one after the other and print each table as soon as it is there."""
        tables: dict[str, Table] = {}
        asyncio.get_running_loop().set_exception_handler(lambda _, __: None)  # a peer's stray task is its own affair
        for number, key in enumerate(keys, 1):
            with _progress(console) as progress:
                bar = _bar(progress, f"{number}/{len(keys)} {key}")
                tables[key] = await self.scenarios[key](Run(peers=peers, plan=plan, bar=bar))
            found = verdicts(self.targets, {key: tables[key]})
            print_table(console, tables[key], found)
        return tables


def _rounds(text: str) -> int:
    """Read a number of rounds; a median and its spread need two."""
    rounds = int(text)
    if rounds < 2:  # noqa: PLR2004
        message = f"at least 2 rounds, not {rounds}"
        raise argparse.ArgumentTypeError(message)
    return rounds


def _progress(console: Console) -> Progress:
    """Return a progress bar that draws only when it is told to: no thread of its own beside the measurement."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    return Progress(*columns, TimeElapsedColumn(), console=console, auto_refresh=False, transient=True)


def _bar(progress: Progress, description: str) -> Bar:
    def start(steps: int) -> Callable[[], None]:
        task = progress.add_task(description, total=steps)

        def tick() -> None:
            progress.advance(task)
            progress.refresh()

        progress.refresh()
        return tick

    return start


def _ticks() -> list[int]:
    """The processor's time by use, as Linux counts it; the eighth is what other virtual machines took."""
    stat = Path("/proc/stat")
    return [int(ticks) for ticks in stat.read_text().split()[1:9]] if stat.exists() else []


def _stolen(before: Sequence[int]) -> str:
    """The share of the time wanted since `before` that other virtual machines took."""
    used = [now - then for now, then in zip(_ticks(), before, strict=True)]
    if not used:
        return "unknown"
    wanted = sum(used) - used[3] - used[4]
    return f"{used[7] / max(1, wanted):.0%} of the processor time wanted"


def _about(peers: Sequence[Peer], plan: Plan, before: Sequence[int]) -> dict[str, Any]:
    versions = {name: version for peer in peers for name, version in peer.versions.items()}
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "stolen": _stolen(before),
        "rounds": plan.rounds,
        "lap": f"{plan.lap * 1e3:g} ms",
        "versions": dict(sorted(versions.items())),
    }
