"""Publish the metrics of a run that has ended: to a pushgateway, and to node_exporter's folder.

The one function for it, `publish_night`, never raises: whatever fails here is a note, and the
outcome of the night stands.
"""

from __future__ import annotations

import queue
import shlex
import subprocess
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.connect.printed import one_line
from ci.documents.counted import counted
from ci.documents.json_text import read_json
from ci.history.hosts import mapping
from ci.metrics.allowed import asks_origin, refusal
from ci.metrics.labels import LabelValues
from ci.metrics.night import metrics_of
from ci.metrics.same_name import other_file
from ci.metrics.served import served_in
from ci.metrics.settings import TEXTFILES, URL, gateway_of, keep_days
from ci.paths import PROJECT
from ci.record.cause import message_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci.metrics.families import Group
    from ci.metrics.gateway import Outcome
    from ci.metrics.settings import Gateway
    from ci.record.model import Run

# All tries and the deletion of old groups together.
WHOLE_S = 45.0
GIT_S = 5.0
_POLL_S = 0.1
MAX_EVENT_BYTES = 16 << 20
_TO_FILES, _TO_GATEWAY = "files", "gateway"
NO_GATEWAY = f"no gateway is known; set {URL}, or give --gateway-url"


@dataclass(frozen=True)
class Published:
    """What became of metrics.

    Attributes:
        notes: one line for each place, or why there is none.
        failed: whether a place that was wanted did not get them.
        pushed: whether a place got them.
    """

    notes: tuple[str, ...]
    failed: bool = False
    pushed: bool = False


@dataclass(frozen=True)
class PublishRequest:
    """Where metrics go: to a gateway, or to a folder of text files.

    Attributes:
        gateway: a pushgateway; None for a folder.
        directory: the folder that node_exporter reads.
        only_newer: do not replace what a later night pushed.
        advice: what to do about a push that failed.
    """

    gateway: Gateway | None = None
    directory: str = ""
    only_newer: bool = False
    advice: str = ""


def publish_night(
    folder: Path,
    run: Run,
    env: Mapping[str, str],
    note: Callable[[str], None],
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Publish the metrics of a night that was just judged, if it is one that does so.

    Nothing happens without PROM_PUSHGATEWAY_URL or PROM_TEXTFILE_DIR, or if the run is no night.

    Args:
        folder: the run's folder.
        run: its record; it has ended.
        env: the environment of this process.
        note: called with a message for readers.
        stopped: whether the operator wants to stop; ends the waiting.
    """
    places = [
        place
        for place, wanted in ((_TO_FILES, env.get(TEXTFILES)), (_TO_GATEWAY, env.get(URL)))
        if wanted and run.purpose == "night"
    ]
    if places and stopped():
        note("metrics: not published: the night was interrupted")
        return
    for place in places:
        try:
            request = PublishRequest(gateway=gateway_of(env) if place == _TO_GATEWAY else None)
            if place == _TO_FILES:
                request = PublishRequest(directory=env[TEXTFILES].strip())
            done = publish(folder, run, env, request, stopped)
            for line in done.notes:
                note(line)
            if place == places[0] and done.pushed and (other := other_file(folder.parent, run)):
                note(
                    f"metrics: the nights of {one_line(other)} have the name "
                    f"{one_line(run.case)}, too, and replace these metrics; rename one of the files"
                )
        except Exception as error:  # noqa: BLE001 - the night's outcome stands, whatever fails here
            note(f"metrics: not published: {message_of(error)}; the outcome stands")


def publish(
    folder: Path,
    run: Run,
    env: Mapping[str, str],
    request: PublishRequest,
    stopped: Callable[[], bool] = lambda: False,
) -> Published:
    """Publish the metrics of a run.

    Args:
        folder: the run's folder.
        run: its record.
        env: the environment of this process.
        request: where to.
        stopped: whether the operator wants to stop.

    Raises:
        UserError: a variable of the environment or the folder is wrong.
        InfrastructureError: the disk fails.
    """
    if run.outcome == "running":
        return Published((f"metrics: not published: {run.id} has not ended",))
    if reason := refused(run.run_type, env):
        return Published((f"metrics: not published: {reason}",))
    made = metrics_of(run, served_in(folder), LabelValues.without_secrets_of(env))
    what = f"{counted(made.checks, 'check')} of {run.id}"
    if made.left_out:
        what += f" ({made.left_out} more are left out: too many)"
    if request.gateway:
        again = ["inv", "metrics.push", "--run", run.id]
        if folder.parent.resolve() != Path("runs").resolve():
            again += ["--runs", str(folder.parent)]
        advice = f"; the outcome stands; push it again with `{shlex.join(again)}`"
        sending = replace(request, advice=advice)
        return to_gateway(sending, made.groups, what, stopped)
    directory = Path(request.directory)
    return to_files(directory, made.groups, what, env, only_newer=request.only_newer)


def refused(run_type: str, env: Mapping[str, str], *, dry_run: bool = False) -> str:
    """Return why nothing may be published here; empty if it may. See `ci.metrics.allowed`."""
    origin = _origin() if asks_origin(env) else ""
    return refusal(run_type, env, _event(env), origin, dry_run=dry_run)


def to_gateway(
    request: PublishRequest, groups: Sequence[Group], what: str, stopped: Callable[[], bool]
) -> Published:
    """Push groups, for WHOLE_S at most; what fails is a note.

    Args:
        request: has the gateway.
        groups: what.
        what: the same in words.
        stopped: whether the operator wants to stop.
    """
    from ci.metrics.gateway import Outcome, push  # noqa: PLC0415 - takes 0.2 s

    gateway = request.gateway
    if gateway is None:
        return Published((f"metrics: not pushed: {NO_GATEWAY}",))
    ends = time.monotonic() + WHOLE_S
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def pause(seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not stopped():
            time.sleep(_POLL_S)
        return not stopped() and time.monotonic() < ends

    def send() -> None:
        try:
            outcomes.put(push(gateway, groups, pause, only_newer=request.only_newer))
        except Exception as error:  # noqa: BLE001 - told below
            outcomes.put(Outcome(message_of(error)))

    # A timeout of a socket does not limit a gateway that sends a byte now and then, and a second
    # Ctrl-C must not wait for one.
    threading.Thread(target=send, daemon=True, name="metrics").start()
    outcome = _first(outcomes, ends, stopped)
    if outcome is None:
        why = "interrupted" if stopped() else f"not finished within {WHOLE_S:g} s"
        outcome = Outcome(why)
    if outcome.error:
        tries = f" ({outcome.tries} tries)" if outcome.tries > 1 else ""
        text = f"metrics: not pushed to {gateway.url}{tries}: {outcome.error}"
        return Published((f"{text}{request.advice}",), failed=True)
    deleted = f"; {outcome.deleted} old groups deleted" if outcome.deleted else ""
    remarks = (f"metrics: {outcome.remark}",) if outcome.remark else ()
    if not outcome.pushed:
        text = f"metrics: not pushed to {gateway.url}: it has those of a later night"
        return Published((text, *remarks))
    text = f"metrics: pushed {what} to {gateway.url}{deleted}"
    return Published((text, *remarks), pushed=True)


def to_files(
    directory: Path,
    groups: Sequence[Group],
    what: str,
    env: Mapping[str, str],
    *,
    only_newer: bool = False,
) -> Published:
    """Write groups to node_exporter's folder; see `write_files`."""
    from ci.metrics.textfile import write_files  # noqa: PLC0415 - takes 0.1 s

    written = write_files(directory, groups, keep_days(env), only_newer=only_newer)
    if not written.files:
        return Published((f"metrics: not written to {directory}: it has those of a later night",))
    more = f"; {written.deleted} old files deleted" if written.deleted else ""
    return Published((f"metrics: wrote {what} to {directory}{more}",), pushed=True)


def _first(
    outcomes: queue.SimpleQueue[Outcome], ends: float, stopped: Callable[[], bool]
) -> Outcome | None:
    while time.monotonic() < ends and not stopped():
        try:
            return outcomes.get(timeout=_POLL_S)
        except queue.Empty:
            continue
    return None


def _origin() -> str:
    """Return the URL of this checkout's remote; empty if git cannot tell."""
    argv = ["git", "-C", str(PROJECT), "remote", "get-url", "origin"]
    try:
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=GIT_S, check=False)
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return ""
    return ended.stdout.strip() if ended.returncode == 0 else ""


def _event(env: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Read what started a job on GitHub; None if there is nothing, or it cannot be read."""
    path = env.get("GITHUB_EVENT_PATH", "")
    if not path:
        return None
    try:
        with Path(path).open("rb") as file:
            return mapping(read_json(file.read(MAX_EVENT_BYTES).decode()))
    except (OSError, ValueError):
        return None
