"""The rules of https://www.w3.org/TR/trace-context-2/, and properties of whatever is sent."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.correlation import Correlation
from seawall.web.trace_context import parent_of

TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
GOOD = b"00-" + TRACE + b"-" + SPAN + b"-01"


def of(parent: bytes, *states: bytes):
    return parent_of([(b"traceparent", parent), *((b"tracestate", state) for state in states)])


def test_a_callers_trace_is_taken_over():
    found = of(GOOD, b"a=1,b=2")
    assert found == (TRACE.decode(), SPAN.decode(), True, False, "a=1,b=2")
    for flags, sampled, drawn in ((b"00", False, False), (b"02", False, True), (b"ff", True, True)):
        flagged = of(GOOD[:-2] + flags)
        assert flagged is not None
        assert (flagged.sampled, flagged.drawn) == (sampled, drawn)


def test_what_goes_out_says_the_same():
    work = Correlation("r1", TRACE.decode(), SPAN.decode(), sampled=True, drawn=False)
    assert work.traceparent() == GOOD.decode()
    assert work.traceparent("1" * 16) == GOOD.decode().replace(SPAN.decode(), "1" * 16)
    assert Correlation("r1", TRACE.decode(), SPAN.decode()).traceparent().endswith("-02")


@pytest.mark.parametrize(
    "wrong",
    [
        b"", b"nonsense", GOOD.upper(), GOOD[:-1], GOOD + b"-more", b"ff" + GOOD[2:], b"0" + GOOD, b"-" + GOOD,
        b"00-" + b"0" * 32 + b"-" + SPAN + b"-01", b"00-" + TRACE + b"-" + b"0" * 16 + b"-01", GOOD.replace(b"-", b"_"),
        b"00-" + TRACE[:-1] + b"g-" + SPAN + b"-01", GOOD + b"\n", b"cc" + GOOD[2:] + b"x", b".0" + GOOD[2:],
    ],
)  # fmt: skip
def test_what_is_not_valid_begins_a_new_trace(wrong):
    assert of(wrong, b"a=1") is None


def test_a_later_version_may_say_more():
    found = of(b"cc" + GOOD[2:] + b"-what-the-future-brings")
    assert found is not None
    assert found.trace_id == TRACE.decode()


def test_two_parents_are_none():
    assert parent_of([(b"traceparent", GOOD), (b"traceparent", GOOD)]) is None
    assert parent_of([]) is None


@pytest.mark.parametrize(
    ("states", "kept"),
    [
        ((b"foo=1", b"bar=2"), "foo=1,bar=2"),
        ((b"foo=1 \t , \t bar=2", b""), "foo=1,bar=2"),
        ((b"foo=1,",), "foo=1"),
        ((b"foo=1,foo=2",), "foo=1"),
        ((b"foo =1",), ""),
        ((b"FOO=1",), ""),
        ((b"foo@bar@baz=1",), "foo@bar@baz=1"),
        ((b"@foo=1",), ""),
        ((b"t" * 241 + b"@v=1",), "t" * 241 + "@v=1"),
        ((b"z" * 256 + b"=1",), "z" * 256 + "=1"),
        ((b"z" * 257 + b"=1",), ""),
        ((b"foo=" + b"v" * 256,), "foo=" + "v" * 256),
        ((b"foo=" + b"v" * 257,), ""),
        ((b"foo=",), ""),
        ((b"foo=bar=baz",), ""),
        ((b"foo=1,,,bar=2",), "foo=1,bar=2"),
        ((",".join(f"k{n}=1" for n in range(32)).encode(),), ",".join(f"k{n}=1" for n in range(32))),
        ((",".join(f"k{n}=1" for n in range(33)).encode(),), ""),
        ((b"0a=1",), "0a=1"),
        ((b"0a@v=1",), "0a@v=1"),
    ],
)
def test_the_vendors_state_is_kept_whole_or_not_at_all(states, kept):
    found = of(GOOD, *states)
    assert found is not None
    assert found.state == kept


@given(st.binary(max_size=80), st.lists(st.binary(max_size=60), max_size=3))
def test_whatever_is_sent_is_valid_or_nothing(parent, states):
    found = of(parent, *states)
    if found is not None:
        assert re.fullmatch("[0-9a-f]{32}", found.trace_id)
        assert re.fullmatch("[0-9a-f]{16}", found.span_id)
        assert "\n" not in found.state
