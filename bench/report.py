"""Writes the tables: to the terminal, as markdown, and as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from bench.model import Column, Figure, Format, Row, Table
from bench.targets import SEAWALL, Verdict

_DASH = "–"
_FORMATS: dict[Format, str] = {
    "ns": "{:,.0f}",
    "count": "{:,.0f}",
    "ratio": "{:,.2f}",
    "per call": "{:,.2f}",
    "percent": "{:.0%}",
    "bytes": "{:,.1f} B",
    "seconds": "{:.2f} s",
    "ms": "{:,.2f} ms",
    "us": "{:,.1f} µs",
    "points": "{:.1f}%",
    "text": "{}",
}
_NOTHING = 0.05
"""Bytes below which a growth is the noise of the tracer."""


def written(figure: Figure, column: Column) -> str:
    """Write one figure the way its column asks for."""
    if figure is None:
        return _DASH
    if column.format == "yes":
        return "yes" if figure else "no"
    if isinstance(figure, str):
        return figure
    if column.format == "bytes" and abs(figure) < _NOTHING:
        return "0 B"
    text = _FORMATS[column.format].format(figure)
    return "0%" if text == "-0%" else text


def cells(row: Row, columns: Sequence[Column]) -> list[str]:
    """Return the cells of a row after its name."""
    if row.failed:
        return [f"failed: {row.failed.split(':')[0]}", *([""] * (len(columns) - 1))]
    if row.absent:
        return [_DASH] * len(columns)
    return [written(row.figures.get(column.key), column) for column in columns]


def footnotes(table: Table) -> Iterator[str]:
    """Yield what a reader of the table must know about single contenders."""
    for row in table.rows:
        if row.note and row.figures:
            yield f"{row.name}: {row.note}"
    for row in table.rows:
        if row.failed:
            yield f"{row.name} failed: {row.failed}"
    reasons: dict[str, list[str]] = {}
    for row in table.rows:
        if row.absent and not row.reference:
            reasons.setdefault(row.absent, []).append(row.name)
    for reason, names in reasons.items():
        yield f"{_DASH} {', '.join(names)}: {reason}"


def _own(row: Row) -> bool:
    return row.name.split()[0] == SEAWALL


def _shown(table: Table) -> list[Row]:
    return [row for row in table.rows if not (row.reference and row.absent)]


def verdict_line(verdict: Verdict) -> str:
    """Write a target beside its figure."""
    mark = {True: "reached", False: "MISSED", None: "not measured"}[verdict.reached]
    figure = "" if verdict.figure is None else f": {verdict.figure:,.2f}"
    return f"{mark} · {verdict.target.bound:g} {verdict.target.text}{figure}"


def print_table(console: Console, table: Table, verdicts: Sequence[Verdict]) -> None:
    """Print one scenario with its footnotes and targets."""
    grid = Grid(title=table.head.title, caption=table.head.what, title_justify="left", caption_justify="left")
    grid.add_column("", no_wrap=True)
    for column in table.columns:
        grid.add_column(column.heading, justify="right")
    for row in _shown(table):
        style = "bold cyan" if _own(row) else "dim" if row.reference or row.absent else ""
        grid.add_row(row.name, *map(Text, cells(row, table.columns)), style=style)
    console.print(grid)
    for line in footnotes(table):
        console.print(Text(f"  {line}", style="dim"))
    colors = {True: "green", False: "red", None: "yellow"}
    for verdict in verdicts:
        console.print(Text(f"  {verdict_line(verdict)}", style=colors[verdict.reached]))
    console.print()


def markdown(title: str, tables: Mapping[str, Table], verdicts: Sequence[Verdict], about: Mapping[str, Any]) -> str:
    """Return the whole result as markdown."""
    lines = [f"# {title}", ""]
    lines += [f"- {name}: {value}" for name, value in about.items() if name != "versions"]
    lines += ["- versions: " + ", ".join(f"{name} {version}" for name, version in about["versions"].items()), ""]
    for table in tables.values():
        lines += [f"## {table.head.title}", "", f"`{table.head.key}` — {table.head.what}", ""]
        lines.append("| | " + " | ".join(column.heading for column in table.columns) + " |")
        lines.append("|---|" + "---:|" * len(table.columns))
        for row in _shown(table):
            name = f"**{row.name}**" if _own(row) else f"*{row.name}*" if row.reference else row.name
            lines.append(f"| {name} | " + " | ".join(cells(row, table.columns)) + " |")
        lines.append("")
        lines += [f"- {line}" for line in footnotes(table)]
        own = [verdict for verdict in verdicts if verdict.target.scenario == table.head.key]
        lines += [f"- target {verdict_line(verdict)}" for verdict in own]
        lines.append("")
    return "\n".join(lines)


def as_json(tables: Mapping[str, Table], verdicts: Sequence[Verdict], about: Mapping[str, Any]) -> str:
    """Return the whole result as JSON, every figure unrounded."""
    result = {
        "about": dict(about),
        "targets": [
            {
                "scenario": verdict.target.scenario,
                "target": verdict.target.text,
                "most": verdict.target.most,
                "least": verdict.target.least,
                "figure": verdict.figure,
                "reached": verdict.reached,
            }
            for verdict in verdicts
        ],
        "scenarios": {
            key: {"title": table.head.title, "what": table.head.what, "rows": [asdict(row) for row in table.rows]}
            for key, table in tables.items()
        },
    }
    return json.dumps(result, indent=2, ensure_ascii=False) + "\n"
