"""Objectives: what is refused, what counts, and what is left of a budget."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.alerts import BURNS, AlertPlan, Indicator, Objective, budget_left, firing
from seawall.core import OptionError
from seawall.telemetry.catalogue import METRICS


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": " "}, "name is ' '"),
        ({"name": "two\nlines"}, "name is"),
        ({"availability": 100}, "above 0 and below 100"),
        ({"availability": 0}, "above 0"),
        ({"availability": float("nan")}, "a number"),
        ({"latency": 2.0}, "a quantile and seconds"),
        ({"latency": (95, 2.0)}, "below 1"),
        ({"latency": (0.95, 0)}, "above 0"),
        ({"routes": "GET /podcasts"}, "a list of templates"),
        ({"routes": ["podcasts"]}, "'podcasts'"),
        ({"routes": ["get /podcasts"]}, "'get /podcasts'"),
        ({"routes": ["/pod*casts"]}, r"'/pod\*casts'"),
        ({"window": timedelta(hours=36)}, "1 to 90 whole days"),
        ({"window": 30}, "1 to 90 whole days"),
    ],
)
def test_what_can_not_be_kept_is_refused(options, words):
    with pytest.raises(OptionError, match=words):
        Objective(**({"name": "lists"} | options))


def test_a_latency_between_two_bounds_is_refused_with_the_nearest():
    plan = AlertPlan(service="shop", objectives=[Objective("lists", latency=(0.95, 0.3))])
    with pytest.raises(OptionError, match=r"objective 'lists': latency seconds is 0\.3; .* of which 0\.25 is nearest"):
        plan.check(METRICS)


@pytest.mark.parametrize(
    ("routes", "counts", "does_not"),
    [
        ((), ("GET", "/podcasts"), ("GET", "/metrics")),
        ((), ("GET", "/healthy"), ("GET", "/health/ready")),
        (("POST /a/{id}",), ("POST", "/a/{id}"), ("GET", "/a/{id}")),
        (("/a.b",), ("PUT", "/a.b"), ("PUT", "/axb")),
        (("GET /a/*", "POST /b"), ("GET", "/a/b/c"), ("POST", "/a/b")),
    ],
)
def test_routes_say_which_requests_count(routes, counts, does_not):
    objective = Objective("some", routes=routes)
    assert objective.matches(*counts)
    assert not objective.matches(*does_not)
    assert objective.matches(*objective.example)


def test_a_budget_is_used_up_by_what_fails():
    objective = Objective("lists", availability=99.9, latency=(0.95, 0.25))
    assert budget_left(objective, 10_000, 10_000) == 1.0
    assert budget_left(objective, 9_995, 10_000) == pytest.approx(0.5)
    assert budget_left(objective, 9_980, 10_000) == pytest.approx(-1.0)
    assert budget_left(objective, 9_500, 10_000, Indicator.LATENCY) == pytest.approx(0.0)
    assert budget_left(objective, 0, 0) == 1.0


def test_an_objective_without_latency_has_no_budget_for_it():
    with pytest.raises(OptionError, match="latency is None"):
        budget_left(Objective("lists"), 1, 1, Indicator.LATENCY)


@pytest.mark.parametrize(("good", "total"), [(2, 1), (-1, 1), (1, -1), (float("nan"), 1)])
def test_counts_that_can_not_be_are_refused(good, total):
    with pytest.raises(OptionError):
        budget_left(Objective("lists"), good, total)
    with pytest.raises(OptionError):
        firing(Objective("lists"), {"1h": (good, total)})


def every(good: float, total: float) -> dict[str, tuple[float, float]]:
    return dict.fromkeys(("5m", "30m", "1h", "2h", "6h", "1d", "3d"), (good, total))


@pytest.mark.parametrize(
    ("times", "names"),
    [
        (0.9, []),
        (2, ["BudgetBurnsSlowly"]),
        (4, ["BudgetBurns", "BudgetBurnsSlowly"]),
        (10, ["BudgetBurnsFast", "BudgetBurns", "BudgetBurnsSlowly"]),
        (15, ["BudgetBurnsVeryFast", "BudgetBurnsFast", "BudgetBurns", "BudgetBurnsSlowly"]),
    ],
)
def test_the_faster_a_budget_burns_the_more_fires(times, names):
    objective = Objective("lists", availability=99.0)
    found = firing(objective, every(10_000 - 100 * times, 10_000))
    assert [burn.name for burn in found] == names


def test_what_is_over_fires_nothing():
    assert firing(Objective("lists"), every(0, 1_000) | {"5m": (100, 100), "30m": (600, 600)}) == (BURNS[2], BURNS[3])


def test_a_few_failures_of_few_requests_fire_nothing():
    assert firing(Objective("lists"), every(1, 5)) == ()
    assert firing(Objective("lists"), every(0, 5)) == BURNS


def test_a_window_that_there_is_not_is_refused():
    with pytest.raises(OptionError, match="'4h'"):
        firing(Objective("lists"), {"4h": (1, 1)})


@given(st.floats(0.1, 99.99999), st.integers(5, 10**9))
def test_a_total_outage_fires_everything_however_low_the_objective(availability, total):
    assert firing(Objective("lists", availability=availability), every(0, total)) == BURNS


@given(st.integers(0, 1_000), st.integers(0, 1_000), st.sampled_from([90.0, 99.0, 99.9]))
def test_one_more_failure_never_leaves_more(good, bad, availability):
    objective = Objective("lists", availability=availability)
    assert budget_left(objective, good, good + bad + 1) <= budget_left(objective, good, good + bad)
