"""`seawall analyze URL`: what a database is missing."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from seawall.core import MissingExtraError, OptionError

RAN, FOUND, FAILED, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: nothing at or above the level, something, it could not run, Ctrl-C."""


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        "analyze",
        help="find missing, unused and duplicate indexes, and predicates to rewrite",
        description="Finds the indexes and rewrites that a workload is worth, each checked on a temporary copy.",
        epilog="Exit code: 0 nothing found, 1 findings at or above --fail-on, 2 it could not run.",
    )
    parser.add_argument("url", metavar="URL", nargs="?", help="postgresql://… or sqlite:///file; else $DATABASE_URL")
    parser.add_argument("--queries", type=Path, metavar="FILE", help="a .sql file; else pg_stat_statements")
    parser.add_argument("--sql", action="append", default=[], metavar="SQL", help="a statement, repeatable")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="analyse the N with most time (default 50)")
    parser.add_argument("--sample-rows", type=int, default=50_000, metavar="N", help="rows copied of each table")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="seconds for one statement on a copy")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the report as one HTML file")
    parser.add_argument(
        "--fail-on", choices=("warning", "note", "never"), default="warning", help="the level for exit code 1"
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    try:
        return asyncio.run(_run(given))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


async def _run(given: argparse.Namespace) -> int:
    try:
        from seawall.cli.terminal import Terminal  # noqa: PLC0415 - its package is an extra
    except ImportError:
        return _failed(str(MissingExtraError("seawall analyze", "rich", "cli")))
    try:
        from seawall.database.advisor import AnalysisError, Severity, Statement, analyze, from_sql  # noqa: PLC0415
    except ImportError as error:
        return _failed(str(MissingExtraError("seawall analyze", error.name or "sqlalchemy", "database")))
    url = given.url or os.environ.get("DATABASE_URL")
    if not url:
        return _failed("no database: give a URL or set DATABASE_URL")
    terminal = Terminal()
    try:
        workload: list[Statement] | None = _workload(given, from_sql)
        with terminal.progress(quiet=given.json) as progress:
            report = await analyze(
                url,
                workload,
                limit=given.limit,
                sample_rows=given.sample_rows,
                timeout=given.timeout,
                progress=progress,
            )
        if given.html is not None:
            from seawall.cli.page import page  # noqa: PLC0415

            given.html.write_text(page(report), encoding="utf-8")
    except (AnalysisError, OptionError) as error:
        return _failed(str(error))
    except (OSError, UnicodeDecodeError) as error:
        return _failed(f"{type(error).__name__}: {error}")
    if given.json:
        sys.stdout.write(json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n")
    else:
        terminal.show(report)
    return FOUND if given.fail_on != "never" and report.fails(Severity(given.fail_on)) else RAN


def _workload(given: argparse.Namespace, from_sql: Any) -> Any:
    if given.queries is None and not given.sql:
        return None
    texts = [given.queries.read_text(encoding="utf-8")] if given.queries is not None else []
    return [statement for text in [*texts, *given.sql] for statement in from_sql(text)]


def _failed(message: str) -> int:
    sys.stderr.write(f"seawall: {message}\n")
    return FAILED
