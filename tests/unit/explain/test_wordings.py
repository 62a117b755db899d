"""Messages as the sources of vLLM, PyTorch, NCCL and CANN print them: each has its class."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ci.explain.classify import classify

WORDINGS = yaml.safe_load((Path(__file__).parent / "wordings.yaml").read_text())


@pytest.mark.parametrize(
    ("kind", "message"), [(kind, message) for kind, all_ in WORDINGS.items() for message in all_]
)
def test_a_message_of_a_program_has_its_class(kind: str, message: str):
    reason = classify(message, 1, None)
    assert reason.kind == kind, reason.message
    assert reason.side
    assert reason.next
