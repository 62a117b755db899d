"""What the hosts of a large case have, as an image has it: programs, weights, environments.

Stand-ins are the weights, vLLM, the accelerators' tools and vllm-ascend's router script. The
environments of the tools, and of vllm-router, are the real ones of this machine's workspace.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tokenizers_of_our_own import make_tokenizer

from ci.paths import workspace_of
from ci.prepare.prepare import STAMP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.plan.model import Plan, Preparation

HERE = Path(__file__).parent
WORKSPACE = "/srv/lamplighter"
TENSOR = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LINE = "+" + "-" * 96 + "+\n"
HEAD = """\
| npu-smi 24.1.rc3                 Version: 24.1.rc3                                            |
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
"""
CHIP = """\
| {0:<5} 910B1               | OK            | 95.1        42                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3400 / 65536         |
"""
NVIDIA_SMI = """\
#!/bin/sh
case "$1" in --query-gpu*) ;; *) exit 0 ;; esac
for n in $(seq 0 {last}); do echo "$n, GPU-$n, stand-in, 81920, 4, 580.65.06"; done
"""


def write_image(folder: Path, plan: Plan, replies: Mapping[str, str]) -> None:
    """Write the files of a host of a plan below a folder, which stands for `/`.

    Args:
        folder: is made.
        plan: the plan on paper.
        replies: question → reply of the model.
    """
    _write(folder / "opt/stand-in/answers.json", json.dumps(replies))
    _program(folder / "usr/local/bin/vllm", (HERE / "vllm_stand_in.py").read_text("utf-8"))
    python = folder / "usr/local/bin/python"
    if not python.is_symlink():
        python.symlink_to("/usr/bin/python3")  # as every image of the field has it
    count = plan.case.npu_per_node
    table = LINE + HEAD + "".join(CHIP.format(number) for number in range(count)) + LINE
    tools = {"ascend": ("npu-smi", f"#!/bin/sh\ncat <<'END'\n{table}END\n")}
    tools["cuda"] = ("nvidia-smi", NVIDIA_SMI.format(last=count - 1))
    name, text = tools[plan.case.device or "cuda"]
    _program(folder / "usr/local/bin" / name, text)
    if plan.router and plan.case.router and plan.case.router.kind == "script":
        script = folder / plan.case.router.script.lstrip("/")
        _program(script, (HERE / "router_stand_in.py").read_text("utf-8"))
    _write_weights(folder / "root/.cache", plan.case.model)
    for item in plan.preparations:
        _write_environment(folder, item)


def _write_weights(caches: Path, model: str) -> None:
    """Put a model of four bytes into the caches of both hubs."""
    repository = caches / "huggingface/hub" / f"models--{model.replace('/', '--')}"
    if repository.exists():
        return
    _write(repository / "refs/main", COMMIT)
    for weights in (caches / "modelscope/hub/models" / model, repository / "snapshots" / COMMIT):
        weights.parent.mkdir(parents=True)
        make_tokenizer(weights)
        header = len(TENSOR).to_bytes(8, "little") + TENSOR
        (weights / "model.safetensors").write_bytes(header + bytes(4))


def _write_environment(folder: Path, item: Preparation) -> None:
    """Link a tool's environment; that of vLLM has the stand-in, and the stamp of the real one."""
    made = folder / item.path.lstrip("/")
    if not item.vllm:
        real = Path(workspace_of(""), "envs", item.name)
        if not (real / STAMP).is_file():
            pytest.skip(f"no {item.name} in the workspace: `nox -s large` makes it")
        made.parent.mkdir(parents=True, exist_ok=True)
        if not made.is_symlink():
            made.symlink_to(real)
        return
    packages = [f"vllm=={item.vllm}"]
    _write(made / STAMP, json.dumps({"fingerprint": item.fingerprint, "packages": packages}))
    _program(made / "bin/vllm", (HERE / "vllm_stand_in.py").read_text("utf-8"))
    if not (made / "bin/python").is_symlink():
        (made / "bin/python").symlink_to("/usr/bin/python3")


def _program(path: Path, text: str) -> None:
    _write(path, text)
    path.chmod(0o755)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
