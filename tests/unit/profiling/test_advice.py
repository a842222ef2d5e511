"""Recommendations: each with its figures, none on thin evidence."""

from datetime import UTC, datetime
from typing import Any

import pytest

from seawall.profiling import Kind, ProcessFigures, Stall, Statistics, recommend
from seawall.profiling.process import _Look, figures_of

MB = 2**20


def statistics(**changed: Any) -> Statistics:
    plain: dict[str, Any] = {
        "name": "GET /x", "kind": Kind.ROUTE, "count": 1200, "failures": 0, "total": 60.0, "avg": 0.05, "min": 0.01,
        "max": 0.3, "p50": 0.05, "p95": 0.1, "p99": 0.2, "busy": None,
    }  # fmt: skip
    return Statistics(**plain | changed)


def process(**changed: Any) -> ProcessFigures:
    plain: dict[str, Any] = {
        "over": 1200.0, "cpu": 30.0, "cpu_share": 0.2, "memory": 100 * MB, "memory_before": 100 * MB, "growth": 0.0,
        "growing": False, "threads": 4,
    }  # fmt: skip
    return ProcessFigures(**plain | changed)


def stall(**changed: Any) -> Stall:
    plain: dict[str, Any] = {
        "stack": ("app.py:3 handler", "app.py:9 parse"), "count": 4, "longest": 0.8, "total": 2.0, "cpu": 1.9,
        "last": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return Stall(**plain | changed)


def advice(*of: Statistics, stalls: tuple[Stall, ...] = (), **of_process: Any) -> list[str]:
    return [found.kind for found in recommend(of, process(**of_process), stalls)]


def test_nothing_is_said_of_what_is_well():
    assert advice(statistics(), stalls=(stall(count=2, longest=0.3),)) == []


def test_a_tail_is_told_with_its_figures():
    (found,) = recommend([statistics(p50=0.052, p99=2.1)], process(), [])
    assert found.text.startswith("GET /x: p99 is 40 x p50 (2.1 s against 52 ms) over 1,200 calls")
    assert found.as_dict()["figures"] == {"count": 1200, "p50": 0.052, "p99": 2.1, "max": 0.3}


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"p50": 0.05, "p99": 0.5}, "tail"),
        ({"p50": 0.0, "p99": 0.5}, "tail"),
        ({"failures": 60}, "failures"),
        ({"kind": Kind.ASYNC, "busy": 30.0}, "computes"),
        ({"p50": 1.0, "p95": 2.0, "p99": 3.0}, "slow"),
        ({"p50": 1.0, "p95": 2.0, "p99": 3.0, "total": 1200.0, "busy": 1100.0, "kind": Kind.SYNC}, "slow"),
    ],
)
def test_what_is_wrong_is_told_and_of_few_calls_nothing(changed, kind):
    assert advice(statistics(**changed)) == [kind]
    assert advice(statistics(**changed | {"count": 99})) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"p50": 0.0009, "p99": 0.09},  # a tail, but a short one
        {"failures": 59},
        {"kind": Kind.ASYNC, "busy": 29.0},
        {"kind": Kind.ASYNC, "busy": 9.0, "total": 10.0},  # 7.5 ms a call
        {"kind": Kind.SYNC, "busy": 60.0},  # a function may compute: perhaps in a thread
        {"p50": 0.99, "p99": 3.0},
    ],
)
def test_below_its_threshold_nothing_is_told(changed):
    assert advice(statistics(**changed)) == []


def test_stalls_tell_where_and_what_to_do():
    (computes,) = recommend([], process(), [stall()])
    assert "held 4 times, 800 ms at most, by app.py:9 parse; 95% of it on the CPU: it computes" in computes.text
    (waits,) = recommend([], process(), [stall(count=1, longest=1.0, cpu=0.0)])
    assert "held once" in waits.text
    assert "it waits for something: await it" in waits.text


def test_what_costs_most_is_first_and_the_process_before_all():
    slow = statistics(name="slow", p50=2.0, p99=3.0, total=2400.0)
    found = recommend([statistics(failures=600), slow], process(cpu_share=0.97), [stall()])
    assert [each.kind for each in found] == ["cpu", "slow", "failures", "stall"]
    assert "97% of a core over 20 minutes" in found[0].text


def looks(*memory: float) -> list[_Look]:
    return [_Look(at=10.0 * step, cpu=step * 1.0, memory=int(size * MB)) for step, size in enumerate(memory)]


def test_memory_that_grows_is_told_with_its_rate():
    figures = figures_of(looks(*(100 + step / 2 for step in range(60))), threads=1)
    assert (figures.over, figures.growing) == (590.0, True)
    assert figures.cpu_share == pytest.approx(0.1)
    assert figures.growth == pytest.approx(3 * MB, rel=0.01)
    (found,) = recommend([], figures, [])
    assert found.text.startswith("memory grows by 3.0 MB/min: 100 MB became 130 MB in 10 minutes")


@pytest.mark.parametrize(
    "memory",
    [
        [100 + step / 2 for step in range(29)],  # less than five minutes
        [100 + min(step, 20) * 2 for step in range(60)],  # it was warming up
        [100 + step % 30 for step in range(60)],  # it goes up and down
        [2000 + step / 3 for step in range(60)],  # it is little of what there is
        [100 + step / 12 for step in range(60)],  # it is slow
    ],
)
def test_memory_that_does_not_keep_growing_is_no_finding(memory):
    assert recommend([], figures_of(looks(*memory), threads=1), []) == []


def test_one_look_says_nothing_of_growth():
    figures = figures_of(looks(100), threads=3)
    assert (figures.growth, figures.cpu_share, figures.growing) == (None, None, False)
    assert figures.as_dict()["memory"] == 100 * MB
