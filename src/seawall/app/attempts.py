"""Each run of what a pipeline protects, as a span."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seawall.core import correlation
from seawall.resilience import Chaos
from seawall.resilience.policy import Policy
from seawall.resilience.weave import Face, Fragment
from seawall.telemetry.tracing import Block

_TEMPLATE = """\
$work = $current.get()
$span = None
if $work is None or not $work.sampled:
    $inner
else:
    $span = $block($name, {"seawall.pipeline": $pipeline})
    $span.begin()
    $span.enter()
    try:
        $inner
    except BaseException as $error:
        $span.leave()
        $span.end(None if $error.__class__ is GeneratorExit else $error)
        raise
    $span.leave()
    $span.end(None)
"""


class Attempts(Policy):
    """The innermost policy of a pipeline: one span for each time the call is run. Nothing where that isn't recorded."""

    def __init__(self) -> None:
        super().__init__(None, None, None)

    def fragment(self, face: Face) -> Fragment:
        """A span around the call."""
        return Fragment(
            _TEMPLATE,
            {
                "current": correlation.current,
                "block": Block,
                "name": f"attempt {self.name}",
                "pipeline": self.name,
            },
            # Whoever takes an item isn't in the span.
            suspend="if $span is not None:\n    $span.leave()",
            resume="if $span is not None:\n    $span.enter()",
        )


def with_attempts(policies: Sequence[Any]) -> Sequence[Any]:
    """The policies with `Attempts` in them, unless a pipeline among them has brought it; faults of chaos count."""
    flat = [each for policy in policies for each in (policy.policies if isinstance(policy, Policy) else (policy,))]
    if any(isinstance(policy, Attempts) for policy in flat):
        return policies
    end = len(policies)
    while end and isinstance(policies[end - 1], Chaos):
        end -= 1
    return [*policies[:end], Attempts(), *policies[end:]]
