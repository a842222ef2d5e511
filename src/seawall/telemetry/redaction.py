"""Keeps secrets out of logs: by the name of a field, and by what a text looks like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[hidden]"
_NAMES = re.compile(
    r"pass(word|wd|phrase)?$|secret|token$|api_?key|access_?key|private_?key|credential|authorization|cookie|session_?id"
    r"|^auth$|card_?number|^cvc$|^cvv$|^ssn$|^pin$|^otp$",
    re.IGNORECASE,
)
_TEXTS = re.compile(
    r"""
      (?P<scheme> \b (?:bearer|basic) \s+ ) [A-Za-z0-9._~+/=-]{8,}       # an Authorization header
    | (?P<url> [a-z][a-z0-9+.-]*:// [^\s/:@]* : ) [^\s/@]+ (?=@)          # a password in a URL
    | (?P<pair> \b (?:pass(?:word|wd)? | secret | token | api[_-]?key) ["']? \s* [=:] \s* ["']? ) [^\s"',;&]{4,}
    | \b eyJ [A-Za-z0-9_-]{8,} \. [A-Za-z0-9_-]{8,} \. [A-Za-z0-9_-]*     # a JSON Web Token
    # Keys by their prefix.
    | \b (?: (?: sk | pk | rk | whsec | SG ) [-_.] | gh[opsu]_ | xox[abpr]- | AKIA ) [A-Za-z0-9_.-]{16,}
    # A payment card's number, by its check digit.
    | (?P<card> \b (?: \d [ -]? ){13,15} \d \b )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_HINTS = re.compile(
    r"bearer|basic|://[^\s/]*@|pass|secret|token|api[_-]?key|eyJ|\b[spr]k[-_.]|whsec|SG\.|gh[opsu]_|xox|AKIA|\d{4}",
    re.IGNORECASE,
)
_DEEPEST = 6


def text(value: str) -> str:
    """`value` without what looks like a secret in it."""
    return _TEXTS.sub(_hide, value) if _HINTS.search(value) else value


def fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` without those whose name is a secret's, and texts without what looks like one."""
    return {name: HIDDEN if _NAMES.search(name) else _value(value, 0) for name, value in values.items()}


def _value(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return text(value)
    if depth >= _DEEPEST:
        return value if isinstance(value, (int, float, bool)) or value is None else "…"
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if isinstance(name, str) and _NAMES.search(name) else _value(one, depth + 1)
            for name, one in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_value(one, depth + 1) for one in value]
    return value


def _hide(found: re.Match[str]) -> str:
    if found["card"] and not _checks(found["card"]):
        return found["card"]
    kept = found["scheme"] or found["url"] or found["pair"] or ""
    return f"{kept}{HIDDEN}"


def _checks(card: str) -> bool:
    """Whether the last digit is the one that Luhn's formula asks for."""
    digits = [int(digit) for digit in card if digit.isdigit()]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + doubled) % 10 == 0
