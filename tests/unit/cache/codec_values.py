# ruff: noqa: DTZ001, DTZ901
"""What the codec's tests store: types of every kind, values that come back, and values that would not."""

import math
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Flag, IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar
from uuid import UUID, uuid4

import attrs
import msgspec
import pydantic

T = TypeVar("T")
Number = NewType("Number", int)
HALF = timezone(timedelta(hours=5, minutes=30))


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    ONE = 1


class Right(Flag):
    READ = 1
    WRITE = 2


class Episode(msgspec.Struct):
    id: int
    title: str = ""
    at: datetime | None = None
    length: float = 0.0
    tags: list[str] = []


class Tree(msgspec.Struct):
    children: list["Tree"] = []


class Audio(msgspec.Struct, tag="audio"):
    url: str


class Video(msgspec.Struct, tag="video", array_like=True):
    url: str


class Film(msgspec.Struct, tag="film"):
    url: str


class Renamed(msgspec.Struct, rename="camel", omit_defaults=True):
    first_name: str
    last_name: str = "x"


class Box(msgspec.Struct, Generic[T]):
    inside: T


class Unset(msgspec.Struct):
    value: int | msgspec.UnsetType = msgspec.UNSET


class Doubled(msgspec.Struct):
    value: int

    def __post_init__(self):
        self.value *= 2


@dataclass
class Base:
    id: int


@dataclass
class Derived(Base):
    more: str = ""


@dataclass
class Podcast:
    id: UUID
    price: Decimal
    colour: Colour
    episodes: list[Episode] = field(default_factory=list)
    guest: "Guest | None" = None


class Guest(pydantic.BaseModel):
    name: str
    born: date | None = None
    password: pydantic.SecretStr | None = None
    id: UUID = pydantic.Field(default_factory=uuid4)


class Aliased(pydantic.BaseModel):
    first_name: str = pydantic.Field(alias="firstName", exclude=True)
    at: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    tags: set[str] = set()
    length: timedelta = timedelta(0)
    data: bytes = b""
    any: Any = None

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def shout(self) -> str:
        return self.first_name.upper()

    @pydantic.field_serializer("at")
    def when(self, at):
        return "never"


class Plain(pydantic.BaseModel):
    id: int
    name: str
    at: datetime | None = None
    tags: list[str] = []
    other: dict[str, Decimal] = {}


class Strict(pydantic.BaseModel, strict=True):
    at: datetime
    id: UUID


class Loose(pydantic.BaseModel, extra="allow"):
    id: int


class Wrapped(pydantic.RootModel[list[int]]):
    pass


class Either(pydantic.BaseModel):
    value: str | datetime | Decimal


class Growing(pydantic.BaseModel):
    value: Annotated[int, pydantic.AfterValidator(lambda value: value + 1)]


class Lower(pydantic.BaseModel):
    word: Annotated[str, pydantic.StringConstraints(to_lower=True)]


class Private(pydantic.BaseModel):
    id: int
    _seen: int = pydantic.PrivateAttr(0)


class Cat(pydantic.BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(pydantic.BaseModel):
    kind: Literal["dog"] = "dog"
    lives: int = 1


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]


@attrs.define
class Place:
    x: float
    y: tuple[int, ...]


class Row(TypedDict):
    id: int
    name: NotRequired[str]


class Point(NamedTuple):
    x: int
    y: str = ""


MOMENT = datetime(2024, 2, 3, 4, 5, 6, 789012)
ID = UUID("12345678-1234-5678-1234-567812345678")
secret = Guest(name="a", born=date(2000, 1, 1), password=pydantic.SecretStr("hush"), id=ID)

VALUES: dict[str, tuple[Any, Any]] = {
    "none": (None, None),
    "any": (Any, {"a": [1, 1.5, None, True, b"\x00", {"b": {}}], 3: "x", None: 1, b"k": 2}),
    "any big": (Any, [2**64, {"x": -(2**99)}]),
    "big": (int, 2**200),
    "nested big": (Episode, Episode(2**64, at=MOMENT.replace(tzinfo=HALF))),
    "edge": (list[int], [2**64 - 1, -(2**63)]),
    "inf": (list[float], [math.inf, -math.inf, -0.0]),
    "struct": (list[Episode], [Episode(1), Episode(2, "é", MOMENT, 1.5, ["a"])]),
    "aware": (Episode, Episode(1, at=MOMENT.replace(tzinfo=UTC))),
    "zoned": (Episode, Episode(1, at=MOMENT.replace(tzinfo=HALF))),
    "zones": (
        list[datetime],
        [MOMENT, MOMENT.replace(tzinfo=timezone(-timedelta(hours=3))), datetime.min, datetime.max],
    ),
    "time": (tuple[time, time], (time(1, 2, 3, 4), time(1, tzinfo=HALF))),
    "date": (dict[date, timedelta], {date.min: timedelta.min, date.max: timedelta(microseconds=-1)}),
    "tree": (Tree, Tree([Tree(), Tree([Tree()])])),
    "tagged": (list[Audio | Film], [Audio("a"), Film("b")]),
    "array": (Video, Video("a")),
    "renamed": (Renamed, Renamed("a")),
    "generic": (Box[int], Box(1)),
    "generic list": (Box[list[Episode]], Box([Episode(1)])),
    "unset": (Unset, Unset()),
    "dataclass": (Podcast, Podcast(ID, Decimal("1.10"), Colour.RED, [Episode(1)], secret)),
    "enums": (list[Level | Colour], [Level.ONE, Colour.RED]),
    "flag": (Right, Right.READ | Right.WRITE),
    "enum keys": (dict[Colour, Level], {Colour.RED: Level.ONE}),
    "keys": (dict[int, dict[UUID, Decimal]], {1: {ID: Decimal("NaN")}, -1: {}}),
    "tuple keys": (dict[tuple[int, str], int], {(1, "a"): 1}),
    "sets": (tuple[set[int], frozenset[str], bytes], ({1, 2}, frozenset("ab"), b"\xff")),
    "bytearray": (bytearray, bytearray(b"x")),
    "union": (list[int | str | list[int] | None], [1, "a", None, [1]]),
    "number": (list[int | float], [1, 1.0]),
    "literal": (Literal["a", 1] | None, 1),
    "newtype": (Annotated[Number, "id"], 1),
    "typed dict": (list[Row], [{"id": 1}, {"id": 2, "name": "x"}]),
    "named tuple": (Point, Point(1, "a")),
    "attrs": (Place, Place(1.0, (1, 2))),
    "path": (Path, Path("/a/b")),
    "model": (Guest, secret),
    "models": (list[Guest], [secret, Guest(name="b")]),
    "optional model": (Guest | None, secret),
    "model dict": (dict[str, Guest], {"x": secret}),
    "aliased": (Aliased, Aliased(firstName="x", tags={"a"}, length=timedelta(1), data=b"\xff", any=[1])),
    "plain model": (
        list[Plain],
        [Plain(id=1, name="x"), Plain(id=2, name="y", at=MOMENT, other={"a": Decimal("1.0")})],
    ),
    "zoned model": (
        Plain,
        Plain(id=1, name="x", at=datetime.fromisoformat("2024-01-01T01:02:03+05:30"), tags=[], other={}),
    ),
    "strict model": (Strict, Strict(at=MOMENT, id=ID)),
    "extra": (Loose, Loose.model_validate({"id": 1, "more": [1, 2]})),
    "root": (Wrapped, Wrapped([1])),
    "model union": (list[Cat | Dog], [Cat(), Dog(lives=2)]),
    "generic model": (Page[Guest], Page[Guest](items=[secret])),
    "model in box": (Box[Guest], Box(secret)),
    "private": (Private, Private(id=1)),
    "text": (Either, Either(value="x")),
}


class Word(str):
    __slots__ = ()


NOT_ANNOTATED: dict[str, Any] = {"text": "1", "time": "2024-01-01T00:00:00", "title": MOMENT}

CHANGED: dict[str, tuple[Any, Any]] = {
    "subclass": (Base, Derived(1, "lost")),
    "subclass inside": (list[Base], [Base(1), Derived(2)]),
    "subclass of model": (list[Cat], [type("Kitten", (Cat,), {"__annotations__": {"age": int}, "age": 1})()]),
    "dict for struct": (list[Episode], [{"id": 1}]),
    "whole that is no float": (float, 2**53 + 1),
    "truth for float": (float, True),
    "truth in a set of floats": (set[float], {True}),
    "fraction for whole": (int, 1.0),
    "fraction in a set of wholes": (set[int], {1.0}),
    "text for number": (Episode, Episode(NOT_ANNOTATED["text"])),
    "text for datetime": (Episode, Episode(1, at=NOT_ANNOTATED["time"])),
    "datetime for text": (Episode, Episode(1, title=NOT_ANNOTATED["title"])),
    "enum for text": (list[str], ["a", Colour.RED]),
    "enum for number": (Any, [Level.ONE]),
    "text subclass": (str, Word("x")),
    "tuple for list": (list[int], (1, 2)),
    "tuple for sequence": (Sequence[int], (1, 2)),
    "list for tuple": (tuple[int, ...], [1]),
    "ordered": (dict[str, int], OrderedDict(a=1)),
    "default": (Any, defaultdict(list, a=[])),
    "tuple in any": (Any, {"a": (1, 2)}),
    "set in any": (Any, [{1}]),
    "struct in any": (dict[str, Any], {"a": Episode(1)}),
    "datetime in any": (Any, [MOMENT]),
    "datetime key": (Any, {MOMENT: 1}),
    "bytearray in any": (Any, [bytearray(b"x")]),
    "more keys": (Row, {"id": 1, "more": 2}),
    "surrogate": (str, "\ud800"),
    "named tuple": (tuple[int, str], Point(1, "x")),
    "post init": (Doubled, Doubled(1)),
    "function": (Any, len),
    "growing": (Growing, Growing(value=1)),
    "lower": (Lower, Lower.model_construct(word="X")),
    "either": (Either, Either(value=MOMENT)),
    "private": (Private, Private(id=1)),
    "seconds": (datetime, MOMENT.replace(tzinfo=timezone(timedelta(seconds=61)))),
    "unvalidated": (Plain, Plain.model_construct(id="1", name="x", at=None, tags=[], other={})),
}
CHANGED["private"][1]._seen = 1
