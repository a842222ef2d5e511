"""The report in a terminal: colour and progress where there is one, plain lines in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from seawall.cli import words
from seawall.database.advisor import IndexAdvice, Report, Severity

PIPE_WIDTH = 120
"""Columns where the output is no terminal."""

_COLOURS = {Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


class Terminal:
    """Prints reports on standard output and progress on standard error."""

    def __init__(self) -> None:
        console = Console(highlight=False, soft_wrap=False)
        self._console = console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)
        self._errors = Console(stderr=True, highlight=False)

    @contextmanager
    def progress(self, *, quiet: bool = False) -> Iterator[Callable[[int, int, str], None]]:
        """A progress bar, shown only in a terminal."""
        columns = (BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[statement]}"))
        shown = self._errors.is_terminal and not quiet
        with Progress(*columns, console=self._errors, transient=True, disable=not shown) as bar:
            task = bar.add_task("", total=None, statement="reading the catalogue")

            def tell(done: int, of: int, statement: str) -> None:
                text = statement if len(statement) <= 60 else statement[:59] + "…"  # noqa: PLR2004
                bar.update(task, completed=done, total=of, statement=Text(text).markup)

            yield tell

    def show(self, report: Report) -> None:
        """Print a report."""
        self._line(
            Text(f"{report.database}", "bold"),
            Text(f" · {report.server} · {words.count(report.analysed, 'statement')} analysed"),
        )
        for note in report.notes:
            self._line(Text(note, "yellow"))
        self._indexes(report)
        self._rewrites(report)
        self._problems(report)
        self._skipped(report)
        if not report.findings:
            self._line(Text("Nothing found.", "green"))

    def _line(self, *parts: Text) -> None:
        self._console.print(Text.assemble(*parts))

    def _title(self, text: str) -> None:
        self._console.print()
        self._line(Text(text, "bold underline"))

    def _indexes(self, report: Report) -> None:
        if report.indexes:
            self._title(words.count(len(report.indexes), "index", "indexes") + " worth making")
        for index in report.indexes:
            self._index(index)

    def _index(self, index: IndexAdvice) -> None:
        self._console.print()
        self._console.print(Text(index.ddl, "bold green"), soft_wrap=True)
        self._line(Text(f"  {index.reason}; checked by {index.checked_by}"))
        self._line(Text("  costs  ", "dim"), Text(words.price(index)))
        for gain in index.gains:
            self._line(Text("  helps  ", "dim"), Text(words.gain(gain), "green"))
            count = words.calls(gain)
            assumed = " (values assumed)" if gain.assumed else ""
            self._line(Text(f"         {gain.statement}{' · ' if count else ''}{count}{assumed}", "dim"))

    def _rewrites(self, report: Report) -> None:
        if not report.rewrites:
            return
        self._title(words.count(len(report.rewrites), "predicate") + " to rewrite")
        for found in report.rewrites:
            self._console.print()
            self._line(Text(f"{found.severity:<8}", _COLOURS[found.severity]), Text(found.predicate, "bold"))
            self._line(Text("  because  ", "dim"), Text(found.reason))
            self._line(Text("  instead  ", "dim"), Text(found.rewrite, "green"))
            self._line(Text(f"  in       {found.statement}", "dim"))

    def _problems(self, report: Report) -> None:
        if not report.problems:
            return
        self._title(words.count(len(report.problems), "remark") + " on existing indexes and foreign keys")
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("", "what", "table", "index", "size", "why"):
            table.add_column(column, no_wrap=column != "why", justify="right" if column == "size" else "left")
        for found in report.problems:
            size = words.size(found.bytes) if found.bytes else ""
            level = Text(found.severity, _COLOURS[found.severity])
            table.add_row(level, found.kind, Text(found.table), Text(found.index), size, Text(found.reason))
        self._console.print(table)
        for found in report.problems:
            self._console.print(Text(f"  {found.ddl}", "dim"), soft_wrap=True)

    def _skipped(self, report: Report) -> None:
        if not report.skipped:
            return
        self._title(words.count(len(report.skipped), "statement") + " not analysed")
        for skipped in report.skipped:
            self._line(Text(f"  {skipped.reason}: ", "dim"), Text(skipped.statement))
