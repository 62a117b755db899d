"""Generate the JSON Schema of case files, for editors. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

from ci.case import sweep
from ci.case.benchmark import Entry
from ci.case.deployment.reader import Deployment
from ci.case.external_dp.reader import ExternalDp
from ci.case.load import EXTERNAL_DP, SINGLE_NODE
from ci.case.load_levels import MAX_LEVELS, OF_METRICS, PER_LEVEL
from ci.case.metric_entry import MetricEntry
from ci.case.single_node.model import SingleNode
from ci.reference.meanings import meaning_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic_core import core_schema

    from ci.documents.strict import Strict

DIALECTS: dict[str, type[Strict]] = {
    "deployment": Deployment,
    "external_dp": ExternalDp,
    "single_node": SingleNode,
}
SWEPT = "Swept"
_NUMBER = r"^-?[0-9]{1,15}(\.[0-9]{1,15})?$"
# Name of a validator → other types that it accepts and converts; None if there are none.
_ACCEPTED: dict[str, JsonSchemaValue | None] = {
    "_as_text": {"type": ["number", "boolean"]},
    "_as_number": {"type": "string", "pattern": "^[0-9]{1,9}$"},
    "_number": {"type": "string", "pattern": _NUMBER},
    "_truth": {"type": "string", "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$"},
    "_list": {"type": "string"},
    "_lower": {"type": "string", "pattern": "^([Mm]ooncake|[Mm]emcache|MOONCAKE|MEMCACHE)$"},
    "_local_first": None,
    "_without_open_ports": None,
    "_no_variables": {"type": "null"},
    "_switch": {"type": "boolean"},
    "_joined": None,  # its own WithJsonSchema
    "_repeats": None,
    "_empty": {"type": "null"},
}
_RAW_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}
# Sections that only define anchors may have any name; these are the usual names.
_ANCHORS = "^(_|x-|env)"


class _Generator(GenerateJsonSchema):
    """A generator that adds the types that a validator accepts and converts."""

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        made = super().function_before_schema(schema)
        more = _ACCEPTED[getattr(schema["function"]["function"], "__name__", "")]
        return {"anyOf": [made, more]} if more else made

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's
        return False


def schema() -> dict[str, Any]:
    """Make the JSON Schema of all dialects."""
    models: list[tuple[type[BaseModel], Literal["validation"]]] = [
        (model, "validation") for model in DIALECTS.values()
    ]
    _, made = models_json_schema(
        models,
        schema_generator=_Generator,
        ref_template="#/$defs/{model}",
    )
    definitions = {name: _model(name, value) for name, value in made["$defs"].items()}
    for model in DIALECTS.values():
        top = definitions[model.__name__]
        top["properties"][sweep.KEY] = _sweep()
        top["patternProperties"] = {_ANCHORS: {"type": ["object", "array", "null"]}}
    definitions[SWEPT] = {"type": "string", "pattern": r"^\$\{sweep\.[^{}]+\}$"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Case file of Lamplighter",
        "type": "object",
        **_choice(),
        "$defs": definitions,
    }


def schema_text() -> str:
    """Write the schema as the text of its file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _choice() -> dict[str, Any]:
    """Choose the dialect by its keys, as the loader does, so that errors are about that dialect."""
    reference = {name: {"$ref": f"#/$defs/{model.__name__}"} for name, model in DIALECTS.items()}
    return {
        "if": _has_any(SINGLE_NODE),
        "then": reference["single_node"],
        "else": {
            "if": _has_any(EXTERNAL_DP),
            "then": reference["external_dp"],
            "else": reference["deployment"],
        },
    }


def _has_any(keys: tuple[str, ...]) -> dict[str, Any]:
    return {"anyOf": [{"required": [key]} for key in keys]}


def _sweep() -> dict[str, Any]:
    made = TypeAdapter(sweep.Axes).json_schema(schema_generator=_Generator)
    return {**_plain(made), "description": meaning_of("", sweep.KEY)}


def _model(name: str, made: JsonSchemaValue) -> dict[str, Any]:
    """Add the meanings of all keys to a model's schema, and allow references to `sweep`."""
    plain = _plain(made)
    described = {
        key: {**_sweepable(value), "description": meaning_of(name, key, value.get("description"))}
        for key, value in plain["properties"].items()
    }
    if name == MetricEntry.__name__:
        described |= {key: _per_level(described[key]) for key in OF_METRICS}
    if name == Entry.__name__:
        described |= {key: _per_level(described[key]) for key in PER_LEVEL}
        plain["required"] = [key for key in plain["required"] if key != "dataset_path"]
        paths = ("dataset_path", "dataset_path_local")
        plain["anyOf"] = [{"required": [key]} for key in paths]
        pair = ("baseline", "threshold")
        plain["allOf"] = [
            {"if": _has_value(key), "then": _has_value(other)} for key, other in (pair, pair[::-1])
        ]
    return {**plain, "description": plain["description"].split("\n\n")[0], "properties": described}


def _per_level(value: dict[str, Any]) -> dict[str, Any]:
    """Allow a list with a value for each load level."""
    levels = {"type": "array", "minItems": 1, "maxItems": MAX_LEVELS}
    levels["items"] = {"anyOf": value["anyOf"]}
    return {**value, "anyOf": [*value["anyOf"], levels]}


def _has_value(key: str) -> dict[str, Any]:
    """Return the condition that a key has a value."""
    return {"required": [key], "properties": {key: {"not": {"type": "null"}}}}


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Remove titles and defaults of null, and rename bounds to JSON Schema's names."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        _RAW_BOUNDS.get(key, key): item if key in {"default", "const"} else _plain(item)
        for key, item in value.items()
        if not (key == "title" and isinstance(item, str)) and (key, item) != ("default", None)
    }


def _sweepable(value: dict[str, Any]) -> dict[str, Any]:
    """Allow a reference to `sweep` where the schema allows no text."""
    if "anyOf" in value:
        options = [_sweepable(option) for option in value["anyOf"]]
        return {**value, "anyOf": list(_each_once(options))}
    inner = {key: _sweepable(value[key]) for key in _containers(value)}
    if "enum" in value or value.get("type") in ("integer", "number", "boolean"):
        outer = {key: item for key, item in value.items() if key in {"default", "description"}}
        own = {key: item for key, item in value.items() if key not in outer}
        return {"anyOf": [own, {"$ref": f"#/$defs/{SWEPT}"}], **outer}
    return {**value, **inner}


def _containers(value: dict[str, Any]) -> Iterator[str]:
    for key in ("items", "additionalProperties"):
        if isinstance(value.get(key), dict):
            yield key


def _each_once(options: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Flatten nested alternatives, each once."""
    distinct: list[dict[str, Any]] = []
    for option in options:
        for choice in option["anyOf"] if set(option) == {"anyOf"} else [option]:
            if choice not in distinct:
                distinct.append(choice)
                yield choice
