import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core import OptionError
from seawall.core.options import callable_or_none, number, one_of


def refusal(check, *args, **kwargs) -> str:
    with pytest.raises(OptionError) as caught:
        check("Retry", "attempts", *args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (0, {"above": 0}, "Retry: attempts is 0; allowed: a number above 0"),
        (-1.5, {"at_least": 0}, "Retry: attempts is -1.5; allowed: a number at least 0"),
        (2, {"at_most": 1}, "Retry: attempts is 2; allowed: a number at most 1"),
        (7, {"above": 0, "at_most": 1}, "Retry: attempts is 7; allowed: a number above 0 and at most 1"),
        (1.0, {"integer": True}, "Retry: attempts is 1.0; allowed: a whole number"),
        ("3", {"at_least": 1, "integer": True}, "Retry: attempts is '3'; allowed: a whole number at least 1"),
        (None, {}, "Retry: attempts is None; allowed: a number"),
    ],
)
def test_the_message_has_the_value_and_the_allowed_range(value, bounds, message):
    assert refusal(number, value, **bounds) == message


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, False, 1j, Fraction(1, 2), [], 10**400])
def test_what_is_no_finite_number_is_refused(value):
    refusal(number, value)


@given(value=st.floats(allow_nan=False, allow_infinity=False), low=st.floats(-1e6, 1e6), high=st.floats(-1e6, 1e6))
def test_numbers_within_the_bounds_pass_and_others_do_not(value, low, high):
    if low < value <= high:
        number("o", "x", value, above=low, at_most=high)
    else:
        refusal(number, value, above=low, at_most=high)


def test_the_bounds_themselves_are_allowed_only_where_they_are_included():
    number("o", "x", 1, at_least=1, at_most=1)
    refusal(number, 1, above=1)


def test_a_choice_is_refused_with_all_choices():
    one_of("Retry", "jitter", "full", ("full", "none"))
    assert refusal(one_of, "some", ("full", "none")) == "Retry: attempts is 'some'; allowed: 'full', 'none'"


def test_an_unhashable_choice_is_refused_too():
    assert "allowed: 'full'" in refusal(one_of, [], ("full",))


def test_what_is_neither_callable_nor_none_is_refused():
    callable_or_none("Retry", "on_result", None)
    callable_or_none("Retry", "on_result", len)
    assert refusal(callable_or_none, "len") == "Retry: attempts is 'len'; allowed: a callable or None"
