"""Metrics as they are counted, and as Prometheus's own parsers read them."""

import threading
import tracemalloc
from fractions import Fraction
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from seawall.core import OptionError
from seawall.telemetry import catalogue
from seawall.telemetry.exposition import expose, wants_open_metrics
from seawall.telemetry.metrics import Across, Kind, Metric, Metrics


def samples(metrics: Metrics, *, open_metrics: bool = False) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    parse: Any = parse_open_metrics if open_metrics else parse_text
    text = expose(metrics, open_metrics=open_metrics).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("open_metrics", [False, True])
def test_prometheus_reads_what_was_counted(open_metrics):
    metrics = Metrics()
    metrics.counter("created_total", "Campaigns.", labels=("plan",)).inc(2, plan="pro")
    metrics.gauge("depth", "Jobs that wait.").set(-1.5)
    seconds = metrics.histogram("took_seconds", 'With "quotes", \\ and\na line.', labels=("route",), buckets=(0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        seconds.observe(value, route='/a"b\\c\nd')
    found = samples(metrics, open_metrics=open_metrics)
    route = ("route", '/a"b\\c\nd')
    assert found["created_total", frozenset({("plan", "pro")})] == 2
    assert found["depth", frozenset()] == -1.5
    assert found["took_seconds_bucket", frozenset({route, ("le", "0.1")})] == 2
    assert found["took_seconds_bucket", frozenset({route, ("le", "1.0")})] == 3
    assert found["took_seconds_bucket", frozenset({route, ("le", "+Inf")})] == 4
    assert found["took_seconds_count", frozenset({route})] == 4
    assert found["took_seconds_sum", frozenset({route})] == pytest.approx(7.65)


@pytest.mark.parametrize("value", [0.5, 1, Fraction(1, 4)])
def test_a_bucket_shows_the_trace_of_one_of_its_values(value):
    metrics = Metrics()
    series = metrics.histogram("took_seconds", "Time.", buckets=(0.1, 1.0)).labels()
    series.observe(value, "4bf92f3577b34da6a3ce929d0e0e4736")
    [family] = cast("Any", parse_open_metrics)(expose(metrics, open_metrics=True).decode())
    [shown] = [sample.exemplar for sample in family.samples if sample.exemplar is not None]
    assert (shown.labels, shown.value) == ({"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}, float(value))
    assert b"trace_id" not in expose(metrics)


def test_all_of_seawalls_own_can_be_read():
    metrics = Metrics()
    for metric in catalogue.METRICS:
        family = metrics.declare(metric)
        series = family.labels(*("x" for _ in metric.labels))
        series.observe(1.0) if metric.kind is Kind.HISTOGRAM else series.inc()
    names = {name for name, _ in samples(metrics, open_metrics=True)}
    assert {"http_requests_total", "http_request_duration_seconds_bucket", "circuit_breaker_state"} <= names
    assert samples(metrics).keys()
    assert len({metric.name for metric in catalogue.METRICS}) == len(catalogue.METRICS)


@given(st.lists(st.floats(-1e6, 1e6)))
def test_a_histogram_counts_as_one_would_by_hand(values):
    metrics = Metrics()
    series = metrics.histogram("took_seconds", "Time.", buckets=(-1.0, 0.0, 0.5, 100.0)).labels()
    for value in values:
        series.observe(value)
    found = samples(metrics)
    for bound, shown in ((-1.0, "-1.0"), (0.0, "0.0"), (0.5, "0.5"), (100.0, "100.0")):
        at_most = sum(value <= bound for value in values)
        assert found["took_seconds_bucket", frozenset({("le", shown)})] == at_most
    assert series.count == len(values)
    assert series.sum == pytest.approx(sum(values))


def test_callers_cannot_fill_the_memory_with_labels():
    metrics = Metrics(most_series=100)
    seen = metrics.counter("seen_total", "Paths.", labels=("path",))
    for number in range(100):
        seen.inc(path=number)
    tracemalloc.start()
    for number in range(20_000):
        seen.inc(path=f"other {number}")
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 500_000  # 20,000 series would be 5 MB
    found = samples(metrics)
    assert found["seen_total", frozenset({("path", "(other)")})] == 20_000
    assert found["metrics_series_refused_total", frozenset()] == 20_000


@pytest.mark.usefixtures("eager_threads")
def test_no_count_is_lost_between_threads():
    metrics = Metrics()
    count = metrics.counter("done_total", "Things.").labels()
    level = metrics.gauge("depth", "Things.").labels()
    seconds = metrics.histogram("took_seconds", "Time.").labels()

    def work() -> None:
        for _ in range(20_000):
            count.inc()
            level.inc(2)
            level.dec()
            seconds.observe(0.5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (count.value, level.value, seconds.count, seconds.sum) == (80_000, 80_000, 80_000, 40_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "with-dash", "kind": Kind.GAUGE}, {"name": "requests", "kind": Kind.COUNTER},
        {"name": "depth_total", "kind": Kind.GAUGE}, {"name": "a", "kind": Kind.GAUGE, "labels": ("le",)},
        {"name": "a", "kind": Kind.GAUGE, "labels": ("job",)},
        {"name": "a", "kind": Kind.GAUGE, "labels": ("route", "instance")},
        {"name": "a", "kind": Kind.GAUGE, "labels": ("__a",)}, {"name": "a", "kind": Kind.HISTOGRAM},
        {"name": "a", "kind": Kind.HISTOGRAM, "buckets": (2.0, 1.0)}, {"name": "", "kind": Kind.GAUGE},
    ],
)  # fmt: skip
def test_impossible_declarations_are_refused(wrong):
    with pytest.raises(OptionError, match="metric"):
        Metric(help="x", **wrong)


def test_wrong_use_is_refused_with_what_is_right():
    metrics = Metrics()
    count = metrics.counter("done_total", "Things.", labels=("kind",))
    assert metrics.counter("done_total", "Things.", labels=("kind",)) is count
    with pytest.raises(OptionError, match="isn't taken"):
        metrics.counter("done_total", "Other things.")
    with pytest.raises(OptionError, match=r"exactly \('kind',\)"):
        count.inc(sort="a")
    with pytest.raises(OptionError, match="one value for each"):
        count.labels()
    with pytest.raises(OptionError, match="only grows"):
        count.inc(-1, kind="a")


def test_what_is_counted_elsewhere_is_asked_before_each_scrape():
    metrics = Metrics()
    total = metrics.counter("done_total", "Things.").labels()
    metrics.before_scrape(lambda: total.mirror(7))
    metrics.refresh()
    assert samples(metrics)["done_total", frozenset()] == 7


def test_gauges_say_how_processes_add_up():
    assert Metrics().gauge("state", "State.", across=Across.MAX).metric.across is Across.MAX


@pytest.mark.parametrize(
    ("accept", "open_metrics"),
    [
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1", True),
        ("text/plain", False),
        ("", False),
    ],
)
def test_the_format_is_the_one_asked_for(accept, open_metrics):
    assert wants_open_metrics(accept) is open_metrics


class Odd(float):
    """What NumPy's numbers are: floats that stay of their kind, and show it."""

    def __radd__(self, other: float) -> "Odd":
        return Odd(other + float(self))

    def __repr__(self) -> str:
        return "odd"


def test_a_number_of_another_kind_is_told_as_a_number():
    metrics = Metrics()
    metrics.counter("rows_total", "Rows.").inc(Odd(1.5))
    metrics.gauge("level", "Level.").set(Odd(2.5))
    metrics.histogram("score", "Score.", buckets=(1.0,)).observe(Odd(0.25))
    text = expose(metrics).decode()
    assert "odd" not in text
    assert "rows_total 1.5" in text
