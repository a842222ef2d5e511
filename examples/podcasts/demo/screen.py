"""What the demo shows: providers and their breakers, traffic, and the story so far."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from podcasts.demo.checker import Checker
from podcasts.demo.story import Story
from podcasts.demo.traffic import Traffic
from podcasts.demo.watch import Watch

WRITERS = ("openai", "anthropic", "deepseek", "replicate")
COLOURS = {"closed": "green", "open": "bold red", "half_open": "yellow", "isolated": "magenta"}
BAR = 30


class Screen:
    """Renders itself anew each time the terminal asks."""

    def __init__(self, story: Story) -> None:
        self._story = story

    def __rich__(self) -> RenderableType:
        story = self._story
        now = Text.assemble(
            (" now ", "black on cyan"), " ", (story.now, "bold"), (f"   {story.elapsed():4.0f} s", "dim")
        )
        told = Text("\n").join(Text.assemble((f"{at:5.1f} s  ", "dim"), words) for at, words in story.told[-8:])
        return Group(
            now,
            providers_table(story.traffic, story.watch),
            traffic_line(story.traffic),
            cache_line(story),
            database_table(story),
            checker_line(story.checker),
            Panel(told, title="what was seen", title_align="left", border_style="dim", height=10),
        )


def providers_table(traffic: Traffic, watch: Watch) -> Table:
    """A row for each language model, in fallback order."""
    table = Table(expand=True, border_style="dim")
    table.add_column("provider")
    table.add_column("breaker")
    table.add_column("rejected", justify="right")
    table.add_column("retried", justify="right")
    table.add_column("written", justify="right")
    table.add_column("ad-reads per second", min_width=BAR + 6)
    fastest = max(traffic.rate(), 1.0)
    for name in WRITERS:
        breaker = watch.breakers.get(name, {})
        state = watch.state(name)
        words = Text(state.replace("_", " ").upper(), COLOURS.get(state, "white"))
        if breaker.get("retry_after") is not None:
            words.append(f"  trial in {breaker['retry_after']:.1f} s", "dim")
        rate = traffic.rate(name)
        bar = Text("█" * round(rate / fastest * BAR), COLOURS.get(state, "white")).append(f" {rate:.0f}", "dim")
        table.add_row(
            name,
            words,
            str(breaker.get("rejected", 0)),
            str(watch.retried.get(name, 0)),
            str(traffic.by_provider[name]),
            bar,
        )
    return table


def traffic_line(traffic: Traffic) -> Text:
    """Requests, failures and latencies of the last seconds."""
    return Text.assemble(
        (f" {traffic.rate():.0f} requests/s ", "bold"),
        f"  p50 {traffic.percentile(0.5) * 1000:.0f} ms",
        f"  p95 {traffic.percentile(0.95) * 1000:.0f} ms",
        f"  sent {traffic.sent}",
        ("  failed 0" if not traffic.failed else f"  failed {traffic.failed}", "red" if traffic.failed else "green"),
    )


def cache_line(story: Story) -> Text:
    """What readers notice of the cache, and what the cache says."""
    readers = story.readers
    health, _, why = story.watch.cache.partition(": ")
    total = story.watch.cache_figures.get("total", {})
    ratio = total.get("hit_ratio")
    line = Text.assemble(
        (f" {readers.read} reads ", "bold"),
        f"  p50 {readers.latest() * 1000:.0f} ms",
        f"  from the cache {ratio:.1%}" if ratio is not None else "",
        ("  failed 0" if not readers.failed else f"  failed {readers.failed}", "red" if readers.failed else "green"),
        "  cache ",
        (health, "green" if health == "healthy" else "yellow"),
        (f"  {why}", "dim"),
    )
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def database_table(story: Story) -> Table:
    """A row for each server of the database."""
    table = Table(expand=True, border_style="dim")
    table.add_column("database")
    table.add_column("role")
    for heading in ("behind", "probe", "in use", "statements"):
        table.add_column(heading, justify="right")
    for name, node in story.watch.nodes.items():
        colour = "red" if not node["usable"] else "yellow" if node["slow"] else "green"
        role = Text(node["role"].upper(), colour)
        if not node["usable"]:
            role.append(f"  {node['why']}", "dim")
        role.no_wrap, role.overflow = True, "ellipsis"
        behind = "" if node["behind"] is None or node["role"] == "primary" else f"{node['behind'] / 1024:.0f} KiB"
        probe = f"{node['latency'] * 1000:.1f} ms"
        table.add_row(name, role, behind, probe, str(node["in_use"]), str(node["statements"]))
    return table


def checker_line(checker: Checker) -> Text:
    """What those who read their own writes have noticed."""
    violations = checker.violations
    return Text.assemble(
        (f" {checker.writes} writes ", "bold"),
        f"  read back in {checker.reads} reads",
        (f"  stale {checker.stale}  backwards {checker.backwards}", "bold red" if violations else "green"),
        (f"  failed {checker.failed}", "red" if checker.failed else "green"),
        (f"  written again {checker.refused}", "dim"),
    )


def summary(story: Story) -> Group:
    """What happened, in figures."""
    traffic, watch = story.traffic, story.watch
    table = Table(title="ad-reads", title_justify="left", border_style="dim")
    for heading in ("provider", "written", "share", "retried", "rejected by breaker"):
        table.add_column(heading, justify="left" if heading == "provider" else "right")
    for name in WRITERS:
        written = traffic.by_provider[name]
        share = f"{written / traffic.sent:.0%}" if traffic.sent else "–"
        rejected = watch.breakers.get(name, {}).get("rejected", 0)
        table.add_row(name, str(written), share, str(watch.retried.get(name, 0)), str(rejected))
    changes = Text("\n").join(
        Text.assemble((f"{at:5.1f} s  ", "dim"), f"{name}  ", (old, COLOURS[old]), " → ", (new, COLOURS[new]))
        for at, name, old, new in watch.changes
    )
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    latencies = ", ".join(
        f"{name} {traffic.percentile(share, recent=False) * 1000:.0f} ms" for name, share in shares.items()
    )
    readers = story.readers
    return Group(
        table,
        changes,
        Text(f"{traffic.sent} ad-reads asked for, {traffic.failed} failed; {latencies}"),
        Text(f"{readers.read} lists read, {readers.failed} failed"),
        database_table(story),
        checker_line(story.checker),
    )
