"""The agent's JSON is that of `json`."""

import json
import subprocess
import sys

import pytest

from ci.remote import wire


@pytest.mark.parametrize(
    "value",
    [{}, [], "", 0, None, -1.5e300, float("inf"), [True, False], {"a": {"b": [1, 'é\n"\\\ud800']}}],
)
def test_both_ways(value):
    assert wire.dumps(value) == json.dumps(value).encode()
    assert wire.loads(json.dumps(value, indent=1).encode() + b"\n") == value


@pytest.mark.parametrize("text", [b"", b"{", b'{"a":}', b"x", b"\xff", b'"\n"'])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        wire.loads(text)


def test_what_json_cannot_hold_is_a_type_error():
    with pytest.raises(TypeError, match="object"):
        wire.dumps({"a": object()})


def test_the_slow_half_stays_out():
    code = "import sys; from ci.remote import wire; wire.loads(wire.dumps([1])); "
    code += "print(*sorted({'json', 're'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-Sc", code], capture_output=True, check=True, text=True,
                          cwd=__file__.rpartition("/tests/")[0])  # fmt: skip
    assert said.stdout.strip() == ""
