"""The command line: `seawall analyze URL`, `seawall alerts --out DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from seawall.cli import alerts, analyze


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="seawall", description="The production layer for Python web services.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    analyze.add_to(commands)
    alerts.add_to(commands)
    given = parser.parse_args(arguments)
    return int(given.run(given))


def script() -> None:
    """The entry point `seawall`."""
    sys.exit(main())
