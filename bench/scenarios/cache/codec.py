"""Encoding and decoding a typed list of 4 KB."""

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pydantic

from bench.measure import Subject, calling, describe, interleave
from bench.model import Column, Head, Row, Table, ordered
from bench.run import Run
from seawall.cache.msgspec import MsgspecCodec

_JSON = "json (plain dicts)"
Pair = tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]
"""A value, what encodes it, and what decodes that."""


@dataclass(frozen=True)
class Episode:
    """An item of the list."""

    id: int
    title: str
    seconds: float
    published: datetime
    tags: list[str]


class EpisodeModel(pydantic.BaseModel):
    """The same as a pydantic model."""

    id: int
    title: str
    seconds: float
    published: datetime
    tags: list[str]


def episodes() -> list[Episode]:
    """About 4 KB of them."""
    published = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return [
        Episode(number, f"Episode {number}: what the sea took back", 1800.5 + number, published, ["sea", "wall"])
        for number in range(29)
    ]


def contenders() -> tuple[Mapping[str, Pair], dict[str, str]]:
    """The codecs, and why one is missing."""
    items = episodes()
    plain = [{**asdict(item), "published": item.published.isoformat()} for item in items]
    models = [EpisodeModel(**asdict(item)) for item in items]
    typed, modelled = MsgspecCodec().of(list[Episode]), MsgspecCodec().of(list[EpisodeModel])
    adapter = pydantic.TypeAdapter(list[EpisodeModel])
    found: dict[str, Pair] = {
        "seawall MsgspecCodec (dataclasses)": (items, typed.encode, typed.decode),
        "seawall MsgspecCodec (pydantic)": (models, modelled.encode, modelled.decode),
        "msgspec MessagePack (dataclasses)": (
            items,
            msgspec.msgpack.Encoder().encode,
            msgspec.msgpack.Decoder(list[Episode]).decode,
        ),
        _JSON: (plain, json.dumps, json.loads),
        "pickle (dataclasses)": (items, lambda value: pickle.dumps(value, 5), pickle.loads),
        "pickle (pydantic)": (models, lambda value: pickle.dumps(value, 5), pickle.loads),
        "pydantic JSON": (models, adapter.dump_json, adapter.validate_json),
    }
    try:
        import orjson  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415
    except ImportError:
        return found, {"orjson": "not installed"}
    found["orjson (plain dicts)"] = (plain, orjson.dumps, orjson.loads)
    return found, {}


async def run(bench: Run) -> Table:
    """Time both directions of every codec, interleaved."""
    found, missing = contenders()
    rows = [Row(name=name, absent=reason) for name, reason in missing.items()]
    subjects, sizes = [], {}
    for name, (value, encode, decode) in found.items():
        try:
            data = encode(value)
            back = decode(data)
        except Exception as error:  # noqa: BLE001
            rows.append(Row(name=name, failed=describe(error)))
            continue
        if back != value:
            rows.append(Row(name=name, failed="does not give back what it was given"))
            continue
        sizes[name] = len(data)
        subjects.append(Subject(name=f"{name}/encode", lap=calling(encode, value)))
        subjects.append(Subject(name=f"{name}/decode", lap=calling(decode, data)))
    timings, failed = await interleave(subjects, bench.plan, bench.bar(bench.plan.rounds))
    for name, size in sizes.items():
        if broken := failed.get(f"{name}/encode") or failed.get(f"{name}/decode"):
            rows.append(Row(name=name, failed=broken))
            continue
        encoding, decoding = timings[f"{name}/encode"], timings[f"{name}/decode"]
        rows.append(
            Row(
                name=name,
                figures={
                    "encode": encoding.ns / 1e3,
                    "decode": decoding.ns / 1e3,
                    "encode_ratio": encoding.over(timings[f"{_JSON}/encode"]),
                    "decode_ratio": decoding.over(timings[f"{_JSON}/decode"]),
                    "size": size,
                },
            )
        )
    return Table(
        head=Head(
            key="codec",
            title="Codec, a typed list of 4 KB",
            what=f"{len(episodes())} records with a number, a string, a float, a datetime and a list of strings, "
            "out and in. Seawall's encoder also proves that what comes back will equal what went in.",
        ),
        columns=(
            Column("encode", "encode", "us"),
            Column("decode", "decode", "us"),
            Column("encode_ratio", "encode × json", "ratio"),
            Column("decode_ratio", "decode × json", "ratio"),
            Column("size", "bytes", "count"),
        ),
        rows=ordered(rows, "decode"),
        rank="decode",
    )
