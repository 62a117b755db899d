"""A suite's file becomes cases; a mistake in it is told with file, line, key and the way out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ci.documents.source import read
from ci.errors import CaseError
from ci.functional.load import is_suite, load_suite, parse_suite
from ci.paths import CONFIGS

OURS = CONFIGS / "functional" / "openai.yaml"
CORPUS = os.environ.get("CASE_CORPUS")


def suite_of(text):
    return parse_suite(read(text.encode(), "suite.yaml", "configuration"))


def problems_of(text):
    with pytest.raises(CaseError) as caught:
        suite_of(text)
    return [str(problem) for problem in caught.value.problems]


HELLO = "{id: a, type: chat, messages: [{role: user, content: Hi}]}"


def test_our_suite_has_at_least_200_cases():
    suite = load_suite(OURS)
    assert suite.enabled
    assert len(suite.cases) >= 200
    assert len({case.id for case in suite.cases}) == len(suite.cases)


@pytest.mark.skipif(not CORPUS, reason="CASE_CORPUS is not set")
@pytest.mark.parametrize(
    ("name", "enabled", "count"),
    [
        ("functional.yaml", False, 2),
        ("functional_example.yaml", True, 19),
        ("functional_qwen3-32b.yaml", True, 29),
    ],
)
def test_the_fields_own_files_load_unchanged(name, enabled, count):
    suite = load_suite(Path(CORPUS) / "vllm-cibench" / "configs" / "tests" / name)
    assert (suite.enabled, len(suite.cases)) == (enabled, count)


def test_a_grid_is_multiplied_out():
    suite = suite_of(
        """\
matrices:
  chat:
    - id_prefix: m
      messages: [{role: user, content: Hi}]
      params: {max_tokens: 4}
      params_grid: {temperature: [0, 1], stream: [true, false], n: 2}
"""
    )
    assert [case.id for case in suite.cases] == [
        "m[temperature=0,stream=true,n=2]",
        "m[temperature=0,stream=false,n=2]",
        "m[temperature=1,stream=true,n=2]",
        "m[temperature=1,stream=false,n=2]",
    ]
    case = suite.cases[0]
    assert case.body == {
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 4,
        "temperature": 0,
        "stream": True,
        "n": 2,
    }
    assert (case.stream, case.refused, case.location) == (True, False, "suite.yaml:3")


def test_a_negative_case_has_to_be_refused_and_gets_no_defaults():
    suite = suite_of(
        """\
defaults: {params: {temperature: 0}, stream: both}
negative:
  completions:
    - {id_prefix: bad, prompt: x, params_list: [{top_p: 2}, {n: 0}]}
"""
    )
    assert [case.id for case in suite.cases] == ["bad[top_p=2]", "bad[n=0]"]
    assert all(case.refused and case.stream is False for case in suite.cases)
    assert suite.cases[0].body == {"prompt": "x", "top_p": 2}


def test_defaults_hold_where_a_case_says_nothing():
    suite = suite_of(
        f"""\
defaults: {{params: {{temperature: 0, seed: 1}}, stream: both}}
cases:
  - {HELLO}
  - {{id: b, type: completions, prompt: x, params: {{seed: 2}}, stream: true}}
  - {{id: c, type: models}}
"""
    )
    first, second, third = suite.cases
    assert (first.body["temperature"], first.body["seed"], first.stream) == (0, 1, "both")
    assert (second.body["seed"], second.stream) == (2, True)
    assert (third.body, third.stream, third.method) == (None, False, "GET")


def test_a_forced_text_is_expected():
    suite = suite_of(f"cases: [{HELLO[:-1]}, force: yes it is}}]")
    assert suite.cases[0].expect.text == ["yes it is"]
    assert suite.cases[0].body["structured_outputs"] == {"choice": ["yes it is"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cases: []", "has no case"),
        ("suite: true", "has no case"),
        ("- a", "expected a mapping"),
        ("cases: [{id: a, type: chatt}]", "suite.yaml:1:23: cases[0].type: expected"),
        ("cases: [{type: models}]", "cases[0].id: missing; name of the case"),
        ("cases: [{id: a, type: chat}]", "cases[0]: a case of type chat needs `messages`"),
        ("cases: [{id: a, type: completions}]", "cases[0]: a case of type completions needs"),
        (
            "cases: [{id: a, type: completions, prompt: x, messages: []}]",
            "cases[0].messages: belongs to another type",
        ),
        (f"cases: [{HELLO}, {HELLO}]", "cases[1].id: 'a' is also the name of the case at suite"),
        (f"cases: [{HELLO[:-1]}, expct: {{}}}}]", "did you mean 'expect'?"),
        (f"cases: [{HELLO[:-1]}, expect: {{txt: a}}}}]", "did you mean 'text'?"),
        (f"cases: [{HELLO[:-1]}, expect: {{text_matches: '['}}}}]", "not a regular expression"),
        (f"cases: [{HELLO[:-1]}, expect: {{error: '('}}}}]", "not a regular expression"),
        (
            f"cases: [{HELLO[:-1]}, expect: {{completion_tokens: {{min: 3, max: 2}}}}}}]",
            "`min` is above `max`",
        ),
        (f"cases: [{HELLO[:-1]}, expect: {{completion_tokens: many}}}}]", "expected a mapping"),
        (f"cases: [{HELLO[:-1]}, expect: {{satisfies: {{type: 5}}}}}}]", "not a JSON Schema"),
        (f"cases: [{HELLO[:-1]}, expect: {{satisfies: 5}}}}]", "write `request`"),
        (
            f"cases: [{HELLO[:-1]}, required_capabilities: [chat.tool]}}]",
            "unknown capability 'chat.tool'; did you mean 'chat.tools'?",
        ),
        (f"capabilities: [nothing]\ncases: [{HELLO}]", "suite.yaml:1:16: capabilities[0]: unknown"),
        (f"cases: [{HELLO[:-1]}, stream: maybe}}]", "cases[0].stream: expected"),
        (f"cases: [{HELLO[:-1]}, scenario: crash}}]", "cases[0].scenario: expected"),
        (f"cases: [{HELLO[:-1]}, params: 5}}]", "cases[0].params: expected a mapping"),
        (
            f"cases: [{HELLO[:-1]}, expect: {{text_contains: 5}}}}]",
            "cases[0].expect.text_contains[0]: expected text, found the number 5",
        ),
        (f"cases: [{HELLO[:-1]}, method: get}}]", "write an HTTP method"),
        (f"cases: [{HELLO[:-1]}, path: v1}}]", "begins with /"),
        (
            f"cases: [{HELLO[:-1]}, params: {{user: '${{nobody}}'}}}}]",
            "unknown reference ${nobody}",
        ),
        ("matrices: {chat: [{id_prefix: m, messages: [], params_grid: {}}]}", "params_grid"),
        ("negative: {chat: [{id_prefix: m, messages: [], params_list: []}]}", "params_list"),
        ("matrices: {chatt: []}", "matrices"),
    ],
)
def test_a_mistake_is_told_with_the_way_out(text, expected):
    found = problems_of(text)
    assert any(expected in problem for problem in found), found
    assert all(problem.startswith("suite.yaml:") for problem in found)


def test_a_grid_that_would_take_hours_is_refused():
    values = ", ".join(map(str, range(200)))
    grid = f"{{a: [{values}], b: [{values}]}}"
    entry = f"{{id_prefix: m, messages: [], params_grid: {grid}}}"
    (problem,) = problems_of(f"matrices: {{chat: [{entry}]}}")
    assert "makes more than 20,000 cases" in problem


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"cases": []}, True),
        ({"matrices": {}}, True),
        ({"negative": {}}, True),
        ({"test_cases": []}, False),
        ({"deployment": [], "model": "x"}, False),
        ([], False),
        (None, False),
    ],
)
def test_a_suite_is_recognised(value, expected):
    assert is_suite(value) is expected
