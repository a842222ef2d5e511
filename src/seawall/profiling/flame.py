"""A flame graph as one page of HTML: no script, nothing loaded from elsewhere; it opens in a mail or years later.

It may be shown under `Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'`. A click on a box makes
it as wide as the page, by a style for whatever the address points at.
"""

from __future__ import annotations

import html
import sys
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from seawall.profiling.stack import Call, short

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""The Content-Security-Policy that a page carries."""
DEEPEST = 150
"""Levels that are shown: browsers give up at elements nested 512 deep."""
SMALLEST = 1 / 2000
"""Boxes below this share of the whole are not drawn: less than a pixel."""
ROWS = 25
"""Calls in the table."""

_STYLE = """
:root{color-scheme:light dark;--page:#fff;--text:#1b1f24;--faint:#57606a;--line:#d0d7de}
@media(prefers-color-scheme:dark){:root{--page:#16191d;--text:#e6e8eb;--faint:#9aa4af;--line:#343a42}}
body{margin:1.5rem;background:var(--page);color:var(--text);font:14px/1.4 system-ui,sans-serif}
h1{font-size:1.25rem;margin:0}p{margin:.25rem 0 .75rem;color:var(--faint)}
p b{padding:.1rem .4rem;font-weight:400;color:#1b1f24}
.graph{position:relative;font:12px/18px ui-monospace,monospace;margin-bottom:1.5rem;overflow:hidden}
.box{min-width:0;flex:none;background:var(--page)}.row{display:flex}
.box>a{display:block;height:18px;padding:0 3px;margin:0 1px 1px 0;overflow:hidden;white-space:nowrap;
text-overflow:ellipsis;color:#1b1f24;text-decoration:none}
.box>a:hover{filter:brightness(.88)}
.box:target{position:absolute;inset:0 0 auto 0;width:100%!important;min-height:100%;z-index:1;scroll-margin-top:12rem}
.own{background:#f4a261}.package{background:#a8c8ec}.standard{background:#c9ccd1}.whole{background:#e3c567}
table{border-collapse:collapse}td,th{padding:.2rem .75rem .2rem 0;text-align:right;border-bottom:1px solid var(--line)}
td:last-child,th:last-child{text-align:left;font-family:ui-monospace,monospace;font-size:12px}
"""


@dataclass(slots=True)
class Box:
    """One call from one place: its weight with all that it calls."""

    call: Call
    weight: float = 0.0
    own: float = 0.0
    below: dict[tuple[str, str, int], Box] = field(default_factory=dict)


def tree(stacks: Iterable[tuple[Sequence[Call], float]]) -> Box:
    """Stacks, outermost call first, and what each weighs, as the box of the whole."""
    whole = Box(Call("all", "", 0))
    for calls, weight in stacks:
        box = whole
        box.weight += weight
        for call in calls[:DEEPEST]:
            found = box.below.get(call)
            if found is None:
                found = box.below[call] = Box(call)
            box = found
            box.weight += weight
        box.own += weight
    return whole


def page(whole: Box, *, title: str, about: str, amount: Callable[[float], str]) -> str:
    """The page. about: a sentence below the title. amount: a weight as text: `1.25 s`."""
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name=viewport content="width=device-width"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1><p>{html.escape(about)} "
        "A click makes a box wide, <a href=#>all of it</a> again.</p><p>"
        "<b class=own>own code</b> <b class=package>packages</b> <b class=standard>Python</b></p><div class=graph>"
    ]
    if whole.weight > 0:
        _draw(whole, 100.0, whole.weight, amount, parts)
    else:
        parts.append("Nothing was seen.")
    parts.append("</div>")
    _table(whole, amount, parts)
    parts.append("</body></html>\n")
    return "".join(parts)


def _draw(box: Box, width: float, whole: float, amount: Callable[[float], str], parts: list[str]) -> None:
    call = box.call
    number = len(parts)
    share = f"{amount(box.weight)}, {box.weight / whole:.1%}"
    told = html.escape(f"{_name(call)} – {share}" + (f" – {short(call.file)}:{call.line}" if call.file else ""))
    # Rounded down, so that a row never is wider than its box.
    parts.append(
        f'<div class=box id=b{number} style="width:{int(width * 1000) / 1000}%">'
        f'<a class={_origin(call.file)} href="#b{number}" title="{told}">{html.escape(_name(call))}</a>'
    )
    shown = sorted(
        (below for below in box.below.values() if below.weight >= SMALLEST * whole), key=lambda each: -each.weight
    )
    if shown:
        parts.append("<div class=row>")
        for below in shown:
            _draw(below, below.weight / box.weight * 100, whole, amount, parts)
        parts.append("</div>")
    parts.append("</div>")


def _table(whole: Box, amount: Callable[[float], str], parts: list[str]) -> None:
    """What weighs most by itself, without what it calls."""
    own: dict[Call, float] = {}
    total: dict[Call, float] = {}
    _sum(whole, own, total, set())
    rows = sorted(((weight, call) for call, weight in own.items() if weight > 0 and call.file), reverse=True)[:ROWS]
    parts.append("<table><tr><th>itself<th><th>with what it calls<th>call</tr>")
    for weight, call in rows:
        where = f"{short(call.file)}:{call.line} {call.function}".rstrip()
        parts.append(
            f"<tr><td>{amount(weight)}<td>{weight / whole.weight:.1%}<td>{amount(total[call])}"
            f"<td>{html.escape(where)}</tr>"
        )
    parts.append("</table>")


def _sum(box: Box, own: dict[Call, float], total: dict[Call, float], above: set[Call]) -> None:
    call = box.call
    own[call] = own.get(call, 0.0) + box.own
    recurs = call in above
    if not recurs:  # a call within itself is in its weight already
        total[call] = total.get(call, 0.0) + box.weight
        above.add(call)
    for below in box.below.values():
        _sum(below, own, total, above)
    if not recurs:
        above.discard(call)


def _name(call: Call) -> str:
    return call.function or (f"{short(call.file)}:{call.line}" if call.line else short(call.file))


@lru_cache(maxsize=4096)
def _origin(file: str) -> str:
    if not file:
        return "whole"
    if "site-packages" in file or "dist-packages" in file:
        return "package"
    standard = file.startswith(("<", sysconfig.get_path("stdlib"), sys.base_prefix))
    return "standard" if standard else "own"
