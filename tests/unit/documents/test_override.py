"""Test `--set KEY=VALUE`: as strict as the file, and errors name the flag."""

import pytest

from ci.check.lint import check_files, examine
from ci.documents.override import overridden
from ci.documents.source import read
from ci.errors import CaseError, ExitCode
from ci.paths import CASES

TEXT = b"""\
a: {b: 1, c.d: 2, c: {d: 3}}
cases:
  - {name: first, x: &x {y: 1}}
  - {name: "2", x: *x}
  - {x: 3, envs: {A: "1"}}
n: [1, [2]]
env: {A: "1"}
"""
SHARED = b"""\
env: &env {A: "1"}
_base: &base {x: 1, y: {z: 1}}
cases:
  - {envs: *env, base: *base}
  - {envs: {<<: *env, B: "2"}, base: {<<: *base, x: 2}}
"""


def value_of(*settings):
    return overridden(read(TEXT, "f.yaml"), settings).value


@pytest.mark.parametrize(
    ("setting", "read_back", "expected"),
    [
        ("a.b=2", lambda v: v["a"]["b"], 2),
        ("a.b='2'", lambda v: v["a"]["b"], "2"),
        ("a.b=", lambda v: v["a"]["b"], None),
        ("a.b=x=y", lambda v: v["a"]["b"], "x=y"),
        ("a.new={k: [1]}", lambda v: v["a"]["new"], {"k": [1]}),
        ("new=true", lambda v: v["new"], True),
        ("a.c.d=9", lambda v: v["a"]["c.d"], 9),
        ("cases[0].x.y=5", lambda v: [v["cases"][i]["x"]["y"] for i in (0, 1)], [5, 1]),
        ("cases.first.x.y=5", lambda v: v["cases"][0]["x"]["y"], 5),
        ("cases.2.x.y=5", lambda v: v["cases"][1]["x"]["y"], 5),
        ("cases[2].x=5", lambda v: v["cases"][2]["x"], 5),
        ("n[1][0]=7", lambda v: v["n"], [1, [7]]),
    ],
)
def test_a_value_is_set(setting, read_back, expected):
    assert read_back(value_of(setting)) == expected


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("env.A=4", [{"A": 4}, {"A": 4, "B": "2"}]),
        ("env.C=5", [{"A": "1", "C": 5}, {"A": "1", "B": "2", "C": 5}]),
        ("_base.x=7", [{"x": 7, "y": {"z": 1}}, {"x": 2, "y": {"z": 1}}]),
        ("_base.y.z=8", [{"x": 1, "y": {"z": 8}}, {"x": 2, "y": {"z": 8}}]),
    ],
)
def test_a_shared_section_is_set_where_it_is_used(setting, expected):
    document = overridden(read(SHARED, "f.yaml"), [setting]).value
    key = "envs" if setting.startswith("env") else "base"
    assert [case[key] for case in document["cases"]] == expected


def test_the_last_of_several_settings_wins():
    assert value_of("a.b=1", "a={b: 4}", "a.b=5")["a"] == {"b": 5}


BAD = {
    "a.b": ("--set a.b", "", "expected a key, '=' and a value"),
    "=1": ("--set ", "", "expected a key, '=' and a value"),
    "aa.b=1": ("--set aa.b", "aa", "the file has no such key; did you mean 'a'?"),
    "zz.b=1": ("--set zz.b", "zz", "there are: a, cases, n, env"),
    "cases.third.x=1": ("--set cases.third.x", "cases", "has no entry 'third'; names: first, 2"),
    "n[5]=1": ("--set n[5]", "n", "has no entry '5'; indices: 0 to 1"),
    "a.b.c=1": ("--set a.b.c", "a.b", "is not a mapping or a list, so it has no 'c'"),
    "a.b=0755": ("--set a.b", "a.b", "base 8"),
    "a.b={x": ("--set a.b", "a.b", "not valid YAML"),
    "env.A=on": ("--set env.A", "env.A", "YAML reads 'on' as true; put it in quotes"),
    "env.NEW=yes": ("--set env.NEW", "env.NEW", "YAML reads 'yes' as true"),
    "env={A: off}": ("--set env", "env", "YAML reads 'off' as false"),
    "cases[2].envs.A=no": ("--set cases[2].envs.A", "cases[2].envs.A", "reads 'no' as false"),
    "special_dependencies={a: 5.10}": (
        "--set special_dependencies",
        "special_dependencies",
        "YAML reads '5.10' as 5.1; put it in quotes",
    ),
    "a.b=*x": ("--set a.b", "a.b", "there is no anchor &x"),
}


@pytest.mark.parametrize(("setting", "expected"), BAD.items(), ids=BAD)
def test_a_bad_setting_is_refused_by_its_flag(setting, expected):
    with pytest.raises(CaseError) as caught:
        value_of(setting)
    [problem] = caught.value.problems
    file, key, words = expected
    assert (problem.file, problem.line, problem.column, problem.key) == (file, 1, 1, key)
    assert words in problem.message


@pytest.mark.parametrize(
    ("setting", "rule", "words"),
    [
        ("benchmarks.acc.num_promts=2", "case", "did you mean 'num_prompts'?"),
        ("benchmarks.acc.num_prompts=many", "case", "expected a whole number"),
        ("benchmarks.acc.max_out_len=99999", "too-long", "has --max-model-len"),
        ("deployment[0].server_cmd=vllm serve m --prot 1", "unknown-flag", "--port?"),
    ],
)
def test_a_setting_is_checked_as_the_file_is(setting, rule, words):
    data = (CASES / "local.yaml").read_bytes()
    found = [item for item in examine(data, "c.yaml", None, [setting]) if item.rule == rule]
    assert [item.problem.file for item in found] == [f"--set {setting.partition('=')[0]}"]
    assert words in found[0].problem.message


def test_check_takes_settings():
    settings = ["benchmarks.acc.num_prompts=3"]
    assert check_files(["local"], settings=settings)[1] == ExitCode.PASS
