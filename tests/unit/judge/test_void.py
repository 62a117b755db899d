"""Samples of a host × bounds → why a figure of performance says nothing. A table of hosts."""

from dataclasses import replace

import pytest

from ci.case.telemetry import Telemetry
from ci.judge.samples import Cpu, Device, Foreign, Processes, Sample
from ci.judge.spells import Window
from ci.judge.void import Judged, judge_samples

# 2026-01-01 01:00:00 UTC, and ten minutes of it.
START = 1_767_229_200.0
WINDOW = Window(START, START + 600)
CORES = 4
OWN = Device(own=True)
BUSY, OUTSIDE = "01:02:10–01:02:50", "processes outside the run"
SLOW = "GPU 0 of host b was slowed down by"


def sample(second, *, steal=0.0, foreign=0.0, busy=0.6, shown=None, **more):
    """Return a second in which these shares of the CPU time were used."""
    covers, whole, busy = 1.0, float(CORES), min(busy, 1 - steal)
    cpu = Cpu(
        covers_s=covers,
        user_s=busy * whole,
        system_s=0.0,
        iowait_s=0.0,
        steal_s=steal * whole,
        idle_s=max(0.0, 1 - busy - steal) * whole,
    )
    named = (Foreign(pid=812, name="ffmpeg", cpu_s=foreign * whole),) if foreign > 0.1 else ()
    processes = Processes(
        covers_s=covers,
        own_s=(busy if shown is None else shown) * whole,
        ours_s=0.0,
        foreign_s=foreign * whole,
        cores=CORES,
        foreign=named,
    )
    return Sample(
        kind="sample",
        time_s=START + second,
        monotonic_s=500.0 + second,
        cpu=cpu,
        processes=processes,
        **more,
    )


def host(*spells, **usual):
    """Return the samples of ten minutes; a spell is from, to, and what is unusual then."""
    return [
        sample(
            second,
            **usual,
            **{
                key: value
                for first, last, what in spells
                if first < second <= last
                for key, value in what.items()
            },
        )
        for second in range(601)
    ]


def void(samples, bounds=None, window=WINDOW):
    return judge_samples("b", samples, window, bounds or Telemetry()).void


def devices(**device):
    return {"devices": {"GPU 0": Device(own=True, **device)}}


def test_a_quiet_host():
    assert judge_samples("b", host(), WINDOW, Telemetry()) == Judged()


@pytest.mark.parametrize(
    "samples",
    [
        host(steal=0.01),
        host((100, 111, {"steal": 0.3})),
        host(foreign=0.01),
        host((0, 12, {"foreign": 0.25})),  # a daily job of a quarter of a minute
        host(busy=1.0),
        host((10, 11, {"swap_bytes": {"swapped_in": 50 << 20}})),
        host(swap_bytes={"swapped_in": 100_000}),
        host(devices={"GPU 0": Device(own=True, slowdown_reasons=0x4 | 0x2 | 0x10)}),
        host((1, 12, devices(slowdown_reasons=0x40))),
        host(network={"eth0 rx_dropped": 1, "eth0 rx_errors": 0}),
        host((5, 6, {"network": {"eth0 rx_errors": 99}})),
        host(devices={"GPU 0": OWN, "GPU 1": Device(own=False, slowdown_reasons=0x40)}),
        host(**devices(foreign=(Foreign(pid=1, name="nvidia-cuda-mps-server"),))),
        host(devices={"NPU 0 chip 0": Device(own=True, health="Warning")}),
        host()[:290] + host()[310:],
    ],
    ids=range(15),
)  # fmt: skip
def test_what_healthy_hosts_do_too(samples):
    assert void(samples) == ()


@pytest.mark.parametrize(
    ("samples", "reasons"),
    [
        (
            host((130, 164, {"steal": 0.37})),
            ("01:02:10–01:02:44: 37% of host b's CPU time was stolen",),
        ),
        (host(steal=0.04), ("01:00:00–01:10:00: 4% of host b's CPU time was stolen",)),
        (
            host(*((at, at + 8, {"steal": 0.5}) for at in (60, 120, 180, 240))),
            (
                "01:01:00–01:01:08: 50% of host b's CPU time was stolen",
                "01:02:00–01:02:08: 50% of host b's CPU time was stolen, and 2 more times",
            ),
        ),
        (
            host((130, 170, {"foreign": 0.5})),
            (
                f"{BUSY}: 50% of the 4 cores of host b went to {OUTSIDE} (ffmpeg 812: 80 s)",
            ),
        ),
        (
            host((100, 120, {"swap_bytes": {"swapped_in": 2 << 20, "swapped_out": 1 << 20}})),
            ("01:01:40–01:02:00: host b swapped 60 MiB",),
        ),
        (
            host((100, 130, devices(slowdown_reasons=0x40 | 0x4))),
            ("01:01:40–01:02:10: GPU 0 of host b was slowed down by heat (hardware)",),
        ),
        (
            host((0, 600, devices(slowdown_reasons=0x88))),
            (
                f"01:00:00–01:10:00: {SLOW} hardware slowdown, power brake",
            ),
        ),
        (
            host((100, 200, devices(foreign=(Foreign(pid=77, name="train.py"),)))),
            ("01:01:40–01:03:20: GPU 0 of host b was also used by train.py 77",),
        ),
        (
            host((0, 99, devices(health="OK")), (99, 600, devices(health="Alarm"))),
            ("01:01:40: the health of GPU 0 of host b became Alarm",),
        ),
        (
            host((0, 99, devices(ecc_uncorrected=2)), (99, 600, devices(ecc_uncorrected=3))),
            ("01:01:40: the memory of GPU 0 of host b had 1 uncorrected errors",),
        ),
        (
            host((5, 6, {"network": {"eth0 rx_errors": 60, "eth0 tx_errors": 60}})),
            ("interface eth0 of host b counted 120 errors",),
        ),
        (
            host((5, 6, {"links": {"mlx5_0/1 link_downed": 1}})),
            ("link mlx5_0/1 of host b counted link_downed 1 time",),
        ),
        (
            host((5, 6, {"links": {"mlx5_0/1 symbol_error": 4000}})),
            ("link mlx5_0/1 of host b counted 4000 errors",),
        ),
        (
            host()[:100] + host()[200:],
            ("01:01:39–01:03:19: 100 of 600 s have no sample of host b",),
        ),
        (host()[:500], ("01:08:20–01:10:00: 100 of 600 s have no sample of host b",)),
        (host()[50:], ("01:00:00–01:00:49: 49 of 600 s have no sample of host b",)),
        ([], ("01:00:00–01:10:00: 600 of 600 s have no sample of host b",)),
    ],
    ids=range(17),
)  # fmt: skip
def test_what_makes_a_figure_void(samples, reasons):
    assert void(samples) == reasons


@pytest.mark.parametrize(
    ("samples", "bounds"),
    [
        (host(steal=0.1), {"steal_percent": 15}),
        (host((1, 200, {"steal": 0.5})), {"steal_percent": 100, "disturbed_percent": 100}),
        (host(foreign=0.3), {"foreign_cpu_percent": 40, "disturbed_percent": 100}),
        (host((0, 600, devices(slowdown_reasons=0x40))), {"disturbed_percent": 100}),
        (host((5, 6, {"network": {"eth0 rx_errors": 120}})), {"network_errors": 1000}),
        ([], {"lost_percent": 100}),
    ],
)
def test_a_case_may_set_the_bounds(samples, bounds):
    assert void(samples) != ()
    assert void(samples, Telemetry(**bounds)) == ()


def test_disturbed_seconds_count_without_a_bound_of_the_average():
    bounds = Telemetry(steal_percent=100)
    assert void(host((130, 164, {"steal": 0.37})), bounds) == (
        "01:02:10–01:02:44: 37% of host b's CPU time was stolen",
    )


def test_only_the_window_counts():
    samples = host((0, 300, {"steal": 0.9}), (450, 600, {"foreign": 0.9}))
    assert void(samples, window=Window(START + 300, START + 450)) == ()
    assert len(void(samples, window=Window(START + 290, START + 450))) == 1


def test_a_short_measurement_is_judged_by_its_seconds():
    """In five seconds, one in which a daemon wakes up is a fifth: it says nothing."""
    window = Window(START, START + 5)
    assert void(host((0, 1, {"foreign": 1.0})), window=window) == ()
    assert void(host((0, 4, {"foreign": 1.0})), window=window) != ()
    assert void([], window=Window(START, START + 2)) == ()


def test_reasons_have_the_controllers_time():
    samples = [each.model_copy(update={"time_s": each.time_s + 3600}) for each in host(steal=0.1)]
    ahead = Window(START + 3600, START + 4200, ahead_s=3600)
    assert void(samples, window=ahead) == (
        "01:00:00–01:10:00: 10% of host b's CPU time was stolen",
    )


def test_a_clock_that_is_set_meanwhile_loses_no_sample():
    """It goes back by a minute: the window still has all samples, and the others two of a time."""
    samples = host()
    moved = [
        each.model_copy(update={"time_s": each.time_s + (0 if second < 300 else 60)})
        for second, each in enumerate(samples)
    ]
    assert void(moved, window=replace(WINDOW, end_s=WINDOW.end_s + 60)) == ()


def test_what_no_tool_can_tell_is_judged_for_all_devices():
    """In a container, nvidia-smi does not show whose the processes are."""
    slow = Device(own=None, slowdown_reasons=0x40)
    assert len(void(host(devices={"GPU 0": Device(), "GPU 1": slow}))) == 1
    assert void(host(devices={"GPU 0": OWN, "GPU 1": slow})) == ()
    other = Device(own=False, foreign=(Foreign(pid=77, name="train.py"),))
    assert void(host(devices={"GPU 0": other})) == ()


def test_remarks_make_nothing_void():
    seen = judge_samples("b", host(busy=0.9, shown=0.5), WINDOW, Telemetry())
    (remark,) = seen.remarks
    assert seen.void == ()
    assert remark.startswith("40% of host b's CPU time went to no process that is shown there")
    seen = judge_samples("b", host(network={"eth0 rx_dropped": 2}), WINDOW, Telemetry())
    assert seen.remarks == ("interface eth0 of host b dropped 1202 packets",)
    silent = host((0, 600, {"gaps": ("npu-smi",), "why": "npu-smi: it has ended"}))
    seen = judge_samples("b", silent, WINDOW, Telemetry())
    assert seen == Judged(
        (), ("npu-smi of host b gave nothing in 600 of 601 s: npu-smi: it has ended",)
    )
