"""Generate the JSON Schema of suite.json, for programs that read runs of suites. Pure."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from ci.reference.run_schema import shortened
from ci.suite.progress import SuiteRun


def suite_run_schema() -> dict[str, Any]:
    """Make the JSON Schema of suite.json."""
    schema = SuiteRun.model_json_schema(mode="serialization")
    return {"$schema": GenerateJsonSchema.schema_dialect, **shortened(schema)}


def suite_run_schema_text() -> str:
    """Write the schema as the text of its file."""
    return json.dumps(suite_run_schema(), indent=2, ensure_ascii=False) + "\n"
