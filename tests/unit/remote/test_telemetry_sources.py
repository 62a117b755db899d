"""Sources of a sampler: counters, differences, what a source may cost, the programs of devices."""

import os
import sys
from pathlib import Path

import pytest
from hosts_here import until

from ci.remote.telemetry import counters, devices, shares, tools
from ci.remote.telemetry.rates import MOST_SHARE, Differences, Source, percents
from ci.remote.telemetry.shares import CONTROLLER, FOREIGN, OURS, OWN, Seen, Shares

NPU = Path(__file__).parents[1] / "npu_smi"  # see ORIGIN.md there


def test_counters_of_this_machine():
    times = counters.cpu_times()
    cores = [name for name in times if name != "cpu"]
    assert len(cores) == os.cpu_count() or len(cores) >= len(os.sched_getaffinity(0))
    assert sum(times["cpu"]) > 0
    assert counters.memory()["available_mb"] > 0
    assert set(counters.swapped()) == {"swapped_in", "swapped_out"}
    assert all(key.split()[1] in counters.NETWORK_COLUMNS.values() for key in counters.network())
    assert set(counters.pressure()) <= {"cpu", "memory", "io"}
    assert all(mhz > 0 for mhz in counters.frequencies())


def test_links_of_rdma_devices(tmp_path):
    port = tmp_path / "mlx5_0" / "ports" / "1" / "counters"
    port.mkdir(parents=True)
    (port / "link_downed").write_text("3\n")
    (port / "symbol_error").write_text("N/A\n")
    (port / "port_xmit_data").write_text("7\n")
    assert counters.links(str(tmp_path)) == {"mlx5_0/1 link_downed": 3}
    assert counters.links(str(tmp_path / "none")) == {}


def test_of_many_cores_a_few_frequencies_are_read(tmp_path):
    for number in range(64):
        (tmp_path / f"policy{number:02}").mkdir()
        (tmp_path / f"policy{number:02}" / "scaling_cur_freq").write_text(f"{number}000\n")
    assert counters.frequencies(str(tmp_path)) == [0, 8, 16, 24, 32, 40, 48, 56]


def test_differences():
    growth = Differences()
    assert growth.of({"a": 5, "b": 1}) == {}
    assert growth.of({"a": 7, "b": 0, "c": 9}) == {"a": 2}  # `b` was reset, `c` is new
    assert growth.of({"a": 7, "b": 1, "c": 9}) == {"a": 0, "b": 1, "c": 0}
    assert percents([1, 5, 9], [2, 0, 3]) == [50, 0, 100]


def test_a_source_that_costs_more_is_read_less_often(monkeypatch):
    cost_s, calls = [0.0, 0.0], []
    monkeypatch.setattr("time.thread_time", lambda: cost_s.pop(0) if cost_s else 0.0)
    source = Source("x", lambda covers_s: calls.append(covers_s) or {"x": 1})
    assert source.sample(100.0) == {"x": 1}
    assert source.sample(101.0) == {"x": 1}
    cost_s[:] = [0.0, 0.03]
    source.sample(102.0)
    due_s = 102 + 0.03 / MOST_SHARE
    assert source.sample(due_s - 0.5) is None
    assert source.sample(due_s) == {"x": 1}
    assert calls == [0.0, 1.0, 1.0, due_s - 102]


def seen(pid, parent, own, child=0):
    return {(pid, 10 * pid): Seen(pid, parent, 10 * pid, "x", own, child)}


def together(*scans):
    return {key: item for scan in scans for key, item in scan.items()}


@pytest.mark.parametrize(
    ("before", "after", "ticks"),
    [
        (seen(5, 1, 100), seen(5, 1, 130), 30),
        ({}, seen(5, 1, 30), 30),
        # A child that was seen ends, and its parent waits for it.
        (together(seen(5, 1, 10), seen(6, 5, 40)), seen(5, 1, 10, 45), 5),
        # Children that began and ended between two scans.
        (seen(5, 1, 10), seen(5, 1, 12, 60), 62),
        # Nobody waited for one that had used much.
        (together(seen(5, 1, 10), seen(6, 1, 4000)), seen(5, 1, 12), 2),
    ],
)
def test_time_of_processes_that_end_is_counted_once(before, after, ticks):
    assert shares._seconds(before, after) == pytest.approx(ticks / counters.TICKS_PER_S)


def test_what_the_run_used_is_not_charged_to_those_who_wait_for_it():
    """Process 1 waits for supervisors, and gets all the time of their servers."""
    table = Shares("run-1")
    before = together(seen(1, 0, 5, 100), seen(50, 1, 9), seen(60, 1, 3, 500))
    kinds = {(1, 10): FOREIGN, (50, 500): OURS, (60, 600): FOREIGN}
    table._kinds, table._keys = kinds, {pid: (pid, 10 * pid) for pid in (1, 50, 60)}
    kept = table._foreign(before, {0}, before)
    assert (kept[1, 10].child_ticks, kept[60, 600].child_ticks) == (0, 500)
    assert (50, 500) not in kept


def test_processes_of_this_machine_are_told_apart():
    mine = (shares.boot_id(), os.getpid(), shares._parse(counters.read("/proc/self/stat")).began)
    table = Shares("no-such-run", mine)
    assert table.take(0.0) is None
    assert table.kind_of(os.getpid()) == CONTROLLER
    assert table.kind_of(1) in {FOREIGN, None if os.getpid() == 1 else FOREIGN}
    assert table.kind_of(2**22 + 1) is None
    entry = table.take(1.0)
    assert (entry["own_s"], entry["covers_s"]) == (0.0, 1.0)
    assert 1 <= entry["cores"] <= os.cpu_count()
    assert Shares("x", ("another boot", os.getpid(), mine[2]))._controller is None


def script(folder, text):
    path = folder / "tool"
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return str(path)


def kinds_of(own=(), foreign=()):
    kinds = {**dict.fromkeys(own, OWN), **dict.fromkeys(foreign, FOREIGN)}
    return kinds.get


def taken(reader, wanted, clock):
    """Take from a reader until it has what is wanted; returns that, and what was broken."""
    broken = []

    def one():
        clock[0] += 1.0
        try:
            found = reader.take(clock[0])
        except (OSError, ValueError) as error:
            broken.append(str(error))
            return None
        return found if wanted(found) else None

    try:
        return until(one, 60), broken
    finally:
        reader.end()


# Written after `nvidia-smi --help-query-gpu` and `--help-query-compute-apps` of driver 550, and
# the values of an H100 in tests/unit/captured/nvidia_smi; not captured.
GPU_ROWS = (
    "0, GPU-ba22, 45, 1980, 321.50, 97, 21099, 0, 0x0000000000000044",
    "1, GPU-cccc, 30, 345, 70.00, 0, 0, [N/A], 0x0000000000000001",
)
APP_ROWS = (
    "2026/11/27 01:02:03.456, GPU-ba22, 529, /opt/venv/bin/python",
    "2026/11/27 01:02:03.456, GPU-ba22, 530, /usr/bin/train, the second",
)
NVIDIA = """\
case "$*" in
*--query-compute-apps=timestamp,gpu_uuid,pid,process_name*--loop=5) echo '{apps}'; exec sleep 600;;
*clocks_event_reasons*)
  echo 'Field "clocks_event_reasons.active" is not a valid field to query.'; exit 2;;
*clocks_throttle_reasons.active*--loop=1)
  while :; do echo '{gpus}'; sleep 0.1; done;;
esac
"""


def gpus(folder, kind_of, text=NVIDIA, apps=APP_ROWS):
    text = text.replace("{apps}", "\n".join(apps)).replace("{gpus}", "\n".join(GPU_ROWS))
    return devices.Gpus(script(folder, text), dict(os.environ), kind_of)


def test_gpus_of_an_older_driver(tmp_path):
    """It does not know the new name of what slows the clocks down; the old one is tried."""
    reader = gpus(tmp_path, kinds_of(own=[529], foreign=[530]))
    found, _ = taken(reader, lambda found: found.get("GPU 0", {}).get("own"), [0.0])
    assert found["GPU 0"] == {
        "temperature_c": 45.0,
        "clock_mhz": 1980.0,
        "power_w": 321.5,
        "utilization_percent": 97.0,
        "memory_used_mb": 21099.0,
        "ecc_uncorrected": 0.0,
        "slowdown_reasons": 0x44,
        "own": True,
        "foreign": [{"pid": 530, "name": "train, the second"}],
    }
    assert (found["GPU 1"]["ecc_uncorrected"], found["GPU 1"]["own"]) == (None, None)


def test_processes_that_a_container_does_not_show_are_nobodys(tmp_path):
    reader = gpus(tmp_path, kinds_of())
    found, _ = taken(reader, lambda _: bool(reader._holders), [0.0])
    assert (found["GPU 0"]["own"], found["GPU 0"]["foreign"]) == (None, [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exit 9", "it has ended"),
        ("echo 'No devices were found'; exit 6", "no row: No devices were found"),
        ("echo; echo hello; exec sleep 600", "no row: hello"),
        ("exec sleep 600", "it printed nothing for 10 s"),
        ("exec tr '\\0' x </dev/zero", "it prints too much"),
    ],
)
def test_a_program_that_does_nothing_useful_makes_gaps(tmp_path, text, words):
    reader, clock = gpus(tmp_path, kinds_of(), text), [0.0]
    broken = []

    def is_told():
        clock[0] += 1.0
        try:
            reader.take(clock[0])
        except (OSError, ValueError) as error:
            broken.append(str(error))
        return any(words in each for each in broken)

    try:
        until(is_told, 60)
    finally:
        reader.end()


def test_a_program_that_is_not_there_makes_gaps():
    reader = tools.Repeated([["/no/such/program"]], {}, 10.0)
    with pytest.raises(OSError, match="No such file"):
        reader.lines(1.0)
    with pytest.raises(OSError, match="it has ended"):
        reader.lines(2.0)
    with pytest.raises(OSError, match="No such file"):
        reader.lines(2.0 + tools.AGAIN_S)


# The layout is that of `npu-smi info watch` in public bug reports and notes; not captured.
WATCH = """\
NpuID(Idx)  ChipId(Idx) Pwr(W)      Temp(C)     AI Core(%)  AI Cpu(%)   Ctrl Cpu(%) Memory(%)   \
Memory BW(%)
0           0           101.2       43          37          0           2           5           0
1           0           NA          41          0           0           0           5           0
"""
NPU_TOOL = """\
case "$*" in
"info watch -d 1") printf '%s' '{watch}'; exec sleep 600;;
info) cat {table};;
esac
"""


def test_npus(tmp_path):
    text = NPU_TOOL.replace("{watch}", WATCH).replace("{table}", str(NPU / "910b.txt"))
    reader = devices.Npus(
        script(tmp_path, text), dict(os.environ), kinds_of(own=[4711], foreign=[4712])
    )
    everything: dict = {}

    def whole(found):
        for label, device in found.items():
            everything.setdefault(label, {}).update(device)
        first = everything.get("NPU 0 chip 0", {})
        return "health" in first and "power_w" in first and len(everything) == 3

    taken(reader, whole, [0.0])
    assert everything["NPU 0 chip 0"] == {
        "memory_used_mb": 58213,
        "health": "OK",
        "own": True,
        "foreign": [{"pid": 4712, "name": "VLLMWorker_TP"}],
        "power_w": 101.2,
        "temperature_c": 43.0,
        "utilization_percent": 37.0,
    }
    assert everything["NPU 1 chip 0"]["power_w"] is None
    assert everything["NPU 3 chip 0"]["health"] == "Alarm"


def test_a_table_that_does_not_come_is_given_up(tmp_path):
    """The program is killed, and started again when its time has come."""
    started = tmp_path / "started"
    text = f"echo $$ >>{started}; exec sleep 600"
    table = tools.Table([script(tmp_path, text)], dict(os.environ), 10.0, 30.0)
    assert table.text(0.0) is None
    (pid,) = until(lambda: started.exists() and started.read_text().split())
    assert table.text(29.0) is None
    with pytest.raises(OSError, match="did not end within 30 s"):
        table.text(31.0)
    until(lambda: not is_running(pid))
    assert table.text(31.0) is None
    until(lambda: len(started.read_text().split()) == 2)
    table.end()


def is_running(pid):
    try:
        return "\nState:\tZ" not in Path("/proc", pid, "status").read_text()
    except FileNotFoundError:
        return False


def test_a_terminal_changes_nothing_that_is_printed(tmp_path):
    running = tools.Running([sys.executable, "-c", "print('a\\tb'); print('c')"], dict(os.environ))
    lines = []
    until(lambda: lines.extend(running.lines()) or len(lines) == 2)
    running.end()
    assert lines == ["a\tb", "c"]
