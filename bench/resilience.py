"""`python -m bench.resilience`: measures Seawall and every peer that is installed, interleaved in one run."""

import argparse
import asyncio
import gc
import os
import platform
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.model import Table
from bench.plan import Plan
from bench.registry import Peer, load
from bench.report import as_json, markdown, print_table
from bench.run import Bar, Run
from bench.scenarios import SCENARIOS
from bench.targets import verdicts

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench and return the exit status: 1 when `--check` is given and a target is missed."""
    options = _options(arguments)
    warnings.simplefilter("ignore")  # the peers' own deprecations are not the subject
    plan = Plan.quick() if options.quick else Plan()
    if options.rounds:
        plan = replace(plan, rounds=options.rounds)
    try:
        peers = load(options.peers)
    except LookupError as error:
        sys.exit(f"bench: {error}")
    console = Console()
    gc.collect()
    gc.freeze()  # so that the collections between laps look at the contenders, not at the imports
    tables = asyncio.run(_measure(options.only or list(SCENARIOS), peers, plan, console))
    found = verdicts(tables)
    about = _about(peers, plan)
    if not (options.only or options.peers):  # a part of the picture never replaces the whole
        stem = "resilience-quick" if options.quick else "resilience"
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{stem}.md").write_text(markdown(tables, found, about), encoding="utf-8")
        (RESULTS / f"{stem}.json").write_text(as_json(tables, found, about), encoding="utf-8")
        console.print(f"written: bench/results/{stem}.md and {stem}.json")
    return int(options.check and any(verdict.reached is not True for verdict in found))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.resilience", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds a scenario")
    parser.add_argument("--rounds", type=_rounds, metavar="N", help="rounds per scenario")
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), help="this scenario; repeat for more")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=[], metavar="A,B", help="these peers")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    return parser.parse_args(arguments)


def _rounds(text: str) -> int:
    """Read a number of rounds; a median and its spread need two."""
    rounds = int(text)
    if rounds < 2:  # noqa: PLR2004
        message = f"at least 2 rounds, not {rounds}"
        raise argparse.ArgumentTypeError(message)
    return rounds


async def _measure(keys: Sequence[str], peers: Sequence[Peer], plan: Plan, console: Console) -> dict[str, Table]:
    """Run the scenarios one after the other and print each table as soon as it is there."""
    tables: dict[str, Table] = {}
    asyncio.get_running_loop().set_exception_handler(lambda _, __: None)  # a peer's stray task is its own affair
    for number, key in enumerate(keys, 1):
        with _progress(console) as progress:
            bar = _bar(progress, f"{number}/{len(keys)} {key}")
            tables[key] = await SCENARIOS[key](Run(peers=peers, plan=plan, bar=bar))
        own = [verdict for verdict in verdicts({key: tables[key]}) if verdict.target.scenario == key]
        print_table(console, tables[key], own)
    return tables


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


def _about(peers: Sequence[Peer], plan: Plan) -> dict[str, Any]:
    versions = {name: version for peer in peers for name, version in peer.versions.items()}
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "rounds": plan.rounds,
        "lap": f"{plan.lap * 1e3:g} ms",
        "versions": dict(sorted(versions.items())),
    }


if __name__ == "__main__":
    sys.exit(main())
