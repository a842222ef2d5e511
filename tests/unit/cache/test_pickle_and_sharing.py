import pickle
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.cache.codec import PickleCodec, immutable
from seawall.cache.errors import DecodeError, UnserializableError
from tests.unit.cache.codec_values import ID, MOMENT, Base, Cat, Episode, Place, Point, Word


def test_pickle_takes_what_can_be_pickled():
    codec = PickleCodec()
    assert codec.of(int) is codec.for_value(3) is codec.known(codec.fingerprint)
    assert codec.known(b"12345678") is None
    assert codec.decode(codec.encode({"a": {1}})) == {"a": {1}}
    with pytest.raises(UnserializableError):
        codec.encode(lambda: 0)


@given(st.binary(max_size=40))
def test_pickle_raises_nothing_but_decode_errors(data):
    with suppress(DecodeError):
        PickleCodec().decode(b"N." if b"c" in data or b"\x93" in data else data)  # never runs what is not ours
    with pytest.raises(DecodeError):
        PickleCodec().decode(pickle.dumps([1])[:-3])


class Ice(msgspec.Struct, frozen=True):
    inside: Any


@dataclass(frozen=True)
class Snow:
    inside: Any


@attrs.frozen
class Hail:
    inside: Any


class Frost(pydantic.BaseModel, frozen=True):
    inside: Any


class Plainly(Enum):
    A = object()


SHARED = [
    1,
    "a",
    1.5,
    True,
    None,
    b"x",
    3j,
    Decimal(1),
    ID,
    MOMENT,
    date.min,
    time.min,
    timedelta(1),
    Plainly.A,
    (),
    Point(1, "x"),
]


@pytest.mark.parametrize("value", [*SHARED, (1, ("a",)), frozenset({1})])
@pytest.mark.parametrize(
    "around", [lambda value: value, Ice, Snow, Hail, lambda value: Frost(inside=value), lambda value: (value,)]
)
def test_what_nobody_can_change_may_be_shared(value, around):
    assert immutable(around(value))


@pytest.mark.parametrize(
    "value", [[], {}, set(), bytearray(), Episode(1), Base(1), Place(1.0, ()), Cat(), object(), Word("x"), len]
)
@pytest.mark.parametrize(
    "around", [lambda value: value, Ice, Snow, Hail, lambda value: Frost(inside=value), lambda value: (value,)]
)
def test_what_somebody_can_change_may_not_be_shared(value, around):
    assert not immutable(around(value))
