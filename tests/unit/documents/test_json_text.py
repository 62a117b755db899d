"""Test that invalid files from hosts are clear errors, with bounded memory and no crash."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tool_outputs import captured

from ci import evaluate
from ci.documents import json_text
from ci.documents.json_text import read_json
from ci.plan.model import Preparation
from ci.prepare.prepare import _versions, stamp_of
from ci.tools.output import Unreadable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "the key 'c' twice"),
        ("[" * 100_000 + "]" * 100_000, "nested too deep"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deep"),
        ("9" * 5000, "limit"),
        ('"\\ud8"', "escape"),
        ("", "Expecting value"),
    ],
)
def test_invalid_json_is_a_value_error(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_json(text)


@pytest.mark.parametrize("text", ["[" + "[]," * 40 + "[]]", '{"a":' * 41, "[" + "0," * 41 + "0]"])
def test_json_with_too_many_values_is_refused_before_it_is_parsed(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_text, "MAX_VALUES", 40)
    with pytest.raises(ValueError, match="more than the limit of 40"):
        read_json(text)


def test_many_lines_of_values_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "MAX_VALUES", 40)
    output = replace(captured("aisbench_accuracy"), files={"rows.jsonl": '{"a": 1}\n' * 41})
    with pytest.raises(Unreadable, match="more than the limit of 40"):
        output.rows("rows.jsonl")


def test_a_line_separator_in_a_text_does_not_end_a_line() -> None:
    output = replace(captured("aisbench_accuracy"), files={"rows.jsonl": '{"a": "x\u2028y"}\n'})
    assert output.rows("rows.jsonl") == ({"a": "x\u2028y"},)


def test_files_that_are_too_large_together_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        (tmp_path / f"{number}.json").write_text("x" * 300)
    monkeypatch.setattr(evaluate, "MAX_OUTPUT_BYTES", 1200)
    assert len(evaluate.outputs(tmp_path, ("*.json",))) == 4
    (tmp_path / "largest.json").write_text("x" * 400)
    with pytest.raises(Unreadable, match=r"1600 bytes, .* 1200.*largest\.json with 400"):
        evaluate.outputs(tmp_path, ("*.json",))


@pytest.mark.parametrize(
    "text",
    [b"[" * 100_000, b"9" * 5000, b"\xff", b'{"fingerprint": "f", "fingerprint": "f"}', b"[]"],
)
def test_an_invalid_stamp_is_none(text: bytes) -> None:
    item = Preparation("e", "h", "environment", "/e", "f", {})
    assert stamp_of(b'{"fingerprint": "f"}', item) == {"fingerprint": "f"}
    assert stamp_of(text, item) is None


@pytest.mark.parametrize("packages", [None, 7, "vllm==1", {"vllm==1": 2}])
def test_packages_that_are_not_a_list_have_no_versions(packages: object) -> None:
    assert _versions({"packages": packages}) == {}
    assert _versions({"packages": ["vllm==1", 7, "x==2"]}) == {"vllm": "1"}
