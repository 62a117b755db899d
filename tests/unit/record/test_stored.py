"""Test stored records: each version is read, and each kind of damage is refused."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from sample_run import FULL, check, sample

from ci.errors import UserError
from ci.paths import PROJECT
from ci.record.known_secrets import _RECORD_WORDS, MIN_SECRET_CHARS, secrets_of
from ci.record.model import VERSION, Run
from ci.record.stored import FILE, as_run, as_text, read_run
from ci.reference.run_schema import run_schema
from ci.report.reports import RENDERERS

VERSION_1 = (Path(__file__).parents[1] / "captured/records/version-1.json").read_text("utf-8")


def stored(tmp_path, text):
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / FILE).write_bytes(data)
    return read_run(tmp_path)


def edited(**changes):
    return json.dumps(json.loads(as_text(FULL)) | changes)


def test_a_record_is_read_as_it_was_written(tmp_path):
    read = stored(tmp_path, as_text(FULL))
    assert (read.run, read.missing, read.folder) == (FULL, (), tmp_path)
    assert as_text(read.run) == as_text(FULL)
    assert next(iter(json.loads(as_text(FULL)))) == "schema"


def test_the_report_shows_the_settings_of_an_evaluation():
    text = RENDERERS["report.md"](FULL)
    row = "words 0123456789abcdef | 64 | 8 | unlimited | 0.6 | - |"
    assert f"| words | aisbench 3.1 | 2026-01-01T00:00:10.000Z | 40 | {row}" in text
    assert "## Settings" not in RENDERERS["report.md"](sample(check("pass")))


def test_the_schema_is_valid_and_accepts_records():
    schema = run_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for run in (FULL, sample(), sample(check("fail"))):
        assert list(validator.iter_errors(json.loads(as_text(run)))) == []
    assert not validator.is_valid(json.loads(edited(exit_code="0")))
    assert not validator.is_valid(json.loads(edited(zzz=1)))
    assert not validator.is_valid(json.loads(VERSION_1))
    assert schema["properties"]["schema"]["const"] == VERSION


def test_a_record_of_version_1_is_read_with_its_missing_parts(tmp_path):
    read = stored(tmp_path, VERSION_1)
    assert (read.run.version, read.run.outcome) == (VERSION, "pass")
    assert [each.value for each in read.run.checks] == [8.0, 8.0, 42.5, 90.1028]
    assert read.run.evaluations[0].measurements[0].metric == "accuracy"
    assert (read.run.evaluations[0].settings, read.run.benchmarks) == (None, None)
    assert "settings" in " ".join(read.missing)
    assert all(render(read.run) for render in RENDERERS.values())
    smoke = json.dumps(json.loads(VERSION_1) | {"benchmarks": []})
    assert stored(tmp_path, smoke).run.benchmarks == ()


DAMAGED = {
    "empty": ("", "is damaged"),
    "torn": (as_text(FULL)[:-100], "is damaged"),
    "not text": (b"\xff\xfe\x00", "is damaged"),
    "a list": ("[]", "expected an object"),
    "a number": ("1", "expected an object"),
    "of something else": ('{"name": "x"}', "`schema: 2`, got none; check the path"),
    "NaN": (edited(seconds=float("nan")), "seconds: Input should be a finite number"),
    "infinite": (edited(kept_s=float("inf")), "kept_s: Input should be a finite number"),
    "above every float": (edited(tool_s=10**400), "tool_s: Input should be a finite number"),
    "NaN in a check": (
        edited(checks=[vars(check("pass")) | {"value": float("nan")}]),
        "checks.0.value: Input should be a finite number",
    ),
    "a key twice": (edited()[:-1] + ', "outcome": "pass"}', "has the key 'outcome' twice"),
    "too deep": ("[" * 100_000, "is damaged"),
    "a huge number": ('{"schema": 2, "pid": ' + "9" * 5000 + "}", "is damaged"),
    "without a key": (edited().replace('"case": "local", ', "", 1), "case: Field required"),
    "an unknown key": (edited(zzz=1), "zzz: Extra inputs"),
    "a number as text": (edited(exit_code="0"), "exit_code: Input should be a valid int"),
    "an unknown outcome": (edited(outcome="fine"), "outcome"),
    "an unknown outcome of a check": (edited(checks=[{"name": "x"}]), "checks.0.metric"),
    "a list for a mapping": (edited(hosts=[]), "hosts"),
    "null": (edited(case=None), "case"),
    "version 1 in pieces": ('{"schema": 1, "evaluations": [1]}', "is damaged"),
}
OTHER_VERSIONS = {
    "newer": (3, "has version 3, and this Lamplighter reads up to 2"),
    "much newer": (10**30, "reads up to 2"),
    "older": (0, "has version 0, which this Lamplighter does not read"),
    "negative": (-1, "does not read"),
    "text": ("2", '`schema: 2`, got "2"; check the path'),
    "empty text": ("", '`schema: 2`, got ""; check the path'),
    "true": (True, "`schema: 2`, got true; check the path"),
    "a fraction": (2.0, "`schema: 2`, got 2.0; check the path"),
    "null": (None, "`schema: 2`, got null; check the path"),
}


@pytest.mark.parametrize("harm", DAMAGED)
def test_a_damaged_record_is_refused_with_its_file_and_a_next_step(tmp_path, harm):
    text, words = DAMAGED[harm]
    with pytest.raises(UserError) as refused:
        stored(tmp_path, text)
    message = str(refused.value)
    assert message.startswith(str(tmp_path / FILE))
    assert words in message
    assert "; " in message
    assert "\n" not in message


@pytest.mark.parametrize("version", OTHER_VERSIONS)
def test_a_record_of_another_version_is_refused(tmp_path, version):
    schema, words = OTHER_VERSIONS[version]
    with pytest.raises(UserError) as refused:
        stored(tmp_path, edited(schema=schema))
    assert str(tmp_path / FILE) in str(refused.value)
    assert words in str(refused.value)


def test_a_damaged_record_names_only_the_files_that_are_there(tmp_path):
    with pytest.raises(UserError, match=r"nothing else in .* tells about the run; take it from"):
        stored(tmp_path, "{")
    (tmp_path / "journal.jsonl").touch()
    with pytest.raises(UserError, match=r"can still be read: journal\.jsonl$"):
        stored(tmp_path, "{")
    with pytest.raises(UserError, match=r"does not read; .* can still be read: journal\.jsonl$"):
        stored(tmp_path, edited(schema=0))


def test_a_missing_record_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no such record; check the run's id and --runs"):
        read_run(tmp_path / "nope")
    (tmp_path / FILE).mkdir()
    with pytest.raises(UserError, match="is not a regular file; check"):
        read_run(tmp_path)


def test_texts_that_are_not_unicode_are_escaped(tmp_path):
    run = as_run(json.loads(as_text(FULL)) | {"config": "\udcff.yaml", "user": "a\\udcff"})
    assert (run.config, run.user) == ("\\udcff.yaml", "a\\udcff")
    assert stored(tmp_path, as_text(run)).run == run


def test_a_secret_never_hides_a_word_that_the_record_needs():
    words = {
        value
        for definition in (run_schema(), *run_schema()["$defs"].values())
        for known in definition.get("properties", {}).values()
        for value in known.get("enum", ())
        if len(value) >= MIN_SECRET_CHARS
    }
    assert words == set(_RECORD_WORDS)
    secrets = secrets_of({"PASSWORD": "performance", "TOKEN": "hf_performance"})
    assert "hf_performance" in secrets
    assert "performance" not in secrets


def test_only_one_module_opens_records():
    sources = [*(PROJECT / "ci").rglob("*.py"), *(PROJECT / "benchmarks").glob("*.py")]
    opening = [path.name for path in sources if f'"{FILE}"' in path.read_text("utf-8")]
    assert opening == ["stored.py"]


def test_the_model_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        FULL.outcome = "pass"
    assert isinstance(FULL, Run)
