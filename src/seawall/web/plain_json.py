"""JSON of whatever there is, for an answer that has to be given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

_DEEPEST = 8
_WRITTEN = (float, Decimal, date, datetime, time, UUID, PurePath, int)


def plain_json(value: Any) -> bytes:
    """`value` as JSON; dates, ids and the like as text, and of what JSON has no word for the type alone.

    A `repr` may tell anything, so there is none. Levels below the eighth are left out, circles with them.
    """
    return json.dumps(_plain(value, 0), separators=(",", ":")).encode()


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, _WRITTEN):
        return _written(value)
    if depth <= _DEEPEST and isinstance(value, Mapping):
        return {str(_plain(name, _DEEPEST + 1)): _plain(item, depth + 1) for name, item in value.items()}
    if depth <= _DEEPEST and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth + 1) for item in value]
    return f"<{type(value).__name__}>"


def _written(value: Any) -> Any:
    # Infinity and NaN are no JSON; an int of 64 bits is what others can read.
    if (isinstance(value, float) and value - value == 0) or (isinstance(value, int) and value.bit_length() <= 64):  # noqa: PLR2004
        return value
    try:
        return str(value)
    except ValueError:  # an int of more digits than Python writes
        return f"<{type(value).__name__}>"
