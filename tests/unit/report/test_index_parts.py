"""The parts of the page of all nights: what they count, order and set apart."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from ci.history.steps import Steps
from ci.history.year import YearCheck, YearNight
from ci.report.pages.around import changes_of, hosts_of, hours_of, is_lost_to
from ci.report.pages.case_page import night_rows, slug_of, trends_of
from ci.report.pages.cells import night_cells, week_cells
from ci.report.pages.grid import NIGHTS, WEEKS, grid_of, monday_of
from ci.report.pages.names import DETAILS
from ci.report.pages.needs import apart, headline, in_need, states_of
from ci.report.pages.standing import Standing, unstable
from ci.report.style.texts import hours


def night(day=1, outcome="pass", case="c", **changes):
    """Return a night of January 2026."""
    known = {
        "number": day,
        "run": f"r{day}",
        "folder": f"r{day}",
        "case": case,
        "config": f"configs/cases/{case}.yaml",
        "outcome": outcome,
        "cause_kind": "",
        "cause": "",
        "vllm": "0.32.0",
        "environment": "aa",
        "device_name": "H100",
        "hosts": ("a",),
        "started_at": f"2026-01-{day:02d}T20:00:00.000Z",
        "ended_at": f"2026-01-{day:02d}T21:00:00.000Z",
        "purpose": "night",
        "day": f"2026-01-{day:02d}",
        "seconds": 3600.0,
    }
    return YearNight(**(known | changes))


def row_of(outcomes, **changes):
    """Return nights by their first letters."""
    words = {"p": "pass", "f": "fail", "u": "unknown"}
    return [night(day, words[letter], **changes) for day, letter in enumerate(outcomes, 1)]


@pytest.mark.parametrize(
    ("outcomes", "is_unstable"),
    [("", False), ("uuuu", False), ("pppppppppp", False), ("ffupff", True), ("pfpf", True)],
)
def test_a_case_is_unstable_where_outcomes_mix_with_one_build(outcomes, is_unstable):
    assert bool(unstable(row_of(outcomes))) is is_unstable


def test_a_case_is_unstable_with_changing_builds_only_if_most_nights_mix():
    changing = [night(day, "pass" if day % 2 else "fail", vllm=str(day)) for day in range(1, 11)]
    assert unstable(changing) == "5 of its last 10 nights failed, 5 passed"
    assert not unstable(changing[:4])


@pytest.mark.parametrize(
    ("pattern", "is_of"),
    [("c", True), ("c.yaml", True), ("*", True), ("d*", False), ("configs/cases/c.yaml", True)],
)
def test_a_mute_names_cases_as_a_suite_does(pattern, is_of):
    standing = Standing("muted", pattern)
    assert standing.is_of("c", "configs/cases/c.yaml") is is_of
    assert standing.is_of("c@0.30.0", "configs/cases/c.yaml") is is_of
    assert not Standing("quarantined", pattern, "host").is_of("c", "configs/cases/c.yaml")


def test_the_grid_has_the_last_nights_and_a_year_of_weeks():
    nights = [night(day) for day in range(1, 32)]
    nights.append(night(31, "fail", run="later"))
    grid = grid_of(nights)
    assert len(grid.days) == NIGHTS
    assert grid.days[-1] == "2026-01-31"
    last = grid.by_night["c"][-1]
    assert (last.outcome, last.night.run, last.more) == ("fail", "later", 1)
    assert (len(grid.weeks), grid.weeks[-1]) == (WEEKS, "2026-01-26")
    assert grid.by_week["c"][-1].counts == (("fail", 1), ("pass", 6))
    assert grid.by_week["c"][0].counts == ()
    assert monday_of("2026-02-01") == "2026-01-26"


def test_nothing_lays_out_as_nothing():
    assert grid_of([]).days == ()
    assert states_of([], ()) == {}
    assert changes_of([]) == ()
    assert hours_of([]) == ()


def test_cells_link_to_reports_and_escape():
    grid = grid_of([night(1, "fail", folder='"><script>')])
    html = night_cells(grid.days, grid.by_night["c"], lambda folder: f"./{folder}")
    assert isinstance(html, Markup)
    assert "<script>" not in html
    assert 'aria-label="fail"' in html
    plain = night_cells(grid.days, grid.by_night["c"], lambda _: "")
    assert "<a" not in plain
    week = week_cells(grid.weeks, grid.by_week["c"], "c-1")
    assert "#case=c-1&amp;night=2025-12-29" in week
    assert ">✕1</a>" in week


def test_states_count_streaks_and_what_is_stale():
    nights = [*row_of("pfff"), *row_of("pppp", case="d"), night(2, "fail", case="old")]
    states = states_of(nights, [Standing("muted", "d", because="b")])
    found = states["c"]
    assert (found.streak, found.since, found.failed) == (3, "2026-01-02", 3)
    assert found.good.run == "r1"
    assert states["old"].stale
    assert not states["old"].good
    assert [state.case for state in in_need(states)] == ["old", "c"]
    assert [state.case for state in apart(states)] == ["d"]


@pytest.mark.parametrize(
    ("cases", "muted", "expected"),
    [
        ({"a": "p", "b": "p"}, "", ("pass", "2 passed of 2 cases")),
        ({"a": "f", "b": "p"}, "", ("fail", "1 failed, 1 passed of 2 cases")),
        ({"a": "u", "b": "p"}, "", ("unknown", "1 unknown, 1 passed of 2 cases")),
        ({"a": "f", "b": "p"}, "a", ("pass", "1 passed, 1 muted or quarantined of 2 cases")),
        ({"a": "p"}, "", ("pass", "1 passed of 1 case")),
        # No case that counts ran, so nothing passed.
        ({"a": "f"}, "a", ("unknown", "1 muted or quarantined of 1 case")),
    ],
)
def test_the_headline_counts_what_counts(cases, muted, expected):
    nights = [each for case, outcome in cases.items() for each in row_of(outcome, case=case)]
    assert headline(states_of(nights, [Standing("muted", muted)] if muted else [])) == expected


def test_changes_are_grouped_over_cases_the_newest_first():
    nights = [
        night(1),
        night(1, case="d"),
        night(2, vllm="0.33.0"),
        night(2, vllm="0.33.0", case="d"),
        night(3, vllm="", environment="bb"),
        night(4, vllm="0.33.0", environment="bb", device_name="H200"),
    ]
    found = [
        (each.day[-2:], each.what, each.old, each.new, each.cases) for each in changes_of(nights)
    ]
    assert found == [
        ("04", "devices", "H100", "H200", ("c",)),
        ("03", "packages", "aa", "bb", ("c",)),
        ("02", "vLLM", "0.32.0", "0.33.0", ("c", "d")),
    ]


@pytest.mark.parametrize(
    ("kind", "cause", "hosts", "is_lost"),
    [
        ("HostLost", "a: was lost", ("a", "b"), True),
        ("HostLost", "b: was lost", ("a", "b"), False),
        ("HostLost", "it was lost", ("a",), True),
        ("HostLost", "a-2: was lost", ("a", "a-2"), False),
        ("NotReady", "a: not ready", ("a",), False),
        ("", "", ("a",), False),
    ],
)
def test_a_run_is_lost_to_the_host_that_its_cause_names(kind, cause, hosts, is_lost):
    assert is_lost_to(night(cause_kind=kind, cause=cause, hosts=hosts), "a") is is_lost


def test_hosts_and_hours_count_runs_beside_nights_too():
    runs = [
        night(1, hosts=("a", "b")),
        night(2, "unknown", cause_kind="HostLost", cause="a: was lost"),
        night(2, purpose="control"),
    ]
    first, second = hosts_of(runs, "2026-01-02")
    assert (first.name, first.runs, first.lost, first.hours) == ("a", 3, 1, 3.0)
    assert (first.problem, first.problem_at) == ("a: was lost", "2026-01-02")
    assert (second.name, second.problem) == ("b", "")
    (month,) = hours_of(runs)
    assert (month.month, month.nights, month.beside, month.runs) == ("2026-01", 3.0, 1.0, 3)
    assert hosts_of(runs, "2026-03-02") == ()


def check(value=1.0, outcome="pass", **changes):
    known = {
        "name": "perf",
        "metric": "output_token_throughput",
        "value": value,
        "unit": "tok/s",
        "baseline": 1.0,
        "bound": 0.9,
        "operator": ">=",
        "outcome": outcome,
        "reason": "5 % below",
        "measured": 1,
    }
    return YearCheck(**(known | changes))


def test_trends_draw_each_judged_figure():
    nights = row_of("ppf")
    checks = {
        1: (check(), check(name="smoke", metric="answers", measured=0)),
        3: (check(0.8, "fail"), check(3.0, metric="ttft_p50", unit="ms", operator="<=")),
    }
    main, late = trends_of(nights, checks, Steps(None, 0))
    assert (main.title, main.last, main.failed) == ("perf", "0.80 tok/s", 1)
    assert main.requirement == "at least 0.90 tok/s"
    assert late.requirement == "at most 0.90 ms"
    assert '<path class="fail"' in main.chart
    rows = night_rows(nights, checks, (), {"r2": "the disk was full"})
    assert [row.remark for row in rows] == ["perf: 5 % below", "rejected: the disk was full", ""]
    assert rows[0].values[0] == ("0.80", "fail")


@pytest.mark.parametrize("case", ["Qwen3", "a/../../b", "模型", "x" * 300, "A", "a", '"><script>'])
def test_a_slug_is_a_file_name_of_its_own(case):
    assert DETAILS.fullmatch(f"{slug_of(case)}.js")
    assert slug_of(case).lower() != slug_of(case + " ").lower()


def test_slugs_differ_where_file_systems_ignore_case():
    assert slug_of("A").lower() != slug_of("a").lower()


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0"), (0.001, "1 min"), (0.1, "6 min"), (1, "1.0 h"), (99.94, "99.9 h"), (8766, "8766 h")],
)
def test_few_hours_are_no_zero(number, expected):
    assert hours(number) == expected
