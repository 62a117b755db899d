"""Rules of the operator: read strictly, before the project's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ci.errors import CaseError, UserError
from ci.explain import rules
from ci.explain.classify import classify

if TYPE_CHECKING:
    from pathlib import Path

RULE = """\
failures:
  {name}:
    class: rack_power
    side: environment
    patterns: ['{pattern}']
    cause: rack {{rack}} has no power
    next: call the house
"""
PATTERN = r"PDU (?P<rack>\w+) lost"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def write(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        monkeypatch.setenv(rules.OWN_FILE, str(path))
        rules._rules.cache_clear()
        return path

    yield write
    rules._rules.cache_clear()


def test_an_operators_rule_comes_first(own):
    own(RULE.format(name="ours", pattern=PATTERN))
    reason = classify("PDU r7 lost: Address already in use", 1, None)
    assert reason.message == "rack r7 has no power; call the house"
    assert (reason.kind, reason.side) == ("rack_power", "environment")
    assert classify("Address already in use", 1, None).kind == "port_in_use"


def test_a_rule_of_the_same_name_replaces_the_projects(own):
    own(RULE.format(name="port_of_someone", pattern=PATTERN))
    assert classify("Address already in use", 1, None).kind == "unknown"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (RULE.format(name="a", pattern="("), ["mine.yaml:5:16: failures.a.patterns[0]", "regular"]),
        (RULE.format(name="a", pattern=r"(x+)+y(?P<rack>z)"), ["repeats a group", "hang"]),
        (RULE.format(name="a", pattern="x*"), ["matches an empty line"]),
        (RULE.format(name="a", pattern="x"), ["{rack}", "(?P<rack>"]),
        (RULE.format(name="a", pattern=PATTERN).replace("side: env", "side: x"), ["side", "mine"]),
        (RULE.format(name="a", pattern=PATTERN) + "    more: 1\n", ["mine.yaml:8:5", "more"]),
        (RULE.format(name="a", pattern=PATTERN).replace("rack_power", "Rack!"), ["class"]),
        ("failures: 3\n", ["failures", "mine.yaml:1"]),
        ("- 1\n", ["expected a mapping"]),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(own, text: str, words: list[str]):
    own(text)
    with pytest.raises(CaseError) as raised:
        rules.rules()
    assert all(word in str(raised.value) for word in words), str(raised.value)


def test_a_file_that_is_missing_is_named(own):
    own("").unlink()
    with pytest.raises(UserError, match=r"mine\.yaml"):
        rules.rules()


def test_every_rule_of_the_project_is_complete():
    for name, rule in rules.load(rules.FILE).items():
        assert rule.cause[-1] != ".", name
        assert rule.next[-1] != ".", name
