"""Test what is news: outcome and first cause of a night against those of the night before."""

import pytest
from sample_run import check, sample
from stored_runs import run_of, stored

from ci.history.database import opened
from ci.history.folders import refresh
from ci.notify.before import history_of, night_before
from ci.notify.change import change, first_cause
from ci.record.stored import as_run


def explained(cause, kind="oom", host="a", **changes):
    why = {"kind": kind, "cause": cause, "next_step": "n", "side": "product", "line": "l"}
    return sample(
        check("unknown"),
        explanation=why | {"process": "server-0", "host": host},
        hosts={host: {}},
        **changes,
    )


def ended(message, kind="NotReady"):
    cause = {"kind": kind, "message": message, "process": None, "tail": []}
    return sample(check("unknown"), cause=cause, hosts={"node-7": {}})


GOOD, BAD = sample(check("pass")), sample(check("fail"))


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (None, GOOD, "first"),
        (None, BAD, "first"),
        (GOOD, GOOD, "same"),
        (BAD, GOOD, "recovered"),
        (ended("late"), GOOD, "recovered"),
        (GOOD, BAD, "changed"),
        (BAD, BAD, "same"),
        (BAD, sample(check("fail"), check("fail", "sums")), "changed"),
        (BAD, sample(check("fail", "sums")), "changed"),
        # Two figures of one finding are one cause.
        (BAD, sample(check("fail", reason="18.2 of 40 right")), "same"),
        (BAD, ended("late"), "changed"),
        (ended("late"), BAD, "changed"),
        (ended("late"), ended("late"), "same"),
        (ended("late"), ended("late", "HostLost"), "changed"),
        (ended("port 8000 of node-7 after 61.5 s"), ended("port 8001 of node-7 after 7 s"), "same"),
        (ended("no memory"), ended("no disk"), "changed"),
        (explained("no memory at 0x7f3a"), explained("no memory at 0x11", host="b"), "same"),
        (
            explained("host a is out of memory"),
            explained("host b is out of memory", host="b"),
            "same",
        ),
        (explained("x"), explained("x", kind="hccl"), "changed"),
        (explained("x"), ended("x"), "changed"),
    ],
)
def test_news(before, now, expected):
    assert change(now, before) == expected


def test_a_name_of_a_host_within_a_word_stays():
    run = explained("cannot allocate a byte", host="a")
    assert first_cause(run)[-1] == "cannot allocate HOST byte"


@pytest.fixture
def nights(tmp_path):
    def make(*runs):
        folders = [stored(tmp_path, run) for run in runs]
        with opened(tmp_path) as connection:
            refresh(tmp_path, connection, pytest.fail)
        return folders

    return make


def served(night, version, **changes):
    run = run_of(night, **changes)
    environment = {"version": version, "packages": 2, "hash": "aa", "list": None}
    tree = run.model_dump(mode="json")
    tree |= {"versions": {"vllm served": version}}
    tree |= {"environments": {"node-a": {f"vllm-{version}": environment}}}
    return as_run(tree)


def before_last(folders, runs, also=()):
    with history_of(folders[-1].parent, pytest.fail) as history:
        found = night_before(history, folders[-1], runs[-1], also, pytest.fail)
    return found and found.run.id


def test_the_night_before_is_of_the_same_case(nights):
    runs = [run_of(0), run_of(1), run_of(2, case="other"), run_of(3)]
    assert before_last(nights(*runs), runs) == runs[1].id


def test_a_night_has_none_before_it(nights):
    runs = [run_of(0, case="other"), run_of(3)]
    assert before_last(nights(*runs), runs) is None


def test_without_a_history_there_is_none_before(tmp_path):
    runs = [run_of(0), run_of(1)]
    assert before_last([stored(tmp_path, run) for run in runs], runs) is None


def test_nights_that_only_belong_to_another_are_not_before(nights):
    control = run_of(1).model_copy(update={"purpose": "control", "night": "x"})
    runs = [run_of(0), control, run_of(2, outcome="running"), run_of(3)]
    assert before_last(nights(*runs), runs) == runs[0].id


def test_runs_of_the_same_evening_are_not_before(nights):
    runs = [run_of(0), run_of(1), run_of(2)]
    assert before_last(nights(*runs), runs, {runs[1].id}) == runs[0].id


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        (("0.11.0", "0.12.0", "0.11.0"), 0),  # each night with two versions
        (("0.11.0", "0.11.0", "0.12.0"), 1),  # a new version
        (("0.11.0", *["0.12.0"] * 9, "0.11.0"), 9),  # an old one, long ago
    ],
)
def test_of_several_versions_the_same_one_counts(nights, versions, expected):
    runs = [served(night, version) for night, version in enumerate(versions)]
    assert before_last(nights(*runs), runs) == runs[expected].id
