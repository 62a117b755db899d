"""Case files of other teams, from the folder that CASE_CORPUS names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CORPUS = Path(os.environ.get("CASE_CORPUS", "nowhere"), "vllm-ascend")
needs_corpus = pytest.mark.skipif(
    "CASE_CORPUS" not in os.environ,
    reason="CASE_CORPUS is unset: name the folder that holds vllm-ascend/",
)


def corpus_files(*folders, having=""):
    """Return the files below these folders, as parameters; `having` is a folder in their path."""
    paths = {path for folder in folders or (".",) for path in (CORPUS / folder).rglob("*.yaml")}
    chosen = sorted(path for path in paths if not having or having in path.parts)
    return [pytest.param(path, id=str(path.relative_to(CORPUS))) for path in chosen]
