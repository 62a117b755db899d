"""Test the log of a GitHub workflow: groups that fold, and no command but our own."""

from __future__ import annotations

from io import StringIO

import pytest
from sample_run import check, sample

from ci.connect.printed import without_workflow_commands
from ci.report.github import Grouped
from ci.report.open_view import open_view


@pytest.fixture
def shown():
    return StringIO()


def commands(text):
    """Return what the runner would obey: `::` at the beginning of a line, `##[` anywhere."""
    return [line for line in text.splitlines() if line.lstrip().startswith("::") or "##[" in line]


def test_a_step_is_a_group_and_its_end_stands_outside(shown, tmp_path):
    view = Grouped(shown)
    view.step("start the servers")
    view.step("weights")
    view.note("ready soon")
    view.done("weights", 2.0)
    view.done("start the servers", 3.0, ok=False, detail="late")
    view.close()
    assert shown.getvalue().splitlines() == [
        "::group::start the servers",
        "start  start the servers",
        "start  weights",
        "note   ready soon",
        "done   weights (2.0 s)",
        "::endgroup::",
        "FAILED start the servers (3.0 s): late",
    ]


def test_a_group_is_closed_whatever_happens(shown):
    view = Grouped(shown)
    view.step("evaluate")
    view.close()
    assert shown.getvalue().splitlines()[-1] == "::endgroup::"


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("pass", []),
        (
            "fail",
            ["::error title=a%3A b%2C 100%25 (1 min 40 s)::FAIL: 1 of 1 check missed the bound"],
        ),
        (
            "unknown",
            [
                (
                    "::warning title=a%3A b%2C 100%25 (1 min 40 s)::"
                    "UNKNOWN: 1 of 1 check could not be judged"
                )
            ],
        ),
    ],
)
def test_what_is_no_pass_is_annotated(shown, tmp_path, outcome, expected):
    view = Grouped(shown)
    view.outcome(sample(check(outcome), case="a: b, 100%"), tmp_path / "report.md")
    assert commands(shown.getvalue()) == expected


HOSTILE = "x\n::set-output name=a::b\n  ::add-mask::c ##[add-path]/tmp"


def test_no_text_of_others_is_a_command(shown, tmp_path):
    view = Grouped(shown)
    view.step(HOSTILE)
    view.waiting(HOSTILE, 60, lambda: {"::warning::p": HOSTILE}, [HOSTILE])
    view.so_far(HOSTILE, [HOSTILE, HOSTILE])
    view.note(HOSTILE)
    view.warn(HOSTILE)
    view.done(HOSTILE, 1.0, HOSTILE)
    run = sample(check("fail", name=HOSTILE, reason=HOSTILE), case=HOSTILE)
    view.table(run)
    view.outcome(run, tmp_path / "report.md")
    view.cases([(HOSTILE, "pass", HOSTILE)])
    begun = [line.split("::")[1].split(" ")[0] for line in commands(shown.getvalue())]
    assert begun == ["group", "endgroup", "error"]


def test_the_view_is_that_of_the_place(shown):
    with open_view(shown, {"GITHUB_ACTIONS": "true", "CI": "true"}) as view:
        assert isinstance(view, Grouped)
    with open_view(shown, {"CI": "true"}) as view:
        assert not isinstance(view, Grouped)


@pytest.mark.parametrize(
    "text",
    [
        "::error::x",
        " \t::add-mask::x",
        "a\n::x::",
        "a ##[group]b",
        "a\r::x::",
        "a\u2028::x::",
        "##[##[x]",
    ],
)
def test_the_runner_obeys_nothing_in_a_text(text):
    assert not commands(without_workflow_commands(text))


def test_other_texts_stay_as_they_are():
    for text in ("a::b", "std::string at x", "# [x]", "C:\\x", ""):
        assert without_workflow_commands(text) == text
