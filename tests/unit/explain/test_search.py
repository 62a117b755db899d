"""The first cause: of a log, and of all logs of a night."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ci.explain.lines import MAX_CHARS, read_line, time_of
from ci.explain.night import first_cause
from ci.explain.rules import rules
from ci.explain.search import QUOTED_CHARS, find

HEALTHY = Path(__file__).parent / "healthy"
OUT_OF_MEMORY = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB."
PORT = "OSError: [Errno 98] Address already in use"
TIMEOUT = "EI0006: [PID: 7] Getting socket times out. Reason: Remote Rank did not send in time"
ENGINE = "RuntimeError: Engine core initialization failed. See root cause above."


def error(time: str, text: str) -> str:
    return f"(EngineCore_DP0 pid=7) ERROR {time} [core.py:12] {text}\n"


@pytest.mark.parametrize("log", sorted(HEALTHY.glob("*.log")), ids=lambda log: log.stem)
def test_a_healthy_log_has_no_cause(log: Path):
    assert find(log.read_text().splitlines(), rules()) is None


@pytest.mark.parametrize(
    ("raw", "text", "harmless"),
    [
        ("(EngineCore_DP0 pid=7) ERROR 11-25 12:00:00 [core.py:1] it", "it", False),
        ("(APIServer pid=1) (EngineCore_DP0 pid=68) ERROR 02-06 16:34:06 [c.py:9] it", "it", False),
        ("(Worker_TP0 pid=1) WARNING 11-25 12:00:00 [core.py:1] it", "it", True),
        ("[rank1]: it", "it", False),
        ("[rank0]:[E1206 18:44:12.715 ProcessGroupNCCL.cpp:607] it", "it", False),
        ("[rank0]:[W1206 18:44:12.715 compiler_depend.ts:57] it", "it", True),
        ("[E ProcessGroupNCCL.cpp:475] it", "it", False),
        ("2024-02-08T08:40:56.161618385Z it", "it", False),
        ("2025-02-11 21:35:17,531 INFO worker.py:1654 -- it", "it", True),
        ("[2026-04-14 00:42:59,231] [ais_bench] [^[[31mERROR^[[0m] it", "it", False),
        ("vllm_1   | it", "it", False),
        ("ERROR:    it", "it", False),
        ("[ERROR] HCCL(271,python3):2025-07-23-03:47:57.070.463 [h.cc:1] it", "[h.cc:1] it", False),
        ("a.py:3: UserWarning: it", "a.py:3: UserWarning: it", True),
        ("\x1b[31mit\x1b[0m\r\n", "it", False),
    ],
)
def test_prefixes(raw: str, text: str, harmless: bool):  # noqa: FBT001
    line = read_line(raw)
    assert (line.text, line.harmless) == (text, harmless)


@pytest.mark.parametrize(
    ("raw", "time"),
    [
        ("ERROR 11-25 12:00:00 [core.py:1] it", "11-25 12:00:00"),
        ("[rank0]:[E1206 18:44:12.715 P.cpp:607] it", "12-06 18:44:12.715"),
        ("[rank9]:[E508 03:20:31.67 c.ts:1] it", "05-08 03:20:31.67"),
        ("[ERROR] HCCL(1,p):2025-07-23-03:47:57.070.463 it", "07-23 03:47:57.070.463"),
        ("[2026-04-14 00:42:59,231] it", "04-14 00:42:59.231"),
        ("RuntimeError: it", ""),
    ],
)
def test_times(raw: str, time: str):
    assert time_of(raw) == time


def test_the_first_cause_is_named_and_not_what_followed():
    log = [error("11-25 12:00:00", OUT_OF_MEMORY), error("11-25 12:00:01", PORT), ENGINE + "\n"]
    assert find(log, rules()).rule.class_ == "out_of_memory"


def test_a_wait_for_another_rank_is_named_only_without_a_cause():
    waits = error("11-25 12:00:00", TIMEOUT)
    assert find([waits, ENGINE], rules()).rule.class_ == "hccl_timeout"
    assert find([waits, error("11-25 12:00:09", PORT)], rules()).rule.class_ == "port_in_use"


def test_only_consequences_are_no_cause():
    assert find([ENGINE, "EOFError", "BrokenPipeError: [Errno 32] Broken pipe"], rules()) is None


def test_a_cause_that_only_its_consequence_repeats_is_named():
    line = f"RuntimeError: Worker failed with error '{OUT_OF_MEMORY}', please check the stack trace"
    assert find([ENGINE, line], rules()).rule.class_ == "out_of_memory"
    assert find([line, error("11-25 12:00:00", PORT)], rules()).rule.class_ == "port_in_use"


def test_advice_to_log_more_is_no_level():
    line = "NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)"
    assert find([line], rules()).rule.class_ == "nccl_system"


def test_the_reason_that_continues_a_line_is_quoted():
    log = ["EL0004: [PID: 1] Failed to allocate memory.", "        Possible Cause: too little."]
    finding = find(["[rank1]: " + line for line in log], rules())
    assert finding.line.endswith("Failed to allocate memory. Possible Cause: too little.")


def test_the_reasons_of_failed_requests_are_read_from_the_table_of_aisbench():
    """Of a run of AISBench 3.1 with a wrong model name, captured on 2026-11-26."""
    rule = "+---------------+-------+"
    table = [rule, "| Failed Reason | Count |", rule, "| Not Found     |    10 |", rule]
    finding = find(table, rules())
    assert (finding.rule.class_, finding.rule.side) == ("requests_failed", "tool")
    assert finding.cause == "10 requests failed: Not Found"
    assert finding.line.endswith("| Not Found     |    10")


def test_a_quoted_line_is_short_and_has_no_secret_and_no_escape():
    line = (
        f"{PORT} api_key='sk-abcdefghij' http://u:pw12345@h/ \x1b[2J\x9b token: abcdefgh "
        + "x" * 900
    )
    finding = find([line], rules())
    assert len(finding.line) <= QUOTED_CHARS
    assert not [bad for bad in ("abcdefgh", "pw12345", "\x1b", "\x9b") if bad in finding.line]


def test_the_whole_log_is_searched_and_a_flood_of_lines_hides_nothing():
    """The last 400 lines were read before; here the cause is in the middle of 60,000."""
    flood = [error("11-25 12:00:00", f"step {number} failed again") for number in range(30_000)]
    finding = find([*flood, error("11-25 12:00:01", PORT), *flood], rules())
    assert (finding.rule.class_, finding.number) == ("port_in_use", 30_001)


def test_a_cause_at_the_end_is_found_behind_many_different_lines(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ci.explain.search.FIRST_LINES", 100)
    flood = ("".join(random.choices("abcdefghij ", k=30)) for _ in range(2000))  # noqa: S311
    assert find([*flood, PORT], rules()).rule.class_ == "port_in_use"


def test_a_line_without_an_end_is_cut():
    assert len(read_line("x" * 10_000_000).text) < MAX_CHARS + 10


# All logs of a night


def night(folder: Path, **logs: str) -> object:
    for name, text in logs.items():
        (folder / "h1").mkdir(exist_ok=True)
        (folder / "h1" / f"{name}.log").write_text(text)
    return first_cause(folder, [(name, "h1") for name in logs])


def test_of_all_processes_the_first_cause_in_time_is_named(tmp_path: Path):
    explanation = night(
        tmp_path,
        head=error("11-25 12:10:00", TIMEOUT) + error("11-25 12:10:01", PORT),
        worker=error("11-25 12:00:00", OUT_OF_MEMORY),
    )
    assert (explanation.kind, explanation.process, explanation.host) == (
        "out_of_memory",
        "worker",
        "h1",
    )
    assert explanation.line == OUT_OF_MEMORY
    assert (explanation.side, bool(explanation.next_step)) == ("configuration", True)


def test_a_cause_outweighs_an_earlier_wait_for_it_in_another_log(tmp_path: Path):
    explanation = night(
        tmp_path,
        head=error("11-25 11:00:00", TIMEOUT),
        worker=error("11-25 12:00:00", OUT_OF_MEMORY),
    )
    assert explanation.process == "worker"


def test_a_line_without_a_time_has_that_of_the_line_before_it(tmp_path: Path):
    explanation = night(
        tmp_path,
        a=error("11-25 12:00:05", "x") + PORT,
        b=error("11-25 12:00:01", "x") + OUT_OF_MEMORY,
    )
    assert explanation.process == "b"


def test_without_times_the_process_that_started_first_is_named(tmp_path: Path):
    assert night(tmp_path, a=PORT, b=OUT_OF_MEMORY).process == "a"


def test_a_new_year_comes_after_the_old_one(tmp_path: Path):
    explanation = night(
        tmp_path, a=error("01-01 00:00:01", PORT), b=error("12-31 23:59:59", OUT_OF_MEMORY)
    )
    assert explanation.process == "b"


def test_logs_that_are_missing_or_links_are_left_out(tmp_path: Path):
    (tmp_path / "h1").mkdir()
    (tmp_path / "secret").write_text(PORT)
    (tmp_path / "h1" / "a.log").symlink_to(tmp_path / "secret")
    assert first_cause(tmp_path, [("a", "h1"), ("b", "h2")]) is None


def test_after_its_time_only_the_end_of_a_log_is_read(tmp_path: Path):
    flood = error("11-25 12:00:00", "x") * 50_000
    (tmp_path / "h1").mkdir()
    (tmp_path / "h1" / "a.log").write_text(f"{flood}{PORT}\n{flood}{OUT_OF_MEMORY}\n")
    assert first_cause(tmp_path, [("a", "h1")], search_s=0).kind == "out_of_memory"
    assert first_cause(tmp_path, [("a", "h1")]).kind == "port_in_use"


def test_a_log_without_line_ends_is_read_in_pieces(tmp_path: Path):
    assert night(tmp_path, a="x" * (3 << 20) + PORT).kind == "port_in_use"


def test_states_of_a_progress_bar_are_lines(tmp_path: Path):
    assert night(tmp_path, tool=f"1 %\r2 %\r{PORT}\r3 %\n").line == PORT
