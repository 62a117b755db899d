"""Test what a terminal shows of a night that runs, at the widths that people have."""

from __future__ import annotations

from contextlib import closing
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from ci.report.live import Live
from ci.report.screen import SafeStream

LOGS = {f"server-{number}": f"[loading weights, {number} of 30 files] …" for number in range(20)}
LOAD = ("18 of 24 requests", "85.3 tok/s so far", "about 4.2 s left", "4 running, 0 waiting")
ACC = ("42.50 %", "at least 30.00 %: met so far", "95 %: 27.04 to 59.11 %", "40 items")
AGAIN = ("perf, last good version, 2 of at most 3", "budget: 44 min 52 s left", "takes about 8.1 s")


@pytest.fixture
def view():
    with closing(Live(SafeStream(StringIO()))) as live:
        yield live


def drawn(view, width, height=50):
    """Return the lines that a terminal of a size shows."""
    out = StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=True, color_system=None)
    view._console = console
    console.print(view)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def begun(view):
    view.expected(600.0, 3)
    view.step("measure vLLM 0.30.0, on the same hosts")
    view.step("evaluate perf with vllm_bench")
    view.so_far("accuracy", ACC)
    view.so_far("again", AGAIN)
    view.waiting("perf-again-2", 12.0, lambda: LOGS, LOAD)


def test_a_narrow_terminal_leaves_out_what_matters_least(view):
    begun(view)
    narrow, wide = drawn(view, 80), drawn(view, 200)
    assert "  waiting for perf-again-2, 12.0 s · 18 of 24 requests · 85.3 tok/s so far" in narrow
    assert "  accuracy  42.50 % · at least 30.00 %: met so far · 95 %: 27.04 to 59.11 %" in narrow
    assert f"  again     {AGAIN[0]} · {AGAIN[1]}" in narrow
    assert f"  waiting for perf-again-2, 12.0 s · {' · '.join(LOAD)}" in wide
    assert f"  accuracy  {' · '.join(ACC)}" in wide
    assert f"  again     {' · '.join(AGAIN)}" in wide


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_nothing_wraps(view, width):
    begun(view)
    lines = drawn(view, width)
    assert len(lines) == len(drawn(view, 200))
    assert max(map(cell_len, lines)) <= width
    assert lines[1].startswith("  ")


@pytest.mark.parametrize("height", [6, 10, 14, 24, 50])
def test_log_lines_make_room_for_what_matters_more(view, height):
    begun(view)
    lines = drawn(view, 80, height)
    assert len(lines) <= max(height - 2, 6)
    shown = [line for line in lines if "files]" in line]
    assert len(shown) <= 12
    hidden = [line for line in lines if "more processes" in line]
    assert hidden in ([], [f"  and {20 - len(shown)} more processes"])
    assert "left of the night" in lines[-1]


def test_what_is_over_is_shown_no_more(view):
    begun(view)
    view.so_far("again", ())
    view.done("evaluate perf with vllm_bench", 12.0)
    lines = drawn(view, 200)
    assert not [line for line in lines if "again" in line or "tok/s" in line]
    assert f"  accuracy  {' · '.join(ACC)}" in lines


def test_a_night_that_takes_longer_says_why(view):
    view.expected(-1.0, 3)
    view.step("evaluate perf with vllm_bench")
    assert drawn(view, 80)[-1] == "  longer than usual"
    view.so_far("again", AGAIN)
    assert drawn(view, 80)[-1] == "  longer than usual, as a suspect is measured again"


def test_only_the_newest_figures_are_shown(view):
    view.step("evaluate")
    for number in range(9):
        view.so_far(f"b{number}", [f"{number} %"])
    lines = drawn(view, 80)
    assert lines[1:] == [f"  b{number}  {number} %" for number in range(3, 9)]


def test_no_text_moves_the_cursor(view):
    view.step("a\x1b[2Jb")
    view.so_far("c\x1b[2J", ["d\x1b[2J\ne", "f\x1b]0;x\x07"])
    view.waiting("g\x1b[2J", 1.0, lambda: {"h": "\x1b[2Ji"}, ["j\x1b[2J"])
    lines = drawn(view, 80)
    assert not [line for line in lines if "\x1b" in line]
    assert "  c  d e · f" in lines
