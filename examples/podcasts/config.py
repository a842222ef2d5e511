"""Where the service's providers are, and how patient it is with them; from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


class ConfigError(ValueError):
    """An environment variable has a value that can't work."""

    def __init__(self, variable: str, value: str, allowed: str) -> None:
        super().__init__(f"{variable} is {value!r}; allowed: {allowed}")


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One provider's address (None: the SDK's own) and key. The key is in no `repr`."""

    name: str
    url: str | None
    key: str

    def __repr__(self) -> str:
        return f"Provider({self.name!r}, {self.url!r})"


@dataclass(frozen=True, kw_only=True)
class Config:
    """The providers by name, and the durations (in seconds) of the language models' pipelines."""

    providers: Mapping[str, Provider]
    attempt_timeout: float = 20.0
    total_timeout: float = 60.0
    open_for: float = 30.0

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> Config:
        """Read `OPENAI_BASE_URL`, `OPENAI_API_KEY` and so on; a provider without a key is called without one."""
        environment = os.environ if environment is None else environment
        providers = {
            name: Provider(
                name=name,
                url=environment.get(f"{name.upper()}_BASE_URL"),
                key=environment.get(f"{name.upper()}_API_KEY") or "none",
            )
            for name in ("openai", "anthropic", "deepseek", "replicate", "stripe", "sendgrid")
        }
        for provider in providers.values():
            if provider.url is not None and not provider.url.startswith(("http://", "https://")):
                raise ConfigError(f"{provider.name.upper()}_BASE_URL", provider.url, "a URL that begins with http")
        durations = {
            name: seconds(f"PODCASTS_{name.upper()}", environment[f"PODCASTS_{name.upper()}"])
            for name in ("attempt_timeout", "total_timeout", "open_for")
            if f"PODCASTS_{name.upper()}" in environment
        }
        return cls(providers=providers, **durations)


def seconds(variable: str, value: str) -> float:
    """A number of seconds above 0. Raises `ConfigError` for anything else."""
    try:
        found = float(value)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise ConfigError(variable, value, "a number of seconds above 0")
    return found
