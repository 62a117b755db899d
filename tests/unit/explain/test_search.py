"""The first cause: of a log, and of all logs of a night."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ci.explain.__main__ import main
from ci.explain.lines import MAX_CHARS, read_line, time_of
from ci.explain.match import QUOTED_CHARS
from ci.explain.night import first_cause
from ci.explain.rules import rules
from ci.explain.search import find

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
        ("[36m(APIServer pid=1)[0;0m ERROR 11-25 12:00:00 [core.py:1] it", "it", False),
        ("#033[1;36m(EngineCore pid=1)#033[0;0m it", "it", False),
        ("Jan 28 10:40:06 gpu-a bash[3671]: (APIServer pid=3671) it", "it", False),
        ("(MapWorker(MapBatches(f)) pid=12, ip=192.0.2.8) it", "it", False),
        ("(raylet) [2025-10-31 17:10:05,847 E 24 24] (raylet) it", "it", False),
        ("E20260608 14:45:44.404089 342420 a.cpp:1107] it", "a.cpp:1107] it", False),
        ("W0414 03:56:41.856264 77969 a.cpp:153] it", "a.cpp:153] it", True),
        ("2026-06-03 17:19:21 | WARNING | a.b:c:88 - it", "it", True),
        ("12/23 17:23:03 - AISBench - WARNING - it", "it", True),
        ("2026-05-15:12:49:17 WARNING  [models.gguf:94] it", "it", True),
        ("100%|██▊| 8/9 [02:44<00:00, 32.6it/s]2026-05-15:12:49:17 WARNING  [m:94] it", "it", True),
        ("[2026-04-28 14:19:15.028][UC][E] it", "it", False),
        ("[pod/vllm-0/vllm] it", "it", False),
        ("[2025-11-05 16:39:09 TP0] it", "it", False),
        ("[  123.456789] it", "it", False),
        ("[Tue Sep 10 09:37:12 2024] it", "it", False),
        ("3: ERROR 11-25 12:00:00 [core.py:1] it", "it", False),
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
        ("E20260608 14:45:44.404089 3 a.cpp:1] it", "06-08 14:45:44.404089"),
        ("Jan  8 10:40:06 gpu-a bash[3671]: it", "01-08 10:40:06"),
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
    found = find(["[rank1]: " + line for line in log], rules())
    assert found.line.endswith("Failed to allocate memory. Possible Cause: too little.")


def test_the_reasons_of_failed_requests_are_read_from_the_table_of_aisbench():
    """Of a run of AISBench 3.1 with a wrong model name, captured on 2026-11-26."""
    rule = "+---------------+-------+"
    table = [rule, "| Failed Reason | Count |", rule, "| Not Found     |    10 |", rule]
    found = find(table, rules())
    assert (found.rule.class_, found.rule.side) == ("requests_failed", "tool")
    assert found.cause == "10 requests failed: Not Found"
    assert found.line.endswith("| Not Found     |    10")


def test_a_quoted_line_is_short_and_has_no_secret_and_no_escape():
    line = (
        f"{PORT} api_key='sk-abcdefghij' http://u:pw12345@h/ \x1b[2J\x9b token: abcdefgh "
        + "x" * 900
    )
    found = find([line], rules())
    assert len(found.line) <= QUOTED_CHARS
    assert not [bad for bad in ("abcdefgh", "pw12345", "\x1b", "\x9b") if bad in found.line]


def test_the_whole_log_is_searched_and_a_flood_of_lines_hides_nothing():
    """The last 400 lines were read before; here the cause is in the middle of 60,000."""
    flood = [error("11-25 12:00:00", f"step {number} failed again") for number in range(30_000)]
    found = find([*flood, error("11-25 12:00:01", PORT), *flood], rules())
    assert (found.rule.class_, found.number) == ("port_in_use", 30_001)


def test_a_cause_at_the_end_is_found_behind_many_different_lines(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ci.explain.search.FIRST_LINES", 100)
    flood = ("".join(random.choices("abcdefghij ", k=30)) for _ in range(2000))  # noqa: S311
    assert find([*flood, PORT], rules()).rule.class_ == "port_in_use"


def traceback(rank: int, text: str) -> list[str]:
    frame = f'  File "/v/site-packages/vllm/a.py", line {rank}, in f'
    lines = ("Traceback (most recent call last):", frame, "    raise OSError('ENOSPC')", text)
    return [f"(Worker_TP{rank} pid=7{rank}) ERROR 11-25 12:00:00 [m.py:9] {line}" for line in lines]


def test_lines_of_several_processes_are_read_apart():
    pairs = zip(traceback(0, "IndexError: a"), traceback(1, "AttributeError: b"), strict=True)
    found = find([line for pair in pairs for line in pair], rules())
    assert (found.rule.class_, found.line) == ("product_error", "IndexError: a")


def test_the_source_code_in_a_traceback_is_no_error():
    assert find(traceback(0, "Oops"), rules()) is None


@pytest.mark.parametrize(
    ("link", "line"),
    [
        ("During handling of the above exception, another exception occurred:", "TypeError: b"),
        ("The above exception was the direct cause of the following exception:", "KeyError: 'a'"),
    ],
)
def test_of_linked_exceptions_the_one_that_tells_most_is_taken(link: str, line: str):
    before = "(Worker_TP0 pid=70) ERROR 11-25 12:00:00 [m.py:9] "
    log = [*traceback(0, "KeyError: 'a'"), f"{before}", f"{before}{link}", f"{before}"]
    assert find([*log, *traceback(0, "TypeError: b")], rules()).line == line


@pytest.mark.parametrize(
    ("seconds", "kind"), [(9, "port_in_use"), (11, None)], ids=["at once", "later"]
)
def test_an_error_after_which_the_server_answers_is_survived(seconds: int, kind: str | None):
    answers = 'INFO:     192.0.2.1:1 - "POST /v1/completions HTTP/1.1" 200 OK'
    step = f"(APIServer pid=1) INFO 11-25 12:00:{seconds:02d} [loggers.py:1] Engine 000: Avg"
    found = find([error("11-25 12:00:00", PORT), step, answers], rules())
    assert (found.rule.class_ if found else None) == kind


@pytest.mark.parametrize(("seconds", "kind"), [(9, "port_in_use"), (11, "out_of_memory")])
def test_an_exception_long_after_an_error_without_one_ends_the_process(seconds: int, kind: str):
    metrics = error("11-25 12:00:00", "metrics: Address already in use")
    later = [
        line.replace("12:00:00", f"12:00:{seconds:02d}") for line in traceback(0, OUT_OF_MEMORY)
    ]
    assert find([metrics, *later], rules()).rule.class_ == kind


@pytest.mark.parametrize("answers", [False, True])
def test_a_refusal_is_named_only_while_the_server_starts(answers: bool):  # noqa: FBT001
    frame = '  File "/v/site-packages/vllm/v1/attention/a.py", line 1, in f'
    log = ["Traceback (most recent call last):", frame, "    raise ValueError(", "ValueError: it"]
    sign = ['INFO:     192.0.2.1:1 - "GET /health HTTP/1.1" 200 OK'] if answers else []
    found = find([*sign, *log], rules())
    assert (found.rule.class_ if found else None) == (None if answers else "unsupported")


def test_a_warning_with_its_traceback_is_an_error_only_at_the_end_of_a_log():
    log = ["WARNING: probe failed", "Traceback (most recent call last):"]
    log += ['  File "/a.py", line 1, in f', "    f()", PORT]
    assert find([*log, "INFO: ready"], rules()) is None
    assert find(log, rules()).rule.class_ == "port_in_use"


def test_a_line_without_an_end_is_cut():
    assert len(read_line("x" * 10_000_000).text) < MAX_CHARS + 10


# All logs of a night


def night(folder: Path, **logs: str) -> object:
    for name, text in logs.items():
        (folder / "h1").mkdir(exist_ok=True)
        (folder / "h1" / f"{name}.log").write_text(text)
    return first_cause(folder, [(name, "h1") for name in logs])


def test_of_all_processes_the_first_cause_in_time_is_named(tmp_path: Path):
    found = night(
        tmp_path,
        head=error("11-25 12:10:00", TIMEOUT) + error("11-25 12:10:01", PORT),
        worker=error("11-25 12:00:00", OUT_OF_MEMORY),
    )
    assert (found.kind, found.process, found.host) == ("out_of_memory", "worker", "h1")
    assert found.line == OUT_OF_MEMORY
    assert (found.side, bool(found.next_step)) == ("configuration", True)


def test_a_cause_outweighs_an_earlier_wait_for_it_in_another_log(tmp_path: Path):
    found = night(
        tmp_path,
        head=error("11-25 11:00:00", TIMEOUT),
        worker=error("11-25 12:00:00", OUT_OF_MEMORY),
    )
    assert found.process == "worker"


def test_a_line_without_a_time_has_that_of_the_line_before_it(tmp_path: Path):
    found = night(
        tmp_path,
        a=error("11-25 12:00:05", "x") + PORT,
        b=error("11-25 12:00:01", "x") + OUT_OF_MEMORY,
    )
    assert found.process == "b"


def test_without_times_the_process_that_started_first_is_named(tmp_path: Path):
    assert night(tmp_path, a=PORT, b=OUT_OF_MEMORY).process == "a"


def test_a_new_year_comes_after_the_old_one(tmp_path: Path):
    found = night(
        tmp_path, a=error("01-01 00:00:01", PORT), b=error("12-31 23:59:59", OUT_OF_MEMORY)
    )
    assert found.process == "b"


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
    assert night(tmp_path, a="ERROR " + "x" * (3 << 20) + PORT).kind == "port_in_use"


def test_bytes_that_are_no_text_are_read(tmp_path: Path):
    (tmp_path / "h1").mkdir()
    garbage = random.Random(1).randbytes(1 << 20)  # noqa: S311
    (tmp_path / "h1" / "a.log").write_bytes(garbage + f"\n{PORT}\n".encode())
    assert first_cause(tmp_path, [("a", "h1")]).kind == "port_in_use"


def test_states_of_a_progress_bar_are_lines(tmp_path: Path):
    assert night(tmp_path, tool=f"1 %\r2 %\r{PORT}\r3 %\n").line == PORT


def test_a_log_is_explained_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    log = tmp_path / "a.log"
    log.write_bytes(b"\xff" + f"\n{PORT}\n".encode())
    assert main([str(log)]) == 0
    assert "port_in_use (environment)" in capsys.readouterr().out
    assert main([str(tmp_path / "none.log")]) == 2
