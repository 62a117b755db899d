"""Lines of a host → samples; a host may send anything."""

import json

import pytest

from ci.judge.samples import MAX_LINE_CHARS, samples_of

SAMPLE = {"kind": "sample", "time_s": 1000.5, "monotonic_s": 10.0}
CPU = {"covers_s": 1, "user_s": 1, "system_s": 0.5, "iowait_s": 0, "steal_s": 0.1, "idle_s": 0.4}
USED = {"covers_s": 1.0, "own_s": 1, "ours_s": 0, "foreign_s": 0.5, "cores": 2}


def samples(*lines):
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    return list(samples_of(texts))


def test_a_whole_sample():
    devices = {"GPU 0": {"own": True, "foreign": [{"pid": 5, "name": "other"}], "new": 1}}
    (sample,) = samples(
        SAMPLE
        | {"cpu": CPU, "processes": USED, "devices": devices, "cores": {"busy_percent": [1, 2]}}
        | {"swap_bytes": {"swapped_in": 4096}, "gaps": ["npu-smi"], "why": "npu-smi: hangs"}
    )
    assert sample.cpu.all_s == pytest.approx(2.0)
    assert sample.cpu.busy_s == pytest.approx(1.5)
    assert sample.processes.foreign == ()
    assert (sample.devices["GPU 0"].own, sample.devices["GPU 0"].foreign[0].name) == (True, "other")
    assert (sample.swap_bytes, sample.gaps) == ({"swapped_in": 4096}, ("npu-smi",))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\x00",
        '{"kind":"sample","time_s":1,',
        json.dumps({"kind": "host", "time_s": 1, "monotonic_s": 1}),
        json.dumps({"kind": "end", "time_s": 1, "monotonic_s": 1, "why": "sample"}),
        json.dumps([SAMPLE]),
        json.dumps(SAMPLE | {"time_s": "1"}),
        json.dumps(SAMPLE | {"time_s": -1}),
        json.dumps(SAMPLE | {"monotonic_s": float("nan")}),
        json.dumps(SAMPLE | {"cpu": CPU | {"steal_s": None}}),
        json.dumps(SAMPLE | {"processes": USED | {"cores": 0}}),
        json.dumps(SAMPLE | {"gaps": ["x"] * 5000}),
        json.dumps(SAMPLE | {"why": "x" * 201}),
        json.dumps(SAMPLE | {"more": "x" * MAX_LINE_CHARS}),
        "[" * 60_000 + '"sample"',
    ],
)
def test_what_is_no_sample_is_left_out(line):
    assert samples(line, SAMPLE) == samples(SAMPLE)
    assert len(samples(SAMPLE)) == 1


def test_samples_go_forward():
    times = [3.0, 5.0, 4.0, 5.0, 6.0]
    kept = samples(*(SAMPLE | {"monotonic_s": time_s} for time_s in times))
    assert [sample.monotonic_s for sample in kept] == [3.0, 5.0, 5.0, 6.0]


def test_a_name_stays_on_its_line():
    name = "evil\n\x1b[2J"
    (sample,) = samples(SAMPLE | {"processes": USED | {"foreign": [{"pid": 1, "name": name}]}})
    assert sample.processes.foreign[0].name == "evil??[2J"
