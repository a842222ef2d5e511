"""Values on their way in and out: what memory keeps of them, their records, and back."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from seawall.cache.codec import Codec, TypedCodec, immutable
from seawall.cache.errors import DecodeError, UnserializableError
from seawall.cache.freshness import Freshness
from seawall.cache.loading import MISSING
from seawall.cache.memory import MemoryTier
from seawall.cache.node import Packed, Raised, size_of
from seawall.cache.record import ERROR, VALUE, Record
from seawall.cache.shapes import name_of
from seawall.cache.shared import Shared

if TYPE_CHECKING:
    from seawall.cache.fill import Order


def opened(value: Any) -> Any:
    """The caller's own copy of what is kept; raises the error it stands for."""
    kind = type(value)
    if kind is Packed:
        return value.unpack()
    if kind is Raised:
        raise value.again()
    return value


def is_value(kept: Any) -> bool:
    """Whether what is kept is a value: there is one, and it is no error."""
    return kept is not MISSING and type(kept) is not Raised


def same(old: Any, new: Any) -> bool:
    """Whether two kept values are equal, as far as that can be told from their bytes or by their own comparison."""
    if type(old) is Packed:
        return type(new) is Packed and old.data == new.data
    try:
        return type(old) is type(new) and bool(old == new)
    except Exception:  # noqa: BLE001 - a class decides how it is compared, and what it raises
        return False


def _takes(typed: TypedCodec, value: Any) -> bool:
    try:
        typed.encode(value)
    except UnserializableError:
        return False
    return True


class Seen(NamedTuple):
    """An entry found in memory or in the tier; times are this process's monotonic seconds."""

    value: Any
    version: int
    fresh_until: float
    tags: tuple[str, ...]
    validator: str | None
    own: Any = None
    """The value itself, decoded for whoever found it in the tier, and nobody else."""


def owned(seen: Seen) -> Any:
    """What was found in the tier, for whoever found it; raises the error it stands for."""
    if type(seen.own) is Raised:
        raise seen.own.again()
    return seen.own


class Kept(NamedTuple):
    """What is kept of a value: the object itself or `Packed`; its bytes where it was encoded, and their type."""

    value: Any
    data: bytes | None
    fingerprint: bytes


class Values:
    """Encodes, decodes, and admits to memory what a tier has."""

    def __init__(
        self, memory: MemoryTier, shared: Shared, codec: Codec, max_value_bytes: int, transforms: tuple[Any, ...]
    ) -> None:
        self.memory = memory
        self.shared = shared
        self.codec = codec
        self.max_value_bytes = max_value_bytes
        self.transforms = transforms
        for type_ in (str, int, float, bool, bytes, UUID, Decimal, datetime, date):
            codec.of(type_)  # so that these are read also where none was written
        self._untyped = codec.of(Any)
        self._monotonic = memory.clock.monotonic
        self._by_id = {transform.id: transform for transform in transforms}

    def kept(self, key: str, value: Any, type_: Any, *, encode: bool) -> Kept:
        """What to keep of `value`. Raises `UnserializableError` for what can't be kept so that it comes back."""
        if type(value) is Raised:
            return Kept(value, self._error(value.error) if encode else None, b"\0" * 8)
        try:
            shareable = immutable(value)
            if shareable and not encode:
                return Kept(value, None, b"")
            typed = self.codec.for_value(value) if type_ is None else self.codec.of(type_)
            data = typed.encode(value)
        except RecursionError:
            raise UnserializableError(name_of(type(value)), "it is nested too deeply, or contains itself") from None
        return Kept(value if shareable else Packed(data, typed), data, typed.fingerprint)

    def fits(self, value: Any, type_: Any) -> bool:
        """Whether `value`, as memory keeps it, may be read as `type_`."""
        kind = type(value)
        if type_ is Any or kind is Raised:
            return True
        typed = self.codec.of(type_)
        return self._suit(value.data, value.codec.fingerprint, typed) if kind is Packed else _takes(typed, value)

    def _suit(self, payload: bytes, fingerprint: bytes, typed: TypedCodec) -> bool:
        """Whether bytes with `fingerprint` may be read as `typed`: its own, and what nobody gave a type if it fits."""
        if fingerprint == typed.fingerprint:
            return True
        return fingerprint == self._untyped.fingerprint and _takes(typed, self._untyped.decode(payload))

    def _error(self, error: Exception) -> bytes | None:
        """An error as bytes; None where its arguments can't be, which keeps it in memory only."""
        kind = type(error)
        try:
            return self.codec.of(Any).encode([f"{kind.__module__}.{kind.__qualname__}", list(error.args)])
        except UnserializableError:
            return None

    def too_large(self, key: str, kept: Kept) -> str | None:
        """Why `kept` is too large to be kept, if it is."""
        size = self.size(kept)
        if size <= self.max_value_bytes:
            return None
        return f"it has {size} bytes, the limit is {self.max_value_bytes}"

    def size(self, kept: Kept) -> int:
        """Its bytes: encoded, or about."""
        return size_of(kept.value) if kept.data is None else len(kept.data)

    def record(
        self,
        key: str,
        kept: Kept,
        version: int,
        lifetime: float,
        freshness: Freshness,
        tags: tuple[str, ...],
        validator: str | None,
    ) -> Record:
        """The record of `kept`."""
        payload = kept.data or b""
        name = key.encode("utf-8", "surrogatepass")
        for transform in self.transforms:
            payload = transform.wrap(payload, name)
        now = self.shared.now()
        return Record(
            kind=ERROR if type(kept.value) is Raised else VALUE,
            version=version,
            stored=now,
            fresh_until=now + lifetime,
            keep_until=now + lifetime + freshness.retention,
            fingerprint=kept.fingerprint,
            tags=tags,
            validator=validator,
            transforms=bytes(transform.id for transform in self.transforms),
            payload=payload,
        )

    def admit(self, order: Order, record: Record, floor: int) -> Seen | None:
        """Decode `record` and keep it in memory; None for what is void, older than `floor`, or of another type."""
        shared = self.shared
        if record.version < floor or shared.is_void(record.tags, record.version):
            return None
        try:
            value, own = self._decode(order, record)
        except DecodeError:
            order.meter.undecodable += 1
            return None
        now = self._monotonic()
        behind = shared.behind(now)
        fresh_until = record.fresh_until + behind
        if record.keep_until + behind <= now:
            return None
        if self.memory.max_entries:
            self.memory.put(
                order.key,
                value,
                version=record.version,
                stored=record.stored + behind,
                fresh_until=fresh_until,
                freshness=order.freshness,
                meter=order.meter,
                tags=record.tags,
                validator=record.validator,
                size=len(record.payload),
            )
        return Seen(value, record.version, fresh_until, record.tags, record.validator, own)

    def _decode(self, order: Order, record: Record) -> tuple[Any, Any]:
        """What is kept of the value, and the value itself."""
        payload = record.payload
        if record.transforms or self.transforms:
            # What is not wrapped as agreed is not taken: else whoever can write there could leave the wrapping out.
            if record.transforms != bytes(self._by_id):
                raise DecodeError("cache record", "wrapped in another way")
            name = order.key.encode("utf-8", "surrogatepass")
            for transform in reversed(self.transforms):
                payload = transform.unwrap(payload, name)
        if record.kind != VALUE:
            raised = self._raised(order, record.kind, payload)
            return raised, raised
        declared = order.type is not None and order.type is not Any
        typed = self.codec.of(order.type) if declared else self.codec.known(record.fingerprint)
        if typed is None or not self._suit(payload, record.fingerprint, typed):
            raise DecodeError("cache record", "another type")
        value = typed.decode(payload)
        return (value, value) if immutable(value) else (Packed(payload, typed), value)

    def _raised(self, order: Order, record_kind: bytes, payload: bytes) -> Raised:
        """The error in `payload`, if it is one that the reader takes for an answer."""
        found = self.codec.of(Any).decode(payload) if record_kind == ERROR else None
        name, args = found if isinstance(found, list) and len(found) == len(("name", "args")) else ("", [])
        for kind in order.freshness.negative_errors:
            if f"{kind.__module__}.{kind.__qualname__}" == name:
                try:
                    return Raised(kind(*args))
                except Exception:  # noqa: BLE001 - a class decides how it is made, and what it raises
                    break
        raise DecodeError("cache record", "an error that is no answer here")
