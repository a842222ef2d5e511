"""Each run of what a pipeline protects, as a span."""

from __future__ import annotations

from seawall.core import correlation
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
    with $span:
        $inner
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
