"""Orders of policies that can't work are refused, and the right one is shown."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.resilience import (
    AdaptiveLimit,
    Bulkhead,
    Chaos,
    CircuitBreaker,
    Fallback,
    Hedge,
    Pipeline,
    PipelineOrderError,
    RateLimit,
    Retry,
    Timeout,
)

MAKERS: dict[str, Callable[[], Any]] = {
    "Bulkhead": lambda: Bulkhead(5),
    "RateLimit": lambda: RateLimit(10),
    "Timeout(3)": lambda: Timeout(3),
    "Timeout(2)": lambda: Timeout(2),
    "Timeout(1)": lambda: Timeout(1),
    "Retry": lambda: Retry(on=OSError),
    "CircuitBreaker": lambda: CircuitBreaker("b"),
    "AdaptiveLimit": AdaptiveLimit,
    "Hedge": lambda: Hedge(delay=1.0),
    "Fallback": lambda: Fallback.value(1, on=OSError),
    "Chaos": lambda: Chaos(name="c"),
}


def make(*names: str) -> list[Any]:
    return [MAKERS[name]() for name in names]


@pytest.mark.parametrize(
    ("names", "reason", "right"),
    [
        (("Retry", "Fallback"), "never sees the error", ("Fallback", "Retry")),
        (("CircuitBreaker", "Fallback"), "never sees the failures", ("Fallback", "CircuitBreaker")),
        (("AdaptiveLimit", "Fallback"), "several dependencies as one", ("Fallback", "AdaptiveLimit")),
        (("Hedge", "Fallback"), "takes an alternative's answer", ("Fallback", "Hedge")),
        (("CircuitBreaker", "Retry"), "one failure for several", ("Retry", "CircuitBreaker")),
        (("AdaptiveLimit", "Retry"), "takes the pauses", ("Retry", "AdaptiveLimit")),
        (("AdaptiveLimit", "Hedge"), "several calls as one", ("Hedge", "AdaptiveLimit")),
        (("Chaos", "Bulkhead"), "hides its faults", ("Bulkhead", "Chaos")),
        (("Timeout(1)", "Timeout(2)"), "2 s can never fire inside one of 1 s", ("Timeout(2)", "Timeout(1)")),
        (("Timeout(1)", "Retry", "Timeout(1)"), "can never fire", ("Timeout(1)", "Retry")),
        (("Retry", "Bulkhead", "Retry"), "multiply to 9 attempts", ("Retry", "Bulkhead")),
    ],
)
def test_refusal_says_why_and_shows_the_right_order(
    names: tuple[str, ...], reason: str, right: tuple[str, ...]
) -> None:
    with pytest.raises(PipelineOrderError, match=reason) as raised:
        Pipeline("p", *make(*names))
    assert raised.value.right == " > ".join(map(repr, make(*right)))
    assert raised.value.right in str(raised.value)


def test_policy_that_stands_twice_is_refused() -> None:
    slots = Bulkhead(5)
    with pytest.raises(PipelineOrderError, match="stands in it twice; once is enough") as raised:
        Pipeline("p", slots, Timeout(1), slots)
    assert raised.value.right == "Bulkhead(5) > Timeout(1)"


def test_order_holds_across_nested_pipelines() -> None:
    inner = Pipeline("inner", Retry(on=OSError), CircuitBreaker("b"))
    with pytest.raises(PipelineOrderError, match="two retries"):
        Pipeline("outer", Retry(on=OSError), inner)
    with pytest.raises(PipelineOrderError, match="adaptive limit outside a retry"):
        Pipeline("outer", AdaptiveLimit(), inner)


def test_policies_of_ones_own_are_shown_by_name() -> None:
    async def trace(call: Callable[[], Any]) -> Any:
        return await call()

    with pytest.raises(PipelineOrderError) as raised:
        Pipeline("p", CircuitBreaker("b"), trace, Retry(on=OSError))
    assert raised.value.right.startswith("Retry(3 attempts, on=OSError) > CircuitBreaker('b'")
    assert raised.value.right.endswith("> trace")


def by_repr(text: str, policies: list[Any]) -> list[Any]:
    """The policies that `text` shows, in its order."""
    right, left = [], list(policies)
    for part in text.split(" > "):
        policy = next(policy for policy in left if repr(policy) == part)
        left.remove(policy)
        right.append(policy)
    return right


@given(st.lists(st.sampled_from(sorted(MAKERS)), min_size=1, max_size=8))
def test_right_order_is_accepted_and_leaves_nothing_out_that_can_stay(names: list[str]) -> None:
    policies = make(*names)
    try:
        Pipeline("p", *policies)
    except PipelineOrderError as error:
        right = by_repr(error.right, policies)
        Pipeline("p", *right)
        # Only a second retry, and a second timeout of the same length, have no place at all.
        once = {name for name in names if name.startswith(("Retry", "Timeout"))}
        others = [name for name in names if name not in once]
        assert len(right) == len(once) + len(others)


@given(st.permutations(sorted(set(MAKERS) - {"Retry", "Hedge"})))
def test_order_is_accepted_just_when_it_keeps_every_rule(names: list[str]) -> None:
    rules = [("Fallback", "CircuitBreaker"), ("Fallback", "AdaptiveLimit"), ("Timeout(3)", "Timeout(2)")]
    rules += [("Timeout(2)", "Timeout(1)")] + [(name, "Chaos") for name in names if name != "Chaos"]
    keeps = all(names.index(outer) < names.index(inner) for outer, inner in rules)
    try:
        Pipeline("p", *make(*names))
        accepted = True
    except PipelineOrderError:
        accepted = False
    assert accepted == keeps
