"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

from html import escape

from seawall.cli import words
from seawall.database.advisor import Gain, IndexAdvice, IndexProblem, Report, RewriteAdvice

_STYLE = """
:root { color-scheme: light dark; --ink: #17212b; --dim: #5d6b7a; --line: #d8dfe6; --paper: #f5f7f9; --card: #fff;
  --good: #0b6e4f; --warning: #9a5b00; --note: #1f5f99; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --dim: #9aa8b5; --line: #2e3a45; --paper: #12181e;
  --card: #1a222a; --good: #5fd3a8; --warning: #f0b45a; --note: #7ab8f0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 18px; margin: 36px 0 12px; }
.dim { color: var(--dim); } .good { color: var(--good); }
.counts { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0; padding: 0; list-style: none; }
.counts li { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 10px 18px; }
.counts b { display: block; font-size: 24px; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px;
  margin: 0 0 14px; }
article p { margin: 6px 0; }
pre { margin: 0 0 8px; padding: 10px 12px; background: var(--paper); border-radius: 8px; overflow-x: auto; }
pre, code { font: 13px/1.5 ui-monospace, monospace; } code { overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 600; color: var(--dim); }
th, td { padding: 6px 12px 6px 0; border-top: 1px solid var(--line); vertical-align: top; }
td.number { text-align: right; white-space: nowrap; } tr:first-child th { border-top: 0; }
.badge { border: 1px solid; border-radius: 99px; padding: 1px 9px; font-size: 12px; }
.warning { color: var(--warning); } .note { color: var(--note); }
"""


def page(report: Report) -> str:
    """The report as HTML. Everything from the database is escaped."""
    counts = (
        (report.analysed, "statements analysed"),
        (len(report.indexes), "indexes worth making"),
        (len(report.rewrites), "predicates to rewrite"),
        (len(report.problems), "remarks on indexes"),
    )
    tiles = "".join(f"<li><b>{count}</b>{name}</li>" for count, name in counts)
    body = "".join(
        (
            f"<h1>{escape(report.database)}</h1><p class=dim>{escape(report.server)}</p>",
            "".join(f"<p class=warning>{escape(note)}</p>" for note in report.notes),
            f"<ul class=counts>{tiles}</ul>",
            "" if report.findings else "<p class=good>Nothing found.</p>",
            _section("Indexes worth making", [_index(index) for index in report.indexes]),
            _section("Predicates to rewrite", [_rewrite(found) for found in report.rewrites]),
            _problems(list(report.problems)),
            _section(
                "Not analysed",
                [f"<p>{escape(one.reason)}: <code>{escape(one.statement)}</code></p>" for one in report.skipped],
            ),
        )
    )
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    title = f"<title>{escape(report.database)} · seawall analyze</title>"
    top = f'<!doctype html>\n<html lang="en"><head>{head}{title}<style>{_STYLE}</style></head>'
    return f"{top}<body><main>{body}</main></body></html>\n"


def _section(title: str, parts: list[str]) -> str:
    return f"<h2>{title}</h2>{''.join(parts)}" if parts else ""


def _badge(level: str) -> str:
    return f'<span class="badge {level}">{level}</span>'


def _index(index: IndexAdvice) -> str:
    gains = "".join(_gain(gain) for gain in index.gains)
    head = "<tr><th>statement</th><th>calls</th><th>cost</th><th>run on a copy</th><th>cheaper</th></tr>"
    return (
        f"<article><pre>{escape(index.ddl)}</pre><p>{escape(index.reason)}; checked by {escape(index.checked_by)}.</p>"
        f"<p class=dim>Costs {escape(words.price(index))}.</p>"
        f"<div class=scroll><table>{head}{gains}</table></div></article>"
    )


def _gain(gain: Gain) -> str:
    run = ""
    if gain.before is not None and gain.after is not None:
        run = f"{gain.before.buffers:,} → {gain.after.buffers:,} {escape(gain.after.unit)}<br>"
        run += f"{gain.before.milliseconds:.2f} → {gain.after.milliseconds:.2f} ms"
    assumed = " <span class=dim>(values assumed)</span>" if gain.assumed else ""
    return (
        f"<tr><td><code>{escape(gain.statement)}</code>{assumed}</td><td class=number>{gain.calls or ''}</td>"
        f"<td class=number>{gain.cost_before:,.0f} → {gain.cost_after:,.0f}</td><td class=number>{run}</td>"
        f'<td class="number good">{words.times(gain.factor)}</td></tr>'
    )


def _rewrite(found: RewriteAdvice) -> str:
    return (
        f"<article><p>{_badge(found.severity)} <code>{escape(found.predicate)}</code></p>"
        f"<p>{escape(found.reason)}.</p><p>Instead: <code class=good>{escape(found.rewrite)}</code></p>"
        f"<p class=dim><code>{escape(found.statement)}</code></p></article>"
    )


def _problems(problems: list[IndexProblem]) -> str:
    if not problems:
        return ""
    rows = "".join(
        f"<tr><td>{_badge(found.severity)}</td><td>{escape(found.kind)}</td><td>{escape(found.table)}</td>"
        f"<td>{escape(found.index)}</td><td class=number>{words.size(found.bytes) if found.bytes else ''}</td>"
        f"<td>{escape(found.reason)}<br><code class=dim>{escape(found.ddl)}</code></td></tr>"
        for found in problems
    )
    head = "<tr><th></th><th>what</th><th>table</th><th>index</th><th>size</th><th>why</th></tr>"
    return f"<h2>Existing indexes and foreign keys</h2><article class=scroll><table>{head}{rows}</table></article>"
