"""Series for the cases that try alerts: an hour of them, a value a minute, in promtool's notation."""

from __future__ import annotations

from seawall.alerts.promql import equal, selector

STEPS = 60


def constant(value: float) -> str:
    """Always `value`."""
    return f"{_plain(value)}x{STEPS}"


def steady(per_minute: float, start: float = 0.0) -> str:
    """A counter that grows by so much each minute."""
    return f"{_plain(start)}+{_plain(per_minute)}x{STEPS}"


def spread(metric: str, matchers: str, low: float, high: float) -> dict[str, str]:
    """A histogram all of whose values lie between the two."""
    counts = {f"{low:g}": constant(0), f"{high:g}": steady(60), "+Inf": steady(60)}
    return {selector(f"{metric}_bucket", matchers, equal("le", le)): values for le, values in counts.items()}


def _plain(value: float) -> str:
    text = f"{value:.6f}"
    return text.rstrip("0").rstrip(".")
