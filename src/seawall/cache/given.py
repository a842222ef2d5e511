"""What callers give: keys and tags, refused where they can be none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seawall.core.errors import OptionError


def check_key(key: Any) -> None:
    """Raises `TypeError` for a key that is no string, and `OptionError` for an empty one."""
    if not isinstance(key, str):
        message = f"a cache key is a string, got {type(key).__name__}; make one of it, or let KeyTemplate do it"
        raise TypeError(message)
    if not key:
        raise OptionError("cache", "key", key, "a key of at least one character")


def tags_of(owner: str, tags: Iterable[str]) -> tuple[str, ...]:
    """`tags` as a tuple. Raises `OptionError` for what is no list of names."""
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise OptionError(owner, "tags", tags, "a list of names, such as ['tenant:42']")
    names = tuple(tags)
    for name in names:
        # A record keeps them with a NUL between them.
        if not isinstance(name, str) or not name or "\0" in name:
            raise OptionError(owner, "tag", name, "a string of at least one character, without NUL")
    return names
