"""The model of run.json → JSON Schema, for those who read records with programs. Pure."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from ci.record.model import Run


def run_schema() -> dict[str, Any]:
    """Make the JSON Schema of run.json."""
    made = Run.model_json_schema(mode="serialization")
    return {"$schema": GenerateJsonSchema.schema_dialect, **_described(made)}


def run_schema_text() -> str:
    """Write the schema as its file has it."""
    return json.dumps(run_schema(), indent=2, ensure_ascii=False) + "\n"


def _described(value: Any, *, top: bool = True) -> Any:  # noqa: ANN401 - JSON
    """Leave out titles that only repeat a key, and of docstrings all but their first sentence."""
    if isinstance(value, list):
        return [_described(each, top=False) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: each.split("\n\n")[0] if key == "description" else _described(each, top=False)
        for key, each in value.items()
        if top or key != "title" or not isinstance(each, str)
    }
