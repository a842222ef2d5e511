"""Keeps secrets out of logs: by the name of a field, and by what a text looks like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from seawall.core.secrets import names_secret

HIDDEN = "[hidden]"
_TEXTS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    # Each with the words without which it can't be found; looking for those takes a hundredth of the time.
    (("bearer ", "basic "), re.compile(r"(?P<kept>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)),
    (("://",), re.compile(r"(?P<kept>://[^\s/:@]*:)[^\s/@]+(?=@)")),
    (
        ("pass", "secret", "token", "api"),
        re.compile(
            r"""(?P<kept>\b(?:pass(?:word|wd)?|secret|token|api[_-]?key)["']?\s*[=:]\s*["']?)[^\s"',;&]{4,}""",
            re.IGNORECASE,
        ),
    ),
    (("eyj",), re.compile(r"(?P<kept>\b)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")),
    (
        ("sk", "pk", "rk", "whsec", "sg.", "gh", "xox", "akia"),
        re.compile(
            r"(?P<kept>\b)(?:(?:sk|pk|rk|whsec|SG)[-_.]|gh[opsu]_|xox[abpr]-|AKIA)[A-Za-z0-9_.-]{16,}", re.IGNORECASE
        ),
    ),
)
_CARD = re.compile(r"\d(?:[ -]?\d){13,15}(?![\d])")
_DIGITS = re.compile(r"\d{4}")
_DEEPEST = 6


def text(value: str) -> str:
    """`value` without what looks like a secret in it."""
    lower = value.lower()
    for words, pattern in _TEXTS:
        for word in words:
            if word in lower:
                value = pattern.sub(_hide, value)
                break
    return _CARD.sub(_hide_card, value) if _DIGITS.search(value) else value


def fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` without those whose name is a secret's, and texts without what looks like one."""
    return {name: HIDDEN if names_secret(name) else _value(value, 0) for name, value in values.items()}


def _value(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return text(value)
    if depth >= _DEEPEST:
        return value if isinstance(value, (int, float, bool)) or value is None else "…"
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if isinstance(name, str) and names_secret(name) else _value(one, depth + 1)
            for name, one in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_value(one, depth + 1) for one in value]
    return value


def _hide(found: re.Match[str]) -> str:
    return f"{found['kept']}{HIDDEN}"


def _hide_card(found: re.Match[str]) -> str:
    """A payment card's number, by the check digit that Luhn's formula asks for."""
    number, start = found[0], found.start()
    if start and (found.string[start - 1].isalnum() or found.string[start - 1] in "._-"):
        return number  # a part of something longer
    digits = [int(digit) for digit in number if digit.isdigit()]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return HIDDEN if (sum(digits[-1::-2]) + doubled) % 10 == 0 else number
