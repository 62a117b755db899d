"""What nvidia-smi and npu-smi print → accelerators."""

import os
from pathlib import Path

import pytest

from ci.remote.facts import accelerators

SAMPLES = Path(__file__).parents[1] / "npu_smi"  # see ORIGIN.md there
H100 = Path(__file__).parents[1] / "captured" / "nvidia_smi"  # see TOOLS.md there
# Written after `nvidia-smi --help-query-gpu` and `--help-query-compute-apps`, not captured.
GPUS = """\
0, GPU-aaaa, NVIDIA H100 80GB HBM3, 81559, 72110, 550.54.15
1, GPU-bbbb, NVIDIA H100 80GB HBM3, 81559, 4, 550.54.15
2, GPU-cccc, NVIDIA GH200, 480GB, [N/A], [N/A], 550.54.15
"""
APPS = """\
GPU-aaaa, 4711, /opt/venv/bin/python3, 72100
GPU-aaaa, 4712, [Not Found], [N/A]
"""


def npus(name):
    return accelerators.parse_npu((SAMPLES / name).read_text("utf-8"))


def test_gpus_with_their_processes():
    first, second, third = accelerators.parse_nvidia(GPUS, APPS)
    assert first["name"] == "NVIDIA H100 80GB HBM3"
    assert (first["memory_used_mb"], first["memory_total_mb"]) == (72110, 81559)
    assert first["driver"] == "550.54.15"
    assert [tuple(one) for one in first["processes"]] == [
        (4711, "/opt/venv/bin/python3", 72100),
        (4712, "[Not Found]", None),
    ]
    assert second["processes"] == []
    assert (third["name"], third["memory_total_mb"]) == ("NVIDIA GH200, 480GB", None)
    assert [one["index"] for one in (first, second, third)] == [0, 1, 2]


def test_a_gpu_idle_and_held():
    (idle,) = accelerators.parse_nvidia((H100 / "gpus-idle.csv").read_text(), "")
    assert (idle["memory_used_mb"], idle["memory_total_mb"], idle["processes"]) == (0, 81559, [])
    (held,) = accelerators.parse_nvidia(
        (H100 / "gpus-held.csv").read_text(), (H100 / "apps-held.csv").read_text()
    )
    assert held["memory_used_mb"] == 21099
    assert [tuple(holder) for holder in held["processes"]] == [(529, "python", 21090)]


def test_a_message_in_place_of_rows_is_no_gpu():
    with pytest.raises(ValueError, match="No devices were found"):
        accelerators.parse_nvidia((H100 / "no-devices.txt").read_text(), "")


def test_one_chip_a_npu():
    found = npus("910b.txt")
    assert [(one["label"], one["index"], one["health"]) for one in found] == [
        ("NPU 0 chip 0", 0, "OK"),
        ("NPU 1 chip 0", 1, "OK"),
        ("NPU 3 chip 0", 2, "Alarm"),
    ]
    assert {one["name"] for one in found} == {"910B3"}
    assert {one["driver"] for one in found} == {"24.1.rc3"}
    assert [one["memory_used_mb"] for one in found] == [58213, 3402, 3399]
    assert [tuple(one) for one in found[0]["processes"]] == [
        (4711, "python3", 54800),
        (4712, "VLLMWorker_TP", 211),
    ]
    assert [one["processes"] for one in found[1:]] == [[], []]


def test_two_chips_a_npu():
    found = npus("910c.txt")
    assert [(one["label"], one["index"]) for one in found] == [
        ("NPU 0 chip 0", 0),
        ("NPU 0 chip 1", 1),
        ("NPU 1 chip 0", 2),
        ("NPU 1 chip 1", 3),
    ]
    assert [one["memory_used_mb"] for one in found] == [3112, 2892, 3112, 41820]
    assert {one["memory_total_mb"] for one in found} == {65536}
    assert [len(one["processes"]) for one in found] == [0, 0, 0, 1]


def test_the_process_column_of_version_26():
    (one,) = npus("26.txt")
    assert [tuple(holder) for holder in one["processes"]] == [(485946, "pytest", 18175)]
    assert (one["memory_used_mb"], one["driver"]) == (21871, "26.0.rc1")


def test_what_is_no_table_is_told():
    with pytest.raises(ValueError, match="ret is -8020"):
        accelerators.parse_npu("dcmi model initialized failed, the device is used. ret is -8020")


def tool(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return {name: str(path)}


def test_what_the_tool_says_of_a_process_is_completed_from_proc(tmp_path):
    sample = (SAMPLES / "26.txt").read_text("utf-8")
    (tmp_path / "out").write_text(sample.replace("485946", f"{os.getpid():<6}"), "utf-8")
    devices, errors = accelerators.find(
        tool(tmp_path, "npu-smi", f"cat {tmp_path}/out"), ["davinci0"]
    )
    assert errors == {}
    (holder,) = devices[0]["processes"]
    assert holder["pid"] == os.getpid()
    program = Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode()
    assert holder["command"].startswith(program)
    assert holder["memory_mb"] == 18175


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo no driver; exit 9", "ended with 9: no driver"),
        ("echo hello", "npu-smi info printed no chip: hello"),
    ],
)
def test_a_tool_that_fails_is_an_error_and_not_an_absence(tmp_path, text, words):
    devices, errors = accelerators.find(tool(tmp_path, "npu-smi", text), [])
    assert devices == []
    assert words in errors["ascend"]


def test_a_tool_that_hangs_is_ended_and_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(accelerators, "ANSWER_S", 0.2)
    text = f"echo $$ >{tmp_path}/pid; exec sleep 600"
    devices, errors = accelerators.find(tool(tmp_path, "npu-smi", text), [])
    assert (devices, errors) == (
        [],
        {"ascend": f"{tmp_path}/npu-smi info did not answer within 0.2 s"},
    )
    pid = (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else "none"
    assert not Path("/proc", pid.strip()).exists()


def test_devices_that_no_tool_tells_of():
    devices, errors = accelerators.find(
        {}, ["davinci0", "davinci1", "davinci_manager", "nvidiactl"]
    )
    assert devices == []
    assert errors == {"ascend": "the kernel shows 2 devices of it, but npu-smi is not installed"}
