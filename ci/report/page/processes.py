"""Show the processes of a plan, with the commands that start them by hand. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.record.page import ProcessShown
from ci.report.plan.paste import command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ci.record.model import Run


def processes_of(
    run: Run,
    plan: Mapping[str, Any],
    hide: Callable[[str], str],
    is_there: Callable[[str], bool],
) -> Iterator[ProcessShown]:
    """Yield the services, the servers and the router of a plan, in the order of their starts.

    Args:
        run: the record, which has how they ended.
        plan: the content of plan.json; a part that is no plan's is left out.
        hide: hides secrets in a text.
        is_there: whether the run's folder has a file.
    """
    ends = {(each.name, each.host): each for each in run.processes}
    starts = {(each.process, each.host): each.seconds for each in run.startup}
    router = plan.get("router")
    listed = [*_listed(plan, "services"), *_listed(plan, "servers")]
    for planned in [*listed, *([router] if isinstance(router, dict) else [])]:
        name, host = str(planned.get("name")), str(planned.get("host"))
        end = ends.get((name, host))
        log = f"logs/{host}/{name}.log"
        yield ProcessShown(
            name=name,
            host=host,
            role=str(planned.get("role", "")),
            ended=end.state if end else "",
            exit_code=end.exit_code if end else None,
            seconds=starts.get((name, host), {}),
            command=_command(planned, hide),
            log=log if is_there(log) else "",
        )


def _listed(plan: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = plan.get(key)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _command(planned: Mapping[str, Any], hide: Callable[[str], str]) -> str:
    env, argv, scripts = (planned.get(key) for key in ("env", "argv", "env_script"))
    lines = command(
        {str(name): str(value) for name, value in env.items()} if isinstance(env, dict) else {},
        [str(word) for word in argv] if isinstance(argv, list) else [],
        [str(word) for word in scripts] if isinstance(scripts, list) else [],
    )
    return "\n".join(map(hide, lines))
