"""Dashboards: what Grafana would refuse, or show wrongly."""

import json
from itertools import combinations
from typing import Any

import promql_parser
import pytest

from podcasts.objectives import PLAN
from seawall.alerts import generate
from seawall.telemetry.catalogue import METRICS

FILES = {name: text for name, text in generate(PLAN, METRICS).items() if name.startswith("grafana/")}
BOARDS = {name: json.loads(text) for name, text in FILES.items()}
PANELS = [
    pytest.param(panel, id=f"{board['title']}: {panel['title']}")
    for board in BOARDS.values()
    for panel in board["panels"]
    if panel["type"] != "row"
]
UNITS = {"none", "short", "reqps", "ops", "cps", "s", "bytes", "percentunit"}


@pytest.mark.parametrize("name", BOARDS)
def test_places_and_ids_are_a_panels_own(name):
    panels = BOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    cells = [
        {
            (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
            for x in range(panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["h"])
        }
        for panel in panels
    ]
    assert all(not first & second for first, second in combinations(cells, 2))
    assert all(0 <= x < 24 for cell in cells for x, _ in cell)


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_can_be_read(panel: Any):
    assert panel["description"].endswith(".")
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in UNITS
    steps = defaults["thresholds"]["steps"]
    assert steps[0]["value"] is None
    assert [step["value"] for step in steps[1:]] == sorted(step["value"] for step in steps[1:])
    targets = panel["targets"]
    assert targets
    assert len({target["refId"] for target in targets}) == len(targets)
    assert len({target["legendFormat"] for target in targets}) == len(targets)


@pytest.mark.parametrize("panel", PANELS)
def test_every_query_is_one(panel: Any):
    for target in panel["targets"]:
        text = target["expr"]
        promql_parser.parse(text.replace("$__rate_interval", "5m").replace("$instance", ".*"))
        if "objective:" not in text and "ALERTS" not in text:
            assert text.count('job="podcasts"') == text.count('instance=~"$instance"') > 0
        assert "[5m]" not in text, "a fixed range misses what lies between two points"


@pytest.mark.parametrize("name", BOARDS)
def test_the_data_source_is_chosen_by_whoever_looks(name):
    board = BOARDS[name]
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert variables.keys() == {"datasource", "instance"}
    assert variables["datasource"]["type"] == "datasource"
    assert board["id"] is None
    assert len(board["uid"]) <= 40
    assert board["schemaVersion"] >= 39
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)
