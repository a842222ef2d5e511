"""Decoding of what only pydantic can tell apart: a union of models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter


def validator(type_: Any) -> Callable[[Any], Any]:
    """What makes a value of `type_` from plain values, by field names. Raises what pydantic raises for the type."""
    validate = TypeAdapter(type_).validate_python
    return lambda plain: validate(plain, strict=False, by_alias=False, by_name=True)
