"""Generate the JSON Schemas of functional suites and of suites of nights, for editors. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from ci.functional.suite import SuiteFile
from ci.suite.accuracy import AccuracyFile
from ci.suite.model import SuiteFile as NightSuiteFile

if TYPE_CHECKING:
    from pydantic_core import core_schema

    from ci.documents.strict import Strict

# Name of a validator → other types that it accepts and converts.
_ACCEPTED: dict[str, JsonSchemaValue] = {
    "_by_name": {"type": "array", "items": {"type": "string"}, "minItems": 1}
}


class _Generator(GenerateJsonSchema):
    """A generator that leaves out titles, which repeat the keys, and knows what is converted."""

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        made = super().function_before_schema(schema)
        more = _ACCEPTED.get(getattr(schema["function"]["function"], "__name__", ""))
        return {"anyOf": [more, made]} if more else made

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's
        return False


def suite_schema() -> dict[str, Any]:
    """Make the JSON Schema of a functional suite."""
    return _schema(SuiteFile)


def night_suite_schema() -> dict[str, Any]:
    """Make the JSON Schema of a suite of nights."""
    made = _schema(NightSuiteFile)
    # Sections that only define anchors begin with `_`.
    return {**made, "patternProperties": {"^_": {}}}


def accuracy_schema() -> dict[str, Any]:
    """Make the JSON Schema of an accuracy.yaml."""
    return _schema(AccuracyFile)


def _schema(model: type[Strict]) -> dict[str, Any]:
    made = model.model_json_schema(schema_generator=_Generator)
    for each in (made, *made.get("$defs", {}).values()):
        each.pop("title", None)
        each["description"] = each.get("description", "").split("\n\n")[0]
        for value in each.get("properties", {}).values():
            value["description"] = value["description"].removeprefix("it is ").removeprefix("it ")
    return {"$schema": "http://json-schema.org/draft-07/schema#", **made}


def suite_schema_text() -> str:
    """Write the schema as the text of its file."""
    return json.dumps(suite_schema(), indent=2, ensure_ascii=False) + "\n"


def night_suite_schema_text() -> str:
    """Write the schema of a suite of nights as the text of its file."""
    return json.dumps(night_suite_schema(), indent=2, ensure_ascii=False) + "\n"
