"""The JSON Schema and the reference page: current, complete, and agreeing with the loader."""

import datetime as dt
import os
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from ci.case.load import load, parse
from ci.documents.strict import Strict
from ci.errors import CaseError
from ci.paths import CASES
from ci.reference.files import FILES
from ci.reference.meanings import meaning_of, said_here
from ci.reference.schema import DIALECTS, schema
from ci.reference.types import written

CORPUS = os.environ.get("CASE_CORPUS")
HINT = "# yaml-language-server: $schema=../case.schema.json"
SCHEMA = schema()
OURS = sorted(CASES.glob("*.yaml"))


def as_json(value):
    """What a YAML language server makes of a document: dates are text to it."""
    if isinstance(value, dict):
        return {key: as_json(one) for key, one in value.items()}
    if isinstance(value, list):
        return [as_json(one) for one in value]
    return str(value) if isinstance(value, dt.date) else value


def errors_of(text):
    found = Draft7Validator(SCHEMA).iter_errors(as_json(yaml.safe_load(text)))
    return [error.message for error in found]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_generated_files_are_current(path):
    made = FILES[path]()
    assert path.read_text("utf-8") == made, "run `python -m ci.reference`"


def test_the_schema_is_one():
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_our_own_cases_fit_the_schema_and_name_it(path):
    text = path.read_text("utf-8")
    assert text.splitlines()[0] == HINT
    assert (path.parent / HINT.partition("=")[2]).resolve() in FILES
    assert errors_of(text) == []


def corpus_files():
    root = Path(CORPUS or "nowhere") / "vllm-ascend"
    paths = sorted(root.rglob("*.yaml"))
    return [pytest.param(path, id=str(path.relative_to(root))) for path in paths]


@pytest.mark.skipif(CORPUS is None, reason="CASE_CORPUS is unset: name the folder of vllm-ascend/")
@pytest.mark.parametrize("path", corpus_files())
def test_what_loads_fits_the_schema(path):
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
FITS = {
    "deployment": SMALL,
    "external_dp": EXTERNAL,
    "single_node": SINGLE,
    "a number in quotes": SMALL + "server_port: '8080'\n",
    "a variable that is a number": SMALL + "env_common: {A: 1, B: true, C: 1.5, D: 2024-01-01}\n",
    "a section for its anchors": SMALL + "_shared: &shared {a: 1}\n",
    "a swept value": SMALL.replace("npu_per_node: 0", "npu_per_node: ${sweep.n}")
    + "sweep: {n: [0, 1]}\n",
    "an empty benchmark": SMALL + "benchmarks: {a: }\n",
    "a local dataset": SMALL + BENCH % "dataset_path_local: /d, baseline: 1, threshold: 0",
}
# As the loader refuses it, and a part of what the schema says.
FITS_NOT = {
    "an unknown key": (SMALL + "modle: m\n", "'modle' does not match"),
    "a missing key": (SMALL.replace("model: m\n", ""), "'model' is a required property"),
    "a wrong type": (SMALL.replace("npu_per_node: 0", "npu_per_node: many"), "'many'"),
    "text that is no number": (SMALL + "server_port: http\n", "'http'"),
    "a benchmark without a dataset": (SMALL + BENCH % "baseline: 1, threshold: 0", "not valid"),
    "a key of another dialect": (SMALL + "config: []\n", "'config' does not match"),
    "an unknown key of external_dp": (EXTERNAL + "server_port: 1\n", "'server_port' does"),
    "an unknown key of single_node": (SINGLE.replace("model", "modle"), "'modle' was unexpected"),
}


@pytest.mark.parametrize("text", FITS.values(), ids=FITS)
def test_what_fits(text):
    assert errors_of(text) == []


@pytest.mark.parametrize(("text", "words"), FITS_NOT.values(), ids=FITS_NOT)
def test_what_does_not_fit_is_refused_by_the_loader_too(text, words):
    assert any(words in message for message in errors_of(text)), errors_of(text)
    with pytest.raises(CaseError):
        parse(text.encode(), "c.yaml")


def models_of(model):
    """A model, and every one that its fields are made of."""
    names = {definition for definition in SCHEMA["$defs"] if definition != "Swept"}
    found = {one.__name__: one for one in subclasses(Strict) if one.__name__ in names}
    return {name: found[name] for name in names}


def subclasses(model):
    for one in model.__subclasses__():
        yield one
        yield from subclasses(one)


def test_every_meaning_is_said_once_and_for_a_key_that_there_is():
    models = models_of(DIALECTS)
    for name, key in said_here():
        assert key in models[name].model_fields, (name, key)
        assert models[name].model_fields[key].description is None, (name, key)


def test_a_key_without_a_meaning_is_an_error():
    with pytest.raises(LookupError, match=r"Entry\.zzz"):
        meaning_of("Entry", "zzz")


def test_the_page_names_every_key_and_what_is_not_its_own():
    text = next(made for path, made in FILES.items() if path.name == "cases.md")()
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
    assert written(value) == words
