"""The environment is read here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from seawall.core import SeawallError

_ON = frozenset({"1", "true", "yes", "on"})
_OFF = frozenset({"0", "false", "no", "off"})


class SettingsError(SeawallError, ValueError):
    """One or more environment variables have values that cannot work; all are named at once."""

    code = "settings"

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(self.problems)


def _switch(value: str) -> bool:
    if value.lower() in _ON:
        return True
    if value.lower() in _OFF:
        return False
    message = "on or off"
    raise ValueError(message)


def _seconds(value: str) -> float:
    message = "a number of seconds above 0"
    try:
        seconds = float(value)
    except ValueError:
        raise ValueError(message) from None
    if not 0 < seconds < float("inf"):
        raise ValueError(message)
    return seconds


def _level(value: str) -> str:
    if value.upper() in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
        return value.upper()
    message = "DEBUG, INFO, WARNING, ERROR or CRITICAL"
    raise ValueError(message)


def _secret(value: str) -> str:
    shortest = 16
    if len(value) < shortest:
        message = f"at least {shortest} characters"
        raise ValueError(message)
    return value


def _variable(name: str, read: Callable[[str], Any], default: Any, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"variable": name, "read": read, "secret": secret})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says. Secrets are not in its `repr`.

    admin_token: who sends it may steer breakers; without one nobody may.
    resilience: off leaves every call as it is.
    request_timeout: seconds a request may take when its caller sends no deadline of its own.
    """

    admin_token: str | None = _variable("SEAWALL_ADMIN_TOKEN", _secret, None, secret=True)
    resilience: bool = _variable("SEAWALL_RESILIENCE", _switch, True)
    request_timeout: float = _variable("SEAWALL_REQUEST_TIMEOUT", _seconds, 60.0)
    log_level: str = _variable("LOG_LEVEL", _level, "INFO")
    log_json_format: bool = _variable("LOG_JSON_FORMAT", _switch, True)

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the environment. Raises `SettingsError` with every problem, unknown `SEAWALL_*` names included."""
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        problems: list[str] = []
        known = {one.metadata["variable"]: one for one in fields(cls)}
        for variable, one in known.items():
            text = environment.get(variable)
            if text is None:
                continue
            try:
                values[one.name] = one.metadata["read"](text)
            except ValueError as error:
                given = "its value" if one.metadata["secret"] else repr(text)
                problems.append(f"{variable}: {given} is not allowed; allowed: {error}")
        for variable in sorted(environment):
            if variable.startswith("SEAWALL_") and variable not in known:
                names = ", ".join(name for name in known if name.startswith("SEAWALL_"))
                problems.append(f"{variable} is unknown; known: {names}")
        if problems:
            raise SettingsError(tuple(problems))
        return cls(**values)
