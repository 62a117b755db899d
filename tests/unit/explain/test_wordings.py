"""Messages as the sources of vLLM, PyTorch, NCCL and CANN print them: each has its class."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ci.explain.classify import classify
from ci.explain.rules import rules
from ci.explain.search import find

WORDINGS = yaml.safe_load((Path(__file__).parent / "wordings.yaml").read_text())


@pytest.mark.parametrize(
    ("kind", "message"), [(kind, message) for kind, all_ in WORDINGS.items() for message in all_]
)
def test_a_message_of_a_program_has_its_class(kind: str, message: str):
    reason = classify(message, 1, None)
    assert reason.kind == kind, reason.message
    assert reason.side
    assert reason.next


def test_a_sentence_about_an_error_is_no_error():
    """An answer of a model, a sample or a help text may have the words of any failure."""
    messages = [" ".join(message.split()) for all_ in WORDINGS.values() for message in all_]
    spoken = [f"Answer 7: you see {it} when it fails" for it in messages if "NCCL WARN" not in it]
    assert [it for it in spoken if "ERROR" not in it and find([it], rules())] == []
