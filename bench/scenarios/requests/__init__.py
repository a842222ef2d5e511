"""The scenarios in the order in which they run: one module each, with `async def run(bench)`."""

from bench.scenarios.requests import errors, fastapi, memory, scrape, starlette
from bench.suite import Scenario

SCENARIOS: dict[str, Scenario] = {
    "starlette": starlette.run,
    "fastapi": fastapi.run,
    "errors": errors.run,
    "scrape": scrape.run,
    "memory": memory.run,
}
