"""Dashboards as data, and the JSON that Grafana imports."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 24
"""Columns of Grafana's grid."""
RATE = "$__rate_interval"
"""The range of a rate, which Grafana puts in: at least four scrapes, more where a graph shows more time."""
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_SCHEMA = 39  # Grafana 11


def ours(service: str, *matchers: str) -> str:
    """Matchers for the instances of a service that are chosen on the dashboard."""
    return ",".join([f'job="{service}"', 'instance=~"$instance"', *matchers])


def limit(value: float) -> tuple[tuple[float | None, str], ...]:
    """Green up to a threshold, red from there on."""
    return ((None, "green"), (value, "red"))


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One graph or number.

    queries: with the legend of each. unit: one of Grafana's. colours: from which value on which colour, the first from
    the beginning. kind: `timeseries`, `stat`, `gauge` or `state-timeline`. names: what values are called, such as 0
    closed. most: the scale's end.
    """

    title: str
    description: str
    queries: Sequence[tuple[str, str]]
    unit: str
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    colours: Sequence[tuple[float | None, str]] = ((None, "green"),)
    names: Mapping[int, tuple[str, str]] | None = None
    most: float | None = None
    stacked: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """Rows of panels. uid: stable, so that links lead there; at most 40 characters."""

    uid: str
    title: str
    description: str
    service: str
    rows: Sequence[Row]

    def json(self) -> str:
        """What Grafana imports or is provisioned with."""
        return json.dumps(_dashboard(self), indent=2, ensure_ascii=False) + "\n"


def _dashboard(board: Dashboard) -> dict[str, Any]:
    return {
        "annotations": {"list": [_alerts(board.service)]},
        "description": board.description,
        "editable": True,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "id": None,
        "links": [_links(board.service)],
        "panels": _placed(board.rows),
        "refresh": "30s",
        "schemaVersion": _SCHEMA,
        "tags": ["seawall", board.service],
        "templating": {"list": _variables(board.service)},
        "time": {"from": "now-6h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "title": board.title,
        "uid": board.uid,
        "version": 1,
        "weekStart": "",
    }


def _placed(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The panels with their places: from left to right, a new line where one doesn't fit."""
    found: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        found.append(
            {
                "collapsed": False,
                "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": top},
                "id": len(found) + 1,
                "panels": [],
                "title": row.title,
                "type": "row",
            }
        )
        top += 1
        left = height = 0
        for panel in row.panels:
            if left + panel.width > WIDTH:
                top, left, height = top + height, 0, 0
            place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
            found.append(_panel(panel, len(found) + 1, place))
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return found


def _panel(panel: Panel, number: int, place: Mapping[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "custom": _custom(panel),
        "mappings": _mappings(panel),
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": colour, "value": value} for value, colour in panel.colours],
        },
        "unit": panel.unit,
    }
    if panel.kind in {"timeseries", "gauge"}:
        defaults["min"] = 0
    if panel.most is not None:
        defaults["max"] = panel.most
    return {
        "datasource": _SOURCE,
        "description": panel.description,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "gridPos": dict(place),
        "id": number,
        "options": _options(panel),
        "targets": [
            {
                "datasource": _SOURCE,
                "editorMode": "code",
                "exemplar": panel.kind == "timeseries" and "_bucket" in query,
                "expr": query,
                "instant": panel.kind in {"stat", "gauge"},
                "legendFormat": legend,
                "range": panel.kind not in {"stat", "gauge"},
                "refId": letter,
            }
            for letter, (query, legend) in zip(string.ascii_uppercase, panel.queries, strict=False)
        ],
        "title": panel.title,
        "type": panel.kind,
    }


def _custom(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {
            "drawStyle": "line",
            "fillOpacity": 30 if panel.stacked else 8,
            "lineWidth": 1,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"group": "A", "mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "line" if len(panel.colours) > 1 else "off"},
        }
    return {"fillOpacity": 80, "lineWidth": 0} if panel.kind == "state-timeline" else {}


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        legend = {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom", "showLegend": True}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.kind == "state-timeline":
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "mergeValues": True,
            "rowHeight": 0.8,
            "showValue": "auto",
            "tooltip": {"mode": "single", "sort": "none"},
        }
    shown = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "gauge":
        return {
            "orientation": "auto",
            "reduceOptions": shown,
            "showThresholdLabels": False,
            "showThresholdMarkers": True,
        }
    return {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": shown,
        "textMode": "auto",
    }


def _mappings(panel: Panel) -> list[dict[str, Any]]:
    if panel.names is None:
        return []
    return [
        {
            "options": {
                str(value): {"color": colour, "index": place, "text": text}
                for place, (value, (text, colour)) in enumerate(panel.names.items())
            },
            "type": "value",
        }
    ]


def _alerts(service: str) -> dict[str, Any]:
    """Lines in every graph where an alert began to fire."""
    return {
        "datasource": _SOURCE,
        "enable": True,
        "expr": f'ALERTS{{service="{service}",alertstate="firing"}}',
        "iconColor": "red",
        "name": "Alerts",
        "step": "60s",
        "tagKeys": "severity",
        "titleFormat": "{{alertname}}",
    }


def _links(service: str) -> dict[str, Any]:
    return {
        "asDropdown": False,
        "icon": "external link",
        "includeVars": True,
        "keepTime": True,
        "tags": ["seawall", service],
        "targetBlank": False,
        "title": "",
        "type": "dashboards",
    }


def _variables(service: str) -> list[dict[str, Any]]:
    query = f'label_values(up{{job="{service}"}}, instance)'
    return [
        {
            "hide": 0,
            "label": "Data source",
            "name": "datasource",
            "options": [],
            "query": "prometheus",
            "refresh": 1,
            "regex": "",
            "type": "datasource",
        },
        {
            "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
            "datasource": _SOURCE,
            "definition": query,
            "hide": 0,
            "includeAll": True,
            "label": "Instance",
            "multi": True,
            "name": "instance",
            "options": [],
            "query": {"query": query, "refId": "instances"},
            "refresh": 2,
            "regex": "",
            "sort": 1,
            "type": "query",
        },
    ]
