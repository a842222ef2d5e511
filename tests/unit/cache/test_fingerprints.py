import subprocess
import sys
from enum import StrEnum
from typing import Any, Literal

import msgspec
import pydantic

from seawall.cache.msgspec import MsgspecCodec
from tests.unit.cache.codec_values import Tree


def prints(type_: Any) -> bytes:
    return MsgspecCodec().of(type_).fingerprint


def one_field(kind: Any, name: str = "a", **more: Any) -> type:
    return msgspec.defstruct("One", [(name, kind)], module="m", **more)


def test_the_fingerprint_changes_with_the_structure():
    known = [
        int,
        list[int],
        set[int],
        int | None,
        one_field(int),
        one_field(str),
        one_field(int, "b"),
        one_field(int, tag="x"),
        one_field(int, array_like=True),
        one_field(one_field(int)),
        one_field(one_field(str)),
        msgspec.defstruct("One", [("a", int), ("b", int)], module="m"),
        msgspec.defstruct("One", [("a", int, 1)], module="m"),
        msgspec.defstruct("One", [("a", int, 2)], module="m"),
        msgspec.defstruct("Two", [("a", int)], module="m"),
        pydantic.create_model("One", __module__="m", a=(int, ...)),
        pydantic.create_model("One", __module__="m", a=(str, ...)),
        pydantic.create_model("One", __module__="m", a=(int, 1)),
        StrEnum("Kind", {"A": "a"}),
        StrEnum("Kind", {"A": "b"}),
        Tree,
        Literal["a"],
        Literal["b"],
    ]
    found = [prints(type_) for type_ in known]
    assert all(len(each) == 8 for each in found)
    assert len(set(found)) == len(found)
    assert prints(one_field(int)) == prints(one_field(int))


def test_the_fingerprint_is_the_same_in_every_process():
    code = """
import msgspec, pydantic, enum, typing, datetime, uuid
from seawall.cache.msgspec import MsgspecCodec
class Kind(enum.Enum):
    A = "a"
    B = "b"
class Guest(pydantic.BaseModel):
    id: uuid.UUID = pydantic.Field(default_factory=uuid.uuid4, gt=3, json_schema_extra=lambda schema: None)
    kind: Kind | typing.Literal["x", "y"] = Kind.A
    seen: typing.Annotated[set[str], pydantic.AfterValidator(lambda value: value)] = {"a", "b"}
class Tree(msgspec.Struct):
    trees: dict[str, "Tree"] = msgspec.field(default_factory=lambda: {})
    guests: frozenset[int] = frozenset({1, 2})
for type_ in (list[Guest], Tree, Guest | Tree | None):
    try: print(MsgspecCodec().of(type_).fingerprint)
    except Exception as error: print(type(error))
"""
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(runs) == 1
