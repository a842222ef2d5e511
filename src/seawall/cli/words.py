"""Numbers as people read them."""

from __future__ import annotations

from seawall.database.advisor import Gain, IndexAdvice


def size(count: float) -> str:
    """`4.1 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1024:  # noqa: PLR2004
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"  # noqa: PLR2004
        count /= 1024
    return f"{count:.1f} TB"


def count(number: int, one: str, many: str = "") -> str:
    """`1 index`, `2 indexes`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def times(factor: float) -> str:
    """`12×`."""
    return f"{factor:,.0f}×" if factor >= 10 else f"{factor:.1f}×"  # noqa: PLR2004


def gain(one: Gain) -> str:
    """What changed for a statement, measured where it was run."""
    text = f"{times(one.factor)} cheaper (cost {one.cost_before:,.0f} → {one.cost_after:,.0f})"
    if one.before is not None and one.after is not None:
        text += f"; run on a copy: {one.before.buffers:,} → {one.after.buffers:,} {one.after.unit}"
        text += f", {one.before.milliseconds:.2f} → {one.after.milliseconds:.2f} ms"
    return text


def calls(one: Gain) -> str:
    """How often a statement ran."""
    return f"{one.calls:,} calls, {one.seconds:,.1f} s" if one.calls else ""


def price(index: IndexAdvice) -> str:
    """What an index costs."""
    text = f"{size(index.bytes)}, {index.bytes_per_row:g} bytes a row"
    if index.writes_per_second is not None:
        text += f", kept at {index.writes_per_second:,.1f} writes/s"
    return text
