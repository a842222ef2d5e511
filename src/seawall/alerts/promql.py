"""Pieces of Prometheus's query language as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def duration(seconds: float) -> str:
    """Whole seconds in the largest unit that fits: `5m`, `90s`, `3d`."""
    return next(f"{int(seconds // size)}{unit}" for size, unit in _UNITS if seconds % size == 0)


def quoted(text: str) -> str:
    """A string as it stands in a query."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def literal(text: str) -> str:
    """A regular expression that matches `text` and nothing else."""
    return re.sub(r"([.^$*+?()\[\]{}|\\])", r"\\\1", text)


def equal(label: str, value: str) -> str:
    """A matcher for one value."""
    return f"{label}={quoted(value)}"


def among(label: str, patterns: Iterable[str]) -> str:
    """A matcher for values that match one of the regular expressions."""
    return f"{label}=~{quoted('|'.join(patterns))}"


def bound(seconds: float) -> str:
    """A matcher for a histogram's bucket: `2` as Prometheus 2 stores it, `2.0` as Prometheus 3 does."""
    text = f"{seconds:g}"
    return equal("le", text) if "." in text else among("le", [rf"{literal(text)}(\.0)?"])


def selector(metric: str, *matchers: str) -> str:
    """A metric and which of its series."""
    given = ",".join(matcher for matcher in matchers if matcher)
    return f"{metric}{{{given}}}" if given else metric


def equals(labels: Mapping[str, str]) -> str:
    """Matchers for all of `labels`."""
    return ",".join(equal(name, value) for name, value in labels.items())
