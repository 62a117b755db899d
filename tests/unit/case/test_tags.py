"""Test `tags` of a case, in each dialect."""

import pytest

from ci.case.load import parse
from ci.errors import CaseError

DEPLOYMENT = """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 0
deployment:
  - server_cmd: vllm serve m
"""
SINGLE = "test_cases:\n  - {name: n, model: m, server_cmd: [--port, 80]%s}\n"


def test_a_case_has_tags():
    (case,) = parse((DEPLOYMENT + "tags: [smoke, long-context]\n").encode(), "c.yaml")
    assert case.tags == ("smoke", "long-context")
    (case,) = parse((SINGLE % ", tags: [smoke]").encode(), "c.yaml")
    assert case.tags == ("smoke",)


def test_a_case_without_tags():
    (case,) = parse(DEPLOYMENT.encode(), "c.yaml")
    assert case.tags == ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("smoke", "expected a list, found the text 'smoke'; write [smoke]"),
        ("[a b]", "'a b' is not a tag; use letters, digits, '-', '_' and '.'"),
        ("[1]", "expected text, found the number 1; put it in quotes"),
    ],
)
def test_what_is_no_tag(value, message):
    with pytest.raises(CaseError, match="tags") as raised:
        parse(f"{DEPLOYMENT}tags: {value}\n".encode(), "c.yaml")
    assert message in str(raised.value)
