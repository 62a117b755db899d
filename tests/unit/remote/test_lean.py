"""An agent's JSON is that of `json`, and an agent starts without the modules that take long."""

import json
import subprocess
import sys

import pytest

from ci.agent.bootstrap import LOADER, parcel
from ci.remote import lean
from ci.remote.supervise.child import expanded

HEAVY = {"contextlib", "enum", "functools", "json", "re", "signal", "socket", "threading", "typing"}
START = """\
import ci.remote.facts.facts, ci.remote.facts.owner, ci.remote.loop.agent
import ci.remote.supervise.guardian, ci.remote.supervise.runs
print(*sys.modules)
"""


@pytest.mark.parametrize(
    "value",
    [{}, [], "", 0, None, -1.5e300, float("inf"), [True, False], {"a": {"b": [1, 'é\n"\\\ud800']}}],
)
def test_json_both_ways(value):
    assert lean.json.dumps(value) == json.dumps(value)
    assert lean.json.loads(json.dumps(value, indent=1).encode() + b"\n") == value


@pytest.mark.parametrize("text", [b"", b"{", b'{"a":}', b"x", b"\xff", b'"\n"', b"{} {}", b"1 2"])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        lean.json.loads(text)


def test_what_json_cannot_hold_is_a_type_error():
    with pytest.raises(TypeError, match="object"):
        lean.json.dumps({"a": object()})


def test_only_the_named_exceptions_are_suppressed():
    with lean.suppress(OSError, KeyError):
        raise FileNotFoundError
    with pytest.raises(ValueError, match=r"^$"), lean.suppress(OSError, KeyError):
        raise ValueError


def test_an_agent_and_a_supervisor_start_without_modules_that_take_long():
    code = "PASSED = 0\n" + LOADER + START
    python = subprocess.run(
        [sys.executable, "-ISBc", code], input=parcel(), check=True, capture_output=True
    )
    assert set(python.stdout.decode().split()) & HEAVY == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "no name": "no name",
        "$A": "1",
        "${A}": "1",
        "x$A/$A.${A}y": "x1/1.1y",
        "$AB $A_": "$AB $A_",
        "${AB}${A": "${AB}${A",
        "$$A $": "$1 $",
        "${}$(A)": "${}$(A)",
        "$B": "",
        "$C${C}": "$C${C}",
        "$Aé $A-": "$Aé 1-",
    }.items(),
)
def test_names_are_replaced_as_a_shell_does(text, expected):
    assert expanded(text, ["A", "B"], {"A": "1", "C": "3"}) == expected
