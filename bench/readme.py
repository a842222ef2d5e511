"""`python -m bench.readme`: put the figures of the last full run into the README, between its two marks."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- bench -->\n", "<!-- /bench -->"
ROWS = {
    "breaker_count": "breaker, count window",
    "breaker_time_slow": "breaker, time window and slow calls",
    "retry": "retry",
    "timeout": "timeout",
    "bulkhead": "bulkhead",
    "rate_limit": "rate limit",
    "pipeline": "bulkhead + budget + retry + breaker + timeout",
    "breaker_sync": "breaker around a `def`",
    "rejection": "refusal by an open breaker",
}
BESIDE = 3


def table() -> str:
    """The table: what a call costs, as a multiple of the bare call, and the nearest others."""
    results = json.loads((ROOT / "bench/results/resilience.json").read_text())
    about = results["about"]
    lines = [
        f"What a call costs, as a multiple of the bare call (`await f(x)`): the median of {about['rounds']} rounds in",
        f"which all take turns. {about['python']}, {about['machine']}, {about['measured']}.",
        "",
        "| | Seawall | next best |",
        "|---|---|---|",
    ]
    for scenario, title in ROWS.items():
        figures = {
            row["name"]: row["figures"]["ratio"] for row in results["scenarios"][scenario]["rows"] if row["figures"]
        }
        own = figures.pop("seawall")
        others = sorted((ratio, name) for name, ratio in figures.items() if not name.startswith("bare"))
        beside = ", ".join(f"{name} {ratio:.1f}×" for ratio, name in others[:BESIDE])
        lines.append(f"| {title} | **{own:.1f}×** | {beside} |")
    return "\n".join(lines) + "\n"


def filled(readme: str) -> str:
    """The README with the table of the last run."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


def main() -> None:
    """Write it."""
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text()))


if __name__ == "__main__":
    main()
