"""Test the nights of a suite: run types, versions, sizes, durations, mutes, filters."""

import datetime as dt
from glob import escape

import pytest
from suites import TODAY, nights, suite_of, write_case

from ci.errors import UserError
from ci.suite.select import expired_mutes

SINGLE = """\
test_cases:
  - name: one
    model: m
    server_cmd: [--port, 8000]
    benchmarks:
      acc: {case_type: accuracy, dataset_path: d, max_out_len: 1, batch_size: 1}
  - {name: two, model: m, server_cmd: [--port, 8000]}
"""


@pytest.fixture
def folder(tmp_path):
    write_case(tmp_path, "a")
    write_case(tmp_path, "b", hosts=2, more="tags: [big]\n", model="b")
    (tmp_path / "single.yaml").write_text(SINGLE)
    return tmp_path


def names(folder, text, run_type="daily", **wanted):
    return [night.name for night in nights(folder, text, run_type, **wanted)]


def test_a_run_type_has_its_entries(folder):
    text = "nights: [{cases: a, run_types: [pr]}, {cases: b}]\n"
    assert names(folder, text, "pr") == ["a", "b"]
    assert names(folder, text, "daily") == ["b"]


def test_a_run_type_chooses_by_the_tags_of_case_and_entry(folder):
    text = "run_types: {pr: {tags: [big, x]}}\nnights: [{cases: a, tags: [x]}, {cases: b}]\n"
    assert names(folder, text, "pr") == ["a", "b"]
    assert names(folder, text.replace("tags: [x]", "tags: [y]"), "pr") == ["b"]


def test_an_unknown_run_type(folder):
    with pytest.raises(UserError, match=r"suite\.yaml: no run type 'dayli'; did you mean 'daily'"):
        names(folder, "nights: [{cases: a}]\n", "dayli")


def test_each_version_is_a_night(folder):
    text = "vllm: [0.32.0, 0.30.0]\nnights: [{cases: a}, {cases: b, vllm: [0.29.0]}]\n"
    found = nights(folder, text)
    assert [(night.name, night.vllm) for night in found] == [
        ("a@0.32.0", "0.32.0"),
        ("a@0.30.0", "0.30.0"),
        ("b", "0.29.0"),
    ]
    assert found[0].uses == {"weights org/m", "vllm 0.32.0"}
    assert found[0].uses & found[1].uses == {"weights org/m"}


def test_cases_of_one_name_are_told_apart_by_their_files(folder):
    (folder / "other.yaml").write_text(SINGLE)
    found = names(folder, "nights: [{cases: [single, other]}]\n")
    assert found == ["single#one", "single#two", "other#one", "other#two"]


def test_files_of_one_name_are_told_apart_by_their_folders(folder):
    for name in ("x", "y"):
        (folder / name).mkdir()
        write_case(folder / name, "a")
    assert names(folder, "nights: [{cases: [./x/a, ./y/a, b]}]\n") == ["x/a", "y/a", "b"]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ("{accuracy: 100}", ["benchmarks.acc.num_prompts=100"]),
        ("{accuracy: 500}", []),
        ("{performance: 50}", ["benchmarks.perf.num_prompts=[10, 50]"]),
        ("{performance: 400}", []),
        (
            "{accuracy: 1, performance: 1}",
            ["benchmarks.acc.num_prompts=1", "benchmarks.perf.num_prompts=[1, 1]"],
        ),
    ],
)
def test_sizes_are_settings_of_what_is_larger(folder, sizes, expected):
    (night,) = nights(folder, f"run_types: {{daily: {{sizes: {sizes}}}}}\nnights: [{{cases: a}}]\n")
    assert list(night.settings) == expected


def test_a_whole_dataset_of_known_size_that_is_small_enough_stays_whole(folder):
    text = (folder / "a.yaml").read_text().replace("org/own", "lamplighter/arithmetic")
    (folder / "a.yaml").write_text(text.replace("    num_prompts: 500\n", ""))
    suite = "run_types: {daily: {sizes: {accuracy: %d}}}\nnights: [{cases: a}]\n"
    (night,) = nights(folder, suite % 40)
    assert night.settings == ()
    (night,) = nights(folder, suite % 39)
    assert night.settings == ("benchmarks.acc.num_prompts=39",)


def test_the_keys_of_a_case_of_several_begin_at_the_case(folder):
    text = """\
run_types: {daily: {sizes: {accuracy: 5}}}
nights:
  - {cases: single#one, set: {model: n, "test_cases[1].model": o}}
"""
    (night,) = nights(folder, text)
    assert night.settings == (
        "test_cases[0].model=n",
        "test_cases[1].model=o",
        "test_cases[0].benchmarks.acc.num_prompts=5",
    )


def test_settings_of_entry_and_run_types_in_their_order(folder):
    text = """\
run_types:
  daily: {set: {model: of-type, ready_timeout_s: 9}}
nights:
  - cases: a
    set: {model: of-entry, test_name: "a: b"}
    run_types: {daily: {set: {ready_timeout_s: 7}}}
"""
    (night,) = nights(folder, text)
    assert night.settings == ("model=of-type", "test_name='a: b'", "ready_timeout_s=7")


def test_an_entry_s_own_run_type_replaces_what_it_says(folder):
    text = """\
run_types: {daily: {stages: [accuracy], functional_cases: [x], benchmarks: [acc]}}
nights:
  - {cases: a, run_types: {daily: {stages: [functional, performance]}}, functional: none}
  - {cases: b}
"""
    a, b = nights(folder, text)
    assert a.stages == ("functional", "performance")
    assert (a.benchmarks, a.functional_cases, a.functional) == (("acc",), ("x",), "none")
    assert (b.stages, b.functional) == (("accuracy",), "none")  # no stage for it


PAST = {("a", "0.32.0"): [600.0, 1200.0, 660.0], ("a", ""): [60.0], ("b", "0.1.0"): [100.0, 300.0]}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{cases: a, vllm: [0.32.0], expected: 1h}", (3600, "written")),
        ("{cases: a, vllm: [0.32.0]}", (726, "past")),  # the median and 10 %
        ("{cases: a}", (66, "past")),
        ("{cases: b, vllm: [0.32.0]}", (220, "past")),  # of another version
        ("{cases: single#two}", (1800, "assumed")),
    ],
)
def test_expected_durations(folder, entry, expected):
    (night,) = nights(folder, f"expected: 30m\nnights: [{entry}]\n", past=PAST)
    assert (pytest.approx(night.expected_s), night.basis) == expected


def test_without_anything_an_hour_is_assumed(folder):
    (night,) = nights(folder, "nights: [{cases: a}]\n")
    assert (night.expected_s, night.basis) == (3600, "assumed")


def test_needs(folder):
    text = """\
nights:
  - {cases: a, share: true, devices: 2, hosts: {kind: cuda, names: n*, labels: {r: x}}}
  - {cases: b}
"""
    a, b = nights(folder, text)
    assert (a.needs.count, a.needs.kind, a.needs.devices, a.needs.share) == (1, "cuda", 2, True)
    assert (a.needs.patterns, a.needs.labels, a.needs.ports) == (("n*",), {"r": "x"}, {8000})
    assert (b.needs.count, b.needs.kind, b.needs.devices, b.needs.share) == (2, "ascend", 8, False)


@pytest.mark.parametrize(
    ("pattern", "muted"),
    [("a", True), ("a.yaml", True), ("a@0.32.0", False), ("*", True), ("b", False)],
)
def test_a_muted_night_runs_and_says_who_and_why(folder, pattern, muted):
    mute = f"mute: [{{cases: '{pattern}', owner: me, until: {TODAY}, because: w}}]\n"
    (night,) = nights(folder, "nights: [{cases: a}]\n" + mute)
    assert (night.mute is not None) == muted
    if night.mute:
        assert (night.mute.owner, night.mute.until, night.mute.because) == ("me", TODAY, "w")


def test_one_version_can_be_muted(folder):
    mute = f"mute: [{{cases: a@0.32.0, owner: me, until: {TODAY}, because: w}}]\n"
    found = nights(folder, "nights: [{cases: a, vllm: [0.32.0, 0.30.0]}]\n" + mute)
    assert [night.mute is not None for night in found] == [True, False]


def test_a_mute_ends(folder):
    before = TODAY - dt.timedelta(days=1)
    text = "nights: [{cases: a}]\n"
    text += f"mute: [{{cases: a, owner: me, until: {before}, because: w}}]\n"
    (night,) = nights(folder, text)
    assert night.mute is None
    assert [each.owner for each in expired_mutes(suite_of(text), TODAY)] == ["me"]


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ("a", ["a"]),
        ("b.yaml", ["b"]),
        ("one", ["one"]),
        ("single", ["one", "two"]),
        ("big", ["b"]),
        ("moe", ["a"]),
        ("m*, two", ["a", "two"]),
        ("", ["a", "b", "one", "two"]),
    ],
)
def test_filter(folder, filter_, expected):
    text = "nights: [{cases: a, owner: moe}, {cases: [b, single]}]\n"
    assert names(folder, text, filter=filter_) == expected


@pytest.mark.parametrize("name", ["a", "b, [x]", "one"])
def test_the_full_name_of_a_night_names_no_other(folder, name):
    """As a job of a workflow names it, also beside an owner, a tag or a file of this name."""
    write_case(folder, "b, [x]")
    text = "nights: [{cases: [a, 'b, *', single]}, {cases: b, owner: a, tags: [one]}]\n"
    assert names(folder, text, filter=escape(name)) == [name]
    assert names(folder, text, filter=name) == [name]


def test_a_filter_that_names_nothing(folder):
    with pytest.raises(UserError, match=r"--filter bgi: none of 1 night has.*did you mean 'big'"):
        names(folder, "nights: [{cases: b}]\n", filter="bgi")


def test_the_accepted_false_alarms_are_shared_by_benchmarks(folder):
    text = "judge: {false_alarms_a_month: 4, control: last-good}\nnights: [{cases: [a, single]}]\n"
    a, one, two = nights(folder, text)
    assert a.judge == {"false_alarms_a_month": 3, "control": "last-good"}
    assert one.judge["false_alarms_a_month"] == 1
    assert two.judge["false_alarms_a_month"] == 4  # it has no check


def test_retry_of_entry_suite_and_default(folder):
    text = "retry: {times: 2}\nnights: [{cases: a, retry: {times: 0}}, {cases: b}]\n"
    a, b = nights(folder, text)
    assert (a.retry.times, b.retry.times, b.retry.reasons) == (0, 2, ["environment"])
    assert nights(folder, "nights: [{cases: a}]\n")[0].retry.times == 1
