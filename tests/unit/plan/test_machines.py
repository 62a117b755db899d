"""An environment lies in a folder for its host's architecture; a workspace may be shared."""

from __future__ import annotations

import pytest
from plans import preparation, site_of

from ci.plan.addresses import with_addresses
from ci.plan.model import Preparation

MODEL = {"path": "~/w/models/m", "python_bin": "~/w/envs/vllm-1/bin/python"}


def facts_of(machine: str | None) -> dict[str, object]:
    address = {"interface": "eth0", "address": "10.0.0.1", "prefix": 24}
    return {"addresses": [address], "home": "/h", "machine": machine}


@pytest.mark.parametrize(
    ("machine", "folder"),
    [("x86_64", "/h/w/envs/vllm-1"), ("aarch64", "/h/w/envs/vllm-1-aarch64"),
     (None, "/h/w/envs/vllm-1")],
)  # fmt: skip
def test_programs_by_machine_and_weights_for_all(machine: str | None, folder: str):
    serving = preparation("vllm-1", "n0", path="~/w/envs/vllm-1")
    model = Preparation("m", "n0", "model", "~/w/models/m", "f", MODEL)
    site = site_of(["n0"], serving={"n0": serving}, model={"n0": model}, tools={"t": serving})
    inputs = with_addresses(site, {"n0": facts_of(machine)})
    for made in (inputs.serving["n0"], inputs.tools["t"]):
        assert (made.path, made.spec["path"]) == (folder, folder)
        assert made.fingerprint == serving.fingerprint
    made = inputs.model["n0"]
    assert (made.path, made.spec["python_bin"]) == ("/h/w/models/m", f"{folder}/bin/python")
    again = with_addresses(inputs, {"n0": facts_of(machine)})
    assert again == inputs
