"""Generate the JSON Schemas of run.json and report.json, for programs that read them. Pure."""

from __future__ import annotations

import json
from inspect import getdoc
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from ci.inventory.target import Accelerator, Target
from ci.judge.verdict import Check
from ci.record.model import Run
from ci.record.page import Page
from ci.tools.model import Measurement


def run_schema() -> dict[str, Any]:
    """Make the JSON Schema of run.json."""
    schema = Run.model_json_schema(mode="serialization")
    # Older versions of pydantic omit these two keys for dataclasses.
    for model in (Accelerator, Check, Measurement, Target):
        missing = {"additionalProperties": False, "description": getdoc(model)}
        definition = schema["$defs"][model.__name__] | missing
        schema["$defs"][model.__name__] = dict(sorted(definition.items()))
    return {"$schema": GenerateJsonSchema.schema_dialect, **shortened(schema)}


def run_schema_text() -> str:
    """Write the schema of run.json as the text of its file."""
    return _text(run_schema())


def report_schema() -> dict[str, Any]:
    """Make the JSON Schema of report.json."""
    schema = Page.model_json_schema(mode="serialization")
    return {"$schema": GenerateJsonSchema.schema_dialect, **shortened(schema)}


def report_schema_text() -> str:
    """Write the schema of report.json as the text of its file."""
    return _text(report_schema())


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def shortened(value: Any, *, top: bool = True) -> Any:  # noqa: ANN401 - JSON
    """Remove titles that repeat a key, and keep only the first paragraph of docstrings."""
    if isinstance(value, list):
        return [shortened(each, top=False) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: each.split("\n\n")[0] if key == "description" else shortened(each, top=False)
        for key, each in value.items()
        if top or key != "title" or not isinstance(each, str)
    }
