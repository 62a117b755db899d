"""Which of two versions of vLLM is the earlier."""

from __future__ import annotations

import pytest

from ci.vllm.version import is_before


@pytest.mark.parametrize(
    ("version", "before"),
    [
        ("0.11.0", True),
        ("0.11.0+cpu", True),
        ("0.9.2", True),
        ("0.11.1rc1", True),
        ("0.11.1", False),
        ("0.11.1+cpu", False),
        ("0.11.10", False),
        ("0.32.0", False),
        ("", None),
        (None, None),
        ("latest", None),
    ],
)
def test_a_version_is_compared_as_a_version(version, before):
    assert is_before(version, "0.11.1") is before
