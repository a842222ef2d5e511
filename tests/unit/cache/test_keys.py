# ruff: noqa: DTZ001
import inspect
import subprocess
import sys
import uuid
from collections import namedtuple
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any, cast
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.cache.errors import UnstableKeyError
from seawall.cache.keys import KeyTemplate, storage_key, text
from seawall.core import OptionError


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    ONE = 1


class Name(StrEnum):
    A = "a"


@dataclass(frozen=True)
class Page:
    number: float
    size: int = 10
    trace: str = field(default="", compare=False)


class Filter(msgspec.Struct, frozen=True):
    word: str


@attrs.frozen
class Range:
    low: int
    high: int
    seen: list[int] = attrs.field(factory=list, eq=False)


class Query(pydantic.BaseModel):
    word: str
    page: Page | None = None


class Account:
    def __init__(self, number: int) -> None:
        self.number = number

    def __cache_key__(self):
        return ("account", self.number)


Point = namedtuple("Point", "x y")

zones: Any = st.one_of(
    st.none(),
    st.sampled_from([ZoneInfo("Europe/Berlin"), ZoneInfo("America/St_Johns"), ZoneInfo("UTC")]),
    st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
numbers = st.one_of(
    st.booleans(),
    st.integers(),
    st.integers(-3, 3),
    st.floats(allow_nan=False),
    st.integers(-8, 8).map(lambda half: half / 2),
    st.decimals(allow_nan=False),
    st.integers(-8, 8).map(lambda half: Decimal(half) / 2),
    st.floats(allow_nan=False).map(Decimal),
)
scalars = st.one_of(
    numbers,
    st.none(),
    st.text(max_size=5),
    st.binary(max_size=4),
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=zones),
    st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 2), timezones=zones),
    st.times(timezones=zones.filter(lambda zone: not isinstance(zone, ZoneInfo))),
    st.timedeltas(),
    st.sampled_from([*Colour, *Level, *Name]),
)
hashables = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.tuples(inner), st.tuples(inner, inner), st.frozensets(inner, max_size=3), st.builds(Page, numbers)
    ),
    max_leaves=4,
)


def same_instant(value: datetime) -> datetime:
    return value.astimezone(timezone(timedelta(hours=5, minutes=45)))


@given(hashables, hashables)
def test_equal_arguments_have_equal_texts(one, other):
    if one == other and hash(one) == hash(other):
        assert text(one) == text(other)


@given(numbers)
def test_a_number_has_one_text_whatever_its_class(number):
    for kind in (int, float, Decimal, bool):
        try:
            other = kind(number)
        except (OverflowError, ValueError):
            continue
        if other == number:
            assert text(other) == text(number)


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=zones.filter(bool)))
def test_an_instant_has_one_text_in_every_zone(value):
    moved = same_instant(value)
    if moved == value:
        assert text(moved) == text(value)


strict = st.recursive(
    st.one_of(st.text(max_size=3), st.none(), st.binary(max_size=2)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2), inner, max_size=2),
        st.frozensets(st.text(max_size=2), max_size=3),
    ),
    max_leaves=6,
)
tight = st.text(alphabet=":-_./,()[]<>=%{}ab1 \n\\'", max_size=6)


@pytest.mark.parametrize(
    "template", ["k:{a}:{b}", "{a}-{b}", "{b}/x_{a}", "{a}::{b}:{{x}}", "{a}%-{b}", "{a}by.{b}", None]
)
@given(one=st.tuples(tight | strict, tight | strict), other=st.tuples(tight | strict, tight | strict))
def test_different_arguments_have_different_keys(template, one, other):
    key = KeyTemplate(template, inspect.signature(lambda a, b: 0), name="m.f")
    assert (key.of(*one) == key.of(*other)) == (one == other)


@given(st.lists(st.decimals(allow_nan=False) | st.floats(allow_nan=False) | st.integers(), min_size=2, max_size=2))
def test_different_numbers_have_different_texts(pair):
    one, other = pair
    assert (text(one) == text(other)) == (one == other)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a:b", "a:b"),
        (1, "1"),
        (True, "1"),
        (1.0, "1"),
        (Decimal("1.00"), "1"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (Decimal("19.99"), "1999e-2d"),
        (None, "%None"),
        (b"\x01", "%x01"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date(2024, 1, 2), "2024-01-02"),
        (datetime(2024, 1, 2, 3, 4, 5), "2024-01-02T030405"),
        (datetime(2024, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))), "2024-01-02T010000Z"),
        (time(1, 2), "T010200.000000"),
        (timedelta(seconds=1), "1000000us"),
        (Colour.RED, "red"),
        (Level.ONE, "1"),
        (Name.A, "a"),
        (("a", "b"), "(a,b,)"),
        (("a,b",), "(a%2Cb,)"),
        (("",), "(,)"),
        (Point(1, 2), "(1,2,)"),
        (["a"], "[a,]"),
        ({3, 1, 2}, "<1,2,3,>"),
        ({"b": 1, "a": None}, "(a=%None,b=1,=)"),
        (Page(1.0, trace="x"), "Page(1,10,)"),
        (Filter("x"), "Filter(x,)"),
        (Range(1, 2), "Range(1,2,)"),
        (Query(word="w", page=Page(2)), "Query(w,Page(2,10,),)(=)"),
        (Account(7), "(account,7,)"),
    ],
)
def test_the_text_of_an_argument(value, written):
    assert text(value) == written


@dataclass
class Mutable:
    number: int


@pytest.mark.parametrize(
    "value", [object(), len, iter([1]), Mutable(1), 3j, {1: object()}, (object(),), Account, 10**4000]
)
def test_an_argument_without_identity_is_named(value):
    key = KeyTemplate("podcasts:{tenant.id}:{x}", inspect.signature(lambda tenant, x: 0))
    with pytest.raises(UnstableKeyError) as caught:
        key.of(type("Tenant", (), {"id": 1}), value)
    assert caught.value.template == "podcasts:{tenant.id}:{x}"
    assert caught.value.argument == "x"
    assert isinstance(caught.value, TypeError)


def test_an_argument_that_contains_itself_is_refused():
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(UnstableKeyError, match="contains itself"):
        KeyTemplate("{x}").of(endless)


def test_positions_names_and_defaults_give_the_same_key():
    def podcasts(tenant_id, /, page=1, *, session=None, size=10): ...

    key = KeyTemplate("p:{tenant_id}:{page}:{size}", inspect.signature(podcasts), ignore=("session",))
    assert key.of(4) == key.of(4, 1) == key.of(4, page=1.0, session=object(), size=10) == "p:4:1:10"
    with pytest.raises(TypeError, match="tenant_id"):
        key.of()
    with pytest.raises(TypeError, match="unknown"):
        key.of(1, unknown=2)


def test_fields_reach_into_arguments():
    key = KeyTemplate("{user.id}:{ids[0]}:{names[first]}")
    user = type("User", (), {"id": 7})
    assert key.of(user, [3], {"first": "x"}) == "7:3:x"
    assert KeyTemplate("\0{ids[00]}").of([3]) == "%003"
    assert list(key.parameters.parameters) == ["user", "ids", "names"]


def test_a_key_of_every_argument_is_made_without_a_template():
    signature = inspect.signature(lambda self, a, *rest, b=2, **more: 0)
    key = KeyTemplate(None, signature, ignore=("self",), name="app.f.<locals>.g")
    assert key.of(object(), 1, 5, c=3) == "app.f.<locals>.g:1:(5,):2:(c=3,=)"


def test_two_separators_do_not_weaken_one_another():
    key = KeyTemplate("{a}-{b}:{c}")
    assert key.of("x-y", "z", "w") != key.of("x", "y-z", "w")


@pytest.mark.parametrize(
    ("template", "ignore", "said"),
    [
        ("", (), "'podcasts:{tenant_id}'"),
        ("{x}{y}", (), "a ':' before {y}"),
        ("{x}by{y}", (), "a ':' before {y}"),
        ("{x", (), "expected '}'"),
        ("{}:{y}", (), "got {}"),
        ("{class}:{y}", (), "got {class}"),
        ("{x.for}:{y}", (), "got {x.for}"),
        ("{x!r}:{y}", (), "without formats"),
        ("{x:>3}:{y}", (), "without formats"),
        ("{x.__class__()}:{y}", (), "got {x.__class__()}"),
        ("{z}:{x}:{y}", (), "x, y; got 'z'"),
        ("{x}", (), "missing: y"),
        ("plain", (), "missing: x, y"),
        ("{x}", ("y", "session"), "got 'session'"),
        ("{x}:{y}", ("y",), "'y' is"),
        (None, (), "a name and a signature"),
    ],
)
def test_an_impossible_template_is_refused_with_what_is_allowed(template, ignore, said):
    with pytest.raises(OptionError) as caught:
        KeyTemplate(template, inspect.signature(lambda x, y: 0), ignore=ignore)
    assert said in str(caught.value)


def test_self_is_a_parameter_like_others():
    with pytest.raises(OptionError, match="missing: self"):
        KeyTemplate("{x}", inspect.signature(lambda self, x: 0))


def test_keys_are_the_same_in_every_process():
    code = "from seawall.cache.keys import *; print(text(({'b','a','c'}, {'x': 1})), storage_key('n', 1, 'é' * 300))"
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(runs) == 1


def test_what_is_sent_to_redis():
    assert storage_key("podcasts", 1, "tenant:42") == b"podcasts:v1:{tenant:42}"
    assert storage_key("a:b", "2 x", "k {1}\n~") == b"a~3Ab:v2~20x:{k~20~7B1~7D~0A~7E}"


parts = st.tuples(st.text(max_size=3), st.integers(0, 9) | st.text(max_size=2), st.text(min_size=1, max_size=150))


def sent_as(namespace: str, version: str | int, key: str) -> bytes:
    return storage_key(namespace, version, key, limit=100)


@given(parts, parts)
def test_what_is_sent_to_redis_is_bounded_and_one_of_a_kind(one, other):
    sent = sent_as(*one)
    assert len(sent) <= 100
    assert sent.count(b"{") == sent.count(b"}") == 1
    assert sent.endswith(b"}")
    assert not any(byte <= 32 or byte == 127 for byte in sent)
    same = (one[0], str(one[1]), one[2]) == (other[0], str(other[1]), other[2])
    assert (sent == sent_as(*other)) == same


def test_a_cut_key_passes_for_no_other():
    long = storage_key("n", 1, "k" * 500)
    inside = long[len(b"n:v1:{") : -1].decode()
    assert storage_key("n", 1, inside) != long


def test_an_impossible_storage_key_is_refused():
    with pytest.raises(TypeError, match="a cache key is a string, got int"):
        storage_key("n", 1, cast("str", 3))
    with pytest.raises(OptionError, match="at least one character"):
        storage_key("n", 1, "")
    with pytest.raises(OptionError, match="short enough"):
        storage_key("n" * 190, 1, "k" * 50)
