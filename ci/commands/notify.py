"""`inv notify`: tell about a run."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ci.commands.notify_about import what_to_tell
from ci.commands.notify_flags import Notify as Flags
from ci.commands.suite_tell import tell_of_suite
from ci.documents.nearest import nearest
from ci.errors import ExitCode, UserError
from ci.notify.deliver import notify
from ci.notify.nights import Ended
from ci.notify.receiver import receiver_of, targets_of_environment, webhook_variable
from ci.suite.cases import find_cases
from ci.suite.load import find_night_suite, load_night_suite
from ci.suite.notifying import SERVICES, Notify, NotifyTarget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.notify.sending import Delivery
    from ci.suite.load import NightSuite


def notify_run(given: Flags, env: Mapping[str, str] | None = None) -> ExitCode:
    """Tell about a run, and print who was told.

    Args:
        given: the flags.
        env: the environment; None for that of this process.

    Raises:
        UserError: a run or suite does not exist or goes on, nobody is to be told, or a variable is
            not set.
    """
    env = os.environ if env is None else env
    suite = load_night_suite(find_night_suite(given.suite)) if given.suite else None
    run = what_to_tell(Path(given.runs), given.run, suite)
    wanted = _wanted(given, suite, env)
    if not given.dry_run:
        _require_secrets(wanted, env)
    file = suite.file if suite else ""
    if not given.run:
        print(f"about  {run.text}")
    if run.suite_run:
        deliveries = tell_of_suite(
            run.suite_run,
            wanted,
            run.folder.parent,
            file,
            repeated=True,
            dry_run=given.dry_run,
            env=env,
        )
    else:
        deliveries = notify(
            [Ended(run.folder, owner_of(suite, run.case) if suite else "")],
            wanted,
            suite_file=file,
            same_evening=run.same_evening,
            dry_run=given.dry_run,
            env=env,
        )
    again = ["inv", "notify", str(run.folder if given.runs != Flags().runs else run.folder.name)]
    again += ["--suite", given.suite] if given.suite else []
    _print(deliveries, shlex.join(again), dry_run=given.dry_run)
    return ExitCode.PASS


def _print(deliveries: Sequence[Delivery], again: str, *, dry_run: bool) -> None:
    word = {"failed": "note  ", "sent": "sent  ", "quiet": "quiet ", "shown": "to    "}
    for each in deliveries:
        note = f": {each.note}" if each.note else ""
        failed = each.outcome == "failed"
        if failed and "is not set" not in each.note:
            note += f"; tell it later with `{again}`"
        print(f"{word[each.outcome]} {each.to}{note}", file=sys.stderr if failed else sys.stdout)
        if dry_run:
            print(each.payload)


def owner_of(suite: NightSuite, case: str) -> str:
    """Return the owner of a case in a suite; empty if nobody is named."""
    found = [each for each in find_cases(suite).cases if each.case.name == case]
    return suite.document.nights[found[-1].entry].owner if found else ""


def _wanted(given: Flags, suite: NightSuite | None, env: Mapping[str, str]) -> Notify:
    services = _services(given.services)
    if suite is not None:
        if suite.document.notify is None:
            raise UserError(f"{suite.file}: has no `notify`; docs/notify.md shows one")
        base, targets = suite.document.notify, suite.document.notify.to
    else:
        base = None
        targets = (
            [NotifyTarget.model_validate({"service": service}) for service in services]
            if services
            else targets_of_environment(env)
        )
    chosen = [target for target in targets if not services or target.service in services]
    if not chosen:
        raise UserError(_nobody(given.services, suite))
    if suite is None and any(target.service == "email" for target in chosen):
        raise UserError(
            "--services email: its server and its receivers stand in a suite; name it with --suite"
        )
    values = {
        "to": chosen,
        "always": given.always or bool(base and base.always),
        "link": given.link or (base.link if base else None),
    }
    if given.always:
        values["to"] = [target.model_copy(update={"always": True}) for target in chosen]
    try:
        return Notify.model_validate(values)
    except ValidationError:
        raise UserError(
            f"--link {given.link!r}: expected the http or https address of a folder, without a "
            "user, a password and a query"
        ) from None


def _services(given: str) -> list[str]:
    named = [name for name in re.split(r"[\s,]+", given) if name]
    for name in named:
        if name not in SERVICES:
            near = nearest(name, SERVICES)
            advice = f"did you mean {near!r}?" if near else f"there are: {', '.join(SERVICES)}"
            raise UserError(f"--services {name!r}: no such service; {advice}")
    return named


def _nobody(services: str, suite: NightSuite | None) -> str:
    if suite is not None:
        return f"{suite.file}: `notify` has no target of {services}"
    names = ", ".join(webhook_variable(each) for each in SERVICES if each != "email")
    return (
        "nobody to tell: set the variable of a service to the URL of its webhook, or name a suite "
        f"that has `notify` with --suite; the variables are {names}"
    )


def _require_secrets(wanted: Notify, env: Mapping[str, str]) -> None:
    missing = [receiver_of(target, env).missing for target in wanted.to]
    if all(missing):
        raise UserError("; ".join(missing))
