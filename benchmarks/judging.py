"""Measure the judge by nights whose truth is known.

    python benchmarks/judging.py play       speaks a referee's protocol on stdin and stdout
    python benchmarks/judging.py            our rows beside those of the referee's own judges
    python benchmarks/judging.py family     a month of 60 cases with three checks each

A referee is a program that makes nights and counts what a judge got right; its protocol is in
the docstring of the file that --referee names. In `play`, the nights come from there, and each
further measurement that the judge wants is asked for.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import re
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ci.judge.baseline import Holding
from ci.judge.decide import Levels, Ruling, answered, decide
from ci.judge.evidence import Evidence, Subject, examine
from ci.judge.expected import Past
from ci.judge.family import is_chance
from ci.judge.levels import levels_for
from ci.judge.measured import Ask, ItemCounts, Measured, RunNoise
from ci.judge.past import Conditions, PastFigure
from ci.judge.scale import Scale

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from ci.judge.measured import Kind

# The first nights of a series are taken as they are: there is nothing to judge them by.
WARM_NIGHTS = 10
# What is planted on each shape, and what has to be reached: failed healthy nights, caught.
WANTED = {
    "gsm8k-1319": (2.0, 99.0),
    "gsm8k-200": (5.0, 98.0),
    "aime-4": (10.0, 95.0),
    "aime-8": (10.0, 99.0),
    "tput-iid": (5.0, 85.0),
    "tput-night": (5.0, 92.0),
    "tput-heavy": (5.0, 80.0),
}
HISTORY = 10
BESIDE = ("fixed", "vllm-7d", "two-stage 0.05/0.005 3+3")
IDS: dict[int, tuple[str, ...]] = {}


class Series:
    """The nights of one series that later ones may be compared with."""

    def __init__(self) -> None:
        """Begin without a night."""
        self.nights: list[tuple[int, Measured]] = []
        self.seen = 0

    def rule(self, message: dict[str, Any], ask: Callable[[Ask], dict[str, Any] | None]) -> Ruling:
        """Rule on a night, and keep it if later ones may be compared with it."""
        if (first := message.get("accept_from")) is not None:
            self.nights = [each for each in self.nights if each[0] >= first]
        tonight = measured(message)
        past = Past.of([night for _, night in self.nights])
        deciding = decide(past, tonight, scale_of(message), Levels(), noise_of(message))
        ruling = answered(deciding, lambda question: maybe_measured(ask(question)))
        if (
            self.seen < WARM_NIGHTS
            or ruling.outcome == "pass"
            or ruling.finding == "nothing to compare with"
        ):
            self.nights.append((message["night"], tonight))
        self.seen += 1
        return ruling


def measured(message: dict[str, Any]) -> Measured:
    """Return a referee's measurement."""
    items = message.get("items")
    counts = None if items is None else counts_of(items, message.get("k", 1))
    return Measured(message["value"], message.get("n") or 0, counts, message.get("host") or "")


def maybe_measured(message: dict[str, Any] | None) -> Measured | None:
    """Return a measurement; None if the referee has no more."""
    return measured(message) if message and message.get("value") is not None else None


def counts_of(items: list[int], passes: int) -> ItemCounts:
    """Return the answers of items that have no names."""
    ids = IDS.setdefault(len(items), tuple(map(str, range(len(items)))))
    return ItemCounts(ids, np.asarray(items, dtype=np.int64), passes)


def scale_of(message: dict[str, Any]) -> Scale:
    """Return the scale of a referee's metric."""
    kind: Kind = "accuracy" if message["metric"] == "accuracy" else "performance"
    return Scale(kind, bool(message["lower_is_better"]))


def noise_of(message: dict[str, Any]) -> RunNoise | None:
    """Return the noise of repeated runs, if the case has it."""
    noise = message.get("aa")
    return RunNoise(noise["sd"], noise["df"]) if noise else None


def play() -> None:
    """Answer a referee on stdin and stdout."""
    series = Series()

    def ask(question: Ask) -> dict[str, Any] | None:
        print(json.dumps({"ask": question.value}), flush=True)
        answer: dict[str, Any] | None = json.loads(sys.stdin.readline())
        return answer

    for line in sys.stdin:
        message = json.loads(line)
        if message["do"] == "series":
            series = Series()
        elif message["do"] == "night":
            ruling = series.rule(message, ask)
            print(json.dumps({"verdict": ruling.outcome, "why": ruling.finding}), flush=True)
        else:
            print(json.dumps(scenario(message)), flush=True)


def scenario(message: dict[str, Any]) -> dict[str, str]:
    """Rule on a fixed scene: a case, its history, and tonight. Nothing can be measured again."""
    case, tonight = message["case"], message["tonight"]
    history = message.get("history", [])
    value, threshold = case.get("baseline"), case.get("threshold")
    holding = Holding(None)
    if value is not None and threshold is not None:
        holding = Holding(value, "the case", threshold=threshold)
    earlier, now = settings_in(message)
    past = [
        figure_of(message, night, place, settings)
        for place, (night, settings) in enumerate(zip(history, earlier, strict=True))
    ]
    # A setting that earlier nights do not name is no difference.
    subject = Subject(
        figure_of(
            message, tonight, len(history), {**dict.fromkeys(earlier[0] if earlier else ()), **now}
        ),
        tuple(past),
        holding,
    )
    deciding = examine(subject)
    try:
        while True:
            next(deciding)
    except StopIteration as ended:
        evidence: Evidence = ended.value
    ruling = evidence.ruling
    outcome = ruling.outcome
    checks = next((each["checks tonight"] for each in message.get("night", [])), 1)
    if ruling.finding == "suspect" and is_chance(ruling.p, checks):
        outcome = "pass"
    return {"verdict": outcome, "why": f"{ruling.finding} {evidence.doubt}".strip()}


SCORES = {"accuracy", "score"}
# What a scene says of a measurement itself; all else that it says is a setting.
MEASURED = {
    *("value", "n", "k", "ids", "items", "run", "host", "verdict", "night", "unit"),
    *("date", "started_at"),
    *("truncated", "failed", "requests", "answered", "empty_outputs", "missing"),
    *("accuracy_of_finished", "tokens_per_char", "chars_per_s"),
}
# What is judged: another version of it is no other setting.
SERVED = {"vllm", "vllm_version", "commit", "git_commit", "build", "sha", "version", "image"}
# Of a case alone: how it is judged.
OF_CASE = {"benchmark", "metric", "unit", "baseline", "threshold", "lower_is_better"}
# What disturbs a host, by its name in a scene, and a clock that is too low.
DISTURBS = re.compile("throttl|steal|foreign|swap|ecc|xid|neighbou?r|contention|disturb")
CLOCK = re.compile("clock|mhz")
LOW_CLOCK = 0.9


def settings_in(scene: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the settings of each night of a scene, and those of tonight.

    A word is a setting, unless it is another one each night, and so is a number that never changes
    before tonight; other numbers are measured. What only the case says holds tonight, and held
    before, if tonight says something else.
    """
    case, tonight, history = scene["case"], scene["tonight"], scene.get("history", [])
    settings = []
    for key in sorted({key for night in history for key in night} - MEASURED - SERVED):
        values = [night.get(key) for night in history]
        different = len(set(map(str, values)))
        words = all(isinstance(each, str | bool | None) for each in values)
        constant = different == 1 and len(values) > 1
        if constant or (words and (different < len(values) or len(values) == 1)):
            settings.append(key)
    settings += sorted(
        (case.keys() & tonight.keys())
        - set(settings)
        - OF_CASE
        - MEASURED
        - SERVED
        - {key for night in history for key in night}
    )
    now = {key: tonight.get(key, case.get(key)) for key in settings}
    earlier = [
        {key: night.get(key, None if key not in tonight else case.get(key)) for key in settings}
        for night in history
    ]
    return earlier, {key: each for key, each in now.items() if each is not None}


def problem_of(scene: dict[str, Any], night: dict[str, Any]) -> str:
    """Return why a measurement of a scene is not valid; empty if nothing says so."""
    case = scene["case"]
    if night is scene["tonight"] and night.get("unit", case.get("unit")) != case.get("unit"):
        return f"the unit is {night['unit']!r}, expected {case.get('unit')!r}"
    usual = {each.get("n") for each in scene.get("history", [])}
    told = {"num_prompts", "answered"} & (case.keys() | night.keys())
    if len(usual) == 1 and not told and case["metric"] in SCORES:
        (n,) = usual
        if n and night.get("n", n) < n:
            return f"{night['n']} items, where {n} were asked before"
    ids = night.get("ids") or ()
    if len(set(map(str, ids))) != len(ids):
        return "several items have the same id"
    if case["metric"] in SCORES:  # the load of a host changes no answer
        return ""
    return next((f"void: {key}" for key in night if disturbs(scene, key, night[key])), "")


def disturbs(scene: dict[str, Any], key: str, value: object) -> bool:
    """Whether a telemetry of tonight is far from that of all nights before."""
    others = [night[key] for night in scene.get("history", []) if key in night]
    if isinstance(value, bool | str | None):
        return bool(DISTURBS.search(key)) and bool(value) and value not in others
    numbers = [each for each in others if isinstance(each, int | float)]
    if not isinstance(value, int | float):
        return False
    if DISTURBS.search(key):
        return value > 2 * max(numbers, default=0)
    return bool(CLOCK.search(key)) and bool(numbers) and value < LOW_CLOCK * min(numbers)


def time_of(scene: dict[str, Any], night: dict[str, Any]) -> str:
    """Return the time of a scene's night; empty if not all nights have one."""
    nights = [*scene.get("history", []), scene["tonight"]]
    keys = [key for key in ("started_at", "date") if all(each.get(key) for each in nights)]
    return str(night[keys[0]]) if keys else ""


def figure_of(
    scene: dict[str, Any], night: dict[str, Any], place: int, settings: dict[str, Any]
) -> PastFigure:
    """Return a scene's measurement as a figure of a run."""
    case = scene["case"]
    unit = str(night.get("unit", case.get("unit", "")))
    score = case["metric"] in SCORES
    n = int(night.get("n", night.get("requests", 1)) or 0)
    problem = problem_of(scene, night)
    timed = unit in {"ms", "s"} or unit != case.get("unit") or not case.get("lower_is_better")
    value = night.get("value")
    counts, questions = None, f"{n} items" if score else ""
    if night.get("items") is not None:
        ids = list(map(str, night.get("ids") or range(len(night["items"]))))
        passes = int(night.get("k", 1))
        counts = {
            each: (int(right), passes) for each, right in zip(ids, night["items"], strict=True)
        }
        questions = ",".join(sorted(ids))
    return PastFigure(
        run=str(night.get("run", f"night {place}")),
        case="scene",
        benchmark=case["benchmark"],
        metric="accuracy" if score else case["metric"],
        value=math.nan if value is None else float(value),
        unit=unit if score or timed else "ms",
        n=n,
        started_at=time_of(scene, night) or f"{place:06}",
        host=str(night.get("host", "")),
        conditions=Conditions(sampling=json.dumps(settings, sort_keys=True)),
        questions=questions,
        items=counts,
        n_items=n if score else 0,
        failed=int(night.get("failed", 0)),
        missing=n - int(night.get("answered", n)) + int(night.get("missing", 0)),
        cut=int(night.get("truncated", 0)),
        empty=int(night.get("empty_outputs", 0)),
        problems=(problem,) if problem else (),
        outcome=str(night.get("verdict", "")),
        vllm=next((str(night[key]) for key in sorted(SERVED & night.keys())), ""),
    )


def load_referee(path: Path) -> ModuleType:
    """Import a referee from its file, or from the folder that has it."""
    file = path / "referee.py" if path.is_dir() else path
    spec = importlib.util.spec_from_file_location("referee", file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["referee"] = module
    spec.loader.exec_module(module)
    return module


class Ours:
    """Our judge, as one of the referee's own: `rule` of one night after others."""

    only = None

    def __init__(self, referee: ModuleType, levels: Levels | None = None) -> None:
        """Take the referee, whose form of a ruling is the answer, and the levels."""
        self.referee = referee
        self.levels = levels or Levels()

    def rule(self, past: list[Any], now: Any, shape: Any) -> Any:  # noqa: ANN401
        """Rule on a night of the referee's."""
        used: Counter[Ask] = Counter()

        def answer(question: Ask) -> Measured:
            used[question] += 1
            pool = now.repeats if question is Ask.REPEAT else now.controls
            return of_referee(pool(used[question])[-1])

        deciding = decide(
            Past.of([of_referee(night) for night in past]),
            of_referee(now),
            Scale(shape.kind, shape.lower_is_better),
            self.levels,
            RunNoise(*now.aa) if now.aa else None,
        )
        ruling = answered(deciding, answer)
        return self.referee.Ruling(
            ruling.outcome, used[Ask.REPEAT], used[Ask.CONTROL], ruling.p, ruling.finding
        )


def of_referee(night: Any) -> Measured:  # noqa: ANN401
    """Return a night of the referee's as a measurement."""
    counts = None if night.items is None else counts_of(night.items, night.k)
    return Measured(night.value, night.n, counts, night.host or "")


def table(referee: ModuleType, sims: int, shapes: list[str]) -> None:
    """Print what each judge said of healthy nights and of bad ones."""
    names = referee.judges()
    judges = {"ours": Ours(referee)} | {name: names[name] for name in BESIDE if name in names}
    print(f"{sims} nights each after {HISTORY} healthy ones; shares in %, runs asked for per night")
    for shape in shapes:
        size, wanted = WANTED.get(shape, (5.0, None))
        healthy = referee.one_night(referee.SHAPES[shape], judges, 0.0, sims, HISTORY, 1)
        bad = referee.one_night(referee.SHAPES[shape], judges, size, sims, HISTORY, 2)
        for name in judges:
            good, caught = healthy[name], bad[name]
            if not good["total"]:
                continue
            asked = (good["repeats"] + good["controls"]) / good["total"]
            print(
                f"{shape:18} {name:26} false alarms {100 * good['fail'] / good['total']:6.3f}  "
                f"unknown {100 * good['unknown'] / good['total']:5.2f}  runs {asked:4.2f}  "
                f"caught {size:g}: {100 * caught['fail'] / caught['total']:6.2f}"
                + (f"  wanted {wanted:g}" if wanted and name == "ours" else ""),
                flush=True,
            )


def family(referee: ModuleType, months: int) -> None:
    """Print how often a month of healthy nights cries wolf.

    60 cases on eight hosts, each with an accuracy, a throughput and a latency that goes with it.
    One host-night in a hundred is slow by 5 to 45 %, whatever version runs. The levels are those
    of one false alarm a month.
    """
    kinds = [referee.SHAPES[name] for name in ("gsm8k-200", "gsm8k-1319", "aime-8")]
    shapes = {"throughput": referee.SHAPES["tput-night"], "latency": referee.SHAPES["ttft-p50"]}
    alarms, unknown, runs, nights = 0, 0, 0, 20
    ours = Ours(referee, levels_for(60 * 3, 30))
    for month in range(months):
        random = np.random.default_rng(1000 + month)
        cases = [
            (referee.Series(kinds[case % 3], random), float(random.choice([0.004, 0.008, 0.015])))
            for case in range(60)
        ]
        past: dict[tuple[int, str], list[Any]] = defaultdict(list)
        for night in range(nights + 30):
            slow = np.where(random.random(8) < 0.01, -random.uniform(0.05, 0.45, 8), 0.0)  # noqa: PLR2004
            for case, (series, noise) in enumerate(cases):
                shift = float(random.normal(0, 0.7 * noise)) + slow[case % 8]
                tonight = {"accuracy": series.night(night, 0.0, "healthy")}
                for name in shapes:
                    tonight[name] = performance(referee, random, shift, noise, name)
                for name, now in tonight.items():
                    shape = shapes.get(name, series.shape)
                    seen = past[case, name]
                    if night >= nights:
                        ruling = ours.rule(seen[-30:], now, shape)
                        alarms += ruling.verdict == "fail"
                        unknown += ruling.verdict == "unknown"
                        runs += ruling.repeats + ruling.controls
                    seen.append(now)
    print(
        f"60 cases x 3 checks x 30 nights, {months} months: {alarms / months:.2f} false alarms a "
        f"month, {unknown / months:.1f} unknown, {runs / months / 5400:.3f} runs more per check"
    )


def performance(
    referee: ModuleType, random: np.random.Generator, shift: float, noise: float, name: str
) -> Any:  # noqa: ANN401
    """Return a figure of performance of a night, which can be measured again."""
    sign, level = (1, 1000.0) if name == "throughput" else (-1, 25.0)

    def measure() -> Any:  # noqa: ANN401
        place = sign * (shift + float(random.normal(0, 0.7 * noise)))
        return referee.Night(0, level * math.exp(place))

    night = measure()
    night.aa = (70 * noise, 20)
    night.again = night.control = measure
    return night


def main() -> None:
    """Parse and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("do", nargs="?", default="table", choices=["table", "play", "family"])
    parser.add_argument(
        "--referee",
        type=Path,
        default=os.environ.get("LAMPLIGHTER_REFEREE"),
        help="file or folder of the referee; default: LAMPLIGHTER_REFEREE",
    )
    parser.add_argument("--sims", type=int, default=2000, help="nights of each kind")
    parser.add_argument("--months", type=int, default=4)
    parser.add_argument("--shape", nargs="*", help="default: those with a wanted figure")
    arguments = parser.parse_args()
    if arguments.do == "play":
        play()
        return
    if arguments.referee is None:
        raise SystemExit("name the referee with --referee or LAMPLIGHTER_REFEREE")
    referee = load_referee(arguments.referee)
    began = time.monotonic()
    if arguments.do == "family":
        family(referee, arguments.months)
    else:
        table(referee, arguments.sims, arguments.shape or list(WANTED))
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
