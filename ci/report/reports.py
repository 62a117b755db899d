"""Write the reports of a run. Touches the run's folder and the step summary."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ci.record.case_secrets import secrets_of_case
from ci.record.cause import message_of
from ci.record.known_secrets import secrets_of
from ci.record.redact import redacted
from ci.record.stored import as_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci.record.disk import Folder
    from ci.record.model import Run


# The libraries that render take 0.1 s to import: a night starts without them.
def _markdown(run: Run) -> str:
    from ci.report import markdown  # noqa: PLC0415

    return markdown.render(run)


def _junit(run: Run, attachments: Sequence[str] = ()) -> str:
    from ci.report import junit  # noqa: PLC0415

    return junit.render(run, attachments)


def _of_page(folder: Path, run: Run) -> tuple[str, ...]:
    from ci.report.page.build import page_of  # noqa: PLC0415
    from ci.report.page.render import as_html, as_json  # noqa: PLC0415
    from ci.report.page.trace import as_trace  # noqa: PLC0415

    page = page_of(folder, run)
    return as_html(page), as_json(page), as_trace(page.timeline)


def _dashboard(folder: Path, run: Run) -> str:
    from ci.report import dashboard  # noqa: PLC0415
    from ci.report.page.build import plan_in  # noqa: PLC0415

    return dashboard.render(run, plan_in(folder))


def _figures(run: Run) -> str:
    from ci.report import figures_csv  # noqa: PLC0415

    return figures_csv.render(run)


RENDERERS = {"report.md": _markdown, "junit.xml": _junit, "figures.csv": _figures}
# https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands, "job summary".
MAX_SUMMARY_BYTES = 1 << 20
_SUMMARY_END = "\n\nThe rest is in report.md: a summary has at most 1 MiB.\n"
# What a CI server shows beside what did not pass.
ATTACHED = ("report.html",)
OF_PAGE = ("report.html", "report.json", "trace.json")


def write_reports(folder: Folder, run: Run, warn: Callable[[str], None]) -> None:
    """Write the reports of a run that has ended, and append to $GITHUB_STEP_SUMMARY if set.

    Args:
        folder: the run's folder.
        run: the run's record.
        warn: called with a message for a report that could not be made; nothing is raised.
    """
    rendered = render_reports(folder.path, run, warn)
    for name, text in rendered.items():
        folder.write(name, text)
    try:
        # Of what was measured beside a night, the night's own report tells.
        if "report.md" in rendered and run.purpose in {"night", "against-itself"}:
            append_step_summary(rendered["report.md"], os.environ)
    except OSError as error:
        warn(f"cannot append to $GITHUB_STEP_SUMMARY: {message_of(error)}")


def render_reports(folder: Path, run: Run, warn: Callable[[str], None]) -> dict[str, str]:
    """Make all reports of a run: for people, for CI, as data, and for a viewer of traces.

    Args:
        folder: the run's folder, whose other files the page shows too.
        run: the run's record.
        warn: called with a message for a report that could not be made; nothing is raised.

    Returns:
        File name → text of each report that could be made.
    """
    run = _without_secrets(run, warn)
    reports = {}
    attached = [path_for_ci(folder / name, os.environ) for name in ATTACHED]
    renderers = RENDERERS | {
        "junit.xml": lambda run: _junit(run, attached),
        "dashboard.json": lambda run: _dashboard(folder, run),
    }
    for name, render in renderers.items():
        try:
            reports[name] = render(run)
        except Exception as error:  # noqa: BLE001 - a report that fails must not hide the cause
            warn(f"cannot make {name}: {message_of(error)}; see run.json instead")
    try:
        reports |= zip(OF_PAGE, _of_page(folder, run), strict=True)
    except Exception as error:  # noqa: BLE001 - likewise
        warn(f"cannot make {', '.join(OF_PAGE)}: {message_of(error)}; see run.json instead")
    return reports


def _without_secrets(run: Run, warn: Callable[[str], None]) -> Run:
    """Hide what the record has not: secrets of this process, which may be another than the night's.

    Args:
        run: the record.
        warn: called with a message if that makes no record.
    """
    secrets = secrets_of(os.environ) | secrets_of_case(run)
    try:
        return as_run(redacted(run.model_dump(mode="json"), secrets))
    except ValueError as error:
        warn(f"a secret of this machine's environment is a word of the record: {error}")
        return run


def path_for_ci(path: Path, env: Mapping[str, str]) -> str:
    """Return a path as a CI server finds it: GitLab in the project's folder, others anywhere."""
    whole, project = path.absolute(), env.get("CI_PROJECT_DIR")
    if project and whole.is_relative_to(project):
        return str(whole.relative_to(project))
    return str(whole)


def append_step_summary(report: str, env: Mapping[str, str]) -> None:
    """Append the report to the file that $GITHUB_STEP_SUMMARY names, if it is set."""
    target = env.get("GITHUB_STEP_SUMMARY")
    if not target:
        return
    with Path(target).open("ab") as summary:
        data, room = f"{report}\n".encode(), MAX_SUMMARY_BYTES - summary.tell()
        # GitHub shows nothing at all of a summary that is larger.
        if len(data) > room:
            end = _SUMMARY_END.encode()
            data = b"\n".join(data[: max(0, room - len(end))].split(b"\n")[:-1]) + end
        summary.write(data if len(data) <= room else b"")
