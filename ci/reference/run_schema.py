"""The model of run.json → JSON Schema, for those who read records with programs. Pure."""

from __future__ import annotations

import json
from inspect import getdoc
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from ci.inventory.target import Accelerator, Target
from ci.judge.verdict import Check
from ci.record.model import Run
from ci.tools.model import Measurement


def run_schema() -> dict[str, Any]:
    """Make the JSON Schema of run.json."""
    made = Run.model_json_schema(mode="serialization")
    # Only newer versions of pydantic write these two of a dataclass, which is not a model.
    for model in (Accelerator, Check, Measurement, Target):
        written = {"additionalProperties": False, "description": getdoc(model)}
        definition = made["$defs"][model.__name__] | written
        made["$defs"][model.__name__] = dict(sorted(definition.items()))
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
