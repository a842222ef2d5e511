import itertools
import threading

import pytest

from seawall.core import OptionError
from seawall.resilience import CircuitBreaker, Pipeline, Policy, Registry, Timeout


def breakers(max_keys: int = 3) -> Registry[CircuitBreaker]:
    return Registry(CircuitBreaker, max_keys=max_keys)


def test_each_key_has_one_policy_made_when_it_is_first_asked_for():
    made: list[str] = []

    def make(key: str) -> CircuitBreaker:
        made.append(key)
        return CircuitBreaker(key)

    registry = Registry(make)
    assert len(registry) == 0
    assert registry["a"] is registry["a"]
    assert registry["a"] is not registry["b"]
    assert (made, registry["b"].name) == (["a", "b"], "b")


def test_looking_makes_nothing():
    registry = breakers()
    registry["a"]
    assert "a" in registry
    assert "b" not in registry
    assert (list(registry), len(registry)) == (["a"], 1)
    assert repr(registry) == "Registry(1 of at most 3 keys)"


def test_the_least_recently_used_key_leaves():
    registry = breakers()
    for key in ("a", "b", "c", "a", "d"):
        registry[key]
    assert list(registry) == ["c", "a", "d"]


def test_a_breaker_that_is_not_closed_stays_while_a_closed_one_can_leave():
    registry = breakers()
    registry["isolated"].isolate()
    registry["open"].open()
    registry["forced"].force_closed()
    for key in "abc":
        registry[key]
    assert list(registry) == ["open", "forced", "c"], "with none closed, the oldest leaves"
    registry["d"]
    assert list(registry) == ["open", "forced", "d"]


def test_a_pipeline_with_an_open_breaker_stays_too():
    opened = CircuitBreaker()
    opened.open()
    inner = Pipeline("inner", opened)
    made: dict[str, Policy] = {"down": Pipeline("down", Timeout(1.0), inner)}
    registry: Registry[Policy] = Registry(lambda key: made.get(key) or Pipeline(key, Timeout(1.0)), max_keys=2)
    for key in ("down", "a", "b", "c"):
        registry[key]
    assert list(registry) == ["down", "c"]


def test_a_policy_of_another_kind_leaves_by_use_alone():
    registry = Registry(lambda key: Timeout(1.0, key), max_keys=1)
    registry["a"]
    registry["b"]
    assert list(registry) == ["b"]


def test_a_policy_that_cannot_be_made_takes_no_place():
    def make(key: str) -> CircuitBreaker:
        return CircuitBreaker(key, permits=0 if key == "bad" else 1)

    registry = Registry(make, max_keys=1)
    good = registry["good"]
    with pytest.raises(OptionError):
        registry["bad"]
    assert registry["good"] is good
    assert list(registry) == ["good"]


@pytest.mark.parametrize("max_keys", [0, -1, 1.5, None])
def test_a_size_that_cannot_work_is_refused(max_keys):
    with pytest.raises(OptionError, match=r"Registry: max_keys is .*; allowed: a whole number at least 1"):
        breakers(max_keys)


@pytest.mark.usefixtures("eager_threads")
def test_threads_get_the_same_policy_and_never_more_than_fit():
    made = itertools.count()
    registry = Registry(lambda key: CircuitBreaker(f"{key}-{next(made)}"), max_keys=50)
    seen: list[set[int]] = [set() for _ in range(50)]
    sizes: set[int] = set()
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for _ in range(20):
            for number in range(50):
                seen[number].add(id(registry[str(number)]))
            sizes.add(len(list(registry)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(policies) for policies in seen] == [1] * 50
    assert max(sizes) == 50
    assert next(made) == 50
