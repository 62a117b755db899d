"""Generate the JSON Schema of functional suites, for editors. Pure."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from ci.functional.suite import SuiteFile


class _Generator(GenerateJsonSchema):
    """A generator that leaves out titles, which repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's
        return False


def suite_schema() -> dict[str, Any]:
    """Make the JSON Schema of a functional suite."""
    made = SuiteFile.model_json_schema(schema_generator=_Generator)
    for model in (made, *made["$defs"].values()):
        model.pop("title", None)
        model["description"] = model.get("description", "").split("\n\n")[0]
    return {"$schema": "http://json-schema.org/draft-07/schema#", **made}


def suite_schema_text() -> str:
    """Write the schema as the text of its file."""
    return json.dumps(suite_schema(), indent=2, ensure_ascii=False) + "\n"
