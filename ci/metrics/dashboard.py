"""Write the Grafana dashboard of the metrics as JSON. Pure; `python -m ci.metrics` saves it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ci.metrics.panels import AMBER, GREEN, PANELS, RED, VARIABLES

if TYPE_CHECKING:
    from ci.metrics.panels import Panel

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_OUTCOME_COLOURS = {"pass": GREEN, "fail": RED, "unknown": AMBER}
_COLUMNS = 24


def dashboard() -> str:
    """Return the dashboard as the JSON that Grafana imports."""
    tree = {
        "uid": "lamplighter-nights",
        "title": "Lamplighter: nights",
        "description": "Made by `python -m ci.metrics`; see docs/metrics.md.",
        "tags": ["lamplighter", "vllm"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "timezone": "browser",
        "time": {"from": "now-30d", "to": "now"},
        "refresh": "15m",
        "templating": {"list": [_datasource(), *map(_variable, VARIABLES)]},
        "annotations": {"list": []},
        "panels": list(_placed()),
    }
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def _datasource() -> dict[str, Any]:
    return {"type": "datasource", "name": "datasource", "label": "Source", "query": "prometheus"}


def _variable(name: str) -> dict[str, Any]:
    query = f"label_values(lamplighter_night_outcome, {name})"
    return {
        "type": "query",
        "name": name,
        "label": VARIABLES[name],
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _placed() -> list[dict[str, Any]]:
    """Place the panels from left to right, row by row."""
    placed = []
    x = y = row_height = 0
    for number, panel in enumerate(PANELS, 1):
        if x + panel.width > _COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
        placed.append(_panel(number, panel, place))
        x, row_height = x + panel.width, max(row_height, panel.height)
    return placed


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit} if panel.unit else {}
    if panel.thresholds:
        steps = [{"value": value, "color": colour} for value, colour in panel.thresholds.items()]
        defaults |= {
            "thresholds": {"mode": "absolute", "steps": steps},
            "color": {"mode": "thresholds"},
        }
    overrides = []
    if any("{{outcome}}" in legend for legend in panel.queries.values()):
        overrides = [_coloured(outcome, colour) for outcome, colour in _OUTCOME_COLOURS.items()]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "options": panel.options,
        # The columns of several queries stand side by side.
        "transformations": [{"id": "merge", "options": {}}] if panel.kind == "table" else [],
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": expression,
                "legendFormat": legend,
                "instant": panel.instant,
                "range": not panel.instant,
                "format": "table" if panel.kind == "table" else "time_series",
            }
            for index, (expression, legend) in enumerate(panel.queries.items())
        ],
    }


def _coloured(outcome: str, colour: str) -> dict[str, Any]:
    return {
        "matcher": {"id": "byName", "options": outcome},
        "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
    }
