"""The scenarios in the order in which they run: one module each, with `async def run(bench)`."""

from bench.scenarios.database import (
    cancelled,
    consistency,
    failover,
    misroutes,
    routing,
    statements,
)
from bench.suite import Scenario

SCENARIOS: dict[str, Scenario] = {
    "select_by_key": statements.select_by_key,
    "select_concurrent": statements.select_concurrent,
    "fetch": statements.fetch,
    "transaction": statements.transaction,
    "decision": routing.decision,
    "classification": routing.classification,
    "consistency": consistency.run,
    "misroutes": misroutes.run,
    "failover": failover.run,
    "cancelled": cancelled.run,
}
