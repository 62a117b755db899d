"""A search with nights that are given: what is skipped, what is lost, and what is told."""

from __future__ import annotations

import pytest

from ci.bisect import told
from ci.bisect.model import Asked, Measured, Point, State
from ci.bisect.nights import is_of_point
from ci.bisect.search import Search, load, noise_of, scale_asked, seen_of, standing_of
from ci.errors import ExitCode, InfrastructureError
from ci.judge.bisection import Stage

PERF = Asked(
    benchmark="perf", metric="output_token_throughput", certainty=0.95, nights=60, matters=1.0
)


def state_of(names, asked=PERF):
    points = tuple(Point(name=name, remark=f"about {name}") for name in names)
    return State(
        id="a-search", axis="vllm", case="c", command=("inv", "bisect"), request={"set": ("a=1",)},
        asked=asked, points=points,
    )  # fmt: skip


def night(point, value=None, reason="", **more):
    kinds = {"void": "figure", "ConnectionLost": "hosts", "": ""}
    failed = kinds.get(reason.partition(":")[0], "start")
    given = {"point": point, "run": f"run-{point}", "failed": failed, "value": value}
    return Measured(**given, unit="tok/s", reason=reason, **more)


class Given:
    """Nights whose figures, or reasons for none, are given for each point."""

    def __init__(self, folder, values):
        self.folder, self.values, self.lines, self.stop_after = folder, values, [], 1000
        self.measured = 0

    def measure(self, _, point):
        self.measured += 1
        value = self.values[point.name]
        if isinstance(value, str):
            return (night(point.name, reason=value),)
        if isinstance(value, bool):
            return (night(point.name, good=value),)
        wave = (0.0, 1.5, -1.2, 0.8)[self.measured % 4]
        return (night(point.name, value + wave),)

    def run(self, state):
        stopped = lambda: self.measured >= self.stop_after  # noqa: E731
        return Search(self.folder, self.measure, self.lines.append, stopped).run(state)


def test_a_point_that_cannot_start_is_skipped(tmp_path):
    given = Given(tmp_path, {"a": 500.0, "b": "NotReady: no port", "c": 470.0, "d": 470.0})
    state, known = given.run(state_of("abcd"))
    assert known.stage is Stage.FOUND
    assert told.answer(state, known).startswith("first bad: one of b, c, with 9")
    assert state.skipped == {"b": "NotReady: no port"}
    assert any("b: does not count: NotReady: no port; skipped" in line for line in given.lines)
    assert "cannot be measured: NotReady" in told.evidence(state, known)
    assert told.next_step(state, known, "runs/x") == "inv compare run-a,run-c"
    assert told.next_step(state, known, "/w/x") == "inv compare run-a,run-c --runs /w"
    assert told.exit_code(known) is ExitCode.PASS


def test_an_end_that_cannot_start_stops_it(tmp_path):
    given = Given(tmp_path, {"a": 500.0, "b": 470.0, "c": "ProcessDied: out of memory"})
    state, known = given.run(state_of("abc"))
    assert told.answer(state, known).startswith("not verified: c cannot be measured: ProcessDied")
    assert told.next_step(state, known, "x") == "see its night run-c; choose another end"
    assert told.exit_code(known) is ExitCode.UNKNOWN


def test_nights_without_a_figure_are_tried_again_and_then_skipped(tmp_path):
    given = Given(tmp_path, {"a": 500.0, "b": "void: the hosts were busy", "c": 470.0})
    state, known = given.run(state_of("abc"))
    assert state.skipped["b"].startswith("3 nights without a figure: void")
    assert known.answer == (1, 2)


def test_lost_hosts_stop_it_with_the_way_to_go_on(tmp_path):
    given = Given(tmp_path, {"a": "ConnectionLost: h1 is gone", "b": 470.0})
    with pytest.raises(InfrastructureError, match=r"2 nights in a row.*inv bisect --resume"):
        given.run(state_of("ab"))
    assert [each.counts for each in load(tmp_path).nights] == [False, False]
    assert load(tmp_path).skipped == {}
    healthy = Given(tmp_path, {"a": 500.0, "b": 470.0})
    state, known = healthy.run(load(tmp_path))
    assert told.answer(state, known).startswith("first bad: b (about b), with 9")


def test_a_stopped_search_is_the_same_after_it_is_read(tmp_path):
    values = {"a": 500.0, "b": 500.0, "c": 470.0, "d": 470.0}
    stopped = Given(tmp_path, values)
    stopped.stop_after = 3
    state, known = stopped.run(state_of("abcd"))
    assert known.next is not None
    assert "go on with `inv bisect --resume runs/x`" in told.next_step(state, known, "runs/x")
    assert load(tmp_path) == state
    resumed, found = Given(tmp_path, values).run(load(tmp_path))
    assert found.answer == (2, 2)
    assert resumed.nights[:3] == state.nights


def test_ends_that_are_alike_or_turned(tmp_path):
    alike, known = Given(tmp_path, dict.fromkeys("abc", 500.0)).run(state_of("abc"))
    assert known.stage is Stage.ALIKE
    assert told.answer(alike, known).startswith(
        "no difference shown: of perf output_token_throughput"
    )
    assert told.exit_code(known) is ExitCode.UNKNOWN
    turned, known = Given(tmp_path, {"a": 470.0, "b": 470.0, "c": 500.0}).run(state_of("abc"))
    assert told.exit_code(known) is ExitCode.USER
    assert told.next_step(turned, known, "x") == "swap --good c and --bad a"


def test_servers_that_do_not_start_are_what_is_asked(tmp_path):
    asked = PERF.model_copy(update={"benchmark": "", "metric": ""})
    given = Given(tmp_path, {"a": True, "b": True, "c": False, "d": False})
    state, known = given.run(state_of("abcd", asked))
    assert told.answer(state, known).startswith("first bad: c")
    assert "0 good, 2 bad" in told.evidence(state, known)


def test_a_latency_is_better_if_it_is_lower():
    asked = PERF.model_copy(update={"metric": "ttft_p99"})
    assert scale_asked(asked).lower_is_better
    nights = tuple(night(name, value) for name, value in (("a", 50.0), ("c", 80.0)) for _ in "xyz")
    state = state_of("abc", asked).model_copy(update={"nights": nights})
    assert standing_of(state).worse > 0.95


def test_the_noise_of_a_score_has_an_offset_of_each_point():
    asked = PERF.model_copy(update={"metric": "accuracy"})
    noise = noise_of("vllm", asked, [night("a", 80.0, n=400)])
    assert noise.offset == pytest.approx(1.26, abs=0.01)
    # Its guess is that of answers that flip, for a run too.
    assert noise.sd == noise.offset
    past = asked.model_copy(update={"noise": (0.7, 40), "noise_runs": 3})
    assert (noise_of("vllm", past, []).sd, noise_of("vllm", past, []).runs) == (0.7, 3)
    assert noise_of("vllm", PERF.model_copy(update={"noise": (0.7, 40)}), []).df == 12
    assert noise_of("host", PERF, []).offset == 1.0


def test_the_offset_of_a_score_is_measured_by_its_answers():
    asked = PERF.model_copy(update={"metric": "accuracy"})
    given = {"n": 400, "questions": "q"}
    flipped = "01" * 4 + "1" * 312 + "0" * 80
    nights = [
        *(night("a", 80.0, right="1" * 320 + "0" * 80, **given) for _ in range(2)),
        night("b", 79.0, right=flipped, **given),
        night("b", 79.0, right=flipped, **given | {"questions": "others"}),
    ]
    noise = noise_of("vllm", asked, nights)
    # All flips are one way: that may be what is looked for.
    assert noise.offset == pytest.approx(0.1**0.5 * 1.28, abs=0.02)
    both = night("b", 79.0, right="0" * 40 + "1" * 320 + "0" * 40, **given)
    assert noise_of("vllm", asked, [*nights[:2], both]).offset > 1


@pytest.mark.parametrize(
    ("kind", "message", "of_point"),
    [
        ("ProcessDied", "h1: server-0 exited with code 1", True),
        ("PreparationFailed", "h1: no solution found: vllm==9 was not found", True),
        ("PreparationFailed", "h1: dns error: Temporary failure in name resolution", False),
        ("PreparationFailed", "h1: No space left on device (os error 28)", False),
        ("ConnectionLost", "h1 is gone", False),
    ],
)
def test_a_package_index_that_cannot_be_reached_is_not_of_the_point(kind, message, of_point):
    assert is_of_point(kind, message) is of_point


def test_all_runs_of_a_night_count_around_its_figure():
    runs = night("a", 100.0, runs=(99.0, 101.0, 100.0))
    seen = seen_of(state_of("ab").model_copy(update={"nights": (runs, night("b", 90.0))}))
    (first,), (other,) = seen.points
    assert len(first) == 3
    assert sum(first) / 3 == pytest.approx(scale_asked(PERF).place(100.0))
    assert other == (scale_asked(PERF).place(90.0),)
    state = state_of("ab").model_copy(update={"nights": (runs,)})
    assert told.nights_counted(state) == "1 run in 0.0 s, with 3 measurements; 0 reused"
