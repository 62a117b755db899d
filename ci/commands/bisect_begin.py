"""Read the flags of `inv bisect` into the state of a search that has no night yet."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ci.bisect.model import Asked, Point, State
from ci.bisect.nights import resolve_point
from ci.bisect.points import between, of_file, of_hosts, of_versions, of_wheels, require_ends
from ci.bisect.reuse import noise_in, past_figures
from ci.bisect.revisions import of_revisions
from ci.bisect.search import scale_asked
from ci.case.load import load_one
from ci.case.repeats import AUTO, MOST_PASSES
from ci.errors import CaseError, UserError
from ci.inventory.assign import named_hosts
from ci.inventory.this_machine import device_of
from ci.judge.asked import asked_of, main_of
from ci.paths import CASES, absolute
from ci.record.secrets import hide_in_argv
from ci.record.start import run_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.bisect.model import Axis
    from ci.case.model import Case
    from ci.commands.bisect_flags import Bisect
    from ci.request import Request

START = "start"
LEAST_HOSTS = 3
AXES = ("vllm", "case", "host")
LEAST_CERTAIN, MOST_CERTAIN = 0.5, 0.999
# The flags of the nights, which are kept for --resume.
KEPT = (
    *("config", "local", "vllm", "device", "workspace", "cluster", "on", "skip_doctor", "wait"),
    "set",
)


def begun(given: Bisect) -> State:
    """Return a search that has no night yet. Contacts no host, and writes nothing.

    Raises:
        UserError: the case, a point or a flag is wrong.
        CaseError: the case or a file of points is not valid.
    """
    request = given.request()
    if not request.config:
        raise UserError("name a case: inv bisect CASE --good 0.30.0 --bad 0.32.0")
    case = load_one(request.config, CASES, request.set)
    asked = _asked(given, case)
    points, axis = _points(given, request, case)
    odd = axis == "host" and not (given.good or given.bad)
    if odd and len(points) < LEAST_HOSTS:
        raise UserError(
            f"--axis host: {len(points)} hosts; of two, nothing tells which one is as it should "
            "be: give --good and --bad"
        )
    if not odd:
        require_ends(points)
    past = past_figures(absolute(Path(given.runs)), case.name, asked) if asked.reuse else []
    noise, runs = noise_in(past)
    state = State(
        id=run_id(f"bisect-{case.name}", datetime.now(UTC)),
        axis=axis,
        case=case.name,
        command=without_secrets(("inv", *sys.argv[1:])),
        request={name: getattr(request, name) for name in KEPT} | {"set": hidden(given.set)},
        asked=asked.model_copy(update={"noise": noise, "noise_runs": runs, "odd": odd}),
        points=points,
        skipped={point.name: point.unusable for point in points if point.unusable},
    )
    _refuse_secrets(points)
    return _without_broken(state, request)


def without_secrets(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command line as a file may keep it."""
    return tuple(map(str, hide_in_argv(list(argv))))


def hidden(settings: Sequence[str]) -> tuple[str, ...]:
    """Return `KEY=VALUE` as a file may keep them: what is secret is hidden."""
    return tuple(without_secrets(("--set", each))[1] for each in settings)


def _refuse_secrets(points: Sequence[Point]) -> None:
    """Refuse secrets in points, because bisect.json has them.

    Raises:
        UserError: a point has one.
    """
    for point in points:
        if hidden(point.set) != point.set:
            raise UserError(
                f"point {point.name}: `set` has a secret, which bisect.json would keep; give it "
                "with --set, or let an `env_script` of the host export it"
            )


def _asked(given: Bisect, case: Case) -> Asked:
    certainty, loss = _number(given.certainty, "--certainty"), _number(given.loss or "1", "--loss")
    if not LEAST_CERTAIN <= certainty <= MOST_CERTAIN:
        expected = f"expected {LEAST_CERTAIN} to {MOST_CERTAIN}"
        raise UserError(f"--certainty {given.certainty}: {expected}")
    if loss <= 0 or given.max_nights < 1:
        raise UserError("--loss and --max-nights: expected more than 0")
    if given.times != AUTO and given.times not in map(str, range(1, MOST_PASSES + 1)):
        raise UserError(f"--times {given.times}: expected 1 to {MOST_PASSES}, or {AUTO}")
    benchmark, metric = _check(given.check, case)
    asked = Asked(
        benchmark=benchmark,
        metric=metric,
        certainty=certainty,
        nights=given.max_nights,
        matters=loss,
        reuse=not given.no_reuse,
        repeats=given.times,
    )
    if given.loss or not benchmark:
        return asked
    return asked.model_copy(update={"matters": scale_asked(asked).matters})


def _check(name: str, case: Case) -> tuple[str, str]:
    """Return benchmark and metric of `--check`; both empty for the servers' start.

    Raises:
        UserError: the case has no such check, or several and none was chosen.
    """
    if name == START:
        return "", ""
    known = {each.name: main_of(each) for each in case.benchmarks}
    for benchmark in case.benchmarks:
        further = list(asked_of(benchmark))[1:]
        known |= {f"{benchmark.name}.{asked.metric}": asked for asked in further}
    mains = [each.name for each in case.benchmarks]
    chosen = mains[0] if not name and len(mains) == 1 else name
    if chosen in known:
        return known[chosen].name, known[chosen].metric
    what = f"--check {name}: the case has no such check" if name else "--check is missing"
    raise UserError(f"{what}; choose one of {', '.join([*known, START])}")


def _points(given: Bisect, request: Request, case: Case) -> tuple[tuple[Point, ...], Axis]:
    """Return the points from the good end to the bad end, and their axis."""
    if given.points and given.wheels:
        raise UserError("--points and --wheels: give only one of them")
    if given.points:
        return between(of_file(Path(given.points)), given.good, given.bad), "points"
    if given.wheels:
        return between(_wheels(given, case), given.good, given.bad), "wheels"
    if given.axis == "case":
        config, settings = request.config, request.set
        return of_revisions(config, given.good, given.bad, settings), "case"
    if given.axis == "host":
        return between(_hosts(request, case), given.good, given.bad), "host"
    if given.axis == "vllm":
        return between(_versions(given, request, case), given.good, given.bad), "vllm"
    raise UserError(f"--axis {given.axis}: choose one of {', '.join(AXES)}, or give --points")


def _wheels(given: Bisect, case: Case) -> tuple[Point, ...]:
    base = given.vllm or case.vllm or ""
    if not base:
        raise UserError("--wheels needs --vllm: the version whose environment they are put into")
    if not Path(given.wheels).is_dir():
        raise UserError(f"--wheels {given.wheels}: there is no such folder")
    return of_wheels(Path(given.wheels), base)


def _hosts(request: Request, case: Case) -> tuple[Point, ...]:
    if case.num_hosts != 1:
        raise UserError(
            f"{case.path}: has {case.num_hosts} hosts; --axis host takes a case of one. Write the "
            "groups of hosts into a file for --points"
        )
    points = of_hosts(request.cluster)
    if not request.on:
        return points
    chosen = {target.name for target in named_hosts(request.cluster, request.on)}
    return tuple(point for point in points if point.name in chosen)


def _versions(given: Bisect, request: Request, case: Case) -> tuple[Point, ...]:
    if request.vllm:
        raise UserError("--vllm: with --axis vllm each point has its version; leave it out")
    for name, flag in ((given.good, "--good"), (given.bad, "--bad")):
        if not name:
            raise UserError(f"{flag} is missing: a version of configs/versions.yaml")
    return of_versions(device_of(request.device or case.device or ""))


def _without_broken(state: State, request: Request) -> State:
    """Skip the points whose case or environment cannot be planned; contacts no host.

    Raises:
        UserError: one of the ends cannot be planned.
    """
    skipped = dict(state.skipped)
    for point in state.points:
        if point.name in skipped:
            continue
        try:
            resolve_point(point, request, state.asked)
        except (UserError, CaseError) as error:
            if point in {state.points[0], state.points[-1]} and not state.asked.odd:
                raise
            skipped[point.name] = str(error).splitlines()[0]
    return state.model_copy(update={"skipped": skipped})


def _number(text: str, flag: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{flag} {text}: expected a number, e.g. 0.95") from None
