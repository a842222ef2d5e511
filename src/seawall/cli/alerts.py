"""`seawall alerts --out DIR`: rules with their tests, routing, dashboards and the runbook of a service."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seawall.alerts import RUNBOOK, AlertPlan, Objective, generate
from seawall.alerts.prometheus import GENERATED
from seawall.core import MissingExtraError, OptionError
from seawall.telemetry.catalogue import METRICS

WRITTEN, STALE, FAILED = 0, 1, 2
"""Exit codes: written or fresh, `--check` found stale files, it could not run."""

_WHAT = {
    "prometheus.yml": "what Prometheus scrapes",
    "alertmanager.yml": "an example of routing",
    "rules": "rules for Prometheus",
    "tests": "their tests, for promtool",
    "grafana": "dashboards to import",
}


class _UnreadableError(Exception):
    """`--objectives` leads nowhere."""


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        "alerts",
        help="write alert rules, their tests, routing, dashboards and the runbook",
        description="Makes the files of Prometheus, Alertmanager and Grafana from objectives declared in Python.",
        epilog="Exit code: 0 written or, with --check, fresh; 1 --check found stale files; 2 it could not run.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the files go")
    parser.add_argument("--service", metavar="NAME", help="the service's name, and its job in Prometheus")
    parser.add_argument(
        "--objectives", metavar="MODULE:NAME", help="an AlertPlan or a list of Objective, such as shop.objectives:PLAN"
    )
    parser.add_argument("--runbook", type=Path, metavar="FILE", help=f"where the runbook goes (default DIR/{RUNBOOK})")
    parser.add_argument("--runbook-url", metavar="URL", help="what alerts point at (default the runbook's file)")
    parser.add_argument("--check", action="store_true", help="write nothing; name the files that are not fresh")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    try:
        from rich.console import Console  # noqa: PLC0415 - its package is an extra
    except ImportError:
        return _failed(str(MissingExtraError("seawall alerts", "rich", "cli")))
    # A path is wider than some terminals, and must not be broken.
    console = Console(highlight=False, soft_wrap=True)
    try:
        plan = _plan(given)
        texts = generate(plan, METRICS)
        files = {_place(given, name): text for name, text in texts.items()}
        stale = [path for path, text in files.items() if _read(path) != text]
        leftover = _leftover(given.out, files)
        if given.check:
            return _checked(console, stale, leftover)
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
        for path in leftover:
            path.unlink()
    except (OptionError, _UnreadableError) as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{type(error).__name__}: {error}")
    _show(console, given, plan, stale, leftover)
    return WRITTEN


def _plan(given: argparse.Namespace) -> AlertPlan:
    found = _objectives(given.objectives) if given.objectives else ()
    changes: dict[str, Any] = {}
    if isinstance(found, AlertPlan):
        plan = found
    else:
        if not given.service:
            raise _UnreadableError("no service: give --service NAME, or an AlertPlan by --objectives")
        plan = AlertPlan(service=given.service, objectives=found)
    if given.service:
        changes["service"] = given.service
    if given.runbook_url:
        changes["runbook"] = given.runbook_url
    elif given.runbook:
        changes["runbook"] = given.runbook.as_posix()
    return dataclasses.replace(plan, **changes) if changes else plan


def _objectives(text: str) -> AlertPlan | Sequence[Objective]:
    module, _, name = text.partition(":")
    if not module or not name:
        raise _UnreadableError(f"--objectives is {text!r}; allowed: MODULE:NAME, such as shop.objectives:PLAN")
    here = str(Path.cwd())
    if here not in sys.path:  # the script's own folder is there, not the one it is called in
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise _UnreadableError(f"--objectives: {module!r} can't be imported: {error}") from error
    except AttributeError as error:
        raise _UnreadableError(f"--objectives: {error}") from error
    if isinstance(found, AlertPlan):
        return found
    if isinstance(found, (list, tuple)) and all(isinstance(one, Objective) for one in found):
        return found
    raise _UnreadableError(
        f"--objectives: {text} is {type(found).__name__}; allowed: an AlertPlan, a list of Objective"
    )


def _place(given: argparse.Namespace, name: str) -> Path:
    if name == RUNBOOK and given.runbook is not None:
        return Path(given.runbook)
    return Path(given.out) / name


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _leftover(out: Path, files: Mapping[Path, str]) -> list[Path]:
    """Rules and tests of ours that belong to no group any more; Prometheus would still load them."""
    found = [path for folder in ("rules", "tests") for path in sorted((out / folder).glob("*.yml"))]
    return [path for path in found if path not in files and GENERATED in (_read(path) or "").partition("\n")[0]]


def _checked(console: Any, stale: Sequence[Path], leftover: Sequence[Path]) -> int:
    for path in stale:
        what = "is not what the declarations say" if path.exists() else "is missing"
        console.print(f"[yellow]stale[/] {_shown(path)} {what}")
    for path in leftover:
        console.print(f"[yellow]stale[/] {_shown(path)} is not written any more")
    if stale or leftover:
        console.print("Run the same command without --check.")
        return STALE
    console.print("[green]fresh[/] every file is what the declarations say")
    return WRITTEN


def _show(
    console: Any, given: argparse.Namespace, plan: AlertPlan, stale: Sequence[Path], leftover: Sequence[Path]
) -> None:
    alerts = [alert for group in plan.groups for alert in group.alerts]
    cases = sum(len(alert.cases) for alert in alerts)
    console.print(
        f"[bold]{plan.service}[/] · {len(plan.objectives)} objectives · {len(alerts)} alerts in {len(plan.groups)} "
        f"groups · {cases} cases that try them"
    )
    for name, what in _WHAT.items():
        console.print(f"  [green]{_shown(given.out / name)}[/]  [dim]{what}[/]")
    console.print(f"  [green]{_shown(_place(given, RUNBOOK))}[/]  [dim]what each alert means, and what to do[/]")
    for path in stale:
        console.print(f"[bold]wrote[/]   {_shown(path)}")
    for path in leftover:
        console.print(f"[bold]removed[/] {_shown(path)}")
    if not stale and not leftover:
        console.print("Nothing has changed.")


def _shown(path: Path) -> str:
    """A path with what rich takes for markup escaped."""
    return str(path).replace("[", "\\[")


def _failed(message: str) -> int:
    sys.stderr.write(f"seawall: {message}\n")
    return FAILED
