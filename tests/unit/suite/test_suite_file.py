"""Test the reading of suite files: their keys, their errors and where these are."""

import pytest
from suites import suite_of

from ci.documents.source import read
from ci.errors import CaseError, UserError
from ci.paths import SUITES
from ci.suite.load import find_night_suite, is_night_suite, load_night_suite

SMALL = "nights: [{cases: local}]\n"


def errors_of(text):
    with pytest.raises(CaseError) as raised:
        suite_of(text, "s.yaml")
    return [str(problem) for problem in raised.value.problems]


def test_a_small_suite():
    suite = suite_of(SMALL)
    assert suite.run_types == ("pr", "daily", "weekly")
    (entry,) = suite.document.nights
    assert (entry.cases, entry.priority, entry.share, entry.run_types) == (
        ["local"],
        0,
        False,
        None,
    )


def test_every_key():
    suite = suite_of(
        """\
_shared: &shared {stages: [accuracy]}
title: t
cluster: c
vllm: [0.32.0]
window: {start: "22:00", until: "6:00"}
expected: 90m
accuracy: accuracy.yaml
retry: {times: 2, reasons: [disk_full], most_failed: 0.3}
judge: {same_vllm: true, false_alarms_a_month: 2, nights_a_month: 20, control: last-good}
run_types:
  pr: *shared
  release: {tags: [a], functional: none, functional_cases: x, benchmarks: acc, sizes: {accuracy: 9},
    set: {ready_timeout_s: 5}, window: {}}
nights:
  - cases: [a, "b#*"]
    without: c
    tagged: [d]
    tags: [e]
    run_types: {pr: , release: {stages: []}}
    vllm: [0.30.0]
    hosts: {kind: cuda, names: node-*, labels: {rack: "7"}}
    share: true
    devices: 2
    priority: -1
    canary: true
    owner: me
    expected: 1h30m
    set: {model: m}
    functional: none
    retry: {times: 0}
mute:
  - {cases: a, owner: me, until: 2026-12-31, because: why}
"""
    )
    document = suite.document
    assert suite.warnings == ()
    assert (document.window.start, document.window.until) == ("22:00", "06:00")
    assert (document.expected, document.nights[0].expected) == (5400, 5400)
    assert document.run_types["pr"].stages == ["accuracy"]
    assert list(document.nights[0].run_types) == ["pr", "release"]
    assert str(document.mute[0].until) == "2026-12-31"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nights: []\n", "1:9: nights: is empty; write at least one entry"),
        ("nights: [{}]\n", "1:10: nights[0].cases: missing; it lists case files"),
        (SMALL + "windw: {}\n", "2:1: windw: unknown key; did you mean 'window'?"),
        ("nights: [{case: a}]\n", "1:11: nights[0].case: unknown key; did you mean 'cases'?"),
        (
            "nights: [{cases: a, owners: b}]\n",
            "nights[0].owners: unknown key; did you mean 'owner'",
        ),
        (
            "nights: [{cases: ''}]\n",
            "1:18: nights[0].cases[0]: is empty; write a name or a pattern",
        ),
        ("nights: [{cases: a, expected: 5}]\n", "expected a duration such as 45m or 1h30m"),
        ("nights: [{cases: a, expected: 5x}]\n", "'5x' is not a duration; write e.g. 45m"),
        ("nights: [{cases: a, expected: '0'}]\n", "is no time at all; write e.g. 45m"),
        ("nights: [{cases: a, priority: 101}]\n", "101 is out of range; it has to be at most 100"),
        (
            "nights: [{cases: a, vllm: 0.32.0}]\n",
            "expected a list, found the text '0.32.0'; write [",
        ),
        ("nights: [{cases: a, vllm: [main]}]\n", "'main' is not a version; write e.g. '0.32.0'"),
        ("nights: [{cases: a, run_types: [dayly]}]\n", "1:33: nights[0].run_types[0]: no run type"),
        (
            "nights: [{cases: a, run_types: {x: }}]\n",
            "nights[0].run_types.x: no run type 'x'; there",
        ),
        (SMALL + "run_types: {PR: }\n", "run_types.PR: 'PR' cannot name a run type; use a-z"),
        (SMALL + "run_types: {pr: {stages: [perf]}}\n", "run_types.pr.stages[0]: expected 'func"),
        (
            SMALL + "run_types: {pr: {sizes: {acc: 1}}}\n",
            "run_types.pr.sizes.acc: unknown key; kno",
        ),
        (SMALL + "window: {until: '24:00'}\n", "window.until: expected a time of day such as"),
        (SMALL + "window: {until: 22:00}\n", "window.until: YAML reads '22:00' in base 60"),
        (SMALL + "mute: [{cases: a}]\n", "mute[0].until: missing; it is the last day of the mute"),
        (
            SMALL + "mute: [{cases: a, owner: b, because: c, until: soon}]\n",
            "mute[0].until: expected a day such as 2026-12-31, found the text 'soon'",
        ),
        (SMALL + "retry: {times: 9}\n", "retry.times: 9 is out of range; it has to be at most 3"),
        (SMALL + "judge: {control: x}\n", "judge.control: expected 'none' or 'last-good', found"),
        (
            "nights: [{cases: a, tags: [a]}]\nrun_types: {pr: {tags: [A]}}\n",
            "no entry has this tag",
        ),
        ("test_name: t\n", "s.yaml:1:1: this is no suite: it has no `nights`"),
        ("nigths: []\n", "s.yaml:1:1: nigths: unknown key; did you mean 'nights'?"),
        ("[1]\n", "s.yaml:1:1: expected a mapping of keys to values, found a list"),
    ],
)
def test_an_error_has_its_place_and_what_to_do(text, expected):
    lines = errors_of(text)
    assert any(expected in line for line in lines), lines


def test_all_errors_are_reported_at_once():
    assert len(errors_of("nights: [{cases: a, owner: 1}, {case: b}]\nwindow: 3\n")) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SMALL, True),
        ("run_types: {}\n", True),
        ("mute: []\n", True),
        ("x: {pr: {functional: all}}\n", True),  # a matrix
        ("x: {pr: {}}\n", False),
        ("cases: []\n", False),  # a functional suite
        ("deployment: []\nnights: 1\n", False),
        ("test_cases: []\n", False),
        ("{}\n", False),
        ("[1]\n", False),
    ],
)
def test_what_is_a_suite(text, expected):
    assert is_night_suite(read(text.encode(), "s.yaml").value) is expected


def test_find_a_suite(tmp_path):
    assert find_night_suite("daily") == find_night_suite("daily.yaml") == SUITES / "daily.yaml"
    assert find_night_suite(str(SUITES / "daily.yaml")) == SUITES / "daily.yaml"
    with pytest.raises(
        UserError, match=r"no suite 'dayly'.*there are: daily. Did you mean 'daily'"
    ):
        find_night_suite("dayly")
    with pytest.raises(UserError, match="is a folder; name a suite in it"):
        find_night_suite(str(tmp_path))


@pytest.mark.parametrize("path", sorted(SUITES.glob("*.yaml")), ids=lambda path: path.name)
def test_our_own_suites_load_without_a_warning(path):
    assert load_night_suite(path).warnings == ()
