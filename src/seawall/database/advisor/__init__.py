"""The advisor: indexes and rewrites that a workload is worth, each checked before it is told.

report = await analyze("postgresql://app@db-1/app", ["SELECT * FROM orders WHERE customer_id = 7"])
for index in report.indexes:
    print(index.ddl)
"""

from seawall.database.advisor.analyze import analyze
from seawall.database.advisor.errors import AnalysisError
from seawall.database.advisor.report import (
    Gain,
    IndexAdvice,
    IndexProblem,
    Measured,
    Report,
    RewriteAdvice,
    Severity,
    Skipped,
    Statement,
)
from seawall.database.advisor.workload import from_sql, from_statistics

__all__ = [
    "AnalysisError",
    "Gain",
    "IndexAdvice",
    "IndexProblem",
    "Measured",
    "Report",
    "RewriteAdvice",
    "Severity",
    "Skipped",
    "Statement",
    "analyze",
    "from_sql",
    "from_statistics",
]
