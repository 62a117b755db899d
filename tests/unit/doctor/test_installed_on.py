"""Which hosts are asked for their packages, and what is known of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from plans import plan_of

from ci.doctor.installed import installed_on
from ci.plan.model import PATH_VLLM

if TYPE_CHECKING:
    from ci.agent.client import Agent


def test_a_host_whose_case_sets_path_is_not_asked_for_its_vllm():
    """Its vLLM is the first one on that PATH, which only the server searches."""
    server = ("vllm serve /m --port 8000", {"envs": "{PATH: /opt/own/bin}"})
    unasked = cast("Agent", None)
    listed = installed_on({"n0": unasked}, plan_of(server))
    assert listed == {"n0": {PATH_VLLM: None}}
