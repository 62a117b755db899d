"""What the real tools left after four made-up items, three of them answered rightly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.case.benchmark import Benchmark
from ci.tools.model import Dataset, Endpoint, Job
from ci.tools.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable

CAPTURED = Path(__file__).parent / "captured"


def captured(folder: str) -> Output:
    """The captured files of a run that went well."""
    root = CAPTURED / folder
    files = {
        str(p.relative_to(root)): p.read_text("utf-8") for p in root.rglob("*.*") if p.is_file()
    }
    return Output(0, files, "starting\nall went well\n")


def edited(output: Output, ending: str, change: Callable[[str], str] | None) -> Output:
    """The output with the one file of that ending changed, or taken away."""
    (name,) = [name for name in output.files if name.endswith(ending)]
    text = output.files[name]
    files = {key: value for key, value in output.files.items() if key != name}
    if change is not None:
        files[name] = change(text)
        assert files[name] != text, f"the edit of {name} changed nothing"
    return replace(output, files=files)


def job(tool: str, case_type: str = "accuracy", **changes: Any) -> Job:
    """A job of four items; `changes` go into the benchmark, or into the job where it has them."""
    parts = {key: changes.pop(key) for key in ("endpoint", "dataset", "vllm") if key in changes}
    fields = {"name": "b", "case_type": case_type, "dataset_path": "words", "tool": tool}
    fields |= {"num_prompts": 4, "max_out_len": 64, "batch_size": 4, "baseline": 0.0}
    if tool == "vllm_bench":  # the captured answers have as many
        fields["max_out_len"] = 6
    benchmark = Benchmark(**(fields | {"threshold": 0.0} | changes))
    endpoint = parts.get("endpoint", Endpoint("10.0.0.1", 8000, "qwen"))
    dataset = parts.get("dataset", Dataset("words", "/w/data", "gsm8k", 1319))
    vllm = parts.get("vllm", "0.32.0")
    return Job(benchmark, dataset, endpoint, "/models/qwen", "/env/bin", "/w/work", vllm)


def with_value(*keys: str, value: object) -> Callable[[str], str]:
    """An edit of a JSON file that sets one value, by its keys."""

    def change(text: str) -> str:
        whole = json.loads(text)
        inner = whole
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        return json.dumps(whole)

    return change


def with_values(**values: object) -> Callable[[str], str]:
    """An edit of a JSON file that sets values at its top."""
    return lambda text: json.dumps(json.loads(text) | values)
