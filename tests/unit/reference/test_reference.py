"""Test that schema and reference page are current and complete, and agree with the loader."""

import datetime as dt

import pytest
import yaml
from corpus import corpus_files, needs_corpus
from jsonschema import Draft7Validator

from ci.case.load import load, parse
from ci.documents.strict import Strict
from ci.errors import CaseError
from ci.paths import CASES
from ci.reference.files import FILES
from ci.reference.meanings import described_keys, meaning_of
from ci.reference.schema import schema
from ci.reference.types import type_in_words

HINT = "# yaml-language-server: $schema=../case.schema.json"
SCHEMA = schema()
OURS = sorted(CASES.glob("*.yaml"))


def as_json(value):
    """Convert a document as a YAML language server does: dates are text."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return str(value) if isinstance(value, dt.date) else value


def errors_of(text):
    errors = Draft7Validator(SCHEMA).iter_errors(as_json(yaml.safe_load(text)))
    return [error.message for error in errors]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_generated_files_are_current(path):
    assert path.read_text("utf-8") == FILES[path](), "run `python -m ci.reference`"


def test_the_schema_is_valid():
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_our_own_cases_fit_the_schema_and_name_it(path):
    text = path.read_text("utf-8")
    assert text.splitlines()[0] == HINT
    assert (path.parent / HINT.partition("=")[2]).resolve() in FILES
    assert errors_of(text) == []


@needs_corpus
@pytest.mark.parametrize("path", corpus_files())
def test_every_valid_case_fits_the_schema(path):
    try:
        load(path)
    except CaseError:
        return
    assert errors_of(path.read_text("utf-8")) == []


SMALL = """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 0
deployment:
  - server_cmd: vllm serve m
"""
EXTERNAL = """\
model: m
num_nodes: 1
npu_per_node: 8
routing: {type: disaggregated_prefill, groups: {prefiller: [0], decoder: [1]}}
config: []
templates: []
"""
SINGLE = "test_cases: [{name: n, model: m, server_cmd: [--port, 80]}]\n"
BENCH = "benchmarks: {a: {case_type: accuracy, max_out_len: 1, batch_size: 1, %s}}\n"
VALID = {
    "deployment": SMALL,
    "external_dp": EXTERNAL,
    "single_node": SINGLE,
    "a number in quotes": SMALL + "server_port: '8080'\n",
    "a variable that is a number": SMALL + "env_common: {A: 1, B: true, C: 1.5, D: 2024-01-01}\n",
    "a section for its anchors": SMALL + "_shared: &shared {a: 1}\n",
    "a swept value": SMALL.replace("npu_per_node: 0", "npu_per_node: ${sweep.n}")
    + "sweep: {n: [0, 1]}\n",
    "load levels": (SMALL + BENCH % "dataset_path: d, request_rate: [1, 0.5]").replace(
        "batch_size: 1", "batch_size: [1, 2], num_prompts: [8, null]"
    ),
    "a local dataset": SMALL + BENCH % "dataset_path_local: /d, baseline: 1, threshold: 0",
}
# Refused by the loader, with a part of the schema's message.
INVALID = {
    "an unknown key": (SMALL + "modle: m\n", "'modle' does not match"),
    "a missing key": (SMALL.replace("model: m\n", ""), "'model' is a required property"),
    "a wrong type": (SMALL.replace("npu_per_node: 0", "npu_per_node: many"), "'many'"),
    "text that is no number": (SMALL + "server_port: http\n", "'http'"),
    "a benchmark without a value": (SMALL + "benchmarks: {a: }\n", "not valid"),
    "a benchmark without a dataset": (SMALL + BENCH % "baseline: 1, threshold: 0", "not valid"),
    "a key of another dialect": (SMALL + "config: []\n", "'config' does not match"),
    "an unknown key of external_dp": (EXTERNAL + "server_port: 1\n", "'server_port' does"),
    "an unknown key of single_node": (SINGLE.replace("model", "modle"), "'modle' was unexpected"),
}


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
def test_valid_cases(text):
    assert errors_of(text) == []


@pytest.mark.parametrize(("text", "words"), INVALID.values(), ids=INVALID)
def test_invalid_cases_are_refused_by_schema_and_loader(text, words):
    assert any(words in message for message in errors_of(text)), errors_of(text)
    with pytest.raises(CaseError):
        parse(text.encode(), "c.yaml")


def models():
    """Return all models of the schema by name."""
    names = {definition for definition in SCHEMA["$defs"] if definition != "Swept"}
    models = {each.__name__: each for each in subclasses(Strict) if each.__name__ in names}
    return {name: models[name] for name in names}


def subclasses(model):
    for subclass in model.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def test_every_meaning_is_given_once_and_for_an_existing_key():
    by_name = models()
    for name, key in described_keys():
        assert key in by_name[name].model_fields, (name, key)
        assert by_name[name].model_fields[key].description is None, (name, key)


def test_a_key_without_a_meaning_is_an_error():
    with pytest.raises(LookupError, match=r"Entry\.zzz"):
        meaning_of("Entry", "zzz")


def test_the_page_has_every_key_variable_and_rule():
    text = next(generate for path, generate in FILES.items() if path.name == "cases.md")()
    for definition in SCHEMA["$defs"].values():
        for key in definition.get("properties", {}):
            assert f"\n| `{key}` |" in text, key
    assert "| `$MASTER_IP` |" in text
    assert "| `dataset-conf` | error |" in text
    assert "anything |  | path" not in text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"type": "string"}, "text"),
        ({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}, "whole number ≥ 1"),
        ({"anyOf": [{"type": "number"}], "exclusiveMinimum": 0}, "number > 0"),
        ({"enum": ["a", "b"], "type": "string"}, "`a`, `b`"),
        (
            {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "list of whole numbers ≥ 0",
        ),
        ({"type": "array", "items": {"$ref": "#/$defs/Server"}}, "list of mappings"),
        (
            {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+$"}]},
            "whole number",
        ),
        (
            {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
            "mapping of values",
        ),
        ({}, "anything"),
    ],
)
def test_types_in_words(value, words):
    assert type_in_words(value) == words
