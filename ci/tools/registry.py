"""List the evaluation tools by their names in cases; add a new tool here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.tools import aisbench, evalscope, lm_eval, vllm_bench

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.tools.tool import Tool

TOOLS: Mapping[str, Tool] = {
    "aisbench": aisbench,
    "evalscope": evalscope,
    "lm_eval": lm_eval,
    "vllm_bench": vllm_bench,
}
